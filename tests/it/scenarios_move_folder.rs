//! Move of a folder: everything below it gets its new name, and nothing is lost whatever becomes of the Move.

use crate::common::{Client, Cluster, Fault, Proxy, Trap, USER, Way, noise, travelled};
use std::fs;

/// What is in the folder `d` of the tests, and what each file contains.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a", noise(1, 30_000)),
        ("b", vec![]),
        ("s/c d", noise(2, 5)),
        ("s/e", noise(3, 70_000)),
        ("t/u/ü", noise(4, 1_000)),
    ]
}

/// Uploads the folder `d`, with one that is empty in it, or without any entry of a folder.
fn upload(client: &Client, with_entries: bool) {
    for (name, bytes) in files() {
        client.put(&format!("d/{name}"), &bytes);
    }
    fs::create_dir_all(client.files().join("d/none")).unwrap();
    if with_entries {
        client.run(&["Upload", "d"]).succeeds();
        return;
    }
    for (name, _) in files() {
        let (folder, _) = name.rsplit_once('/').unwrap_or((".", ""));
        client.run(&["Upload", &format!("d/{name}"), &format!("d/{folder}").replace("/.", "")]).succeeds();
    }
}

/// Each file of `d` has its old name, its new one below `folder`, or both; how many have the old one.
#[track_caller]
fn each_has_a_name(client: &Client, folder: &str) -> usize {
    client.forget_downloads();
    for folder in ["d", folder] {
        client.run(&["Download", folder]);
    }
    let mut old = 0;
    for (name, bytes) in files() {
        let (one, other) = (format!("d/{name}"), format!("{folder}/{name}"));
        let there: Vec<String> =
            [one.clone(), other].into_iter().filter(|path| client.downloaded(path).is_some()).collect();
        assert!(!there.is_empty(), "{name} is gone");
        there.iter().for_each(|path| client.has_downloaded(path, &bytes));
        old += usize::from(there.contains(&one));
    }
    old
}

/// All of `d` is in `folder`, and nothing else is stored.
#[track_caller]
fn all_is_in(client: &Client, cluster: &Cluster, folder: &str) {
    assert_eq!(each_has_a_name(client, folder), 0, "left under the old name");
    client.run(&["Repair"]).succeeds();
    client.run(&["Verify", "-r"]).succeeds().prints(&[]);
    client.run(&["ShowFiles"]).succeeds().prints(&[&format!("{folder}/")]);
    assert_eq!(cluster.unsettled(), [""; 0]);
}

/// The same Move finishes what was interrupted.
#[track_caller]
fn finishes(client: &Client, how: &str) {
    let is_left = each_has_a_name(client, "e") > 0;
    let moved = client.run(&["Move", "d", "e"]);
    let nothing_is_left = moved.status == 1 && moved.stderr.contains("not found: 'd'");
    assert!(moved.status == 0 || (!is_left && nothing_is_left), "{how}: {moved}");
}

#[test]
fn a_folder_is_moved_with_all_below_it_and_its_bytes_do_not_travel() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through(USER, &proxies);
    upload(&aditi, true);
    aditi.put("large", &noise(9, 2 << 20));
    aditi.run(&["Upload", "large", "d"]).succeeds();
    let mut old = "d";
    for new in ["e", "f/g", "e/"] {
        proxies.iter().for_each(Proxy::forget);
        aditi.run(&["Move", old, new]).succeeds().does_not_complain_of("warning");
        let sent = travelled(&proxies);
        assert!(sent < 1 << 20, "{sent} bytes were sent");
        old = new.trim_end_matches('/');
    }
    aditi.run(&["ShowFiles", "e"]).succeeds().prints(&["a", "b", "large", "none/", "s/", "t/"]);
    all_is_in(&aditi, &cluster, "e");
    for n in 1..=4 {
        assert!(!cluster.user_folder(n, USER).join("d").exists(), "an empty folder is left on Server{n}");
    }
}

