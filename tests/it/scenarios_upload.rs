//! What an Upload of a whole tree takes along, what it leaves out, and what it says about that.

use crate::common::process::run;
use crate::common::{Client, Cluster, as_seen, noise};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes this many FIFOs in a folder of DIR: nobody can store them.
fn fifos(aditi: &Client, folder: &str, count: usize) {
    let names = (1..=count).map(|n| aditi.files().join(folder).join(format!("fifo{n}")));
    run(Command::new("mkfifo").args(names), "").succeeds();
}

#[track_caller]
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

#[test]
fn what_is_left_out_is_in_the_last_line_and_the_reasons_are_above() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    for n in 0..3 {
        aditi.put(&format!("t/{n}"), b"1234");
    }
    fifos(&aditi, "t", 25);
    let outcome = aditi.run(&["Upload", "t"]).fails_with(1).prints(&[]);
    assert_eq!(
        last_line(&outcome.stderr),
        "Client: warning: 3 files stored, 25 left out (12 B)",
        "{outcome}"
    );
    assert_eq!(outcome.stderr.matches("Client: error: skipped '").count(), 20, "{outcome}");
    assert!(outcome.stderr.contains("error: 5 more skipped (neither a file nor a folder)"), "{outcome}");
    aditi.put("t/1", b"12345");
    let outcome = aditi.run(&["Upload", "-u", "-q", "t"]).fails_with(1);
    let expected = "Client: warning: 1 file stored, 2 unchanged, 25 left out (5 B)";
    assert_eq!(last_line(&outcome.stderr), expected, "{outcome}");
    let Some(session) = aditi.on_terminal(80, "$client Upload -u t") else { return };
    let seen = as_seen(&session.finish().exits(1).stdout).join("\n");
    assert_eq!(last_line(seen.trim_end()), "0 files stored, 3 unchanged, 25 left out", "{seen}");
}

#[test]
fn a_tree_that_is_stored_whole_says_so_on_a_terminal_alone() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    aditi.put("t/a", b"1234");
    aditi.put("t/b", b"1234");
    let outcome = aditi.run(&["Upload", "t"]).succeeds().prints(&[]);
    assert_eq!(outcome.stderr, "", "{outcome}");
    let Some(session) = aditi.on_terminal(80, "$client Upload t; $client Upload t/a") else { return };
    let seen = as_seen(&session.finish().succeeds().stdout).join("\n");
    let seen = seen.trim_end();
    assert!(seen.contains("uploaded t/a (4 B)\nuploaded t/b (4 B)\n2 files stored (8 B)\n"), "{seen}");
    assert_eq!(last_line(seen), "uploaded a (4 B)", "{seen}");
}

#[test]
fn unchanged_files_are_counted_and_listed_only_when_asked_for() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    aditi.put("t/a", b"1234");
    aditi.put("t/b", b"1234");
    aditi.run(&["Upload", "t"]).succeeds();
    aditi.put("t/b", b"12345");
    aditi.run(&["Upload", "-u", "-l", "t"]).succeeds().prints(&["unchanged t/a", "uploaded t/b (5 B)"]);
    let Some(session) = aditi.on_terminal(80, "$client Upload -u t") else { return };
    let seen = as_seen(&session.finish().succeeds().stdout).join("\n");
    assert!(!seen.contains("unchanged t/a"), "{seen}");
    assert_eq!(last_line(seen.trim_end()), "0 files stored, 2 unchanged", "{seen}");
}

#[test]
fn a_warning_that_is_the_same_for_many_files_is_one_with_a_count() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for n in 0..12 {
        aditi.put(&format!("t/{n}"), &noise(n, 40));
    }
    cluster.run_only(&[1]);
    let outcome = aditi.run(&["Upload", "t"]).succeeds();
    let stored = "stored with 1 of 2 copies; run Repair when the servers are back";
    assert_eq!(outcome.stderr.matches(stored).count(), 2, "{outcome}");
    let first = format!("Client: warning: t/0: {stored}\n");
    let rest = format!("Client: warning: the same for 11 more files: {stored}\n");
    assert!(outcome.stderr.contains(&first) && outcome.stderr.ends_with(&rest), "{outcome}");
    let outcome = aditi.run(&["Delete", "-r", "t"]).fails_with(4);
    assert_eq!(outcome.stderr.matches("missed the delete").count(), 2, "{outcome}");
    outcome.complains_of("the same for 11 more files: Server2, Server3 and Server4 missed the delete");
}

#[test]
fn a_file_that_the_kernel_makes_up_is_stored_with_what_is_in_it() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    // By their metadata, the first has no bytes, the second 4096.
    let made_up = ["/proc/sys/kernel/ostype", "/sys/kernel/mm/transparent_hugepage/enabled"];
    for path in made_up.map(Path::new) {
        let Ok(bytes) = fs::read(path) else {
            eprintln!("not tested: {} is missing", path.display());
            continue;
        };
        assert_ne!(path.metadata().unwrap().len(), bytes.len() as u64);
        let outcome = aditi.run(&["Upload", path.to_str().unwrap()]).succeeds();
        assert_eq!(outcome.stderr, "", "{outcome}");
        aditi.download(path.file_name().unwrap().to_str().unwrap(), &bytes);
    }
}
