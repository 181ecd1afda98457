//! Cat: a file's bytes on standard output, whatever happens to its servers and to the file itself.

use crate::common::process::signal;
use crate::common::{Client, Cluster, Fault, Outcome, Trap, Way, as_seen, noise};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::symlink;

const CHUNK: usize = 64 * 1024;
/// Of several windows, even on a fast machine.
const LARGE: usize = 48 << 20;
/// More than the first window.
const MEDIUM: usize = 12 << 20;

/// Runs `Cat` with these arguments; what it writes, and how it ends.
#[track_caller]
fn cat(client: &Client, arguments: &str) -> (Vec<u8>, Outcome) {
    let outcome = client.shell(&format!("exec $client Cat {arguments} >out")).finish();
    (written(client), outcome)
}

fn written(client: &Client) -> Vec<u8> {
    fs::read(client.folder().join("out")).unwrap()
}

/// The output is exactly these bytes.
#[track_caller]
fn is(found: &[u8], bytes: &[u8]) {
    let same = found.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    let (length, expected) = (found.len(), bytes.len());
    assert!(found == bytes, "{length} bytes for {expected}, different from byte {same} on");
}

#[test]
fn files_of_all_sizes_follow_one_another_byte_for_byte() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let sizes = [0, 1, 3, 5, CHUNK, 4 * CHUNK + 1, (1 << 20) + 7, MEDIUM + 3];
    let files: Vec<Vec<u8>> = (1..).zip(sizes).map(|(seed, size)| noise(seed, size)).collect();
    for (n, bytes) in files.iter().enumerate() {
        aditi.put(&format!("folder/{n} of them"), bytes);
    }
    aditi.run(&["Upload", "folder"]).succeeds();
    let names: Vec<String> = (0..files.len()).map(|n| format!("'folder/{n} of them'")).collect();
    let (found, outcome) = cat(&aditi, &names.join(" "));
    assert_eq!(outcome.succeeds().stderr, "");
    is(&found, &files.concat());
    let (found, outcome) = cat(&aditi, "'folder/*' 'folder/1*' 'folder/1 of them'");
    outcome.succeeds();
    is(&found, &[&files.concat()[..], &files[1], &files[1]].concat());
    // From a pipe of commands.
    aditi.put("poem", b"roses\n");
    aditi.pipe("Upload poem\nCat poem poem\nShowFiles poem\n").succeeds().prints(&["roses", "roses", "poem"]);
}

#[test]
fn what_cannot_be_written_is_told_and_the_rest_is_written() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("holiday/sea", b"sea");
    symlink("sea", aditi.files().join("holiday/link")).unwrap();
    aditi.run(&["Upload", "holiday"]).succeeds();
    aditi.upload("lost", b"lost");
    aditi.upload("b", b"b\n");
    for piece in 1..=4 {
        for n in cluster.holders("lost", piece) {
            fs::remove_file(cluster.piece_file(n, "lost", piece)).unwrap();
        }
    }
    for (name, why) in [
        ("lost", "not found: 'lost'"),
        ("nothing", "not found: 'nothing'"),
        ("holiday", "'holiday' is a folder"),
        ("holiday/", "bad name 'holiday/'"),
        ("holiday/link", "'holiday/link' is a link to 'sea', which is not followed"),
    ] {
        let (found, outcome) = cat(&aditi, &format!("{name} b"));
        outcome.fails_with(1).complains_of(why).complains_of("hint: ");
        is(&found, b"b\n");
    }
    aditi.run(&["Cat"]).fails_with(2).complains_of("NAME is missing");

    // Two neighbours are down: one piece of each file is missing, of one file or another.
    aditi.upload("a", b"first");
    cluster.run_only(&[1, 3]);
    let whole: Vec<u8> = [("a", "first"), ("b", "b\n")]
        .into_iter()
        .filter(|(name, _)| cluster.copies_on(&[1, 3], name) > 0)
        .flat_map(|(_, bytes)| bytes.bytes())
        .collect();
    let (found, outcome) = cat(&aditi, "a b");
    is(&found, &whole);
    assert_eq!(outcome.status, i32::from(whole != b"firstb\n"), "{outcome}");
    cluster.run_only(&[]);
    cat(&aditi, "a b").1.fails_with(4);
}

#[test]
fn a_file_without_one_of_its_pieces_is_not_begun_and_the_next_is_written() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 300_000));
    aditi.upload("b", b"b");
    for n in cluster.holders("a", 4) {
        fs::remove_file(cluster.piece_file(n, "a", 4)).unwrap();
    }
    let (found, outcome) = cat(&aditi, "a b");
    outcome.fails_with(1).complains_of("cannot rebuild a [incomplete]: piece 4 missing");
    is(&found, b"b");
}

#[test]
fn a_server_that_dies_or_falls_silent_in_the_middle_costs_nothing() {
    for fault in [Fault::Cut, Fault::HangUp, Fault::Silence] {
        let cluster = Cluster::quick(4);
        let bytes = noise(1, MEDIUM);
        cluster.client("Aditi").upload("a", &bytes);
        let proxies = cluster.proxies();
        let aditi = cluster.client_through("Aditi", &proxies);
        // The first pieces that are needed are on its first holder and its neighbour.
        let n = cluster.holders("a", 1)[0];
        proxies[n - 1].fail_after(Way::Down, 700_000, fault);
        let (found, outcome) = cat(&aditi, "a");
        outcome.succeeds();
        is(&found, &bytes);
    }
}

