//! What downloads make on this side: files and links are made beside their final place, and moved there when whole;
//! folders get their permission bits and time when everything in them is done.
//!
//! Nothing ever has more permission bits than it will have in the end, but for the owner's: a draft can be read and
//! written by its owner, so that a leftover can be removed or continued, and a folder can be written in while it is filled.
//!
//! `Downloads/USER` may be a link, and so may the folder that it is in. Below it no link is followed: each folder is
//! opened in the one before it, so that nothing is written elsewhere, whoever changes what in between.

use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, UTIME_OMIT, chmodat,
    fchmod, fstat, futimens, mkdirat, openat, renameat, seek, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use rustix::process::{Resource, geteuid, getrlimit};

use super::syncing::Syncing;
use crate::client::core::draft::{self, is_draft, is_lasting};
use crate::client::core::error::{ClientError, LocalError};
use crate::name::{FilePath, FolderPath};
use crate::sealed::{Facts, Kind, MODE_BITS, ModifiedTime};
use crate::wire::MIN_PARTIAL;

/// How often a download may lose its draft to others that sweep. Even a second time is rare.
const MAX_SWEPT: usize = 100;

/// The owner's bits, without which nobody but root can make anything in a folder.
const OWNERS: u16 = 0o700;
/// Without these bits a draft could not be opened by [`sweep`], or by another download that goes on with it.
const OWNER_READS_AND_WRITES: u16 = 0o600;

/// Files from this size on have lasting drafts, and of those so many bytes are worth keeping: as many as servers keep of
/// the four pieces of an upload. Less is fetched again in less time than it takes to find out what is there.
pub(super) const WORTH_KEEPING: u64 = 4 * MIN_PARTIAL;
/// A lasting draft that nothing was written to for so long is swept like any other: nobody knows of it anymore.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// A download in progress. Dropped before [`Target::finish`] or [`Target::leave`], it leaves nothing behind.
pub(super) struct Target {
    draft: Draft,
    /// Whether an earlier download may have written some of it.
    is_resumed: bool,
    syncing: Syncing,
    folder: Arc<OwnedFd>,
    /// Its name in the folder.
    name: String,
    /// Its path, for messages.
    place: PathBuf,
    /// The permission bits that it gets.
    mode: u16,
    modified: ModifiedTime,
    /// If it does not get the stored ones, why.
    shortfall: Option<Shortfall>,
}

/// What is made of a name before it is in its place.
enum Draft {
    /// A file of this name in the folder; none when it has been moved.
    File(File, Option<String>),
    /// A small file, as far as it has arrived. It is made when it is whole.
    Small(Mutex<Small>),
    /// The target of a link, as far as it has arrived.
    Link(Mutex<Vec<u8>>),
    /// The folder itself.
    Folder,
}

struct Small {
    bytes: Vec<u8>,
    /// How many of them are still to come.
    missing: usize,
    is_placed: bool,
    /// Why the file system did not set its permission bits, if so.
    refused: Option<Shortfall>,
}

/// The folder that was opened last: files of one folder follow one another.
#[derive(Default)]
pub(super) struct LastFolder(Option<(FolderPath, Arc<OwnedFd>)>);

impl LastFolder {
    fn open(&mut self, downloads: &Path, folder: &FolderPath) -> Result<Arc<OwnedFd>, LocalError> {
        if let Some((last, opened)) = &self.0
            && last == folder
        {
            return Ok(Arc::clone(opened));
        }
        let opened = Arc::new(open_folder(downloads, folder, true)?);
        self.0 = Some((folder.clone(), Arc::clone(&opened)));
        Ok(opened)
    }
}

/// Why something does not get the permission bits that are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shortfall {
    /// What exists, or existed in its place, has fewer.
    Narrower { kept: u16, stored: u16 },
    /// The file system does not set them.
    Refused(String),
}

