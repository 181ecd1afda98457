//! A server's files: where they are, and what is done to them whatever is remembered of them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::{Disk, Mount};
use super::error::StoreError;
use super::piece::{self, ReadError};
use super::places::Places;
use crate::name::{FilePath, ServerName, UserName};
use crate::sealed::Claim;

/// Bytes that are set aside for deletes on a full disk: a batch of tombstones, a block each, fits.
const RESERVE: usize = 512 * 1024;

/// A disk, and what lies where on it.
pub(super) struct ServerFiles<D> {
    pub(super) disk: D,
    pub(super) places: Places,
    /// Where the server's own files are mounted.
    mount: Mount,
    next: AtomicU64,
}

impl<D: Disk> ServerFiles<D> {
    /// Makes ROOT/NAME and the server's own directory, on one file system.
    pub(super) fn open(disk: D, root: &Path, server: &ServerName) -> Result<Self, StoreError> {
        let mut places = Places::new(root, server);
        std::fs::create_dir_all(places.published())?;
        std::fs::create_dir_all(places.own())?;
        if disk.mount(places.published())? != disk.mount(places.own())? {
            places = places.own_inside();
            std::fs::create_dir_all(places.own())?;
        }
        Ok(Self { mount: disk.mount(places.own())?, disk, places, next: AtomicU64::new(0) })
    }

    /// Sets space aside, if there is some and it is not set aside yet.
    pub(super) fn keep_reserve(&self) {
        let path = self.places.reserve();
        let Ok(mut file) = self.disk.create(&path) else { return };
        if file.write_all(&[0; RESERVE]).is_err() {
            // A disk that is too full for the reserve needs these bytes for something else.
            let _ = self.disk.remove(&path);
        }
    }

    /// Gives the reserve up, so that a tombstone fits on a full disk and can make room.
    pub(super) fn use_reserve(&self) {
        // Not there is just as well.
        let _ = self.disk.remove(&self.places.reserve());
    }

    /// A published piece's file, for reading, and its claim. A piece file that was moved or copied to another's
    /// place is damage, however whole it is.
    pub(super) fn piece(
        &self,
        user: &UserName,
        path: &FilePath,
        number: u8,
    ) -> Result<(D::File, Claim), ReadError> {
        let (file, claim) = piece::open(&self.disk, &self.places.piece(user, path, number))?;
        let header = &claim.header;
        let is_its_own = header.user == *user && header.path == *path && header.piece == number;
        if is_its_own { Ok((file, claim)) } else { Err(ReadError::Format) }
    }

    /// Whether pieces can be published in a folder, as far as mounts go: a rename does not leave one.
    pub(super) fn is_on_its_mount(&self, folder: &Path) -> io::Result<bool> {
        Ok(self.disk.mount(folder)? == self.mount)
    }

    /// Whether no piece of a file is to be published in its folder: this is on another file system than the
    /// server's own files, so that none can be renamed into it, or behind a link, where no listing finds it. The
    /// user's own folder may be a link. Asked from there downwards: below a folder that is not there is nothing.
    pub(super) fn is_elsewhere(&self, user: &UserName, path: &FilePath) -> Result<bool, StoreError> {
        let mut folder = self.places.user(user);
        let mut mount = self.disk.mount(&folder).map(Some);
        let around = path.folder();
        let mut segments = around.segments();
        loop {
            match mount {
                Ok(Some(mount)) if mount == self.mount => {}
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            let Some(segment) = segments.next() else { return Ok(false) };
            folder.push(segment);
            mount = self.disk.mount_unless_link(&folder);
        }
    }

    fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The place of a piece that is going to be received.
    pub(super) fn new_file(&self, user: &UserName) -> PathBuf {
        self.places.staged_of(user).join(self.next_number().to_string())
    }

    /// ServerFiles get numbers that are not in use.
    pub(super) fn numbers_begin_behind(&self, entry: &OsStr) {
        /// Beyond, it is not one of ours, and counting on would come to an end.
        const MOST: u64 = u64::MAX / 2;
        let number = entry.to_str().and_then(|name| name.parse::<u64>().ok());
        if let Some(number) = number.filter(|number| *number < MOST) {
            self.next.fetch_max(number + 1, Ordering::Relaxed);
        }
    }

    /// The users who have something in these directories.
    pub(super) fn users_in(&self, directories: &[PathBuf]) -> BTreeSet<UserName> {
        // What cannot be read now is found at the user's first request.
        let entries = directories.iter().filter_map(|directory| self.disk.entries(directory).ok()).flatten();
        entries.filter_map(|(entry, _)| UserName::parse(entry.to_str()?).ok()).collect()
    }

    /// Whether it had to be made.
    pub(super) fn make_dir(&self, directory: &Path) -> Result<bool, StoreError> {
        match self.disk.create_dir(directory) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn remove_if_there(&self, file: &Path) -> Result<(), StoreError> {
        match self.disk.remove(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => self.move_aside(file),
            removed => Ok(removed?),
        }
    }

    /// Makes room where a folder is in the place of a file. What is in it may be somebody's: it is kept among the
    /// server's own files.
    pub(super) fn move_aside(&self, folder: &Path) -> Result<(), StoreError> {
        if self.disk.remove_dir(folder).is_ok() {
            return Ok(());
        }
        self.make_dir(&self.places.aside())?;
        let to = self.places.aside().join(self.next_number().to_string());
        Ok(self.disk.rename(folder, &to)?)
    }

    /// Whether it is there. A folder may have been removed since, with its last piece: then there is nothing to
    /// keep, and nothing to remember either.
    pub(super) fn sync_dir(&self, directory: &Path) -> Result<bool, StoreError> {
        match self.disk.sync_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            synced => Ok(synced.map(|()| true)?),
        }
    }

    /// Puts a user's number for floors on the disk.
    pub(super) fn keep_floor(&self, user: &UserName, floor: u64) -> Result<(), StoreError> {
        match self.disk.create(&self.places.floor(user, floor)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(self.disk.sync_dir(&self.places.floors())?),
        }
    }
}
