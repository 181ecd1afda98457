//! The protocol as text: lines, requests, replies and limits (`docs/PROTOCOL.md`), without sockets.
//!
//! A message is one LF-terminated UTF-8 line of words with single spaces between them, then exactly
//! the number of payload bytes that the line announced. After login each line ends with a MAC.

mod limits;
mod line;
mod list;
mod login;
mod look;
mod refusal;
mod reply;
mod request;
mod status;
mod words;

pub use limits::{
    MAX_DETAIL, MAX_ENTRIES, MAX_LIFE_SIGNS, MAX_LINE, MAX_LISTING, MAX_NAMES, MAX_RECORDS, MAX_STAGED,
    MAX_TEXT, MIN_PARTIAL, PROTOCOL_VERSION,
};
pub use line::{BadMac, LineError, LineOpener, LineSealer, read_line};
pub use list::Entry;
pub use login::Login;
pub use look::{NameReport, Reported};
pub use refusal::Refusal;
pub use reply::Reply;
pub use request::{Request, StageEnd};
pub use status::Usage;
pub use words::ParseError;
