//! Drafts of downloads that have ended: which are taken up again, and which are removed.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat, unlinkat};
use rustix::process::geteuid;

use super::entries::{OWNERS, Shortfall, kind, open_folder, set_bits};
use crate::client::core::draft::{self, is_draft, is_lasting};
use crate::name::{FilePath, FolderPath};
use crate::sealed::MODE_BITS;

/// A lasting draft that nothing was written to for so long is swept like any other: nobody knows of it anymore.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Locks a draft, which distinguishes a live one from a leftover, and returns its state; none if another download that
/// begins here has taken it for a leftover before that: see [`sweep`].
pub(super) fn kept(file: &File, folder: &OwnedFd, draft: &str) -> io::Result<Option<Stat>> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        locked => locked?,
    }
    let of_file = fstat(file)?;
    match statat(folder, draft, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        of_path => {
            let of_path = of_path?;
            let is_same = (of_path.st_dev, of_path.st_ino) == (of_file.st_dev, of_file.st_ino);
            Ok(is_same.then_some(of_file))
        }
    }
}

/// The lasting draft of an earlier download of a file of this size, with these permission bits from now on. None if
/// there is none, another download is writing it, or it is not certain that this user's client made it.
pub(super) fn take_up(
    folder: &OwnedFd,
    draft: &str,
    bits: u16,
    size: u64,
) -> Option<(File, Option<Shortfall>)> {
    // What is no file may do something when it is opened.
    if kind(folder, draft)? != FileType::RegularFile {
        return None;
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, draft, flags, Mode::empty()).ok()?);
    let now = kept(&file, folder, draft).ok()??;
    let is_file = FileType::from_raw_mode(now.st_mode).is_file();
    if !is_file || now.st_nlink != 1 || now.st_uid != geteuid().as_raw() {
        return None;
    }
    let refused = set_bits(&file, &now, bits).ok()?;
    // Whoever has opened it while it was open to more could still read it.
    if refused.is_none() && now.st_mode & u32::from(MODE_BITS & !OWNERS & !bits) != 0 {
        let _ = unlinkat(folder, draft, AtFlags::empty());
        return None;
    }
    if u64::try_from(now.st_size).is_ok_and(|now| now > size) {
        file.set_len(size).ok()?;
    }
    Some((file, refused))
}

/// Removes what killed downloads left in a folder below `downloads`: regular files and links with the names of drafts,
/// and nothing else. Lasting drafts stay for some time; returns whether there are any.
pub(super) fn sweep(downloads: &Path, folder: &FolderPath) -> bool {
    let Ok(folder) = open_folder(downloads, folder, false) else { return false };
    let Ok(entries) = Dir::read_from(&folder) else { return false };
    let mut any_stays = false;
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().to_str() else { continue };
        if is_draft(name) && kind(&folder, name) == Some(FileType::Symlink) {
            let _ = unlinkat(&folder, name, AtFlags::empty());
        }
        if is_draft(name)
            && let Some(file) = open_draft(&folder, name)
        {
            let age = || file.metadata().and_then(|file| file.modified()).ok()?.elapsed().ok();
            // A lock, even for an instant, would have another download take it for one that is in use.
            match is_lasting(name) && age().is_none_or(|age| age < KEPT) {
                true => any_stays = true,
                false => remove_unused(&folder, name, &file),
            }
        }
    }
    any_stays
}

fn open_draft(folder: &OwnedFd, name: &str) -> Option<File> {
    // A FIFO would wait for a writer, a link would lead elsewhere.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty()).ok()?);
    file.metadata().is_ok_and(|file| file.is_file()).then_some(file)
}

/// Removes a draft that no download is writing.
fn remove_unused(folder: &OwnedFd, name: &str, file: &File) {
    // Locked until it is removed: a download that has just made it sees one or the other, and makes another.
    if file.try_lock().is_ok() {
        // Somebody else may have swept it first.
        let _ = unlinkat(folder, name, AtFlags::empty());
    }
}

/// The folder of a file, and its lasting draft, if there is one.
fn lasting_draft(downloads: &Path, path: &FilePath) -> Option<(OwnedFd, String, File)> {
    let (folder, name) =
        (open_folder(downloads, &path.folder(), false).ok()?, draft::lasting_name(path.file_name()));
    let file = open_draft(&folder, &name)?;
    Some((folder, name, file))
}

/// Whether a download can go on with what an earlier one has left.
pub(super) fn has_remains(downloads: &Path, path: &FilePath) -> bool {
    lasting_draft(downloads, path).is_some_and(|(_, _, file)| file.try_lock_shared().is_ok())
}

/// Removes what an earlier download has left of a file that has been downloaded.
pub(super) fn remove_remains(downloads: &Path, path: &FilePath) {
    if let Some((folder, name, file)) = lasting_draft(downloads, path) {
        remove_unused(&folder, &name, &file);
    }
}
