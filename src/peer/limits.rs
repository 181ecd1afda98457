//! The time limits of a connection.

use std::time::Duration;

/// Longer than this a client does not wait for a step of a payload: another server, whose payload waits
/// meanwhile, gives up after twice as long.
const MAX_ANSWER: Duration = Duration::from_secs(30);

/// The time limits of a connection, by phase; all follow from the .conf's `Timeout`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To connect to one address.
    pub connect: Duration,
    /// For each of the two answers of a login.
    pub login: Duration,
    /// For an answer that needs no disk to be synced, and for each step of a payload.
    pub answer: Duration,
    /// For an answer that does.
    pub durable: Duration,
}

impl Limits {
    /// With this much to connect. A server that is merely busy must not count as silent, so the
    /// other limits have floors.
    pub fn from_timeout(timeout: Duration) -> Self {
        let at_least = |factor: u32, floor: u64| (timeout * factor).max(Duration::from_secs(floor));
        Self {
            connect: timeout,
            login: at_least(3, 3),
            answer: at_least(10, 10).min(MAX_ANSWER),
            durable: at_least(20, 20),
        }
    }
}
