//! Delete: deletes files.

use std::io::{self, IsTerminal};

use crate::cli::FAILED;
use crate::cli::arguments::{ALL, join};
use crate::cli::command::{Action, Call, Command};
use crate::cli::console::Console;
use crate::cli::options::RECURSIVE;
use crate::cli::session::Session;
use crate::cli::tally::{AT_A_TIME, Tally};
use crate::cli::text::counted;
use crate::cli::words::read_line;
use crate::client::{ClientError, Files};

pub(super) const COMMAND: Command = Command {
    name: "Delete",
    elsewhere: &["del", "remove", "rm"],
    forms: &[("Delete FILE [FOLDER]", "delete; a folder with -r")],
    options: &[(&RECURSIVE, "a folder with everything below it")],
    details: "A server that is down now gets the delete from a Repair once it is back. `Delete -r .` deletes everything \
              you have; on a terminal it asks first. A file that is uploaded under that name in the meantime is kept, and \
              the exit status is 1.",
    examples: &["Delete -r holiday", "Delete poem.txt", "Delete beach.jpg holiday"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let what = call.needed(0);
    let name = join(call.optional(), what)?;
    let Files { files, unseen } = match session.client.find_to_delete(&name, call.options.recursive) {
        Err(ClientError::IsFolder(folder)) if folder.is_root() => {
            let hint = "add -r to delete all of it".into();
            session.console.error(&"'.' means everything you have stored", Some(hint));
            return Ok(FAILED);
        }
        files => files?,
    };
    let no_folder = session.is_no_folder(what, &name, &files);
    let count = files.iter().filter(|path| !path.is_of_folder()).count();
    if no_folder || (name == ALL && !may_delete_all(session.console, count)) {
        return Ok(FAILED);
    }
    let mut tally = Tally::of("deleted", files.iter());
    session.console.expect_files(files.len());
    for files in files.batches(AT_A_TIME) {
        for result in session.client.delete(&files) {
            match result {
                Ok(path) => session.done(tally.done(&path, None, "")),
                Err(error) => session.fail(&mut tally, error),
            }
        }
    }
    Ok(session.conclude(&tally, unseen))
}

/// Asks the user at a terminal: `Delete -r .` is one word more or less than a harmless command.
fn may_delete_all(console: &Console, files: usize) -> bool {
    if !io::stdin().is_terminal() || !console.err_is_terminal() {
        return true;
    }
    console.end_work();
    console.prompt(&format!("delete all {}? [y/N] ", counted(files, "file")));
    let answer = read_line(&mut io::stdin().lock()).and_then(Result::ok).unwrap_or("\n".into());
    if !answer.ends_with('\n') {
        console.prompt("\n");
    }
    let yes = ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
    if yes {
        console.begin_work();
    } else {
        console.done(&"nothing was deleted");
    }
    yes
}
