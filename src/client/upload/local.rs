//! A local file while it is uploaded.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::client::core::error::LocalError;
use crate::sealed::{MAX_FILE_SIZE, MODE_BITS, ModifiedTime};

/// Files of up to this size are read when they are opened: those that the kernel makes up, as in /proc and /sys, have
/// such sizes, whatever is in them.
const SMALL: u64 = 4096;
/// Most bytes that are really in such a file: they are held in memory.
const MAX_IN_MEMORY: u64 = 16 << 20;
/// How often a small file is read again because it has changed.
const MAX_READS: usize = 10;

/// A local file that is open for upload, and its metadata when it was opened.
pub(super) struct OpenSource {
    content: Content,
    path: PathBuf,
    pub(super) size: u64,
    pub(super) modified: ModifiedTime,
    pub(super) mode: u16,
}

enum Content {
    /// A file that is read while it is sent, and how it was when it was opened.
    File(File, Stat),
    /// Bytes that were read, and whether more have come since.
    Bytes(Vec<u8>, bool),
}

/// What changes with a file, as far as its file system knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    size: u64,
    modified: ModifiedTime,
    changed: (i64, i64),
}

impl Stat {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            size: metadata.len(),
            modified: modified(&metadata),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
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
        let mode = u16::try_from(metadata.mode() & u32::from(MODE_BITS)).unwrap_or(MODE_BITS);
        let stat = Stat::of(&file).map_err(local)?;
        let path = path.to_path_buf();
        if stat.size > SMALL {
            if stat.size > MAX_FILE_SIZE {
                return Err(LocalError::TooLarge(path));
            }
            let content = Content::File(file, stat);
            return Ok(Self { content, path, size: stat.size, modified: stat.modified, mode });
        }
        let (bytes, stat, grew) = read_small(&file, stat, &path)?;
        let size = bytes.len() as u64;
        Ok(Self { content: Content::Bytes(bytes, grew), path, size, modified: stat.modified, mode })
    }

    /// Fills `buffer` from a place in the file.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), LocalError> {
        match &self.content {
            Content::File(file, _) => {
                file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => LocalError::Changed(self.path.clone()),
                    _ => LocalError::Failed(self.path.clone(), error),
                })
            }
            Content::Bytes(bytes, _) => {
                let start = usize::try_from(offset).ok();
                let part = start.and_then(|start| bytes.get(start..start.checked_add(buffer.len())?));
                buffer.copy_from_slice(part.ok_or_else(|| LocalError::Changed(self.path.clone()))?);
                Ok(())
            }
        }
    }

    /// Whether the file is still as it was when it was opened: then what was read of it at different moments belongs
    /// together.
    pub(super) fn check_unchanged(&self) -> Result<(), LocalError> {
        let Content::File(file, stat) = &self.content else { return Ok(()) };
        let now = Stat::of(file).map_err(|error| LocalError::Failed(self.path.clone(), error))?;
        if now == *stat { Ok(()) } else { Err(LocalError::Changed(self.path.clone())) }
    }

    /// Whether it has grown since it was opened, and is stored without what came later.
    pub(super) fn grew(&self) -> bool {
        matches!(self.content, Content::Bytes(_, true))
    }
}

/// All bytes of a small file, as they were together at one moment; how the file was then, as far as that means
/// anything; and whether it has grown since.
fn read_small(file: &File, stat: Stat, path: &Path) -> Result<(Vec<u8>, Stat, bool), LocalError> {
    let failed = |error| LocalError::Failed(path.to_path_buf(), error);
    let mut bytes = read_all(file, path)?;
    let mut before = stat;
    for _ in 0..MAX_READS {
        let after = Stat::of(file).map_err(failed)?;
        // A file that is empty by its size and is not in truth gets its bytes from the kernel; its times mean nothing.
        let is_made_up = before.size == 0 && after.size == 0 && !bytes.is_empty();
        if after == before || is_made_up {
            return Ok((bytes, before, false));
        }
        let again = read_all(file, path)?;
        if again.starts_with(&bytes) {
            let grew = again.len() > bytes.len();
            return Ok((bytes, before, grew));
        }
        (before, bytes) = (after, again);
    }
    Err(LocalError::Changed(path.to_path_buf()))
}

fn read_all(mut file: &File, path: &Path) -> Result<Vec<u8>, LocalError> {
    let failed = |error| LocalError::Failed(path.to_path_buf(), error);
    let mut bytes = Vec::new();
    file.rewind().map_err(failed)?;
    file.take(MAX_IN_MEMORY + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_IN_MEMORY {
        return Err(LocalError::SizeUnknown(path.to_path_buf()));
    }
    Ok(bytes)
}

fn modified(metadata: &Metadata) -> ModifiedTime {
    ModifiedTime { seconds: metadata.mtime(), nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or(0) }
}
