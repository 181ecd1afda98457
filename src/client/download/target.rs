//! What downloads make on this side: files and links are made beside their final place, and moved there when whole;
//! folders get their permission bits and time when everything in them is done.
//!
//! Nothing ever has more permission bits than it will have in the end, but for the owner's: a draft can be read and
//! written by its owner, so that a leftover can be removed or continued, and a folder can be written in while it is
//! filled.
//!
//! `Downloads/USER` may be a link, and so may the folder that it is in. Below it no link is followed: each folder is
//! opened in the one before it, so that nothing is written elsewhere, whoever changes what in between.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, SeekFrom, chmodat, fstat, futimens, mkdirat, openat, seek, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::entries::{
    LastFolder, OWNER_READS_AND_WRITES, OWNERS, Shortfall, bits, mode, narrowed, narrowed_by, new_file,
    open_folder, place, replaced, set_bits, times,
};
use super::fetch::Output;
use super::leftovers::{kept, sweep, take_up};
use super::small::{MAX_SWEPT, SMALL, Small, make_link, move_to_place};
use super::syncing::Syncing;
use crate::client::core::draft::{self, is_lasting};
use crate::client::core::error::{ClientError, LocalError};
use crate::name::FilePath;
use crate::sealed::{Facts, Kind, MODE_BITS, ModifiedTime};
use crate::wire::MIN_PARTIAL;

/// Files from this size on have lasting drafts, and of those so many bytes are worth keeping: as many as servers keep
/// of the four pieces of an upload. Less is fetched again in less time than it takes to find out what is there.
pub(super) const WORTH_KEEPING: u64 = 4 * MIN_PARTIAL;

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

/// A folder that was downloaded, whose permission bits and time are set when everything in it is there.
#[derive(Debug)]
pub struct MadeFolder {
    path: FilePath,
    /// Its path below the downloads.
    local: FilePath,
    mode: u16,
    modified: ModifiedTime,
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
                let link = Self::begin(downloads, path, facts, last)?;
                replaced(&link.folder, &link.name).map_err(|error| link.failed(error))?;
                Ok(link)
            }
            Kind::Data | Kind::Tombstone if facts.size <= SMALL => {
                let mut small = Self::begin(downloads, path, facts, last)?;
                check_limit(facts.size).map_err(|error| small.failed(error))?;
                small.draft = Draft::Small(Mutex::new(Small::new(facts.size)));
                Ok(small)
            }
            Kind::Data | Kind::Tombstone => Self::file(downloads, path, facts, last),
        }
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
            let mut target = Self::begin(downloads, path, facts, last)?;
            let old = replaced(&target.folder, &target.name).map_err(local)?;
            (target.mode, target.shortfall) = narrowed_by(old.as_ref(), facts.mode);
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

    /// What has no bytes yet.
    fn begin(
        downloads: &Path,
        path: &FilePath,
        facts: &Facts,
        last: &mut LastFolder,
    ) -> Result<Self, LocalError> {
        let (name, place) = (path.file_name().to_owned(), place(downloads, path));
        let folder = last.open(downloads, &path.folder())?;
        let (draft, &Facts { mode, modified, .. }) = (Draft::Link(Mutex::default()), facts);
        let (is_resumed, syncing, shortfall) = (false, Syncing::new(), None);
        Ok(Self { draft, is_resumed, syncing, folder, name, place, mode, modified, shortfall })
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
        if let Draft::File(file, draft) = &mut self.draft
            && draft.as_deref().is_some_and(is_lasting)
        {
            // Closing it may not be enough: see `locked`.
            let _ = file.unlock();
            *draft = None;
        }
    }

    /// Why it does not get the permission bits that are stored, if so.
    pub(super) fn shortfall(&self) -> Option<Shortfall> {
        match &self.draft {
            Draft::Small(small) => lock(small).shortfall.clone(),
            _ => self.shortfall.clone(),
        }
    }

    /// Moves the whole file or link to its place, over an older one in one step. `local` is its path below the
    /// downloads. A folder is left to [`MadeFolder::finish`].
    pub(super) fn finish(
        &mut self,
        stored: &FilePath,
        local: &FilePath,
    ) -> Result<Option<MadeFolder>, LocalError> {
        match &self.draft {
            Draft::Folder => {
                let (path, local) = (stored.clone(), local.clone());
                return Ok(Some(MadeFolder { path, local, mode: self.mode, modified: self.modified }));
            }
            Draft::File(file, Some(draft)) => {
                self.put_in_place(file, draft).map_err(|error| self.failed(error))?;
            }
            Draft::File(_, None) => {}
            Draft::Small(small) => self.place_small(&mut lock(small))?,
            Draft::Link(target) => {
                let target = target.lock().unwrap_or_else(PoisonError::into_inner);
                let made = make_link(&self.folder, &self.name, &target, self.modified);
                made.map_err(|error| self.failed(error))?;
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

    fn place_small(&self, small: &mut Small) -> Result<(), LocalError> {
        let placed = small.place(&self.folder, &self.name, self.mode, self.modified);
        placed.map_err(|error| self.failed(error))
    }

    /// Moves a whole file to its place.
    fn put_in_place(&self, file: &File, draft: &str) -> io::Result<()> {
        // Somebody may have closed what it replaces in the meantime.
        let old = replaced(&self.folder, &self.name)?;
        let (mode, _) = narrowed_by(old.as_ref(), self.mode);
        if mode != self.mode || mode & OWNER_READS_AND_WRITES != OWNER_READS_AND_WRITES {
            set_bits(file, &fstat(file)?, mode)?;
        }
        move_to_place(&self.folder, &self.name, file, draft, self.modified, old.is_some())
    }
}

impl Output for Target {
    /// Writes bytes to their place in the file. With the last ones a small file is put in its place.
    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), LocalError> {
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
                if small.take(bytes, offset) { self.place_small(&mut small) } else { Ok(()) }
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
}

fn lock(small: &Mutex<Small>) -> MutexGuard<'_, Small> {
    small.lock().unwrap_or_else(PoisonError::into_inner)
}

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
        let local = |error: Errno| LocalError::Failed(place(downloads, &self.local), error.into());
        let folder = open_folder(downloads, &self.local.folder(), false)?;
        // Somebody may have closed it to others in the meantime.
        let now = fstat(&folder).map_err(local)?;
        let refused = set_bits(&folder, &now, self.mode & (bits(&now) | OWNERS)).map_err(local)?;
        // A file system that cannot keep the time still keeps the folder.
        let _ = futimens(&folder, &times(self.modified));
        Ok(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::FolderPath;
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
                    .and_then(|mut target| target.finish(&path, &path).map_err(ClientError::from))
                    .err()
            });
            over.store(true, Ordering::Relaxed);
            assert!(failed.is_none(), "{failed:?}");
        });
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
