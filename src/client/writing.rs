//! The steps that every new version has in common, whether it is an upload, a delete or a move: a
//! [`Writer`] decides, and this carries out.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::Client;
use super::error::ClientError;
use super::report::{Notice, Phase, Report, Unnoticed, timed};
use super::survey::Survey;
use crate::commit::{Aborting, Answer, Committing, Outcome, Staging, Writer};
use crate::name::FilePath;
use crate::peer::{No, Peer};
use crate::placement;
use crate::primitives;
use crate::sealed::MasterKey;
use crate::version::Version;
use crate::wire::{Refusal, Request};

/// Requests that are sent ahead of their replies.
const WINDOW: usize = 512;
/// How long a server that was lost during a commit is waited for: enough for one that restarts, short enough for
/// who waits for a dead one.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait between two looks for it: twice as long each time.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_millis(800);

/// A commit that was sent: of what, to whom, and what came of it.
struct Sent {
    path: FilePath,
    version: Version,
    servers: Vec<usize>,
    outcome: Outcome,
}

/// What a reply to a STAGE or COPY means.
pub(super) fn staging_answer(answer: &Option<Result<(), No>>) -> Answer {
    match answer {
        Some(Ok(())) => Answer::Done,
        Some(Err(_)) => Answer::Refused,
        None => Answer::Lost,
    }
}

/// What a reply to a COMMIT means. After any refusal but these a part of it may be done.
fn commit_answer(answer: &Option<Result<(), No>>) -> Answer {
    match answer {
        Some(Ok(())) => Answer::Done,
        Some(Err(No { refusal: Refusal::NotStaged | Refusal::Rekeyed, .. })) => Answer::Refused,
        Some(Err(_)) | None => Answer::Lost,
    }
}

impl Client {
    /// A writer of a version newer than all that a survey has seen, and than what this client has tried to write
    /// under that name before: what was refused or given up then must not come back in its place.
    pub(super) fn writer(
        &mut self,
        survey: &Survey,
        servers: Vec<usize>,
    ) -> Result<Writer<Staging>, ClientError> {
        let off = survey.clock_is_off();
        if !off.is_empty() {
            let named = |(server, skew)| (self.cluster.name(server).clone(), skew);
            self.report.notice(Notice::ClockNotUsed { servers: off.into_iter().map(named).collect() });
        }
        let generation = self.generation(survey, true)?;
        let upload = primitives::random().map_err(ClientError::Random)?;
        Ok(Writer::new(generation, upload, servers))
    }

    /// As [`Client::writer`], of the least such version: it lies below what anybody uploads to that name who has seen
    /// what the survey has, whichever is committed first. Where that cannot be said, because a file or a delete may
    /// be known only to servers that are away, it is as new as can be.
    pub(super) fn writer_of_moved(
        &mut self,
        survey: &Survey,
        servers: Vec<usize>,
    ) -> Result<Writer<Staging>, ClientError> {
        if !self.out_of_sight(&survey.unseen).is_empty() {
            return self.writer(survey, servers);
        }
        let generation = self.generation(survey, false)?;
        let random = primitives::random().map_err(ClientError::Random)?;
        Ok(Writer::at(Version::of_moved(generation, random), servers))
    }

    /// The generation of this client's next try under a name.
    fn generation(&mut self, survey: &Survey, by_clock: bool) -> Result<u64, ClientError> {
        let last_try = self.tried.get(&survey.path).copied().unwrap_or(0);
        let generation = survey
            .next_generation(self.config.replicas, last_try, by_clock)
            .map_err(|_| ClientError::UsedUp(survey.path.clone()))?;
        self.tried.insert(survey.path.clone(), generation);
        Ok(generation)
    }

    /// Commits versions that are staged; gives the outcomes in the same order.
    pub(super) fn commit_all(&mut self, ready: Vec<(FilePath, Writer<Committing>)>) -> Vec<Outcome> {
        self.commit_all_under(&self.key.clone(), ready)
    }

