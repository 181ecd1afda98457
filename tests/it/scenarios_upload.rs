//! What an Upload of a whole tree takes along, what it leaves out, and what it says about that.

use crate::common::client::{CONF, PROGRAM};
use crate::common::process::{Outcome, run};
use crate::common::{Client, Cluster, Trap, as_seen, disk, noise};
use shareit::sealed::{Header, Kind};
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// Makes this many FIFOs in a folder of DIR: nobody can store them.
fn fifos(aditi: &Client, folder: &str, count: usize) {
    let names = (1..=count).map(|n| aditi.files().join(folder).join(format!("fifo{n}")));
    run(Command::new("mkfifo").args(names), "").succeeds();
}

/// The header of a stored file or link, or of a folder, whose path ends with a slash.
#[track_caller]
fn header(cluster: &Cluster, path: &str) -> Option<Header> {
    let holder = *cluster.holders(path, 1).first()?;
    Some(Header::decode(&fs::read(cluster.piece_file(holder, path, 1)).unwrap()).unwrap())
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Runs a command as somebody whom permission bits stop. None, with a message, if that is not possible.
fn run_without_privileges(aditi: &Client, args: &[&str]) -> Option<Outcome> {
    aditi.write_conf();
    let locked = aditi.folder().join("locked");
    fs::create_dir_all(&locked).unwrap();
    set_mode(&locked, 0);
    // Of root's powers, the two that override permission bits are taken away.
    let without: &[&str] = match fs::read_dir(&locked) {
        Err(_) => &["env"],
        Ok(_) => &["setpriv", "--bounding-set=-dac_override,-dac_read_search"],
    };
    let command = |program: &[&str]| {
        let mut command = Command::new(without[0]);
        command.current_dir(aditi.folder()).args(&without[1..]).args(program);
        command
    };
    if command(&["ls", "locked"]).output().map_or(true, |listed| listed.status.success()) {
        eprintln!("not tested: nothing here stops this user from reading");
        return None;
    }
    Some(run(command(&[PROGRAM, "files", CONF]).args(args), ""))
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
    assert_eq!(last_line(seen), "uploaded t/a (4 B), stored as a", "{seen}");
}

#[test]
fn unchanged_files_are_counted_and_listed_only_when_asked_for() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    aditi.put("t/a", b"1234");
    aditi.put("t/b", b"1234");
    aditi.run(&["Upload", "t"]).succeeds();
    aditi.put("t/b", b"12345");
    aditi.run(&["Upload", "-u", "-l", "t"]).succeeds().prints(&[
        "unchanged t/",
        "unchanged t/a",
        "uploaded t/b (5 B)",
    ]);
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
    let first = format!("Client: warning: t/: {stored}\n");
    let rest = format!("Client: warning: the same for 12 more files: {stored}\n");
    assert!(outcome.stderr.contains(&first) && outcome.stderr.ends_with(&rest), "{outcome}");
    let outcome = aditi.run(&["Delete", "-r", "t"]).fails_with(4);
    assert_eq!(outcome.stderr.matches("missed the delete").count(), 2, "{outcome}");
    outcome.complains_of("the same for 12 more files: Server2, Server3 and Server4 missed the delete");
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

#[test]
fn a_tree_is_stored_with_its_links_folders_permissions_and_times() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    let tree = aditi.files().join("t");
    aditi.put("t/script", b"#!/bin/sh\n");
    fs::create_dir_all(tree.join("empty")).unwrap();
    symlink("../elsewhere/\u{fc}", tree.join("link")).unwrap();
    symlink("t", aditi.files().join("to-t")).unwrap();
    set_mode(&tree.join("script"), 0o751);
    let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::new(1_000_000_007, 89));
    File::open(tree.join("empty")).unwrap().set_times(times).unwrap();
    set_mode(&tree.join("empty"), 0o700);
    aditi.run(&["Upload", "t"]).succeeds();
    let stored = |path: &str| {
        let header = header(&cluster, path).unwrap_or_else(|| panic!("no {path}"));
        (header.kind, header.mode, header.file_size)
    };
    assert_eq!(stored("t/script"), (Kind::Data, 0o751, 10));
    assert_eq!(stored("t/link"), (Kind::Link, 0o777, 15));
    assert_eq!(stored("t/empty/"), (Kind::Folder, 0o700, 0));
    let modified = header(&cluster, "t/empty/").unwrap().modified;
    assert_eq!((modified.seconds, modified.nanos), (1_000_000_007, 89));
    assert_eq!(stored("t/").0, Kind::Folder);
    // A name that is a link is a link, a slash after it follows it.
    aditi.run(&["Upload", "to-t"]).succeeds();
    assert_eq!(stored("to-t"), (Kind::Link, 0o777, 1));
    aditi.run(&["Upload", "to-t/", "to"]).succeeds();
    assert_eq!(stored("to/to-t/empty/").0, Kind::Folder);
    aditi.run(&["Upload", ".", "all"]).succeeds();
    assert_eq!((stored("all/").0, stored("all/to-t").0), (Kind::Folder, Kind::Link));
    aditi.run(&["Upload", "."]).succeeds();
    assert_eq!(stored("/").0, Kind::Folder);
}

