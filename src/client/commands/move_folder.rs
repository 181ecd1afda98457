//! Move of a folder: each name below it is moved, many at a time.
//!
//! Whenever it is interrupted, each file is under its old name, its new one, or both, and the same Move continues. It
//! recognises its own work by a copy under the new name whose original is still under the old one. So that there is
//! such a witness until the end, some names are copied first and deleted last: the entries of folders, which are made
//! before anything is in them, or a file if there are none.

use std::collections::BTreeSet;
use std::fmt;

use super::rename::{Renaming, copy_all, delete_old, is_copy, rename_all};
use crate::client::core::base::Core;
use crate::client::core::error::ClientError;
use crate::client::core::find::{Files, Found, find};
use crate::client::core::look::ask;
use crate::client::core::name_map::Names;
use crate::client::core::prove::survey_to_read;
use crate::client::core::survey::Survey;
use crate::name::{FilePath, FolderPath};
use crate::version::Version;

/// Names that are moved together.
const BATCH: usize = 128;
/// Most bytes of files that are moved together: until the old names are deleted, the servers store both.
const BATCH_BYTES: u64 = 64 << 20;
/// Names under which a witness of an interrupted Move is sought. It is among the first: what is deleted last is deleted
/// from the last name to the first.
const WITNESSES: usize = 64;

/// A folder that is being moved, one batch after another.
pub struct FolderMove {
    old: FolderPath,
    new: FolderPath,
    /// Names that are copied first and deleted last.
    frame: std::vec::IntoIter<FilePath>,
    /// Those that are copied, with the version under the old name.
    copied: Vec<(Renaming, Version)>,
    /// All other names.
    files: Box<dyn Iterator<Item = FilePath>>,
    /// Those of which the sizes were looked at and that are moved next.
    next: Vec<(Renaming, u64)>,
    /// Folders in which something could not be moved.
    kept: BTreeSet<FolderPath>,
}

impl fmt::Debug for FolderMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FolderMove({} to {})", self.old, self.new)
    }
}

/// The fate of a name: the old one, and the new one or why it was not moved.
pub type Moved = (FilePath, Result<FilePath, ClientError>);

impl FolderMove {
    /// A move of these files, which are those of [`Client::find_to_move`](crate::client::Client::find_to_move).
    pub fn new(old: &FolderPath, new: &FolderPath, files: Names) -> Self {
        let frame: Vec<FilePath> = files.iter().filter(FilePath::is_of_folder).collect();
        let files = files.into_entries().map(|(path, ())| path).filter(|path| !path.is_of_folder());
        Self {
            old: old.clone(),
            new: new.clone(),
            frame: frame.into_iter(),
            copied: Vec::new(),
            files: Box::new(files),
            next: Vec::new(),
            kept: BTreeSet::new(),
        }
    }

    /// That name in the new folder, which was found to be valid.
    fn renaming(&self, old: FilePath) -> Result<Renaming, ClientError> {
        let new = name_in(&self.old, &self.new, &old)?;
        Ok(Renaming { old, new })
    }

    /// Notes that something in a folder stays, and so does every folder around it.
    fn keep(&mut self, path: &FilePath) {
        let mut folder = path.folder();
        while self.kept.insert(folder.clone()) && !folder.is_root() {
            folder = folder.parent();
        }
    }

    fn results(&mut self, names: Vec<Renaming>, results: Vec<Result<(), ClientError>>) -> Vec<Moved> {
        let result = |(name, result): (Renaming, Result<(), ClientError>)| {
            if result.is_err() {
                self.keep(&name.old);
            }
            (name.old, result.map(|()| name.new))
        };
        names.into_iter().zip(results).map(result).collect()
    }
}

/// The name below `new` of what has this path below `old`.
fn name_in(old: &FolderPath, new: &FolderPath, path: &FilePath) -> Result<FilePath, ClientError> {
    let relative = old.relative(path).ok_or_else(|| ClientError::NotFound(path.as_str().to_owned()))?;
    new.absolute(&relative)
        .map_err(|why| ClientError::Name(format!("{}/{}", new.as_str(), relative.as_str()), why))
}

/// See [`Client::find_to_move`](crate::client::Client::find_to_move).
pub(crate) fn find_to_move(
    core: &mut Core,
    old: &FolderPath,
    new: &FolderPath,
) -> Result<Files, ClientError> {
    core.begin();
    // The user's own folder has no other name, and everything is below it.
    let Some(new_name) = new.as_file().filter(|_| !old.is_root()) else {
        return Err(ClientError::IntoItself(old.clone(), new.clone()));
    };
    if old == new {
        return Err(ClientError::Exists(new_name));
    }
    if old.relative(&new_name).is_some() {
        return Err(ClientError::IntoItself(old.clone(), new.clone()));
    }
    let Files { files, unseen, is_complete } = match find(core, old.as_str())? {
        Found::Below(files) => files,
        Found::File(_) => return Err(ClientError::NotFound(format!("{}/", old.as_str()))),
    };
    // All of it before anything is moved.
    files.iter().try_for_each(|path| name_in(old, new, &path).map(drop))?;
    require_free(core, old, new, &new_name, &files)?;
    let wanted = core.config.scheme.servers_wanted(core.config.replicas, core.cluster.len());
    if core.cluster.up().count() < wanted {
        return Err(ClientError::NeedsServers(FilePath::of_folder(old), wanted, core.cluster.down()));
    }
    Ok(Files { files, unseen, is_complete })
}

