//! How long a server waits for a client.

use std::time::Duration;

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
