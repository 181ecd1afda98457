//! What the console reports about the client's work while it runs.

use std::mem::discriminant;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Console, Start};
use crate::cli::alike::Kind;
use crate::cli::colour::Paint;
use crate::cli::json;
use crate::cli::meter::Meter;
use crate::cli::text::{NAMED, and};
use crate::cli::units;
use crate::client::{Doing, Notice, Phase, Progress, Report};
use crate::commit::Skew;
use crate::name::{FilePath, ServerName, printable};
use crate::peer::Direction;

/// Most characters of a traced line; those with a header in base64 are longer.
const TRACE_WIDTH: usize = 120;

impl Console {
    /// A warning about a file, in words that others may share.
    fn warn_of(&self, path: &FilePath, words: &str) {
        self.say_alike(Kind::Warning, words, &format!("{path}: {words}"));
    }

    /// Traces what just happened, as text or as the members of an event.
    fn traced<const N: usize>(
        &self,
        line: impl FnOnce() -> String,
        event: impl FnOnce() -> [(&'static str, String); N],
    ) {
        if self.traced_as_json.load(Ordering::Relaxed) {
            self.trace_event(event());
        } else if self.traced.load(Ordering::Relaxed) {
            let since = self.start.get_or_init(Start::now).instant.elapsed();
            self.say("trace", Paint::Dim, &format!("{:9.3} ms {}", since.as_secs_f64() * 1000.0, line()));
        }
    }

    fn trace_event<const N: usize>(&self, members: [(&'static str, String); N]) {
        let start = self.start.get_or_init(Start::now);
        let time = ("time", format!("{:.6}", (start.clock + start.instant.elapsed()).as_secs_f64()));
        self.say_event(&json::object([time].into_iter().chain(members)));
    }

    /// Traces that a command begins. The text does not show it: whoever reads it has typed the command.
    pub(in crate::cli) fn trace_command(&self, command: &str) {
        if self.traced_as_json.load(Ordering::Relaxed) {
            self.trace_event([("command", json::text(command))]);
        }
    }
}

impl Report for Console {
    fn trace(&self, server: &ServerName, direction: Direction, line: &str) {
        let is_sent = direction == Direction::Sent;
        let text = || {
            let arrow = if is_sent { "->" } else { "<-" };
            let shown: String = line.chars().take(TRACE_WIDTH).collect();
            let cut = if shown.len() < line.len() { "..." } else { "" };
            format!("{arrow} {server} {}{cut}", printable(&shown))
        };
        let direction = if is_sent { "sent" } else { "received" };
        self.traced(text, || {
            [
                ("server", json::text(server.as_str())),
                ("direction", json::text(direction)),
                ("line", json::text(line)),
            ]
        });
    }

    fn phase(&self, phase: Phase, took: Duration) {
        let took = took.as_secs_f64();
        let text = || format!("== {phase} took {:.3} ms", took * 1000.0);
        self.traced(text, || [("phase", json::text(&phase.to_string())), ("took", format!("{took:.6}"))]);
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
        let kind = discriminant(&notice);
        match notice {
            Notice::ServerDown { server, why } => {
                self.set_up(&server, false);
                if self.traced_as_json.load(Ordering::Relaxed) {
                    self.trace_event([("server", json::text(server.as_str())), ("down", json::text(&why))]);
                }
                if !self.silent_about_down.load(Ordering::Relaxed) {
                    self.warning(&format!("{server} is down ({why}); continuing without it"));
                }
            }
            // Good news for a user who is watching; a script need not know.
            Notice::ServerBack { server } => {
                if self.set_up(&server, true) && self.err_is_terminal() && !self.is_quiet() {
                    self.say("note", Paint::Bold, &format!("{server} is back"));
                }
            }
            Notice::BadCopy { path, piece, server, why } => {
                let copy = format!("the copy of piece {piece} on {server} is bad ({why})");
                self.warn_of(&path, &format!("{copy}; Repair replaces it"));
            }
            Notice::FewerCopies { path, copies, wanted } => {
                let stored = format!("stored with {copies} of {wanted} copies");
                self.warn_of(&path, &format!("{stored}; run Repair when the servers are back"));
            }
            Notice::FewerLosses { path, losses } => {
                let (stored, again) = match losses {
                    None => ("not enough servers have confirmed it", "upload it again"),
                    Some(0) => ("stored so that no server may be lost", "run Repair"),
                    Some(_) => ("stored so that only one server may be lost", "run Repair"),
                };
                self.warn_of(&path, &format!("{stored}; {again} when the servers are back"));
            }
            Notice::MayBeOutdated { away } => {
                let are = if away.len() == 1 { "is" } else { "are" };
                let down = servers(&away);
                let newer = "a newer version of an uploaded file, if stored there, replaces it when that server returns";
                self.warn_once(kind, &format!("{down} {are} down; {newer}"));
            }
            Notice::ClockNotUsed { servers } => {
                let unused = "it is not used to tell which of two versions is newer";
                self.warn_once(kind, &format!("the clock here is {}; {unused}", skews(&servers)));
            }
            Notice::NewerUnseen { unseen } => {
                let unseen = servers(&unseen);
                self.warn_once(kind, &format!("a newer version may be on {unseen}, which did not answer"));
            }
            Notice::NotPlaced { path, server, why } => {
                self.warn_of(&path, &format!("{server} did not accept it ({why}); stored on other servers"));
            }
            Notice::NewerReplaced { path } => self.warn_of(&path, "the local file that it replaces is newer"),
            Notice::KeptNarrower { path, kept, stored } => {
                self.warn_of(
                    &path,
                    &format!(
                        "the existing permissions {kept:03o} were not widened to the stored {stored:03o}"
                    ),
                );
            }
            Notice::PermissionsNotSet { path, why } => {
                self.warn_of(&path, &format!("its permissions could not be set ({why})"));
            }
            Notice::OtherKeyKept { path } => {
                self.warn_of(&path, "encrypted under another password or Key line, and left as it is");
            }
            Notice::OtherKeyReplaced { path } => {
                self.warn_of(&path, "the replaced file was encrypted under another key");
            }
            Notice::ListRefused { server, why } => {
                self.warning(&format!("{server} refused to list the folder ({why})"));
            }
            Notice::DeleteNotEverywhere { path, missing } => {
                let missed = format!("{} missed the delete", servers(&missing));
                self.warn_of(&path, &format!("{missed}; run Repair when all servers are back"));
            }
            Notice::Continued { path, there, size } => {
                self.progress.tell(|meter| meter.go_on(there, Instant::now()));
                let there = units::bytes_of(there as f64, size as f64);
                self.say("note", Paint::Bold, &format!("{path}: {there} are on the servers already"));
            }
            Notice::DownloadContinued { path, there, size } => {
                self.progress.tell(|meter| meter.go_on(there, Instant::now()));
                let there = units::bytes_of(there as f64, size as f64);
                self.say("note", Paint::Bold, &format!("{path}: {there} are here already"));
            }
            Notice::DownloadKept { path } => {
                self.warn_of(&path, "what has arrived is kept; the same command goes on from there");
            }
            Notice::CutShort { path, written, size } => {
                self.warning(&format!("{path}: only the first {written} of {size} bytes were written"));
            }
            Notice::Grew { path } => {
                self.warn_of(&path, "grew while it was read; stored as it was when it was opened");
            }
            Notice::BitsNotStored { path } => {
                self.warn_of(&path, "setuid, setgid and sticky bits are not stored");
            }
            Notice::Temporary { path, what } => {
                self.say_alike(Kind::Ignored, what, &format!("skipped '{}' ({what})", printable(&path)));
            }
            Notice::LeftOut { what, why } => {
                self.result_without("skipped", &what, &why);
                let skipped = format!("skipped '{}' ({why})", printable(&what));
                self.say_alike(Kind::Skipped, &why, &skipped);
            }
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
