//! Which of two versions is the newer: time where there was no sight, numbers that nobody can use up, and tries of
//! one writer that come in order.

use crate::common::cluster::password;
use crate::common::raw::{Guest, tombstone};
use crate::common::rogue::{Rogue, now, text, yes_to_all};
use crate::common::{Client, Cluster, USER, noise};
use shareit::auth::{MIN_ITERATIONS, Verifier};
use shareit::commit::{MAX_AHEAD, MAX_JUMP, PieceState};
use shareit::primitives::{Bytes32, Hasher};
use shareit::sealed::{Claim, Header, MasterKey};
use shareit::version::{MAX_GENERATION, Version};
use shareit::wire::{NameReport, Refusal, Reply, Reported, Request, StageEnd};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// As in the .conf of [`Cluster::quick`].
const ADITIS_KEY: Bytes32 = [b'A'; 32];
/// Milliseconds.
const HOUR: u64 = 3_600_000;
/// What somebody says who wants the numbers used up.
const LIE: u64 = u64::MAX - 1;

/// The verifier of Aditi's usual password, as a thief of Users.conf has it.
fn stolen_verifier() -> Verifier {
    Verifier::derive(&password(USER), b"Aditi's salt", MIN_ITERATIONS)
}

/// A client whose first server is this one; `alone` if it has no other.
fn lied_to(cluster: &Cluster, rogue: &Rogue, alone: bool) -> Client {
    let mut client = cluster.client(USER);
    let lines = client.conf.lines().filter(|line| !(alone && line.starts_with("Server")));
    let rogues = format!("Server1 127.0.0.1:{}\n", rogue.port());
    let others = lines.filter(|line| !line.starts_with("Server1 ")).map(|line| format!("{line}\n"));
    client.conf = rogues + &others.collect::<String>();
    client
}

/// Every kind of command that writes works, and all is well after it.
#[track_caller]
fn everything_works(client: &Client, name: &str) {
    let (first, second) = (noise(1, 30_000), noise(2, 40_000));
    client.upload(name, &first);
    client.upload(name, &second);
    client.download(name, &second);
    client.run(&["Move", name, &format!("{name}2")]).succeeds();
    client.download(&format!("{name}2"), &second);
    client.run(&["Delete", &format!("{name}2")]).succeeds();
    client.run(&["Download", &format!("{name}2")]).fails_with(1).complains_of("not found");
    client.upload(name, &first);
    client.run(&["Repair"]).succeeds();
    client.run(&["Verify"]).succeeds().prints(&[]);
    client.download(name, &first);
}

fn floors(cluster: &Cluster, n: usize) -> PathBuf {
    cluster.root().join(format!(".Server{n}/floors"))
}

/// The greatest number that a server has on its disk for Aditi.
fn floor_on_disk(cluster: &Cluster, n: usize) -> u64 {
    let names = fs::read_dir(floors(cluster, n)).unwrap().map(|entry| entry.unwrap().file_name());
    let number = |name: std::ffi::OsString| name.to_str()?.strip_prefix("Aditi.")?.parse().ok();
    names.filter_map(number).max().unwrap_or(0)
}

// Time where there was no sight.

/// Server1 has the older version, and takes no part in what follows: then it comes back.
#[track_caller]
fn uploads_out_of_sight(cluster: &mut Cluster, aditi: &Client) {
    aditi.upload("a", &noise(1, 50_000));
    cluster.run_only(&[1]);
    // Twice, so it has the greater number if numbers are only counted.
    aditi.upload("a", &noise(2, 50_000)).complains_of("down");
    aditi.upload("a", &noise(3, 50_000)).complains_of("down");
    cluster.run_only(&[2, 3]);
}

#[test]
fn of_two_uploads_that_saw_nothing_of_each_other_the_later_one_stands() {
    let mut cluster = Cluster::quick(3);
    let aditi = cluster.client(USER);
    uploads_out_of_sight(&mut cluster, &aditi);
    let last = noise(4, 50_000);
    aditi.upload("a", &last);
    cluster.run_all();
    aditi.download("a", &last);
    aditi.run(&["Repair"]).succeeds();
    aditi.run(&["Verify"]).succeeds().prints(&[]);
    cluster.run_only(&[1, 3]);
    aditi.download("a", &last);
}

