//! Why the store refused or failed.

use std::fmt;
use std::io;

use crate::commit::Refused;

/// Why the store refused or failed.
#[derive(Debug)]
pub enum StoreError {
    /// The rules of the two-step commit forbid it.
    Refused(Refused),
    /// No such piece of the version is published.
    NotFound,
    /// A folder has the name of the file, or a file the name of one of its folders.
    Conflict,
    /// The bytes do not match the announced hashes, or no longer match those stored with them.
    Damaged,
    /// Another connection of the same user ended this one.
    Ended,
    /// The name already has [`MAX_STAGED`](crate::wire::MAX_STAGED) staged pieces.
    TooManyStaged,
    /// The user already has [`MAX_STAGED_OF_USER`](super::MAX_STAGED_OF_USER) staged pieces, or what is remembered of
    /// them and of deletes takes [`MAX_WAITING`](super::MAX_WAITING) bytes.
    TooManyOfUser,
    /// The folder is on another file system than the server's own files, or reached through a link.
    Elsewhere,
    /// The disk is full.
    Full(io::Error),
    /// The disk failed.
    Disk(io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Refused(why) => f.write_str(match why {
                Refused::NotStaged => "nothing staged to commit",
                Refused::Decided => "already committed",
                Refused::Open => "another client is still writing it",
                Refused::Behind => "a newer version exists",
                Refused::Ahead => "its generation is far beyond the clock of this server",
                Refused::Rekeyed => "the password was changed, or is being changed, by another client",
            }),
            StoreError::NotFound => f.write_str("no such piece"),
            StoreError::Conflict => f.write_str("a file and a folder cannot have the same name"),
            StoreError::Damaged => f.write_str("bytes do not match their hashes"),
            StoreError::Ended => f.write_str("another connection of the same user ended this one"),
            StoreError::TooManyOfUser => f.write_str(
                "this user has too many unfinished uploads, or deletes that some server has missed",
            ),
            StoreError::Elsewhere => f.write_str(
                "this folder is on another file system than the server's own files, or reached through a link, so \
                 nothing can be published in it",
            ),
            StoreError::TooManyStaged => f.write_str("this name has too many unfinished uploads"),
            StoreError::Full(error) | StoreError::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                StoreError::Full(error)
            }
            io::ErrorKind::CrossesDevices => StoreError::Elsewhere,
            _ => StoreError::Disk(error),
        }
    }
}

impl From<Refused> for StoreError {
    fn from(why: Refused) -> Self {
        StoreError::Refused(why)
    }
}
