//! docs/PROTOCOL.md: the life of a piece, the smallest useful client, and the survey of three servers.

use std::collections::{BTreeMap, BTreeSet};

use super::markdown::{Document, Section};
use shareit::commit::{self, Asked, Held, PieceState, Refused, Seen, Step, TOMBSTONE, View};
use shareit::name::FilePath;
use shareit::placement;
use shareit::primitives::sha256;
use shareit::sealed::{ChunkCipher, Claim, Facts, FileKey, Header, MasterKey, nonce};
use shareit::text::base64_encode;
use shareit::version::Version;
use shareit::wire::{NameReport, Reply, Reported, Request};

const EXAMPLE: &str = "Example: a survey";
const SERVERS: usize = 3;

fn document() -> Document {
    Document::read("PROTOCOL.md")
}

fn version(generation: u64) -> Version {
    Version { generation, upload: [generation as u8; 16] }
}

/// What becomes of the pieces of one name when the steps are carried out.
fn carry_out(held: &mut Vec<Held>, steps: &[Step]) {
    for step in steps {
        match *step {
            Step::Publish { piece, version } => {
                held.retain(|h| h.piece != piece || h.state != PieceState::Published);
                let staged = held.iter_mut().find(|h| h.piece == piece && h.version == version);
                staged.expect("only what is staged is published").state = PieceState::Published;
            }
            Step::DropPublished { piece } => {
                held.retain(|h| h.piece != piece || h.state != PieceState::Published);
            }
            Step::DropStaged { piece, version } => {
                held.retain(|h| h.piece != piece || h.version != version || h.state == PieceState::Published);
            }
        }
    }
}

/// The refusal of a commit that is not staged has another word if a tombstone is to be forgotten.
fn word(refused: Refused, request: &str) -> &'static str {
    match refused {
        Refused::NotStaged if request == "FORGET" => "not-found",
        Refused::NotStaged => "not-staged",
        Refused::Decided => "decided",
        Refused::Open => "open",
        Refused::Behind => "behind",
        Refused::Ahead => "ahead",
        Refused::Rekeyed => "rekeyed",
    }
}

/// What a request does to a piece of version 5 in a state: as a cell of the table says it.
fn becomes(request: &str, before: Option<PieceState>) -> String {
    let verb = request.split(' ').next().unwrap();
    let about = match () {
        () if request.contains("newer version") => version(6),
        () if request.contains("older version") => version(4),
        () => version(5),
    };
    let own = request.contains("on the connection that staged it");
    let piece = if verb == "FORGET" { TOMBSTONE } else { 2 };
    let mut held: Vec<Held> =
        before.into_iter().map(|state| Held { piece, version: version(5), state }).collect();
    if request.contains("is staged here") {
        held.push(Held { piece: 1, version: about, state: PieceState::Staged { open: false } });
    }
    let steps = match verb {
        "COMMIT" => commit::commit(&held, about),
        "ABORT" => commit::abort(&held, about, own),
        "FENCE" => commit::fence(&held, about).map(|()| Vec::new()),
        "RETIRE" => Ok(commit::retire(&held, about)),
        "FORGET" => commit::forget(&held, about),
        _ => panic!("{request}"),
    };
    match steps {
        Err(refused) => return word(refused, verb).to_owned(),
        Ok(steps) => carry_out(&mut held, &steps),
    }
    let after = held.iter().find(|h| h.version == version(5)).map(|h| h.state);
    match after {
        _ if after == before => "stays",
        None => "gone",
        Some(PieceState::Published) => "published",
        Some(PieceState::Staged { .. }) => "staged",
    }
    .to_owned()
}

#[test]
fn the_life_of_a_piece_is_what_the_rules_make_of_it() {
    let states = [
        None,
        Some(PieceState::Staged { open: true }),
        Some(PieceState::Staged { open: false }),
        Some(PieceState::Published),
    ];
    let rows = document().section("The life of a piece").table("request");
    for row in &rows {
        let in_code = states.map(|before| becomes(&row[0], before));
        assert_eq!(row[1..], in_code, "{}", row[0]);
    }
    let verbs: BTreeSet<&str> = rows.iter().filter_map(|row| row[0].split(' ').next()).collect();
    assert_eq!(verbs.len(), 5, "{verbs:?}");
}

