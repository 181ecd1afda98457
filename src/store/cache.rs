//! Headers that a listing has read, so that the next one need not open every file again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::disk::Stamp;
use crate::name::{FilePath, UserName};
use crate::sealed::Facts;

/// Most headers that are remembered, for all users together: some 14 MB. At one more all are forgotten, and the next
/// listing of a folder reads them again.
const MAX_HEADERS: usize = 220_000;
/// A fact that is larger, or has bytes elsewhere, changes how much memory that takes.
const _: () = assert!(size_of::<(u64, Facts)>() <= 64);

/// A piece file, and its stamp before its header was read.
pub(super) type CacheKey<'a> = (&'a UserName, &'a FilePath, u8, Stamp);

/// Facts by a keyed hash of the file, with a key of this process. With 64 bits, one in a billion full servers has two
/// files with the same hash.
#[derive(Default)]
pub(super) struct HeaderCache {
    facts: Mutex<HashMap<u64, Facts>>,
    hasher: RandomState,
}

impl HeaderCache {
    fn facts(&self) -> MutexGuard<'_, HashMap<u64, Facts>> {
        // A thread that panicked left no half-made entry.
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
