//! The answer to a STATUS.

use super::words::{ParseError, Words};
use crate::text::parse_number;

/// What a server holds for one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Piece files.
    pub pieces: u64,
    /// Bytes of all piece files.
    pub bytes: u64,
    /// Free bytes on the server's disk, if the server knows.
    pub free: Option<u64>,
}

impl Usage {
    /// The payload.
    pub fn to_text(&self) -> String {
        let free = self.free.map_or("unknown".to_owned(), |bytes| bytes.to_string());
        format!("{} {} {free}\n", self.pieces, self.bytes)
    }

    /// Parses a payload.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(text.trim_end_matches('\n'));
        let (pieces, bytes) = (words.number("pieces")?, words.number("bytes")?);
        let free = words.parse("free bytes", |word| match word {
            "unknown" => Some(None),
            number => parse_number(number).map(Some),
        })?;
        words.end()?;
        Ok(Usage { pieces, bytes, free })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_comes_back() {
        for free in [None, Some(5)] {
            let usage = Usage { pieces: 2, bytes: 3, free };
            assert_eq!(Usage::parse(&usage.to_text()), Ok(usage));
        }
        assert!(Usage::parse("1 2").is_err());
    }
}
