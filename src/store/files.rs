//! A server's files, and what is done to them without regard to what is remembered of them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::{Disk, Mount};
use super::error::StoreError;
use super::partial;
use super::piece::{self, ReadError};
use super::places::Places;
use crate::name::{FilePath, ServerName, UserName};
use crate::primitives::Bytes32;
use crate::sealed::{Claim, Header};

/// Bytes set aside for deletes on a full disk: enough for a batch of tombstones of one block each.
const RESERVE: usize = 512 * 1024;

/// A disk, and where files are stored on it.
pub(super) struct ServerFiles<D> {
    pub(super) disk: D,
    pub(super) places: Places,
    /// Where the server's own files are mounted.
    mount: Mount,
    next: AtomicU64,
}

impl<D: Disk> ServerFiles<D> {
    /// Makes ROOT/NAME and the directory of the server's own files, on one file system.
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

    /// Sets space aside, if that has not been done and there is enough.
    pub(super) fn keep_reserve(&self) {
        let path = self.places.reserve();
        let Ok(mut file) = self.disk.create(&path) else { return };
        if file.write_all(&[0; RESERVE]).is_err() {
            // A disk that is too full for the reserve needs these bytes for something else.
            let _ = self.disk.remove(&path);
        }
    }

    /// Releases the reserve, so that a tombstone fits on a full disk and can make room.
    pub(super) fn use_reserve(&self) {
        // It may have been released already.
        let _ = self.disk.remove(&self.places.reserve());
    }

    /// Opens a published piece for reading, and reads its claim. A piece file that was moved or copied to the place of
    /// another is damage, even if it is whole.
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

    /// Whether a folder is on the same mount as the server's own files: a rename cannot cross mounts.
    pub(super) fn is_on_its_mount(&self, folder: &Path) -> io::Result<bool> {
        Ok(self.disk.mount(folder)? == self.mount)
    }

    /// Whether no piece of a file can be published in its folder: either the folder is on another file system than the
    /// server's own files, so that nothing can be renamed into it, or it is reached through a link, so that no listing
    /// finds it. The user's own folder may be a link. The check goes from there downwards, and ends at the first folder
    /// that does not exist.
    pub(super) fn is_elsewhere(&self, user: &UserName, path: &FilePath) -> Result<bool, StoreError> {
        let mut folder = self.places.user(user);
        let mut mount = self.disk.mount(&folder).map(Some);
        let around = path.folder();
        let mut segments = around.on_disk();
        loop {
            match mount {
                Ok(Some(mount)) if mount == self.mount => {}
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            let Some(segment) = segments.next() else { return Ok(false) };
            folder.push(&*segment);
            mount = self.disk.mount_unless_link(&folder);
        }
    }

    fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The path of a new file, for a piece that will be received.
    pub(super) fn new_file(&self, user: &UserName) -> PathBuf {
        self.places.staged_of(user).join(self.next_number().to_string())
    }

    /// The same for a piece of which a part may be kept. `opening` is the seal over its header.
    pub(super) fn new_partial(&self, header: &Header, opening: &Bytes32) -> PathBuf {
        self.places.staged_of(&header.user).join(partial::file_name(self.next_number(), header, opening))
    }

    /// Keeps new files from getting the number of an existing one.
    pub(super) fn numbers_begin_after(&self, entry: &OsStr) {
        /// A greater number is not ours, and there would be too few numbers after it.
        const MOST: u64 = u64::MAX / 2;
        let number = entry.to_str().and_then(|name| name.split('.').next()?.parse::<u64>().ok());
        if let Some(number) = number.filter(|number| *number < MOST) {
            self.next.fetch_max(number + 1, Ordering::Relaxed);
        }
    }

    /// The users whose names appear in these directories.
    pub(super) fn users_in(&self, directories: &[PathBuf]) -> BTreeSet<UserName> {
        // Whatever cannot be read now is found at the user's first request.
        let entries = directories.iter().filter_map(|directory| self.disk.entries(directory).ok()).flatten();
        entries.filter_map(|(entry, _)| UserName::parse(entry.to_str()?).ok()).collect()
    }

    /// Makes a directory if it does not exist. Returns whether it had to.
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

    /// Makes room if a folder is in the place of a file. Its contents may be somebody's, so it is kept among the
    /// server's own files.
    pub(super) fn move_aside(&self, folder: &Path) -> Result<(), StoreError> {
        if self.disk.remove_dir(folder).is_ok() {
            return Ok(());
        }
        self.make_dir(&self.places.aside())?;
        let to = self.places.aside().join(self.next_number().to_string());
        Ok(self.disk.rename(folder, &to)?)
    }

    /// Syncs a directory. Returns whether it exists: it may have been removed in the meantime, with its last piece, and
    /// then there is nothing to sync or to remember.
    pub(super) fn sync_dir(&self, directory: &Path) -> Result<bool, StoreError> {
        match self.disk.sync_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            synced => Ok(synced.map(|()| true)?),
        }
    }

    /// Writes a user's number for floors to the disk.
    pub(super) fn keep_floor(&self, user: &UserName, floor: u64) -> Result<(), StoreError> {
        match self.disk.create(&self.places.floor(user, floor)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(self.disk.sync_dir(&self.places.floors())?),
        }
    }
}
