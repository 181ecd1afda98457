//! Lines: reading one within its limit, and the MAC that each carries after the login.

use std::fmt;
use std::io::{self, BufRead, Read};

use super::limits::MAX_LINE;
use crate::primitives::{Key, hmac_sha256, hmac_verify};
use crate::text::{hex, parse_hex};

/// Why a line could not be read.
#[derive(Debug)]
pub enum LineError {
    /// The connection was closed between two lines.
    Closed,
    /// The connection was closed in the middle of a line.
    Cut,
    /// No LF within [`MAX_LINE`] bytes.
    TooLong,
    /// Not UTF-8.
    NotUtf8,
    /// The connection failed.
    Io(io::Error),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::Closed => f.write_str("connection closed"),
            LineError::Cut => f.write_str("connection closed in the middle of a line"),
            LineError::TooLong => write!(f, "a line of more than {MAX_LINE} bytes"),
            LineError::NotUtf8 => f.write_str("a line that is not UTF-8"),
            LineError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LineError {}

/// Reads one line and removes its LF. Never holds more than [`MAX_LINE`] bytes.
///
/// # Errors
/// The connection has ended or failed, or sent something that is not a line. It cannot be used any more.
pub fn read_line(reader: &mut impl BufRead) -> Result<String, LineError> {
    let mut line = Vec::new();
    reader.take(MAX_LINE as u64).read_until(b'\n', &mut line).map_err(LineError::Io)?;
    match line.pop() {
        Some(b'\n') => String::from_utf8(line).map_err(|_| LineError::NotUtf8),
        Some(_) if line.len() + 1 == MAX_LINE => Err(LineError::TooLong),
        Some(_) => Err(LineError::Cut),
        None => Err(LineError::Closed),
    }
}

/// A line whose MAC is missing or wrong: it is not what the other side sent, or not the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadMac;

/// Adds a MAC to each line of one direction.
///
/// The MAC is HMAC-SHA-256 over the line's number in its direction (64 bits, big-endian, from 0) and
/// its text, in hexadecimal, as the line's last word.
pub struct LineSealer {
    key: Key,
    number: u64,
}

impl LineSealer {
    /// With the key of this direction.
    pub fn new(key: impl Into<Key>) -> Self {
        Self { key: key.into(), number: 0 }
    }

    /// The number of the last line that was sealed.
    pub fn last(&self) -> u64 {
        self.number.saturating_sub(1)
    }

    /// The line to send for `text`, LF included.
    pub fn seal(&mut self, text: &str) -> String {
        let mac = hmac_sha256(&*self.key, &[&self.number.to_be_bytes(), text.as_bytes()]);
        self.number += 1;
        format!("{text} {}\n", hex(&mac))
    }
}

/// Checks and removes the MAC of each line of one direction.
pub struct LineOpener {
    key: Key,
    number: u64,
}

impl LineOpener {
    /// With the key of this direction.
    pub fn new(key: impl Into<Key>) -> Self {
        Self { key: key.into(), number: 0 }
    }

    /// The number of the last line that was opened.
    pub fn last(&self) -> u64 {
        self.number.saturating_sub(1)
    }

    /// The text of a received line.
    ///
    /// # Errors
    /// The MAC is missing or wrong. The connection must be closed, because somebody else writes to it.
    pub fn open<'a>(&mut self, line: &'a str) -> Result<&'a str, BadMac> {
        let (text, mac) = line.rsplit_once(' ').ok_or(BadMac)?;
        let mac = parse_hex(mac).ok_or(BadMac)?;
        if !hmac_verify(&*self.key, &[&self.number.to_be_bytes(), text.as_bytes()], &mac) {
            return Err(BadMac);
        }
        self.number += 1;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_up_to_the_limit_and_not_one_byte_over() {
        let read = |bytes: &[u8]| read_line(&mut &bytes[..]);
        let longest = [vec![b'x'; MAX_LINE - 1], b"\n".to_vec()].concat();
        assert_eq!(read(&longest).unwrap().len(), MAX_LINE - 1);
        assert!(matches!(read(&vec![b'x'; MAX_LINE]), Err(LineError::TooLong)));
        assert!(matches!(read(&[vec![b'x'; MAX_LINE], b"\n".to_vec()].concat()), Err(LineError::TooLong)));
        assert!(matches!(read(b""), Err(LineError::Closed)));
        assert!(matches!(read(b"x"), Err(LineError::Cut)));
        assert!(matches!(read(b"\xff\n"), Err(LineError::NotUtf8)));
        assert_eq!(read(b"\n").unwrap(), "");
    }

    #[test]
    fn lines_open_once_in_order_and_unaltered() {
        let mut sealer = LineSealer::new([1; 32]);
        let first = sealer.seal("LOOK a");
        let second = sealer.seal("LOOK a");
        assert_ne!(first, second);
        let opener = || LineOpener::new([1; 32]);
        let (first, second) = (first.trim_end(), second.trim_end());
        assert_eq!(opener().open(second), Err(BadMac), "dropped or reordered");
        let mut one = opener();
        assert_eq!(one.open(first), Ok("LOOK a"));
        assert_eq!(one.open(first), Err(BadMac), "replayed");
        assert_eq!(one.open(second), Ok("LOOK a"));
        assert_eq!(opener().open(&first.replace("LOOK", "READ")), Err(BadMac), "altered");
        assert_eq!(opener().open("LOOK a"), Err(BadMac), "injected");
        assert_eq!(LineOpener::new([2; 32]).open(first), Err(BadMac), "of another session");
    }
}
