//! The time limits of a connection.

use std::time::Duration;

/// The longest wait for an answer. Together with what a step of 256 KiB may take at the least rate (16 s, or 20 s with
/// what is buffered) it is still less than the minute after which another server, whose payload waits in the meantime,
/// gives up.
const MAX_ANSWER: Duration = Duration::from_secs(30);
/// Bytes of a payload per second: a server that sends or accepts fewer is down.
pub const LEAST_RATE: u64 = 16 * 1024;
/// Bytes of a piece per second: a server that hashes fewer, for a CHECK or a COPY, is down. Even a disk that many
/// share reads several times as many.
pub const LEAST_DISK_RATE: u64 = 1024 * 1024;
/// Bytes per second and server: a client that limits itself to fewer may lose its connections, even if it gives each its
/// turn. A server waits a minute for the next bytes of a payload, which come in steps of 256 KiB; and a minute until it
/// can send more, which it can only when a third of its socket's buffer is free, of 2.6 MB on a line with large packets.
pub const LEAST_THROTTLE: u64 = 32 * 1024;
/// How long a server may keep a client waiting for one answer with signs of life.
const LIFE: Duration = Duration::from_secs(600);
/// How many times as long a server may send signs of life for a LIST: it may have to read the header of every piece
/// first.
pub const LIST_FACTOR: u32 = 6;

/// The time limits of a connection, by phase; all follow from the .conf's `Timeout`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To connect to one address.
    pub connect: Duration,
    /// For each of the two answers of a login.
    pub login: Duration,
    /// For that to a PING.
    pub ping: Duration,
    /// For an answer that needs no disk to be synced, and for each step of a payload.
    pub answer: Duration,
    /// For an answer that needs one.
    pub durable: Duration,
    /// For a whole answer, however many signs of life and parts it has.
    pub life: Duration,
}

impl Limits {
    /// The limits that follow from this much time to connect. A server that is merely busy must not count as silent,
    /// so the others have a minimum.
    pub fn from_timeout(timeout: Duration) -> Self {
        let at_least = |factor: u32, seconds: u64| (timeout * factor).max(Duration::from_secs(seconds));
        Self {
            connect: timeout,
            login: at_least(3, 3),
            ping: at_least(3, 3),
            answer: at_least(10, 10).min(MAX_ANSWER),
            durable: at_least(20, 20),
            life: LIFE,
        }
    }

    /// For a payload, or part of one, of that many bytes.
    pub(super) fn payload(&self, bytes: u64) -> Duration {
        self.answer + at_rate(bytes, LEAST_RATE)
    }

    /// For a whole answer for which a server has to read a piece of that many bytes.
    pub(super) fn life_of(&self, bytes: u64) -> Duration {
        self.life + at_rate(bytes, LEAST_DISK_RATE)
    }

    /// For a whole list except its bytes, which have time of their own.
    pub(super) fn list(&self) -> Duration {
        self.life * LIST_FACTOR
    }
}

/// The time that this many bytes take at a rate in bytes per second.
pub(super) fn at_rate(bytes: u64, rate: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / rate as f64)
}
