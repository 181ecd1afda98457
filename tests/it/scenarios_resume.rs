//! An upload that was cut off goes on where it was, by the same command: what is there is proved and not sent again,
//! and no byte of keystream serves two plaintexts. What nobody continues is dropped by a command, and never by a
//! server.

use crate::common::{Client, Cluster, Fault, Proxy, Trap, Way, noise};
use std::collections::HashSet;

/// Two copies of it are what an upload sends.
const SIZE: usize = 16 << 20;
/// What may be sent twice: of the pieces on their way, which are two on two servers each, what is in buffers, a chunk,
/// or all of it if it is too little to be kept. Besides, all that is not pieces.
const ON_THE_WAY: usize = 4 * ((1 << 20) + (256 << 10));

/// How an upload ends before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Kill,
    Interrupt,
    LostLines,
}

/// Uploads DIR/a, through proxies that count together, until so many bytes were sent.
fn cut_off_after(cluster: &Cluster, bytes: &[u8], sent: usize, end: End) -> Client {
    let proxies = cluster.proxies_together();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.put("a", bytes);
    proxies[0].fail_after(Way::Up, sent, Fault::Silence);
    let upload = aditi.start(&["Upload", "a"]);
    proxies[0].wait_for_the_fault();
    match end {
        End::Kill => upload.kill(),
        End::Interrupt => drop(upload.interrupt()),
        End::LostLines => {
            proxies[0].cut();
            upload.finish().fails_with(4);
        }
    }
    proxies[0].cut();
    cluster.wait_until_all_left();
    aditi
}

/// What is on its way to the servers.
fn sent(proxies: &[Proxy]) -> Vec<u8> {
    proxies[0].recorded(Way::Up)
}

#[test]
fn the_same_command_goes_on_where_it_was_cut_off_in_whatever_way() {
    let mut cluster = Cluster::quick(4);
    let cuts = [
        (SIZE / 2, End::Kill, false),
        (SIZE, End::Interrupt, true),
        (SIZE, End::LostLines, false),
        (SIZE * 9 / 5, End::Kill, true),
    ];
    for (seed, (cut, end, restart)) in (1..).zip(cuts) {
        let bytes = noise(seed, SIZE);
        cut_off_after(&cluster, &bytes, cut, end);
        if restart {
            (1..=4).for_each(|n| cluster.restart(n));
        }
        // Whoever has the .conf and the file can go on, on whatever machine.
        let proxies = cluster.proxies_together();
        let aditi = cluster.client_through("Aditi", &proxies);
        aditi.put("a", &bytes);
        aditi.run(&["Upload", "a"]).succeeds().complains_of("are on the servers already");
        let again = cut + sent(&proxies).len();
        assert!(again < 2 * SIZE + ON_THE_WAY, "{end:?} after {cut}: {again} bytes for {SIZE}");
        cluster.has_equal_copies("a", 2);
        assert_eq!(cluster.unsettled(), [""; 0], "{end:?} after {cut}");
        cluster.client("Aditi").download("a", &bytes);
        cluster.client("Aditi").run(&["Verify"]).succeeds();
    }
}

#[test]
fn an_upload_may_be_cut_off_again_and_again() {
    let cluster = Cluster::quick(4);
    let bytes = noise(1, SIZE);
    for _ in 0..5 {
        cut_off_after(&cluster, &bytes, SIZE / 3, End::Kill);
    }
    let proxies = cluster.proxies_together();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.put("a", &bytes);
    aditi.run(&["Upload", "a"]).succeeds();
    let all = 5 * (SIZE / 3) + sent(&proxies).len();
    assert!(all < 2 * SIZE + 6 * ON_THE_WAY, "{all} bytes for {SIZE}");
    assert!(sent(&proxies).len() < SIZE, "{} bytes at the end", sent(&proxies).len());
    assert_eq!(cluster.unsettled(), [""; 0]);
    cluster.client("Aditi").download("a", &bytes);
}

/// The file has zeros when its pieces are sent, and later ones. Under one keystream, each byte that went up would be
/// the complement of one that went up before.
#[track_caller]
fn no_keystream_served_zeros_and_ones(sent: &[Vec<u8>]) {
    let some = sent.iter().flat_map(|bytes| bytes.windows(16).step_by(4099));
    let complements: HashSet<Vec<u8>> =
        some.map(|window| window.iter().map(|byte| !byte).collect()).collect();
    let is_one = |window: &[u8]| complements.contains(window);
    assert!(!sent.iter().any(|bytes| bytes.windows(16).any(is_one)), "a keystream served two plaintexts");
}

