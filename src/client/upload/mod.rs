//! Upload: stage every piece on all its holders, then commit. Many small files go together.

mod encryption;
mod local;
mod making;
mod plan;
mod remains;
pub(crate) mod source;
pub(crate) mod spool;
mod stage;

use std::io;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use local::{Attributes, OpenSource, Since};
use plan::{Encrypted, Plan};
use remains::{Remains, kept_by};
use source::Source;
use stage::{Job, Staged, all_jobs, extras_wanted, has_same_bytes, stage_all};

use super::core::base::Core;
use super::core::error::{ClientError, LocalError};
use super::core::look::{abort, ask, fence, survey};
use super::core::report::{Notice, Phase, timed};
use super::core::retry::{Pending, until_settled};
use super::core::survey::Survey;
use super::core::versions::{Ready, abort_all, commit_all, writer};
use crate::commit::{Aborting, Committing, Outcome, Staging, Writer};
use crate::config::Config;
use crate::name::{FilePath, ServerName};
use crate::peer::No;
use crate::placement::{self, Scheme};
use crate::primitives::{self, sha256};
use crate::sealed::{Facts, FileKey, Header, Kind};
use crate::version::Version;
use crate::wire::Refusal;

/// A batch ends with the file that brings it to this many bytes: the first batch to the lower bound, each later one to
/// what was sent in a second. At the end of a batch all wait for the disks; but what is not committed when the line
/// breaks must be sent again, and older versions take up room on the servers until the batch is committed.
const BATCH_BYTES: RangeInclusive<u64> = 32 << 20..=512 << 20;

/// Bytes of files without a size, such as those in /proc, that are held in memory together. The files after them wait
/// for another attempt.
const MAX_HELD: usize = 32 << 20;

/// How often a server may answer `behind` or `damaged` before it is excluded. Each attempt sends it up to two pieces.
const MAX_SUSPICIONS: usize = 6;

/// The result for one file.
#[derive(Debug)]
pub struct Uploaded {
    /// Where it is now.
    pub path: FilePath,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it was already stored, and nothing was sent.
    pub unchanged: bool,
}

/// One file of a batch, over all attempts.
struct Outgoing {
    source: Source,
    /// Servers that will not accept it, with the reason.
    excluded: Vec<(usize, String)>,
    /// Servers that refused for a reason that another attempt may remove, once for each refusal.
    suspected: Vec<usize>,
    attempts: usize,
    /// Whether the local file has grown since it was opened.
    grew: bool,
}

type Upload = Pending<Outgoing, Result<Uploaded, ClientError>>;

/// A file for which this attempt will make a version.
struct Planned<'a> {
    file: &'a mut Upload,
    plan: Plan,
    writer: Writer<Staging>,
}

/// Versions that seemed abandoned, and that every server has promised never to publish, each with the servers that have
/// something of it.
type Fenced = Vec<(Version, Vec<usize>)>;

impl Outgoing {
    fn new(source: &Source) -> Self {
        Self { source: source.clone(), excluded: Vec::new(), suspected: Vec::new(), attempts: 0, grew: false }
    }

    fn suspect(&mut self, server: usize, no: &No) {
        self.suspected.push(server);
        if self.suspected.iter().filter(|s| **s == server).count() > MAX_SUSPICIONS {
            self.exclude(server, no);
        }
    }

    fn is_excluded(&self, server: usize) -> bool {
        self.excluded.iter().any(|(excluded, _)| *excluded == server)
    }

    fn exclude(&mut self, server: usize, no: &No) {
        if !self.is_excluded(server) {
            self.excluded.push((server, no.to_string()));
        }
    }

    fn not_taken(&self, core: &Core) -> Option<ClientError> {
        let reason = |(server, why): &(usize, String)| (core.cluster.name(*server).clone(), why.clone());
        let reasons: Vec<(ServerName, String)> = self.excluded.iter().map(reason).collect();
        (!reasons.is_empty()).then(|| ClientError::NotTaken(self.source.target.clone(), reasons))
    }
}

