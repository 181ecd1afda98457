//! A local file, link or folder while it is uploaded.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use super::source::Source;
use super::spool::{Held, Spooled};
use crate::client::core::error::LocalError;
use crate::peer::Stop;
use crate::sealed::{Header, Kind, MAX_FILE_SIZE, MAX_LINK, MODE_BITS, ModifiedTime};

/// Files of up to this size are read when they are opened: those that the kernel makes up, as in /proc and /sys, have
/// such sizes, whatever is in them.
const SMALL: u64 = 4096;
/// Most bytes that are really in such a file: they are held in memory.
const MAX_IN_MEMORY: u64 = 16 << 20;
/// How often a small file is read again because it has changed.
const MAX_READS: usize = 10;

/// What is stored besides a name and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) kind: Kind,
    pub(super) mode: u16,
    pub(super) modified: ModifiedTime,
    pub(super) size: u64,
}

impl Attributes {
    fn of(kind: Kind, metadata: &Metadata) -> Self {
        let mode = u16::try_from(metadata.mode() & u32::from(MODE_BITS)).unwrap_or(MODE_BITS);
        let nanos = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
        Self {
            kind,
            mode: if kind == Kind::Link { MODE_BITS } else { mode },
            modified: ModifiedTime { seconds: metadata.mtime(), nanos },
            size: if kind == Kind::Folder { 0 } else { metadata.len() },
        }
    }

    /// Those that a source has now, as far as its metadata says; none if it is gone or of another kind.
    pub(super) fn now(source: &Source) -> Option<Self> {
        let is_same = match source.kind {
            Kind::Link => Metadata::is_symlink as fn(&Metadata) -> bool,
            Kind::Folder => Metadata::is_dir as _,
            _ => Metadata::is_file as _,
        };
        let named = source.spooled.is_none().then(|| metadata(source).ok());
        named.flatten().filter(is_same).map(|metadata| Self::of(source.kind, &metadata))
    }
}

fn metadata(source: &Source) -> io::Result<Metadata> {
    if source.inside.is_none() { fs::metadata(&source.local) } else { fs::symlink_metadata(&source.local) }
}

/// Opens a source. Between the walk through its folder and now, somebody who may write there may have put a link in its
/// place, or in that of a folder around it.
fn open(source: &Source, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC;
    let Some(inside) = &source.inside else {
        return Ok(openat(CWD, &source.local, flags, Mode::empty())?.into());
    };
    let flags = flags | OFlags::NOFOLLOW;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        let folder =
            openat(CWD, &**inside, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let below = source.local.strip_prefix(inside).unwrap_or(&source.local);
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        match openat2(&folder, below, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            // An old system, or a sandbox, does not know this call.
            Err(Errno::NOSYS | Errno::PERM) => {}
            opened => return Ok(opened?.into()),
        }
    }
    Ok(openat(CWD, &source.local, flags, Mode::empty())?.into())
}

impl From<&Header> for Attributes {
    fn from(header: &Header) -> Self {
        let &Header { kind, mode, modified, file_size: size, .. } = header;
        Self { kind, mode, modified, size }
    }
}

/// A source that is open for upload, and what it was like when it was opened.
pub(super) struct OpenSource {
    content: Content,
    path: PathBuf,
    pub(super) attributes: Attributes,
    /// Ends the reading.
    stop: Stop,
}

/// The state of a file when it was opened, and whether it was fresh then.
struct Opened {
    state: State,
    is_fresh: bool,
}

enum Content {
    /// A file that is read while it is sent, and its state when it was opened.
    File(File, Opened),
    /// Bytes that were read, and whether more have come since.
    Bytes(Vec<u8>, bool),
}

/// What changes with the bytes of a file, as far as its file system knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    attributes: Attributes,
    changed: (i64, i64),
}

impl State {
    /// Whether the file was changed just now, so that another change may not show.
    fn is_fresh(&self) -> bool {
        let (seconds, nanos) = self.changed;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0));
        since_1970.checked_sub(changed).is_none_or(|ago| ago < TICK)
    }
}

/// A file system takes its times from a clock that ticks at least so often. What happens to a file twice between two
/// ticks changes its times once.
const TICK: Duration = Duration::from_millis(20);

impl State {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Ok(Self { attributes: Attributes::of(Kind::Data, &metadata), changed })
    }
}

