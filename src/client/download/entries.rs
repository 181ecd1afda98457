//! Folders below a user's downloads, and what is in them: no link is followed.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fchmod, fstat, mkdirat,
    openat, statat,
};
use rustix::io::Errno;

use crate::client::core::error::LocalError;
use crate::name::{FilePath, FolderPath};
use crate::sealed::{Facts, Kind, MODE_BITS, ModifiedTime};

/// The owner's bits, without which nobody but root can make anything in a folder.
pub(super) const OWNERS: u16 = 0o700;
/// Without these bits a draft could not be opened by [`sweep`], or by another download that goes on with it.
pub(super) const OWNER_READS_AND_WRITES: u16 = 0o600;

/// Why something does not get the permission bits that are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shortfall {
    /// What exists, or existed in its place, has fewer.
    Narrower { kept: u16, stored: u16 },
    /// The file system does not set them.
    Refused(String),
}

/// The folder that was opened last: files of one folder follow one another.
#[derive(Default)]
pub(super) struct LastFolder(Option<(FolderPath, Arc<OwnedFd>)>);

impl LastFolder {
    pub(super) fn open(&mut self, downloads: &Path, folder: &FolderPath) -> Result<Arc<OwnedFd>, LocalError> {
        if let Some((last, opened)) = &self.0
            && last == folder
        {
            return Ok(Arc::clone(opened));
        }
        let opened = Arc::new(open_folder(downloads, folder, true)?);
        self.0 = Some((folder.clone(), Arc::clone(&opened)));
        Ok(opened)
    }
}

/// A folder below `downloads`; with `make` it and those around it are made if they do not exist.
pub(super) fn open_folder(downloads: &Path, folder: &FolderPath, make: bool) -> Result<OwnedFd, LocalError> {
    const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
    let local = |path: &Path, error: io::Error| LocalError::Failed(path.to_path_buf(), error);
    if make {
        fs::create_dir_all(downloads).map_err(|error| local(downloads, error))?;
    }
    let mut path = downloads.to_path_buf();
    let mut inner =
        openat(CWD, downloads, FOLDER, Mode::empty()).map_err(|error| local(downloads, error.into()))?;
    for segment in folder.segments() {
        path.push(segment);
        if make && let Err(error) = mkdirat(&inner, segment, Mode::from_raw_mode(0o777)) {
            let error = io::Error::from(error);
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(local(&path, error));
            }
        }
        let opened = openat(&inner, segment, FOLDER.union(OFlags::NOFOLLOW), Mode::empty());
        inner = opened.map_err(|error| match kind(&inner, segment) {
            Some(FileType::Symlink) => LocalError::LinkBelowDownloads(path.clone()),
            _ => local(&path, error.into()),
        })?;
    }
    Ok(inner)
}

/// An entry of a folder, no link followed; none if it does not exist.
pub(super) fn existing(folder: &OwnedFd, name: &str) -> Option<Stat> {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()
}

/// What has this path below `downloads`, no link followed; none if nothing does.
pub(super) fn existing_at(downloads: &Path, path: &FilePath) -> Option<Stat> {
    let folder = open_folder(downloads, &path.folder(), false).ok()?;
    if path.is_of_folder() { fstat(&folder).ok() } else { existing(&folder, path.file_name()) }
}

/// Whether something has the kind, size and time that are stored; a folder, whether it is one.
pub(super) fn is_same(now: &Stat, stored: &Facts) -> bool {
    let is_like = u64::try_from(now.st_size) == Ok(stored.size) && modified(now) == stored.modified;
    match FileType::from_raw_mode(now.st_mode) {
        FileType::RegularFile => stored.kind == Kind::Data && is_like,
        FileType::Symlink => stored.kind == Kind::Link && is_like,
        FileType::Directory => stored.kind == Kind::Folder,
        _ => false,
    }
}

/// Whether something is a file that was modified after what is stored.
pub(super) fn is_newer(now: &Stat, stored: &Facts) -> bool {
    FileType::from_raw_mode(now.st_mode).is_file() && modified(now) > stored.modified
}

fn modified(now: &Stat) -> ModifiedTime {
    ModifiedTime { seconds: now.st_mtime, nanos: u32::try_from(now.st_mtime_nsec).unwrap_or(0) }
}

/// The kind of an entry of a folder, without following links; none if it does not exist.
pub(super) fn kind(folder: &OwnedFd, name: &str) -> Option<FileType> {
    Some(FileType::from_raw_mode(existing(folder, name)?.st_mode))
}

/// What an entry replaces: a file or a link; none if nothing has its name.
pub(super) fn replaced(folder: &OwnedFd, name: &str) -> io::Result<Option<Stat>> {
    match existing(folder, name) {
        Some(found) => match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile | FileType::Symlink => Ok(Some(found)),
            FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
            // A device or FIFO is there for others.
            _ => Err(io::Error::other("not a regular file")),
        },
        None => Ok(None),
    }
}

/// The permission bits of what was stored with `stored`: none that a file which it replaces does not have.
pub(super) fn narrowed_by(replaced: Option<&Stat>, stored: u16) -> (u16, Option<Shortfall>) {
    match replaced.filter(|old| FileType::from_raw_mode(old.st_mode).is_file()) {
        Some(file) => narrowed(stored, bits(file)),
        None => (stored, None),
    }
}

/// The permission bits of what exists.
pub(super) fn bits(of: &Stat) -> u16 {
    u16::try_from(of.st_mode & u32::from(MODE_BITS)).unwrap_or(MODE_BITS)
}

/// The bits for what was stored with `stored` and replaces something with `old`: none that the old does not have.
pub(super) fn narrowed(stored: u16, old: u16) -> (u16, Option<Shortfall>) {
    let kept = stored & old;
    (kept, (kept != stored).then_some(Shortfall::Narrower { kept, stored }))
}

pub(super) fn mode(bits: u16) -> Mode {
    Mode::from_raw_mode(bits.into())
}

/// Sets the permission bits of what is open, and no others: a folder keeps the setgid bit that it may have inherited. A
/// file system without such bits, or somebody else's folder, is no reason to lose what is in it.
pub(super) fn set_bits(of: impl AsFd, now: &Stat, bits: u16) -> Result<Option<Shortfall>, Errno> {
    let now = now.st_mode & 0o7777;
    let wanted = now & !u32::from(MODE_BITS) | u32::from(bits);
    if now == wanted {
        return Ok(None);
    }
    match fchmod(&of, Mode::from_raw_mode(wanted)) {
        Err(error @ (Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)) => {
            Ok(Some(Shortfall::Refused(io::Error::from(error).to_string())))
        }
        set => set.map(|()| None),
    }
}

/// Where something with this path is.
pub(super) fn place(downloads: &Path, path: &FilePath) -> PathBuf {
    // The entry of the user's own folder must not lead to that of the machine.
    downloads.join(path.as_str().trim_start_matches('/'))
}

/// Only the time of modification: that of the last access stays.
pub(super) fn times(modified: ModifiedTime) -> Timestamps {
    let last_modification = Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanos.into() };
    Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification }
}

/// A new file with these permission bits, as far as the umask leaves them.
pub(super) fn new_file(folder: &OwnedFd, name: &str, bits: u16) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, mode(bits)).map(File::from)
}
