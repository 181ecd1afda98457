//! What must hold for every input: nothing panics, and what is understood is written back unchanged.
//!
//! The fuzzer calls these functions, and so does `tests/fuzz_corpus.rs` with the inputs that are kept.

use shareit::auth::{ClientFirst, MAX_ITERATIONS, MAX_SALT, MIN_ITERATIONS};
use shareit::auth::{Salted, ServerFirst, UserTable, Verifier};
use shareit::config::Config;
use shareit::name::{ServerName, UserName};
use shareit::sealed::Header;
use shareit::wire::{Entry, Login, MAX_LINE, NameReport, Reply, Request, StageEnd, Usage, read_line};
use std::fmt::{Debug, Write as _};

/// A target: it panics if its input shows a mistake.
pub type Target = fn(&[u8]);

/// Every target with the name of its corpus.
pub const TARGETS: [(&str, Target); 4] = [("line", line), ("piece", piece), ("conf", conf), ("scram", scram)];

/// Reads lines until one is refused, and each as a login, a request, an end of a payload and a reply.
pub fn line(mut input: &[u8]) {
    while let Ok(line) = read_line(&mut input) {
        assert!(line.len() < MAX_LINE && !line.contains('\n'));
        // These have one spelling each: a second one could slip by a comparison.
        if let Ok(login) = Login::parse(&line) {
            assert_eq!(login.to_line(), line);
        }
        if let Ok(request) = Request::parse(&line) {
            assert_eq!(request.to_line(), line);
        }
        if let Ok(end) = StageEnd::parse(&line) {
            assert_eq!(end.to_line(), line);
        }
        match Reply::parse(&line) {
            // The words for people are cut when they are long, and only then.
            Ok(Reply::No(refusal, detail)) => {
                let written = Reply::No(refusal, detail.clone()).to_line();
                assert!(detail.len() > 300 || written == line);
                assert!(Reply::parse(&written).is_ok() && written.len() < MAX_LINE);
            }
            Ok(reply) => assert_eq!(reply.to_line(), line),
            Err(_) => {}
        }
    }
}

/// Reads a piece's header and, as text, what a server says about its pieces.
pub fn piece(input: &[u8]) {
    if let Ok(header) = Header::decode(input) {
        assert_eq!(header.encode(), input[..header.encoded_len()]);
        let (layout, chunks) = (header.layout(), header.chunks());
        assert_eq!(layout.body.end - layout.body.start, header.body_size());
        assert_eq!(layout.table.end - layout.table.start, 32 * chunks);
        if let Some(last) = chunks.checked_sub(1) {
            assert_eq!(header.chunk_range(last).end, header.piece_size);
            assert_eq!(header.stored_chunk(last).end, header.body_size());
        }
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    comes_back(NameReport::parse(text), NameReport::to_text, NameReport::parse);
    comes_back(Usage::parse(text), Usage::to_text, Usage::parse);
    for line in text.lines() {
        comes_back(Entry::parse(line), Entry::to_line, |written| {
            Entry::parse(written.trim_end_matches('\n'))
        });
    }
}

fn comes_back<T: PartialEq + Debug, E: PartialEq + Debug>(
    understood: Result<T, E>,
    write: impl Fn(&T) -> String,
    parse: impl Fn(&str) -> Result<T, E>,
) {
    if let Ok(value) = understood {
        assert_eq!(parse(&write(&value)), Ok(value));
    }
}

/// Reads a .conf; written in the plainest way, it must mean the same.
pub fn conf(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let config = match Config::parse(text) {
        Ok(config) => config,
        Err(error) => {
            assert!(error.line.is_none_or(|line| (1..=text.lines().count()).contains(&line)));
            assert!(!error.to_string().contains('\n'));
            return;
        }
    };
    assert!((1..=config.servers.len()).contains(&config.replicas));
    let mut plain = String::new();
    for server in &config.servers {
        let _ = writeln!(plain, "Server {} {}", server.name, server.address);
    }
    let _ = writeln!(plain, "Username {}\nPassword: {}", config.user, *config.password);
    let _ = writeln!(plain, "Replicas {}\nTimeout {}", config.replicas, config.timeout.as_secs_f64());
    let _ = writeln!(plain, "MinIterations {}", config.min_iterations);
    if let Some(key) = &config.key {
        let _ = writeln!(plain, "Key {}", shareit::text::hex(&**key));
    }
    let again = Config::parse(&plain).unwrap_or_else(|error| panic!("{error} in:\n{plain}"));
    assert_eq!(again.servers, config.servers);
    assert_eq!((again.user, again.password), (config.user, config.password));
    assert_eq!((again.replicas, again.timeout), (config.replicas, config.timeout));
    assert_eq!((again.key, again.min_iterations), (config.key, config.min_iterations));
}

/// Reads each message of a login, a verifier, and a Users.conf. Nothing that is not made with the password
/// gets in.
pub fn scram(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let user = UserName::parse("user").unwrap();
    let server = ServerName::parse("Server1").unwrap();
    let verifier = || Verifier::mock(b"salt", MIN_ITERATIONS, [7; 32]);

    // A server gets it as a client's first message, or as its last.
    if let Ok(first) = ServerFirst::parse(text) {
        let challenge = first.challenge(verifier(), "server's");
        assert!(challenge.message().contains("server's"));
        assert!(challenge.finish(text, &server).is_err());
    }
    let first = ServerFirst::parse(&ClientFirst::new(&user, "client's").message()).unwrap();
    assert!(first.challenge(verifier(), "server's").finish(text, &server).is_err());

    // A client gets it as the server's first message, or as its last.
    if let Ok(challenge) = ClientFirst::new(&user, "client's").challenge(text, MIN_ITERATIONS) {
        assert!((MIN_ITERATIONS..=MAX_ITERATIONS).contains(&challenge.iterations));
        assert!((1..=MAX_SALT).contains(&challenge.salt.len()));
    }
    let good = "r=client'sserver's,s=c2FsdA==,i=4096";
    let challenge = ClientFirst::new(&user, "client's").challenge(good, MIN_ITERATIONS);
    let Ok(challenge) = challenge else { panic!("a good challenge was refused") };
    // One iteration here: the fuzzer has no time for more.
    let proof = challenge.prove(Salted::derive("password", b"salt", 1));
    assert!(proof.finish(text, &server).is_err());

    if let Ok(verifier) = text.parse::<Verifier>() {
        assert!(verifier.to_string().parse() == Ok(verifier));
    }
    if let Err(error) = UserTable::check(text) {
        assert!((1..=text.lines().count()).contains(&error.line));
    }
}
