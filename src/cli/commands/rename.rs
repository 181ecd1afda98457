//! Move: gives a file or folder another name.

use crate::cli::FAILED;
use crate::cli::arguments::{parse_file, parse_folder, without_slash};
use crate::cli::command::{Action, Call, Command};
use crate::cli::hints::did_you_mean;
use crate::cli::session::Session;
use crate::cli::tally::Tally;
use crate::cli::words::quoted;
use crate::client::{ClientError, Files, FolderMove, Shown};
use crate::name::FilePath;

pub(super) const COMMAND: Command = Command {
    name: "Move",
    elsewhere: &["mv", "rename"],
    forms: &[("Move OLD NEW", "rename a file or folder")],
    details: "The bytes do not travel again. What exists is never replaced. At least as many servers must be up as there \
              should be copies. Of a folder, what cannot be moved stays where it is, and the exit status is 1; so it is \
              if an old name is uploaded again in the meantime: the newer version is kept. To finish a Move that was \
              interrupted, run it again.",
    examples: &["Move a.txt papers/b.txt", "Move holiday trips/crete"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let (old, new) = (call.needed(0), call.needed(1));
    let (from, to) = (parse_file(without_slash(old))?, parse_file(without_slash(new))?);
    let moved = match (parse_file(old), parse_file(new)) {
        (Ok(_), Ok(_)) => session.client.rename(&from, &to),
        // Written as ShowFiles shows a folder.
        _ if is_folder(session, &from) => Err(ClientError::NotFound(from.as_str().to_owned())),
        (Err(error), _) => return Err(error),
        (_, Err(error)) => return Ok(into_folder(session, &from, &to, &error)),
    };
    match moved {
        Err(ClientError::NotFound(_) | ClientError::OutOfSight(..)) if is_folder(session, &from) => {
            return move_folder(session, &from, &to);
        }
        Err(error @ ClientError::Conflict(_)) if is_folder(session, &to) => {
            return Ok(into_folder(session, &from, &to, &error));
        }
        moved => moved?,
    }
    session.console.done(&format!("moved {from} to {to}"));
    Ok(0)
}

fn move_folder(session: &mut Session<'_>, from: &FilePath, to: &FilePath) -> Result<u8, ClientError> {
    let (old, new) = (parse_folder(Some(from.as_str()))?, parse_folder(Some(to.as_str()))?);
    let Files { files, unseen } = match session.client.find_to_move(&old, &new) {
        Err(error @ ClientError::Exists(_)) if from != to && is_folder(session, to) => {
            return Ok(into_folder(session, from, to, &error));
        }
        files => files?,
    };
    let mut tally = Tally::of("moved", files.iter());
    session.console.expect_files(files.len());
    let mut moving = FolderMove::new(&old, &new, files);
    while let Some(results) = session.client.move_next(&mut moving) {
        for (path, result) in results {
            match result {
                Ok(place) => session.done(tally.done(&path, None, &format!(" to {place}"))),
                Err(error) => session.fail(&mut tally, error),
            }
        }
    }
    Ok(session.conclude(&tally, unseen))
}

/// The new name is a folder's: it may have been meant as the place for the old one. The exit status.
fn into_folder(session: &Session<'_>, from: &FilePath, to: &FilePath, error: &ClientError) -> u8 {
    let name = format!("{to}/{}", from.file_name(), to = to.as_str());
    let hint = Some(did_you_mean(&quoted(&name))).filter(|_| name != from.as_str());
    session.console.error(error, hint);
    FAILED
}

/// Whether the servers have a folder of this name.
fn is_folder(session: &mut Session<'_>, path: &FilePath) -> bool {
    let is_it = |shown: &Shown| matches!(shown, Shown::Folder(name) if name.as_str() == path.file_name());
    session.client.show(&path.folder()).is_ok_and(|listing| listing.entries.iter().any(is_it))
}
