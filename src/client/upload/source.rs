//! Local files to upload.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;

use crate::client::core::error::{ClientError, LocalError};
use crate::client::core::report::{Notice, Report};
use crate::name::{FilePath, FolderPath, NameError};
use crate::sealed::{MAX_FILE_SIZE, MODE_BITS, ModifiedTime};

/// A local file and the name under which it will be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path on this machine.
    pub local: PathBuf,
    /// Its name on the servers.
    pub target: FilePath,
}

/// The files that `Upload WHAT FOLDER` uploads: WHAT itself, or every file below it. A path that is not absolute is
/// looked up in `dir`, and must not leave it.
///
/// Files below a folder that cannot be stored are skipped and reported to `report`; the result says whether all can be.
///
/// # Errors
/// If WHAT itself cannot be stored.
pub fn find(
    dir: &Path,
    what: &str,
    folder: &FolderPath,
    report: &dyn Report,
) -> Result<(Vec<Source>, bool), ClientError> {
    if what.is_empty() {
        // Joined to DIR, it would be all of DIR, which is written as `.`.
        return Err(ClientError::Name(String::new(), NameError::Empty));
    }
    let relative = Path::new(what);
    if relative.is_relative() && relative.components().any(|c| c == Component::ParentDir) {
        return Err(LocalError::Outside(relative.to_path_buf()).into());
    }
    let local = dir.join(relative);
    let metadata = fs::metadata(&local).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => LocalError::Missing(relative.to_path_buf()),
        _ => LocalError::Failed(local.clone(), error),
    })?;
    let base = base_name(relative, &local)?;
    if metadata.is_file() {
        let base = base.ok_or_else(|| LocalError::Kind(local.clone()))?;
        let target = folder.file(&base).map_err(|why| ClientError::Name(base, why))?;
        return Ok((vec![Source { local, target }], true));
    }
    if !metadata.is_dir() {
        return Err(LocalError::Kind(local).into());
    }
    let folder = match base {
        Some(base) => folder.folder(&base).map_err(|why| ClientError::Name(base, why))?,
        None => folder.clone(),
    };
    let mut walk = Walk { sources: Vec::new(), whole: true, on_the_way: Vec::new(), report };
    walk.visit(&local, &folder).map_err(|error| LocalError::Failed(local.clone(), error))?;
    if walk.sources.is_empty() && walk.whole {
        return Err(LocalError::Nothing(local).into());
    }
    Ok((walk.sources, walk.whole))
}

/// The last part of a path; none for DIR itself (`.`) and for `/`.
fn base_name(relative: &Path, local: &Path) -> Result<Option<String>, LocalError> {
    match relative.file_name() {
        None => Ok(None),
        Some(name) => match name.to_str() {
            Some(name) => Ok(Some(name.to_owned())),
            None => Err(LocalError::Failed(local.to_path_buf(), io::ErrorKind::InvalidFilename.into())),
        },
    }
}

struct Walk<'a> {
    sources: Vec<Source>,
    whole: bool,
    /// Device and number of each folder around the present one, to find loops of links.
    on_the_way: Vec<(u64, u64)>,
    report: &'a dyn Report,
}

impl Walk<'_> {
    fn visit(&mut self, local: &Path, folder: &FolderPath) -> io::Result<()> {
        let metadata = fs::metadata(local)?;
        let here = (metadata.dev(), metadata.ino());
        if self.on_the_way.contains(&here) {
            return Err(io::Error::other("a loop of links"));
        }
        self.on_the_way.push(here);
        let mut entries: Vec<_> = fs::read_dir(local)?.collect::<io::Result<_>>()?;
        entries.sort_unstable_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            if let Err(why) = self.take(&path, folder) {
                self.whole = false;
                self.report.notice(Notice::LeftOut { what: path.to_string_lossy().into_owned(), why });
            }
        }
        self.on_the_way.pop();
        Ok(())
    }

    fn take(&mut self, path: &Path, folder: &FolderPath) -> Result<(), String> {
        let name = path.file_name().and_then(|n| n.to_str()).ok_or("the name is not UTF-8")?;
        let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
        if metadata.is_dir() {
            let folder = folder.folder(name).map_err(|why| why.to_string())?;
            self.visit(path, &folder).map_err(|error| error.to_string())
        } else if metadata.is_file() {
            let target = folder.file(name).map_err(|why| why.to_string())?;
            self.sources.push(Source { local: path.to_path_buf(), target });
            Ok(())
        } else {
            Err("neither a file nor a folder".into())
        }
    }
}

/// A local file that is open for upload, and its metadata when it was opened.
pub(super) struct OpenSource {
    file: File,
    path: PathBuf,
    pub(super) size: u64,
    pub(super) modified: ModifiedTime,
    pub(super) mode: u16,
    changed: (i64, i64),
}

impl OpenSource {
    pub(super) fn open(path: &Path) -> Result<Self, LocalError> {
        let local = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => LocalError::Missing(path.to_path_buf()),
            _ => LocalError::Failed(path.to_path_buf(), error),
        };
        // Without waiting, in case a FIFO has taken its place.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(local)?;
        let metadata = file.metadata().map_err(local)?;
        if !metadata.is_file() {
            return Err(LocalError::Kind(path.to_path_buf()));
        }
        if metadata.len() > MAX_FILE_SIZE {
            return Err(LocalError::TooLarge(path.to_path_buf()));
        }
        Ok(Self {
            file,
            path: path.to_path_buf(),
            size: metadata.len(),
            modified: modified(&metadata),
            mode: u16::try_from(metadata.mode() & u32::from(MODE_BITS)).unwrap_or(MODE_BITS),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Fills `buffer` from a place in the file.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), LocalError> {
        self.file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => LocalError::Changed(self.path.clone()),
            _ => LocalError::Failed(self.path.clone(), error),
        })
    }

    /// Whether the file is still as it was when it was opened: then what was read of it at different moments belongs
    /// together.
    pub(super) fn check_unchanged(&self) -> Result<(), LocalError> {
        let metadata = self.file.metadata().map_err(|error| LocalError::Failed(self.path.clone(), error))?;
        let same = metadata.len() == self.size
            && modified(&metadata) == self.modified
            && (metadata.ctime(), metadata.ctime_nsec()) == self.changed;
        if same { Ok(()) } else { Err(LocalError::Changed(self.path.clone())) }
    }
}

fn modified(metadata: &fs::Metadata) -> ModifiedTime {
    ModifiedTime { seconds: metadata.mtime(), nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or(0) }
}
