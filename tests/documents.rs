//! The documents, held by tests: every example in docs/FORMAT.md and docs/PROTOCOL.md is replayed against
//! the library, and every number in their tables compared with the code's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "common/definitions.rs"]
mod definitions;
#[path = "documents/format.rs"]
mod format;
#[path = "documents/limits.rs"]
mod limits;
#[path = "documents/manual.rs"]
mod manual;
#[path = "documents/markdown.rs"]
mod markdown;
#[path = "documents/protocol.rs"]
mod protocol;
#[path = "documents/reliability.rs"]
mod reliability;
#[path = "documents/survey.rs"]
mod survey;
#[path = "documents/tour.rs"]
mod tour;
