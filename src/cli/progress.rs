//! The progress line: on a terminal only, for whatever takes longer than half a second.
//!
//! A thread draws it, so that it goes on while a server lets one wait, and so that no transfer waits
//! for a terminal that stands still. It takes no more than the terminal's width, which is asked for
//! again and again.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::colour::knows_escapes;
use super::meter::{Meter, Servers};
use super::terminal;

/// What is quicker than this needs no line.
const PATIENCE: Duration = Duration::from_millis(500);
const REDRAW: Duration = Duration::from_millis(100);
/// How often the width is asked for: each time costs a process.
const ASK_WIDTH: Duration = Duration::from_secs(1);

/// The line, wherever it is touched from.
#[derive(Default)]
pub(super) struct ProgressLine {
    shared: Arc<Shared>,
}

/// Two locks, so that who only counts never waits for the terminal. Who needs both takes `screen` first.
#[derive(Default)]
struct Shared {
    screen: Mutex<Screen>,
    state: Mutex<State>,
    begun: Condvar,
}

/// The line on the terminal.
#[derive(Default)]
pub(super) struct Screen {
    drawn: bool,
}

#[derive(Default)]
struct State {
    servers: Servers,
    meter: Option<Meter>,
    has_thread: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProgressLine {
    /// A command begins. Without a terminal that can take a line back, nothing is ever drawn.
    pub(super) fn begin(&self) {
        if !io::stderr().is_terminal() || !knows_escapes(std::env::var_os("TERM")) {
            return;
        }
        let mut state = lock(&self.shared.state);
        state.meter = Some(Meter::new(Instant::now()));
        if !state.has_thread {
            let shared = Arc::clone(&self.shared);
            // Without a thread there is no line, and nothing else is missed.
            state.has_thread = thread::Builder::new().spawn(move || draw_for_ever(&shared)).is_ok();
        }
        self.shared.begun.notify_one();
    }

    /// The command has ended.
    pub(super) fn end(&self) {
        let _hidden = self.hide();
        lock(&self.shared.state).meter = None;
    }

    /// Tells the meter something, if there is one.
    pub(super) fn tell(&self, what: impl FnOnce(&mut Meter)) {
        if let Some(meter) = &mut lock(&self.shared.state).meter {
            what(meter);
        }
    }

    /// Tells who may be waited for.
    pub(super) fn set_servers(&self, servers: Servers) {
        lock(&self.shared.state).servers = servers;
    }

    /// Notes whether a server is up; whether that is new.
    pub(super) fn set_up(&self, server: &str, up: bool) -> bool {
        lock(&self.shared.state).servers.set(server, up)
    }

    /// Takes the line off the terminal. It stays away as long as the guard is held: messages are
    /// written meanwhile.
    pub(super) fn hide(&self) -> MutexGuard<'_, Screen> {
        let mut screen = lock(&self.shared.screen);
        if std::mem::take(&mut screen.drawn) {
            write_out("\r\x1b[K");
        }
        screen
    }
}

/// In one piece, so that nothing comes between. A line that cannot be drawn is not missed.
fn write_out(text: &str) {
    let mut terminal = io::stderr().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

fn draw_for_ever(shared: &Shared) {
    let (mut columns, mut asked) = (0, None::<Instant>);
    loop {
        wait_until_due(shared);
        if asked.is_none_or(|asked| asked.elapsed() >= ASK_WIDTH) {
            columns = terminal::width(&io::stderr());
            asked = Some(Instant::now());
        }
        draw(shared, columns);
        // Who is woken too early draws once more than needed.
        drop(shared.begun.wait_timeout(lock(&shared.state), REDRAW));
    }
}

/// Waits until there is something that has taken its time.
fn wait_until_due(shared: &Shared) {
    let mut state = lock(&shared.state);
    loop {
        let early = state.meter.as_ref().map(|meter| PATIENCE.saturating_sub(meter.elapsed(Instant::now())));
        state = match early {
            Some(Duration::ZERO) => return,
            Some(early) => shared.begun.wait_timeout(state, early).unwrap_or_else(PoisonError::into_inner).0,
            None => shared.begun.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

fn draw(shared: &Shared, columns: usize) {
    let mut screen = lock(&shared.screen);
    let state = lock(&shared.state);
    let Some(meter) = &state.meter else { return };
    // The last column stays free: a terminal may go to the next line when it is filled. While it is
    // narrower than the width that was asked for, it must not wrap either (DECAWM off, and on again).
    let line = meter.line(Instant::now(), &state.servers, columns.saturating_sub(1));
    drop(state);
    write_out(&format!("\x1b[?7l\r{line}\x1b[K\x1b[?7h"));
    screen.drawn = true;
}
