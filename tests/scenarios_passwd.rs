//! A new password, and uploads of what has changed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::client::{CONF, PROGRAM};
use common::process::run;
use common::{Cluster, disk, noise};
use std::process::Command;

#[test]
fn a_new_password_opens_all_that_the_old_one_did_and_the_old_one_nothing() {
    let cluster = Cluster::of(4);
    let mut aditi = cluster.client("Aditi");
    let bytes = noise(1, 300_000);
    aditi.upload("a", &bytes);
    aditi.put("d/b", &bytes);
    aditi.put("gone", b"gone");
    aditi.pipe("Upload d\nUpload gone\nDelete gone\nPasswd\nnew pass word\n").succeeds();

    aditi.run(&["ShowFiles"]).fails_with(3).complains_of("Invalid username or password");
    let old = aditi.conf.clone();
    aditi.conf = old.replace("Aditi@123", "new pass word");
    assert_ne!(aditi.conf, old);
    aditi.pipe("ShowFiles\nVerify -r\n").succeeds().prints(&["a", "d/"]);
    aditi.download("a", &bytes);
    aditi.download("d/b", &bytes);
    cluster.has_equal_copies("a", 2);
}

#[test]
fn the_conf_gets_the_new_password_and_keeps_the_rest() {
    let cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi").with("# mine").with("Replicas 2");
    aditi.pipe("Passwd\nanother\n").succeeds();
    let rewritten = std::fs::read_to_string(aditi.folder().join(CONF)).unwrap();
    assert_eq!(rewritten, aditi.conf.replace("Aditi@123", "another"));
}

#[test]
fn a_new_password_needs_every_server() {
    let mut cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    cluster.stop(3);
    aditi.pipe("Passwd\nanother\n").fails_with(4).complains_of("Server3");
    cluster.start(3);
    aditi.download("a", b"a");
}

#[test]
fn the_line_of_a_password_that_cannot_be_changed_is_no_command() {
    let mut cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    cluster.stop(2);
    let outcome = aditi.pipe("Passwd\nanother\nShowFiles\n").fails_with(4);
    outcome.complains_of("every server is needed").does_not_complain_of("another");
}

#[test]
fn no_password_is_changed_where_the_conf_cannot_be_rewritten() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    let mut full = Command::new("sh");
    full.current_dir(aditi.folder()).args(["-c", r#"trap '' XFSZ; ulimit -f 0; exec "$0" files "$1""#]);
    let outcome = run(full.args([PROGRAM, CONF]), "Passwd\nanother\n").fails_with(1);
    outcome.complains_of(CONF).complains_of("no password was changed");
    let left: Vec<String> = disk::files_below(aditi.folder());
    assert!(!left.iter().any(|file| file.starts_with(&format!("{CONF}."))), "a draft is left: {left:?}");
    aditi.download("a", b"a");
}

#[test]
fn an_empty_password_is_called_so() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.pipe("Passwd\n\n").fails_with(1).complains_of("the password is empty");
    aditi.pipe("Passwd\n spaces \n").fails_with(1).complains_of("no spaces around it");
    aditi.run(&["Status"]).succeeds();
}

#[test]
fn only_what_has_changed_is_uploaded_again() {
    let cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi");
    aditi.put("d/same", b"same");
    aditi.put("d/other", b"before");
    aditi.run(&["Upload", "d"]).succeeds();
    let stored = |name: &str| cluster.piece_file(cluster.holders(name, 1)[0], name, 1).metadata().unwrap();
    let (same, other) = (stored("d/same").modified().unwrap(), stored("d/other").modified().unwrap());
    aditi.put("d/other", b"afterwards");
    aditi.run(&["Upload", "-u", "d"]).succeeds();
    assert_eq!(stored("d/same").modified().unwrap(), same);
    assert_ne!(stored("d/other").modified().unwrap(), other);
    aditi.download("d/other", b"afterwards");
}