#[test]
fn every_request_has_its_step_on_the_way_to_a_whole_client() {
    let document = document();
    let mut on_the_way: Vec<String> = Vec::new();
    for row in document.section("The smallest useful client").table("step") {
        on_the_way.extend(row[1].split(", ").map(str::to_owned));
    }
    let requests = document.section("Requests").table("request");
    let mut known: Vec<String> = requests.into_iter().map(|row| row[0].clone()).collect();
    known.sort();
    on_the_way.sort();
    assert_eq!(on_the_way, known);
}

/// The claims of the example, by the names that its text has for them: `7.1` is piece 1 of generation 7.
struct Claims {
    master: MasterKey,
    by_name: BTreeMap<String, Claim>,
}

impl Claims {
    /// Files of ten bytes under the keys of FORMAT.md; that of generation 7 is the one which that page describes.
    fn of_the_example() -> Self {
        let golden = Document::read("FORMAT.md").section("Example: a small piece").values();
        let small = Header::decode(&golden.bytes("header")).unwrap();
        let master = MasterKey::from_key(&std::array::from_fn(|i| i as u8));
        let mut by_name = BTreeMap::new();
        for (generation, content) in [(6, b"9876543210"), (7, b"0123456789"), (8, b"0011223344")] {
            let is_small = generation == 7;
            let version = if is_small { small.version } else { version(generation) };
            let file_key = if is_small { golden.array("file key") } else { [generation as u8; 32] };
            let block = if is_small { golden.array("wrap block") } else { [generation as u8; 16] };
            let wrapped = master.wrap(&FileKey::new(file_key), block);
            for piece in placement::pieces() {
                let facts = Facts { version, ..Facts::from(&small) };
                let header = Header::data(small.user.clone(), small.path.clone(), facts, piece, wrapped);
                let range = placement::range(content.len() as u64, piece);
                let mut part = content[range.start as usize..range.end as usize].to_vec();
                // Other nonces than those of FORMAT.md, except for its own piece.
                let run = if is_small && piece == 1 { golden.array::<12>("nonce") } else { [piece; 12] };
                let nonce = nonce(*run.first_chunk().unwrap(), 0);
                ChunkCipher::new(&FileKey::new(file_key), &nonce).encrypt(&mut part);
                let root = sha256(&sha256(&[&nonce[..], &part].concat()));
                let seal = master.seal(&header.encode(), &root);
                by_name.insert(format!("{generation}.{piece}"), Claim { header, root, seal });
            }
        }
        assert_eq!(by_name["7.1"].root, golden.array("root"));
        assert_eq!(by_name["7.1"].seal, golden.array("seal"));
        Self { master, by_name }
    }

    fn text(claim: &Claim) -> String {
        base64_encode(&[&claim.header.encode()[..], &claim.root, &claim.seal].concat())
    }

    fn of(&self, held: &Held) -> &Claim {
        &self.by_name[&format!("{}.{}", held.version.generation, held.piece)]
    }

    /// A payload as the example shows it, with a name instead of each claim, and back.
    fn shortened(&self, payload: &str) -> String {
        let replaced = |text: String, (name, claim): (&String, &Claim)| {
            text.replace(&Self::text(claim), &format!("[{name}]"))
        };
        self.by_name.iter().fold(payload.to_owned(), replaced)
    }

    fn whole(&self, payload: &str) -> String {
        let replaced = |text: String, (name, claim): (&String, &Claim)| {
            text.replace(&format!("[{name}]"), &Self::text(claim))
        };
        self.by_name.iter().fold(payload.to_owned(), replaced)
    }
}

/// One of the three servers: what it holds of the name, and its floor.
struct Server {
    floor: u64,
    clock: u64,
    held: Vec<Held>,
}

impl Server {
    /// As its answer in the example says, of which the client believes nothing that is not sealed.
    fn from_answer(answer: &str, claims: &Claims, path: &FilePath) -> Self {
        let report = NameReport::parse(&claims.whole(answer)).unwrap_or_else(|e| panic!("{answer}: {e}"));
        let held = report.pieces.into_iter().map(|reported| {
            let Reported::Piece(state, claim) = reported else { panic!("{answer}") };
            assert!(claims.master.verify(&claim).is_ok() && claim.header.path == *path);
            Held { piece: claim.header.piece, version: claim.header.version, state }
        });
        Self { floor: report.floor, clock: report.clock, held: held.collect() }
    }

    fn report(&self, claims: &Claims) -> NameReport {
        let piece = |held: &Held| Reported::Piece(held.state, Box::new(claims.of(held).clone()));
        NameReport { floor: self.floor, clock: self.clock, pieces: self.held.iter().map(piece).collect() }
    }

