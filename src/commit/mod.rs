//! The two-step commit of one name, as pure functions: what a server does with a commit or an abort,
//! what a client concludes from the servers' answers, and a writer's steps.
//!
//! *Stage*, then *commit*. One server that has published a piece of a version has *decided* that
//! version: its staged pieces elsewhere then count. With no commit anywhere it never happened.
//! `docs/ARCHITECTURE.md` ("One upload is one version") gives the reasons, and `tests/it/commit_model.rs`
//! explores what these functions do together when writers and servers die at any step.

mod answer;
mod generation;
mod reader;
mod rekey;
mod server;
mod writer;

pub use answer::Answer;
pub use generation::{
    Asked, MAX_JUMP, MAX_SKEW, Seen, Skew, Time, UsedUp, least_generation, next_generation, skew, time,
};
pub use reader::{OneWord, View, holders, may_abort, one_word, resolve};
pub use rekey::{KeyChange, KeyCheck, may_use_key, rekey};
pub use server::{
    MAX_AHEAD, abort, aborted_floor, commit, fence, floor_at_start, forget, may_restore, may_stage,
    not_ahead, raised_floor, recover, retire,
};
pub use writer::{Aborting, Committing, Outcome, Staging, Writer};

pub use crate::placement::TOMBSTONE;
use crate::version::Version;

/// How far a piece on a server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
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
    pub phase: Phase,
}

/// One change to a server's disk. A list of them is carried out in order, and may be cut off by a
/// crash after any of them: [`recover`] then gives the rest.
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
