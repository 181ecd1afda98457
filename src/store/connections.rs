//! The connections that have not ended.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One client's connection, as far as staged pieces are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection(u64);

#[cfg(test)]
impl Connection {
    /// A connection of no store.
    pub(crate) fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// The connections that have not ended. They are never locked during a disk access.
#[derive(Default)]
pub(super) struct Connections {
    live: Mutex<HashSet<Connection>>,
    next: AtomicU64,
}

impl Connections {
    fn live(&self) -> MutexGuard<'_, HashSet<Connection>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self) -> Connection {
        let connection = Connection(self.next.fetch_add(1, Ordering::Relaxed));
        self.live().insert(connection);
        connection
    }

    pub(super) fn end(&self, connection: Connection) {
        self.live().remove(&connection);
    }

    pub(super) fn is_live(&self, connection: Connection) -> bool {
        self.live().contains(&connection)
    }
}
