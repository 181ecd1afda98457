//! Delete, Verify, Repair, Move and Status: what keeps a store in order, and what must not be lost by it.

use crate::common::{
    Client, Cluster, Fault, Json, Outcome, Proxy, USER, Way, disk, noise, subsets, travelled,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Large enough that no buffer between a client and a server takes a piece of it whole.
const LARGE: usize = 48 << 20;

/// Where a piece says which version it is of (`docs/FORMAT.md`).
const VERSION: usize = 14;

/// What all commands together may send for a handful of names, whatever the size of the files.
const SMALL_TRAFFIC: usize = 64 * 1024;

/// Every file that the servers hold, with its bytes.
fn disks(cluster: &Cluster) -> BTreeMap<String, Vec<u8>> {
    disk::tree(&cluster.root())
}

/// The piece files of a user on all servers, with their bytes.
fn pieces_of(cluster: &Cluster, user: &str) -> BTreeMap<String, Vec<u8>> {
    let marker = format!("/{user}/");
    disks(cluster).into_iter().filter(|(file, _)| file.contains(&marker)).collect()
}

#[track_caller]
fn all_is_well(aditi: &Client) {
    aditi.run(&["Verify", "-r"]).succeeds().prints(&[]);
}

// Delete.

#[test]
fn a_deleted_file_is_gone_from_the_listing_and_from_every_disk() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 50_000));
    let before = pieces_of(&cluster, USER);
    aditi.upload("b", b"stays, or so it seems");
    aditi.run(&["Delete", "b"]).succeeds().does_not_complain_of("warning");

    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    aditi.run(&["Download", "b"]).fails_with(1).complains_of("not found").complains_of("b");
    aditi.run(&["Delete", "b"]).fails_with(1).complains_of("not found");
    assert_eq!(pieces_of(&cluster, USER), before);
    assert_eq!(cluster.unsettled(), [""; 0], "every server has acknowledged");
}

#[test]
fn a_folder_is_deleted_with_r_and_only_with_r() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for name in ["x/a", "x/y/b", "x/y/z/c", "xy/d"] {
        aditi.put(name, name.as_bytes());
    }
    aditi.pipe("Upload x\nUpload xy\n").succeeds();
    let before = disks(&cluster);
    aditi.run(&["Delete", "x"]).fails_with(1).complains_of("folder").complains_of("-r");
    assert!(disks(&cluster) == before, "a refused delete changed something");

    aditi.run(&["Delete", "-r", "x"]).succeeds();
    aditi.run(&["ShowFiles"]).succeeds().prints(&["xy/"]);
    aditi.run(&["ShowFiles", "x"]).fails_with(1);
    for n in 1..=4 {
        assert!(!cluster.user_folder(n, USER).join("x").exists(), "an empty folder is left on Server{n}");
    }
    all_is_well(&aditi);
}

#[test]
fn a_folder_goes_with_its_last_file_and_no_earlier() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"a");
    aditi.put("b", b"b");
    aditi.pipe("Upload a x/y\nUpload b x\n").succeeds();
    let on_disk =
        |folder: &str| (1..=4).filter(|n| cluster.user_folder(*n, USER).join(folder).exists()).count();
    aditi.run(&["Delete", "x/y/a"]).succeeds();
    assert_eq!((on_disk("x/y"), on_disk("x")), (0, 4));
    aditi.run(&["Download", "x/b"]).succeeds();
    aditi.run(&["Delete", "b", "x"]).succeeds();
    assert_eq!((on_disk("x"), on_disk("")), (0, 4), "the user's own folder stays");
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
}

#[test]
fn a_server_that_missed_a_delete_cannot_bring_the_file_back() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for absent in 1..=4 {
        let name = format!("a{absent}");
        cluster.run_all();
        aditi.upload(&name, &noise(1, 20_000));
        cluster.stop(absent);
        aditi.run(&["Delete", &name]).succeeds().complains_of("warning");
    }
    assert!(!cluster.unsettled().is_empty(), "the servers that missed it must be told");

    // Each of the four deletes is known to three servers, so any one of them may be away.
    for up in subsets(4).filter(|up| up.len() >= 3) {
        cluster.run_only(&up);
        let outcome =
            aditi.pipe("ShowFiles\nDownload a1\nDownload a2\nDownload a3\nDownload a4\n").fails_with(1);
        assert_eq!(outcome.lines(), [""; 0], "with {up:?}: {outcome}");
        aditi.has_no_downloads();
    }

    cluster.run_all();
    aditi.run(&["Repair"]).succeeds();
    assert_eq!(cluster.unsettled(), [""; 0], "after Repair every server knows");
    assert!(pieces_of(&cluster, USER).is_empty());
    for alone in 1..=4 {
        cluster.run_only(&[alone]);
        aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
    }
}

#[test]
fn nor_can_it_bring_the_file_back_through_a_newer_version() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let (old, new) = (noise(1, 30_000), noise(2, 30_000));
    aditi.upload("a", &old);
    cluster.stop(2);
    aditi.run(&["Delete", "a"]).succeeds();
    aditi.upload("a", &new);
    cluster.start(2);
    for lost in [1, 3, 4] {
        cluster.stop(lost);
        aditi.download("a", &new);
        cluster.start(lost);
    }
    aditi.run(&["Repair"]).succeeds();
    all_is_well(&aditi);
    cluster.has_equal_copies("a", 2);
    aditi.run(&["Delete", "a"]).succeeds();
    assert!(pieces_of(&cluster, USER).is_empty());
    assert_eq!(cluster.unsettled(), [""; 0]);
}

