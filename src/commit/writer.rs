//! The writer's side: the steps of one upload or delete of one name.
//!
//! ```text
//! Writer<Staging> ──staged──▶ Writer<Committing> ──committed──▶ Outcome
//!        └───────────give_up / staged───▶ Writer<Aborting>
//! ```
//!
//! Each step consumes the writer and says which servers to ask next, so a commit before every stage is acknowledged, or
//! after an abort, does not compile. A commit goes over the connections on which the version was staged: what a server
//! has staged on a connection that was lost since does not count.

use std::marker::PhantomData;

use super::answer::Answer;
use super::held::{Held, PieceState};
use super::reader::resolve;
use crate::placement::{self, TOMBSTONE};
use crate::version::{UploadId, Version};

/// Phase of a [`Writer`]: pieces are being sent to [`Writer::servers`].
#[derive(Debug)]
pub struct Staging;

/// Phase of a [`Writer`]: [`Writer::servers`] must be sent the commit.
#[derive(Debug)]
pub struct Committing;

/// Phase of a [`Writer`]: [`Writer::servers`] should be sent the abort. That is a courtesy: what remains is settled by
/// the next client that finds it.
#[derive(Debug)]
pub struct Aborting;

/// One version of one name that is being written.
#[derive(Debug)]
#[must_use]
pub struct Writer<P> {
    version: Version,
    servers: Vec<usize>,
    phase: PhantomData<P>,
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Decided: success may be reported.
    Done {
        /// Servers that have published it, or have something newer. If these are fewer than R, the loss of R-1 more
        /// may bring the old version back: the user must be warned.
        committed: Vec<usize>,
        /// Servers that were sent the commit and did not confirm it.
        missing: Vec<usize>,
    },
    /// A newer version is decided and whole, so it no longer matters how far this one came: it counts as done before
    /// the newer one.
    Overtaken,
    /// No server has anything of it any more: other clients took it for abandoned, or a delete overtook it. It can be
    /// tried again, as a new version.
    NeverHappened,
    /// No server confirmed, and at least one of them may have done it.
    Undecided,
}

impl<P> Writer<P> {
    /// The version that is being written.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The servers to ask in this phase, in order.
    pub fn servers(&self) -> &[usize] {
        &self.servers
    }

    fn next<Q>(self, servers: Vec<usize>) -> Writer<Q> {
        Writer { version: self.version, servers, phase: PhantomData }
    }
}

impl Writer<Staging> {
    /// A new version: `generation` is from [`next_generation`](super::next_generation); `upload` is random. An
    /// upload is staged on the holders of its pieces, a delete on every server that can be reached. `servers` may
    /// contain a server more than once.
    pub fn new(generation: u64, upload: UploadId, mut servers: Vec<usize>) -> Self {
        servers.sort_unstable();
        servers.dedup();
        Self { version: Version { generation, upload }, servers, phase: PhantomData }
    }

    /// A version that is given: the delete of one version alone has its [`Version::successor`], a file that gets a
    /// name through a Move has [`Version::of_moved`]. `servers` as in [`Writer::new`].
    pub fn at(version: Version, mut servers: Vec<usize>) -> Self {
        servers.sort_unstable();
        servers.dedup();
        Self { version, servers, phase: PhantomData }
    }

    /// Stages on these servers from now on: others get what one that was lost should have held. It may be left with a part
    /// of the version, which is committed there when it is found, as on any server that was away during the commit.
    /// `servers` as in [`Writer::new`].
    pub fn replace(&mut self, mut servers: Vec<usize>) {
        servers.sort_unstable();
        servers.dedup();
        self.servers = servers;
    }

