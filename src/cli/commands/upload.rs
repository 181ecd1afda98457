//! Upload: stores files.

use crate::cli::arguments::parse_folder;
use crate::cli::command::{Action, Call, Command};
use crate::cli::journal::Journal;
use crate::cli::options::{FOLLOW, LIMIT, LONG, ONLY_CHANGED, RECURSIVE};
use crate::cli::session::Session;
use crate::cli::tally::{AT_A_TIME, Tally};
use crate::client::{self, ClientError, Selection};

pub(super) const COMMAND: Command = Command {
    name: "Upload",
    elsewhere: &["put"],
    forms: &[
        ("Upload FILE [FOLDER]", "store a file"),
        ("Upload DIRECTORY [FOLDER]", "store everything below it"),
    ],
    options: &[
        (
            &ONLY_CHANGED,
            "skip what is already stored with the same size, time and permissions and all its copies",
        ),
        (&FOLLOW, "follow links; otherwise they are stored as links"),
        (&LONG, "list every file, unchanged ones too, even into a pipe"),
        (&LIMIT, LIMIT.means),
        (&RECURSIVE, ""),
    ],
    details: "FILE is a path inside DIR, the client's first argument, or an absolute path. It is stored under the last \
              part of its path, in FOLDER on the servers if one is given; folders are created as needed. An older file of \
              that name is replaced in one step. A folder is stored with its links and empty folders, times and permission \
              bits. `Upload .` stores all of DIR. If something is left out, the last line says how much, and the exit \
              status is 1.",
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
    let journals = Journal::files(&session.conf);
    let from = Selection { dir: &session.dir, follow: call.options.follow, journals: &journals };
    let all = client::find(from, call.needed(0), &folder, session.console)?;
    session.console.expect_files(all.count());
    let mut tally = Tally::of_upload(all.names(), all.left_out, call.options.long);
    for sources in all.batches(AT_A_TIME) {
        for result in session.client.upload(&sources, call.options.only_changed) {
            let line = match result {
                Ok(file) if file.unchanged => tally.unchanged(&file.path),
                Ok(file) => tally.done(&file.path, Some(file.size), ""),
                Err(error) => {
                    session.fail(&mut tally, error);
                    None
                }
            };
            match line {
                Some(line) if call.options.long && !call.options.quiet => session.console.result(&line),
                line => session.done(line),
            }
        }
    }
    Ok(session.conclude(&tally, Vec::new()))
}