#[test]
fn a_delete_stands_against_an_older_upload_that_it_did_not_see() {
    let mut cluster = Cluster::quick(3);
    let aditi = cluster.client(USER);
    uploads_out_of_sight(&mut cluster, &aditi);
    aditi.run(&["Delete", "a"]).succeeds();
    cluster.run_all();
    aditi.run(&["Download", "a"]).fails_with(1).complains_of("not found");
    aditi.run(&["Repair"]).succeeds();
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
    assert_eq!(cluster.unsettled(), [""; 0], "forgotten everywhere");
    let again = noise(5, 50_000);
    aditi.upload("a", &again);
    aditi.download("a", &again);
}

/// A server with this clock, which takes everything; and the generations that it was sent.
fn with_clock(clock: u64) -> (Rogue, Arc<Mutex<Vec<u64>>>) {
    let staged = Arc::<Mutex<Vec<u64>>>::default();
    let seen = Arc::clone(&staged);
    let rogue = Rogue::answering(stolen_verifier(), move |request| match request {
        Request::Look(_) => text(&NameReport { clock, ..NameReport::default() }.to_text()),
        Request::Stage { header, .. } => {
            seen.lock().unwrap().push(header.version.generation);
            (Reply::Ok, Vec::new())
        }
        other => yes_to_all(other),
    });
    (rogue, staged)
}

#[test]
fn a_clock_that_is_far_from_the_servers_is_reported_once_and_not_used() {
    let cluster = Cluster::quick(1);
    for (clock, off) in [(now() + 50 * HOUR, "2 days behind Server1"), (0, "56 years ahead of Server1")] {
        let (rogue, staged) = with_clock(clock);
        let client = lied_to(&cluster, &rogue, true).with("Replicas 1");
        client.put("a", b"a");
        client.put("b", b"b");
        let outcome = client.run(&["Upload", "."]).succeeds().complains_of(off);
        assert_eq!(outcome.stderr.matches("the clock here").count(), 1, "{outcome}");
        assert!(staged.lock().unwrap().iter().all(|generation| *generation == 1), "{:?}", staged.lock());
        // Once for each command.
        let outcome = client.pipe("Upload a\nUpload b\n").succeeds();
        assert_eq!(outcome.stderr.matches("the clock here").count(), 2, "{outcome}");
    }
    let (rogue, staged) = with_clock(now() + HOUR / 120);
    let client = lied_to(&cluster, &rogue, true).with("Replicas 1");
    let before = now();
    client.upload("a", b"a").does_not_complain_of("clock");
    assert!(staged.lock().unwrap().iter().all(|generation| (before..=now()).contains(generation)));
}

#[test]
fn one_server_among_others_cannot_have_the_clock_not_used() {
    let mut cluster = Cluster::quick(4);
    cluster.stop(1);
    let (rogue, staged) = with_clock(0);
    let client = lied_to(&cluster, &rogue, false);
    let before = now();
    client.upload("a", b"a").does_not_complain_of("clock");
    let staged = staged.lock().unwrap();
    assert!(!staged.is_empty() && staged.iter().all(|generation| *generation >= before));
}

// Generations cannot be used up.

/// Says that its floor is next to the greatest, shows all that it was ever sent as waiting for a commit, and has
/// nothing of it.
fn liar() -> Rogue {
    let kept = Mutex::<Vec<Claim>>::default();
    Rogue::keeping(stolen_verifier(), move |request, staged| {
        kept.lock().unwrap().extend(staged);
        match request {
            Request::Look(path) => {
                let kept = kept.lock().unwrap();
                let of_name = kept.iter().filter(|claim| claim.header.path == *path);
                let waits = |claim: &Claim| {
                    Reported::Piece(PieceState::Staged { open: false }, Box::new(claim.clone()))
                };
                let pieces = of_name.map(waits).collect();
                text(&NameReport { floor: LIE, clock: now(), pieces }.to_text())
            }
            other => yes_to_all(other),
        }
    })
}

