//! Why a server did not do what was asked.

use std::fmt;

/// From one row for each: what it means, its word on the wire, its text for people.
macro_rules! refusals {
    ($($(#[$meaning:meta])* $name:ident, $word:literal, $text:literal;)*) => {
        /// Why a server did not do what was asked; the word on the wire is fixed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $($(#[$meaning])* $name,)*
        }

        impl Refusal {
            /// All of them, in the order of the protocol document.
            pub fn all() -> impl Iterator<Item = Refusal> {
                [$(Refusal::$name,)*].into_iter()
            }

            /// The word on the wire.
            pub fn word(self) -> &'static str {
                match self {
                    $(Refusal::$name => $word,)*
                }
            }
        }

        impl fmt::Display for Refusal {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Refusal::$name => $text,)*
                })
            }
        }
    };
}

refusals! {
    /// Name or password is wrong; which of them is not said.
    Denied, "denied", "invalid username or password";
    /// Too many connections, too many failed logins from there, or too many staged pieces of one name.
    Busy, "busy", "too many connections, wrong passwords or unfinished uploads";
    /// Not logged in within the time limit.
    Slow, "slow", "not logged in in time";
    /// A line that is not understood, too long, or not in its place.
    BadRequest, "bad-request", "request not understood";
    /// A line whose MAC is wrong.
    BadMac, "bad-mac", "a line was altered on its way";
    /// Nothing of that name, piece and version is here.
    NotFound, "not-found", "no such piece";
    /// A commit of what is not staged here.
    NotStaged, "not-staged", "nothing staged to commit";
    /// An abort or a fence of what is published here; a fence of what is older than that.
    Decided, "decided", "already committed";
    /// An abort or a fence of what was staged on a connection that is still open.
    Open, "open", "another client is still writing it";
    /// A stage that is not newer than what is here.
    Behind, "behind", "a newer version is there";
    /// A generation too far beyond the server's clock.
    Ahead, "ahead", "its generation is far beyond the clock there";
    /// The key of a piece was retired by a change of password.
    Rekeyed, "rekeyed", "the password was changed, or is being changed, by another client";
    /// A file where a folder of that name is, or the other way round.
    Conflict, "conflict", "a file and a folder cannot have one name";
    /// The bytes do not have the hashes that were announced, or not any more.
    Damaged, "damaged", "bytes that do not fit their hashes";
    /// The disk is full.
    DiskFull, "disk-full", "disk full";
    /// The disk failed.
    DiskError, "disk-error", "disk error";
}

impl Refusal {
    pub(super) fn parse(word: &str) -> Option<Self> {
        Refusal::all().find(|refusal| refusal.word() == word)
    }
}
