//! Upload from standard input.

use crate::common::{Client, Cluster, Fault, Outcome, Way, disk, noise};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

/// More than is held in memory.
const LARGE: usize = (20 << 20) + 1;

/// Runs shell commands in which `Upload -` has these bytes as its standard input, from the file `input`.
#[track_caller]
fn with_input(client: &Client, bytes: &[u8], commands: &str) -> Outcome {
    fs::write(client.folder().join("input"), bytes).unwrap();
    fs::create_dir_all(client.folder().join("tmp")).unwrap();
    let outcome = client.shell(&format!("export TMPDIR=tmp; {commands}")).finish();
    assert!(disk::files_below(&client.folder().join("tmp")).is_empty(), "{outcome}");
    outcome
}

#[test]
fn standard_input_of_any_size_is_stored_with_the_umasks_mode_and_the_time() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    for (seed, size) in (1..).zip([0, 1, 100_000, 16 << 20, LARGE]) {
        let bytes = noise(seed, size);
        let before = seconds();
        let command = "umask 027; cat input | $client Upload - logs/2026/x";
        let outcome = with_input(&aditi, &bytes, command).succeeds();
        // What wrote to the pipe may have failed.
        let warning = "Client: warning: standard input was empty, and so is logs/2026/x\n";
        assert_eq!(outcome.stderr, if size == 0 { warning } else { "" });
        aditi.download("logs/2026/x", &bytes);
        let file = fs::metadata(aditi.downloads().join("logs/2026/x")).unwrap();
        assert_eq!(file.mode() & 0o7777, 0o640);
        assert!((before..=seconds()).contains(&file.mtime()), "{} after {before}", file.mtime());
    }
    cluster.has_equal_copies("logs/2026/x", 2);
    let shown = aditi.run(&["ShowFiles", "logs/2026", "-l"]).succeeds();
    assert!(shown.stdout.contains(&LARGE.to_string()), "{shown}");
}

#[test]
fn a_pipe_from_one_store_to_another() {
    let (cluster, other) = (Cluster::quick(4), Cluster::quick(3));
    let (aditi, elsewhere) = (cluster.client("Aditi"), other.client("Aditi"));
    let bytes = noise(1, LARGE);
    aditi.upload("a", &bytes);
    elsewhere.write_conf();
    let conf = elsewhere.folder().join(crate::common::client::CONF);
    let there = format!("{} files {}", crate::common::client::PROGRAM, conf.display());
    with_input(&aditi, b"", &format!("$client Cat a | {there} Upload - b")).succeeds();
    elsewhere.download("b", &bytes);
}

#[test]
fn what_stands_in_its_way_is_told_and_nothing_is_stored() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("in", b"in it");
    aditi.run(&["Upload", "in", "folder"]).succeeds();
    for (command, status, why) in [
        ("$client Upload - <input", 2, "standard input, which needs one name"),
        ("$client Upload - a b <input", 2, ""),
        ("$client Upload - a -u <input", 2, "-u"),
        ("$client Upload - a --delete <input", 2, "--delete"),
        ("$client Upload - ../a <input", 1, "bad name '../a'"),
        ("$client Upload - /a <input", 1, "bad name '/a'"),
        ("$client Upload - folder <input", 1, "a file and a folder cannot have the same name"),
        ("$client Upload - a <tmp", 1, "cannot read standard input (Is a directory"),
        ("echo 'Upload - a' | $client", 2, "Client files user.conf Upload - a"),
    ] {
        with_input(&aditi, b"bytes", command).fails_with(status).complains_of(why);
    }
    let large = noise(1, LARGE);
    let outcome = with_input(&aditi, &large, "TMPDIR=nowhere $client Upload - a <input").fails_with(1);
    outcome.complains_of("cannot keep standard input in 'nowhere' (").complains_of("hint: set TMPDIR");
    aditi.run(&["ShowFiles"]).succeeds().prints(&["folder/"]);

    // Only said; and without DIR.
    with_input(&aditi, b"", "$client Upload - a --to b -n").succeeds().prints(&["would upload b/a"]);
    let elsewhere = "echo there | ${client%% *} nowhere user.conf Upload - a --to b";
    with_input(&aditi, b"", elsewhere).succeeds();
    with_input(&aditi, b"", "$client Cat b/a").succeeds().prints(&["there"]);

    // A file of that name.
    aditi.put("-", b"dash");
    aditi.run(&["Upload", "./-"]).succeeds();
    aditi.download("-", b"dash");
}

#[test]
fn a_server_that_dies_while_it_is_stored_costs_a_copy_and_a_client_everything() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    let bytes = noise(1, LARGE);
    proxies[1].fail_after(Way::Up, 3 << 20, Fault::Cut);
    with_input(&aditi, &bytes, "$client Upload - a <input").succeeds();
    proxies[1].heal();
    aditi.download("a", &bytes);

    proxies[2].fail_after(Way::Up, 1 << 20, Fault::Silence);
    let upload = aditi.shell("TMPDIR=tmp exec $client Upload - a <input");
    proxies[2].wait_for_the_fault();
    upload.kill();
    proxies[2].heal();
    assert!(disk::files_below(&aditi.folder().join("tmp")).is_empty());
    aditi.download("a", &bytes);
}
