//! Commands from standard input: at a prompt, or from a pipe.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::path::Path;

use super::commands::{self, passwd};
use super::console::Console;
#[cfg(feature = "line-editing")]
use super::editor::{self, Editor};
use super::parse::{Parsed, UsageError, parse};
use super::session::Session;
use super::text::{NAMED, fold, hang, some};
use super::words::{self, BadLine, read_line};
use super::{INTERRUPTED, USAGE, help};
use crate::name::{ServerName, UserName, printable};

const PROMPT: &str = "ShareIt> ";
/// The terminal sends it for arrows and other editing keys.
const ESCAPE: char = '\u{1b}';
/// Begins a line that is for people alone.
const COMMENT: char = '#';

/// Runs commands to the end of the input. From a pipe the status is that of the first that failed; a person has seen
/// each failure, and leaves with 0.
pub(super) fn run(session: &mut Session<'_>) -> u8 {
    let console = session.console;
    let is_terminal = io::stdin().is_terminal();
    if is_terminal {
        greet(session);
    }
    // A line editor uses it too, for Tab, as long as no command runs.
    let session = RefCell::new(session);
    #[cfg(feature = "line-editing")]
    if let Some(mut editor) = Editor::new(&session) {
        editor::handle_interrupts(console.running(), session.borrow().client.stop());
        return run_all(&session, is_terminal, |afresh| editor.next(PROMPT, afresh));
    }
    run_all(&session, is_terminal, |_| {
        if is_terminal { ask(console) } else { read_line(&mut io::stdin().lock()) }
    })
}

/// A line from a terminal without a line editor.
fn ask(console: &Console) -> Option<Result<String, BadLine>> {
    console.prompt(PROMPT);
    let line = read_line(&mut io::stdin().lock());
    match line {
        // The shell's prompt must not follow ours.
        None => console.prompt("\n"),
        // The line is not what the user sees.
        Some(Ok(line)) if line.contains(ESCAPE) => return Some(Err(BadLine::EditingKey)),
        _ => {}
    }
    line
}

/// Ctrl-C has ended a command.
fn interrupted(session: &Session<'_>) -> u8 {
    let hint = match &session.pending {
        Some(journal) => passwd::will_continue(session, journal),
        None => "what is done is kept; the same command again does the rest".to_owned(),
    };
    session.console.error(&"interrupted", Some(hint));
    INTERRUPTED
}

/// Runs commands from wherever the lines come; see [`run`]. `next` is told to begin afresh if what came with the last
/// line may not be for us.
fn run_all(
    session: &RefCell<&mut Session<'_>>,
    is_terminal: bool,
    mut next: impl FnMut(bool) -> Option<Result<String, BadLine>>,
) -> u8 {
    let (mut status, mut number, mut afresh) = (0, 0, false);
    while let Some(line) = next(std::mem::take(&mut afresh)) {
        number += 1;
        let session = &mut **session.borrow_mut();
        let words = line.and_then(|line| match line.trim_start().starts_with(COMMENT) {
            true => Ok(Vec::new()),
            false => words::split(&line),
        });
        let parsed = match words {
            Ok(words) if words.is_empty() => continue,
            Ok(words) => parse(&words),
            Err(why) => Err(UsageError::Line(why)),
        };
        let result = match parsed {
            Ok(Parsed::Exit) => break,
            Ok(Parsed::Help(topic)) => {
                help::show(session.console, topic);
                0
            }
            Ok(Parsed::Call(call)) => {
                // It takes the next line for the password.
                number += usize::from(*call.command == passwd::COMMAND);
                session.console.set_options(&call.options);
                session.console.trace_command(&call.line());
                let status = commands::execute(session, &call);
                let was_interrupted = session.console.running().reset();
                // What was typed ahead of its questions may be a password: it is neither shown nor run.
                afresh = was_interrupted || *call.command == passwd::COMMAND;
                if was_interrupted { interrupted(session) } else { status }
            }
            Err(error) => {
                let place = if is_terminal { String::new() } else { format!(" (line {number})") };
                session.console.error(&format!("{error}{place}"), Some(error.hint()));
                USAGE
            }
        };
        if status == 0 {
            status = result;
        }
    }
    // What went wrong was shown where somebody saw it.
    if is_terminal { 0 } else { status }
}

