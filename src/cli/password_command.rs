//! PasswordCommand: a program that prints the password.

use std::fmt;
use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};

use zeroize::Zeroizing;

use super::words::{self, BadLine};
use crate::config::{Config, MAX_PASSWORD};

/// Most bytes that the program may print: a password, and perhaps notes after it.
const MAX_OUTPUT: usize = 64 * 1024;

/// Why a program gave no password, with its name if it has one.
#[derive(Debug)]
pub(super) enum NotPrinted {
    /// The words cannot be split.
    Words(BadLine),
    /// It cannot be run.
    Start(String, io::Error),
    /// Its output cannot be read, or it cannot be waited for.
    Output(String, io::Error),
    /// It failed.
    Failed(String, ExitStatus),
    /// It printed more than [`MAX_OUTPUT`].
    TooMuch(String),
    /// Nothing, or an empty first line.
    Empty(String),
    /// A first line that is no password.
    Form(String),
}

impl fmt::Display for NotPrinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotPrinted::Words(why) => write!(f, "{why}"),
            NotPrinted::Start(program, error) => write!(f, "cannot run '{program}' ({error})"),
            NotPrinted::Output(program, error) => write!(f, "cannot read what '{program}' prints ({error})"),
            NotPrinted::Failed(program, status) => write!(f, "'{program}' failed ({status})"),
            NotPrinted::TooMuch(program) => write!(f, "'{program}' printed more than {MAX_OUTPUT} bytes"),
            NotPrinted::Empty(program) => write!(f, "'{program}' printed an empty first line, or nothing"),
            NotPrinted::Form(program) => write!(
                f,
                "the first line that '{program}' printed is no password: one has 1 to {MAX_PASSWORD} bytes of UTF-8 \
                 without control characters"
            ),
        }
    }
}

impl NotPrinted {
    /// What the user might do about it.
    pub(super) fn hint(&self) -> Option<String> {
        matches!(self, NotPrinted::Start(..)).then(|| {
            "PasswordCommand is a program and its arguments; for a line of shell, write sh -c '...'".into()
        })
    }
}

/// The first line that a program prints, without blanks around it. The program runs without a shell, and may ask on
/// `input` and standard error. Ctrl-C ends it, and this process too.
pub(super) fn run(command: &str, input: Stdio) -> Result<Zeroizing<String>, NotPrinted> {
    let words = words::split(command).map_err(NotPrinted::Words)?;
    let (program, arguments) = words.split_first().ok_or(NotPrinted::Words(BadLine::Quote))?;
    let start = |error| NotPrinted::Start(program.clone(), error);
    let mut command = Command::new(program);
    command.args(arguments).stdin(input).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(start)?;
    let output = |error| NotPrinted::Output(program.clone(), error);
    // One that grows would leave copies behind, which nobody wipes.
    let mut printed = Zeroizing::new(Vec::with_capacity(MAX_OUTPUT + 1));
    let read = match child.stdout.take() {
        Some(pipe) => pipe.take(MAX_OUTPUT as u64 + 1).read_to_end(&mut printed),
        None => Ok(0),
    };
    if read.is_err() || printed.len() > MAX_OUTPUT {
        // It may not end by itself.
        let _ = child.kill();
    }
    let status = child.wait().map_err(output)?;
    read.map_err(output)?;
    if printed.len() > MAX_OUTPUT {
        return Err(NotPrinted::TooMuch(program.clone()));
    }
    if !status.success() {
        return Err(NotPrinted::Failed(program.clone(), status));
    }
    let first = printed.split(|&byte| byte == b'\n').next().unwrap_or_default();
    match std::str::from_utf8(first).map(str::trim) {
        Ok("") => Err(NotPrinted::Empty(program.clone())),
        Ok(line) if Config::is_password(line) => Ok(line.to_owned().into()),
        _ => Err(NotPrinted::Form(program.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password_and_quotes_keep_words_together() {
        for (command, password) in [
            ("printf 'a b\\nnotes\\n'", "a b"),
            ("printf 'pw\\r\\n'", "pw"),
            ("sh -c 'echo \"$0\"' \"two  words\"", "two  words"),
            ("printf ' pw '", "pw"),
        ] {
            assert_eq!(*run(command, Stdio::null()).unwrap(), password, "{command}");
        }
    }

    #[test]
    fn what_is_no_password_is_refused_with_the_program_that_printed_it() {
        for (command, expected) in [
            ("true", "'true' printed an empty first line, or nothing"),
            ("echo", "'echo' printed an empty first line, or nothing"),
            ("false", "'false' failed (exit status: 1)"),
            ("sh -c 'echo pw; exit 3'", "'sh' failed (exit status: 3)"),
            ("sh -c 'kill -9 $$'", "'sh' failed (signal: 9 (SIGKILL))"),
            ("yes", "'yes' printed more than 65536 bytes"),
            ("printf '\\033[31mpw'", "the first line that 'printf' printed is no password"),
            ("printf '\\377'", "the first line that 'printf' printed is no password"),
            ("printf %01025d 0", "the first line that 'printf' printed is no password"),
            ("/nowhere/pass show", "cannot run '/nowhere/pass' (No such file"),
            ("echo 'pw", "unclosed quote"),
        ] {
            let error = run(command, Stdio::null()).err().unwrap_or_else(|| panic!("{command}"));
            assert!(error.to_string().starts_with(expected), "{command}: {error}");
        }
    }
}
