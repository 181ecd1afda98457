//! The steps that every new version has in common, whether it is an upload, a delete or a move: a
//! [`Writer`] decides, and this carries out.

use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use super::base::Core;
use super::error::ClientError;
use super::look::settle_own;
use super::report::{Notice, Phase, timed};
use super::survey::Survey;
use crate::commit::{Aborting, Committing, Outcome, Staging, Writer};
use crate::name::FilePath;
use crate::peer::{Answer, No};
use crate::placement;
use crate::primitives;
use crate::sealed::MasterKey;
use crate::version::Version;
use crate::wire::{Refusal, Request};

/// How long to wait for a server that was lost during a commit: long enough for one that restarts, short enough for a
/// user who waits for a dead one.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait between two attempts to reach it: twice as long each time.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_millis(800);

/// A version that is staged and may be committed; `T` is what the caller identifies it by.
pub(crate) struct Ready<T> {
    pub(crate) of: T,
    pub(crate) path: FilePath,
    pub(crate) writer: Writer<Committing>,
    /// How many rounds of logins there had been when it was staged: it may be committed only on the connections on
    /// which it was staged.
    pub(crate) logins: u64,
}

/// A commit that was sent: of what, to which servers, and the result.
struct Sent<T> {
    of: T,
    path: FilePath,
    version: Version,
    servers: Vec<usize>,
    outcome: Outcome,
}

/// What a reply to a COMMIT means. After any refusal except these, a part of it may be done.
fn of_commit(answer: Answer<()>) -> Answer<()> {
    match answer {
        Answer::Refused(No { refusal, .. }) if !matches!(refusal, Refusal::NotStaged | Refusal::Rekeyed) => {
            Answer::Lost
        }
        answer => answer,
    }
}

/// A writer of a version newer than everything that a survey has seen, and than what this client has tried to write
/// under that name before: what was refused or given up then must not come back instead of it.
pub(crate) fn writer(
    core: &mut Core,
    survey: &Survey,
    servers: Vec<usize>,
) -> Result<Writer<Staging>, ClientError> {
    let off = survey.clock_is_off();
    if !off.is_empty() {
        let named = |(server, skew)| (core.cluster.name(server).clone(), skew);
        core.report.notice(Notice::ClockNotUsed { servers: off.into_iter().map(named).collect() });
    }
    let generation = next_generation(core, survey, true)?;
    let upload = primitives::random().map_err(ClientError::Random)?;
    Ok(Writer::new(generation, upload, servers))
}

/// A [`writer`] of the least such version: it is below anything that is uploaded to that name by a client that saw the
/// same, whichever is committed first. If that is not certain, because servers that are down may be the only ones that
/// know of a file or a delete, it is as new as possible.
pub(crate) fn writer_of_moved(
    core: &mut Core,
    survey: &Survey,
    servers: Vec<usize>,
) -> Result<Writer<Staging>, ClientError> {
    if !survey.unseen.out_of_sight(core).is_empty() {
        return writer(core, survey, servers);
    }
    let generation = next_generation(core, survey, false)?;
    let random = primitives::random().map_err(ClientError::Random)?;
    Ok(Writer::at(Version::of_moved(generation, random), servers))
}

/// The generation of this client's next attempt under a name.
fn next_generation(core: &mut Core, survey: &Survey, by_clock: bool) -> Result<u64, ClientError> {
    let last_try = core.tried.get(&survey.path).copied().unwrap_or(0);
    let generation = survey
        .next_generation(core.config.replicas, last_try, by_clock)
        .map_err(|_| ClientError::UsedUp(survey.path.clone()))?;
    core.tried.insert(survey.path.clone(), generation);
    Ok(generation)
}

/// Commits versions that are staged; returns the outcomes in the same order.
pub(crate) fn commit_all<T>(core: &mut Core, ready: Vec<Ready<T>>) -> Vec<(T, Outcome)> {
    let key = core.key.clone();
    commit_all_under(core, &key, ready)
}

