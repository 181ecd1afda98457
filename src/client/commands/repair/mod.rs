//! Repair: restores the number of copies that was asked for, by copying ciphertext.
//!
//! Nothing is deleted because a server did not answer: what is dropped is older than a version whose copies were all
//! checked in this very run.

mod deletes;
mod plan;
mod remake;
mod repaired;

pub use repaired::{NotRepaired, RepairSummary, Repaired};

use crate::client::core::base::Core;
use crate::client::core::checks::{BATCH, Copy, check_copies, good_holders};
use crate::client::core::copying::{Transfer, copy_all, require_done};
use crate::client::core::error::ClientError;
use crate::client::core::files::names;
use crate::client::core::look::{ask, settle, settle_seen};
use crate::client::core::name_map::Names;
use crate::client::core::prove::prove;
use crate::client::core::sight::Unseen;
use crate::client::core::survey::Survey;
use crate::name::{FilePath, FolderPath, ServerName};
use crate::peer::Answer;
use crate::placement::PieceSet;
use crate::version::Version;
use crate::wire::Request;
use deletes::bury_again;
use plan::{Remake, plan_remake, plan_repair};
use remake::remake;

/// How to repair.
#[derive(Default)]
pub(crate) struct Terms {
    /// Only report what would be done.
    pub(crate) dry: bool,
    /// Servers that get no new copies.
    pub(crate) without: Vec<usize>,
    /// Servers that must not be lost during the repair.
    pub(crate) present: Vec<usize>,
}

/// See [`Client::repair`](crate::client::Client::repair).
pub(crate) fn repair(
    core: &mut Core,
    folder: &FolderPath,
    dry: bool,
    tell: impl FnMut(&Repaired),
) -> Result<RepairSummary, ClientError> {
    core.cluster.refresh();
    core.cluster.find_silent();
    core.require_server()?;
    let terms = Terms { dry, present: core.cluster.up().collect(), ..Terms::default() };
    let mut unseen = Unseen::default();
    let names = names(core, folder, true, &mut unseen)?;
    repair_names(core, &terms, &names, unseen, tell)
}

/// Repairs files. The servers `unseen` may know of more.
pub(crate) fn repair_names(
    core: &mut Core,
    terms: &Terms,
    names: &Names,
    mut unseen: Unseen,
    mut tell: impl FnMut(&Repaired),
) -> Result<RepairSummary, ClientError> {
    core.report.expect(names.len());
    let mut summary = RepairSummary { names: names.len(), ..RepairSummary::default() };
    core.require_still_up(&terms.present)?;
    for batch in names.batches(BATCH) {
        let mut done = Vec::new();
        let result = repair_batch(core, terms, &batch, &mut unseen, &mut done);
        for step in done {
            summary.failed += usize::from(matches!(step, Repaired::Failed { .. }));
            let is_lost = matches!(step, Repaired::Failed { why: NotRepaired::Gone { .. }, .. });
            summary.lost += usize::from(is_lost);
            summary.steps += 1;
            tell(&step);
        }
        result?;
    }
    core.report.end();
    summary.unseen = unseen.out_of_sight(core);
    Ok(summary)
}

/// A file as it is seen, and what would be changed about it.
struct Examined {
    survey: Survey,
    copies: Vec<Copy>,
    /// The pieces that are to be written, each with its server; none once they were checked.
    written: Vec<(usize, u8)>,
}

fn repair_batch(
    core: &mut Core,
    terms: &Terms,
    batch: &[FilePath],
    unseen: &mut Unseen,
    done: &mut Vec<Repaired>,
) -> Result<(), ClientError> {
    let mut surveys = ask(core, batch);
    let unsettled: Vec<_> = surveys.iter().map(Unsettled::of).collect();
    let mut proved = Vec::new();
    if !terms.dry {
        let key = core.key.clone();
        surveys = settle_seen(core, &key, surveys, &[]);
        // Whether it is staged or not: each copy that is made is another server's word.
        proved = prove(core, &mut surveys, &key, &terms.without, |_, _| true);
    }
    for (survey, unsettled) in surveys.iter().zip(&unsettled) {
        unseen.add(&survey.unseen);
        if !unsettled.versions.is_empty() && survey.unproved.is_none() {
            done.push(settled(core, survey, unsettled, terms.dry));
        }
    }
    done.extend(proved.iter().map(|transfer| copied(core, transfer)));
    let mut files = examine(core, surveys, batch.len());
    core.require_still_up(&terms.present)?;
    let (mut transfers, mut remakes) = (Vec::new(), Vec::new());
    for Examined { survey, copies, written } in &mut files {
        let (planned, why) = plan_repair(core, survey, copies, &terms.without);
        let made = if why.is_none() { plan_remake(core, survey, copies, &terms.without) } else { None };
        *written = planned.iter().map(|transfer| (transfer.to, transfer.claim.header.piece)).collect();
        written.extend(made.iter().flat_map(|planned| &planned.targets).map(|&(piece, to)| (to, piece)));
        remakes.extend(made);
        transfers.extend(planned);
        done.extend(why.map(|why| Repaired::Failed { path: survey.path.clone(), why }));
    }
    if terms.dry {
        done.extend(transfers.iter().map(|transfer| copied(core, transfer)));
        done.extend(remakes.iter().flat_map(|planned| would_make(core, planned)));
    } else if !(transfers.is_empty() && remakes.is_empty()) {
        remake(core, &remakes, done);
        for (transfer, outcome) in copy_all(core, transfers) {
            done.push(match outcome {
                Ok(()) => copied(core, &transfer),
                Err(why) => Repaired::Failed { path: transfer.claim.header.path.clone(), why: why.into() },
            });
        }
        check_again(core, &mut files);
        core.require_still_up(&terms.present)?;
    }
    drop_outdated(core, &files, terms.dry, done);
    bury_again(core, files.iter().map(|file| &file.survey), terms.dry, done);
    Ok(())
}

