//! How long a server waits for a client.

use std::time::{Duration, Instant};

use crate::link::Limit;

/// Time to log in, all reads together.
pub const LOGIN_LIMIT: Duration = Duration::from_secs(10);
/// Time between two requests. Clients log in again when they need to; but one that has staged its piece
/// here may have to wait for the others of a large upload.
pub const IDLE_LIMIT: Duration = Duration::from_secs(2 * 3600);
/// Time for one read within a payload, and for one write.
pub const STALL_LIMIT: Duration = Duration::from_secs(60);
/// Bytes a second, beyond [`STALL_LIMIT`], that a payload has to come with, or that what is sent has to go with: far
/// below what any network in use has, since one client's payloads to several servers share one way.
pub const LEAST_RATE: u64 = 1024;

/// How long so many bytes of a payload may take, in either direction: each call by itself, and all of them by size.
pub(super) fn payload(bytes: u64) -> Limit {
    // With a clock that cannot count so far there is no deadline, but still a limit for each call.
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