#[test]
fn what_was_deleted_can_be_uploaded_again_and_again() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for round in 1..=3 {
        let bytes = noise(round as u64, 20_000);
        aditi.upload("a", &bytes);
        aditi.download("a", &bytes);
        aditi.run(&["Delete", "a"]).succeeds();
        aditi.run(&["Download", "a"]).fails_with(1).complains_of("not found");
        // Next time a server is down, and must not take the new file for a deleted one.
        cluster.stop(round);
        aditi.upload("a", &bytes);
        aditi.run(&["Delete", "a"]).succeeds();
        aditi.upload("a", &bytes);
        cluster.start(round);
        aditi.download("a", &bytes);
    }
    aditi.run(&["Repair"]).succeeds();
    all_is_well(&aditi);
}

#[test]
fn a_delete_outlives_a_wiped_disk_whether_its_server_knew_of_it_or_not() {
    for wiped in [3, 1] {
        let mut cluster = Cluster::quick(4);
        let aditi = cluster.client("Aditi");
        aditi.upload("a", &noise(1, 20_000));
        cluster.stop(3);
        aditi.run(&["Delete", "a"]).succeeds();
        if wiped != 3 {
            cluster.start(3);
        }
        cluster.wipe(wiped);
        aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
        aditi.run(&["Repair"]).succeeds();
        assert_eq!(cluster.unsettled(), [""; 0], "Server{wiped} was wiped");
        assert!(pieces_of(&cluster, USER).is_empty());

        let again = noise(2, 20_000);
        aditi.upload("a", &again);
        for lost in 1..=4 {
            cluster.stop(lost);
            aditi.download("a", &again);
            cluster.start(lost);
        }
    }
}

#[test]
fn what_cannot_be_rebuilt_can_still_be_deleted() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for name in ["a", "b", "c"] {
        aditi.upload(name, &noise(1, 20_000));
    }
    for n in cluster.holders("a", 1) {
        fs::remove_file(cluster.piece_file(n, "a", 1)).unwrap();
    }
    for piece in 1..=4 {
        for n in cluster.holders("b", piece) {
            cluster.edit_piece(n, "b", piece, |bytes| bytes.truncate(10));
        }
        for n in cluster.holders("c", piece) {
            cluster.edit_piece(n, "c", piece, |bytes| *bytes.last_mut().unwrap() ^= 1);
        }
    }
    let listing = ["a [incomplete]", "b [incomplete]", "c [incomplete]"];
    aditi.run(&["ShowFiles"]).succeeds().prints(&listing);
    aditi.run(&["Download", "c"]).fails_with(1).complains_of("incomplete");
    aditi.pipe("Delete a\nDelete b\nDelete c\nShowFiles\n").succeeds().prints(&[]);
    assert!(pieces_of(&cluster, USER).is_empty());
    cluster.restart(1);
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
}

#[test]
fn a_delete_needs_a_server_and_says_so() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    let mut session = aditi.session();
    session.send("ShowFiles");
    session.wait_for("a");
    cluster.run_only(&[]);
    session.send("Delete a");
    session.finish().fails_with(4);
    cluster.run_all();
    aditi.download("a", b"a");
}

// Verify.

type Damage = fn(&mut Vec<u8>);

const DAMAGES: &[(&str, Damage)] = &[
    ("first-bit", |piece| piece[0] ^= 0x80),
    ("size", |piece| piece[45] ^= 1),
    ("key", |piece| piece[110] ^= 1),
    ("path", |piece| piece[139] ^= 1),
    ("body", |piece| piece[1000] ^= 1),
    ("table", |piece| turn_from_end(piece, 70)),
    ("root", |piece| turn_from_end(piece, 40)),
    ("seal", |piece| turn_from_end(piece, 1)),
    ("cut", |piece| piece.truncate(piece.len() - 1)),
    ("half", |piece| piece.truncate(piece.len() / 2)),
    ("empty", Vec::clear),
    ("longer", |piece| piece.push(0)),
    ("zeroed", |piece| piece.fill(0)),
];

fn turn_from_end(piece: &mut [u8], bytes: usize) {
    let at = piece.len() - bytes;
    piece[at] ^= 1;
}

#[test]
fn verify_names_every_kind_of_damage_with_its_server_and_changes_nothing() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let extra = ["swapped", "stranger", "older", "missing"];
    for name in DAMAGES.iter().map(|(name, _)| *name).chain(extra) {
        aditi.put(&format!("d/{name}"), &noise(1, 600_000));
    }
    aditi.run(&["Upload", "d"]).succeeds();
    all_is_well(&aditi);

    let path = |name: &str| format!("d/{name}");
    let mut expected = Vec::new();
    for (name, damage) in DAMAGES {
        let holder = cluster.holders(&path(name), 2)[0];
        cluster.edit_piece(holder, &path(name), 2, damage);
        expected.push((path(name), holder, 2));
    }
    let holder = cluster.holders(&path("swapped"), 3)[1];
    let other = (1..=4).find(|p| *p != 3 && cluster.holders(&path("swapped"), *p).contains(&holder)).unwrap();
    cluster.swap_pieces(holder, (&path("swapped"), 3), (&path("swapped"), other));
    expected.push((path("swapped"), holder, 3));
    expected.push((path("swapped"), holder, other));
    let holder = cluster.holders(&path("stranger"), 1)[0];
    let strange = fs::read(cluster.piece_file(cluster.holders(&path("cut"), 1)[0], &path("cut"), 1)).unwrap();
    cluster.edit_piece(holder, &path("stranger"), 1, |piece| *piece = strange);
    expected.push((path("stranger"), holder, 1));
    let holder = cluster.holders(&path("older"), 4)[0];
    let older = fs::read(cluster.piece_file(holder, &path("older"), 4)).unwrap();
    aditi.run(&["Upload", "d/older", "d"]).succeeds();
    cluster.edit_piece(holder, &path("older"), 4, |piece| *piece = older);
    expected.push((path("older"), holder, 4));
    let holder = cluster.holders(&path("missing"), 4)[0];
    fs::remove_file(cluster.piece_file(holder, &path("missing"), 4)).unwrap();

    let before = disks(&cluster);
    let outcome = aditi.run(&["Verify", "-r", "--json"]).fails_with(1);
    let problems = Json::lines(&outcome.stdout);
    for (name, server, piece) in expected {
        let (server, piece) = (Json::Text(format!("Server{server}")), Json::Number(piece as f64));
        let named = problems.iter().any(|problem| {
            problem.text("name") == name && *problem.get("server") == server && *problem.get("piece") == piece
        });
        assert!(named, "piece {piece:?} of {name} on {server:?} is not named by {outcome}");
    }
    let piece_four = |problem: &&Json| *problem.get("piece") == Json::Number(4.0);
    let missing = problems.iter().filter(piece_four).any(|p| p.text("name") == path("missing"));
    assert!(missing, "a missing copy is not named by {outcome}");

    // Without -r only the folder itself is looked at; a restarted server says the same.
    aditi.run(&["Verify"]).succeeds().prints(&[]);
    cluster.restart(1);
    assert_eq!(aditi.run(&["Verify", "-r", "--json"]).fails_with(1).stdout, outcome.stdout);
    assert!(disks(&cluster) == before, "Verify changed something");
}

