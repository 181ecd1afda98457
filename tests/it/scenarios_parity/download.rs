//! Downloads of files with parity: how much is read and from whom, and what goes wrong while pieces are made of others.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::common::process::wait_until;
use crate::common::{Client, Cluster, Fault, Outcome, Proxy, Trap, Way, disk, noise, subsets};
use shareit::client::{self, Destination, Found, Looked, Notice, Report, Terms};
use shareit::config::Config;
use shareit::name::{FolderPath, ServerName};
use shareit::peer::Direction;
use shareit::sealed::Header;

const CHUNK: usize = 64 * 1024;
/// With its nonce, as it travels.
const STORED_CHUNK: u64 = CHUNK as u64 + 12;
/// Four pieces of so many chunks: more than a window, of which each server gives some.
const ROWS: u64 = 160;
const LARGE: usize = 4 * ROWS as usize * CHUNK;

fn user(cluster: &Cluster) -> Client {
    cluster.client("Aditi").with("Redundancy parity")
}

/// Counts what a client reads, by server, and what it reports as done.
#[derive(Default)]
struct Counts {
    read: Mutex<BTreeMap<String, u64>>,
    done: AtomicU64,
}

impl Report for Counts {
    fn notice(&self, _: Notice) {}

    fn trace(&self, server: &ServerName, _: Direction, line: &str) {
        let mut words = line.split(' ');
        let length = (words.next() == Some("READ")).then(|| words.nth(4)).flatten();
        let chunks = length.map_or(0, |length| length.parse::<u64>().unwrap() / STORED_CHUNK);
        *self.read.lock().unwrap().entry(server.as_str().to_owned()).or_default() += chunks;
    }

    fn progress(&self, progress: client::Progress) {
        self.done.fetch_add(progress.done, Ordering::Relaxed);
    }
}

impl Counts {
    /// How many chunks each server was asked for, the least first.
    fn read(&self) -> Vec<u64> {
        let mut read: Vec<u64> = self.read.lock().unwrap().values().copied().collect();
        read.sort_unstable();
        read
    }
}

/// A client in this process, and what it counts.
fn counting(aditi: &Client) -> (client::Client, Arc<Counts>) {
    let counts = Arc::<Counts>::default();
    let config = Config::parse(&aditi.conf).unwrap();
    (client::Client::launch(config, None, counts.clone()).unwrap(), counts)
}

fn looked(client: &mut client::Client) -> Looked {
    match client.find("a").unwrap() {
        Found::File(file) => *file,
        Found::Below(_) => panic!("a is no folder"),
    }
}

/// Downloads `a` and returns what was read and done.
fn download_counted(aditi: &Client, bytes: &[u8]) -> Arc<Counts> {
    let (mut client, counts) = counting(aditi);
    aditi.forget_downloads();
    let to = Destination::new(aditi.downloads(), FolderPath::root());
    let file = looked(&mut client);
    client.download_looked(file, Terms::new(&to)).unwrap();
    aditi.has_downloaded("a", bytes);
    counts
}

#[test]
fn four_pieces_are_read_whichever_servers_are_away_and_each_byte_of_the_file_counts_once() {
    let mut cluster = Cluster::quick(4);
    let aditi = user(&cluster);
    let bytes = noise(1, LARGE);
    aditi.upload("a", &bytes);
    for up in subsets(4).filter(|up| up.len() >= 2) {
        cluster.run_only(&up);
        let counts = download_counted(&aditi, &bytes);
        let expected: &[u64] = match up.len() {
            4 => &[ROWS; 4],
            // Both neighbours of the one that is away have an XOR of its piece.
            3 => &[ROWS, ROWS * 3 / 2, ROWS * 3 / 2],
            _ => &[2 * ROWS; 2],
        };
        assert_eq!(counts.read(), expected, "with {up:?}");
        assert_eq!(counts.done.load(Ordering::Relaxed), LARGE as u64, "with {up:?}");
    }
}

#[test]
fn of_more_than_four_servers_it_is_the_same() {
    let mut cluster = Cluster::quick(6);
    let aditi = user(&cluster);
    let bytes = noise(1, LARGE / 8);
    aditi.upload("a", &bytes);
    for up in subsets(6).filter(|up| up.len() == 4) {
        cluster.run_only(&up);
        let counts = download_counted(&aditi, &bytes);
        assert_eq!(counts.read().iter().sum::<u64>(), 4 * ROWS / 8, "with {up:?}");
        assert_eq!(counts.done.load(Ordering::Relaxed), LARGE as u64 / 8, "with {up:?}");
    }
}

