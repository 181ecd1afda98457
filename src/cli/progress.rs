//! The progress line: on a terminal only, for whatever takes longer than half a second.
//!
//! A thread draws it, so that it goes on while a server lets one wait, and so that no transfer waits
//! for a terminal. It takes no more than the terminal's width, and that is asked for again and again.

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

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    begun: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) servers: Servers,
    meter: Option<Meter>,
    drawn: bool,
    has_thread: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProgressLine {
    /// A command begins. Without a terminal that can take a line back, nothing is ever drawn.
    pub(super) fn begin(&self) {
        if !io::stderr().is_terminal() || !knows_escapes(std::env::var_os("TERM")) {
            return;
        }
        let mut state = self.shared.lock();
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
        self.hide().meter = None;
    }

    /// Tells the meter something, if there is one.
    pub(super) fn tell(&self, what: impl FnOnce(&mut Meter)) {
        if let Some(meter) = &mut self.shared.lock().meter {
            what(meter);
        }
    }

    /// Takes the line off the terminal. It stays away as long as the guard is held: messages are
    /// written meanwhile.
    pub(super) fn hide(&self) -> MutexGuard<'_, State> {
        let mut state = self.shared.lock();
        if std::mem::take(&mut state.drawn) {
            write_out("\r\x1b[K");
        }
        state
    }
}

/// In one piece, so that nothing comes between. A line that cannot be drawn is not missed.
fn write_out(text: &str) {
    let mut terminal = io::stderr().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

fn draw_for_ever(shared: &Shared) {
    let mut width = None;
    let mut state = shared.lock();
    loop {
        let now = Instant::now();
        let wait = state.meter.as_ref().map(|meter| PATIENCE.saturating_sub(meter.elapsed(now)));
        state = match (wait, width) {
            (None, _) => shared.begun.wait(state).unwrap_or_else(PoisonError::into_inner),
            (Some(Duration::ZERO), Some((columns, asked))) if now.duration_since(asked) < ASK_WIDTH => {
                draw(&mut state, now, columns);
                wait_for(shared, state, REDRAW)
            }
            (Some(Duration::ZERO), _) => {
                drop(state);
                width = Some((terminal::width(&io::stderr()), Instant::now()));
                shared.lock()
            }
            (Some(wait), _) => wait_for(shared, state, wait),
        };
    }
}

fn wait_for<'a>(shared: &'a Shared, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
    shared.begun.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
}

fn draw(state: &mut State, now: Instant, columns: usize) {
    let Some(meter) = &state.meter else { return };
    // The last column stays free: a terminal may go to the next line when it is filled. While it is
    // narrower than the width that was asked for, it must not wrap either (DECAWM off, and on again).
    let line = meter.line(now, &state.servers, columns.saturating_sub(1));
    write_out(&format!("\x1b[?7l\r{line}\x1b[K\x1b[?7h"));
    state.drawn = true;
}