#[test]
fn verify_and_repair_of_what_is_well_send_next_to_nothing() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("a", &noise(1, 8 << 20));
    for command in ["Verify", "Repair", "ShowFiles", "Status"] {
        proxies.iter().for_each(Proxy::forget);
        aditi.run(&[command]).succeeds();
        let bytes = travelled(&proxies);
        assert!(bytes < SMALL_TRAFFIC, "{command} sent {bytes} bytes");
    }
}

#[test]
fn verify_with_a_server_down_does_not_say_that_all_is_well() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 20_000));
    cluster.stop(2);
    aditi.run(&["Verify"]).fails_with(1).complains_of("Server2");
    cluster.start(2);
    all_is_well(&aditi);
}

#[test]
fn verify_and_repair_of_what_is_not_there_fail() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 20_000));
    aditi.run(&["Verify", "nowhere"]).fails_with(1).complains_of("nowhere");
    aditi.run(&["Repair", "nowhere"]).fails_with(1).complains_of("nowhere");
    cluster.corrupt_piece(cluster.holders("a", 1)[0], "a", 1);
    // A file's name is either understood or refused, but no damage is called well.
    aditi.run(&["Verify", "a"]).fails_with(1);
}

// Repair.

#[test]
fn servers_are_wiped_in_turn_and_repaired_and_then_any_one_may_be_lost() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let sizes = [0, 1, 3, 5_000, 262_145, 3 << 20];
    let files: Vec<(String, Vec<u8>)> =
        sizes.iter().map(|size| (format!("f{size}"), noise(*size as u64, *size))).collect();
    let uploads: String = files.iter().map(|(name, _)| format!("Upload {name} x/{name}\n")).collect();
    files.iter().for_each(|(name, bytes)| aditi.put(name, bytes));
    aditi.pipe(&uploads).succeeds();

    for wiped in 1..=4 {
        cluster.wipe(wiped);
        aditi.run(&["Verify", "-r"]).fails_with(1);
        aditi.run(&["Repair"]).succeeds();
        all_is_well(&aditi);
        for (name, _) in &files {
            cluster.has_equal_copies(&format!("x/{name}/{name}"), 2);
        }
    }
    assert_eq!(cluster.unsettled(), [""; 0]);
    let downloads: String = files.iter().map(|(name, _)| format!("Download x/{name}/{name}\n")).collect();
    for lost in 1..=4 {
        cluster.stop(lost);
        aditi.forget_downloads();
        aditi.pipe(&downloads).succeeds();
        for (name, bytes) in &files {
            aditi.has_downloaded(&format!("x/{name}/{name}"), bytes);
        }
        cluster.start(lost);
    }
}

#[test]
fn a_turned_bit_in_any_byte_of_a_copy_is_found_and_repaired_from_the_other_copy() {
    every_byte_is_repaired();
}

/// One small file for each byte of a piece file, with that byte of one copy damaged.
#[track_caller]
fn every_byte_is_repaired() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let path = |at: usize| format!("d/{at:03}");
    // With 20 encrypted bytes, their nonce and one hash, the file of a piece of such a name has 305 bytes (`docs/FORMAT.md`).
    let bytes: Vec<usize> = (0..305).collect();
    bytes.iter().for_each(|at| aditi.put(&path(*at), &noise(*at as u64, 80)));
    aditi.run(&["Upload", "d"]).succeeds();
    let whole = disks(&cluster);

    for bits in [0x01, 0x80] {
        let mut damaged = Vec::new();
        for at in &bytes {
            let (path, piece) = (path(*at), 1 + at % 4);
            let holder = cluster.holders(&path, piece)[at / 4 % 2];
            cluster.edit_piece(holder, &path, piece, |bytes| {
                assert_eq!(bytes.len(), 305);
                bytes[*at] ^= bits;
            });
            damaged.push((path, format!("Server{holder}")));
        }
        let outcome = aditi.run(&["Verify", "-r", "--json"]).fails_with(1);
        let problems = Json::lines(&outcome.stdout);
        for (path, server) in damaged {
            let server = Json::Text(server);
            let found = problems.iter().any(|p| p.text("name") == path && *p.get("server") == server);
            assert!(found, "{path} on {server:?} was not found: {outcome}");
        }
        aditi.run(&["Repair"]).succeeds();
        all_is_well(&aditi);
        // Copied, not made again, and nothing else was touched.
        let now = disks(&cluster);
        let differs: Vec<&String> = whole.keys().filter(|file| now.get(*file) != whole.get(*file)).collect();
        assert_eq!(differs, [""; 0], "not as before");
    }
}

#[test]
fn a_turned_bit_in_a_copy_does_not_keep_a_file_from_being_replaced_or_deleted() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 20_000));
    let holder = cluster.holders("a", 1)[0];
    cluster.edit_piece(holder, "a", 1, |piece| piece[VERSION] ^= 0x80);
    let new = noise(2, 20_000);
    aditi.upload("a", &new);
    aditi.download("a", &new);
    aditi.run(&["Delete", "a"]).succeeds();
    assert!(pieces_of(&cluster, USER).is_empty());
}

