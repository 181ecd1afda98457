//! Names and words that would turn a terminal around, and files that are not what they seem.

use super::{stolen_verifier, with_first_server};
use crate::common::client::{CONF, PROGRAM};
use crate::common::process::run;
use crate::common::rogue::{Rogue, yes_to_all};
use crate::common::{Client, Cluster, Json, Outcome, as_seen, disk, noise};
use shareit::wire::{MAX_DETAIL, Refusal, Reply, Request};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Every kind of character that does not show or turns others around, between letters.
const ODD: &str =
    "a\u{202e}fdp\u{2066}b\u{200b}c\u{ad}d\u{61c}e\u{feff}f\u{2028}g\u{e0041}h\u{180e}i\u{fff9}j\u{2060}k";

/// Nothing of that is in a text: what a terminal gets may have escape sequences of its own, which begin a colour.
#[track_caller]
fn is_clean(text: &str) {
    for line in as_seen(text) {
        let odd = line.chars().find(|c| c.is_control() || ODD.chars().any(|o| !o.is_ascii() && o == *c));
        assert!(odd.is_none(), "{odd:?} in {line:?}");
    }
}

#[track_caller]
fn both_are_clean(outcome: Outcome) -> Outcome {
    is_clean(&outcome.stdout);
    is_clean(&outcome.stderr);
    outcome
}

fn fifo(path: &Path) {
    run(Command::new("mkfifo").arg(path), "").succeeds();
}

#[test]
fn no_name_reaches_a_terminal_as_it_is() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let (file, folder) = (format!("{ODD}.txt"), format!("{ODD}-folder"));
    let inner = format!("{folder}/{file}");
    aditi.put(&file, &noise(1, 1000));
    aditi.put(&inner, &noise(2, 1000));
    fifo(&aditi.files().join(&folder).join(format!("{ODD}-fifo")));
    let cut = |path: &str| cluster.edit_piece(1, path, held(&cluster, path), |bytes| bytes.clear());

    both_are_clean(aditi.run(&["Upload", &file])).succeeds();
    both_are_clean(aditi.run(&["Upload", &folder])).exits(1).complains_of("neither a file nor a folder");
    both_are_clean(aditi.run(&["Status"])).succeeds();
    both_are_clean(aditi.run(&["Download", &file, "--trace"])).succeeds();
    both_are_clean(aditi.run(&["Download", &format!("{file}x")])).fails_with(1);
    both_are_clean(aditi.run(&["Delete", &folder])).fails_with(1);
    both_are_clean(aditi.run(&["Move", &file, &folder])).fails_with(1);
    both_are_clean(aditi.run(&["Upload", &format!("{file}x")])).fails_with(1);
    both_are_clean(aditi.run(&[ODD])).fails_with(2);
    both_are_clean(aditi.run(&["ShowFiles", &format!("-{ODD}")])).fails_with(2);
    cut(&inner);
    both_are_clean(aditi.run(&["Download", &folder])).succeeds().complains_of("Repair replaces it");
    assert!(!both_are_clean(aditi.run(&["Verify", "-r"])).exits(1).stdout.is_empty());
    assert!(!both_are_clean(aditi.run(&["Repair", "-n"])).succeeds().stdout.is_empty());
    assert!(!both_are_clean(aditi.run(&["Repair"])).succeeds().stdout.is_empty());
    // Scripts get the exact names: as they are in lines, and escaped as JSON escapes in JSON.
    let entries = [format!("{folder}/"), file.clone()];
    aditi.run(&["ShowFiles"]).prints(&entries.each_ref().map(String::as_str));
    let json = both_are_clean(aditi.run(&["ShowFiles", "--json"])).succeeds();
    let names: Vec<String> =
        json.lines().iter().map(|line| Json::parse(line).text("name").to_owned()).collect();
    assert_eq!(names, [folder.clone(), file.clone()]);

    for command in [
        "ShowFiles".to_owned(),
        "ShowFiles -l".to_owned(),
        format!("ShowFiles '{folder}'"),
        format!("Upload '{file}'"),
        format!("Download '{file}'"),
        format!("Download '{folder}'"),
        "Verify -r".to_owned(),
        format!("Move '{file}' '{ODD}'"),
        format!("Delete -r '{folder}'"),
        format!("Delete '{ODD}'"),
    ] {
        for width in [100, 12] {
            let Some(session) = aditi.on_terminal(width, &format!("$client {command}")) else { return };
            is_clean(&session.finish().stdout);
        }
    }
}

