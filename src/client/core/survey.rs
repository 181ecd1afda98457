//! What the servers hold of a name, as far as its seals can be trusted.

use super::sight::Unseen;
use crate::commit::{self, Asked, Held, OneWord, PieceState, Seen, Skew, TOMBSTONE, Time, UsedUp, View};
use crate::name::{FilePath, UserName};
use crate::placement::{self, PieceSet, Scheme};
use crate::primitives::sha256;
use crate::sealed::{Claim, Distrust, Header, MasterKey, Opening};
use crate::version::Version;
use crate::wire::{NameReport, Reported};

/// A copy that cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Distrusted {
    pub(crate) server: usize,
    pub(crate) piece: u8,
    pub(crate) why: Distrust,
}

/// What a server kept of a piece that did not arrive completely.
#[derive(Clone, PartialEq)]
pub(crate) struct Partial {
    pub(crate) server: usize,
    pub(crate) opening: Opening,
    /// How many whole chunks, according to the server.
    pub(crate) chunks: u64,
}

impl Partial {
    /// Bytes of the file in it.
    fn bytes(&self) -> u64 {
        let Header { piece_size, .. } = self.opening.header;
        self.chunks.saturating_mul(self.opening.header.chunk_size()).min(piece_size)
    }
}

/// One name on all servers.
#[derive(Clone)]
pub(crate) struct Survey {
    pub(crate) path: FilePath,
    /// By server; `None` for one that did not answer. Only what has a good seal.
    pub(crate) answers: Vec<Option<Vec<Held>>>,
    /// The servers that did not answer.
    pub(crate) unseen: Unseen,
    claims: Vec<Claim>,
    /// Pieces that have not arrived completely. Only what has a good seal.
    pub(crate) partial: Vec<Partial>,
    /// Versions of which something is arriving.
    arriving: Vec<Version>,
    pub(crate) distrusted: Vec<Distrusted>,
    /// Generations of claims that cannot be trusted.
    unverified: Vec<u64>,
    /// By server: its floor when it answered.
    pub(crate) floors: Vec<u64>,
    /// By server: its clock when it answered.
    clocks: Vec<Option<u64>>,
    /// This client's clock before and after that.
    asked: Asked,
    /// What rests on one server's word, and was not proved.
    pub(crate) unproved: Option<Unproved>,
}

/// The part of a version that rests on one server's word, and was not proved.
#[derive(Debug, Clone)]
pub(crate) struct Unproved {
    /// What could not be staged elsewhere, and on whose word it rests.
    pub(crate) word: OneWord,
    /// Whether that server provided what it was asked for, but others did not accept it.
    pub(crate) is_given: bool,
    /// What went wrong.
    pub(crate) why: String,
}

impl Unproved {
    /// Whether it is about this piece on this server.
    pub(crate) fn is_of(&self, server: usize, piece: u8) -> bool {
        self.word.server == server && self.word.pieces.contains(&piece)
    }
}

impl Survey {
    pub(super) fn new(path: FilePath, servers: usize, asked: Asked) -> Self {
        Self {
            path,
            answers: vec![None; servers],
            unseen: Unseen::default(),
            claims: Vec::new(),
            partial: Vec::new(),
            arriving: Vec::new(),
            distrusted: Vec::new(),
            unverified: Vec::new(),
            floors: vec![0; servers],
            clocks: vec![None; servers],
            asked,
            unproved: None,
        }
    }

