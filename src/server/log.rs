//! The log: one line an event, written by a thread of its own.
//!
//! A reader of the log that stops reading must not stop the server: lines wait in a bounded queue,
//! and what does not fit is counted and left out.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::name::ServerName;

/// Lines that may wait.
const QUEUE: usize = 1024;
/// Bytes of lines that are written at once, or a line more.
const MAX_WRITE: usize = 16 * 1024;

#[derive(Clone)]
pub(super) struct Log {
    queue: SyncSender<String>,
    left_out: Arc<AtomicU64>,
    name: ServerName,
}

impl Log {
    pub(super) fn start(name: ServerName, out: Box<dyn Write + Send>) -> Self {
        let (queue, lines) = sync_channel(QUEUE);
        let left_out = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&left_out);
        std::thread::spawn(move || write_lines(&lines, out, &counter));
        Self { queue, left_out, name }
    }

    /// Writes a line, with the time and the server's name before it. Control characters are escaped,
    /// so that no name can forge a line.
    pub(super) fn line(&self, text: &str) {
        let mut line = format!("{} {} ", utc_now(), self.name);
        for c in text.chars() {
            if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
        }
        line.push('\n');
        if self.queue.try_send(line).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_lines(lines: &Receiver<String>, mut out: Box<dyn Write + Send>, left_out: &AtomicU64) {
    for mut line in lines {
        // What waits is written with it: a system call for each of many lines is dear.
        while line.len() < MAX_WRITE
            && let Ok(next) = lines.try_recv()
        {
            line.push_str(&next);
        }
        // A log that cannot be written is no reason to stop serving.
        let _ = out.write_all(line.as_bytes());
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _ = out.write_all(format!("{} log: {missing} lines left out\n", utc_now()).as_bytes());
        }
    }
}

fn utc_now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    crate::wire::utc_text(i64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    struct Lines(std::sync::mpsc::Sender<String>);

    impl Write for Lines {
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
        let log = Log::start(ServerName::parse("Server1").unwrap(), Box::new(Lines(sender)));
        log.line("LOOK a\nServer1 Aditi logged in\u{1b}[2J");
        let line = lines.recv().unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with(" Server1 LOOK a\\nServer1 Aditi logged in\\u{1b}[2J\n"), "{line}");
    }

    #[test]
    fn a_log_that_nobody_reads_stops_nobody() {
        struct Stuck(Arc<Mutex<()>>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _never = self.0.lock();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock().unwrap();
        let log = Log::start(ServerName::parse("Server1").unwrap(), Box::new(Stuck(Arc::clone(&gate))));
        (0..3 * QUEUE).for_each(|_| log.line("x"));
        assert!(log.left_out.load(Ordering::Relaxed) > 0);
        drop(held);
    }
}
