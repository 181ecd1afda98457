//! Several clients use one name at once, and connections are cut at a commit: what was acknowledged stays, and what
//! is reported about it is true.

use crate::common::{Client, Cluster, Proxy, Trap, noise, subsets};
use std::thread;

/// So that no client takes a server whose lines a test holds back for dead.
const PATIENT: &str = "Timeout 30";

/// What a Move sends to a server, word by word, and of equal ones which; LOOKs that go together are one.
const STEPS_OF_A_MOVE: [(&str, usize); 10] = [
    ("LOOK", 1),
    ("COPY", 1),
    ("LOOK", 2),
    ("COMMIT", 1),
    ("LOOK", 3),
    ("CHECK", 1),
    ("LOOK", 4),
    ("RESTORE", 1),
    ("COMMIT", 2),
    ("FORGET", 1),
];

/// The same of a Delete.
const STEPS_OF_A_DELETE: [(&str, usize); 4] = [("LOOK", 2), ("RESTORE", 1), ("COMMIT", 1), ("FORGET", 1)];

/// Holds the line of this word that comes as the `count`th.
fn hold(proxies: &[&Proxy], word: &'static str, count: usize) {
    for round in 1..=count {
        proxies.iter().for_each(|proxy| proxy.wait_for_the_trap());
        if round < count {
            // The next one is waited for before this one goes on.
            proxies.iter().for_each(|proxy| proxy.pass_and_trap(word, Trap::Hold));
        }
    }
}

/// What a file holds for a new client, if it is there.
fn content(cluster: &Cluster, name: &str) -> Option<Vec<u8>> {
    let reader = cluster.client("Aditi");
    let outcome = reader.run(&["Download", name]);
    if outcome.status != 0 {
        outcome.fails_with(1).complains_of("not found");
    }
    reader.downloaded(name)
}

#[track_caller]
fn all_is_well(cluster: &Cluster) {
    let aditi = cluster.client("Aditi");
    aditi.run(&["Repair"]).succeeds();
    assert_eq!(cluster.unsettled(), [""; 0]);
    aditi.run(&["Verify", "-r"]).succeeds().prints(&[]);
}

#[test]
fn what_is_uploaded_while_a_move_stands_still_at_any_step_is_kept() {
    for (word, count) in STEPS_OF_A_MOVE {
        for held in [&[1, 2, 3, 4][..], &[1], &[4]] {
            let cluster = Cluster::quick(4);
            let (before, after) = (noise(1, 30_000), noise(2, 40_000));
            let proxies = cluster.proxies();
            let moving = cluster.client_through("Aditi", &proxies).with(PATIENT);
            let aditi = cluster.client("Aditi");
            aditi.upload("old", &before);
            let held: Vec<&Proxy> = held.iter().map(|n| &proxies[n - 1]).collect();
            held.iter().for_each(|proxy| proxy.trap(word, Trap::Hold));
            let moved = moving.start(&["Move", "old", "new"]);
            hold(&held, word, count);
            aditi.upload("old", &after).does_not_complain_of("warning");
            held.iter().for_each(|proxy| proxy.release());
            let outcome = moved.finish();

            let (old, new) = (content(&cluster, "old"), content(&cluster, "new"));
            if old.is_none() {
                // The whole Move came after the upload. That is only possible if it had seen nothing before.
                assert!(["LOOK", "COPY"].contains(&word), "held at {word} {count}: lost by {outcome}");
                assert!(new == Some(after), "held at {word} {count}: lost by {outcome}");
                outcome.succeeds();
            } else {
                assert!(old == Some(after), "held at {word} {count}: lost by {outcome}");
                assert!(new == Some(before), "held at {word} {count}: {outcome}");
                // Or the whole upload came after the Move.
                if outcome.status != 0 || !["LOOK", "FORGET"].contains(&word) {
                    outcome.fails_with(1).complains_of("old was replaced in the meantime and was kept");
                }
            }
            all_is_well(&cluster);
        }
    }
}

