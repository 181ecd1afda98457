//! Strangers, liars and people on the wire: what they say is refused, and costs nobody anything.

mod greedy;
mod names;
mod one_word;
mod parity;

use crate::common::cluster::{PROGRAM as SERVER, password};
use crate::common::process::run;
use crate::common::raw::{self, Guest, Stranger, nonce};
use crate::common::rogue::{Rogue, Shelf, claim, now, text, yes_to_all};
use crate::common::{Client, Cluster, Fault, USER, Way, disk, noise};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shareit::auth::{MAX_ITERATIONS, MIN_ITERATIONS, Verifier};
use shareit::name::{FilePath, UserName};
use shareit::primitives::{Bytes32, hmac_sha256};
use shareit::sealed::{Claim, Facts, Header, MasterKey, WrappedKey};
use shareit::server::{
    FAILED_LOGIN_DELAY, FAILED_LOGINS_PER_MINUTE, LOGIN_LIMIT, MAX_CONNECTIONS, USERS_SHARE,
};
use shareit::text::{base64_decode, base64_encode, hex};
use shareit::version::Version;
use shareit::wire::{LineSealer, Login, Refusal, Reply, Request, StageEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// As in the .conf of [`Cluster::quick`].
const ADITIS_KEY: Bytes32 = [b'A'; 32];

/// What another server in the list would have to lie about.
const SIZE: usize = 300_000;

/// A client whose first server is this one.
fn with_first_server(cluster: &Cluster, port: u16) -> Client {
    let mut client = cluster.client("Aditi");
    client.conf = client.conf.replace(&format!(":{}\n", cluster.port(1)), &format!(":{port}\n"));
    client
}

/// A client with no other server.
fn with_one_server(cluster: &Cluster, port: u16) -> Client {
    let mut client = with_first_server(cluster, port);
    let others = ["Server2", "Server3", "Server4"];
    let kept = client.conf.lines().filter(|line| !others.iter().any(|name| line.starts_with(name)));
    client.conf = kept.map(|line| format!("{line}\n")).collect();
    client
}

fn pieces(cluster: &Cluster, servers: &[usize]) -> BTreeMap<String, Vec<u8>> {
    let of = |n: &usize| {
        let tree = disk::tree(&cluster.user_folder(*n, USER));
        let n = *n;
        tree.into_iter().map(move |(file, bytes)| (format!("Server{n} {file}"), bytes))
    };
    servers.iter().flat_map(of).collect()
}

/// The pieces of a file that a server holds: its piece files, without the sum that it appends to each.
fn held_by(cluster: &Cluster, n: usize, path: &str) -> Vec<Vec<u8>> {
    let files = (1..=8).map(|piece| cluster.piece_file(n, path, piece));
    files.filter_map(|file| fs::read(file).ok()).map(|piece| piece[..piece.len() - 32].to_vec()).collect()
}

/// A delete as Aditi's client would seal it, as a file.
fn tombstone(path: &str, generation: u64, key: &Bytes32) -> Vec<u8> {
    let Claim { header, root, seal } = raw::tombstone(path, generation, key);
    [&header.encode()[..], &root, &seal].concat()
}

/// The verifier of Aditi's usual password, as a thief of Users.conf has it.
fn stolen_verifier() -> Verifier {
    Verifier::derive(&password(USER), b"Aditi's salt", MIN_ITERATIONS)
}

// The login, as a client sees it.

/// Server-first messages that a client must not answer, made from its nonce.
type Challenge = fn(&str) -> String;

const BAD_CHALLENGES: &[(&str, Challenge)] = &[
    ("no iterations", |nonce| format!("r={nonce}x,s=QUJDRA==,i=0")),
    ("one iteration", |nonce| format!("r={nonce}x,s=QUJDRA==,i=1")),
    ("too few", |nonce| format!("r={nonce}x,s=QUJDRA==,i={}", MIN_ITERATIONS - 1)),
    ("too many", |nonce| format!("r={nonce}x,s=QUJDRA==,i={}", MAX_ITERATIONS + 1)),
    ("huge", |nonce| format!("r={nonce}x,s=QUJDRA==,i=4294967295")),
    ("more than there are", |nonce| format!("r={nonce}x,s=QUJDRA==,i=99999999999999999999")),
    ("nonce not extended", |nonce| format!("r={nonce},s=QUJDRA==,i=4096")),
    ("nonce of its own", |nonce| format!("r={},s=QUJDRA==,i=4096", "x".repeat(nonce.len() + 9))),
    ("nonce cut", |nonce| format!("r={},s=QUJDRA==,i=4096", &nonce[1..])),
    ("no nonce", |_| "r=,s=QUJDRA==,i=4096".to_owned()),
    ("no salt", |nonce| format!("r={nonce}x,s=,i=4096")),
    ("salt too long", |nonce| format!("r={nonce}x,s={},i=4096", "QUJD".repeat(30))),
    ("an extension", |nonce| format!("m=x,r={nonce}x,s=QUJDRA==,i=4096")),
    ("no order", |nonce| format!("s=QUJDRA==,r={nonce}x,i=4096")),
    ("nothing", |_| String::new()),
];

#[test]
fn a_server_that_plays_with_the_login_gets_no_proof_and_nothing_else() {
    let cluster = Cluster::quick(4);
    for (what, challenge) in BAD_CHALLENGES {
        let rogue = Rogue::at_login(challenge, "v=QUJDRA==");
        with_one_server(&cluster, rogue.port()).run(&["ShowFiles"]).fails_with(4).prints(&[]);
        let heard = rogue.heard();
        assert!(heard.len() == 1 && heard[0].starts_with("LOGIN "), "{what}: the client said {heard:?}");
    }
    let rogue = Rogue::at_login(BAD_CHALLENGES[1].1, "v=QUJDRA==");
    let aditi = with_first_server(&cluster, rogue.port());
    aditi.upload("a", b"on the other three").complains_of("Server1").complains_of("iterations");
    aditi.download("a", b"on the other three");
}

#[test]
fn a_server_that_makes_guessing_cheap_or_asks_for_the_files_key_gets_no_proof() {
    let cluster = Cluster::quick(4);
    let default = |port| {
        let mut client = with_one_server(&cluster, port);
        client.conf = client
            .conf
            .lines()
            .filter(|line| !line.starts_with("MinIterations"))
            .fold(String::new(), |conf, line| conf + line + "\n");
        client
    };
    let few = Rogue::at_login(
        |nonce| format!("r={nonce}x,s=QUJDRA==,i=599999"),
        &format!("v={}", base64_encode(&[0; 32])),
    );
    default(few.port())
        .run(&["ShowFiles"])
        .fails_with(4)
        .complains_of("599999")
        .complains_of("600000")
        .complains_of("MinIterations 599999");
    assert_eq!(few.heard().len(), 1, "the client said {:?}", few.heard());
    // What it asks for is what the user accepts: the client goes on, and finds out that it is nobody.
    with_one_server(&cluster, few.port()).run(&["ShowFiles"]).fails_with(4).complains_of("did not prove");
    assert_eq!(few.heard().len(), 3, "the client said {:?}", few.heard());

    let salt = base64_encode(b"ShareIt v1 master key\0Aditi");
    let of_files = Rogue::at_login(move |nonce| format!("r={nonce}x,s={salt},i=600000"), "v=QUJDRA==");
    default(of_files.port()).run(&["ShowFiles"]).fails_with(4).complains_of("salt");
    assert_eq!(of_files.heard().len(), 1, "the client said {:?}", of_files.heard());
}

#[test]
fn a_new_password_is_one_that_its_own_client_still_accepts() {
    let cluster = Cluster::of(1);
    let mut aditi = cluster.client("Aditi");
    let users = || fs::read_to_string(cluster.root().join("Users.conf")).unwrap();
    // As an administrator with more patience than most may have made it.
    let verifier = Verifier::derive(&password(USER), b"Aditi's salt", 700_000);
    let lines = users()
        .lines()
        .filter(|line| !line.starts_with("Aditi "))
        .fold(String::new(), |all, line| all + line + "\n");
    fs::write(cluster.root().join("Users.conf"), format!("{lines}Aditi {verifier}\n")).unwrap();
    aditi.conf += "MinIterations 700000\n";
    aditi.pipe("Passwd\nanother one\n").succeeds();
    assert!(users().contains("Aditi SCRAM-SHA-256$700000:"), "{}", users());
    aditi.conf = aditi.conf.replace(&password(USER), "another one");
    aditi.run(&["ShowFiles"]).succeeds();
}

#[test]
fn a_server_that_does_not_know_the_user_is_not_believed_whatever_it_says() {
    let cluster = Cluster::quick(4);
    let zeros = base64_encode(&[0; 32]);
    for last in [format!("v={zeros}"), "v=".to_owned(), "e=other-error".to_owned(), String::new()] {
        let rogue = Rogue::at_login(|nonce| format!("r={nonce}x,s=QUJDRA==,i=4096"), &last);
        with_one_server(&cluster, rogue.port()).run(&["ShowFiles"]).fails_with(4).prints(&[]);
        let requests: Vec<String> = rogue
            .heard()
            .into_iter()
            .filter(|line| !line.starts_with("LOGIN") && !line.starts_with("PROVE"))
            .collect();
        assert_eq!(requests, [""; 0], "asked after {last:?}");
    }
}

#[test]
fn a_login_that_is_passed_on_to_another_server_is_of_no_use_there() {
    let cluster = Cluster::quick(4);
    let rogue = Rogue::relaying_to(cluster.port(2), "CHALLENGE Server2 ", "CHALLENGE Server1 ");
    cluster.client("Aditi").upload("a", b"a");
    let before = disk::tree(&cluster.root());
    with_one_server(&cluster, rogue.port()).run(&["Delete", "a"]);
    cluster.wait_until_all_left();
    assert!(disk::tree(&cluster.root()) == before, "Server2 has obeyed");
    cluster.wait_for_log(2, "disconnected: a line was altered");

    // Under its own name it is not the server that the client has asked for.
    let rogue = Rogue::relaying_to(cluster.port(2), "", "");
    with_one_server(&cluster, rogue.port())
        .run(&["ShowFiles"])
        .fails_with(4)
        .complains_of("calls itself Server2");
    // So it was the names and not the wire.
    let wire = Rogue::relaying_to(cluster.port(1), "", "");
    with_first_server(&cluster, wire.port())
        .run(&["ShowFiles"])
        .succeeds()
        .prints(&["a"])
        .does_not_complain_of("Server");
}

#[test]
#[ignore = "a limit of SCRAM that docs/THREATS.md states: servers that share a Users.conf can log in to each other"]
fn a_server_that_has_seen_a_login_cannot_log_in_as_that_user_elsewhere() {
    let cluster = Cluster::quick(4);
    // What any server sees: both nonces, and the proof.
    let wire = cluster.proxies();
    cluster.client_through("Aditi", &wire).run(&["ShowFiles"]).succeeds();
    let (up, down) = (wire[0].recorded(Way::Up), wire[0].recorded(Way::Down));
    let message = |bytes: &[u8], line: usize| {
        let text = String::from_utf8_lossy(bytes);
        let word = text.lines().nth(line).unwrap().rsplit(' ').next().unwrap().to_owned();
        String::from_utf8(base64_decode(&word).unwrap()).unwrap()
    };
    let (first, challenge, last) = (message(&up, 0), message(&down, 0), message(&up, 1));
    let users = fs::read_to_string(cluster.root().join("Users.conf")).unwrap();
    let verifier = users.lines().find_map(|line| line.strip_prefix("Aditi ")).unwrap();
    let stored_key = verifier.rsplit_once('$').unwrap().1.split_once(':').unwrap().0;
    let stored_key: Bytes32 = base64_decode(stored_key).unwrap().try_into().unwrap();
    let signature = |first: &str, challenge: &str, bare: &str| {
        hmac_sha256(&stored_key, &[format!("{},{challenge},{bare}", &first[3..]).as_bytes()])
    };
    let xor = |a: Bytes32, b: Bytes32| -> Bytes32 { std::array::from_fn(|i| a[i] ^ b[i]) };
    let (bare, sent) = last.rsplit_once(",p=").unwrap();
    let client_key =
        xor(base64_decode(sent).unwrap().try_into().unwrap(), signature(&first, &challenge, bare));

    let mut thief = Stranger::at(cluster.port(2));
    let first = format!("n,,n=Aditi,r={}", nonce());
    thief.send_login(Login::Login(first.clone()));
    let Reply::Challenge(_, challenge) = thief.reply() else { panic!("no challenge") };
    let nonces = challenge.split_once(",s=").unwrap().0;
    let bare = format!("c=biws,{nonces}");
    let forged = base64_encode(&xor(client_key, signature(&first, &challenge, &bare)));
    thief.send_login(Login::Prove(format!("{bare},p={forged}")));
    assert_eq!(thief.reply(), Reply::no(Refusal::Denied));
}

// The login, as a server sees it.

#[test]
fn a_wrong_name_and_a_wrong_password_look_alike_to_the_last_byte() {
    let cluster = Cluster::of(1);
    let port = cluster.port(1);
    let fail = |user: &str| {
        let begin = Instant::now();
        let mut stranger = Stranger::at(port);
        let first = format!("n,,n={user},r={}", nonce());
        stranger.send_login(Login::Login(first.clone()));
        let line = stranger.line().unwrap();
        let Ok(Reply::Challenge(_, challenge)) = Reply::parse(&line) else { panic!("{line}") };
        let (nonces, rest) = challenge.split_once(",s=").unwrap();
        let (salt, iterations) = rest.split_once(",i=").unwrap();
        let proof = base64_encode(&[9; 32]);
        stranger.send_login(Login::Prove(format!("c=biws,{nonces},p={proof}")));
        let refusal = stranger.line().unwrap();
        stranger.is_closed();
        // A lower bound only: it holds on any machine.
        assert!(begin.elapsed() >= FAILED_LOGIN_DELAY, "{user} was refused at once");
        let shape = (line.len(), nonces.len(), salt.len(), iterations.to_owned(), refusal);
        (salt.to_owned(), shape)
    };
    let (known, known_shape) = fail("Aditi");
    let (unknown, unknown_shape) = fail("Niobe");
    assert_eq!(known_shape, unknown_shape);
    assert_eq!(known_shape.4, "NO denied invalid%20username%20or%20password");
    assert_eq!(fail("Niobe").0, unknown, "a salt that changes belongs to nobody");
    let others: BTreeSet<String> = [known, unknown, fail("Ritu").0, fail("Naomi").0].into();
    assert_eq!(others.len(), 4, "a salt for each");

    // Nor does the server do for one what it does not do for the other.
    let folder = |user| cluster.user_folder(1, user).exists();
    assert!(!folder("Aditi") && !folder("Niobe"), "a folder without a login");
    let strip = |line: &str| line.splitn(4, ' ').last().unwrap_or_default().to_owned();
    let ends: BTreeSet<String> =
        cluster.log(1).lines().filter(|line| line.contains("not logged in")).map(strip).collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
}

#[test]
fn one_user_at_one_address_fails_only_so_often_in_a_minute_and_others_are_not_kept_out() {
    let cluster = Cluster::quick(1);
    let port = cluster.port(1);
    let try_in = move |user: &'static str| {
        let mut stranger = Stranger::at(port);
        let first = format!("n,,n={user},r={}", nonce());
        stranger.send_login(Login::Login(first));
        let Reply::Challenge(_, challenge) = stranger.reply() else { return Refusal::Busy };
        let nonces = challenge.split_once(",s=").unwrap().0;
        stranger.send_login(Login::Prove(format!("c=biws,{nonces},p={}", base64_encode(&[9; 32]))));
        let Reply::No(refusal, _) = stranger.reply() else { panic!("welcome") };
        refusal
    };
    for user in ["Aditi", "Niobe"] {
        let tries: Vec<_> =
            (0..FAILED_LOGINS_PER_MINUTE).map(|_| thread::spawn(move || try_in(user))).collect();
        for thread in tries {
            assert_ne!(thread.join().unwrap(), Refusal::Slow, "{user}");
        }
        assert_eq!(try_in(user), Refusal::Busy, "{user}");
    }
    assert!(Stranger::at(port).ask_in("Ritu").answer(&password("Ritu")).is_ok());
}