/// The size of the local file, if the stored one is of the same kind, size, time and mode, and has all its copies.
fn unchanged(core: &Core, source: &Source, survey: &Survey) -> Option<u64> {
    let version = survey.file_version()?;
    let stored = &survey.any_claim(version)?.header;
    let local = Attributes::now(source)?;
    let (Config { scheme, replicas, .. }, servers) = (&core.config, core.cluster.len());
    // What a server that is down holds need not be stored again: Repair is for one that does not come back.
    let away = servers - core.cluster.up().count();
    let is_safe = scheme.is_safe(&survey.held(version), *replicas, servers, away);
    let is_whole = *scheme == stored.scheme && is_safe;
    (is_whole && Attributes::from(stored) == local).then_some(local.size)
}

/// See [`Client::are_unchanged`](crate::client::Client::are_unchanged).
pub(crate) fn are_unchanged(core: &mut Core, sources: &[Source]) -> Vec<bool> {
    core.cluster.refresh();
    let paths: Vec<FilePath> = sources.iter().map(|source| source.target.clone()).collect();
    let surveys = ask(core, &paths);
    let is_unchanged = |(source, survey): (&Source, &Survey)| unchanged(core, source, survey).is_some();
    sources.iter().zip(&surveys).map(is_unchanged).collect()
}

/// See [`Client::upload`](crate::client::Client::upload).
pub(crate) fn upload(
    core: &mut Core,
    sources: &[Source],
    only_changed: bool,
) -> Vec<Result<Uploaded, ClientError>> {
    core.begin();
    let sizes: Vec<u64> = sources.iter().map(|source| source.size).collect();
    core.report.begin(sources.len(), sizes.iter().sum());
    warn_if_outdated(core);
    let mut results = Vec::with_capacity(sources.len());
    let mut rest = sources;
    let mut limit = *BATCH_BYTES.start();
    let most_files = core.batch_files(1);
    while !rest.is_empty() {
        core.cluster.refresh();
        let (batch, later) = rest.split_at(batch_length(&sizes[results.len()..], most_files, limit));
        let started = Instant::now();
        let uploaded = upload_batch(core, batch, only_changed);
        limit = match sent(&uploaded) {
            0 => limit,
            bytes => next_limit(bytes, started.elapsed()),
        };
        results.extend(uploaded);
        rest = later;
    }
    core.cluster.end_extras();
    core.report.end();
    results
}

/// Servers that are down may be the only ones that know of a newer version.
fn warn_if_outdated(core: &Core) {
    let down: Vec<ServerName> = core.cluster.down().into_iter().map(|(server, _)| server).collect();
    let servers = core.cluster.len();
    if placement::out_of_sight(core.config.replicas, servers, down.len()) && down.len() < servers {
        core.report.notice(Notice::MayBeOutdated { away: down });
    }
}

fn upload_batch(core: &mut Core, batch: &[Source], only_changed: bool) -> Vec<Result<Uploaded, ClientError>> {
    let without_size = batch.iter().filter(|source| source.kind == Kind::Data && source.size == 0).count();
    let attempts = 6 * core.cluster.len() + 4 + without_size;
    until_settled(
        core,
        batch.iter().map(Outgoing::new),
        attempts,
        |core, pending| attempt(core, pending, only_changed),
        |core, file| Err(file.not_taken(core).unwrap_or(ClientError::Contended(file.source.target))),
    )
}

