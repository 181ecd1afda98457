//! Servers that would take a client's time, its memory or its screen, and servers that are only slow.

use super::{SIZE, held_by, pieces, stolen_verifier, with_first_server};
use crate::common::raw::nonce;
use crate::common::rogue::{Rogue, Shelf, Talk, text, yes_to_all};
use crate::common::{Cluster, Fault, USER, Way, disk, noise};
use shareit::auth::{MIN_ITERATIONS, Salted};
use shareit::config::ServerAddress;
use shareit::name::{FilePath, FolderPath, ServerName, UserName};
use shareit::peer::{Connected, LEAST_RATE, Limits, Peer, PeerError};
use shareit::primitives::sha256;
use shareit::version::Version;
use shareit::wire::{MAX_ENTRIES, MAX_LISTING, MAX_RECORDS, MAX_TEXT, NameReport, Reply, Request};
use std::time::Duration;
use std::{io, thread};

const PAUSE: Duration = Duration::from_millis(50);

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(600);

/// Logs in to a rogue with limits of a test's own.
fn log_in(rogue: &Rogue, limits: Limits) -> Peer {
    let server = ServerAddress {
        name: ServerName::parse("Server1").unwrap(),
        address: format!("127.0.0.1:{}", rogue.port()),
    };
    let user = UserName::parse(USER).unwrap();
    let connected = Connected::open(&server, &user, &nonce(), MIN_ITERATIONS, limits).unwrap();
    let challenged = connected.challenged().unwrap();
    let (salt, iterations) = challenged.parameters();
    let salted = Salted::derive(&crate::common::cluster::password(USER), salt, iterations);
    challenged.prove(salted).unwrap().welcomed().unwrap()
}

fn patient() -> Limits {
    Limits { connect: LONG, login: LONG, ping: LONG, answer: LONG, durable: LONG, life: LONG }
}

fn ask(peer: &mut Peer, request: &Request) {
    peer.send(request).unwrap();
    peer.flush().unwrap();
}

fn look() -> Request {
    Request::Look(FilePath::parse("a").unwrap())
}

fn list() -> Request {
    Request::List { folder: FolderPath::root(), recursive: true }
}

#[track_caller]
fn is_silent<T>(result: Result<T, PeerError>, what: &str) {
    match result {
        Err(PeerError::Silent) => {}
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what}: waited for to its end"),
    }
}

/// A byte now and then.
fn drip(talk: &mut Talk, bytes: &[u8]) -> io::Result<()> {
    bytes.iter().try_for_each(|byte| {
        talk.send(&[*byte])?;
        talk.pause(PAUSE)
    })
}

// Time.

#[test]
fn a_payload_that_drips_has_one_time_limit_for_all_of_it() {
    // A minute of dripping for each, were it waited for.
    let bytes = [b'x'; 1200];
    let rogue = Rogue::talking(stolen_verifier(), move |request, talk| {
        match request {
            Request::Read { .. } => talk.say(&Reply::Data(bytes.len() as u64))?,
            _ => talk.say(&Reply::Text(bytes.len() as u64, sha256(&bytes)))?,
        }
        drip(talk, &bytes)
    });
    // The first line is sent at once, and must be here by then on a busy machine too.
    let limits = Limits { answer: Duration::from_secs(5), ..patient() };
    let mut peer = log_in(&rogue, limits);
    ask(&mut peer, &look());
    is_silent(peer.receive_parsed(NameReport::parse), "a LOOK that drips");
    let mut peer = log_in(&rogue, limits);
    ask(&mut peer, &list());
    is_silent(peer.receive_list(MAX_LISTING, |_| Ok(())), "a LIST that drips");
    let mut peer = log_in(&rogue, limits);
    let (path, version) = (FilePath::parse("a").unwrap(), Version { generation: 1, upload: [1; 16] });
    ask(&mut peer, &Request::Read { path, piece: 1, version, offset: 0, length: bytes.len() as u64 });
    assert!(peer.receive_data(bytes.len() as u64).unwrap().is_ok());
    is_silent(peer.receive_payload(&mut [0; 1200]), "a piece that drips");
}

