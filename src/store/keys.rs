//! Which of a user's keys was retired last.

use super::connections::Connection;
use super::error::StoreError;
use crate::commit::{self, KeyChange, KeyCheck};

/// What is remembered of a user's key.
#[derive(Default)]
pub(super) struct Keys {
    /// None until a key is changed.
    pub(super) change: Option<KeyChange>,
    /// Of the newest file, also of one that may not have come to be.
    pub(super) count: u64,
    /// Who changes the key, and still works under the old one. Forgotten by a restart.
    pub(super) by: Option<Connection>,
}

impl Keys {
    /// A file of this name was found.
    pub(super) fn found(&mut self, count: u64, change: KeyChange) {
        if self.change.is_none() || count > self.count {
            (self.count, self.change) = (count, Some(change));
        }
    }

    /// Whether a connection may stage or publish pieces under these keys.
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
