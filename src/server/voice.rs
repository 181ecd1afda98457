//! What a server says to one client: replies, through a buffer, and signs of life while it works.
//!
//! A separate thread sends the signs, since the session's own may be in a system call of the disk that takes long or
//! never returns.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::limits;
use crate::link::Outbound;
use crate::primitives::sha256;
use crate::wire::{LineSealer, Reply};

/// How long a client that waits for a reply hears nothing before it gets a sign of life.
pub const LIFE_SIGN: Duration = Duration::from_secs(1);
/// How often the thread checks whether one is due.
const ROUND: Duration = Duration::from_millis(250);

/// One client's replies. Clones share them.
#[derive(Clone)]
pub(super) struct Voice(Arc<Mutex<Speech>>);

pub(super) struct Speech {
    out: Outbound,
    /// `None` until the login is done.
    sealer: Option<LineSealer>,
    /// Since when the client has heard nothing, if the session works for it.
    silent: Option<Instant>,
}

impl Voice {
    pub(super) fn new(out: Outbound) -> Self {
        Self(Arc::new(Mutex::new(Speech { out, sealer: None, silent: None })))
    }

    /// Locks it for a reply. Nobody else speaks until this is dropped.
    pub(super) fn speak(&self) -> MutexGuard<'_, Speech> {
        // Whatever a thread that panicked has sent stays sent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on every line is sealed.
    pub(super) fn seal_with(&self, sealer: LineSealer) {
        self.speak().sealer = Some(sealer);
    }

    /// The client waits for what the session does now: it gets signs of life until the reply, or [`Voice::rest`].
    pub(super) fn work(&self) {
        self.speak().silent = Some(Instant::now());
    }

    pub(super) fn rest(&self) {
        self.speak().silent = None;
    }
}

impl Speech {
    pub(super) fn send(&mut self, reply: &Reply) -> io::Result<()> {
        if !matches!(reply, Reply::More(..)) {
            // Even before it is sent: what follows a reply belongs to the next request.
            self.silent = None;
        }
        let line = self.line(reply);
        self.write_all(line.as_bytes())
    }

    fn line(&mut self, reply: &Reply) -> String {
        match &mut self.sealer {
            Some(sealer) => sealer.seal(&reply.to_line()),
            None => format!("{}\n", reply.to_line()),
        }
    }

    /// Sends bytes after those in the buffer, and buffers none of them.
    pub(super) fn send_past_buffer(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.out.limit(limits::payload(bytes.len() as u64));
        self.out.send(bytes)
    }

    /// Sends a sign of life if one is due; never waits. A client that does not read what was sent needs none.
    fn send_sign_of_life(&mut self) {
        if self.silent.is_none_or(|since| since.elapsed() < LIFE_SIGN) {
            return;
        }
        self.silent = Some(Instant::now());
        if self.out.has_room(1) {
            let sign = self.line(&Reply::More(0, sha256(b"")));
            self.out.add(sign.as_bytes());
        }
        self.out.send_without_waiting();
    }
}

impl Write for Speech {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.silent.is_some() {
            self.silent = Some(Instant::now());
        }
        if !self.out.has_room(bytes.len()) {
            self.flush()?;
        }
        self.out.limit(limits::payload(bytes.len() as u64));
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.limit(limits::payload(self.out.buffered() as u64));
        self.out.flush()
    }
}

/// The voices of all sessions, and a signal that one was added.
type Present = (Mutex<Vec<Weak<Mutex<Speech>>>>, Condvar);

/// All voices, and the thread that sends their signs of life.
pub(super) struct Voices(Arc<Present>);

impl Voices {
    pub(super) fn start() -> Self {
        let voices: Arc<Present> = Arc::default();
        let present = Arc::clone(&voices);
        std::thread::spawn(move || {
            loop {
                send_signs_of_life(&present);
                std::thread::sleep(ROUND);
            }
        });
        Self(voices)
    }

    /// From now on this voice's client gets signs of life, as long as the voice exists.
    pub(super) fn add(&self, voice: &Voice) {
        let (voices, added) = &*self.0;
        voices.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&voice.0));
        added.notify_one();
    }
}

fn send_signs_of_life((voices, added): &Present) {
    let mut present = Vec::new();
    let all = voices.lock().unwrap_or_else(PoisonError::into_inner);
    // The thread sleeps while there are no sessions.
    let mut all = added.wait_while(all, |all| all.is_empty()).unwrap_or_else(PoisonError::into_inner);
    all.retain(|voice| voice.upgrade().map(|voice| present.push(voice)).is_some());
    drop(all);
    for voice in present {
        // A session that is speaking now needs no sign.
        if let Ok(mut speech) = voice.try_lock() {
            speech.send_sign_of_life();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link;
    use crate::wire::{LineOpener, read_line};
    use std::io::BufReader;
    use std::net::{TcpListener, TcpStream};

    const KEY: [u8; 32] = [7; 32];
    const BUFFER: usize = 16 * 1024;

    /// A voice, and what its client hears.
    fn voice() -> (Voice, impl FnMut() -> Reply) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let stream = Arc::new(listener.accept().unwrap().0);
        let (_, out) = link::open(stream, BUFFER, limits::payload(0)).unwrap();
        let voice = Voice::new(out);
        voice.seal_with(LineSealer::new(KEY));
        let (mut reader, mut opener) = (BufReader::new(client), LineOpener::new(KEY));
        let hear = move || {
            let line = read_line(&mut reader).unwrap();
            Reply::parse(opener.open(&line).unwrap()).unwrap()
        };
        (voice, hear)
    }

    #[test]
    fn a_client_hears_signs_of_life_while_its_session_is_stuck_and_then_the_reply() {
        let voices = Voices::start();
        let (voice, mut hear) = voice();
        voices.add(&voice);
        voice
            .speak()
            .send(&Reply::No(crate::wire::Refusal::NotFound, "of an earlier request".into()))
            .unwrap();
        voice.work();
        // Nobody flushes: the session's thread is busy elsewhere.
        assert!(matches!(hear(), Reply::No(..)), "an earlier reply comes first");
        for _ in 0..2 {
            assert!(matches!(hear(), Reply::More(0, _)));
        }
        let mut speech = voice.speak();
        speech.send(&Reply::Ok).unwrap();
        speech.flush().unwrap();
        drop(speech);
        while hear() != Reply::Ok {}
        assert_eq!(voice.speak().silent, None, "the next line is for the next request");
    }

    #[test]
    fn a_client_that_reads_nothing_gets_no_more_signs_than_there_is_room_for() {
        let (voice, _hear) = voice();
        let mut speech = voice.speak();
        for _ in 0..100_000 {
            speech.silent = Instant::now().checked_sub(2 * LIFE_SIGN);
            speech.send_sign_of_life();
        }
        assert!(speech.out.buffered() < BUFFER + 256, "{} bytes", speech.out.buffered());
    }
}
