//! The servers, the writers, and all that can happen next.

mod settling;
mod writing;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::ops::Range;
use std::rc::Rc;

use shareit::commit::{self, Answer, Held, TOMBSTONE, View};
use shareit::placement::{self, PARITY_REPLICAS, PieceSet, Scheme};
use shareit::version::UploadId;

use super::bounds::{Bounds, DELETER, Rules};
use super::explore::Fast;
use super::server::{Code, Event, PIECES, Server, code, version};

/// The most servers of a model; of those of [`Scheme::Copies`] the last place is empty.
const SERVERS: usize = 4;
const WRITERS: usize = 3;
/// The file as it is in the beginning, acknowledged long ago: generation 1, by no writer of the model.
const FIRST: Code = 1 << 4;
/// If partitions are explored, the clock begins beyond all that was counted.
const CLOCK: u8 = 2;
/// What a writer has done at a server, and knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Link {
    /// Nothing to do there, or nothing any more.
    #[default]
    Unused,
    ToStage,
    /// Past the door, in transit.
    Moving,
    Staged,
    /// Staged and acknowledged, and the connection was lost since.
    Broken,
    NotStaged,
    /// Not staged, because the connection was lost.
    Lost,
    ToCommit,
    /// Renamed, not yet acknowledged.
    Renamed,
    Committed,
    CommitRefused,
    CommitLost,
}

