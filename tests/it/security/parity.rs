//! A server that lies about a file with parity. It counts as one that is lost, so that one more may be away.

use super::one_word::Loot;
use super::{
    ADITIS_KEY, LIES, SIZE, held_by, pieces, showing, stolen_verifier, tombstone, with_first_server,
};
use crate::common::process::wait_until;
use crate::common::rogue::{Rogue, Shelf, claim};
use crate::common::{Client, Cluster, Trap, Way, noise};
use shareit::placement::SCHEME_COPIES;
use shareit::wire::{Refusal, Reply, Request};
use std::ops::Range;
use std::sync::{Arc, Mutex};

// Where a header has what (`docs/FORMAT.md`).
const SCHEME: usize = 9;
const PIECE: usize = 10;
const PIECES: usize = 11;
const REPLICAS: usize = 13;

fn client(cluster: &Cluster) -> Client {
    cluster.client("Aditi").with("Redundancy parity")
}

/// What a lie is, and what Server1 shows; whether that is staged only.
type Shown = (&'static str, Vec<Vec<u8>>, bool);

/// Everything that Server1 might show in place of its own pieces, P and Q of `a`.
fn lies(cluster: &Cluster) -> (Vec<Shown>, Vec<u8>) {
    let aditi = client(cluster);
    let (old, bytes, other) = (noise(1, SIZE), noise(2, SIZE), noise(3, SIZE));
    cluster.client("Aditi").upload("a", &other);
    let of_copies = held_by(cluster, 1, "a");
    aditi.upload("a", &old);
    let older = held_by(cluster, 1, "a");
    aditi.upload("a", &bytes);
    aditi.upload("b", &other);
    let (own, of_b) = (held_by(cluster, 1, "a"), held_by(cluster, 1, "b"));
    assert_eq!((own.len(), older.len(), of_b.len()), (2, 2, 2), "P and Q");
    let q = |pieces: &[Vec<u8>]| vec![pieces[1].clone()];
    assert!(claim(&own[1]).header.piece > 4);
    let forged = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut edited = own.clone();
        edited.iter_mut().for_each(edit);
        edited
    };
    let tail = |piece: &[u8]| piece.len() - 64;
    let fill = |piece: &mut Vec<u8>, at: Range<usize>| piece[at].fill(7);
    let mut shown: Vec<Shown> = vec![
        ("nothing", Vec::new(), false),
        ("P without Q", vec![own[0].clone()], false),
        ("Q without P", q(&own), false),
        ("an older Q", q(&older), false),
        ("an older Q beside P", vec![own[0].clone(), older[1].clone()], false),
        ("an older version, staged", older, true),
        ("another file's Q", q(&of_b), false),
        ("another file's Q beside P", vec![own[0].clone(), of_b[1].clone()], false),
        ("pieces of the time when there were copies", of_copies, false),
        ("Q under the number of P", q(&forged(&|piece| piece[PIECE] = own[0][PIECE])), false),
        ("P as a piece of the other scheme", vec![of_the_other_scheme(own[0].clone())], false),
        (
            "a newer generation",
            forged(&|piece| piece[14..22].copy_from_slice(&[0, 0, 0, 0, 0, 0, 9, 9])),
            false,
        ),
        ("another root", forged(&|piece| fill(piece, tail(piece)..tail(piece) + 32)), false),
        ("a seal of its own", forged(&|piece| fill(piece, tail(piece) + 32..piece.len())), false),
        ("a forged delete", vec![tombstone("a", 99, &[1; 32])], false),
        ("a delete of another file", vec![tombstone("b", 99, &ADITIS_KEY)], false),
    ];
    shown.extend(LIES.map(|(what, lie)| (what, forged(&|piece| lie(piece)), false)));
    (shown, bytes)
}

fn of_the_other_scheme(mut piece: Vec<u8>) -> Vec<u8> {
    (piece[SCHEME], piece[PIECES], piece[REPLICAS]) = (SCHEME_COPIES, 4, 2);
    piece
}

fn without_first(cluster: &Cluster) -> Client {
    let mut honest = client(cluster);
    honest.conf = honest.conf.replace(&format!(":{}\n", cluster.port(1)), ":1\n");
    honest
}

/// What honest servers hold is there after each command, and gives the file.
fn is_unharmed(cluster: &Cluster, before: &[(String, Vec<u8>)], what: &str) {
    let after = pieces(cluster, &[2, 3, 4]);
    for (file, bytes) in before {
        assert!(after.get(file) == Some(bytes), "{what}: {file} is not what it was");
    }
}

