//! The prompt: what greets, and what is typed.

use std::io::{BufRead, Read};
use std::path::Path;

use super::command::UsageError;
use super::text::{fold, hang, some};
use crate::name::{MAX_PATH, ServerName, UserName, printable};

/// What stands before a command that is typed.
pub(super) const PROMPT: &str = "ShareIt> ";
/// Longest line of the prompt, in bytes: two quoted paths fit.
const MAX_COMMAND: usize = 4 * MAX_PATH + 1024;
/// With more servers than this it is the number that counts, not the names.
const NAMED: usize = 8;

/// Who is logged in, who is up, and the three commands with which one begins.
pub(super) fn greeting(
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

/// The next line; `None` at the end of input. A line that is too long or not UTF-8 is one mistake,
/// not the end.
pub(super) fn read_command(input: &mut impl BufRead) -> Option<Result<String, UsageError>> {
    let mut line = Vec::new();
    match input.take(MAX_COMMAND as u64).read_until(b'\n', &mut line) {
        Ok(0) | Err(_) => return None,
        Ok(_) => {}
    }
    let whole = line.ends_with(b"\n") || line.len() < MAX_COMMAND;
    if !whole {
        skip_line(input);
        return Some(Err(UsageError::TooLong));
    }
    Some(String::from_utf8(line).map_err(|_| UsageError::NotUtf8))
}

fn skip_line(input: &mut impl BufRead) {
    loop {
        let Ok(buffer) = input.fill_buf() else { return };
        if buffer.is_empty() {
            return;
        }
        let end = buffer.iter().position(|&b| b == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if end.is_some() {
            return;
        }
    }
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

    #[test]
    fn a_line_that_is_too_long_is_one_mistake() {
        let long = format!("{}\nStatus\n", "x".repeat(MAX_COMMAND + 5));
        let mut input = long.as_bytes();
        assert_eq!(read_command(&mut input), Some(Err(UsageError::TooLong)));
        assert_eq!(read_command(&mut input), Some(Ok("Status\n".into())));
        assert_eq!(read_command(&mut input), None);
    }
}
