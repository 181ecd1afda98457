//! What can go wrong with a connection, or with one request on it.

use std::fmt;
use std::io;

use crate::auth::ScramError;
use crate::commit;
use crate::name::{ServerName, printable};
use crate::wire::{LineError, MAX_ENTRIES, MAX_NAMES, ParseError, Refusal};

/// Why a server cannot be used for now. After any of these its connection cannot be used any more.
#[derive(Debug)]
pub enum PeerError {
    /// The host's name was not found.
    Resolve(io::Error),
    /// Nobody listens at the address, or the network refused.
    Connect(io::Error),
    /// No answer within the time limit.
    Silent,
    /// It closed the connection.
    Closed,
    /// The connection failed.
    Io(io::Error),
    /// It refused the connection with a refusal of the protocol.
    Refused(Refusal, String),
    /// It speaks another protocol.
    Protocol(ParseError),
    /// It sent a line that is too long, or is not text.
    BadLine,
    /// A line or its payload was altered in transit.
    Altered,
    /// It lists more than a client accepts: see [`MAX_ENTRIES`] and [`MAX_NAMES`].
    TooMany,
    /// It calls itself by another name than the .conf.
    OtherName(ServerName),
    /// The client rejected the login.
    Login(ScramError),
}

impl PeerError {
    /// Whether it refused the user's name or password.
    pub fn is_denied(&self) -> bool {
        matches!(self, PeerError::Refused(Refusal::Denied, _))
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerError::Resolve(error) => write!(f, "host not found: {error}"),
            PeerError::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                f.write_str("refused the connection")
            }
            PeerError::Connect(error) => write!(f, "cannot be reached: {error}"),
            PeerError::Silent => f.write_str("did not answer in time"),
            PeerError::Closed => f.write_str("closed the connection"),
            PeerError::Io(error) => write!(f, "connection failed: {error}"),
            PeerError::Refused(Refusal::Denied, _) => f.write_str("refused the username or password"),
            PeerError::Refused(refusal, _) => write!(f, "refused: {refusal}"),
            PeerError::Protocol(error) => write!(f, "does not speak ShareIt's protocol: {error}"),
            PeerError::BadLine => f.write_str("does not speak ShareIt's protocol: bad line"),
            PeerError::Altered => f.write_str("a message was altered in transit"),
            PeerError::TooMany => {
                let mib = MAX_NAMES >> 20;
                write!(f, "lists more than {MAX_ENTRIES} names, or more than {mib} MiB of them: it is lying")
            }
            PeerError::OtherName(name) => write!(f, "calls itself {name}"),
            PeerError::Login(error) => write!(f, "login failed: {error}"),
        }
    }
}

impl std::error::Error for PeerError {}

impl From<io::Error> for PeerError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => PeerError::Silent,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => PeerError::Closed,
            _ => PeerError::Io(error),
        }
    }
}

impl From<LineError> for PeerError {
    fn from(error: LineError) -> Self {
        match error {
            LineError::Closed | LineError::Cut => PeerError::Closed,
            LineError::TooLong | LineError::NotUtf8 => PeerError::BadLine,
            LineError::Io(error) => error.into(),
        }
    }
}

impl From<ParseError> for PeerError {
    fn from(error: ParseError) -> Self {
        PeerError::Protocol(error)
    }
}

/// A server's refusal of one request; the connection goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct No {
    /// The protocol's word.
    pub refusal: Refusal,
    /// The server's own text.
    pub detail: String,
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let general = self.refusal.to_string();
        f.write_str(&general)?;
        if self.detail != general && !self.detail.is_empty() {
            write!(f, ": {}", printable(&self.detail))
        } else {
            Ok(())
        }
    }
}

/// The outcome of one request: what the server returned, its refusal, or unknown.
pub type Answer<T> = commit::Answer<T, No>;

/// What a connection received for one request: what the server returned, or its refusal. The outer error ends the
/// connection.
pub type Received<T> = Result<Result<T, No>, PeerError>;
