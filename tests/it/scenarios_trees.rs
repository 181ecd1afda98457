//! Whole trees: what comes back is what went up, with permission bits and times, links and empty folders.

use crate::common::snapshot::{assert_same, assert_same_tree, snapshot};
use crate::common::{Client, Cluster, USER, noise};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Sets when a file, folder or link was modified.
fn touch(path: &Path, tv_sec: i64, tv_nsec: i64) {
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access, last_modification: Timespec { tv_sec, tv_nsec } };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Below a client's DIR a tree `home` with what a home folder can have.
fn home(client: &Client) -> PathBuf {
    let home = client.files().join("home");
    let put = |name: &str, mode: u32, bytes: &[u8]| {
        let file = home.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, bytes).unwrap();
        chmod(&file, mode);
    };
    put("bin/run.sh", 0o755, b"#!/bin/sh\n");
    put(".ssh/id_rsa", 0o600, b"secret");
    put(".ssh/id_rsa.pub", 0o644, b"public");
    put("read-only/kept", 0o444, b"kept");
    put("for all", 0o666, b"");
    put("for the group", 0o660, b"x");
    put(".gradle.8/x", 0o644, b"a folder that looks like a piece");
    put(".txt.1/y", 0o644, b"another");
    put("..1/z", 0o644, b"a third");
    put(".x.1", 0o644, b"a file that looks like one");
    put("x", 0o644, b"the file that it looks like a piece of");
    for name in
        ["a\tb", "a\nb", "a\u{85}b", "100%.txt", "100%25.txt", "%2F", "%", "a\\b", "a\"b'c", " ", "*", "-l"]
    {
        put(&format!("names/{name}"), 0o640, name.as_bytes());
    }
    for name in ["Übung", "U\u{308}bung", "\u{202e}gnp", "日本 🎈", "CASE", "case", ".hidden", "..."] {
        put(&format!("names/{name}"), 0o640, name.as_bytes());
    }
    put(&format!("names/{}", "n".repeat(252)), 0o644, b"as long as it may be");
    put(&format!("{}/f", vec!["deep"; 60].join("/")), 0o644, b"deep");
    for size in (0..18).chain([65_535, 65_536, 65_537, 262_143, 262_144, 262_145]) {
        put(&format!("sizes/{size}"), 0o644, &noise(size as u64, size));
    }
    for folder in ["empty", "nested/empty/folder", "private", "shared"] {
        fs::create_dir_all(home.join(folder)).unwrap();
    }
    let links = home.join("links");
    fs::create_dir(&links).unwrap();
    for (target, name) in [
        ("../x", "to a file"),
        ("../empty", "to a folder"),
        ("nowhere/at all", "dangling"),
        ("/etc/hostname", "absolute"),
        ("..", "loop"),
        ("itself", "itself"),
    ] {
        symlink(target, links.join(name)).unwrap();
    }
    symlink(std::ffi::OsStr::from_bytes(b"not UTF-8: \xff\xfe"), links.join("bytes")).unwrap();
    symlink("t".repeat(4095), links.join("long")).unwrap();
    touch(&links.join("dangling"), 86_400, 5);
    touch(&home.join("x"), -1, 999_999_999);
    touch(&home.join("names/CASE"), 5_000_000_000, 1);
    touch(&home.join("names/case"), 1, 0);
    chmod(&home.join("private"), 0o700);
    // Neither is what the umask gives a new folder, and the names in them sort before their own entries.
    fs::create_dir_all(home.join("closed/.first")).unwrap();
    chmod(&home.join("closed"), 0o700);
    chmod(&home, 0o775);
    chmod(&home.join("shared"), 0o777);
    chmod(&home.join("read-only"), 0o555);
    touch(&home.join("empty"), 1_000_000_000, 123_456_789);
    touch(&home.join("names"), -1_000_000_000, 1);
    touch(&home, 1_234_567_890, 987_654_321);
    home
}

fn comes_back(client: &Client, original: &Path) {
    client.forget_downloads();
    client.run(&["Download", "home"]).succeeds();
    assert_same_tree(original, &client.downloads().join("home"));
}

#[test]
fn a_home_folder_comes_back_whatever_becomes_of_one_server() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    let home = home(&aditi);
    aditi.run(&["Upload", "home"]).succeeds();
    comes_back(&aditi, &home);
    // Again, over what is there: read-only files and folders too.
    aditi.run(&["Download", "home"]).succeeds();
    assert_same_tree(&home, &aditi.downloads().join("home"));
    aditi.run(&["Upload", "-u", "home"]).succeeds();
    for n in 1..=4 {
        cluster.stop(n);
        comes_back(&aditi, &home);
        cluster.start(n);
    }
    cluster.wipe(2);
    aditi.run(&["Repair"]).succeeds();
    cluster.stop(1);
    comes_back(&aditi, &home);
    cluster.start(1);
    aditi.run(&["Verify", "-r", "--read"]).succeeds();
    aditi.run(&["Delete", "-r", "home"]).succeeds();
    assert_eq!(cluster.unsettled(), [""; 0]);
    for n in 1..=4 {
        assert!(
            fs::read_dir(cluster.user_folder(n, USER)).unwrap().next().is_none(),
            "nothing is left on {n}"
        );
    }
}

