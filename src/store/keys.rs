//! Which of a user's keys was retired last. One empty file for each user, whose name says it, so that a change
//! is one atomic step; the greatest count counts.

use super::disk::Disk;
use super::error::StoreError;
use super::index::Index;
use super::{Connection, Store};
use crate::commit::{self, KeyChange, KeyCheck};
use crate::name::UserName;
use crate::text::{hex, parse_hex};

/// What is remembered of a user's key.
#[derive(Default)]
pub(super) struct Keys {
    /// None until a key is changed.
    change: Option<KeyChange>,
    /// Of the newest file, also of one that may not have come to be.
    count: u64,
    /// Who changes the key, and still works under the old one. Forgotten by a restart.
    by: Option<Connection>,
}

impl Keys {
    /// A file of this name was found.
    pub(super) fn found(&mut self, count: u64, change: KeyChange) {
        if self.change.is_none() || count > self.count {
            (self.count, self.change) = (count, Some(change));
        }
    }
}

impl Index {
    /// Whether a connection may stage or publish pieces under these keys.
    pub(super) fn may_use_keys(
        &self,
        connection: Connection,
        mut keys: impl Iterator<Item = KeyCheck>,
    ) -> Result<(), StoreError> {
        match self.keys.by == Some(connection) {
            true => Ok(()),
            false => Ok(keys.try_for_each(|key| commit::may_use_key(self.keys.change, key))?),
        }
    }
}

impl<D: Disk> Store<D> {
    /// From now on nothing new comes under the user's retired key, but from this connection. What is staged
    /// under it stays, since it may be decided elsewhere. It is on disk when this returns.
    ///
    /// # Errors
    /// [`Refused::Rekeyed`](crate::commit::Refused::Rekeyed) if another change is on its way, or the disk's.
    pub fn rekey(&self, connection: Connection, user: &UserName, asked: KeyChange) -> Result<(), StoreError> {
        let own = self.own(user);
        let mut index = self.index(&own, user)?;
        let Index { keys: known, decisions, .. } = &mut *index;
        let change = commit::rekey(known.change, asked)?;
        if change != known.change
            && let Some(change) = change
        {
            let before = known.count;
            // Whether this one comes to be or not, the next one has another name.
            known.count = before.saturating_add(1);
            let file = self.places.key(user, known.count, change);
            if let Err(error) = self.disk.create(&file).and_then(|_| self.disk.sync_dir(&self.places.keys()))
            {
                // It counts after a restart if this fails as well, and may be taken back then.
                let _ = self.disk.remove(&file);
                return Err(error.into());
            }
            if let Some(old) = known.change {
                // The older one is harmless: the greatest counts.
                let _ = self.disk.remove(&self.places.key(user, before, old));
            }
            known.change = Some(change);
        }
        known.by = Some(connection);
        // Pieces that are on their way were admitted before.
        *decisions += 1;
        Ok(())
    }
}

/// What the name of a file of [`Places::keys`](super::places::Places::keys) says.
pub(super) fn parse_key(entry: &str) -> Option<(UserName, u64, KeyChange)> {
    let mut words = entry.rsplitn(4, '.');
    let current = parse_hex(words.next()?)?;
    let retired = parse_hex(words.next()?)?;
    let count = words.next()?.parse().ok()?;
    Some((UserName::parse(words.next()?).ok()?, count, KeyChange { retired, current }))
}

pub(super) fn key_file(user: &UserName, count: u64, change: KeyChange) -> String {
    format!("{user}.{count}.{}.{}", hex(&change.retired), hex(&change.current))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_whose_key_was_changed_and_which() {
        let user = UserName::parse("a.b").unwrap();
        let change = KeyChange { retired: [0xab; 16], current: [1; 16] };
        let name = key_file(&user, 7, change);
        assert_eq!(name, format!("a.b.7.{}.{}", "ab".repeat(16), "01".repeat(16)));
        assert_eq!(parse_key(&name), Some((user, 7, change)));
        for other in ["a.7", "a.7.ab.01", &name.replace("ab", "AB"), &name.replace(".7.", ".x.")] {
            assert_eq!(parse_key(other), None, "{other}");
        }
    }

    #[test]
    fn the_greatest_count_counts_in_whatever_order_files_are_found() {
        let change = |n: u8| KeyChange { retired: [n; 16], current: [n + 1; 16] };
        for order in [[3, 9], [9, 3]] {
            let mut keys = Keys::default();
            order.into_iter().for_each(|n| keys.found(u64::from(n), change(n)));
            assert_eq!((keys.count, keys.change), (9, Some(change(9))));
        }
    }
}