#[test]
fn wrong_passwords_are_counted_even_if_all_were_challenged_before_the_first_was_refused() {
    let cluster = Cluster::quick(1);
    let waiting: Vec<_> = (0..100).map(|_| Stranger::at(cluster.port(1)).ask_in("Aditi")).collect();
    let guesses: Vec<_> =
        waiting.into_iter().map(|waiting| thread::spawn(move || waiting.answer("a guess"))).collect();
    let answers: Vec<String> =
        guesses.into_iter().map(|guess| guess.join().unwrap().err().unwrap()).collect();
    let looked_at = answers.iter().filter(|line| line.starts_with("NO denied ")).count();
    let refused = answers.iter().filter(|line| line.starts_with("NO busy ")).count();
    // A minute may end in between, and another begin.
    let most = 2 * FAILED_LOGINS_PER_MINUTE as usize;
    assert!(looked_at <= most && looked_at + refused == 100, "{looked_at} looked at, {refused} refused");
}

#[test]
fn half_sent_pieces_of_one_user_take_neither_the_descriptors_nor_all_connections() {
    const SENT: usize = 20_000;
    // This process needs as many.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let cluster = Cluster::quick(1);
    let version = Version { generation: 1, upload: [7; 16] };
    let facts = Facts { version, size: 8 * SENT as u64, replicas: 2, ..Facts::default() };
    let key = WrappedKey { check: [0; 16], block: [0; 16], bytes: [0; 32] };
    let (user, path) = (UserName::parse(USER).unwrap(), FilePath::parse("big").unwrap());
    let header = Box::new(Header::data(user, path, facts, 1, key));
    let line = Request::Stage { length: header.payload_size(), restore: None, header };
    let mut guests = Vec::new();
    for _ in 0..2 * MAX_CONNECTIONS / USERS_SHARE {
        match Stranger::at(cluster.port(1)).ask_in(USER).answer(&password(USER)) {
            Ok(mut guest) => {
                let line = guest.seal(&line.to_line());
                guest.send(line);
                guest.send([0; SENT]);
                guests.push(guest);
            }
            Err(refusal) => {
                assert!(refusal.starts_with("NO busy "), "{refusal}");
                break;
            }
        }
    }
    assert!(guests.len() <= MAX_CONNECTIONS / USERS_SHARE, "{} connections", guests.len());
    let ritu = cluster.client("Ritu");
    let bytes = noise(2, SIZE);
    ritu.upload("b", &bytes).does_not_complain_of("warning");
    ritu.download("b", &bytes);
}

