//! One server per folder.

use std::fmt;
use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::disk::open_regular;
use super::places::Places;
use crate::name::ServerName;

/// Held by a running server; the operating system lets it go with the process, however that ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Why a folder could not be locked.
#[derive(Debug)]
pub enum LockError {
    /// Another server has the folder of this name.
    Taken(ServerName),
    /// A folder or file cannot be made or used.
    Disk(PathBuf, io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Taken(name) => write!(f, "another server is running as {name} on this folder"),
            LockError::Disk(path, error) => write!(f, "cannot use {} ({error})", path.display()),
        }
    }
}

impl std::error::Error for LockError {}

impl FolderLock {
    /// Locks ROOT/NAME for this process.
    ///
    /// # Errors
    /// [`LockError::Taken`], at once, without waiting.
    pub fn take(root: &Path, server: &ServerName) -> Result<Self, LockError> {
        let places = Places::new(root, server);
        let disk = |path: &Path, error| LockError::Disk(path.to_owned(), error);
        std::fs::create_dir_all(places.own()).map_err(|error| disk(places.own(), error))?;
        let file = open_lock(&places.lock()).map_err(|error| disk(&places.lock(), error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(server.clone())),
            Err(TryLockError::Error(error)) => Err(disk(&places.lock(), error)),
        }
    }

    /// Whether a process has ROOT/NAME; makes nothing.
    pub fn is_taken(root: &Path, server: &ServerName) -> bool {
        let file = open_regular(File::options().read(true), &Places::new(root, server).lock());
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}

/// Opens a file that is there to be locked, or makes it. Whoever can open such a file, if only to read it, can lock
/// it and so stop whoever needs it: it is its owner's alone.
///
/// # Errors
/// As `open(2)`, or if something else than a file is in its place.
pub fn open_lock(path: &Path) -> io::Result<File> {
    /// All rights of all but the owner.
    const OTHERS: u32 = 0o077;
    let file = open_regular(File::options().create(true).write(true).truncate(false).mode(0o600), path)?;
    if file.metadata()?.mode() & OTHERS != 0 {
        // Only its owner may, and only its owner would gain by it.
        let _ = file.set_permissions(Permissions::from_mode(0o600));
    }
    Ok(file)
}