#[test]
fn with_the_option_links_are_followed_and_those_that_lead_nowhere_or_back_are_left_out() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    let tree = aditi.files().join("t");
    aditi.put("t/a/f", b"1234");
    for (target, link) in [("a", "b"), ("a/f", "g"), ("nowhere", "dangling"), ("..", "a/up"), ("me", "me")] {
        symlink(target, tree.join(link)).unwrap();
    }
    let outcome = aditi.run(&["Upload", "-L", "t"]).fails_with(1);
    for (link, why) in [
        ("a/up", "a loop of links"),
        ("b/up", "a loop of links"),
        ("dangling", "the link leads nowhere"),
        ("me", "Too many levels of symbolic links (os error 40)"),
    ] {
        let skipped = format!("skipped 'files/t/{link}' ({why})\n");
        assert!(outcome.stderr.contains(&skipped), "{skipped} {outcome}");
    }
    let left_out = "Client: warning: 3 files stored, 4 left out (12 B)";
    assert_eq!(last_line(&outcome.stderr), left_out, "{outcome}");
    for file in ["t/a/f", "t/b/f", "t/g"] {
        assert_eq!(header(&cluster, file).unwrap().kind, Kind::Data, "{file}");
    }
    let named = aditi.run(&["Upload", "-L", "t/dangling"]).fails_with(1);
    named.complains_of("cannot use 'files/t/dangling' (the link leads nowhere)");
    aditi.run(&["Upload", "t/dangling"]).succeeds();
}

#[test]
fn a_folder_that_cannot_be_read_makes_no_loop() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    let tree = aditi.files().join("t");
    aditi.put("t/a/f", b"1234");
    aditi.put("t/a/secret/s", b"1234");
    symlink("a", tree.join("b")).unwrap();
    set_mode(&tree.join("a/secret"), 0);
    let outcome = run_without_privileges(&aditi, &["Upload", "-L", "t"]);
    set_mode(&tree.join("a/secret"), 0o700);
    let Some(outcome) = outcome else { return };
    let left_out = "Client: warning: 2 files stored, 2 left out (8 B)";
    assert_eq!(last_line(&outcome.stderr), left_out, "{outcome}");
    outcome
        .fails_with(1)
        .complains_of("skipped 'files/t/b/secret' (Permission denied")
        .does_not_complain_of("loop");
    assert!(header(&cluster, "t/b/f").is_some());
    assert_eq!(header(&cluster, "t/a/secret/").unwrap().mode, 0, "what can be known of it is stored");
}

#[test]
fn files_that_cannot_be_read_are_named_up_to_a_limit_and_counted() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    aditi.put("t/readable", b"1234");
    for n in 0..23 {
        aditi.put(&format!("t/{n}"), b"1234");
        set_mode(&aditi.files().join(format!("t/{n}")), 0);
    }
    let Some(outcome) = run_without_privileges(&aditi, &["Upload", "t"]) else { return };
    assert_eq!(outcome.stderr.matches("cannot use 'files/t/").count(), 20, "{outcome}");
    let end = "Client: error: 3 more failed (Permission denied (os error 13))\n\
               Client: warning: 1 file stored, 23 failed (4 B)\n";
    assert!(outcome.stderr.ends_with(end), "{outcome}");
    outcome.fails_with(1);
}

#[test]
fn names_that_cannot_be_stored_are_told_byte_by_byte_and_with_the_limit() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    let tree = aditi.files().join("t");
    for name in ["a", ".x.1/y", "tab\there", "line\nfeed"] {
        aditi.put(&format!("t/{name}"), b"1234");
    }
    fs::write(tree.join(OsStr::from_bytes(b"f\xff\xc3\xbc")), b"1").unwrap();
    fs::create_dir(tree.join(OsStr::from_bytes(b"d\xff"))).unwrap();
    fs::write(tree.join("n".repeat(253)), b"1").unwrap();
    let outcome = aditi.run(&["Upload", "t"]).fails_with(1);
    let left_out = "Client: warning: 4 files stored, 3 left out (16 B)";
    assert_eq!(last_line(&outcome.stderr), left_out, "{outcome}");
    outcome
        .complains_of("skipped 'files/t/f\\xff\u{fc}' (the name is not UTF-8)")
        .complains_of("skipped 'files/t/d\\xff' (the name is not UTF-8)")
        .complains_of("252 bytes");
}

