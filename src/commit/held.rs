//! What a server holds of one name, and what it does with it or refuses to do.

use crate::version::Version;

/// The piece number under which a delete is kept: a tombstone is a version with this one piece.
pub const TOMBSTONE: u8 = 0;

/// How far a piece on a server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PieceState {
    /// Readers see it.
    Published,
    /// On disk, waiting for a commit.
    Staged {
        /// Whether the connection that staged it is still open, so that its commit may still come.
        open: bool,
    },
}

/// One piece of one name as a server holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Held {
    /// Piece number, or [`TOMBSTONE`].
    pub piece: u8,
    /// The version that it belongs to.
    pub version: Version,
    /// Published or staged.
    pub state: PieceState,
}

/// One change to a server's disk. A list of them is carried out in order, and may be cut off by a
/// crash after any of them: [`recover`](super::recover) then gives the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The staged piece takes the place of the published one with its number, if there is one.
    Publish {
        /// Piece number, or [`TOMBSTONE`].
        piece: u8,
        /// Which staged piece of that number.
        version: Version,
    },
    /// The published piece goes.
    DropPublished {
        /// Piece number, or [`TOMBSTONE`].
        piece: u8,
    },
    /// The staged piece goes.
    DropStaged {
        /// Piece number, or [`TOMBSTONE`].
        piece: u8,
        /// Which staged piece of that number.
        version: Version,
    },
}

/// Why a server will not do what was asked with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Commit: nothing of that version is here, staged or published, nor anything newer. Forget: the
    /// newest version here is not that tombstone.
    NotStaged,
    /// Abort, fence: published here, so it is decided.
    Decided,
    /// Abort, fence: the connection that staged it is open and is not the asker's.
    Open,
    /// Stage: the version is not newer than what was published, forgotten, fenced or aborted here.
    Behind,
    /// The version's generation is too far beyond the clock, or a floor would be beyond all generations.
    Ahead,
    /// Stage, commit: the key of the piece was retired by a change of password. Rekey: another change is on its
    /// way.
    Rekeyed,
}
