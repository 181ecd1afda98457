//! How wide a terminal is, and whether it is ours.
//!
//! `COLUMNS` overrides what the terminal says, as in other programs: a user who exports it wants that. If neither is
//! known, it is 80.

use std::os::fd::AsFd;

use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};

const USUAL_WIDTH: usize = 80;
/// A wider terminal is treated as one of this width: the width comes from outside, and lines are allocated by it.
const MAX_WIDTH: usize = 1000;

/// The width of the terminal that an output of this process is, in columns.
pub(super) fn width(output: &impl AsFd) -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| plausible(text.parse().ok()?));
    columns.or_else(|| of_terminal(output)).unwrap_or(USUAL_WIDTH)
}

/// Whether this process may draw on a terminal: another job has it while this one is in the background. A terminal that
/// knows no jobs of ours is drawn on.
pub(super) fn is_ours(terminal: &impl AsFd) -> bool {
    tcgetpgrp(terminal).map_or(true, |foreground| foreground == getpgrp())
}

fn of_terminal(terminal: &impl AsFd) -> Option<usize> {
    plausible(tcgetwinsize(terminal).ok()?.ws_col.into())
}

/// A terminal of no columns does not know its width.
fn plausible(columns: usize) -> Option<usize> {
    (columns > 0).then(|| columns.min(MAX_WIDTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_is_at_least_one_column_and_at_most_a_thousand() {
        assert_eq!(plausible(100), Some(100));
        assert_eq!(plausible(0), None);
        assert_eq!(plausible(99_999_999), Some(MAX_WIDTH));
    }

    #[test]
    fn what_is_no_terminal_has_no_width_of_its_own() {
        assert_eq!(of_terminal(&std::fs::File::open("/dev/null").unwrap()), None);
    }
}