/// A piece of a file that Server1 holds.
fn held(cluster: &Cluster, path: &str) -> usize {
    (1..=4).find(|piece| cluster.piece_file(1, path, *piece).exists()).unwrap()
}

#[test]
fn no_word_of_a_server_reaches_a_terminal_as_it_is_or_fills_the_screen() {
    let mut cluster = Cluster::quick(4);
    cluster.client("Aditi").upload("a", b"a");
    cluster.stop(1);
    let long = ODD.repeat(30);
    let detail = move |request: &Request| match request {
        Request::Look(_) | Request::List { .. } => yes_to_all(request),
        _ => (Reply::No(Refusal::DiskError, format!("\u{1b}[2J{long}")), Vec::new()),
    };
    let rogue = Rogue::answering(stolen_verifier(), detail);
    let aditi = with_first_server(&cluster, rogue.port());
    for number in 0..4 {
        aditi.put(&format!("new{number}"), b"new");
        let outcome = both_are_clean(aditi.run(&["Upload", &format!("new{number}")])).succeeds();
        assert!(outcome.stderr.len() < 8 * MAX_DETAIL, "{outcome}");
    }
    both_are_clean(aditi.run(&["Status"]));
    both_are_clean(aditi.run(&["Repair"]));
    both_are_clean(aditi.run(&["Delete", "a"]));
}

// Links and FIFOs at the client.

fn downloads(aditi: &Client) -> Vec<String> {
    disk::files_below(&aditi.downloads())
}

#[test]
fn a_link_below_the_downloads_is_not_followed() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for name in ["x", "a/x", "a/b/x", "c/x"] {
        aditi.put(name, b"bytes");
    }
    aditi.run(&["Upload", "."]).succeeds();
    let elsewhere = aditi.folder().join("elsewhere");
    fs::create_dir_all(elsewhere.join("b")).unwrap();
    fs::create_dir_all(aditi.downloads()).unwrap();
    let link = aditi.downloads().join("a");
    for target in [elsewhere.as_path(), Path::new("../../elsewhere"), Path::new("nowhere")] {
        symlink(target, &link).unwrap();
        for name in ["a/x", "a/b/x"] {
            aditi.run(&["Download", name]).fails_with(1).complains_of("Downloads/Aditi/a' is a link");
        }
        // What does not lead through it is there.
        aditi.run(&["Download", "."]).fails_with(1);
        aditi.has_downloaded("x", b"bytes");
        aditi.has_downloaded("c/x", b"bytes");
        assert_eq!(disk::files_below(&elsewhere), [""; 0]);
        fs::remove_file(&link).unwrap();
    }
    // A link in the file's own place is replaced, not written through.
    fs::write(elsewhere.join("x"), b"not yours").unwrap();
    aditi.forget_downloads();
    fs::create_dir_all(aditi.downloads()).unwrap();
    symlink(elsewhere.join("x"), aditi.downloads().join("x")).unwrap();
    aditi.run(&["Download", "x"]).succeeds();
    aditi.has_downloaded("x", b"bytes");
    assert_eq!(fs::read(elsewhere.join("x")).unwrap(), b"not yours");
    assert!(!aditi.downloads().join("x").is_symlink());
    // The folder of all downloads may be wherever its user likes.
    aditi.forget_downloads();
    fs::create_dir_all(aditi.folder().join("Downloads")).unwrap();
    symlink(&elsewhere, aditi.downloads()).unwrap();
    aditi.run(&["Download", "a/x"]).succeeds();
    assert_eq!(fs::read(elsewhere.join("a/x")).unwrap(), b"bytes");
}

