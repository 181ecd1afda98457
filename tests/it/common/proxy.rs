//! Someone on the network between client and server, who listens, holds bytes back or cuts the wire.

use super::process::{LIMIT, signal};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What goes wrong with the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Nothing passes any more, in neither direction, but connections stay open and new ones are taken.
    Silence,
    /// All connections are closed, new ones at once.
    Cut,
    /// All connections are closed, and new ones are good.
    HangUp,
    /// The client's process is killed, and then all is cut.
    Kill(u32),
}

/// What is done with the next line from the client that begins with a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trap {
    /// It stays here until [`Proxy::release`], and so does all that follows it on that connection.
    Hold,
    /// It goes on to the server, whose answer does not come back: the connection is closed instead.
    CutAnswer,
    /// It does not go on: the connection is closed instead.
    Cut,
    /// The same for each such line.
    CutEach,
}

/// A TCP proxy in front of one server. Counting bytes makes "in the middle" an event, not a matter of time.
pub(crate) struct Proxy {
    port: u16,
    wire: Arc<Wire>,
}

#[derive(Default)]
struct Wire {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    up: Vec<u8>,
    down: Vec<u8>,
    /// The fault to come: when this many bytes have gone this way.
    plan: Option<(Way, usize, Fault)>,
    /// The fault that comes with a line to the server that begins so.
    plan_at_line: Option<(&'static str, Fault)>,
    /// The fault to come with the so-manieth message, either way, from the line on that begins so.
    plan_at_message: Option<(&'static str, usize, Fault)>,
    fault: Option<Fault>,
    /// What happens at which word.
    trap: Option<(&'static str, Trap)>,
    /// Whether that has happened.
    sprung: bool,
    held: bool,
    /// A connection of which nothing more comes back.
    mute: Option<usize>,
    connections: usize,
    /// Connections up to this one are over.
    hung_up: usize,
    over: bool,
}

impl Proxy {
    /// A proxy to this port on this machine.
    pub(crate) fn to(server: u16) -> Self {
        Self::on(server, Arc::default())
    }

    /// Proxies to these ports that count together and share their faults.
    pub(crate) fn together(servers: impl Iterator<Item = u16>) -> Vec<Self> {
        let wire: Arc<Wire> = Arc::default();
        servers.map(|server| Self::on(server, Arc::clone(&wire))).collect()
    }

    fn on(server: u16, wire: Arc<Wire>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::clone(&wire);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.state().over {
                    return;
                }
                connect(client, server, &shared);
            }
        });
        Self { port, wire }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// All bytes that have gone this way since the last [`Proxy::forget`].
    pub(crate) fn recorded(&self, way: Way) -> Vec<u8> {
        self.wire.state().record(way).clone()
    }

    /// Starts a new recording.
    pub(crate) fn forget(&self) {
        let mut state = self.wire.state();
        state.up.clear();
        state.down.clear();
    }

    /// Lets a fault happen when `bytes` more have gone this way.
    pub(crate) fn fail_after(&self, way: Way, bytes: usize, fault: Fault) {
        let mut state = self.wire.state();
        let so_far = state.record(way).len();
        state.plan = Some((way, so_far + bytes, fault));
    }

    /// Lets a fault happen when a line that begins with this word is on its way to the server, which it does not reach
    /// unless the fault is a silence that ends.
    pub(crate) fn fail_at_line(&self, word: &'static str, fault: Fault) {
        self.wire.state().plan_at_line = Some((word, fault));
    }

    /// Lets a fault happen to the message of this number, requests and replies counted alike, the first being the
    /// one with a line that begins with this word. The message does not arrive.
    pub(crate) fn fail_at_message(&self, from: &'static str, number: usize, fault: Fault) {
        self.wire.state().plan_at_message = Some((from, number, fault));
    }

    /// Whether a planned fault has happened and is not healed.
    pub(crate) fn has_failed(&self) -> bool {
        self.wire.state().fault.is_some()
    }

    /// Ends all connections; what was held up does not arrive.
    pub(crate) fn cut(&self) {
        self.wire.state().fault = Some(Fault::Cut);
        self.wire.changed.notify_all();
    }

    /// Waits until the planned fault has happened.
    #[track_caller]
    pub(crate) fn wait_for_the_fault(&self) {
        let waited =
            self.wire.changed.wait_timeout_while(self.wire.state(), LIMIT, |state| state.fault.is_none());
        let happened = waited.unwrap().0.fault.is_some();
        assert!(happened, "not enough bytes came by for the planned fault");
    }

    /// Whether the trap has been sprung.
    pub(crate) fn has_sprung(&self) -> bool {
        self.wire.state().sprung
    }

    /// Does this to the next line from the client that begins with this word, once.
    pub(crate) fn trap(&self, word: &'static str, trap: Trap) {
        let mut state = self.wire.state();
        (state.trap, state.sprung) = (Some((word, trap)), false);
    }

    /// Waits until that line has come, and of [`Trap::CutAnswer`] until the server has answered it.
    #[track_caller]
    pub(crate) fn wait_for_the_trap(&self) {
        let waited = self.wire.changed.wait_timeout_while(self.wire.state(), LIMIT, |state| !state.sprung);
        let state = waited.unwrap().0;
        assert!(state.sprung, "no line came by for {:?}", state.trap);
    }

    /// Lets go what is held, and does this to the next such line.
    pub(crate) fn pass_and_trap(&self, word: &'static str, trap: Trap) {
        let mut state = self.wire.state();
        (state.trap, state.sprung, state.held) = (Some((word, trap)), false, false);
        self.wire.changed.notify_all();
    }

    /// Lets go what is held, and holds nothing more.
    pub(crate) fn release(&self) {
        let mut state = self.wire.state();
        (state.trap, state.held) = (None, false);
        self.wire.changed.notify_all();
    }

    /// Lets everything pass again.
    pub(crate) fn heal(&self) {
        let mut state = self.wire.state();
        (state.plan, state.plan_at_line, state.plan_at_message, state.fault) = (None, None, None, None);
        self.wire.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.state().over = true;
        self.wire.changed.notify_all();
        // Wakes the thread that waits for connections, so that it sees that it is over.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Notes bytes in transit, applies a fault to them, and says whether they may go on.
    fn pass(&self, connection: usize, way: Way, bytes: &[u8]) -> bool {
        let mut state = self.state();
        state.record(way).extend_from_slice(bytes);
        if way == Way::Down && state.mute == Some(connection) {
            (state.mute, state.sprung) = (None, true);
            self.changed.notify_all();
            return false;
        }
        // A client waits for answers before it sends what tests set traps for, so that a line begins here.
        if let Some((word, trap)) = state.trap
            && way == Way::Up
            && has_line(bytes, word)
        {
            state.trap = (trap == Trap::CutEach).then_some((word, trap));
            match trap {
                Trap::CutAnswer => state.mute = Some(connection),
                Trap::Hold => (state.held, state.sprung) = (true, true),
                Trap::Cut | Trap::CutEach => state.sprung = true,
            }
            self.changed.notify_all();
            if matches!(trap, Trap::Cut | Trap::CutEach) {
                return false;
            }
            if trap == Trap::Hold {
                state = self.changed.wait_while(state, |state| state.held && !state.over).unwrap();
            }
        }
        if let Some((fault_way, count, fault)) = state.plan
            && state.record(fault_way).len() > count
        {
            state.plan = None;
            state.fault = Some(fault);
            self.changed.notify_all();
        }
        if let Some((word, fault)) = state.plan_at_line
            && way == Way::Up
            && has_line(bytes, word)
        {
            state.plan_at_line = None;
            state.fault = Some(fault);
            self.changed.notify_all();
        }
        if let Some((word, number, fault)) = state.plan_at_message
            && (word.is_empty() || way == Way::Up && has_line(bytes, word))
        {
            // From here on every message counts.
            state.plan_at_message = Some(("", number - 1, fault));
            if number == 1 {
                state.plan_at_message = None;
                state.fault = Some(fault);
                if let Fault::Kill(process) = fault {
                    signal(process, Signal::KILL);
                    state.fault = Some(Fault::Cut);
                }
                self.changed.notify_all();
            }
        }
        let mut state = self
            .changed
            .wait_while(state, |state| state.fault == Some(Fault::Silence) && !state.over)
            .unwrap();
        if state.fault == Some(Fault::HangUp) {
            (state.fault, state.hung_up) = (None, state.connections);
        }
        !state.over && state.fault.is_none() && connection > state.hung_up
    }
}

/// Whether one of these lines begins with a word.
fn has_line(bytes: &[u8], word: &str) -> bool {
    bytes
        .split(|byte| *byte == b'\n')
        .any(|line| line.strip_prefix(word.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b' '))
}

impl State {
    fn record(&mut self, way: Way) -> &mut Vec<u8> {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

/// How many bytes have gone through these proxies since they last forgot, both ways together.
pub(crate) fn travelled(proxies: &[Proxy]) -> usize {
    let through = |proxy: &Proxy| proxy.recorded(Way::Up).len() + proxy.recorded(Way::Down).len();
    proxies.iter().map(through).sum()
}

/// Joins a client to the server, with a thread for each direction. A server that is down is passed on as a
/// connection that closes at once.
fn connect(client: TcpStream, server: u16, wire: &Arc<Wire>) {
    if wire.state().fault == Some(Fault::Cut) {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
        return;
    };
    // The two ends send small messages to and fro; the proxy must not save them up.
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (wire_up, wire_down) = (Arc::clone(wire), Arc::clone(wire));
    let connection = {
        let mut state = wire.state();
        state.connections += 1;
        state.connections
    };
    thread::spawn(move || forward(connection, Way::Up, client, server, &wire_up));
    thread::spawn(move || forward(connection, Way::Down, server_too, client_too, &wire_down));
}

fn forward(connection: usize, way: Way, mut from: TcpStream, mut to: TcpStream, wire: &Wire) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !wire.pass(connection, way, &buffer[..count]) || to.write_all(&buffer[..count]).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
    // While something is held, nobody hears of the server's end either.
    drop(wire.changed.wait_while(wire.state(), |state| way == Way::Down && state.held && !state.over));
    // Pass the end on, but leave the other direction to end by itself.
    let _ = to.shutdown(Shutdown::Write);
}
