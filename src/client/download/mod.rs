//! Download: ask which server holds what, fetch each missing byte from one server, put the file together.

mod cat;
mod destination;
mod entries;
pub(crate) mod extra;
mod fetch;
pub(crate) mod gather;
mod leftovers;
pub(crate) mod piece;
mod plan;
pub(crate) mod rebuild;
mod resume;
mod small;
mod stream;
mod sums;
mod syncing;
mod target;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub(crate) use cat::cat;
pub use destination::Destination;
use entries::{LastFolder, Shortfall, existing, existing_at, is_newer, is_same};
use gather::{Incoming, gather};
use leftovers::{has_remains, remove_remains, sweep};
use piece::Piece;
use plan::{
    Failure, MAX_RESTARTS, MORE_LOOKS, Plan, bad_copies, failure, is_to_make, pieces, plan, report_bad_copies,
};
use rebuild::rebuild;
use resume::resume;
pub use target::MadeFolder;
use target::{Target, WORTH_KEEPING};

use super::core::base::Core;
use super::core::error::ClientError;
use super::core::find::Looked;
use super::core::look::{Looks, survey};
use super::core::prove::{looked_to_read, survey_to_read};
use super::core::report::Notice;
use super::core::retry::{Pending, until_settled};
use super::core::sight::Unseen;
use super::core::survey::Survey;
use crate::name::{FilePath, FolderPath};
use crate::placement;
use crate::sealed::Kind;
use crate::version::Version;

/// Open files of a download: the file and its folder.
const DESCRIPTORS: usize = 2;
/// The result for one file.
#[derive(Debug)]
pub struct Downloaded {
    /// Its name on the servers.
    pub path: FilePath,
    /// Where it is now.
    pub place: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it was there already, and nothing was fetched.
    pub unchanged: bool,
    /// If it is a folder's entry: what is still to be done when everything in the folder is there.
    pub folder: Option<MadeFolder>,
}

/// What to do with files.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Where they go.
    pub to: &'a Destination,
    /// Whether a local file of the same size and time is left as it is.
    pub only_changed: bool,
    /// Whether nothing is written, and only found out what would be.
    pub dry_run: bool,
}

impl<'a> Terms<'a> {
    /// All files, whatever is there.
    pub fn new(to: &'a Destination) -> Self {
        Self { to, only_changed: false, dry_run: false }
    }
}

type Download = Pending<FilePath, Result<Downloaded, ClientError>>;

/// See [`Client::download`](crate::client::Client::download).
pub(crate) fn download(
    core: &mut Core,
    files: &[FilePath],
    terms: Terms<'_>,
) -> Vec<Result<Downloaded, ClientError>> {
    let to = terms.to;
    if !terms.dry_run {
        make_folders_around(core, files, to);
    }
    let folders: BTreeSet<FolderPath> = files.iter().map(|file| to.local(file).folder()).collect();
    let with_drafts: BTreeSet<&FolderPath> =
        folders.iter().filter(|folder| !terms.dry_run && sweep(to.root(), folder)).collect();
    let mut unseen = Unseen::default();
    let mut results = Vec::with_capacity(files.len());
    let mut batches = files.chunks(core.batch_files(DESCRIPTORS)).peekable();
    let mut looks = None;
    while let Some(batch) = batches.next() {
        core.cluster.refresh();
        let looked = looks.and_then(|looks| looked_to_read(core, looks));
        let next = batches.peek().copied().unwrap_or_default();
        let (of_batch, of_next) = download_batch(core, batch, looked, next, terms, &mut unseen);
        results.extend(of_batch);
        looks = of_next;
    }
    core.report.end();
    for (path, result) in files.iter().zip(&results) {
        look_after_drafts(core, path, result, with_drafts.contains(&to.local(path).folder()), to);
    }
    if results.iter().any(Result::is_ok) {
        unseen.warn_of_newer(core);
    }
    results
}

/// See [`Client::download_looked`](crate::client::Client::download_looked).
pub(crate) fn download_looked(
    core: &mut Core,
    file: Looked,
    terms: Terms<'_>,
) -> Result<Downloaded, ClientError> {
    let (path, to) = (file.path().clone(), terms.to);
    if !terms.dry_run {
        make_folders_around(core, std::slice::from_ref(&path), to);
    }
    let had_drafts = !terms.dry_run && sweep(to.root(), &to.local(&path).folder());
    let mut unseen = Unseen::default();
    let looked = file.into_survey().map(|survey| vec![survey]);
    let (mut results, _) = download_batch(core, std::slice::from_ref(&path), looked, &[], terms, &mut unseen);
    let result = results.pop();
    core.report.end();
    let result = result.unwrap_or_else(|| Err(ClientError::Contended(path.clone())));
    look_after_drafts(core, &path, &result, had_drafts, to);
    if result.is_ok() {
        unseen.warn_of_newer(core);
    }
    result
}

