//! A server that alone says that a version was stored.

use super::{SIZE, held_by, pieces, stolen_verifier, with_first_server};
use crate::common::cluster::password;
use crate::common::process::wait_until;
use crate::common::rogue::{Rogue, Shelf, Told, claim, now, text, yes_to_all};
use crate::common::{Cluster, Trap, USER, Way, noise};
use shareit::auth::{DEFAULT_ITERATIONS, Verifier};
use shareit::commit::PieceState;
use shareit::sealed::{Claim, Facts};
use shareit::wire::{Entry, NameReport, Refusal, Reply, Reported, Request};
use std::sync::{Arc, Mutex};

/// What a rogue has been sent, and whether it calls that published.
#[derive(Default)]
pub(super) struct Loot {
    pub(super) claims: Vec<Claim>,
    pub(super) is_published: bool,
}

impl Loot {
    /// Keeps what it is sent, shows it once it lies, vouches for it, and does not send it.
    pub(super) fn answer(&mut self, request: &Request, staged: Option<Claim>) -> Told {
        self.claims.extend(staged);
        match request {
            Request::Look(_) if self.is_published => {
                let shown = |claim: &Claim| Reported::Piece(PieceState::Published, Box::new(claim.clone()));
                let pieces = self.claims.iter().map(shown).collect();
                text(&NameReport { floor: 0, clock: now(), pieces }.to_text())
            }
            Request::List { .. } if self.is_published => {
                let header = &self.claims[0].header;
                let entry = Entry::File {
                    path: header.path.clone(),
                    published: true,
                    pieces: self.claims.iter().map(|claim| claim.header.piece).collect(),
                    facts: Facts::from(header),
                };
                text(&entry.to_line())
            }
            _ => yes_to_all(request),
        }
    }
}

#[test]
fn an_upload_that_died_is_not_published_on_the_word_of_one_server_that_keeps_its_pieces_to_itself() {
    // Small and large pieces travel in different ways.
    for size in [SIZE, 2_000_000] {
        let mut cluster = Cluster::quick(4);
        let aditi = cluster.client("Aditi");
        let bytes = noise(1, size);
        aditi.upload("a", &bytes);
        let of_first = |piece: &usize| cluster.holders("a", *piece).contains(&1);
        let own: Vec<usize> = (1..=4).filter(of_first).collect();
        let shares = |n: usize| own.iter().any(|piece| cluster.holders("a", *piece).contains(&n));
        let (near, far): (Vec<usize>, Vec<usize>) = (2..=4).partition(|n| shares(*n));
        cluster.stop(1);

        let loot: Arc<Mutex<Loot>> = Arc::default();
        let kept = Arc::clone(&loot);
        let rogue = Rogue::keeping(stolen_verifier(), move |request, staged| {
            kept.lock().unwrap().answer(request, staged)
        });
        let proxies = cluster.proxies();
        let mut dying = cluster.client_through("Aditi", &proxies).with("Timeout 30");
        dying.conf =
            dying.conf.replace(&format!(":{}\n", proxies[0].port()), &format!(":{}\n", rogue.port()));
        dying.put("a", &noise(2, size));
        near.iter().for_each(|n| proxies[n - 1].trap("STAGE", Trap::Hold));
        let upload = dying.start(&["Upload", "a"]);
        near.iter().for_each(|n| proxies[n - 1].wait_for_the_trap());
        let answers = |n: usize| {
            let down = proxies[n - 1].recorded(Way::Down);
            down.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"OK ")).count()
        };
        wait_until("what the rogue lacks is staged", || {
            far.iter().all(|n| answers(*n) == 2) && loot.lock().unwrap().claims.len() == 2
        });
        upload.kill();
        drop(proxies);
        cluster.wait_until_all_left();
        assert_eq!(cluster.unsettled().len(), 2, "{:?}", cluster.unsettled());

        loot.lock().unwrap().is_published = true;
        let whole = pieces(&cluster, &[2, 3, 4]);
        let lied_to = with_first_server(&cluster, rogue.port());
        for command in [&["Download", "a"][..], &["ShowFiles"], &["Verify"], &["Repair"], &["Move", "a", "b"]]
        {
            let outcome = lied_to.run(command);
            assert!(pieces(&cluster, &[2, 3, 4]) == whole, "something changed: {outcome}");
        }
        lied_to.download_is_incomplete("a").complains_of("Server1: alone shows it");
        let repaired = lied_to.run(&["Repair"]).fails_with(1);
        assert!(repaired.stdout.contains("only Server1 says that it was stored"), "{repaired}");
        let honest = with_first_server(&cluster, 1);
        honest.download("a", &bytes);
        cluster.start(1);
        drop(rogue);
        aditi.download("a", &bytes);
        aditi.run(&["Repair"]).succeeds();
        aditi.run(&["Verify"]).succeeds().prints(&[]);
        assert_eq!(cluster.unsettled(), [""; 0]);
    }
}

