//! One end of a connection: its two directions, how long each waits for the other end, and their buffers.
//!
//! Both ends are built on it. What differs between them is the [`Limit`]: a client counts the time that it spends
//! waiting for a server, a server sets deadlines.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::throttle::Throttle;

/// Most bytes of an empty buffer that is kept.
const KEPT: usize = 1024;
/// How long one system call may wait under [`Limit::Waited`].
const TURN: Duration = Duration::from_millis(250);

/// How long one direction may wait for the other end. Beyond it, a call fails with [`io::ErrorKind::TimedOut`].
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// So much time spent waiting, in all calls together. Time that passes outside them does not count: a peer
    /// that drips its bytes uses it up as a silent one does, but a process that was stopped, or was busy with
    /// another peer, loses nothing.
    Waited(Duration),
    /// Until this moment, for all calls together.
    Until(Instant),
    /// So long for each call, and no call begins after this moment, if one is given.
    Each(Duration, Option<Instant>),
}

/// Ends what waits on connections, from another thread.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on every call that may wait fails, within a quarter of a second, as if the connection had ended.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was requested.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Allows new connections to wait; returns whether it was requested.
    pub fn withdraw(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

type SetTimeout = fn(&TcpStream, Option<Duration>) -> io::Result<()>;

/// One direction of a stream.
struct Half {
    stream: Arc<TcpStream>,
    set_timeout: SetTimeout,
    /// The timeout that is set on the socket.
    timeout: Option<Duration>,
    limit: Limit,
    stop: Stop,
    throttle: Option<Arc<Throttle>>,
}

impl Half {
    /// How many of so many bytes may pass at a time.
    fn part(&self, bytes: usize) -> usize {
        self.throttle.as_ref().map_or(bytes, |throttle| throttle.part(bytes))
    }

    /// Waits as the throttle demands, unless a stop is requested. It does not count as [`Limit::Waited`]: the other end is
    /// not to blame.
    fn pass(&self, bytes: usize) {
        let Some(throttle) = &self.throttle else { return };
        let mut left = throttle.take(bytes, Instant::now());
        while !left.is_zero() && !self.stop.is_requested() {
            let turn = left.min(TURN);
            thread::sleep(turn);
            left -= turn;
        }
    }

    fn call<T>(&mut self, mut call: impl FnMut(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            if self.stop.is_requested() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            let timeout = self.timeout_of_a_call().ok_or(io::ErrorKind::TimedOut)?;
            if self.timeout != Some(timeout) {
                (self.set_timeout)(&self.stream, Some(timeout))?;
                self.timeout = Some(timeout);
            }
            let begin = Instant::now();
            let result = call(&self.stream);
            let is_timeout = matches!(&result, Err(error) if is_timeout(error));
            match &mut self.limit {
                Limit::Waited(left) => *left = left.saturating_sub(begin.elapsed().min(TURN)),
                Limit::Until(_) => {}
                Limit::Each(..) if is_timeout => return Err(io::ErrorKind::TimedOut.into()),
                Limit::Each(..) => {}
            }
            if !is_timeout {
                return result;
            }
        }
    }

    /// `None` once the limit is reached.
    fn timeout_of_a_call(&self) -> Option<Duration> {
        let until = |moment: Instant| moment.saturating_duration_since(Instant::now());
        let (left, timeout) = match self.limit {
            Limit::Waited(left) => (left, Some(TURN.min(left))),
            Limit::Until(moment) => (until(moment), None),
            Limit::Each(timeout, moment) => (moment.map_or(timeout, until), Some(timeout)),
        };
        (!left.is_zero()).then_some(timeout.unwrap_or(left))
    }
}

/// What the system calls a timeout depends on the system.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The receiving direction. It has no buffer of its own.
pub struct Inbound(Half);

impl Inbound {
    /// The limit from now on.
    pub fn limit(&mut self, limit: Limit) {
        self.0.limit = limit;
    }

    /// From now on this ends what waits here.
    pub fn stop_by(&mut self, stop: &Stop) {
        self.0.stop = stop.clone();
    }

    /// What is left of a [`Limit::Waited`]; nothing of any other.
    pub fn left(&self) -> Duration {
        match self.0.limit {
            Limit::Waited(left) => left,
            Limit::Until(_) | Limit::Each(..) => Duration::ZERO,
        }
    }

    /// From now on what is read counts there, and waits.
    pub fn throttle(&mut self, throttle: &Arc<Throttle>) {
        self.0.throttle = Some(Arc::clone(throttle));
    }

    /// Where the other end is, if it is known.
    pub fn other_end(&self) -> Option<IpAddr> {
        Some(self.0.stream.peer_addr().ok()?.ip())
    }

    /// Whether a read would return at once: something has arrived, or the connection has ended.
    pub fn has_arrived(&self) -> bool {
        recv(&*self.0.stream, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT).err()
            != Some(Errno::WOULDBLOCK)
    }

    /// Reads what has arrived, without waiting: `None` if that is nothing.
    ///
    /// # Errors
    /// The connection has failed.
    pub fn read_arrived(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match recv(&*self.0.stream, buffer, RecvFlags::DONTWAIT) {
            Ok((got, _)) => Ok(Some(got)),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read for Inbound {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let part = self.0.part(buffer.len());
        let got = self.0.call(|mut stream| stream.read(&mut buffer[..part]))?;
        self.0.pass(got);
        Ok(got)
    }
}

/// The sending direction with its buffer. What is buffered when this is dropped is not sent: the other end may no
/// longer take it.
pub struct Outbound {
    half: Half,
    buffer: Vec<u8>,
    capacity: usize,
}

impl Outbound {
    /// The limit from now on.
    pub fn limit(&mut self, limit: Limit) {
        self.half.limit = limit;
    }

    /// From now on this ends what waits here.
    pub fn stop_by(&mut self, stop: &Stop) {
        self.half.stop = stop.clone();
    }

    /// From now on what is sent counts there, and waits.
    pub fn throttle(&mut self, throttle: &Arc<Throttle>) {
        self.half.throttle = Some(Arc::clone(throttle));
    }

    /// Tells the other end that nothing more will be sent.
    ///
    /// # Errors
    /// The connection has failed, or ended.
    pub fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        self.half.stream.shutdown(Shutdown::Write)
    }

    /// Bytes that wait in the buffer.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Whether this many bytes fit beside those that wait.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.buffer.len() + bytes <= self.capacity
    }

    /// Sends these bytes after those that wait, and keeps none of them.
    ///
    /// # Errors
    /// The connection has failed, or the limit is reached: then part of the bytes may have been sent.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.half.write_all(bytes)
    }

    /// Adds bytes to those that wait without sending any, even beyond the capacity.
    pub fn add(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Sends as much of what waits as the system takes without waiting.
    pub fn send_without_waiting(&mut self) {
        // If the connection has failed, the next call that may wait reports it.
        let sent =
            send(&*self.half.stream, &self.buffer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).unwrap_or(0);
        self.buffer.drain(..sent);
    }
}

impl Write for Half {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = self.part(bytes.len());
        self.pass(part);
        self.call(|mut stream| stream.write(&bytes[..part]))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Outbound {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.has_room(bytes.len()) {
            self.flush()?;
        }
        if bytes.len() < self.capacity {
            self.add(bytes)
        } else {
            self.half.write_all(bytes)?
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.half.write_all(&self.buffer)?;
        // A connection that is idle should not hold what a long reply needed.
        match self.buffer.capacity() > KEPT {
            true => self.buffer = Vec::new(),
            false => self.buffer.clear(),
        }
        Ok(())
    }
}

/// The two directions of a stream, at first with this limit; the one for sending has a buffer of `capacity` bytes.
/// Small writes are sent at once: what is written is already gathered in a buffer.
///
/// # Errors
/// The system refuses an option of the socket.
pub fn open(stream: Arc<TcpStream>, capacity: usize, limit: Limit) -> io::Result<(Inbound, Outbound)> {
    stream.set_nodelay(true)?;
    let half = |set_timeout| {
        let (stream, stop) = (Arc::clone(&stream), Stop::default());
        Half { stream, set_timeout, timeout: None, limit, stop, throttle: None }
    };
    let inbound = half(TcpStream::set_read_timeout as SetTimeout);
    let outbound = half(TcpStream::set_write_timeout);
    Ok((Inbound(inbound), Outbound { half: outbound, buffer: Vec::new(), capacity }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn pair(capacity: usize, limit: Limit) -> ((Inbound, Outbound), TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (open(listener.accept().unwrap().0.into(), capacity, limit).unwrap(), other)
    }

    #[test]
    fn whatever_the_limit_a_silent_peer_is_given_up() {
        let short = Duration::from_millis(5);
        for limit in [
            Limit::Waited(short),
            Limit::Until(Instant::now() + short),
            Limit::Each(short, None),
            Limit::Each(Duration::from_secs(60), Some(Instant::now())),
        ] {
            let ((mut reader, _), _other) = pair(16, limit);
            assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut, "{limit:?}");
        }
    }

    #[test]
    fn a_stop_ends_a_wait_and_is_withdrawn_once() {
        let ((mut reader, mut out), _other) = pair(16, Limit::Waited(Duration::from_secs(60)));
        let stop = Stop::default();
        reader.stop_by(&stop);
        out.stop_by(&stop);
        let waits = std::thread::spawn(move || (reader.read(&mut [0]), reader));
        stop.request();
        let (ended, mut reader) = waits.join().unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(out.send(b"x").is_err());
        assert!(stop.withdraw() && !stop.withdraw());
        out.send(b"x").unwrap();
        reader.limit(Limit::Waited(Duration::from_millis(5)));
        assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_stop_ends_a_wait_for_the_throttle() {
        let ((_, mut out), _other) = pair(16, Limit::Waited(Duration::from_secs(60)));
        let (stop, throttle) = (Stop::default(), Arc::new(Throttle::default()));
        throttle.set(Some(1));
        throttle.take(1 << 20, Instant::now());
        out.stop_by(&stop);
        out.throttle(&throttle);
        let waits = thread::spawn(move || out.send(b"x"));
        stop.request();
        assert!(waits.join().unwrap().is_err());
    }

    #[test]
    fn what_was_waited_for_counts_and_what_comes_at_once_does_not_use_it_up() {
        let limit = Duration::from_secs(60);
        let ((mut reader, _), mut other) = pair(16, Limit::Waited(limit));
        other.write_all(b"x").unwrap();
        reader.read_exact(&mut [0]).unwrap();
        let left = reader.left();
        assert!(left < limit && left > limit / 2, "{left:?}");
    }

    #[test]
    fn small_writes_wait_for_a_flush_and_arrive_in_order_with_large_ones() {
        let ((_, mut out), mut other) = pair(4, Limit::Each(Duration::from_secs(60), None));
        other.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        out.write_all(b"ab").unwrap();
        assert_eq!(out.buffered(), 2);
        out.write_all(b"cdefgh").unwrap();
        assert_eq!(out.buffered(), 0, "a large one is sent, and what waits before it");
        out.write_all(b"ij").unwrap();
        out.send(b"k").unwrap();
        out.add(b"lmnop");
        assert!(!out.has_room(1));
        out.send_without_waiting();
        let mut arrived = [0; 16];
        other.read_exact(&mut arrived).unwrap();
        assert_eq!(&arrived, b"abcdefghijklmnop");
    }

    #[test]
    fn a_byte_and_an_end_have_arrived_and_silence_has_not() {
        let ((reader, _), mut other) = pair(16, Limit::Each(Duration::from_secs(60), None));
        assert!(!reader.has_arrived());
        other.write_all(b"x").unwrap();
        while !reader.has_arrived() {}
        let ((mut reader, _), other) = pair(16, Limit::Each(Duration::from_secs(60), None));
        drop(other);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        assert!(reader.has_arrived());
    }
}
