//! docs/PROTOCOL.md: its words, its samples, and the transcript of a whole connection.

use std::collections::BTreeSet;

use crate::markdown::{Document, From, Message, Values};
use shareit::auth::{ClientFirst, MIN_ITERATIONS, Salted, ServerFirst, SessionKeys, Verifier};
use shareit::commit::Phase;
use shareit::name::{ServerName, UserName};
use shareit::primitives::{PayloadMac, hmac_sha256, pbkdf2_sha256, sha256};
use shareit::sealed::MasterKey;
use shareit::wire::{
    Entry, LineOpener, LineSealer, Login, MAX_LINE, NameReport, Refusal, Reply, Reported, Request, StageEnd,
    base64_decode, percent_decode, percent_encode, read_line,
};

const EXAMPLE: &str = "Example: a login, an upload and a download";

fn document() -> Document {
    Document::read("PROTOCOL.md")
}

fn first_word(line: &str) -> &str {
    line.split(' ').next().unwrap_or("")
}

#[test]
fn names_are_percent_encoded_as_the_document_says() {
    for row in document().section("Messages").table("name") {
        assert_eq!(percent_encode(&row[0]), row[1]);
        assert_eq!(percent_decode(&row[1]), Ok(row[0].clone()));
    }
}

#[test]
fn words_have_one_spelling() {
    for word in ["%61", "%c3%9c", "a b", "%", "%4"] {
        assert!(percent_decode(word).is_err(), "{word}");
    }
    assert!(base64_decode("eA==").is_ok());
    for word in ["eA", "eA=", "eB==", "e-==", " eA=="] {
        assert!(base64_decode(word).is_err(), "{word}");
    }
    let version = "7-505152535455565758595a5b5c5d5e5f";
    assert!(Request::parse(&format!("READ a 1 {version} 0 3")).is_ok());
    for words in ["01 {} 0 3", "+1 {} 0 3", "1 0{} 0 3", "1 {} -0 3", "1 {} 0  3", "1 {} 0 3 ", "1 {} 0 3\r"]
    {
        let line = format!("READ a {}", words.replace("{}", version));
        assert!(Request::parse(&line).is_err(), "{line:?}");
    }
}

const WORDS: [&str; 15] = [
    "LOOK", "LIST", "READ", "STAGE", "RESTORE", "COPY", "COMMIT", "FENCE", "ABORT", "RETIRE", "FORGET",
    "CHECK", "STATUS", "PASSWD", "PING",
];

/// A new request does not compile here until it has its word, and then needs a sample.
fn word(request: &Request) -> &'static str {
    match request {
        Request::Look(_) => "LOOK",
        Request::List { .. } => "LIST",
        Request::Read { .. } => "READ",
        Request::Stage { restore: None, .. } => "STAGE",
        Request::Stage { restore: Some(_), .. } => "RESTORE",
        Request::Copy { .. } => "COPY",
        Request::Commit(..) => "COMMIT",
        Request::Fence(..) => "FENCE",
        Request::Abort(..) => "ABORT",
        Request::Retire(..) => "RETIRE",
        Request::Forget(..) => "FORGET",
        Request::Check(..) => "CHECK",
        Request::Status => "STATUS",
        Request::Passwd { .. } => "PASSWD",
        Request::Ping => "PING",
    }
}

#[test]
fn every_request_of_the_code_has_a_sample_that_is_understood() {
    let document = document();
    let requests = document.section("Requests");
    let mut documented = BTreeSet::new();
    for row in requests.table("request") {
        let request = Request::parse(&row[1]).unwrap_or_else(|e| panic!("{}: {e}", row[1]));
        assert_eq!(request.to_line(), row[1]);
        assert_eq!(first_word(&row[1]), row[0]);
        assert!(requests.headings().any(|heading| first_word(heading) == row[0]), "{}", row[0]);
        documented.insert(word(&request));
    }
    let missing: Vec<_> = WORDS.iter().filter(|word| !documented.contains(*word)).collect();
    assert!(missing.is_empty(), "without a sample: {missing:?}");
}

#[test]
fn every_kind_of_reply_has_a_sample_that_is_understood() {
    let mut documented = BTreeSet::new();
    for row in document().section("Replies").table("reply") {
        let reply = Reply::parse(&row[1]).unwrap_or_else(|e| panic!("{}: {e}", row[1]));
        assert_eq!(reply.to_line(), row[1]);
        assert_eq!(first_word(&row[1]), row[0]);
        documented.insert(format!("{:?}", std::mem::discriminant(&reply)));
    }
    assert_eq!(documented.len(), 7);
}

