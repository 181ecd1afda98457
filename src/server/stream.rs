//! A connection's two directions with their time limits.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The receiving side of a connection. Before login one limit counts for all reads together, so that
/// a stranger who sends a byte now and then gains nothing.
pub(super) struct Incoming {
    stream: Arc<TcpStream>,
    deadline: Option<Instant>,
}

impl Incoming {
    pub(super) fn with_deadline(stream: Arc<TcpStream>, limit: Duration) -> Self {
        Self { stream, deadline: Some(Instant::now() + limit) }
    }

    /// Whether something has arrived, or the other side has closed: whether a read would return at once.
    pub(super) fn has_arrived(&self) -> bool {
        let peeked = self.stream.set_nonblocking(true).and_then(|()| self.stream.peek(&mut [0]));
        let would_wait = matches!(&peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).is_ok() && !would_wait
    }

    /// From now on each read has a limit of its own.
    pub(super) fn limit_each_read(&mut self, limit: Duration) -> io::Result<()> {
        self.deadline = None;
        self.stream.set_read_timeout(Some(limit))
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
        }
        match (&*self.stream).read(buffer) {
            // What the system calls a read timeout depends on the system.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
            read => read,
        }
    }
}

/// The sending side.
pub(super) struct Outgoing(pub(super) Arc<TcpStream>);

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
