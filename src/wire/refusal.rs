//! Why a server did not do what was asked.

use std::fmt;

/// One row for each refusal: its meaning, its word on the wire, its text for people.
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
    /// The name or the password is wrong; the reply does not say which.
    Denied, "denied", "invalid username or password";
    /// Too many connections, too many failed logins from that address, or too many staged pieces of one name.
    Busy, "busy", "too many connections, wrong passwords or unfinished uploads";
    /// Not logged in within the time limit.
    Slow, "slow", "login took too long";
    /// A line that is not understood, too long, or out of place.
    BadRequest, "bad-request", "request not understood";
    /// A line whose MAC is wrong.
    BadMac, "bad-mac", "a line was altered in transit";
    /// The server has no such piece of that name and version.
    NotFound, "not-found", "no such piece";
    /// A commit of something that is not staged on the server.
    NotStaged, "not-staged", "nothing staged to commit";
    /// An abort or a fence of a version that is published on the server; a fence of an older one.
    Decided, "decided", "already committed";
    /// An abort or a fence of a version that was staged on a connection that is still open.
    Open, "open", "another client is still writing it";
    /// A stage that is not newer than what the server has.
    Behind, "behind", "a newer version exists";
    /// A generation too far beyond the server's clock.
    Ahead, "ahead", "its generation is far beyond the server's clock";
    /// The key of a piece was retired by a change of password.
    Rekeyed, "rekeyed", "the password was changed, or is being changed, by another client";
    /// A file where a folder has that name, or the other way round.
    Conflict, "conflict", "a file and a folder cannot have the same name";
    /// The bytes do not match the announced hashes, or no longer do.
    Damaged, "damaged", "bytes do not match their hashes";
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
