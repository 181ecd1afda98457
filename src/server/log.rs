//! The log: one line for each event, written by a thread of its own.
//!
//! A reader of the log that stops reading must not stop the server: lines wait in a bounded queue, and those that do
//! not fit are dropped and counted.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::name::{ServerName, is_unprintable};

/// Parts that may wait: a line, or the lines of a session that go together. At most a few MiB wait.
const QUEUE: usize = 1024;
/// Most bytes of lines that go together, not counting the last line.
const MAX_TOGETHER: usize = 4 * 1024;
/// Most bytes of lines that are written at once, not counting the last part.
const MAX_WRITE: usize = 16 * 1024;

#[derive(Clone)]
pub(super) struct Log {
    queue: SyncSender<String>,
    dropped: Arc<AtomicU64>,
    name: ServerName,
}

impl Log {
    pub(super) fn start(name: ServerName, out: Box<dyn Write + Send>) -> Self {
        let (queue, lines) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        std::thread::spawn(move || write_lines(&lines, out, &counter));
        Self { queue, dropped, name }
    }

    /// Writes a line after the time and the server's name. Control and format characters are escaped, so that no name
    /// can forge a line.
    pub(super) fn line(&self, text: &str) {
        Lines::new(self).line(text);
    }
}

/// Lines that go to the log together: the thread that writes is woken once for all of them.
pub(super) struct Lines<'a> {
    log: &'a Log,
    lines: String,
    count: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn new(log: &'a Log) -> Self {
        Self { log, lines: String::new(), count: 0 }
    }

    /// Adds a line as [`Log::line`] does, but it may wait for [`Lines::hand_over`].
    pub(super) fn line(&mut self, text: &str) {
        let _ = write!(self.lines, "{} {} ", utc_now(), self.log.name);
        for c in text.chars() {
            if is_unprintable(c) { self.lines.extend(c.escape_default()) } else { self.lines.push(c) }
        }
        self.lines.push('\n');
        self.count += 1;
        if self.lines.len() >= MAX_TOGETHER {
            self.hand_over();
        }
    }

    /// Has the waiting lines written.
    pub(super) fn hand_over(&mut self) {
        let (lines, count) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.count));
        if count > 0 && self.log.queue.try_send(lines).is_err() {
            self.log.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        self.hand_over();
    }
}

fn write_lines(lines: &Receiver<String>, mut out: Box<dyn Write + Send>, dropped: &AtomicU64) {
    for mut line in lines {
        // The parts that wait are written with it: one system call for each of many lines is expensive.
        while line.len() < MAX_WRITE
            && let Ok(next) = lines.try_recv()
        {
            line.push_str(&next);
        }
        // A log that cannot be written is no reason to stop the server.
        let _ = out.write_all(line.as_bytes());
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _ = out.write_all(format!("{} log: {missing} lines dropped\n", utc_now()).as_bytes());
        }
    }
}

fn utc_now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    crate::text::utc_text(i64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    struct Sent(std::sync::mpsc::Sender<String>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let (sender, lines) = channel();
        let log = Log::start(ServerName::parse("Server1").unwrap(), Box::new(Sent(sender)));
        log.line("LOOK a\nServer1 Aditi logged in\u{1b}[2J");
        let line = lines.recv().unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with(" Server1 LOOK a\\nServer1 Aditi logged in\\u{1b}[2J\n"), "{line}");
    }

    #[test]
    fn lines_that_go_together_are_written_at_once_and_in_order() {
        let (sender, lines) = channel();
        let log = Log::start(ServerName::parse("Server1").unwrap(), Box::new(Sent(sender)));
        let mut together = Lines::new(&log);
        together.line("LOOK a: ok");
        together.line("LOOK b: ok");
        log.line("left");
        assert!(lines.recv().unwrap().ends_with(" Server1 left\n"));
        together.hand_over();
        let written = lines.recv().unwrap();
        let texts: Vec<&str> = written.lines().map(|line| line.split_once(" Server1 ").unwrap().1).collect();
        assert_eq!(texts, ["LOOK a: ok", "LOOK b: ok"]);
        together.line("READ a: ok");
        drop(together);
        assert!(lines.recv().unwrap().ends_with(" READ a: ok\n"));
        let mut many = Lines::new(&log);
        (0..MAX_TOGETHER).for_each(|_| many.line("x"));
        let begun = lines.recv_timeout(Duration::from_secs(60)).expect("nothing was handed over");
        assert!(begun.len() >= MAX_TOGETHER);
        drop(many);
    }

    #[test]
    fn a_log_that_nobody_reads_stops_nobody() {
        struct Stuck(Arc<Mutex<()>>, std::sync::mpsc::Sender<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _ = self.1.send(());
                let _never = self.0.lock();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock().unwrap();
        let (sender, begun) = channel();
        let stuck = Stuck(Arc::clone(&gate), sender);
        let log = Log::start(ServerName::parse("Server1").unwrap(), Box::new(stuck));
        log.line("the one that is being written");
        begun.recv().unwrap();
        (0..3 * QUEUE).for_each(|_| log.line("x"));
        let mut together = Lines::new(&log);
        (0..3).for_each(|_| together.line("x"));
        drop(together);
        assert_eq!(log.dropped.load(Ordering::Relaxed), 2 * QUEUE as u64 + 3);
        drop(held);
    }
}
