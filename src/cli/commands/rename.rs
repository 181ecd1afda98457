//! Move: gives a file or folder another name.

use std::borrow::Borrow;

use crate::cli::FAILED;
use crate::cli::arguments::{outermost, parse_file, parse_folder, without_slash};
use crate::cli::command::{Action, Call, Command};
use crate::cli::hints::did_you_mean;
use crate::cli::options::{DRY_RUN, JSON};
use crate::cli::session::Session;
use crate::cli::tally::{Deed, Tally};
use crate::cli::text::counted;
use crate::cli::words::quoted;
use crate::client::{ClientError, Files, FolderMove, Found, Matches, Shown};
use crate::name::{FilePath, printable};
use crate::pattern::{is_pattern, may_be_a_name};

pub(super) const COMMAND: Command = Command {
    name: "Move",
    elsewhere: &["mv", "rename"],
    forms: &[("Move OLD NEW", "rename a file or folder")],
    options: &[(&DRY_RUN, "only show what would be done"), (&JSON, "one JSON object for each file")],
    details: "OLD may be a pattern; several names go to the folder NEW. The bytes do not travel again. What exists \
              is never replaced. At least as many servers must be up as there should be copies; with parity, two. Of a folder, what \
              cannot be moved stays where it is, and the exit status is 1; so it is if an old name is uploaded \
              again in the meantime: the newer version is kept. To finish a Move that was interrupted, run it \
              again.",
    examples: &["Move a.txt papers/b.txt", "Move holiday trips/crete"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let (old, new) = (call.needed(0), call.needed(1));
    if !is_pattern(old) {
        return rename(session, call, old, new);
    }
    match session.client.find(old) {
        Ok(_) => return rename(session, call, old, new),
        // Out of sight it may still be there, and be what is meant.
        Err(error @ ClientError::OutOfSight(..)) if may_be_a_name(old) => return Err(error),
        Err(ClientError::NotFound(_) | ClientError::OutOfSight(..)) => {}
        Err(error) => return Err(error),
    }
    let Matches { names, unseen } = session.client.matching(old)?;
    session.tell_of_match(old, &names);
    let names = outermost(names);
    let to = parse_folder(Some(new))?;
    if !to.is_root() && !is_folder(session, &parse_file(to.as_str())?) {
        if let [name] = &names[..] {
            let status = rename(session, call, name, new)?;
            return Ok(session.unless_unseen(status, unseen));
        }
        let many = counted(names.len(), "name");
        let error = format!("'{}' matches {many}, and '{}' is no folder", printable(old), printable(new));
        session.console.error(&error, Some("several names can be moved to a folder that exists".into()));
        return Ok(FAILED);
    }
    let mut status = 0;
    for name in names {
        let last = without_slash(&name).rsplit('/').next().unwrap_or(&name);
        let target = to.file(last).map_err(|why| ClientError::Name(format!("{new}/{last}"), why))?;
        let moved = rename(session, call, &name, target.as_str());
        let moved = moved.unwrap_or_else(|error| session.refuse(&name, error));
        status = if status == 0 { moved } else { status };
    }
    Ok(session.unless_unseen(status, unseen))
}

fn rename(session: &mut Session<'_>, call: &Call, old: &str, new: &str) -> Result<u8, ClientError> {
    let (from, to) = (parse_file(without_slash(old))?, parse_file(without_slash(new))?);
    let moved = match (parse_file(old), parse_file(new)) {
        (Ok(_), Ok(_)) if call.options.dry_run => may_rename(session, &from, &to),
        (Ok(_), Ok(_)) => session.client.rename(&from, &to),
        // Written as ShowFiles shows a folder.
        _ if is_folder(session, &from) => Err(ClientError::NotFound(from.as_str().to_owned())),
        (Err(error), _) => return Err(error),
        (_, Err(error)) => return Ok(into_folder(session, &from, &to, &error)),
    };
    match moved {
        Err(ClientError::NotFound(_) | ClientError::OutOfSight(..)) if is_folder(session, &from) => {
            return move_folder(session, call, &from, &to);
        }
        Err(error @ ClientError::Conflict(_)) if is_folder(session, &to) => {
            return Ok(into_folder(session, &from, &to, &error));
        }
        moved => moved?,
    }
    let mut tally = tally(call, [&from]);
    let line = tally.moved(&from, &to);
    session.tell(&tally, line);
    Ok(0)
}

fn tally(call: &Call, paths: impl IntoIterator<Item = impl Borrow<FilePath>>) -> Tally {
    Tally::of(Deed::Move, paths).dry_run(call.options.dry_run).json(call.options.json)
}

/// Whether a file could be renamed, as far as a look can tell.
fn may_rename(session: &mut Session<'_>, from: &FilePath, to: &FilePath) -> Result<(), ClientError> {
    match session.client.find(from.as_str())? {
        Found::Below(_) => return Err(ClientError::NotFound(from.as_str().to_owned())),
        Found::File(_) => {}
    }
    match session.client.find(to.as_str()) {
        Ok(Found::File(_)) => Err(ClientError::Exists(to.clone())),
        Ok(Found::Below(_)) => Err(ClientError::Conflict(to.clone())),
        Err(ClientError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn move_folder(
    session: &mut Session<'_>,
    call: &Call,
    from: &FilePath,
    to: &FilePath,
) -> Result<u8, ClientError> {
    let (old, new) = (parse_folder(Some(from.as_str()))?, parse_folder(Some(to.as_str()))?);
    let Files { files, unseen, .. } = match session.client.find_to_move(&old, &new) {
        Err(error @ ClientError::Exists(_)) if from != to && is_folder(session, to) => {
            return Ok(into_folder(session, from, to, &error));
        }
        files => files?,
    };
    let mut tally = tally(call, files.iter());
    if tally.is_dry_run() {
        for path in files.iter() {
            let place = old.relative(&path).and_then(|path| new.absolute(&path).ok());
            let line = place.and_then(|place| tally.moved(&path, &place));
            session.tell(&tally, line);
        }
        return Ok(session.conclude(&tally, unseen));
    }
    session.console.expect_files(files.len());
    let mut moving = FolderMove::new(&old, &new, files);
    while let Some(results) = session.client.move_next(&mut moving) {
        for (path, result) in results {
            match result {
                Ok(place) => {
                    let line = tally.moved(&path, &place);
                    session.tell(&tally, line);
                }
                Err(error) => session.fail(&mut tally, &path, error),
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
    session.client.show(&path.folder(), false).is_ok_and(|listing| listing.entries.iter().any(is_it))
}
