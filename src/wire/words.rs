//! The words of a line, read one after another, each as what its place calls for.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::{FromStr, Split};

use crate::name::{FilePath, FolderPath};
use crate::sealed::Header;
use crate::text::{base64_decode, parse_hex, parse_number, percent_decode};
use crate::version::Version;

/// A word that does not have the form that its place calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseError(
    /// What was expected, for example `path`.
    pub &'static str,
);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl std::error::Error for ParseError {}

pub(super) struct Words<'a>(Split<'a, char>);

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        Self(line.split(' '))
    }

    pub(super) fn next(&mut self, expected: &'static str) -> Result<&'a str, ParseError> {
        self.optional(expected)?.ok_or(ParseError(expected))
    }

    /// The next word, or none at the end of the line. A space with nothing after it is neither.
    pub(super) fn optional(&mut self, expected: &'static str) -> Result<Option<&'a str>, ParseError> {
        match self.0.next() {
            Some("") => Err(ParseError(expected)),
            word => Ok(word),
        }
    }

    /// The next word, as `read` understands it.
    pub(super) fn parse<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ParseError> {
        read(self.next(expected)?).ok_or(ParseError(expected))
    }

    pub(super) fn number<T: FromStr>(&mut self, expected: &'static str) -> Result<T, ParseError> {
        self.parse(expected, parse_number)
    }

    pub(super) fn number_within<T: FromStr + PartialOrd>(
        &mut self,
        expected: &'static str,
        range: RangeInclusive<T>,
    ) -> Result<T, ParseError> {
        self.parse(expected, |word| parse_number(word).filter(|number| range.contains(number)))
    }

    pub(super) fn hex<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], ParseError> {
        self.parse(expected, parse_hex)
    }

    /// A word that may be missing, at the end of the line.
    pub(super) fn optional_hex<const N: usize>(
        &mut self,
        expected: &'static str,
    ) -> Result<Option<[u8; N]>, ParseError> {
        self.optional(expected)?.map(|word| parse_hex(word).ok_or(ParseError(expected))).transpose()
    }

    pub(super) fn base64(&mut self, expected: &'static str) -> Result<Vec<u8>, ParseError> {
        self.parse(expected, base64_decode)
    }

    /// A SCRAM message, in base64.
    pub(super) fn message(&mut self) -> Result<String, ParseError> {
        self.parse("UTF-8 in base64", |word| String::from_utf8(base64_decode(word)?).ok())
    }

    pub(super) fn path(&mut self) -> Result<FilePath, ParseError> {
        self.parse("path", |word| FilePath::parse_any(&percent_decode(word)?).ok())
    }

    pub(super) fn folder(&mut self) -> Result<FolderPath, ParseError> {
        self.parse("folder", |word| FolderPath::parse(&percent_decode(word)?).ok())
    }

    pub(super) fn version(&mut self) -> Result<Version, ParseError> {
        self.parse("version", |word| word.parse().ok())
    }

    /// A header, in base64.
    pub(super) fn header(&mut self) -> Result<Box<Header>, ParseError> {
        self.parse("header", |word| {
            let bytes = base64_decode(word)?;
            let header = Header::decode(&bytes).ok()?;
            (header.encoded_len() == bytes.len()).then(|| Box::new(header))
        })
    }

    /// One of two words.
    pub(super) fn either<T>(
        &mut self,
        expected: &'static str,
        words: [(&str, T); 2],
    ) -> Result<T, ParseError> {
        self.parse(expected, |word| {
            words.into_iter().find(|(spelled, _)| *spelled == word).map(|(_, value)| value)
        })
    }

    pub(super) fn end(mut self) -> Result<(), ParseError> {
        if self.0.next().is_some() { Err(ParseError("end of line")) } else { Ok(()) }
    }
}
