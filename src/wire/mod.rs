//! The protocol as text: lines, requests, replies and limits (`docs/PROTOCOL.md`), without sockets.
//!
//! A message is one LF-terminated UTF-8 line of words with single spaces between them, then exactly
//! the number of payload bytes that the line announced. After login each line ends with a MAC.

mod line;
mod listing;
mod reply;
mod request;
mod words;

pub use line::{BadMac, LineError, LineOpener, LineSealer, read_line};
pub use listing::{Entry, MAX_RECORDS, NameReport, Reported, Usage};
pub use reply::{MAX_DETAIL, Refusal, Reply};
pub use request::{Login, Request, StageEnd};
pub use words::ParseError;

/// The protocol's version, the first word of a login.
pub const PROTOCOL_VERSION: u32 = 1;
/// Longest line, its LF included: the longest path with every byte percent-encoded, a header in base64
/// and a MAC fit.
pub const MAX_LINE: usize = 8192;
/// Most bytes of a text payload (LOOK, LIST); a longer list comes in several.
pub const MAX_TEXT: usize = 1 << 20;
/// Most bytes of all parts of one LIST that a client takes: longer than any of [`MAX_ENTRIES`] entries with names
/// of usual lengths. A rogue server could otherwise repeat the same ones for ever.
pub const MAX_LISTING: usize = 1 << 28;
/// Most entries of one LIST that a client takes: files, of each version and phase, and folders. Kept in memory
/// they take some 200 bytes each, so that a rogue server costs a client a few hundred MiB at most; users have some
/// 100,000s of files.
pub const MAX_ENTRIES: usize = 1_000_000;
/// Most bytes of names in one LIST that a client takes, for the same reason.
pub const MAX_NAMES: usize = 1 << 27;
/// Most signs of life and parts of a text that a client takes in one answer: as many as the longest CHECK gives
/// where one comes each second. How long it waits for them is another limit (`peer::Limits::life`).
pub const MAX_LIFE_SIGNS: usize = 300_000;
/// Most staged pieces that a server keeps for one name, so that a report of them fits [`MAX_TEXT`].
pub const MAX_STAGED: usize = 256;
