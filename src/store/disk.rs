//! The few things that the store asks of a disk, behind an interface so that tests can fail each one.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, FileType, OFlags, Statx, StatxFlags, statx};
use rustix::io::Errno;

/// Something else than a regular file is where a file is expected: a folder, a link, a FIFO, a socket, a device.
#[derive(Debug)]
pub struct NotAFile;

impl fmt::Display for NotAFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a regular file")
    }
}

impl std::error::Error for NotAFile {}

/// Whether a file could not be opened because there is something else in its place.
pub(super) fn is_not_a_file(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::IsADirectory || error.get_ref().is_some_and(|why| why.is::<NotAFile>())
}

/// Opens a regular file, and never waits for anything but the disk: a FIFO in its place would otherwise hold the
/// caller until somebody writes into it, a device might do anything. A link is not followed.
///
/// # Errors
/// As `open(2)`; [`NotAFile`] within, if there is something else in its place.
pub fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // These bits are small and positive.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let not_a_file = || io::Error::other(NotAFile);
    match options.custom_flags(flags).open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(not_a_file()),
        Err(error) => match path.symlink_metadata() {
            Ok(found) if !found.is_file() => Err(not_a_file()),
            _ => Err(error),
        },
    }
}

/// An error that holds up more than what was asked, with the file that it is of: as much of the path as tells it from
/// others of one server, `staged/Aditi/17`.
pub(super) fn named(file: &Path, error: &io::Error) -> io::Error {
    let parts: Vec<_> = file.iter().map(OsStr::to_string_lossy).collect();
    let name = parts[parts.len().saturating_sub(3)..].join("/");
    io::Error::new(error.kind(), format!("{}: {error}", name.escape_debug()))
}

/// Where a folder is mounted: pieces can be renamed from one folder to another if these are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount {
    /// The number of the file system.
    pub device: u64,
    /// The number of the mount: a file system may be mounted twice, or a part of it elsewhere. 0 where the system
    /// does not tell.
    pub id: u64,
}

/// What changes when a file is replaced or written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Number of the file on its file system.
    pub inode: u64,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last changed: seconds and nanoseconds since 1970. No program can set it back.
    pub changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { inode: metadata.ino(), len: metadata.len(), changed }
    }
}

/// A file system, as far as the store needs one. Paths are whole.
pub trait Disk: Send + Sync + 'static {
    /// An open file.
    type File: Read + Write + Seek + Send + Sync;

    /// Makes a new file, which must not exist, for writing.
    ///
    /// # Errors
    /// As `open(2)` with `O_CREAT | O_EXCL`.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a regular file for reading. Never waits for a FIFO, and follows no link.
    ///
    /// # Errors
    /// As `open(2)`; [`NotAFile`] within, or `EISDIR`, if there is something else in its place.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Bytes in an open file.
    ///
    /// # Errors
    /// As `fstat(2)`.
    fn len(&self, file: &Self::File) -> io::Result<u64>;

    /// Makes a file's bytes survive a power failure.
    ///
    /// # Errors
    /// As `fsync(2)`; after one, what was written is in doubt and must not be acknowledged.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Begins to make a file's bytes survive, for a file that is still being written and will be synced at
    /// its end, as the same [`Disk::File`]: a later one may not hear of errors. Does not wait, and says whether it
    /// could.
    fn sync_soon(&self, _path: &Path) -> bool {
        false
    }

    /// Makes the bytes of many files survive. One that is gone by now is passed over.
    ///
    /// # Errors
    /// As [`Disk::sync`], of any of them.
    fn sync_all(&self, paths: &[&Path]) -> io::Result<()> {
        paths.iter().try_for_each(|path| sync_if_there(self, path))
    }

    /// Makes the names in a directory survive a power failure.
    ///
    /// # Errors
    /// As `fsync(2)`.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Where an existing folder is mounted; the same for all, if the disk has no mounts.
    ///
    /// # Errors
    /// As `stat(2)`.
    fn mount(&self, _folder: &Path) -> io::Result<Mount> {
        Ok(Mount { device: 0, id: 0 })
    }

    /// As [`Disk::mount`], but follows no link: `None` is a link in the folder's place, wherever it leads.
    ///
    /// # Errors
    /// As `lstat(2)`.
    fn mount_unless_link(&self, folder: &Path) -> io::Result<Option<Mount>> {
        self.mount(folder).map(Some)
    }

    /// Moves a file over another, in one step; or a folder to a place where nothing is.
    ///
    /// # Errors
    /// As `rename(2)`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As `unlink(2)`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory.
    ///
    /// # Errors
    /// As `mkdir(2)`.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As `rmdir(2)`.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// The entries of a directory, each with whether it is a directory itself.
    ///
    /// # Errors
    /// As `readdir(3)`.
    fn entries(&self, path: &Path) -> io::Result<Vec<(OsString, bool)>>;

    /// Shows each entry of a directory, with whether it is a directory itself, and for a file its stamp, if
    /// the disk has such: without them every listing opens every file.
    ///
    /// # Errors
    /// As [`Disk::entries`], or as `stat(2)`.
    fn visit(&self, path: &Path, see: &mut dyn FnMut(OsString, bool, Option<Stamp>)) -> io::Result<()> {
        self.entries(path)?.into_iter().for_each(|(name, is_dir)| see(name, is_dir, None));
        Ok(())
    }
}

/// A FIFO in a folder's place must not hold the caller.
fn open_folder(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::DIRECTORY.bits()).unwrap_or_default();
    File::options().read(true).custom_flags(flags).open(path)
}

fn sync_if_there<D: Disk + ?Sized>(disk: &D, path: &Path) -> io::Result<()> {
    match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        file => file.and_then(|file| disk.sync(&file)).map_err(|error| named(path, &error)),
    }
}