#[test]
fn a_sweep_takes_leftovers_and_nothing_else_and_waits_for_nobody() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("x", b"bytes");
    let folder = aditi.downloads();
    let kept = [
        ".shareit-.part",
        ".shareit-my notes.part",
        ".shareit-0123456789ABCDEF.part",
        ".shareit-0123456789abcdef.part.txt",
    ];
    for name in kept.iter().chain(&[".shareit-0123456789abcdef.part"]) {
        disk::write(&folder.join(name), b"x");
    }
    fifo(&folder.join(".shareit-1111111111111111.part"));
    fs::create_dir(folder.join(".shareit-2222222222222222.part")).unwrap();
    symlink("elsewhere", folder.join(".shareit-3333333333333333.part")).unwrap();
    disk::write(&folder.join("elsewhere"), b"x");
    symlink("elsewhere", folder.join(".shareit-4444444444444444.part")).unwrap();
    aditi.run(&["Download", "x"]).succeeds();
    // A FIFO would keep its reader waiting.
    fs::remove_file(folder.join(".shareit-1111111111111111.part")).unwrap();
    let mut expected = kept.to_vec();
    // A draft of a link is a link, which goes, and not what it leads to.
    expected.extend(["x", "elsewhere"]);
    expected.sort_unstable();
    assert_eq!(downloads(&aditi), expected);
}

#[test]
fn a_fifo_is_no_file_to_upload_and_no_conf_to_wait_for() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    fifo(&aditi.files().join("pipe"));
    aditi.put("folder/x", b"x");
    fifo(&aditi.files().join("folder/pipe"));
    aditi.run(&["Upload", "pipe"]).fails_with(1).complains_of("neither a file nor a folder");
    aditi.run(&["Upload", "folder"]).fails_with(1).complains_of("skipped");
    aditi.download("folder/x", b"x");
    aditi.write_conf();
    let client = |before: &str, conf: &str| {
        let line = format!("{before} '{PROGRAM}' files {conf} ShowFiles");
        run(Command::new("sh").current_dir(aditi.folder()).args(["-c", &line]), "")
    };
    client("mkfifo conf.fifo;", "conf.fifo").fails_with(2).complains_of("conf.fifo: ");
    // One that is being written is read to its end.
    client(&format!("cat {CONF} |"), "/dev/stdin").succeeds().prints(&["folder/"]);
}

// The .conf of one user among others.

#[test]
fn a_conf_that_others_can_get_at_is_warned_of_once_with_the_command_that_helps() {
    let cluster = Cluster::quick(4);
    let mut aditi = cluster.client("Aditi");
    aditi.pipe("ShowFiles\nShowFiles\n").succeeds().does_not_complain_of("warning");
    for mode in [0o644, 0o640, 0o602] {
        aditi.mode = mode;
        let outcome = aditi.pipe("ShowFiles\nShowFiles\n").succeeds();
        assert_eq!(outcome.stderr.matches("warning: ").count(), 1, "{outcome}");
        outcome.complains_of(&format!("hint: chmod 600 {CONF}"));
    }
    aditi.mode = 0o644;
    aditi.write_conf();
    let client = |script: &str| {
        let line = format!("umask 022; {script} '{PROGRAM}' files \"it's.conf\" ShowFiles");
        run(Command::new("sh").current_dir(aditi.folder()).args(["-c", &line]), "").succeeds()
    };
    let outcome = client(&format!("cp {CONF} \"it's.conf\" &&"));
    let hint = outcome.stderr.lines().find_map(|line| line.strip_prefix("Client: hint: ")).unwrap();
    client(&format!("{hint} &&")).does_not_complain_of("warning");
}

#[test]
fn make_keeps_the_published_confs_to_their_owner() {
    let home = disk::TempFolder::new();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["Makefile", "User1.conf", "User2.conf", "User3.conf"] {
        fs::copy(repository.join(file), home.path().join(file)).unwrap();
    }
    for program in ["Server", "Client"] {
        disk::write(&home.path().join("target/release").join(program), b"built");
    }
    let script = "chmod 644 User?.conf && make -s CARGO=true CARGO_TARGET_DIR= && ls -l User?.conf";
    let outcome = run(Command::new("sh").current_dir(home.path()).args(["-c", script]), "").succeeds();
    assert_eq!(outcome.stdout.matches("-rw------- ").count(), 3, "{outcome}");
}
