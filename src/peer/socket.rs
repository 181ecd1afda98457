//! A connection to a server: how it is opened, and how long the server may keep the client waiting.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::error::PeerError;
use super::limits::Limits;
use super::silence::{Silence, WaitClock};
use crate::link::{self, Inbound, Limit, Outbound, Stop};
use crate::tcp;
use crate::wire::{Reply, read_line};

const BUFFER: usize = 64 * 1024;

/// A connection with its buffers.
pub(super) struct Socket {
    pub(super) reader: BufReader<Inbound>,
    pub(super) writer: Outbound,
    pub(super) limits: Limits,
    silence: Silence,
}

impl Socket {
    /// Connects, trying each address of the host within the limit. Reads have the limit of a login.
    pub(super) fn open(address: &str, limits: Limits) -> Result<Self, PeerError> {
        let stream = connect(address, limits.connect)?;
        let (inbound, writer) = link::open(stream.into(), BUFFER, Limit::Waited(limits.login))?;
        let reader = BufReader::with_capacity(BUFFER, inbound);
        Ok(Self { reader, writer, limits, silence: Silence::new(&WaitClock::default()) })
    }

    /// From now on the time that is spent waiting for this server is counted on this clock.
    pub(super) fn count_on(&mut self, clock: &WaitClock) {
        self.silence = Silence::new(clock);
    }

    /// From now on this ends what waits for the server.
    pub(super) fn stop_by(&mut self, stop: &Stop) {
        self.reader.get_mut().stop_by(stop);
        self.writer.stop_by(stop);
    }

    /// Receives a line, waiting for all of it no longer than `limit`; returns what is left of that too. If nothing has
    /// arrived until now, the server has been silent while others were waited for.
    pub(super) fn receive_line(&mut self, limit: Duration) -> Result<(String, Duration), PeerError> {
        let is_silent = self.reader.buffer().is_empty() && !self.reader.get_ref().has_arrived();
        let allowed = if is_silent { self.silence.left_of(limit) } else { limit };
        self.reader.get_mut().limit(Limit::Waited(allowed));
        let line = read_line(&mut self.reader);
        let left = self.end_wait(allowed);
        Ok((line?, left))
    }

    /// Returns what is left of the limit.
    fn end_wait(&mut self, allowed: Duration) -> Duration {
        let left = self.reader.get_ref().left();
        self.silence.end(allowed.saturating_sub(left));
        left
    }

    /// Fills a buffer, waiting for all of it no longer than `limit`; returns what is left of that.
    pub(super) fn receive_bytes(
        &mut self,
        buffer: &mut [u8],
        limit: Duration,
    ) -> Result<Duration, PeerError> {
        self.reader.get_mut().limit(Limit::Waited(limit));
        let filled = self.reader.read_exact(buffer);
        let left = self.end_wait(limit);
        Ok(filled.map(|()| left)?)
    }

    /// Before that many bytes are sent: sets how long the server may need for them and for what is buffered.
    pub(super) fn begin_sending(&mut self, bytes: usize) {
        self.writer.limit(Limit::Waited(self.limits.payload((BUFFER + bytes) as u64)));
    }

    /// Sends what is buffered. From now on an answer is due.
    pub(super) fn flush(&mut self) -> Result<(), PeerError> {
        self.begin_sending(0);
        self.writer.flush()?;
        self.silence.begin();
        Ok(())
    }

    pub(super) fn end_sending(&mut self) -> io::Result<()> {
        self.begin_sending(0);
        self.writer.end()
    }

    /// Waits until the other end has ended the connection too.
    pub(super) fn await_end(&mut self) {
        self.reader.get_mut().limit(Limit::Waited(self.limits.ping));
        // Whether it failed or has ended makes no difference.
        let _ = io::copy(&mut self.reader, &mut io::sink());
    }

    pub(super) fn send_line(&mut self, line: &str) -> Result<(), PeerError> {
        self.begin_sending(line.len());
        self.writer.write_all(line.as_bytes())?;
        self.writer.write_all(b"\n")?;
        self.flush()
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const LONG: Duration = Duration::from_secs(60);

    fn open(login: Duration, clock: &WaitClock) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let limits = Limits { login, ..Limits::from_timeout(LONG) };
        let mut socket = Socket::open(&listener.local_addr().unwrap().to_string(), limits).unwrap();
        socket.count_on(clock);
        (socket, listener.accept().unwrap().0)
    }

    #[test]
    fn while_others_are_waited_for_so_is_this_one_but_what_has_arrived_counts() {
        let clock = WaitClock::default();
        let (mut silent, _server) = open(LONG, &clock);
        let (mut slow, mut slow_server) = open(LONG, &clock);
        clock.advance(LONG);
        let begin = Instant::now();
        assert!(matches!(silent.receive_plain(), Err(PeerError::Silent)));
        assert!(begin.elapsed() < LONG);

        slow_server.write_all(b"WELCOME eA==\n").unwrap();
        while !slow.reader.get_ref().has_arrived() {}
        assert!(slow.receive_plain().is_ok());

        // Asked again, it has its whole limit again.
        clock.advance(LONG);
        slow.send_line("PROVE eA==").unwrap();
        let answer =
            std::thread::spawn(move || slow_server.write_all(b"WELCOME eA==\n").map(|()| slow_server));
        assert!(slow.receive_plain().is_ok());
        answer.join().unwrap().unwrap();
    }
}
