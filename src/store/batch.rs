//! Work that is done but not safe yet: many requests share its syncs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::core::{Store, UserPart};
use super::disk::Disk;
use super::error::StoreError;
use super::incoming::ReceivedPiece;
use crate::commit;
use crate::name::{FilePath, UserName};
use crate::version::Version;

/// Work of one user that is done, but must not be acknowledged before [`Store::flush`].
#[derive(Default)]
pub struct Batch {
    /// Whose work it is; `None` while it is empty.
    pub(super) user: Option<UserName>,
    pub(super) received: Vec<ReceivedPiece>,
    pub(super) directories: BTreeSet<PathBuf>,
    /// Committed names of which something must still be dropped.
    pub(super) committed: Vec<(FilePath, Version)>,
    /// Names of which everything older than a version must be dropped.
    pub(super) retired: Vec<(FilePath, Version)>,
    /// Names whose tombstone must be dropped.
    pub(super) forgotten: BTreeMap<FilePath, Version>,
}

impl Batch {
    /// Whether something will be dropped: then nothing may be added before it is flushed but more of that.
    pub fn drops(&self) -> bool {
        !self.retired.is_empty() || !self.forgotten.is_empty()
    }
}

impl<D: Disk> Store<D> {
    /// Makes everything in the batch safe from a power failure, and drops what its commits replaced.
    ///
    /// # Errors
    /// If the disk fails. Nothing in the batch may be acknowledged then.
    pub fn flush(&self, batch: &mut Batch) -> Result<(), StoreError> {
        let batch = std::mem::take(batch);
        let Some(user) = &batch.user else { return Ok(()) };
        let part = self.part(user);
        let changes = part.lock()?.index.changes;
        self.sync_received(&part, user, batch.received)?;
        let mut synced = Vec::new();
        for directory in batch.directories {
            if self.files.sync_dir(&directory)? {
                synced.push(directory);
            }
        }
        let mut locked = part.lock()?;
        synced.into_iter().for_each(|directory| locked.index.is_synced(directory, changes));
        for (path, version) in batch.committed {
            // Only its drops are left to do.
            if let Ok(steps) = commit::commit(&locked.held(&path)?, version) {
                locked.apply_all(&path, &steps)?;
            }
            locked.drop_replaced(&path)?;
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
        received: Vec<ReceivedPiece>,
    ) -> Result<(), StoreError> {
        if received.is_empty() {
            return Ok(());
        }
        // A piece that is gone was dropped by a newer version in the meantime, or published by another client, which
        // synced it.
        let unsynced = received.iter().filter(|piece| !piece.synced);
        let paths: Vec<&Path> = unsynced.map(|piece| piece.path.as_path()).collect();
        let disk = &self.files.disk;
        let synced = disk.sync_all(&paths).and_then(|()| disk.sync_dir(&self.files.places.staged_of(user)));
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
}