#[test]
#[ignore = "takes as long as the time limit of a login, 10 s"]
fn a_login_of_one_byte_now_and_then_is_cut_off_in_the_end() {
    let cluster = Cluster::quick(1);
    let begin = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", cluster.port(1))).unwrap();
    // Each wait for an answer is the pause between two bytes.
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut answer = Vec::new();
    loop {
        let _ = stream.write_all(b"L");
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(_) => break,
        }
        assert!(begin.elapsed() < 6 * LOGIN_LIMIT, "never cut off");
    }
    assert!(begin.elapsed() >= LOGIN_LIMIT, "cut off too early");
    assert_eq!(String::from_utf8_lossy(&answer), format!("{}\n", Reply::no(Refusal::Slow).to_line()));
}

#[test]
fn seven_hundred_strangers_keep_no_user_out() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let mut strangers: Vec<Stranger> = (0..400).map(|_| Stranger::at(cluster.port(1))).collect();
    let garbage: [&[u8]; 6] =
        [b"\n", b"GET / HTTP/1.0\r\n\r\n", b"\xff\xfe\n", b"LOGIN 1 eA==\n", b"PROVE eA==\n", &[b'x'; 9000]];
    for i in 0..300 {
        let mut stranger = Stranger::at(cluster.port(1));
        stranger.send(garbage[i % garbage.len()]);
        strangers.push(stranger);
    }
    let bytes = noise(1, SIZE);
    aditi.upload("a", &bytes).does_not_complain_of("warning");
    aditi.download("a", &bytes).does_not_complain_of("warning");
    drop(strangers);
}

