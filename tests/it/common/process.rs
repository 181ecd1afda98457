//! Child processes whose output is kept and whose end is waited for, but not for ever.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// No wait in the tests is longer than this. It is far above what anything needs, so that a slow machine does
/// not fail a test, and short enough that a hang is reported before anyone gives up on the run.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What a process has written to one of its pipes so far.
///
/// A thread reads the pipe to its end: a process whose pipe nobody reads blocks when it is full.
#[derive(Clone)]
pub(crate) struct Transcript(Arc<(Mutex<Pages>, Condvar)>);

#[derive(Default)]
struct Pages {
    bytes: Vec<u8>,
    ended: bool,
}

impl Transcript {
    pub(crate) fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let transcript = Self(Arc::default());
        let writer = transcript.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = pipe.read(&mut buffer).unwrap_or(0);
                writer.append(&buffer[..count]);
                if count == 0 {
                    return;
                }
            }
        });
        transcript
    }

    /// Adds what was read. Nothing means that the pipe has come to its end.
    fn append(&self, bytes: &[u8]) {
        let (pages, changed) = &*self.0;
        let mut pages = pages.lock().unwrap();
        pages.bytes.extend_from_slice(bytes);
        pages.ended = bytes.is_empty();
        changed.notify_all();
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().bytes).into_owned()
    }

    /// Waits for the first whole line that `wanted` finds something in. `None` if the output ends, or the
    /// time is up, without one.
    pub(crate) fn wait_for_line<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.wait_for(|text| {
            let (whole_lines, _) = text.rsplit_once('\n')?;
            whole_lines.lines().find_map(&wanted)
        })
    }

    /// Waits until `wanted` finds something in all that was written so far. `None` as above.
    pub(crate) fn wait_for<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> Option<T> {
        let search = |pages: &Pages| wanted(&String::from_utf8_lossy(&pages.bytes));
        let (pages, changed) = &*self.0;
        let (pages, _) = changed
            .wait_timeout_while(pages.lock().unwrap(), LIMIT, |pages| !pages.ended && search(pages).is_none())
            .unwrap();
        search(&pages)
    }

    /// Waits until the process has closed the pipe. False if it does not do so in time.
    pub(crate) fn wait_for_end(&self) -> bool {
        let (pages, changed) = &*self.0;
        let waited = changed.wait_timeout_while(pages.lock().unwrap(), LIMIT, |p| !p.ended);
        waited.unwrap().0.ended
    }
}

/// How a process ended and what it said.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What was run, for failure messages.
    pub(crate) command: String,
    /// The exit status, or -1 if a signal ended the process.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The command did its work.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// The command ended with this status.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, status, "wrong exit status of {self}");
        self
    }

    /// The command was refused with this status and an error in the form that the contract gives.
    #[track_caller]
    pub(crate) fn fails_with(self, status: i32) -> Self {
        let outcome = self.exits(status);
        let clear = outcome.stderr.contains("Client: error: ");
        assert!(clear, "no line `Client: error: …` from {outcome}");
        outcome
    }

    /// The command did not do its work, in whichever of the ways that the contract leaves open, and said so.
    #[track_caller]
    pub(crate) fn fails(self) -> Self {
        assert!([1, 2].contains(&self.status), "not refused: {self}");
        let status = self.status;
        self.fails_with(status)
    }

    /// Standard error has this in it, in capitals or not.
    #[track_caller]
    pub(crate) fn complains_of(self, text: &str) -> Self {
        let found = self.stderr.to_lowercase().contains(&text.to_lowercase());
        assert!(found, "no word of {text:?} on standard error of {self}");
        self
    }

    /// Standard error does not have this in it, in capitals or not.
    #[track_caller]
    pub(crate) fn does_not_complain_of(self, text: &str) -> Self {
        let found = self.stderr.to_lowercase().contains(&text.to_lowercase());
        assert!(!found, "a wrong word of {text:?} from {self}");
        self
    }

    /// Standard output is exactly these lines.
    #[track_caller]
    pub(crate) fn prints(self, lines: &[&str]) -> Self {
        assert_eq!(self.lines(), lines, "wrong output of {self}");
        self
    }

    pub(crate) fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n-- exit status {}\n-- standard output:\n{}-- standard error:\n{}",
            self.command, self.status, self.stdout, self.stderr
        )
    }
}

/// A process that runs while the test talks to it. Killed if the test ends first.
pub(crate) struct Session {
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Transcript,
    stderr: Transcript,
}

impl Session {
    pub(crate) fn start(command: &mut Command) -> Self {
        let text = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {text}: {error}"));
        Self {
            command: text,
            stdin: child.stdin.take(),
            stdout: Transcript::of(child.stdout.take().unwrap()),
            stderr: Transcript::of(child.stderr.take().unwrap()),
            child,
        }
    }

    /// Types one line or more. A process that has already ended does not read them; its outcome will say why.
    pub(crate) fn send(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        let _ = writeln!(stdin, "{}", text.trim_end());
        let _ = stdin.flush();
    }

