//! One server per folder.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

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
    /// The disk failed.
    Disk(io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Taken(name) => write!(f, "another server is running as {name} on this folder"),
            LockError::Disk(error) => error.fmt(f),
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
        std::fs::create_dir_all(places.own()).map_err(LockError::Disk)?;
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(places.lock())
            .map_err(LockError::Disk)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(server.clone())),
            Err(TryLockError::Error(error)) => Err(LockError::Disk(error)),
        }
    }
}