impl OpenSource {
    pub(super) fn open(source: &Source, stop: &Stop) -> Result<Self, LocalError> {
        let path = &source.local;
        let local = |error: io::Error| match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => LocalError::Missing(path.clone()),
            // A link where there was none.
            Some(Errno::LOOP) if source.inside.is_some() => LocalError::Changed(path.clone()),
            _ => LocalError::Failed(path.clone(), error),
        };
        if let Some(spooled) = &source.spooled {
            let (content, attributes) = open_spooled(spooled).map_err(local)?;
            return Ok(Self { content, path: path.clone(), attributes, stop: stop.clone() });
        }
        let (content, attributes) = match source.kind {
            Kind::Link => open_link(source).map_err(local)?,
            Kind::Folder => {
                let folder = open(source, OFlags::PATH | OFlags::DIRECTORY).map_err(local)?;
                let metadata = folder.metadata().map_err(local)?;
                (Content::Bytes(Vec::new(), false), Attributes::of(Kind::Folder, &metadata))
            }
            _ => {
                // Without waiting, in case a FIFO has taken its place.
                let file = open(source, OFlags::RDONLY | OFlags::NONBLOCK).map_err(local)?;
                if !file.metadata().map_err(local)?.is_file() {
                    return Err(LocalError::Kind(path.clone()));
                }
                open_file(file, path)?
            }
        };
        Ok(Self { content, path: path.clone(), attributes, stop: stop.clone() })
    }

    /// Fills `buffer` from a place in the file.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), LocalError> {
        if self.stop.is_requested() {
            return Err(LocalError::Failed(self.path.clone(), io::ErrorKind::Interrupted.into()));
        }
        match &self.content {
            Content::File(file, _) => {
                file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => self.changed(),
                    _ => LocalError::Failed(self.path.clone(), error),
                })
            }
            Content::Bytes(bytes, _) => {
                let start = usize::try_from(offset).ok();
                let part = start.and_then(|start| bytes.get(start..start.checked_add(buffer.len())?));
                buffer.copy_from_slice(part.ok_or_else(|| self.changed())?);
                Ok(())
            }
        }
    }

    /// Bytes of it that are held in memory.
    pub(super) fn held(&self) -> usize {
        match &self.content {
            Content::File(..) => 0,
            Content::Bytes(bytes, _) => bytes.len(),
        }
    }

    /// What has happened to the file since it was opened.
    pub(super) fn since_opened(&self) -> Result<Since, LocalError> {
        let (file, opened) = match &self.content {
            Content::Bytes(_, grew) => return Ok(Since { is_touched: false, grew: *grew }),
            Content::File(file, opened) => (file, opened),
        };
        let now = State::of(file).map_err(|error| LocalError::Failed(self.path.clone(), error))?;
        let Opened { state, is_fresh } = opened;
        if now.attributes.size < state.attributes.size {
            return Err(self.changed());
        }
        let grew = now.attributes.size > state.attributes.size;
        Ok(Since { is_touched: *is_fresh || now != *state, grew })
    }

    /// The error that its bytes are not those that it had when it was opened.
    pub(super) fn changed(&self) -> LocalError {
        LocalError::Changed(self.path.clone())
    }
}

/// What has happened to a file since it was opened.
pub(super) struct Since {
    /// It may have been written to: what was read of it at different moments may not belong together.
    pub(super) is_touched: bool,
    /// There is more at its end.
    pub(super) grew: bool,
}

/// A link and its target, which belong together: another link that takes its name in the meantime is another file.
fn open_link(source: &Source) -> io::Result<(Content, Attributes)> {
    let link = open(source, OFlags::PATH | OFlags::NOFOLLOW)?;
    let target = readlinkat(&link, "", Vec::new())?.into_bytes();
    let size = target.len() as u64;
    if !(1..=MAX_LINK).contains(&size) {
        return Err(io::Error::other(format!("its target has {size} bytes")));
    }
    let attributes = Attributes { size, ..Attributes::of(Kind::Link, &link.metadata()?) };
    Ok((Content::Bytes(target, false), attributes))
}

fn open_spooled(input: &Spooled) -> io::Result<(Content, Attributes)> {
    let &Spooled { size, mode, modified, .. } = input;
    let content = match &input.held {
        Held::Memory(bytes) => Content::Bytes(bytes.clone(), false),
        Held::Disk(file) => {
            let state = State::of(file)?;
            let opened = Opened { state, is_fresh: state.is_fresh() };
            Content::File(file.try_clone()?, opened)
        }
    };
    Ok((content, Attributes { kind: Kind::Data, mode, modified, size }))
}

fn open_file(file: File, path: &Path) -> Result<(Content, Attributes), LocalError> {
    let state = State::of(&file).map_err(|error| LocalError::Failed(path.to_path_buf(), error))?;
    if state.attributes.size > MAX_FILE_SIZE {
        return Err(LocalError::TooLarge(path.to_path_buf()));
    }
    if state.attributes.size > SMALL {
        let opened = Opened { state, is_fresh: state.is_fresh() };
        return Ok((Content::File(file, opened), state.attributes));
    }
    let (bytes, state, grew) = read_small(&file, state, path)?;
    let size = bytes.len() as u64;
    Ok((Content::Bytes(bytes, grew), Attributes { size, ..state.attributes }))
}

/// All bytes of a small file, as they were together at one moment; its state then; and whether it has grown since.
fn read_small(file: &File, state: State, path: &Path) -> Result<(Vec<u8>, State, bool), LocalError> {
    let failed = |error| LocalError::Failed(path.to_path_buf(), error);
    let (mut bytes, mut before) = (read_all(file, path)?, state);
    for _ in 0..MAX_READS {
        let after = State::of(file).map_err(failed)?;
        // A file that is empty by its size and not in truth gets its bytes from the kernel; its times mean nothing.
        let is_made_up = (before.attributes.size, after.attributes.size) == (0, 0) && !bytes.is_empty();
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