#[test]
fn more_files_than_go_together_are_moved_too() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    for n in 0..300 {
        aditi.put(&format!("many/{}/{n}", n % 140), &[n as u8]);
    }
    aditi.run(&["Upload", "many"]).succeeds();
    aditi.run(&["Move", "many", "moved"]).succeeds();
    aditi.run(&["ShowFiles"]).succeeds().prints(&["moved/"]);
    aditi.run(&["Download", "moved"]).succeeds();
    for n in 0..300 {
        aditi.has_downloaded(&format!("moved/{}/{n}", n % 140), &[n as u8]);
    }
    assert_eq!(cluster.unsettled(), [""; 0]);
}

#[test]
fn a_folder_is_moved_while_a_server_is_down_and_stays_moved() {
    for absent in [1, 3] {
        let mut cluster = Cluster::quick(4);
        let aditi = cluster.client(USER);
        upload(&aditi, absent == 1);
        cluster.stop(absent);
        aditi.run(&["Move", "d", "e"]).succeeds().complains_of("warning");
        assert_eq!(each_has_a_name(&aditi, "e"), 0);
        cluster.start(absent);
        all_is_in(&aditi, &cluster, "e");
    }
}

#[test]
fn a_folder_whose_move_is_killed_loses_nothing_and_the_same_move_finishes_it() {
    for with_entries in [true, false] {
        for step in 1..=10 {
            let cluster = Cluster::quick(4);
            let proxies = cluster.proxies();
            let killed = cluster.client_through(USER, &proxies);
            let aditi = cluster.client(USER);
            upload(&aditi, with_entries);
            let proxy = &proxies[step % 4];
            killed.run(&["Move", "d", "x"]).succeeds();
            let sent = proxy.recorded(Way::Up).len();
            aditi.run(&["Move", "x", "d"]).succeeds();

            proxy.fail_after(Way::Up, sent * step / 11, Fault::Silence);
            let moving = killed.start(&["Move", "d", "e"]);
            proxy.wait_for_the_fault();
            moving.kill();
            // What was held up in transit arrives after all.
            proxy.heal();
            finishes(&aditi, &format!("killed at step {step}, with entries {with_entries}"));
            all_is_in(&aditi, &cluster, "e");
        }
    }
}

#[test]
fn a_folder_that_loses_a_server_while_it_is_moved_loses_nothing_else() {
    for step in 1..=6 {
        let cluster = Cluster::quick(4);
        let proxies = cluster.proxies();
        let cut = cluster.client_through(USER, &proxies);
        let aditi = cluster.client(USER);
        upload(&aditi, step % 2 == 0);
        let proxy = &proxies[step % 4];
        cut.run(&["Move", "d", "x"]).succeeds();
        let sent = proxy.recorded(Way::Up).len();
        aditi.run(&["Move", "x", "d"]).succeeds();

        proxy.fail_after(Way::Up, sent * step / 7, Fault::Cut);
        cut.run(&["Move", "d", "e"]);
        proxy.heal();
        finishes(&aditi, &format!("cut at step {step}"));
        all_is_in(&aditi, &cluster, "e");
    }
}

#[test]
fn what_cannot_be_moved_is_named_and_stays_and_everything_else_is_moved() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    upload(&aditi, true);
    let holed: Vec<_> =
        cluster.holders("d/s/e", 1).iter().map(|n| cluster.piece_file(*n, "d/s/e", 1)).collect();
    let pieces: Vec<Vec<u8>> = holed.iter().map(|file| fs::read(file).unwrap()).collect();
    holed.iter().for_each(|file| fs::remove_file(file).unwrap());
    aditi
        .run(&["Move", "d", "e"])
        .fails_with(1)
        .complains_of("cannot rebuild d/s/e [incomplete]")
        .complains_of("4 files moved, 1 failed");
    aditi.run(&["ShowFiles", "d"]).succeeds().prints(&["s/"]);
    aditi.run(&["ShowFiles", "d/s"]).succeeds().prints(&["e [incomplete]"]);
    aditi.run(&["ShowFiles", "e"]).succeeds().prints(&["a", "b", "none/", "s/", "t/"]);
    holed.iter().zip(&pieces).for_each(|(file, piece)| fs::write(file, piece).unwrap());
    aditi.run(&["Move", "d", "e"]).succeeds();
    all_is_in(&aditi, &cluster, "e");
}

