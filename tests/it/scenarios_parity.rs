//! Files that are stored with parity: any two of four servers may be lost.

mod damage;
mod losses;

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::common::{Client, Cluster, Fault, Way, noise, subsets};

/// Sizes around those at which pieces, chunks and their number change.
const SIZES: [usize; 31] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 65_535, 65_536, 65_537, 262_143, 262_144,
    262_145, 262_146, 262_147, 262_148, 524_289, 1_048_579, 3_000_001, 9_437_191,
];

fn name(size: usize) -> String {
    format!("f{size}")
}

fn client(cluster: &Cluster) -> Client {
    cluster.client("Aditi").with("Redundancy parity")
}

fn upload_all(aditi: &Client) {
    let mut commands = String::new();
    for size in SIZES {
        aditi.put(&name(size), &noise(size as u64, size));
        commands += &format!("Upload {}\n", name(size));
    }
    aditi.pipe(&commands).succeeds();
}

fn listed(mark: &str) -> Vec<String> {
    let mut names: Vec<String> = SIZES.iter().map(|size| name(*size)).collect();
    names.sort_unstable();
    names.iter().map(|name| format!("{name}{mark}")).collect()
}

/// Downloads all files and compares each byte.
fn all_come_back(aditi: &Client, when: &str) {
    aditi.forget_downloads();
    let commands: String = SIZES.iter().map(|size| format!("Download {}\n", name(*size))).collect();
    aditi.pipe(&commands).succeeds();
    for size in SIZES {
        assert!(aditi.downloaded(&name(size)) == Some(noise(size as u64, size)), "{size} bytes, {when}");
    }
}

#[test]
fn what_was_stored_with_a_server_away_bears_two_losses_again_after_repair() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    cluster.stop(3);
    upload_all(&aditi);
    cluster.start(3);
    assert_eq!(aditi.run(&["ShowFiles"]).succeeds().lines(), listed(" [degraded] 1"));
    aditi.run(&["Repair"]).succeeds();
    assert_eq!(aditi.run(&["ShowFiles"]).succeeds().lines(), listed(""));
    for up in subsets(4).filter(|up| up.len() == 2) {
        cluster.run_only(&up);
        all_come_back(&aditi, &format!("after the repair, with {up:?}"));
    }
}

#[test]
fn damage_in_one_piece_while_another_server_is_away_is_borne_chunk_by_chunk() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    let bytes = noise(1, 1 << 20);
    // Four chunks in each piece, of which one is damaged.
    aditi.upload("a", &bytes);
    for away in 1..=4 {
        cluster.run_all();
        cluster.stop(away);
        for damaged in (1..=4).filter(|n| *n != away) {
            let pieces = (1..=8).filter(|piece| cluster.holders("a", *piece) == [damaged]);
            let pieces: Vec<usize> = pieces.collect();
            pieces.iter().for_each(|piece| cluster.corrupt_piece(damaged, "a", *piece));
            aditi.download("a", &bytes);
            aditi.run(&["Cat", "a"]).succeeds();
            pieces.iter().for_each(|piece| cluster.corrupt_piece(damaged, "a", *piece));
        }
    }
}

#[test]
fn files_of_both_schemes_live_side_by_side_whatever_the_conf_says() {
    let mut cluster = Cluster::quick(4);
    let (parity, copies) = (client(&cluster), cluster.client("Aditi"));
    let bytes = |seed| noise(seed, 200_001);
    parity.upload("a", &bytes(1));
    copies.upload("b", &bytes(2));
    cluster.stop(1);
    for aditi in [&parity, &copies] {
        aditi.download("a", &bytes(1));
        aditi.download("b", &bytes(2));
    }
    cluster.start(1);
    // Each takes the place of the other, and nothing of it is left.
    copies.upload("a", &bytes(3));
    parity.upload("b", &bytes(4));
    assert!((5..=8).all(|piece| cluster.holders("a", piece).is_empty()));
    assert!((1..=8).all(|piece| cluster.holders("b", piece).len() == 1));
    parity.run(&["Move", "b", "c"]).succeeds();
    parity.run(&["Delete", "a"]).succeeds();
    assert!((1..=8).all(|piece| cluster.holders("b", piece).is_empty()));
    cluster.run_only(&[2, 3]);
    copies.download("c", &bytes(4));
}

