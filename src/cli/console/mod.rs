//! Where messages go: results to standard output, the rest to standard error.

mod report;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::mem::Discriminant;
use std::process::{ExitCode, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, fstat};

use super::alike::{Alike, Kind};
use super::colour::{Paint, Palette};
use super::grid::View;
use super::interrupt::Running;
use super::json;
use super::meter::Servers;
use super::options::{Options, Trace};
use super::progress::ProgressLine;
use super::text::{columns, wrap};
use super::{FAILED, USAGE, program, terminal};
use crate::client::Notice;
use crate::name::{ServerName, printable};

/// The console of a client.
#[derive(Default)]
pub(super) struct Console {
    quiet: AtomicBool,
    /// Whether results are JSON.
    json: AtomicBool,
    traced: AtomicBool,
    /// Whether what is traced is shown as JSON.
    traced_as_json: AtomicBool,
    silent_about_down: AtomicBool,
    /// Whether nothing is written to standard error.
    muted: AtomicBool,
    running: Running,
    /// What this command has warned of, of that for which one warning is enough.
    warned_of: Mutex<Vec<Discriminant<Notice>>>,
    start: OnceLock<Start>,
    progress: ProgressLine,
    /// This command's messages about single files.
    alike: Mutex<Alike>,
}

/// When the program's first command began.
#[derive(Clone, Copy)]
struct Start {
    instant: Instant,
    /// Since 1970. Times after it are counted from it, so that a clock that is set does not put events out of order.
    clock: Duration,
}

impl Start {
    fn now() -> Self {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), clock }
    }
}

impl Console {
    pub(super) fn set_options(&self, options: &Options) {
        self.quiet.store(options.quiet, Ordering::Relaxed);
        self.json.store(options.json, Ordering::Relaxed);
        self.traced.store(options.trace.is_some(), Ordering::Relaxed);
        self.traced_as_json.store(options.trace == Some(Trace::Json), Ordering::Relaxed);
        self.warned_of.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.start.get_or_init(Start::now);
    }

