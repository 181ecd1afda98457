//! One user's part of the store, locked.

use std::path::PathBuf;
use std::sync::MutexGuard;

use super::disk::Disk;
use super::error::StoreError;
use super::files::ServerFiles;
use super::index::{Index, Name};
use super::piece::ReadError;
use crate::commit::{self, Held, PieceState, TOMBSTONE};
use crate::name::{FilePath, UserName};
use crate::placement;
use crate::version::Version;

/// What is remembered of a user, and the files that it is about. Only its holder can change either.
pub(super) struct Locked<'a, D> {
    pub(super) files: &'a ServerFiles<D>,
    pub(super) user: &'a UserName,
    pub(super) index: MutexGuard<'a, Index>,
}

impl<D: Disk> Locked<'_, D> {
    /// What the rules need to know about one name. A damaged piece counts as older than every version.
    pub(super) fn held(&mut self, path: &FilePath) -> Result<Vec<Held>, StoreError> {
        let mut held = match self.index.published(path) {
            Some(known) => known.to_vec(),
            None => self.read_published(path)?,
        };
        let waiting = self.index.waiting(path);
        held.extend(waiting.map(|(w, state)| Held { piece: w.piece, version: w.version, state }));
        Ok(held)
    }

    fn read_published(&mut self, path: &FilePath) -> Result<Vec<Held>, StoreError> {
        let (mut held, mut is_damaged) = (Vec::new(), false);
        for number in placement::numbers() {
            let version = match self.files.piece(self.user, path, number) {
                Ok((_, claim)) => claim.header.version,
                Err(ReadError::Format) => {
                    is_damaged = true;
                    Version::default()
                }
                Err(ReadError::Missing) => continue,
                Err(ReadError::Io(error)) => return Err(error.into()),
            };
            held.push(Held { piece: number, version, state: PieceState::Published });
        }
        if !is_damaged {
            self.index.remember_published(path, &held);
        }
        Ok(held)
    }

    /// Whether staged pieces of a file must be hidden, because they can never be published.
    pub(super) fn hides_staged(&self, path: &FilePath, name: &Name) -> Result<bool, StoreError> {
        let any = name.staged.iter().any(|waiting| waiting.piece != TOMBSTONE);
        Ok(any && self.files.is_elsewhere(self.user, path)?)
    }

    /// The directories that must be synced to make the published pieces of a name safe: all those on the path to it,
    /// because syncing a directory does not cover its own name.
    pub(super) fn directories(&self, path: &FilePath) -> Vec<PathBuf> {
        let places = &self.files.places;
        let mut directories = vec![places.tombstones_of(self.user), places.published().to_path_buf()];
        let mut directory = places.user(self.user);
        for segment in path.folder().on_disk() {
            directories.push(directory.clone());
            directory.push(&*segment);
        }
        directories.push(directory);
        directories
    }

    /// Syncs those directories that are not safe yet.
    pub(super) fn sync(&mut self, directories: Vec<PathBuf>) -> Result<(), StoreError> {
        for directory in directories {
            if !self.index.is_safe(&directory) {
                let changes = self.index.changes;
                if self.files.sync_dir(&directory)? {
                    self.index.is_synced(directory, changes);
                }
            }
        }
        Ok(())
    }

    pub(super) fn make_folder(&mut self, path: &FilePath) -> Result<(), StoreError> {
        let mut directory = self.files.places.user(self.user);
        self.make_directory(directory.clone())?;
        for segment in path.folder().on_disk() {
            directory.push(&*segment);
            self.make_directory(directory.clone())?;
        }
        Ok(())
    }

    pub(super) fn make_directory(&mut self, directory: PathBuf) -> Result<(), StoreError> {
        if self.files.make_dir(&directory)? {
            directory.parent().into_iter().for_each(|parent| self.index.has_changed(parent.to_path_buf()));
            self.index.has_changed(directory);
        }
        Ok(())
    }

    /// Removes folders that have become empty, from the file's folder outwards; the user's own folder stays.
    pub(super) fn remove_empty_folders(&mut self, path: &FilePath) {
        let mut folder = path.folder();
        while !folder.is_root() {
            let directory = self.files.places.folder(self.user, &folder);
            if self.files.disk.remove_dir(&directory).is_err() {
                return;
            }
            self.index.forget_directory(&directory);
            folder = folder.parent();
        }
    }

    /// Raises the floors of names, each beyond all before, so that no client that saw an old one overlooks the change.
    pub(super) fn raise_floors<'p>(
        &mut self,
        names: impl IntoIterator<Item = (&'p FilePath, Version)>,
    ) -> Result<(), StoreError> {
        let mut newest = self.index.floor.newest;
        let mut raised = Vec::new();
        for (path, version) in names {
            newest = commit::raised_floor(newest, version)?;
            raised.push((path, newest));
        }
        // The greatest first: once it is on the disk, the others need no write.
        raised.into_iter().rev().try_for_each(|(path, floor)| self.set_floor(path, floor))
    }

    /// Gives a name this floor. On the disk a user has one number, the greatest of all floors.
    pub(super) fn set_floor(&mut self, path: &FilePath, floor: u64) -> Result<(), StoreError> {
        self.index.decisions += 1;
        let known = &mut self.index.floor;
        let before = known.newest;
        if floor > before {
            self.files.keep_floor(self.user, floor)?;
            known.newest = floor;
            if before > 0 {
                // If the older file stays, it is harmless: the greatest number counts.
                let _ = self.files.disk.remove(&self.files.places.floor(self.user, before));
            }
        }
        known.remember(path, floor);
        Ok(())
    }
}