#[test]
fn signs_of_life_and_small_parts_are_waited_for_no_longer_than_is_stated() {
    let rogue = Rogue::talking(stolen_verifier(), |request, talk| {
        loop {
            match request {
                // Parts of one byte each instead of signs of life.
                Request::List { .. } => {
                    talk.say(&Reply::More(1, sha256(b"\n")))?;
                    talk.send(b"\n")?;
                }
                _ => talk.give_life_sign()?,
            }
            talk.pause(PAUSE)?;
        }
    });
    // Each sign comes long before any other limit.
    let limits = Limits { life: Duration::from_millis(500), ..patient() };
    let mut peer = log_in(&rogue, limits);
    ask(&mut peer, &Request::Ping);
    is_silent(peer.receive_done(), "a PING");
    let mut peer = log_in(&rogue, limits);
    ask(&mut peer, &look());
    is_silent(peer.receive_parsed(NameReport::parse), "a LOOK");
    let mut peer = log_in(&rogue, limits);
    ask(&mut peer, &look());
    is_silent(peer.receive_data(7), "a READ");
    let mut peer = log_in(&rogue, limits);
    ask(&mut peer, &list());
    is_silent(peer.receive_list(MAX_LISTING, |_| Ok(())), "a LIST");
}

#[test]
fn a_server_that_takes_a_payload_too_slowly_is_not_waited_for() {
    let rogue = Rogue::talking(stolen_verifier(), |_, _| {
        loop {
            thread::park();
        }
    });
    let mut peer = log_in(&rogue, Limits { answer: Duration::from_millis(500), ..patient() });
    // It reads nothing after the first line, so that all buffers on the way are full sooner or later.
    ask(&mut peer, &Request::Ping);
    let bytes = vec![0; LEAST_RATE as usize];
    let sent = (0..100_000).try_for_each(|_| peer.send_payload(&bytes));
    is_silent(sent, "a payload");
}

#[test]
fn signs_of_life_without_a_pause_come_to_an_end() {
    let mut cluster = Cluster::quick(4);
    let bytes = noise(1, SIZE);
    cluster.client("Aditi").upload("a", &bytes);
    cluster.stop(1);
    let rogue = Rogue::talking(stolen_verifier(), |_, talk| {
        loop {
            talk.give_life_sign()?;
        }
    });
    let aditi = with_first_server(&cluster, rogue.port());
    aditi.download("a", &bytes).complains_of("Server1").complains_of("signs of life");
}

#[test]
fn a_server_that_is_only_slow_is_up_and_nothing_of_it_is_copied_elsewhere() {
    let mut cluster = Cluster::quick(4);
    let bytes = noise(1, SIZE);
    cluster.client("Aditi").upload("a", &bytes);
    let shelf = Shelf {
        pieces: held_by(&cluster, 1, "a").into_iter().map(|piece| ("a", piece)).collect(),
        ..Shelf::default()
    };
    cluster.stop(1);
    let before = pieces(&cluster, &[1, 2, 3, 4]);
    let rogue = Rogue::talking(stolen_verifier(), move |request, talk| {
        let (reply, bytes) = shelf.answer(request);
        (0..3).try_for_each(|_| talk.give_life_sign())?;
        if let Request::List { .. } = request {
            // As several parts, with more signs between them.
            let (first, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1);
            talk.say(&Reply::More(first.len() as u64, sha256(first)))?;
            talk.send(first)?;
            talk.give_life_sign()?;
            talk.say(&Reply::Text(rest.len() as u64, sha256(rest)))?;
            return talk.send(rest);
        }
        talk.say(&reply)?;
        talk.send(&bytes)
    });
    let aditi = with_first_server(&cluster, rogue.port());
    aditi.run(&["ShowFiles"]).prints(&["a"]).does_not_complain_of("Server1");
    aditi.run(&["Verify"]).succeeds().prints(&[]).does_not_complain_of("Server1");
    aditi.run(&["Repair"]).succeeds().prints(&[]).does_not_complain_of("Server1");
    aditi.run(&["Status"]).succeeds().does_not_complain_of("Server1");
    aditi.download("a", &bytes).does_not_complain_of("Server1");
    assert!(pieces(&cluster, &[1, 2, 3, 4]) == before, "something was copied");
}