    /// Takes the answers to every piece that was sent; a server without an answer counts as lost. The version can be
    /// committed on the servers that staged everything they were sent, if these are at least `least`.
    ///
    /// An upload needs all of `servers()`, because each of them holds a piece that has no copy to spare. A delete needs
    /// R, because any R servers outvote what the others remember.
    ///
    /// # Errors
    /// The writer that aborts, if these are too few. The upload or delete can be tried again.
    pub fn staged<T, R>(
        self,
        answers: &[(usize, Answer<T, R>)],
        least: usize,
    ) -> Result<Writer<Committing>, Writer<Aborting>> {
        let of = |server: usize| answers.iter().filter(move |(s, _)| *s == server).map(|(_, answer)| answer);
        let is_staged = |s: &usize| of(*s).next().is_some() && of(*s).all(Answer::is_done);
        let ready: Vec<usize> = self.servers.iter().copied().filter(is_staged).collect();
        if !ready.is_empty() && ready.len() >= least {
            return Ok(self.next(ready));
        }
        let reachable = |s: &usize| !of(*s).any(Answer::is_lost);
        let servers = self.servers.iter().copied().filter(reachable).collect();
        Err(self.next(servers))
    }

    /// Stops for a reason of the writer's own.
    pub fn give_up(self) -> Writer<Aborting> {
        let servers = self.servers.clone();
        self.next(servers)
    }
}

impl Writer<Committing> {
    /// Stops for a reason of the writer's own.
    pub fn give_up(self) -> Writer<Aborting> {
        let servers = self.servers.clone();
        self.next(servers)
    }

    /// Takes the answers to the commit; a server without an answer counts as lost.
    pub fn committed<T, R>(self, answers: &[(usize, Answer<T, R>)]) -> Outcome {
        let answer = |server: usize| answers.iter().find(|(s, _)| *s == server).map(|(_, answer)| answer);
        let (committed, missing): (Vec<usize>, Vec<usize>) =
            self.servers.iter().partition(|&&server| answer(server).is_some_and(Answer::is_done));
        if !committed.is_empty() {
            return Outcome::Done { committed, missing };
        }
        let all_refused = missing.iter().all(|&server| matches!(answer(server), Some(Answer::Refused(_))));
        if all_refused { Outcome::NeverHappened } else { Outcome::Undecided }
    }
}

impl Outcome {
    /// The outcome in the light of a later look at all servers, which has settled what it could. It is for a commit of
    /// `version` on the servers `asked` whose connections were cut. What the look shows counts; the commit's own answer
    /// counts only for a server that did not answer the look. `copies` is how many copies a version should have: a
    /// newer version counts as decided if it is whole, and vouched for by more than one server if it should have more
    /// than one copy. Otherwise a server that lies could show a version that was given up, and so hide from the user
    /// that no server has this one.
    #[must_use]
    pub fn seen(
        self,
        version: Version,
        asked: &[usize],
        answers: &[Option<Vec<Held>>],
        copies: usize,
    ) -> Self {
        let published =
            || answers.iter().flatten().flatten().filter(|held| held.state == PieceState::Published);
        let mut newer = published().map(|held| held.version).filter(|&newer| newer > version);
        if newer.any(|newer| is_whole(answers, newer, copies)) {
            return Outcome::Overtaken;
        }
        if published().any(|held| held.version == version) {
            let (committed, missing) = asked.iter().partition(|&&server| match &answers[server] {
                Some(held) => is_published(held, version),
                None => matches!(&self, Outcome::Done { committed, .. } if committed.contains(&server)),
            });
            return Outcome::Done { committed, missing };
        }
        let has_nothing = |held: &Vec<Held>| held.iter().all(|h| h.version != version);
        // A newer version that is not whole may have dropped it.
        let is_newest = resolve(answers).decided <= Some(version);
        if is_newest && answers.iter().all(|answer| answer.as_ref().is_some_and(has_nothing)) {
            return Outcome::NeverHappened;
        }
        self
    }

    /// Whether another look at the servers would say nothing new.
    pub fn is_certain(&self) -> bool {
        match self {
            Outcome::Done { missing, .. } => missing.is_empty(),
            Outcome::Overtaken | Outcome::NeverHappened => true,
            Outcome::Undecided => false,
        }
    }

    /// Whether a tombstone may be forgotten: only when all `servers` have acknowledged the commit. One that has not may
    /// still hold the file.
    pub fn may_forget(&self, servers: usize) -> bool {
        matches!(self, Outcome::Done { committed, .. } if committed.len() == servers)
    }
}

