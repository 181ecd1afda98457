//! The limits of a .conf file, and its defaults.

use std::time::Duration;

/// Most servers in one .conf.
pub const MAX_SERVERS: usize = 64;
/// Longest .conf file, in bytes.
pub const MAX_CONFIG: usize = 64 * 1024;
/// Longest password, in bytes.
pub const MAX_PASSWORD: usize = 1024;
/// Time limit for a connect if the .conf has no `Timeout`.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// Fewest PBKDF2 iterations that `MinIterations` may ask for, the floor of RFC 7677, and that a verifier may have.
pub const MIN_ITERATIONS: u32 = 4096;
/// Most iterations that a client accepts, about a second of work: a rogue server could otherwise keep it
/// busy forever.
pub const MAX_ITERATIONS: u32 = 5_000_000;
/// Iterations of new verifiers, and by default the fewest that a client accepts. The same number as for the master
/// key: someone who steals a server's disk has both the verifier and the pieces, and would attack the cheaper one.
pub const DEFAULT_ITERATIONS: u32 = 600_000;
/// Most seconds that `Timeout` may ask for.
pub const MAX_TIMEOUT_SECONDS: f64 = 600.0;
