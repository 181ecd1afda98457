//! Drafts: the files that downloads write, under names by which they are known until they are whole.
//!
//! A lasting draft is left behind by a download that is cut off, for the next one of the same file to go on with. Its
//! name follows from the file's.

use std::io;

use crate::primitives::{self, sha256};
use crate::text::hex;

const PREFIX: &str = ".shareit-";
const SUFFIX: &str = ".part";
/// Random bytes in a draft's name.
const UNIQUE: usize = 8;
/// Bytes of a hash in a lasting draft's name: no two files' drafts have the same.
const LASTING: usize = 16;

/// A name for a new draft.
///
/// # Errors
/// If the system has no random bytes.
pub(crate) fn new_name() -> io::Result<String> {
    Ok(format!("{PREFIX}{}{SUFFIX}", hex(&primitives::random::<UNIQUE>()?)))
}

/// The name of the lasting draft of a file with this name in the same folder.
pub(crate) fn lasting_name(file: &str) -> String {
    format!("{PREFIX}{}{SUFFIX}", hex(&sha256(file.as_bytes())[..LASTING]))
}

/// Whether an entry has exactly the form of a draft's name.
pub(crate) fn is_draft(name: &str) -> bool {
    has_bytes(name, UNIQUE) || is_lasting(name)
}

/// Whether an entry has exactly the form of a lasting draft's name.
pub(crate) fn is_lasting(name: &str) -> bool {
    has_bytes(name, LASTING)
}

/// Whether there are so many bytes, in hexadecimal, between the parts that all drafts' names have.
fn has_bytes(name: &str, count: usize) -> bool {
    let within = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    within.is_some_and(|within| within.len() == 2 * count && within.bytes().all(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_drafts_are_drafts() {
        assert!(is_draft(&new_name().unwrap()) && !is_lasting(&new_name().unwrap()));
        assert!(is_draft(&lasting_name("a")) && is_lasting(&lasting_name("a")));
        assert_ne!(lasting_name("a"), lasting_name("b"));
        assert!(is_draft(".shareit-0123456789abcdef.part"));
        for other in [
            ".shareit-.part",
            ".shareit-0123456789abcde.part",
            ".shareit-0123456789abcdef0.part",
            ".shareit-0123456789ABCDEF.part",
            ".shareit-notes.part",
            "x.shareit-0123456789abcdef.part",
            ".shareit-0123456789abcdef.part.txt",
        ] {
            assert!(!is_draft(other), "{other}");
        }
    }
}