#[test]
fn what_is_uploaded_to_the_new_name_of_a_move_is_kept_however_late_it_is_staged() {
    let all_up = STEPS_OF_A_MOVE.map(|step| (step, None));
    let one_away = [(("COPY", 1), Some(4)), (("COMMIT", 1), Some(4)), (("COMMIT", 1), Some(1))];
    for ((word, count), away) in all_up.into_iter().chain(one_away) {
        let mut cluster = Cluster::quick(4);
        let (moved_bytes, uploaded_bytes) = (noise(1, 30_000), noise(2, 40_000));
        let (to_upload, to_move) = (cluster.proxies(), cluster.proxies());
        let uploading = cluster.client_through("Aditi", &to_upload).with(PATIENT);
        let moving = cluster.client_through("Aditi", &to_move).with(PATIENT);
        let aditi = cluster.client("Aditi");
        aditi.upload("old", &moved_bytes);
        // So that a floor is in the way, and beside a server that is away a tombstone.
        aditi.upload("new", b"deleted before");
        away.iter().for_each(|n| cluster.stop(*n));
        aditi.run(&["Delete", "new"]).succeeds();
        let up = |proxies: &[Proxy]| -> Vec<usize> {
            (0..proxies.len()).filter(|n| Some(n + 1) != away).collect()
        };
        let (to_upload, to_move): (Vec<&Proxy>, Vec<&Proxy>) =
            up(&to_upload).into_iter().map(|n| (&to_upload[n], &to_move[n])).unzip();

        // The upload has chosen its version, and the Move cannot see it yet.
        to_upload.iter().for_each(|proxy| proxy.trap("STAGE", Trap::Hold));
        uploading.put("new", &uploaded_bytes);
        let upload = uploading.start(&["Upload", "new"]);
        to_upload.iter().for_each(|proxy| proxy.wait_for_the_trap());
        to_move.iter().for_each(|proxy| proxy.trap(word, Trap::Hold));
        let moved = moving.start(&["Move", "old", "new"]);
        hold(&to_move, word, count);
        to_upload.iter().for_each(|proxy| proxy.release());
        upload.finish().succeeds();
        to_move.iter().for_each(|proxy| proxy.release());
        let outcome = moved.finish();

        let what = format!("held at {word} {count} without {away:?}");
        let (old, new) = (content(&cluster, "old"), content(&cluster, "new"));
        assert!(new == Some(uploaded_bytes), "{what}: the upload is lost by {outcome}");
        // From its second look at the old name on, the Move does not look at the new one any more, and was first.
        let step = STEPS_OF_A_MOVE.iter().position(|step| *step == (word, count));
        if step >= Some(6) {
            assert!(old.is_none(), "{what}: {outcome}");
            outcome.succeeds();
        } else {
            assert!(old == Some(moved_bytes), "{what}: the file is lost by {outcome}");
            outcome.fails_with(1).complains_of("'new' already exists");
        }
        cluster.run_all();
        all_is_well(&cluster);
    }
}

#[test]
fn what_is_uploaded_while_a_delete_stands_still_at_any_step_is_kept() {
    for (word, count) in STEPS_OF_A_DELETE {
        for held in [&[1, 2, 3, 4][..], &[1], &[4]] {
            let cluster = Cluster::quick(4);
            let after = noise(2, 40_000);
            let proxies = cluster.proxies();
            let deleting = cluster.client_through("Aditi", &proxies).with(PATIENT);
            let aditi = cluster.client("Aditi");
            aditi.upload("a", &noise(1, 30_000));
            let held: Vec<&Proxy> = held.iter().map(|n| &proxies[n - 1]).collect();
            held.iter().for_each(|proxy| proxy.trap(word, Trap::Hold));
            let deleted = deleting.start(&["Delete", "a"]);
            hold(&held, word, count);
            aditi.upload("a", &after).does_not_complain_of("warning");
            held.iter().for_each(|proxy| proxy.release());
            let outcome = deleted.finish();

            let found = content(&cluster, "a");
            if found.is_none() {
                // The whole Delete came after the upload.
                assert_eq!(word, "LOOK", "held at {word} {count}: lost by {outcome}");
                outcome.succeeds();
            } else {
                assert!(found == Some(after), "held at {word} {count}: lost by {outcome}");
                // Or the whole upload came after the Delete.
                if outcome.status != 0 || !["LOOK", "FORGET"].contains(&word) {
                    outcome
                        .fails_with(1)
                        .complains_of("a was replaced in the meantime; the newer version was kept");
                }
            }
            all_is_well(&cluster);
        }
    }
}

#[test]
fn of_moves_and_uploads_at_one_time_no_upload_is_lost() {
    let cluster = Cluster::quick(4);
    let (moving, aditi) = (cluster.client("Aditi"), cluster.client("Aditi"));
    for round in 0..40 {
        let (before, after) = (noise(round, 20_000), noise(round + 100, 20_000));
        let (old, new) = (format!("old{round}"), format!("new{round}"));
        aditi.upload(&old, &before);
        let moved = thread::scope(|scope| {
            let moved = scope.spawn(|| moving.run(&["Move", &old, &new]));
            aditi.upload(&old, &after);
            moved.join().unwrap()
        });
        // The upload came first as a whole, or last.
        let (old, new) = (content(&cluster, &old), content(&cluster, &new));
        if old.is_none() {
            assert!(new == Some(after), "round {round}: lost by {moved}");
        } else {
            assert!(old == Some(after), "round {round}: lost by {moved}");
            assert!(new == Some(before), "round {round}: {moved}");
        }
    }
    all_is_well(&cluster);
}

