//! A change of a user's key.

use super::connections::Connection;
use super::core::Store;
use super::disk::Disk;
use super::error::StoreError;
use super::index::Index;
use crate::commit::{self, KeyChange};
use crate::name::UserName;

impl<D: Disk> Store<D> {
    /// From now on nothing new comes under the user's retired key, but from this connection. What is staged
    /// under it stays, since it may be decided elsewhere. It is on disk when this returns.
    ///
    /// # Errors
    /// [`Refused::Rekeyed`](crate::commit::Refused::Rekeyed) if another change is on its way, or the disk's.
    pub fn rekey(&self, connection: Connection, user: &UserName, asked: KeyChange) -> Result<(), StoreError> {
        let part = self.part(user);
        let mut locked = part.lock()?;
        let Index { keys: known, decisions, .. } = &mut *locked.index;
        let change = commit::rekey(known.change, asked)?;
        if change != known.change
            && let Some(change) = change
        {
            let before = known.count;
            // Whether this one comes to be or not, the next one has another name.
            known.count = before.saturating_add(1);
            let (disk, places) = (&self.files.disk, &self.files.places);
            let file = places.key(user, known.count, change);
            if let Err(error) = disk.create(&file).and_then(|_| disk.sync_dir(&places.keys())) {
                // It counts after a restart if this fails as well, and may be taken back then.
                let _ = disk.remove(&file);
                return Err(error.into());
            }
            if let Some(old) = known.change {
                // The older one is harmless: the greatest counts.
                let _ = disk.remove(&places.key(user, before, old));
            }
            known.change = Some(change);
        }
        known.by = Some(connection);
        // Pieces that are on their way were admitted before.
        *decisions += 1;
        Ok(())
    }
}
