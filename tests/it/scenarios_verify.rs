//! What is reported about what nobody saw, about what is missing, and about what a server only claims.

use crate::common::process::Outcome;
use crate::common::{Client, Cluster, Json, Proxy, disk, noise, travelled};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The exit status for what could not be seen.
const UNSEEN: i32 = 4;

/// Nothing is vouched for, and the servers are named that were not seen.
#[track_caller]
fn vouches_for_nothing(outcome: Outcome, unseen: &[usize]) -> Outcome {
    let outcome = outcome.fails_with(UNSEEN).does_not_complain_of("not found");
    assert!(!outcome.stdout.contains("no problems") && !outcome.stdout.contains("nothing to"), "{outcome}");
    let error = outcome.stderr.lines().filter(|line| line.contains("error: ")).collect::<Vec<_>>().join("\n");
    unseen
        .iter()
        .for_each(|n| assert!(error.contains(&format!("Server{n}")), "Server{n} is not named: {outcome}"));
    outcome
}

/// Stores a file on the servers that are then stopped, while the others are down.
fn hidden_on(cluster: &mut Cluster, aditi: &Client, servers: &[usize], count: usize) -> Vec<usize> {
    let others: Vec<usize> = (1..=count).filter(|n| !servers.contains(n)).collect();
    cluster.run_only(servers);
    aditi.put("d/hidden", &noise(9, 5000));
    aditi.run(&["Upload", "d"]).succeeds();
    cluster.run_only(&others);
    others
}

#[test]
fn what_servers_may_know_that_did_not_answer_is_not_called_absent_or_well() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    hidden_on(&mut cluster, &aditi, &[1, 2], 4);
    for command in [
        &["Verify", "-r"][..],
        &["Verify"],
        &["Verify", "--json"],
        &["Verify", "d"],
        &["Repair"],
        &["Repair", "-n"],
        &["Download", "."],
        &["Download", "d"],
        &["Download", "d/hidden"],
        &["Delete", "d/hidden"],
        &["Delete", "-r", "d"],
        &["Delete", "-r", "."],
        &["Move", "d/hidden", "elsewhere"],
        &["ShowFiles", "d"],
    ] {
        vouches_for_nothing(aditi.run(command), &[1, 2]).prints(&[]);
    }
    let listed = aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
    listed.complains_of("files that only Server1 and Server2 may have are not listed");
    cluster.run_all();
    aditi.download("d/hidden", &noise(9, 5000)).does_not_complain_of("newer");
    aditi.run(&["Download", "nowhere"]).fails_with(1).complains_of("not found");
}

#[test]
fn with_fewer_servers_away_than_copies_what_nobody_shows_does_not_exist() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 5000));
    cluster.stop(2);
    aditi.run(&["Repair"]).succeeds();
    aditi.run(&["Verify", "-r"]).succeeds();
    for command in [["Download", "b"], ["Delete", "b"], ["ShowFiles", "b"], ["Verify", "b"], ["Repair", "b"]]
    {
        aditi.run(&command).fails_with(1).complains_of("not found");
    }
    aditi.download("a", &noise(1, 5000)).does_not_complain_of("newer");
    aditi.run(&["Delete", "a"]).succeeds().does_not_complain_of("newer");
}

#[test]
fn with_one_copy_one_server_away_is_enough_and_with_as_many_as_servers_too() {
    for (servers, replicas) in [(4, 1), (2, 2), (3, 3)] {
        let mut cluster = Cluster::quick(servers);
        let aditi = cluster.client("Aditi").with(&format!("Replicas {replicas}"));
        let others = hidden_on(&mut cluster, &aditi, &[1], servers);
        vouches_for_nothing(aditi.run(&["Verify", "-r"]), &[1]);
        vouches_for_nothing(aditi.run(&["Repair"]), &[1]);
        vouches_for_nothing(aditi.run(&["Download", "d/hidden"]), &[1]);
        assert!(!others.is_empty());
    }
    // Of a single server nothing is out of sight that would not end the client at once.
    let mut cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi").with("Replicas 1");
    aditi.run(&["Verify", "-r"]).succeeds();
    aditi.run(&["Download", "a"]).fails_with(1).complains_of("not found");
    cluster.stop(1);
    aditi.run(&["Verify", "-r"]).fails_with(UNSEEN);
}

