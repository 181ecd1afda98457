//! What a client asks once it is logged in.

use super::limits::MAX_LINE;
use super::words::{ParseError, Words};
use crate::commit::KeyChange;
use crate::name::{FilePath, FolderPath};
use crate::primitives::Bytes32;
use crate::sealed::Header;
use crate::text::{base64_decode, base64_encode, hex, percent_decode, percent_encode};
use crate::version::Version;

/// A request after login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `LOOK PATH`: every piece of one name that the server holds, each with its claim.
    Look(FilePath),
    /// `LIST FOLDER here|below`: the entries of a folder, or all files below it.
    List {
        /// The folder; `/` in the line is the root.
        folder: FolderPath,
        /// Whether to list all files below it.
        recursive: bool,
    },
    /// `READ PATH PIECE VERSION OFFSET LENGTH`: bytes of a published piece file.
    Read {
        /// The file.
        path: FilePath,
        /// The piece's number.
        piece: u8,
        /// The version that the piece must have.
        version: Version,
        /// First byte within the piece file.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// `STAGE HEADER LENGTH`: a piece to keep until its commit. LENGTH bytes follow, the body and the table,
    /// then the line of a [`StageEnd`].
    ///
    /// `RESTORE HEADER LENGTH FLOOR`: the same for a version that is decided elsewhere. It may be older than
    /// what the server has forgotten, as long as the name's floor there is still FLOOR.
    Stage {
        /// The header, base64 in the line.
        header: Box<Header>,
        /// Bytes of the body and the table.
        length: u64,
        /// For a RESTORE, the floor that the server reported.
        restore: Option<u64>,
    },
    /// `RESUME HEADER OPENING VERSION CHUNKS LENGTH`: like STAGE, for a large piece. What arrives of it is kept if the
    /// connection is lost, and it can begin with what was kept of another version, instead of being sent again.
    Resume {
        /// The header, base64 in the line.
        header: Box<Header>,
        /// The seal over the header alone, for those who find what was kept.
        opening: Bytes32,
        /// The version whose piece with the same number the new one begins with.
        from: Version,
        /// How many chunks of that piece it begins with; with 0, `from` says nothing.
        chunks: u64,
        /// Bytes of the rest of the body and of the table.
        length: u64,
    },
    /// `CHUNKS PATH PIECE VERSION`: nonce and hash of each whole chunk that the server has of a piece, published,
    /// staged or partial.
    Chunks(FilePath, u8, Version),
    /// `COMMIT PATH VERSION`: publish what is staged of this version.
    Commit(FilePath, Version),
    /// `FENCE PATH VERSION`: promise that this version is not published on the server and never will be. Sent
    /// to every server before a stage that seems abandoned is aborted.
    Fence(FilePath, Version),
    /// `ABORT PATH VERSION`: drop what is staged of this version.
    Abort(FilePath, Version),
    /// `RETIRE PATH VERSION`: drop everything older than this version, which is whole elsewhere.
    Retire(FilePath, Version),
    /// `FORGET PATH VERSION`: drop the tombstone of this version, now that every server has it.
    Forget(FilePath, Version),
    /// `CHECK PATH PIECE VERSION`: hash a published piece as it is on the disk.
    Check(FilePath, u8, Version),
    /// `COPY PATH PIECE VERSION HEADER SEAL`: stage a piece with another header and the body of a published
    /// one, so that a new name or key needs no upload.
    Copy {
        /// The file whose body is copied.
        path: FilePath,
        /// The piece's number, in that file and in the new header.
        piece: u8,
        /// The version that the piece must have.
        version: Version,
        /// The new header, base64 in the line.
        header: Box<Header>,
        /// The seal over the new header and the old root.
        seal: Bytes32,
    },
    /// `STATUS`: how much the server holds for this user.
    Status,
    /// `REKEY RETIRED CURRENT`: from now on accept nothing new under the user's key whose check is RETIRED, except
    /// on this connection, and end the user's other sessions.
    Rekey(KeyChange),
    /// `PASSWD BLOCK VERIFIER`: the user's new verifier, in the text form of Users.conf, encrypted: anyone who reads
    /// a verifier can pose as the server and, after recording one more login, as the user.
    Passwd {
        /// The first counter block, random; base64 in the line.
        block: [u8; 16],
        /// The verifier under the session's key for secrets, base64 in the line.
        verifier: Vec<u8>,
    },
    /// `PING`: do nothing; the answer measures the round trip.
    Ping,
}

/// The line after the payload of a STAGE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageEnd {
    /// `END ROOT SEAL TAG`, or without TAG for a RESTORE: the piece is whole.
    End {
        /// SHA-256 of the table.
        root: Bytes32,
        /// The seal, which the server cannot check.
        seal: Bytes32,
        /// The payload's MAC. A writer vouches for the table. A client that restores a piece cannot: the server
        /// hashes the body chunk by chunk instead.
        tag: Option<Bytes32>,
    },
    /// `CANCEL`: the server drops the payload.
    Cancel,
}

