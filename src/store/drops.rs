//! Dropping what is not needed any more: what other servers have replaced, and tombstones. Many names share the syncs.

use super::disk::Disk;
use super::error::StoreError;
use super::locked::Locked;
use crate::commit;
use crate::name::FilePath;
use crate::version::Version;

impl<D: Disk> Locked<'_, D> {
    /// Drops everything that is older than these versions, which are whole elsewhere.
    pub(super) fn retire(&mut self, names: &[(FilePath, Version)]) -> Result<(), StoreError> {
        // First commits that were cut off are finished and made safe: if a tombstone were dropped together with what
        // it hides, a power failure could bring back one without the other.
        for (path, _) in names {
            let unfinished = commit::recover(&self.held(path)?);
            self.apply_all(path, &unfinished)?;
        }
        self.sync_directories(names.iter().map(|(path, _)| path))?;
        for (path, version) in names {
            let steps = commit::retire(&self.held(path)?, *version);
            self.apply_all(path, &steps)?;
            self.drop_partial(path, |kept| kept.version <= *version)?;
        }
        Ok(())
    }

    /// Drops those of these tombstones that are still the newest of their names.
    pub(super) fn forget<'p>(
        &mut self,
        names: impl IntoIterator<Item = (&'p FilePath, &'p Version)>,
    ) -> Result<(), StoreError> {
        // What the tombstones hide must not come back without them. So everything else is dropped and synced before
        // they are dropped, as the last.
        let mut tombstones = Vec::new();
        for (path, version) in names {
            let Ok(steps) = commit::forget(&self.held(path)?, *version) else { continue };
            let Some((tombstone, drops)) = steps.split_last() else { continue };
            self.apply_all(path, drops)?;
            tombstones.push((path, *version, *tombstone));
        }
        self.sync_directories(tombstones.iter().map(|(path, ..)| *path))?;
        let mut any = false;
        for (path, ..) in &tombstones {
            any |= self.drop_replaced(path)?;
        }
        if any {
            self.files.disk.sync_dir(&self.files.places.tombstones_of(self.user))?;
        }
        self.raise_floors(tombstones.iter().map(|(path, version, _)| (*path, *version)))?;
        tombstones.iter().try_for_each(|(path, _, tombstone)| self.apply(path, *tombstone))
    }
}
