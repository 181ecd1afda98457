//! What keeps a store with parity in order: ShowFiles, Verify, Repair, Move, Passwd and Delete.

use crate::common::{Client, Cluster, Fault, Json, Outcome, Trap, Way, disk, noise, subsets};
use std::collections::BTreeMap;

fn client(cluster: &Cluster) -> Client {
    cluster.client("Aditi").with("Redundancy parity")
}

/// Every choice of so many of the four servers.
fn choices(count: usize) -> impl Iterator<Item = Vec<usize>> {
    subsets(4).filter(move |servers| servers.len() == count)
}

/// A file comes back with any two of the four servers.
fn bears_any_two_losses(cluster: &mut Cluster, aditi: &Client, name: &str, bytes: &[u8]) {
    for up in choices(2) {
        cluster.run_only(&up);
        aditi.download(name, bytes);
    }
    cluster.run_all();
}

#[test]
fn degraded_says_how_many_more_servers_may_be_lost_and_copies_are_listed_as_ever() {
    let mut cluster = Cluster::quick(4);
    let (parity, copies) = (client(&cluster), cluster.client("Aditi"));
    parity.upload("p", &noise(1, 100_001));
    copies.upload("c", &noise(2, 100_001));
    let listed = |lines: &[&str]| drop(copies.run(&["ShowFiles"]).succeeds().prints(lines));
    let losses = || {
        let objects = Json::lines(&parity.run(&["ShowFiles", "--json"]).succeeds().stdout);
        assert_eq!(objects[0].text("redundancy"), "copies");
        assert_eq!(objects[1].text("redundancy"), "parity");
        objects[1].get("losses").clone()
    };
    listed(&["c", "p"]);
    assert_eq!(losses(), Json::Number(2.0));
    cluster.stop(3);
    listed(&["c [degraded]", "p [degraded] 1"]);
    assert_eq!(losses(), Json::Number(1.0));
    parity.run(&["Verify", "p"]).fails_with(1);
    cluster.stop(1);
    listed(&["c [degraded]", "p [degraded] 0"]);
    assert_eq!(losses(), Json::Number(0.0));
    cluster.stop(2);
    listed(&["c [incomplete]", "p [incomplete]"]);
    assert_eq!(losses(), Json::Null);
}

#[test]
fn verify_and_repair_know_what_was_stored_with_a_server_away() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    let bytes = noise(1, 300_001);
    cluster.stop(2);
    aditi.upload("a", &bytes).complains_of("only one server may be lost").complains_of("run Repair");
    cluster.start(2);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a [degraded] 1"]);
    let verified = aditi.run(&["Verify"]).fails_with(1);
    assert_eq!(verified.lines(), ["a: bears the loss of only 1 more server"]);
    let planned = aditi.run(&["Repair", "-n"]).succeeds();
    assert!(planned.lines().iter().all(|line| line.contains("would make") && line.ends_with("on Server2")));
    let steps = Json::lines(&aditi.run(&["Repair", "--json"]).succeeds().stdout);
    assert_eq!(steps.len(), 2);
    assert!(steps.iter().all(|step| step.text("action") == "made" && step.text("to") == "Server2"));
    aditi.run(&["Verify", "--read"]).succeeds().prints(&[]);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    bears_any_two_losses(&mut cluster, &aditi, "a", &bytes);
}

#[test]
fn a_move_with_one_or_two_servers_away_is_as_safe_as_an_upload_and_repair_does_the_rest() {
    for away in choices(1).chain(choices(2)) {
        let mut cluster = Cluster::quick(4);
        let aditi = client(&cluster);
        let bytes = noise(1, 300_001);
        aditi.put("x/a", &bytes);
        aditi.run(&["Upload", "x"]).succeeds();
        away.iter().for_each(|&n| cluster.stop(n));
        aditi.run(&["Move", "x/a", "y/b"]).succeeds();
        let moved = aditi.run(&["Move", "y", "z"]);
        match away.len() {
            1 => moved.succeeds(),
            // There may be more in the folder.
            _ => moved.fails_with(4).complains_of("did not answer"),
        };
        let up: Vec<usize> = (1..=4).filter(|n| !away.contains(n)).collect();
        for lost in &up {
            cluster.stop(*lost);
            aditi.download("z/b", &bytes);
            cluster.start(*lost);
        }
        cluster.run_all();
        assert_ne!(aditi.run(&["ShowFiles", "z"]).succeeds().lines(), ["b"], "without {away:?}");
        aditi.run(&["Repair"]).succeeds();
        assert_eq!(
            aditi.run(&["ShowFiles", "-r", "-q"]).succeeds().lines(),
            ["x/", "z/", "z/b"],
            "without {away:?}"
        );
        aditi.run(&["Verify", "-r"]).succeeds().prints(&[]);
        bears_any_two_losses(&mut cluster, &aditi, "z/b", &bytes);
    }
}

