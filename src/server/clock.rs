//! The server's clock, and what it allows.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::commit;
use crate::store::StoreError;

/// Milliseconds since 1970 UTC.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Whether the clock allows a generation. Every request that stages something or raises a floor asks this.
pub(super) fn within_reach(generation: u64) -> Result<(), StoreError> {
    Ok(commit::not_ahead(generation, now())?)
}
