//! docs/PROTOCOL.md: its words, its samples, and the transcript of a whole connection.

use std::collections::BTreeSet;

use super::markdown::{Document, From, Message, Values};
use shareit::auth::{ClientFirst, MIN_ITERATIONS, Salted, ServerFirst, SessionKeys, Verifier};
use shareit::commit::PieceState;
use shareit::name::{FilePath, ServerName, UserName};
use shareit::primitives::{Keystream, PayloadMac, hmac_sha256, pbkdf2_sha256, sha256};
use shareit::sealed::{Claim, Facts, Header, Kind, MasterKey, Opening};
use shareit::text::{base64_decode, hex, parse_hex, percent_decode, percent_encode};
use shareit::wire::{
    Entry, LineOpener, LineSealer, Login, MAX_LINE, NameReport, Refusal, Reply, Reported, Request, StageEnd,
    read_line,
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
        assert_eq!(percent_decode(&row[1]), Some(row[0].clone()));
    }
}

#[test]
fn words_have_one_spelling() {
    for word in ["%61", "%c3%9c", "a b", "%", "%4"] {
        assert!(percent_decode(word).is_none(), "{word}");
    }
    assert!(base64_decode("eA==").is_some());
    for word in ["eA", "eA=", "eB==", "e-==", " eA=="] {
        assert!(base64_decode(word).is_none(), "{word}");
    }
    let version = "7-505152535455565758595a5b5c5d5e5f";
    assert!(Request::parse(&format!("READ a 1 {version} 0 3")).is_ok());
    for words in ["01 {} 0 3", "+1 {} 0 3", "1 0{} 0 3", "1 {} -0 3", "1 {} 0  3", "1 {} 0 3 ", "1 {} 0 3\r"]
    {
        let line = format!("READ a {}", words.replace("{}", version));
        assert!(Request::parse(&line).is_err(), "{line:?}");
    }
}

const WORDS: [&str; 18] = [
    "LOOK", "LIST", "READ", "STAGE", "RESTORE", "RESUME", "CHUNKS", "COPY", "COMMIT", "FENCE", "ABORT",
    "RETIRE", "FORGET", "CHECK", "STATUS", "REKEY", "PASSWD", "PING",
];

/// A new request does not compile here until it has its word, and then needs a sample.
fn word(request: &Request) -> &'static str {
    match request {
        Request::Look(_) => "LOOK",
        Request::List { .. } => "LIST",
        Request::Read { .. } => "READ",
        Request::Stage { restore: None, .. } => "STAGE",
        Request::Stage { restore: Some(_), .. } => "RESTORE",
        Request::Resume { .. } => "RESUME",
        Request::Chunks(..) => "CHUNKS",
        Request::Copy { .. } => "COPY",
        Request::Commit(..) => "COMMIT",
        Request::Fence(..) => "FENCE",
        Request::Abort(..) => "ABORT",
        Request::Retire(..) => "RETIRE",
        Request::Forget(..) => "FORGET",
        Request::Check(..) => "CHECK",
        Request::Status => "STATUS",
        Request::Rekey(_) => "REKEY",
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
    // What they say of the small piece of FORMAT.md is true.
    let golden = Document::read("FORMAT.md").section("Example: a small piece").values();
    for row in requests.table("request") {
        match Request::parse(&row[1]).unwrap() {
            Request::Copy { header, seal, .. } => {
                let claim = Claim { header: *header, root: golden.array("root"), seal };
                assert!(MasterKey::from_key(&std::array::from_fn(|i| i as u8)).verify(&claim).is_ok());
            }
            Request::Read { offset, length, .. } => {
                let lengths = ["header", "body"].map(|part| golden.bytes(part).len() as u64);
                assert_eq!([offset, length], lengths);
            }
            Request::Stage { length, .. } if length > 0 => {
                assert_eq!(
                    length as usize,
                    ["body", "table"].map(|part| golden.bytes(part).len()).iter().sum()
                );
            }
            _ => {}
        }
    }
    let missing: Vec<_> = WORDS.iter().filter(|word| !documented.contains(*word)).collect();
    assert!(missing.is_empty(), "without a sample: {missing:?}");
}