#[test]
fn what_is_sent_again_is_what_was_sent_even_if_the_file_has_changed() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.put("a", &vec![0; SIZE]);
    proxies[1].fail_after(Way::Up, SIZE * 3 / 8, Fault::Silence);
    let upload = aditi.start(&["Upload", "a"]);
    proxies[1].wait_for_the_fault();
    std::fs::write(aditi.files().join("a"), vec![0xff; SIZE]).unwrap();
    proxies[1].cut();
    upload.finish().fails_with(1).complains_of("changed");
    let sent: Vec<Vec<u8>> = proxies.iter().map(|proxy| proxy.recorded(Way::Up)).collect();
    no_keystream_served_zeros_and_ones(&sent);
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
}

#[test]
fn of_a_file_that_has_changed_only_the_beginnings_that_are_the_same_are_kept() {
    let cluster = Cluster::quick(4);
    let (same, piece) = (3 << 19, SIZE / 4);
    let before = vec![0; SIZE];
    let mut after = before.clone();
    // In each piece the bytes from here on are others now, but for a few.
    for start in (0..4).map(|index| index * piece) {
        after[start + same..start + piece].fill(0xff);
        after[start + 3 * same / 2] = 0;
    }
    let proxies = cluster.proxies_together();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.put("a", &before);
    proxies[0].fail_after(Way::Up, SIZE * 9 / 5, Fault::Silence);
    let upload = aditi.start(&["Upload", "a"]);
    proxies[0].wait_for_the_fault();
    upload.kill();
    proxies[0].cut();
    cluster.wait_until_all_left();
    let first = sent(&proxies);
    proxies[0].heal();
    proxies[0].forget();
    aditi.put("a", &after);
    aditi.run(&["Upload", "a"]).succeeds().complains_of("are on the servers already");
    let second = sent(&proxies);
    let different = 2 * 4 * (piece - same);
    assert!(second.len() >= different && second.len() < different + ON_THE_WAY, "{}", second.len());
    no_keystream_served_zeros_and_ones(&[first, second]);
    cluster.client("Aditi").download("a", &after);
}

#[test]
fn a_file_of_another_size_begins_anew_and_leaves_nothing() {
    let cluster = Cluster::quick(4);
    let aditi = cut_off_after(&cluster, &noise(1, SIZE), SIZE, End::Kill);
    let other = noise(1, SIZE - 1);
    aditi.put("a", &other);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &other).does_not_complain_of("already");
    aditi.download("a", &other);
    assert_eq!(cluster.unsettled(), [""; 0]);
}

#[test]
fn what_only_looks_leaves_an_unfinished_upload_and_repair_drops_it_and_says_how_much() {
    let mut cluster = Cluster::quick(4);
    let bytes = noise(1, SIZE);
    cut_off_after(&cluster, &bytes, SIZE, End::Kill);
    let aditi = cluster.client("Aditi");
    for n in 1..=4 {
        cluster.restart(n);
    }
    let kept = cluster.unsettled();
    assert!(kept.len() > 2, "{kept:?}");
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
    aditi.run(&["Download", "a"]).fails();
    aditi.upload("b", b"another file");
    assert_eq!(cluster.unsettled(), kept);
    let outcome = aditi.run(&["Repair"]).succeeds();
    let line =
        outcome.lines().into_iter().find(|line| line.contains("dropped an unfinished upload")).unwrap();
    let dropped: usize = line.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!((SIZE - ON_THE_WAY..=SIZE).contains(&dropped), "{line}");
    assert_eq!(cluster.unsettled(), [""; 0]);
    aditi.upload("a", &bytes).does_not_complain_of("already");
}

#[test]
fn whatever_is_done_to_the_name_in_between_the_upload_succeeds() {
    for between in [
        &["Upload", "a"][..],
        &["Download", "a"],
        &["Verify"],
        &["Status"],
        &["Delete", "a"],
        &["Move", "a", "b"],
        &["Move", "b", "a"],
        &["Repair", "-n"],
        &["Repair"],
        &["Passwd"],
    ] {
        let mut cluster = Cluster::with_passwords(4, false);
        let mut aditi = cluster.client("Aditi");
        let (old, new) = (noise(1, 100_000), noise(2, SIZE / 2));
        if between != ["Move", "b", "a"] {
            aditi.upload("a", &old);
        }
        aditi.upload("b", &old);
        if between == ["Move", "a", "b"] {
            aditi.run(&["Delete", "b"]).succeeds();
        }
        cut_off_after(&cluster, &new, SIZE / 2, End::Kill);
        match between {
            ["Passwd"] => {
                aditi.pipe("Passwd\nanother\n").succeeds();
                aditi.reread_conf();
            }
            ["Upload", "a"] => drop(aditi.upload("a", &noise(3, 5000))),
            ["Verify"] => drop(aditi.run(between).fails_with(1).complains_of("Repair")),
            _ => drop(aditi.run(between).succeeds()),
        }
        aditi.upload("a", &new);
        aditi.download("a", &new);
        cluster.has_equal_copies("a", 2);
        cluster.restart(2);
        aditi.run(&["Repair"]).succeeds();
        assert_eq!(cluster.unsettled(), [""; 0], "{between:?}");
        aditi.run(&["Verify"]).succeeds();
    }
}

