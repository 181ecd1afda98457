//! Words of a line: percent-encoded names, hexadecimal, base64, numbers.

use base64ct::{Base64, Encoding};

/// A word that is not of the form that its place asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseError(
    /// What was expected, for example `path`.
    pub &'static str,
);

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not understood: {} expected", self.0)
    }
}

impl std::error::Error for ParseError {}

/// By byte, whether it stands for itself in a name.
const PLAIN: [bool; 256] = {
    let (mut plain, mut byte) = ([false; 256], 0);
    while byte < 256 {
        plain[byte] = matches!(byte as u8,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' | b'+');
        byte += 1;
    }
    plain
};

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// Writes a name as one word: every byte but ASCII letters, digits and `-._~/@+` becomes `%XX`.
pub fn percent_encode(name: &str) -> String {
    if is_plain(name) {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if PLAIN[usize::from(byte)] {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Reads what [`percent_encode`] wrote; other spellings of the same name are refused.
///
/// # Errors
/// If the word is not the one spelling of a UTF-8 text.
pub fn percent_decode(word: &str) -> Result<String, ParseError> {
    const EXPECTED: ParseError = ParseError("percent-encoded name");
    if is_plain(word) {
        return Ok(word.to_owned());
    }
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let (digits, tail) = tail.split_at_checked(2).ok_or(EXPECTED)?;
            let digits = std::str::from_utf8(digits).map_err(|_| EXPECTED)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| EXPECTED)?);
            rest = tail;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    let name = String::from_utf8(bytes).map_err(|_| EXPECTED)?;
    if percent_encode(&name) == word { Ok(name) } else { Err(EXPECTED) }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Reads 64 lower-case hexadecimal digits.
///
/// # Errors
/// If the word is anything else.
pub fn parse_hex32(word: &str) -> Result<[u8; 32], ParseError> {
    parse_hex(word).ok_or(ParseError("64 hexadecimal digits"))
}

/// Reads 32 lower-case hexadecimal digits.
///
/// # Errors
/// If the word is anything else.
pub fn parse_hex16(word: &str) -> Result<[u8; 16], ParseError> {
    parse_hex(word).ok_or(ParseError("32 hexadecimal digits"))
}

fn parse_hex<const N: usize>(word: &str) -> Option<[u8; N]> {
    if word.len() != 2 * N || !word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let digit = |b: u8| if b.is_ascii_digit() { b - b'0' } else { b - b'a' + 10 };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(word.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
    }
    Some(out)
}

/// Base64 with padding (RFC 4648, section 4).
pub fn base64_encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Reads base64 with padding.
///
/// # Errors
/// If the word is anything else.
pub fn base64_decode(word: &str) -> Result<Vec<u8>, ParseError> {
    Base64::decode_vec(word).map_err(|_| ParseError("base64"))
}

/// The words of a line, taken one after another.
pub(super) struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        Self(line.split(' '))
    }

    pub(super) fn next(&mut self, expected: &'static str) -> Result<&'a str, ParseError> {
        self.optional(expected)?.ok_or(ParseError(expected))
    }

    /// The next word, or none at the end of the line. A space with nothing behind it is neither.
    pub(super) fn optional(&mut self, expected: &'static str) -> Result<Option<&'a str>, ParseError> {
        match self.0.next() {
            Some("") => Err(ParseError(expected)),
            word => Ok(word),
        }
    }

    /// The next word as a decimal number without sign or leading zeros.
    pub(super) fn number<T: std::str::FromStr>(&mut self, expected: &'static str) -> Result<T, ParseError> {
        let word = self.next(expected)?;
        let canonical = word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
        word.parse().ok().filter(|_| canonical).ok_or(ParseError(expected))
    }

    pub(super) fn end(mut self) -> Result<(), ParseError> {
        if self.0.next().is_some() { Err(ParseError("end of line")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_name_is_one_word_and_comes_back(name in any::<String>()) {
            let word = percent_encode(&name);
            prop_assert!(word.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(percent_decode(&word), Ok(name));
        }

        #[test]
        fn any_word_is_read_or_refused(word in "[%a-f0-9A-F/ ]{0,12}") {
            if let Ok(name) = percent_decode(&word) {
                prop_assert_eq!(percent_encode(&name), word);
            }
        }

        #[test]
        fn hexadecimal_comes_back(bytes in any::<[u8; 32]>()) {
            prop_assert_eq!(parse_hex32(&hex(&bytes)), Ok(bytes));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for word in ["%61", "%2f", "%", "%4", "a b", "%FF", "%+1"] {
            assert!(percent_decode(word).is_err(), "{word}");
        }
        assert!(parse_hex32(&"A".repeat(64)).is_err());
    }
}
