//! A change of a user's key.

use super::connections::Connection;
use super::core::Store;
use super::disk::Disk;
use super::error::StoreError;
use super::index::Index;
use crate::commit::{self, KeyChange};
use crate::name::UserName;

impl<D: Disk> Store<D> {
    /// Retires a key of the user: from now on only this connection can stage or commit anything under it. What is
    /// already staged under it stays, because it may be decided elsewhere. The change is on disk when this returns.
    ///
    /// # Errors
    /// [`Refused::Rekeyed`](crate::commit::Refused::Rekeyed) if another change is in progress, or an error of the disk.
    pub fn rekey(&self, connection: Connection, user: &UserName, asked: KeyChange) -> Result<(), StoreError> {
        let part = self.part(user);
        let mut locked = part.lock()?;
        let Index { keys: known, decisions, .. } = &mut *locked.index;
        let change = commit::rekey(known.change, asked)?;
        if change != known.change
            && let Some(change) = change
        {
            let before = known.count;
            // Whether or not this file can be made, the next one has another name.
            known.count = before.saturating_add(1);
            let (disk, places) = (&self.files.disk, &self.files.places);
            let file = places.key(user, known.count, change);
            if let Err(error) = disk.create(&file).and_then(|_| disk.sync_dir(&places.keys())) {
                // If this fails too, the change counts after a restart, and can be taken back then.
                let _ = disk.remove(&file);
                return Err(error.into());
            }
            if let Some(old) = known.change {
                // If the older file stays, it is harmless: the greatest count wins.
                let _ = disk.remove(&places.key(user, before, old));
            }
            known.change = Some(change);
        }
        known.by = Some(connection);
        let retired = known.change.map(|change| change.retired);
        // Pieces in transit were admitted before, and must be checked again.
        *decisions += 1;
        // Under the new key nobody can begin with what was kept under the old one.
        let names: Vec<_> = locked.index.names.keys().cloned().collect();
        for path in names {
            locked.drop_partial(&path, |kept| Some(kept.key) == retired)?;
        }
        Ok(())
    }
}
