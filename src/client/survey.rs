//! What the servers hold of a name, as far as its seals can be trusted; and settling what others
//! left half done.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Client;
use super::cluster::Cluster;
use super::repair::Unproved;
use super::report::{Phase, Report, timed};
use super::sight::Unseen;
use super::writing::staging_answer;
use crate::commit::{
    self, Asked, Held, OneWord, Phase as HeldPhase, Seen, Skew, TOMBSTONE, Time, UsedUp, View,
};
use crate::name::{FilePath, ServerName, UserName};
use crate::peer::Peer;
use crate::placement;
use crate::primitives::sha256;
use crate::sealed::{Claim, Distrust, MasterKey};
use crate::version::Version;
use crate::wire::{NameReport, Reported, Request};

/// LOOKs that are sent ahead of their replies.
const WINDOW: usize = 128;

/// A copy that cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Distrusted {
    pub(super) server: usize,
    pub(super) piece: u8,
    pub(super) why: Distrust,
}

/// One name on all servers.
#[derive(Clone)]
pub(super) struct Survey {
    pub(super) path: FilePath,
    /// By server; `None` for one that did not answer. Only what has a good seal.
    pub(super) answers: Vec<Option<Vec<Held>>>,
    /// Those that did not.
    pub(super) unseen: Unseen,
    claims: Vec<Claim>,
    pub(super) distrusted: Vec<Distrusted>,
    /// Generations of claims that cannot be trusted.
    unverified: Vec<u64>,
    /// By server: its floor when it answered.
    pub(super) floors: Vec<u64>,
    /// By server: its clock when it answered.
    clocks: Vec<Option<u64>>,
    /// This client's clock before and after that.
    asked: Asked,
    /// What stands on one server's word, and was not proved.
    pub(super) unproved: Option<Unproved>,
}