#[test]
fn wrong_bytes_come_from_another_holder_even_if_each_has_some() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, MEDIUM);
    aditi.upload("a", &bytes);
    let mut bad = 0;
    for piece in 1..=4 {
        let [one, other] = cluster.holders("a", piece)[..] else { panic!("not two holders") };
        // Two thirds of the body, so that chunks of most windows are wrong; and the last bytes on the other one.
        cluster.edit_piece(one, "a", piece, |piece| {
            let end = piece.len() * 2 / 3;
            (CHUNK / 2..end).step_by(CHUNK).for_each(|at| piece[at] ^= 1);
        });
        cluster.edit_piece(other, "a", piece, |piece| {
            let end = piece.len() * 9 / 10;
            piece[end] ^= 1;
        });
        bad += 2;
    }
    let (found, outcome) = cat(&aditi, "a");
    let warnings = outcome.stderr.matches("is bad (sent damaged bytes)").count();
    assert!((4..=bad).contains(&warnings), "{outcome}");
    outcome.succeeds();
    is(&found, &bytes);
}

#[test]
fn no_byte_comes_after_one_that_no_server_has() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, MEDIUM);
    aditi.upload("a", &bytes);
    aditi.upload("b", b"next");
    for n in cluster.holders("a", 3) {
        cluster.corrupt_piece(n, "a", 3);
    }
    let (found, outcome) = cat(&aditi, "a b");
    let outcome = outcome.fails_with(1).complains_of("cannot rebuild a [incomplete]: piece 3 missing");
    let beginning = found.strip_suffix(b"next").unwrap();
    assert!(beginning.len() <= MEDIUM / 4 * 3, "{} bytes", beginning.len());
    is(beginning, &bytes[..beginning.len()]);
    let first = format!("a: only the first {} of {MEDIUM} bytes were written", beginning.len());
    assert_eq!(outcome.stderr.contains(&first), !beginning.is_empty(), "{outcome}");
}

#[test]
fn a_file_that_is_replaced_before_its_first_byte_is_the_newer_one() {
    let cluster = Cluster::quick(4);
    let other = cluster.client("Aditi");
    other.upload("a", &noise(1, MEDIUM));
    let proxies = cluster.proxies_together();
    let aditi = cluster.client_through("Aditi", &proxies);
    proxies[0].trap("READ", Trap::Hold);
    let reading = aditi.shell("exec $client Cat a >out");
    proxies[0].wait_for_the_trap();
    other.upload("a", b"newer");
    proxies[0].release();
    reading.finish().succeeds();
    is(&written(&aditi), b"newer");
}

#[test]
fn a_file_that_is_replaced_or_deleted_in_the_middle_is_not_taken_for_whole() {
    for args in [["Upload", "a"], ["Delete", "a"]] {
        let cluster = Cluster::quick(4);
        let other = cluster.client("Aditi");
        let bytes = noise(1, LARGE);
        other.upload("a", &bytes);
        other.put("a", b"newer");
        let proxies = cluster.proxies_together();
        let aditi = cluster.client_through("Aditi", &proxies);
        proxies[0].fail_after(Way::Down, 3 << 20, Fault::Silence);
        let reading = aditi.shell("exec $client Cat a >out");
        proxies[0].wait_for_the_fault();
        other.run(&args).succeeds();
        proxies[0].heal();
        let outcome = reading.finish().fails_with(1);
        let found = written(&aditi);
        assert!(!found.is_empty() && found.len() < LARGE, "{} bytes: {outcome}", found.len());
        is(&found, &bytes[..found.len()]);
        outcome
            .complains_of("error: a was replaced or deleted while it was read")
            .complains_of(&format!("only the first {} of {LARGE} bytes", found.len()));
    }
}

#[test]
fn memory_does_not_grow_with_the_file() {
    const HUGE: usize = 144 << 20;
    let cluster = Cluster::quick(4);
    cluster.client("Aditi").upload("a", &noise(1, HUGE));
    let proxies = cluster.proxies_together();
    let aditi = cluster.client_through("Aditi", &proxies);
    proxies[0].fail_after(Way::Down, HUGE - (1 << 20), Fault::Silence);
    let reading = aditi.shell("exec $client Cat a >out");
    proxies[0].wait_for_the_fault();
    // Two windows, and what any command needs.
    let peak = reading.peak_memory();
    assert!(peak < 100 << 20, "{} MiB", peak >> 20);
    reading.kill();
}

#[test]
fn a_reader_that_has_enough_ends_it() {
    let cluster = Cluster::quick(4);
    cluster.client("Aditi").upload("a", &noise(1, LARGE));
    let proxies = cluster.proxies_together();
    let aditi = cluster.client_through("Aditi", &proxies);
    let outcome = aditi.shell("{ $client Cat a; echo $? >status; } | head -c 10 >out").finish();
    outcome.complains_of("Client: error: cannot write results (Broken pipe (os error 32))");
    assert_eq!(fs::read_to_string(aditi.folder().join("status")).unwrap(), "1\n");
    is(&written(&aditi), &noise(1, LARGE)[..10]);
}

#[test]
fn a_killed_reader_of_a_silent_server_leaves_no_process() {
    let cluster = Cluster::quick(4);
    cluster.client("Aditi").upload("a", &noise(1, MEDIUM));
    let proxies = cluster.proxies_together();
    let aditi = cluster.client_through("Aditi", &proxies);
    proxies[0].fail_after(Way::Down, 2 << 20, Fault::Silence);
    let reading = aditi.shell("exec $client Cat a >out");
    proxies[0].wait_for_the_fault();
    signal(reading.id(), Signal::INT);
    assert_ne!(reading.finish().status, 0);
}

#[test]
fn a_terminal_gets_the_text_and_nothing_else() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("poem", b"roses are red\nviolets\n");
    let Some(session) = aditi.on_terminal(80, "$client Cat poem") else { return };
    let shown = session.finish().succeeds().stdout;
    assert_eq!(as_seen(&shown), ["roses are red", "violets", ""]);
}