#[test]
fn a_server_that_shows_another_q_than_it_should_is_not_believed_with_one_more_away() {
    let mut cluster = Cluster::quick(4);
    let (shown, bytes) = lies(&cluster);
    cluster.stop(1);
    for (index, (what, files, staged)) in shown.into_iter().enumerate() {
        let away = 2 + index % 3;
        let before: Vec<(String, Vec<u8>)> = pieces(&cluster, &[2, 3, 4]).into_iter().collect();
        let pieces = files.into_iter().map(|bytes| ("a", bytes)).collect();
        let rogue = showing(Shelf { pieces, staged, ..Shelf::default() });
        let lied_to = with_first_server(&cluster, rogue.port()).with("Redundancy parity");
        cluster.stop(away);
        lied_to.download("a", &bytes);
        assert!(lied_to.run(&["Cat", "a"]).succeeds().stdout.len() > 1000, "{what}");
        let listing = lied_to.run(&["ShowFiles"]);
        assert!(listing.lines().iter().any(|line| line.starts_with('a')), "{what}: {listing}");
        for command in [&["Verify"][..], &["Verify", "--read"], &["Repair", "-n"], &["Repair"]] {
            let outcome = lied_to.run(command);
            assert!(!outcome.stderr.contains("panicked"), "{what}: {outcome}");
            is_unharmed(&cluster, &before, what);
        }
        lied_to.download("a", &bytes);
        cluster.start(away);
        lied_to.download("a", &bytes);
        lied_to.run(&["Repair"]);
        is_unharmed(&cluster, &before, what);
        drop(rogue);
        without_first(&cluster).download("a", &bytes);
        // Then any other server may be lost as before.
        cluster.stop(away);
        without_first(&cluster).download("a", &bytes);
        cluster.start(away);
    }
}

#[test]
fn a_server_that_refuses_to_give_what_it_shows_is_done_without() {
    refusals_are_done_without(&[Refusal::DiskError, Refusal::Damaged, Refusal::Busy]);
}

#[test]
fn a_server_that_says_that_it_has_not_got_what_it_shows_is_done_without() {
    refusals_are_done_without(&[Refusal::NotFound]);
}

fn refusals_are_done_without(refusals: &[Refusal]) {
    let mut cluster = Cluster::quick(4);
    let bytes = noise(1, SIZE);
    client(&cluster).upload("a", &bytes);
    let own: Vec<_> = held_by(&cluster, 1, "a").into_iter().map(|piece| ("a", piece)).collect();
    cluster.stop(1);
    for &refusal in refusals {
        for withheld in [0, 4] {
            let shelf = Shelf { pieces: own.clone(), ..Shelf::default() };
            let rogue = Rogue::answering(stolen_verifier(), move |request| match request {
                Request::Read { piece, .. } | Request::Check(_, piece, _) if *piece > withheld => {
                    (Reply::no(refusal), Vec::new())
                }
                _ => shelf.answer(request),
            });
            let lied_to = with_first_server(&cluster, rogue.port()).with("Redundancy parity");
            for away in 2..=4 {
                cluster.stop(away);
                lied_to.download("a", &bytes);
                lied_to.run(&["Cat", "a"]).succeeds();
                cluster.start(away);
            }
            lied_to.run(&["Verify"]);
            lied_to.run(&["Repair"]);
            lied_to.download("a", &bytes);
            drop(rogue);
            without_first(&cluster).download("a", &bytes);
        }
    }
}

#[test]
fn a_q_of_a_version_that_nobody_else_has_replaces_nothing() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    let bytes = noise(1, SIZE);
    aditi.upload("a", &bytes);
    // Sealed by the same user and newer, but of these servers none has ever committed it.
    let elsewhere = Cluster::quick(4);
    client(&elsewhere).upload("a", &noise(2, SIZE));
    let undecided = held_by(&elsewhere, 1, "a");
    cluster.stop(1);
    let before: Vec<(String, Vec<u8>)> = pieces(&cluster, &[2, 3, 4]).into_iter().collect();
    for (what, shown) in [("Q", vec![undecided[1].clone()]), ("P and Q", undecided)] {
        let pieces = shown.into_iter().map(|piece| ("a", piece)).collect();
        let rogue = showing(Shelf { pieces, ..Shelf::default() });
        let lied_to = with_first_server(&cluster, rogue.port()).with("Redundancy parity");
        for away in [None, Some(2), Some(3), Some(4)] {
            away.iter().for_each(|&n| cluster.stop(n));
            lied_to.forget_downloads();
            lied_to.run(&["Download", "a"]);
            assert!(lied_to.downloaded("a").is_none_or(|found| found == bytes), "{what}");
            for command in [&["ShowFiles"][..], &["Verify"], &["Repair"], &["Move", "a", "c"]] {
                lied_to.run(command);
                is_unharmed(&cluster, &before, what);
            }
            away.iter().for_each(|&n| cluster.start(n));
            without_first(&cluster).download("a", &bytes);
        }
        drop(rogue);
    }
    cluster.start(1);
    aditi.download("a", &bytes);
    aditi.run(&["Verify"]).succeeds().prints(&[]);
}

