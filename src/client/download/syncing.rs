//! When a file that is being written is synced: a power failure should cost little of what has arrived.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes after which a file is synced.
const AFTER: u64 = 64 << 20;
/// Unless they took less than this. A line that is so fast may be faster than the disk, and to wait for that would cost
/// more time than to fetch them again.
const AT_LEAST: Duration = Duration::from_millis(500);

pub(super) struct Syncing {
    written: AtomicU64,
    /// When the last of them were due.
    last: Mutex<Instant>,
}

impl Syncing {
    pub(super) fn new() -> Self {
        Self { written: AtomicU64::new(0), last: Mutex::new(Instant::now()) }
    }

    /// Takes note of bytes that were written, and says whether to sync the file now.
    pub(super) fn is_due(&self, bytes: u64, now: impl FnOnce() -> Instant) -> bool {
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if before / AFTER == (before + bytes) / AFTER {
            return false;
        }
        let now = now();
        let last = std::mem::replace(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner), now);
        now.saturating_duration_since(last) >= AT_LEAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_is_due_after_so_many_bytes_unless_they_came_very_fast() {
        let (syncing, start) = (Syncing::new(), Instant::now() + Duration::from_secs(1));
        let step = 16 << 20;
        let due = |millis| syncing.is_due(step, || start + Duration::from_millis(millis));
        assert_eq!([0, 0, 0, 0].map(due), [false, false, false, true]);
        assert_eq!([600, 600, 600, 499].map(due), [false; 4]);
        assert_eq!([0, 0, 0, 1000].map(due), [false, false, false, true]);
    }
}
