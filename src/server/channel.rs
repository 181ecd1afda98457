//! A connection with its buffers, and the ways in which it ends.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inbox::Inbox;
use super::limits::LOGIN_LIMIT;
use super::voice::Voice;
use crate::link::{self, Limit};
use crate::wire::{LineError, Refusal, Reply};

/// For each direction, while there is something in it.
const BUFFER: usize = 16 * 1024;

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client left, or the connection failed.
    Line(LineError),
    /// The connection failed while sending or during a payload.
    Io(io::Error),
    /// The server refused the client, and reports that to it.
    Refused(Refusal),
}

impl From<LineError> for End {
    fn from(error: LineError) -> Self {
        match error {
            LineError::TooLong | LineError::NotUtf8 => End::Refused(Refusal::BadRequest),
            error => End::Line(error),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        End::Io(error)
    }
}

impl End {
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self, End::Line(LineError::Closed))
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Line(error) => error.fmt(f),
            End::Io(error) => error.fmt(f),
            End::Refused(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}

/// A connection with its buffers.
pub(super) struct Channel {
    pub(super) inbox: Inbox,
    pub(super) voice: Voice,
    stream: Arc<TcpStream>,
}

impl Channel {
    pub(super) fn open(stream: &Arc<TcpStream>) -> io::Result<Self> {
        // One limit for all reads before the login: a stranger that sends a byte now and then gains nothing.
        let until_login = Limit::Until(Instant::now() + LOGIN_LIMIT);
        let (inbound, out) = link::open(Arc::clone(stream), BUFFER, until_login)?;
        Ok(Self { inbox: Inbox::new(inbound, BUFFER), voice: Voice::new(out), stream: Arc::clone(stream) })
    }

    /// From now on this limit holds for each read by itself.
    pub(super) fn limit_each_read(&mut self, limit: Duration) {
        self.inbox.limit(Limit::Each(limit, None));
    }

    pub(super) fn send_plain(&mut self, reply: &Reply) -> io::Result<()> {
        let mut speech = self.voice.speak();
        speech.send(reply)?;
        speech.flush()
    }

    pub(super) fn refuse_stranger(&mut self, refusal: Refusal) {
        // The connection is closed next, whether this arrives or not.
        let _ = self.send_plain(&Reply::no(refusal));
    }
}

impl Drop for Channel {
    /// When the session ends the client sees the end too, even if others still hold the stream.
    fn drop(&mut self) {
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}