/// A folder that was downloaded, whose permission bits and time are set when everything in it is there.
#[derive(Debug)]
pub struct MadeFolder {
    path: FilePath,
    mode: u16,
    modified: ModifiedTime,
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

/// An entry of a folder, no link followed; none if it does not exist.
fn existing(folder: &OwnedFd, name: &str) -> Option<Stat> {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()
}

/// The kind of an entry of a folder, without following links; none if it does not exist.
fn kind(folder: &OwnedFd, name: &str) -> Option<FileType> {
    Some(FileType::from_raw_mode(existing(folder, name)?.st_mode))
}

/// The permission bits of what exists.
fn bits(of: &Stat) -> u16 {
    u16::try_from(of.st_mode & u32::from(MODE_BITS)).unwrap_or(MODE_BITS)
}

/// The bits for what was stored with `stored` and replaces something with `old`: none that the old does not have.
fn narrowed(stored: u16, old: u16) -> (u16, Option<Shortfall>) {
    let kept = stored & old;
    (kept, (kept != stored).then_some(Shortfall::Narrower { kept, stored }))
}

fn mode(bits: u16) -> Mode {
    Mode::from_raw_mode(bits.into())
}

/// Sets the permission bits of what is open, and no others: a folder keeps the setgid bit that it may have inherited. A
/// file system without such bits, or somebody else's folder, is no reason to lose what is in it.
fn set_bits(of: impl AsFd, now: &Stat, bits: u16) -> Result<Option<Shortfall>, Errno> {
    let now = now.st_mode & 0o7777;
    let wanted = now & !u32::from(MODE_BITS) | u32::from(bits);
    if now == wanted {
        return Ok(None);
    }
    match fchmod(&of, Mode::from_raw_mode(wanted)) {
        Err(error @ (Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)) => {
            Ok(Some(Shortfall::Refused(io::Error::from(error).to_string())))
        }
        set => set.map(|()| None),
    }
}

/// Where something with this path is.
pub(super) fn place(downloads: &Path, path: &FilePath) -> PathBuf {
    // The entry of the user's own folder must not lead to that of the machine.
    downloads.join(path.as_str().trim_start_matches('/'))
}

/// Only the time of modification: that of the last access stays.
fn times(modified: ModifiedTime) -> Timestamps {
    let last_modification = Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanos.into() };
    Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification }
}

impl Target {
    /// Begins what will be at `path` below `downloads`; makes the folders around it.
    pub(super) fn create(
        downloads: &Path,
        path: &FilePath,
        facts: &Facts,
        last: &mut LastFolder,
    ) -> Result<Self, ClientError> {
        match facts.kind {
            Kind::Folder => Self::folder(downloads, path, facts).map_err(ClientError::from),
            Kind::Link => {
                Self::begin(downloads, path, facts, last).map(|(link, _)| link).map_err(ClientError::from)
            }
            Kind::Data | Kind::Tombstone if facts.size <= SMALL => {
                Self::small(downloads, path, facts, last).map_err(ClientError::from)
            }
            Kind::Data | Kind::Tombstone => Self::file(downloads, path, facts, last),
        }
    }

    fn small(
        downloads: &Path,
        path: &FilePath,
        facts: &Facts,
        last: &mut LastFolder,
    ) -> Result<Self, LocalError> {
        let mut target = Self::begin_file(downloads, path, facts, last)?;
        check_limit(facts.size).map_err(|error| LocalError::Failed(target.place.clone(), error))?;
        let missing = usize::try_from(facts.size).unwrap_or(usize::MAX);
        let small = Small { bytes: vec![0; missing], missing, is_placed: false, refused: None };
        target.draft = Draft::Small(Mutex::new(small));
        Ok(target)
    }

    fn file(
        downloads: &Path,
        path: &FilePath,
        facts: &Facts,
        last: &mut LastFolder,
    ) -> Result<Self, ClientError> {
        let local = |error: io::Error| LocalError::Failed(place(downloads, path), error);
        let mut lasting = (facts.size >= WORTH_KEEPING).then(|| draft::lasting_name(path.file_name()));
        for _ in 0..MAX_SWEPT {
            let mut target = Self::begin_file(downloads, path, facts, last)?;
            let first = target.mode | OWNER_READS_AND_WRITES;
            let lasting = lasting.take();
            if let Some(draft) = &lasting
                && let Some((file, refused)) = take_up(&target.folder, draft, first, facts.size)
            {
                (target.draft, target.is_resumed) = (Draft::File(file, lasting), true);
                if let Draft::File(file, _) = &target.draft {
                    reserve(file, facts.size).map_err(local)?;
                }
                target.shortfall = refused.or(target.shortfall.take());
                return Ok(target);
            }
            let is_lasting = lasting.is_some();
            let draft = lasting.map_or_else(draft::new_name, Ok).map_err(ClientError::Random)?;
            let file = match new_file(&target.folder, &draft, first) {
                // Another download is writing it, or it is none of ours.
                Err(Errno::EXIST) if is_lasting => continue,
                opened => opened.map_err(|error| local(error.into()))?,
            };
            target.draft = Draft::File(file, Some(draft));
            let Draft::File(file, Some(draft)) = &target.draft else { continue };
            if let Some(now) = kept(file, &target.folder, draft).map_err(local)? {
                // The umask of this process is for what has no permission bits of its own.
                let refused = set_bits(file, &now, first).map_err(|error| local(error.into()))?;
                reserve(file, facts.size).map_err(local)?;
                if refused.is_some() {
                    target.shortfall = refused;
                }
                return Ok(target);
            }
        }
        Err(local(io::ErrorKind::ResourceBusy.into()).into())
    }

