//! A client's connection to one server: login, then requests and replies, each phase with its time limit. Requests may
//! be sent ahead of their replies, which come in the same order.
//!
//! After a [`PeerError`] the connection cannot be used any more.

mod error;
mod limits;
mod login;
mod silence;
mod socket;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

pub use error::{Answer, No, PeerError, Received};
pub use limits::{LEAST_DISK_RATE, LEAST_RATE, LEAST_THROTTLE, LIST_FACTOR, Limits};
pub use login::{Challenged, Connected, Proven};
pub use silence::WaitClock;

pub use crate::link::Stop;

use crate::auth::{SessionKeys, Verifier};
use crate::primitives::{Bytes32, Key, Keystream, PayloadMac, sha256};
use crate::tcp;
use crate::throttle::Throttle;
use crate::wire::{
    LineOpener, LineSealer, MAX_LIFE_SIGNS, MAX_TEXT, ParseError, Refusal, Reply, Request, StageEnd,
};
use limits::at_rate;
use socket::Socket;

/// Which way a line travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From this client to the server.
    Sent,
    /// From the server to this client.
    Received,
}

/// Sees the text of each line after login, without its MAC. Nothing in it is secret: a new verifier is encrypted.
pub type Tracer = Box<dyn Fn(Direction, &str) + Send>;

/// A connection that is logged in.
pub struct Peer {
    tracer: Option<Tracer>,
    socket: Socket,
    sealer: LineSealer,
    opener: LineOpener,
    payloads: Key,
    /// That of the STAGE whose end has not been sent yet.
    payload: Option<PayloadMac>,
    secrets: Key,
    /// Whether anything was asked on it.
    is_used: bool,
    ping: Ping,
}

/// A PING that goes ahead of a request: its answer comes at once, if any does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ping {
    None,
    /// Before the next request.
    Due,
    /// Its answer comes before all others.
    Sent,
}

impl Proven {
    /// Waits for the welcome.
    ///
    /// # Errors
    /// For a wrong name or password, an error of which [`PeerError::is_denied`] is true.
    pub fn welcomed(self) -> Result<Peer, PeerError> {
        let (socket, SessionKeys { client_lines, server_lines, payloads, secrets }) = self.finish()?;
        let (sealer, opener) = (LineSealer::new(client_lines), LineOpener::new(server_lines));
        Ok(Peer {
            tracer: None,
            socket,
            sealer,
            opener,
            payloads,
            payload: None,
            secrets,
            is_used: false,
            ping: Ping::None,
        })
    }
}

impl Peer {
    /// From now on `tracer` sees each line.
    pub fn trace(&mut self, tracer: Tracer) {
        self.tracer = Some(tracer);
    }

    /// From now on what is sent and received counts there, and waits.
    pub fn throttle(&mut self, throttle: &Arc<Throttle>) {
        self.socket.reader.get_mut().throttle(throttle);
        self.socket.writer.throttle(throttle);
    }

    /// Whether the server has closed the connection, or sent something unasked.
    pub fn is_stale(&self) -> bool {
        self.socket.reader.get_ref().has_arrived()
    }

    /// Whether the server is on this machine, and so shares its processors.
    pub fn is_local(&self) -> bool {
        self.socket.reader.get_ref().other_end().is_some_and(tcp::is_local)
    }

    /// From now on the time that is spent waiting for this server is counted on this clock.
    pub fn count_on(&mut self, clock: &WaitClock) {
        self.socket.count_on(clock);
    }

    /// Has a PING go ahead of the next request. Its answer needs no work, so a server from which it does not come
    /// within its limit is silent, and the longer limits of the requests that follow need not be waited for. Of a
    /// server that has only just accepted the login nothing is asked.
    pub fn probe(&mut self) {
        if self.is_used && self.ping == Ping::None {
            self.ping = Ping::Due;
        }
    }

    /// Sends the PING of [`Peer::probe`], if it is due, without a request.
    pub fn send_probe(&mut self) -> Result<(), PeerError> {
        if self.ping == Ping::Due {
            self.send_text(&Request::Ping.to_line())?;
            self.ping = Ping::Sent;
        }
        Ok(())
    }

    /// Receives the reply to the PING of [`Peer::probe`], if one was sent.
    pub fn receive_probe(&mut self) -> Result<(), PeerError> {
        if self.ping == Ping::Sent {
            self.ping = Ping::None;
            self.receive_pong(self.socket.limits.ping)?
                .map_err(|no| PeerError::Refused(no.refusal, no.detail))?;
        }
        Ok(())
    }

