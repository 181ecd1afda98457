//! Where the client's messages go: results to standard output, the rest to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::FAILED;
use super::command::Options;
use super::progress::ProgressLine;
use crate::client::{Notice, Progress, Report};
use crate::name::ServerName;
use crate::peer::Direction;

/// The console of a client.
#[derive(Default)]
pub(super) struct Console {
    quiet: AtomicBool,
    traced: AtomicBool,
    start: OnceLock<Instant>,
    progress: Mutex<Option<ProgressLine>>,
}

impl Console {
    pub(super) fn set_options(&self, options: Options) {
        self.quiet.store(options.quiet, Ordering::Relaxed);
        self.traced.store(options.trace, Ordering::Relaxed);
        self.start.get_or_init(Instant::now);
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    pub(super) fn out_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    fn progress_line(&self) -> MutexGuard<'_, Option<ProgressLine>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A result that was asked for.
    pub(super) fn result(&self, line: &dyn Display) {
        if let Some(progress) = &mut *self.progress_line() {
            progress.clear();
        }
        if let Err(error) = writeln!(io::stdout(), "{line}") {
            // The reader has gone (`| head`): nothing more to say.
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.error(&format!("cannot write results ({error})"), None);
            }
            exit(i32::from(FAILED));
        }
    }

    /// A result that is only worth telling to people: a script has the exit status.
    pub(super) fn done(&self, line: &dyn Display) {
        if self.out_is_terminal() && !self.is_quiet() {
            self.result(line);
        }
    }

    pub(super) fn error(&self, what: &dyn Display, hint: Option<String>) {
        self.say("error", what);
        if let Some(hint) = hint {
            self.say("hint", &hint);
        }
    }

    pub(super) fn warning(&self, what: &dyn Display) {
        self.say("warning", what);
    }

    fn say(&self, kind: &str, what: &dyn Display) {
        if let Some(progress) = &mut *self.progress_line() {
            progress.clear();
        }
        // Nobody to tell that standard error is closed.
        let _ = writeln!(io::stderr(), "Client: {kind}: {what}");
    }
}

/// Most characters of a traced line; headers in base64 are longer.
const TRACE_WIDTH: usize = 120;

impl Report for Console {
    fn trace(&self, server: &ServerName, direction: Direction, line: &str) {
        if self.traced.load(Ordering::Relaxed) {
            let arrow = if direction == Direction::Sent { "->" } else { "<-" };
            let milliseconds = self.start.get_or_init(Instant::now).elapsed().as_secs_f64() * 1000.0;
            let shown: String = line.chars().take(TRACE_WIDTH).collect();
            let cut = if shown.len() < line.len() { "..." } else { "" };
            self.say(
                "trace",
                &format!("{milliseconds:9.3} ms {arrow} {server} {}{cut}", shown.escape_debug()),
            );
        }
    }

    fn begin(&self, files: usize, bytes: u64) {
        *self.progress_line() = if self.is_quiet() { None } else { ProgressLine::begin(files, bytes) };
    }

    fn progress(&self, progress: Progress) {
        if let Some(line) = &mut *self.progress_line() {
            line.advance(progress.done);
        }
    }

    fn end(&self) {
        if let Some(mut line) = self.progress_line().take() {
            line.clear();
        }
    }

    fn notice(&self, notice: Notice) {
        match notice {
            Notice::ServerDown { server, why } => self.warning(&format!("{server} {why}; going on without it")),
            Notice::BadCopy { path, piece, server, why } => {
                self.warning(&format!("{path}: the copy of piece {piece} on {server} is bad ({why}); Repair replaces it"));
            }
            Notice::FewerCopies { path, copies, wanted } => self.warning(&format!(
                "{path}: stored with {copies} instead of {wanted} copies; Repair adds the others when servers are back"
            )),
            Notice::MayBeOutdated { away } => {
                self.warning(&format!("{} away: a newer version there would win over this upload", servers(away)));
            }
            Notice::NotPlaced { path, server, why } => {
                self.warning(&format!("{path}: {server} did not take it ({why}); stored on other servers"));
            }
            Notice::OtherKeyReplaced { path } => {
                self.warning(&format!("{path}: what is replaced was encrypted under another key"));
            }
            Notice::ListRefused { server, why } => {
                self.warning(&format!("{server} does not list what it has ({why})"));
            }
            Notice::DeleteNotEverywhere { path, missing } => self.warning(&format!(
                "{path}: {} missed the delete; Repair brings it there when all are back",
                servers(missing)
            )),
            Notice::LeftOut { what, why } => self.error(&format!("left out '{}' ({why})", what.escape_debug()), None),
        }
    }
}

fn servers(count: usize) -> String {
    counted(count, "server")
}

/// A number with its noun.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
