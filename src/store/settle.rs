//! What becomes of staged pieces: commit, abort, and what is dropped or forgotten.

use std::io;

use super::disk::Disk;
use super::error::StoreError;
use super::index::Index;
use super::{Batch, Connection, Store};
use crate::commit::{self, Step};
use crate::name::{FilePath, UserName};
use crate::version::Version;

impl<D: Disk> Store<D> {
    /// Publishes what is staged of a version. What it replaces goes when the batch is flushed.
    ///
    /// # Errors
    /// [`Refused::NotStaged`](crate::commit::Refused::NotStaged), or the disk's.
    pub fn commit(
        &self,
        user: &UserName,
        path: &FilePath,
        version: Version,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let own = self.own(user);
        let mut index = self.index(&own, user)?;
        let steps = commit::commit(&self.held(&mut index, user, path)?, version)?;
        self.publish(&mut index, user, path, &steps)?;
        batch.user.get_or_insert_with(|| user.clone());
        // Also behind a newer version, or one that another client commits at this moment: what that one
        // published here must be safe before this is acknowledged.
        let unsafe_yet = self.directories(user, path).into_iter().filter(|d| !index.is_safe(d));
        batch.directories.extend(unsafe_yet);
        let drops = steps.iter().any(|step| !matches!(step, Step::Publish { .. }));
        let replaced = index.names.get(&(user.clone(), path.clone())).is_some_and(|n| !n.replaced.is_empty());
        if drops || replaced {
            batch.committed.push((user.clone(), path.clone(), version));
        }
        Ok(())
    }

    /// Makes everything in the batch safe from a power failure, and drops what its commits replaced.
    ///
    /// # Errors
    /// If the disk fails: then nothing in the batch may be acknowledged.
    pub fn flush(&self, batch: &mut Batch) -> Result<(), StoreError> {
        let batch = std::mem::take(batch);
        let Some(user) = &batch.user else { return Ok(()) };
        let own = self.own(user);
        let changes = self.index(&own, user)?.changes;
        self.sync_received(user, batch.received)?;
        let mut synced = Vec::new();
        for directory in batch.directories {
            if self.sync_dir(&directory)? {
                synced.push(directory);
            }
        }
        let mut index = self.index(&own, user)?;
        synced.into_iter().for_each(|directory| index.is_synced(directory, changes));
        for (user, path, version) in batch.committed {
            // Now only the drops are left of it.
            if let Ok(steps) = commit::commit(&self.held(&mut index, &user, &path)?, version) {
                self.apply_all(&mut index, &user, &path, &steps)?;
            }
            self.drop_replaced(&mut index, &user, &path)?;
        }
        drop(index);
        self.keep_reserve();
        Ok(())
    }

    /// Promises that a version that is not published here never will be: what of it is still on its way
    /// comes too late.
    ///
    /// # Errors
    /// [`Refused::Decided`](crate::commit::Refused::Decided), [`Refused::Open`](crate::commit::Refused::Open), or the disk's.
    pub fn fence(&self, user: &UserName, path: &FilePath, version: Version) -> Result<(), StoreError> {
        let own = self.own(user);
        let mut index = self.index(&own, user)?;
        commit::fence(&self.held(&mut index, user, path)?, version)?;
        self.raise_floor(&mut index, user, path, version.generation, commit::fenced_floor)
    }

    /// Drops what is staged of a version.
    ///
    /// # Errors
    /// [`Refused::Decided`](crate::commit::Refused::Decided), [`Refused::Open`](crate::commit::Refused::Open), or the disk's.
    pub fn abort(
        &self,
        connection: Connection,
        user: &UserName,
        path: &FilePath,
        version: Version,
    ) -> Result<(), StoreError> {
        let own = self.own(user);
        let mut index = self.index(&own, user)?;
        let own = index.names.get(&(user.clone(), path.clone())).is_some_and(|name| {
            let mut of_version = name.staged.iter().filter(|w| w.version == version);
            of_version.all(|w| w.connection == Some(connection))
        });
        let steps = commit::abort(&self.held(&mut index, user, path)?, version, own)?;
        self.apply_all(&mut index, user, path, &steps)
    }

    /// Drops what is older than a version that is whole elsewhere.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn retire(&self, user: &UserName, path: &FilePath, version: Version) -> Result<(), StoreError> {
        let own = self.own(user);
        let mut index = self.index(&own, user)?;
        // A commit that is half done is ended first, and is on disk: dropping a tombstone together with what
        // it hides would let a power failure bring back the one without the other.
        let unfinished = commit::recover(&self.held(&mut index, user, path)?);
        self.apply_all(&mut index, user, path, &unfinished)?;
        self.sync_directories(user, path)?;
        let steps = commit::retire(&self.held(&mut index, user, path)?, version);
        self.apply_all(&mut index, user, path, &steps)
    }

    /// Drops the tombstone of a version that every server has acknowledged. From then on nothing of
    /// that generation or an older one can be staged under this name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the newest version here is not that tombstone, or the disk's.
    pub fn forget(&self, user: &UserName, path: &FilePath, version: Version) -> Result<(), StoreError> {
        let own = self.own(user);
        let mut index = self.index(&own, user)?;
        let Ok(steps) = commit::forget(&self.held(&mut index, user, path)?, version) else {
            return Err(StoreError::NotFound);
        };
        // What the tombstone made go must not come back without it: all that is left to drop goes first, and
        // is gone for good, before the tombstone goes as the last.
        let Some((tombstone, drops)) = steps.split_last() else { return Ok(()) };
        self.apply_all(&mut index, user, path, drops)?;
        self.sync_directories(user, path)?;
        if self.drop_replaced(&mut index, user, path)? {
            self.disk.sync_dir(&self.places.tombstones_of(user))?;
        }
        self.raise_floor(&mut index, user, path, version.generation, commit::raised_floor)?;
        self.apply(&mut index, user, path, *tombstone)
    }

    pub(super) fn raise_floor(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
        generation: u64,
        raised: fn(u64, u64) -> u64,
    ) -> Result<(), StoreError> {
        index.decisions += 1;
        let floor = &mut index.floor;
        let (before, now) = (floor.newest, raised(floor.newest, generation));
        if now > before {
            let file = |floor: u64| self.places.floors().join(format!("{user}.{floor}"));
            match self.disk.create(&file(now)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => self.disk.sync_dir(&self.places.floors())?,
            }
            floor.newest = now;
            if before > 0 {
                // The older one is harmless: the greatest counts.
                let _ = self.disk.remove(&file(before));
            }
        }
        floor.remember(path, now);
        Ok(())
    }
}
