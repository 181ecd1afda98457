//! The documents, held by tests: every example in docs/FORMAT.md and docs/PROTOCOL.md is replayed against
//! the library, and every number in their tables compared with the code's.

mod architecture;
mod format;
mod limits;
pub(crate) mod links;
mod manual;
mod markdown;
mod protocol;
mod reliability;
mod survey;
mod tour;
