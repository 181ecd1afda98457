//! A client's connection to one server: login, then requests and replies, each phase with its time
//! limit. Requests may be sent ahead of their replies, which come in the same order.

mod error;
mod limits;
mod login;
mod socket;

use std::io::{self, Read, Write};
use std::time::Duration;

pub use error::{Answer, No, PeerError};
pub use limits::Limits;
pub use login::{Challenged, Connected, Proven};

use crate::auth::Verifier;
use crate::primitives::{Bytes32, Keystream, PayloadMac, sha256};
use crate::tcp;
use crate::wire::{
    LineOpener, LineSealer, MAX_LIFE_SIGNS, MAX_TEXT, ParseError, Refusal, Reply, Request, StageEnd,
};
use socket::Wire;

/// Which way a line travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From this client to the server.
    Sent,
    /// From the server to this client.
    Received,
}

/// Sees the text of each line after login, without its MAC. Nothing in it is secret: a new verifier
/// travels encrypted.
pub type Tracer = Box<dyn Fn(Direction, &str) + Send>;

/// A connection that is logged in.
pub struct Peer {
    tracer: Option<Tracer>,
    wire: Wire,
    sealer: LineSealer,
    opener: LineOpener,
    payloads: Bytes32,
    /// Of the STAGE whose end is still to come.
    payload: Option<PayloadMac>,
    secrets: Bytes32,
}

impl Peer {
    /// From now on `tracer` sees each line.
    pub fn trace(&mut self, tracer: Tracer) {
        self.tracer = Some(tracer);
    }

    /// Whether the server has closed the connection, or sent what nobody asked for.
    pub fn is_stale(&self) -> bool {
        let stream = &self.wire.reader.get_ref().stream;
        if stream.set_nonblocking(true).is_err() {
            return true;
        }
        let peeked = stream.peek(&mut [0]);
        let quiet = matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        stream.set_nonblocking(false).is_err() || !quiet
    }

    /// Whether the server is on this machine, so that its work takes of the same processor.
    pub fn is_local(&self) -> bool {
        let server = self.wire.reader.get_ref().stream.peer_addr();
        server.is_ok_and(|server| tcp::is_local(server.ip()))
    }

    /// Sends a request, perhaps only into a buffer: see [`Peer::flush`]. The payload of a STAGE or RESTORE
    /// follows by [`Peer::send_payload`], and then [`Peer::send_end`] or [`Peer::send_cancel`].
    ///
    /// # Errors
    /// See [`PeerError`]; after any error the connection is of no more use.
    pub fn send(&mut self, request: &Request) -> Result<(), PeerError> {
        self.send_text(&request.to_line())?;
        let has_mac = matches!(request, Request::Stage { restore: None, .. });
        self.payload = has_mac.then(|| PayloadMac::new(&self.payloads, self.sealer.last()));
        Ok(())
    }