#[test]
fn a_server_that_answers_alone_cannot_use_up_the_generations() {
    for replicas in ["Replicas 1", "Replicas 2"] {
        let mut cluster = Cluster::quick(4);
        let aditi = cluster.client(USER);
        aditi.upload("a", b"before");
        cluster.stop(1);
        let rogue = liar();
        let alone = lied_to(&cluster, &rogue, true).with("Replicas 1");
        for name in ["a", "b", "c"] {
            alone.put(name, name.as_bytes());
            alone.run(&["Upload", name]);
            alone.run(&["Delete", name]);
        }
        // What it was sent it now shows to any client that asks the others too, and these are fenced for it.
        let with_others = lied_to(&cluster, &rogue, false).with(replicas);
        for name in ["a", "b", "c"] {
            with_others.upload(name, name.as_bytes());
            with_others.run(&["Delete", name]);
            with_others.run(&["Repair"]);
            with_others.upload(name, name.as_bytes());
        }
        drop(rogue);
        cluster.start(1);
        for n in 1..=4 {
            cluster.restart(n);
            let floor = floor_on_disk(&cluster, n);
            assert!(floor <= now() + MAX_JUMP, "Server{n} has {floor}");
        }
        for name in ["a", "b", "c"] {
            // With one copy the liar has lost what it was given.
            aditi.run(&["Delete", name]).succeeds();
        }
        everything_works(&aditi, "a");
        everything_works(&aditi, "new");
    }
}

#[test]
fn no_request_of_a_user_uses_up_his_own_generations() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    aditi.upload("a", b"before");
    let id = "0123456789abcdef".repeat(2);
    for n in 1..=4 {
        let mut guest = Guest::at(cluster.port(n), USER, &password(USER));
        for generation in [now() + MAX_AHEAD + HOUR, MAX_GENERATION] {
            for word in ["FENCE", "ABORT", "FORGET"] {
                let answer = guest.ask(&format!("{word} a {generation}-{id}"));
                assert!(matches!(answer, Reply::No(Refusal::Ahead, _)), "{word} {generation}: {answer:?}");
            }
            let answer = stage(&mut guest, &tombstone("a", generation, &ADITIS_KEY), None);
            assert!(matches!(answer, Reply::No(Refusal::Ahead, _)), "{generation}: {answer:?}");
            let answer = stage(&mut guest, &tombstone("a", generation, &ADITIS_KEY), Some(0));
            assert!(matches!(answer, Reply::No(Refusal::Ahead, _)), "{generation}: {answer:?}");
        }
        // These count as long past.
        for generation in [MAX_GENERATION + 1, LIE, u64::MAX] {
            guest.ask(&format!("FENCE a {generation}-{id}"));
            guest.ask(&format!("FENCE new {generation}-{id}"));
            guest.ask(&format!("ABORT new {generation}-{id}"));
            guest.ask(&format!("FORGET new {generation}-{id}"));
            let answer = stage(&mut guest, &tombstone("a", generation, &ADITIS_KEY), None);
            assert!(matches!(answer, Reply::No(Refusal::Ahead, _)), "{generation}: {answer:?}");
        }
    }
    everything_works(&aditi, "a");
    (1..=4).for_each(|n| cluster.restart(n));
    everything_works(&aditi, "a");
    everything_works(&aditi, "new");
    aditi.pipe("Passwd\nanother password\n").succeeds();
}

#[test]
fn what_one_user_fences_far_ahead_at_one_server_is_over_with_its_next_start() {
    for servers in [vec![1], vec![1, 2, 3, 4]] {
        let mut cluster = Cluster::quick(4);
        let aditi = cluster.client(USER);
        let id = "0123456789abcdef".repeat(2);
        for &n in &servers {
            let mut guest = Guest::at(cluster.port(n), USER, &password(USER));
            let far = now() + MAX_AHEAD - HOUR;
            assert_eq!(guest.ask(&format!("FENCE a {far}-{id}")), Reply::Ok);
            cluster.restart(n);
            cluster.wait_for_log(n, "far beyond the clock");
        }
        everything_works(&aditi, "a");
        aditi.run(&["Status"]).succeeds();
        aditi.pipe("Passwd\nanother password\n").succeeds();
    }
}

#[track_caller]
fn stage(guest: &mut Guest, claim: &Claim, restore: Option<u64>) -> Reply {
    let request = Request::Stage { header: Box::new(claim.header.clone()), length: 0, restore };
    let line = guest.seal(&request.to_line());
    guest.send(line);
    let tag = restore.is_none().then(|| guest.tag(&[]));
    let end = StageEnd::End { root: claim.root, seal: claim.seal, tag };
    guest.ask(&end.to_line())
}