/// A new reply does not compile here until it has its word, and then needs a sample.
fn reply_word(reply: &Reply) -> &'static str {
    match reply {
        Reply::Challenge { .. } => "CHALLENGE",
        Reply::Welcome { .. } => "WELCOME",
        Reply::Ok => "OK",
        Reply::Text { .. } => "TEXT",
        Reply::More { .. } => "MORE",
        Reply::Data { .. } => "DATA",
        Reply::No { .. } => "NO",
    }
}

#[test]
fn every_kind_of_reply_has_a_sample_that_is_understood() {
    let mut documented = BTreeSet::new();
    for row in document().section("Replies").table("reply") {
        let reply = Reply::parse(&row[1]).unwrap_or_else(|e| panic!("{}: {e}", row[1]));
        assert_eq!(reply.to_line(), row[1]);
        assert_eq!(reply_word(&reply), row[0]);
        documented.insert(reply_word(&reply));
    }
    assert_eq!(documented, BTreeSet::from(["CHALLENGE", "WELCOME", "OK", "TEXT", "MORE", "DATA", "NO"]));
}

/// As [`reply_word`], for the entries of a list.
fn entry_word(entry: &Entry) -> &'static str {
    match entry {
        Entry::Folder { .. } => "folder",
        Entry::File { facts: Facts { kind: Kind::Link, .. }, .. } => "link",
        Entry::File { facts: Facts { kind: Kind::Folder, .. }, .. } => "entry",
        Entry::File { .. } => "file",
        Entry::Tombstone { .. } => "tombstone",
        Entry::Partial { .. } => "partial",
        Entry::Damaged { .. } => "damaged",
    }
}

#[test]
fn every_kind_of_entry_has_a_sample_that_is_understood() {
    let mut documented = BTreeSet::new();
    for row in document().section("Requests").table("entry") {
        let entry = Entry::parse(&row[1]).unwrap_or_else(|e| panic!("{}: {e}", row[1]));
        assert_eq!(entry.to_line(), format!("{}\n", row[1]));
        assert_eq!(entry_word(&entry), row[0]);
        documented.insert(entry_word(&entry));
    }
    assert_eq!(
        documented,
        BTreeSet::from(["folder", "file", "link", "entry", "tombstone", "partial", "damaged"])
    );
}

/// As [`reply_word`], for the records of a look.
fn record_word(reported: &Reported) -> &'static str {
    match reported {
        Reported::Piece(PieceState::Published, _) => "published",
        Reported::Piece(PieceState::Staged { open: true }, _) => "open",
        Reported::Piece(PieceState::Staged { open: false }, _) => "staged",
        Reported::Partial(..) => "partial",
        Reported::Arriving(_) => "arriving",
        Reported::Damaged(_) => "damaged",
    }
}

