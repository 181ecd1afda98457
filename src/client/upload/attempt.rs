//! One attempt to upload the files of a batch: look, plan, stage, commit.

use std::io;

use super::lane::Staged;
use super::local::{Attributes, OpenSource};
use super::outcome::{conclude, judge};
use super::outgoing::{Outgoing, Uploaded, has_no_room, unchanged};
use super::plan::Plan;
use super::remains::{Remains, kept_by};
use super::stage::{Job, all_jobs, extras_wanted, stage_all};
use crate::client::core::base::Core;
use crate::client::core::error::ClientError;
use crate::client::core::look::{abort, ask, fence, survey};
use crate::client::core::report::{Notice, Phase, timed};
use crate::client::core::retry::Pending;
use crate::client::core::survey::Survey;
use crate::client::core::versions::{Ready, abort_all, commit_all, writer};
use crate::commit::{Outcome, Staging, Writer};
use crate::name::FilePath;
use crate::placement;
use crate::primitives::{self, sha256};
use crate::sealed::{Facts, FileKey, Header};
use crate::version::Version;
use crate::wire::Refusal;

/// Bytes of files without a size, such as those in /proc, that are held in memory together. The files after them wait
/// for another attempt.
const MAX_HELD: usize = 32 << 20;

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

/// Tries once to upload the pending files; those that another attempt would not help get their result.
pub(super) fn attempt(core: &mut Core, pending: Vec<&mut Upload>, only_changed: bool) {
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
