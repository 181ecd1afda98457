//! Drafts: the files that downloads write, under names by which they are known until they are whole.

use std::io;

use crate::primitives;
use crate::text::hex;

const PREFIX: &str = ".shareit-";
const SUFFIX: &str = ".part";
/// Random bytes in a draft's name.
const UNIQUE: usize = 8;

/// A name for a new draft.
///
/// # Errors
/// If the system has no random bytes.
pub(crate) fn new_name() -> io::Result<String> {
    Ok(format!("{PREFIX}{}{SUFFIX}", hex(&primitives::random::<UNIQUE>()?)))
}

/// Whether an entry has exactly the form of a draft's name.
pub(crate) fn is_draft(name: &str) -> bool {
    let unique = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    unique.is_some_and(|unique| unique.len() == 2 * UNIQUE && unique.bytes().all(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_drafts_are_drafts() {
        assert!(is_draft(&new_name().unwrap()));
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
