//! Headers that a listing has read, so that the next one need not open every file again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::disk::Stamp;
use crate::name::{FilePath, UserName};
use crate::sealed::Facts;

/// Headers that are remembered, of all users: 64 bytes each. One more, and all are forgotten: the next
/// listing of a folder reads them again.
const MAX_HEADERS: usize = 220_000;

/// Which piece file, and what it looked like before its header was read.
pub(super) type CacheKey<'a> = (&'a UserName, &'a FilePath, u8, Stamp);

/// Facts by a hash of the key, itself under a key of this process: with 64 bits, two have the same hash once in a
/// billion servers that are full.
#[derive(Default)]
pub(super) struct HeaderCache {
    facts: Mutex<HashMap<u64, Facts>>,
    hasher: RandomState,
}

impl HeaderCache {
    fn facts(&self) -> MutexGuard<'_, HashMap<u64, Facts>> {
        // What a thread that panicked has put in is whole.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn recall(&self, key: &CacheKey<'_>) -> Option<Facts> {
        self.facts().get(&self.hasher.hash_one(key)).cloned()
    }

    pub(super) fn remember(&self, key: &CacheKey<'_>, read: Facts) {
        let mut facts = self.facts();
        if facts.len() >= MAX_HEADERS {
            facts.clear();
        }
        facts.insert(self.hasher.hash_one(key), read);
    }
}