/// Tries once to upload the pending files; those that another attempt would not help get their result.
fn attempt(core: &mut Core, pending: Vec<&mut Upload>, only_changed: bool) {
    let paths: Vec<FilePath> = pending.iter().map(|file| file.of.source.target.clone()).collect();
    let mut surveys = survey(core, &paths);
    let fenced: Vec<Fenced> = surveys.iter().map(|survey| fence_abandoned(core, survey)).collect();
    if fenced.iter().any(|fenced| !fenced.is_empty()) {
        surveys = ask(core, &paths);
    }
    let (mut planned, mut held) = (Vec::new(), 0);
    for ((file, survey), fenced) in pending.into_iter().zip(&surveys).zip(&fenced) {
        if held > MAX_HELD {
            break;
        }
        if only_changed && let Some(size) = unchanged(core, &file.of.source, survey) {
            let path = survey.path.clone();
            file.result = Some(Ok(Uploaded { path, size, unchanged: true }));
            continue;
        }
        let planned_upload = plan(core, &mut file.of, survey, fenced);
        let continued = planned_upload.as_ref().is_ok_and(|(plan, _)| !plan.kept.is_empty());
        if !continued {
            drop_fenced(core, &survey.path, fenced);
        }
        match planned_upload {
            Ok((plan, writer)) => {
                held += plan.source.held();
                planned.push(Planned { file, plan, writer });
            }
            Err(error) => file.result = Some(Err(error)),
        }
    }
    let staged = stage(core, &mut planned);
    let logins = core.cluster.logins();
    let (mut ready, mut aborting) = (Vec::new(), Vec::new());
    for (Planned { file, plan, writer }, staged) in planned.into_iter().zip(staged) {
        let path = plan.header.path.clone();
        match judge(&plan, &mut file.of, writer, staged) {
            Ok(writer) => ready.push(Ready { of: (file, plan), path, writer, logins }),
            Err((writer, error)) => {
                aborting.push((path, writer));
                file.result = error.map(Err);
            }
        }
    }
    if !aborting.is_empty() {
        core.cluster.end_extras();
    }
    abort_all(core, &aborting);
    for ((file, plan), outcome) in commit_all(core, ready) {
        if let Outcome::Done { .. } = outcome {
            let of_file = surveys.iter().zip(&fenced).find(|(survey, _)| survey.path == plan.header.path);
            of_file.into_iter().for_each(|(survey, fenced)| drop_fenced(core, &survey.path, fenced));
        }
        file.result = conclude(core, &plan, &file.of, &outcome);
    }
}

/// Has every server promise that what seems abandoned stays undecided.
fn fence_abandoned(core: &mut Core, survey: &Survey) -> Fenced {
    survey.abandoned().into_iter().filter(|(version, _)| fence(core, &survey.path, *version)).collect()
}

/// Drops what nobody will continue.
fn drop_fenced(core: &mut Core, path: &FilePath, fenced: &Fenced) {
    fenced.iter().for_each(|(version, servers)| abort(core, path, *version, servers));
}

fn plan(
    core: &mut Core,
    file: &mut Outgoing,
    survey: &Survey,
    fenced: &Fenced,
) -> Result<(Plan, Writer<Staging>), ClientError> {
    file.attempts += 1;
    let is_usable = |s: usize| core.cluster.is_up(s) && !file.is_excluded(s);
    let usable: Vec<bool> = (0..core.cluster.len()).map(is_usable).collect();
    if !usable.contains(&true) {
        return Err(file.not_taken(core).unwrap_or_else(|| core.no_server()));
    }
    if survey.only_other_keys() && file.attempts == 1 {
        core.report.notice(Notice::OtherKeyReplaced { path: file.source.target.clone() });
    }
    let path_hash = sha256(file.source.target.as_str().as_bytes());
    let holders = core.config.scheme.holders(&path_hash, &usable, core.config.replicas);
    let writer = writer(core, survey, holders.iter().flatten().copied().collect())?;
    let source = OpenSource::open(&file.source, core.cluster.stop())?;
    let key = FileKey::new(primitives::random().map_err(ClientError::Random)?);
    let wrap_block = primitives::random().map_err(ClientError::Random)?;
    let runs = placement::pieces().map(|_| primitives::random()).collect::<io::Result<_>>();
    let runs = runs.map_err(ClientError::Random)?;
    let Attributes { kind, mode, modified, size } = source.attributes;
    let facts = Facts {
        kind,
        mode,
        version: writer.version(),
        size,
        modified,
        scheme: core.config.scheme,
        replicas: u8::try_from(core.config.replicas).unwrap_or(u8::MAX),
    };
    let (user, path) = (core.config.user.clone(), file.source.target.clone());
    let header = Header::data(user, path, facts, 1, core.key.wrap(&key, wrap_block));
    let known = placement::pieces().map(|_| Vec::new()).collect();
    let mut plan = Plan { source, key, runs, header, usable, holders, known, kept: Vec::new() };
    let versions: Vec<Version> = fenced.iter().map(|(version, _)| *version).collect();
    if let Some(remains) = Remains::find(core, survey, &versions, &plan.source, &plan.header) {
        let (path, size) = (plan.header.path.clone(), plan.header.file_size);
        let there = remains.bytes(&plan.header);
        core.report.notice(Notice::Continued { path, there, size });
        remains.begin(&mut plan);
    }
    Ok((plan, writer))
}

