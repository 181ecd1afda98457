//! What Ctrl-C ends: the command that is running, if it can be ended alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Nothing runs that could be ended alone: a question is asked, or results are printed.
const IDLE: u8 = 0;
const RUNNING: u8 = 1;
/// What ran is being ended.
const ENDING: u8 = 2;
/// A line is read. The key sends no signal there, so one that is noticed now was meant for a command that has returned.
const PROMPT: u8 = 3;

/// What Ctrl-C ends.
#[cfg(any(test, feature = "line-editing"))]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// What runs, which is being ended from now on.
    Command,
    /// It comes too late.
    Nothing,
    Process,
}

/// Whether a command is running, shared with the thread that handles Ctrl-C.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<AtomicU8>);

impl Running {
    /// A part of a command begins that can be ended.
    pub(super) fn begin(&self) {
        let _ = self.exchange(IDLE, RUNNING).or_else(|_| self.exchange(PROMPT, RUNNING));
    }

    /// It has come to its end.
    pub(super) fn end(&self) {
        let _ = self.exchange(RUNNING, IDLE);
    }

    /// Has what runs ended, once; returns what ends.
    #[cfg(any(test, feature = "line-editing"))]
    pub(super) fn interrupt(&self) -> Ends {
        match self.exchange(RUNNING, ENDING) {
            Ok(_) => Ends::Command,
            Err(PROMPT) => Ends::Nothing,
            Err(_) => Ends::Process,
        }
    }

    /// Whether the command is being ended: it fails, and nobody needs to know of what.
    pub(super) fn is_ending(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ENDING
    }

    /// The command has returned, and the next line is read; whether it was ended.
    pub(super) fn reset(&self) -> bool {
        self.0.swap(PROMPT, Ordering::Relaxed) == ENDING
    }

    fn exchange(&self, from: u8, to: u8) -> Result<u8, u8> {
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
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
        assert_eq!(of_thread.interrupt(), Ends::Process, "nothing runs");
        running.begin();
        assert_eq!([(); 2].map(|()| of_thread.interrupt()), [Ends::Command, Ends::Process]);
        running.end();
        running.begin();
        assert!(running.is_ending() && of_thread.interrupt() == Ends::Process);
        assert!(running.reset() && !running.reset());
    }

    #[test]
    fn what_is_noticed_when_the_command_has_returned_ends_nothing() {
        let running = Running::default();
        running.begin();
        running.end();
        assert_eq!(running.interrupt(), Ends::Process, "results are printed");
        running.reset();
        assert_eq!(running.interrupt(), Ends::Nothing);
        running.begin();
        assert_eq!(running.interrupt(), Ends::Command);
    }
}
