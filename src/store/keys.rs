//! The key of a user that was retired last.

use super::connections::Connection;
use super::error::StoreError;
use crate::commit::{self, KeyChange, KeyCheck};

/// What is remembered of a user's key.
#[derive(Default)]
pub(super) struct Keys {
    /// `None` until a key is changed.
    pub(super) change: Option<KeyChange>,
    /// The count in the name of the newest file, even if that file could not be made.
    pub(super) count: u64,
    /// The connection that changes the key, and still works under the old one. A restart forgets it.
    pub(super) by: Option<Connection>,
}

impl Keys {
    /// A file with this in its name was found.
    pub(super) fn found(&mut self, count: u64, change: KeyChange) {
        if self.change.is_none() || count > self.count {
            (self.count, self.change) = (count, Some(change));
        }
    }

    /// Checks that a connection may stage or publish pieces under these keys.
    pub(super) fn may_use(
        &self,
        connection: Connection,
        mut keys: impl Iterator<Item = KeyCheck>,
    ) -> Result<(), StoreError> {
        match self.by == Some(connection) {
            true => Ok(()),
            false => Ok(keys.try_for_each(|key| commit::may_use_key(self.change, key))?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