#[test]
fn strangers_who_come_during_a_login_do_not_push_it_out() {
    let cluster = Cluster::quick(1);
    let slow = Reply::no(Refusal::Slow).to_line();
    let answer = || {
        let login = Stranger::at(cluster.port(1)).ask_in("Aditi");
        let _strangers: Vec<Stranger> = (0..400).map(|_| Stranger::at(cluster.port(1))).collect();
        // The server has taken in all of them when it answers one that came later.
        drop(Stranger::at(cluster.port(1)).ask_in("Ritu"));
        login.answer(&password("Aditi"))
    };
    // A machine that is too busy to do all that within the time for a login has shown nothing.
    let answer = (0..6).map(|_| answer()).find(|answer| answer.as_ref().err() != Some(&slow));
    if let Err(line) = answer.unwrap_or(Err(slow)) {
        panic!("pushed out: {line:?}");
    }
}

// Lines after the login.

/// What somebody on the wire, or a client gone wrong, sends instead of the expected line.
type Tamper = fn(&mut Guest, u16, &str) -> String;

const TAMPERED: &[(&str, Tamper)] = &[
    ("left out", |guest, _, line| {
        guest.seal("PING");
        guest.seal(line)
    }),
    ("moved", |guest, _, line| {
        let first = guest.seal(line);
        guest.seal("PING") + &first
    }),
    ("repeated", |guest, _, line| {
        let ping = guest.seal("PING");
        guest.send(&ping);
        assert_eq!(guest.reply(), Reply::Ok);
        ping + &guest.seal(line)
    }),
    ("put in without a MAC", |_, _, line| format!("{line}\n")),
    ("put in with zeros", |_, _, line| format!("{line} {}\n", hex(&[0; 32]))),
    ("put in with a key of its own", |_, _, line| LineSealer::new([0; 32]).seal(line)),
    ("of another session", |_, port, line| Guest::at(port, USER, &password(USER)).seal(line)),
    ("of another word", |guest, _, line| {
        guest.seal(&line.replace("COMMIT", "RETIRE")).replace("RETIRE", "COMMIT")
    }),
    ("of another name", |guest, _, line| guest.seal(&line.replace(" a ", " b ")).replace(" b ", " a ")),
    ("with a turned bit in its MAC", |guest, _, line| {
        let sealed = guest.seal(line);
        let (rest, last) = sealed.trim_end().split_at(sealed.len() - 2);
        format!("{rest}{}\n", if last == "0" { "1" } else { "0" })
    }),
    ("with a space too many", |guest, _, line| guest.seal(line).replace("COMMIT ", "COMMIT  ")),
    ("with a MAC that is cut", |guest, _, line| format!("{}\n", &guest.seal(line)[..line.len() + 40])),
];

/// The line after an empty payload.
fn end_of_nothing(guest: &Guest, claim: &Claim) -> String {
    StageEnd::End { root: claim.root, seal: claim.seal, tag: Some(guest.tag(&[])) }.to_line()
}

#[test]
fn a_line_that_is_repeated_moved_left_out_put_in_or_altered_ends_the_connection_and_does_nothing() {
    let cluster = Cluster::quick(1);
    cluster.client("Aditi").upload("a", b"a");
    let before = pieces(&cluster, &[1]);
    let port = cluster.port(1);
    for (generation, (what, tamper)) in (now()..).zip(TAMPERED) {
        let mut guest = Guest::at(port, "Aditi", &password("Aditi"));
        // A delete that waits for its commit.
        let file = tombstone("a", generation, &ADITIS_KEY);
        let claim = claim(&file);
        let request = Request::Stage { header: Box::new(claim.header.clone()), length: 0, restore: None };
        let line = guest.seal(&request.to_line());
        guest.send(line);
        let end = end_of_nothing(&guest, &claim);
        let answer = guest.ask(&end);
        assert_eq!(answer, Reply::Ok, "{what}");
        let commit = format!("COMMIT a {}", claim.header.version);
        let lines = tamper(&mut guest, port, &commit);
        guest.send(lines);
        assert_eq!(guest.reply(), Reply::no(Refusal::BadMac), "{what}");
        guest.is_closed();
        assert!(pieces(&cluster, &[1]) == before, "obeyed, though {what}");
        let mut again = Guest::at(port, "Aditi", &password("Aditi"));
        again.ask(&format!("ABORT a {}", claim.header.version));
    }
    cluster.client("Aditi").download("a", b"a");
}

/// Stages a delete, or brings it back.
#[track_caller]
fn stage(guest: &mut Guest, claim: &Claim, restore: Option<u64>) -> Reply {
    let request = Request::Stage { header: Box::new(claim.header.clone()), length: 0, restore };
    let line = guest.seal(&request.to_line());
    guest.send(line);
    let tag = restore.is_none().then(|| guest.tag(&[]));
    guest.ask(&StageEnd::End { root: claim.root, seal: claim.seal, tag }.to_line())
}

#[test]
fn nothing_comes_under_a_retired_key_but_on_the_connection_that_retired_it() {
    let mut cluster = Cluster::quick(1);
    let log_in = |cluster: &Cluster| Guest::at(cluster.port(1), "Aditi", &password("Aditi"));
    let deletes = |path: &str, key: &Bytes32| claim(&tombstone(path, 9, key));
    let check = |byte: u8| hex(&MasterKey::from_key(&[byte; 32]).check_value());
    let (old, new, third) = (check(b'A'), check(b'B'), check(b'C'));
    let change = format!("REKEY {old} {new}");
    let (early, late) = (deletes("a", &ADITIS_KEY), deletes("b", &ADITIS_KEY));
    let commit = format!("COMMIT a {}", early.header.version);
    let is_rekeyed = |reply: Reply| matches!(reply, Reply::No(Refusal::Rekeyed, _));

    let (mut writer, mut changer) = (log_in(&cluster), log_in(&cluster));
    assert_eq!(stage(&mut writer, &early, None), Reply::Ok);
    let mut ritu = Guest::at(cluster.port(1), "Ritu", &password("Ritu"));
    assert_eq!(changer.ask(&change), Reply::Ok);
    writer.is_closed();
    assert_eq!(ritu.ask("PING"), Reply::Ok, "another user");

    let mut other = log_in(&cluster);
    assert!(is_rekeyed(stage(&mut other, &late, None)));
    assert!(is_rekeyed(stage(&mut other, &late, Some(0))));
    assert!(is_rekeyed(other.ask(&commit)));
    assert!(is_rekeyed(other.ask(&format!("REKEY {old} {third}"))));
    assert_eq!(stage(&mut other, &deletes("b", &[b'B'; 32]), None), Reply::Ok, "under the new key");
    assert_eq!(changer.ask(&commit), Reply::Ok, "what was staged is there");
    assert_eq!(stage(&mut changer, &late, None), Reply::Ok);

    let mut again = log_in(&cluster);
    assert_eq!(again.ask(&change), Reply::Ok);
    other.is_closed();
    changer.is_closed();
    assert_eq!(stage(&mut again, &late, None), Reply::Ok);
    cluster.restart(1);
    let mut other = log_in(&cluster);
    assert!(is_rekeyed(stage(&mut other, &late, None)), "a restart does not forget");
    assert!(is_rekeyed(other.ask(&format!("COMMIT b {}", late.header.version))));
    let mut back = log_in(&cluster);
    assert_eq!(back.ask(&format!("REKEY {old} {old}")), Reply::Ok);
    assert_eq!(stage(&mut log_in(&cluster), &late, None), Reply::Ok);
}