#[test]
fn a_server_that_is_lost_on_the_way_stops_verify_and_repair() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for number in 0..150 {
        aditi.put(&format!("folder/{number}"), &noise(number, 40));
    }
    aditi.run(&["Upload", "folder"]).succeeds();
    let before = pieces(&cluster, &[1, 2, 3, 4]);
    let proxies = cluster.proxies();
    let through = cluster.client_through("Aditi", &proxies);
    for command in ["Repair", "Verify"] {
        proxies[0].forget();
        through.run(&[command, "folder"]).succeeds();
        let all = proxies[0].recorded(Way::Down).len();
        // In the list, and among the files: the login is some hundred bytes.
        for part in [10, 30, 60, 90] {
            proxies[0].fail_after(Way::Down, all * part / 100, Fault::Cut);
            let outcome = through.run(&[command, "folder"]).fails_with(4).prints(&[]);
            outcome.complains_of("lost the connection to Server1");
            proxies[0].heal();
        }
    }
    assert!(pieces(&cluster, &[1, 2, 3, 4]) == before, "something was copied");
    // One that is down from the beginning is what Repair is for.
    proxies[0].fail_after(Way::Down, 0, Fault::Cut);
    let outcome = through.run(&["Repair"]).succeeds();
    assert!(outcome.lines().len() >= 150, "{outcome}");
}

// Memory.

#[test]
fn an_endless_list_costs_bounded_memory_and_a_message() {
    let mut cluster = Cluster::quick(4);
    cluster.client("Aditi").upload("a", &noise(1, SIZE));
    cluster.stop(1);
    let rogue = Rogue::talking(stolen_verifier(), |request, talk| {
        let Request::List { .. } = request else {
            let (reply, bytes) = yes_to_all(request);
            talk.say(&reply)?;
            return talk.send(&bytes);
        };
        let mut number = 0;
        loop {
            let mut part = String::with_capacity(MAX_TEXT);
            while part.len() + 40 < MAX_TEXT {
                number += 1;
                part.push_str(&format!("damaged {number:x} 1\n"));
            }
            talk.say(&Reply::More(part.len() as u64, sha256(part.as_bytes())))?;
            talk.send(part.as_bytes())?;
        }
    });
    let aditi = with_first_server(&cluster, rogue.port());
    let mut session = aditi.session();
    session.send("ShowFiles");
    session.wait_for("a [degraded]");
    let peak = session.peak_memory();
    let outcome = session.finish().succeeds().prints(&["a [degraded]"]);
    outcome.complains_of("Server1").complains_of(&format!("more than {MAX_ENTRIES} names"));
    assert!(peak < 400 << 20, "{} MiB", peak >> 20);
}

#[test]
fn a_look_says_each_thing_once_and_no_more_than_there_can_be() {
    let mut cluster = Cluster::quick(4);
    let bytes = noise(1, SIZE);
    cluster.client("Aditi").upload("a", &bytes);
    cluster.stop(1);
    for records in [MAX_RECORDS, MAX_RECORDS + 1, 100_000] {
        let rogue = Rogue::answering(stolen_verifier(), move |request| match request {
            Request::Look(_) => text(&format!("floor 0\n{}", "damaged 1\n".repeat(records))),
            other => yes_to_all(other),
        });
        let aditi = with_first_server(&cluster, rogue.port());
        let outcome = aditi.download("a", &bytes).complains_of("Server1");
        assert_eq!(outcome.stderr.lines().count(), 1, "{records}: {outcome}");
        let outcome = aditi.run(&["Verify"]);
        assert!(outcome.lines().len() < 10, "{records}: {outcome}");
    }
}

#[test]
fn many_bad_copies_of_one_server_are_counted_and_not_listed_one_by_one() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for number in 0..60 {
        aditi.put(&format!("folder/{number}"), &noise(number, 40));
    }
    aditi.run(&["Upload", "folder"]).succeeds();
    for piece in disk::files_below(&cluster.user_folder(1, USER)) {
        let file = cluster.user_folder(1, USER).join(piece);
        std::fs::write(file, b"no piece at all").unwrap();
    }
    let outcome = aditi.run(&["Download", "folder"]).succeeds().complains_of("the same for ");
    // One for each piece and its count.
    assert!(outcome.stderr.lines().count() <= 8, "{outcome}");
    // The next command starts counting again.
    let outcome = aditi.pipe("Download folder/1\nDownload folder/2\n").succeeds();
    outcome.complains_of("folder/1: ").complains_of("folder/2: ").does_not_complain_of("the same for ");
}
