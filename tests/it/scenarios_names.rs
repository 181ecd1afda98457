//! Several names, patterns, mirrors, and what would be done.

use crate::common::client::PROGRAM;
use crate::common::disk::{self, files_below};
use crate::common::process::run;
use crate::common::{Client, Cluster, Json, as_seen, noise};
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// A user with some files, and nothing stored yet.
fn with_files(cluster: &Cluster) -> Client {
    let aditi = cluster.client("Aditi");
    for name in ["a.txt", "b.txt", "c.md", ".hidden.txt", "d/e.txt", "d/f/g.txt", "d/x.o"] {
        aditi.put(name, name.as_bytes());
    }
    aditi
}

#[track_caller]
fn stored(aditi: &Client) -> Vec<String> {
    let listed = aditi.run(&["ShowFiles", "-r", "-q"]).succeeds();
    listed.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn what_the_shell_makes_of_a_pattern_never_stores_a_file_in_another() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    let refused = aditi.run(&["Upload", "a.txt", "b.txt"]).fails_with(1);
    refused.complains_of("'b.txt' is a file in DIR").complains_of("Upload a.txt b.txt --to .");
    assert!(stored(&aditi).is_empty());
    aditi.run(&["Upload", "a.txt", "b.txt", "--to", "."]).succeeds();
    assert_eq!(stored(&aditi), ["a.txt", "b.txt"]);
    aditi.run(&["Upload", "a.txt", "b.txt", "c.md"]).succeeds();
    assert_eq!(stored(&aditi), ["a.txt", "b.txt", "c.md"]);
    aditi.run(&["Upload", "a.txt", "--to", "b.txt"]).fails_with(1).complains_of("same name");
    aditi.run(&["Upload", "a.txt", "papers"]).succeeds();
    aditi.run(&["Upload", "*.txt", "papers"]).succeeds();
    assert_eq!(stored(&aditi), ["a.txt", "b.txt", "c.md", "papers/", "papers/a.txt", "papers/b.txt"]);
    aditi.run(&["Upload", "*.md", "*.txt"]).fails_with(1).complains_of("a pattern").complains_of("--to .");
}

#[test]
fn patterns_are_of_local_files_for_upload_and_of_stored_ones_for_all_others() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "."]).succeeds();
    fs::remove_dir_all(aditi.files().join("d")).unwrap();
    aditi.run(&["Upload", "d/*"]).fails_with(1).complains_of("no file matches 'd/*'").complains_of("files");
    let listed = |name| aditi.run(&["ShowFiles", name]).succeeds().stdout;
    assert_eq!(listed("*.txt"), "a.txt\nb.txt\n");
    assert_eq!(listed(".*"), ".hidden.txt\n");
    assert_eq!(listed("d/*"), "d/e.txt\nd/f/\nd/x.o\n");
    assert_eq!(listed("**/[eg].txt"), "d/e.txt\nd/f/g.txt\n");
    aditi.run(&["ShowFiles", "z*"]).fails_with(1).complains_of("nothing stored matches 'z*'");
    aditi.pipe("Download **/*.txt\n").succeeds();
    assert_eq!(files_below(&aditi.downloads()), ["a.txt", "b.txt", "d/e.txt", "d/f/g.txt"]);
    aditi.run(&["Verify", "d/*"]).succeeds();
    aditi.run(&["Repair", "d/*", "-n"]).succeeds();
    aditi.run(&["Delete", "*"]).fails_with(1).complains_of("'d' is a folder");
    assert_eq!(stored(&aditi), [".hidden.txt", "d/", "d/e.txt", "d/f/", "d/f/g.txt", "d/x.o"]);
    aditi.run(&["Delete", "-r", "*"]).succeeds();
    assert_eq!(stored(&aditi), [".hidden.txt"]);
}

#[test]
fn a_file_with_just_that_name_comes_before_what_the_pattern_matches() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for name in ["photo[1].jpg", "photo1.jpg", "*"] {
        aditi.put(name, name.as_bytes());
    }
    aditi.run(&["Upload", "*"]).succeeds();
    assert_eq!(stored(&aditi), ["*"]);
    aditi.run(&["Upload", "photo*"]).succeeds();
    aditi.run(&["Delete", "*"]).succeeds();
    aditi.run(&["Delete", "photo[1].jpg"]).succeeds();
    assert_eq!(stored(&aditi), ["photo1.jpg"]);
    aditi.run(&["Delete", "photo[1].jpg"]).succeeds();
    assert!(stored(&aditi).is_empty());
}

