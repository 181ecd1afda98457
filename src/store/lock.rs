//! One server per folder.

use std::fmt;
use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::disk::open_regular;
use super::places::Places;
use crate::locked::Locked;
use crate::name::ServerName;

/// Held by a running server. The operating system releases it with the process, however that ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: Locked,
}

/// Why a folder could not be locked.
#[derive(Debug)]
pub enum LockError {
    /// A server of this name is running on the folder.
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
    /// [`LockError::Taken`] if another process has it; this does not wait. [`LockError::Disk`] if the disk fails.
    pub fn take(root: &Path, server: &ServerName) -> Result<Self, LockError> {
        let places = Places::new(root, server);
        let disk = |path: &Path, error| LockError::Disk(path.to_owned(), error);
        std::fs::create_dir_all(places.own()).map_err(|error| disk(places.own(), error))?;
        let file = open_lock(&places.lock()).map_err(|error| disk(&places.lock(), error))?;
        match Locked::new(file) {
            Ok(file) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken(server.clone())),
            Err(TryLockError::Error(error)) => Err(disk(&places.lock(), error)),
        }
    }

    /// Whether a process has locked ROOT/NAME. Makes no file.
    pub fn is_taken(root: &Path, server: &ServerName) -> bool {
        let file = open_regular(File::options().read(true), &Places::new(root, server).lock());
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}

/// Opens a lock file, or makes it. Anyone who can open such a file, even only for reading, can lock it and so stop the
/// programs that need it. Therefore only its owner has any rights to it.
///
/// # Errors
/// If it cannot be opened, or something other than a file is in its place.
pub fn open_lock(path: &Path) -> io::Result<File> {
    /// All rights of everybody but the owner.
    const OTHERS: u32 = 0o077;
    let file = open_regular(File::options().create(true).write(true).truncate(false).mode(0o600), path)?;
    if file.metadata()?.mode() & OTHERS != 0 {
        // Only the owner is allowed to, and only the owner gains by it.
        let _ = file.set_permissions(Permissions::from_mode(0o600));
    }
    Ok(file)
}
