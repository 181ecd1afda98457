//! Small files and links: made in one step when all their bytes are there. Their drafts live too short to be locked
//! against those that sweep: what is swept is made again.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, fstat, futimens, renameat, symlinkat, unlinkat, utimensat};
use rustix::io::Errno;

use super::entries::{OWNER_READS_AND_WRITES, Shortfall, narrowed_by, new_file, replaced, set_bits, times};
use crate::client::core::draft;
use crate::sealed::ModifiedTime;

/// Files up to this many bytes are small: a batch of them must fit into memory.
pub(super) const SMALL: u64 = 32 * 1024;

/// How often a download may lose its draft to others that sweep. Even a second time is rare.
pub(super) const MAX_SWEPT: usize = 100;

/// A small file, as far as it has arrived.
pub(super) struct Small {
    bytes: Vec<u8>,
    /// How many of them are still to come.
    missing: usize,
    is_placed: bool,
    /// Why it did not get the permission bits that are stored, if so.
    pub(super) shortfall: Option<Shortfall>,
}

impl Small {
    pub(super) fn new(size: u64) -> Self {
        let missing = usize::try_from(size.min(SMALL)).unwrap_or(0);
        Self { bytes: vec![0; missing], missing, is_placed: false, shortfall: None }
    }

    /// Takes bytes to their place; returns whether these were the last.
    pub(super) fn take(&mut self, bytes: &[u8], offset: u64) -> bool {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(part) = self.bytes.get_mut(start..start.saturating_add(bytes.len())) {
            part.copy_from_slice(bytes);
            self.missing = self.missing.saturating_sub(bytes.len());
        }
        self.missing == 0
    }

    /// Makes the file, which is whole, unless that has been done.
    pub(super) fn place(
        &mut self,
        folder: &OwnedFd,
        name: &str,
        mode: u16,
        modified: ModifiedTime,
    ) -> io::Result<()> {
        if !self.is_placed {
            let make = |draft: &str| make_file(folder, name, draft, &self.bytes, mode, modified);
            self.shortfall = unless_swept(make)?;
            self.is_placed = true;
        }
        Ok(())
    }
}

/// Makes a file under the name of a draft, and moves it to its place.
fn make_file(
    folder: &OwnedFd,
    name: &str,
    draft: &str,
    bytes: &[u8],
    stored: u16,
    modified: ModifiedTime,
) -> io::Result<Option<Shortfall>> {
    let old = replaced(folder, name)?;
    let (mode, narrower) = narrowed_by(old.as_ref(), stored);
    let first = mode | OWNER_READS_AND_WRITES;
    let file = new_file(folder, draft, first)?;
    let made = || {
        // The umask of this process is for what has no permission bits of its own.
        let refused = set_bits(&file, &fstat(&file)?, first)?;
        file.write_all_at(bytes, 0)?;
        if mode != first {
            set_bits(&file, &fstat(&file)?, mode)?;
        }
        move_to_place(folder, name, &file, draft, modified, old.is_some())?;
        Ok(refused.or(narrower))
    };
    made().inspect_err(|_| {
        let _ = unlinkat(folder, draft, AtFlags::empty());
    })
}

/// Moves a whole file to its place, over what it replaces in one step.
pub(super) fn move_to_place(
    folder: &OwnedFd,
    name: &str,
    file: &File,
    draft: &str,
    modified: ModifiedTime,
    replaces: bool,
) -> io::Result<()> {
    // A file system that cannot keep the time still keeps the file.
    let _ = futimens(file, &times(modified));
    if replaces {
        // A power failure must not leave an empty file where a whole one was.
        file.sync_data()?;
    }
    Ok(renameat(folder, draft, folder, name)?)
}

/// Makes a link, over what it replaces in one step.
pub(super) fn make_link(
    folder: &OwnedFd,
    name: &str,
    target: &[u8],
    modified: ModifiedTime,
) -> io::Result<()> {
    unless_swept(|draft| Ok(place_link(folder, target, draft, name, modified)?))
}

/// Makes a link under the name of a draft, and moves it to its place.
fn place_link(
    folder: &OwnedFd,
    target: &[u8],
    draft: &str,
    name: &str,
    modified: ModifiedTime,
) -> Result<(), Errno> {
    symlinkat(target, folder, draft)?;
    let _ = utimensat(folder, draft, &times(modified), AtFlags::SYMLINK_NOFOLLOW);
    renameat(folder, draft, folder, name).inspect_err(|_| {
        let _ = unlinkat(folder, draft, AtFlags::empty());
    })
}

/// Makes something under the name of a draft, and again if that was swept.
fn unless_swept<T>(mut make: impl FnMut(&str) -> io::Result<T>) -> io::Result<T> {
    let mut made = Err(io::ErrorKind::ResourceBusy.into());
    for _ in 0..MAX_SWEPT {
        made = draft::new_name().and_then(|draft| make(&draft));
        if !matches!(&made, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            break;
        }
    }
    made
}
