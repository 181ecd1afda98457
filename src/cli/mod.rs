//! The command lines of the two programs: arguments, messages, exit codes. The only module that
//! prints.

mod arguments;
mod client;
mod colour;
mod command;
mod commands;
mod conf;
mod console;
#[cfg(test)]
mod fixtures;
mod grid;
mod help;
mod hints;
mod journal;
mod json;
mod meter;
mod options;
mod parse;
mod password;
mod progress;
mod prompt;
mod server;
mod session;
mod tally;
mod terminal;
mod text;
mod units;
mod words;

pub use client::run as run_client;
pub use server::run as run_server;

/// Exit status: the command failed.
pub const FAILED: u8 = 1;
/// Exit status: usage, or a mistake in the .conf.
pub const USAGE: u8 = 2;
/// Exit status: the user name or password was refused.
pub const DENIED: u8 = 3;
/// Exit status: too few servers can be reached.
pub const NO_SERVER: u8 = 4;
/// Exit status: Ctrl-C while a password is typed, by the convention of shells.
pub const INTERRUPTED: u8 = 130;
