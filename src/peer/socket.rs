//! A connection's socket: how it is opened, its buffers, and how long its other end may keep it waiting.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::error::PeerError;
use super::limits::Limits;
use crate::tcp;
use crate::wire::{Reply, read_line};

const BUFFER: usize = 64 * 1024;
/// How long one call of the system may wait. What is waited for in all is counted out of such turns.
const TURN: Duration = Duration::from_millis(250);

/// One direction of a stream, and how long it may still wait for the other end.
///
/// What counts is the time spent waiting, not the time that passes: a server that drips its bytes uses it
/// up as one that is silent does, but a client that was stopped, or busy with another server, loses nothing.
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    left: Duration,
}

impl Socket {
    fn wait<T>(&mut self, mut call: impl FnMut(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        while !self.left.is_zero() {
            let begin = Instant::now();
            let result = call(&self.stream);
            self.left = self.left.saturating_sub(begin.elapsed().min(TURN));
            match result {
                Err(error) if is_turn_over(&error) => {}
                result => return result,
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

fn is_turn_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(|mut stream| stream.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(|mut stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection with its buffers.
pub(super) struct Wire {
    pub(super) reader: BufReader<Socket>,
    pub(super) writer: BufWriter<Socket>,
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
        stream.set_read_timeout(Some(TURN))?;
        stream.set_write_timeout(Some(TURN))?;
        let outgoing = Socket { stream: stream.try_clone()?, left: limits.login };
        let writer = BufWriter::with_capacity(BUFFER, outgoing);
        let reader = BufReader::with_capacity(BUFFER, Socket { stream, left: limits.login });
        Ok(Self { reader, writer, limits })
    }

    /// A line, waiting for all of it no longer than this; and what is left of that.
    pub(super) fn receive_line(&mut self, limit: Duration) -> Result<(String, Duration), PeerError> {
        self.reader.get_mut().left = limit;
        let line = read_line(&mut self.reader)?;
        Ok((line, self.reader.get_ref().left))
    }

    /// Fills a buffer, waiting for all of it no longer than this; gives what is left of that.
    pub(super) fn receive_bytes(
        &mut self,
        buffer: &mut [u8],
        limit: Duration,
    ) -> Result<Duration, PeerError> {
        self.reader.get_mut().left = limit;
        self.reader.read_exact(buffer)?;
        Ok(self.reader.get_ref().left)
    }

    /// Before that many bytes are sent: how long the server may take to take them, with what is buffered.
    pub(super) fn begin_sending(&mut self, bytes: usize) {
        self.writer.get_mut().left = self.limits.payload((BUFFER + bytes) as u64);
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
