//! A key on paper: four lines of characters that cannot be mistaken for each other, each with its own checksum.
//!
//! `docs/FORMAT.md` ("A key on paper") has the format and an example.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::primitives::sha256;

/// Crockford's Base32: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Lines of a key.
pub(super) const LINES: usize = 4;
/// Bytes of the key in one line.
const LINE_BYTES: usize = 8;
/// Bytes of the checksum in one line.
const CHECK_BYTES: usize = 2;
/// Characters of a line, of five bits each.
const LINE_CHARACTERS: usize = (LINE_BYTES + CHECK_BYTES) * 8 / 5;
/// Characters of a key.
pub(super) const CHARACTERS: usize = LINES * LINE_CHARACTERS;
/// Characters of a group.
const GROUP: usize = 4;
/// What the checksums are for, so that they are those of no other thing.
const LABEL: &[u8] = b"ShareIt key on paper";
/// Begins a line that is for people alone.
const COMMENT: char = '#';
/// Begins the line of a .conf that is printed along with a new key.
const KEY: &str = "Key ";

/// Why what was typed is not a key. Lines are counted from 1, without empty ones and comments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PaperError {
    /// A line with a character that does not occur in one.
    Character(usize, char),
    /// A line with so many characters.
    Length(usize, usize),
    /// So many characters in all, instead of [`CHARACTERS`], in another number of lines than four.
    Total(usize),
    /// A line that does not match its checksum.
    Checksum(usize),
}

impl fmt::Display for PaperError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PaperError::Character(line, c) => {
                write!(f, "line {line} has '{}', which is in no key on paper", c.escape_debug())
            }
            PaperError::Length(line, found) => {
                write!(f, "line {line} has {found} characters instead of {LINE_CHARACTERS}")
            }
            PaperError::Total(found) => {
                write!(f, "{found} characters instead of {LINES} lines of {LINE_CHARACTERS}")
            }
            PaperError::Checksum(line) => {
                write!(
                    f,
                    "line {line} does not match its checksum: a character in it is wrong, or the lines are out of order"
                )
            }
        }
    }
}

/// The lines of a key.
pub(super) fn encode(key: &[u8; 32]) -> Vec<Zeroizing<String>> {
    let line = |index| {
        let bytes = &key[index * LINE_BYTES..(index + 1) * LINE_BYTES];
        let mut number = Zeroizing::new(0u128);
        for byte in bytes.iter().chain(&checksum(key, index)) {
            *number = *number << 8 | u128::from(*byte);
        }
        let mut text = Zeroizing::new(String::with_capacity(2 * LINE_CHARACTERS));
        for at in 0..LINE_CHARACTERS {
            if at > 0 && at % GROUP == 0 {
                text.push(' ');
            }
            let five_bits = *number >> (5 * (LINE_CHARACTERS - 1 - at)) & 31;
            text.push(char::from(ALPHABET[five_bits as usize]));
        }
        text
    };
    (0..LINES).map(line).collect()
}

/// The key that was typed. Case, blanks, hyphens, and where lines end do not matter; O is 0, I and L are 1.
///
/// # Errors
/// The first line that is wrong.
pub(super) fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, PaperError> {
    let mut typed: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    let is_ours = |line: &&str| !line.is_empty() && !line.starts_with(COMMENT) && !line.starts_with(KEY);
    for (index, line) in text.lines().map(str::trim).filter(is_ours).enumerate() {
        let mut values = Zeroizing::new(Vec::with_capacity(line.len()));
        for c in line.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            values.push(value(c).ok_or(PaperError::Character(index + 1, c))?);
        }
        typed.push(values);
    }
    if typed.len() == LINES {
        let wrong = typed.iter().position(|line| line.len() != LINE_CHARACTERS);
        if let Some(index) = wrong {
            return Err(PaperError::Length(index + 1, typed[index].len()));
        }
    }
    let mut all = Zeroizing::new(Vec::with_capacity(typed.iter().map(|line| line.len()).sum()));
    typed.iter().for_each(|line| all.extend_from_slice(line));
    if all.len() != CHARACTERS {
        return Err(PaperError::Total(all.len()));
    }
    let mut key = Zeroizing::new([0; 32]);
    for (index, line) in all.chunks_exact(LINE_CHARACTERS).enumerate() {
        let number = Zeroizing::new(line.iter().fold(0, |number, &value| number << 5 | u128::from(value)));
        let mut bytes = number.to_be_bytes();
        let (data, check) = bytes[16 - LINE_BYTES - CHECK_BYTES..].split_at(LINE_BYTES);
        key[index * LINE_BYTES..(index + 1) * LINE_BYTES].copy_from_slice(data);
        let matches = checksum(&key, index) == check;
        bytes.zeroize();
        if !matches {
            return Err(PaperError::Checksum(index + 1));
        }
    }
    Ok(key)
}

