//! The command lines of the two programs: arguments, messages, exit codes. The only module that
//! prints.

mod alike;
mod arguments;
mod client;
mod colour;
mod command;
mod commands;
#[cfg(any(test, feature = "line-editing"))]
mod completion;
mod conf;
mod console;
#[cfg(feature = "line-editing")]
mod editor;
mod exit;
#[cfg(test)]
mod fixtures;
mod grid;
mod help;
mod hints;
mod interrupt;
mod journal;
mod json;
mod keygen;
mod meter;
mod options;
mod paper;
mod parse;
mod password;
mod password_command;
mod program;
mod progress;
mod prompt;
mod server;
mod session;
mod shell;
mod tally;
mod terminal;
mod text;
mod units;
mod words;

pub use client::run as run_client;
pub use exit::{DENIED, FAILED, INTERRUPTED, NO_SERVER, USAGE};
pub use server::run as run_server;