#[test]
fn special_bits_are_not_stored_and_that_is_said_once() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    for (name, mode) in [("t/a", 0o4755), ("t/b", 0o2711), ("t/c", 0o644)] {
        aditi.put(name, b"1234");
        set_mode(&aditi.files().join(name), mode);
    }
    set_mode(&aditi.files().join("t"), 0o1777);
    let outcome = aditi.run(&["Upload", "t"]).succeeds();
    let lines = [
        "Client: warning: t/: setuid, setgid and sticky bits are not stored",
        "Client: warning: the same for 2 more files: setuid, setgid and sticky bits are not stored",
    ];
    assert_eq!(outcome.stderr.lines().collect::<Vec<_>>(), lines, "{outcome}");
    let mode = |path: &str| header(&cluster, path).unwrap().mode;
    assert_eq!([mode("t/"), mode("t/a"), mode("t/b")], [0o777, 0o755, 0o711]);
}

#[test]
fn what_differs_in_permissions_kind_or_target_is_uploaded_again() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    let tree = aditi.files().join("t");
    aditi.put("t/a", b"1234");
    aditi.put("t/b", b"1234");
    fs::create_dir(tree.join("empty")).unwrap();
    symlink("old", tree.join("link")).unwrap();
    let changed = || {
        let outcome = aditi.run(&["Upload", "-u", "-l", "t"]).succeeds();
        let uploaded =
            outcome.lines().into_iter().filter_map(|line| line.strip_prefix("uploaded ").map(str::to_owned));
        uploaded.collect::<Vec<_>>()
    };
    assert_eq!(changed().len(), 5);
    assert_eq!(changed(), [""; 0]);
    set_mode(&tree.join("a"), 0o400);
    assert_eq!(changed(), ["t/a (4 B)"]);
    set_mode(&tree.join("empty"), 0o500);
    assert_eq!(changed(), ["t/empty/"]);
    let times = FileTimes::new().set_modified(fs::metadata(&tree).unwrap().modified().unwrap());
    fs::remove_file(tree.join("link")).unwrap();
    symlink("newer", tree.join("link")).unwrap();
    fs::remove_file(tree.join("b")).unwrap();
    symlink("abcd", tree.join("b")).unwrap();
    File::open(&tree).unwrap().set_times(times).unwrap();
    assert_eq!(changed(), ["t/b (4 B)", "t/link (5 B)"]);
    assert_eq!(header(&cluster, "t/b").unwrap().kind, Kind::Link);
}

#[test]
fn folders_alone_are_counted_as_folders() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    fs::create_dir_all(aditi.files().join("t/empty")).unwrap();
    let Some(session) = aditi.on_terminal(80, "$client Upload t/empty; $client Upload -u t") else { return };
    let seen = as_seen(&session.finish().succeeds().stdout).join("\n");
    assert!(seen.contains("1 folder stored\n") && seen.contains("2 folders stored\n"), "{seen}");
}

#[test]
fn temporary_files_of_the_client_are_never_stored() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    aditi.put("t/a", b"1234");
    for n in 0..3 {
        aditi.put(&format!("t/.shareit-000000000000000{n}.part"), b"half");
    }
    aditi.put("t/.shareit-00000000000000000000000000000000.part", b"half");
    aditi.put("t/.shareit-notes.part", b"1234");
    let outcome = aditi.run(&["Upload", "t"]).succeeds();
    let draft = "(an unfinished download)";
    let lines = [
        format!("Client: warning: skipped 'files/t/.shareit-0000000000000000.part' {draft}"),
        format!("Client: warning: 3 more skipped {draft}"),
    ];
    assert_eq!(outcome.stderr.lines().collect::<Vec<_>>(), lines, "{outcome}");
    aditi.run(&["ShowFiles", "t"]).succeeds().prints(&[".shareit-notes.part", "a"]);
    let named = aditi.run(&["Upload", "t/.shareit-0000000000000001.part"]).fails_with(1);
    named.complains_of("is an unfinished download, which is never stored");
    // What a change of password leaves has a password in it.
    let beside = aditi.folder().join(format!("{CONF}.passwd.new"));
    fs::write(&beside, b"half").unwrap();
    fs::write(aditi.folder().join("other.passwd.new"), b"1234").unwrap();
    let outcome = aditi.run(&["Upload", aditi.folder().to_str().unwrap(), "all"]).succeeds();
    outcome.complains_of("(the journal of a change of password)");
    let folder = format!("all/{}", aditi.folder().file_name().unwrap().to_str().unwrap());
    let listed = aditi.run(&["ShowFiles", &folder]).succeeds();
    assert_eq!(listed.lines(), ["files/", "other.passwd.new", CONF], "{listed}");
    aditi.run(&["Upload", beside.to_str().unwrap()]).fails_with(1).complains_of("never stored");
}