/// What a character stands for.
fn value(c: char) -> Option<u8> {
    let c = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    };
    ALPHABET.iter().position(|&known| char::from(known) == c).map(|value| value as u8)
}

/// The checksum of a line, counted from 0. It covers the lines before it: those of two keys cannot be mixed.
fn checksum(key: &[u8; 32], index: usize) -> [u8; CHECK_BYTES] {
    let (number, until) = ([index as u8 + 1], &key[..(index + 1) * LINE_BYTES]);
    let hashed = sha256(&Zeroizing::new([LABEL, &number, until].concat()));
    [hashed[0], hashed[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(key: &[u8; 32]) -> Vec<String> {
        encode(key).iter().map(|line| line.to_string()).collect()
    }

    fn key() -> [u8; 32] {
        std::array::from_fn(|i| i as u8 * 7)
    }

    #[test]
    fn what_is_printed_is_read_however_it_is_typed() {
        for key in [[0; 32], [0xff; 32], key()] {
            let lines = lines(&key);
            assert!(lines.iter().all(|line| line.len() == LINE_CHARACTERS + 3), "{lines:?}");
            let text = lines.join("\n");
            let in_one = text.replace(['\n', ' '], "");
            let misread = text.to_lowercase().replace('0', "o").replace('1', "l");
            for typed in [
                text.clone(),
                text.replace('1', "I").replace('0', "O"),
                format!("# of 2026\r\n\r\n  {}\r\n\nKey 00ff\n", text.replace('\n', "\r\n")),
                text.replace(' ', "-"),
                text.replace(' ', "\n"),
                in_one,
                misread,
            ] {
                assert_eq!(*decode(&typed).unwrap(), key, "{typed}");
            }
        }
    }

    #[test]
    fn every_single_mistake_is_found_in_its_line() {
        let lines = lines(&key());
        for line in 0..LINES {
            for at in (0..lines[line].len()).filter(|at| at % 5 != 4) {
                for c in
                    ALPHABET.iter().map(|&c| char::from(c)).filter(|c| !lines[line][at..].starts_with(*c))
                {
                    let mut wrong = lines.clone();
                    wrong[line].replace_range(at..=at, &c.to_string());
                    assert_eq!(decode(&wrong.join("\n")), Err(PaperError::Checksum(line + 1)));
                }
            }
        }
    }

    #[test]
    fn lines_in_another_order_or_of_two_keys_are_found() {
        let (one, other) = (lines(&key()), lines(&[9; 32]));
        let swapped = [&*one[0], &*one[2], &*one[1], &*one[3]].join("\n");
        assert_eq!(decode(&swapped), Err(PaperError::Checksum(2)));
        let mixed = [&*one[0], &*one[1], &*other[2], &*other[3]].join("\n");
        assert_eq!(decode(&mixed), Err(PaperError::Checksum(3)));
    }

    #[test]
    fn a_line_of_another_length_and_a_character_of_none_are_named() {
        let lines = lines(&key());
        let short = lines.join("\n").replacen(&lines[1][1..], &lines[1][2..], 1);
        assert_eq!(decode(&short), Err(PaperError::Length(2, 15)));
        assert_eq!(decode(&lines[..3].join("\n")), Err(PaperError::Total(48)));
        assert_eq!(decode(""), Err(PaperError::Total(0)));
        let strange = lines.join("\n").replacen(&lines[2][..1], "U", 1);
        assert!(matches!(decode(&strange), Err(PaperError::Character(_, 'U'))), "{strange}");
    }
}
