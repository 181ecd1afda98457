//! The few operations that the store needs from a disk, as a trait, so that tests can make each one fail.

mod watch;

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

use watch::Watches;
pub use watch::{MAX_WATCHES, Watch};

/// Something other than a regular file was found where a file was expected: a folder, link, FIFO, socket or device.
#[derive(Debug)]
pub struct NotAFile;

impl fmt::Display for NotAFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a regular file")
    }
}

impl std::error::Error for NotAFile {}

/// Whether a file could not be opened because something else is in its place.
pub(super) fn is_not_a_file(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::IsADirectory || error.get_ref().is_some_and(|why| why.is::<NotAFile>())
}

/// Opens a regular file, and never waits for anything but the disk: a FIFO in its place would otherwise block the
/// caller until somebody writes to it, and a device might do anything. A link is not followed.
///
/// # Errors
/// If the file cannot be opened, or, with [`NotAFile`] as the source, if something else is in its place.
pub fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    open_found(options, path).map(|(file, _)| file)
}

/// [`open_regular`], with what the file's metadata are.
fn open_found(options: &mut OpenOptions, path: &Path) -> io::Result<(File, Metadata)> {
    // The flags are small and positive.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let not_a_file = || io::Error::other(NotAFile);
    match options.custom_flags(flags).open(path) {
        Ok(file) => match file.metadata()? {
            found if found.is_file() => Ok((file, found)),
            _ => Err(not_a_file()),
        },
        // Nothing is in its place, not even a link that leads nowhere: the rule for a name that is new, at every
        // server.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(error) => match path.symlink_metadata() {
            Ok(found) if !found.is_file() => Err(not_a_file()),
            _ => Err(error),
        },
    }
}

/// Adds the file's name to an error that affects more than the request that met it: as much of the path as is needed to
/// find it on one server, such as `staged/Aditi/17`.
pub(super) fn named(file: &Path, error: &io::Error) -> io::Error {
    let parts: Vec<_> = file.iter().map(OsStr::to_string_lossy).collect();
    let name = parts[parts.len().saturating_sub(3)..].join("/");
    io::Error::new(error.kind(), format!("{}: {error}", name.escape_debug()))
}

/// Where a folder is mounted. Pieces can be renamed from one folder to another if their mounts are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount {
    /// The number of the file system.
    pub device: u64,
    /// The number of the mount: a file system may be mounted twice, or a part of it elsewhere. 0 if it is unknown.
    pub id: u64,
}

/// Metadata that changes whenever a file is replaced or written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The number of the file on its file system.
    pub inode: u64,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last changed, in seconds and nanoseconds since 1970. No program can set it back.
    pub changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { inode: metadata.ino(), len: metadata.len(), changed }
    }
}

/// The operations of a file system that the store needs. Paths are absolute. An error is that of the system call that
/// does what a method says, unless the method says otherwise.
pub trait Disk: Send + Sync + 'static {
    /// An open file.
    type File: Read + Write + Seek + Send + Sync;

    /// See [`Disk::watch`].
    type Watch: Send + Sync;

    /// Makes a new file for writing. It is an error if it exists.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a regular file for reading. Never waits for a FIFO, and follows no link.
    ///
    /// # Errors
    /// If the file cannot be opened, or, with [`NotAFile`] as the source or as `EISDIR`, if something else is in its
    /// place.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a regular file for writing, and cuts it to a length in bytes.
    fn reopen(&self, path: &Path, length: u64) -> io::Result<Self::File>;

    /// Length of an open file, in bytes.
    fn len(&self, file: &Self::File) -> io::Result<u64>;

    /// [`Disk::open`] and [`Disk::len`].
    fn open_with_len(&self, path: &Path) -> io::Result<(Self::File, u64)> {
        let file = self.open(path)?;
        let len = self.len(&file)?;
        Ok((file, len))
    }

    /// Makes a file's bytes survive a power failure. After an error, what was written is in doubt and must not be
    /// acknowledged.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Begins to sync a file that is still being written, without waiting. Returns whether that was possible. The file
    /// must be synced at its end through the same [`Disk::File`]: one that is opened later may not get the errors.
    fn sync_soon(&self, _path: &Path) -> bool {
        false
    }

    /// Syncs many files. A file that no longer exists is skipped.
    fn sync_all(&self, paths: &[&Path]) -> io::Result<()> {
        paths.iter().try_for_each(|path| sync_if_there(self, path))
    }

    /// Begins to watch the file system of a folder, so that files that are written from now on can be synced together.
    /// None if the file system cannot be trusted with that.
    fn watch(&self, folder: &Path) -> Option<Self::Watch>;

    /// Makes everything that was written to a file system since the watch began survive a power failure. Returns false,
    /// without having done so, if it would take longer than to sync so many files.
    ///
    /// # Errors
    /// If anything that was written since then, by anybody, could not be written back. It may have been lost before, so
    /// it must not be acknowledged even if it can be synced later.
    fn sync_whole(&self, watch: &Self::Watch, files: usize) -> io::Result<bool>;

    /// Makes the names in a directory survive a power failure.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Where an existing folder is mounted; the same for all if the disk has no mounts.
    fn mount(&self, _folder: &Path) -> io::Result<Mount> {
        Ok(Mount { device: 0, id: 0 })
    }

    /// Like [`Disk::mount`], but follows no link: `None` means that a link is in the folder's place, wherever it leads.
    fn mount_unless_link(&self, folder: &Path) -> io::Result<Option<Mount>> {
        self.mount(folder).map(Some)
    }

    /// Renames a file in one step, replacing the file with the new name, if any; or a folder to a name that is free.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory. It is an error if it exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// The entries of a directory, each with whether it is a directory itself.
    fn entries(&self, path: &Path) -> io::Result<Vec<(OsString, bool)>>;

    /// Passes on each entry of a directory, with whether it is a directory itself, and for a file its stamp, if the
    /// disk has stamps: without them every listing opens every file.
    fn visit(&self, path: &Path, see: &mut dyn FnMut(OsString, bool, Option<Stamp>)) -> io::Result<()> {
        self.entries(path)?.into_iter().for_each(|(name, is_dir)| see(name, is_dir, None));
        Ok(())
    }
}

