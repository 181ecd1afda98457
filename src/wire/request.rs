//! What a client asks: the lines of a login, and the requests after it.

use super::text::{
    ParseError, Words, base64_decode, base64_encode, hex, parse_hex16, parse_hex32, percent_decode,
    percent_encode,
};
use super::{MAX_LINE, PROTOCOL_VERSION};
use crate::commit::KeyChange;
use crate::name::{FilePath, FolderPath};
use crate::primitives::Bytes32;
use crate::sealed::Header;
use crate::version::Version;

/// A client's two lines before it is logged in; they carry no MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// `LOGIN 1 BASE64`: the SCRAM client-first message.
    Login(String),
    /// `PROVE BASE64`: the SCRAM client-final message.
    Prove(String),
}

impl Login {
    /// The line without its LF.
    pub fn to_line(&self) -> String {
        match self {
            Login::Login(message) => {
                format!("LOGIN {PROTOCOL_VERSION} {}", base64_encode(message.as_bytes()))
            }
            Login::Prove(message) => format!("PROVE {}", base64_encode(message.as_bytes())),
        }
    }

    /// Understands a line.
    ///
    /// # Errors
    /// What was expected in its place.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(line);
        let login = match words.next("LOGIN or PROVE")? {
            "LOGIN" => {
                if words.number::<u32>("protocol version")? != PROTOCOL_VERSION {
                    return Err(ParseError("protocol version 1"));
                }
                Login::Login(message(&mut words)?)
            }
            "PROVE" => Login::Prove(message(&mut words)?),
            _ => return Err(ParseError("LOGIN or PROVE")),
        };
        words.end()?;
        Ok(login)
    }
}

pub(super) fn message(words: &mut Words<'_>) -> Result<String, ParseError> {
    let bytes = base64_decode(words.next("base64")?)?;
    String::from_utf8(bytes).map_err(|_| ParseError("UTF-8 in base64"))
}

/// A request after login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `LOOK PATH`: every piece of one name that the server holds, with its claim.
    Look(FilePath),
    /// `LIST FOLDER here|below`: the entries of a folder, or all files below it.
    List {
        /// The folder; the root is written `/`.
        folder: FolderPath,
        /// Whether everything below is meant.
        recursive: bool,
    },
    /// `READ PATH PIECE VERSION OFFSET LENGTH`: bytes of a published piece file.
    Read {
        /// Which file.
        path: FilePath,
        /// Number of the piece.
        piece: u8,
        /// The version that the piece must have.
        version: Version,
        /// First byte within the piece file.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// `STAGE HEADER LENGTH`: a piece to keep until its commit. LENGTH bytes follow, body and table,
    /// then the line of a [`StageEnd`].
    ///
    /// `RESTORE HEADER LENGTH FLOOR`: the same for a version that is decided elsewhere, which may be
    /// older than what the server has forgotten, as long as its floor is still FLOOR.
    Stage {
        /// The header, base64 in the line.
        header: Box<Header>,
        /// Bytes of body and table.
        length: u64,
        /// For a RESTORE, the floor that the server reported.
        restore: Option<u64>,
    },
    /// `COMMIT PATH VERSION`: publish what is staged of this version.
    Commit(FilePath, Version),
    /// `FENCE PATH VERSION`: promise that this version is not published here and never will be. Asked of
    /// every server before a stage that seems abandoned is aborted.
    Fence(FilePath, Version),
    /// `ABORT PATH VERSION`: drop what is staged of this version.
    Abort(FilePath, Version),
    /// `RETIRE PATH VERSION`: drop what is older than this version, which is whole elsewhere.
    Retire(FilePath, Version),
    /// `FORGET PATH VERSION`: drop the tombstone of this version, which every server has.
    Forget(FilePath, Version),
    /// `CHECK PATH PIECE VERSION`: hash a published piece where it lies.
    Check(FilePath, u8, Version),
    /// `COPY PATH PIECE VERSION HEADER SEAL`: stage a piece under another header, with the body of a
    /// published one, so that a new name or key needs no bytes to travel.
    Copy {
        /// Which file the body is taken from.
        path: FilePath,
        /// Number of the piece, there and in the new header.
        piece: u8,
        /// The version that the piece must have.
        version: Version,
        /// The new header, base64 in the line.
        header: Box<Header>,
        /// The seal over the new header and the old root.
        seal: Bytes32,
    },
    /// `STATUS`: what the server holds for this user.
    Status,
    /// `REKEY RETIRED CURRENT`: from now on nothing new comes under the user's key whose check is RETIRED, but on
    /// this connection, and the user's other sessions end.
    Rekey(KeyChange),
    /// `PASSWD BLOCK VERIFIER`: the user's new verifier, in the text form of Users.conf, encrypted: who
    /// reads a verifier can answer for the server, and with one more recorded login for the user.
    Passwd {
        /// The first counter block, random; base64 in the line.
        block: [u8; 16],
        /// The verifier under the session's key for secrets, base64 in the line.
        verifier: Vec<u8>,
    },
    /// `PING`: nothing; its answer tells the round trip.
    Ping,
}