#[test]
fn a_turned_bit_in_a_copy_and_a_delete_do_not_keep_a_user_from_uploading() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    let holder = cluster.holders("a", 1)[0];
    cluster.edit_piece(holder, "a", 1, |piece| piece[VERSION] ^= 0x40);
    for round in 1..=3 {
        aditi.run(&["Delete", "a"]).succeeds();
        aditi.upload("a", &noise(round, 1000));
        aditi.upload(&format!("another{round}"), &noise(round, 1000));
    }
}

#[test]
fn cut_swapped_and_lost_copies_are_repaired() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 700_000);
    aditi.upload("a", &bytes);
    aditi.upload("b", &bytes);
    let whole = pieces_of(&cluster, USER);
    let spoil: [fn(&Cluster, usize, usize); 6] = [
        |cluster, n, piece| cluster.cut_piece(n, "a", piece),
        |cluster, n, piece| cluster.edit_piece(n, "a", piece, Vec::clear),
        |cluster, n, piece| cluster.edit_piece(n, "a", piece, |bytes| bytes.truncate(bytes.len() / 2)),
        |cluster, n, piece| fs::remove_file(cluster.piece_file(n, "a", piece)).unwrap(),
        |cluster, n, piece| {
            let other = (1..=4).find(|p| *p != piece && cluster.holders("a", *p).contains(&n)).unwrap();
            cluster.swap_pieces(n, ("a", piece), ("a", other));
        },
        |cluster, n, piece| {
            let other = (1..=4).find(|p| cluster.holders("b", *p).contains(&n)).unwrap();
            cluster.swap_pieces(n, ("a", piece), ("b", other));
        },
    ];
    for (which, spoil) in spoil.iter().enumerate() {
        let (n, piece) = (1 + which % 4, 0);
        let held = (1..=4).find(|p| cluster.holders("a", *p).contains(&n)).unwrap_or(piece);
        spoil(&cluster, n, held);
        aditi.run(&["Verify"]).fails_with(1).complains_of("problem");
        aditi.run(&["Repair"]).succeeds();
        all_is_well(&aditi);
        assert!(pieces_of(&cluster, USER) == whole, "not as before, after damage {which}");
    }
}

#[test]
fn a_dry_repair_says_what_it_would_do_and_changes_nothing() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for name in ["damaged", "older", "deleted", "well"] {
        aditi.upload(name, &noise(1, 30_000));
    }
    cluster.stop(4);
    aditi.upload("older", &noise(2, 30_000));
    aditi.run(&["Delete", "deleted"]).succeeds();
    cluster.start(4);
    cluster.corrupt_piece(cluster.holders("damaged", 2)[0], "damaged", 2);
    leave_unfinished(&cluster, "unfinished");

    let before = disks(&cluster);
    let dry = aditi.run(&["Repair", "-n"]).succeeds();
    assert!(disks(&cluster) == before, "a dry run changed something");
    for name in ["damaged", "older", "deleted"] {
        assert!(dry.stdout.contains(name), "no word of {name}: {dry}");
    }
    assert!(!dry.stdout.contains("well"), "something is wrong with what is well: {dry}");
    aditi.run(&["Repair"]).succeeds();
    assert_eq!(cluster.unsettled(), [""; 0]);
    all_is_well(&aditi);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["damaged", "older", "well"]);
    aditi.run(&["Repair", "-n"]).succeeds().prints(&[]);
    aditi.run(&["Repair"]).succeeds().prints(&[]);
}

/// Kills a client in the middle of an upload, so that some of it is staged.
#[track_caller]
fn leave_unfinished(cluster: &Cluster, name: &str) {
    let proxies = cluster.proxies();
    let killed = cluster.client_through("Aditi", &proxies);
    killed.put(name, &noise(3, LARGE));
    // The last server to get its pieces blocks, so the others have theirs whole.
    proxies[2].fail_after(Way::Up, LARGE / 4 + (1 << 20), Fault::Silence);
    let upload = killed.start(&["Upload", name]);
    proxies[2].wait_for_the_fault();
    upload.kill();
    drop(proxies);
    // Until then it is not unfinished, but in transit.
    cluster.wait_until_all_left();
}

#[test]
fn an_unfinished_upload_is_dropped_by_repair_and_the_older_file_stays() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let old = noise(1, 30_000);
    aditi.upload("a", &old);
    let before = pieces_of(&cluster, USER);
    leave_unfinished(&cluster, "a");
    let staged = cluster.unsettled();
    assert!(!staged.is_empty(), "nothing was staged");

    // With one server away, nobody can know that it has not decided the upload.
    for away in 1..=4 {
        cluster.stop(away);
        let known = cluster.unsettled();
        aditi.run(&["Repair"]);
        assert_eq!(cluster.unsettled(), known, "without Server{away}");
        cluster.start(away);
    }
    aditi.run(&["Repair"]).succeeds();
    assert_eq!(cluster.unsettled(), [""; 0]);
    // What the servers held is there as it was; while one was away, others got copies of it.
    let after = pieces_of(&cluster, USER);
    assert!(before.iter().all(|(file, bytes)| after.get(file) == Some(bytes)));
    aditi.download("a", &old);
    all_is_well(&aditi);
}

