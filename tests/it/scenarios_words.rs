//! What is reported when something is wrong: the right reason, and a hint that fits it.

use crate::common::cluster::PROGRAM as SERVER;
use crate::common::process::{Outcome, run};
use crate::common::{Client, Cluster, Json, disk, noise};
use std::fs;
use std::process::Command;

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

#[test]
fn with_another_key_verify_does_not_advise_a_repair() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 40_000));
    let other = with_another_key(&cluster);
    let verified = other.run(&["Verify"]).fails_with(1);
    verified.complains_of("not the one that it was uploaded with").does_not_complain_of("Repair");
    other.run(&["Repair"]).fails_with(1).complains_of("not the one that it was uploaded with");
    cluster.corrupt_piece(cluster.holders("a", 1)[0], "a", 1);
    aditi.run(&["Verify"]).fails_with(1).complains_of("hint: Repair restores");
}

#[test]
fn no_server_is_to_be_started_if_none_is_down() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 40_000));
    for server in cluster.holders("a", 1) {
        cluster.corrupt_piece(server, "a", 1);
    }
    let lost = aditi.download_is_incomplete("a");
    lost.complains_of("every server is up")
        .complains_of("upload the file again")
        .does_not_complain_of("start the");
    let holders = cluster.holders("a", 2);
    holders.iter().for_each(|&server| cluster.stop(server));
    aditi.download_is_incomplete("a").complains_of("start the servers that are down");
}

#[test]
fn after_too_many_wrong_passwords_the_user_must_wait() {
    let cluster = Cluster::quick(2);
    let mut aditi = cluster.client("Aditi");
    let right = aditi.conf.clone();
    aditi.conf = right.replace("Aditi@123", "wrong");
    let refused = (0..70).map(|_| aditi.run(&["Status"])).find(|outcome| outcome.status != 3).unwrap();
    let refused = refused.fails_with(4).complains_of("hint: check the password, and wait a minute");
    assert_eq!(refused.stderr.matches("too many").count(), 1, "{refused}");
    refused.complains_of("Server1, Server2: refused: too many");
}

/// `Server ARGS...` in the cluster's own folder, where its ROOT is `Servers`.
#[track_caller]
fn server(cluster: &Cluster, args: &[&str], input: &str) -> Outcome {
    run(Command::new(SERVER).current_dir(cluster.home()).args(args), input)
}

#[test]
fn a_server_that_cannot_start_says_where_and_why_and_makes_nothing() {
    let cluster = Cluster::quick(1);
    let port = cluster.port(1).to_string();
    let before = disk::files_below(cluster.home());
    let refused = |args: &[&str], said: &[&str]| {
        let outcome = server(&cluster, args, "").exits(1);
        said.iter().fold(outcome, |outcome, what| outcome.complains_of(what));
        assert_eq!(disk::files_below(cluster.home()), before, "{args:?}");
        assert!(!cluster.root().join(".Server9").exists(), "{args:?}");
    };
    refused(&["/proc", "Server9", "0"], &["cannot use /proc/.Server9 ("]);
    refused(&["Servers/Users.conf", "Server9", "0"], &["cannot use Servers/Users.conf/.Server9 ("]);
    refused(&["Servers", "Server9", &port], &["cannot listen on", "is another program using port"]);
    refused(&["Servers", "Server9", "192.0.2.1:18008"], &["this machine has no address 192.0.2.1"]);
    refused(&["Servers", "Server1", &port], &["another server is running as Server1"]);
}

#[test]
fn words_that_are_missing_for_a_server_are_named() {
    let cluster = Cluster::quick(1);
    for (args, said) in [
        (&["adduser", "Servers"][..], "USER, the user name, is missing"),
        (&["adduser"], "ROOT and USER are missing"),
        (&["Servers", "Server9"], "PORT is missing"),
        (&["Servers"], "NAME and PORT are missing"),
        (&[], "ROOT, NAME and PORT are missing"),
        (&["--hlep"], "unknown option '--hlep'"),
        (&["Servers", "Server9", "99999"], "a port must be a number from 1 to 65535"),
        (&["Servers", "Server9", "localhost:18008"], "ADDR must be an IP address such as 127.0.0.1"),
    ] {
        server(&cluster, args, "").exits(2).complains_of(said).complains_of("Server --help` shows the usage");
    }
}

#[test]
fn a_password_that_replaces_one_comes_with_a_warning() {
    let cluster = Cluster::quick(1);
    cluster.add_user("Carl", "one").succeeds().prints(&[]).does_not_complain_of("warning");
    let again = cluster.add_user("Carl", "other").succeeds().prints(&[]);
    again.complains_of("warning: Carl already exists").complains_of("Key line");
    server(&cluster, &["adduser", "Servers", "Dora"], "\n").exits(1).complains_of("the password is empty");
}

#[test]
fn on_a_terminal_a_user_is_added_with_a_password_typed_twice() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    let commands = format!("{SERVER} adduser New Carl; {SERVER} adduser New Carl; echo \"status $?\"");
    let Some(mut session) = aditi.on_terminal(80, &commands) else { return };
    session.wait_for_text("password for Carl: ");
    session.press("a password\na password\n");
    session.wait_for_text("added Carl in New (new folder)");
    session.press("one\nother\n");
    session.wait_for_text("the passwords do not match");
    session.wait_for_text("status 1");
    session.finish();
}

#[test]
fn a_password_in_plain_text_is_reported_even_when_the_users_are_reloaded() {
    let cluster = Cluster::quick(1);
    let (aditi, users) = (cluster.client("Aditi"), cluster.root().join("Users.conf"));
    let text = fs::read_to_string(&users).unwrap();
    fs::write(&users, format!("{text}Bob secret\n")).unwrap();
    aditi.run(&["Status"]).succeeds();
    cluster.wait_for_log(1, "warning: the password of Bob is in plain text");
    fs::write(&users, format!("{text}Bob secret\nCarl secret\n")).unwrap();
    aditi.run(&["Status"]).succeeds();
    cluster.wait_for_log(1, "warning: the password of Carl is in plain text");
    let log = cluster.log(1);
    assert_eq!(log.matches("password of Bob is in plain text").count(), 1, "once is enough: {log}");
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn a_repair_that_is_not_done_says_what_it_would_do() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 40_000));
    cluster.wipe(2);
    let planned = aditi.run(&["Repair", "-n"]).succeeds();
    let would = |line: &&str| line.starts_with("a: would copy piece ") && line.ends_with(" to Server2");
    assert!(!planned.stdout.is_empty() && planned.lines().iter().all(would), "{planned}");
    assert!(cluster.pieces_on(2).is_empty());
}