    /// A file that has no bytes yet.
    fn begin_file(
        downloads: &Path,
        path: &FilePath,
        facts: &Facts,
        last: &mut LastFolder,
    ) -> Result<Self, LocalError> {
        let (mut target, replaced) = Self::begin(downloads, path, facts, last)?;
        if let Some(file) = replaced.filter(|old| FileType::from_raw_mode(old.st_mode).is_file()) {
            (target.mode, target.shortfall) = narrowed(facts.mode, bits(&file));
        }
        Ok(target)
    }

    /// What has no bytes yet, and what is in its place.
    fn begin(
        downloads: &Path,
        path: &FilePath,
        facts: &Facts,
        last: &mut LastFolder,
    ) -> Result<(Self, Option<Stat>), LocalError> {
        let (name, place) = (path.file_name().to_owned(), place(downloads, path));
        let folder = last.open(downloads, &path.folder())?;
        let replaced = existing(&folder, &name);
        if replaced.is_some_and(|found| FileType::from_raw_mode(found.st_mode).is_dir()) {
            return Err(LocalError::Failed(place, io::ErrorKind::IsADirectory.into()));
        }
        let (draft, &Facts { mode, modified, .. }) = (Draft::Link(Mutex::default()), facts);
        let (is_resumed, syncing, shortfall) = (false, Syncing::new(), None);
        Ok((Self { draft, is_resumed, syncing, folder, name, place, mode, modified, shortfall }, replaced))
    }

    /// Makes a folder, or makes sure that its owner can write in it.
    fn folder(downloads: &Path, path: &FilePath, facts: &Facts) -> Result<Self, LocalError> {
        const ITSELF: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
        let (of, place) = (path.folder(), place(downloads, path));
        let local = |error: Errno| LocalError::Failed(place.clone(), error.into());
        let (is_new, found) = match of.segments().last() {
            None => {
                let is_new = !downloads.exists();
                open_folder(downloads, &of.parent(), true)?;
                (is_new, openat(CWD, downloads, ITSELF, Mode::empty()))
            }
            Some(name) => {
                let around = open_folder(downloads, &of.parent(), true)?;
                let made = mkdirat(&around, name, mode(facts.mode | OWNERS));
                (made.is_ok(), openat(&around, name, ITSELF.union(OFlags::NOFOLLOW), Mode::empty()))
            }
        };
        let mut old = MODE_BITS;
        // What is no folder is reported by what comes next.
        if let Ok(found) = found {
            let now = fstat(&found).map_err(local)?;
            old = bits(&now);
            if old & OWNERS != OWNERS {
                // Without these it may not even be possible to open it. What is open in this way can only be named.
                let itself = format!("/proc/self/fd/{}", found.as_raw_fd());
                let for_now = now.st_mode & 0o7777 | u32::from(OWNERS);
                chmodat(CWD, itself, Mode::from_raw_mode(for_now), AtFlags::empty()).map_err(local)?;
            }
        }
        let folder = open_folder(downloads, &of, true)?;
        let (mode, shortfall) = if is_new { (facts.mode, None) } else { narrowed(facts.mode, old) };
        let refused = match is_new {
            true => set_bits(&folder, &fstat(&folder).map_err(local)?, mode | OWNERS).map_err(local)?,
            false => None,
        };
        // Before, that may not have been possible.
        sweep(downloads, &of);
        let (name, modified) = (path.file_name().to_owned(), facts.modified);
        let (draft, is_resumed, syncing) = (Draft::Folder, false, Syncing::new());
        let (folder, shortfall) = (Arc::new(folder), refused.or(shortfall));
        Ok(Self { draft, is_resumed, syncing, folder, name, place, mode, modified, shortfall })
    }