/// The line behind the payload of a STAGE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageEnd {
    /// `END ROOT SEAL TAG`, or without TAG for a RESTORE: the piece is whole.
    End {
        /// SHA-256 of the table.
        root: Bytes32,
        /// The seal, which the server cannot check.
        seal: Bytes32,
        /// The payload's MAC. The writer vouches for the table; who restores a piece cannot, and lets the
        /// server hash the body chunk by chunk.
        tag: Option<Bytes32>,
    },
    /// `CANCEL`: the payload is of no use; the server drops it.
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

    /// Understands a line whose MAC was taken off.
    ///
    /// # Errors
    /// What was expected in its place.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(line);
        let request = match words.next("a request")? {
            "LOOK" => Request::Look(path(&mut words)?),
            "LIST" => Request::List { folder: folder(&mut words)?, recursive: recursive(&mut words)? },
            "READ" => Request::Read {
                path: path(&mut words)?,
                piece: words.number("piece number")?,
                version: version(&mut words)?,
                offset: words.number("offset")?,
                length: words.number("length")?,
            },
            "STAGE" => {
                Request::Stage { header: header(&mut words)?, length: words.number("length")?, restore: None }
            }
            "RESTORE" => Request::Stage {
                header: header(&mut words)?,
                length: words.number("length")?,
                restore: Some(words.number("floor")?),
            },
            "COMMIT" => Request::Commit(path(&mut words)?, version(&mut words)?),
            "FENCE" => Request::Fence(path(&mut words)?, version(&mut words)?),
            "ABORT" => Request::Abort(path(&mut words)?, version(&mut words)?),
            "RETIRE" => Request::Retire(path(&mut words)?, version(&mut words)?),
            "FORGET" => Request::Forget(path(&mut words)?, version(&mut words)?),
            "CHECK" => Request::Check(path(&mut words)?, words.number("piece number")?, version(&mut words)?),
            "COPY" => Request::Copy {
                path: path(&mut words)?,
                piece: words.number("piece number")?,
                version: version(&mut words)?,
                header: header(&mut words)?,
                seal: parse_hex32(words.next("seal")?)?,
            },
            "STATUS" => Request::Status,
            "REKEY" => Request::Rekey(KeyChange {
                retired: parse_hex16(words.next("key check")?)?,
                current: parse_hex16(words.next("key check")?)?,
            }),
            "PASSWD" => Request::Passwd {
                block: {
                    let block = base64_decode(words.next("counter block")?)?;
                    block.try_into().map_err(|_| ParseError("counter block"))?
                },
                verifier: base64_decode(words.next("verifier")?)?,
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

    /// Understands a line whose MAC was taken off.
    ///
    /// # Errors
    /// What was expected in its place.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(line);
        let end = match words.next("END or CANCEL")? {
            "END" => StageEnd::End {
                root: parse_hex32(words.next("root")?)?,
                seal: parse_hex32(words.next("seal")?)?,
                tag: words.optional("tag")?.map(parse_hex32).transpose()?,
            },
            "CANCEL" => StageEnd::Cancel,
            _ => return Err(ParseError("END or CANCEL")),
        };
        words.end()?;
        Ok(end)
    }
}

fn path(words: &mut Words<'_>) -> Result<FilePath, ParseError> {
    FilePath::parse(&percent_decode(words.next("path")?)?).map_err(|_| ParseError("path"))
}

fn folder(words: &mut Words<'_>) -> Result<FolderPath, ParseError> {
    match words.next("folder")? {
        "/" => Ok(FolderPath::root()),
        word => FolderPath::parse(&percent_decode(word)?).map_err(|_| ParseError("folder")),
    }
}

fn recursive(words: &mut Words<'_>) -> Result<bool, ParseError> {
    match words.next("here or below")? {
        "here" => Ok(false),
        "below" => Ok(true),
        _ => Err(ParseError("here or below")),
    }
}

fn version(words: &mut Words<'_>) -> Result<Version, ParseError> {
    words.next("version")?.parse().map_err(|_| ParseError("version"))
}

fn header(words: &mut Words<'_>) -> Result<Box<Header>, ParseError> {
    let bytes = base64_decode(words.next("header")?)?;
    let header = Header::decode(&bytes).map_err(|_| ParseError("header"))?;
    if header.encoded_len() != bytes.len() {
        return Err(ParseError("header"));
    }
    Ok(Box::new(header))
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
        let facts = Facts { version, size: 4, ..Facts::default() };
        let key = WrappedKey { check: [0; 16], block: [0; 16], bytes: [0; 32] };
        let header = Header::data(user, path.clone(), facts, 1, key);
        vec![
            Request::Look(path.clone()),
            Request::List { folder: FolderPath::root(), recursive: false },
            Request::List { folder: path.folder(), recursive: true },
            Request::Read { path: path.clone(), piece: 4, version, offset: 0, length: u64::MAX },
            Request::Stage { header: Box::new(header.clone()), length: 33, restore: None },
            Request::Stage { header: Box::new(header.clone()), length: 33, restore: Some(7) },
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
        for login in [Login::Login("n,,n=u,r=x".into()), Login::Prove("c=biws".into())] {
            assert_eq!(Login::parse(&login.to_line()), Ok(login));
        }
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
            "LOGIN 2 eA==",
        ] {
            assert!(Request::parse(line).is_err() && Login::parse(line).is_err(), "{line}");
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