/// Stages all pieces. A server whose connection was lost is sent its pieces again on another one; if it does not
/// return, or has no room, they go to the next on the ring. The version stays the same, and so does what the others
/// have staged.
fn stage(core: &mut Core, planned: &mut [Planned<'_>]) -> Vec<Staged> {
    let mut staged: Vec<Staged> = planned.iter().map(|_| Staged::default()).collect();
    let mut jobs = all_jobs(&planned.iter().map(|planned| &planned.plan).collect::<Vec<_>>());
    // Each round goes without a server of the one before, or a server returns, which it does a few times at most.
    while !jobs.is_empty() {
        let plans: Vec<&Plan> = planned.iter().map(|planned| &planned.plan).collect();
        let extras = core.cluster.lend_extras(&extras_wanted(&plans, &jobs, core.cluster.len()));
        let logins = core.cluster.logins();
        let (peers, key, report) = (core.cluster.lend_peers(), &core.key, &*core.report);
        let stage = || stage_all(&plans, staged, &jobs, (peers, extras), key, report);
        let (done, peers, extras) = timed(report, Phase::Stage, stage);
        core.cluster.take_back(peers);
        core.cluster.keep_extras(extras);
        core.cluster.log_in_again();
        staged = done;
        // What was staged on a connection may be committed on no other.
        let is_on_this_connection =
            |server: usize| !core.cluster.is_up(server) || core.cluster.is_up_since(server, logins);
        let answers = staged.iter_mut().map(|staged| &mut staged.answers);
        answers.for_each(|answers| answers.retain(|(server, ..)| is_on_this_connection(*server)));
        let back: Vec<usize> = core.cluster.up().filter(|&s| !core.cluster.is_up_since(s, logins)).collect();
        jobs.clear();
        for (file, (planned, staged)) in planned.iter_mut().zip(&mut staged).enumerate() {
            let kept = kept_by(core, &planned.plan, &staged.pieces, &back);
            kept.into_iter().for_each(|kept| planned.plan.keep(kept));
            // Such a server is sent all of the piece.
            staged.answers.retain(|(server, piece, answer)| {
                let is_gone = answer.refusal().is_some_and(|no| no.refusal == Refusal::NotFound);
                !(is_gone && planned.plan.forget_kept(*server, *piece))
            });
            jobs.extend(planned.jobs_left(core, file, staged));
        }
    }
    staged
}

/// Whether a refusal is about the server, and not about the version.
fn has_no_room(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::DiskFull | Refusal::DiskError | Refusal::Busy | Refusal::Ahead)
}