#[test]
fn names_that_would_meet_in_one_place_are_refused_before_anything_is_done() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.put("d/a.txt", b"another");
    let refused = aditi.run(&["Upload", "a.txt", "c.md", "d/a.txt"]).fails_with(1);
    refused.complains_of("'a.txt' and 'd/a.txt' would both be stored as 'a.txt'");
    assert!(stored(&aditi).is_empty());
    aditi.run(&["Upload", "."]).succeeds();
    let refused = aditi.run(&["Download", "a.txt", "d/a.txt", "--to", "."]).fails_with(1);
    refused.complains_of("would both be ./a.txt");
    assert!(!aditi.folder().join("a.txt").exists());
    aditi.run(&["Download", "a.txt", "c.md", "d/a.txt"]).succeeds();
    aditi.has_downloaded("d/a.txt", b"another");
}

#[test]
fn one_name_of_several_that_is_missing_does_not_stop_the_others() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    let outcome = aditi.run(&["Upload", "a.txt", "z.txt", "b.txt"]).fails_with(1);
    outcome.complains_of("no such file: 'z.txt'").complains_of("2 files stored, 1 failed");
    assert_eq!(stored(&aditi), ["a.txt", "b.txt"]);
    let outcome = aditi.run(&["Download", "a.txt", "z.txt", "b.txt"]).fails_with(1);
    outcome.complains_of("not found: 'z.txt'").complains_of("2 files downloaded, 1 failed");
    aditi.has_downloaded("a.txt", b"a.txt");
    aditi.has_downloaded("b.txt", b"b.txt");
}

#[test]
fn a_name_with_a_slash_at_its_end_is_a_folder_whatever_is_named_beside_it() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "."]).succeeds();
    aditi.run(&["Download", "d/", "a.txt", "c.md"]).succeeds();
    aditi.has_downloaded("a.txt", b"a.txt");
    aditi.has_downloaded("d/e.txt", b"d/e.txt");
    let refused = aditi.run(&["Download", "b.txt/", "a.txt", "*.md"]).fails_with(1);
    refused.complains_of("'b.txt' is a file, not a folder").complains_of("did you mean b.txt?");
    assert!(!aditi.downloads().join("b.txt").exists());
}

#[test]
fn a_download_goes_where_it_is_told_to() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "."]).succeeds();
    let here = |name: &str| aditi.folder().join(name);
    aditi.run(&["Download", "d/e.txt", "--to", "new.txt"]).succeeds();
    assert_eq!(fs::read(here("new.txt")).unwrap(), b"d/e.txt");
    aditi.run(&["Download", "a.txt", "--to", "new.txt"]).succeeds();
    assert_eq!(fs::read(here("new.txt")).unwrap(), b"a.txt", "replaced, as by cp");
    fs::create_dir(here("there")).unwrap();
    aditi.run(&["Download", "d/e.txt", "d", "--to=there"]).succeeds();
    assert_eq!(files_below(&here("there")), ["d/e.txt", "d/f/g.txt", "d/x.o", "e.txt"]);
    aditi.run(&["Download", "d", "--to", "copy"]).fails_with(1).complains_of("`mkdir -p copy` makes it");
    fs::create_dir(here("all")).unwrap();
    aditi.run(&["Download", ".", "--to", "all"]).succeeds();
    assert_eq!(files_below(&here("all")), files_below(&aditi.files()));
    aditi
        .run(&["Download", "a.txt", "b.txt", "--to", "nowhere"])
        .fails_with(1)
        .complains_of("mkdir -p nowhere");
    aditi
        .run(&["Download", "a.txt", "--to", "no/where"])
        .fails_with(1)
        .complains_of("no such local folder: 'no'");
    aditi.run(&["Download", "d", "--to", "new.txt"]).fails_with(1).complains_of("'new.txt' is not a folder");
    let hint = "Download a.txt --to /tmp/x";
    aditi.run(&["Download", "a.txt", "/tmp/x"]).fails_with(1).complains_of(hint);
    aditi.has_no_downloads();
}

