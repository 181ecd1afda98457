//! What Ctrl-C ends: the command that is running, if it can be ended alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Nothing runs that could be ended alone.
const IDLE: u8 = 0;
const RUNNING: u8 = 1;
/// What ran is being ended.
const ENDING: u8 = 2;

/// Whether a command is running, shared with the thread that handles Ctrl-C.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<AtomicU8>);

impl Running {
    /// A part of a command begins that can be ended.
    pub(super) fn begin(&self) {
        self.exchange(IDLE, RUNNING);
    }

    /// It has come to its end.
    pub(super) fn end(&self) {
        self.exchange(RUNNING, IDLE);
    }

    /// Has it ended; returns false if nothing is running, or it is being ended already.
    #[cfg(any(test, feature = "line-editing"))]
    pub(super) fn interrupt(&self) -> bool {
        self.exchange(RUNNING, ENDING)
    }

    /// Whether the command is being ended: it fails, and nobody needs to know of what.
    pub(super) fn is_ending(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ENDING
    }

    /// The command has returned; whether it was ended.
    pub(super) fn reset(&self) -> bool {
        self.0.swap(IDLE, Ordering::Relaxed) == ENDING
    }

    fn exchange(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_ended_once_and_stays_so_until_the_command_returns() {
        let (running, of_thread) = {
            let running = Running::default();
            (running.clone(), running)
        };
        assert!(!of_thread.interrupt(), "nothing runs");
        running.begin();
        assert!(of_thread.interrupt() && !of_thread.interrupt());
        running.end();
        running.begin();
        assert!(running.is_ending() && !of_thread.interrupt());
        assert!(running.reset() && !running.reset());
    }
}