/// Has every copy checked. `files` as for [`check_copies`].
fn examine(core: &mut Core, surveys: Vec<Survey>, files: usize) -> Vec<Examined> {
    let copies = check_copies(core, &surveys, files);
    let file = |(survey, copies)| Examined { survey, copies, written: Vec::new() };
    surveys.into_iter().zip(copies).map(file).collect()
}

/// Checks what was written again if something older is to be dropped because of it.
fn check_again(core: &mut Core, files: &mut [Examined]) {
    let is_outdated =
        |survey: &Survey| survey.file_version().is_some_and(|v| !survey.outdated(v, &[]).is_empty());
    let written = files.iter_mut().filter(|file| !file.written.is_empty() && is_outdated(&file.survey));
    let written: Vec<&mut Examined> = written.collect();
    let paths: Vec<FilePath> = written.iter().map(|file| file.survey.path.clone()).collect();
    if paths.is_empty() {
        return;
    }
    let surveys = settle(core, &paths);
    for (file, now) in written.into_iter().zip(examine(core, surveys, 0)) {
        *file = now;
    }
}

fn would_make(core: &Core, planned: &Remake) -> Vec<Repaired> {
    let (path, name) = (&planned.survey.path, |to| core.cluster.name(to).clone());
    let made = |&(piece, to): &(u8, usize)| Repaired::Made { path: path.clone(), piece, to: name(to) };
    planned.targets.iter().map(made).collect()
}

fn copied(core: &Core, transfer: &Transfer) -> Repaired {
    Repaired::Copied {
        path: transfer.claim.header.path.clone(),
        piece: transfer.claim.header.piece,
        from: core.cluster.name(transfer.from).clone(),
        to: core.cluster.name(transfer.to).clone(),
    }
}

/// What a name has that should be settled.
struct Unsettled {
    versions: Vec<(Version, Vec<usize>)>,
    /// Bytes that are staged of versions that will be dropped.
    bytes: u64,
}

impl Unsettled {
    fn of(survey: &Survey) -> Self {
        let abandoned = survey.abandoned();
        let bytes = abandoned.iter().map(|(version, _)| survey.bytes_staged(*version)).sum();
        Self { versions: survey.unsettled(), bytes }
    }
}

/// The fate of the stages that should be settled.
fn settled(core: &Core, survey: &Survey, unsettled: &Unsettled, dry: bool) -> Repaired {
    let path = survey.path.clone();
    let is_left = |server: &usize| {
        let mut staged_there = unsettled.versions.iter().filter(|(_, servers)| servers.contains(server));
        staged_there.any(|(version, _)| !survey.is_settled(*version, *server))
    };
    let left = (0..core.cluster.len()).filter(is_left).map(|server| core.cluster.name(server).clone());
    let left: Vec<ServerName> = left.collect();
    match dry || left.is_empty() {
        true => Repaired::Settled { path, dropped: unsettled.bytes },
        false => Repaired::Failed { path, why: NotRepaired::Unsettled(left) },
    }
}

/// Drops what is older than a version that is as safe as the servers that are up can make it, checked in this run; or,
/// with `dry`, that would be so once the missing pieces are written.
fn drop_outdated(core: &mut Core, files: &[Examined], dry: bool, done: &mut Vec<Repaired>) {
    let up = core.cluster.up().count();
    let mut outdated = Vec::new();
    for Examined { survey, copies, written } in files {
        let Some(version) = survey.file_version() else { continue };
        let scheme = survey.scheme(version);
        let is_there = |server: usize, piece: u8| {
            good_holders(copies, piece).contains(&server) || written.contains(&(server, piece))
        };
        let of = |server: usize| scheme.pieces().filter(|&piece| is_there(server, piece)).collect();
        let held: Vec<PieceSet> = (0..core.cluster.len()).map(of).collect();
        if scheme.is_safest(&held, survey.replicas_wanted(version).unwrap_or(1), up) {
            let servers = survey.outdated(version, written).into_iter();
            outdated.extend(servers.map(|server| (server, Request::Retire(survey.path.clone(), version))));
        }
    }
    let answers = match dry {
        true => outdated.iter().map(|_| Answer::Done(())).collect(),
        false => core.cluster.ask_all_again(&outdated),
    };
    for ((server, request), answer) in outdated.into_iter().zip(answers) {
        let Request::Retire(path, _) = request else { continue };
        done.push(match require_done(core, server, answer) {
            Ok(()) => Repaired::Dropped { path, server: core.cluster.name(server).clone() },
            Err(why) => Repaired::Failed { path, why: why.into() },
        });
    }
}