#[test]
fn a_download_replaces_no_device_fifo_or_link_that_was_named_as_its_place() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "a.txt"]).succeeds();
    let place = |name: &str| aditi.folder().join(name);
    run(Command::new("mkfifo").arg(place("fifo")), "").succeeds();
    fs::write(place("file"), b"what the link leads to").unwrap();
    symlink("file", place("link")).unwrap();
    aditi.run(&["Download", "a.txt", "--to", "fifo"]).fails_with(1).complains_of("not a regular file");
    aditi.run(&["Download", "a.txt", "--to", "link"]).fails_with(1).complains_of("'link' is a link");
    aditi.run(&["Download", "a.txt", "--to", "-"]).fails_with(1).complains_of("`Cat a.txt`");
    assert!(place("fifo").metadata().unwrap().file_type().is_fifo());
    assert!(place("link").is_symlink());
    assert_eq!(fs::read(place("file")).unwrap(), b"what the link leads to");
}

#[test]
fn two_folders_that_may_both_be_meant_are_not_put_into_each_other() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.put("second/file", b"file");
    let refused = aditi.run(&["Upload", "d", "second"]).fails_with(1);
    refused.complains_of("'second' is a folder in DIR").complains_of("Upload d second --to .");
    assert!(stored(&aditi).is_empty());
    aditi.run(&["Upload", "second"]).succeeds();
    aditi.run(&["Upload", "d/f", "second"]).succeeds();
    assert_eq!(stored(&aditi), ["second/", "second/f/", "second/f/g.txt", "second/file"]);
}

#[test]
fn two_stored_files_are_not_taken_for_a_file_in_a_folder() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "."]).succeeds();
    let refused = aditi.run(&["Download", "a.txt", "b.txt"]).fails_with(1);
    refused.complains_of("'b.txt' is a file").complains_of("Download a.txt b.txt --to Downloads/Aditi");
    aditi.run(&["Download", "e.txt", "d"]).succeeds();
    aditi.run(&["Download", "a.txt", "b.txt", "--to", "Downloads/Aditi"]).succeeds();
    assert_eq!(files_below(&aditi.downloads()), ["a.txt", "b.txt", "d/e.txt"]);
}

#[test]
fn what_is_stored_is_not_uploaded_again_only_because_a_server_is_down() {
    let mut cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "."]).succeeds();
    cluster.stop(2);
    aditi.put("new.txt", b"new");
    let outcome = aditi.run(&["Upload", "-u", "-l", "d", "new.txt", "a.txt"]).succeeds();
    let uploaded: Vec<&str> =
        outcome.lines().into_iter().filter(|line| line.starts_with("uploaded")).collect();
    assert_eq!(uploaded, ["uploaded new.txt (3 B)"]);
    cluster.start(2);
    cluster.wipe(2);
    let outcome = aditi.run(&["Upload", "-u", "-l", "a.txt"]).succeeds();
    outcome.prints(&["uploaded a.txt (5 B)"]);
}

#[test]
fn nothing_is_written_through_a_link_below_the_place_that_was_named() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "d"]).succeeds();
    let (place, elsewhere) = (aditi.folder().join("place"), aditi.folder().join("elsewhere"));
    fs::create_dir(&place).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, place.join("d")).unwrap();
    aditi.run(&["Download", "d", "--to", "place"]).fails_with(1).complains_of("is a link");
    aditi.run(&["Download", "-u", "--delete", "d", "--to", "place"]).fails_with(1);
    assert!(files_below(&elsewhere).is_empty());
}

#[test]
fn only_what_differs_is_downloaded_and_a_newer_local_file_is_not_replaced_silently() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "."]).succeeds();
    aditi.run(&["Download", "."]).succeeds();
    let again = aditi.run(&["Download", "-u", "-n", "."]).succeeds();
    assert_eq!(again.stdout, "");
    let local = aditi.downloads().join("a.txt");
    fs::write(&local, b"newer").unwrap();
    let time = SystemTime::now() + Duration::from_secs(60);
    File::options().write(true).open(&local).unwrap().set_modified(time).unwrap();
    let would = aditi.run(&["Download", "-u", "-n", "."]).succeeds();
    assert_eq!(would.stdout, "would download a.txt (5 B) to Downloads/Aditi/a.txt\n");
    would.complains_of("a.txt: the local file that it replaces is newer");
    assert_eq!(fs::read(&local).unwrap(), b"newer");
    aditi.run(&["Download", "-u", "."]).succeeds().complains_of("is newer");
    aditi.has_downloaded("a.txt", b"a.txt");
    let older = SystemTime::now() - Duration::from_secs(1000);
    File::options().write(true).open(&local).unwrap().set_modified(older).unwrap();
    let outcome = aditi.run(&["Download", "-u", "a.txt"]).succeeds();
    assert_eq!(outcome.stderr, "", "older is no reason to say anything");
}