impl Planned<'_> {
    /// What is left to stage. The plan takes note of the servers that are replaced. Nothing is left if the version has
    /// to be given up.
    fn jobs_left(&mut self, core: &Core, file: usize, staged: &Staged) -> Vec<Job> {
        let refused = |server: usize, about_it: bool| {
            let answers = staged.answers.iter().filter(move |(s, ..)| *s == server);
            answers.filter_map(|(.., answer)| answer.refusal()).any(|no| has_no_room(no.refusal) == about_it)
        };
        let is_hopeless = self.writer.servers().iter().any(|&server| refused(server, false));
        if staged.local.is_some() || is_hopeless {
            return Vec::new();
        }
        for (server, usable) in self.plan.usable.iter_mut().enumerate() {
            *usable &= core.cluster.is_up(server) && !refused(server, true);
        }
        let path_hash = sha256(self.plan.header.path.as_str().as_bytes());
        let scheme = self.plan.header.scheme;
        let holders = scheme.holders(&path_hash, &self.plan.usable, core.config.replicas);
        if holders.iter().any(Vec::is_empty) {
            return Vec::new();
        }
        let jobs = scheme.pieces().zip(&holders).map(|(piece, holders)| {
            let servers = holders.iter().copied().filter(|&server| !staged.has(server, piece)).collect();
            Job { file, piece, servers }
        });
        let jobs = jobs.filter(|job| !job.servers.is_empty()).collect();
        self.writer.replace(holders.iter().flatten().copied().collect());
        self.plan.holders = holders;
        jobs
    }
}

/// Whether what is staged may be committed. If not, it returns the error that ends it; without one, it is worth another
/// attempt.
fn judge(
    plan: &Plan,
    file: &mut Outgoing,
    writer: Writer<Staging>,
    staged: Staged,
) -> Result<Writer<Committing>, (Writer<Aborting>, Option<ClientError>)> {
    match staged.local.map_or_else(|| is_consistent(plan, &staged.pieces), Err) {
        Ok(grew) => file.grew = grew,
        Err(error) => return Err((writer.give_up(), Some(error.into()))),
    }
    let refused = staged.answers.iter().filter_map(|(s, _, answer)| Some((*s, answer.refusal()?)));
    for (server, no) in refused {
        match no.refusal {
            Refusal::Conflict => {
                return Err((writer.give_up(), Some(ClientError::Conflict(file.source.target.clone()))));
            }
            Refusal::Rekeyed => {
                return Err((writer.give_up(), Some(ClientError::Rekeyed(file.source.target.clone()))));
            }
            refusal if has_no_room(refusal) => file.exclude(server, no),
            // Behind: somebody was faster. Damaged: bytes were altered in transit. If it happens again and again, the
            // server is at fault.
            _ => file.suspect(server, no),
        }
    }
    let everybody = writer.servers().len();
    let answers: Vec<_> = staged.answers.into_iter().map(|(server, _, answer)| (server, answer)).collect();
    writer.staged(&answers, everybody).map_err(|writer| (writer, None))
}

/// Checks that what was sent of a file belongs together: a file that was written to in the meantime is read again.
/// Returns whether it has grown.
fn is_consistent(plan: &Plan, sent: &[Encrypted]) -> Result<bool, LocalError> {
    let Since { is_touched, grew } = plan.source.since_opened()?;
    if is_touched && !has_same_bytes(plan, sent)? {
        return Err(plan.source.changed());
    }
    Ok(grew)
}

fn conclude(
    core: &Core,
    plan: &Plan,
    file: &Outgoing,
    outcome: &Outcome,
) -> Option<Result<Uploaded, ClientError>> {
    let path = plan.header.path.clone();
    match outcome {
        Outcome::Done { committed, .. } => {
            if file.grew {
                core.report.notice(Notice::Grew { path: file.source.target.clone() });
            }
            report_copies(core, plan, file, committed);
            Some(Ok(Uploaded { path, size: plan.header.file_size, unchanged: false }))
        }
        // It is done, and was replaced: the newer one is for its writer to report.
        Outcome::Overtaken => Some(Ok(Uploaded { path, size: plan.header.file_size, unchanged: false })),
        Outcome::NeverHappened => None,
        Outcome::Undecided => Some(Err(ClientError::Undecided(path))),
    }
}

