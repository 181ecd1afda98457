//! Upload: stores files.

use crate::cli::FAILED;
use crate::cli::arguments::parse_folder;
use crate::cli::command::{Action, Call, Command};
use crate::cli::options::{ONLY_CHANGED, RECURSIVE};
use crate::cli::session::Session;
use crate::cli::tally::{AT_A_TIME, Tally};
use crate::client::{self, ClientError};

pub(super) const COMMAND: Command = Command {
    name: "Upload",
    elsewhere: &["put"],
    forms: &[
        ("Upload FILE [FOLDER]", "store a file"),
        ("Upload DIRECTORY [FOLDER]", "store everything below it"),
    ],
    options: &[
        (&ONLY_CHANGED, "skip files already stored with the same size and time and all their copies"),
        (&RECURSIVE, ""),
    ],
    details: "FILE is a path inside DIR, the client's first argument, or an absolute path. It is stored under the last \
              part of its path, in FOLDER on the servers if one is given; folders are created as needed. An older file of \
              that name is replaced in one step. `Upload .` stores all of DIR.",
    examples: &[
        "Upload poem.txt papers",
        "Upload holiday",
        "Upload poem.txt",
        "Upload \"my notes.txt\" papers",
        "Upload /etc/hosts",
        "Upload -u .",
    ],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let folder = parse_folder(call.optional())?;
    let (sources, whole) = client::find(&session.dir, call.needed(0), &folder, session.console)?;
    session.console.expect_files(sources.len());
    let mut tally = Tally::of("uploaded", sources.len());
    if !whole {
        tally.status = FAILED;
    }
    for sources in sources.chunks(AT_A_TIME) {
        for result in session.client.upload(sources, call.options.only_changed) {
            match result {
                Ok(file) if file.unchanged => session.done(tally.unchanged(&file.path)),
                Ok(file) => session.done(tally.done(&file.path, Some(file.size), "")),
                Err(error) => session.fail(&mut tally, error),
            }
        }
    }
    Ok(session.conclude(&tally))
}