#[test]
fn an_upload_that_is_a_mirror_deletes_there_what_is_not_here() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "."]).succeeds();
    fs::remove_dir_all(aditi.files().join("d/f")).unwrap();
    fs::remove_file(aditi.files().join("d/x.o")).unwrap();
    let would = aditi.run(&["Upload", "-u", "--delete", "-n", "d"]).succeeds();
    assert_eq!(would.stdout, "would delete d/f/\nwould delete d/f/g.txt\nwould delete d/x.o\n");
    aditi.run(&["Upload", "-u", "--delete", "d", "--exclude", "*.o"]).succeeds();
    assert_eq!(stored(&aditi), [".hidden.txt", "a.txt", "b.txt", "c.md", "d/", "d/e.txt", "d/x.o"]);
    aditi.run(&["Upload", "-u", "--delete", ".", "d"]).fails_with(1).complains_of("only after --to");
    aditi.run(&["Upload", "-u", "--delete", ".", "d", "--to", "."]).succeeds();
    assert_eq!(stored(&aditi), [".hidden.txt", "a.txt", "b.txt", "c.md", "d/", "d/e.txt"]);
}

#[test]
fn a_mirror_deletes_nothing_if_anything_is_doubtful() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "d"]).succeeds();
    let all = stored(&aditi);
    for (args, why) in [
        (&["Upload", "--delete", "d"][..], "--delete needs -u"),
        (&["Upload", "-u", "--delete", "a.txt"], "--delete needs a folder"),
        (&["Download", "--delete", "d"], "--delete needs -u"),
    ] {
        aditi.run(args).fails_with(1).complains_of(why);
    }
    fs::remove_dir_all(aditi.files().join("d")).unwrap();
    fs::create_dir(aditi.files().join("d")).unwrap();
    let empty = aditi.run(&["Upload", "-u", "--delete", "d"]).fails_with(1);
    empty.complains_of("no file is in 'd' here").complains_of("is its disk mounted?");
    assert_eq!(stored(&aditi), all);
    aditi.put("d/new", b"new");
    run(Command::new("mkfifo").arg(aditi.files().join("d/fifo")), "").succeeds();
    aditi.run(&["Upload", "-u", "--delete", "d"]).fails_with(1).complains_of("--delete deleted nothing");
    assert!(all.iter().all(|name| stored(&aditi).contains(name)));
}

#[test]
fn a_download_that_is_a_mirror_removes_here_what_is_not_stored() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "."]).succeeds();
    aditi.run(&["Download", "."]).succeeds();
    aditi.run(&["Delete", "-r", "d/f"]).succeeds();
    let place = aditi.downloads();
    disk::write(&place.join("d/extra/deep/file"), b"extra");
    disk::write(&place.join("outside"), b"not in d");
    symlink("../outside", place.join("d/link")).unwrap();
    let would = aditi.run(&["Download", "-u", "--delete", "-n", "d"]).succeeds();
    let lines: Vec<&str> = would.stdout.lines().collect();
    let names = ["d/extra/deep/file", "d/extra/deep/", "d/extra/", "d/f/g.txt", "d/f/", "d/link"];
    let expected = names.map(|name| format!("would remove here Downloads/Aditi/{name}"));
    assert_eq!(lines, expected);
    aditi.run(&["Download", "-u", "--delete", "d", "--exclude", "link"]).succeeds();
    assert_eq!(files_below(&place.join("d")), ["e.txt", "link", "x.o"]);
    assert!(place.join("outside").exists());
    disk::write(&place.join("d/extra"), b"in both");
    aditi.run(&["Download", "-u", "--delete", ".", "d", "--to", "Downloads/Aditi"]).succeeds();
    assert_eq!(files_below(&place), [".hidden.txt", "a.txt", "b.txt", "c.md", "d/e.txt", "d/x.o"]);
}

#[test]
fn a_mirror_removes_nothing_here_while_servers_may_have_more() {
    let mut cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "."]).succeeds();
    aditi.run(&["Download", "."]).succeeds();
    disk::write(&aditi.downloads().join("extra"), b"extra");
    cluster.stop(2);
    cluster.stop(3);
    let outcome = aditi.run(&["Download", "-u", "--delete", "."]);
    outcome.fails().complains_of("--delete removed nothing");
    assert!(aditi.downloads().join("extra").exists());
}

