//! The local files of downloads: written beside their final place, and moved there when whole.
//!
//! `Downloads/USER` may be a link, and so may the folder that it is in. Below it no link is followed: each folder is
//! opened in the one before it, so that nothing is written elsewhere, whoever changes what in between.

use std::fs::{self, File, FileTimes, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::process::{Resource, getrlimit};

use crate::client::core::error::{ClientError, LocalError};
use crate::name::{FilePath, FolderPath};
use crate::primitives;
use crate::sealed::ModifiedTime;
use crate::text::hex;

const PREFIX: &str = ".shareit-";
const SUFFIX: &str = ".part";
/// Random bytes in a draft's name.
const UNIQUE: usize = 8;
/// How often a download may lose its draft to others that sweep. Even a second time is rare.
const MAX_SWEPT: usize = 100;

/// A download in progress. Dropped before [`Target::finish`], it leaves nothing behind.
pub(super) struct Target {
    file: File,
    folder: OwnedFd,
    /// Its current name in the folder, and its final one.
    draft: String,
    name: String,
    /// The final path, for messages.
    place: PathBuf,
    finished: bool,
}

/// A folder below `downloads`; with `make` it and those around it are made if they do not exist.
fn open_folder(downloads: &Path, folder: &FolderPath, make: bool) -> Result<OwnedFd, LocalError> {
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

/// The kind of an entry of a folder, without following links; none if it does not exist.
fn kind(folder: &OwnedFd, name: &str) -> Option<FileType> {
    let status = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(status.st_mode))
}

impl Target {
    /// Begins a file that will be at `path` below `downloads`; makes the folders around it.
    pub(super) fn create(downloads: &Path, path: &FilePath, size: u64) -> Result<Self, ClientError> {
        let place = downloads.join(path.as_str());
        let local = |error: io::Error| LocalError::Failed(place.clone(), error);
        let name = path.file_name().to_owned();
        for _ in 0..MAX_SWEPT {
            let folder = open_folder(downloads, &path.folder(), true)?;
            if kind(&folder, &name) == Some(FileType::Directory) {
                return Err(local(io::ErrorKind::IsADirectory.into()).into());
            }
            let unique = hex(&primitives::random::<UNIQUE>().map_err(ClientError::Random)?);
            let draft = format!("{PREFIX}{unique}{SUFFIX}");
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(&folder, &draft, flags, Mode::from_raw_mode(0o666));
            let file = File::from(file.map_err(|error| local(error.into()))?);
            let target =
                Self { file, folder, draft, name: name.clone(), place: place.clone(), finished: false };
            if target.is_kept().map_err(local)? {
                reserve(&target.file, size).map_err(local)?;
                return Ok(target);
            }
        }
        Err(local(io::ErrorKind::ResourceBusy.into()).into())
    }

    /// Locks the draft, which distinguishes a live one from a leftover. Another download that begins here may have
    /// taken it for a leftover before that: see [`sweep`].
    fn is_kept(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(false),
            locked => locked?,
        }
        let of_file = fstat(&self.file)?;
        match statat(&self.folder, &self.draft, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            of_path => {
                let of_path = of_path?;
                Ok((of_path.st_dev, of_path.st_ino) == (of_file.st_dev, of_file.st_ino))
            }
        }
    }

    /// Writes bytes to their place in the file.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), LocalError> {
        self.file.write_all_at(bytes, offset).map_err(|error| LocalError::Failed(self.place.clone(), error))
    }

    /// Moves the whole file to its place, over an older one in one step.
    pub(super) fn finish(mut self, modified: ModifiedTime) -> Result<(), LocalError> {
        let local = |error| LocalError::Failed(self.place.clone(), error);
        if let Some(time) = system_time(modified) {
            // A file system that cannot keep the time still keeps the file.
            let _ = self.file.set_times(FileTimes::new().set_modified(time));
        }
        if kind(&self.folder, &self.name).is_some() {
            // A power failure must not leave an empty file where a whole one was.
            self.file.sync_data().map_err(local)?;
        }
        renameat(&self.folder, &self.draft, &self.folder, &self.name).map_err(|error| local(error.into()))?;
        self.finished = true;
        Ok(())
    }
}

/// Files up to this many bytes get their room as they are written: to reserve it would take a fifth of their time.
const SMALL: u64 = 64 * 1024;

/// Gives a file its size and, if the file system can promise that, the room for it: what does not fit on the disk fails
/// before any of it has travelled, and takes no room from files that do.
fn reserve(file: &File, size: u64) -> io::Result<()> {
    // A signal would end the process: setrlimit(2), RLIMIT_FSIZE.
    if getrlimit(Resource::Fsize).current.is_some_and(|most| size > most) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    #[cfg(target_os = "linux")]
    if size > SMALL {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::{Errno, retry_on_intr};
        match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, size)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            reserved => return Ok(reserved?),
        }
    }
    file.set_len(size)
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.finished {
            // If it remains, the next download into this folder sweeps it.
            let _ = unlinkat(&self.folder, &self.draft, AtFlags::empty());
        }
    }
}

/// Whether an entry has exactly the form of a draft's name.
fn is_draft(name: &str) -> bool {
    let unique = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    unique.is_some_and(|unique| unique.len() == 2 * UNIQUE && unique.bytes().all(hex))
}

/// Removes what killed downloads left in a folder below `downloads`: regular files with the names of drafts, and
/// nothing else.
pub(super) fn sweep(downloads: &Path, folder: &FolderPath) {
    let Ok(folder) = open_folder(downloads, folder, false) else { return };
    let Ok(entries) = Dir::read_from(&folder) else { return };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().to_str() else { continue };
        // A FIFO would wait for a writer, a link would lead elsewhere.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // Locked until it is removed: a download that has just made it sees one or the other, and makes another.
        if is_draft(name)
            && let Ok(file) = openat(&folder, name, flags, Mode::empty()).map(File::from)
            && file.metadata().is_ok_and(|file| file.is_file())
            && file.try_lock().is_ok()
        {
            // Somebody else may have swept it first.
            let _ = unlinkat(&folder, name, AtFlags::empty());
        }
    }
}

fn system_time(modified: ModifiedTime) -> Option<SystemTime> {
    let seconds = Duration::from_secs(modified.seconds.unsigned_abs());
    let whole =
        if modified.seconds < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    whole?.checked_add(Duration::from_nanos(u64::from(modified.nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_download_that_begins_is_not_swept_by_another_that_begins() {
        let folder = std::env::temp_dir().join(format!("shareit-sweep-{}", std::process::id()));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    sweep(&folder, &FolderPath::root());
                }
            });
            let failed = (0..500).find_map(|number| {
                let path = FilePath::parse(&number.to_string()).unwrap();
                Target::create(&folder, &path, 1)
                    .and_then(|target| target.finish(ModifiedTime::default()).map_err(ClientError::from))
                    .err()
            });
            over.store(true, Ordering::Relaxed);
            assert!(failed.is_none(), "{failed:?}");
        });
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn only_the_names_of_drafts_are_drafts() {
        assert!(is_draft(".shareit-0123456789abcdef.part"));
        for other in [
            ".shareit-.part",
            ".shareit-0123456789abcde.part",
            ".shareit-0123456789abcdef0.part",
            ".shareit-0123456789ABCDEF.part",
            ".shareit-notes.part",
            "x.shareit-0123456789abcdef.part",
            ".shareit-0123456789abcdef.part.txt",
        ] {
            assert!(!is_draft(other), "{other}");
        }
    }
}