    /// Writes bytes to their place in the file. With the last ones a small file is put in its place.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), LocalError> {
        match &self.draft {
            Draft::File(file, _) => {
                let is_due = || self.syncing.is_due(bytes.len() as u64, Instant::now);
                let written = file.write_all_at(bytes, offset);
                written.and_then(|()| if is_due() { file.sync_data() } else { Ok(()) }).map_err(|error| {
                    // What has no room takes none from others. The draft is removed in any case.
                    let _ = file.set_len(0);
                    self.failed(error)
                })
            }
            Draft::Small(small) => {
                let mut small = lock(small);
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let end = start.saturating_add(bytes.len());
                if let Some(part) = small.bytes.get_mut(start..end) {
                    part.copy_from_slice(bytes);
                    small.missing = small.missing.saturating_sub(bytes.len());
                }
                if small.missing == 0 { self.place_small(&mut small) } else { Ok(()) }
            }
            Draft::Link(target) => {
                let mut target = target.lock().unwrap_or_else(PoisonError::into_inner);
                // The format bounds a link's size.
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let end = start.saturating_add(bytes.len());
                if target.len() < end {
                    target.resize(end, 0);
                }
                target[start..end].copy_from_slice(bytes);
                Ok(())
            }
            Draft::Folder => Ok(()),
        }
    }

    /// Whether an earlier download may have written some of it.
    pub(super) fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Whether something was written within these bytes of the file, as far as the file system knows.
    pub(super) fn was_written(&self, range: &Range<u64>) -> bool {
        match &self.draft {
            Draft::File(file, _) => match seek(file, SeekFrom::Data(range.start)) {
                Ok(data) => data < range.end,
                Err(error) => error != Errno::NXIO,
            },
            Draft::Small(_) | Draft::Link(_) | Draft::Folder => false,
        }
    }

    /// Reads bytes of the file; returns whether it has them all.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> bool {
        matches!(&self.draft, Draft::File(file, _) if file.read_exact_at(buffer, offset).is_ok())
    }

    /// Leaves a lasting draft for a later download to go on with.
    pub(super) fn leave(mut self) {
        if let Draft::File(_, draft) = &mut self.draft
            && draft.as_deref().is_some_and(is_lasting)
        {
            *draft = None;
        }
    }

    /// Why it does not get the permission bits that are stored, if so.
    pub(super) fn shortfall(&self) -> Option<Shortfall> {
        match &self.draft {
            Draft::Small(small) => lock(small).refused.clone().or_else(|| self.shortfall.clone()),
            _ => self.shortfall.clone(),
        }
    }

    /// Moves the whole file or link to its place, over an older one in one step. A folder is left to
    /// [`MadeFolder::finish`].
    pub(super) fn finish(&mut self, path: &FilePath) -> Result<Option<MadeFolder>, LocalError> {
        match &self.draft {
            Draft::Folder => {
                let path = path.clone();
                return Ok(Some(MadeFolder { path, mode: self.mode, modified: self.modified }));
            }
            Draft::File(file, Some(draft)) => {
                self.put_in_place(file, draft).map_err(|error| self.failed(error))?;
            }
            Draft::File(_, None) => {}
            Draft::Small(small) => self.place_small(&mut lock(small))?,
            Draft::Link(target) => {
                let target = target.lock().unwrap_or_else(PoisonError::into_inner);
                let place = |draft: &str| place_link(&self.folder, &target, draft, &self.name, self.modified);
                let placed = unless_swept(|draft| place(draft).map_err(io::Error::from));
                placed.map_err(|error| self.failed(error))?;
            }
        }
        if let Draft::File(_, draft) = &mut self.draft {
            *draft = None;
        }
        Ok(None)
    }

    fn failed(&self, error: io::Error) -> LocalError {
        LocalError::Failed(self.place.clone(), error)
    }

    /// Makes a small file that is whole.
    fn place_small(&self, small: &mut Small) -> Result<(), LocalError> {
        if !small.is_placed {
            let placed = unless_swept(|draft| self.make_small(draft, &small.bytes));
            small.refused = placed.map_err(|error| self.failed(error))?;
            small.is_placed = true;
        }
        Ok(())
    }

    /// Makes a file under the name of a draft, and moves it to its place.
    fn make_small(&self, draft: &str, bytes: &[u8]) -> io::Result<Option<Shortfall>> {
        let first = self.mode | OWNER_READS_AND_WRITES;
        let file = new_file(&self.folder, draft, first)?;
        let made = || {
            let refused = set_bits(&file, &fstat(&file)?, first)?;
            file.write_all_at(bytes, 0)?;
            self.put_in_place(&file, draft)?;
            Ok(refused)
        };
        made().inspect_err(|_| {
            let _ = unlinkat(&self.folder, draft, AtFlags::empty());
        })
    }

    /// Moves a whole file to its place.
    fn put_in_place(&self, file: &File, draft: &str) -> io::Result<()> {
        let mut mode = self.mode;
        // Somebody may have closed what it replaces in the meantime.
        let replaced = existing(&self.folder, &self.name);
        if let Some(old) = replaced.filter(|old| FileType::from_raw_mode(old.st_mode).is_file()) {
            mode &= bits(&old);
        }
        if mode != self.mode || mode & OWNER_READS_AND_WRITES != OWNER_READS_AND_WRITES {
            set_bits(file, &fstat(file)?, mode)?;
        }
        // A file system that cannot keep the time still keeps the file.
        let _ = futimens(file, &times(self.modified));
        if replaced.is_some() {
            // A power failure must not leave an empty file where a whole one was.
            file.sync_data()?;
        }
        Ok(renameat(&self.folder, draft, &self.folder, &self.name)?)
    }
}