#[test]
fn a_folder_without_entries_whose_first_files_cannot_be_moved_is_moved_all_the_same() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    upload(&aditi, false);
    for name in ["d/a", "d/b"] {
        for n in cluster.holders(name, 2) {
            fs::remove_file(cluster.piece_file(n, name, 2)).unwrap();
        }
    }
    aditi.run(&["Move", "d", "e"]).fails_with(1).complains_of("3 files moved, 2 failed");
    aditi.run(&["ShowFiles", "d"]).succeeds().prints(&["a [incomplete]", "b [incomplete]"]);
    aditi.run(&["ShowFiles", "e"]).succeeds().prints(&["s/", "t/"]);
    assert_eq!(cluster.unsettled(), [""; 0]);
}

#[test]
fn a_folder_is_not_moved_where_something_is_nor_below_itself_nor_to_names_that_are_too_long() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    upload(&aditi, true);
    aditi.upload("file", b"file");
    aditi.put("there/a", b"another");
    fs::create_dir(aditi.files().join("nothing")).unwrap();
    for folder in ["there", "nothing"] {
        aditi.run(&["Upload", folder]).succeeds();
    }
    let everything = || (1..=4).map(|n| cluster.pieces_on(n)).collect::<Vec<_>>();
    let before = everything();
    let long = vec!["long"; 204].join("/");
    for (new, why) in [
        ("d", "'d' already exists"),
        ("file", "'file' already exists"),
        ("there", "hint: did you mean there/d?"),
        ("there/", "hint: did you mean there/d?"),
        ("nothing", "hint: did you mean nothing/d?"),
        ("d/x", "cannot move 'd' to 'd/x': it is below the folder itself"),
        ("file/x", "a file and a folder cannot have the same name"),
        (&long, "the path is longer than 1024 bytes"),
        ("../x", "'.' or '..'"),
        (".", "'.' or '..'"),
    ] {
        aditi.run(&["Move", "d", new]).fails_with(1).complains_of(why);
        assert!(everything() == before, "Move d {new} changed something");
        assert_eq!(cluster.unsettled(), [""; 0], "after Move d {new}");
    }
    aditi.run(&["Move", "d/s", "d"]).fails_with(1).complains_of("'d' already exists");
    cluster.run_only(&[2]);
    aditi.run(&["Move", "d", "e"]).fails_with(4);
    cluster.run_all();
    assert_eq!(each_has_a_name(&aditi, "e"), files().len());
}

#[test]
fn what_is_uploaded_into_a_folder_while_it_is_moved_is_kept() {
    for word in ["COPY", "CHECK", "RESTORE"] {
        let cluster = Cluster::quick(4);
        let proxies = cluster.proxies();
        let moving = cluster.client_through(USER, &proxies).with("Timeout 30");
        let aditi = cluster.client(USER);
        upload(&aditi, true);
        proxies.iter().for_each(|proxy| proxy.trap(word, Trap::Hold));
        let moved = moving.start(&["Move", "d", "e"]);
        proxies.iter().for_each(Proxy::wait_for_the_trap);
        aditi.put("a", b"newer");
        aditi.put("z", b"another");
        for name in ["a", "z"] {
            aditi.run(&["Upload", name, "d"]).succeeds();
        }
        proxies.iter().for_each(Proxy::release);
        let moved = moved.finish();
        aditi.download("d/z", b"another");
        let newer_is_in = |path: &str| {
            aditi.forget_downloads();
            aditi.run(&["Download", path]);
            aditi.downloaded(path).is_some_and(|bytes| bytes == b"newer")
        };
        match newer_is_in("d/a") {
            true => drop(moved.fails_with(1).complains_of("d/a was replaced in the meantime and was kept")),
            false => {
                moved.succeeds();
                assert!(newer_is_in("e/a"), "what was uploaded is gone: held at {word}");
            }
        }
        aditi.run(&["Repair"]).succeeds();
        aditi.run(&["Verify", "-r"]).succeeds().prints(&[]);
    }
}
