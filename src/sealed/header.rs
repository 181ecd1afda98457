//! The header of a piece, and where the parts after it are.

use std::fmt;
use std::ops::Range;

use crate::name::{FilePath, MAX_PATH, MAX_USER, UserName};
use crate::placement::{self, TOMBSTONE};
use crate::version::Version;

/// The first bytes of every piece: the name of the format and its version, 1.
pub const MAGIC: [u8; 8] = *b"ShareIt\x01";
/// Bytes of a header, not counting the user's name and the path.
pub const HEADER_FIXED: usize = 133;
/// Most bytes of a header.
pub const MAX_HEADER: usize = HEADER_FIXED + MAX_USER + MAX_PATH;
/// Bytes after the table: root and seal.
pub const TAIL: u64 = 64;
/// The smallest chunk is 2^16 bytes = 64 KiB: the table is then 1/2048 of the body.
pub const MIN_CHUNK_LOG2: u8 = 16;
/// The largest chunk is 2^22 bytes = 4 MiB: a reader must hold a whole chunk before it may decrypt it.
pub const MAX_CHUNK_LOG2: u8 = 22;
/// Most chunks of a piece: this makes a table of 2 MiB, which a client holds in memory.
pub const MAX_CHUNKS: u64 = 65_536;
/// Largest file, in bytes: 1 TiB, so that each piece has at most [`MAX_CHUNKS`] of the largest chunks.
pub const MAX_FILE_SIZE: u64 = 1 << 40;

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One quarter of a file.
    Data,
    /// A delete.
    Tombstone,
}

/// When a file was last modified, according to its file system: seconds since 1970 UTC, and nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModifiedTime {
    /// Seconds since 1970-01-01 00:00 UTC; negative before.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

/// A file key as a header has it: see [`MasterKey::wrap`](super::MasterKey::wrap).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrappedKey {
    /// Tells a wrong master key from damage; see [`MasterKey::check_value`](super::MasterKey::check_value).
    pub check: [u8; 16],
    /// First counter block under which the file key is wrapped; random.
    pub block: [u8; 16],
    /// The file key, encrypted.
    pub bytes: [u8; 32],
}

/// What all pieces of one version of a file have in common, and listings show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Which version.
    pub version: Version,
    /// Bytes of the whole file.
    pub size: u64,
    /// When the file was last modified, according to the writer's file system.
    pub modified: ModifiedTime,
    /// How many copies of each piece the writer asked for.
    pub replicas: u8,
}

impl From<&Header> for Facts {
    fn from(header: &Header) -> Self {
        let &Header { version, file_size: size, modified, replicas, .. } = header;
        Self { version, size, modified, replicas }
    }
}

/// A piece's header; every field is covered by the seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// One quarter of a file, or a delete.
    pub kind: Kind,
    /// Number of the piece, from 1; [`TOMBSTONE`] for a delete.
    pub piece: u8,
    /// Chunk size as a power of two.
    pub chunk_log2: u8,
    /// How many copies of each piece the writer asked for.
    pub replicas: u8,
    /// The upload or delete to which it belongs.
    pub version: Version,
    /// Bytes of the whole file.
    pub file_size: u64,
    /// Bytes of this piece's body.
    pub piece_size: u64,
    /// When the file was last modified, according to the writer's file system.
    pub modified: ModifiedTime,
    /// Under which key the body is encrypted.
    pub key: WrappedKey,
    /// Whose file it is.
    pub user: UserName,
    /// The file's path.
    pub path: FilePath,
}

/// Why bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatError {
    /// The bytes end before the header does.
    Cut,
    /// The first bytes are not [`MAGIC`].
    Magic,
    /// An unknown kind, scheme, piece number or count.
    Kind,
    /// A chunk size outside the limits, or too many chunks.
    Chunks,
    /// A size over the limit, or a piece size that does not match the file size.
    Size,
    /// Replicas or nanoseconds out of range, or generation 0.
    Number,
    /// A user's name or a path that breaks the grammar.
    Name,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FormatError::Cut => "the piece ends within its header",
            FormatError::Magic => "not a piece of this format",
            FormatError::Kind => "unknown kind, scheme or piece number",
            FormatError::Chunks => "chunk size outside the limits",
            FormatError::Size => "the sizes do not match",
            FormatError::Number => "number out of range",
            FormatError::Name => "invalid name in the header",
        })
    }
}

impl std::error::Error for FormatError {}

/// The smallest chunk size, as a power of two, with which no piece of a file of `file_size` bytes has more than
/// [`MAX_CHUNKS`].
pub fn chunk_log2_for(file_size: u64) -> u8 {
    let largest_piece = placement::range(file_size, 1).end;
    (MIN_CHUNK_LOG2..MAX_CHUNK_LOG2)
        .find(|log2| largest_piece.div_ceil(1 << log2) <= MAX_CHUNKS)
        .unwrap_or(MAX_CHUNK_LOG2)
}

/// Where the parts of a piece are in its file, in bytes from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The encrypted bytes.
    pub body: Range<u64>,
    /// One SHA-256 for each chunk of the body.
    pub table: Range<u64>,
    /// Root and seal; its end is the length of the piece.
    pub tail: Range<u64>,
}