#[test]
fn a_pattern_is_not_done_with_while_servers_may_have_more_that_matches() {
    let mut cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    cluster.run_only(&[3, 4]);
    aditi.run(&["Upload", "a.txt"]).succeeds();
    cluster.run_only(&[1, 2]);
    aditi.run(&["Upload", "b.txt"]).succeeds();
    for arguments in
        [&["Download", "*.txt"][..], &["Cat", "*.txt"], &["Move", "*.txt", "c"], &["Delete", "*"]]
    {
        aditi.run(arguments).fails_with(4).complains_of("some servers did not answer (Server3, Server4");
    }
}

#[test]
fn a_mirror_keeps_what_another_client_stores_while_it_runs() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let other = cluster.client("Aditi");
    aditi.put("m/large", &noise(1, 3 << 20));
    other.put("m/gone", b"version 1");
    other.run(&["Upload", "m"]).succeeds();
    other.put("m/gone", b"version 2");
    other.put("m/new", b"new");
    // Slow enough for the others to come in between.
    let mirror = aditi.shell("$client Upload -u --delete m --limit 1M --trace 2>&1");
    mirror.wait_for_text("STAGE");
    other.run(&["Upload", "m"]).succeeds();
    let outcome = mirror.finish().exits(1);
    assert!(
        outcome.stdout.contains("m/gone was replaced in the meantime; the newer version was kept"),
        "{outcome}"
    );
    assert_eq!(stored(&aditi), ["m/", "m/gone", "m/large", "m/new"]);
}

#[test]
fn a_mirror_keeps_what_is_put_here_while_it_runs_and_the_files_of_a_change_of_password() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("m/large", &noise(1, 3 << 20));
    aditi.run(&["Upload", "m"]).succeeds();
    let place = aditi.folder().join("place");
    disk::write(&place.join("m/old"), b"old");
    disk::write(&place.join("m/written"), b"before");
    // The .conf of this run is in the mirror.
    aditi.write_conf();
    fs::copy(aditi.folder().join("user.conf"), place.join("m/my.conf")).unwrap();
    disk::write(&place.join("m/my.conf.passwd.txt"), b"not the journal");
    let command = "files place/m/my.conf Download -u --delete m --to place --limit 1M --trace 2>&1";
    let mirror = aditi.shell(&format!("{PROGRAM} {command}"));
    mirror.wait_for_text("READ");
    disk::write(&place.join("m/new"), b"new");
    disk::write(&place.join("m/written"), b"and after");
    let outcome = mirror.finish().exits(1);
    assert!(outcome.stdout.contains("it has changed, and was kept"), "{outcome}");
    assert_eq!(files_below(&place.join("m")), ["large", "my.conf", "new", "written"]);
}

#[test]
fn a_name_whose_place_is_in_that_of_another_is_refused_unless_it_is_the_same() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    let elsewhere = aditi.folder().join("elsewhere/d");
    disk::write(&elsewhere.join("e.txt"), b"another");
    let elsewhere = elsewhere.to_str().unwrap();
    let refused = aditi.run(&["Upload", "-u", "--delete", ".", elsewhere, "--to", "bk"]).fails_with(1);
    refused.complains_of("would be in the folder in which '.' is stored");
    assert!(stored(&aditi).is_empty());
    aditi.run(&["Upload", ".", "d", "--to", "bk"]).succeeds();
    fs::create_dir(aditi.folder().join("x")).unwrap();
    let refused = aditi.run(&["Download", ".", "bk/d", "--to", "x"]).fails_with(1);
    refused
        .complains_of("'bk/d' would be in the folder to which '.' goes")
        .does_not_complain_of("downloaded");
    let refused = aditi.run(&["Download", "bk", "bk/d/f", "--to", "x"]).succeeds();
    refused.does_not_complain_of("would");
    aditi.run(&["Upload", "a.txt", "--to", "bk/f"]).succeeds();
    let refused = aditi.run(&["Download", ".", "bk/f", "--to", "x/bk"]).fails_with(1);
    refused.complains_of("'bk/f' would be in the folder to which '.' goes");
}

#[test]
fn a_name_that_looks_like_a_pattern_and_is_gone_says_what_it_hits() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("r1.txt", b"1");
    let outcome = aditi.run(&["Delete", "-n", "r[1].txt"]).succeeds();
    outcome.complains_of("nothing is named 'r[1].txt'; as a pattern it matches r1.txt");
    cluster.stop(3);
    cluster.stop(4);
    aditi.run(&["Delete", "r[1].txt"]).fails_with(4);
    aditi.run(&["Move", "r[1].txt", "x"]).fails_with(4);
    cluster.run_all();
    assert_eq!(stored(&aditi), ["r1.txt"]);
}