impl Request {
    /// The line without MAC and LF.
    pub fn to_line(&self) -> String {
        let word = |path: &FilePath| percent_encode(path.as_str());
        match self {
            Request::Look(path) => format!("LOOK {}", word(path)),
            Request::List { folder, recursive } => {
                let folder = if folder.is_root() { "/".to_owned() } else { percent_encode(folder.as_str()) };
                format!("LIST {folder} {}", if *recursive { "below" } else { "here" })
            }
            Request::Read { path, piece, version, offset, length } => {
                format!("READ {} {piece} {version} {offset} {length}", word(path))
            }
            Request::Stage { header, length, restore } => {
                let header = base64_encode(&header.encode());
                match restore {
                    None => format!("STAGE {header} {length}"),
                    Some(floor) => format!("RESTORE {header} {length} {floor}"),
                }
            }
            Request::Resume { header, opening, from, chunks, length } => {
                let header = base64_encode(&header.encode());
                format!("RESUME {header} {} {from} {chunks} {length}", hex(opening))
            }
            Request::Chunks(path, piece, version) => format!("CHUNKS {} {piece} {version}", word(path)),
            Request::Commit(path, version) => format!("COMMIT {} {version}", word(path)),
            Request::Fence(path, version) => format!("FENCE {} {version}", word(path)),
            Request::Abort(path, version) => format!("ABORT {} {version}", word(path)),
            Request::Retire(path, version) => format!("RETIRE {} {version}", word(path)),
            Request::Forget(path, version) => format!("FORGET {} {version}", word(path)),
            Request::Check(path, piece, version) => format!("CHECK {} {piece} {version}", word(path)),
            Request::Copy { path, piece, version, header, seal } => {
                let header = base64_encode(&header.encode());
                format!("COPY {} {piece} {version} {header} {}", word(path), hex(seal))
            }
            Request::Status => "STATUS".to_owned(),
            Request::Rekey(change) => format!("REKEY {} {}", hex(&change.retired), hex(&change.current)),
            Request::Passwd { block, verifier } => {
                format!("PASSWD {} {}", base64_encode(block), base64_encode(verifier))
            }
            Request::Ping => "PING".to_owned(),
        }
    }

    /// Parses a line from which the MAC was removed.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(line);
        let request = match words.next("a request")? {
            "LOOK" => Request::Look(words.path()?),
            "LIST" => Request::List {
                folder: folder(&mut words)?,
                recursive: words.either("here or below", [("here", false), ("below", true)])?,
            },
            "READ" => Request::Read {
                path: words.path()?,
                piece: words.number("piece number")?,
                version: words.version()?,
                offset: words.number("offset")?,
                length: words.number("length")?,
            },
            "STAGE" => {
                Request::Stage { header: words.header()?, length: words.number("length")?, restore: None }
            }
            "RESTORE" => Request::Stage {
                header: words.header()?,
                length: words.number("length")?,
                restore: Some(words.number("floor")?),
            },
            "RESUME" => Request::Resume {
                header: words.header()?,
                opening: words.hex("opening seal")?,
                from: words.version()?,
                chunks: words.number("chunks")?,
                length: words.number("length")?,
            },
            "CHUNKS" => Request::Chunks(words.path()?, words.number("piece number")?, words.version()?),
            "COMMIT" => Request::Commit(words.path()?, words.version()?),
            "FENCE" => Request::Fence(words.path()?, words.version()?),
            "ABORT" => Request::Abort(words.path()?, words.version()?),
            "RETIRE" => Request::Retire(words.path()?, words.version()?),
            "FORGET" => Request::Forget(words.path()?, words.version()?),
            "CHECK" => Request::Check(words.path()?, words.number("piece number")?, words.version()?),
            "COPY" => Request::Copy {
                path: words.path()?,
                piece: words.number("piece number")?,
                version: words.version()?,
                header: words.header()?,
                seal: words.hex("seal")?,
            },
            "STATUS" => Request::Status,
            "REKEY" => Request::Rekey(KeyChange {
                retired: words.hex("key check")?,
                current: words.hex("key check")?,
            }),
            "PASSWD" => Request::Passwd {
                block: words.parse("counter block", |word| base64_decode(word)?.try_into().ok())?,
                verifier: words.base64("verifier")?,
            },
            "PING" => Request::Ping,
            _ => return Err(ParseError("a request")),
        };
        words.end()?;
        Ok(request)
    }
}

