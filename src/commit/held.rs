//! What a server holds of one name, what it does with it, and why it refuses to.

use crate::version::Version;

/// How far the commit of a piece on a server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PieceState {
    /// Visible to readers.
    Published,
    /// On disk, and waiting for a commit.
    Staged {
        /// Whether the connection that staged it is still open, so that its commit may still arrive.
        open: bool,
    },
}

/// One piece of one name on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Held {
    /// Piece number, or [`TOMBSTONE`](crate::placement::TOMBSTONE).
    pub piece: u8,
    /// The version to which it belongs.
    pub version: Version,
    /// Published or staged.
    pub state: PieceState,
}

/// One change to a server's disk. A list of them is carried out in order, and a crash may cut it off after any of
/// them: [`recover`](super::recover) then gives the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The staged piece replaces the published piece with its number, if one exists.
    Publish {
        /// Piece number, or [`TOMBSTONE`](crate::placement::TOMBSTONE).
        piece: u8,
        /// Which staged piece of that number.
        version: Version,
    },
    /// The published piece is removed.
    DropPublished {
        /// Piece number, or [`TOMBSTONE`](crate::placement::TOMBSTONE).
        piece: u8,
    },
    /// The staged piece is removed.
    DropStaged {
        /// Piece number, or [`TOMBSTONE`](crate::placement::TOMBSTONE).
        piece: u8,
        /// Which staged piece of that number.
        version: Version,
    },
}

/// Why a server refuses a request about a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Commit: this server has nothing of that version, staged or published, nor anything newer. Forget: the newest
    /// version on this server is not that tombstone.
    NotStaged,
    /// Abort, fence: it is published here, so it is decided.
    Decided,
    /// Abort, fence: it was staged on another connection, which is still open.
    Open,
    /// Stage: the version is not newer than what was published, forgotten, fenced or aborted here.
    Behind,
    /// The version's generation is too far beyond the clock, or a floor would exceed the greatest generation.
    Ahead,
    /// Stage, commit: a change of password retired the key of the piece. Rekey: another change is in
    /// progress.
    Rekeyed,
}
