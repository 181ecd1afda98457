//! The answer to a LIST: the entries of a folder, one per line.

use super::limits::MAX_PIECE;
use super::words::{ParseError, Words};
use crate::name::{FilePath, FolderPath};
use crate::placement::{PARITY_REPLICAS, PieceSet, Scheme};
use crate::sealed::{Facts, Kind, MODE_BITS, ModifiedTime};
use crate::text::{parse_number, percent_encode};
use crate::version::Version;

/// One entry of a folder. Names are relative to the folder that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A folder in it; never in a list of everything below.
    Folder(FolderPath),
    /// The pieces of one version of a file, a link or the entry of a folder.
    File {
        /// Its name, or its path in a list of everything below; `/` for the entry of the folder itself.
        path: FilePath,
        /// Whether the pieces are published; staged ones count once another server has published one.
        published: bool,
        /// The pieces' numbers.
        pieces: PieceSet,
        /// The facts in their headers.
        facts: Facts,
    },
    /// A delete.
    Tombstone {
        /// The deleted name.
        path: FilePath,
        /// The delete's version.
        version: Version,
        /// Whether it is published on the server.
        published: bool,
    },
    /// Pieces whose connection was lost while they arrived.
    Partial {
        /// The file's name.
        path: FilePath,
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
    /// The name that the entry is about.
    pub fn name(&self) -> &str {
        match self {
            Entry::Folder(folder) => folder.as_str(),
            Entry::File { path, .. }
            | Entry::Tombstone { path, .. }
            | Entry::Partial { path }
            | Entry::Damaged { path, .. } => path.as_str(),
        }
    }

    /// The line, LF included.
    pub fn to_line(&self) -> String {
        let phase = |published: bool| if published { "published" } else { "staged" };
        match self {
            Entry::Folder(folder) => format!("folder {}\n", percent_encode(folder.as_str())),
            Entry::File { path, published, pieces, facts } => {
                let Facts { kind, mode, version, size, modified, scheme, replicas } = facts;
                format!(
                    "{} {} {version} {} {pieces} {size} {} {} {} {mode:o}\n",
                    match kind {
                        Kind::Link => "link",
                        Kind::Folder => "entry",
                        Kind::Data | Kind::Tombstone => "file",
                    },
                    percent_encode(path.as_str()),
                    phase(*published),
                    modified.seconds,
                    modified.nanos,
                    match scheme {
                        Scheme::Copies => replicas.to_string(),
                        Scheme::Parity => PARITY.to_owned(),
                    },
                )
            }
            Entry::Tombstone { path, version, published } => {
                format!("tombstone {} {version} {}\n", percent_encode(path.as_str()), phase(*published))
            }
            Entry::Partial { path } => format!("partial {}\n", percent_encode(path.as_str())),
            Entry::Damaged { path, piece } => format!("damaged {} {piece}\n", percent_encode(path.as_str())),
        }
    }

    /// Parses a line without its LF.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(line);
        let kind = words.next("an entry")?;
        let entry = match kind {
            "folder" => Entry::Folder(words.folder()?),
            "file" | "link" | "entry" => {
                let kind = match kind {
                    "link" => Kind::Link,
                    "entry" => Kind::Folder,
                    _ => Kind::Data,
                };
                let (path, version) = (words.path()?, words.version()?);
                if path.is_of_folder() != (kind == Kind::Folder) {
                    return Err(ParseError("a path of this kind"));
                }
                let (published, pieces) = (published(&mut words)?, pieces(&mut words)?);
                let size = words.number("size")?;
                let modified = ModifiedTime {
                    seconds: seconds(&mut words)?,
                    nanos: words.number_within("nanoseconds", 0..=999_999_999)?,
                };
                let (scheme, replicas) = redundancy(&mut words)?;
                let mode = mode(&mut words)?;
                let facts = Facts { kind, mode, version, size, modified, scheme, replicas };
                Entry::File { path, published, pieces, facts }
            }
            "tombstone" => Entry::Tombstone {
                path: words.path()?,
                version: words.version()?,
                published: published(&mut words)?,
            },
            "partial" => Entry::Partial { path: words.path()? },
            "damaged" => Entry::Damaged {
                path: words.path()?,
                piece: words.number_within("piece number", 0..=MAX_PIECE)?,
            },
            _ => return Err(ParseError("an entry")),
        };
        words.end()?;
        Ok(entry)
    }
}