fn greet(session: &Session<'_>) {
    let (client, width) = (&session.client, session.console.out_width());
    let lines = greeting(client.user(), &client.servers(), &session.dir, &session.downloads, width);
    // Where the prompt is: where the user looks.
    lines.iter().for_each(|line| session.console.prompt(&format!("{line}\n")));
    if !session.dir.is_dir() {
        session
            .console
            .warning(&format!("DIR is not a folder: '{}'; only Upload needs it", session.dir.display()));
    }
}

/// Who is logged in, which servers are up, and the commands to begin with.
fn greeting(
    user: &UserName,
    servers: &[(ServerName, Option<String>)],
    dir: &Path,
    downloads: &Path,
    width: usize,
) -> Vec<String> {
    let names = |up: bool| -> Vec<String> {
        servers.iter().filter(|(_, why)| why.is_none() == up).map(|(name, _)| name.to_string()).collect()
    };
    let (up, down) = (names(true), names(false));
    let servers = match (&up[..], &down[..]) {
        (up, []) if up.len() > NAMED => format!("All {} servers are up.", up.len()),
        (up, []) => format!("Servers up: {}.", up.join(", ")),
        (up, down) if up.len() > NAMED => {
            format!("{} of {} servers are up; down: {}.", up.len(), servers.len(), some(down, NAMED))
        }
        (up, down) => format!("Servers up: {}; down: {}.", up.join(", "), some(down, NAMED)),
    };
    let mut lines = fold(&format!("Welcome {user}. {servers}"), width);
    let commands = [
        ("ShowFiles", "lists what is stored".to_owned()),
        ("Upload FILE", format!("stores a file from {}", folder(dir))),
        ("Download FILE", format!("gets it back, to {}", folder(downloads))),
        ("Help", "shows all commands; Exit leaves".to_owned()),
    ];
    lines.extend(commands.iter().flat_map(|(command, does)| hang(&format!("  {command}"), 17, does, width)));
    lines
}

fn folder(path: &Path) -> String {
    let text = printable(&path.to_string_lossy()).to_string();
    if text.ends_with('/') { text } else { format!("{text}/") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::text::columns;

    fn greet(servers: usize, down: &[usize], width: usize) -> Vec<String> {
        let user = UserName::parse("Aditi").unwrap();
        let server = |n: usize| {
            let why = down.contains(&n).then(|| "refused the connection".to_owned());
            (ServerName::parse(&format!("Server{n}")).unwrap(), why)
        };
        let servers: Vec<_> = (1..=servers).map(server).collect();
        greeting(&user, &servers, Path::new("TestFiles"), Path::new("Downloads/Aditi"), width)
    }

    #[test]
    fn the_greeting_says_who_which_servers_and_how_to_begin() {
        let lines = greet(4, &[], 80);
        assert_eq!(lines[0], "Welcome Aditi. Servers up: Server1, Server2, Server3, Server4.");
        assert_eq!(lines[2], "  Upload FILE    stores a file from TestFiles/");
        assert_eq!(lines[3], "  Download FILE  gets it back, to Downloads/Aditi/");
        let down = greet(4, &[2], 80);
        assert_eq!(down[0], "Welcome Aditi. Servers up: Server1, Server3, Server4; down: Server2.");
        assert_eq!(greet(64, &[], 80)[0], "Welcome Aditi. All 64 servers are up.");
        assert_eq!(greet(64, &[7], 80)[0], "Welcome Aditi. 63 of 64 servers are up; down: Server7.");
        for width in [25, 40, 60] {
            assert!(
                greet(4, &[2], width).iter().all(|line| columns(line) <= width),
                "{:#?}",
                greet(4, &[2], width)
            );
        }
    }
}
