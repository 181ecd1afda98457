//! The text payloads: reports on one name (LOOK), entries of a folder (LIST), usage (STATUS). One
//! record a line.

use super::text::{ParseError, Words, base64_decode, base64_encode, percent_decode, percent_encode};
use crate::commit::PieceState;
use crate::name::{FilePath, FolderPath};
use crate::placement::PieceSet;
use crate::sealed::{Claim, Facts, Header, ModifiedTime};
use crate::version::Version;

/// The greatest number of a piece: a piece file's name ends in one digit.
const MAX_PIECE: u8 = 9;
/// Most pieces that a server has of one name: staged ones, and under each number a published or a damaged one, and
/// a tombstone.
pub const MAX_RECORDS: usize = super::MAX_STAGED + MAX_PIECE as usize + 1;

/// Everything that a server holds of one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameReport {
    /// The name's floor: nothing of this generation or an older one may be staged under it.
    pub floor: u64,
    /// The server's clock: milliseconds since 1970 UTC.
    pub clock: u64,
    /// The pieces, published and staged.
    pub pieces: Vec<Reported>,
}

/// One piece in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reported {
    /// A piece whose header can be read.
    Piece(PieceState, Box<Claim>),
    /// A piece file whose header cannot, by its number.
    Damaged(u8),
}

impl NameReport {
    /// The payload.
    pub fn to_text(&self) -> String {
        let mut text = format!("floor {}\nclock {}\n", self.floor, self.clock);
        for reported in &self.pieces {
            match reported {
                Reported::Piece(state, claim) => {
                    let word = match state {
                        PieceState::Published => "published",
                        PieceState::Staged { open: false } => "staged",
                        PieceState::Staged { open: true } => "open",
                    };
                    let bytes = [&claim.header.encode()[..], &claim.root, &claim.seal].concat();
                    text.push_str(&format!("{word} {}\n", base64_encode(&bytes)));
                }
                Reported::Damaged(piece) => text.push_str(&format!("damaged {piece}\n")),
            }
        }
        text
    }

    /// Understands a payload.
    ///
    /// # Errors
    /// What was expected in its place.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut report = NameReport::default();
        let (first, rest) = text.split_once('\n').ok_or(ParseError("floor"))?;
        report.floor = number_of(first, "floor")?;
        let (second, rest) = rest.split_once('\n').ok_or(ParseError("clock"))?;
        report.clock = number_of(second, "clock")?;
        for line in rest.split_terminator('\n') {
            if report.pieces.len() == MAX_RECORDS {
                return Err(ParseError("no more records than there can be pieces"));
            }
            let mut words = Words::of(line);
            match words.next("a record")? {
                "published" => report.pieces.push(Reported::Piece(PieceState::Published, claim(&mut words)?)),
                "staged" => report
                    .pieces
                    .push(Reported::Piece(PieceState::Staged { open: false }, claim(&mut words)?)),
                "open" => {
                    report.pieces.push(Reported::Piece(PieceState::Staged { open: true }, claim(&mut words)?))
                }
                "damaged" => {
                    let piece = words.number("piece number").and_then(|n| within(n, 0, MAX_PIECE))?;
                    report.pieces.push(Reported::Damaged(piece));
                }
                _ => return Err(ParseError("a record")),
            }
            words.end()?;
        }
        Ok(report)
    }
}

/// A record of a word and a number.
fn number_of(record: &str, word: &'static str) -> Result<u64, ParseError> {
    let mut words = Words::of(record);
    if words.next(word)? != word {
        return Err(ParseError(word));
    }
    let number = words.number(word)?;
    words.end()?;
    Ok(number)
}

fn claim(words: &mut Words<'_>) -> Result<Box<Claim>, ParseError> {
    const EXPECTED: ParseError = ParseError("a claim");
    let bytes = base64_decode(words.next("a claim")?)?;
    let header = Header::decode(&bytes).map_err(|_| EXPECTED)?;
    let tail: &[u8; 64] = bytes[header.encoded_len()..].try_into().map_err(|_| EXPECTED)?;
    let mut claim = Box::new(Claim { header, root: [0; 32], seal: [0; 32] });
    claim.root.copy_from_slice(&tail[..32]);
    claim.seal.copy_from_slice(&tail[32..]);
    Ok(claim)
}