/// Gives a stored file another generation, as a client has once sealed it.
fn renumber(cluster: &Cluster, path: &str, generation: u64) {
    let key = MasterKey::from_key(&ADITIS_KEY);
    for n in 1..=4 {
        for piece in 1..=4 {
            let file = cluster.piece_file(n, path, piece);
            let Ok(bytes) = fs::read(&file) else { continue };
            let mut header = Header::decode(&bytes).unwrap();
            let layout = header.layout();
            let (start, tail) = (layout.body.start as usize, layout.tail.start as usize);
            header.version.generation = generation;
            let root: Bytes32 = bytes[tail..tail + 32].try_into().unwrap();
            let (encoded, seal) = (header.encode(), key.seal(&header.encode(), &root));
            let mut sum = Hasher::default();
            [&encoded[..], &root, &seal].iter().for_each(|part| sum.update(part));
            let whole = [&encoded[..], &bytes[start..tail], &root, &seal, &sum.finish()].concat();
            fs::write(file, whole).unwrap();
        }
    }
}

/// An account in the state that a liar could bring about before there was a bound.
fn used_up(generation: u64) -> Cluster {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    for (seed, name) in (1..).zip(["replaced", "moved", "deleted", "repaired"]) {
        aditi.upload(name, &noise(seed, 20_000));
    }
    cluster.run_only(&[]);
    for name in ["replaced", "moved", "deleted", "repaired"] {
        renumber(&cluster, name, generation);
    }
    for n in 1..=4 {
        fs::write(floors(&cluster, n).join(format!("Aditi.{LIE}")), "").unwrap();
    }
    cluster.run_all();
    cluster
}

#[test]
fn an_account_whose_generations_were_used_up_gets_its_way_out() {
    for generation in [LIE, u64::MAX] {
        let cluster = used_up(generation);
        for n in 1..=4 {
            cluster.wait_for_log(n, "far beyond the clock");
            let floor = floor_on_disk(&cluster, n);
            assert!(floor <= now(), "Server{n} has {floor}");
        }
        let aditi = cluster.client(USER);
        for (seed, name) in (1..).zip(["replaced", "moved", "deleted", "repaired"]) {
            aditi.download(name, &noise(seed, 20_000));
        }
        // A lost copy of what is so far off comes back.
        let holder = cluster.holders("repaired", 1)[0];
        fs::remove_file(cluster.piece_file(holder, "repaired", 1)).unwrap();
        aditi.run(&["Repair"]).succeeds();
        cluster.has_equal_copies("repaired", 2);
        aditi.run(&["Verify"]).succeeds().prints(&[]);
        aditi.run(&["Move", "moved", "there"]).succeeds();
        aditi.download("there", &noise(2, 20_000));
        aditi.run(&["Delete", "deleted"]).succeeds();
        everything_works(&aditi, "replaced");
        everything_works(&aditi, "deleted");
        aditi.run(&["Verify"]).succeeds().prints(&[]);
        aditi.run(&["ShowFiles"]).succeeds().prints(&["deleted", "repaired", "replaced", "there"]);
        assert_eq!(cluster.unsettled(), [""; 0]);
        aditi.pipe("Passwd\nanother password\n").succeeds();
    }
}

#[test]
fn with_one_server_and_one_copy_an_account_whose_generations_were_used_up_works_too() {
    let mut cluster = Cluster::quick(1);
    let aditi = cluster.client(USER).with("Replicas 1");
    aditi.upload("a", b"before");
    cluster.stop(1);
    fs::write(floors(&cluster, 1).join(format!("Aditi.{LIE}")), "").unwrap();
    cluster.start(1);
    everything_works(&aditi, "a");
    everything_works(&aditi, "new");
    cluster.restart(1);
    everything_works(&aditi, "a");
}

// A writer's tries are ordered.

