//! Where the client's messages go: results to standard output, the rest to standard error.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::colour::{Paint, Palette};
use super::command::Options;
use super::meter::{Meter, Servers};
use super::progress::ProgressLine;
use super::text::{and, wrap};
use super::{FAILED, terminal, units};
use crate::client::{Doing, Notice, Phase, Progress, Report};
use crate::commit::Skew;
use crate::name::{ServerName, printable};
use crate::peer::Direction;

/// What the client calls itself.
const CLIENT: &str = "Client";
/// Most servers that a warning names one by one.
const NAMED: usize = 8;
/// Most warnings about one server, or of one kind, that are shown for one command; the others are counted. There
/// may be as many as files.
const OF_ONE_KIND: usize = 20;

/// The console of a client.
pub(super) struct Console {
    out: Palette,
    err: Palette,
    quiet: AtomicBool,
    traced: AtomicBool,
    silent_about_down: AtomicBool,
    /// Whether this command has spoken of the clock.
    told_of_clock: AtomicBool,
    start: OnceLock<Instant>,
    progress: ProgressLine,
    /// By what they are about, the warnings of this command.
    about: Mutex<BTreeMap<String, usize>>,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            out: Palette::of(io::stdout().is_terminal()),
            err: Palette::of(io::stderr().is_terminal()),
            quiet: AtomicBool::new(false),
            traced: AtomicBool::new(false),
            silent_about_down: AtomicBool::new(false),
            told_of_clock: AtomicBool::new(false),
            start: OnceLock::new(),
            progress: ProgressLine::default(),
            about: Mutex::default(),
        }
    }
}

impl Console {
    pub(super) fn set_options(&self, options: Options) {
        self.quiet.store(options.quiet, Ordering::Relaxed);
        self.traced.store(options.trace, Ordering::Relaxed);
        self.told_of_clock.store(false, Ordering::Relaxed);
        self.start.get_or_init(Instant::now);
    }

    /// The servers of the .conf, for the progress line.
    pub(super) fn set_servers<'a>(&self, names: impl Iterator<Item = &'a ServerName>) {
        self.progress.set_servers(Servers::all_up(names.map(ServerName::to_string)));
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    pub(super) fn out_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    pub(super) fn err_is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Columns of standard output.
    pub(super) fn out_width(&self) -> usize {
        if self.out_is_terminal() { terminal::width(&io::stdout()) } else { usize::MAX }
    }

    pub(super) fn out_palette(&self) -> Palette {
        self.out
    }

    /// From now on something is done that may take its time.
    pub(super) fn begin_work(&self) {
        if !self.is_quiet() {
            self.progress.begin();
        }
    }

    /// The work will go through this many files.
    pub(super) fn expect_files(&self, files: usize) {
        self.progress.tell(|meter| meter.expect(files));
    }

    pub(super) fn end_work(&self) {
        self.progress.end();
        let about = std::mem::take(&mut *self.about.lock().unwrap_or_else(PoisonError::into_inner));
        for (what, count) in about {
            if let Some(more @ 1..) = count.checked_sub(OF_ONE_KIND) {
                self.warning(&format!("{more} more warnings about {what}; Verify shows all that is wrong"));
            }
        }
    }

    /// A warning about one of many files, with what it and others like it are about.
    fn warn_about(&self, kind: &str, what: &dyn Display) {
        let count = {
            let mut about = self.about.lock().unwrap_or_else(PoisonError::into_inner);
            let count = about.entry(kind.to_owned()).or_default();
            *count += 1;
            *count
        };
        if count <= OF_ONE_KIND {
            self.warning(what);
        }
    }

    /// Asks for a command: where the user looks, if that is not standard output. A prompt that cannot
    /// be shown is no reason to stop.
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
            self.end_work();
            // The reader has gone (`| head`): nothing more to say.
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.error(&format!("cannot write results ({error})"), None);
            }
            exit(i32::from(FAILED));
        }
    }

    pub(super) fn results(&self, lines: &[String]) {
        lines.iter().for_each(|line| self.result(line));
    }

    /// A result that is only worth telling to people: a script has the exit status.
    pub(super) fn done(&self, line: &dyn Display) {
        if self.out_is_terminal() && !self.is_quiet() {
            self.result(line);
        }
    }

    pub(super) fn error(&self, what: &dyn Display, hint: Option<String>) {
        self.say("error", Paint::Red, what);
        if let Some(hint) = hint {
            self.hint(&hint);
        }
    }

    pub(super) fn hint(&self, hint: &str) {
        self.say("hint", Paint::Bold, &hint);
    }

    pub(super) fn warning(&self, what: &dyn Display) {
        self.say("warning", Paint::Yellow, what);
    }

    fn say(&self, kind: &str, paint: Paint, what: &dyn Display) {
        // Whatever is in it, and whoever wrote that: a name, a path, a server's words.
        let mut text = printable(&what.to_string()).to_string();
        // A line of the protocol stays one.
        if kind != "trace" && self.err_is_terminal() {
            let before = format!("{CLIENT}: {kind}: ").len();
            text = wrap(&text, before, CLIENT.len() + 2, terminal::width(&io::stderr()));
        }
        let _hidden = self.progress.hide();
        say(CLIENT, self.err.paint(paint, &format!("{kind}:")), &text);
    }

    /// Whether a server that is down gets a warning: not where a result has it anyway.
    pub(super) fn warn_of_down(&self, warn: bool) {
        self.silent_about_down.store(!warn, Ordering::Relaxed);
    }

    /// Notes whether a server is up; whether that is new.
    fn set_up(&self, server: &ServerName, up: bool) -> bool {
        self.progress.set_up(server.as_str(), up)
    }
}