/// Whether a version is available from the servers that have published it. That takes as many servers as there should
/// be copies for a tombstone; for a file all its pieces, and a second server if it should have more than one copy.
fn is_whole(answers: &[Option<Vec<Held>>], version: Version, copies: usize) -> bool {
    let is_of = |held: &&Held| held.version == version && held.state == PieceState::Published;
    let has = |piece| answers.iter().flatten().flatten().filter(is_of).any(|held| held.piece == piece);
    let publishers = answers.iter().flatten().filter(|held| held.iter().any(|held| is_of(&held))).count();
    match has(TOMBSTONE) {
        true => publishers >= copies,
        false => placement::suffices(has) && publishers >= copies.min(2),
    }
}

/// Whether a server holds something of a version, and has published all of it.
fn is_published(held: &[Held], version: Version) -> bool {
    let mut of_version = held.iter().filter(|h| h.version == version).peekable();
    of_version.peek().is_some() && of_version.all(|h| h.state == PieceState::Published)
}

#[cfg(test)]
mod tests {
    const DONE: Answer = Answer::Done(());
    const REFUSED: Answer = Answer::Refused(());
    const LOST: Answer = Answer::Lost;
    use super::*;

    fn staging() -> Writer<Staging> {
        Writer::new(7, [9; 16], vec![2, 0, 1, 2])
    }

    fn committing() -> Writer<Committing> {
        staging().staged(&[(0, DONE), (1, DONE), (2, DONE)], 3).unwrap()
    }

    #[test]
    fn each_server_is_asked_once() {
        assert_eq!(staging().version(), Version { generation: 7, upload: [9; 16] });
        assert_eq!(staging().servers(), [0, 1, 2]);
    }

    #[test]
    fn an_upload_is_committed_only_when_every_piece_is_staged() {
        assert_eq!(committing().servers(), [0, 1, 2]);
        for missing in [
            vec![(0, DONE), (1, DONE)],
            vec![(0, DONE), (1, DONE), (2, DONE), (2, REFUSED)],
            vec![(0, DONE), (1, DONE), (2, REFUSED)],
        ] {
            assert_eq!(staging().staged(&missing, 3).unwrap_err().servers(), [0, 1, 2]);
        }
        let lost = staging().staged(&[(0, DONE), (1, LOST), (2, DONE)], 3).unwrap_err();
        assert_eq!(lost.servers(), [0, 2]);
    }

    #[test]
    fn a_delete_is_committed_where_it_is_staged() {
        let answers = [(0, DONE), (1, REFUSED), (2, DONE)];
        assert_eq!(staging().staged(&answers, 2).unwrap().servers(), [0, 2]);
        assert_eq!(staging().staged(&answers, 3).unwrap_err().servers(), [0, 1, 2]);
        assert!(staging().staged::<(), ()>(&[], 0).is_err());
    }

    #[test]
    fn one_server_that_committed_decides() {
        let outcome = committing().committed(&[(0, REFUSED), (1, DONE), (2, LOST)]);
        assert_eq!(outcome, Outcome::Done { committed: vec![1], missing: vec![0, 2] });
        assert!(!outcome.may_forget(3));
        let outcome = committing().committed(&[(0, DONE), (1, DONE), (2, DONE)]);
        assert!(outcome.may_forget(3) && !outcome.may_forget(4));
    }

    #[test]
    fn only_a_no_from_every_server_means_that_it_never_happened() {
        let refused = [(0, REFUSED), (1, REFUSED), (2, REFUSED)];
        assert_eq!(committing().committed(&refused), Outcome::NeverHappened);
        assert_eq!(committing().committed(&refused[..2]), Outcome::Undecided);
        assert_eq!(committing().committed(&[(0, LOST), (1, REFUSED), (2, REFUSED)]), Outcome::Undecided);
    }

