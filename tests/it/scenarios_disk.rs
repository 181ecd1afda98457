//! What else may be on a server's disk: other things in the place of files, another file system, files that others
//! could read.

use crate::common::process::run;
use crate::common::{Cluster, USER, noise};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

const SIZE: usize = 30_000;

/// What can be in the place of a file.
#[derive(Debug, Clone, Copy)]
enum Thing {
    Fifo,
    Folder,
    FolderWithAFile,
    Link,
    LinkToNowhere,
    Socket,
}

const THINGS: [Thing; 6] =
    [Thing::Fifo, Thing::Folder, Thing::FolderWithAFile, Thing::Link, Thing::LinkToNowhere, Thing::Socket];

fn put(thing: Thing, place: &Path) {
    let elsewhere = place.parent().unwrap().join("elsewhere");
    match thing {
        Thing::Fifo => drop(run(Command::new("mkfifo").arg(place), "").succeeds()),
        Thing::Folder => fs::create_dir(place).unwrap(),
        Thing::FolderWithAFile => {
            fs::create_dir(place).unwrap();
            fs::write(place.join("somebody's"), "not the server's").unwrap();
        }
        Thing::Link => {
            fs::write(&elsewhere, "not the server's").unwrap();
            symlink(&elsewhere, place).unwrap();
        }
        Thing::LinkToNowhere => symlink("/nowhere/at/all", place).unwrap(),
        Thing::Socket => drop(UnixListener::bind(place).unwrap()),
    }
}

#[test]
fn whatever_is_in_the_place_of_a_piece_is_damage_that_a_repair_replaces() {
    let cluster = Cluster::quick(4);
    let (aditi, ritu) = (cluster.client("Aditi"), cluster.client("Ritu"));
    let bytes = noise(1, SIZE);
    aditi.upload("a", &bytes);
    for thing in THINGS {
        let holder = cluster.holders("a", 2)[0];
        let place = cluster.piece_file(holder, "a", 2);
        fs::remove_file(&place).unwrap();
        put(thing, &place);

        let verified = aditi.run(&["Verify", "a"]).exits(1);
        assert!(verified.stdout.contains(&format!("Server{holder}")), "{thing:?}: {verified}");
        aditi.download("a", &bytes);
        ritu.upload("b", b"of somebody else");
        aditi.run(&["Repair", "a"]).succeeds();
        aditi.run(&["Verify", "a"]).succeeds().prints(&[]);
        cluster.has_equal_copies("a", 2);
        let _ = fs::remove_file(place.parent().unwrap().join("elsewhere"));
        if let Thing::FolderWithAFile = thing {
            let kept = cluster.files().into_iter().find(|file| file.ends_with("/somebody's")).unwrap();
            assert!(kept.starts_with(&format!(".Server{holder}/aside/")), "{kept}");
        }
    }
}

#[test]
fn a_delete_clears_away_what_is_in_the_place_of_a_piece() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for thing in THINGS {
        aditi.upload("a", &noise(1, SIZE));
        let place = cluster.piece_file(cluster.holders("a", 3)[0], "a", 3);
        fs::remove_file(&place).unwrap();
        put(thing, &place);
        aditi.run(&["Delete", "a"]).succeeds();
        assert!(fs::symlink_metadata(&place).is_err(), "{thing:?} is still there");
        let _ = fs::remove_file(place.parent().unwrap().join("elsewhere"));
    }
}

#[test]
fn things_among_a_servers_own_files_neither_mute_it_nor_keep_it_from_starting() {
    let mut cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, SIZE);
    aditi.upload("a", &bytes);
    for folder in ["staged", "tombstones", "staged/Aditi", "tombstones/Aditi"] {
        for thing in THINGS {
            cluster.stop(1);
            let place = cluster.root().join(".Server1").join(folder).join("7");
            put(thing, &place);
            cluster.start(1);
            aditi.download("a", &bytes).does_not_complain_of("Server1");
            aditi.upload("b", format!("{folder} {thing:?}").as_bytes()).does_not_complain_of("Server1");
            let _ = fs::remove_file(&place);
            // A folder may be taken for a user's, who then has the other one too.
            for folder in ["staged", "tombstones"].map(|folder| cluster.root().join(".Server1").join(folder))
            {
                let _ = fs::remove_dir_all(folder.join("7"));
            }
            let _ = fs::remove_dir_all(&place);
            let _ = fs::remove_file(place.parent().unwrap().join("elsewhere"));
        }
    }
}