    /// The servers of the .conf, for the progress line.
    pub(super) fn set_servers<'a>(&self, names: impl Iterator<Item = &'a ServerName>) {
        self.progress.set_servers(Servers::all_up(names.map(ServerName::to_string)));
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    fn is_json(&self) -> bool {
        self.json.load(Ordering::Relaxed)
    }

    pub(super) fn out_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether standard output is a file on a disk.
    pub(super) fn out_is_file(&self) -> bool {
        fstat(io::stdout()).is_ok_and(|out| FileType::from_raw_mode(out.st_mode).is_file())
    }

    pub(super) fn err_is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Columns of standard output.
    pub(super) fn out_width(&self) -> usize {
        if self.out_is_terminal() { terminal::width(&io::stdout()) } else { usize::MAX }
    }

    /// What a table on standard output is drawn for.
    pub(super) fn view(&self, exact: bool) -> View {
        View { width: self.out_width(), exact, palette: Palette::of(self.out_is_terminal()) }
    }

    /// Something begins that may take a while.
    pub(super) fn begin_work(&self) {
        self.running.begin();
        if !self.is_quiet() {
            self.progress.begin();
        }
    }

    /// What Ctrl-C ends.
    pub(super) fn running(&self) -> &Running {
        &self.running
    }

    /// Turns messages off, or on again: while a line is edited they would be written into it.
    #[cfg(feature = "line-editing")]
    pub(super) fn mute(&self, muted: bool) {
        self.muted.store(muted, Ordering::Relaxed);
    }

    /// The work will go through this many files.
    pub(super) fn expect_files(&self, files: usize) {
        self.progress.tell(|meter| meter.expect(files));
    }

    pub(super) fn end_work(&self) {
        self.running.end();
        self.progress.end();
        self.report_alike();
    }

    /// Draws no progress line for the rest of the command.
    pub(super) fn draw_nothing(&self) {
        self.progress.end();
    }

    /// Counts what was the same for several files and was not reported for each.
    pub(super) fn report_alike(&self) {
        let alike = std::mem::take(&mut *self.alike.lock().unwrap_or_else(PoisonError::into_inner));
        for (kind, line) in alike.rest() {
            self.say_of_kind(kind, &line);
        }
    }

    /// A message about one of many files: `words`, which others may share, and all of it.
    pub(super) fn say_alike(&self, kind: Kind, words: &str, what: &dyn Display) {
        if self.alike.lock().unwrap_or_else(PoisonError::into_inner).count(kind, words) {
            self.say_of_kind(kind, what);
        }
    }

    fn say_of_kind(&self, kind: Kind, what: &dyn Display) {
        match kind {
            Kind::Warning | Kind::Ignored => self.warning(what),
            Kind::Skipped | Kind::Failed => self.error(what, None),
        }
    }

    /// Asks the user, on standard error if standard output is not a terminal. A prompt that cannot be shown is no
    /// reason to stop.
    pub(super) fn prompt(&self, prompt: &str) {
        let _ = if self.out_is_terminal() {
            write!(io::stdout(), "{prompt}").and_then(|()| io::stdout().flush())
        } else {
            write!(io::stderr(), "{prompt}")
        };
    }

    /// A result that was asked for.
    pub(super) fn result(&self, line: &dyn Display) {
        let hidden = self.progress.hide();
        let written = writeln!(io::stdout(), "{line}");
        drop(hidden);
        if let Err(error) = written {
            self.lose_results(&error);
        }
    }

    /// Ends the program because standard output takes no more.
    pub(super) fn lose_results(&self, error: &io::Error) -> ! {
        self.end_work();
        self.error(&not_written(error), None);
        exit(i32::from(FAILED))
    }

    pub(super) fn results(&self, lines: &[String]) {
        lines.iter().for_each(|line| self.result(line));
    }

    /// In JSON, what could not be done with a file, and why, is a result too.
    pub(super) fn result_without(&self, action: &str, name: &str, why: &dyn Display) {
        if self.is_json() {
            let why = [("why", json::text(&why.to_string()))];
            self.result(&json::fate(name, action, false, why));
        }
    }

    /// A result that is only for people: a script has the exit status.
    pub(super) fn done(&self, line: &dyn Display) {
        if self.out_is_terminal() && !self.is_quiet() && !self.is_json() {
            self.result(line);
        }
    }

    pub(super) fn error(&self, what: &dyn Display, hint: Option<String>) {
        self.say("error", Paint::Red, what);
        if let Some(hint) = hint {
            self.hint(&hint);
        }
    }

    /// An error in how the program was called; its exit status.
    pub(super) fn usage(&self, what: &dyn Display, hint: Option<String>) -> ExitCode {
        let help = || format!("`{}` shows the usage", program::command_line(&["--help"]));
        self.error(what, Some(hint.unwrap_or_else(help)));
        ExitCode::from(USAGE)
    }

    pub(super) fn hint(&self, hint: &str) {
        self.say("hint", Paint::Bold, &hint);
    }

    /// A warning that one command may have a reason for many times, and gives once.
    fn warn_once(&self, of: Discriminant<Notice>, what: &dyn Display) {
        let mut warned_of = self.warned_of.lock().unwrap_or_else(PoisonError::into_inner);
        if !warned_of.contains(&of) {
            warned_of.push(of);
            self.warning(what);
        }
    }

    pub(super) fn warning(&self, what: &dyn Display) {
        self.say("warning", Paint::Yellow, what);
    }

    fn say(&self, kind: &str, paint: Paint, what: &dyn Display) {
        if self.muted.load(Ordering::Relaxed) || self.running.is_ending() {
            return;
        }
        // It may contain a name, a path, or a server's words.
        let mut text = printable(&what.to_string()).to_string();
        // A line of the protocol stays one.
        if kind != "trace" && self.err_is_terminal() {
            let name = columns(program::name());
            let before = name + format!(": {kind}: ").len();
            text = wrap(&text, before, name + 2, terminal::width(&io::stderr()));
        }
        let _hidden = self.progress.hide();
        say(err_palette().paint(paint, &format!("{kind}:")), &text);
    }

    /// A line of its own on standard error, for programs.
    fn say_event(&self, event: &str) {
        if self.muted.load(Ordering::Relaxed) || self.running.is_ending() {
            return;
        }
        let _hidden = self.progress.hide();
        // If standard error is closed, nothing can be reported.
        let _ = io::stderr().write_all(format!("{event}\n").as_bytes());
    }

    /// Whether to warn about a server that is down: not if the result shows it anyway.
    pub(super) fn warn_of_down(&self, warn: bool) {
        self.silent_about_down.store(!warn, Ordering::Relaxed);
    }

    /// Notes whether a server is up; returns whether that is new.
    fn set_up(&self, server: &ServerName, up: bool) -> bool {
        self.progress.set_up(server.as_str(), up)
    }
}

fn err_palette() -> Palette {
    Palette::of(io::stderr().is_terminal())
}

/// What is reported if standard output fails, whether its reader is gone (`| head`) or its disk is full. A closed
/// standard output is no failure: std opens /dev/null in its place before `main`.
fn not_written(error: &io::Error) -> String {
    format!("cannot write results ({error})")
}

/// One line on standard error.
fn say(kind: String, what: &dyn Display) {
    // If standard error is closed, nothing can be reported.
    let _ = io::stderr().write_all(format!("{}: {kind} {what}\n", program::name()).as_bytes());
}

/// A result from the server's command line; its exit status.
pub(super) fn server_result(what: &dyn Display) -> ExitCode {
    match writeln!(io::stdout(), "{what}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            server_error(&not_written(&error), None);
            ExitCode::from(FAILED)
        }
    }
}

/// A line on standard error for scripts that wait for it.
pub(super) fn server_line(what: &dyn Display) {
    // Nobody waits if standard error is closed.
    let _ = io::stderr().write_all(format!("{what}\n").as_bytes());
}

/// A warning from the server's command line.
pub(super) fn server_warning(what: &dyn Display) {
    say(err_palette().paint(Paint::Yellow, "warning:"), &printable(&what.to_string()));
}

/// An error from the server's command line.
pub(super) fn server_error(what: &dyn Display, hint: Option<&str>) {
    say(err_palette().paint(Paint::Red, "error:"), &printable(&what.to_string()));
    if let Some(hint) = hint {
        say(err_palette().paint(Paint::Bold, "hint:"), &hint);
    }
}