#[test]
fn of_deletes_and_uploads_at_one_time_each_is_done_or_says_that_it_is_not() {
    let cluster = Cluster::quick(4);
    let (deleting, aditi) = (cluster.client("Aditi"), cluster.client("Aditi"));
    for round in 0..20 {
        let after = noise(round + 100, 20_000);
        let name = format!("a{round}");
        aditi.upload(&name, &noise(round, 20_000));
        let deleted = thread::scope(|scope| {
            let deleted = scope.spawn(|| deleting.run(&["Delete", &name]));
            aditi.upload(&name, &after);
            deleted.join().unwrap()
        });
        let found = content(&cluster, &name);
        assert!(found.is_none() || found == Some(after), "round {round}: {deleted}");
        if found.is_none() {
            deleted.succeeds();
        }
    }
    all_is_well(&cluster);
}

#[test]
fn of_two_moves_to_one_name_neither_loses_its_file() {
    let cluster = Cluster::quick(4);
    let movers = [cluster.client("Aditi"), cluster.client("Aditi")];
    for round in 0..20 {
        let files = [noise(round, 20_000), noise(round + 100, 20_000)];
        let old = [format!("one{round}"), format!("other{round}")];
        let new = format!("new{round}");
        (0..2).for_each(|n| drop(movers[n].upload(&old[n], &files[n])));
        let moved = thread::scope(|scope| {
            let moves = [0, 1].map(|n| {
                let (mover, old, new) = (&movers[n], &old[n], &new);
                scope.spawn(move || mover.run(&["Move", old, new]))
            });
            moves.map(|moved| moved.join().unwrap())
        });
        let at_new = content(&cluster, &new);
        for n in 0..2 {
            let stayed = content(&cluster, &old[n]);
            let is_safe = stayed.as_ref().or(at_new.as_ref()) == Some(&files[n]);
            assert!(is_safe, "round {round}: file {n} is lost by {}{}", moved[0], moved[1]);
            if moved[n].status == 0 {
                assert!(
                    stayed.is_none() && at_new.as_ref() == Some(&files[n]),
                    "round {round}: {}",
                    moved[n]
                );
            }
        }
    }
}

#[test]
fn a_move_that_was_cut_off_is_finished_by_the_same_move() {
    for (word, count) in [("CHECK", 1), ("RESTORE", 1), ("COMMIT", 2)] {
        let cluster = Cluster::quick(4);
        let proxies = cluster.proxies();
        let killed = cluster.client_through("Aditi", &proxies).with(PATIENT);
        let aditi = cluster.client("Aditi");
        // Two empty files are alike, but not one.
        aditi.upload("other", b"");
        for (old, bytes) in [("a", noise(1, 30_000)), ("empty", vec![])] {
            aditi.upload(old, &bytes);
            let new = format!("new-{old}");
            let all: Vec<&Proxy> = proxies.iter().collect();
            all.iter().for_each(|proxy| proxy.trap(word, Trap::Hold));
            let moving = killed.start(&["Move", old, &new]);
            hold(&all, word, count);
            moving.kill();
            all.iter().for_each(|proxy| proxy.release());
            if word == "COMMIT" {
                // What was held has arrived after all.
                aditi.run(&["Move", old, &new]).fails_with(1).complains_of("not found");
            } else {
                aditi.run(&["Move", old, "other"]).fails_with(1).complains_of("'other' already exists");
                aditi.run(&["Move", old, &new]).succeeds();
            }
            assert!(content(&cluster, old).is_none());
            aditi.download(&new, &bytes);
            cluster.has_equal_copies(&new, 2);
        }
        all_is_well(&cluster);
    }
}

#[test]
fn a_move_needs_as_many_servers_as_the_file_is_to_have_copies() {
    let mut cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 30_000);
    aditi.upload("a", &bytes);
    cluster.stop(2);
    aditi.run(&["Move", "a", "b"]).fails_with(4).complains_of("it needs 2 servers").complains_of("Server2");
    cluster.start(2);
    assert!(content(&cluster, "b").is_none());
    aditi.run(&["Move", "a", "b"]).succeeds();
    cluster.has_equal_copies("b", 2);
}

// Connections that are cut at COMMIT.