/// That nothing has the new name, except for what this very Move has left there when it was interrupted.
fn require_free(
    core: &mut Core,
    old: &FolderPath,
    new: &FolderPath,
    new_name: &FilePath,
    files: &Names,
) -> Result<(), ClientError> {
    let folders = std::iter::successors(Some(new.parent()), |folder| Some(folder.parent()));
    let around: Vec<FilePath> = folders.map_while(|folder| folder.as_file()).collect();
    if survey_to_read(core, &around).iter().any(Survey::is_a_file) {
        return Err(ClientError::Conflict(new_name.clone()));
    }
    let there = match find(core, new.as_str()) {
        Err(ClientError::NotFound(_) | ClientError::OutOfSight(..)) => return Ok(()),
        Ok(Found::File(file)) => return Err(ClientError::Exists(file.path().clone())),
        Ok(Found::Below(there)) => there.files,
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for path in files.iter() {
        let copy = name_in(old, new, &path)?;
        if there.contains(&copy) {
            paths.extend([path, copy]);
        }
        if paths.len() == 2 * WITNESSES {
            break;
        }
    }
    let surveys = survey_to_read(core, &paths);
    let is_witness = |pair: &[Survey]| {
        let versions = pair[0].file_version().zip(pair[1].file_version());
        versions.is_some_and(|(version, copy)| is_copy(core, &pair[0], version, &pair[1], copy))
    };
    match surveys.chunks_exact(2).any(is_witness) {
        true => Ok(()),
        false => Err(ClientError::Exists(new_name.clone())),
    }
}

/// See [`Client::move_next`](crate::client::Client::move_next).
pub(crate) fn move_next(core: &mut Core, moving: &mut FolderMove) -> Option<Vec<Moved>> {
    core.begin();
    let mut frame: Vec<FilePath> = moving.frame.by_ref().take(BATCH).collect();
    if frame.is_empty() && moving.copied.is_empty() {
        // The first that can be moved will do. If one could not, there may be many.
        let most = if moving.kept.is_empty() { 1 } else { BATCH };
        frame = moving.files.by_ref().take(most).collect();
    }
    if !frame.is_empty() {
        return Some(copy_frame(core, moving, frame));
    }
    if moving.next.is_empty() {
        let files: Vec<FilePath> = moving.files.by_ref().take(BATCH).collect();
        moving.next = sizes(core, moving, files);
    }
    if !moving.next.is_empty() {
        let mut bytes = 0;
        let fits = |(_, size): &&(Renaming, u64)| {
            bytes += size;
            bytes <= BATCH_BYTES
        };
        let count = moving.next.iter().take_while(fits).count().max(1);
        let names: Vec<Renaming> = moving.next.drain(..count).map(|(name, _)| name).collect();
        let results = rename_all(core, &names, count);
        core.report.end();
        return Some(moving.results(names, results));
    }
    delete_frame(core, moving)
}

/// Copies names that stay under the old one, too, for now; returns those for which that failed.
fn copy_frame(core: &mut Core, moving: &mut FolderMove, frame: Vec<FilePath>) -> Vec<Moved> {
    let mut failed = Vec::new();
    let mut names = Vec::new();
    for path in frame {
        match moving.renaming(path.clone()) {
            Ok(name) => names.push(name),
            Err(error) => failed.push((path, Err(error))),
        }
    }
    let copied = copy_all(core, &names, names.len());
    core.report.end();
    for (name, copied) in names.into_iter().zip(copied) {
        match copied {
            Ok(version) => moving.copied.push((name, version)),
            Err(error) => {
                moving.keep(&name.old);
                failed.push((name.old, Err(error)));
            }
        }
    }
    failed
}

/// The names to move, each with the size of its file as far as it is known.
fn sizes(core: &mut Core, moving: &FolderMove, files: Vec<FilePath>) -> Vec<(Renaming, u64)> {
    let surveys = ask(core, &files);
    let sizes = surveys.iter().map(|survey| {
        let claim = survey.file_version().and_then(|version| survey.any_claim(version));
        claim.map_or(0, |claim| claim.header.file_size)
    });
    let names = files.into_iter().zip(sizes);
    names.filter_map(|(path, size)| Some((moving.renaming(path).ok()?, size))).collect()
}

/// Deletes the names that were copied first, from the last to the first, except for the entries of folders that keep
/// something. `None` when that is done.
fn delete_frame(core: &mut Core, moving: &mut FolderMove) -> Option<Vec<Moved>> {
    let left = moving.copied.len().checked_sub(1)?.min(BATCH - 1) + 1;
    let batch = moving.copied.split_off(moving.copied.len() - left);
    let is_kept = |name: &Renaming| name.old.is_of_folder() && moving.kept.contains(&name.old.folder());
    let done: Vec<_> = batch.into_iter().filter(|(name, _)| !is_kept(name)).collect();
    let deleted = delete_old(core, &done);
    let names = done.into_iter().map(|(name, _)| name).collect();
    Some(moving.results(names, deleted))
}
