//! The commands: their table and, for each that works with the servers, a file with its row and the function that runs
//! it.

mod cat;
mod delete;
mod download;
mod input;
pub(super) mod passwd;
mod rename;
mod repair;
mod show;
pub(super) mod status;
pub(super) mod upload;
mod verify;

use super::command::{Action, Call, Command};
use super::session::Session;
use super::text::counted;
use super::{USAGE, units};

/// The table of commands, in the order of the help.
pub(super) const TABLE: [&Command; 12] = [
    &show::COMMAND,
    &upload::COMMAND,
    &download::COMMAND,
    &cat::COMMAND,
    &delete::COMMAND,
    &rename::COMMAND,
    &passwd::COMMAND,
    &verify::COMMAND,
    &repair::COMMAND,
    &status::COMMAND,
    &HELP,
    &EXIT,
];

const HELP: Command = Command {
    name: "Help",
    elsewhere: &["?"],
    forms: &[("Help [COMMAND]", "explain the commands")],
    examples: &["Help Upload", "Help"],
    action: Action::Help,
    ..Command::EMPTY
};

const EXIT: Command = Command {
    name: "Exit",
    aliases: &["Quit"],
    elsewhere: &["bye", "logout"],
    forms: &[("Exit", "leave; also Quit, Ctrl-D")],
    details: "Nothing is lost by leaving, however you do it: what was acknowledged is stored.",
    examples: &["Exit"],
    action: Action::Exit,
    ..Command::EMPTY
};

/// Runs a command, and reports it if it fails; its exit status.
pub(super) fn execute(session: &mut Session<'_>, call: &Call) -> u8 {
    let least = session.client.least_rate();
    if let Some(rate) = call.options.limit.filter(|rate| *rate < least) {
        refuse_limit(session, rate, least);
        return USAGE;
    }
    session.client.throttle(call.options.limit);
    session.client.probe();
    // Passwd first reads a line.
    if *call.command != passwd::COMMAND {
        if !call.options.dry_run {
            passwd::finish_or_warn(session);
        }
        session.console.begin_work();
    }
    let status = (call.run)(session, call).unwrap_or_else(|error| session.report(error, call.after_name()));
    session.console.end_work();
    status
}

fn refuse_limit(session: &Session<'_>, rate: u64, least: u64) {
    let (rate, least_kib) = (units::bytes(rate as f64), least.div_ceil(1024));
    let why = "a server ends a connection that stands still";
    let servers = counted(session.client.servers().len(), "server");
    let hint =
        format!("with {servers} it must be at least {}, --limit {least_kib}K", units::bytes(least as f64));
    session.console.error(&format!("--limit of {rate} a second is too low ({why})"), Some(hint));
}