/// Opens a folder, without being blocked by a FIFO in its place.
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

/// How many files are synced at the same time. A journaling file system then writes one entry for many of them; with
/// more threads than this, the cost of the threads shows.
const SYNC_THREADS: usize = 16;
/// The stack of a thread that syncs, in bytes: it makes two system calls.
const SYNC_STACK: usize = 64 * 1024;
/// Most threads that sync, for all batches together. Each has a file open: see
/// [`MAX_CONNECTIONS`](crate::server::MAX_CONNECTIONS). A batch that gets none only takes longer.
pub const MAX_SYNC_THREADS: usize = 64;

/// Threads that sync files while they are still arriving. With only one, 64 simultaneous uploads have to wait for the
/// disk at their end.
const EARLY_THREADS: usize = 4;

/// The file system of the operating system, with threads that sync large files while they are still arriving.
#[derive(Debug, Clone)]
pub struct OsDisk {
    early: SyncSender<PathBuf>,
    /// How many threads of [`Disk::sync_all`] are running.
    helpers: Arc<AtomicUsize>,
    watches: Watches,
}

/// Permission for one more thread that syncs; dropping it makes room for another.
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
            // A file that a thread took before it panicked is still synced at its end.
            let next = move || paths.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
            std::thread::spawn(move || {
                for path in std::iter::from_fn(next) {
                    // The file is opened again, so an error here is still reported to the writer, too.
                    if let Ok(file) = open_regular(File::options().read(true), &path) {
                        let _ = file.sync_data();
                    }
                }
            });
        }
        Self { early, helpers: Arc::default(), watches: Watches::default() }
    }
}

/// The mount of what was found, which must be a folder.
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
    type Watch = Watch;

    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        open_regular(File::options().read(true), path)
    }

    fn reopen(&self, path: &Path, length: u64) -> io::Result<File> {
        let file = open_regular(File::options().write(true), path)?;
        file.set_len(length)?;
        Ok(file)
    }

    fn len(&self, file: &File) -> io::Result<u64> {
        file.metadata().map(|m| m.len())
    }

    fn open_with_len(&self, path: &Path) -> io::Result<(File, u64)> {
        open_found(File::options().read(true), path).map(|(file, found)| (file, found.len()))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Leaves it to one of the threads, unless all are busy.
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
            // Without helpers, if the machine has no thread to spare, it only takes longer.
            let helpers: Vec<_> = (1..paths.len().min(SYNC_THREADS)).map_while(|_| helper()).collect();
            let panicked = |_| Err(io::Error::other("a sync thread panicked"));
            helpers
                .into_iter()
                .map(|helper| helper.join().unwrap_or_else(panicked))
                .fold(work(), io::Result::and)
        })
    }

    fn watch(&self, folder: &Path) -> Option<Watch> {
        self.watches.begin(|| open_folder(folder))
    }

    fn sync_whole(&self, watch: &Watch, files: usize) -> io::Result<bool> {
        watch.sync(files)
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
            // An old system, or a sandbox, does not know this call.
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
            // The target of a link can change without a trace in the link.
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