#[test]
fn with_a_server_down_an_upload_goes_on_with_what_had_not_arrived_completely() {
    let mut cluster = Cluster::quick(4);
    let bytes = noise(1, SIZE);
    for cut in [SIZE / 3, SIZE * 7 / 4] {
        cut_off_after(&cluster, &bytes, cut, End::Kill);
        cluster.stop(4);
        let aditi = cluster.client("Aditi");
        aditi.put("a", &bytes);
        aditi.run(&["Upload", "a"]).succeeds().complains_of("already");
        aditi.download("a", &bytes);
        cluster.start(4);
        aditi.run(&["Repair"]).succeeds();
        assert_eq!(cluster.unsettled(), [""; 0]);
        aditi.run(&["Verify"]).succeeds();
        aditi.run(&["Delete", "a"]).succeeds();
    }
}

#[test]
fn what_a_server_has_is_not_forgotten_when_its_line_is_lost_once_more() {
    let cluster = Cluster::quick(4);
    let bytes = noise(1, SIZE);
    cut_off_after(&cluster, &bytes, SIZE * 9 / 5, End::Kill);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.put("a", &bytes);
    proxies[2].trap("RESUME", Trap::Cut);
    aditi.run(&["Upload", "a"]).succeeds();
    assert!(proxies[2].has_sprung());
    let again: usize = proxies.iter().map(|proxy| proxy.recorded(Way::Up).len()).sum();
    assert!(again < SIZE / 5 + ON_THE_WAY, "{again} bytes once more");
    cluster.has_equal_copies("a", 2);
    cluster.client("Aditi").download("a", &bytes);
}

#[test]
fn an_upload_that_has_lost_a_server_and_goes_on_is_not_taken_for_abandoned() {
    let cluster = Cluster::quick(4);
    let bytes = noise(1, SIZE);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies).with("Timeout 30");
    aditi.put("a", &bytes);
    proxies[2].fail_after(Way::Up, SIZE / 8, Fault::Cut);
    // Nowhere has a piece arrived completely.
    let others = [0, 1, 3].map(|other| &proxies[other]);
    others.iter().for_each(|proxy| proxy.fail_after(Way::Up, SIZE / 6, Fault::Silence));
    let upload = aditi.start(&["Upload", "a"]);
    proxies.iter().for_each(Proxy::wait_for_the_fault);
    for command in [&["Repair"][..], &["Delete", "-r", "."], &["Verify"], &["Repair"]] {
        drop(cluster.client("Aditi").run(command));
    }
    others.iter().for_each(|proxy| proxy.heal());
    upload.finish().succeeds().complains_of("Server3");
    let sent: usize = proxies.iter().map(|proxy| proxy.recorded(Way::Up).len()).sum();
    assert!(sent < 2 * SIZE + SIZE / 8 + ON_THE_WAY, "{sent} bytes for {SIZE}");
    cluster.client("Aditi").download("a", &bytes);
}

#[test]
fn of_two_that_go_on_with_the_same_upload_both_succeed() {
    let cluster = Cluster::quick(4);
    let (one, mut other) = (noise(1, SIZE), noise(1, SIZE));
    other[SIZE - 1] ^= 1;
    for word in ["LOOK", "FENCE", "CHUNKS", "RESUME", "COMMIT"] {
        cut_off_after(&cluster, &one, SIZE, End::Kill);
        let proxies = cluster.proxies();
        let slow = cluster.client_through("Aditi", &proxies);
        slow.put("a", &one);
        proxies[1].trap(word, Trap::Hold);
        let upload = slow.start(&["Upload", "a"]);
        proxies[1].wait_for_the_trap();
        let quick = cluster.client("Aditi");
        quick.upload("a", &other);
        proxies[1].release();
        upload.finish().succeeds();
        quick.run(&["Repair"]).succeeds();
        assert_eq!(cluster.unsettled(), [""; 0], "{word}");
        quick.run(&["Download", "a"]).succeeds();
        let stored = quick.downloaded("a").unwrap();
        assert!(stored == one || stored == other, "{word}");
        quick.run(&["Delete", "a"]).succeeds();
    }
}