/// Of an upload that died, some servers have staged what they should hold, and Server1 says that it was stored.
#[test]
fn an_upload_that_died_is_not_published_on_one_word_where_one_more_loss_would_cost_both_versions() {
    for not_staged in [&[2][..], &[3], &[4], &[2, 3], &[3, 4]] {
        let mut cluster = Cluster::quick(4);
        let (old, new) = (noise(1, SIZE), noise(2, SIZE));
        client(&cluster).upload("a", &old);
        cluster.stop(1);
        let loot: Arc<Mutex<Loot>> = Arc::default();
        let kept = Arc::clone(&loot);
        let rogue = Rogue::keeping(stolen_verifier(), move |request, staged| {
            kept.lock().unwrap().answer(request, staged)
        });
        let proxies = cluster.proxies();
        let mut dying =
            cluster.client_through("Aditi", &proxies).with("Timeout 30").with("Redundancy parity");
        dying.conf =
            dying.conf.replace(&format!(":{}\n", proxies[0].port()), &format!(":{}\n", rogue.port()));
        dying.put("a", &new);
        not_staged.iter().for_each(|n| proxies[n - 1].trap("STAGE", Trap::Hold));
        let upload = dying.start(&["Upload", "a"]);
        not_staged.iter().for_each(|n| proxies[n - 1].wait_for_the_trap());
        let answers = |n: usize| {
            let down = proxies[n - 1].recorded(Way::Down);
            down.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"OK ")).count()
        };
        wait_until("the others have staged P and Q", || {
            let others = (2..=4).filter(|n| !not_staged.contains(n));
            others.clone().all(|n| answers(n) == 2) && loot.lock().unwrap().claims.len() == 2
        });
        upload.kill();
        drop(proxies);
        cluster.wait_until_all_left();
        loot.lock().unwrap().is_published = true;
        let lied_to = with_first_server(&cluster, rogue.port()).with("Redundancy parity");
        for away in [None, Some(2), Some(3), Some(4)] {
            away.iter().for_each(|&n| cluster.stop(n));
            for command in [&["Download", "a"][..], &["ShowFiles"], &["Verify"], &["Repair"]] {
                lied_to.run(command);
            }
            away.iter().for_each(|&n| cluster.start(n));
        }
        let honest = without_first(&cluster);
        for away in 2..=4 {
            cluster.stop(away);
            honest.forget_downloads();
            let outcome = honest.run(&["Download", "a"]).succeeds();
            let found = honest.downloaded("a").unwrap();
            assert!(found == old || found == new, "{not_staged:?}, without {away}: {outcome}");
            cluster.start(away);
        }
    }
}

#[test]
fn a_server_that_says_yes_to_all_and_keeps_nothing_costs_one_server_with_parity_too() {
    let mut cluster = Cluster::quick(4);
    cluster.stop(1);
    let rogue = Rogue::answering(stolen_verifier(), crate::common::rogue::yes_to_all);
    let lied_to = with_first_server(&cluster, rogue.port()).with("Redundancy parity");
    let honest = without_first(&cluster);
    for (seed, name) in (1..).zip(["a", "b", "c", "d"]) {
        let bytes = noise(seed, SIZE);
        lied_to.upload(name, &bytes);
        lied_to.download(name, &bytes);
        for away in 2..=4 {
            cluster.stop(away);
            honest.download(name, &bytes);
            cluster.start(away);
        }
        lied_to.run(&["Repair"]);
        let moved = lied_to.run(&["Move", name, &format!("x{name}")]);
        let is_moved = moved.status == 0;
        honest.download(&if is_moved { format!("x{name}") } else { name.to_owned() }, &bytes);
        lied_to.upload(name, &bytes);
        lied_to.run(&["Delete", name]).succeeds();
        honest.run(&["Download", name]).fails_with(1).complains_of("not found");
        lied_to.upload(name, &bytes);
        honest.download(name, &bytes);
    }
}

#[test]
fn a_change_of_password_beside_a_server_without_its_q_loses_nothing() {
    let mut cluster = Cluster::with_passwords(4, false);
    let bytes = noise(1, SIZE);
    let aditi = client(&cluster);
    aditi.upload("a", &bytes);
    let own: Vec<_> = held_by(&cluster, 1, "a").into_iter().map(|piece| ("a", piece)).collect();
    cluster.stop(1);
    let shelf = Shelf { pieces: own, ..Shelf::default() };
    // It says that all is changed, and changes nothing.
    let rogue = Rogue::answering(stolen_verifier(), move |request| match request {
        Request::Read { piece, .. } if *piece > 4 => (Reply::no(Refusal::NotFound), Vec::new()),
        _ => shelf.answer(request),
    });
    let mut lied_to = with_first_server(&cluster, rogue.port()).with("Redundancy parity");
    let outcome = lied_to.pipe("Passwd\nanother one\n");
    lied_to.reread_conf();
    drop(rogue);
    let mut honest = lied_to;
    honest.conf = honest
        .conf
        .lines()
        .map(|line| match line.starts_with("Server1 ") {
            true => "Server1 127.0.0.1:1\n".to_owned(),
            false => format!("{line}\n"),
        })
        .collect();
    for away in [None, Some(2), Some(3), Some(4)] {
        away.iter().for_each(|&n| cluster.stop(n));
        honest.forget_downloads();
        let found = honest.run(&["Download", "a"]);
        assert!(
            honest.downloaded("a").as_deref() == Some(&bytes[..]),
            "without {away:?}: {outcome}\n{found}"
        );
        away.iter().for_each(|&n| cluster.start(n));
    }
}
