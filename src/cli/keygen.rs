//! `keygen`: a key, as a line of a .conf and for paper.

use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Read};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::console::Console;
use super::paper::{self, PaperError};
use super::program::{self, command_line};
use super::{FAILED, USAGE, conf};
use crate::primitives;
use crate::text::{hex, utc_text};

const PAPER: &str = "--paper";
const FROM_PAPER: &str = "--from-paper";
/// Most bytes that are read of a key on paper, with whatever was printed around it.
const MAX_TYPED: usize = 64 * 1024;

/// Runs `keygen` with these arguments.
pub(super) fn run(console: &Console, arguments: &[&str]) -> ExitCode {
    match arguments {
        [] => new(console, false),
        [PAPER] => new(console, true),
        [PAPER, conf] => of_conf(console, conf),
        [FROM_PAPER] => from_paper(console),
        _ => console.usage(&format!("keygen takes nothing, {PAPER} [CONF] or {FROM_PAPER}"), None),
    }
}

fn new(console: &Console, on_paper: bool) -> ExitCode {
    match primitives::random::<32>() {
        Ok(key) => {
            let key = Zeroizing::new(key);
            if on_paper {
                print_paper(console, &key);
            }
            print_line(console, &key);
            ExitCode::SUCCESS
        }
        Err(error) => failed(console, &format!("cannot get random bytes from the system ({error})")),
    }
}

fn of_conf(console: &Console, conf: &str) -> ExitCode {
    let no_key = || {
        let hint = format!(
            "`{}` prints one; files stored without it do not open with it",
            command_line(&["keygen"])
        );
        (format!("{conf}: there is no 'Key' line"), Some(hint))
    };
    let file = conf::read(conf).map(|(file, _)| file);
    match file.and_then(|file| file.key().map(|key| print_paper(console, key)).ok_or_else(no_key)) {
        Ok(()) => ExitCode::SUCCESS,
        Err((what, hint)) => {
            console.error(&what, hint);
            ExitCode::from(USAGE)
        }
    }
}

fn from_paper(console: &Console) -> ExitCode {
    let stdin = io::stdin();
    let by_hand = stdin.is_terminal();
    if by_hand {
        console.prompt(&format!("Type the {} lines of the key:\n", paper::LINES));
    }
    // One that grows would leave copies behind, which nobody wipes.
    let mut typed = Zeroizing::new(String::with_capacity(MAX_TYPED + 1));
    match read_lines(&mut stdin.lock(), &mut typed, by_hand) {
        Err(error) => return failed(console, &format!("cannot read standard input ({error})")),
        Ok(()) if typed.len() > MAX_TYPED => {
            return failed(console, &format!("standard input has more than {MAX_TYPED} bytes"));
        }
        Ok(()) => {}
    }
    match paper::decode(&typed) {
        Ok(key) => {
            print_line(console, &key);
            ExitCode::SUCCESS
        }
        Err(why) => failed(console, &format!("not a key on paper: {why}")),
    }
}

/// Reads to the end, or until it is clear what it is: nobody has to know about Ctrl-D.
fn read_lines(input: &mut impl BufRead, typed: &mut String, by_hand: bool) -> io::Result<()> {
    let mut input = input.take(MAX_TYPED as u64 + 1);
    while input.read_line(typed)? > 0 {
        match paper::decode(typed) {
            // Four lines of another length may be the beginning of more lines, but not by hand.
            Err(PaperError::Length(..)) if !by_hand => {}
            Err(PaperError::Total(characters)) if characters < paper::CHARACTERS => {}
            _ => break,
        }
    }
    Ok(())
}

fn print_line(console: &Console, key: &[u8; 32]) {
    console.result(&*Zeroizing::new(format!("Key {}", *Zeroizing::new(hex(key)))));
}

fn print_paper(console: &Console, key: &[u8; 32]) {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let now = utc_text(i64::try_from(seconds).unwrap_or(0));
    let date = now.split('T').next().unwrap_or(&now);
    // Its path here and now is of no use on paper.
    let name = program::name();
    for line in [
        &format!("ShareIt key, printed on {date}."),
        "It opens your files, and without it or another copy nothing does: keep it",
        "safe, and away from the servers. To make it a line of a .conf again, run",
        &format!("`{name} keygen {FROM_PAPER}` and type these four lines:"),
    ] {
        console.result(&format_args!("# {line}"));
    }
    console.result(&"");
    for line in paper::encode(key) {
        console.result(&format_args!("    {}", *line));
    }
    console.result(&"");
}

fn failed(console: &Console, what: &dyn Display) -> ExitCode {
    console.error(what, None);
    ExitCode::from(FAILED)
}
