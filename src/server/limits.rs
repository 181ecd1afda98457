//! How long a server waits for a client.

use std::time::{Duration, Instant};

use crate::link::Limit;

/// Time to log in, for all reads together.
pub const LOGIN_LIMIT: Duration = Duration::from_secs(10);
/// Time between two requests. Clients log in again when they need to, but one that has staged its piece here may have
/// to wait for the other pieces of a large upload.
pub const IDLE_LIMIT: Duration = Duration::from_secs(2 * 3600);
/// Time for one read within a payload, and for one write.
pub const STALL_LIMIT: Duration = Duration::from_secs(60);
/// Least bytes per second, beyond [`STALL_LIMIT`], at which a payload must arrive or what is sent must be taken: far
/// below the rate of any network in use, since one client's payloads to several servers share one link.
pub const LEAST_RATE: u64 = 1024;

/// How long a payload of this many bytes may take in either direction: a limit for each call, and one by size for all.
pub(super) fn payload(bytes: u64) -> Limit {
    // If the clock cannot count that far there is no deadline, but still a limit for each call.
    Limit::Each(STALL_LIMIT, Instant::now().checked_add(time_for(bytes)))
}

fn time_for(bytes: u64) -> Duration {
    STALL_LIMIT + Duration::from_secs(bytes / LEAST_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_time_by_its_size() {
        assert_eq!(time_for(0), STALL_LIMIT);
        assert_eq!(time_for(60 * LEAST_RATE), STALL_LIMIT + Duration::from_secs(60));
        assert!(time_for(u64::MAX) > time_for(1 << 40));
    }
}