#[test]
fn all_of_dir_comes_back_twice_even_if_nobody_may_write_in_it() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    home(&aditi);
    let dir = aditi.files();
    touch(&dir, 1_000_000_000, 5);
    chmod(&dir, 0o555);
    aditi.run(&["Upload", "."]).succeeds();
    for _ in 0..2 {
        aditi.run(&["Download", "."]).succeeds();
        assert_same_tree(&dir, &aditi.downloads());
    }
    chmod(&dir, 0o755);
    chmod(&aditi.downloads(), 0o755);
}

#[test]
fn a_file_that_comes_alone_finds_its_private_folder_as_private_as_it_was() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    aditi.put("tree/private/sub/file", b"bytes");
    chmod(&aditi.files().join("tree/private"), 0o700);
    chmod(&aditi.files().join("tree/private/sub"), 0o755);
    aditi.run(&["Upload", "tree"]).succeeds();
    aditi.run(&["Upload", "tree/private/sub/file", "other/folder"]).succeeds();
    let mode = |path: &str| fs::metadata(aditi.downloads().join(path)).unwrap().mode() & 0o777;
    aditi.run(&["Download", "tree/private/sub/file"]).succeeds();
    assert_eq!([mode("tree/private"), mode("tree/private/sub")], [0o700, 0o755]);
    aditi.forget_downloads();
    aditi.run(&["Download", "tree/private/sub"]).succeeds();
    assert_eq!(mode("tree/private"), 0o700);
    aditi.run(&["Download", "other/folder/file"]).succeeds();
}

#[test]
fn a_folder_keeps_the_bits_that_are_not_stored() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client(USER);
    aditi.put("tree/new/file", b"bytes");
    chmod(&aditi.files().join("tree"), 0o755);
    chmod(&aditi.files().join("tree/new"), 0o755);
    aditi.run(&["Upload", "tree"]).succeeds();
    let here = aditi.downloads().join("tree");
    fs::create_dir_all(&here).unwrap();
    chmod(&here, 0o3777);
    aditi.run(&["Download", "tree"]).succeeds();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
    // What is made in a folder with setgid inherits it.
    assert_eq!([mode(&here), mode(&here.join("new"))], [0o3755, 0o2755]);
}

#[test]
fn a_home_folder_comes_back_after_a_change_of_the_password() {
    let cluster = Cluster::with_passwords(4, false);
    let mut aditi = cluster.client(USER);
    let home = home(&aditi);
    aditi.run(&["Upload", "home"]).succeeds();
    aditi.pipe("Passwd\nAnother@456\n").succeeds();
    aditi.reread_conf();
    comes_back(&aditi, &home);
}

#[test]
fn files_links_and_empty_folders_that_are_moved_stay_what_they_are() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    let tree = aditi.files().join("tree");
    fs::create_dir_all(tree.join("empty")).unwrap();
    fs::write(tree.join("run"), b"#!").unwrap();
    symlink("run", tree.join("link")).unwrap();
    chmod(&tree.join("run"), 0o751);
    chmod(&tree.join("empty"), 0o750);
    touch(&tree.join("run"), 1, 2);
    touch(&tree.join("link"), 3, 4);
    touch(&tree.join("empty"), 5, 6);
    aditi.run(&["Upload", "tree"]).succeeds();
    for name in ["run", "link", "empty"] {
        aditi.run(&["Move", &format!("tree/{name}"), &format!("moved/{name}")]).succeeds();
    }
    aditi.run(&["ShowFiles", "tree"]).succeeds().prints(&[]);
    aditi.run(&["ShowFiles", "moved"]).succeeds().prints(&["empty/", "link", "run"]);
    aditi.run(&["Download", "moved"]).succeeds();
    let (mut original, mut copy) = (snapshot(&tree), snapshot(&aditi.downloads().join("moved")));
    // The folder around them has no entry.
    for tree in [&mut original, &mut copy] {
        tree.remove(std::ffi::OsStr::new(""));
    }
    assert_same(&original, &copy);
    aditi.run(&["Move", "moved/empty", "tree"]).fails_with(1).complains_of("exists");
    aditi.run(&["Delete", "-r", "moved/empty"]).succeeds();
    aditi.run(&["ShowFiles", "moved"]).succeeds().prints(&["link", "run"]);
}

#[test]
fn a_home_folder_that_is_moved_comes_back_as_it_was() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    let home = home(&aditi);
    aditi.run(&["Upload", "home"]).succeeds();
    // Among its names there are some that cannot become longer.
    aditi.run(&["Move", "home", "users"]).succeeds();
    aditi.run(&["ShowFiles"]).succeeds().prints(&["users/"]);
    cluster.stop(2);
    aditi.run(&["Download", "users"]).succeeds();
    assert_same_tree(&home, &aditi.downloads().join("users"));
}