    pub(super) fn take(&mut self, server: usize, report: NameReport, user: &UserName, key: &MasterKey) {
        self.floors[server] = report.floor;
        self.clocks[server] = Some(report.clock);
        let mut held = Vec::new();
        for reported in report.pieces {
            match reported {
                Reported::Damaged(piece) => {
                    note(&mut self.distrusted, Distrusted { server, piece, why: Distrust::Damaged });
                }
                Reported::Partial(opening, chunks) => {
                    let header = &opening.header;
                    let is_its_own = header.path == self.path && header.user == *user;
                    if is_its_own && key.verify_opening(&opening).is_ok() {
                        note(&mut self.partial, Partial { server, opening: *opening, chunks });
                    }
                }
                Reported::Arriving(version) => note(&mut self.arriving, version),
                Reported::Piece(state, claim) => {
                    let (piece, version) = (claim.header.piece, claim.header.version);
                    let in_place = claim.header.path == self.path && claim.header.user == *user;
                    // The other copy of a piece has the same claim.
                    let is_known = self.claim(version, piece).is_some_and(|known| *known == *claim);
                    let distrust = if is_known { None } else { key.verify(&claim).err() };
                    match distrust.or((!in_place).then_some(Distrust::Damaged)) {
                        None => {
                            note(&mut held, Held { piece, version, state });
                            if self.claim(version, piece).is_none() {
                                self.claims.push(*claim);
                            }
                        }
                        Some(why) => {
                            note(&mut self.unverified, version.generation);
                            note(&mut self.distrusted, Distrusted { server, piece, why });
                        }
                    }
                }
            }
        }
        self.answers[server] = Some(held);
    }

    /// The generation of a new version: by the clock, or the least that it may have. `last_try` is that of the writer's
    /// last attempt, or 0.
    pub(crate) fn next_generation(
        &self,
        replicas: usize,
        last_try: u64,
        by_clock: bool,
    ) -> Result<u64, UsedUp> {
        let answered = self.answers.iter().zip(&self.floors).filter(|(answer, _)| answer.is_some());
        let floors: Vec<u64> = answered.map(|(_, floor)| *floor).collect();
        let partial = self.partial.iter().map(|partial| partial.opening.header.version.rank());
        let sealed = partial.fold(self.view().generation, u64::max);
        let seen = Seen { sealed, floors: &floors, unsealed: &self.unverified, replicas };
        let next = if by_clock { commit::next_generation } else { commit::least_generation };
        next(&seen, self.time(), last_try)
    }

    fn time(&self) -> Time {
        let clocks: Vec<u64> = self.clocks.iter().flatten().copied().collect();
        commit::time(self.asked, &clocks)
    }

    /// If this client's clock cannot be used, the servers from whose clocks it is far, and how far.
    pub(crate) fn clock_is_off(&self) -> Vec<(usize, Skew)> {
        if self.time().clock.is_some() {
            return Vec::new();
        }
        let skew = |clock: &Option<u64>| clock.and_then(|clock| commit::skew(self.asked, clock));
        self.clocks.iter().enumerate().filter_map(|(s, clock)| Some((s, skew(clock)?))).collect()
    }

    pub(crate) fn view(&self) -> View {
        commit::resolve(&self.answers)
    }

    /// The newest decided version, unless that is a delete.
    pub(crate) fn file_version(&self) -> Option<Version> {
        self.view().decided.filter(|&version| self.holders(version, TOMBSTONE).is_empty())
    }

    /// The servers that hold a piece of a version.
    pub(crate) fn holders(&self, version: Version, piece: u8) -> Vec<usize> {
        commit::holders(&self.answers, version, piece)
    }

    /// All servers in the order in which the placement considers them for a piece, its home first.
    pub(crate) fn ring(&self, piece: u8) -> Vec<usize> {
        let of_piece = self.claims.iter().filter(|claim| claim.header.piece == piece);
        let newest = of_piece.max_by_key(|claim| claim.header.version);
        let scheme = newest.map_or(Scheme::Copies, scheme_of);
        scheme.ring(&sha256(self.path.as_str().as_bytes()), self.answers.len(), piece)
    }

    /// The sealed claim for a piece of a version; it is the same on every server.
    pub(crate) fn claim(&self, version: Version, piece: u8) -> Option<&Claim> {
        self.claims.iter().find(|c| c.header.version == version && c.header.piece == piece)
    }

    /// Any claim of a version, for what all its pieces have in common.
    pub(crate) fn any_claim(&self, version: Version) -> Option<&Claim> {
        self.claims.iter().find(|c| c.header.version == version)
    }

    /// Whether anything was found, and all of it was made under another key.
    pub(crate) fn only_other_keys(&self) -> bool {
        self.claims.is_empty() && self.has_other_keys()
    }

    /// Whether anything of it was made under another key.
    pub(crate) fn has_other_keys(&self) -> bool {
        self.distrusted.iter().any(|d| d.why == Distrust::OtherKey)
    }

