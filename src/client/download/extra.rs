//! Local files and folders that are not stored: what a mirror removes here.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Dir, FileType, Stat, statat, unlinkat};
use rustix::io::Errno;

use super::destination::Destination;
use super::entries::{existing, open_folder, place};
use crate::client::core::draft::is_draft;
use crate::client::core::error::{ClientError, LocalError};
use crate::client::core::name_map::Names;
use crate::name::{FilePath, FolderPath};
use crate::pattern::Excluded;

/// A local file, link or folder that is not stored, as it was when it was found.
#[derive(Debug, Clone)]
pub struct Extra {
    /// The name under which it would be stored.
    pub path: FilePath,
    state: State,
}

/// What changes if another file gets the name, or something is written to this one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    file: (u64, u64),
    size: i64,
    modified: (i64, i64),
}

impl From<&Stat> for State {
    fn from(of: &Stat) -> Self {
        let modified = (of.st_mtime, i64::try_from(of.st_mtime_nsec).unwrap_or_default());
        Self { file: (of.st_dev, of.st_ino), size: of.st_size, modified }
    }
}

/// What a local folder has that is not stored, folders after what is in them.
///
/// What could not be stored, such as a FIFO, is no part of the mirror, and stays; so do what is excluded and the files
/// `kept`.
///
/// # Errors
/// If a local folder cannot be read.
pub(crate) fn extra(
    to: &Destination,
    folder: &FolderPath,
    stored: &Names,
    excluded: &Excluded,
    kept: &[PathBuf],
) -> Result<Vec<Extra>, ClientError> {
    let mut found = Vec::new();
    let local = to.local(&FilePath::of_folder(folder)).folder();
    let opened = match open_folder(to.root(), &local, false) {
        Err(LocalError::Failed(_, error)) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        opened => opened?,
    };
    let id = |path: &PathBuf| path.symlink_metadata().ok().map(|of| (of.dev(), of.ino()));
    let kept = kept.iter().filter_map(id).collect();
    Search { to, top: folder, stored, excluded, kept, found: &mut found }.visit(&opened, &local)?;
    Ok(found)
}

struct Search<'a> {
    to: &'a Destination,
    /// The stored folder that patterns are about.
    top: &'a FolderPath,
    stored: &'a Names,
    excluded: &'a Excluded,
    /// Devices and numbers of files.
    kept: Vec<(u64, u64)>,
    found: &'a mut Vec<Extra>,
}

impl Search<'_> {
    /// Returns whether nothing in the folder stays.
    fn visit(&mut self, opened: &OwnedFd, local: &FolderPath) -> Result<bool, ClientError> {
        let failed = |error: Errno| {
            LocalError::Failed(place(self.to.root(), &FilePath::of_folder(local)), error.into())
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(opened).map_err(failed)? {
            // What is not UTF-8 cannot have been stored.
            names.push(entry.map_err(failed)?.file_name().to_str().map(str::to_owned).ok());
        }
        names.retain(|name| !matches!(name.as_deref(), Some("." | "..")));
        names.sort_unstable();
        let mut all_are_extra = true;
        for name in names {
            all_are_extra &= match name {
                Some(name) => self.look_at(opened, local, &name)?,
                None => false,
            };
        }
        Ok(all_are_extra)
    }

    /// Returns whether the entry does not stay.
    fn look_at(&mut self, opened: &OwnedFd, local: &FolderPath, name: &str) -> Result<bool, ClientError> {
        let (Ok(path), Some(now)) = (local.file(name), existing(opened, name)) else { return Ok(false) };
        let Ok(stored) = self.to.stored(&path) else { return Ok(false) };
        let (kind, state) = (FileType::from_raw_mode(now.st_mode), State::from(&now));
        let below = self.top.relative(&stored);
        let is_excluded = below.is_some_and(|path| self.excluded.has(path.as_str(), kind.is_dir()));
        if is_excluded || is_draft(name) || self.kept.contains(&state.file) {
            return Ok(false);
        }
        match kind {
            FileType::RegularFile | FileType::Symlink if !self.stored.contains(&stored) => {
                self.found.push(Extra { path: stored, state });
                Ok(true)
            }
            FileType::Directory => {
                let (Ok(folder), Some(of)) = (local.folder(name), FolderPath::parse(stored.as_str()).ok())
                else {
                    return Ok(false);
                };
                let inner = open_folder(self.to.root(), &folder, false)?;
                let is_extra = self.visit(&inner, &folder)? && !self.stored.any_below(&of);
                if is_extra {
                    self.found.push(Extra { path: FilePath::of_folder(&of), state });
                }
                Ok(is_extra)
            }
            _ => Ok(false),
        }
    }
}

/// Removes a local file, link or empty folder.
///
/// # Errors
/// If that is not possible, or it has changed since it was found.
pub(crate) fn remove(to: &Destination, extra: &Extra) -> Result<(), ClientError> {
    let local = to.local(&extra.path);
    let (folder, name, flags) = match local.is_of_folder() {
        true => {
            let (of, name) = (local.folder(), local.folder());
            let name = name.segments().next_back().unwrap_or_default().to_owned();
            (of.parent(), name, AtFlags::REMOVEDIR)
        }
        false => (local.folder(), local.file_name().to_owned(), AtFlags::empty()),
    };
    let folder = open_folder(to.root(), &folder, false)?;
    let failed = |error: io::Error| LocalError::Failed(to.place(&extra.path), error);
    let now = statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| failed(error.into()))?;
    // A folder has changed with what was removed from it, and is removed only if nothing is left.
    let is_same = State::from(&now).file == extra.state.file;
    if !is_same || (flags.is_empty() && State::from(&now) != extra.state) {
        return Err(failed(io::Error::other("it has changed, and was kept")).into());
    }
    Ok(unlinkat(&folder, &name, flags).map_err(|error| failed(error.into()))?)
}