#[test]
fn an_upload_that_one_server_has_committed_is_completed_on_the_others() {
    for committed in [&[4][..], &[1, 2, 3]] {
        let cluster = Cluster::quick(4);
        let aditi = cluster.client("Aditi");
        let (first, second) = (noise(1, 100_000), noise(2, 100_000));
        let proxies = cluster.proxies();
        let killed = cluster.client_through("Aditi", &proxies);
        killed.upload("a", &first);
        // The last thing that an upload sends is its commit.
        for n in (1..=4).filter(|n| !committed.contains(n)) {
            let sent = proxies[n - 1].recorded(Way::Up).len();
            proxies[n - 1].fail_after(Way::Up, sent - 1, Fault::Silence);
        }
        killed.put("a", &second);
        let upload = killed.start(&["Upload", "a"]);
        for n in 1..=4 {
            if committed.contains(&n) {
                cluster.wait_for_logs(n, "COMMIT a ", 2);
            } else {
                proxies[n - 1].wait_for_the_fault();
            }
        }
        upload.kill();
        drop(proxies);

        aditi.download("a", &second);
        aditi.run(&["Repair"]).succeeds();
        assert_eq!(cluster.unsettled(), [""; 0]);
        cluster.has_equal_copies("a", 2);
        all_is_well(&aditi);
    }
}

#[test]
fn repair_says_that_an_upload_is_settled_only_when_it_is() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let proxies = cluster.proxies();
    let killed = cluster.client_through("Aditi", &proxies);
    killed.upload("a", &noise(1, 100_000));
    // The last thing that an upload sends is its commit.
    for proxy in &proxies[..3] {
        proxy.fail_after(Way::Up, proxy.recorded(Way::Up).len() - 1, Fault::Silence);
    }
    let second = noise(2, 100_000);
    killed.put("a", &second);
    let upload = killed.start(&["Upload", "a"]);
    cluster.wait_for_logs(4, "COMMIT a ", 2);
    proxies[..3].iter().for_each(Proxy::wait_for_the_fault);
    upload.kill();
    drop(proxies);

    // Two neighbours have three pieces together: what is decided must wait.
    cluster.run_only(&[3, 4]);
    let outcome = aditi.run(&["Repair"]).fails_with(1);
    assert!(outcome.stdout.contains("not repaired") && !outcome.stdout.contains("settled"), "{outcome}");
    aditi.run(&["Repair", "-n"]).fails_with(1);

    cluster.run_all();
    let outcome = aditi.run(&["Repair"]).succeeds();
    assert!(outcome.lines().contains(&"a: settled an unfinished upload"), "{outcome}");
    assert_eq!(cluster.unsettled(), [""; 0]);
    aditi.run(&["Repair"]).succeeds().prints(&[]);
    aditi.download("a", &second);
}

#[test]
fn repair_says_that_a_delete_is_everywhere_only_when_every_server_has_forgotten_it() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 20_000));
    cluster.stop(2);
    aditi.run(&["Delete", "a"]).succeeds();
    cluster.start(2);
    // To forget, a server writes down its floor first.
    let floors = cluster.root().join(".Server1/floors");
    fs::remove_dir_all(&floors).unwrap();
    fs::write(&floors, b"").unwrap();
    let outcome = aditi.run(&["Repair"]).fails_with(1);
    let named = |line: &&str| line.starts_with("a: not repaired: Server1: ");
    assert!(outcome.lines().iter().any(named), "{outcome}");
    assert!(!outcome.stdout.contains("delete completed on every server"), "{outcome}");
    assert!(!cluster.unsettled().is_empty());

    fs::remove_file(&floors).unwrap();
    fs::create_dir(&floors).unwrap();
    let outcome = aditi.run(&["Repair"]).succeeds();
    assert!(outcome.lines().contains(&"a: delete completed on every server"), "{outcome}");
    assert_eq!(cluster.unsettled(), [""; 0]);
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
}

#[test]
fn pieces_of_an_older_version_on_a_server_that_was_down_are_dropped() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let new = noise(2, 40_000);
    for absent in 1..=4 {
        aditi.upload("a", &noise(1, 40_000));
        cluster.stop(absent);
        aditi.upload("a", &new);
        cluster.start(absent);
        aditi.run(&["Verify"]).fails_with(1);
        aditi.run(&["Repair"]).succeeds();
        all_is_well(&aditi);
        cluster.has_equal_copies("a", 2);
        aditi.download("a", &new);
    }
}

#[test]
fn nothing_is_deleted_because_a_server_does_not_answer() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let (old, new) = (noise(1, 40_000), noise(2, 40_000));
    aditi.upload("a", &old);
    aditi.upload("b", &old);
    cluster.stop(4);
    aditi.upload("a", &new);
    cluster.start(4);
    for up in subsets(4).filter(|up| (1..=3).contains(&up.len())) {
        cluster.run_only(&up);
        let before = pieces_of(&cluster, USER);
        let outcome = aditi.run(&["Repair", "-r"]);
        let after = pieces_of(&cluster, USER);
        // What is gone is older than what is there as a whole, in as many copies as can be.
        let whole = cluster.copies_on(&up, "a") >= 2.min(up.len());
        for gone in before.keys().filter(|file| !after.contains_key(*file)) {
            assert!(whole && gone.contains(".a."), "{gone} is gone with {up:?} up: {outcome}");
        }
        for (file, bytes) in &after {
            let same = before.get(file).is_none_or(|b| b == bytes);
            assert!(
                same || file.contains("Server4/Aditi/.a."),
                "{file} was changed with {up:?} up: {outcome}"
            );
        }
        cluster.run_all();
        aditi.download("a", &new);
        aditi.download("b", &old);
    }
    aditi.run(&["Repair"]).succeeds();
    aditi.download("a", &new);
    aditi.download("b", &old);
}

#[test]
fn what_went_up_to_one_server_is_brought_to_two() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 2 << 20);
    cluster.run_only(&[3]);
    aditi.upload("a", &bytes);
    cluster.run_all();
    aditi.run(&["Repair"]).succeeds();
    all_is_well(&aditi);
    for lost in 1..=4 {
        cluster.stop(lost);
        aditi.download("a", &bytes);
        cluster.start(lost);
    }
}

