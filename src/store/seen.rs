//! Headers that a listing has read, so that the next one need not open every file again.

use std::collections::HashMap;
use std::fs::Metadata;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::name::{FilePath, UserName};
use crate::sealed::Facts;

/// Headers that are remembered, of all users: 64 bytes each. One more, and all are forgotten: the next
/// listing of a folder reads them again.
const MAX_SEEN: usize = 220_000;

/// What changes when a file is replaced or written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Number of the file on its file system.
    pub inode: u64,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last changed: seconds and nanoseconds since 1970. No program can set it back.
    pub changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { inode: metadata.ino(), len: metadata.len(), changed }
    }
}

/// Which piece file, and what it looked like before its header was read.
pub(super) type Sight<'a> = (&'a UserName, &'a FilePath, u8, Stamp);

/// Facts by a hash of the sight, under a key of this process: with 64 bits, two of them have the same
/// once in a billion servers that are full.
#[derive(Default)]
pub(super) struct Seen {
    facts: Mutex<HashMap<u64, Facts>>,
    hasher: RandomState,
}

impl Seen {
    fn facts(&self) -> MutexGuard<'_, HashMap<u64, Facts>> {
        // What a thread that panicked has put in is whole.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recall(&self, sight: &Sight<'_>) -> Option<Facts> {
        self.facts().get(&self.hasher.hash_one(sight)).cloned()
    }

    pub(super) fn remember(&self, sight: &Sight<'_>, read: Facts) {
        let mut facts = self.facts();
        if facts.len() >= MAX_SEEN {
            facts.clear();
        }
        facts.insert(self.hasher.hash_one(sight), read);
    }
}
