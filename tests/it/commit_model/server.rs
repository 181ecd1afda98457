//! One server of the model: its disk, what of it a power failure could take back, and its answers.

use shareit::commit::{self, Held, PieceState, Refused, Step, TOMBSTONE};
use shareit::version::Version;

use super::bounds::{DELETER, Rules};

/// The most pieces of a file in the model; see the head of `commit_model.rs`.
pub(crate) const PIECES: u8 = 4;

/// A version in one byte, in the order of versions: generation, then upload id. 0 is none.
pub(crate) type Code = u8;

pub(crate) fn code(version: Version) -> Code {
    (version.generation as u8) << 4 | version.upload[15]
}

pub(crate) fn version(code: Code) -> Version {
    let mut upload = [0; 16];
    upload[15] = code & 15;
    Version { generation: u64::from(code >> 4), upload }
}

/// The upload ids of a writer are four times its number, and one less for a try with the generation of the last
/// one. The version next to another's is the tombstone of a move.
pub(crate) fn writer_of(code: Code) -> u8 {
    let id = code & 15;
    if id % 4 == 1 { DELETER as u8 + 1 } else { id.div_ceil(4) }
}

/// What a disk has of one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Disk {
    /// By piece, tombstone first.
    pub(crate) published: [Code; 1 + PIECES as usize],
    /// Piece and version, sorted.
    pub(crate) staged: Vec<(u8, Code)>,
}

impl Disk {
    fn apply(&mut self, step: Step) {
        match step {
            Step::Publish { piece, version } => {
                self.unstage(piece, code(version));
                self.published[usize::from(piece)] = code(version);
            }
            Step::DropPublished { piece } => self.published[usize::from(piece)] = 0,
            Step::DropStaged { piece, version } => self.unstage(piece, code(version)),
        }
    }

    fn apply_all(&mut self, steps: Vec<Step>) {
        steps.into_iter().for_each(|step| self.apply(step));
    }

    fn stage(&mut self, piece: u8, version: Code) {
        if !self.staged.contains(&(piece, version)) {
            self.staged.push((piece, version));
            self.staged.sort_unstable();
        }
    }

    fn unstage(&mut self, piece: u8, version: Code) {
        self.staged.retain(|entry| *entry != (piece, version));
    }

    pub(crate) fn newest(&self) -> Code {
        self.published.into_iter().max().unwrap_or(0)
    }

    pub(crate) fn has_staged(&self, version: Code) -> bool {
        self.staged.iter().any(|(_, v)| *v == version)
    }

    pub(crate) fn has(&self, version: Code) -> bool {
        self.published.contains(&version) || self.has_staged(version)
    }
}

/// A server. The ghosts are what the checks remember and no server knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) up: bool,
    /// How often it may still crash.
    pub(crate) crashes: u8,
    /// Whether it ever did: connections from the beginning are then gone.
    pub(crate) restarted: bool,
    /// As the running server sees it.
    pub(crate) now: Disk,
    /// As far as it is safe from a power failure.
    safe: Disk,
    /// What was changed since, in order: after a crash any part of it may be undone.
    pending: Vec<Step>,
    /// Writers whose connection is open and has staged something.
    open: u8,
    pub(crate) floor: u8,
    /// Ghost: the newest version that was published or forgotten here.
    mark: Code,
}

/// What a server is asked, or what befalls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// Whether a piece may be sent.
    Door(Code),
    /// Pieces (a bit each) have arrived and are on disk; `checked` if the rules are asked then.
    Stage {
        version: Code,
        pieces: u8,
        checked: bool,
    },
    /// A move stages the tombstone of what it copied.
    StageMoved {
        version: Code,
        known_floor: u8,
    },
    /// A liar shows a version as published of which it was sent these pieces.
    Lie {
        version: Code,
        pieces: u8,
    },
    /// Repair puts a version where it is missing, and commits it.
    Restore {
        version: Code,
        pieces: u8,
        known_floor: u8,
    },
    /// A commit up to the renames.
    CommitBegin(Code),
    /// Its sync and drops; then it is acknowledged.
    CommitEnd(Code),
    /// Both.
    Commit(Code),
    Look,
    Abort {
        version: Code,
        own: bool,
    },
    Close(u8),
    Fence {
        version: Code,
        blind: bool,
        promise: bool,
    },
    Forget(Code),
    Retire(Code),
    Crash,
    Restart,
}