#[test]
fn what_exists_is_never_given_more_permissions() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client(USER);
    let tree = aditi.files().join("tree");
    fs::create_dir_all(&tree).unwrap();
    chmod(&tree, 0o755);
    for (name, mode) in [("id_rsa", 0o644), ("run", 0o755), ("narrow", 0o600)] {
        fs::write(tree.join(name), name).unwrap();
        chmod(&tree.join(name), mode);
    }
    aditi.run(&["Upload", "tree"]).succeeds();
    let here = aditi.downloads().join("tree");
    fs::create_dir_all(&here).unwrap();
    for (name, mode) in [("id_rsa", 0o600), ("run", 0o640), ("narrow", 0o666)] {
        fs::write(here.join(name), "older").unwrap();
        chmod(&here.join(name), mode);
    }
    chmod(&here, 0o700);
    let outcome = aditi.run(&["Download", "tree"]).succeeds();
    let mode = |name: &str| fs::symlink_metadata(here.join(name)).unwrap().mode() & 0o777;
    assert_eq!([mode("id_rsa"), mode("run"), mode("narrow"), mode(".")], [0o600, 0o640, 0o600, 0o700]);
    outcome.complains_of("tree/id_rsa: the existing permissions 600 were not widened to the stored 644");
}

#[test]
fn no_link_is_followed_on_the_way_down() {
    let cluster = Cluster::quick(2);
    let aditi = cluster.client(USER);
    let outside = aditi.folder().join("outside");
    fs::create_dir_all(&outside).unwrap();
    aditi.put("tree/sub/x", b"bytes");
    aditi.run(&["Upload", "tree"]).succeeds();
    fs::create_dir_all(aditi.downloads().join("tree")).unwrap();
    let link = aditi.downloads().join("tree/sub");
    symlink(&outside, &link).unwrap();
    let outcome = aditi.run(&["Download", "tree"]).fails_with(1);
    outcome.complains_of("is a link, and Download follows none there");
    assert!(fs::read_dir(&outside).unwrap().next().is_none() && link.is_symlink());
    // A stored link takes the place of another one, and of a file, without a look at where it leads.
    let inside = outside.join("kept");
    fs::write(&inside, b"kept").unwrap();
    fs::remove_dir_all(aditi.files().join("tree")).unwrap();
    fs::create_dir(aditi.files().join("tree")).unwrap();
    symlink("nowhere", aditi.files().join("tree/link")).unwrap();
    aditi.run(&["Upload", "tree"]).succeeds();
    symlink(&inside, aditi.downloads().join("tree/link")).unwrap();
    aditi.run(&["Download", "tree/link"]).succeeds();
    assert_eq!(fs::read_link(aditi.downloads().join("tree/link")).unwrap(), Path::new("nowhere"));
    assert_eq!(fs::read(&inside).unwrap(), b"kept");
    aditi.run(&["ShowFiles", "tree", "--json"]).succeeds();
}

/// What a random tree is made of: each name, what it is, its permission bits and its time.
type Random = Vec<(Vec<String>, u8, u32, (i64, i64))>;

fn random_tree() -> impl Strategy<Value = Random> {
    let name = prop_oneof!["[a-c]{1,2}", "[.%1-2EFa-b]{1,6}", "(\\PC|[\\t\\n\\r\\x1b]){1,8}"]
        .prop_filter("a name", |name| !matches!(name.as_str(), "." | "..") && !name.contains(['/', '\0']));
    let path = prop::collection::vec(name, 1..4);
    let time = (prop_oneof![Just(0), -9_999_999_999_i64..9_999_999_999], 0..1_000_000_000_i64);
    prop::collection::vec((path, 0..4_u8, 0..0o1000_u32, time), 1..12)
}

#[test]
fn any_tree_comes_back() {
    let cluster = Cluster::quick(4);
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let run = |random: Random| {
        let aditi = cluster.client(USER);
        let tree = aditi.files().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut made = Vec::new();
        for (number, (segments, kind, mode, time)) in random.into_iter().enumerate() {
            let path = segments.iter().fold(tree.clone(), |path, segment| path.join(segment));
            // A name that is too long, or taken, or below a file, is left for another tree.
            if fs::create_dir_all(path.parent().unwrap()).is_err() || path.symlink_metadata().is_ok() {
                continue;
            }
            match kind {
                0 => fs::create_dir(&path).unwrap(),
                1 => symlink(segments.concat(), &path).unwrap(),
                // The owner must be able to read it here.
                _ => fs::write(&path, noise(number as u64, number * usize::from(kind))).unwrap(),
            }
            if kind != 1 {
                chmod(&path, mode | if kind == 0 { 0o700 } else { 0o400 });
            }
            made.push((path, time));
        }
        made.iter().rev().for_each(|(path, (seconds, nanos))| touch(path, *seconds, *nanos));
        aditi.run(&["Upload", "tree"]).succeeds();
        aditi.run(&["Download", "tree"]).succeeds();
        assert_same_tree(&tree, &aditi.downloads().join("tree"));
        aditi.run(&["Delete", "-r", "tree"]).succeeds();
        Ok(())
    };
    runner.run(&random_tree(), run).unwrap_or_else(|error| panic!("{error}"));
}