impl Header {
    /// The header of a piece of a file, with the smallest chunks that the file's size allows.
    pub fn data(user: UserName, path: FilePath, facts: Facts, piece: u8, key: WrappedKey) -> Self {
        let Facts { version, size, modified, replicas } = facts;
        let range = placement::range(size, piece);
        Self {
            kind: Kind::Data,
            piece,
            chunk_log2: chunk_log2_for(size),
            replicas,
            version,
            file_size: size,
            piece_size: range.end - range.start,
            modified,
            key,
            user,
            path,
        }
    }

    /// The header of another piece of the same upload.
    #[must_use]
    pub fn of_piece(&self, piece: u8) -> Self {
        let range = placement::range(self.file_size, piece);
        Self { piece, piece_size: range.end - range.start, ..self.clone() }
    }

    /// The header of a delete, made under the key with this check. It wraps no key, because a delete has no bytes to
    /// encrypt.
    pub fn tombstone(
        user: UserName,
        path: FilePath,
        version: Version,
        replicas: u8,
        key_check: [u8; 16],
    ) -> Self {
        Self {
            kind: Kind::Tombstone,
            piece: TOMBSTONE,
            chunk_log2: MIN_CHUNK_LOG2,
            replicas,
            version,
            file_size: 0,
            piece_size: 0,
            modified: ModifiedTime::default(),
            key: WrappedKey { check: key_check, block: [0; 16], bytes: [0; 32] },
            user,
            path,
        }
    }

    /// Bytes of a full chunk.
    pub fn chunk_size(&self) -> u64 {
        1 << self.chunk_log2
    }

    /// How many chunks the body has; the last one may be shorter.
    pub fn chunks(&self) -> u64 {
        self.piece_size.div_ceil(self.chunk_size())
    }

    /// The bytes of the body that belong to a chunk; chunks are counted from 0.
    pub fn chunk_range(&self, chunk: u64) -> Range<u64> {
        let start = chunk * self.chunk_size();
        start..(start + self.chunk_size()).min(self.piece_size)
    }

    /// Length of the encoded header, in bytes.
    pub fn encoded_len(&self) -> usize {
        HEADER_FIXED + self.user.as_str().len() + self.path.as_str().len()
    }

    /// Where the parts are.
    pub fn layout(&self) -> Layout {
        let body = self.encoded_len() as u64;
        let table = body + self.piece_size;
        let tail = table + 32 * self.chunks();
        Layout { body: body..table, table: table..tail, tail: tail..tail + TAIL }
    }

    /// The bytes of the header. Numbers are big-endian.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, pieces) = match self.kind {
            Kind::Data => (0, placement::PIECES),
            Kind::Tombstone => (1, 0),
        };
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend(MAGIC);
        out.extend([kind, placement::SCHEME_COPIES, self.piece, pieces, self.chunk_log2, self.replicas]);
        out.extend(self.version.generation.to_be_bytes());
        out.extend(self.version.upload);
        out.extend(self.file_size.to_be_bytes());
        out.extend(self.piece_size.to_be_bytes());
        out.extend(self.modified.seconds.to_be_bytes());
        out.extend(self.modified.nanos.to_be_bytes());
        out.extend(self.key.check);
        out.extend(self.key.block);
        out.extend(self.key.bytes);
        out.push(self.user.as_str().len() as u8);
        out.extend(self.user.as_str().as_bytes());
        out.extend((self.path.as_str().len() as u16).to_be_bytes());
        out.extend(self.path.as_str().as_bytes());
        out
    }

    /// Reads the header at the beginning of `bytes`; its length is [`Header::encoded_len`].
    ///
    /// # Errors
    /// The first rule that the bytes break. The fields of a decoded header match each other.
    pub fn decode(bytes: &[u8]) -> Result<Header, FormatError> {
        let mut fields = Fields(bytes);
        if fields.array::<8>()? != MAGIC {
            return Err(FormatError::Magic);
        }
        let [kind, scheme, piece, pieces, chunk_log2, replicas] = fields.array()?;
        let header = Header {
            kind: match kind {
                0 => Kind::Data,
                1 => Kind::Tombstone,
                _ => return Err(FormatError::Kind),
            },
            piece,
            chunk_log2,
            replicas,
            version: Version { generation: u64::from_be_bytes(fields.array()?), upload: fields.array()? },
            file_size: u64::from_be_bytes(fields.array()?),
            piece_size: u64::from_be_bytes(fields.array()?),
            modified: ModifiedTime {
                seconds: i64::from_be_bytes(fields.array()?),
                nanos: u32::from_be_bytes(fields.array()?),
            },
            key: WrappedKey { check: fields.array()?, block: fields.array()?, bytes: fields.array()? },
            user: {
                let [length] = fields.array()?;
                UserName::parse(fields.text(usize::from(length))?).map_err(|_| FormatError::Name)?
            },
            path: {
                let length = u16::from_be_bytes(fields.array()?);
                FilePath::parse(fields.text(usize::from(length))?).map_err(|_| FormatError::Name)?
            },
        };
        header.check(scheme, pieces)?;
        Ok(header)
    }

    fn check(&self, scheme: u8, pieces: u8) -> Result<(), FormatError> {
        let numbers_fit = match self.kind {
            Kind::Data => pieces == placement::PIECES && (1..=pieces).contains(&self.piece),
            Kind::Tombstone => pieces == 0 && self.piece == TOMBSTONE,
        };
        if scheme != placement::SCHEME_COPIES || !numbers_fit {
            return Err(FormatError::Kind);
        }
        let piece_size = match self.kind {
            Kind::Data if self.file_size <= MAX_FILE_SIZE => {
                let range = placement::range(self.file_size, self.piece);
                range.end - range.start
            }
            Kind::Tombstone if self.file_size == 0 => 0,
            _ => return Err(FormatError::Size),
        };
        if self.piece_size != piece_size {
            return Err(FormatError::Size);
        }
        if !(MIN_CHUNK_LOG2..=MAX_CHUNK_LOG2).contains(&self.chunk_log2) || self.chunks() > MAX_CHUNKS {
            return Err(FormatError::Chunks);
        }
        if self.replicas == 0 || self.modified.nanos >= 1_000_000_000 || self.version.generation == 0 {
            return Err(FormatError::Number);
        }
        Ok(())
    }
}