#[test]
fn a_change_of_key_is_refused_before_it_begins_where_no_verifier_can_be_written() {
    let cluster = Cluster::quick(1);
    let users = cluster.root().join("Users.conf");
    let good = fs::read_to_string(&users).unwrap();
    let check = |byte: u8| hex(&MasterKey::from_key(&[byte; 32]).check_value());
    let (mut changer, mut other) =
        [(); 2].map(|()| Guest::at(cluster.port(1), "Aditi", &password("Aditi"))).into();
    fs::write(&users, format!("{good}nobody\n")).unwrap();
    let reply = changer.ask(&format!("REKEY {} {}", check(b'A'), check(b'B')));
    let Reply::No(Refusal::DiskError, detail) = reply else { panic!("{reply:?}") };
    assert!(detail.contains("line 3"), "{detail}");
    assert_eq!(
        stage(&mut other, &claim(&tombstone("a", 9, &ADITIS_KEY)), None),
        Reply::Ok,
        "nothing has changed"
    );
    fs::write(&users, good).unwrap();
}

#[test]
fn a_piece_is_staged_only_if_its_payload_has_the_tag_or_to_restore_it_the_hashes() {
    let cluster = Cluster::quick(1);
    cluster.client("Aditi").upload("a", &noise(4, SIZE));
    let file = fs::read(cluster.piece_file(1, "a", 1)).unwrap();
    // Without the server's own sum.
    let claim = claim(&file[..file.len() - 32]);
    let layout = claim.header.layout();
    let payload = &file[layout.body.start as usize..layout.table.end as usize];
    let mut turned = payload.to_vec();
    turned[7] ^= 1;
    let right = |guest: &Guest| Some(guest.tag(payload));
    let of_another_session = |_: &Guest| {
        let mut other = Guest::at(cluster.port(1), "Aditi", &password("Aditi"));
        other.seal("STAGE");
        Some(other.tag(payload))
    };
    let none = |_: &Guest| None;
    let staged =
        |restore: Option<u64>, payload: &[u8], root: Bytes32, tag: &dyn Fn(&Guest) -> Option<Bytes32>| {
            let mut guest = Guest::at(cluster.port(1), "Aditi", &password("Aditi"));
            let header = Box::new(claim.header.clone());
            let line =
                guest.seal(&Request::Stage { header, length: payload.len() as u64, restore }.to_line());
            guest.send(line);
            guest.send(payload);
            let tag = tag(&guest);
            match guest.ask(&StageEnd::End { root, seal: claim.seal, tag }.to_line()) {
                Reply::Ok => None,
                Reply::No(refusal, _) => Some(refusal),
                other => panic!("{other:?}"),
            }
        };
    let root = claim.root;
    assert_eq!(staged(None, payload, root, &right), None);
    assert_eq!(staged(None, &turned, root, &right), Some(Refusal::Damaged));
    assert_eq!(staged(None, payload, [0; 32], &right), Some(Refusal::Damaged), "not the root of its table");
    assert_eq!(staged(None, payload, root, &of_another_session), Some(Refusal::Damaged));
    assert_eq!(staged(None, payload, root, &none), Some(Refusal::BadRequest));
    assert_eq!(staged(Some(0), payload, root, &none), None);
    assert_eq!(staged(Some(0), &turned, root, &none), Some(Refusal::Damaged));
    assert_eq!(staged(Some(0), payload, root, &right), Some(Refusal::BadRequest));
}

#[test]
fn a_bit_that_is_turned_on_the_way_costs_a_warning_at_most() {
    let cluster = Cluster::quick(4);
    let bytes = noise(1, SIZE);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &bytes);
    // In the login, in lines after it, and far inside pieces.
    for at in [5, 60, 150, 300, 420, 700, 1_000, 20_000, 90_000] {
        for (up, down) in [(Some(at), None), (None, Some(at))] {
            let rogue = Rogue::turning_bits(cluster.port(1), up, down);
            let through = with_first_server(&cluster, rogue.port());
            through.download("a", &bytes);
            let name = format!("b{at}");
            through.upload(&name, &bytes);
            aditi.download(&name, &bytes);
        }
    }
    cluster.wait_until_all_left();
    aditi.run(&["Repair"]).succeeds();
    aditi.run(&["Verify"]).succeeds().prints(&[]);
}

#[test]
fn no_request_reaches_what_is_another_users_or_no_file_at_all() {
    let cluster = Cluster::quick(1);
    cluster.client("Aditi").upload("a", b"a");
    let before = disk::tree(&cluster.root());
    let version = claim(&held_by(&cluster, 1, "a")[0]).header.version;
    let of_aditi = tombstone("a", 9, &ADITIS_KEY);
    let header = base64_encode(&claim(&of_aditi).header.encode());
    let seal = hex(&[0; 32]);
    for line in [
        format!("STAGE {header} 0"),
        format!("RESTORE {header} 0 0"),
        format!("COPY a 1 {version} {header} {seal}"),
        format!("READ ../Aditi/a 1 {version} 0 1"),
        format!("READ ..%2FAditi%2Fa 1 {version} 0 1"),
        format!("READ a 1 {version} 18446744073709551615 1"),
        format!("COMMIT /a {version}"),
        format!("RETIRE ../Aditi/a {version}"),
        format!("FORGET ../Aditi/a {version}"),
        "LOOK ../Aditi/a".to_owned(),
        "LOOK %2E%2E/Aditi/a".to_owned(),
        "LOOK a%00".to_owned(),
        "LIST .. below".to_owned(),
        "LIST ../Aditi here".to_owned(),
        "LOGIN 1 eA==".to_owned(),
    ] {
        let mut ritu = Guest::at(cluster.port(1), "Ritu", &password("Ritu"));
        let sealed = ritu.seal(&line);
        ritu.send(sealed);
        let reply = ritu.reply();
        let refused = matches!(reply, Reply::No(Refusal::BadRequest | Refusal::NotFound, _));
        assert!(refused, "{line}: {reply:?}");
    }
    let mut ritu = Guest::at(cluster.port(1), "Ritu", &password("Ritu"));
    for line in ["ABORT a", "RETIRE a", "FORGET a", "COMMIT a"] {
        ritu.ask(&format!("{line} {version}"));
    }
    let mut after = disk::tree(&cluster.root());
    // What Ritu aborts under her own name can never be staged there again.
    after.retain(|file, _| !file.starts_with(".Server1/floors/Ritu."));
    assert!(after == before, "{:?}", after.keys());
}

