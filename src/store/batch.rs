//! Work that is done but not safe yet: many requests share its syncs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::core::{Store, UserPart};
use super::disk::{Disk, OsDisk};
use super::error::StoreError;
use super::incoming::ReceivedPiece;
use crate::commit::{self, Step};
use crate::name::{FilePath, UserName};
use crate::version::Version;

/// Work of one user that is done, but must not be acknowledged before [`Store::flush`].
pub struct Batch<D: Disk = OsDisk> {
    /// Whose work it is; `None` while it is empty.
    pub(super) user: Option<UserName>,
    pub(super) received: Vec<ReceivedPiece<D>>,
    pub(super) directories: BTreeSet<PathBuf>,
    /// Committed names of which something must still be dropped, and what.
    pub(super) committed: Vec<Committed>,
    /// [`Index::decisions`](super::index::Index::decisions) after the last commit.
    decisions: Option<u64>,
    /// Whether what is known of the drops may be wrong: others decided something between two commits, or a name was
    /// committed twice.
    is_disturbed: bool,
    /// Names of which everything older than a version must be dropped.
    pub(super) retired: Vec<(FilePath, Version)>,
    /// Names whose tombstone must be dropped.
    pub(super) forgotten: BTreeMap<FilePath, Version>,
    /// Began before any piece was created that has it.
    watch: Option<Arc<D::Watch>>,
}

/// A committed name.
pub(super) struct Committed {
    pub(super) path: FilePath,
    pub(super) version: Version,
    /// What it replaced.
    pub(super) drops: Vec<Step>,
}

impl<D: Disk> Default for Batch<D> {
    fn default() -> Self {
        let (received, directories, committed, retired, forgotten) = Default::default();
        let (user, decisions, is_disturbed, watch) = Default::default();
        Self { user, received, directories, committed, decisions, is_disturbed, retired, forgotten, watch }
    }
}

impl<D: Disk> Batch<D> {
    /// Notes a commit, and the index's decisions before and after it.
    pub(super) fn decided(&mut self, path: &FilePath, before: u64, after: u64) {
        let is_second = self.committed.iter().any(|committed| committed.path == *path);
        self.is_disturbed |= is_second || self.decisions.is_some_and(|last| last != before);
        self.decisions = Some(after);
    }

    /// Whether something will be dropped: then nothing may be added before it is flushed but more of that.
    pub fn drops(&self) -> bool {
        !self.retired.is_empty() || !self.forgotten.is_empty()
    }

    /// The watch for a small piece that will be created in `folder`, as will all of this batch.
    pub(super) fn watch(&mut self, disk: &D, folder: &Path) -> Option<Arc<D::Watch>> {
        if self.watch.is_none() {
            self.watch = disk.watch(folder).map(Arc::new);
        }
        self.watch.clone()
    }
}

impl<D: Disk> Store<D> {
    /// Makes everything in the batch safe from a power failure, and drops what its commits replaced.
    ///
    /// # Errors
    /// If the disk fails. Nothing in the batch may be acknowledged then.
    pub fn flush(&self, batch: &mut Batch<D>) -> Result<(), StoreError> {
        let batch = std::mem::take(batch);
        let Some(user) = &batch.user else { return Ok(()) };
        let part = self.part(user);
        let changes = part.lock()?.index.changes;
        self.sync_received(&part, user, batch.received, batch.watch)?;
        let mut synced = Vec::new();
        for directory in batch.directories {
            if self.files.sync_dir(&directory)? {
                synced.push(directory);
            }
        }
        let mut locked = part.lock()?;
        synced.into_iter().for_each(|directory| locked.index.is_synced(directory, changes));
        let is_known = !batch.is_disturbed && batch.decisions == Some(locked.index.decisions);
        for Committed { path, version, drops } in batch.committed {
            // Only its drops are left to do: those that are known, unless somebody may have changed them.
            if is_known {
                locked.apply_all(&path, &drops)?;
            } else if let Ok(steps) = commit::commit(&locked.held(&path)?, version) {
                locked.apply_all(&path, &steps)?;
            }
            locked.drop_replaced(&path)?;
            locked.drop_partial(&path, |kept| kept.version <= version)?;
        }
        locked.retire(&batch.retired)?;
        locked.forget(&batch.forgotten)?;
        drop(locked);
        self.files.keep_reserve();
        Ok(())
    }

    fn sync_received(
        &self,
        part: &UserPart<'_, D>,
        user: &UserName,
        received: Vec<ReceivedPiece<D>>,
        watch: Option<Arc<D::Watch>>,
    ) -> Result<(), StoreError> {
        if received.is_empty() {
            return Ok(());
        }
        let disk = &self.files.disk;
        // The folder comes last: it can be synced only if the file system still works, even where a sync of all of it
        // reports nothing but lost bytes.
        let synced = self
            .sync_pieces(&received, watch.as_ref())
            .and_then(|()| disk.sync_dir(&self.files.places.staged_of(user)));
        let mut locked = part.lock()?;
        for piece in received {
            match &synced {
                Ok(()) => locked.index.mark_synced(&piece.header.path, &piece.path),
                Err(_) => {
                    // It was never acknowledged, so nothing depends on whether this works.
                    let _ = disk.remove(&piece.path);
                    locked.index.drop_file(&piece.header.path, &piece.path);
                }
            }
        }
        Ok(synced?)
    }

    /// Makes the bytes of pieces safe: those that the watch has seen from the beginning together, if that is quicker. A
    /// piece that is gone was dropped by a newer version in the meantime, or published by another client, which synced
    /// it.
    fn sync_pieces(&self, received: &[ReceivedPiece<D>], watch: Option<&Arc<D::Watch>>) -> io::Result<()> {
        let disk = &self.files.disk;
        let is_seen = |piece: &&ReceivedPiece<D>| {
            piece.watch.as_ref().zip(watch).is_some_and(|(its, watch)| Arc::ptr_eq(its, watch))
        };
        let (seen, mut others): (Vec<_>, Vec<_>) =
            received.iter().filter(|piece| !piece.synced).partition(is_seen);
        match watch {
            Some(watch) if disk.sync_whole(watch, seen.len())? => {}
            _ => others.extend(seen),
        }
        let paths: Vec<&Path> = others.iter().map(|piece| piece.path.as_path()).collect();
        disk.sync_all(&paths)
    }
}