/// One line on standard error.
fn say(program: &str, kind: String, what: &dyn Display) {
    // Nobody to tell that standard error is closed.
    let _ = io::stderr().write_all(format!("{program}: {kind} {what}\n").as_bytes());
}

/// A warning of the server's command line.
pub(super) fn server_warning(what: &dyn Display) {
    let palette = Palette::of(io::stderr().is_terminal());
    say("Server", palette.paint(Paint::Yellow, "warning:"), &printable(&what.to_string()));
}

/// An error of the server's command line.
pub(super) fn server_error(what: &dyn Display, hint: Option<&str>) {
    let palette = Palette::of(io::stderr().is_terminal());
    say("Server", palette.paint(Paint::Red, "error:"), &printable(&what.to_string()));
    if let Some(hint) = hint {
        say("Server", palette.paint(Paint::Bold, "hint:"), &hint);
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
                Paint::Dim,
                &format!("{milliseconds:9.3} ms {arrow} {server} {}{cut}", printable(&shown)),
            );
        }
    }

    fn phase(&self, phase: Phase, took: Duration) {
        if self.traced.load(Ordering::Relaxed) {
            let now = self.start.get_or_init(Instant::now).elapsed().as_secs_f64() * 1000.0;
            let took = took.as_secs_f64() * 1000.0;
            self.say("trace", Paint::Dim, &format!("{now:9.3} ms == {phase} took {took:.3} ms"));
        }
    }

    fn expect(&self, files: usize) {
        self.expect_files(files);
    }

    fn doing(&self, what: Doing) {
        self.progress.tell(|meter| meter.doing(what));
    }

    fn begin(&self, files: usize, bytes: u64) {
        self.progress.tell(|meter| meter.begin(files, bytes, Instant::now()));
    }

    fn progress(&self, progress: Progress) {
        self.progress.tell(|meter| meter.advance(progress.done));
    }

    fn end(&self) {
        self.progress.tell(Meter::end);
    }

    fn notice(&self, notice: Notice) {
        match notice {
            Notice::ServerDown { server, why } => {
                self.set_up(&server, false);
                if !self.silent_about_down.load(Ordering::Relaxed) {
                    self.warning(&format!("{server} {why}; going on without it"));
                }
            }
            // Good news for who watches; a script need not know.
            Notice::ServerBack { server } => {
                if self.set_up(&server, true) && self.err_is_terminal() && !self.is_quiet() {
                    self.say("note", Paint::Bold, &format!("{server} is back"));
                }
            }
            Notice::BadCopy { path, piece, server, why } => {
                self.warn_about(server.as_str(), &format!("{path}: the copy of piece {piece} on {server} is bad ({why}); Repair replaces it"));
            }
            Notice::FewerCopies { path, copies, wanted } => self.warn_about("files with fewer copies", &format!(
                "{path}: stored with {copies} instead of {wanted} copies; Repair adds the others when servers are back"
            )),
            Notice::MayBeOutdated { away } => {
                let are = if away.len() == 1 { "is" } else { "are" };
                self.warning(&format!(
                    "{} {are} down; a newer version there of what is uploaded now wins when it is back",
                    servers(&away)
                ));
            }
            Notice::ClockNotUsed { servers } => {
                if !self.told_of_clock.swap(true, Ordering::Relaxed) {
                    self.warning(&format!(
                        "the clock here is {}; it is not used to tell the newer of two versions",
                        skews(&servers)
                    ));
                }
            }
            Notice::NewerUnseen { unseen } => {
                self.warning(&format!("a newer version may be on {}, which did not answer", servers(&unseen)));
            }
            Notice::NotPlaced { path, server, why } => {
                self.warn_about(server.as_str(), &format!("{path}: {server} did not take it ({why}); stored on other servers"));
            }
            Notice::OtherKeyKept { path } => self.warning(&format!(
                "{path}: encrypted under another password or Key line, and left under that"
            )),
            Notice::OtherKeyReplaced { path } => {
                self.warn_about("files under another key", &format!("{path}: what is replaced was encrypted under another key"));
            }
            Notice::ListRefused { server, why } => {
                self.warning(&format!("{server} does not list what it has ({why})"));
            }
            Notice::DeleteNotEverywhere { path, missing } => self.warn_about(&servers(&missing), &format!(
                "{path}: {} missed the delete; Repair brings it there when all are back",
                servers(&missing)
            )),
            Notice::LeftOut { what, why } => self.error(&format!("left out '{}' ({why})", printable(&what)), None),
        }
    }
}

/// How far a clock is from others: `5 min behind A and B, 3 h ahead of C`.
fn skews(of: &[(ServerName, Skew)]) -> String {
    let far = |skew: &Skew| {
        let by = units::span(Duration::from_millis(skew.by));
        format!("{by} {}", if skew.ahead { "ahead of" } else { "behind" })
    };
    let mut groups: Vec<(String, Vec<ServerName>)> = Vec::new();
    for (server, skew) in of {
        let far = far(skew);
        match groups.iter_mut().find(|(same, _)| *same == far) {
            Some((_, names)) => names.push(server.clone()),
            None => groups.push((far, vec![server.clone()])),
        }
    }
    let text = |(far, names): &(String, Vec<ServerName>)| format!("{far} {}", servers(names));
    groups.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn servers(names: &[ServerName]) -> String {
    and(&names.iter().map(ServerName::to_string).collect::<Vec<_>>(), NAMED)
}