/// One entry of a folder. Names are relative to the folder that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A folder in it; not in a list of everything below.
    Folder(FolderPath),
    /// The pieces of one version of a file.
    File {
        /// Its name, or its path in a list of everything below.
        path: FilePath,
        /// Whether the pieces are published; staged ones count once another server has decided.
        published: bool,
        /// The pieces' numbers.
        pieces: PieceSet,
        /// What their headers say.
        facts: Facts,
    },
    /// A delete.
    Tombstone {
        /// The deleted name.
        path: FilePath,
        /// The delete's version.
        version: Version,
        /// Whether it is committed here.
        published: bool,
    },
    /// A piece file whose header cannot be read.
    Damaged {
        /// The file's name.
        path: FilePath,
        /// The piece's number.
        piece: u8,
    },
}

impl Entry {
    /// The name that it is about.
    pub fn name(&self) -> &str {
        match self {
            Entry::Folder(folder) => folder.as_str(),
            Entry::File { path, .. } | Entry::Tombstone { path, .. } | Entry::Damaged { path, .. } => {
                path.as_str()
            }
        }
    }

    /// The line, LF included.
    pub fn to_line(&self) -> String {
        let state = |published: bool| if published { "published" } else { "staged" };
        match self {
            Entry::Folder(folder) => format!("folder {}\n", percent_encode(folder.as_str())),
            Entry::File { path, published, pieces, facts: Facts { version, size, modified, replicas } } => {
                format!(
                    "file {} {version} {} {pieces} {size} {} {} {replicas}\n",
                    percent_encode(path.as_str()),
                    state(*published),
                    modified.seconds,
                    modified.nanos,
                )
            }
            Entry::Tombstone { path, version, published } => {
                format!("tombstone {} {version} {}\n", percent_encode(path.as_str()), state(*published))
            }
            Entry::Damaged { path, piece } => format!("damaged {} {piece}\n", percent_encode(path.as_str())),
        }
    }

    /// Understands a line without its LF.
    ///
    /// # Errors
    /// What was expected in its place.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(line);
        let kind = words.next("an entry")?;
        let name = percent_decode(words.next("name")?)?;
        let path = || FilePath::parse(&name).map_err(|_| ParseError("path"));
        let entry = match kind {
            "folder" => Entry::Folder(FolderPath::parse(&name).map_err(|_| ParseError("folder"))?),
            "file" => {
                let path = path()?;
                let version = version(&mut words)?;
                let (published, pieces) = (published(&mut words)?, pieces(&mut words)?);
                let size = words.number("size")?;
                let modified = ModifiedTime {
                    seconds: seconds(&mut words)?,
                    nanos: words.number("nanoseconds").and_then(|n| within(n, 0, 999_999_999))?,
                };
                let replicas = words.number("replicas").and_then(|n| within(n, 1, u8::MAX))?;
                Entry::File { path, published, pieces, facts: Facts { version, size, modified, replicas } }
            }
            "tombstone" => Entry::Tombstone {
                path: path()?,
                version: version(&mut words)?,
                published: published(&mut words)?,
            },
            "damaged" => Entry::Damaged {
                path: path()?,
                piece: words.number("piece number").and_then(|n| within(n, 0, MAX_PIECE))?,
            },
            _ => return Err(ParseError("an entry")),
        };
        words.end()?;
        Ok(entry)
    }
}

fn version(words: &mut Words<'_>) -> Result<Version, ParseError> {
    words.next("version")?.parse().map_err(|_| ParseError("version"))
}

fn published(words: &mut Words<'_>) -> Result<bool, ParseError> {
    match words.next("published or staged")? {
        "published" => Ok(true),
        "staged" => Ok(false),
        _ => Err(ParseError("published or staged")),
    }
}

/// Ascending: a set has one spelling.
fn pieces(words: &mut Words<'_>) -> Result<PieceSet, ParseError> {
    let mut last = 0;
    let numbers = words.next("pieces")?.split(',').map(|number| {
        last = Words::of(number).number("pieces").and_then(|n| within(n, last + 1, MAX_PIECE))?;
        Ok(last)
    });
    numbers.collect()
}

fn seconds(words: &mut Words<'_>) -> Result<i64, ParseError> {
    const EXPECTED: ParseError = ParseError("seconds");
    let word = words.next("seconds")?;
    let number: i64 = word.parse().map_err(|_| EXPECTED)?;
    if number.to_string() == word { Ok(number) } else { Err(EXPECTED) }
}