    fn commit(&mut self, version: Version) -> Reply {
        let steps = commit::commit(&self.held, version).unwrap();
        carry_out(&mut self.held, &steps);
        Reply::Ok
    }

    fn fence(&mut self, version: Version) -> Reply {
        commit::fence(&self.held, version).unwrap();
        self.floor = commit::raised_floor(self.floor, version).unwrap();
        Reply::Ok
    }

    fn abort(&mut self, version: Version) -> Reply {
        self.floor = commit::aborted_floor(self.floor, version);
        let steps = commit::abort(&self.held, version, false).unwrap();
        carry_out(&mut self.held, &steps);
        Reply::Ok
    }
}

/// The requests of a survey and their replies, as the example writes them.
struct Script<'a> {
    claims: &'a Claims,
    servers: Vec<Server>,
    lines: Vec<String>,
}

impl Script<'_> {
    fn ask(&mut self, to: &[usize], request: &Request, mut reply: impl FnMut(&mut Server) -> Reply) {
        let names: Vec<String> = to.iter().map(|server| format!("Server{}", server + 1)).collect();
        self.lines.push(format!("to {}: {}", names.join(", "), request.to_line()));
        for &server in to {
            let reply = reply(&mut self.servers[server]).to_line();
            self.lines.push(format!("Server{}: {reply}", server + 1));
        }
    }

    fn look(&mut self, path: &FilePath) {
        let names: Vec<String> = (1..=SERVERS).map(|server| format!("Server{server}")).collect();
        self.lines.push(format!("to {}: {}", names.join(", "), Request::Look(path.clone()).to_line()));
        for (name, server) in names.iter().zip(&self.servers) {
            let text = server.report(self.claims).to_text();
            let reply = Reply::Text(text.len() as u64, sha256(text.as_bytes()));
            self.lines.push(format!("{name}: {}", reply.to_line()));
            self.lines.extend(self.claims.shortened(&text).lines().map(|line| format!("    {line}")));
        }
    }

    fn answers(&self) -> Vec<Option<Vec<Held>>> {
        self.servers.iter().map(|server| Some(server.held.clone())).collect()
    }
}

/// The payloads of the first answers in the example, which are all that the test takes from it.
fn first_answers(section: &Section<'_>) -> Vec<String> {
    let mut answers: Vec<String> = Vec::new();
    for line in section.fenced("survey") {
        match line.strip_prefix("    ") {
            Some(record) => {
                let answer = answers.last_mut().expect("a record is part of an answer");
                answer.push_str(&format!("{record}\n"));
            }
            None if line.starts_with("to ") && !answers.is_empty() => break,
            None if line.contains(": TEXT ") => answers.push(String::new()),
            None => {}
        }
    }
    assert_eq!(answers.len(), SERVERS);
    answers
}

fn every_piece_has_a_holder(answers: &[Option<Vec<Held>>], version: Version) -> bool {
    placement::suffices(|piece| !commit::holders(answers, version, piece).is_empty())
}

