//! Cat: writes files to standard output.

use std::io;
use std::slice;

use crate::cli::FAILED;
use crate::cli::command::{Action, Call, Command};
use crate::cli::options::LIMIT;
use crate::cli::session::{Session, Stored};
use crate::cli::words::quoted;
use crate::client::{ClientError, Found};
use crate::name::printable;

pub(super) const COMMAND: Command = Command {
    name: "Cat",
    elsewhere: &["type", "print", "dump"],
    forms: &[("Cat NAME...", "print files")],
    options: &[(&LIMIT, LIMIT.means)],
    details: "NAME may be a pattern with *, ?, [a-z] or ** for any number of folders. The files follow one another, and \
              no byte comes before it is verified. If one fails, the others are written, and the exit status is that of \
              the first failure. A terminal gets the bytes as they are: `Cat NAME | less` makes control characters \
              harmless. A link is not followed.",
    examples: &["Cat poem.txt", "Cat notes/2025.txt notes/2026.txt", "Cat logs/*.txt"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let mut status = 0;
    for name in &call.arguments {
        // One after another: they are written in this order, and as often as they are named.
        let written = match session.find(slice::from_ref(name)) {
            Err(error) => session.report(error, None),
            Ok(Stored { found, unseen, .. }) => {
                let written: Vec<u8> =
                    found.into_iter().map(|(name, found)| write(session, &name, found)).collect();
                let first = written.into_iter().find(|status| *status != 0).unwrap_or_default();
                session.unless_unseen(first, unseen)
            }
        };
        status = if status == 0 { written } else { status };
    }
    Ok(status)
}

/// Writes a file; the exit status.
fn write(session: &mut Session<'_>, name: &str, found: Found) -> u8 {
    let Found::File(file) = found else {
        let hint = format!("ShowFiles {} lists what is in it", quoted(name));
        session.console.error(&format!("'{}' is a folder", printable(name)), Some(hint));
        return FAILED;
    };
    if !session.console.out_is_file() {
        // A line that is drawn and erased would take text with it, on a terminal or in a pager.
        session.console.draw_nothing();
    }
    match session.client.cat(*file, &mut io::stdout()) {
        Ok(()) => 0,
        Err(ClientError::Output(error)) => session.console.lose_results(&error),
        Err(error) => session.report(error, None),
    }
}