/// This client's clock, in milliseconds since 1970 UTC.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Survey {
    fn new(path: FilePath, servers: usize) -> Self {
        Self {
            path,
            answers: vec![None; servers],
            unseen: Unseen::default(),
            claims: Vec::new(),
            distrusted: Vec::new(),
            unverified: Vec::new(),
            floors: vec![0; servers],
            clocks: vec![None; servers],
            asked: Asked::default(),
            unproved: None,
        }
    }

    fn take(&mut self, server: usize, report: NameReport, user: &UserName, key: &MasterKey) {
        self.floors[server] = report.floor;
        self.clocks[server] = Some(report.clock);
        let mut held = Vec::new();
        for reported in report.pieces {
            match reported {
                Reported::Damaged(piece) => {
                    note(&mut self.distrusted, Distrusted { server, piece, why: Distrust::Damaged });
                }
                Reported::Piece(phase, claim) => {
                    let (piece, version) = (claim.header.piece, claim.header.version);
                    let in_place = claim.header.path == self.path && claim.header.user == *user;
                    match key.verify(&claim).err().or((!in_place).then_some(Distrust::Damaged)) {
                        None => {
                            note(&mut held, Held { piece, version, phase });
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

    /// The generation of a new version, of which `last_try` was the writer's last one, or 0: by the clock, or the
    /// least that it may have.
    pub(super) fn next_generation(
        &self,
        replicas: usize,
        last_try: u64,
        by_clock: bool,
    ) -> Result<u64, UsedUp> {
        let answered = self.answers.iter().zip(&self.floors).filter(|(answer, _)| answer.is_some());
        let floors: Vec<u64> = answered.map(|(_, floor)| *floor).collect();
        let sealed = self.view().generation;
        let seen = Seen { sealed, floors: &floors, unsealed: &self.unverified, replicas };
        let next = if by_clock { commit::next_generation } else { commit::least_generation };
        next(&seen, self.time(), last_try)
    }

    fn time(&self) -> Time {
        let clocks: Vec<u64> = self.clocks.iter().flatten().copied().collect();
        commit::time(self.asked, &clocks)
    }

    /// If this client's clock cannot be used: the servers from whose clocks it is far, and how far.
    pub(super) fn clock_is_off(&self) -> Vec<(usize, Skew)> {
        if self.time().clock.is_some() {
            return Vec::new();
        }
        let skew = |clock: &Option<u64>| clock.and_then(|clock| commit::skew(self.asked, clock));
        self.clocks.iter().enumerate().filter_map(|(s, clock)| Some((s, skew(clock)?))).collect()
    }

    pub(super) fn view(&self) -> View {
        commit::resolve(&self.answers)
    }

    /// The newest decided version, unless that is a delete.
    pub(super) fn file_version(&self) -> Option<Version> {
        self.view().decided.filter(|&version| self.holders(version, TOMBSTONE).is_empty())
    }

    /// The servers that hold a piece of a version.
    pub(super) fn holders(&self, version: Version, piece: u8) -> Vec<usize> {
        commit::holders(&self.answers, version, piece)
    }

    /// All servers in the order in which the placement takes them for a piece, its home first.
    pub(super) fn ring(&self, piece: u8) -> Vec<usize> {
        let everybody = vec![true; self.answers.len()];
        let mut rings =
            placement::holders(&sha256(self.path.as_str().as_bytes()), &everybody, everybody.len());
        rings.swap_remove(usize::from(piece) - 1)
    }

    /// The sealed claim for a piece of a version; the same from whichever server.
    pub(super) fn claim(&self, version: Version, piece: u8) -> Option<&Claim> {
        self.claims.iter().find(|c| c.header.version == version && c.header.piece == piece)
    }

    /// Any claim of a version, for what all its pieces have in common.
    pub(super) fn any_claim(&self, version: Version) -> Option<&Claim> {
        self.claims.iter().find(|c| c.header.version == version)
    }

    /// Whether there is something, but all of it was made under another key.
    pub(super) fn only_other_keys(&self) -> bool {
        self.claims.is_empty() && self.has_other_keys()
    }

    /// Whether anything of it was made under another key.
    pub(super) fn has_other_keys(&self) -> bool {
        self.distrusted.iter().any(|d| d.why == Distrust::OtherKey)
    }

    /// Whether the newest decided version is a delete.
    pub(super) fn tombstone(&self) -> Option<Version> {
        self.view().decided.filter(|&version| !self.holders(version, TOMBSTONE).is_empty())
    }

    /// Whether a file of that name can be seen, if only as something unreadable.
    pub(super) fn is_a_file(&self) -> bool {
        self.file_version().is_some() || (self.view().decided.is_none() && !self.distrusted.is_empty())
    }

    /// Servers that have something older than `version`, or something damaged, apart from the pieces in
    /// `replaced`, each with its server.
    pub(super) fn outdated(&self, version: Version, replaced: &[(usize, u8)]) -> Vec<usize> {
        let stays = |server: usize, piece: u8| !replaced.contains(&(server, piece));
        let older = |server: usize| {
            let mut held = self.answers[server].iter().flatten();
            held.any(|h| h.version < version && stays(server, h.piece))
        };
        let damaged = |d: &Distrusted| d.why == Distrust::Damaged && stays(d.server, d.piece);
        let distrusted = |server: usize| self.distrusted.iter().any(|d| d.server == server && damaged(d));
        (0..self.answers.len()).filter(|&server| older(server) || distrusted(server)).collect()
    }

    /// What is left to settle: the decided version, if it may be rolled forward, and those to abort, each with
    /// the servers on which it is staged.
    pub(super) fn unsettled(&self) -> Vec<(Version, Vec<usize>)> {
        self.waiting().into_iter().chain(self.view().abandoned).collect()
    }

    /// The decided version, where it is staged, and every piece of it is there: else a server that lies about
    /// one commit could have an unfinished upload replace a whole file.
    fn waiting(&self) -> Option<(Version, Vec<usize>)> {
        let View { decided, forward, .. } = self.view();
        let whole = |v: &Version| self.is_complete(*v) || self.tombstone() == Some(*v);
        decided.filter(whole).filter(|_| !forward.is_empty()).map(|version| (version, forward))
    }

    /// What of that may be committed as it is. What stands on one server's word may not, except on that server, and
    /// except for the asker's `own` versions, of which it knows that every piece was staged on all its holders.
    fn to_roll_forward(&self, own: &[Version]) -> Option<(Version, Vec<usize>)> {
        let (version, mut servers) = self.waiting()?;
        if !own.contains(&version)
            && let Some(word) = self.one_word(version)
        {
            servers.retain(|server| *server == word.server);
        }
        (!servers.is_empty()).then_some((version, servers))
    }

    /// What of a version stands on the word of one server, of a file that is to have more copies than one.
    pub(super) fn one_word(&self, version: Version) -> Option<OneWord> {
        let replicas = self.any_claim(version).map_or(1, |claim| usize::from(claim.header.replicas));
        let copies = placement::copies_wanted(replicas, self.answers.len());
        commit::one_word(&self.answers, version).filter(|_| copies > 1)
    }

    /// The decided version of a file, where all of it seems to be there, and stands on one server's word.
    pub(super) fn to_prove(&self) -> Option<(Version, OneWord)> {
        let version = self.file_version().filter(|&version| self.is_complete(version))?;
        Some((version, self.one_word(version)?))
    }

    /// Whether a part of it is staged on other servers, from where it cannot be read.
    pub(super) fn waits_for(&self, word: &OneWord) -> bool {
        self.view().forward.iter().any(|server| *server != word.server)
    }

    /// Notes that a server has staged a piece.
    pub(super) fn note_staged(&mut self, server: usize, piece: u8, version: Version) {
        let held = Held { piece, version, phase: HeldPhase::Staged { open: true } };
        self.answers[server].iter_mut().for_each(|answer| note(answer, held));
    }

    /// Whether the decided version cannot be used because it was not proved: the only server that says that it was
    /// stored does not give it, or what is staged elsewhere would have to be published first.
    pub(super) fn is_in_doubt(&self, version: Version) -> bool {
        let is_published = |piece: u8| {
            let published = Held { piece, version, phase: HeldPhase::Published };
            self.answers.iter().flatten().flatten().any(|held| *held == published)
        };
        let doubt = self.unproved.as_ref();
        doubt.is_some_and(|doubt| !doubt.is_given || !placement::suffices(is_published))
    }

    /// Whether a server has answered, and has nothing of a version that is only staged.
    pub(super) fn is_settled(&self, version: Version, server: usize) -> bool {
        let waits = |h: &Held| h.version == version && h.phase != HeldPhase::Published;
        self.answers[server].as_ref().is_some_and(|held| !held.iter().any(waits))
    }

    /// Whether every piece of a version has a holder that answered.
    pub(super) fn is_complete(&self, version: Version) -> bool {
        placement::suffices(|piece| !self.holders(version, piece).is_empty())
    }
}

impl Client {
    /// The servers that have a piece of a version.
    pub(super) fn shown_by(&self, survey: &Survey, version: Version) -> Vec<ServerName> {
        let holds = |s: &usize| placement::pieces().any(|piece| survey.holders(version, piece).contains(s));
        (0..self.cluster.len()).filter(holds).map(|s| self.cluster.name(s).clone()).collect()
    }
}

/// Notes what is not noted yet: a server may say the same many times, and is heard once.
fn note<T: PartialEq>(noted: &mut Vec<T>, new: T) {
    if !noted.contains(&new) {
        noted.push(new);
    }
}

impl Cluster {
    /// Asks every server that is up about names, and settles what it finds half done.
    pub(super) fn survey(
        &mut self,
        paths: &[FilePath],
        user: &UserName,
        key: &MasterKey,
        report: &dyn Report,
    ) -> Vec<Survey> {
        self.survey_own(paths, user, key, report, &[])
    }

    /// As [`Cluster::survey`], by a writer of these versions, who has staged every piece on all its holders.
    pub(super) fn survey_own(
        &mut self,
        paths: &[FilePath],
        user: &UserName,
        key: &MasterKey,
        report: &dyn Report,
        own: &[Version],
    ) -> Vec<Survey> {
        timed(report, Phase::Survey, || {
            let mut surveys = self.ask(paths, user, key, report);
            self.roll_forward(&mut surveys, own, report);
            if self.abort_abandoned(&surveys, report) {
                surveys = self.ask(paths, user, key, report);
            }
            surveys
        })
    }

    /// Asks every server that is up about names, and changes nothing.
    pub(super) fn ask(
        &mut self,
        paths: &[FilePath],
        user: &UserName,
        key: &MasterKey,
        report: &dyn Report,
    ) -> Vec<Survey> {
        let mut surveys = Vec::with_capacity(paths.len());
        for window in paths.chunks(WINDOW) {
            let up: Vec<usize> = self.up().collect();
            let requests: Vec<(usize, Request)> = window
                .iter()
                .flat_map(|path| up.iter().map(move |&server| (server, Request::Look(path.clone()))))
                .collect();
            let before = now();
            let answers = self.exchange(&requests, report, |peer| peer.receive_parsed(NameReport::parse));
            let asked = Asked { before, after: now() };
            let mut found: Vec<Survey> =
                window.iter().map(|path| Survey::new(path.clone(), self.len())).collect();
            for (index, ((server, _), answer)) in requests.iter().zip(answers).enumerate() {
                let survey = &mut found[index / up.len()];
                match answer {
                    Some(Ok(name_report)) => survey.take(*server, name_report, user, key),
                    Some(Err(no)) => survey.unseen.note(*server, no.to_string()),
                    // Lost on the way, as are those that were down before.
                    None => {}
                }
            }
            let down: Vec<_> = (0..self.len()).filter_map(|s| Some((s, self.why_down(s)?))).collect();
            for survey in &mut found {
                let unanswered = down.iter().filter(|(server, _)| survey.answers[*server].is_none());
                unanswered.for_each(|(server, why)| survey.unseen.note(*server, why.clone()));
            }
            surveys.extend(found.into_iter().map(|survey| Survey { asked, ..survey }));
        }
        surveys
    }

    /// Commits the staged pieces of versions that other servers have decided.
    pub(super) fn roll_forward(&mut self, surveys: &mut [Survey], own: &[Version], report: &dyn Report) {
        let mut work: Vec<(usize, Version)> = Vec::new();
        let mut requests = Vec::new();
        for (index, survey) in surveys.iter().enumerate() {
            let Some((version, servers)) = survey.to_roll_forward(own) else { continue };
            for server in servers {
                work.push((index, version));
                requests.push((server, Request::Commit(survey.path.clone(), version)));
            }
        }
        for (work, requests) in work.chunks(WINDOW).zip(requests.chunks(WINDOW)) {
            let answers = self.exchange(requests, report, Peer::receive_done);
            for ((&(index, version), (server, _)), answer) in work.iter().zip(requests).zip(answers) {
                if let (Some(Ok(())), Some(held)) = (answer, &mut surveys[index].answers[*server]) {
                    held.retain(|h| h.version >= version);
                    held.iter_mut()
                        .filter(|h| h.version == version)
                        .for_each(|h| h.phase = HeldPhase::Published);
                }
            }
        }
    }

    /// Aborts what writers who died have left, once every server has promised that it is undecided.
    /// Whether there was any.
    fn abort_abandoned(&mut self, surveys: &[Survey], report: &dyn Report) -> bool {
        let mut any = false;
        for survey in surveys {
            for (version, holders) in survey.view().abandoned {
                any = true;
                let fence = |server| (server, Request::Fence(survey.path.clone(), version));
                let fences: Vec<_> = (0..self.len()).map(fence).collect();
                let answers = self.exchange(&fences, report, Peer::receive_done);
                let promises: Vec<_> =
                    answers.iter().enumerate().map(|(s, answer)| (s, staging_answer(answer))).collect();
                if commit::may_abort(&promises, self.len()) {
                    let abort = |server| (server, Request::Abort(survey.path.clone(), version));
                    let aborts: Vec<_> = holders.into_iter().map(abort).collect();
                    self.exchange(&aborts, report, Peer::receive_done);
                }
            }
        }
        any
    }
}