#[test]
fn cat_writes_each_byte_whichever_servers_are_away_and_reads_none_of_a_small_file_twice() {
    let mut cluster = Cluster::quick(4);
    let aditi = user(&cluster);
    for rows in [ROWS / 2, ROWS] {
        let bytes = noise(rows, 4 * rows as usize * CHUNK);
        aditi.upload("a", &bytes);
        for up in subsets(4).filter(|up| up.len() >= 2) {
            cluster.run_only(&up);
            let (mut client, counts) = counting(&aditi);
            let mut out = Vec::new();
            let file = looked(&mut client);
            client.cat(file, &mut out).unwrap();
            assert!(out == bytes, "{rows} rows, with {up:?}");
            assert_eq!(counts.done.load(Ordering::Relaxed), bytes.len() as u64, "with {up:?}");
            if rows < ROWS || up.len() == 4 {
                assert_eq!(counts.read().iter().sum::<u64>(), 4 * rows, "with {up:?}");
            }
        }
        cluster.run_all();
    }
}

/// Turns a bit over in one chunk of a piece, wherever that is. Done twice, it is undone.
fn damage(cluster: &Cluster, piece: usize, chunk: u64) {
    let [holder] = cluster.holders("a", piece)[..] else { panic!("not one holder") };
    cluster.edit_piece(holder, "a", piece, |bytes| {
        let body = Header::decode(bytes).unwrap().layout().body.start;
        bytes[(body + chunk * STORED_CHUNK) as usize + 100] ^= 1;
    });
}

fn holder(cluster: &Cluster, piece: usize) -> usize {
    cluster.holders("a", piece)[0]
}

#[test]
fn damage_in_different_chunks_of_several_pieces_is_borne_while_a_server_is_away() {
    let mut cluster = Cluster::quick(4);
    let aditi = user(&cluster);
    // Eight chunks in each piece.
    let bytes = noise(1, 32 * CHUNK);
    aditi.upload("a", &bytes);
    let away = holder(&cluster, 1);
    // In each row one piece, or both of one server.
    let bad = [(2, 0), (3, 1), (4, 2), (6, 3), (7, 4), (8, 5), (2, 6), (6, 6), (4, 7), (8, 7)];
    bad.iter().for_each(|(piece, chunk)| damage(&cluster, *piece, *chunk));
    cluster.stop(away);
    for command in ["Download a", "Cat a >out"] {
        let outcome = aditi.shell(&format!("exec $client {command}")).finish().succeeds();
        outcome.complains_of("a: the copy of piece 2 on ").complains_of("is bad (sent damaged bytes)");
    }
    aditi.has_downloaded("a", &bytes);
    assert!(fs::read(aditi.folder().join("out")).unwrap() == bytes);
}

#[test]
fn of_a_chunk_that_cannot_be_made_the_piece_and_all_who_failed_are_named() {
    let mut cluster = Cluster::quick(4);
    let aditi = user(&cluster);
    let bytes = noise(1, 32 * CHUNK);
    aditi.upload("a", &bytes);
    // Of P3 there are also Q1, on the server that is away, and Q2.
    let [away, of_p3, of_q2] = [1, 3, 6].map(|piece| holder(&cluster, piece));
    damage(&cluster, 3, 5);
    damage(&cluster, 6, 5);
    cluster.stop(away);
    let outcome = aditi.download_is_incomplete("a");
    let outcome = outcome.complains_of("piece 3 missing").complains_of(&format!("Server{away}: refused"));
    let outcome = outcome.complains_of(&format!("Server{of_p3}: sent damaged bytes"));
    let outcome = outcome.complains_of(&format!("Server{of_q2}: sent damaged bytes for piece 6"));
    for piece in [1, 2, 4] {
        assert!(!outcome.stderr.contains(&format!("piece {piece} missing")), "{outcome}");
    }
    let outcome = aditi.run(&["Cat", "a"]).fails_with(1);
    outcome.complains_of("piece 3 missing").does_not_complain_of("piece 2 missing");
    damage(&cluster, 6, 5);
    aditi.download("a", &bytes);
}

#[test]
fn a_server_that_is_lost_while_pieces_are_made_of_others_costs_nothing() {
    let bytes = noise(1, LARGE / 2);
    let mut cluster = Cluster::quick(4);
    user(&cluster).upload("a", &bytes);
    // To wait for one that is silent takes long.
    for (fault, all_away) in [(Fault::HangUp, 1..=4), (Fault::Cut, 1..=4), (Fault::Silence, 2..=2)] {
        for away in all_away {
            cluster.run_all();
            cluster.stop(away);
            let proxies = cluster.proxies();
            let aditi = cluster.client_through("Aditi", &proxies);
            let dying = away % 4 + 1;
            proxies[dying - 1].fail_after(Way::Down, 3 << 20, fault);
            aditi.download("a", &bytes);
            // A line that is good again has no fault any more.
            assert_eq!(proxies[dying - 1].has_failed(), fault != Fault::HangUp, "{fault:?}");
        }
    }
}

