//! What is said where something is not as it should be: the right reason, and a hint that fits it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Client, Cluster, Json, noise};

const KEY: &str = "Key ";

/// The same user with another `Key` line.
fn with_another_key(cluster: &Cluster) -> Client {
    let mut aditi = cluster.client("Aditi");
    let at = aditi.conf.find(KEY).unwrap() + KEY.len();
    aditi.conf.replace_range(at..at + 64, &"77".repeat(32));
    aditi
}

#[test]
fn a_file_under_another_key_is_shown_as_such_by_its_name() {
    let cluster = Cluster::quick(4);
    cluster.client("Aditi").upload("a", &noise(1, 40_000));
    let other = with_another_key(&cluster);
    other.run(&["ShowFiles", "a"]).succeeds().prints(&["a [other key]"]);
    let long = other.run(&["ShowFiles", "-l", "a"]).succeeds();
    assert!(!long.stdout.contains("1970"), "{long}");
    let listed = Json::lines(&other.run(&["ShowFiles", "--json", "a"]).succeeds().stdout);
    assert_eq!(listed[0].text("state"), "other_key");
    assert_eq!((listed[0].get("size"), listed[0].get("modified")), (&Json::Null, &Json::Null));
    // The list of a folder is not sealed: here all servers say the same, and no header is opened.
    other.run(&["ShowFiles"]).succeeds().prints(&["a"]);
}