/// Removes what an earlier download of a file has left, if it is of no more use, or reports that the next one goes on
/// with it. `had_drafts`: whether there was any such thing in the folder.
fn look_after_drafts(
    core: &Core,
    path: &FilePath,
    result: &Result<Downloaded, ClientError>,
    had_drafts: bool,
    to: &Destination,
) {
    match result {
        Ok(_) if had_drafts => remove_remains(to.root(), &to.local(path)),
        Err(ClientError::Incomplete { .. } | ClientError::NoServer(_))
            if has_remains(to.root(), &to.local(path)) =>
        {
            core.report.notice(Notice::DownloadKept { path: path.clone() });
        }
        _ => {}
    }
}

/// Makes the folders in which the files will be, as far as they do not exist, with the permission bits of their
/// entries: what is in a private folder must not be open to all because only it was asked for. Without an entry that
/// can be read, a folder gets those of the umask when it is needed.
fn make_folders_around(core: &mut Core, files: &[FilePath], to: &Destination) {
    let mut missing: BTreeSet<FolderPath> = BTreeSet::new();
    for file in files {
        let mut folder = if file.is_of_folder() { file.folder().parent() } else { file.folder() };
        while to.has(&folder) && !to.place(&FilePath::of_folder(&folder)).exists() {
            let parent = folder.parent();
            if !missing.insert(std::mem::replace(&mut folder, parent)) {
                break;
            }
        }
    }
    let is_among_files = |folder: &FolderPath| files.contains(&FilePath::of_folder(folder));
    let entries: Vec<FilePath> =
        missing.iter().filter(|f| !is_among_files(f)).map(FilePath::of_folder).collect();
    for batch in entries.chunks(core.batch_files(DESCRIPTORS)) {
        for survey in survey(core, batch) {
            if let Ok(Plan { survey, facts }) = plan(core, survey) {
                // Whatever is wrong is reported with the first file.
                let _ =
                    Target::create(to.root(), &to.local(&survey.path), &facts, &mut LastFolder::default());
            }
        }
    }
}

/// `looked`: what the servers have just reported about the batch. Servers that do not answer are added to `unseen`.
/// Returns a result for each file, and what the servers have reported about the names `next` in the meantime.
fn download_batch(
    core: &mut Core,
    batch: &[FilePath],
    mut looked: Option<Vec<Survey>>,
    mut next: &[FilePath],
    terms: Terms<'_>,
    unseen: &mut Unseen,
) -> (Vec<Result<Downloaded, ClientError>>, Option<Looks>) {
    let mut looks = 0;
    let mut of_next = None;
    let attempt = |core: &mut Core, pending: Vec<&mut Download>| {
        looks += 1;
        let surveys = looked.take().unwrap_or_else(|| {
            let paths: Vec<FilePath> = pending.iter().map(|file| file.of.clone()).collect();
            survey_to_read(core, &paths)
        });
        surveys.iter().for_each(|survey| unseen.add(&survey.unseen));
        let (arrived, found) = attempt(core, surveys, std::mem::take(&mut next), terms);
        of_next = of_next.take().or(found);
        for (file, arrived) in pending.into_iter().zip(arrived) {
            file.result = match arrived {
                Ok(downloaded) => Some(Ok(downloaded)),
                // The servers are not asked at one instant: to a look that an upload overlaps, the file
                // may seem incomplete.
                Err(Failure::Failed(ClientError::Incomplete { .. })) if looks <= MORE_LOOKS => None,
                Err(Failure::Failed(ClientError::Local(error))) => {
                    Some(Err(error.below(terms.to.root()).into()))
                }
                Err(Failure::Failed(error)) => Some(Err(error)),
                Err(Failure::Replaced) => None,
            };
        }
    };
    let contended = |_: &Core, path| Err(ClientError::Contended(path));
    let results = until_settled(core, batch.iter().cloned(), MAX_RESTARTS, attempt, contended);
    (results, of_next)
}

/// Tries once to download the surveyed files.
fn attempt(
    core: &mut Core,
    surveys: Vec<Survey>,
    next: &[FilePath],
    terms: Terms<'_>,
) -> (Vec<Result<Downloaded, Failure>>, Option<Looks>) {
    let plans: Vec<_> = surveys.into_iter().map(|survey| plan(core, survey)).collect();
    let mut folder = LastFolder::default();
    let begin = |plan: Result<Plan, ClientError>| begin(core, plan?, terms, &mut folder);
    let mut begun: Vec<Result<Begun, ClientError>> = plans.into_iter().map(begin).collect();
    begun.iter_mut().flatten().filter_map(Begun::incoming).for_each(|file| resume(core, file));
    let files: Vec<&mut Incoming<Target>> = begun.iter_mut().flatten().filter_map(Begun::incoming).collect();
    core.report.begin(files.len(), files.iter().map(|file| file.size()).sum());
    files.iter().for_each(|file| report_resumed(core, file));
    // What must be made of others is not fetched twice.
    let mut at_hand: Vec<&mut Incoming<Target>> = Vec::new();
    let mut to_make = Vec::new();
    for file in files {
        match is_to_make(core, &file.survey, &file.pieces) {
            true => to_make.push(file),
            false => at_hand.push(file),
        }
    }
    let looks = gather(core, &mut at_hand, next);
    rebuild(core, at_hand.into_iter().chain(to_make));
    let conclude = |begun: Result<Begun, ClientError>| match begun? {
        Begun::Done(downloaded) => Ok(downloaded),
        Begun::Fetching(file, version) => conclude(core, *file, version, terms.to),
    };
    (begun.into_iter().map(conclude).collect(), looks)
}