#[test]
fn every_kind_of_entry_has_a_sample_that_is_understood() {
    for row in document().section("Requests").table("entry") {
        let entry = Entry::parse(&row[1]).unwrap_or_else(|e| panic!("{}: {e}", row[1]));
        assert_eq!(entry.to_line(), format!("{}\n", row[1]));
        assert_eq!(first_word(&row[1]), row[0]);
    }
}

#[test]
fn the_refusals_are_those_of_the_code() {
    let documented: Vec<String> =
        document().section("Replies").table("refusal").into_iter().map(|row| row[0].clone()).collect();
    let in_code: Vec<&str> = Refusal::all().map(Refusal::word).collect();
    assert_eq!(documented, in_code);
}

/// Both ends of the example's login, each fed with the other's recorded line.
fn replay_login(values: &Values, messages: &[Message]) -> SessionKeys {
    let [login, challenge, prove, welcome] = messages else { panic!("four lines are a login") };
    let server = ServerName::parse("Server1").unwrap();
    let user = UserName::parse("Aditi").unwrap();

    let client = ClientFirst::new(&user, values.text("client nonce"));
    assert_eq!(client.message(), values.text("client-first"));
    assert_eq!(Login::Login(client.message()).to_line(), login.line);

    let Ok(Login::Login(message)) = Login::parse(&login.line) else { panic!("{}", login.line) };
    let verifier: Verifier = values.text("verifier").parse().ok().unwrap();
    assert!(verifier == Verifier::derive("Aditi@123", &values.bytes("salt"), 4096));
    let at_server =
        ServerFirst::parse(&message).ok().unwrap().challenge(verifier, values.text("server nonce"));
    assert_eq!(at_server.message(), values.text("server-first"));
    assert_eq!(Reply::Challenge(server.clone(), at_server.message().into()).to_line(), challenge.line);

    let Ok(Reply::Challenge(name, message)) = Reply::parse(&challenge.line) else {
        panic!("{}", challenge.line)
    };
    let asked = client.challenge(&message, MIN_ITERATIONS).ok().unwrap();
    assert_eq!(u64::from(asked.iterations), values.number("iterations"));
    let salted = Salted::derive("Aditi@123", &asked.salt, asked.iterations);
    let proof = asked.prove(salted);
    assert_eq!(proof.message(), values.text("client-final"));
    assert_eq!(Login::Prove(proof.message().into()).to_line(), prove.line);

    let Ok(Login::Prove(message)) = Login::parse(&prove.line) else { panic!("{}", prove.line) };
    let (server_final, server_keys) = at_server.finish(&message, &server).ok().unwrap();
    assert_eq!(server_final, values.text("server-final"));
    assert_eq!(Reply::Welcome(server_final).to_line(), welcome.line);

    let Ok(Reply::Welcome(message)) = Reply::parse(&welcome.line) else { panic!("{}", welcome.line) };
    let client_keys = proof.finish(&message, &name).ok().unwrap();
    assert!(client_keys == server_keys);
    client_keys
}

#[test]
fn the_steps_of_the_login_have_the_values_of_the_example() {
    let values = document().section(EXAMPLE).values();
    let salted = pbkdf2_sha256(b"Aditi@123", &values.bytes("salt"), values.number("iterations") as u32);
    assert_eq!(salted, values.array("SaltedPassword"));
    let client_key = hmac_sha256(&salted, &[b"Client Key"]);
    assert_eq!(client_key, values.array("ClientKey"));
    assert_eq!(sha256(&client_key), values.array("StoredKey"));
    assert_eq!(hmac_sha256(&salted, &[b"Server Key"]), values.array("ServerKey"));
    let auth_message = [
        values.text("client-first").strip_prefix("n,,").unwrap(),
        values.text("server-first"),
        values.text("client-final").rsplit_once(",p=").unwrap().0,
    ]
    .join(",");
    assert_eq!(auth_message, values.text("AuthMessage"));
    let signature = hmac_sha256(&sha256(&client_key), &[auth_message.as_bytes()]);
    assert_eq!(signature, values.array("ClientSignature"));
}

/// What the two openers and sealers of a connection make of its lines after the login.
struct Replay {
    client: (LineSealer, LineOpener),
    server: (LineSealer, LineOpener),
}

impl Replay {
    fn new(keys: &SessionKeys) -> Self {
        let both = |key: [u8; 32]| (LineSealer::new(key), LineOpener::new(key));
        Self { client: both(keys.client_lines), server: both(keys.server_lines) }
    }

    /// The text of a line, whose MAC is checked and made anew.
    fn open<'a>(&mut self, message: &'a Message) -> &'a str {
        let (sealer, opener) = match message.from {
            From::Client => &mut self.client,
            From::Server => &mut self.server,
        };
        let text = opener.open(&message.line).unwrap_or_else(|_| panic!("bad MAC: {}", message.line));
        assert_eq!(sealer.seal(text), format!("{}\n", message.line));
        text
    }
}