    /// Whether the newest decided version is a delete.
    pub(crate) fn tombstone(&self) -> Option<Version> {
        self.view().decided.filter(|&version| !self.holders(version, TOMBSTONE).is_empty())
    }

    /// Whether a file of that name can be seen, even if only as something unreadable.
    pub(crate) fn is_a_file(&self) -> bool {
        self.file_version().is_some() || (self.view().decided.is_none() && !self.distrusted.is_empty())
    }

    /// Servers that have something older than `version`, something of it or of an older one that did not arrive
    /// completely, or something damaged, not counting the pieces in `replaced`, each with its server.
    pub(crate) fn outdated(&self, version: Version, replaced: &[(usize, u8)]) -> Vec<usize> {
        let stays = |server: usize, piece: u8| !replaced.contains(&(server, piece));
        let older = |server: usize| {
            let mut held = self.answers[server].iter().flatten();
            held.any(|h| h.version < version && stays(server, h.piece))
        };
        let partial = |server: usize| {
            self.partial.iter().any(|kept| kept.server == server && kept.opening.header.version <= version)
        };
        let damaged = |d: &Distrusted| d.why == Distrust::Damaged && stays(d.server, d.piece);
        let distrusted = |server: usize| self.distrusted.iter().any(|d| d.server == server && damaged(d));
        (0..self.answers.len())
            .filter(|&server| older(server) || partial(server) || distrusted(server))
            .collect()
    }

    /// What is left to settle: the decided version, if it may be rolled forward, and those to abort, each with
    /// the servers on which it is staged.
    pub(crate) fn unsettled(&self) -> Vec<(Version, Vec<usize>)> {
        self.waiting().into_iter().chain(self.abandoned()).collect()
    }

    /// The versions that seem abandoned, each with the servers that hold something of it: see [`View::abandoned`].
    /// Those of which nothing has arrived completely are among them.
    pub(crate) fn abandoned(&self) -> Vec<(Version, Vec<usize>)> {
        let View { decided, mut abandoned, .. } = self.view();
        let is_staged = |version: Version| {
            let mut held = self.answers.iter().flatten().flatten();
            held.any(|h| h.version == version)
        };
        for Partial { server, opening, .. } in &self.partial {
            let version = opening.header.version;
            match abandoned.iter_mut().find(|(known, _)| *known == version) {
                Some((_, servers)) => note(servers, *server),
                None if Some(version) > decided && self.all_answered() && !is_staged(version) => {
                    abandoned.push((version, vec![*server]));
                }
                None => {}
            }
        }
        abandoned.retain(|(version, _)| !self.arriving.contains(version));
        abandoned
    }

    /// Whether the writer of a version is at work, as far as servers can tell.
    pub(crate) fn is_in_progress(&self, version: Version) -> bool {
        let mut held = self.answers.iter().flatten().flatten();
        let is_open = |h: &Held| h.version == version && h.state == PieceState::Staged { open: true };
        self.arriving.contains(&version) || held.any(is_open)
    }

    /// Bytes that the servers hold of a version that is not decided.
    pub(crate) fn bytes_staged(&self, version: Version) -> u64 {
        let staged = placement::numbers().map(|piece| {
            let size = self.claim(version, piece).map_or(0, |claim| claim.header.piece_size);
            size * self.holders(version, piece).len() as u64
        });
        let partial = self.partial.iter().filter(|partial| partial.opening.header.version == version);
        staged.chain(partial.map(Partial::bytes)).sum()
    }

    /// The decided version, and where it is staged, if every piece of it exists: otherwise a server that lies about
    /// one commit could have an unfinished upload replace a whole file.
    fn waiting(&self) -> Option<(Version, Vec<usize>)> {
        let View { decided, forward, .. } = self.view();
        let whole = |v: &Version| self.is_complete(*v) || self.tombstone() == Some(*v);
        decided.filter(whole).filter(|_| !forward.is_empty()).map(|version| (version, forward))
    }

