//! Commands that are timed, and servers that run in the background.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::memory;
use crate::scratch::Watch;

/// How long a server may take to report that it is ready.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How often its log is looked at until then.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Where a program of this name is, if it is installed.
pub(crate) fn path_of(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers are often not in the PATH of those who are not root.
    let usual = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// This program, for its other roles: even after a new build has taken its place.
pub(crate) fn own_program() -> PathBuf {
    format!("/proc/{}/exe", std::process::id()).into()
}

/// A command of this program that prints "ready", and begins when it is sent a line.
pub(crate) fn when_told(command: &Command) -> Command {
    let mut waiting = Command::new(command.get_program());
    waiting.arg("when-told").args(command.get_args());
    waiting
}

/// Says that it is ready, and waits for the line.
pub(crate) fn wait_to_be_told() -> Fallible<()> {
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// What a command prints, if it succeeds.
pub(crate) fn output(command: &mut Command) -> Fallible<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{command:?}: {e}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}: {}", output.status, error.trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How long a command takes from start to exit; an error if it fails. `errors` is a file for its words.
pub(crate) fn time(command: &mut Command, errors: &Path) -> Fallible<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(errors)?);
    let start = Instant::now();
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    let taken = start.elapsed();
    if status.success() { Ok(taken) } else { Err(failure(command, &status.to_string(), errors)) }
}

/// The most memory that a command has while it runs.
pub(crate) fn peak_memory(command: &mut Command, errors: &Path) -> Fallible<u64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(errors)?);
    let mut child = command.spawn()?;
    let watch = memory::watch(child.id());
    // Not reaped before it was watched to its end: its pid stays its own.
    let peak = watch.join().map_err(|_| "the watching thread panicked")?;
    let status = child.wait()?;
    if status.success() { Ok(peak) } else { Err(failure(command, &status.to_string(), errors)) }
}

fn failure(command: &Command, status: &str, errors: &Path) -> Box<dyn std::error::Error + Send + Sync> {
    let words = fs::read_to_string(errors).unwrap_or_default();
    format!("{command:?}: {status}: {}", words.trim()).into()
}

/// A command that may have so many files and sockets open, if the system permits it.
pub(crate) fn with_descriptors(count: usize, program: &Path) -> Command {
    let mut command = Command::new("sh");
    let script = r#"ulimit -n "$0" 2>/dev/null; exec "$@""#;
    command.args(["-c", script]).arg(count.to_string()).arg(program);
    command
}

/// A server in the background; ended when dropped.
pub(crate) struct Daemon {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Where its output goes: a file, so that no process has to read it while something is timed.
    log: PathBuf,
    /// How much of the log was waited for already.
    seen: usize,
    watch: Watch,
}

impl Daemon {
    /// Starts it.
    pub(crate) fn start(command: &mut Command, log: PathBuf, watch: Watch) -> Fallible<Self> {
        let file = File::create(&log)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .map_err(|e| format!("{command:?}: {e}"))?;
        watch.started(child.id());
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, log, seen: 0, watch })
    }

    /// Waits until the log, from where the last wait ended, has what `find` looks for.
    pub(crate) fn wait_for<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> Fallible<T> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let log = fs::read_to_string(&self.log)?;
            let new = log.get(self.seen..).unwrap_or_default();
            if let Some(found) = find(new) {
                self.seen = log.len();
                return Ok(found);
            }
            let ended = self.child.try_wait()?.is_some();
            if ended || Instant::now() > deadline {
                return Err(format!("no word of {what}, but:\n{new}").into());
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdin(&mut self) -> Fallible<&mut ChildStdin> {
        self.stdin.as_mut().ok_or_else(|| "no standard input".into())
    }
}

impl Daemon {
    /// Says that nothing more will come.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end; an error if it fails.
    pub(crate) fn finish(&mut self) -> Fallible<()> {
        self.close_stdin();
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(format!("{status}: {}", fs::read_to_string(&self.log)?.trim()).into())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.watch.ended(self.child.id());
    }
}
