//! A long way between client and server: a TCP proxy that passes every byte on after a delay.
//!
//! It delays and does nothing else: no limit on the rate, no loss, no slow start. Bytes are stamped when they
//! come and released when their time has come, so that a full pipe stays full.
//!
//! A connect on this machine returns at once, and the first bytes would then be too early by the round trip of
//! TCP's handshake. So bytes of a connection count as sent only when the handshake would have been over. Of
//! connections that one client opens one after another, each handshake begins where the one before ends:
//! a client that connects in turn, as ShareIt does, waits for each of them.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Fallible;

/// One way. The round trip is twice that.
pub(crate) const DELAY: Duration = Duration::from_millis(25);
/// Bytes under way in one direction of one connection; far more than a sender can have sent in 25 ms.
const MAX_UNDER_WAY: usize = 64 << 20;
const STEP: usize = 64 * 1024;

/// The way from one client to any number of servers.
#[derive(Clone)]
pub(crate) struct Way {
    /// When the last handshake so far is over.
    established: Arc<Mutex<Instant>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Way {
    pub(crate) fn new() -> Self {
        Self { established: Arc::new(Mutex::new(Instant::now())) }
    }

    /// A port from where this way leads to a server's. Its threads run until the program ends.
    pub(crate) fn to(&self, server: u16) -> Fallible<u16> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let way = self.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let established = way.shake_hands();
                // A server that is gone is passed on as a connection that ends.
                thread::spawn(move || join(&client, server, established).ok());
            }
        });
        Ok(port)
    }

    /// When the handshake that begins now, or after the one that is under way, is over.
    fn shake_hands(&self) -> Instant {
        let mut last = lock(&self.established);
        *last = Instant::now().max(*last) + 2 * DELAY;
        *last
    }
}

fn join(client: &TcpStream, server: u16, established: Instant) -> Fallible<()> {
    client.set_nodelay(true)?;
    let up = Arc::new(Pipe::default());
    let (from, pipe) = (client.try_clone()?, Arc::clone(&up));
    thread::spawn(move || pipe.fill(from, established));
    // The last part of the handshake reaches the server.
    thread::sleep((established + DELAY).saturating_duration_since(Instant::now()));
    let server = TcpStream::connect(("127.0.0.1", server)).inspect_err(|_| {
        // The client has closed already, or learns of it by this.
        let _ = client.shutdown(Shutdown::Both);
    })?;
    server.set_nodelay(true)?;
    let down = Arc::new(Pipe::default());
    let (from, pipe, to) = (server.try_clone()?, Arc::clone(&down), client.try_clone()?);
    thread::spawn(move || pipe.fill(from, established));
    thread::spawn(move || down.empty(to));
    up.empty(server);
    Ok(())
}

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// An empty chunk is the end.
    under_way: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// Nobody is there any more to take what comes out.
    broken: bool,
}

impl Pipe {
    fn fill(&self, mut from: TcpStream, established: Instant) {
        let mut buffer = vec![0; STEP];
        loop {
            let count = from.read(&mut buffer).unwrap_or(0);
            let due = Instant::now().max(established) + DELAY;
            let full = |state: &mut State| state.bytes > MAX_UNDER_WAY && !state.broken;
            let mut state =
                self.changed.wait_while(lock(&self.state), full).unwrap_or_else(PoisonError::into_inner);
            state.under_way.push_back((due, buffer[..count].to_vec()));
            state.bytes += count;
            self.changed.notify_all();
            if count == 0 || state.broken {
                return;
            }
        }
    }

    fn empty(&self, mut to: TcpStream) {
        loop {
            let idle = |state: &mut State| state.under_way.is_empty();
            let mut state =
                self.changed.wait_while(lock(&self.state), idle).unwrap_or_else(PoisonError::into_inner);
            let Some((due, chunk)) = state.under_way.pop_front() else { continue };
            state.bytes -= chunk.len();
            self.changed.notify_all();
            drop(state);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if chunk.is_empty() {
                // Closed already is just as well.
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            if to.write_all(&chunk).is_err() {
                lock(&self.state).broken = true;
                self.changed.notify_all();
                return;
            }
        }
    }
}