    /// Waits until the process prints this very line.
    #[track_caller]
    pub(crate) fn wait_for(&self, line: &str) {
        let seen = self.stdout.wait_for_line(|printed| (printed == line).then_some(()));
        assert!(
            seen.is_some(),
            "{} did not print {line:?}, but:\n{}{}",
            self.command,
            self.stdout.text(),
            self.stderr.text()
        );
    }

    /// Waits until this text has been printed, at the end of a line or not.
    #[track_caller]
    pub(crate) fn wait_for_text(&self, text: &str) {
        let seen = self.stdout.wait_for(|printed| printed.contains(text).then_some(()));
        assert!(seen.is_some(), "{} did not print {text:?}, but:\n{}", self.command, self.stdout.text());
    }

    /// Waits until this text has been printed after the last of an earlier one. What is typed at a prompt sooner than the
    /// prompt is shown may be shown before it, and be read by something else.
    #[track_caller]
    pub(crate) fn wait_for_text_after(&self, earlier: &str, text: &str) {
        let is_after =
            |printed: &str| printed.rsplit_once(earlier).is_some_and(|(_, after)| after.contains(text));
        let seen = self.stdout.wait_for(|printed| is_after(printed).then_some(()));
        assert!(
            seen.is_some(),
            "{} did not print {text:?} after {earlier:?}, but:\n{}",
            self.command,
            self.stdout.text()
        );
    }

    /// Waits until this text has been printed so often.
    #[cfg(feature = "line-editing")]
    #[track_caller]
    pub(crate) fn wait_for_text_again(&self, text: &str, times: usize) {
        let seen = self.stdout.wait_for(|printed| (printed.matches(text).count() >= times).then_some(()));
        assert!(
            seen.is_some(),
            "{} did not print {text:?} {times} times:\n{}",
            self.command,
            self.stdout.text()
        );
    }

    /// Types keys, without an end of line.
    pub(crate) fn press(&mut self, keys: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        let _ = stdin.write_all(keys.as_bytes()).and_then(|()| stdin.flush());
    }

    /// Sends what Ctrl-C sends, and waits for the end.
    #[track_caller]
    pub(crate) fn interrupt(self) -> Outcome {
        signal(self.child.id(), Signal::INT);
        self.finish()
    }

    /// Stops the process, as Ctrl-Z does, and continues it once it has stopped and this has been done.
    #[track_caller]
    pub(crate) fn suspend_while(&self, something: impl FnOnce()) {
        let id = self.child.id();
        stop(id);
        something();
        signal(id, Signal::CONT);
    }

    /// The most memory that the process has held at once so far, in bytes (VmHWM of proc_pid_status(5)).
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The first line that it prints.
    #[track_caller]
    pub(crate) fn first_line(&self) -> String {
        let line = self.stdout.wait_for_line(|line| Some(line.to_string()));
        line.unwrap_or_else(|| panic!("{} printed no line, but:\n{}", self.command, self.stderr.text()))
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process at once, like a crash.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Closes standard input and waits for the process to end by itself.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Outcome {
        self.stdin = None;
        let ended = self.stdout.wait_for_end() && self.stderr.wait_for_end();
        if !ended {
            self.child.kill().unwrap();
        }
        // The pipes of a process close when it ends, so this does not wait either.
        let status = self.child.wait().unwrap();
        let outcome = Outcome {
            command: self.command.clone(),
            status: status.code().unwrap_or(-1),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        };
        assert!(ended, "not done after {LIMIT:?}: {outcome}");
        outcome
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
#[track_caller]
pub(crate) fn signal(process: u32, signal: Signal) {
    let process = Pid::from_raw(process.cast_signed()).unwrap();
    kill_process(process, signal).unwrap();
}

/// Stops a process, as Ctrl-Z does, and waits until all of its threads have stopped.
#[track_caller]
pub(crate) fn stop(process: u32) {
    signal(process, Signal::STOP);
    // proc_pid_stat(5): the state comes after the name, which is in brackets.
    let is_stopped =
        |thread: PathBuf| fs::read_to_string(thread.join("stat")).is_ok_and(|s| s.contains(") T "));
    let threads = || fs::read_dir(format!("/proc/{process}/task")).unwrap();
    wait_until("the process has stopped", || threads().all(|thread| is_stopped(thread.unwrap().path())));
}

/// How many processes work in a folder, or in one below it, even if it has been removed since.
pub(crate) fn processes_in(folder: &Path) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|process| process.path().join("cwd").read_link().ok())
        .filter(|cwd| cwd.starts_with(folder))
        .count()
}

/// Polls, for what gives no sign when it has happened.
#[track_caller]
pub(crate) fn wait_until(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !happened() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        thread::yield_now();
    }
}

/// Runs a command to its end, with `input` on its standard input.
#[track_caller]
pub(crate) fn run(command: &mut Command, input: &str) -> Outcome {
    let mut session = Session::start(command);
    if !input.is_empty() {
        session.send(input);
    }
    session.finish()
}