#[test]
fn one_repair_makes_every_damaged_copy_of_a_piece_good() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    aditi.upload("a", b"placed");
    let of_absent: Vec<usize> = (1..=8).filter(|piece| cluster.holders("a", *piece) == [3]).collect();
    for is_repaired_before in [true, false] {
        let bytes = noise(1 + u64::from(is_repaired_before), 300_001);
        cluster.stop(3);
        aditi.upload("a", &bytes);
        cluster.start(3);
        if is_repaired_before {
            aditi.run(&["Repair"]).succeeds();
        }
        for &piece in &of_absent {
            let holders = cluster.holders("a", piece);
            assert!(holders.len() == 2 || !is_repaired_before, "{holders:?}");
            holders.into_iter().for_each(|n| cluster.corrupt_piece(n, "a", piece));
        }
        aditi.run(&["Repair"]).succeeds();
        aditi.run(&["Verify", "--read"]).succeeds().prints(&[]);
        bears_any_two_losses(&mut cluster, &aditi, "a", &bytes);
    }
}

#[test]
fn a_file_that_cannot_be_made_again_is_told_once_as_lost() {
    let cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    aditi.upload("a", &noise(1, 300_001));
    for piece in 1..=5 {
        cluster.holders("a", piece).into_iter().for_each(|n| cluster.corrupt_piece(n, "a", piece));
    }
    for command in [&["Repair", "-n"][..], &["Repair"], &["Repair"]] {
        let outcome = aditi.run(command).fails_with(1);
        let lines: Vec<&str> = outcome.lines().into_iter().filter(|line| line.starts_with("a: ")).collect();
        assert_eq!(lines.len(), 1, "{outcome}");
        assert!(lines[0].contains("lost: no server has a good copy of piece 1, 2, 3, 4, 5"), "{outcome}");
    }
}

#[test]
fn after_a_move_with_a_server_away_repair_makes_only_what_that_server_lacks() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    let bytes = noise(1, 300_001);
    aditi.upload("a", &bytes);
    cluster.stop(1);
    aditi.run(&["Move", "a", "b"]).succeeds();
    cluster.start(1);
    let made = aditi.run(&["Repair"]).succeeds();
    assert_eq!(made.lines().iter().filter(|line| line.contains(" made on Server1")).count(), 2, "{made}");
    assert!((1..=8).all(|piece| cluster.holders("b", piece).len() == 1));
    bears_any_two_losses(&mut cluster, &aditi, "b", &bytes);
}

#[test]
fn a_move_with_three_servers_away_is_refused_and_the_old_name_stays() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    let bytes = noise(1, 5_001);
    cluster.run_only(&[1]);
    aditi.upload("a", &bytes).complains_of("no server may be lost");
    aditi.run(&["Move", "a", "b"]).fails_with(4).complains_of("2 servers");
    aditi.download("a", &bytes);
    cluster.run_all();
    aditi.run(&["Move", "a", "b"]).succeeds();
    bears_any_two_losses(&mut cluster, &aditi, "b", &bytes);
}

#[test]
fn a_degraded_file_is_deleted_and_does_not_come_back() {
    for away in choices(1).chain(choices(2)) {
        let mut cluster = Cluster::quick(4);
        let aditi = client(&cluster);
        aditi.upload("a", &noise(1, 100_001));
        away.iter().for_each(|&n| cluster.stop(n));
        aditi.run(&["Delete", "a"]).succeeds().complains_of("missed the delete");
        cluster.run_all();
        aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
        aditi.run(&["Repair"]).succeeds();
        assert!((1..=4).all(|n| cluster.pieces_on(n).is_empty()), "without {away:?}");
        assert_eq!(cluster.unsettled(), [""; 0]);
    }
}

