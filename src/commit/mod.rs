//! The two-step commit of one name, as pure functions: what a server does with a commit or an abort,
//! what a client concludes from the servers' answers, and the steps of a writer.
//!
//! *Stage*, then *commit*. Once a server has published a piece of a version, the version is *decided*, and
//! its staged pieces on other servers count. Without a commit anywhere, it never happened.
//! `docs/ARCHITECTURE.md` ("One upload is one version") gives the reasons, and `tests/it/commit_model.rs`
//! explores what these functions do together when writers and servers die at any step.

mod answer;
mod generation;
mod held;
mod reader;
mod rekey;
mod server;
mod writer;

pub use crate::placement::TOMBSTONE;
pub use answer::Answer;
pub use generation::{
    Asked, MAX_JUMP, MAX_SKEW, Seen, Skew, Time, UsedUp, least_generation, next_generation, skew, time,
};
pub use held::{Held, PieceState, Refused, Step};
pub use reader::{OneWord, View, holders, may_abort, one_word, resolve, to_prove};
pub use rekey::{KeyChange, KeyCheck, may_use_key, rekey};
pub use server::{
    MAX_AHEAD, abort, aborted_floor, commit, fence, floor_at_start, forget, may_restore, may_stage,
    newest_published, not_ahead, raised_floor, recover, retire,
};
pub use writer::{Aborting, Committing, Outcome, Staging, Writer};