impl Server {
    pub(crate) fn new(pieces: u8, version: Code, crashes: u8) -> Self {
        let mut disk = Disk::default();
        for piece in members(pieces) {
            disk.published[usize::from(piece)] = version;
        }
        let safe = disk.clone();
        Self {
            up: true,
            crashes,
            restarted: false,
            now: disk,
            safe,
            pending: Vec::new(),
            open: 0,
            floor: 0,
            mark: version,
        }
    }

    pub(crate) fn held(&self) -> Vec<Held> {
        held(&self.now, self.open)
    }

    /// Whether a published version was followed by an older one.
    pub(crate) fn went_back(&self) -> bool {
        self.safe.newest() != 0 && self.safe.newest() < self.mark
    }

    /// Whether two versions are published side by side although nobody is at work on them.
    pub(crate) fn is_mixed(&self) -> bool {
        let newest = self.safe.newest();
        !self.up && self.safe.published.iter().any(|&v| v != 0 && v != newest)
    }

    pub(crate) fn has_closed(&self, version: Code) -> bool {
        self.now.has_staged(version) && self.open & 1 << writer_of(version) == 0
    }

    pub(crate) fn knows(&self, version: Code) -> bool {
        self.now.has(version) || self.safe.has(version)
    }

    /// All that can come of an event, each with whether it was done; a refusal changes nothing.
    pub(crate) fn on(&self, event: Event, rules: &Rules) -> Vec<(Server, bool)> {
        if event == Event::Crash {
            return self.crashed().into_iter().map(|server| (server.settled(), true)).collect();
        }
        let mut server = self.clone();
        match server.handle(event, rules) {
            Ok(()) => vec![(server.settled(), true)],
            Err(_) => vec![(self.clone(), false)],
        }
    }

    fn handle(&mut self, event: Event, rules: &Rules) -> Result<(), Refused> {
        let held = self.held();
        let floor = if rules.no_floor { 0 } else { u64::from(self.floor) };
        match event {
            Event::Door(v) => commit::may_stage(&held, floor, version(v))?,
            Event::Stage { version: v, pieces, checked } => {
                if checked {
                    commit::may_stage(&held, floor, version(v))?;
                }
                self.stage(v, pieces);
                self.open |= 1 << writer_of(v);
            }
            Event::StageMoved { version: v, known_floor } => {
                commit::may_restore(&held, floor, known_floor.into(), version(v))?;
                self.stage(v, 1 << TOMBSTONE);
                self.open |= 1 << writer_of(v);
            }
            Event::Lie { version: v, pieces } => {
                for piece in members(pieces) {
                    self.now.published[usize::from(piece)] = v;
                    self.safe.published[usize::from(piece)] = v;
                }
            }
            Event::Restore { version: v, pieces, known_floor } => {
                let known = if rules.no_floor { 0 } else { u64::from(known_floor) };
                commit::may_restore(&held, floor, known, version(v))?;
                self.stage(v, pieces);
                self.commit_begin(v)?;
                self.commit_end(v, rules);
            }
            Event::CommitBegin(v) => self.commit_begin(v)?,
            Event::CommitEnd(v) => self.commit_end(v, rules),
            Event::Commit(v) => {
                self.commit_begin(v)?;
                self.commit_end(v, rules);
            }
            Event::Look => {
                self.sync_pieces();
                self.sync_tombstone();
            }
            Event::Abort { version: v, own } => {
                self.change(commit::abort(&held, version(v), own)?);
                self.floor = commit::aborted_floor(self.floor.into(), version(v)) as u8;
            }
            Event::Close(writer) => self.open &= !(1 << writer),
            Event::Fence { version: v, blind, promise } => {
                let seen = if blind { held_as_closed(held) } else { held };
                if rules.promise_behind {
                    commit::abort(&seen, version(v), false)?;
                } else {
                    commit::fence(&seen, version(v))?;
                }
                // Once is enough: that a second fence changes the floor again tells nobody anything new.
                if promise && u64::from(self.floor) < version(v).rank() {
                    self.floor = commit::raised_floor(self.floor.into(), version(v))? as u8;
                }
            }
            Event::Forget(v) => {
                let mut steps = commit::forget(&held, version(v))?;
                let last = steps.split_off(steps.len() - 1);
                if !rules.forget_half_done {
                    self.change(steps);
                }
                if !rules.forget_unsynced {
                    self.sync_pieces();
                }
                self.floor = commit::raised_floor(self.floor.into(), version(v))? as u8;
                self.mark = self.mark.max(v);
                self.change(last);
            }
            Event::Retire(v) => {
                self.change(commit::recover(&held));
                self.sync_pieces();
                self.sync_tombstone();
                self.change(commit::retire(&self.held(), version(v)));
            }
            Event::Restart => self.up = true,
            Event::Crash => {}
        }
        Ok(())
    }