impl Link {
    fn answer(self) -> Answer {
        match self {
            Link::Staged | Link::Broken | Link::Committed => Answer::Done(()),
            Link::NotStaged | Link::CommitRefused => Answer::Refused(()),
            _ => Answer::Lost,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Stage {
    #[default]
    Idle,
    /// A move that has copied what there was.
    Copied,
    Staging,
    /// Not all of it could be staged.
    Failing,
    Committing,
    /// Dead, with commits that may still arrive.
    Dead,
    /// Acknowledged by as many servers as copies are wanted.
    Acknowledged,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Author {
    stage: Stage,
    version: Code,
    links: [Link; SERVERS],
    /// The version of its last try.
    last: Code,
    /// Ghost: how many servers may be lost of what it stages, if all of it is staged.
    bears: u8,
    /// Every server has promised not to publish it.
    may_abort: bool,
}

/// All that matters of one instant. Servers are numbers in the [`World`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    servers: Servers,
    authors: [Author; WRITERS],
    /// Whose version is being given up by somebody, and the servers (a bit each) that promised.
    promised: (u8, u8),
    /// Somebody knows that every server has acknowledged the delete.
    may_forget: bool,
    deaths: u8,
    breaks: u8,
    retries: u8,
    restages: u8,
    /// What a move has copied, and the floors that it saw then.
    copied: Code,
    floors: [u8; SERVERS],
    /// How late it is.
    clock: u8,
    /// Ghost: the newest version that was acknowledged, if only by one server.
    latest: Code,
    /// Ghost: a version is older than one that was acknowledged before its writer began.
    overtaken: bool,
    /// The liar has had its say.
    lied: bool,
}

impl State {
    /// Whether the writer's own commit is in transit: then another's would do nothing that this does not.
    fn will_commit(&self, version: Code, server: usize) -> bool {
        let waits = |a: &Author| matches!(a.links[server], Link::ToCommit | Link::Renamed);
        self.authors.iter().any(|a| a.version == version && waits(a))
    }
}

/// What happened.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "read by the trace of a counterexample")]
pub(crate) enum Action {
    Copy,
    Begin { writer: usize },
    Announce { writer: usize, server: usize },
    Stage { writer: usize, server: usize },
    GiveUp { writer: usize },
    Commit { writer: usize, server: usize },
    Acknowledge { writer: usize, server: usize },
    Die { writer: usize },
    CloseDead { writer: usize, server: usize },
    Break { writer: usize, server: usize },
    StageAgain { writer: usize, server: usize },
    Replace { writer: usize, server: usize },
    Crash { server: usize },
    Restart { server: usize },
    Promise { writer: usize, server: usize },
    Abort { writer: usize, server: usize },
    Forward { version: Code, server: usize },
    Rebury { server: usize },
    Forget { server: usize },
    Retire { version: Code, server: usize },
    LateRepair { server: usize },
    Retry { writer: usize },
    Lie { version: Code },
}

type Next = Vec<(Action, State)>;
/// What can come of an event, each with whether the server did what it was asked.
type Outcomes = Rc<[(u16, bool)]>;
type Servers = [u16; SERVERS];
type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fast>>;

/// What decides whether a state is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Case {
    servers: Servers,
    /// By as many servers as copies are wanted: the newest that bears so many losses.
    acknowledged: [Code; PARITY_REPLICAS as usize],
    /// Versions that bear fewer losses than others, and how many.
    frail: [(Code, u8); WRITERS],
    /// By any server.
    latest: Code,
    forgotten: Code,
    /// The tombstone of a move, and what it copied.
    moved: Code,
    copied: Code,
    lied: bool,
}

/// What a client finds that asks every server that is up.
struct Sight {
    /// The servers after that: a look makes safe what it shows.
    servers: Servers,
    answers: Vec<Option<Vec<Held>>>,
    view: View,
}

/// The servers that were met, and what each event makes of each: found out once.
pub(crate) struct World {
    bounds: Bounds,
    rules: Rules,
    servers: Vec<Server>,
    numbers: HashMap<Server, u16>,
    known: Map<(u16, Event), Outcomes>,
    sights: Map<Servers, Rc<Sight>>,
    settled: Map<Servers, Rc<[(Action, Servers)]>>,
    judged: Map<Case, Option<String>>,
    /// By set of usable servers (a bit each) and server: the pieces that it should hold, a bit each.
    pieces: [[u8; SERVERS]; 1 << SERVERS],
    /// By the same set: how many servers may be lost of such a file.
    bears: [u8; 1 << SERVERS],
}

impl World {
    pub(crate) fn new(bounds: Bounds, rules: Rules) -> Self {
        let (count, scheme) = (bounds.servers(), bounds.scheme);
        let (mut pieces, mut bears) = ([[0; SERVERS]; 1 << SERVERS], [0; 1 << SERVERS]);
        for set in 1..1 << count {
            let usable: Vec<bool> = (0..count).map(|s| set & 1 << s != 0).collect();
            let holders = scheme.holders(&[0; 32], &usable, bounds.replicas());
            for (piece, holders) in (1..=pieces_of(scheme)).zip(holders) {
                holders.into_iter().for_each(|server| pieces[set][server] |= 1 << piece);
            }
            let held = pieces[set][..count].iter().map(|pieces| represented(scheme, *pieces));
            let up = usable.iter().filter(|up| **up).count();
            let losses = match scheme {
                Scheme::Copies => up.min(bounds.replicas()) - 1,
                Scheme::Parity => scheme.losses(&held.collect::<Vec<_>>()).unwrap(),
            };
            bears[set] = losses as u8;
        }
        Self {
            bounds,
            rules,
            servers: Vec::new(),
            numbers: HashMap::new(),
            known: Map::default(),
            sights: Map::default(),
            settled: Map::default(),
            judged: Map::default(),
            pieces,
            bears,
        }
    }

    /// The numbers of the servers.
    fn all(&self) -> Range<usize> {
        0..self.bounds.servers()
    }

    /// A bit for each server.
    fn everybody(&self) -> usize {
        (1 << self.bounds.servers()) - 1
    }

    /// Which server lies, if one does.
    fn liar(&self) -> usize {
        self.bounds.servers() - 1
    }

    pub(crate) fn start(&mut self) -> State {
        let mut servers = [0; SERVERS];
        for server in self.all() {
            let crashes = if server == 0 { self.bounds.crashes } else { 0 };
            let pieces = self.pieces[self.everybody()][server];
            servers[server] = self.number(Server::new(pieces, FIRST, crashes));
        }
        State {
            servers,
            authors: [Author::default(); WRITERS],
            promised: (0, 0),
            may_forget: false,
            deaths: self.bounds.deaths,
            breaks: self.bounds.breaks,
            retries: self.bounds.retries,
            restages: self.bounds.restages,
            copied: 0,
            floors: [0; SERVERS],
            clock: 0,
            latest: FIRST,
            overtaken: false,
            lied: false,
        }
    }

    fn number(&mut self, server: Server) -> u16 {
        if let Some(&number) = self.numbers.get(&server) {
            return number;
        }
        let number = u16::try_from(self.servers.len()).unwrap();
        self.servers.push(server.clone());
        self.numbers.insert(server, number);
        number
    }

    fn server(&self, servers: &Servers, server: usize) -> &Server {
        &self.servers[usize::from(servers[server])]
    }

    /// The servers that are up and of which `which` is true.
    fn up(&self, servers: &Servers, which: impl Fn(&Server) -> bool) -> Vec<usize> {
        let wanted = |&s: &usize| self.is_up(servers, s) && which(self.server(servers, s));
        self.all().filter(wanted).collect()
    }

    fn is_up(&self, servers: &Servers, server: usize) -> bool {
        self.server(servers, server).up
    }

    fn outcomes(&mut self, number: u16, event: Event) -> Outcomes {
        if let Some(known) = self.known.get(&(number, event)) {
            return Rc::clone(known);
        }
        let outcomes = self.servers[usize::from(number)].on(event, &self.rules);
        let outcomes: Outcomes =
            outcomes.into_iter().map(|(server, done)| (self.number(server), done)).collect();
        self.known.insert((number, event), Rc::clone(&outcomes));
        outcomes
    }

    /// Carries out an event that has one outcome; tells whether it was done.
    fn happen(&mut self, servers: &mut Servers, server: usize, event: Event) -> bool {
        let (number, done) = self.outcomes(servers[server], event)[0];
        servers[server] = number;
        done
    }

    fn answers(&self, servers: &Servers, asked: impl Fn(usize) -> bool) -> Vec<Option<Vec<Held>>> {
        self.all().map(|s| asked(s).then(|| self.server(servers, s).held())).collect()
    }

    fn look(&mut self, servers: &Servers) -> Rc<Sight> {
        if let Some(sight) = self.sights.get(servers) {
            return Rc::clone(sight);
        }
        let mut after = *servers;
        for server in self.up(servers, |_| true) {
            self.happen(&mut after, server, Event::Look);
        }
        let answers = self.answers(&after, |server| self.is_up(&after, server));
        let view = commit::resolve(&answers);
        let sight = Rc::new(Sight { servers: after, answers, view });
        self.sights.insert(*servers, Rc::clone(&sight));
        sight
    }

    pub(crate) fn describe(&self, state: &State) -> String {
        let servers = self.all().map(|s| {
            let server = self.server(&state.servers, s);
            let up = if server.up { "" } else { " down" };
            format!("[{:?} staged {:?}{up}]", server.now.published, server.now.staged)
        });
        servers.collect::<Vec<_>>().join(" ")
    }

    /// Why a state must not be; none for a good one.
    pub(crate) fn broken(&mut self, state: &State) -> Option<String> {
        let most = self.bounds.replicas() as u8 - 1;
        let mut acknowledged = [FIRST; PARITY_REPLICAS as usize];
        for (losses, newest) in (0..).zip(&mut acknowledged) {
            let done = state.authors.iter().filter(|a| a.stage == Stage::Acknowledged && a.bears >= losses);
            *newest = done.map(|a| a.version).fold(FIRST, Code::max);
        }
        let frail = state.authors.map(|a| if a.bears < most { (a.version, a.bears) } else { (0, 0) });
        if state.overtaken {
            return Some("a version is older than one that was acknowledged before it was begun".into());
        }
        let deleted = state.authors[DELETER].version;
        let forgotten = if state.may_forget { deleted } else { 0 };
        let moved = if self.bounds.moves { deleted } else { 0 };
        let latest = if self.bounds.partitions { state.latest } else { 0 };
        let State { servers, copied, lied, .. } = *state;
        let case = Case { servers, acknowledged, frail, latest, forgotten, moved, copied, lied };
        if let Some(known) = self.judged.get(&case) {
            return known.clone();
        }
        let verdict = self.judge(case);
        self.judged.insert(case, verdict.clone());
        verdict
    }

    fn judge(&self, case: Case) -> Option<String> {
        let Case { frail, latest, forgotten, moved, copied, lied, .. } = case;
        let servers = self.all().map(|s| self.server(&case.servers, s));
        if servers.clone().any(Server::went_back) {
            return Some("a server shows an older version after a newer one".into());
        }
        if servers.clone().any(Server::is_mixed) {
            return Some("a server has two versions after it recovered".into());
        }
        // Any R-1 servers may be lost, or fewer if fewer were up. A liar counts as lost.
        let is_lost = |set: usize, server: usize| set & 1 << server != 0;
        for lost in (0..=self.everybody()).filter(|&set| !lied || is_lost(set, self.liar())) {
            let losses = lost.count_ones() as usize;
            if losses >= self.bounds.replicas() {
                continue;
            }
            let acknowledged = case.acknowledged[losses];
            // One that breaks its promise of a FENCE can have one client publish what another drops.
            if lied && acknowledged == FIRST && self.bounds.aborts {
                continue;
            }
            let who: String =
                self.all().filter(|&s| is_lost(lost, s)).map(|s| format!(" without server {s}")).collect();
            let answers = self.answers(&case.servers, |s| !is_lost(lost, s));
            let least = acknowledged.max(forgotten).max(if lost == 0 { latest } else { 0 });
            if moved != 0 && acknowledged > copied && acknowledged != moved {
                let decided = commit::resolve(&answers).decided.map_or(moved, code);
                if decided == moved {
                    return Some(format!("a move has deleted {acknowledged}, and copied {copied}{who}"));
                }
            }
            match commit::resolve(&answers).decided {
                None if least == forgotten => {}
                None => return Some(format!("nothing is left of {least}{who}")),
                Some(decided) if code(decided) < least => {
                    return Some(format!("{} is shown instead of {least}{who}", code(decided)));
                }
                Some(decided) => {
                    let has = |piece: &u8| !commit::holders(&answers, decided, *piece).is_empty();
                    let held = (1..=pieces_of(self.bounds.scheme)).filter(has).fold(0, |set, p| set | 1 << p);
                    let held = represented(self.bounds.scheme, held);
                    let (file, delete) = (placement::suffices(|p| held.contains(p)), has(&TOMBSTONE));
                    let bears =
                        frail.iter().find(|(v, _)| *v == code(decided)).map_or(losses, |f| f.1.into());
                    if file == delete && losses <= bears {
                        return Some(format!("{} cannot be rebuilt{who}", code(decided)));
                    }
                }
            }
        }
        None
    }

    /// Everything that can happen next.
    pub(crate) fn successors(&mut self, state: &State, next: &mut Next) {
        let bounds = self.bounds;
        for writer in (0..WRITERS).filter(|&w| bounds.has(w)) {
            self.write(state, writer, next);
            if bounds.aborts {
                self.clear(state, writer, next);
            }
        }
        if bounds.liar && !state.lied {
            self.lie(state, next);
        }
        self.fail(state, next);
        self.settle(state, next);
        self.delete(state, next);
        for (_, state) in next.iter_mut() {
            self.simplify(state);
        }
    }

    fn fail(&mut self, state: &State, next: &mut Next) {
        for server in self.all() {
            if !self.is_up(&state.servers, server) {
                let mut after = *state;
                self.happen(&mut after.servers, server, Event::Restart);
                next.push((Action::Restart { server }, after));
            } else if self.server(&state.servers, server).crashes > 0 {
                for &(number, _) in self.outcomes(state.servers[server], Event::Crash).iter() {
                    let mut after = *state;
                    after.servers[server] = number;
                    for writer in 0..WRITERS {
                        self.disconnect(&mut after, writer, server);
                        self.conclude(&mut after, writer);
                    }
                    next.push((Action::Crash { server }, after));
                }
            }
        }
    }

    /// The last server shows what a writer has given up there, or what one that died has staged there.
    fn lie(&mut self, state: &State, next: &mut Next) {
        for writer in 0..WRITERS {
            let Author { last, version, stage, .. } = state.authors[writer];
            let is_left =
                stage == Stage::Over && self.server(&state.servers, self.liar()).now.has_staged(version);
            let version = if is_left && writer != DELETER { version } else { last };
            let liar = self.liar();
            let pieces = self.pieces[self.everybody()][liar];
            if version == 0 || self.server(&state.servers, liar).now.newest() > version {
                continue;
            }
            let mut after = State { lied: true, ..*state };
            self.happen(&mut after.servers, liar, Event::Lie { version, pieces });
            next.push((Action::Lie { version }, after));
        }
    }

    /// Forgets what can make no difference any more, so that equal states are the same.
    fn simplify(&self, state: &mut State) {
        let bounds = self.bounds;
        let mortal = |w: &usize| {
            bounds.has(*w)
                && matches!(
                    state.authors[*w].stage,
                    Stage::Idle | Stage::Copied | Stage::Staging | Stage::Committing
                )
        };
        state.deaths = state.deaths.min((0..WRITERS).filter(mortal).count() as u8);
        let newest = state.authors.iter().filter(|a| a.stage == Stage::Acknowledged).map(|a| a.version).max();
        for writer in 0..WRITERS {
            let author = &state.authors[writer];
            let v = author.version;
            let known = self.all().any(|s| self.server(&state.servers, s).knows(v));
            let staged = self.all().any(|s| self.server(&state.servers, s).now.has_staged(v));
            let over = matches!(author.stage, Stage::Over | Stage::Acknowledged);
            let author = &mut state.authors[writer];
            if author.stage == Stage::Acknowledged && newest > Some(v) {
                author.stage = Stage::Over;
            }
            if over && !bounds.liar {
                author.last = 0;
            }
            if over && !staged {
                author.may_abort = false;
                if state.promised.0 == id(writer) {
                    state.promised = (0, 0);
                }
            }
            if author.stage == Stage::Over
                && !known
                && !(writer == DELETER && (state.may_forget || bounds.moves))
            {
                author.version = 0;
            }
        }
    }
}

/// How many pieces represent all.
fn pieces_of(scheme: Scheme) -> u8 {
    match scheme {
        Scheme::Copies => PIECES - 1,
        Scheme::Parity => PIECES,
    }
}

/// All pieces for which these stand, a bit each. Piece 4 on three servers has the holders of piece 1, and an XOR those of
/// its piece.
fn represented(scheme: Scheme, pieces: u8) -> PieceSet {
    let stands_for = |piece: &u8| pieces & 1 << ((piece - 1) % pieces_of(scheme) + 1) != 0;
    scheme.pieces().filter(stands_for).collect()
}

/// The first version is by no writer, so theirs begin at 1.
fn id(writer: usize) -> u8 {
    writer as u8 + 1
}

/// The upload ids of a writer: see [`super::server::writer_of`].
fn upload_id(writer: usize) -> UploadId {
    version(id(writer) * 4).upload
}