fn report_copies(core: &Core, plan: &Plan, file: &Outgoing, committed: &[usize]) {
    for (server, why) in &file.excluded {
        let (path, server, why) =
            (file.source.target.clone(), core.cluster.name(*server).clone(), why.clone());
        core.report.notice(Notice::NotPlaced { path, server, why });
    }
    let path = || file.source.target.clone();
    let (scheme, replicas) = (plan.header.scheme, core.config.replicas);
    match scheme {
        Scheme::Copies => {
            let confirmed = |holders: &Vec<usize>| holders.iter().filter(|s| committed.contains(s)).count();
            let copies = plan.holders.iter().map(confirmed).min().unwrap_or(0);
            if copies < replicas {
                core.report.notice(Notice::FewerCopies { path: path(), copies, wanted: replicas });
            }
        }
        Scheme::Parity => {
            let losses = Scheme::Parity.losses(&plan.held_by(committed));
            if losses.is_none_or(|losses| losses + 1 < replicas) {
                core.report.notice(Notice::FewerLosses { path: path(), losses });
            }
        }
    }
}

fn batch_length(sizes: &[u64], most_files: usize, limit: u64) -> usize {
    let mut bytes: u64 = 0;
    let full = sizes.iter().take(most_files).position(|size| {
        bytes = bytes.saturating_add(*size);
        bytes >= limit
    });
    full.map_or(sizes.len().min(most_files), |last| last + 1)
}

/// Bytes of the files that were sent. Files that were already stored say nothing about the line.
fn sent(batch: &[Result<Uploaded, ClientError>]) -> u64 {
    let sent = batch.iter().flatten().filter(|file| !file.unchanged);
    sent.map(|file| file.size).fold(0, u64::saturating_add)
}

/// The bytes of the next batch, after one in which this many were sent.
fn next_limit(bytes: u64, took: Duration) -> u64 {
    let of_a_second = u128::from(bytes) * 1000 / took.as_millis().max(1);
    u64::try_from(of_a_second).unwrap_or(u64::MAX).clamp(*BATCH_BYTES.start(), *BATCH_BYTES.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_with_the_file_that_fills_it_or_with_the_most_files() {
        let length = |sizes: &[u64]| batch_length(sizes, 128, 20);
        assert_eq!(length(&[10, 10, 10]), 2);
        assert_eq!(length(&[10, 11, 10]), 2);
        assert_eq!(length(&[10, 9, 10]), 3);
        assert_eq!(length(&[u64::MAX, u64::MAX]), 1);
        assert_eq!(length(&[10]), 1);
        assert_eq!(length(&[0; 1000]), 128);
    }

    #[test]
    fn files_that_were_there_already_or_failed_were_not_sent() {
        let path = || FilePath::parse("a").unwrap();
        let uploaded = |size, unchanged| Ok(Uploaded { path: path(), size, unchanged });
        assert_eq!(sent(&[]), 0);
        assert_eq!(sent(&[uploaded(1, false), uploaded(10, true), uploaded(100, false)]), 101);
        assert_eq!(sent(&[Err(ClientError::Contended(path())), uploaded(1, false)]), 1);
        assert_eq!(sent(&[uploaded(u64::MAX, false), uploaded(1, false)]), u64::MAX);
    }

    #[test]
    fn the_next_batch_is_what_goes_in_a_second_within_limits() {
        const MIB: u64 = 1 << 20;
        let after = |mib, millis| next_limit(mib * MIB, Duration::from_millis(millis)) / MIB;
        assert_eq!(after(32, 200), 160);
        assert_eq!(after(160, 1000), 160);
        assert_eq!(after(160, 2000), 80);
        assert_eq!(after(160, 100_000), 32);
        assert_eq!(after(32, 1), 512);
        assert_eq!(after(32, 0), 512);
        assert_eq!(after(0, 0), 32);
        assert_eq!(next_limit(u64::MAX, Duration::MAX), 32 * MIB);
    }
}