#[test]
fn a_change_of_password_makes_what_is_missing_first() {
    let mut cluster = Cluster::with_passwords(4, false);
    let mut aditi = client(&cluster);
    let bytes = noise(1, 300_001);
    cluster.stop(4);
    aditi.upload("a", &bytes);
    aditi.pipe("Passwd\nnew password\n").fails_with(4);
    cluster.start(4);
    aditi.pipe("Passwd\nnew password\n").succeeds();
    aditi.reread_conf();
    aditi.run(&["Verify"]).succeeds().prints(&[]);
    bears_any_two_losses(&mut cluster, &aditi, "a", &bytes);
}

// Repair.

/// A file of which a server's two pieces are made on connections of their own, and one of which they are sent whole.
const STREAMED: usize = 12 << 20;
const SMALL: usize = 3_000_001;

/// Bytes of pieces that a client asked for, as its trace shows.
fn bytes_read(traced: &Outcome) -> usize {
    let reads = traced.stderr.lines().filter(|line| line.contains(" READ "));
    reads.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

/// The piece files of a server with their bytes.
fn pieces_of(cluster: &Cluster, n: usize) -> BTreeMap<String, Vec<u8>> {
    disk::tree(&cluster.user_folder(n, "Aditi"))
}

#[test]
fn a_wiped_server_costs_the_reading_of_three_pieces_and_two_cost_four() {
    for size in [SMALL, STREAMED] {
        let mut cluster = Cluster::quick(4);
        let aditi = client(&cluster);
        let bytes = noise(1, size);
        aditi.upload("a", &bytes);
        let before: Vec<_> = (1..=4).map(|n| pieces_of(&cluster, n)).collect();
        for (wiped, pieces) in [(vec![2], 3), (vec![4], 3), (vec![1, 2], 4), (vec![2, 4], 4)] {
            wiped.iter().for_each(|&n| cluster.wipe(n));
            let repaired = aditi.run(&["Repair", "--trace"]).succeeds();
            // A chunk has a nonce, and a hash in the table.
            let (read, wanted) = (bytes_read(&repaired), pieces * size / 4);
            assert!(
                (wanted..wanted + wanted / 200).contains(&read),
                "{size}, {wiped:?}: {read} for {wanted}"
            );
            for n in 1..=4 {
                assert!(pieces_of(&cluster, n) == before[n - 1], "to the last bit, {size}, {wiped:?}");
            }
        }
        assert_eq!(cluster.unsettled(), [""; 0]);
        bears_any_two_losses(&mut cluster, &aditi, "a", &bytes);
    }
}

#[test]
fn many_small_files_are_repaired_together() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    for n in 0..50 {
        aditi.put(&format!("x/{n}"), &noise(n, 1000 * n as usize + 1));
    }
    aditi.run(&["Upload", "x"]).succeeds();
    let before = pieces_of(&cluster, 3);
    cluster.wipe(3);
    let proxies = cluster.proxies();
    let through = cluster.client_through("Aditi", &proxies);
    through.run(&["Repair"]).succeeds();
    assert!(pieces_of(&cluster, 3) == before);
    let objects = Json::lines(&aditi.run(&["Repair", "--json"]).succeeds().stdout);
    assert_eq!(objects, []);
}

#[test]
fn a_large_file_is_repaired_in_little_memory() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    aditi.upload("a", &noise(1, 192 << 20));
    let lost = (1..=8).filter(|piece| cluster.holders("a", *piece) == [2]).max().unwrap();
    let before = pieces_of(&cluster, 2);
    cluster.wipe(2);
    let mut session = aditi.session();
    session.send("Repair");
    session.wait_for(&format!("a: piece {lost} made on Server2"));
    let peak = session.peak_memory();
    session.finish().succeeds();
    assert!(peak < 80 << 20, "{peak} bytes, for two pieces of 48 MiB");
    assert!(pieces_of(&cluster, 2) == before);
}