/// Takes fields off the front of a slice.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FormatError> {
        let (field, rest) = self.0.split_at_checked(length).ok_or(FormatError::Cut)?;
        self.0 = rest;
        Ok(field)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        self.take(N)?.try_into().map_err(|_| FormatError::Cut)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, FormatError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| FormatError::Name)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn example() -> Header {
        Header {
            kind: Kind::Data,
            piece: 2,
            chunk_log2: 16,
            replicas: 2,
            version: Version { generation: 7, upload: *b"0123456789abcdef" },
            file_size: 300_001,
            piece_size: 75_000,
            modified: ModifiedTime { seconds: -1, nanos: 999_999_999 },
            key: WrappedKey { check: [1; 16], block: [2; 16], bytes: [3; 32] },
            user: UserName::parse("Aditi").unwrap(),
            path: FilePath::parse("holiday/earth.gif").unwrap(),
        }
    }

    #[test]
    fn a_header_comes_back_and_the_limits_are_what_they_say() {
        let header = example();
        let bytes = header.encode();
        assert_eq!(bytes.len(), header.encoded_len());
        assert_eq!(bytes.len(), HEADER_FIXED + 5 + 17);
        assert_eq!(Header::decode(&bytes), Ok(header.clone()));
        let mut with_more = bytes.clone();
        with_more.push(9);
        assert_eq!(Header::decode(&with_more), Ok(header));
        for length in 0..bytes.len() {
            assert_eq!(Header::decode(&bytes[..length]), Err(FormatError::Cut), "cut at {length}");
        }
    }

    #[test]
    fn layout_and_chunks_cover_the_piece() {
        let header = example();
        let layout = header.layout();
        assert_eq!(header.chunks(), 2);
        assert_eq!(header.chunk_range(1), 65_536..75_000);
        assert_eq!(layout.body, 155..75_155);
        assert_eq!(layout.table, 75_155..75_219);
        assert_eq!(layout.tail, 75_219..75_283);
    }

    #[test]
    fn chunk_sizes_grow_so_that_tables_stay_small() {
        assert_eq!(chunk_log2_for(0), 16);
        assert_eq!(chunk_log2_for(16 << 30), 16);
        assert_eq!(chunk_log2_for((16 << 30) + 1), 17);
        assert_eq!(chunk_log2_for(MAX_FILE_SIZE), 22);
    }

    #[test]
    fn fields_that_do_not_fit_are_refused_one_by_one() {
        let with = |change: &dyn Fn(&mut Header)| {
            let mut header = example();
            change(&mut header);
            Header::decode(&header.encode())
        };
        assert_eq!(with(&|h| h.piece = 0), Err(FormatError::Kind));
        assert_eq!(with(&|h| h.piece = 5), Err(FormatError::Kind));
        assert_eq!(with(&|h| h.kind = Kind::Tombstone), Err(FormatError::Kind));
        assert_eq!(with(&|h| h.chunk_log2 = 15), Err(FormatError::Chunks));
        assert_eq!(with(&|h| h.chunk_log2 = 23), Err(FormatError::Chunks));
        assert_eq!(with(&|h| h.file_size = 300_005), Err(FormatError::Size));
        assert_eq!(with(&|h| h.file_size = u64::MAX), Err(FormatError::Size));
        assert_eq!(with(&|h| h.replicas = 0), Err(FormatError::Number));
        assert_eq!(with(&|h| h.modified.nanos = 1_000_000_000), Err(FormatError::Number));
        assert_eq!(with(&|h| h.version.generation = 0), Err(FormatError::Number));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Header::decode(&bytes);
            let whole = example().encode();
            for (byte, good) in bytes.iter_mut().zip(whole).take(14) {
                *byte = good;
            }
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert_eq!(&header.encode()[..], &bytes[..header.encoded_len()]);
            }
        }
    }
}
