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
    /// [`Refused::NotStaged`](crate::commit::Refused::NotStaged),
    /// [`Refused::Rekeyed`](crate::commit::Refused::Rekeyed), [`StoreError::Ended`], or the disk's.
    pub fn commit(
        &self,
        connection: Connection,
        user: &UserName,
        path: &FilePath,
        version: Version,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let own = self.own(user);
        let mut index = self.index(&own, user)?;
        if !self.live().contains(&connection) {
            // What it staged may have been settled by others, who were told that it is closed.
            return Err(StoreError::Ended);
        }
        let steps = commit::commit(&self.held(&mut index, user, path)?, version)?;
        let key = (user.clone(), path.clone());
        let published = steps.iter().filter_map(|step| match step {
            Step::Publish { piece, version } => index.staged(&key, *piece, *version).map(|w| w.key),
            _ => None,
        });
        index.may_use_keys(connection, published)?;
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
    /// [`Refused::Decided`](crate::commit::Refused::Decided), [`Refused::Open`](crate::commit::Refused::Open), or
    /// the disk's.
    pub fn fence(&self, user: &UserName, path: &FilePath, version: Version) -> Result<(), StoreError> {
        let own = self.own(user);
        let mut index = self.index(&own, user)?;
        commit::fence(&self.held(&mut index, user, path)?, version)?;
        self.raise_floor(&mut index, user, path, version)
    }

    /// Drops what is staged of a version, which can then never be staged again.
    ///
    /// # Errors
    /// [`Refused::Decided`](crate::commit::Refused::Decided), [`Refused::Open`](crate::commit::Refused::Open), or
    /// the disk's.
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
        let floor = index.floor(path);
        let aborted = commit::aborted_floor(floor, version);
        if aborted > floor {
            self.set_floor(&mut index, user, path, aborted)?;
        }
        self.apply_all(&mut index, user, path, &steps)?;
        // What is acknowledged as gone does not come back with a power failure.
        if steps.is_empty() { Ok(()) } else { self.sync_dir(&self.places.staged_of(user)).map(drop) }
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
        self.raise_floor(&mut index, user, path, version)?;
        self.apply(&mut index, user, path, *tombstone)
    }

    /// Changes the floor of a name so that nobody who saw the old one overlooks it.
    fn raise_floor(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
        version: Version,
    ) -> Result<(), StoreError> {
        let floor = commit::raised_floor(index.floor.newest, version)?;
        self.set_floor(index, user, path, floor)
    }

    /// Gives a name this floor. The user's number on the disk is the greatest of all floors.
    fn set_floor(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
        floor: u64,
    ) -> Result<(), StoreError> {
        index.decisions += 1;
        let known = &mut index.floor;
        let before = known.newest;
        if floor > before {
            self.keep_floor(user, floor)?;
            known.newest = floor;
            if before > 0 {
                // The older one is harmless: the greatest counts.
                let _ = self.disk.remove(&self.places.floor(user, before));
            }
        }
        known.remember(path, floor);
        Ok(())
    }

    /// Puts a user's number on the disk.
    pub(super) fn keep_floor(&self, user: &UserName, floor: u64) -> Result<(), StoreError> {
        match self.disk.create(&self.places.floor(user, floor)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
            _ => Ok(self.disk.sync_dir(&self.places.floors())?),
        }
    }
}
