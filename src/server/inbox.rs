//! What has arrived from a client and is not read yet.
//!
//! While a session waits for its client it has room for a short request only: thousands of sessions may be idle, and
//! what the system has once given for their buffers it rarely gets back.

use std::io::{self, BufRead, Read};

use crate::link::{Inbound, Limit};

/// Bytes for which there is always room: a short request.
const WAITING: usize = 512;

pub(super) struct Inbox {
    inbound: Inbound,
    waiting: [u8; WAITING],
    /// Room for more; none while the session waits.
    room: Vec<u8>,
    capacity: usize,
    /// What is not read yet of the one that was filled last.
    at: usize,
    end: usize,
}

impl Inbox {
    /// An inbox for this direction, with room for `capacity` bytes when there are many.
    pub(super) fn new(inbound: Inbound, capacity: usize) -> Self {
        Self { inbound, waiting: [0; WAITING], room: Vec::new(), capacity, at: 0, end: 0 }
    }

    /// The limit of each read from now on.
    pub(super) fn limit(&mut self, limit: Limit) {
        self.inbound.limit(limit);
    }

    /// What has been received and is not read yet.
    pub(super) fn buffer(&self) -> &[u8] {
        let filled = if self.room.is_empty() { &self.waiting[..] } else { &self.room };
        &filled[self.at..self.end]
    }

    /// Whether more has arrived than has been received.
    pub(super) fn has_arrived(&self) -> bool {
        self.inbound.has_arrived()
    }

    fn fill(&mut self) -> io::Result<()> {
        (self.at, self.end) = (0, 0);
        if !self.room.is_empty() {
            if let Some(got) = self.inbound.read_arrived(&mut self.room)? {
                self.end = got;
                return Ok(());
            }
            self.room = Vec::new();
        }
        self.end = self.inbound.read(&mut self.waiting)?;
        if self.end == WAITING {
            self.room = vec![0; self.capacity];
            self.room[..WAITING].copy_from_slice(&self.waiting);
            self.end += self.inbound.read_arrived(&mut self.room[WAITING..])?.unwrap_or(0);
        }
        Ok(())
    }
}

impl BufRead for Inbox {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.end {
            self.fill()?;
        }
        Ok(self.buffer())
    }

    fn consume(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.end);
    }
}

impl Read for Inbox {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.end && into.len() >= self.capacity {
            return self.inbound.read(into);
        }
        let got = self.fill_buf()?.read(into)?;
        self.consume(got);
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    const CAPACITY: usize = 4 * WAITING;

    fn inbox() -> (Inbox, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let limit = Limit::Each(Duration::from_secs(60), None);
        let (inbound, _) = link::open(listener.accept().unwrap().0.into(), CAPACITY, limit).unwrap();
        (Inbox::new(inbound, CAPACITY), client)
    }

    #[test]
    fn everything_arrives_in_order_whatever_its_length() {
        let lengths = [1, WAITING - 1, WAITING, WAITING + 1, CAPACITY, CAPACITY + 1, 3 * CAPACITY];
        let sent: Vec<u8> = lengths.iter().flat_map(|&length| (0..length).map(|byte| byte as u8)).collect();
        let (mut inbox, mut client) = inbox();
        for length in lengths {
            let bytes: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            client.write_all(&bytes).unwrap();
            let mut arrived = vec![0; length];
            inbox.read_exact(&mut arrived).unwrap();
            assert_eq!(arrived, bytes, "{length}");
        }
        client.write_all(&sent).unwrap();
        drop(client);
        let mut arrived = Vec::new();
        inbox.read_to_end(&mut arrived).unwrap();
        assert_eq!(arrived, sent);
    }

    #[test]
    fn an_inbox_that_waits_has_little_room() {
        let (mut inbox, mut client) = inbox();
        client.write_all(&[b'x'; 3 * CAPACITY]).unwrap();
        while !inbox.has_arrived() {}
        for _ in 0..3 * CAPACITY {
            inbox.read_exact(&mut [0]).unwrap();
        }
        inbox.limit(Limit::Each(Duration::from_millis(5), None));
        assert_eq!(inbox.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(inbox.room.capacity(), 0);
    }
}
