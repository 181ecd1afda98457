//! Repair: makes lost copies again.

use crate::cli::FAILED;
use crate::cli::command::{Action, Call, Command};
use crate::cli::json;
use crate::cli::options::{DRY_RUN, JSON, LIMIT, RECURSIVE};
use crate::cli::session::Session;
use crate::cli::text::counted;
use crate::client::{self, ClientError, NotRepaired, RepairSummary, Repaired};
use crate::name::ServerName;

pub(super) const COMMAND: Command = Command {
    name: "Repair",
    forms: &[("Repair [FOLDER]", "make lost copies again")],
    options: &[
        (&DRY_RUN, "only show what would be done"),
        (&LIMIT, LIMIT.means),
        (&JSON, "one JSON object for each step"),
        (&RECURSIVE, ""),
    ],
    details: "Everything below FOLDER gets the copies that were asked for. They are made from other copies, or \
              with parity of other pieces, without decrypting anything. FOLDER may also be the name of a single file, or a pattern.",
    examples: &["Repair -n", "Repair", "Repair holiday"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let (console, options) = (session.console, &call.options);
    let mut other_key = 0;
    let mut summary = RepairSummary::default();
    for folder in session.folders(call.optional())? {
        summary += session.client.repair(&folder, options.dry_run, |step| {
            other_key += usize::from(matches!(step, Repaired::Failed { why: NotRepaired::OtherKey, .. }));
            if options.json {
                console.result(&step_json(step, options.dry_run));
            } else if options.dry_run && !options.quiet {
                console.result(&would(step));
            } else if !options.quiet {
                console.result(step);
            }
        })?;
    }
    let unseen = std::mem::take(&mut summary.unseen);
    if summary.failed > 0 {
        let could = if options.dry_run { "cannot" } else { "could not" };
        let what = format!("{} of {} steps {could} be done", summary.failed, summary.steps);
        let down = session.client.servers().iter().any(|(_, why)| why.is_some());
        let hint = if other_key == summary.failed {
            client::OTHER_KEY_HINT.to_owned()
        } else {
            hint(&summary, down)
        };
        console.error(&what, Some(hint));
        return Ok(session.unless_unseen(FAILED, unseen));
    }
    let names = counted(summary.names, "name");
    if summary.steps > 0 {
        let steps = counted(summary.steps, "step");
        console.done(&match options.dry_run {
            true => format!("{names} checked, {steps} would be done; Repair without -n does them"),
            false => format!("{names} checked, {steps} done"),
        });
    } else if unseen.is_empty() {
        console.done(&format!("nothing to repair ({names} checked)"));
    }
    Ok(session.unless_unseen(0, unseen))
}

fn hint(summary: &RepairSummary, down: bool) -> String {
    let again = if down {
        "start the servers that are down and run Repair again"
    } else {
        "run Repair again; Verify and the servers' logs give details"
    };
    let lost = format!("lost files can only be uploaded again or deleted; {}", client::DELETED_BEFORE);
    match summary {
        RepairSummary { lost: 0, .. } => again.to_owned(),
        RepairSummary { lost: all, failed, .. } if all == failed => lost,
        _ => format!("{lost}; for the rest, {again}"),
    }
}

/// A step that would be done, as `-n` shows it.
fn would(step: &Repaired) -> String {
    match step {
        Repaired::Copied { path, piece, from, to } => {
            format!("{path}: would copy piece {piece} from {from} to {to}")
        }
        Repaired::Made { path, piece, to } => format!("{path}: would make piece {piece} on {to}"),
        Repaired::Dropped { path, server } => {
            format!("{path}: would drop old or damaged pieces on {server}")
        }
        Repaired::Buried { path, server } => {
            format!("{path}: would complete an earlier delete on {server}")
        }
        Repaired::Forgotten { path } => format!("{path}: would complete an earlier delete on every server"),
        Repaired::Settled { path, dropped: 0 } => format!("{path}: would settle an unfinished upload"),
        Repaired::Settled { path, dropped } => {
            format!("{path}: would drop an unfinished upload, {dropped} bytes on all servers")
        }
        Repaired::Failed { path, why } => format!("{path}: cannot be repaired: {why}"),
    }
}

/// A step; with `dry_run`, one that would be done.
fn step_json(step: &Repaired, dry_run: bool) -> String {
    let done = !dry_run && !matches!(step, Repaired::Failed { .. });
    let on = |server: &ServerName| ("server", json::text(server.as_str()));
    let (action, path, rest) = match step {
        Repaired::Copied { path, piece, from, to } => {
            let (from, to) = (json::text(from.as_str()), json::text(to.as_str()));
            ("copied", path, vec![("piece", piece.to_string()), ("from", from), ("to", to)])
        }
        Repaired::Made { path, piece, to } => {
            ("made", path, vec![("piece", piece.to_string()), ("to", json::text(to.as_str()))])
        }
        Repaired::Dropped { path, server } => ("dropped", path, vec![on(server)]),
        Repaired::Buried { path, server } => ("deleted", path, vec![on(server)]),
        Repaired::Forgotten { path } => ("forgotten", path, vec![]),
        Repaired::Settled { path, dropped } => ("settled", path, vec![("dropped", dropped.to_string())]),
        Repaired::Failed { path, why } => ("failed", path, vec![("why", json::text(&why.to_string()))]),
    };
    json::fate(path.as_str(), action, done, rest)
}
