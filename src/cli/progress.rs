//! The progress line: drawn on a terminal only, for anything that takes longer than half a second.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_millis(500);
const REDRAW: Duration = Duration::from_millis(100);

/// How far a command is.
pub(super) struct ProgressLine {
    begin: Instant,
    last_drawn: Option<Instant>,
    done: u64,
    total: u64,
    bytes: bool,
}

impl ProgressLine {
    /// A command begins that will move `bytes` bytes, or, with none, look at `files` files.
    pub(super) fn begin(files: usize, bytes: u64) -> Option<Self> {
        let total = if bytes > 0 { bytes } else { files as u64 };
        io::stderr().is_terminal().then(|| Self {
            begin: Instant::now(),
            last_drawn: None,
            done: 0,
            total,
            bytes: bytes > 0,
        })
    }

    pub(super) fn advance(&mut self, steps: u64) {
        self.done += steps;
        let now = Instant::now();
        let due = self.last_drawn.is_none_or(|last| now.duration_since(last) >= REDRAW);
        if due && now.duration_since(self.begin) >= PATIENCE {
            self.last_drawn = Some(now);
            let line = line(self.done, self.total, self.bytes, now.duration_since(self.begin));
            // A line that cannot be drawn is not missed.
            let _ = write!(io::stderr(), "\r\x1b[K{line}").and_then(|()| io::stderr().flush());
        }
    }

    /// Takes the line off the terminal, for a message or at the end.
    pub(super) fn clear(&mut self) {
        if self.last_drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K").and_then(|()| io::stderr().flush());
        }
    }
}

fn line(done: u64, total: u64, bytes: bool, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64();
    let amount = |n: f64| if bytes { human(n) } else { format!("{n:.0}") };
    let unit = if bytes { "" } else { " files" };
    let (done_text, rate_text) = (amount(done as f64), amount(rate));
    if total < done || total == 0 {
        return format!("{done_text}{unit}, {rate_text}/s");
    }
    let left = if rate > 0.0 { (total - done) as f64 / rate } else { 0.0 };
    let percent = done * 100 / total;
    let total = amount(total as f64);
    format!("{percent:3}%  {done_text} of {total}{unit}, {rate_text}/s, {} left", minutes(left))
}

/// Bytes in units of 1024, with one decimal.
fn human(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

fn minutes(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    if seconds < 60 { format!("{seconds} s") } else { format!("{}:{:02} min", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_share_amount_rate_and_time_left() {
        let two_seconds = Duration::from_secs(2);
        assert_eq!(
            line(1 << 30, 4 << 30, true, two_seconds),
            " 25%  1.0 GiB of 4.0 GiB, 512.0 MiB/s, 6 s left"
        );
        assert_eq!(line(10, 1000, false, two_seconds), "  1%  10 of 1000 files, 5/s, 3:18 min left");
        assert_eq!(line(512, 0, true, two_seconds), "512 B, 256 B/s");
    }
}