    /// What is acknowledged as staged is safe, and so is every drop before it in that directory.
    fn stage(&mut self, v: Code, pieces: u8) {
        for piece in members(pieces) {
            self.now.stage(piece, v);
            self.safe.stage(piece, v);
        }
        self.make_safe(|step| matches!(step, Step::DropStaged { .. }));
    }

    fn change(&mut self, steps: Vec<Step>) {
        for step in steps {
            self.now.apply(step);
            self.pending.push(step);
        }
    }

    fn make_safe(&mut self, which: impl Fn(&Step) -> bool) {
        for step in std::mem::take(&mut self.pending) {
            if which(&step) {
                self.safe.apply(step);
            } else {
                self.pending.push(step);
            }
        }
    }

    fn commit_begin(&mut self, v: Code) -> Result<(), Refused> {
        let steps = commit::commit(&self.held(), version(v))?;
        let publish = steps.into_iter().filter(|step| matches!(step, Step::Publish { .. }));
        self.change(publish.collect());
        Ok(())
    }

    fn commit_end(&mut self, v: Code, rules: &Rules) {
        self.sync_pieces();
        let is_tombstone = self.now.published[usize::from(TOMBSTONE)] == v;
        if is_tombstone || !rules.behind_unsynced {
            self.sync_tombstone();
        }
        if let Ok(steps) = commit::commit(&self.held(), version(v)) {
            self.change(steps);
        }
    }

    /// A rename is safe with the directory into which it went.
    fn sync_pieces(&mut self) {
        self.make_safe(|step| of_directory(step, false));
    }

    fn sync_tombstone(&mut self) {
        self.make_safe(|step| of_directory(step, true));
    }

    /// Every disk that a power failure can leave, after the restart's own work.
    fn crashed(&self) -> Vec<Server> {
        let mut outcomes: Vec<Server> = Vec::new();
        for kept in 0..1_u32 << self.pending.len() {
            let mut disk = self.safe.clone();
            for (_, &step) in self.pending.iter().enumerate().filter(|(i, _)| kept & 1 << i != 0) {
                disk.apply(step);
            }
            let steps = commit::recover(&held(&disk, 0));
            disk.apply_all(steps);
            let server = Server {
                up: false,
                crashes: self.crashes - 1,
                restarted: true,
                now: disk.clone(),
                safe: disk,
                pending: Vec::new(),
                open: 0,
                ..self.clone()
            };
            if !outcomes.contains(&server) {
                outcomes.push(server);
            }
        }
        outcomes
    }

    /// Forgets what can make no difference any more, so that equal states are the same.
    fn settled(mut self) -> Self {
        if self.crashes == 0 {
            self.safe = self.now.clone();
            self.pending.clear();
        }
        let staged = self.now.staged.iter().fold(0, |open, (_, v)| open | 1 << writer_of(*v));
        self.open &= staged;
        self.mark = self.mark.max(self.safe.newest());
        self
    }
}

fn held(disk: &Disk, open: u8) -> Vec<Held> {
    let published = (0..).zip(disk.published).filter(|(_, v)| *v != 0);
    let published =
        published.map(|(piece, v)| Held { piece, version: version(v), state: PieceState::Published });
    let staged = disk.staged.iter().map(|&(piece, v)| Held {
        piece,
        version: version(v),
        state: PieceState::Staged { open: open & 1 << writer_of(v) != 0 },
    });
    published.chain(staged).collect()
}

fn held_as_closed(mut held: Vec<Held>) -> Vec<Held> {
    let staged = held.iter_mut().filter(|h| h.state != PieceState::Published);
    staged.for_each(|h| h.state = PieceState::Staged { open: false });
    held
}

fn of_directory(step: &Step, of_tombstones: bool) -> bool {
    match step {
        Step::Publish { piece, .. } | Step::DropPublished { piece } => (*piece == TOMBSTONE) == of_tombstones,
        Step::DropStaged { .. } => false,
    }
}

/// The piece numbers in a set of bits.
fn members(pieces: u8) -> impl Iterator<Item = u8> {
    (0..=PIECES).filter(move |piece| pieces & 1 << piece != 0)
}