    /// The part of that which may be committed as it is. What rests on one server's word may not, except on that
    /// server, and except for the caller's `own` versions, for which it knows that every piece was staged on all its
    /// holders.
    pub(super) fn to_roll_forward(&self, own: &[Version]) -> Option<(Version, Vec<usize>)> {
        let (version, mut servers) = self.waiting()?;
        if !own.contains(&version)
            && let Some(word) = self.one_word(version)
        {
            servers.retain(|server| *server == word.server);
        }
        (!servers.is_empty()).then_some((version, servers))
    }

    /// The part of a version that rests on the word of one server, and must be proved.
    pub(crate) fn one_word(&self, version: Version) -> Option<OneWord> {
        let replicas = self.replicas_wanted(version).unwrap_or(1);
        commit::to_prove(&self.answers, version, self.scheme(version), replicas)
    }

    /// The decided version of a file, if all of it seems to exist, and it rests on one server's word.
    pub(crate) fn to_prove(&self) -> Option<(Version, OneWord)> {
        let version = self.file_version().filter(|&version| self.is_complete(version))?;
        Some((version, self.one_word(version)?))
    }

    /// Whether a part of it is staged on other servers, from which it cannot be read.
    pub(crate) fn waits_for(&self, word: &OneWord) -> bool {
        self.view().forward.iter().any(|server| *server != word.server)
    }

    /// Notes that a server has staged a piece.
    pub(crate) fn note_staged(&mut self, server: usize, piece: u8, version: Version) {
        let held = Held { piece, version, state: PieceState::Staged { open: true } };
        self.answers[server].iter_mut().for_each(|answer| note(answer, held));
    }

    /// Whether the decided version cannot be used because it was not proved: the only server that says that it was
    /// stored does not provide it, or what is staged elsewhere must be published first.
    pub(crate) fn is_in_doubt(&self, version: Version) -> bool {
        let is_published = |piece: u8| {
            let published = Held { piece, version, state: PieceState::Published };
            self.answers.iter().flatten().flatten().any(|held| *held == published)
        };
        let doubt = self.unproved.as_ref();
        doubt.is_some_and(|doubt| !doubt.is_given || !placement::suffices(is_published))
    }

    /// Whether a server has answered, and has nothing of a version that is only staged.
    pub(crate) fn is_settled(&self, version: Version, server: usize) -> bool {
        let waits = |h: &Held| h.version == version && h.state != PieceState::Published;
        self.answers[server].as_ref().is_some_and(|held| !held.iter().any(waits))
    }

    /// The servers that hold any piece of a version.
    pub(crate) fn shown_by(&self, version: Version) -> Vec<usize> {
        let holds = |s: &usize| placement::numbers().any(|piece| self.holders(version, piece).contains(s));
        (0..self.answers.len()).filter(holds).collect()
    }

    /// R of a version, as far as there are servers: any R - 1 may be lost. `None` if no claim says so.
    pub(crate) fn replicas_wanted(&self, version: Version) -> Option<usize> {
        let replicas = usize::from(self.any_claim(version)?.header.replicas);
        Some(placement::copies_wanted(replicas, self.answers.len()))
    }

    /// By which scheme a version is protected.
    pub(crate) fn scheme(&self, version: Version) -> Scheme {
        self.any_claim(version).map_or(Scheme::Copies, scheme_of)
    }

    /// The pieces of a version, by server.
    pub(crate) fn held(&self, version: Version) -> Vec<PieceSet> {
        let of_version = |answer: &Option<Vec<Held>>| {
            answer.iter().flatten().filter(|held| held.version == version).map(|held| held.piece).collect()
        };
        self.answers.iter().map(of_version).collect()
    }

    /// Whether every server has reported what it holds.
    pub(crate) fn all_answered(&self) -> bool {
        self.answers.iter().all(Option::is_some)
    }

    /// Whether every piece of a version has a holder that answered.
    pub(crate) fn is_complete(&self, version: Version) -> bool {
        placement::suffices(|piece| !self.holders(version, piece).is_empty())
    }
}

fn scheme_of(claim: &Claim) -> Scheme {
    claim.header.scheme
}

/// Notes what is not noted yet: a server may report the same thing many times, and it counts once.
fn note<T: PartialEq>(noted: &mut Vec<T>, new: T) {
    if !noted.contains(&new) {
        noted.push(new);
    }
}
