//! What happens to staged pieces: commit, abort, fence; and which pieces and tombstones are dropped.

use super::batch::{Batch, Committed};
use super::connections::Connection;
use super::core::Store;
use super::disk::Disk;
use super::error::StoreError;
use crate::commit::{self, Refused, Step};
use crate::name::{FilePath, UserName};
use crate::version::Version;

impl<D: Disk> Store<D> {
    /// Publishes what is staged of a version. What this replaces is dropped when the batch is flushed.
    ///
    /// # Errors
    /// [`Refused::NotStaged`](crate::commit::Refused::NotStaged) if nothing of it is here,
    /// [`Refused::Rekeyed`](crate::commit::Refused::Rekeyed) if its key was retired, [`StoreError::Ended`] if the
    /// connection has ended, or an error of the disk.
    pub fn commit(
        &self,
        connection: Connection,
        user: &UserName,
        path: &FilePath,
        version: Version,
        batch: &mut Batch<D>,
    ) -> Result<(), StoreError> {
        let part = self.part(user);
        let mut locked = part.lock()?;
        if !self.connections.is_live(connection) {
            // Other clients may have settled what it staged, because they were told that the connection is closed.
            return Err(StoreError::Ended);
        }
        let before = locked.index.decisions;
        let steps = commit::commit(&locked.held(path)?, version)?;
        let published = steps.iter().filter_map(|step| match step {
            Step::Publish { piece, version } => locked.index.staged(path, *piece, *version).map(|w| w.key),
            _ => None,
        });
        locked.index.keys.may_use(connection, published)?;
        locked.publish(path, &steps)?;
        batch.decided(path, before, locked.index.decisions);
        batch.user.get_or_insert_with(|| user.clone());
        // Not only what this commit published: what a newer version published here, or another client that commits the
        // same one, must also be safe before this is acknowledged.
        let unsafe_yet = locked.directories(path).into_iter().filter(|d| !locked.index.is_safe(d));
        batch.directories.extend(unsafe_yet);
        let drops: Vec<Step> =
            steps.into_iter().filter(|step| !matches!(step, Step::Publish { .. })).collect();
        let name = locked.index.names.get(path);
        let more = name.is_some_and(|name| !name.replaced.is_empty() || !name.partial.is_empty());
        if more || !drops.is_empty() {
            batch.committed.push(Committed { path: path.clone(), version, drops });
        }
        Ok(())
    }

    /// Promises that a version that is not published here never will be: pieces of it that are still in transit will
    /// come too late.
    ///
    /// # Errors
    /// [`Refused::Decided`](crate::commit::Refused::Decided) if it or something newer is published here,
    /// [`Refused::Open`](crate::commit::Refused::Open) if a connection that staged it, or on which it is arriving, is
    /// open, or an error of the disk.
    pub fn fence(&self, user: &UserName, path: &FilePath, version: Version) -> Result<(), StoreError> {
        let part = self.part(user);
        let mut locked = part.lock()?;
        commit::fence(&locked.held(path)?, version)?;
        if locked.index.arriving(path).any(|(_, arriving)| arriving == version) {
            return Err(Refused::Open.into());
        }
        locked.raise_floors([(path, version)])
    }

    /// Drops what is staged of a version. It can never be staged again.
    ///
    /// # Errors
    /// [`Refused::Decided`](crate::commit::Refused::Decided) if it is published here,
    /// [`Refused::Open`](crate::commit::Refused::Open) if another connection that staged it, or on which it is
    /// arriving, is open, or an error of the disk.
    pub fn abort(
        &self,
        connection: Connection,
        user: &UserName,
        path: &FilePath,
        version: Version,
    ) -> Result<(), StoreError> {
        let part = self.part(user);
        let mut locked = part.lock()?;
        let own = locked.index.names.get(path).is_some_and(|name| {
            let mut of_version = name.staged.iter().filter(|w| w.version == version);
            of_version.all(|w| w.connection == Some(connection) || !locked.index.is_open(w))
        });
        let steps = commit::abort(&locked.held(path)?, version, own)?;
        if locked.index.arriving(path).any(|(by, arriving)| arriving == version && by != connection) {
            return Err(Refused::Open.into());
        }
        let floor = locked.index.floor(path);
        let aborted = commit::aborted_floor(floor, version);
        if aborted > floor {
            locked.set_floor(path, aborted)?;
        }
        locked.index.has_ended(connection);
        locked.apply_all(path, &steps)?;
        let partial = locked.drop_partial(path, |kept| kept.version == version)?;
        // After the acknowledgement, a power failure must not bring any of it back.
        let staged = self.files.places.staged_of(user);
        if steps.is_empty() && !partial { Ok(()) } else { self.files.sync_dir(&staged).map(drop) }
    }

    /// Drops everything that is older than a version that is whole elsewhere, when the batch is flushed.
    pub fn retire(&self, user: &UserName, path: FilePath, version: Version, batch: &mut Batch<D>) {
        batch.user.get_or_insert_with(|| user.clone());
        batch.retired.push((path, version));
    }

    /// Drops a tombstone that every server has acknowledged, when the batch is flushed. From then on nothing of its
    /// generation or an older one can be staged under this name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the newest version here is not that tombstone, or it is forgotten already, or an
    /// error of the disk.
    pub fn forget(
        &self,
        user: &UserName,
        path: FilePath,
        version: Version,
        batch: &mut Batch<D>,
    ) -> Result<(), StoreError> {
        if batch.forgotten.contains_key(&path) {
            return Err(StoreError::NotFound);
        }
        let part = self.part(user);
        commit::forget(&part.lock()?.held(&path)?, version).map_err(|_| StoreError::NotFound)?;
        batch.user.get_or_insert_with(|| user.clone());
        batch.forgotten.insert(path, version);
        Ok(())
    }
}
