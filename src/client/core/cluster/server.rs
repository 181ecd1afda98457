//! One server of the .conf: its connection, or why there is none.

use std::time::{Duration, Instant};

use crate::config::ServerAddress;
use crate::name::printable;
use crate::peer::{Peer, PeerError};

/// A server that is down is tried again after this many times what the last attempt cost: at once if it refuses
/// quickly, seldom if it keeps the client waiting.
const RETRY_FACTOR: u32 = 10;
/// A server that refused the login is not asked again for this long.
const RETRY_REFUSED: Duration = Duration::from_secs(60);
/// How often a command, or a batch of it, logs in again to a server that ended its connection. It may have done so
/// while this process was stopped or this machine asleep; but one that always does must not keep the command from its
/// end.
const MAX_RETURNS: usize = 3;

pub(super) enum Connection {
    Up(Box<Peer>),
    /// In use by a thread.
    Lent,
    Down {
        why: PeerError,
        retry_at: Instant,
        /// Whether that was reported, or need not be.
        is_reported: bool,
    },
}

pub(super) struct Server {
    pub(super) address: ServerAddress,
    pub(super) connection: Connection,
    /// Connections besides the first, for bytes that go to it at the same time. If that one ends, so do these.
    pub(super) extras: Vec<Peer>,
    /// The round of logins in which the connection was made.
    pub(super) round: u64,
    /// How often it may still be logged in to again after it ended its connection.
    returns: usize,
    /// Whether it has accepted a login of this client.
    was_up: bool,
    /// Whether it has accepted the other password, the new one of a change.
    pub(super) has_other: bool,
}

impl Server {
    /// One that has not been connected to yet.
    pub(super) fn new(address: ServerAddress) -> Self {
        let connection =
            Connection::Down { why: PeerError::Closed, retry_at: Instant::now(), is_reported: false };
        let extras = Vec::new();
        Self { address, connection, extras, round: 0, returns: MAX_RETURNS, was_up: false, has_other: false }
    }

    pub(super) fn is_up(&self) -> bool {
        self.peer().is_some()
    }

    pub(super) fn peer(&self) -> Option<&Peer> {
        match &self.connection {
            Connection::Up(peer) => Some(peer),
            Connection::Lent | Connection::Down { .. } => None,
        }
    }

    pub(super) fn peer_mut(&mut self) -> Option<&mut Peer> {
        match &mut self.connection {
            Connection::Up(peer) => Some(peer),
            Connection::Lent | Connection::Down { .. } => None,
        }
    }

    pub(super) fn error(&self) -> Option<&PeerError> {
        match &self.connection {
            Connection::Down { why, .. } => Some(why),
            Connection::Up(_) | Connection::Lent => None,
        }
    }

    /// Why it is down, in words.
    pub(super) fn why_down(&self) -> Option<String> {
        self.error().map(|why| match why {
            PeerError::Resolve(why) => {
                let address = self.address.address.as_str();
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                format!("host '{}' not found: {why}", printable(host))
            }
            why => why.to_string(),
        })
    }

    /// Whether it refused the name or password.
    pub(super) fn is_denied(&self) -> bool {
        self.error().is_some_and(PeerError::is_denied)
    }

    /// Whether it refused a login that it accepted before.
    pub(super) fn is_locked_out(&self) -> bool {
        self.was_up && self.is_denied()
    }

    /// Whether it has ended a connection of this client.
    pub(super) fn has_hung_up(&self) -> bool {
        self.was_up && matches!(self.error(), Some(PeerError::Closed))
    }

    /// Whether it is down and should be tried again before `deadline`.
    pub(super) fn may_be_back(&self, deadline: Instant) -> bool {
        matches!(self.connection, Connection::Down { retry_at, .. } if retry_at <= deadline)
    }

    /// Has it tried again at once.
    pub(super) fn try_soon(&mut self) {
        if let Connection::Down { retry_at, .. } = &mut self.connection {
            *retry_at = Instant::now();
        }
    }

    /// Whether it is worth logging in to it again: it ended the connection. If `nobody` is up, it may also have fallen
    /// silent, as connections do that a router forgot while this machine was asleep.
    pub(super) fn may_return(&self, nobody: bool) -> bool {
        let is_worth_it = match self.error() {
            Some(PeerError::Closed | PeerError::Io(_)) => true,
            Some(PeerError::Silent) => nobody,
            _ => false,
        };
        is_worth_it && self.was_up && self.returns > 0
    }

    /// Whether it may return as often as at first, or not at all.
    pub(super) fn allow_returns(&mut self, allowed: bool) {
        self.returns = if allowed { MAX_RETURNS } else { 0 };
    }

    pub(super) fn count_return(&mut self) {
        self.returns = self.returns.saturating_sub(1);
    }

    /// Whether it is down, and reported to be.
    pub(super) fn is_reported(&self) -> bool {
        matches!(self.connection, Connection::Down { is_reported: true, .. })
    }

    /// Notes whether it is reported to be down; returns whether that is new.
    pub(super) fn set_reported(&mut self, reported: bool) -> bool {
        match &mut self.connection {
            Connection::Down { is_reported, .. } => std::mem::replace(is_reported, reported) != reported,
            Connection::Up(_) | Connection::Lent => false,
        }
    }

    /// Its connection is lost. It may be tried again after so long.
    pub(super) fn lose(&mut self, why: PeerError, wait: Duration) {
        self.extras.clear();
        self.connection = Connection::Down { why, retry_at: Instant::now() + wait, is_reported: false };
    }

    /// It was logged in to.
    pub(super) fn welcome(&mut self, peer: Peer, round: u64) {
        self.connection = Connection::Up(Box::new(peer));
        (self.was_up, self.round) = (true, round);
    }

    /// It could not be logged in to, which took so long.
    pub(super) fn turn_away(&mut self, why: PeerError, cost: Duration) {
        let is_refused = matches!(why, PeerError::Refused(..));
        let wait = if is_refused { RETRY_REFUSED } else { cost * RETRY_FACTOR };
        if matches!(why, PeerError::Silent) {
            // Nor would it answer the next one.
            self.returns = 0;
        }
        let is_reported = self.is_reported();
        self.connection = Connection::Down { why, retry_at: Instant::now() + wait, is_reported };
    }

    /// Its connection, for a thread to use until it is taken back.
    pub(super) fn lend(&mut self) -> Option<Peer> {
        match std::mem::replace(&mut self.connection, Connection::Lent) {
            Connection::Up(peer) => Some(*peer),
            down_or_lent => {
                self.connection = down_or_lent;
                None
            }
        }
    }
}