#[test]
fn the_pieces_of_a_large_file_are_sent_at_the_same_time_each_on_a_connection_of_its_own() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    let bytes = noise(1, 6_000_001);
    aditi.put("a", &bytes);
    let logins = |n: usize| {
        let outcome = aditi.run(&["Upload", "a", "--trace"]).succeeds();
        let welcome = |line: &&str| line.contains(&format!("Server{n}")) && line.contains("WELCOME");
        outcome.stderr.lines().filter(welcome).count()
    };
    assert_eq!([1, 2, 3, 4].map(logins), [2; 4]);
    // Another server has its pieces too.
    cluster.stop(1);
    let mut without = [2, 3, 4].map(logins);
    without.sort_unstable();
    assert_eq!(without, [2, 2, 4]);
    aditi.put("small", &noise(2, 3_000_001));
    let outcome = aditi.run(&["Upload", "small", "--trace"]).succeeds();
    assert_eq!(outcome.stderr.matches("WELCOME").count(), 3);
    aditi.download("a", &bytes);
}

#[test]
fn nothing_is_left_of_an_upload_whose_file_changes_while_its_xors_are_made() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies).with("Redundancy parity");
    let bytes = noise(1, 24 << 20);
    aditi.put("a", &bytes);
    // Whichever piece it was, the first bytes of one have been read by then.
    proxies[2].fail_after(Way::Up, 300_000, Fault::Silence);
    let upload = aditi.start(&["Upload", "a"]);
    proxies[2].wait_for_the_fault();
    let file = File::options().write(true).open(aditi.files().join("a")).unwrap();
    for offset in [0, 6 << 20, 12 << 20, 18 << 20] {
        file.write_all_at(&[!bytes[offset]], offset as u64).unwrap();
    }
    proxies[2].heal();
    upload.finish().fails_with(1).complains_of("changed while it was read");
    assert!(cluster.unsettled().is_empty(), "{:?}", cluster.unsettled());
}

#[test]
fn a_server_that_dies_while_pieces_or_xors_are_sent_is_replaced() {
    // A piece has 6 MiB, and an XOR follows it.
    let bytes = noise(1, 24 << 20);
    for sent in [1 << 20, 8 << 20] {
        let mut cluster = Cluster::quick(4);
        let proxies = cluster.proxies();
        let aditi = cluster.client_through("Aditi", &proxies).with("Redundancy parity");
        aditi.put("a", &bytes);
        proxies[1].fail_after(Way::Up, sent, Fault::Silence);
        let upload = aditi.start(&["Upload", "a"]);
        proxies[1].wait_for_the_fault();
        cluster.stop(2);
        proxies[1].heal();
        upload.finish().succeeds().complains_of("Server2").complains_of("only one server may be lost");
        for lost in [1, 3, 4] {
            cluster.stop(lost);
            client(&cluster).download("a", &bytes);
            cluster.start(lost);
        }
    }
}

#[test]
fn a_connection_that_is_cut_while_an_xor_is_sent_is_made_again_and_any_two_servers_may_be_lost() {
    let bytes = noise(1, 24 << 20);
    let mut cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies).with("Redundancy parity");
    aditi.put("a", &bytes);
    proxies[1].fail_after(Way::Up, 9 << 20, Fault::HangUp);
    aditi.run(&["Upload", "a"]).succeeds();
    assert!((1..=8).all(|piece| cluster.holders("a", piece).len() == 1));
    client(&cluster).run(&["Verify", "--read"]).succeeds();
    for up in subsets(4).filter(|up| up.len() == 2) {
        cluster.run_only(&up);
        client(&cluster).download("a", &bytes);
    }
}