#[test]
fn repair_reads_and_writes_what_is_missing_and_no_more() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("a", &noise(1, 8 << 20));
    let holder = cluster.holders("a", 3)[0];
    let piece = fs::read(cluster.piece_file(holder, "a", 3)).unwrap().len();
    cluster.corrupt_piece(holder, "a", 3);
    proxies.iter().for_each(Proxy::forget);
    aditi.run(&["Repair"]).succeeds();
    let bytes = travelled(&proxies);
    assert!(
        (2 * piece - 1000..2 * piece + SMALL_TRAFFIC).contains(&bytes),
        "{bytes} bytes for a piece of {piece}"
    );
    cluster.has_equal_copies("a", 2);
}

#[test]
fn the_log_tells_a_copy_that_is_brought_back_from_an_upload() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 40_000));
    let holder = cluster.holders("a", 3)[0];
    cluster.corrupt_piece(holder, "a", 3);
    aditi.run(&["Repair"]).succeeds();
    cluster.wait_for_log(holder, " RESTORE a 3 ");
    assert_eq!(cluster.log(holder).matches(" STAGE a 3 ").count(), 1, "{}", cluster.log(holder));
}

#[test]
fn what_cannot_be_repaired_is_named_and_the_rest_is_repaired() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 40_000);
    for name in ["broken", "lost", "mendable"] {
        aditi.upload(name, &bytes);
    }
    for n in cluster.holders("broken", 2) {
        cluster.corrupt_piece(n, "broken", 2);
    }
    for n in cluster.holders("lost", 3) {
        fs::remove_file(cluster.piece_file(n, "lost", 3)).unwrap();
    }
    cluster.corrupt_piece(cluster.holders("mendable", 2)[0], "mendable", 2);
    let left: Vec<_> = pieces_of(&cluster, USER).into_keys().collect();

    let outcome = aditi.run(&["Repair"]).fails_with(1);
    for (name, piece) in [("broken", "2"), ("lost", "3")] {
        let named = |line: &str| line.contains(name) && line.contains(piece) && line.contains("not repaired");
        assert!(outcome.lines().into_iter().any(named), "no word of {name}: {outcome}");
    }
    outcome.complains_of("uploaded again").does_not_complain_of("servers that are down");
    aditi.download("mendable", &bytes);
    cluster.has_equal_copies("mendable", 2);
    assert_eq!(pieces_of(&cluster, USER).into_keys().collect::<Vec<_>>(), left, "nothing is dropped");
}

#[test]
fn a_piece_is_called_lost_only_when_every_server_has_been_asked() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 40_000);
    aditi.upload("a", &bytes);
    let holders = cluster.holders("a", 3);
    cluster.corrupt_piece(holders[0], "a", 3);
    cluster.stop(holders[1]);
    let outcome = aditi.run(&["Repair"]).fails_with(1).complains_of("servers that are down");
    let line = format!("a: not repaired: no good copy of piece 3 found; Server{} may have one", holders[1]);
    assert!(outcome.lines().contains(&line.as_str()), "{outcome}");

    cluster.start(holders[1]);
    let holder = cluster.piece_file(holders[1], "a", 3);
    fs::remove_file(holder).unwrap();
    let outcome = aditi.run(&["Repair"]).fails_with(1).complains_of("uploaded again");
    let line = "a: not repaired: lost: no server has a good copy of piece 3 (shown by ";
    assert!(outcome.lines().iter().any(|said| said.starts_with(line)), "{outcome}");
    aditi.upload("a", &bytes);
    aditi.run(&["Repair"]).succeeds();
    all_is_well(&aditi);
}

#[test]
fn what_a_dry_repair_says_is_what_a_repair_does() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for name in ["cut", "outdated", "lost"] {
        aditi.upload(name, &noise(1, 40_000));
    }
    cluster.cut_piece(cluster.holders("cut", 1)[0], "cut", 1);
    let [one, other] = cluster.holders("lost", 2)[..] else { panic!("not two copies") };
    cluster.cut_piece(one, "lost", 2);
    cluster.cut_piece(other, "lost", 2);
    let away = cluster.holders("outdated", 1)[0];
    cluster.stop(away);
    aditi.upload("outdated", &noise(2, 40_000));
    cluster.start(away);
    let steps = |done: &str, arguments: &[&str]| {
        let told = aditi.run(arguments).fails_with(1);
        told.lines().iter().map(|line| line.replace(done, "")).collect::<Vec<_>>()
    };
    let said = steps("\"done\":false,", &["Repair", "-n", "--json"]);
    let done = steps("\"done\":false,", &["Repair", "--json"]);
    let done: Vec<_> = done.iter().map(|line| line.replace("\"done\":true,", "")).collect();
    assert!(said.iter().any(|line| line.contains("copied")), "{said:#?}");
    assert_eq!(said, done);
}

#[test]
fn what_can_be_copied_is_copied_even_if_another_piece_is_missing() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 40_000);
    aditi.upload("a", &bytes);
    let [damaged, away] = cluster.holders("a", 3)[..] else { panic!("not two copies") };
    cluster.corrupt_piece(damaged, "a", 3);
    cluster.stop(away);
    aditi.run(&["Repair"]).fails_with(1).complains_of("servers that are down");
    for piece in [1, 2, 4] {
        let up = cluster.holders("a", piece).into_iter().filter(|&holder| holder != away).count();
        assert_eq!(up, 2, "piece {piece}");
    }
    cluster.start(away);
    aditi.run(&["Repair"]).succeeds();
    all_is_well(&aditi);
    aditi.download("a", &bytes);
}

#[test]
fn copies_made_while_a_server_was_down_stay_until_the_file_is_replaced() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 40_000);
    aditi.upload("a", &bytes);
    let away = cluster.holders("a", 1)[0];
    cluster.stop(away);
    aditi.run(&["Verify", "-r"]).fails_with(1);
    aditi.run(&["Repair"]).succeeds();
    aditi.run(&["Verify", "-r"]).succeeds();
    cluster.start(away);
    aditi.run(&["Repair"]).succeeds();
    assert_eq!(cluster.holders("a", 1).len(), 3, "nothing that is good is dropped");
    aditi.upload("a", &noise(2, 40_000));
    cluster.has_equal_copies("a", 2);
}

