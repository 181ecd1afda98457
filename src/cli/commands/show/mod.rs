//! ShowFiles: lists a folder.

mod cells;
mod legend;
mod lines;
mod table;

use crate::cli::arguments::parse_folder;
use crate::cli::command::{Action, Call, Command};
use crate::cli::options::{JSON, LONG, RECURSIVE};
use crate::cli::session::Session;
use crate::cli::text::and;
use crate::client::{ClientError, ShownFolder};
use crate::pattern::is_pattern;

pub(super) const COMMAND: Command = Command {
    name: "ShowFiles",
    aliases: &["Show_files"],
    elsewhere: &["dir", "list", "ls", "show"],
    forms: &[("ShowFiles [FOLDER]", "list what is stored")],
    options: &[
        (&RECURSIVE, "everything below it, and a last line with the totals"),
        (&LONG, "all columns, even into a pipe; exact sizes and times"),
        (&JSON, "one JSON object per line"),
    ],
    details: "On a terminal the table shows for each server which pieces it holds: 1--4 is the first and the fourth of a \
              file's four pieces. [degraded] marks a file with fewer copies than asked for, [incomplete] one that cannot \
              be rebuilt now. With parity, [degraded] 1 or 0 says how many more servers may be lost. A file that \
              needs another password or Key line is marked [other key] if you name the file itself; a folder's list \
              is not sealed and seldom shows it. A pipe gets only the names and these marks. FOLDER may also be a \
              single file, or a pattern with *, ?, [a-z] or **. Show_files is the same command.",
    examples: &["ShowFiles holiday", "ShowFiles", "ShowFiles -r", "ShowFiles *.txt"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let (console, options) = (session.console, &call.options);
    let name = call.optional();
    let shown = match session.client.show(&parse_folder(name)?, options.recursive) {
        Err(ClientError::NotFound(name) | ClientError::OutOfSight(name, _)) if is_pattern(&name) => {
            session.client.show_matching(&name, options.recursive)
        }
        shown => shown,
    };
    let ShownFolder { entries, unseen } = shown?;
    console.end_work();
    if !unseen.is_empty() {
        let names: Vec<_> = unseen.iter().map(|(server, _)| server.to_string()).collect();
        console.warning(&format!("files that only {} may have are not listed", and(&names, usize::MAX)));
    }
    if options.json {
        entries.iter().for_each(|entry| console.result(&lines::json(entry)));
    } else if !console.out_is_terminal() && options.long {
        console.results(&lines::long(&entries));
    } else if !console.out_is_terminal() {
        entries.iter().for_each(|entry| console.result(&lines::short(entry)));
    } else if !entries.is_empty() {
        console.results(&table::table(&entries, console.view(options.long)));
    } else if unseen.is_empty() {
        console.done(&"nothing is stored here; Upload stores a file");
    } else {
        console.done(&"nothing was found here on the servers that answered");
    }
    if options.recursive && options.json {
        console.result(&lines::totals_json(&entries));
    } else if options.recursive && !options.quiet {
        console.result(&lines::totals(&entries));
    }
    Ok(0)
}