    /// Sends a request, perhaps only into a buffer: see [`Peer::flush`]. After a STAGE, RESUME or RESTORE its payload
    /// must follow through [`Peer::send_payload`], and then [`Peer::send_end`] or [`Peer::send_cancel`].
    pub fn send(&mut self, request: &Request) -> Result<(), PeerError> {
        self.send_probe()?;
        self.is_used = true;
        self.send_text(&request.to_line())?;
        let has_mac = matches!(request, Request::Stage { restore: None, .. } | Request::Resume { .. });
        self.payload = has_mac.then(|| PayloadMac::new(&self.payloads, self.sealer.last()));
        Ok(())
    }

    /// Sends a new verifier for the user, encrypted; `block` is random.
    pub fn send_verifier(&mut self, verifier: &Verifier, block: &[u8; 16]) -> Result<(), PeerError> {
        let mut bytes = verifier.to_string().into_bytes();
        Keystream::new(&self.secrets, block).apply(&mut bytes);
        self.send(&Request::Passwd { block: *block, verifier: bytes })
    }

    /// Sends bytes of a payload.
    pub fn send_payload(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        if let Some(mac) = &mut self.payload {
            mac.update(bytes);
        }
        self.socket.begin_sending(bytes.len());
        Ok(self.socket.writer.write_all(bytes)?)
    }

    /// Sends the line after a whole payload.
    pub fn send_end(&mut self, root: &Bytes32, seal: &Bytes32) -> Result<(), PeerError> {
        let tag = self.payload.take().map(PayloadMac::finish);
        self.send_text(&StageEnd::End { root: *root, seal: *seal, tag }.to_line())
    }

    /// Sends the line that has the server drop the payload.
    pub fn send_cancel(&mut self) -> Result<(), PeerError> {
        self.send_text(&StageEnd::Cancel.to_line())
    }

    fn send_text(&mut self, text: &str) -> Result<(), PeerError> {
        if let Some(tracer) = &self.tracer {
            tracer(Direction::Sent, text);
        }
        self.socket.begin_sending(text.len());
        Ok(self.socket.writer.write_all(self.sealer.seal(text).as_bytes())?)
    }

    /// Ends connections, and waits until the servers have noticed, no longer than for a PING: then what was staged on
    /// them is nobody's.
    pub fn end_all(mut peers: Vec<Self>) {
        // One that has failed has ended.
        peers.retain_mut(|peer| peer.socket.end_sending().is_ok());
        peers.iter_mut().for_each(|peer| peer.socket.await_end());
    }

    /// Sends what is buffered.
    pub fn flush(&mut self) -> Result<(), PeerError> {
        self.socket.flush()
    }

    /// The next line. Waiting for it uses up `patience`.
    fn receive(&mut self, limit: Duration, patience: &mut Patience) -> Result<Reply, PeerError> {
        let allowed = limit.min(patience.left);
        let (line, left) = self.socket.receive_line(allowed)?;
        patience.spend(allowed.saturating_sub(left));
        match self.opener.open(&line) {
            Ok(text) => {
                if let Some(tracer) = &self.tracer {
                    tracer(Direction::Received, text);
                }
                Ok(Reply::parse(text)?)
            }
            Err(_) => Err(PeerError::Altered),
        }
    }

    /// The next line that is not a sign of life.
    fn receive_reply(&mut self, limit: Duration, patience: &mut Patience) -> Result<Reply, PeerError> {
        self.receive_probe()?;
        loop {
            match self.receive(limit, patience)? {
                Reply::More(0, _) => patience.count_part()?,
                reply => return Ok(reply),
            }
        }
    }

    /// The reply to a PING, which may take so long.
    pub fn receive_pong(&mut self, limit: Duration) -> Received<()> {
        self.receive_ok(limit, self.socket.limits.life)
    }

    /// The reply to a request that is answered when something is on disk, or done.
    pub fn receive_done(&mut self) -> Received<()> {
        self.receive_done_with(0)
    }

    /// The same for a request for which the server has to read `bytes` of a piece first.
    pub fn receive_done_with(&mut self, bytes: u64) -> Received<()> {
        let limits = self.socket.limits;
        self.receive_ok(limits.durable, limits.life_of(bytes))
    }

    fn receive_ok(&mut self, limit: Duration, life: Duration) -> Received<()> {
        match self.receive_reply(limit, &mut Patience::new(life))? {
            Reply::Ok => Ok(Ok(())),
            Reply::No(refusal, detail) => no(refusal, detail),
            _ => Err(PeerError::Protocol(ParseError("OK"))),
        }
    }

    /// The reply to a LIST, of at most `most` bytes in all. Each part of it goes to `sink`.
    pub fn receive_list(
        &mut self,
        most: usize,
        sink: impl FnMut(&str) -> Result<(), PeerError>,
    ) -> Received<()> {
        let patience = Patience::new(self.socket.limits.list());
        self.receive_text(most, patience, sink)
    }