/// Made from the first answers by the rules of both ends. After a change of the protocol, what this test prints is
/// the new example.
#[test]
fn the_survey_of_three_servers_goes_as_the_rules_say() {
    let document = document();
    let section = document.section(EXAMPLE);
    let claims = Claims::of_the_example();
    let values = section.values();
    let is_shown = |name: &str| section.fenced("survey").any(|line| line.contains(&format!("[{name}]")));
    let shown = claims.by_name.iter().filter(|(name, _)| is_shown(name));
    let text: Vec<String> = shown.map(|(name, claim)| format!("{name} = {}", Claims::text(claim))).collect();
    let text = text.join("\n");
    assert!(document.contains(&text), "docs/PROTOCOL.md has other claims than these:\n{text}");
    let path = claims.by_name["7.1"].header.path.clone();
    let first = first_answers(&section);
    let servers = first.iter().map(|answer| Server::from_answer(answer, &claims, &path)).collect();
    let mut script = Script { claims: &claims, servers, lines: Vec::new() };

    script.look(&path);
    let answers = script.answers();
    let View { decided, forward, abandoned, .. } = commit::resolve(&answers);
    let decided = decided.unwrap();
    assert_eq!(decided.to_string(), values.text("decided"));
    assert!(every_piece_has_a_holder(&answers, decided));
    assert_eq!(commit::one_word(&answers, decided), None);
    script.ask(&forward, &Request::Commit(path.clone(), decided), |server| server.commit(decided));
    for (version, holders) in abandoned {
        assert_eq!(version.to_string(), values.text("abandoned"));
        let everybody: Vec<usize> = (0..SERVERS).collect();
        script.ask(&everybody, &Request::Fence(path.clone(), version), |server| server.fence(version));
        script.ask(&holders, &Request::Abort(path.clone(), version), |server| server.abort(version));
    }
    script.servers.iter_mut().for_each(|server| server.clock += 40);
    script.look(&path);

    let shown: Vec<&str> = section.fenced("survey").collect();
    let text = script.lines.join("\n");
    assert!(shown.join("\n") == text, "docs/PROTOCOL.md has another survey than this:\n{text}");

    // What is settled now, and what the next commands begin with.
    let view = commit::resolve(&script.answers());
    assert_eq!((view.decided, view.forward, view.abandoned), (Some(decided), vec![], vec![]));
    assert_eq!(view.generation, values.number("sealed"));
    let floors: Vec<u64> = script.servers.iter().map(|server| server.floor).collect();
    let clocks: Vec<u64> = script.servers.iter().map(|server| server.clock).collect();
    let after = values.number("client's clock");
    let time = commit::time(Asked { before: after - 5, after }, &clocks);
    let seen = Seen { sealed: view.generation, floors: &floors, unsealed: &[], replicas: 2 };
    assert_eq!(seen.newest(time), values.number("seen"));
    let next = |time, last_try| commit::next_generation(&seen, time, last_try).ok().unwrap();
    assert_eq!(next(time, 0), values.number("generation of an upload"));
    let by_no_clock = commit::Time { clock: None, ..time };
    assert_eq!(next(by_no_clock, 0), values.number("without a clock"));
    assert_eq!(decided.successor().unwrap().to_string(), values.text("tombstone"));
    assert!(script.servers.iter().all(|server| server.floor == values.number("floor of its RESTORE")));
    let Server { held, .. } = &script.servers[2];
    assert_eq!(
        commit::retire(held, decided).len(),
        held.len(),
        "nothing is left where the server was behind"
    );
}

/// `published 7: 1,2; staged 8: 1`, `nothing`, or `no answer`.
fn answer(cell: &str) -> Option<Vec<Held>> {
    if cell == "no answer" {
        return None;
    }
    let mut held = Vec::new();
    for part in cell.split("; ").filter(|part| *part != "nothing") {
        let (head, pieces) = part.split_once(": ").unwrap_or_else(|| panic!("{cell}"));
        let (state, generation) = head.split_once(' ').unwrap_or_else(|| panic!("{cell}"));
        let state = match state {
            "published" => PieceState::Published,
            "staged" => PieceState::Staged { open: false },
            "open" => PieceState::Staged { open: true },
            _ => panic!("{cell}"),
        };
        let version = version(generation.parse().unwrap());
        held.extend(pieces.split(',').map(|piece| Held { piece: piece.parse().unwrap(), version, state }));
    }
    Some(held)
}

/// What a client does by the rules with such answers, as a row of the table says it.
fn conclusions(answers: &[Option<Vec<Held>>]) -> [String; 4] {
    let names = |servers: &[usize]| {
        let names: Vec<String> = servers.iter().map(|server| format!("Server{}", server + 1)).collect();
        if names.is_empty() { "-".to_owned() } else { names.join(", ") }
    };
    let View { decided, mut forward, abandoned, .. } = commit::resolve(answers);
    let Some(decided) = decided else { panic!("{answers:?}") };
    let mut proof = "-".to_owned();
    if let Some(word) = commit::one_word(answers, decided) {
        forward.retain(|server| *server == word.server);
        let pieces: Vec<String> = word.pieces.iter().map(u8::to_string).collect();
        proof = format!("{} of {}", pieces.join(","), names(&[word.server]));
    }
    let is_whole = every_piece_has_a_holder(answers, decided);
    if !is_whole {
        forward.clear();
        proof = "-".to_owned();
    }
    let abandoned: Vec<String> =
        abandoned.iter().map(|(version, _)| version.generation.to_string()).collect();
    [
        format!("{}{}", decided.generation, if is_whole { "" } else { ", incomplete" }),
        names(&forward),
        if abandoned.is_empty() { "-".to_owned() } else { abandoned.join(", ") },
        proof,
    ]
}

#[test]
fn other_answers_lead_to_other_conclusions() {
    let rows = document().section(EXAMPLE).table("Server1");
    assert!(rows.len() > 5);
    for row in rows {
        let answers: Vec<_> = row[..SERVERS].iter().map(|cell| answer(cell)).collect();
        assert_eq!(row[SERVERS..SERVERS + 4], conclusions(&answers), "{row:?}");
    }
}
