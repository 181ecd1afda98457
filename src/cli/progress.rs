//! The progress line: on a terminal only, for whatever takes longer than half a second.
//!
//! A thread draws it, so that it goes on while a server keeps the client waiting, and so that no transfer waits for a
//! terminal that is stuck. It is never wider than the terminal is at the time.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::colour::knows_escapes;
use super::meter::{Meter, Servers};
use super::terminal;

/// Whatever is quicker than this needs no line.
const PATIENCE: Duration = Duration::from_millis(500);
const REDRAW: Duration = Duration::from_millis(100);

/// The line, shared by all threads that change it.
#[derive(Default)]
pub(super) struct ProgressLine {
    shared: Arc<Shared>,
}

/// Two locks, so that a thread that only counts never waits for the terminal. One that needs both takes `screen` first.
#[derive(Default)]
struct Shared {
    screen: Mutex<Screen>,
    counted: Mutex<Counted>,
    begun: Condvar,
}

/// The line on the terminal.
#[derive(Default)]
pub(super) struct Screen {
    drawn: bool,
}

#[derive(Default)]
struct Counted {
    servers: Servers,
    meter: Option<Meter>,
    has_thread: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProgressLine {
    /// A command begins. Nothing is ever drawn unless there is a terminal on which a line can be erased.
    pub(super) fn begin(&self) {
        if !io::stderr().is_terminal() || !knows_escapes(std::env::var_os("TERM")) {
            return;
        }
        let mut counted = lock(&self.shared.counted);
        counted.meter = Some(Meter::new(Instant::now()));
        if !counted.has_thread {
            let shared = Arc::clone(&self.shared);
            // Without a thread only the line is missing.
            counted.has_thread = thread::Builder::new().spawn(move || draw_for_ever(&shared)).is_ok();
        }
        self.shared.begun.notify_one();
    }

    /// The command has ended.
    pub(super) fn end(&self) {
        let _hidden = self.hide();
        lock(&self.shared.counted).meter = None;
    }

    /// Passes something to the meter, if there is one.
    pub(super) fn tell(&self, what: impl FnOnce(&mut Meter)) {
        if let Some(meter) = &mut lock(&self.shared.counted).meter {
            what(meter);
        }
    }

    /// Sets the servers that may be waited for.
    pub(super) fn set_servers(&self, servers: Servers) {
        lock(&self.shared.counted).servers = servers;
    }

    /// Notes whether a server is up; returns whether that is new.
    pub(super) fn set_up(&self, server: &str, up: bool) -> bool {
        lock(&self.shared.counted).servers.set(server, up)
    }

    /// Erases the line from the terminal. It stays away as long as the guard is held, so that messages can be written.
    pub(super) fn hide(&self) -> MutexGuard<'_, Screen> {
        let mut screen = lock(&self.shared.screen);
        if std::mem::take(&mut screen.drawn) && terminal::is_ours(&io::stderr()) {
            write_out("\r\x1b[K");
        }
        screen
    }
}

/// In one piece, so that nothing comes in between. It does not matter if a line cannot be drawn.
fn write_out(text: &str) {
    let mut terminal = io::stderr().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

fn draw_for_ever(shared: &Shared) {
    loop {
        wait_until_due(shared);
        draw(shared, terminal::width(&io::stderr()));
        // If it is woken too early, it draws once more than needed.
        drop(shared.begun.wait_timeout(lock(&shared.counted), REDRAW));
    }
}

/// Waits until there is something that takes a while.
fn wait_until_due(shared: &Shared) {
    let mut counted = lock(&shared.counted);
    loop {
        let early =
            counted.meter.as_ref().map(|meter| PATIENCE.saturating_sub(meter.elapsed(Instant::now())));
        counted = match early {
            Some(Duration::ZERO) => return,
            Some(early) => {
                shared.begun.wait_timeout(counted, early).unwrap_or_else(PoisonError::into_inner).0
            }
            None => shared.begun.wait(counted).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

fn draw(shared: &Shared, columns: usize) {
    let mut screen = lock(&shared.screen);
    if !terminal::is_ours(&io::stderr()) {
        // What was drawn is somewhere above by now.
        screen.drawn = false;
        return;
    }
    let counted = lock(&shared.counted);
    let Some(meter) = &counted.meter else { return };
    // The last column stays free: a terminal may go to the next line when it is filled. If it has become narrower since,
    // it must not wrap either (DECAWM off, and on again).
    let line = meter.line(Instant::now(), &counted.servers, columns.saturating_sub(1));
    drop(counted);
    write_out(&format!("\x1b[?7l\r{line}\x1b[K\x1b[?7h"));
    screen.drawn = true;
}