/// [`commit_all`] for versions that are sealed under this key.
pub(crate) fn commit_all_under<T>(
    core: &mut Core,
    key: &MasterKey,
    ready: Vec<Ready<T>>,
) -> Vec<(T, Outcome)> {
    let mut requests = Vec::new();
    let mut counts = Vec::new();
    for Ready { path, writer, logins, .. } in &ready {
        let is_staged_there = |server: &usize| core.cluster.is_up_since(*server, *logins);
        let servers = writer.servers().iter().copied().filter(is_staged_there);
        let before = requests.len();
        requests.extend(servers.map(|server| (server, Request::Commit(path.clone(), writer.version()))));
        counts.push(requests.len() - before);
    }
    let was_up: Vec<usize> = core.cluster.up().collect();
    // Servers that are lost here may be back before there is a reason to report it.
    let sent = core.quietly(|core| {
        let report = core.report.clone();
        let answers = timed(&*report, Phase::Commit, || core.cluster.ask_all(&requests));
        let asked = requests.iter().map(|(server, _)| *server);
        let mut answers = asked.zip(answers.into_iter().map(of_commit));
        let mut sent: Vec<Sent<T>> = ready
            .into_iter()
            .zip(counts)
            .map(|(Ready { of, path, writer, .. }, count)| {
                let (version, servers) = (writer.version(), writer.servers().to_vec());
                let answers: Vec<_> = answers.by_ref().take(count).collect();
                Sent { of, path, version, servers, outcome: writer.committed(&answers) }
            })
            .collect();
        look_after(core, key, sent.iter_mut().filter(|sent| !sent.outcome.is_certain()).collect());
        sent
    });
    core.cluster.report_lost(&was_up);
    sent.into_iter().map(|sent| (sent.of, sent.outcome)).collect()
}

/// Surveys again what was interrupted during its commit. The survey rolls forward what is decided, and the outcomes
/// become what it shows. Servers that may be back soon are waited for, but not for long.
fn look_after<T>(core: &mut Core, key: &MasterKey, mut sent: Vec<&mut Sent<T>>) {
    let deadline = Instant::now() + PATIENCE;
    // Even one that fell silent: it may be the only one to know the outcome.
    sent.iter().for_each(|sent| core.cluster.try_soon(&sent.servers));
    let mut pause = *PAUSE.start();
    while !sent.is_empty() {
        core.cluster.replace(&[]);
        let paths: Vec<FilePath> = sent.iter().map(|sent| sent.path.clone()).collect();
        // Every STAGE of these was answered with OK, so they rest on nobody's word.
        let own: Vec<Version> = sent.iter().map(|sent| sent.version).collect();
        let surveys = settle_own(core, key, &paths, &own);
        let mut is_hopeful = false;
        for (sent, survey) in sent.iter_mut().zip(&surveys) {
            let outcome = std::mem::replace(&mut sent.outcome, Outcome::Undecided);
            let copies = placement::copies_wanted(core.config.replicas, survey.answers.len());
            sent.outcome = outcome.seen(sent.version, &sent.servers, &survey.answers, copies);
            let may_say_more = |server: &usize| match &survey.answers[*server] {
                Some(_) => !survey.is_settled(sent.version, *server),
                None => core.cluster.may_be_back(*server, deadline),
            };
            is_hopeful |= !sent.outcome.is_certain() && sent.servers.iter().any(may_say_more);
        }
        sent.retain(|sent| !sent.outcome.is_certain());
        if !is_hopeful || core.cluster.stop().is_requested() || Instant::now() + pause > deadline {
            return;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(*PAUSE.end());
    }
}

/// Aborts stages. Best effort: what remains is settled by the next client that finds it.
pub(crate) fn abort_all(core: &mut Core, writers: &[(FilePath, Writer<Aborting>)]) {
    let mut requests = Vec::new();
    for (path, writer) in writers {
        let abort = |&server: &usize| (server, Request::Abort(path.clone(), writer.version()));
        requests.extend(writer.servers().iter().map(abort));
    }
    core.cluster.ask_all(&requests);
}
