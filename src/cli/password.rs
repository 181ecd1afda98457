//! Passwords that are typed, or come from a pipe: one line, not shown where it is typed; a new one is typed twice.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::exit;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use zeroize::Zeroizing;

use super::INTERRUPTED;
use crate::config::{Config, MAX_PASSWORD};

/// What Ctrl-C sends if it does not interrupt.
const CTRL_C: u8 = 3;

/// Why there is no password.
#[derive(Debug)]
pub(super) enum NoPassword {
    /// Standard input, or the terminal, cannot be read.
    Input(io::Error),
    /// There is no terminal to ask.
    NoTerminal,
    /// An empty line, or none.
    Empty,
    /// One that a .conf or Users.conf cannot contain.
    Form,
    /// The second one that was typed differs from the first.
    Differ,
}

impl fmt::Display for NoPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoPassword::Input(error) => write!(f, "cannot read a password ({error})"),
            NoPassword::NoTerminal => f.write_str("there is no terminal to ask"),
            NoPassword::Empty => f.write_str("the password is empty"),
            NoPassword::Form => write!(
                f,
                "a password has 1 to {MAX_PASSWORD} bytes, no control characters, and no spaces at its ends"
            ),
            NoPassword::Differ => f.write_str("the passwords do not match; nothing was changed"),
        }
    }
}

/// Reads a new password; on a terminal asks for it twice, without echo. Ctrl-C ends the process, after the terminal has
/// been restored.
pub(super) fn read_new(question: &str) -> Result<Zeroizing<String>, NoPassword> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return checked(read_line(&mut stdin.lock(), None).map_err(NoPassword::Input)?.unwrap_or_default());
    }
    // Hidden from beginning to end: what is typed between the two questions must not be seen either.
    let hidden = Hidden::begin(stdin.as_fd());
    let ask = |question: &str| ask(question, &mut stdin.lock(), &mut io::stderr());
    let typed = ask(question).and_then(|first| match first {
        None => Ok(None),
        Some(first) => {
            let first = checked(first)?;
            match ask("repeat the password")? {
                Some(second) if second != first => Err(NoPassword::Differ),
                second => Ok(second),
            }
        }
    });
    drop(hidden);
    typed?.map_or_else(|| exit(i32::from(INTERRUPTED)), Ok)
}

/// Asks for a password that exists, without echo: on the terminal of this process even if commands come from a pipe.
/// Ctrl-C ends the process, after the terminal has been restored.
pub(super) fn read_existing(question: &str) -> Result<Zeroizing<String>, NoPassword> {
    let terminal = terminal().ok_or(NoPassword::NoTerminal)?;
    let hidden = Hidden::begin(terminal.as_fd());
    let typed = ask(question, &mut BufReader::new(&terminal), &mut &terminal);
    drop(hidden);
    typed?.map_or_else(|| exit(i32::from(INTERRUPTED)), checked)
}

/// The terminal of this process, or else the one at standard input.
fn terminal() -> Option<File> {
    let controlling = OpenOptions::new().read(true).write(true).open("/dev/tty");
    controlling.ok().or_else(|| {
        let stdin = io::stdin();
        stdin.is_terminal().then(|| stdin.as_fd().try_clone_to_owned().ok().map(File::from)).flatten()
    })
}

/// The answer to a question; none for Ctrl-C.
fn ask(
    question: &str,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Result<Option<Zeroizing<String>>, NoPassword> {
    show(output, &format!("{question}: "));
    let typed = read_line(input, Some(CTRL_C));
    show(output, "\n");
    typed.map_err(NoPassword::Input)
}

/// A question that cannot be shown is still answered.
fn show(output: &mut impl Write, text: &str) {
    let _ = output.write_all(text.as_bytes());
}

fn checked(password: Zeroizing<String>) -> Result<Zeroizing<String>, NoPassword> {
    match &*password {
        empty if empty.is_empty() => Err(NoPassword::Empty),
        password if !Config::is_password(password) => Err(NoPassword::Form),
        _ => Ok(password),
    }
}

/// A line without its end; none if it contains the byte `stop`.
fn read_line(input: &mut impl BufRead, stop: Option<u8>) -> io::Result<Option<Zeroizing<String>>> {
    // One that grows would leave copies behind, which nobody wipes.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_PASSWORD + 2));
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|&byte| byte == b'\n' || Some(byte) == stop);
        let ended_by = end.map(|end| buffer[end]);
        let length = end.unwrap_or(buffer.len());
        // The rest of a line that is too long is read and discarded: it is not a command.
        let kept = length.min((MAX_PASSWORD + 2).saturating_sub(line.len()));
        line.extend_from_slice(&buffer[..kept]);
        input.consume(length + usize::from(end.is_some()));
        match ended_by {
            Some(b'\n') => break,
            Some(_) => return Ok(None),
            None if length == 0 => break,
            None => {}
        }
    }
    let password = std::str::from_utf8(&line).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some(password.strip_suffix('\r').unwrap_or(password).to_owned().into()))
}

/// A terminal that does not show what is typed until this is dropped.
///
/// Ctrl-C must not end the process in the meantime, or the shell would be left without echo, and a process without
/// `unsafe` cannot catch a signal. So the key sends a byte that ends the line instead of a signal (no ISIG, and VEOL): it
/// arrives at once, and the settings are restored first.
struct Hidden<'a> {
    terminal: BorrowedFd<'a>,
    settings: Option<Termios>,
}

impl<'a> Hidden<'a> {
    fn begin(terminal: BorrowedFd<'a>) -> Self {
        // If the terminal cannot be set, the password is shown as it is typed: that is not good, but it works.
        let settings = tcgetattr(terminal).ok();
        if let Some(settings) = &settings {
            let mut hidden = settings.clone();
            hidden.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
            hidden.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
            set(terminal, &hidden);
        }
        Self { terminal, settings }
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        if let Some(settings) = &self.settings {
            set(self.terminal, settings);
        }
    }
}

fn set(terminal: BorrowedFd<'_>, settings: &Termios) {
    // A terminal that cannot be set can still be read.
    let _ = tcsetattr(terminal, OptionalActions::Drain, settings);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut text: &[u8]) -> Option<Zeroizing<String>> {
        let password = read_line(&mut text, Some(CTRL_C)).unwrap();
        assert!(text.is_empty() || text == b"next", "{text:?}");
        password
    }

    #[test]
    fn a_password_is_one_line_without_its_end() {
        assert_eq!(*read(b"pass word\nnext").unwrap(), "pass word");
        assert_eq!(*read(b"password\r\n").unwrap(), "password");
        assert_eq!(*read(b"password").unwrap(), "password");
        assert_eq!(*read(b"").unwrap(), "");
    }

    #[test]
    fn nothing_of_a_line_that_is_too_long_is_left_over() {
        let line = [&[b'x'; 9 * MAX_PASSWORD][..], b"\nnext"].concat();
        assert_eq!(
            read(&line).unwrap().len(),
            MAX_PASSWORD + 2,
            "too long for a password, and refused as one"
        );
    }

    #[test]
    fn ctrl_c_discards_the_password() {
        assert_eq!(read(b"pass\x03next"), None);
        assert_eq!(*read_line(&mut &b"pass\x03word\n"[..], None).unwrap().unwrap(), "pass\x03word");
    }
}