fn within<T: PartialOrd>(number: T, least: T, most: T) -> Result<T, ParseError> {
    if (least..=most).contains(&number) { Ok(number) } else { Err(ParseError("a number in its range")) }
}

/// What a server holds for one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Piece files.
    pub pieces: u64,
    /// Bytes of all piece files.
    pub bytes: u64,
    /// Free bytes on the server's disk, where it can tell.
    pub free: Option<u64>,
}

impl Usage {
    /// The payload.
    pub fn to_text(&self) -> String {
        let free = self.free.map_or("unknown".to_owned(), |bytes| bytes.to_string());
        format!("{} {} {free}\n", self.pieces, self.bytes)
    }

    /// Understands a payload.
    ///
    /// # Errors
    /// What was expected in its place.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(text.trim_end_matches('\n'));
        let (pieces, bytes) = (words.number("pieces")?, words.number("bytes")?);
        let free = match words.next("free bytes")? {
            "unknown" => None,
            number => Some(Words::of(number).number("free bytes")?),
        };
        words.end()?;
        Ok(Usage { pieces, bytes, free })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::UserName;

    fn path(text: &str) -> FilePath {
        FilePath::parse(text).unwrap()
    }

    #[test]
    fn entries_come_back() {
        let version = Version { generation: 9, upload: [1; 16] };
        for entry in [
            Entry::Folder(FolderPath::parse("my folder").unwrap()),
            Entry::File {
                path: path("a b/ü"),
                published: true,
                pieces: [1, 4].into_iter().collect(),
                facts: Facts {
                    version,
                    size: 12,
                    modified: ModifiedTime { seconds: -5, nanos: 7 },
                    replicas: 2,
                },
            },
            Entry::Tombstone { path: path("x"), version, published: false },
            Entry::Damaged { path: path("x"), piece: 3 },
        ] {
            let line = entry.to_line();
            assert_eq!(Entry::parse(line.trim_end()), Ok(entry), "{line}");
        }
        for line in ["", "folder", "folder ..", "file x", "damaged x", "link x", "tombstone x 1-0 published"]
        {
            assert!(Entry::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn pieces_have_one_spelling() {
        let parse =
            |pieces: &str| Entry::parse(&format!("file x 1-{} published {pieces} 12 0 0 2", "0".repeat(32)));
        for pieces in ["1", "1,4", "2,3,4", "1,9"] {
            let parsed = parse(pieces).unwrap();
            assert!(
                matches!(&parsed, Entry::File { pieces: set, .. } if set.to_string() == pieces),
                "{pieces}"
            );
        }
        for pieces in ["", ",", "0", "4,1", "1,1", "1,", ",1", "01", "10", "1,2,2", "300"] {
            assert!(parse(pieces).is_err(), "{pieces}");
        }
    }

    #[test]
    fn reports_come_back() {
        let version = Version { generation: 1, upload: [1; 16] };
        let header = Header::tombstone(UserName::parse("u").unwrap(), path("p"), version, 2, [0; 16]);
        let claim = Box::new(Claim { header, root: [1; 32], seal: [2; 32] });
        let report = NameReport {
            floor: 4,
            clock: 5,
            pieces: vec![
                Reported::Piece(PieceState::Published, claim.clone()),
                Reported::Piece(PieceState::Staged { open: true }, claim.clone()),
                Reported::Piece(PieceState::Staged { open: false }, claim),
                Reported::Damaged(3),
            ],
        };
        assert_eq!(NameReport::parse(&report.to_text()), Ok(report));
        for text in
            ["", "floor 4\n", "clock 5\n", "clock 5\nfloor 4\n", "floor 4\nclock 05\n", "floor 4\nclock 5"]
        {
            assert!(NameReport::parse(text).is_err(), "{text}");
        }
        assert!(NameReport::parse("floor 4\nclock 5\npublished eA==\n").is_err());
    }

    #[test]
    fn usage_comes_back() {
        for free in [None, Some(5)] {
            let usage = Usage { pieces: 2, bytes: 3, free };
            assert_eq!(Usage::parse(&usage.to_text()), Ok(usage));
        }
        assert!(Usage::parse("1 2").is_err());
    }
}
