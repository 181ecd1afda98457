//! Commands from standard input: at a prompt, or from a pipe.

use std::io::{self, IsTerminal};
use std::path::Path;

use super::commands::{self, passwd};
use super::parse::{Parsed, UsageError, parse};
use super::session::Session;
use super::text::{NAMED, fold, hang, some};
use super::words::{self, BadLine, read_line};
use super::{USAGE, help};
use crate::name::{ServerName, UserName, printable};

const PROMPT: &str = "ShareIt> ";
/// The terminal sends it for arrows and other editing keys.
const ESCAPE: char = '\u{1b}';
/// Begins a line that is for people alone.
const COMMENT: char = '#';

/// Runs commands to the end of the input; the status is that of the first that failed.
pub(super) fn run(session: &mut Session<'_>) -> u8 {
    let stdin = io::stdin();
    let interactive = stdin.is_terminal();
    if interactive {
        greet(session);
    }
    let (mut status, mut number) = (0, 0);
    loop {
        if interactive {
            session.console.prompt(PROMPT);
        }
        number += 1;
        let Some(line) = read_line(&mut stdin.lock()) else {
            if interactive {
                // The shell's prompt must not follow ours.
                session.console.prompt("\n");
            }
            break;
        };
        let words = line.and_then(|line| match line.contains(ESCAPE) {
            // The line is not what the user sees.
            true if interactive => Err(BadLine::EditingKey),
            _ if line.trim_start().starts_with(COMMENT) => Ok(Vec::new()),
            _ => words::split(&line),
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
                commands::execute(session, &call)
            }
            Err(error) => {
                let place = if interactive { String::new() } else { format!(" (line {number})") };
                session.console.error(&format!("{error}{place}"), Some(error.hint()));
                USAGE
            }
        };
        if status == 0 {
            status = result;
        }
    }
    status
}

fn greet(session: &Session<'_>) {
    let (client, width) = (&session.client, session.console.out_width());
    let lines = greeting(client.user(), &client.servers(), &session.dir, &session.downloads, width);
    // Where the prompt is: where the user looks.
    lines.iter().for_each(|line| session.console.prompt(&format!("{line}\n")));
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
