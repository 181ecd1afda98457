//! A limit on how many bytes pass in a second, over several connections together: a token bucket.
//!
//! It sleeps nowhere: whoever moves bytes asks how long to wait first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much time that passed unused may be made up for: a sleep is often a little too long.
const CREDIT: Duration = Duration::from_millis(100);
/// What passes at a time: as much as in this part of a second, so that connections take turns soon, within these bounds.
const PARTS: u64 = 8;
const PART: (u64, u64) = (4 * 1024, 64 * 1024);

/// When the next bytes may pass, by a clock that starts with the bucket.
#[derive(Debug)]
struct Bucket {
    /// Bytes in a second.
    rate: u64,
    /// From when on bytes may pass that nobody has asked for yet.
    free: Duration,
}

impl Bucket {
    fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), free: Duration::ZERO }
    }

    /// How long to wait before these bytes may pass. They count as passed: those who ask later wait longer.
    fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let begin = self.free.max(now.saturating_sub(CREDIT));
        self.free = begin + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        begin.saturating_sub(now)
    }
}

/// A limit that may be set and lifted while connections share it; at first there is none.
#[derive(Debug)]
pub struct Throttle {
    epoch: Instant,
    /// Bytes that pass at a time; 0 without a limit.
    part: AtomicU64,
    bucket: Mutex<Bucket>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { epoch: Instant::now(), part: AtomicU64::new(0), bucket: Mutex::new(Bucket::new(1)) }
    }
}

impl Throttle {
    /// From now on at most so many bytes pass in a second; without a rate, as many as can.
    pub fn set(&self, rate: Option<u64>) {
        let part = rate.map_or(0, |rate| (rate / PARTS).clamp(PART.0, PART.1));
        *self.bucket.lock().unwrap_or_else(PoisonError::into_inner) = Bucket::new(rate.unwrap_or(1));
        self.part.store(part, Ordering::Relaxed);
    }

    /// How many of so many bytes may pass at a time.
    pub fn part(&self, bytes: usize) -> usize {
        match self.part.load(Ordering::Relaxed) {
            0 => bytes,
            part => bytes.min(usize::try_from(part).unwrap_or(bytes)),
        }
    }

    /// How long to wait at this moment before so many bytes may pass; they count as passed.
    pub fn take(&self, bytes: usize, now: Instant) -> Duration {
        if self.part.load(Ordering::Relaxed) == 0 {
            return Duration::ZERO;
        }
        let now = now.saturating_duration_since(self.epoch);
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(bytes as u64, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn bytes_pass_at_the_rate_whoever_moves_them() {
        let mut bucket = Bucket::new(1000);
        let start = seconds(60.0);
        // Two that take turns: what has not been used before does not count, except for a moment.
        let waits = [100, 400, 500, 1000, 0].map(|bytes| bucket.take(bytes, start));
        assert_eq!(waits, [0.0, 0.0, 0.4, 0.9, 1.9].map(seconds));
    }

    #[test]
    fn one_that_waits_as_it_is_told_never_exceeds_the_rate_and_comes_close_to_it() {
        let mut bucket = Bucket::new(5000);
        let mut now = seconds(7.0);
        let mut passed = 0;
        for step in 0..1000 {
            let bytes = 1 + step % 300;
            // Sleeps are too long by a part of a millisecond.
            now += bucket.take(bytes, now) + seconds(0.0005);
            passed += bytes;
            let most = 5000.0 * (now - seconds(7.0) + CREDIT).as_secs_f64() + 300.0;
            assert!(passed as f64 <= most, "{passed} bytes by {now:?}");
        }
        assert!(
            passed as f64 >= 5000.0 * (now - seconds(7.0)).as_secs_f64() * 0.99,
            "{passed} bytes by {now:?}"
        );
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut bucket = Bucket::new(1000);
        bucket.take(1000, seconds(1.0));
        assert_eq!(bucket.take(1000, seconds(100.0)), Duration::ZERO);
        assert_eq!(bucket.take(1, seconds(100.0)), seconds(1.0) - CREDIT);
    }

    #[test]
    fn a_limit_can_be_set_and_lifted() {
        let throttle = Throttle::default();
        let now = Instant::now();
        assert_eq!((throttle.part(1 << 30), throttle.take(1 << 30, now)), (1 << 30, Duration::ZERO));
        throttle.set(Some(80_000));
        assert_eq!([throttle.part(100), throttle.part(1 << 30)], [100, 10_000]);
        throttle.take(80_000, now);
        assert!(throttle.take(1, now) > seconds(0.8));
        throttle.set(Some(1));
        assert_eq!(throttle.part(1 << 30), 4096);
        throttle.set(None);
        assert_eq!((throttle.part(1 << 30), throttle.take(1 << 30, now)), (1 << 30, Duration::ZERO));
    }
}
