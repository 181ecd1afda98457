//! A connection's socket: how it is opened, its buffers, and the limit on each read.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::error::PeerError;
use super::limits::Limits;
use crate::tcp;
use crate::wire::{Reply, read_line};

const BUFFER: usize = 64 * 1024;

/// A stream with the read limit that is set on it, so that it is set only when it changes.
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    limit: Duration,
    /// For a line: when all its bytes must be here, so that a server that drips them gains nothing.
    deadline: Option<Instant>,
}

impl Socket {
    fn limit_reads(&mut self, limit: Duration) -> io::Result<()> {
        if self.limit != limit {
            self.stream.set_read_timeout(Some(limit))?;
            self.limit = limit;
        }
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.limit_reads(left)?;
        }
        self.stream.read(buffer)
    }
}

/// A connection with its buffers.
pub(super) struct Wire {
    pub(super) reader: BufReader<Socket>,
    pub(super) writer: BufWriter<TcpStream>,
    pub(super) limits: Limits,
}

impl Drop for Wire {
    /// A buffer that is dropped is written first, and would wait for a silent server once more.
    fn drop(&mut self) {
        // Closed already is just as well.
        let _ = self.reader.get_ref().stream.shutdown(Shutdown::Both);
    }
}

impl Wire {
    /// Connects, trying each address of the host within the limit. Reads have the limit of a login.
    pub(super) fn open(address: &str, limits: Limits) -> Result<Self, PeerError> {
        let stream = connect(address, limits.connect)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limits.login))?;
        stream.set_write_timeout(Some(limits.answer))?;
        let writer = BufWriter::with_capacity(BUFFER, stream.try_clone()?);
        let reader = BufReader::with_capacity(BUFFER, Socket { stream, limit: limits.login, deadline: None });
        Ok(Self { reader, writer, limits })
    }

    pub(super) fn receive_line(&mut self, limit: Duration) -> Result<String, PeerError> {
        self.reader.get_mut().deadline = Some(Instant::now() + limit);
        let line = read_line(&mut self.reader);
        let socket = self.reader.get_mut();
        socket.deadline = None;
        socket.limit_reads(self.limits.answer)?;
        Ok(line?)
    }

    pub(super) fn send_line(&mut self, line: &str) -> Result<(), PeerError> {
        self.writer.write_all(line.as_bytes())?;
        self.writer.write_all(b"\n")?;
        Ok(self.writer.flush()?)
    }

    pub(super) fn receive_plain(&mut self) -> Result<Reply, PeerError> {
        match Reply::parse(&self.receive_line(self.limits.login)?)? {
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