    fn receive_text(
        &mut self,
        most: usize,
        mut patience: Patience,
        mut sink: impl FnMut(&str) -> Result<(), PeerError>,
    ) -> Received<()> {
        let limit = self.socket.limits.answer;
        let mut left = most;
        loop {
            let (length, hash, last) = match self.receive_reply(limit, &mut patience)? {
                Reply::Text(length, hash) => (length, hash, true),
                Reply::More(length, hash) => (length, hash, false),
                Reply::No(refusal, detail) => return no(refusal, detail),
                _ => return Err(PeerError::Protocol(ParseError("TEXT"))),
            };
            patience.count_part()?;
            let part = self.receive_text_bytes(length, &hash, &mut patience)?;
            left = left.checked_sub(part.len()).ok_or(ParseError("a text within the limit"))?;
            sink(&part)?;
            if last {
                return Ok(Ok(()));
            }
        }
    }

    /// The reply to a request that is answered with one text, which `parse` understands.
    pub fn receive_parsed<T>(&mut self, parse: impl Fn(&str) -> Result<T, ParseError>) -> Received<T> {
        let mut text = String::new();
        let patience = Patience::new(self.socket.limits.life);
        let answer = self.receive_text(MAX_TEXT, patience, |part| {
            text.push_str(part);
            Ok(())
        })?;
        Ok(match answer {
            Ok(()) => Ok(parse(&text)?),
            Err(no) => Err(no),
        })
    }

    fn receive_text_bytes(
        &mut self,
        length: u64,
        hash: &Bytes32,
        patience: &mut Patience,
    ) -> Result<String, PeerError> {
        let size = usize::try_from(length).ok().filter(|&size| size <= MAX_TEXT);
        let mut bytes = vec![0; size.ok_or(ParseError("a text within the limit"))?];
        // Bytes have time of their own, in addition to that for the whole answer.
        patience.left += at_rate(length, LEAST_RATE);
        let allowed = self.socket.limits.payload(length).min(patience.left);
        let left = self.socket.receive_bytes(&mut bytes, allowed)?;
        patience.spend(allowed.saturating_sub(left));
        if sha256(&bytes) != *hash {
            return Err(PeerError::Altered);
        }
        String::from_utf8(bytes).map_err(|_| PeerError::BadLine)
    }

    /// The reply to a READ of `length` bytes, which [`Peer::receive_payload`] then receives.
    pub fn receive_data(&mut self, length: u64) -> Received<()> {
        let limits = self.socket.limits;
        match self.receive_reply(limits.answer, &mut Patience::new(limits.life))? {
            Reply::Data(announced) if announced == length => Ok(Ok(())),
            Reply::No(refusal, detail) => no(refusal, detail),
            _ => Err(PeerError::Protocol(ParseError("DATA of the requested length"))),
        }
    }

    /// The reply to a CHUNKS, of at most `most` bytes, for which the server has to read `bytes` of a piece first.
    pub fn receive_chunks(&mut self, most: u64, bytes: u64) -> Received<Vec<u8>> {
        let limits = self.socket.limits;
        match self.receive_reply(limits.answer, &mut Patience::new(limits.life_of(bytes)))? {
            Reply::Data(length) if length <= most => {
                let mut list =
                    vec![0; usize::try_from(length).map_err(|_| ParseError("a list within the limit"))?];
                self.receive_payload(&mut list)?;
                Ok(Ok(list))
            }
            Reply::No(refusal, detail) => no(refusal, detail),
            _ => Err(PeerError::Protocol(ParseError("DATA within the limit"))),
        }
    }

    /// Fills `buffer` with the next bytes of a payload.
    pub fn receive_payload(&mut self, buffer: &mut [u8]) -> Result<(), PeerError> {
        let limit = self.socket.limits.payload(buffer.len() as u64);
        self.socket.receive_bytes(buffer, limit).map(drop)
    }
}

/// How long one answer may still keep the client waiting, and in how many parts it may still come.
struct Patience {
    left: Duration,
    parts: usize,
}

impl Patience {
    fn new(left: Duration) -> Self {
        Self { left, parts: MAX_LIFE_SIGNS }
    }

    fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }

    /// A sign of life or a part of a text has arrived.
    fn count_part(&mut self) -> Result<(), ParseError> {
        self.parts = self.parts.checked_sub(1).ok_or(ParseError("an end to the signs of life"))?;
        Ok(())
    }
}

/// After some refusals the server closes the connection; all others end only the request.
fn no<T>(refusal: Refusal, detail: String) -> Received<T> {
    match refusal {
        Refusal::BadRequest | Refusal::BadMac | Refusal::Slow => Err(PeerError::Refused(refusal, detail)),
        _ => Ok(Err(No { refusal, detail })),
    }
}