/// What is left to do for a file.
enum Begun {
    Fetching(Box<Incoming<Target>>, Version),
    Done(Downloaded),
}

impl Begun {
    fn incoming(&mut self) -> Option<&mut Incoming<Target>> {
        match self {
            Begun::Fetching(file, _) => Some(file),
            Begun::Done(_) => None,
        }
    }
}

fn begin(core: &Core, plan: Plan, terms: Terms<'_>, last: &mut LastFolder) -> Result<Begun, ClientError> {
    let (path, facts) = (&plan.survey.path, &plan.facts);
    let local = terms.to.local(path);
    let now = match terms.dry_run || local.is_of_folder() {
        true => existing_at(terms.to.root(), &local),
        // It is needed in any case.
        false => existing(&*last.open(terms.to.root(), &local.folder())?, local.file_name()),
    };
    let unchanged = terms.only_changed && now.as_ref().is_some_and(|now| is_same(now, facts));
    if !unchanged && facts.kind == Kind::Data && now.is_some_and(|now| is_newer(&now, facts)) {
        core.report.notice(Notice::NewerReplaced { path: path.clone() });
    }
    // A folder gets its permission bits and time in any case.
    if terms.dry_run || (unchanged && facts.kind != Kind::Folder) {
        let (path, place, size) = (path.clone(), terms.to.place(path), facts.size);
        return Ok(Begun::Done(Downloaded { path, place, size, unchanged, folder: None }));
    }
    let target = Target::create(terms.to.root(), &local, facts, last)?;
    let pieces = pieces(core, &plan);
    let version = plan.facts.version;
    Ok(Begun::Fetching(
        Box::new(Incoming { survey: plan.survey, output: target, pieces, failed: None }),
        version,
    ))
}

/// Puts a fetched file in its place, or returns why that is not possible.
fn conclude(
    core: &Core,
    file: Incoming<Target>,
    version: Version,
    to: &Destination,
) -> Result<Downloaded, Failure> {
    let Incoming { survey, output: mut target, pieces, failed } = file;
    if let Some(error) = failed {
        return Err(Failure::Failed(error.into()));
    }
    let is_written = |piece: &&Piece| piece.key().is_some();
    let is_whole = |number| {
        let mut written = pieces.iter().filter(is_written);
        written.any(|piece| piece.claim.header.piece == number && piece.is_whole())
    };
    if !placement::pieces().all(is_whole) {
        let of_piece = |piece: &Piece| piece.claim.header.piece_size - piece.bytes_missing();
        if target.is_resumed() || pieces.iter().map(of_piece).sum::<u64>() >= WORTH_KEEPING {
            // Of what an earlier one has left, perhaps nothing could be proved.
            target.leave();
        }
        return Err(failure(core, &survey, version, &pieces));
    }
    let folder = target.finish(&survey.path, &to.local(&survey.path)).map_err(ClientError::from)?;
    report_shortfall(core, &survey.path, target.shortfall());
    report_bad_copies(core, &survey, bad_copies(&pieces));
    let size = pieces.first().map_or(0, |piece| piece.claim.header.file_size);
    Ok(Downloaded { place: to.place(&survey.path), path: survey.path, size, unchanged: false, folder })
}

/// Gives a folder its permission bits and time, now that everything in it is there.
///
/// # Errors
/// If the folder cannot be used anymore.
pub(crate) fn finish_folder(core: &Core, folder: &MadeFolder, to: &Destination) -> Result<(), ClientError> {
    let refused = folder.finish(to.root())?;
    report_shortfall(core, folder.path(), refused);
    Ok(())
}

fn report_resumed(core: &Core, file: &Incoming<Target>) {
    let size = file.size();
    let there = size - file.pieces.iter().map(Piece::bytes_missing).sum::<u64>();
    if there > 0 {
        core.report.notice(Notice::DownloadContinued { path: file.survey.path.clone(), there, size });
    }
}

fn report_shortfall(core: &Core, path: &FilePath, shortfall: Option<Shortfall>) {
    let path = path.clone();
    match shortfall {
        None => {}
        Some(Shortfall::Narrower { kept, stored }) => {
            core.report.notice(Notice::KeptNarrower { path, kept, stored });
        }
        Some(Shortfall::Refused(why)) => core.report.notice(Notice::PermissionsNotSet { path, why }),
    }
}