fn lock(small: &Mutex<Small>) -> MutexGuard<'_, Small> {
    small.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new file with these permission bits, as far as the umask leaves them.
fn new_file(folder: &OwnedFd, name: &str, bits: u16) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, mode(bits)).map(File::from)
}

/// Makes something under the name of a draft, and again if it has been swept: see [`sweep`]. Links cannot be locked
/// against that, and for small files it would take longer than to make them.
fn unless_swept<T>(mut make: impl FnMut(&str) -> io::Result<T>) -> io::Result<T> {
    let mut made = Err(io::ErrorKind::ResourceBusy.into());
    for _ in 0..MAX_SWEPT {
        made = draft::new_name().and_then(|draft| make(&draft));
        if !matches!(&made, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            break;
        }
    }
    made
}

/// Makes a link under the name of a draft, and moves it to its place.
fn place_link(
    folder: &OwnedFd,
    target: &[u8],
    draft: &str,
    name: &str,
    modified: ModifiedTime,
) -> Result<(), Errno> {
    symlinkat(target, folder, draft)?;
    let _ = utimensat(folder, draft, &times(modified), AtFlags::SYMLINK_NOFOLLOW);
    renameat(folder, draft, folder, name).inspect_err(|_| {
        let _ = unlinkat(folder, draft, AtFlags::empty());
    })
}

/// Locks a draft, which distinguishes a live one from a leftover, and returns its state; none if another download that
/// begins here has taken it for a leftover before that: see [`sweep`].
fn kept(file: &File, folder: &OwnedFd, draft: &str) -> io::Result<Option<Stat>> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        locked => locked?,
    }
    let of_file = fstat(file)?;
    match statat(folder, draft, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        of_path => {
            let of_path = of_path?;
            let is_same = (of_path.st_dev, of_path.st_ino) == (of_file.st_dev, of_file.st_ino);
            Ok(is_same.then_some(of_file))
        }
    }
}

/// The lasting draft of an earlier download of a file of this size, with these permission bits from now on. None if there
/// is none, another download is writing it, or it is not certain that this user's client made it.
fn take_up(folder: &OwnedFd, draft: &str, bits: u16, size: u64) -> Option<(File, Option<Shortfall>)> {
    // What is no file may do something when it is opened.
    if kind(folder, draft)? != FileType::RegularFile {
        return None;
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, draft, flags, Mode::empty()).ok()?);
    let now = kept(&file, folder, draft).ok()??;
    let is_file = FileType::from_raw_mode(now.st_mode).is_file();
    if !is_file || now.st_nlink != 1 || now.st_uid != geteuid().as_raw() {
        return None;
    }
    let refused = set_bits(&file, &now, bits).ok()?;
    // Whoever has opened it while it was open to more could still read it.
    if refused.is_none() && now.st_mode & u32::from(MODE_BITS & !OWNERS & !bits) != 0 {
        let _ = unlinkat(folder, draft, AtFlags::empty());
        return None;
    }
    if u64::try_from(now.st_size).is_ok_and(|now| now > size) {
        file.set_len(size).ok()?;
    }
    Some((file, refused))
}

/// Files up to this many bytes are written in one step, when they are whole. A batch of them must fit into memory.
const SMALL: u64 = 32 * 1024;