fn published(words: &mut Words<'_>) -> Result<bool, ParseError> {
    words.either("published or staged", [("published", true), ("staged", false)])
}

/// Ascending, so that a set has one spelling.
fn pieces(words: &mut Words<'_>) -> Result<PieceSet, ParseError> {
    words.parse("pieces", |word| {
        let mut last = 0;
        let numbers = word.split(',').map(|number| {
            last = parse_number(number).filter(|number| (last + 1..=MAX_PIECE).contains(number))?;
            Some(last)
        });
        numbers.collect()
    })
}

/// What an entry has in place of the number of copies if its file has parity.
const PARITY: &str = "parity";

fn redundancy(words: &mut Words<'_>) -> Result<(Scheme, u8), ParseError> {
    words.parse("replicas", |word| match word {
        PARITY => Some((Scheme::Parity, PARITY_REPLICAS)),
        number => Some((Scheme::Copies, parse_number(number).filter(|replicas| *replicas > 0)?)),
    })
}

fn mode(words: &mut Words<'_>) -> Result<u16, ParseError> {
    words.parse("permission bits", |word| {
        u16::from_str_radix(word, 8).ok().filter(|mode| *mode <= MODE_BITS && format!("{mode:o}") == word)
    })
}

fn seconds(words: &mut Words<'_>) -> Result<i64, ParseError> {
    words.parse("seconds", |word| word.parse().ok().filter(|seconds: &i64| seconds.to_string() == word))
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    kind: Kind::Data,
                    mode: 0o640,
                    version,
                    size: 12,
                    modified: ModifiedTime { seconds: -5, nanos: 7 },
                    scheme: Scheme::Copies,
                    replicas: 2,
                },
            },
            Entry::File {
                path: FilePath::parse_any("/").unwrap(),
                published: false,
                pieces: [2].into_iter().collect(),
                facts: Facts { kind: Kind::Folder, version, replicas: 1, ..Facts::default() },
            },
            Entry::File {
                path: path("x"),
                published: true,
                pieces: [1, 5].into_iter().collect(),
                facts: Facts {
                    scheme: Scheme::Parity,
                    replicas: PARITY_REPLICAS,
                    version,
                    ..Facts::default()
                },
            },
            Entry::Tombstone { path: path("x"), version, published: false },
            Entry::Partial { path: path("x") },
            Entry::Damaged { path: path("x"), piece: 3 },
        ] {
            let line = entry.to_line();
            assert_eq!(Entry::parse(line.trim_end()), Ok(entry), "{line}");
        }
        let facts = format!("1-{} published 1 0 0 0 2 644", "0".repeat(32));
        let of_another_kind = ["file x/", "link /", "entry x"].map(|begin| format!("{begin} {facts}"));
        assert!(Entry::parse(&format!("entry x/ {facts}")).is_ok());
        let cut = ["", "folder", "folder ..", "file x", "damaged x", "link x", "tombstone x 1-0 published"];
        for line in cut.into_iter().chain(of_another_kind.iter().map(String::as_str)) {
            assert!(Entry::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn permission_bits_have_one_spelling() {
        let parse =
            |mode: &str| Entry::parse(&format!("link x 1-{} staged 1 12 0 0 2 {mode}", "0".repeat(32)));
        for mode in ["0", "7", "644", "777"] {
            assert!(parse(mode).is_ok(), "{mode}");
        }
        for mode in ["", "00", "0644", "1000", "1777", "8", "-1", "+1"] {
            assert!(parse(mode).is_err(), "{mode}");
        }
    }

    #[test]
    fn pieces_have_one_spelling() {
        let parse = |pieces: &str| {
            Entry::parse(&format!("file x 1-{} published {pieces} 12 0 0 2 644", "0".repeat(32)))
        };
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
}