#[test]
fn a_damaged_piece_is_made_again_beside_a_wiped_server_and_is_no_source() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    let bytes = noise(1, STREAMED);
    aditi.upload("a", &bytes);
    let before: Vec<_> = (1..=4).map(|n| pieces_of(&cluster, n)).collect();
    for damaged in [1, 3, 4] {
        cluster.wipe(2);
        let piece = (1..=8).find(|piece| cluster.holders("a", *piece) == [damaged]).unwrap();
        cluster.corrupt_piece(damaged, "a", piece);
        aditi.run(&["Repair"]).succeeds();
        assert!((1..=4).all(|n| pieces_of(&cluster, n) == before[n - 1]), "with piece {piece} damaged");
    }
    bears_any_two_losses(&mut cluster, &aditi, "a", &bytes);
}

/// A wiped server, and what it had.
fn wiped(cluster: &mut Cluster, n: usize, bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    client(cluster).upload("a", bytes);
    let before = pieces_of(cluster, n);
    cluster.wipe(n);
    before
}

#[test]
fn a_repair_that_is_killed_or_loses_a_server_loses_nothing_and_the_next_one_completes_it() {
    let bytes = noise(1, STREAMED);
    let faults = [
        (1, Way::Up, Fault::Silence),
        (1, Way::Up, Fault::Cut),
        (1, Way::Up, Fault::HangUp),
        (2, Way::Down, Fault::Cut),
        (3, Way::Down, Fault::HangUp),
    ];
    for (server, way, fault) in faults {
        let mut cluster = Cluster::quick(4);
        let before = wiped(&mut cluster, 2, &bytes);
        let proxies = cluster.proxies();
        let aditi = cluster.client_through("Aditi", &proxies);
        proxies[server].fail_after(way, 1 << 20, fault);
        let repair = aditi.start(&["Repair"]);
        if fault == Fault::Silence {
            proxies[server].wait_for_the_fault();
            repair.kill();
        } else {
            drop(repair.finish());
        }
        proxies.iter().for_each(|proxy| proxy.cut());
        client(&cluster).download("a", &bytes);
        client(&cluster).run(&["Repair"]).succeeds();
        cluster.wait_until_all_left();
        assert!(pieces_of(&cluster, 2) == before, "{server} {way:?} {fault:?}");
        assert_eq!(cluster.unsettled(), [""; 0], "{server} {way:?} {fault:?}");
        let aditi = client(&cluster);
        bears_any_two_losses(&mut cluster, &aditi, "a", &bytes);
    }
}

#[test]
fn two_repairs_at_the_same_time_make_the_same() {
    for size in [SMALL, STREAMED] {
        let bytes = noise(1, size);
        let mut cluster = Cluster::quick(4);
        let before = wiped(&mut cluster, 2, &bytes);
        let proxies = cluster.proxies();
        proxies[1].trap("RESTORE", Trap::Hold);
        let first = cluster.client_through("Aditi", &proxies).start(&["Repair"]);
        proxies[1].wait_for_the_trap();
        client(&cluster).run(&["Repair"]).succeeds();
        assert!(pieces_of(&cluster, 2) == before);
        proxies[1].release();
        drop(first.finish());
        assert!(pieces_of(&cluster, 2) == before);
        assert_eq!(cluster.unsettled(), [""; 0]);
        client(&cluster).run(&["Verify", "--read"]).succeeds();
    }
}

#[test]
fn an_upload_or_a_delete_during_a_repair_stays() {
    for size in [SMALL, STREAMED] {
        for is_delete in [false, true] {
            let newer = noise(2, size);
            let mut cluster = Cluster::quick(4);
            wiped(&mut cluster, 2, &noise(1, size));
            let proxies = cluster.proxies();
            proxies[1].trap("RESTORE", Trap::Hold);
            let repair = cluster.client_through("Aditi", &proxies).start(&["Repair"]);
            proxies[1].wait_for_the_trap();
            let aditi = client(&cluster);
            if is_delete {
                aditi.run(&["Delete", "a"]).succeeds();
            } else {
                aditi.upload("a", &newer);
            }
            proxies[1].release();
            drop(repair.finish());
            aditi.run(&["Repair"]).succeeds();
            aditi.run(&["Verify", "--read"]).succeeds();
            assert_eq!(cluster.unsettled(), [""; 0]);
            if is_delete {
                aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
                assert!((1..=4).all(|n| cluster.pieces_on(n).is_empty()));
            } else {
                bears_any_two_losses(&mut cluster, &aditi, "a", &newer);
            }
        }
    }
}