#[test]
fn on_a_terminal_a_mirror_asks_first_and_says_where_a_file_went() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "d"]).succeeds();
    fs::remove_file(aditi.files().join("d/x.o")).unwrap();
    let Some(mut session) = aditi.on_terminal(100, "$client Upload -u --delete d; $client Upload d/e.txt")
    else {
        return;
    };
    session.send("n");
    let outcome = session.finish();
    let seen = as_seen(&outcome.stdout).join("\n");
    assert!(seen.contains("1 name stored there but not in DIR; delete? [y/N]"), "{seen}");
    assert!(seen.contains("nothing was deleted"), "{seen}");
    assert!(seen.contains("uploaded d/e.txt (7 B), stored as e.txt"), "{seen}");
    assert!(stored(&aditi).contains(&"d/x.o".to_owned()));
}

#[test]
fn what_would_be_done_is_said_in_the_same_words_and_not_done() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    let would = aditi.run(&["Upload", "-n", "*.txt"]).succeeds();
    assert_eq!(would.stdout, "would upload a.txt (5 B)\nwould upload b.txt (5 B)\n");
    assert!(stored(&aditi).is_empty());
    aditi.run(&["Upload", "a.txt"]).succeeds();
    let would = aditi.run(&["Upload", "-u", "-n", "*.txt"]).succeeds();
    assert_eq!(would.stdout, "would upload b.txt (5 B)\n");
    let would = aditi.run(&["Delete", "-n", "a.txt"]).succeeds();
    assert_eq!(would.stdout, "would delete a.txt\n");
    let would = aditi.run(&["Download", "-n", "a.txt"]).succeeds();
    assert_eq!(would.stdout, "would download a.txt (5 B) to Downloads/Aditi/a.txt\n");
    aditi.has_no_downloads();
    assert_eq!(stored(&aditi), ["a.txt"]);
    aditi.run(&["Upload", "d"]).succeeds();
    aditi.run(&["Download", "-n", "d/e.txt"]).succeeds();
    assert!(!aditi.downloads().exists(), "no folder is made either");
    aditi.run(&["Download", "-n", "b.txt"]).fails_with(1).complains_of("not found");
}

#[test]
fn what_is_excluded_is_neither_stored_nor_fetched() {
    let cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", ".", "--exclude", "*.o", "--exclude=/d/f/", "--exclude", ".*"]).succeeds();
    assert_eq!(stored(&aditi), ["a.txt", "b.txt", "c.md", "d/", "d/e.txt"]);
    aditi.run(&["Download", ".", "--exclude", "*.txt", "--exclude", "!b.txt"]).succeeds();
    assert_eq!(files_below(&aditi.downloads()), ["b.txt", "c.md"]);
    aditi.run(&["Upload", "--exclude"]).fails_with(2).complains_of("--exclude has no value");
}

#[test]
fn a_list_of_everything_ends_with_the_totals() {
    let mut cluster = Cluster::quick(4);
    let aditi = with_files(&cluster);
    aditi.run(&["Upload", "d"]).succeeds();
    let listed = aditi.run(&["ShowFiles", "-r"]).succeeds().stdout;
    let expected = "d/\nd/e.txt\nd/f/\nd/f/g.txt\nd/x.o\n3 files in 2 folders, 21 bytes: 3 whole\n";
    assert_eq!(listed, expected);
    let listed = aditi.run(&["ShowFiles", "-r", "d/f"]).succeeds().stdout;
    assert_eq!(listed, "g.txt\n1 file in 0 folders, 9 bytes: 1 whole\n");
    cluster.stop(1);
    let listed = aditi.run(&["ShowFiles", "-r", "--json"]).succeeds().stdout;
    let last = Json::lines(&listed).pop().unwrap();
    assert_eq!(last.text("type"), "total");
    assert_eq!((last.get("files"), last.get("degraded")), (&Json::Number(3.0), &Json::Number(3.0)));
}

#[test]
fn at_fifty_columns_size_and_date_stay_and_the_map_goes() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a-name-of-some-length.txt", b"text");
    for (width, map) in [(50, false), (80, true), (120, true)] {
        let Some(session) = aditi.on_terminal(width, "$client ShowFiles") else { return };
        let lines = as_seen(&session.finish().stdout);
        let head = lines.iter().find(|line| line.starts_with("Name")).unwrap();
        assert!(head.contains("Size") && head.contains("Modified"), "{width}: {head}");
        assert_eq!(head.contains("Server1"), map, "{width}: {head}");
        assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
    }
}