/// A file with two servers away, and proxies that count together.
fn with_two_away() -> (Cluster, Vec<Proxy>, Client, Vec<u8>) {
    let mut cluster = Cluster::quick(4);
    let bytes = noise(1, LARGE);
    user(&cluster).upload("a", &bytes);
    cluster.stop(holder(&cluster, 2));
    cluster.stop(holder(&cluster, 3));
    let proxies = cluster.proxies_together();
    let aditi = cluster.client_through("Aditi", &proxies);
    (cluster, proxies, aditi, bytes)
}

#[test]
fn a_connection_that_is_cut_is_made_again_where_no_other_server_could_help() {
    let (_cluster, proxies, aditi, bytes) = with_two_away();
    // Either of the two that each server has by then.
    for _ in 0..4 {
        proxies[0].trap("READ", Trap::Cut);
        aditi.download("a", &bytes);
        assert!(proxies[0].has_sprung());
    }
    for part in [8, 4, 2] {
        proxies[0].forget();
        proxies[0].fail_after(Way::Down, LARGE / part, Fault::HangUp);
        aditi.download("a", &bytes);
    }
}

#[test]
fn a_download_with_two_servers_away_that_loses_another_goes_on_when_that_is_back() {
    let (_cluster, proxies, aditi, bytes) = with_two_away();
    proxies[0].fail_after(Way::Down, LARGE * 3 / 4, Fault::Cut);
    let outcome = aditi.run(&["Download", "a"]).fails_with(4);
    outcome.complains_of("what has arrived is kept");
    proxies[0].heal();
    aditi.run(&["Download", "a"]).succeeds().complains_of("are here already");
    aditi.has_downloaded("a", &bytes);
    assert_eq!(disk::files_below(&aditi.downloads()), ["a"]);
}

#[test]
fn a_download_with_two_servers_away_that_was_killed_goes_on_with_what_is_proved() {
    let (mut cluster, proxies, aditi, bytes) = with_two_away();
    proxies[0].fail_after(Way::Down, LARGE * 3 / 4, Fault::Silence);
    let download = aditi.start(&["Download", "a"]);
    proxies[0].wait_for_the_fault();
    let has_some = || {
        let drafts = disk::files_below(&aditi.downloads());
        let drafts = drafts.iter().map(|draft| fs::read(aditi.downloads().join(draft)).unwrap());
        let same = |draft: Vec<u8>| {
            let chunks = draft.chunks(CHUNK).zip(bytes.chunks(CHUNK));
            chunks.filter(|(one, other)| one == other).count()
        };
        drafts.map(same).sum::<usize>() >= ROWS as usize
    };
    wait_until("what came through is written", has_some);
    download.kill();
    proxies[0].heal();
    cluster.wait_until_all_left();
    aditi.run(&["Download", "a"]).succeeds().complains_of("are here already");
    aditi.has_downloaded("a", &bytes);

    // And with all servers, of which each knows what it has.
    aditi.forget_downloads();
    proxies[0].fail_after(Way::Down, LARGE * 3 / 4, Fault::Cut);
    aditi.run(&["Download", "a"]).fails_with(4);
    proxies[0].heal();
    cluster.run_all();
    let all = user(&cluster);
    let found = disk::files_below(&aditi.downloads()).remove(0);
    fs::create_dir_all(all.downloads()).unwrap();
    fs::copy(aditi.downloads().join(&found), all.downloads().join(&found)).unwrap();
    all.run(&["Download", "a"]).succeeds().complains_of("are here already");
    all.has_downloaded("a", &bytes);
}

#[test]
fn a_download_with_two_servers_away_to_a_disk_without_room_blames_no_server() {
    let (_cluster, proxies, aditi, _) = with_two_away();
    proxies[0].trap("READ", Trap::Hold);
    let download = aditi.shell("trap '' XFSZ; exec $client Download a");
    proxies[0].wait_for_the_trap();
    // The file has its size by now; from here on no write goes beyond this.
    let room = LARGE as u64 / 2;
    let limit = Rlimit { current: Some(room), maximum: Some(room) };
    prlimit(Pid::from_raw(download.id().cast_signed()), Resource::Fsize, limit).unwrap();
    proxies[0].release();
    let outcome = download.finish().fails_with(1).complains_of("a' (file too large");
    only_two_are_blamed(&outcome);
    aditi.has_no_downloads();
    let outcome = aditi.shell("exec $client Cat a >/dev/full").finish().fails_with(1);
    only_two_are_blamed(&outcome.complains_of("No space left"));
    let outcome = aditi.shell("$client Cat a | head -c 100 | wc -c").finish();
    assert_eq!(outcome.lines(), ["100"]);
}

#[track_caller]
fn only_two_are_blamed(outcome: &Outcome) {
    assert_eq!(outcome.stderr.matches(" is down").count(), 2, "{outcome}");
    assert!(!outcome.stderr.contains("incomplete"), "{outcome}");
}