#[test]
fn an_upload_that_nobody_else_has_replaces_nothing_until_all_of_it_is_there() {
    for (piece_size, withheld) in [(SIZE / 4, 1), (500_000, 3)] {
        let mut cluster = Cluster::quick(2);
        let aditi = cluster.client("Aditi");
        let bytes = noise(1, 4 * piece_size);
        aditi.upload("a", &bytes);
        let elsewhere = Cluster::quick(2);
        let newer = noise(2, 4 * piece_size);
        elsewhere.client("Aditi").upload("a", &newer);
        let undecided: Vec<_> = held_by(&elsewhere, 1, "a").into_iter().map(|piece| ("a", piece)).collect();
        cluster.stop(1);
        let whole = pieces(&cluster, &[2]);
        let shelf = Shelf { pieces: undecided.clone(), ..Shelf::default() };
        let rogue = Rogue::answering(stolen_verifier(), move |request| match request {
            Request::Read { piece, .. } if *piece == withheld => (Reply::no(Refusal::DiskError), Vec::new()),
            _ => shelf.answer(request),
        });
        let lied_to = with_first_server(&cluster, rogue.port());
        for _ in 0..2 {
            let repaired = lied_to.run(&["Repair"]).fails_with(1);
            assert!(pieces(&cluster, &[2]) == whole, "without piece {withheld}: {repaired}");
            let why = format!(
                "only Server1 says that it was stored, which could not be proved: no other server has piece {withheld} ("
            );
            assert!(repaired.stdout.contains(&why), "{repaired}");
            lied_to.download_is_incomplete("a").complains_of("Server1");
        }
        drop(rogue);
        with_first_server(&cluster, 1).download("a", &bytes);
        // The version is the user's own, newer, and whole: with all of it there it takes the older one's place.
        assert_eq!(claim(&undecided[0].1).header.path.as_str(), "a");
        let shelf = Shelf { pieces: undecided, ..Shelf::default() };
        let giving = Rogue::answering(stolen_verifier(), move |request| shelf.answer(request));
        with_first_server(&cluster, giving.port()).run(&["Repair"]).succeeds();
        drop(giving);
        with_first_server(&cluster, 1).download("a", &newer);
    }
}

#[test]
fn a_change_of_password_does_not_take_one_servers_word_that_a_file_is_under_the_new_one() {
    let mut cluster = Cluster::of(2);
    let bytes = noise(1, SIZE);
    cluster.client("Aditi").upload("a", &bytes);
    let own: Vec<_> = held_by(&cluster, 1, "a").into_iter().map(|piece| ("a", piece)).collect();
    cluster.stop(1);

    let loot: Arc<Mutex<Loot>> = Arc::default();
    let kept = Arc::clone(&loot);
    let verifier = Verifier::derive(&password(USER), b"Aditi's salt", DEFAULT_ITERATIONS);
    let rogue = Rogue::answering(verifier, move |request| {
        let mut loot = kept.lock().unwrap();
        if loot.is_published {
            return loot.answer(request, None);
        }
        if let Request::Copy { piece, header, seal, .. } = request {
            let mut roots = own.iter().map(|(_, piece)| claim(piece));
            let root = roots.find(|claim| claim.header.piece == *piece).unwrap().root;
            loot.claims.push(Claim { header: (**header).clone(), root, seal: *seal });
        }
        Shelf { pieces: own.clone(), ..Shelf::default() }.answer(request)
    });
    let proxies = cluster.proxies();
    let mut aditi = cluster.client_through("Aditi", &proxies);
    aditi.conf = aditi.conf.replace(&format!(":{}\n", proxies[0].port()), &format!(":{}\n", rogue.port()));
    proxies[1].trap("COPY", Trap::Cut);
    aditi.pipe("Passwd\nanother one\n").fails_with(1);
    assert_eq!(loot.lock().unwrap().claims.len(), 4);

    loot.lock().unwrap().is_published = true;
    aditi.pipe("Passwd\nanother one\n").succeeds();
    drop(rogue);
    let mut honest = with_first_server(&cluster, 1);
    honest.conf = honest.conf.replace(&password(USER), "another one");
    honest.download("a", &bytes);
}