#[test]
fn what_was_seen_is_done_with_a_warning_and_for_a_folder_with_exit_status_four() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi").with("Replicas 2");
    let names = ["d/a", "d/b", "d/c", "d/e"];
    names.iter().for_each(|name| aditi.put(name, &noise(1, 5000)));
    aditi.run(&["Upload", "d"]).succeeds();
    // Neighbours on the ring are 1 and 2; 1 and 3 together have every piece.
    cluster.run_only(&[1, 3]);
    let newer = "a newer version may be on Server2 and Server4";
    let downloaded = aditi.run(&["Download", "d/a"]).succeeds().complains_of(newer);
    assert_eq!(downloaded.stderr.matches("newer").count(), 1, "{downloaded}");
    aditi.has_downloaded("d/a", &noise(1, 5000));
    vouches_for_nothing(aditi.run(&["Download", "d"]), &[2, 4]);
    names.iter().for_each(|name| aditi.has_downloaded(name, &noise(1, 5000)));
    // Problems that were found are the first word, and what was not seen is the second.
    let verified = aditi.run(&["Verify", "-r"]).fails_with(1);
    verified.complains_of("problems").complains_of("some servers did not answer (Server2, Server4");
    aditi.run(&["Delete", "d/a"]).succeeds().complains_of(newer);
    aditi.run(&["Move", "d/b", "b"]).succeeds().complains_of(newer);
    vouches_for_nothing(aditi.run(&["Delete", "-r", "d"]), &[2, 4]);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["b"]);
}

#[test]
fn a_server_that_says_no_or_falls_away_in_the_middle_was_not_seen() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    hidden_on(&mut cluster, &aditi, &[1, 2], 4);
    // A session that has seen all servers, and two of them then killed.
    cluster.run_all();
    let mut session = aditi.session();
    session.send("ShowFiles\n");
    session.wait_for("d/");
    cluster.run_only(&[3, 4]);
    session.send("Download d/hidden\n");
    vouches_for_nothing(session.finish(), &[1, 2]);
    // Two at whose addresses others are, so that no login succeeds.
    cluster.run_all();
    let mut elsewhere = cluster.client("Aditi");
    for n in [1, 2] {
        // The .conf takes each address once.
        let (right, wrong) =
            (format!("127.0.0.1:{}", cluster.port(n)), format!("localhost:{}", cluster.port(n + 2)));
        elsewhere.conf = elsewhere.conf.replace(&right, &wrong);
    }
    vouches_for_nothing(elsewhere.run(&["Verify", "-r"]), &[1, 2]);
}

