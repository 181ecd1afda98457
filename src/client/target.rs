//! Local files that downloads become: written beside their place, moved there when whole.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::ClientError;
use crate::primitives;
use crate::sealed::ModifiedTime;
use crate::wire::hex;

const PREFIX: &str = ".shareit-";
const SUFFIX: &str = ".part";

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
        let unique = hex(&primitives::random::<8>().map_err(ClientError::Random)?);
        let draft = folder.join(format!("{PREFIX}{unique}{SUFFIX}"));
        let file = OpenOptions::new().write(true).create_new(true).open(&draft).map_err(local(place))?;
        let target = Self { file, draft, place: place.to_path_buf(), finished: false };
        // The lock tells a live draft from a leftover; see `sweep`.
        target.file.try_lock().map_err(|error| local(place)(error.into()))?;
        target.file.set_len(size).map_err(local(place))?;
        Ok(target)
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
        if ours && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
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
