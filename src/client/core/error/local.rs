//! What can be wrong with the files on this side.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::words::{PATTERNS, Shown};
use crate::name::printable;

/// What is wrong with a local file.
#[derive(Debug)]
pub enum LocalError {
    /// A local path that leaves DIR.
    Outside(PathBuf),
    /// A local file that does not exist.
    Missing(PathBuf),
    /// No local file matches a pattern; and where it was looked for.
    NoMatch(String, PathBuf),
    /// A local path that is neither a file nor a folder.
    Kind(PathBuf),
    /// A local file that cannot be read or written.
    Failed(PathBuf, io::Error),
    /// A disk that is full or read-only, and the folder of the downloads on it.
    Disk(PathBuf, io::Error),
    /// A link instead of a folder below Downloads: it may lead anywhere.
    LinkBelowDownloads(PathBuf),
    /// A local file that changed while it was read.
    Changed(PathBuf),
    /// A local file that is larger than the format allows.
    TooLarge(PathBuf),
    /// A local file that has more bytes than fit into memory, and no size that says how many.
    SizeUnknown(PathBuf),
    /// An input without a name that cannot be read to its end.
    Input(io::Error),
    /// A folder in which such an input cannot be kept.
    Spool(PathBuf, io::Error),
    /// A local file of the client's own that will soon be gone, and what it is.
    Temporary(PathBuf, &'static str),
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocalError::Outside(path) => {
                write!(f, "'{}' is outside the folder that Upload reads from", Shown(path))
            }
            LocalError::Missing(path) => write!(f, "no such file: '{}'", Shown(path)),
            LocalError::NoMatch(pattern, _) => write!(f, "no file matches '{}'", printable(pattern)),
            LocalError::Kind(path) => write!(f, "neither a file nor a folder: '{}'", Shown(path)),
            LocalError::Failed(path, error) => write!(f, "cannot use '{}' ({error})", Shown(path)),
            LocalError::Disk(folder, error) => write!(f, "cannot write to '{}' ({error})", Shown(folder)),
            LocalError::LinkBelowDownloads(path) => {
                write!(f, "'{}' is a link, and Download follows none there; nothing was written", Shown(path))
            }
            LocalError::Changed(path) => {
                write!(f, "'{}' changed while it was read; nothing was stored", Shown(path))
            }
            LocalError::TooLarge(path) => write!(f, "'{}' is larger than 1 TiB", Shown(path)),
            LocalError::SizeUnknown(path) => {
                write!(f, "'{}' has more than 16 MiB, although its reported size is smaller", Shown(path))
            }
            LocalError::Input(error) => {
                write!(f, "cannot read standard input ({error}); nothing was stored")
            }
            LocalError::Spool(folder, error) => {
                write!(f, "cannot keep standard input in '{}' ({error}); nothing was stored", Shown(folder))
            }
            LocalError::Temporary(path, what) => {
                write!(f, "'{}' is {what}, which is never stored", Shown(path))
            }
        }
    }
}

impl LocalError {
    /// The failure of a file below `folder`. One of the whole disk is the same for every file, and so is reported once.
    pub(crate) fn below(self, folder: &Path) -> Self {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            LocalError::Failed(_, error)
                if matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem) =>
            {
                LocalError::Disk(folder.to_path_buf(), error)
            }
            error => error,
        }
    }

    /// What the user might do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            LocalError::Outside(_) => "use an absolute path for a file elsewhere".into(),
            LocalError::NoMatch(_, dir) => format!("looked for it in {}; {PATTERNS}", Shown(dir)),
            LocalError::Missing(path) if path.is_relative() => {
                "paths are looked up in DIR; put a name with spaces in quotes".into()
            }
            LocalError::LinkBelowDownloads(_) => {
                "remove the link, or move it: Downloads itself and the user's folder in it may be links"
                    .into()
            }
            LocalError::Spool(..) => "set TMPDIR to a folder with room for all of it".into(),
            _ => return None,
        })
    }
}