#[test]
fn a_reply_and_its_line_of_the_log_do_not_wait_for_the_rest_of_the_next_request() {
    let cluster = Cluster::quick(1);
    let mut guest = Guest::at(cluster.port(1), "Aditi", &password("Aditi"));
    let look = guest.seal("LOOK a");
    guest.send(look + "LOO");
    assert!(matches!(guest.reply(), Reply::Text(..)));
    cluster.wait_for_log(1, "LOOK a: ok");
}

#[test]
fn the_log_tells_what_was_done_while_the_next_payload_is_still_on_its_way() {
    let cluster = Cluster::quick(1);
    cluster.client("Aditi").upload("a", b"bytes");
    let file = fs::read(cluster.piece_file(1, "a", 1)).unwrap();
    let header = claim(&file[..file.len() - 32]).header;
    let length = header.payload_size();
    // What arrives of the payload: its first byte, or all of it but not the line after it.
    for (name, arrived) in [("b", 1), ("c", length as usize)] {
        let mut guest = Guest::at(cluster.port(1), "Aditi", &password("Aditi"));
        let look = guest.seal(&format!("LOOK {name}"));
        let header = Box::new(header.clone());
        let stage = guest.seal(&Request::Stage { header, length, restore: None }.to_line());
        // All in one, so that the server sees the second line when it has answered the first.
        guest.send(look + &stage + &"x".repeat(arrived));
        assert!(matches!(guest.reply(), Reply::Text(..)));
        cluster.wait_for_log(1, &format!("LOOK {name}: ok"));
    }
}

#[test]
fn no_name_and_no_garbage_forges_a_line_of_the_log() {
    let cluster = Cluster::quick(1);
    let forged = "2026-01-01T00:00:00Z Server1 127.0.0.1:1 Aditi logged in";
    let port = cluster.port(1);
    let mut stranger = Stranger::at(port);
    stranger.send(format!("LOGIN 1 {}\n", base64_encode(format!("n,,n=x\n{forged}\n,r=abc").as_bytes())));
    stranger.reply();
    for garbage in [format!("\r{forged}\n"), format!("\u{1b}[2K{forged}\n"), format!("LOGIN 1 {forged}\n")] {
        let mut stranger = Stranger::at(port);
        stranger.send(garbage);
        stranger.reply();
    }
    let encoded = shareit::text::percent_encode(&format!("x\n{forged}\u{1b}[2K\r\u{85}"));
    let ask = |line: &str| {
        let mut guest = Guest::at(port, "Ritu", &password("Ritu"));
        let sealed = guest.seal(line);
        guest.send(sealed);
        guest.reply()
    };
    assert_eq!(ask(&format!("PING \r{forged}")), Reply::no(Refusal::BadRequest));
    for line in [format!("LOOK {encoded}"), format!("LIST {encoded} here")] {
        assert!(matches!(ask(&line), Reply::Text(..)), "{line}");
    }
    // Names that may be: they come as one line each, whatever is in them.
    let aditi = cluster.client("Aditi");
    let name = format!("a {forged}\u{2028}b");
    aditi.upload(&name, b"x");
    aditi.run(&["Move", &name, &format!("{name} c")]).succeeds();
    cluster.wait_until_all_left();
    let log = cluster.log(1);
    for line in log.lines().skip_while(|line| line.starts_with("listening")) {
        let (time, rest) = line.split_once(' ').unwrap_or_default();
        assert!(time.len() == 20 && time.ends_with('Z') && rest.starts_with("Server1 "), "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(!rest.starts_with("Server1 127.0.0.1:1 "), "{line:?}");
    }
}

// A server that lies about files.

/// A rogue as Server1, that shows these pieces.
fn showing(shelf: Shelf) -> Rogue {
    Rogue::answering(stolen_verifier(), move |request| shelf.answer(request))
}

/// Whatever Server1 says, the file is these bytes, and stays so on the other servers through everything that
/// a client does about it.
#[track_caller]
fn changes_nothing(cluster: &Cluster, shelf: Shelf, what: &str, bytes: &[u8]) {
    let others = [2, 3, 4];
    let whole = pieces(cluster, &others);
    let rogue = showing(shelf);
    let aditi = with_first_server(cluster, rogue.port());
    aditi.download("a", bytes);
    let listing = aditi.run(&["ShowFiles"]).succeeds();
    assert!(listing.lines().iter().any(|line| line.starts_with('a')), "{what}: {listing}");
    // A liar may make these useless, but not turn them against the others.
    aditi.run(&["Verify"]);
    aditi.run(&["Repair"]);
    let after = pieces(cluster, &others);
    for (file, bytes) in &whole {
        assert!(after.get(file) == Some(bytes), "{what}: {file} is not what it was");
    }
    aditi.download("a", bytes);
    drop(rogue);
    let mut honest = cluster.client("Aditi");
    honest.conf = honest.conf.replace(&format!(":{}\n", cluster.port(1)), ":1\n");
    honest.download("a", bytes);
}

#[test]
fn a_server_that_shows_another_piece_than_it_should_is_not_believed() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let (old, bytes, other) = (noise(1, SIZE), noise(2, SIZE), noise(3, SIZE));
    aditi.upload("a", &old);
    let older = held_by(&cluster, 1, "a");
    aditi.upload("a", &bytes);
    aditi.upload("b", &other);
    cluster.client("Ritu").upload("a", &other);
    let of_ritu: Vec<Vec<u8>> = disk::tree(&cluster.user_folder(1, "Ritu")).into_values().collect();
    let own = held_by(&cluster, 1, "a");
    let other_file = held_by(&cluster, 1, "b");
    cluster.stop(1);

    let forged = |edit: &dyn Fn(&mut Vec<u8>)| {
        let edited = own.iter().cloned().map(|mut piece| {
            edit(&mut piece);
            piece
        });
        edited.collect::<Vec<_>>()
    };
    let set = |at: usize, to: &'static [u8]| {
        forged(&move |piece: &mut Vec<u8>| piece[at..at + to.len()].copy_from_slice(to))
    };
    let shelves = [
        ("another file's pieces", other_file, false),
        ("another user's pieces", of_ritu, false),
        ("an older version", older.clone(), false),
        ("an older version, staged", older, true),
        ("a newer generation", set(14, &[0, 0, 0, 0, 0, 0, 9, 9]), false),
        ("the newest generation there can be", set(14, &[0xff; 8]), false),
        ("the newest generation, staged", set(14, &[0xff; 8]), true),
        ("another time", set(54, &[0x7f; 4]), false),
        ("another body", forged(&|piece| piece[200..1200].fill(7)), false),
        (
            "another table",
            forged(&|piece| {
                let end = piece.len() - 64;
                piece[end - 64..end].fill(7);
            }),
            false,
        ),
        (
            "another root",
            forged(&|piece| {
                let end = piece.len() - 64;
                piece[end..end + 32].fill(7);
            }),
            false,
        ),
        (
            "a seal of its own",
            forged(&|piece| {
                let end = piece.len() - 32;
                piece[end..].fill(7);
            }),
            false,
        ),
        ("a forged delete", vec![tombstone("a", 99, &[1; 32])], false),
        ("a delete of another file", vec![tombstone("b", 99, &ADITIS_KEY)], false),
        ("an older delete", vec![tombstone("a", 1, &ADITIS_KEY)], false),
        ("a delete that nobody has committed", vec![tombstone("a", 99, &ADITIS_KEY)], true),
    ];
    for (what, files, staged) in shelves {
        let pieces = files.into_iter().map(|bytes| ("a", bytes)).collect();
        changes_nothing(&cluster, Shelf { pieces, staged, ..Shelf::default() }, what, &bytes);
    }
}