/// That a file may have that size.
fn check_limit(size: u64) -> io::Result<()> {
    // A signal would end the process: setrlimit(2), RLIMIT_FSIZE.
    if getrlimit(Resource::Fsize).current.is_some_and(|most| size > most) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

/// Gives a file its size and, if the file system can promise that, the room for it: what does not fit on the disk fails
/// before any of it has travelled, and takes no room from files that do.
fn reserve(file: &File, size: u64) -> io::Result<()> {
    check_limit(size)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::retry_on_intr;
        match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, size)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            reserved => return Ok(reserved?),
        }
    }
    file.set_len(size)
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Draft::File(_, Some(draft)) = &self.draft {
            // If it remains, the next download into this folder sweeps it.
            let _ = unlinkat(&self.folder, draft, AtFlags::empty());
        }
    }
}

impl MadeFolder {
    /// The folder's entry.
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// Sets permission bits and time, now that everything in the folder is there.
    pub(super) fn finish(&self, downloads: &Path) -> Result<Option<Shortfall>, LocalError> {
        let local = |error: Errno| LocalError::Failed(place(downloads, &self.path), error.into());
        let folder = open_folder(downloads, &self.path.folder(), false)?;
        // Somebody may have closed it to others in the meantime.
        let now = fstat(&folder).map_err(local)?;
        let refused = set_bits(&folder, &now, self.mode & (bits(&now) | OWNERS)).map_err(local)?;
        // A file system that cannot keep the time still keeps the folder.
        let _ = futimens(&folder, &times(self.modified));
        Ok(refused)
    }
}

/// Removes what killed downloads left in a folder below `downloads`: regular files and links with the names of drafts,
/// and nothing else. Lasting drafts stay for some time; returns whether there are any.
pub(super) fn sweep(downloads: &Path, folder: &FolderPath) -> bool {
    let Ok(folder) = open_folder(downloads, folder, false) else { return false };
    let Ok(entries) = Dir::read_from(&folder) else { return false };
    let mut any_stays = false;
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().to_str() else { continue };
        if is_draft(name) && kind(&folder, name) == Some(FileType::Symlink) {
            let _ = unlinkat(&folder, name, AtFlags::empty());
        }
        if is_draft(name)
            && let Some(file) = open_draft(&folder, name)
        {
            let age = || file.metadata().and_then(|file| file.modified()).ok()?.elapsed().ok();
            // A lock, even for an instant, would have another download take it for one that is in use.
            match is_lasting(name) && age().is_none_or(|age| age < KEPT) {
                true => any_stays = true,
                false => remove_unused(&folder, name, &file),
            }
        }
    }
    any_stays
}

fn open_draft(folder: &OwnedFd, name: &str) -> Option<File> {
    // A FIFO would wait for a writer, a link would lead elsewhere.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, name, flags, Mode::empty()).ok()?);
    file.metadata().is_ok_and(|file| file.is_file()).then_some(file)
}

/// Removes a draft that no download is writing.
fn remove_unused(folder: &OwnedFd, name: &str, file: &File) {
    // Locked until it is removed: a download that has just made it sees one or the other, and makes another.
    if file.try_lock().is_ok() {
        // Somebody else may have swept it first.
        let _ = unlinkat(folder, name, AtFlags::empty());
    }
}

/// The folder of a file, and its lasting draft, if there is one.
fn lasting_draft(downloads: &Path, path: &FilePath) -> Option<(OwnedFd, String, File)> {
    let (folder, name) =
        (open_folder(downloads, &path.folder(), false).ok()?, draft::lasting_name(path.file_name()));
    let file = open_draft(&folder, &name)?;
    Some((folder, name, file))
}

/// Whether a download can go on with what an earlier one has left.
pub(super) fn has_remains(downloads: &Path, path: &FilePath) -> bool {
    lasting_draft(downloads, path).is_some_and(|(_, _, file)| file.try_lock_shared().is_ok())
}

/// Removes what an earlier download has left of a file that has been downloaded.
pub(super) fn remove_remains(downloads: &Path, path: &FilePath) {
    if let Some((folder, name, file)) = lasting_draft(downloads, path) {
        remove_unused(&folder, &name, &file);
    }
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
                let size = if number % 2 == 0 { 0 } else { SMALL + 1 };
                let facts = Facts { mode: 0o600, size, ..Facts::default() };
                Target::create(&folder, &path, &facts, &mut LastFolder::default())
                    .and_then(|mut target| target.finish(&path).map_err(ClientError::from))
                    .err()
            });
            over.store(true, Ordering::Relaxed);
            assert!(failed.is_none(), "{failed:?}");
        });
        fs::remove_dir_all(&folder).unwrap();
    }
}