    /// Sends a new verifier for the user, encrypted; `block` is random.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub fn send_verifier(&mut self, verifier: &Verifier, block: &[u8; 16]) -> Result<(), PeerError> {
        let mut bytes = verifier.to_string().into_bytes();
        Keystream::new(&self.secrets, block).apply(&mut bytes);
        self.send(&Request::Passwd { block: *block, verifier: bytes })
    }

    /// Sends bytes of a payload.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub fn send_payload(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        if let Some(mac) = &mut self.payload {
            mac.update(bytes);
        }
        Ok(self.wire.writer.write_all(bytes)?)
    }

    /// Sends the line behind a payload that is whole.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub fn send_end(&mut self, root: &Bytes32, seal: &Bytes32) -> Result<(), PeerError> {
        let tag = self.payload.take().map(PayloadMac::finish);
        self.send_text(&StageEnd::End { root: *root, seal: *seal, tag }.to_line())
    }

    /// Sends the line behind a payload that is of no use.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub fn send_cancel(&mut self) -> Result<(), PeerError> {
        self.send_text(&StageEnd::Cancel.to_line())
    }

    fn send_text(&mut self, text: &str) -> Result<(), PeerError> {
        if let Some(tracer) = &self.tracer {
            tracer(Direction::Sent, text);
        }
        Ok(self.wire.writer.write_all(self.sealer.seal(text).as_bytes())?)
    }

    /// Sends what is buffered.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub fn flush(&mut self) -> Result<(), PeerError> {
        Ok(self.wire.writer.flush()?)
    }

    fn receive(&mut self, limit: Duration) -> Result<Reply, PeerError> {
        let line = self.wire.receive_line(limit)?;
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

    /// The reply to a request that is answered when something is on disk, or done.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn receive_done(&mut self) -> Answer<()> {
        let limit = self.wire.limits.durable;
        for _ in 0..MAX_LIFE_SIGNS {
            match self.receive(limit)? {
                Reply::Ok => return Ok(Ok(())),
                Reply::No(refusal, detail) => return no(refusal, detail),
                Reply::More(0, _) => {}
                _ => return Err(PeerError::Protocol(ParseError("OK"))),
            }
        }
        Err(PeerError::Protocol(ParseError("an end to the signs of life")))
    }

    /// The reply to a request that is answered with text, of at most `most` bytes in all; each part of
    /// it goes to `sink`.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn receive_text(
        &mut self,
        most: usize,
        mut sink: impl FnMut(&str) -> Result<(), ParseError>,
    ) -> Answer<()> {
        let limit = self.wire.limits.answer;
        let mut left = most;
        let mut signs = 0;
        loop {
            let (length, hash, last) = match self.receive(limit)? {
                Reply::Text(length, hash) => (length, hash, true),
                Reply::More(length, hash) => (length, hash, false),
                Reply::No(refusal, detail) => return no(refusal, detail),
                _ => return Err(PeerError::Protocol(ParseError("TEXT"))),
            };
            let part = self.receive_text_bytes(length, &hash)?;
            left = left.checked_sub(part.len()).ok_or(ParseError("a text within the limit"))?;
            if part.is_empty() && !last {
                signs += 1;
                if signs > MAX_LIFE_SIGNS {
                    return Err(PeerError::Protocol(ParseError("an end to the signs of life")));
                }
                continue;
            }
            sink(&part)?;
            if last {
                return Ok(Ok(()));
            }
        }
    }

    /// The reply to a request that is answered with one text, understood by `parse`.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn receive_parsed<T>(&mut self, parse: impl Fn(&str) -> Result<T, ParseError>) -> Answer<T> {
        let mut text = String::new();
        let answer = self.receive_text(MAX_TEXT, |part| {
            text.push_str(part);
            Ok(())
        })?;
        Ok(match answer {
            Ok(()) => Ok(parse(&text)?),
            Err(no) => Err(no),
        })
    }

    fn receive_text_bytes(&mut self, length: u64, hash: &Bytes32) -> Result<String, PeerError> {
        let length = usize::try_from(length).ok().filter(|&length| length <= MAX_TEXT);
        let mut bytes = vec![0; length.ok_or(ParseError("a text within the limit"))?];
        self.wire.reader.read_exact(&mut bytes)?;
        if sha256(&bytes) != *hash {
            return Err(PeerError::Altered);
        }
        String::from_utf8(bytes).map_err(|_| PeerError::BadLine)
    }

    /// The reply to a READ of `length` bytes; they then come by [`Peer::receive_payload`].
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn receive_data(&mut self, length: u64) -> Answer<()> {
        let limit = self.wire.limits.answer;
        match self.receive(limit)? {
            Reply::Data(announced) if announced == length => Ok(Ok(())),
            Reply::No(refusal, detail) => no(refusal, detail),
            _ => Err(PeerError::Protocol(ParseError("DATA of the length asked for"))),
        }
    }

    /// Fills `buffer` with the next bytes of a payload.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn receive_payload(&mut self, buffer: &mut [u8]) -> Result<(), PeerError> {
        Ok(self.wire.reader.read_exact(buffer)?)
    }
}

/// A few refusals end the connection on the server's side; the others only the request.
fn no<T>(refusal: Refusal, detail: String) -> Answer<T> {
    match refusal {
        Refusal::BadRequest | Refusal::BadMac | Refusal::Slow => Err(PeerError::Refused(refusal, detail)),
        _ => Ok(Err(No { refusal, detail })),
    }
}