#[test]
fn the_transcript_is_what_both_ends_say() {
    let document = document();
    let section = document.section(EXAMPLE);
    let (values, messages) = (section.values(), section.transcript());
    let (login, rest) = messages.split_at(4);
    let keys = replay_login(&values, login);
    assert_eq!(keys.client_lines, values.array("client key"));
    assert_eq!(keys.server_lines, values.array("server key"));
    assert_eq!(keys.payloads, values.array("payload key"));

    let mut replay = Replay::new(&keys);
    let golden = Document::read("FORMAT.md").section("Example: a small piece").values();
    let key = MasterKey::from_key(&std::array::from_fn(|i| i as u8));
    let (mut in_stage, mut number_of_stage) = (false, 0);
    let mut said = Vec::new();
    for message in rest {
        let text = replay.open(message);
        said.push(first_word(text).to_owned());
        match message.from {
            From::Client if in_stage => {
                let end = StageEnd::parse(text).unwrap();
                assert_eq!(end.to_line(), text);
                let (root, seal) = (golden.array("root"), golden.array("seal"));
                let mut mac = PayloadMac::new(&keys.payloads, number_of_stage);
                ["body", "table"].iter().for_each(|part| mac.update(&golden.bytes(part)));
                assert_eq!(end, StageEnd::End { root, seal, tag: Some(mac.finish()) });
                in_stage = false;
            }
            From::Client => {
                let request = Request::parse(text).unwrap();
                assert_eq!(request.to_line(), text);
                if let Request::Stage { header, length, .. } = request {
                    assert_eq!(header.encode(), golden.bytes("header"));
                    assert_eq!(message.payload.len() as u64, length);
                    assert_eq!(message.payload, [golden.bytes("body"), golden.bytes("table")].concat());
                    (in_stage, number_of_stage) = (true, replay.client.1.last());
                }
            }
            From::Server => {
                let reply = Reply::parse(text).unwrap();
                assert_eq!(reply.to_line(), text);
                match reply {
                    Reply::Ok => assert!(message.payload.is_empty()),
                    Reply::Data(length) => {
                        assert_eq!(message.payload.len() as u64, length);
                        assert_eq!(message.payload, golden.bytes("body"));
                    }
                    Reply::Text(length, hash) => {
                        assert_eq!(message.payload.len() as u64, length);
                        assert_eq!(sha256(&message.payload), hash);
                        check_report(&message.payload, &key, &golden);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    let expected = ["LOOK", "TEXT", "STAGE", "END", "OK", "COMMIT", "OK", "READ", "DATA", "LOOK", "TEXT"];
    assert_eq!(said, expected);
}

fn check_report(payload: &[u8], key: &MasterKey, golden: &Values) {
    let text = std::str::from_utf8(payload).unwrap();
    let report = NameReport::parse(text).unwrap();
    assert_eq!(report.to_text(), text);
    assert_eq!(report.floor, 6);
    for reported in &report.pieces {
        let Reported::Piece(Phase::Published, claim) = reported else { panic!("{reported:?}") };
        assert!(key.verify(claim).is_ok());
        assert_eq!(claim.header.encode(), golden.bytes("header"));
    }
}

#[test]
fn a_line_of_the_transcript_that_is_altered_moved_or_left_out_is_refused() {
    let document = document();
    let section = document.section(EXAMPLE);
    let messages = section.transcript();
    let keys = replay_login(&section.values(), &messages[..4]);
    for from in [From::Client, From::Server] {
        let lines: Vec<&str> =
            messages[4..].iter().filter(|m| m.from == from).map(|m| m.line.as_str()).collect();
        let opener = || match from {
            From::Client => LineOpener::new(keys.client_lines),
            From::Server => LineOpener::new(keys.server_lines),
        };
        for (number, line) in lines.iter().enumerate() {
            let mut in_order = opener();
            for earlier in &lines[..number] {
                assert!(in_order.open(earlier).is_ok());
            }
            for byte in 0..line.len() {
                let mut altered = line.as_bytes().to_vec();
                altered[byte] ^= 1;
                let altered = String::from_utf8(altered).unwrap();
                assert!(in_order.open(&altered).is_err(), "{altered}");
            }
            assert!(in_order.open(line).is_ok());
            assert!(in_order.open(line).is_err(), "said twice");
            assert!(number == 0 || opener().open(line).is_err(), "what stood before it left out");
        }
    }
}

#[test]
fn the_lines_of_the_transcript_keep_the_limit() {
    for message in document().section(EXAMPLE).transcript() {
        let line = format!("{}\n", message.line);
        assert!(line.len() <= MAX_LINE);
        assert_eq!(read_line(&mut line.as_bytes()).unwrap(), message.line);
    }
}
