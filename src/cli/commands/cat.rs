//! Cat: writes files to standard output.

use std::io;

use crate::cli::FAILED;
use crate::cli::command::{Action, Call, Command};
use crate::cli::session::Session;
use crate::cli::words::quoted;
use crate::client::{ClientError, Found};
use crate::name::printable;

pub(super) const COMMAND: Command = Command {
    name: "Cat",
    elsewhere: &["type", "print", "dump"],
    forms: &[("Cat NAME...", "write files to standard output")],
    details: "The files follow one another, and no byte comes before it is verified. If one fails, the others are written, and \
              the exit status is that of the first failure. A terminal gets the bytes as they are: `Cat NAME | less` makes \
              control characters harmless. A link is not followed.",
    examples: &["Cat poem.txt", "Cat notes/2025.txt notes/2026.txt"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let mut status = 0;
    for name in &call.arguments {
        let written = match write(session, name) {
            Err(ClientError::Output(error)) => session.console.lose_results(&error),
            Err(error) => session.report(error, None),
            Ok(status) => status,
        };
        status = if status == 0 { written } else { status };
    }
    Ok(status)
}

/// Writes a file; the exit status.
fn write(session: &mut Session<'_>, name: &str) -> Result<u8, ClientError> {
    let Found::File(file) = session.client.find(name)? else {
        let hint = format!("ShowFiles {} lists what is in it", quoted(name));
        session.console.error(&format!("'{}' is a folder", printable(name)), Some(hint));
        return Ok(FAILED);
    };
    if !session.console.out_is_file() {
        // A line that is drawn and erased would take text with it, on a terminal or in a pager.
        session.console.end_work();
    }
    session.client.cat(*file, &mut io::stdout())?;
    Ok(0)
}
