//! ShowFiles: lists a folder.

mod cells;
mod legend;
mod lines;
mod table;

use crate::cli::arguments::parse_folder;
use crate::cli::command::{Action, Call, Command};
use crate::cli::options::{JSON, LONG};
use crate::cli::session::Session;
use crate::cli::text::and;
use crate::client::{ClientError, ShownFolder};

pub(super) const COMMAND: Command = Command {
    name: "ShowFiles",
    aliases: &["Show_files"],
    elsewhere: &["dir", "list", "ls", "show"],
    forms: &[("ShowFiles [FOLDER]", "list what is stored")],
    options: &[
        (&LONG, "all columns, even into a pipe; exact sizes and times"),
        (&JSON, "one JSON object per line"),
    ],
    details: "On a terminal the table shows for each server which pieces it holds: 1--4 is the first and the fourth of a \
              file's four pieces. [degraded] marks a file with fewer copies than asked for, [incomplete] one that cannot \
              be rebuilt now. A file that needs another password or Key line is marked [other key] if you name the file \
              itself; a folder's list is not sealed and seldom shows it. A pipe gets only the names and these marks. \
              Show_files is the same command.",
    examples: &["ShowFiles holiday", "ShowFiles", "ShowFiles poem.txt"],
    action: Action::Run(run),
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let (console, options) = (session.console, &call.options);
    let ShownFolder { entries, unseen } = session.client.show(&parse_folder(call.optional())?)?;
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
    Ok(0)
}