// Move.

#[test]
fn a_move_gives_the_same_bytes_another_name_and_sends_none_of_them() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    let bytes = noise(1, 4 << 20);
    aditi.upload("a", &bytes);
    let mut old = "a";
    for new in ["b", "x/y/c", "x/ü d", "a"] {
        proxies.iter().for_each(Proxy::forget);
        aditi.run(&["Move", old, new]).succeeds().does_not_complain_of("warning");
        let sent = travelled(&proxies);
        assert!(sent < SMALL_TRAFFIC, "{sent} bytes were sent");
        aditi.run(&["Download", old]).fails_with(1).complains_of("not found");
        aditi.download(new, &bytes);
        assert_eq!(cluster.unsettled(), [""; 0]);
        cluster.has_equal_copies(new, 2);
        all_is_well(&aditi);
        old = new;
    }
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    for n in 1..=4 {
        assert!(!cluster.user_folder(n, USER).join("x").exists(), "an empty folder is left on Server{n}");
    }
}

#[test]
fn a_move_is_refused_where_it_would_cost_something() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for name in ["a", "b", "holed"] {
        aditi.upload(name, name.as_bytes());
    }
    aditi.run(&["Upload", "a", "x"]).succeeds();
    for n in cluster.holders("holed", 1) {
        fs::remove_file(cluster.piece_file(n, "holed", 1)).unwrap();
    }
    let before = pieces_of(&cluster, USER);
    for (old, new, why) in [
        ("a", "b", "b"),
        ("a", "a", "a"),
        ("a", "x", "folder"),
        ("a", "b/c", "folder"),
        ("a", "holed", "holed"),
        ("holed", "c", "incomplete"),
        ("nowhere", "c", "not found"),
        ("x", "b", "b"),
        ("a", "../c", "../c"),
    ] {
        aditi.run(&["Move", old, new]).fails_with(1).complains_of(why);
        assert!(pieces_of(&cluster, USER) == before, "Move {old} {new} changed something");
        assert_eq!(cluster.unsettled(), [""; 0], "after Move {old} {new}");
    }
    aditi.download("a", b"a");
    aditi.download("b", b"b");
}

#[test]
fn a_move_with_a_server_down_is_not_undone_when_it_is_back() {
    for absent in 1..=4 {
        let mut cluster = Cluster::quick(4);
        let aditi = cluster.client("Aditi");
        let bytes = noise(1, 30_000);
        aditi.upload("a", &bytes);
        cluster.stop(absent);
        aditi.run(&["Move", "a", "b"]).succeeds().complains_of("warning");
        aditi.download("b", &bytes);
        cluster.start(absent);
        aditi.run(&["ShowFiles"]).succeeds().prints(&["b"]);
        aditi.run(&["Download", "a"]).fails_with(1).complains_of("not found");
        aditi.run(&["Repair"]).succeeds();
        all_is_well(&aditi);
        cluster.has_equal_copies("b", 2);
        assert_eq!(cluster.unsettled(), [""; 0]);
    }
}

#[test]
fn a_move_does_not_take_damage_along() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 600_000);
    aditi.upload("a", &bytes);
    aditi.upload("b", &bytes);
    let holder = cluster.holders("a", 2)[0];
    cluster.corrupt_piece(holder, "a", 2);
    let server = format!("Server{holder}");
    aditi.run(&["Move", "a", "c"]).fails_with(1).complains_of(&server).complains_of("Repair");
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a", "b"]);
    aditi.run(&["Repair"]).succeeds();
    aditi.run(&["Move", "a", "c"]).succeeds();
    aditi.download("c", &bytes).does_not_complain_of("warning");
    cluster.has_equal_copies("c", 2);

    for n in cluster.holders("b", 4) {
        cluster.corrupt_piece(n, "b", 4);
    }
    aditi.run(&["Move", "b", "d"]).fails_with(1);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["b", "c"]);
    assert_eq!(cluster.unsettled(), [""; 0]);
}

#[test]
fn a_move_that_is_killed_leaves_one_of_the_names_or_both_and_the_file_whole() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let killed = cluster.client_through("Aditi", &proxies);
    let aditi = cluster.client("Aditi");
    killed.upload("trial", b"trial");
    proxies.iter().for_each(Proxy::forget);
    killed.run(&["Move", "trial", "trIAL"]).succeeds();
    let sent: Vec<usize> = proxies.iter().map(|proxy| proxy.recorded(Way::Up).len()).collect();

    for step in 1..=8 {
        let (old, new) = (format!("olde{step}"), format!("newe{step}"));
        let bytes = noise(step as u64, 30_000);
        aditi.upload(&old, &bytes);
        let proxy = step % 4;
        proxies[proxy].fail_after(Way::Up, sent[proxy] * step / 9, Fault::Silence);
        let moving = killed.start(&["Move", &old, &new]);
        proxies[proxy].wait_for_the_fault();
        moving.kill();
        // What was held up in transit arrives after all.
        proxies[proxy].heal();

        let listing = aditi.run(&["ShowFiles"]).succeeds();
        let there: Vec<&String> = [&old, &new]
            .into_iter()
            .filter(|name| listing.lines().iter().any(|l| l.starts_with(*name)))
            .collect();
        assert!(!there.is_empty(), "killed at step {step}, gone: {listing}");
        for name in there {
            aditi.download(name, &bytes);
        }
    }
    drop(proxies);
    cluster.wait_until_all_left();
    aditi.run(&["Repair"]).succeeds();
    assert_eq!(cluster.unsettled(), [""; 0]);
    all_is_well(&aditi);
}

// Status, and everything for programs to read.

