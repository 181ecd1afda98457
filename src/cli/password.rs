//! A password from standard input: one line, not shown where it is typed.

use std::io::{self, BufRead, IsTerminal};
use std::process::{Command, Stdio};

use crate::config::MAX_PASSWORD;

/// Reads a password; on a terminal asks for it, without echo where `stty` is there to turn it off.
pub(super) fn read(question: &str) -> io::Result<String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return read_line(&mut stdin.lock());
    }
    eprint!("{question}: ");
    echo(false);
    let password = read_line(&mut stdin.lock());
    echo(true);
    eprintln!();
    password
}

fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    io::Read::take(input, MAX_PASSWORD as u64 + 2).read_line(&mut line)?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    Ok(password.to_owned())
}

fn echo(on: bool) {
    // Without stty the password is shown as it is typed, which is worse than nothing but works.
    let _ = Command::new("stty").arg(if on { "echo" } else { "-echo" }).stderr(Stdio::null()).status();
}
