//! Download: fetches files.

use crate::cli::FAILED;
use crate::cli::arguments::join;
use crate::cli::command::{Action, Call, Command};
use crate::cli::options::{LIMIT, RECURSIVE};
use crate::cli::session::Session;
use crate::cli::tally::{AT_A_TIME, Tally};
use crate::client::{ClientError, Downloaded, Files, Found, Names};
use crate::name::{FilePath, printable};

pub(super) const COMMAND: Command = Command {
    name: "Download",
    elsewhere: &["get"],
    forms: &[("Download FILE [FOLDER]", "get a file back"), ("Download FOLDER", "get everything below it")],
    options: &[(&RECURSIVE, ""), (&LIMIT, LIMIT.means)],
    details: "It goes to Downloads/USER/FOLDER/FILE in the folder where the client was started. An older download is \
              replaced in one step, and only by a file that is whole. Times and permissions come back as they were \
              stored; what exists is never given more permissions. A link below Downloads/USER is not followed. \
              `Download .` gets everything.",
    examples: &[
        "Download poem.txt",
        "Download holiday",
        "Download beach.jpg holiday",
        "Download holiday/beach.jpg",
        "Download .",
    ],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let what = call.needed(0);
    let name = join(call.optional(), what)?;
    let (mut looked, Files { files, unseen }) = match session.client.find(&name)? {
        Found::File(file) => {
            let path = file.path().clone();
            (Some(*file), Files { files: Names::from_iter([path]), unseen: Vec::new() })
        }
        Found::Below(files) => (None, files),
    };
    if session.is_no_folder(what, &name, &files) {
        return Ok(FAILED);
    }
    // Folders are made first, from the outermost inwards, and get their permission bits and times when everything in
    // them is there.
    let (mut folders, others): (Vec<_>, Vec<_>) = files.iter().partition(FilePath::is_of_folder);
    folders.sort_by_key(FilePath::folder);
    let files = [folders, others].concat();
    let mut made = Vec::new();
    session.console.expect_files(files.len());
    let mut tally = Tally::of("downloaded", &files);
    for files in files.chunks(AT_A_TIME) {
        let results = match looked.take() {
            Some(file) => vec![session.client.download_looked(file, &session.downloads)],
            None => session.client.download(files, &session.downloads),
        };
        for result in results {
            match result {
                Ok(Downloaded { folder: Some(folder), .. }) => made.push(folder),
                Ok(file) => {
                    let place = format!(" to {}", printable(&file.place.to_string_lossy()));
                    session.done(tally.done(&file.path, Some(file.size), &place));
                }
                Err(error) => session.fail(&mut tally, error),
            }
        }
    }
    for folder in made.into_iter().rev() {
        match session.client.finish_folder(&folder, &session.downloads) {
            Ok(()) => session.done(tally.done(folder.path(), None, "")),
            Err(error) => session.fail(&mut tally, error),
        }
    }
    Ok(session.conclude(&tally, unseen))
}
