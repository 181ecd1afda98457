//! Verify: checks every copy.

use crate::cli::FAILED;
use crate::cli::command::{Action, Call, Command};
use crate::cli::json;
use crate::cli::options::{JSON, LIMIT, READ, RECURSIVE};
use crate::cli::session::Session;
use crate::cli::text::{counted, grouped};
use crate::cli::units;
use crate::client::{ClientError, Problem, VerifySummary};

pub(super) const COMMAND: Command = Command {
    name: "Verify",
    elsewhere: &["fsck"],
    forms: &[("Verify [FOLDER]", "check every copy")],
    options: &[
        (&RECURSIVE, "everything below the folder"),
        (&READ, "also fetch and check the bytes: all of them, or a random part such as 5%"),
        (&LIMIT, LIMIT.means),
        (&JSON, "one JSON object for each problem"),
    ],
    details: "Each server hashes every byte of its copies; the client checks the seals. This believes a server that says \
              that its copy is good. With --read the client fetches and checks every copy; with --read=5% it does so with \
              a random 5% of the chunks of each copy, at least one. Each problem is a line, and if there is one, the exit \
              status is 1. If there is none, but so many servers did not answer that they alone may know of files, deletes \
              or damage, it is 4. FOLDER may also be the name of a single file, or a pattern.",
    examples: &["Verify -r", "Verify", "Verify --read=5% -r", "Verify holiday"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let (console, options) = (session.console, &call.options);
    let mut verified = VerifySummary::default();
    for folder in session.folders(call.optional())? {
        verified += session.client.verify(&folder, options.recursive, options.read, |problem| {
            if options.json { console.result(&problem_json(problem)) } else { console.result(problem) }
        })?;
    }
    let files = counted(verified.files, "file");
    let copies = match options.read {
        None => format!("{} copies checked", grouped(verified.copies)),
        Some(_) => {
            let read = units::bytes(verified.read as f64);
            format!("{} copies checked, {read} read", grouped(verified.copies))
        }
    };
    if verified.problems > 0 {
        let have = if verified.bad == 1 { "has" } else { "have" };
        let problems = counted(verified.problems, "problem");
        let what = format!("{} of {files} {have} problems ({problems}, {copies})", grouped(verified.bad));
        console.error(&what, Some(verified.hint().into()));
        return Ok(session.unless_unseen(FAILED, verified.unseen));
    }
    let in_what = if verified.unseen.is_empty() { "" } else { " in what could be checked" };
    console.done(&format!("no problems{in_what}: {files}, {copies}"));
    Ok(session.unless_unseen(0, verified.unseen))
}

/// A problem; `server` and `piece` are null if it is not about one.
fn problem_json(problem: &Problem) -> String {
    json::object([
        ("name", json::text(problem.path.as_str())),
        ("server", json::or_null(problem.server.as_ref().map(|name| json::text(name.as_str())))),
        ("piece", json::or_null(problem.piece)),
        ("problem", json::text(&problem.what.to_string())),
    ])
}
