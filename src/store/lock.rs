//! One server per folder.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

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
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(places.lock())
            .map_err(|error| disk(&places.lock(), error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(server.clone())),
            Err(TryLockError::Error(error)) => Err(disk(&places.lock(), error)),
        }
    }

    /// Whether a process has ROOT/NAME; makes nothing.
    pub fn is_taken(root: &Path, server: &ServerName) -> bool {
        let file = File::open(Places::new(root, server).lock());
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}