// A piece ends with root and seal; before them are the hashes of two chunks, and the body.

fn table_of(piece: &[u8]) -> std::ops::Range<usize> {
    piece.len() - 128..piece.len() - 64
}

fn body_of(piece: &[u8]) -> std::ops::Range<usize> {
    let end = table_of(piece).start;
    end - claim(piece).header.body_size() as usize..end
}

/// What a server does to its pieces, without a word.
type Lie = (&'static str, fn(&mut Vec<u8>));

const LIES: [Lie; 5] = [
    ("a bit of the first chunk", |piece| {
        let at = body_of(piece).start;
        piece[at] ^= 1;
    }),
    ("a bit of the last chunk", |piece| {
        let at = body_of(piece).end - 1;
        piece[at] ^= 1;
    }),
    ("the first hash", |piece| {
        let at = table_of(piece).start;
        piece[at] ^= 1;
    }),
    ("the last hash", |piece| {
        let at = table_of(piece).end - 1;
        piece[at] ^= 1;
    }),
    ("all bytes of the body", |piece| {
        let body = body_of(piece);
        piece[body].fill(7);
    }),
];

#[test]
fn bytes_that_a_server_vouches_for_and_does_not_have_are_found_by_reading_them() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, SIZE));
    let own = held_by(&cluster, 1, "a");
    let numbers: Vec<u8> = own.iter().map(|piece| claim(piece).header.piece).collect();
    cluster.stop(1);
    let verify = |edit: fn(&mut Vec<u8>), args: &[&str]| {
        let edited = own.iter().cloned().map(|mut piece| {
            edit(&mut piece);
            ("a", piece)
        });
        let rogue = showing(Shelf { pieces: edited.collect(), ..Shelf::default() });
        with_first_server(&cluster, rogue.port()).run(args)
    };
    for (what, lie) in LIES {
        verify(lie, &["Verify"]).succeeds();
        let found = |args: &[&str]| {
            let outcome = verify(lie, args).fails_with(1).complains_of("take it out of the .conf");
            let problem = |piece: &u8| {
                format!(
                    "a: piece {piece} on Server1: sent damaged bytes, although its own check found no damage"
                )
            };
            let own: Vec<String> = numbers.iter().map(problem).collect();
            assert!(own.iter().all(|line| outcome.lines().contains(&line.as_str())), "{what}: {outcome}");
            assert!(!outcome.stdout.contains("on Server2"), "{what}: {outcome}");
        };
        found(&["Verify", "--read"]);
        // Of two chunks a small share is one of them, and the table is always read.
        if !what.contains("bit") {
            found(&["Verify", "--read=1%"]);
        }
    }
    for read in ["--read", "--read=1%", "--read=60%"] {
        verify(|_| (), &["Verify", read]).succeeds();
    }
}

#[test]
fn a_server_that_gives_out_an_unfinished_upload_for_the_file_costs_nothing_that_outlasts_it() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, SIZE);
    aditi.upload("a", &bytes);
    // Sealed by the same user and newer, but of these servers none has ever committed it.
    let elsewhere = Cluster::quick(4);
    let twice = elsewhere.client("Aditi");
    twice.upload("a", &noise(2, SIZE));
    twice.upload("a", &noise(3, SIZE));
    let undecided = held_by(&elsewhere, 1, "a").into_iter().map(|piece| ("a", piece)).collect();
    cluster.stop(1);
    let whole = pieces(&cluster, &[2, 3, 4]);

    let rogue = showing(Shelf { pieces: undecided, ..Shelf::default() });
    let lied_to = with_first_server(&cluster, rogue.port());
    lied_to.run(&["Download", "a"]);
    assert!(lied_to.downloaded("a").is_none_or(|found| found == bytes));
    for away in [None, Some(4)] {
        away.iter().for_each(|&n| cluster.stop(n));
        for command in ["ShowFiles", "Verify", "Repair", "Download"] {
            let args = [command, "a"];
            lied_to.run(if command == "Download" { &args } else { &args[..1] });
            assert!(pieces(&cluster, &[2, 3, 4]) == whole, "{command} changed something, {away:?} away");
        }
    }
    drop(rogue);
    cluster.start(4);
    cluster.start(1);
    aditi.download("a", &bytes);
    aditi.run(&["Verify"]).succeeds().prints(&[]);
}

#[test]
fn a_server_that_talks_of_enormous_generations_does_not_use_up_the_numbers() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"before");
    let mut forged = held_by(&cluster, 1, "a");
    forged.iter_mut().for_each(|piece| piece[14..22].fill(0xff));
    cluster.stop(1);
    let pieces = forged.into_iter().map(|bytes| ("a", bytes)).collect();
    let rogue = showing(Shelf { floor: u64::MAX, pieces, ..Shelf::default() });
    let lied_to = with_first_server(&cluster, rogue.port());
    let mut honest = cluster.client("Aditi");
    honest.conf = honest.conf.replace(&format!(":{}\n", cluster.port(1)), ":1\n");
    for round in 0..4 {
        let bytes = noise(round, 10_000);
        lied_to.upload("a", &bytes);
        honest.download("a", &bytes);
        lied_to.run(&["Delete", "a"]).succeeds();
        honest.run(&["Download", "a"]).fails_with(1).complains_of("not found");
        honest.upload("a", &bytes);
        lied_to.download("a", &bytes);
    }
}