#[test]
fn a_try_that_was_refused_does_not_come_back_in_the_place_of_the_one_that_succeeded() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    cluster.stop(1);
    // It takes no piece, but keeps what it was sent, and shows all of it as published when that is over.
    let kept = Arc::<Mutex<Vec<Claim>>>::default();
    let shown = Arc::<Mutex<bool>>::default();
    let (refused, show) = (Arc::clone(&kept), Arc::clone(&shown));
    let rogue = Rogue::keeping(stolen_verifier(), move |request, staged| {
        refused.lock().unwrap().extend(staged);
        match request {
            Request::Stage { .. } => (Reply::no(Refusal::Damaged), Vec::new()),
            Request::Look(path) if *show.lock().unwrap() => {
                let kept = refused.lock().unwrap();
                let of_name = kept.iter().filter(|claim| claim.header.path == *path);
                let published =
                    |claim: &Claim| Reported::Piece(PieceState::Published, Box::new(claim.clone()));
                let pieces = of_name.map(published).collect();
                text(&NameReport { clock: now(), floor: 0, pieces }.to_text())
            }
            other => yes_to_all(other),
        }
    });
    let lied_to = lied_to(&cluster, &rogue, false);
    let files: Vec<(String, Vec<u8>)> = (0..4).map(|n| (format!("f{n}"), noise(n, 60_000))).collect();
    for (name, bytes) in &files {
        lied_to.upload(name, bytes);
    }
    let tries = kept.lock().unwrap().len();
    assert!(tries > files.len(), "only {tries} pieces were refused");
    *shown.lock().unwrap() = true;
    for (name, bytes) in &files {
        lied_to.download(name, bytes);
        // Each of them is older than what is there, and each server knows what was taken back.
        let newest = newest_at(&cluster, 2, name);
        for claim in kept.lock().unwrap().iter().filter(|claim| claim.header.path.as_str() == name) {
            assert!(claim.header.version.generation < newest.generation, "{} {newest}", claim.header.version);
        }
    }
    lied_to.run(&["Verify"]);
    lied_to.run(&["Repair"]);
    drop(rogue);
    cluster.start(1);
    for (name, bytes) in &files {
        aditi.download(name, bytes);
    }
    aditi.run(&["Verify"]).succeeds().prints(&[]);
}

/// The newest version of a name that is published at a server.
fn newest_at(cluster: &Cluster, n: usize, path: &str) -> Version {
    let mut guest = Guest::at(cluster.port(n), USER, &password(USER));
    let report = guest.look(path);
    let versions = report.pieces.into_iter().filter_map(|reported| match reported {
        Reported::Piece(PieceState::Published, claim) => Some(claim.header.version),
        _ => None,
    });
    versions.max().unwrap_or_else(|| panic!("Server{n} has nothing of {path}"))
}

#[test]
fn what_was_aborted_is_never_staged_again_even_after_a_restart() {
    let mut cluster = Cluster::quick(1);
    let mut guest = Guest::at(cluster.port(1), USER, &password(USER));
    let aborted = tombstone("a", now(), &ADITIS_KEY);
    assert_eq!(stage(&mut guest, &aborted, None), Reply::Ok);
    assert_eq!(guest.ask(&format!("ABORT a {}", aborted.header.version)), Reply::Ok);
    assert_eq!(guest.look("a").floor, aborted.header.version.generation);
    let behind = |reply: &Reply| matches!(reply, Reply::No(Refusal::Behind, _));
    assert!(behind(&stage(&mut guest, &aborted, None)));
    let next_try = tombstone("a", aborted.header.version.generation + 1, &ADITIS_KEY);
    assert_eq!(stage(&mut guest, &next_try, None), Reply::Ok);
    assert_eq!(guest.ask(&format!("ABORT a {}", next_try.header.version)), Reply::Ok);
    drop(guest);
    cluster.restart(1);
    let mut guest = Guest::at(cluster.port(1), USER, &password(USER));
    assert!(behind(&stage(&mut guest, &aborted, None)));
    assert!(behind(&stage(&mut guest, &next_try, None)));
    assert!(guest.look("a").pieces.is_empty());
}

#[test]
fn a_fence_always_changes_the_floor() {
    let cluster = Cluster::quick(1);
    let mut guest = Guest::at(cluster.port(1), USER, &password(USER));
    let version = tombstone("a", now(), &ADITIS_KEY).header.version;
    let mut floor = guest.look("a").floor;
    for _ in 0..3 {
        assert_eq!(guest.ask(&format!("FENCE a {version}")), Reply::Ok);
        let raised = guest.look("a").floor;
        assert!(raised > floor && raised >= version.generation, "{floor} {raised}");
        // Who looked before the fence comes too late.
        let answer = stage(&mut guest, &tombstone("a", now(), &ADITIS_KEY), Some(floor));
        assert!(matches!(answer, Reply::No(Refusal::Behind, _)), "{answer:?}");
        floor = raised;
    }
}