/// Whichever server is lost now, the file is this.
#[track_caller]
fn survives_any_loss(cluster: &mut Cluster, name: &str, bytes: &[u8]) {
    cluster.has_equal_copies(name, 2);
    for lost in 1..=4 {
        cluster.wipe(lost);
        let aditi = cluster.client("Aditi");
        aditi.download(name, bytes);
        aditi.run(&["Repair"]).succeeds();
        cluster.has_equal_copies(name, 2);
    }
}

/// Does a command with the answers to its `count`th COMMIT cut off on these servers, or the COMMIT itself.
fn cut_at_commit(
    client: &Client,
    proxies: &[Proxy],
    servers: &[usize],
    trap: Trap,
    command: &[&str],
) -> String {
    servers.iter().for_each(|n| proxies[n - 1].trap("COMMIT", trap));
    let outcome = client.run(command).succeeds().does_not_complain_of("warning");
    servers.iter().for_each(|n| proxies[n - 1].wait_for_the_trap());
    outcome.to_string()
}

#[test]
fn an_upload_that_is_cut_at_its_commit_is_looked_after_before_anything_is_said() {
    for trap in [Trap::CutAnswer, Trap::Cut] {
        let mut cluster = Cluster::quick(4);
        let aditi = cluster.client("Aditi");
        for servers in subsets(4).filter(|servers| !servers.is_empty()) {
            let proxies = cluster.proxies();
            let cut = cluster.client_through("Aditi", &proxies);
            let bytes = noise(1 + servers.len() as u64, 20_000);
            aditi.upload("a", &noise(99, 20_000));
            cut.put("a", &bytes);
            cut_at_commit(&cut, &proxies, &servers, trap, &["Upload", "a"]);
            cluster.has_equal_copies("a", 2);
            aditi.download("a", &bytes);
            if servers.len() == 4 {
                survives_any_loss(&mut cluster, "a", &bytes);
            }
        }
        all_is_well(&cluster);
    }
}

#[test]
fn many_files_that_are_cut_at_their_commit_all_have_their_copies() {
    let mut cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let cut = cluster.client_through("Aditi", &proxies);
    (0..100).for_each(|n| cut.put(&format!("all/{n}"), &noise(n, 1_000)));
    cut.run(&["Upload", "all"]).succeeds();
    (0..100).for_each(|n| cut.put(&format!("all/{n}"), &noise(n + 1_000, 1_000)));
    cut_at_commit(&cut, &proxies, &[2, 3], Trap::CutAnswer, &["Upload", "all"]);
    (0..100).for_each(|n| cluster.has_equal_copies(&format!("all/{n}"), 2));
    cluster.wipe(1);
    let aditi = cluster.client("Aditi");
    aditi.run(&["Download", "all"]).succeeds();
    (0..100).for_each(|n| aditi.has_downloaded(&format!("all/{n}"), &noise(n + 1_000, 1_000)));
}

#[test]
fn a_delete_and_a_move_that_are_cut_at_their_commits_are_looked_after_too() {
    for trap in [Trap::CutAnswer, Trap::Cut] {
        for servers in [&[1][..], &[2, 4], &[1, 2, 3, 4]] {
            let cluster = Cluster::quick(4);
            let proxies = cluster.proxies();
            let cut = cluster.client_through("Aditi", &proxies);
            let bytes = noise(1, 20_000);
            cut.upload("a", &bytes);
            // If a server has a piece, its first COMMIT is that of the new name.
            cut_at_commit(&cut, &proxies, servers, trap, &["Move", "a", "b"]);
            assert!(content(&cluster, "a").is_none());
            cut.download("b", &bytes);
            cluster.has_equal_copies("b", 2);
            cut_at_commit(&cut, &proxies, servers, trap, &["Delete", "b"]);
            assert!(content(&cluster, "b").is_none());
            assert_eq!(cluster.unsettled(), [""; 0]);
        }
    }
}

#[test]
fn a_server_that_is_killed_at_a_commit_and_started_again_has_its_copies() {
    for n in 1..=4 {
        let mut cluster = Cluster::quick(4);
        let proxies = cluster.proxies();
        let aditi = cluster.client("Aditi");
        aditi.upload("a", &noise(1, 20_000));
        let cut = cluster.client_through("Aditi", &proxies).with(PATIENT);
        let bytes = noise(2, 20_000);
        cut.put("a", &bytes);
        proxies[n - 1].trap("COMMIT", Trap::Hold);
        let upload = cut.start(&["Upload", "a"]);
        proxies[n - 1].wait_for_the_trap();
        // The line is in transit when the server dies, and the server is back before the client notices.
        cluster.restart(n);
        proxies[n - 1].release();
        upload.finish().succeeds().does_not_complain_of("warning");
        survives_any_loss(&mut cluster, "a", &bytes);
    }
}

