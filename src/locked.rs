//! Locked files.

use std::fs::{File, TryLockError};
use std::ops::Deref;

/// A file that is locked until this is dropped.
///
/// Closing it would not be enough. A program that another thread is just starting has a copy of every descriptor from fork
/// until exec (flock(2): the lock belongs to the open file description), so the lock would remain for that time.
#[derive(Debug)]
pub struct Locked(File);

impl Locked {
    /// Locks a file. Does not wait.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if another process, or another part of this one, has locked it.
    pub fn new(file: File) -> Result<Self, TryLockError> {
        file.try_lock()?;
        Ok(Self(file))
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // If this fails, the lock ends when the file is closed everywhere.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_owner_though_a_program_that_is_being_started_has_a_copy() {
        let path = std::env::temp_dir().join(format!("shareit-locked-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let again = || Locked::new(File::open(&path).unwrap());
        let copy = file.try_clone().unwrap();
        let locked = Locked::new(file).unwrap();
        assert!(matches!(again(), Err(TryLockError::WouldBlock)));
        drop(locked);
        again().unwrap();
        drop(copy);
        std::fs::remove_file(path).unwrap();
    }
}
