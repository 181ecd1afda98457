//! Steps on the disk, and what makes them safe from a power failure.

use std::io;
use std::path::{Path, PathBuf};

use super::Store;
use super::disk::Disk;
use super::error::StoreError;
use super::index::{Index, Waiting};
use crate::commit::{Step, TOMBSTONE};
use crate::name::{FilePath, UserName};

impl<D: Disk> Store<D> {
    /// Makes what was published or dropped of a name safe from a power failure.
    pub(super) fn sync_directories(&self, user: &UserName, path: &FilePath) -> Result<(), StoreError> {
        self.directories(user, path).iter().try_for_each(|directory| self.sync_dir(directory).map(drop))
    }

    /// Whether it is there. A folder may have been removed since, with its last piece: then there is nothing to
    /// keep, and nothing to remember either.
    pub(super) fn sync_dir(&self, directory: &Path) -> Result<bool, StoreError> {
        match self.disk.sync_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            synced => Ok(synced.map(|()| true)?),
        }
    }

    pub(super) fn apply_all(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
        steps: &[Step],
    ) -> Result<(), StoreError> {
        steps.iter().try_for_each(|&step| self.apply(index, user, path, step))
    }

    pub(super) fn apply(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
        step: Step,
    ) -> Result<(), StoreError> {
        let key = (user.clone(), path.clone());
        if matches!(step, Step::Publish { .. }) {
            index.decisions += 1;
            // Before it is: what fails may have happened all the same.
            index.may_be_file(&key);
        }
        match step {
            Step::Publish { piece: TOMBSTONE, version } => {
                let Some(name) = index.names.get_mut(&key) else { return Ok(()) };
                let Some(at) = name.staged.iter().position(|w| w.piece == TOMBSTONE && w.version == version)
                else {
                    return Ok(());
                };
                self.sync_waiting(&name.staged[at])?;
                let to = self.places.tombstones_of(user).join(file_name(&name.staged[at].file));
                self.disk.rename(&name.staged[at].file, &to)?;
                let arrived = Waiting { file: to, ..name.staged.swap_remove(at) };
                name.publish_tombstone(arrived);
                index.tidy(&key);
                index.has_changed(self.places.tombstones_of(user));
            }
            Step::Publish { piece, version } => {
                let Some(waiting) = index.staged(&key, piece, version) else { return Ok(()) };
                self.sync_waiting(waiting)?;
                let to = self.places.piece(user, path, piece);
                match self.disk.rename(&waiting.file, &to) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        let from = waiting.file.clone();
                        self.make_folder(index, user, path)?;
                        self.disk.rename(&from, &to)?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                        self.move_aside(&to)?;
                        self.disk.rename(&waiting.file, &to)?;
                    }
                    renamed => renamed?,
                }
                index.drop_staged(&key, piece, version);
                index.has_changed(self.places.folder(user, &path.folder()));
            }
            Step::DropStaged { piece, version } => {
                let Some(waiting) = index.staged(&key, piece, version) else { return Ok(()) };
                self.remove_if_there(&waiting.file)?;
                index.drop_staged(&key, piece, version);
            }
            Step::DropPublished { piece: TOMBSTONE } => {
                if let Some(name) = index.names.get_mut(&key) {
                    if let Some(tombstone) = &name.tombstone {
                        self.remove_if_there(&tombstone.file)?;
                    }
                    name.tombstone = None;
                }
                index.tidy(&key);
            }
            Step::DropPublished { piece } => {
                self.remove_if_there(&self.places.piece(user, path, piece))?;
                self.remove_empty_folders(index, user, path);
            }
        }
        Ok(())
    }

    /// Others may publish what its own writer has not been told is safe yet.
    pub(super) fn sync_waiting(&self, waiting: &Waiting) -> Result<(), StoreError> {
        if waiting.synced { Ok(()) } else { Ok(self.disk.sync(&self.disk.open(&waiting.file)?)?) }
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
    fn move_aside(&self, folder: &Path) -> Result<(), StoreError> {
        if self.disk.remove_dir(folder).is_ok() {
            return Ok(());
        }
        self.make_dir(&self.places.aside())?;
        let to = self.places.aside().join(self.next_number().to_string());
        Ok(self.disk.rename(folder, &to)?)
    }

    /// From the file's folder outwards, as long as they are empty; the user's own folder stays.
    pub(super) fn remove_empty_folders(&self, index: &mut Index, user: &UserName, path: &FilePath) {
        let mut folder = path.folder();
        while !folder.is_root() {
            let directory = self.places.folder(user, &folder);
            if self.disk.remove_dir(&directory).is_err() {
                return;
            }
            index.forget_directory(&directory);
            folder = folder.parent();
        }
    }

    /// The directories that must be synced for what is published of a name to be safe: every one on the
    /// way to it, because a sync says nothing of the directory's own name.
    pub(super) fn directories(&self, user: &UserName, path: &FilePath) -> Vec<PathBuf> {
        let mut directories = vec![self.places.tombstones_of(user), self.places.published().to_path_buf()];
        let mut directory = self.places.user(user);
        for segment in path.folder().segments() {
            directories.push(directory.clone());
            directory.push(segment);
        }
        directories.push(directory);
        directories
    }

    /// Syncs those that are not safe yet.
    pub(super) fn sync(&self, index: &mut Index, directories: Vec<PathBuf>) -> Result<(), StoreError> {
        for directory in directories {
            if !index.is_safe(&directory) {
                let changes = index.changes;
                if self.sync_dir(&directory)? {
                    index.is_synced(directory, changes);
                }
            }
        }
        Ok(())
    }

    pub(super) fn publish(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
        steps: &[Step],
    ) -> Result<(), StoreError> {
        for &step in steps.iter().filter(|step| matches!(step, Step::Publish { .. })) {
            self.apply(index, user, path, step)?;
        }
        Ok(())
    }

    pub(super) fn drop_replaced(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
    ) -> Result<bool, StoreError> {
        let key = (user.clone(), path.clone());
        let Some(name) = index.names.get_mut(&key) else { return Ok(false) };
        let dropped = !name.replaced.is_empty();
        while let Some(file) = name.replaced.last() {
            self.remove_if_there(file)?;
            name.replaced.pop();
        }
        index.tidy(&key);
        Ok(dropped)
    }

    pub(super) fn make_folder(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
    ) -> Result<(), StoreError> {
        let mut directory = self.places.user(user);
        self.make_folder_of(index, directory.clone())?;
        for segment in path.folder().segments() {
            directory.push(segment);
            self.make_folder_of(index, directory.clone())?;
        }
        Ok(())
    }

    pub(super) fn make_folder_of(&self, index: &mut Index, directory: PathBuf) -> Result<(), StoreError> {
        if self.make_dir(&directory)? {
            directory.parent().into_iter().for_each(|parent| index.has_changed(parent.to_path_buf()));
            index.has_changed(directory);
        }
        Ok(())
    }

    /// Whether it had to be made.
    pub(super) fn make_dir(&self, directory: &Path) -> Result<bool, StoreError> {
        match self.disk.create_dir(directory) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn file_name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or_default()
}