#[test]
fn a_change_of_password_that_is_cut_at_its_commits_is_looked_after_under_the_new_key() {
    for (servers, trap) in [(&[1, 2, 3, 4][..], Trap::CutAnswer), (&[2], Trap::Cut)] {
        let mut cluster = Cluster::of(4);
        let proxies = cluster.proxies();
        let mut cut = cluster.client_through("Aditi", &proxies);
        let bytes = noise(1, 20_000);
        cut.upload("a", &bytes);
        servers.iter().for_each(|n| proxies[n - 1].trap("COMMIT", trap));
        let outcome = cut.pipe("Passwd\nanother\n").does_not_complain_of("copies");
        servers.iter().for_each(|n| proxies[n - 1].wait_for_the_trap());
        cluster.has_equal_copies("a", 2);
        if outcome.status != 0 {
            // A change of password may want connections that last, and says so.
            cut.pipe("Passwd\nanother\n").succeeds();
        }
        cut.conf = cut.conf.replace("Aditi@123", "another");
        cluster.has_equal_copies("a", 2);
        cluster.wipe(1);
        cut.download("a", &bytes);
    }
}

#[test]
fn an_upload_that_was_cut_after_its_first_commit_is_there_for_any_client_even_with_a_server_down() {
    // Small and large pieces travel in different ways.
    for size in [20_000, 2_000_000] {
        for first in 1..=4 {
            let mut cluster = Cluster::quick(4);
            let aditi = cluster.client("Aditi");
            aditi.upload("a", &noise(1, size));
            let own: Vec<usize> =
                (1..=4).filter(|piece| cluster.holders("a", *piece).contains(&first)).collect();
            // Of one of its pieces it then has the only copy.
            let away = cluster.holders("a", own[first % 2]).into_iter().find(|n| *n != first).unwrap();
            let proxies = cluster.proxies();
            let cut = cluster.client_through("Aditi", &proxies).with(PATIENT);
            let bytes = noise(2, size);
            cut.put("a", &bytes);
            for n in 1..=4 {
                proxies[n - 1].trap("COMMIT", if n == first { Trap::CutAnswer } else { Trap::Hold });
            }
            let upload = cut.start(&["Upload", "a"]);
            proxies.iter().for_each(Proxy::wait_for_the_trap);
            upload.kill();
            drop(proxies);
            cluster.stop(away);
            cluster.wait_until_all_left();

            let what = format!("{size} bytes, decided by Server{first}, without Server{away}");
            aditi.forget_downloads();
            let reader = aditi.run(if first < 3 { &["Download", "a"] } else { &["Repair"] }).succeeds();
            // Now nobody depends on the first one's word, nor on its copies.
            cluster.stop(first);
            let others: Vec<usize> = (1..=4).filter(|n| ![first, away].contains(n)).collect();
            assert!(cluster.copies_on(&others, "a") >= 1, "{what}: {reader}");
            aditi.download("a", &bytes);
            cluster.run_all();
            aditi.download("a", &bytes);
            aditi.run(&["Repair"]).succeeds();
            aditi.run(&["Verify"]).succeeds().prints(&[]);
            assert_eq!(cluster.unsettled(), [""; 0], "{what}");
        }
    }
}

#[test]
fn a_writer_whose_commits_were_cut_rolls_forward_what_it_has_staged_even_with_a_server_down() {
    for first in 1..=4 {
        let mut cluster = Cluster::quick(4);
        let aditi = cluster.client("Aditi");
        aditi.upload("a", &noise(1, 20_000));
        let own = (1..=4).find(|piece| cluster.holders("a", *piece).contains(&first)).unwrap();
        let away = cluster.holders("a", own).into_iter().find(|n| *n != first).unwrap();
        let proxies = cluster.proxies();
        let cut = cluster.client_through("Aditi", &proxies);
        cut.put("a", &noise(2, 20_000));
        for n in (1..=4).filter(|n| *n != first) {
            proxies[n - 1].trap("COMMIT", if n == away { Trap::Hold } else { Trap::Cut });
        }
        let upload = cut.start(&["Upload", "a"]);
        (1..=4).filter(|n| *n != first).for_each(|n| proxies[n - 1].wait_for_the_trap());
        cluster.stop(away);
        proxies[away - 1].release();
        upload.finish().succeeds();
        let left = cluster.unsettled();
        let of_away = |file: &String| file.starts_with(&format!(".Server{away}/"));
        assert!(
            !left.is_empty() && left.iter().all(of_away),
            "Server{first} decided, Server{away} is away: {left:?}"
        );
    }
}
