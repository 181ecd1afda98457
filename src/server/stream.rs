//! A connection's two directions with their time limits.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limits::{LEAST_RATE, STALL_LIMIT};

/// How long so many bytes may take on their way, from their size.
fn time_for(bytes: u64) -> Duration {
    STALL_LIMIT + Duration::from_secs(bytes / LEAST_RATE)
}

/// The receiving side of a connection. Before login one limit counts for all reads together, so that
/// a stranger who sends a byte now and then gains nothing; and so it is within a payload, by its size.
pub(super) struct Incoming {
    stream: Arc<TcpStream>,
    deadline: Option<Instant>,
    /// Whether a read may take until the deadline: otherwise the deadline is only looked at behind it.
    exact: bool,
}

impl Incoming {
    pub(super) fn with_deadline(stream: Arc<TcpStream>, limit: Duration) -> Self {
        Self { stream, deadline: Some(Instant::now() + limit), exact: true }
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

    /// From now on a payload of so many bytes comes. Each read has a limit, and all together have one.
    pub(super) fn limit_payload(&mut self, bytes: u64) -> io::Result<()> {
        self.limit_each_read(STALL_LIMIT)?;
        // With a clock that cannot count so far there is no deadline, but still a limit for each read.
        (self.deadline, self.exact) = (Instant::now().checked_add(time_for(bytes)), false);
        Ok(())
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if self.exact {
                self.stream.set_read_timeout(Some(left))?;
            }
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

impl Outgoing {
    /// Sends all of it, each step and the whole within its time.
    pub(super) fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        let (start, limit) = (Instant::now(), time_for(bytes.len() as u64));
        while !bytes.is_empty() {
            match (&*self.0).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if !bytes.is_empty() && start.elapsed() > limit {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }

    /// Sends as much as there is room for on its way, and says how much that was.
    pub(super) fn send_some(&self, bytes: &[u8]) -> usize {
        use rustix::net::{SendFlags, send};
        // What is wrong with the connection, its own thread finds out.
        send(&*self.0, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_time_by_its_size() {
        assert_eq!(time_for(0), STALL_LIMIT);
        assert_eq!(time_for(60 * LEAST_RATE), STALL_LIMIT + Duration::from_secs(60));
        assert!(time_for(u64::MAX) > time_for(1 << 40));
    }
}