#[test]
fn a_server_that_says_yes_to_all_and_keeps_nothing_costs_one_copy() {
    let mut cluster = Cluster::quick(4);
    cluster.stop(1);
    let rogue = Rogue::answering(stolen_verifier(), yes_to_all);
    let lied_to = with_first_server(&cluster, rogue.port());
    let mut honest = cluster.client("Aditi");
    honest.conf = honest.conf.replace(&format!(":{}\n", cluster.port(1)), ":1\n");
    for (seed, name) in (1..).zip(["a", "b", "c", "d"]) {
        let bytes = noise(seed, SIZE);
        lied_to.upload(name, &bytes);
        lied_to.download(name, &bytes);
        honest.download(name, &bytes);
        lied_to.run(&["Move", name, &format!("x{name}")]).succeeds();
        honest.download(&format!("x{name}"), &bytes);
        lied_to.run(&["Repair"]);
        lied_to.upload(name, &bytes);
        lied_to.run(&["Delete", name]).succeeds();
        honest.run(&["Download", name]).fails_with(1);
        honest.download(&format!("x{name}"), &bytes);
    }
}

#[test]
fn a_move_beside_a_lying_and_an_absent_server_buries_no_last_copy() {
    // Server1 says that it does all, and has none of the new name: of the old one it shows nothing, what it has,
    // or that under both names.
    for names in [&[][..], &["a"], &["a", "b"]] {
        for absent in 2..=4 {
            let mut cluster = Cluster::quick(4);
            let aditi = cluster.client("Aditi");
            let bytes = noise(1, SIZE);
            aditi.upload("a", &bytes);
            let own = held_by(&cluster, 1, "a");
            cluster.stop(1);
            cluster.stop(absent);
            let under =
                |name: &&'static str| own.iter().map(|piece| (*name, piece.clone())).collect::<Vec<_>>();
            let pieces = names.iter().flat_map(under).collect();
            let rogue = showing(Shelf { pieces, ..Shelf::default() });
            let moved = with_first_server(&cluster, rogue.port()).run(&["Move", "a", "b"]);
            drop(rogue);
            if moved.status == 0 {
                // Each piece is on both of the honest ones, so that either may be lost too.
                for honest in (2..=4).filter(|n| *n != absent) {
                    assert!(cluster.copies_on(&[honest], "b") == 1, "{names:?} without {absent}: {moved}");
                }
                aditi.download("b", &bytes);
                continue;
            }
            moved.fails_with(1);
            // The old name is as it was, and not hidden by a delete.
            cluster.start(1);
            cluster.start(absent);
            aditi.download("a", &bytes).does_not_complain_of("warning");
            aditi.run(&["Verify", "a"]).succeeds();
            // What it has left under the new name may lack pieces, and is no obstacle.
            aditi.run(&["Move", "a", "b"]).succeeds();
            aditi.download("b", &bytes);
            aditi.run(&["Download", "a"]).fails_with(1).complains_of("not found");
            aditi.run(&["Repair"]).succeeds();
            aditi.run(&["Verify"]).succeeds();
        }
    }
}

#[test]
fn a_delete_beside_a_lying_server_stays_one_and_takes_no_later_upload() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let (old, new) = (noise(1, SIZE), noise(2, SIZE));
    aditi.upload("a", &old);
    let older = held_by(&cluster, 1, "a").into_iter().map(|piece| ("a", piece)).collect::<Vec<_>>();
    aditi.upload("a", &new);
    cluster.stop(1);
    for pieces in [vec![], older] {
        let rogue = showing(Shelf { pieces, ..Shelf::default() });
        let lied_to = with_first_server(&cluster, rogue.port());
        lied_to.run(&["Delete", "a"]).succeeds();
        let mut honest = cluster.client("Aditi");
        honest.conf = honest.conf.replace(&format!(":{}\n", cluster.port(1)), ":1\n");
        honest.run(&["Download", "a"]).fails_with(1).complains_of("not found");
        honest.upload("a", &new);
        honest.download("a", &new);
        lied_to.download("a", &new);
    }
}

#[test]
fn a_server_that_talks_without_end_does_not_hold_up_the_others() {
    let mut cluster = Cluster::quick(4);
    let bytes = noise(1, SIZE);
    cluster.client("Aditi").upload("a", &bytes);
    cluster.stop(1);
    // A million empty parts, which is as good as endless and yet ends should it be read.
    let rogue = Rogue::answering(stolen_verifier(), |request| match request {
        Request::Look(_) | Request::List { .. } => text(&"x".repeat(1 << 20)),
        _ => (Reply::Data(u64::MAX), Vec::new()),
    });
    let aditi = with_first_server(&cluster, rogue.port());
    aditi.run(&["ShowFiles"]).succeeds();
    aditi.download("a", &bytes).complains_of("Server1");
    aditi.upload("b", &bytes);
}

// Servers' folders, and servers that die.

#[test]
fn a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let mut cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    let second = |name: &str| run(Command::new(SERVER).arg(cluster.root()).args([name, "0"]), "");
    let outcome = second("Server1");
    assert!(outcome.status > 0, "two servers on one folder: {outcome}");
    outcome.complains_of("error").complains_of("Server1").does_not_complain_of("panicked");
    aditi.download("a", b"a");
    // A killed one leaves nothing that would keep the next one out.
    (1..=3).for_each(|_| cluster.restart(1));
    aditi.download("a", b"a");
}

#[test]
fn whoever_is_killed_at_whatever_byte_of_an_upload_the_file_is_the_older_or_the_newer_one() {
    let mut cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let through = cluster.client_through("Aditi", &proxies);
    let aditi = cluster.client("Aditi");
    let mut current = noise(999, 1000);
    aditi.upload("a", &current);
    for round in 0..16 {
        let dice = noise(round + 1, 24);
        let roll = |at: usize, sides: usize| {
            u64::from_le_bytes(dice[at..at + 8].try_into().unwrap()) as usize % sides
        };
        let size = roll(0, 2 << 20);
        let new = noise(round + 100, size);
        through.put("a", &new);
        let n = 1 + roll(8, 4);
        // The login and the lines are some hundred bytes more than the pieces.
        proxies[n - 1].fail_after(Way::Up, roll(16, size / 2 + 400), Fault::Silence);
        let upload = through.start(&["Upload", "a"]);
        proxies[n - 1].wait_for_the_fault();
        let acknowledged = if round % 2 == 0 {
            cluster.stop(n);
            proxies[n - 1].heal();
            let outcome = upload.finish();
            cluster.start(n);
            outcome.status == 0
        } else {
            upload.kill();
            proxies[n - 1].heal();
            false
        };
        let what = format!("round {round}: {size} bytes, Server{n}");
        aditi.forget_downloads();
        aditi.run(&["Download", "a"]).succeeds();
        let found = aditi.downloaded("a").unwrap();
        assert!(found == new || (found == current && !acknowledged), "{what}: a mix, or an older one");
        for lost in 1..=4 {
            cluster.stop(lost);
            aditi.download("a", &found);
            cluster.start(lost);
        }
        current = found;
    }
    cluster.wait_until_all_left();
    aditi.run(&["Repair"]).succeeds();
    aditi.run(&["Verify"]).succeeds().prints(&[]);
    assert_eq!(cluster.unsettled(), [""; 0]);
}