    /// As [`Client::commit_all`], for versions that are sealed under this key.
    pub(super) fn commit_all_under(
        &mut self,
        key: &MasterKey,
        ready: Vec<(FilePath, Writer<Committing>)>,
    ) -> Vec<Outcome> {
        let mut requests = Vec::new();
        for (path, writer) in &ready {
            let commit = |&server: &usize| (server, Request::Commit(path.clone(), writer.version()));
            requests.extend(writer.servers().iter().map(commit));
        }
        let report = Arc::clone(&self.report);
        let was_up: Vec<usize> = self.cluster.up().collect();
        // Who is lost here may be back before there is a reason to tell of it.
        let ask = || self.ask_all_quietly(&requests, &Unnoticed(&*report));
        let mut answers = timed(&*report, Phase::Commit, ask).into_iter();
        let mut sent: Vec<Sent> = ready
            .into_iter()
            .map(|(path, writer)| {
                let (version, servers) = (writer.version(), writer.servers().to_vec());
                let of_writer = answers.by_ref().take(servers.len());
                let answers: Vec<_> =
                    servers.iter().copied().zip(of_writer.map(|answer| commit_answer(&answer))).collect();
                Sent { path, version, servers, outcome: writer.committed(&answers) }
            })
            .collect();
        self.look_after(key, sent.iter_mut().filter(|sent| !sent.outcome.is_certain()).collect());
        self.cluster.tell_lost(&was_up, &*report);
        sent.into_iter().map(|sent| sent.outcome).collect()
    }

    /// Looks again at what was cut off during its commit. The survey rolls forward what is decided, and the
    /// outcomes become what it shows. Servers that may be back soon are waited for, but not for long.
    fn look_after(&mut self, key: &MasterKey, mut sent: Vec<&mut Sent>) {
        let report = Arc::clone(&self.report);
        let quiet = Unnoticed(&*report);
        let deadline = Instant::now() + PATIENCE;
        let mut pause = *PAUSE.start();
        while !sent.is_empty() {
            self.cluster.refresh(&quiet);
            let paths: Vec<FilePath> = sent.iter().map(|sent| sent.path.clone()).collect();
            // Every STAGE of these was answered with OK, so that nobody's word is needed for it.
            let own: Vec<Version> = sent.iter().map(|sent| sent.version).collect();
            let surveys = self.cluster.survey_own(&paths, &self.config.user, key, &quiet, &own);
            let mut is_hopeful = false;
            for (sent, survey) in sent.iter_mut().zip(&surveys) {
                let outcome = std::mem::replace(&mut sent.outcome, Outcome::Undecided);
                let copies = placement::copies_wanted(self.config.replicas, survey.answers.len());
                sent.outcome = outcome.seen(sent.version, &sent.servers, &survey.answers, copies);
                let may_say_more = |server: &usize| match &survey.answers[*server] {
                    Some(_) => !survey.is_settled(sent.version, *server),
                    None => self.cluster.may_be_back(*server, deadline),
                };
                is_hopeful |= !sent.outcome.is_certain() && sent.servers.iter().any(may_say_more);
            }
            sent.retain(|sent| !sent.outcome.is_certain());
            if !is_hopeful || Instant::now() + pause > deadline {
                return;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(*PAUSE.end());
        }
    }

    /// Takes stages back. Best effort: what stays behind is settled by whoever meets it next.
    pub(super) fn abort_all(&mut self, writers: &[(FilePath, Writer<Aborting>)]) {
        let mut requests = Vec::new();
        for (path, writer) in writers {
            let abort = |&server: &usize| (server, Request::Abort(path.clone(), writer.version()));
            requests.extend(writer.servers().iter().map(abort));
        }
        self.ask_all(&requests);
    }

    /// Sends requests that are answered when they are done, in windows.
    pub(super) fn ask_all(&mut self, requests: &[(usize, Request)]) -> Vec<Option<Result<(), No>>> {
        let report = Arc::clone(&self.report);
        self.ask_all_quietly(requests, &*report)
    }

    /// As [`Client::ask_all`], with another place for notices.
    fn ask_all_quietly(
        &mut self,
        requests: &[(usize, Request)],
        report: &dyn Report,
    ) -> Vec<Option<Result<(), No>>> {
        let receive = |peer: &mut Peer, request: &Request| peer.receive_done_with(bytes_read(request));
        let exchange = |window| self.cluster.exchange_with(window, report, Peer::send, receive);
        requests.chunks(WINDOW).flat_map(exchange).collect()
    }
}

/// How much of a piece a server has to read for a request.
fn bytes_read(request: &Request) -> u64 {
    match request {
        Request::Copy { header, .. } => header.piece_size,
        _ => 0,
    }
}