#[test]
fn a_fifo_in_the_place_of_the_lock_or_of_users_conf_is_an_error_and_no_wait() {
    for file in [".Server1/lock", "Users.conf", ".users.lock"] {
        let mut cluster = Cluster::quick(1);
        cluster.stop(1);
        let place = cluster.root().join(file);
        let _ = fs::remove_file(&place);
        put(Thing::Fifo, &place);
        let mut command = Command::new(crate::common::cluster::PROGRAM);
        match file {
            ".users.lock" => command.arg("adduser").arg(cluster.root()).arg("Naomi"),
            _ => command.arg(cluster.root()).arg("Server1").arg("0"),
        };
        let outcome = run(&mut command, "a password\n").exits(1);
        assert!(outcome.stderr.contains("not a regular file"), "{file}: {outcome}");
    }
}

/// A folder on another file system than the tests' own, if this machine has one.
fn other_file_system(than: &Path) -> Option<std::path::PathBuf> {
    let shared = Path::new("/dev/shm");
    let differs = shared.metadata().ok()?.dev() != than.metadata().ok()?.dev();
    differs.then(|| shared.join(format!("shareit-test-{}", std::process::id())))
}

#[test]
fn a_users_folder_on_another_file_system_is_refused_before_anything_is_staged_in_it() {
    let mut cluster = Cluster::quick(3);
    let Some(elsewhere) = other_file_system(&cluster.root()) else {
        return println!("no second file system here");
    };
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, SIZE);
    aditi.run(&["ShowFiles"]).succeeds();
    cluster.stop(1);
    fs::create_dir_all(&elsewhere).unwrap();
    fs::remove_dir(cluster.user_folder(1, USER)).unwrap();
    symlink(&elsewhere, cluster.user_folder(1, USER)).unwrap();
    cluster.start(1);
    cluster.wait_for_log(1, "Aditi: this folder is on another file system");

    aditi.upload("a", &bytes).complains_of("another file system");
    assert_eq!(cluster.unsettled(), [""; 0]);
    cluster.has_equal_copies("a", 2);
    aditi.run(&["Verify", "a"]).succeeds();
    aditi.download("a", &bytes);
    fs::remove_dir_all(&elsewhere).unwrap();
}

#[test]
fn a_folder_that_is_a_link_takes_no_files_that_no_listing_would_find() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, SIZE));
    let (other, folder) = (cluster.root().join("other"), cluster.user_folder(1, USER));
    fs::create_dir(&other).unwrap();
    symlink(&other, folder.join("linked")).unwrap();
    aditi.put("f", &noise(2, SIZE));
    for target in ["linked", "linked/new"] {
        aditi.run(&["Upload", "f", target]).exits(1).complains_of("reached through a link");
    }
    assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
    assert_eq!(cluster.unsettled(), [""; 0]);
    aditi.run(&["Verify", "-r"]).succeeds();
}

#[test]
fn files_and_folders_are_the_servers_alone_and_old_locks_are_tightened() {
    let mut cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    let locks = [".Server1/lock", ".users.lock"].map(|lock| cluster.root().join(lock));
    cluster.stop(1);
    fs::write(&locks[1], "").unwrap();
    for lock in &locks {
        fs::set_permissions(lock, fs::Permissions::from_mode(0o644)).unwrap();
    }
    cluster.start(1);
    cluster.add_user("Naomi", "Naomi@123").succeeds();
    aditi.upload("holiday/a", &noise(1, SIZE));
    let mut to_visit: Vec<_> = (1..=2).map(|n| cluster.user_folder(n, USER)).collect();
    to_visit.extend((1..=2).map(|n| cluster.root().join(format!(".Server{n}"))));
    to_visit.extend(locks);
    let mut files = 0;
    while let Some(place) = to_visit.pop() {
        let metadata = fs::symlink_metadata(&place).unwrap();
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.mode() & 0o777, wanted, "{}", place.display());
        match metadata.is_dir() {
            true => to_visit.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path())),
            false => files += 1,
        }
    }
    assert!(files > 8, "{files}");
}

#[test]
#[ignore = "takes as long as the time limit, 10 s"]
fn who_keeps_the_lock_of_users_conf_does_not_stop_others_for_ever() {
    let cluster = Cluster::quick(1);
    let lock = fs::File::create(cluster.root().join(".users.lock")).unwrap();
    lock.lock().unwrap();
    cluster.add_user("Naomi", "Naomi@123").exits(1).complains_of(".users.lock locked for 10 seconds");
}