impl StageEnd {
    /// The line without MAC and LF.
    pub fn to_line(&self) -> String {
        match self {
            StageEnd::End { root, seal, tag: None } => format!("END {} {}", hex(root), hex(seal)),
            StageEnd::End { root, seal, tag: Some(tag) } => {
                format!("END {} {} {}", hex(root), hex(seal), hex(tag))
            }
            StageEnd::Cancel => "CANCEL".to_owned(),
        }
    }

    /// Parses a line from which the MAC was removed.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(line);
        let end = match words.next("END or CANCEL")? {
            "END" => StageEnd::End {
                root: words.hex("root")?,
                seal: words.hex("seal")?,
                tag: words.optional_hex("tag")?,
            },
            "CANCEL" => StageEnd::Cancel,
            _ => return Err(ParseError("END or CANCEL")),
        };
        words.end()?;
        Ok(end)
    }
}

fn folder(words: &mut Words<'_>) -> Result<FolderPath, ParseError> {
    words.parse("folder", |word| match word {
        "/" => Some(FolderPath::root()),
        word => FolderPath::parse(&percent_decode(word)?).ok(),
    })
}

const _: () = assert!(
    3 * crate::name::MAX_PATH + crate::sealed::MAX_HEADER.div_ceil(3) * 4 + 256 < MAX_LINE,
    "the longest line, a COPY, fits"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::{Facts, WrappedKey};

    fn examples() -> Vec<Request> {
        let path = FilePath::parse("my notes/a%b.txt").unwrap();
        let version = Version { generation: 3, upload: [0xab; 16] };
        let user = crate::name::UserName::parse("Aditi").unwrap();
        let facts = Facts { version, size: 4, replicas: 2, ..Facts::default() };
        let key = WrappedKey { check: [0; 16], block: [0; 16], bytes: [0; 32] };
        let header = Header::data(user, path.clone(), facts, 1, key);
        vec![
            Request::Look(path.clone()),
            Request::List { folder: FolderPath::root(), recursive: false },
            Request::List { folder: path.folder(), recursive: true },
            Request::Read { path: path.clone(), piece: 4, version, offset: 0, length: u64::MAX },
            Request::Stage { header: Box::new(header.clone()), length: 33, restore: None },
            Request::Stage { header: Box::new(header.clone()), length: 33, restore: Some(7) },
            Request::Resume {
                header: Box::new(header.clone()),
                opening: [8; 32],
                from: version,
                chunks: 3,
                length: 9,
            },
            Request::Chunks(path.clone(), 2, version),
            Request::Copy { path: path.clone(), piece: 1, version, header: Box::new(header), seal: [7; 32] },
            Request::Commit(path.clone(), version),
            Request::Fence(path.clone(), version),
            Request::Abort(path.clone(), version),
            Request::Retire(path.clone(), version),
            Request::Forget(path.clone(), version),
            Request::Check(path, 2, version),
            Request::Status,
            Request::Rekey(KeyChange { retired: [5; 16], current: [6; 16] }),
            Request::Passwd { block: [5; 16], verifier: b"encrypted".to_vec() },
            Request::Ping,
        ]
    }

    #[test]
    fn every_request_comes_back() {
        for request in examples() {
            assert_eq!(Request::parse(&request.to_line()), Ok(request));
        }
        assert_eq!(examples()[0].to_line(), "LOOK my%20notes/a%25b.txt");
        for tag in [None, Some([3; 32])] {
            let end = StageEnd::End { root: [1; 32], seal: [2; 32], tag };
            assert!(StageEnd::parse(&(end.to_line() + " ")).is_err(), "a second spelling");
            assert_eq!(StageEnd::parse(&end.to_line()), Ok(end));
        }
        assert_eq!(StageEnd::parse("CANCEL"), Ok(StageEnd::Cancel));
    }

    #[test]
    fn a_missing_or_surplus_word_is_refused() {
        for request in examples() {
            let line = request.to_line();
            assert!(Request::parse(&format!("{line} x")).is_err(), "{line}");
            if let Some((shorter, _)) = line.rsplit_once(' ') {
                assert!(Request::parse(shorter).is_err(), "{shorter}");
            }
            assert!(Request::parse(&line.to_lowercase()).is_err());
            assert!(Request::parse(&format!(" {line}")).is_err());
        }
        for line in [
            "",
            "LOOK",
            "LOOK ..",
            "LOOK /a",
            "LOOK a//b",
            "LIST / now",
            "READ a 256 1-0 0 0",
            "LOGIN 1 eA==",
        ] {
            assert!(Request::parse(line).is_err(), "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_understood_or_refused(line in "(LOOK|LIST|READ|STAGE|COMMIT|CHECK)( [%a-z0-9/.-]{0,9}){0,6}") {
            if let Ok(request) = Request::parse(&line) {
                proptest::prop_assert_eq!(request.to_line(), line);
            }
        }
    }
}
