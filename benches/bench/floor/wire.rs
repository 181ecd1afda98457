//! What the floor's client and servers send each other: a line, then bytes.

use std::ops::Range;

use crate::Fallible;

/// Bytes that are read, worked on and written at a time. Measured: half and a quarter of it are as good or
/// a little slower, four times as much is far slower.
pub(super) const STEP: usize = 256 * 1024;
/// Bytes of the SHA-256 after each piece.
pub(super) const HASH: usize = 32;
/// Pieces of a file, and servers.
pub(super) const PIECES: u8 = 4;

/// The two servers that hold a piece; both are counted from 0.
pub(super) fn holders(piece: u8) -> [usize; 2] {
    [usize::from(piece), usize::from((piece + 1) % PIECES)]
}

/// The two pieces that a server holds of each file, in the order in which they are sent.
pub(super) fn pieces_of(server: u8) -> [u8; 2] {
    let before = (server + PIECES - 1) % PIECES;
    [server.min(before), server.max(before)]
}

/// Where a piece begins and ends in its file.
pub(super) fn range(size: u64, piece: u8) -> Range<u64> {
    shareit::placement::range(size, piece + 1)
}

pub(super) enum Request {
    /// A large piece follows.
    Put { name: String, length: u64 },
    /// Asks for one.
    Get { name: String },
    /// The pieces of many small files follow: two for each file.
    PutMany { tag: String, files: usize, pieces: [u8; 2], length: usize },
    /// Asks for one piece of each.
    GetMany { tag: String, files: usize, piece: u8, length: usize },
}

impl Request {
    pub(super) fn to_line(&self) -> String {
        match self {
            Request::Put { name, length } => format!("put {name} {length}\n"),
            Request::Get { name } => format!("get {name}\n"),
            Request::PutMany { tag, files, pieces: [one, two], length } => {
                format!("put-many {tag} {files} {one} {two} {length}\n")
            }
            Request::GetMany { tag, files, piece, length } => {
                format!("get-many {tag} {files} {piece} {length}\n")
            }
        }
    }

    pub(super) fn parse(line: &str) -> Fallible<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(match words[..] {
            ["put", name, length] => Request::Put { name: name.to_owned(), length: length.parse()? },
            ["get", name] => Request::Get { name: name.to_owned() },
            ["put-many", tag, files, one, two, length] => Request::PutMany {
                tag: tag.to_owned(),
                files: files.parse()?,
                pieces: [one.parse()?, two.parse()?],
                length: length.parse()?,
            },
            ["get-many", tag, files, piece, length] => Request::GetMany {
                tag: tag.to_owned(),
                files: files.parse()?,
                piece: piece.parse()?,
                length: length.parse()?,
            },
            _ => return Err(format!("not a request: {line:?}").into()),
        })
    }
}
