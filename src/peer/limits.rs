//! The time limits of a connection.

use std::time::Duration;

/// Longer than this a client does not wait for an answer, and with what a step of 256 KiB may take at the least
/// rate (16 s, 20 s with what is buffered) it is still less than the minute after which another server, whose
/// payload waits in the meantime, gives up.
const MAX_ANSWER: Duration = Duration::from_secs(30);
/// Bytes of a payload in a second: a server that sends or takes fewer is down.
pub const LEAST_RATE: u64 = 16 * 1024;
/// Bytes of a piece in a second: a server that hashes fewer, for a CHECK or a COPY, is down. A disk that many
/// share reads some times as many.
pub const LEAST_DISK_RATE: u64 = 1024 * 1024;
/// For how long a server may keep a client waiting for one answer by signs of life.
const LIFE: Duration = Duration::from_secs(600);
/// How much longer than for other answers a server may give signs of life for a LIST: it may have to read the
/// header of every piece first.
pub const LIST_FACTOR: u32 = 6;

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
    /// For all of an answer, however many signs of life come before it and whatever its parts.
    pub life: Duration,
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
            life: LIFE,
        }
    }

    /// For a payload, or a part of one, of that many bytes.
    pub(super) fn payload(&self, bytes: u64) -> Duration {
        self.answer + at_rate(bytes, LEAST_RATE)
    }

    /// For all of an answer that takes a server a piece of that many bytes to be read.
    pub(super) fn life_of(&self, bytes: u64) -> Duration {
        self.life + at_rate(bytes, LEAST_DISK_RATE)
    }

    /// For all of a list but its bytes, which have their own time.
    pub(super) fn list(&self) -> Duration {
        self.life * LIST_FACTOR
    }
}

/// What so many bytes take at a rate of bytes in a second.
pub(super) fn at_rate(bytes: u64, rate: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / rate as f64)
}
