//! What an eavesdropper or a thief of a disk can see, and how many bytes are sent.

use crate::common::cluster::password;
use crate::common::{Cluster, Proxy, Way, disk, noise};
use std::collections::HashSet;

/// So long that 16 equal bytes are no accident.
const BLOCK: usize = 16;

#[test]
fn no_plain_text_and_no_password_is_on_the_wire_or_on_a_disk() {
    let cluster = Cluster::of(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    let text = sentences(300_000);
    aditi.put("diary.txt", &text);
    aditi.pipe("Upload diary.txt\nShowFiles\nDownload diary.txt\n").succeeds();
    aditi.has_downloaded("diary.txt", &text);

    let blocks: HashSet<&[u8]> = text.chunks_exact(BLOCK).collect();
    for (place, bytes) in wire(&proxies).chain(disks(&cluster)) {
        let leak = bytes.windows(BLOCK).find(|window| blocks.contains(window));
        let leak = leak.map(String::from_utf8_lossy);
        assert_eq!(leak, None, "plain text {place}");
        for form in forms_of(&password("Aditi")) {
            let found = bytes.windows(form.len()).any(|w| w == form.as_bytes());
            assert!(!found, "the password as {form} {place}");
        }
    }
}

/// Text in which every block is different from every other.
fn sentences(len: usize) -> Vec<u8> {
    let lines = (0..).flat_map(|i| format!("Day {i}: dear diary, day {i} was fine.\n").into_bytes());
    lines.take(len).collect()
}

/// A password as it is and as it would look in the usual disguises.
fn forms_of(password: &str) -> [String; 3] {
    let hex = password.bytes().map(|b| format!("{b:02x}")).collect();
    // "Aditi@123" in base64, which is easy to look up and not worth a dependency.
    assert_eq!(password, "Aditi@123");
    [password.to_string(), hex, "QWRpdGlAMTIz".to_string()]
}

fn wire(proxies: &[Proxy]) -> impl Iterator<Item = (String, Vec<u8>)> {
    (1..).zip(proxies).flat_map(|(n, proxy)| {
        [Way::Up, Way::Down].map(|way| (format!("on the wire of Server{n}, {way:?}"), proxy.recorded(way)))
    })
}

fn disks(cluster: &Cluster) -> impl Iterator<Item = (String, Vec<u8>)> {
    let files = disk::tree(&cluster.root());
    let said = |(name, bytes)| (format!("in the servers' {name}"), bytes);
    files.into_iter().map(said)
}

#[test]
fn a_recording_of_the_log_in_does_not_repeat_itself() {
    let cluster = Cluster::of(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    let mut recordings = HashSet::new();
    for _ in 0..2 {
        proxies.iter().for_each(Proxy::forget);
        aditi.run(&["ShowFiles"]).succeeds();
        assert!(recordings.insert(proxies[0].recorded(Way::Up)));
    }
}

#[test]
fn the_same_file_twice_gives_different_pieces() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = vec![0; 40_000];
    aditi.put("a", &bytes);
    aditi.put("b", &bytes);
    aditi.pipe("Upload a\nUpload b\n").succeeds();
    let a = std::fs::read(cluster.piece_file(cluster.holders("a", 1)[0], "a", 1)).unwrap();
    let b = std::fs::read(cluster.piece_file(cluster.holders("b", 1)[0], "b", 1)).unwrap();

    // Not even two blocks of zeros within one piece look the same.
    let mut seen = HashSet::new();
    let tail = |piece: Vec<u8>| piece[piece.len() - 9_600..].to_vec();
    let (a, b) = (tail(a), tail(b));
    for block in a.chunks_exact(BLOCK).chain(b.chunks_exact(BLOCK)) {
        assert!(seen.insert(block), "a block of ciphertext occurs twice");
    }
}

#[test]
fn a_download_fetches_each_byte_once() {
    let cluster = Cluster::quick(4);
    let bytes = noise(1, 4 << 20);
    let uploader = cluster.client("Aditi");
    uploader.upload("a", &bytes);

    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.download("a", &bytes);
    is_within_ten_percent(total(&proxies, Way::Down), bytes.len());
}

#[test]
fn an_upload_sends_each_byte_once_for_each_copy() {
    let cluster = Cluster::quick(4);
    let bytes = noise(1, 4 << 20);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("a", &bytes);
    is_within_ten_percent(total(&proxies, Way::Up), 2 * bytes.len());
}

#[test]
fn a_listing_does_not_fetch_the_files() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("a", &noise(1, 4 << 20));
    proxies.iter().for_each(Proxy::forget);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    assert!(total(&proxies, Way::Down) < 100_000);
}

fn total(proxies: &[Proxy], way: Way) -> usize {
    proxies.iter().map(|proxy| proxy.recorded(way).len()).sum()
}

#[track_caller]
fn is_within_ten_percent(travelled: usize, size: usize) {
    let limit = size + size / 10;
    assert!((size..=limit).contains(&travelled), "{travelled} bytes for {size}");
}
