//! What Repair reports: its steps, and why one could not be done.

use std::fmt;
use std::ops::AddAssign;

use crate::client::core::copying::NotCopied;
use crate::name::{FilePath, ServerName};
use crate::peer::No;

/// One thing that Repair did, would do, or could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repaired {
    /// A piece was copied from one server to another.
    Copied {
        /// The file.
        path: FilePath,
        /// The piece.
        piece: u8,
        /// Where a good copy was.
        from: ServerName,
        /// Where one is now.
        to: ServerName,
    },
    /// A piece was made of others.
    Made {
        /// The file.
        path: FilePath,
        /// The piece.
        piece: u8,
        /// Where it is now.
        to: ServerName,
    },
    /// Outdated or damaged pieces were dropped at a server.
    Dropped {
        /// The file.
        path: FilePath,
        /// Where.
        server: ServerName,
    },
    /// A delete was completed on a server that had missed it.
    Buried {
        /// The deleted name.
        path: FilePath,
        /// Where.
        server: ServerName,
    },
    /// A tombstone that every server has was dropped.
    Forgotten {
        /// The deleted name.
        path: FilePath,
    },
    /// An upload that was left half done was completed or dropped.
    Settled {
        /// The file.
        path: FilePath,
        /// Bytes that all servers had of what was dropped.
        dropped: u64,
    },
    /// Something could not be repaired.
    Failed {
        /// The file.
        path: FilePath,
        /// Why.
        why: NotRepaired,
    },
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Repaired::Copied { path, piece, from, to } => {
                write!(f, "{path}: piece {piece} copied from {from} to {to}")
            }
            Repaired::Made { path, piece, to } => write!(f, "{path}: piece {piece} made on {to}"),
            Repaired::Dropped { path, server } => {
                write!(f, "{path}: old or damaged pieces dropped on {server}")
            }
            Repaired::Buried { path, server } => write!(f, "{path}: delete completed on {server}"),
            Repaired::Forgotten { path } => write!(f, "{path}: delete completed on every server"),
            Repaired::Settled { path, dropped: 0 } => write!(f, "{path}: settled an unfinished upload"),
            Repaired::Settled { path, dropped } => {
                write!(f, "{path}: dropped an unfinished upload, {dropped} bytes on all servers")
            }
            Repaired::Failed { path, why } => write!(f, "{path}: not repaired: {why}"),
        }
    }
}

/// Why something could not be repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRepaired {
    /// Everything found was made under another password or `Key`.
    OtherKey,
    /// Pieces of which no server has a good copy: every server has said so.
    Gone {
        /// Their numbers.
        pieces: Vec<u8>,
        /// The servers that show other pieces of that version.
        shown: Vec<ServerName>,
    },
    /// Pieces of which no good copy was found, and the servers that may have one all the same.
    NotFound(Vec<u8>, Vec<ServerName>),
    /// Pieces that could not be made of others.
    NotMade(Vec<u8>),
    /// A version that only one server claims was stored, and that could not be proved.
    Unproved {
        /// That server.
        server: ServerName,
        /// The pieces that no other server has.
        pieces: Vec<u8>,
        /// What went wrong when they were copied.
        why: String,
    },
    /// An unfinished upload or delete that these servers still have, or may have.
    Unsettled(Vec<ServerName>),
    /// A server refused.
    Refused(ServerName, No),
    /// A server was lost, and how.
    Down(ServerName, String),
}

impl fmt::Display for NotRepaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotRepaired::OtherKey => f.write_str("no copy that can be read with this key"),
            NotRepaired::Gone { pieces, shown } => {
                write!(f, "lost: no server has a good copy of piece {}", listed(pieces))?;
                if shown.is_empty() { Ok(()) } else { write!(f, " (shown by {})", listed(shown)) }
            }
            NotRepaired::NotMade(pieces) => {
                write!(f, "piece {} could not be made of others", listed(pieces))
            }
            NotRepaired::NotFound(pieces, servers) => {
                write!(f, "no good copy of piece {} found; {} may have one", listed(pieces), listed(servers))
            }
            NotRepaired::Unproved { server, pieces, why } => {
                write!(f, "only {server} says that it was stored, which could not be proved: ")?;
                write!(f, "no other server has piece {} ({why})", listed(pieces))
            }
            NotRepaired::Unsettled(servers) => {
                write!(f, "an unfinished upload could not be settled on {}", listed(servers))
            }
            NotRepaired::Refused(server, no) => write!(f, "{server}: {no}"),
            NotRepaired::Down(server, why) => write!(f, "{server}: {why}"),
        }
    }
}

impl From<NotCopied> for NotRepaired {
    fn from(why: NotCopied) -> Self {
        match why {
            NotCopied::Refused(server, no) => NotRepaired::Refused(server, no),
            NotCopied::Down(server, why) => NotRepaired::Down(server, why),
        }
    }
}

fn listed<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// What a repair has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairSummary {
    /// Names checked.
    pub names: usize,
    /// Steps done, or that would be done.
    pub steps: usize,
    /// Steps that failed.
    pub failed: usize,
    /// Of these, files of which a piece is gone: see [`NotRepaired::Gone`].
    pub lost: usize,
    /// Servers that did not report what they have, each with the reason, if they are so many that there may be more to
    /// repair; otherwise none.
    pub unseen: Vec<(ServerName, String)>,
}

impl AddAssign for RepairSummary {
    fn add_assign(&mut self, other: Self) {
        let Self { names, steps, failed, lost, unseen } = other;
        self.names += names;
        self.steps += steps;
        self.failed += failed;
        self.lost += lost;
        if !unseen.is_empty() {
            self.unseen = unseen;
        }
    }
}
