//! A connection to a server: how it is opened, and how long the server may keep the client waiting.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::error::PeerError;
use super::limits::Limits;
use crate::link::{self, Inbound, Limit, Outbound};
use crate::tcp;
use crate::wire::{Reply, read_line};

const BUFFER: usize = 64 * 1024;

/// A connection with its buffers.
pub(super) struct Socket {
    pub(super) reader: BufReader<Inbound>,
    pub(super) writer: Outbound,
    pub(super) limits: Limits,
}

impl Socket {
    /// Connects, trying each address of the host within the limit. Reads have the limit of a login.
    pub(super) fn open(address: &str, limits: Limits) -> Result<Self, PeerError> {
        let stream = connect(address, limits.connect)?;
        let (inbound, writer) = link::open(stream.into(), BUFFER, Limit::Waited(limits.login))?;
        let reader = BufReader::with_capacity(BUFFER, inbound);
        Ok(Self { reader, writer, limits })
    }

    /// Receives a line, waiting for all of it no longer than `limit`; returns what is left of that too.
    pub(super) fn receive_line(&mut self, limit: Duration) -> Result<(String, Duration), PeerError> {
        self.reader.get_mut().limit(Limit::Waited(limit));
        let line = read_line(&mut self.reader)?;
        Ok((line, self.reader.get_ref().left()))
    }

    /// Fills a buffer, waiting for all of it no longer than `limit`; returns what is left of that.
    pub(super) fn receive_bytes(
        &mut self,
        buffer: &mut [u8],
        limit: Duration,
    ) -> Result<Duration, PeerError> {
        self.reader.get_mut().limit(Limit::Waited(limit));
        self.reader.read_exact(buffer)?;
        Ok(self.reader.get_ref().left())
    }

    /// Before that many bytes are sent: sets how long the server may need for them and for what is buffered.
    pub(super) fn begin_sending(&mut self, bytes: usize) {
        self.writer.limit(Limit::Waited(self.limits.payload((BUFFER + bytes) as u64)));
    }

    pub(super) fn send_line(&mut self, line: &str) -> Result<(), PeerError> {
        self.begin_sending(line.len());
        self.writer.write_all(line.as_bytes())?;
        self.writer.write_all(b"\n")?;
        Ok(self.writer.flush()?)
    }

    pub(super) fn receive_plain(&mut self) -> Result<Reply, PeerError> {
        match Reply::parse(&self.receive_line(self.limits.login)?.0)? {
            Reply::No(refusal, detail) => Err(PeerError::Refused(refusal, detail)),
            reply => Ok(reply),
        }
    }
}

fn connect(address: &str, limit: Duration) -> Result<TcpStream, PeerError> {
    let deadline = Instant::now() + limit;
    let mut last = PeerError::Resolve(io::ErrorKind::NotFound.into());
    for address in address.to_socket_addrs().map_err(PeerError::Resolve)? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(PeerError::Silent);
        }
        match tcp::connect(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => last = PeerError::Silent,
            Err(error) => last = PeerError::Connect(error),
        }
    }
    Err(last)
}