/// Files that are synced at the same time. A journalling file system then writes one entry for many of
/// them; with more threads than this their own cost shows.
const SYNC_THREADS: usize = 16;
/// Stack of such a thread, in bytes: it makes two system calls.
const SYNC_STACK: usize = 64 * 1024;
/// Such threads of all batches that are synced at one time. Each has a file open: see
/// [`MAX_CONNECTIONS`](crate::server::MAX_CONNECTIONS). A batch that gets none takes longer, no more.
pub const MAX_SYNC_THREADS: usize = 64;

/// Threads that sync files while they are still arriving. With one, 64 uploads at a time wait for the disk at
/// their end.
const EARLY_THREADS: usize = 4;

/// The operating system's file system, with threads that write large files to disk while they are still
/// arriving.
#[derive(Debug, Clone)]
pub struct OsDisk {
    early: SyncSender<PathBuf>,
    /// Threads of [`Disk::sync_all`] that are at work.
    helpers: Arc<AtomicUsize>,
}

/// A thread that may help to sync; dropped, it makes room for another.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(taken: &'a AtomicUsize) -> Option<Self> {
        let more = |count| (count < MAX_SYNC_THREADS).then_some(count + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self(taken))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for OsDisk {
    fn default() -> Self {
        let (early, paths) = sync_channel::<PathBuf>(EARLY_THREADS);
        let paths = Arc::new(Mutex::new(paths));
        for _ in 0..EARLY_THREADS {
            let paths = Arc::clone(&paths);
            // What a thread that panicked has taken is synced at its end all the same.
            let next = move || paths.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
            std::thread::spawn(move || {
                for path in std::iter::from_fn(next) {
                    // Through a description of its own: an error is then still reported to the writer's.
                    if let Ok(file) = open_regular(File::options().read(true), &path) {
                        let _ = file.sync_data();
                    }
                }
            });
        }
        Self { early, helpers: Arc::default() }
    }
}

/// Where what was found is mounted.
fn mount_of(found: &Statx) -> io::Result<Mount> {
    if !FileType::from_raw_mode(found.stx_mode.into()).is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(Mount {
        device: u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor),
        id: if found.stx_mask & StatxFlags::MNT_ID.bits() == 0 { 0 } else { found.stx_mnt_id },
    })
}

impl Disk for OsDisk {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        open_regular(File::options().read(true), path)
    }

    fn len(&self, file: &File) -> io::Result<u64> {
        file.metadata().map(|m| m.len())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Leaves it to the threads, if not all are busy.
    fn sync_soon(&self, path: &Path) -> bool {
        self.early.try_send(path.to_path_buf()).is_ok()
    }

    fn sync_all(&self, paths: &[&Path]) -> io::Result<()> {
        let next = AtomicUsize::new(0);
        let work = || {
            let todo = std::iter::from_fn(|| paths.get(next.fetch_add(1, Ordering::Relaxed)));
            todo.map(|path| sync_if_there(self, path)).fold(Ok(()), io::Result::and)
        };
        std::thread::scope(|scope| {
            let helper = || {
                let place = Place::take(&self.helpers)?;
                let help = move || {
                    let _place = place;
                    work()
                };
                std::thread::Builder::new().stack_size(SYNC_STACK).spawn_scoped(scope, help).ok()
            };
            // Without helpers, on a machine that has no thread to give, it only takes longer.
            let helpers: Vec<_> = (1..paths.len().min(SYNC_THREADS)).map_while(|_| helper()).collect();
            let panicked = |_| Err(io::Error::other("a thread that syncs has panicked"));
            helpers
                .into_iter()
                .map(|helper| helper.join().unwrap_or_else(panicked))
                .fold(work(), io::Result::and)
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        open_folder(path)?.sync_all()
    }

    fn mount(&self, folder: &Path) -> io::Result<Mount> {
        match statx(CWD, folder, AtFlags::empty(), StatxFlags::TYPE | StatxFlags::MNT_ID) {
            Ok(found) => mount_of(&found),
            Err(Errno::NOENT) if folder.symlink_metadata().is_ok() => {
                Err(io::Error::other("a link that leads nowhere"))
            }
            // An old system, or a sandbox that does not know this call.
            Err(Errno::NOSYS | Errno::PERM) => Ok(Mount { device: folder.metadata()?.dev(), id: 0 }),
            Err(error) => Err(error.into()),
        }
    }

    fn mount_unless_link(&self, folder: &Path) -> io::Result<Option<Mount>> {
        match statx(CWD, folder, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE | StatxFlags::MNT_ID) {
            Ok(found) if FileType::from_raw_mode(found.stx_mode.into()).is_symlink() => Ok(None),
            Ok(found) => mount_of(&found).map(Some),
            Err(Errno::NOSYS | Errno::PERM) => {
                let found = folder.symlink_metadata()?;
                Ok((!found.is_symlink()).then(|| Mount { device: found.dev(), id: 0 }))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<(OsString, bool)>> {
        std::fs::read_dir(path)?
            .map(|entry| {
                let entry = entry?;
                Ok((entry.file_name(), entry.file_type()?.is_dir()))
            })
            .collect()
    }

    fn visit(&self, path: &Path, see: &mut dyn FnMut(OsString, bool, Option<Stamp>)) -> io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let file_type = entry.file_type()?;
            // What a link leads to can change without a trace in the link.
            let stamp = match file_type.is_file().then(|| entry.metadata()) {
                None => None,
                Some(Ok(metadata)) => Some(Stamp::of(&metadata)),
                Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => continue,
                Some(Err(error)) => return Err(error),
            };
            see(entry.file_name(), file_type.is_dir(), stamp);
        }
        Ok(())
    }
}