/// Does something to a piece's file, which is no longer what it was.
type Damage = (&'static str, fn(&Path, &[u8]));

/// A bit of the byte `at` bytes from the end.
fn turn_from_end(file: &Path, bytes: &[u8], at: usize) {
    let mut bytes = bytes.to_vec();
    let at = bytes.len() - at;
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// The sum, the seal and the root have 32 bytes each at the end of a file, and two hashes are before them.
const DAMAGES: &[Damage] = &[
    ("deleted", |file, _| fs::remove_file(file).unwrap()),
    ("empty", |file, _| fs::write(file, b"").unwrap()),
    ("cut by a byte", |file, bytes| fs::write(file, &bytes[..bytes.len() - 1]).unwrap()),
    ("cut in half", |file, bytes| fs::write(file, &bytes[..bytes.len() / 2]).unwrap()),
    ("a byte too long", |file, bytes| fs::write(file, [bytes, b"x"].concat()).unwrap()),
    ("all zeros", |file, bytes| fs::write(file, vec![0; bytes.len()]).unwrap()),
    ("magic", |file, bytes| turn_from_end(file, bytes, bytes.len())),
    ("version", |file, bytes| turn_from_end(file, bytes, bytes.len() - 20)),
    ("header", |file, bytes| turn_from_end(file, bytes, bytes.len() - 100)),
    ("body", |file, bytes| turn_from_end(file, bytes, bytes.len() / 2)),
    ("table", |file, bytes| turn_from_end(file, bytes, 96 + 40)),
    ("root", |file, bytes| turn_from_end(file, bytes, 64 + 16)),
    ("seal", |file, bytes| turn_from_end(file, bytes, 32 + 16)),
    ("sum", |file, bytes| turn_from_end(file, bytes, 1)),
    ("a link to nowhere", |file, _| {
        fs::remove_file(file).unwrap();
        symlink("nowhere", file).unwrap();
    }),
    ("a link to itself", |file, _| {
        fs::remove_file(file).unwrap();
        symlink(file, file).unwrap();
    }),
    ("a folder", |file, _| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    }),
    ("a piece of another file", |file, _| {
        let other =
            (1..=4).map(|n| file.with_file_name(format!(".b.{n}"))).find(|piece| piece.exists()).unwrap();
        fs::copy(other, file).unwrap();
    }),
    ("another piece of the file", |file, _| {
        let is_other = |piece: &PathBuf| piece != file && piece.exists();
        let other = (1..=4).map(|n| file.with_extension(n.to_string())).find(is_other).unwrap();
        fs::copy(other, file).unwrap();
    }),
];

#[test]
fn damage_of_every_kind_at_every_server_is_reported_with_server_and_piece() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 300_000));
    aditi.upload("b", &noise(2, 300_000));
    for n in 1..=4 {
        for piece in 1..=4 {
            let file = cluster.piece_file(n, "a", piece);
            let Ok(bytes) = fs::read(&file) else { continue };
            for (what, damage) in DAMAGES {
                damage(&file, &bytes);
                let verified = aditi.run(&["Verify", "a"]).fails_with(1);
                let named = format!("a: piece {piece} on Server{n}: ");
                let is_named = |line: &&str| line.starts_with(&named);
                assert!(verified.lines().iter().any(is_named), "{what}: {verified}");
                let elsewhere =
                    |line: &&str| line.contains(" on Server") && !line.contains(&format!("Server{n}:"));
                assert!(!verified.lines().iter().any(elsewhere), "{what}: {verified}");
                let json = Json::lines(&aditi.run(&["Verify", "--json", "--read", "a"]).fails_with(1).stdout);
                let is_named = |problem: &Json| {
                    *problem.get("server") == Json::Text(format!("Server{n}"))
                        && *problem.get("piece") == Json::Number(piece as f64)
                };
                assert!(json.iter().any(is_named), "{what}: {json:?}");
                let _ = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
                fs::write(&file, &bytes).unwrap();
            }
        }
    }
    aditi.run(&["Verify"]).succeeds();
}

#[test]
fn a_piece_that_is_gone_is_missed_at_the_server_that_should_have_it() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 5000));
    for n in 1..=4 {
        let pieces: Vec<usize> =
            (1..=4).filter(|&piece| cluster.piece_file(n, "a", piece).exists()).collect();
        cluster.stop(n);
        let down: Vec<String> = pieces
            .iter()
            .map(|piece| {
                format!("a: piece {piece} on Server{n}: missing: 1 of 2 good copies (Server{n} is down)")
            })
            .collect();
        let verified = aditi.run(&["Verify"]).fails_with(1);
        assert_eq!(verified.lines(), down);
        cluster.wipe(n);
        let wiped: Vec<String> = pieces
            .iter()
            .map(|piece| format!("a: piece {piece} on Server{n}: missing: 1 of 2 good copies"))
            .collect();
        assert_eq!(aditi.run(&["Verify"]).fails_with(1).lines(), wiped);
        aditi.run(&["Repair"]).succeeds();
    }
}

