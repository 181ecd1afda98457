//! Local files and folders that are not stored: what a mirror removes here.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, unlinkat};
use rustix::io::Errno;

use super::destination::Destination;
use super::entries::{kind, open_folder, place};
use crate::client::core::draft::is_draft;
use crate::client::core::error::{ClientError, LocalError};
use crate::client::core::name_map::Names;
use crate::name::{FilePath, FolderPath};
use crate::pattern::Excluded;

/// What a local folder has that is not stored: their stored names if they were, those of folders after what is in them.
///
/// What could not be stored, such as a FIFO, is no part of the mirror, and stays; so does what is excluded.
///
/// # Errors
/// If a local folder cannot be read.
pub(crate) fn extra(
    to: &Destination,
    folder: &FolderPath,
    stored: &Names,
    excluded: &Excluded,
) -> Result<Vec<FilePath>, ClientError> {
    let mut found = Vec::new();
    let local = to.local(&FilePath::of_folder(folder)).folder();
    let opened = match open_folder(to.root(), &local, false) {
        Err(LocalError::Failed(_, error)) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        opened => opened?,
    };
    Search { to, top: folder, stored, excluded, found: &mut found }.visit(&opened, &local)?;
    Ok(found)
}

struct Search<'a> {
    to: &'a Destination,
    /// The stored folder that patterns are about.
    top: &'a FolderPath,
    stored: &'a Names,
    excluded: &'a Excluded,
    found: &'a mut Vec<FilePath>,
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
        let (Ok(path), Some(kind)) = (local.file(name), kind(opened, name)) else { return Ok(false) };
        let Ok(stored) = self.to.stored(&path) else { return Ok(false) };
        let below = self.top.relative(&stored);
        let is_excluded = below.is_some_and(|path| self.excluded.has(path.as_str(), kind.is_dir()));
        if is_excluded || is_draft(name) {
            return Ok(false);
        }
        match kind {
            FileType::RegularFile | FileType::Symlink if !self.stored.contains(&stored) => {
                self.found.push(stored);
                Ok(true)
            }
            FileType::Directory => {
                let Ok(folder) = local.folder(name) else { return Ok(false) };
                let inner = open_folder(self.to.root(), &folder, false)?;
                let all_are_extra = self.visit(&inner, &folder)?;
                let Ok(entry) = self.to.stored(&FilePath::of_folder(&folder)) else { return Ok(false) };
                let is_extra = all_are_extra && !self.stored.contains(&entry);
                if is_extra {
                    self.found.push(entry);
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
/// If that is not possible.
pub(crate) fn remove(to: &Destination, stored: &FilePath) -> Result<(), ClientError> {
    let local = to.local(stored);
    let (folder, name, flags) = match local.is_of_folder() {
        true => {
            let (of, name) = (local.folder(), local.folder());
            let name = name.segments().next_back().unwrap_or_default().to_owned();
            (of.parent(), name, AtFlags::REMOVEDIR)
        }
        false => (local.folder(), local.file_name().to_owned(), AtFlags::empty()),
    };
    let folder = open_folder(to.root(), &folder, false)?;
    let failed = |error: Errno| LocalError::Failed(to.place(stored), error.into());
    Ok(unlinkat(&folder, &name, flags).map_err(failed)?)
}