    /// A server's answer about one piece, of generation 7, which is committed, or of another.
    fn holds(generation: u64, state: PieceState) -> Option<Vec<Held>> {
        Some(vec![Held { piece: 1, version: Version { generation, upload: [9; 16] }, state }])
    }

    const OPEN: PieceState = PieceState::Staged { open: true };
    const CLOSED: PieceState = PieceState::Staged { open: false };

    /// The outcome after these answers of the servers.
    fn after(outcome: Outcome, answers: &[Option<Vec<Held>>]) -> Outcome {
        outcome.seen(staging().version(), &[0, 1, 2], answers, 2)
    }

    fn done(committed: &[usize], missing: &[usize]) -> Outcome {
        Outcome::Done { committed: committed.to_vec(), missing: missing.to_vec() }
    }

    #[test]
    fn what_a_look_shows_as_decided_is_done_where_it_is_published() {
        let here = || holds(7, PieceState::Published);
        assert_eq!(after(Outcome::Undecided, &[here(), here(), here()]), done(&[0, 1, 2], &[]));
        assert_eq!(after(Outcome::Undecided, &[here(), holds(7, CLOSED), None]), done(&[0], &[1, 2]));
        assert_eq!(after(done(&[2], &[0, 1]), &[here(), Some(vec![]), None]), done(&[0, 2], &[1]));
        let half = [here(), holds(7, OPEN)].map(Option::unwrap).concat();
        assert_eq!(after(done(&[0], &[1, 2]), &[here(), Some(half), here()]), done(&[0, 2], &[1]));
    }

    #[test]
    fn a_newer_version_makes_it_as_good_as_done() {
        let newer = |pieces: &[u8]| {
            let of = |&piece| Held { piece, ..holds(8, PieceState::Published).unwrap()[0] };
            Some(pieces.iter().map(of).collect::<Vec<_>>())
        };
        for outcome in [Outcome::Undecided, done(&[1], &[0, 2])] {
            for whole in [
                [newer(&[1, 2]), newer(&[3, 4]), None],
                [newer(&[1, 2, 3, 4]), None, newer(&[4])],
                [newer(&[TOMBSTONE]), newer(&[TOMBSTONE]), None],
            ] {
                assert_eq!(after(outcome.clone(), &whole), Outcome::Overtaken);
            }
            // Given up by its writer, and shown by one server.
            for pieces in [&[1, 2][..], &[1, 2, 3, 4], &[TOMBSTONE]] {
                let rogue = [newer(pieces), Some(vec![]), Some(vec![])];
                assert_eq!(after(outcome.clone(), &rogue), outcome, "{pieces:?}");
                let elsewhere = [newer(pieces), holds(7, PieceState::Published), Some(vec![])];
                assert_eq!(after(outcome.clone(), &elsewhere), done(&[1], &[0, 2]), "{pieces:?}");
                let alone = outcome.clone().seen(staging().version(), &[0], &[newer(pieces)], 1);
                assert_eq!(alone == Outcome::Overtaken, pieces != [1, 2], "no other server to ask");
            }
        }
        assert!(!Outcome::Overtaken.may_forget(0));
    }

    #[test]
    fn what_is_nowhere_never_happened_if_every_server_has_answered() {
        let older = || holds(6, PieceState::Published);
        for outcome in [Outcome::Undecided, done(&[1], &[0, 2])] {
            let settled = after(outcome.clone(), &[older(), Some(vec![]), older()]);
            assert_eq!(settled, Outcome::NeverHappened);
            assert_eq!(after(outcome.clone(), &[older(), None, older()]), outcome);
            assert_eq!(after(outcome.clone(), &[older(), holds(7, OPEN), older()]), outcome);
            assert_eq!(after(outcome.clone(), &[holds(7, CLOSED), older(), older()]), outcome);
        }
    }

    #[test]
    fn another_look_is_of_use_while_a_server_is_missing() {
        assert!(done(&[0], &[]).is_certain() && Outcome::Overtaken.is_certain());
        assert!(Outcome::NeverHappened.is_certain());
        assert!(!done(&[0], &[1]).is_certain() && !Outcome::Undecided.is_certain());
    }
}
