//! Move: gives a file another name.

use crate::cli::FAILED;
use crate::cli::arguments::{parse_file, parse_folder, without_slash};
use crate::cli::command::{Action, Call, Command};
use crate::cli::hints::did_you_mean;
use crate::cli::json;
use crate::cli::options::JSON;
use crate::cli::session::Session;
use crate::cli::words::quoted;
use crate::client::{ClientError, Files, Found, Shown};
use crate::name::FilePath;

pub(super) const COMMAND: Command = Command {
    name: "Move",
    elsewhere: &["mv", "rename"],
    forms: &[("Move OLD NEW", "give a file another name")],
    details: "The bytes do not travel again. An existing file is never replaced; of folders, only empty ones can be moved. At \
              least as many servers must be up as the file should have copies. If the old name is uploaded again in the meantime, \
              the newer version is kept, and the exit status is 1. To finish a Move that was interrupted, run it again.",
    options: &[(&JSON, "a JSON object")],
    examples: &["Move a.txt papers/b.txt", "Move a.txt b.txt"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let (old, new) = (call.needed(0), call.needed(1));
    let (from, to) = (parse_file(without_slash(old))?, parse_file(without_slash(new))?);
    let into_folder = |session: &Session<'_>, error: &ClientError| {
        let name = format!("{}/{}", to.as_str(), from.file_name());
        session.console.error(error, Some(did_you_mean(&quoted(&name))));
        Ok(FAILED)
    };
    let moved = match (parse_file(old), parse_file(new)) {
        (Err(error), _) if !is_folder(session, &from) => return Err(error),
        (Err(_), _) => Err(ClientError::NotFound(from.as_str().to_owned())),
        (_, Err(error)) => return into_folder(session, &error),
        _ => session.client.rename(&from, &to),
    };
    match moved {
        Err(ClientError::NotFound(_) | ClientError::OutOfSight(..)) if is_folder(session, &from) => {
            if !is_empty(session, &from) {
                let error = format!(
                    "'{from}' is a folder with something in it; Move accepts files and empty folders"
                );
                session.console.error(&error, None);
                return Ok(FAILED);
            }
            // The same Move, interrupted, has left nothing but an entry.
            if is_folder(session, &to) && !is_empty(session, &to) {
                return Err(ClientError::Exists(to));
            }
            session.client.rename(&entry(&from)?, &entry(&to)?)?;
        }
        Err(error @ ClientError::Conflict(_)) if is_folder(session, &to) => {
            return into_folder(session, &error);
        }
        moved => moved?,
    }
    if call.options.json {
        let to = [("to", json::text(to.as_str()))];
        session.console.result(&json::fate(from.as_str(), "moved", true, to));
    }
    session.console.done(&format!("moved {from} to {to}"));
    Ok(0)
}

/// The entry of a folder.
fn entry(path: &FilePath) -> Result<FilePath, ClientError> {
    Ok(FilePath::of_folder(&parse_folder(Some(path.as_str()))?))
}

/// Whether a folder has an entry, and nothing in it.
fn is_empty(session: &mut Session<'_>, path: &FilePath) -> bool {
    let found = session.client.find(path.as_str());
    matches!(found, Ok(Found::Below(Files { files, .. })) if entry(path).is_ok_and(|entry| files.iter().eq([entry])))
}

/// Whether the servers have a folder of this name.
fn is_folder(session: &mut Session<'_>, path: &FilePath) -> bool {
    let is_it = |shown: &Shown| matches!(shown, Shown::Folder(name) if name.as_str() == path.file_name());
    session.client.show(&path.folder(), false).is_ok_and(|listing| listing.entries.iter().any(is_it))
}