#[test]
fn status_says_who_is_up_and_what_each_holds() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 40_000));
    cluster.stop(3);
    let outcome = aditi.run(&["Status", "--json"]).succeeds();
    let servers = Json::lines(&outcome.stdout);
    assert_eq!(servers.len(), 4);
    for (n, server) in (1..).zip(&servers) {
        assert_eq!(server.text("server"), format!("Server{n}"));
        assert_eq!(*server.get("up"), Json::Bool(n != 3));
        if n == 3 {
            continue;
        }
        let held = disk::tree(&cluster.user_folder(n, USER));
        let bytes: usize = held.values().map(Vec::len).sum();
        assert_eq!(*server.get("pieces"), Json::Number(held.len() as f64));
        assert_eq!(*server.get("bytes"), Json::Number(bytes as f64));
        assert!(matches!(server.get("round_trip_ms"), Json::Number(ms) if *ms > 0.0));
    }
    let plain = aditi.run(&["Status"]).succeeds();
    for (n, line) in (1..).zip(plain.lines()) {
        let state = if n == 3 { "down" } else { "up" };
        assert!(line.starts_with(&format!("Server{n}")) && line.contains(state), "{line}");
    }
}

#[test]
fn every_json_line_is_json_whatever_the_names_are() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let names = ["q\"uote", "back\\slash", "{\"name\":1}", "ü 🎈\u{2028}", "'", "-n", "%41"];
    names.iter().for_each(|name| aditi.put(&format!("my \"f\"/{name}"), &noise(1, 20_000)));
    aditi.run(&["Upload", "my \"f\""]).succeeds();
    let path = |name: &str| format!("my \"f\"/{name}");
    for name in names {
        cluster.corrupt_piece(cluster.holders(&path(name), 1)[0], &path(name), 1);
    }
    let names_in = |outcome: Outcome| -> Vec<String> {
        let mut named: Vec<String> =
            Json::lines(&outcome.stdout).iter().map(|object| object.text("name").to_owned()).collect();
        named.dedup();
        named
    };
    let mut sorted = names;
    sorted.sort_unstable();
    let mut paths = sorted.map(path);
    paths.sort_unstable();

    assert_eq!(names_in(aditi.run(&["ShowFiles", "--json"]).succeeds()), ["my \"f\""]);
    assert_eq!(names_in(aditi.run(&["ShowFiles", "my \"f\"", "--json"]).succeeds()), sorted);
    assert_eq!(names_in(aditi.run(&["Verify", "--json", "-r"]).fails_with(1)), paths);
    assert_eq!(names_in(aditi.run(&["Repair", "--json", "-n"]).succeeds()), paths);
    assert_eq!(names_in(aditi.run(&["Repair", "--json"]).succeeds()), paths);
    assert_eq!(names_in(aditi.run(&["Verify", "--json", "-r"]).succeeds()), [""; 0]);
    cluster.stop(1);
    let file = &Json::lines(&aditi.run(&["ShowFiles", "my \"f\"", "--json"]).succeeds().stdout)[0];
    assert_eq!(*file.get("size"), Json::Number(20_000.0));
    assert_eq!((file.text("type"), file.text("state")), ("file", "degraded"));
    assert_eq!(*file.get("servers").get("Server1"), Json::Null);
    Json::lines(&aditi.run(&["Status", "--json"]).succeeds().stdout);
}

// Users apart.

#[test]
fn one_user_sees_and_touches_nothing_of_another() {
    let cluster = Cluster::quick(4);
    let (aditi, ritu) = (cluster.client("Aditi"), cluster.client("Ritu"));
    let bytes = noise(1, 40_000);
    aditi.upload("a", &bytes);
    aditi.run(&["Upload", "a", "x"]).succeeds();
    cluster.corrupt_piece(cluster.holders("a", 1)[0], "a", 1);
    let before = pieces_of(&cluster, USER);

    ritu.run(&["ShowFiles"]).succeeds().prints(&[]);
    for command in [
        &["ShowFiles", "x"][..],
        &["Download", "a"],
        &["Download", "x"],
        &["Download", "../Aditi/a"],
        &["Delete", "a"],
        &["Delete", "-r", "x"],
        &["Delete", "-r", "../Aditi"],
        &["Move", "a", "b"],
        &["Move", "../Aditi/a", "b"],
    ] {
        ritu.run(command).fails_with(1);
    }
    ritu.run(&["Verify", "-r"]).succeeds().prints(&[]);
    ritu.run(&["Repair"]).succeeds().prints(&[]);
    ritu.has_no_downloads();
    assert!(pieces_of(&cluster, USER) == before, "Ritu changed a file of Aditi's");
    let held = Json::lines(&ritu.run(&["Status", "--json"]).succeeds().stdout);
    assert!(held.iter().all(|server| *server.get("pieces") == Json::Number(0.0)), "{held:?}");
}

#[test]
fn two_users_may_use_the_same_names_for_different_files() {
    let mut cluster = Cluster::quick(4);
    let (aditi, ritu) = (cluster.client("Aditi"), cluster.client("Ritu"));
    let (hers, his) = (noise(1, 40_000), noise(2, 50_000));
    aditi.upload("a", &hers);
    ritu.upload("a", &his);
    aditi.download("a", &hers);
    ritu.download("a", &his);

    let of_aditi = pieces_of(&cluster, "Aditi");
    cluster.stop(2);
    ritu.run(&["Delete", "a"]).succeeds();
    ritu.upload("a", &his);
    cluster.start(2);
    ritu.run(&["Move", "a", "b"]).succeeds();
    ritu.run(&["Repair"]).succeeds();
    ritu.run(&["Delete", "b"]).succeeds();
    assert!(pieces_of(&cluster, "Aditi") == of_aditi);
    aditi.download("a", &hers);
    all_is_well(&aditi);
    assert!(pieces_of(&cluster, "Ritu").is_empty());
    assert!(Path::new(&cluster.user_folder(1, "Ritu")).exists());
}
