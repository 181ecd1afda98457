//! Carries out the steps of a commit on the disk.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::error::StoreError;
use super::index::{Partial, Waiting};
use super::locked::Locked;
use crate::commit::{Step, TOMBSTONE};
use crate::name::FilePath;
use crate::version::Version;

impl<D: Disk> Locked<'_, D> {
    pub(super) fn apply_all(&mut self, path: &FilePath, steps: &[Step]) -> Result<(), StoreError> {
        let applied = steps.iter().try_for_each(|&step| self.apply(path, step));
        if steps.iter().any(|step| matches!(step, Step::DropPublished { piece } if *piece != TOMBSTONE)) {
            self.remove_empty_folders(path);
        }
        applied
    }

    /// Carries out only those steps that publish something.
    pub(super) fn publish(&mut self, path: &FilePath, steps: &[Step]) -> Result<(), StoreError> {
        let mut publish = steps.iter().filter(|step| matches!(step, Step::Publish { .. }));
        publish.try_for_each(|&step| self.apply(path, step))
    }

    pub(super) fn apply(&mut self, path: &FilePath, step: Step) -> Result<(), StoreError> {
        match step {
            Step::Publish { piece, version } => {
                self.index.decisions += 1;
                match piece {
                    TOMBSTONE => self.publish_tombstone(path, version),
                    _ => self.publish_piece(path, piece, version),
                }
            }
            Step::DropStaged { piece, version } => {
                let Some(waiting) = self.index.staged(path, piece, version) else { return Ok(()) };
                self.files.remove_if_there(&waiting.file)?;
                self.index.drop_staged(path, piece, version);
                Ok(())
            }
            Step::DropPublished { piece: TOMBSTONE } => {
                if let Some(name) = self.index.names.get_mut(path) {
                    if let Some(tombstone) = &name.tombstone {
                        self.files.remove_if_there(&tombstone.file)?;
                    }
                    name.tombstone = None;
                }
                self.index.tidy(path);
                Ok(())
            }
            Step::DropPublished { piece } => {
                self.index.forget_published(path);
                Ok(self.files.remove_if_there(&self.files.places.piece(self.user, path, piece))?)
            }
        }
    }

    fn publish_piece(&mut self, path: &FilePath, piece: u8, version: Version) -> Result<(), StoreError> {
        // Before the rename: a rename that reports an error may still have happened.
        self.index.forget_published(path);
        let Some(waiting) = self.index.staged(path, piece, version) else { return Ok(()) };
        self.sync_waiting(waiting)?;
        let (disk, from) = (&self.files.disk, waiting.file.clone());
        let to = self.files.places.piece(self.user, path, piece);
        match disk.rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_folder(path)?;
                disk.rename(&from, &to)?;
            }
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                self.files.move_aside(&to)?;
                disk.rename(&from, &to)?;
            }
            renamed => renamed?,
        }
        self.index.drop_staged(path, piece, version);
        self.index.has_changed(self.files.places.folder(self.user, &path.folder()));
        Ok(())
    }

    fn publish_tombstone(&mut self, path: &FilePath, version: Version) -> Result<(), StoreError> {
        let Some(waiting) = self.index.staged(path, TOMBSTONE, version) else { return Ok(()) };
        self.sync_waiting(waiting)?;
        let tombstones = self.files.places.tombstones_of(self.user);
        let to = tombstones.join(file_name(&waiting.file));
        self.files.disk.rename(&waiting.file, &to)?;
        self.index.publish_tombstone(path, version, to);
        self.index.has_changed(tombstones);
        Ok(())
    }

    /// Another client may publish a piece before its writer has been told that it is safe.
    fn sync_waiting(&self, waiting: &Waiting) -> Result<(), StoreError> {
        let disk = &self.files.disk;
        if waiting.synced { Ok(()) } else { Ok(disk.sync(&disk.open(&waiting.file)?)?) }
    }

    /// Drops tombstones that were replaced by a newer one. Returns whether there were any.
    pub(super) fn drop_replaced(&mut self, path: &FilePath) -> Result<bool, StoreError> {
        let Some(name) = self.index.names.get_mut(path) else { return Ok(false) };
        let dropped = !name.replaced.is_empty();
        while let Some(file) = name.replaced.last() {
            self.files.remove_if_there(file)?;
            name.replaced.pop();
        }
        self.index.tidy(path);
        Ok(dropped)
    }

    /// Makes everything that was published or dropped of these names safe from a power failure.
    pub(super) fn sync_directories<'p>(
        &self,
        paths: impl Iterator<Item = &'p FilePath>,
    ) -> Result<(), StoreError> {
        let directories: BTreeSet<PathBuf> = paths.flat_map(|path| self.directories(path)).collect();
        directories.iter().try_for_each(|directory| self.files.sync_dir(directory).map(drop))
    }

    /// Drops partial pieces. Returns whether there were any.
    pub(super) fn drop_partial(
        &mut self,
        path: &FilePath,
        which: impl Fn(&Partial) -> bool,
    ) -> Result<bool, StoreError> {
        let Some(name) = self.index.names.get_mut(path) else { return Ok(false) };
        let mut dropped = false;
        while let Some(at) = name.partial.iter().position(&which) {
            self.files.remove_if_there(&name.partial[at].file)?;
            name.partial.swap_remove(at);
            dropped = true;
        }
        self.index.tidy(path);
        Ok(dropped)
    }
}

fn file_name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or_default()
}
