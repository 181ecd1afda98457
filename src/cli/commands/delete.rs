//! Delete: deletes files.

use crate::cli::FAILED;
use crate::cli::arguments::{ALL, join, parse_folder};
use crate::cli::command::{Action, Call, Command};
use crate::cli::options::{DRY_RUN, JSON, RECURSIVE};
use crate::cli::session::{Session, Stored};
use crate::cli::tally::{AT_A_TIME, Deed, Tally};
use crate::cli::text::counted;
use crate::client::{ClientError, Found, Names};
use crate::name::FilePath;
use crate::pattern::may_be_a_name;

pub(super) const COMMAND: Command = Command {
    name: "Delete",
    elsewhere: &["del", "remove", "rm"],
    forms: &[("Delete FILE [FOLDER]", "delete; a folder with -r")],
    options: &[
        (&RECURSIVE, "a folder with everything below it"),
        (&DRY_RUN, "only show what would be done"),
        (&JSON, "one JSON object for each file"),
    ],
    details: "FILE may be a pattern with *, ?, [a-z] or ** for any number of folders. A server that is down now \
              gets the delete from a Repair once it is back. `Delete -r .` deletes everything you have; on a \
              terminal it asks first. A file that is uploaded under that name in the meantime is kept, and the exit \
              status is 1.",
    examples: &["Delete -r holiday", "Delete poem.txt", "Delete beach.jpg holiday", "Delete -n *.bak"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let (console, options) = (session.console, &call.options);
    let what = call.needed(0);
    let name = join(call.optional(), what)?;
    if may_be_a_name(&name)
        && let Err(error @ ClientError::OutOfSight(..)) = session.client.find(&name)
    {
        // It may still be there, and be what is meant.
        return Err(error);
    }
    let Stored { found, mut unseen, .. } = session.find(std::slice::from_ref(&name))?;
    let (mut files, mut folders) = (Names::default(), Vec::new());
    for (name, found) in found {
        match found {
            Found::File(file) => files.extend([file.path().clone()]),
            Found::Below(below) if options.recursive => {
                files.extend(below.files.iter());
                unseen.extend(below.unseen);
            }
            Found::Below(_) => folders.push(name),
        }
    }
    // As rm does, the files that a pattern matches are deleted, and its folders are named.
    if files.is_empty()
        && let [folder] = &folders[..]
    {
        if folder == ALL {
            let hint = "add -r to delete all of it".into();
            console.error(&"'.' means everything you have stored", Some(hint));
            return Ok(FAILED);
        }
        return Err(ClientError::IsFolder(parse_folder(Some(folder))?));
    }
    let count = files.iter().filter(|path| !path.is_of_folder()).count();
    if session.is_no_folder(what, &name, &files)
        || (name == ALL
            && !options.dry_run
            && !session.may(&format!("delete all {}?", counted(count, "file")), "nothing was deleted"))
    {
        return Ok(FAILED);
    }
    let mut tally = Tally::of(Deed::Delete, files.iter()).dry_run(options.dry_run).json(options.json);
    for folder in folders {
        let error = ClientError::IsFolder(parse_folder(Some(&folder))?);
        tally.refused(session.refuse(&folder, error));
    }
    console.expect_files(files.len());
    delete(session, &files, &mut tally);
    Ok(session.conclude(&tally, unseen))
}

/// Deletes files, or only says so, and reports what came of each.
fn delete(session: &mut Session<'_>, files: &Names, tally: &mut Tally) {
    for files in files.batches(AT_A_TIME) {
        let results = match tally.is_dry_run() {
            true => files.iter().cloned().map(Ok).collect(),
            false => session.client.delete(&files),
        };
        tell_deleted(session, tally, files.iter().zip(results));
    }
}

/// Reports what came of each file.
pub(super) fn tell_deleted<'a>(
    session: &mut Session<'_>,
    tally: &mut Tally,
    results: impl IntoIterator<Item = (&'a FilePath, Result<FilePath, ClientError>)>,
) {
    for (path, result) in results {
        match result {
            Ok(path) => {
                let line = tally.done(&path, None, "");
                session.tell(tally, line);
            }
            Err(error) => session.fail(tally, path, error),
        }
    }
}