/// Something that is done to a file.
type Meddling = fn(&Path);

/// Uploads this file, and does something to it after all of it was read and before the servers have it.
#[track_caller]
fn meddle(bytes: &[u8], with: impl FnOnce(&Path)) -> (Outcome, Cluster) {
    let cluster = Cluster::quick(1);
    let proxy = &cluster.proxies()[0];
    let aditi = cluster.client_through("Aditi", std::slice::from_ref(proxy));
    aditi.put("a", bytes);
    proxy.trap("STAGE", Trap::Hold);
    let upload = aditi.start(&["Upload", "a"]);
    proxy.wait_for_the_trap();
    with(&aditi.files().join("a"));
    proxy.release();
    (upload.finish(), cluster)
}

#[test]
fn a_file_that_grows_is_stored_as_it_was_when_it_was_opened_and_that_is_said() {
    let bytes = noise(1, 40_000);
    let (outcome, cluster) = meddle(&bytes, |file| {
        File::options().append(true).open(file).unwrap().write_all(b"one more line").unwrap();
    });
    let said = "Client: warning: a: grew while it was read; stored as it was when it was opened\n";
    assert_eq!(outcome.succeeds().stderr, said);
    cluster.client("Aditi").download("a", &bytes);
}

#[test]
fn a_file_whose_bytes_stay_the_same_is_stored_whatever_else_is_done_to_it() {
    let bytes = noise(1, 40_000);
    let meddling: [(&str, Meddling); 4] = [
        ("chmod", |file| set_mode(file, 0o600)),
        ("ln", |file| fs::hard_link(file, file.with_file_name("b")).unwrap()),
        ("mv", |file| {
            fs::write(file.with_file_name("b"), b"another").unwrap();
            fs::rename(file.with_file_name("b"), file).unwrap();
        }),
        ("touch", |file| File::open(file).unwrap().set_modified(UNIX_EPOCH).unwrap()),
    ];
    for (what, with) in meddling {
        let (outcome, cluster) = meddle(&bytes, with);
        assert_eq!(outcome.succeeds().stderr, "", "{what}");
        cluster.client("Aditi").download("a", &bytes);
    }
    // A small file is read as a whole when it is opened.
    let (outcome, cluster) = meddle(&bytes[..4096], |file| fs::write(file, b"another").unwrap());
    assert_eq!(outcome.succeeds().stderr, "");
    cluster.client("Aditi").download("a", &bytes[..4096]);
}

#[test]
fn a_file_whose_bytes_change_while_it_is_read_is_refused() {
    let bytes = noise(1, 40_000);
    let meddling: [Meddling; 3] = [
        |file| File::options().write(true).open(file).unwrap().write_all_at(b"!", 30_000).unwrap(),
        |file| File::options().write(true).open(file).unwrap().set_len(39_999).unwrap(),
        |file| {
            let file = File::options().write(true).open(file).unwrap();
            file.set_len(0).unwrap();
            file.set_len(50_000).unwrap();
        },
    ];
    for with in meddling {
        let (outcome, cluster) = meddle(&bytes, with);
        outcome.fails_with(1).complains_of("changed while it was read; nothing was stored");
        cluster.client("Aditi").run(&["ShowFiles"]).succeeds().prints(&[]);
        assert!(cluster.unsettled().is_empty());
    }
}

/// What is put in the place of a file or folder between the walk and the moment when it is read.
#[test]
fn a_link_that_takes_the_place_of_a_file_or_of_a_folder_around_it_is_not_followed() {
    let cluster = Cluster::quick(2);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    let outside = aditi.folder().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("f"), b"secret").unwrap();
    for name in ["t/a", "t/folder/f", "t/kept"] {
        aditi.put(name, b"own");
    }
    proxies[0].trap("LOOK", Trap::Hold);
    let upload = aditi.start(&["Upload", "t"]);
    proxies[0].wait_for_the_trap();
    let tree = aditi.files().join("t");
    fs::remove_file(tree.join("a")).unwrap();
    symlink(outside.join("f"), tree.join("a")).unwrap();
    fs::remove_dir_all(tree.join("folder")).unwrap();
    symlink(&outside, tree.join("folder")).unwrap();
    proxies[0].release();
    let outcome = upload.finish().fails_with(1).complains_of("'files/t/a' changed while it was read");
    outcome.complains_of("'files/t/folder/f' changed while it was read");
    aditi.run(&["Download", "t"]).succeeds();
    assert_eq!(disk::files_below(&aditi.downloads().join("t")), ["kept"]);
}
