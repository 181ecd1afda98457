//! How wide a terminal is.
//!
//! The system call that tells (`ioctl`, TIOCGWINSZ) needs `unsafe` or one more crate. So the program
//! `stty` is asked, with the terminal as its standard input; it takes about a millisecond. `COLUMNS`
//! goes before it, as for other programs: who exports it means it. Where neither tells, it is 80.

use std::os::fd::AsFd;
use std::process::{Command, Stdio};

const USUAL_WIDTH: usize = 80;
/// A wider terminal is taken for one of this width: the width comes from outside, and lines are made of it.
const MAX_WIDTH: usize = 1000;

/// The width of the terminal that an output of this process is, in columns.
pub(super) fn width(output: &impl AsFd) -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| parse(&text));
    columns.or_else(|| from_stty(&ask_stty(output)?)).unwrap_or(USUAL_WIDTH)
}

fn ask_stty(terminal: &impl AsFd) -> Option<String> {
    let terminal = terminal.as_fd().try_clone_to_owned().ok()?;
    let output = Command::new("stty").arg("size").stdin(terminal).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

/// The second of the two numbers: rows and columns.
fn from_stty(size: &str) -> Option<usize> {
    parse(size.split_ascii_whitespace().nth(1)?)
}

/// A terminal of no columns is one that does not tell.
fn parse(number: &str) -> Option<usize> {
    number.parse().ok().filter(|&columns| columns > 0).map(|columns: usize| columns.min(MAX_WIDTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stty_tells_rows_and_columns() {
        assert_eq!(from_stty("24 100\n"), Some(100));
        assert_eq!(from_stty("0 0\n"), None);
        assert_eq!(from_stty(""), None);
        assert_eq!(from_stty("24 99999999\n"), Some(MAX_WIDTH));
    }

    #[test]
    fn what_is_no_terminal_has_the_usual_width() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(ask_stty(&file).as_deref().and_then(from_stty), None);
    }
}
