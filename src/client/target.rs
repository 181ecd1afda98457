//! Local files that downloads become: written beside their place, moved there when whole.

use std::fs::{self, File, FileTimes, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::ClientError;
use crate::primitives;
use crate::sealed::ModifiedTime;
use crate::wire::hex;

const PREFIX: &str = ".shareit-";
const SUFFIX: &str = ".part";
/// Drafts of one download that others may sweep away. A second one is rare already.
const MAX_SWEPT: usize = 100;

/// A download on its way. Dropped before [`Target::finish`], it leaves nothing behind.
pub(super) struct Target {
    file: File,
    draft: PathBuf,
    place: PathBuf,
    finished: bool,
}

impl Target {
    /// Begins a file that is to be at `place`; makes the folders around it.
    pub(super) fn create(place: &Path, size: u64) -> Result<Self, ClientError> {
        let local = |path: &Path| {
            let path = path.to_path_buf();
            move |error| ClientError::Local(path, error)
        };
        if place.is_dir() {
            return Err(local(place)(io::ErrorKind::IsADirectory.into()));
        }
        let folder = place.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(local(folder))?;
        for _ in 0..MAX_SWEPT {
            let unique = hex(&primitives::random::<8>().map_err(ClientError::Random)?);
            let draft = folder.join(format!("{PREFIX}{unique}{SUFFIX}"));
            let file = OpenOptions::new().write(true).create_new(true).open(&draft).map_err(local(place))?;
            let target = Self { file, draft, place: place.to_path_buf(), finished: false };
            if target.is_kept().map_err(local(place))? {
                target.file.set_len(size).map_err(local(place))?;
                return Ok(target);
            }
        }
        Err(local(place)(io::ErrorKind::ResourceBusy.into()))
    }

    /// Locks the draft, which tells a live one from a leftover. Another download that begins here may have taken
    /// it for a leftover before: see [`sweep`].
    fn is_kept(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(false),
            locked => locked?,
        }
        let of_file = self.file.metadata()?;
        match fs::symlink_metadata(&self.draft) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            of_path => Ok(of_path.map(|path| (path.dev(), path.ino()))? == (of_file.dev(), of_file.ino())),
        }
    }

    /// Writes bytes to their place in the file.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), ClientError> {
        self.file.write_all_at(bytes, offset).map_err(|error| ClientError::Local(self.place.clone(), error))
    }

    /// Moves the whole file to its place, over an older one in one step.
    pub(super) fn finish(mut self, modified: ModifiedTime) -> Result<(), ClientError> {
        let local = |error| ClientError::Local(self.place.clone(), error);
        if let Some(time) = system_time(modified) {
            // A file system that cannot keep the time still keeps the file.
            let _ = self.file.set_times(FileTimes::new().set_modified(time));
        }
        if self.place.exists() {
            // A power failure must not leave an empty file where a whole one was.
            self.file.sync_data().map_err(local)?;
        }
        fs::rename(&self.draft, &self.place).map_err(local)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.finished {
            // What stays behind all the same is swept by the next download into this folder.
            let _ = fs::remove_file(&self.draft);
        }
    }
}

/// Removes what downloads that were killed have left in a folder.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|n| n.starts_with(PREFIX) && n.ends_with(SUFFIX));
        // Locked until it is gone: who made it just now sees one or the other, and makes another.
        if ours
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            // Somebody else may have swept it first.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn system_time(modified: ModifiedTime) -> Option<SystemTime> {
    let seconds = Duration::from_secs(modified.seconds.unsigned_abs());
    let whole =
        if modified.seconds < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    whole?.checked_add(Duration::from_nanos(u64::from(modified.nanos)))
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
                    sweep(&folder);
                }
            });
            let failed = (0..500).find_map(|number| {
                let place = folder.join(number.to_string());
                Target::create(&place, 1).and_then(|target| target.finish(ModifiedTime::default())).err()
            });
            over.store(true, Ordering::Relaxed);
            assert!(failed.is_none(), "{failed:?}");
        });
        fs::remove_dir_all(&folder).unwrap();
    }
}