#[test]
fn the_records_of_a_look_are_those_of_the_document() {
    let golden = Document::read("FORMAT.md").section("Example: a small piece").values();
    let header = Header::decode(&golden.bytes("header")).unwrap();
    let claim = Box::new(Claim { header, root: golden.array("root"), seal: golden.array("seal") });
    let piece = |state| Reported::Piece(state, claim.clone());
    let open = |open| piece(PieceState::Staged { open });
    let partial = Reported::Partial(Box::new(Opening { header: claim.header.clone(), seal: [1; 32] }), 16);
    let arriving = Reported::Arriving(claim.header.version);
    let damaged = Reported::Damaged(1);
    let pieces = vec![piece(PieceState::Published), open(true), open(false), partial, arriving, damaged];
    let words: Vec<&str> = ["floor", "clock"].into_iter().chain(pieces.iter().map(record_word)).collect();
    let text = NameReport { floor: 6, clock: 7, pieces: pieces.clone() }.to_text();
    assert!(text.lines().map(first_word).eq(words.iter().copied()), "{text}");
    let document = document();
    let section = document.section("LOOK PATH");
    assert!(section.indented().map(first_word).eq(words), "{:?}", section.indented().collect::<Vec<_>>());
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
    assert_eq!(*salted, values.array("SaltedPassword"));
    let client_key = hmac_sha256(&*salted, &[b"Client Key"]);
    assert_eq!(client_key, values.array("ClientKey"));
    assert_eq!(sha256(&client_key), values.array("StoredKey"));
    assert_eq!(hmac_sha256(&*salted, &[b"Server Key"]), values.array("ServerKey"));
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

/// The messages of a connection after its login, as both ends say them.
struct Conversation {
    client: LineSealer,
    server: LineSealer,
    messages: Vec<Message>,
}

impl Conversation {
    fn new(keys: &SessionKeys) -> Self {
        let (client, server) =
            (LineSealer::new(keys.client_lines.clone()), LineSealer::new(keys.server_lines.clone()));
        Self { client, server, messages: Vec::new() }
    }

    /// A line of the client's, and the payload that follows it.
    fn client(&mut self, text: &str, payload: &[u8]) {
        let line = self.client.seal(text).trim_end().to_owned();
        self.messages.push(Message { from: From::Client, line, payload: payload.to_vec() });
    }

    /// A reply of the server's.
    fn server(&mut self, reply: &Reply, payload: &[u8]) {
        let line = self.server.seal(&reply.to_line()).trim_end().to_owned();
        self.messages.push(Message { from: From::Server, line, payload: payload.to_vec() });
    }

    fn ask(&mut self, request: &Request) {
        let line = request.to_line();
        assert_eq!(Request::parse(&line).unwrap().to_line(), line);
        self.client(&line, &[]);
    }

    fn report(&mut self, pieces: Vec<Reported>) {
        let text = NameReport { floor: 6, clock: 1_790_000_001_500, pieces }.to_text();
        assert_eq!(NameReport::parse(&text).unwrap().to_text(), text);
        self.text(&text);
    }

    fn text(&mut self, text: &str) {
        self.server(&Reply::Text(text.len() as u64, sha256(text.as_bytes())), text.as_bytes());
    }
}

/// What follows the login in the example, made of the small piece of FORMAT.md.
fn conversation(keys: &SessionKeys) -> Vec<Message> {
    let golden = Document::read("FORMAT.md").section("Example: a small piece").values();
    let header = Header::decode(&golden.bytes("header")).unwrap();
    let (body, table) = (golden.bytes("body"), golden.bytes("table"));
    let (root, seal) = (golden.array("root"), golden.array("seal"));
    let payload = [&body[..], &table].concat();
    let (path, version) = (header.path.clone(), header.version);
    let claim = Claim { header: header.clone(), root, seal };
    assert!(MasterKey::from_key(&std::array::from_fn(|i| i as u8)).verify(&claim).is_ok());

    let mut both = Conversation::new(keys);
    both.ask(&Request::Look(path.clone()));
    both.report(Vec::new());
    let request =
        Request::Stage { header: Box::new(header.clone()), length: payload.len() as u64, restore: None };
    both.client(&request.to_line(), &payload);
    let mut mac = PayloadMac::new(&keys.payloads, both.client.last());
    mac.update(&payload);
    both.client(&StageEnd::End { root, seal, tag: Some(mac.finish()) }.to_line(), &[]);
    both.server(&Reply::Ok, &[]);
    both.ask(&Request::Commit(path.clone(), version));
    both.server(&Reply::Ok, &[]);
    let (offset, length) = (golden.bytes("header").len() as u64, body.len() as u64);
    both.ask(&Request::Read { path: path.clone(), piece: header.piece, version, offset, length });
    both.server(&Reply::Data(length), &body);
    both.ask(&Request::Look(path.clone()));
    both.report(vec![Reported::Piece(PieceState::Published, Box::new(claim))]);
    both.ask(&Request::Fence(path.clone(), version));
    both.server(&Reply::no(Refusal::Decided), &[]);

    // The same piece again, given up half-way: the announced bytes come all the same.
    both.client(&request.to_line(), &[&body[..], &[0; 32]].concat());
    both.client(&StageEnd::Cancel.to_line(), &[]);
    both.server(&Reply::no(Refusal::NotFound), &[]);

    let listed = Entry::File {
        path: FilePath::parse(path.file_name()).unwrap(),
        published: true,
        pieces: [header.piece].into_iter().collect(),
        facts: Facts::from(&header),
    };
    both.ask(&Request::List { folder: path.folder(), recursive: false });
    both.text(&listed.to_line());

    let tombstone = Document::read("FORMAT.md").section("Example: a tombstone").values().bytes("piece");
    let header = Header::decode(&tombstone).unwrap();
    let tail = &tombstone[header.encoded_len()..];
    let (root, seal) = (tail[..32].try_into().unwrap(), tail[32..].try_into().unwrap());
    both.ask(&Request::Stage { header: Box::new(header.clone()), length: 0, restore: None });
    let tag = Some(PayloadMac::new(&keys.payloads, both.client.last()).finish());
    both.client(&StageEnd::End { root, seal, tag }.to_line(), &[]);
    both.server(&Reply::Ok, &[]);
    both.ask(&Request::Commit(path.clone(), header.version));
    both.server(&Reply::Ok, &[]);
    both.ask(&Request::Forget(path.clone(), header.version));
    both.server(&Reply::Ok, &[]);
    both.ask(&Request::Commit(path, version));
    both.server(&Reply::no(Refusal::NotStaged), &[]);
    both.messages
}

/// Made again and compared as text. After a change of the protocol, what this test prints is the new transcript.
#[test]
fn the_transcript_is_what_both_ends_say() {
    let document = document();
    let section = document.section(EXAMPLE);
    let (values, messages) = (section.values(), section.transcript());
    let login = &messages[..4];
    let keys = replay_login(&values, login);
    assert_eq!(*keys.client_lines, values.array("client key"));
    assert_eq!(*keys.server_lines, values.array("server key"));
    assert_eq!(*keys.payloads, values.array("payload key"));
    assert_eq!(*keys.secrets, values.array("secrets"));

    let said = [login, &conversation(&keys)].concat();
    let text: String = said.iter().map(Message::to_text).collect();
    assert!(
        section.fenced("transcript").collect::<Vec<_>>() == text.lines().collect::<Vec<_>>(),
        "docs/PROTOCOL.md has another transcript than this, which is what both ends say:\n{text}"
    );
}

#[test]
fn the_sample_of_passwd_has_the_examples_verifier() {
    let document = document();
    let values = document.section(EXAMPLE).values();
    let rows = document.section("Requests").table("request");
    let sample = &rows.iter().find(|row| row[0] == "PASSWD").unwrap()[1];
    let Ok(Request::Passwd { block, mut verifier }) = Request::parse(sample) else { panic!("{sample}") };
    Keystream::new(&values.array("secrets"), &block).apply(&mut verifier);
    assert_eq!(String::from_utf8(verifier).unwrap(), values.text("verifier"));
}

#[test]
fn the_macs_of_payloads_are_those_of_the_document() {
    let document = document();
    let key = document.section(EXAMPLE).values().array("payload key");
    let section = document.section("Payload MACs");
    let number = section.values().number("number");
    let hash_keys = hmac_sha256(&key, &[b"hash", &number.to_be_bytes()]);
    assert_eq!(hash_keys, section.values().array("hash keys"));
    let rows = section.table("length");
    for length in [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 400] {
        assert!(rows.iter().any(|row| row[0] == length.to_string()), "{length} bytes are not there");
    }
    for row in rows {
        let length: u64 = row[0].parse().unwrap();
        let payload: Vec<u8> = (1..=length).map(|i| (i % 251) as u8).collect();
        let mut mac = PayloadMac::new(&key, number);
        mac.update(&payload);
        assert_eq!(hex(&mac.finish()), row[2], "{length} bytes");
        let hashes = parse_hex::<32>(&row[1]).unwrap();
        let parts: [&[u8]; 4] = [b"tag", &number.to_be_bytes(), &length.to_be_bytes(), &hashes];
        assert_eq!(hex(&hmac_sha256(&key, &parts)), row[2], "{length} bytes, by the hashes of the row");
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
            From::Client => LineOpener::new(keys.client_lines.clone()),
            From::Server => LineOpener::new(keys.server_lines.clone()),
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