#[test]
fn what_is_read_is_every_byte_or_a_part_of_every_copy() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    // Four pieces of 12 chunks of 64 KiB, two copies of each; a small one, and an empty one.
    aditi.upload("large", &noise(1, 3 << 20));
    aditi.upload("small", &noise(2, 100));
    aditi.upload("empty", b"");
    let bytes_of = |args: &[&str]| {
        proxies.iter().for_each(Proxy::forget);
        aditi.run(args).succeeds().prints(&[]);
        travelled(&proxies)
    };
    let without = bytes_of(&["Verify"]);
    let all = bytes_of(&["Verify", "--read"]);
    assert!((2 * (3 << 20)..2 * (3 << 20) + without + 40_000).contains(&all), "{all} bytes");
    for (share, chunks) in [("--read=0.01%", 1), ("--read=8%", 1), ("--read=9%", 2), ("--read=50%", 6)] {
        let part = bytes_of(&["Verify", share]);
        let expected = 8 * chunks * 65536;
        assert!((expected..expected + without + 40_000).contains(&part), "{share}: {part} bytes");
    }
    for share in ["--read=0%", "--read=abc", "--read=", "--read=101%"] {
        aditi.run(&["Verify", share]).fails_with(2).complains_of("--read[=P%]");
    }
}

#[test]
fn damage_of_every_kind_is_found_by_reading_too_and_blamed_on_the_disk_that_has_it() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 300_000));
    let holder = cluster.holders("a", 2)[0];
    let file = cluster.piece_file(holder, "a", 2);
    let whole = std::fs::read(&file).unwrap();
    // Not the sum after the seal, which is the server's own and is read with the header.
    for at in [20, 300, whole.len() / 2, whole.len() - 97, whole.len() - 96 - 65] {
        cluster.edit_piece(holder, "a", 2, |bytes| bytes[at] ^= 1);
        for args in [&["Verify", "--read"][..], &["Verify", "--read=10%"], &["Verify"]] {
            let verified = aditi.run(args).fails_with(1).complains_of("hint: Repair");
            let named = format!("a: piece 2 on Server{holder}: damaged ");
            assert!(
                verified.lines().iter().any(|line| line.starts_with(&named)),
                "byte {at}, {args:?}: {verified}"
            );
        }
        std::fs::write(&file, &whole).unwrap();
    }
    aditi.run(&["Verify", "--read"]).succeeds();
}

// What is left of a file that was deleted.

#[test]
fn a_server_restored_from_an_old_backup_spreads_no_deleted_file() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 40_000));
    aditi.upload("kept", &noise(2, 40_000));
    let backup = disk::tree(&cluster.root().join("Server2"));
    aditi.run(&["Delete", "a"]).succeeds();
    assert_eq!(cluster.unsettled(), [""; 0], "the delete is known everywhere, and forgotten");
    cluster.stop(2);
    for (file, bytes) in backup {
        disk::write(&cluster.root().join("Server2").join(file), &bytes);
    }
    cluster.start(2);

    let before: Vec<_> = (1..=4).map(|n| cluster.pieces_on(n)).collect();
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a [incomplete]", "kept"]);
    let hint = "restored from an old backup may show it again: Delete it once more";
    aditi.download_is_incomplete("a").complains_of("; shown by Server2").complains_of(hint);
    aditi.run(&["Repair", "-n"]).fails_with(1);
    let repaired = aditi.run(&["Repair"]).fails_with(1).complains_of(hint);
    let line = "a: not repaired: lost: no server has a good copy of piece ";
    assert!(repaired.lines()[0].starts_with(line), "{repaired}");
    assert!(repaired.lines()[0].ends_with("(shown by Server2)") && repaired.lines().len() == 1, "{repaired}");
    assert_eq!((1..=4).map(|n| cluster.pieces_on(n)).collect::<Vec<_>>(), before, "nothing was spread");
    aditi.run(&["Delete", "a"]).succeeds();
    aditi.run(&["Repair"]).succeeds().prints(&[]);
    aditi.run(&["Verify", "--read"]).succeeds().prints(&[]);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["kept"]);
    aditi.download("kept", &noise(2, 40_000));
    assert_eq!(cluster.unsettled(), [""; 0]);
}
