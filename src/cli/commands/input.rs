//! `Upload -`: stores standard input.

use std::env;
use std::io;

use rustix::fs::Mode;
use rustix::process::umask;

use crate::cli::USAGE;
use crate::cli::arguments::parse_folder;
use crate::cli::command::Call;
use crate::cli::program::command_line;
use crate::cli::session::Session;
use crate::cli::tally::Tally;
use crate::client::{self, ClientError, Source};

const COMMAND: &str = "Upload";
/// Stands for standard input instead of a file's name.
pub(super) const INPUT: &str = "-";
/// What a program asks for when it makes a new file, of which the umask takes away.
const NEW_FILE: u16 = 0o666;

/// Stores standard input under the name after the dash.
pub(super) fn upload(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let console = session.console;
    let mistake = |what: &str, hint: &str| {
        console.error(&what, Some(hint.to_owned()));
        Ok(USAGE)
    };
    let [_, name] = &call.arguments[..] else {
        return mistake(
            "- is standard input, which needs one name",
            "usage: Upload - NAME; a file with the name - is ./-",
        );
    };
    if session.reads_commands {
        let (dir, conf) = (session.dir.to_string_lossy(), session.conf.to_string_lossy());
        let alone = command_line(&[&dir, &conf, COMMAND, INPUT, name]);
        let hint = format!("run it as a separate command: {alone}");
        return mistake("standard input is already used for commands", &hint);
    }
    let options = &call.options;
    if options.only_changed || options.delete || !options.exclude.is_empty() {
        return mistake("-u, --delete and --exclude are for files and folders", "usage: Upload - NAME");
    }
    let folder = parse_folder(options.to.as_deref())?;
    let target = folder.file(name).map_err(|why| ClientError::Name(name.clone(), why))?;
    let mut tally = Tally::of_upload([&target], 0, options.long).dry_run(options.dry_run).json(options.json);
    if options.dry_run {
        let line = tally.done(&target, None, "");
        session.tell(&tally, line);
        return Ok(0);
    }
    let input = client::spool(&mut io::stdin().lock(), &env::temp_dir(), mode_of_new_file())?;
    let source = Source::of_input(input, target.clone());
    for result in session.client.upload(&[source], false) {
        match result {
            Ok(file) => {
                if file.size == 0 {
                    console.warning(&format!("standard input was empty, and so is {}", file.path));
                }
                let line = tally.done(&file.path, Some(file.size), "");
                session.tell(&tally, line);
            }
            Err(error) => session.fail(&mut tally, &target, error),
        }
    }
    Ok(session.conclude(&tally, Vec::new()))
}

/// The permission bits that a new file would get here.
fn mode_of_new_file() -> u16 {
    // There is no other way to ask, and no other thread makes a file in between.
    let mask = umask(Mode::RWXG | Mode::RWXO);
    umask(mask);
    NEW_FILE & !u16::try_from(mask.as_raw_mode()).unwrap_or(0)
}
