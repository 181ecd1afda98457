//! The header of a piece, and where the parts after it are.

use std::fmt;
use std::ops::Range;

use crate::name::{FilePath, MAX_PATH, MAX_USER, UserName};
use crate::placement::{self, PARITY_REPLICAS, Scheme, TOMBSTONE};
use crate::version::Version;

/// The first bytes of every piece: the name of the format and its version, 2.
pub const MAGIC: [u8; 8] = *b"ShareIt\x02";
/// Bytes of a header, not counting the user's name and the path.
pub const HEADER_FIXED: usize = 135;
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
/// Bytes of the nonce with which each chunk begins.
pub const NONCE: usize = 12;
/// Longest target of a symbolic link, in bytes: Linux allows no longer one.
pub const MAX_LINK: u64 = 4095;
/// The permission bits that are stored: those of owner, group and others. What makes a file run as somebody else is not
/// among them.
pub const MODE_BITS: u16 = 0o777;

/// What a piece is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A file.
    #[default]
    Data,
    /// A delete.
    Tombstone,
    /// A symbolic link: its target is stored like the bytes of a file.
    Link,
    /// A folder's entry: stored like a file without bytes.
    Folder,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Kind::Data, Kind::Tombstone, Kind::Link, Kind::Folder].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// When a file was last modified, according to its file system: seconds since 1970 UTC, and nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// A file, a link or a folder.
    pub kind: Kind,
    /// Its permission bits, at most [`MODE_BITS`].
    pub mode: u16,
    /// Which version.
    pub version: Version,
    /// Bytes of the whole file, or of a link's target.
    pub size: u64,
    /// When the file was last modified, according to the writer's file system.
    pub modified: ModifiedTime,
    /// By which scheme it is protected.
    pub scheme: Scheme,
    /// R: any R - 1 servers may be lost. With copies this is how many of each piece the writer asked for, with parity
    /// always [`PARITY_REPLICAS`].
    pub replicas: u8,
}

impl From<&Header> for Facts {
    fn from(header: &Header) -> Self {
        let &Header { kind, mode, version, file_size: size, modified, scheme, replicas, .. } = header;
        Self { kind, mode, version, size, modified, scheme, replicas }
    }
}

/// A piece's header; every field is covered by the seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What it is a piece of.
    pub kind: Kind,
    /// Permission bits, at most [`MODE_BITS`].
    pub mode: u16,
    /// By which scheme the file is protected; copies for a delete.
    pub scheme: Scheme,
    /// Number of the piece, from 1; [`TOMBSTONE`] for a delete.
    pub piece: u8,
    /// Chunk size as a power of two.
    pub chunk_log2: u8,
    /// As in [`Facts`].
    pub replicas: u8,
    /// The upload or delete to which it belongs.
    pub version: Version,
    /// Bytes of the whole file.
    pub file_size: u64,
    /// Bytes of the file that are in this piece; of an XOR, those in the longer of its sources.
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
    /// Replicas (of parity not [`PARITY_REPLICAS`]), permission bits or nanoseconds out of range, or generation 0.
    Number,
    /// A user's name or a path that breaks the grammar, or a path that is not of this kind.
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
    /// The header of a piece of a file, link or folder, with the smallest chunks that the size allows.
    pub fn data(user: UserName, path: FilePath, facts: Facts, piece: u8, key: WrappedKey) -> Self {
        let Facts { kind, mode, version, size, modified, scheme, replicas } = facts;
        Self {
            kind,
            mode,
            scheme,
            piece,
            chunk_log2: chunk_log2_for(size),
            replicas,
            version,
            file_size: size,
            piece_size: scheme.piece_size(size, piece),
            modified,
            key,
            user,
            path,
        }
    }

    /// The header of another piece of the same upload.
    #[must_use]
    pub fn of_piece(&self, piece: u8) -> Self {
        Self { piece, piece_size: self.scheme.piece_size(self.file_size, piece), ..self.clone() }
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
            mode: 0,
            scheme: Scheme::Copies,
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

    /// Bytes of the file in a full chunk.
    pub fn chunk_size(&self) -> u64 {
        1 << self.chunk_log2
    }

    /// Bytes of a full chunk in the body: its nonce comes before the others.
    pub fn stored_chunk_size(&self) -> u64 {
        self.chunk_size() + NONCE as u64
    }

    /// How many chunks the body has; the last one may be shorter.
    pub fn chunks(&self) -> u64 {
        self.piece_size.div_ceil(self.chunk_size())
    }

    /// The bytes of the piece's part of the file that are in a chunk; chunks are counted from 0.
    pub fn chunk_range(&self, chunk: u64) -> Range<u64> {
        let start = chunk * self.chunk_size();
        start..(start + self.chunk_size()).min(self.piece_size)
    }

    /// The bytes of the body that are a chunk.
    pub fn stored_chunk(&self, chunk: u64) -> Range<u64> {
        let start = chunk * self.stored_chunk_size();
        start..(start + self.stored_chunk_size()).min(self.body_size())
    }

    /// Bytes of the body.
    pub fn body_size(&self) -> u64 {
        self.piece_size + NONCE as u64 * self.chunks()
    }

    /// Bytes of body and table together.
    pub fn payload_size(&self) -> u64 {
        self.body_size() + 32 * self.chunks()
    }

    /// Length of the encoded header, in bytes.
    pub fn encoded_len(&self) -> usize {
        HEADER_FIXED + self.user.as_str().len() + self.path.as_str().len()
    }

    /// Where the parts are.
    pub fn layout(&self) -> Layout {
        let body = self.encoded_len() as u64;
        let table = body + self.body_size();
        let tail = table + 32 * self.chunks();
        Layout { body: body..table, table: table..tail, tail: tail..tail + TAIL }
    }

    /// The bytes of the header. Numbers are big-endian.
    pub fn encode(&self) -> Vec<u8> {
        let pieces = if self.kind == Kind::Tombstone { 0 } else { self.scheme.count() };
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend(MAGIC);
        out.extend([
            self.kind as u8,
            self.scheme.number(),
            self.piece,
            pieces,
            self.chunk_log2,
            self.replicas,
        ]);
        out.extend(self.version.generation.to_be_bytes());
        out.extend(self.version.upload);
        out.extend(self.file_size.to_be_bytes());
        out.extend(self.piece_size.to_be_bytes());
        out.extend(self.modified.seconds.to_be_bytes());
        out.extend(self.modified.nanos.to_be_bytes());
        out.extend(self.mode.to_be_bytes());
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
            kind: Kind::from_byte(kind).ok_or(FormatError::Kind)?,
            scheme: Scheme::from_number(scheme).ok_or(FormatError::Kind)?,
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
            mode: u16::from_be_bytes(fields.array()?),
            key: WrappedKey { check: fields.array()?, block: fields.array()?, bytes: fields.array()? },
            user: {
                let [length] = fields.array()?;
                UserName::parse(fields.text(usize::from(length))?).map_err(|_| FormatError::Name)?
            },
            path: {
                let length = u16::from_be_bytes(fields.array()?);
                FilePath::parse_any(fields.text(usize::from(length))?).map_err(|_| FormatError::Name)?
            },
        };
        header.check(pieces)?;
        Ok(header)
    }

    fn check(&self, pieces: u8) -> Result<(), FormatError> {
        let numbers_fit = match self.kind {
            Kind::Tombstone => pieces == 0 && self.piece == TOMBSTONE && self.scheme == Scheme::Copies,
            _ => pieces == self.scheme.count() && self.scheme.pieces().any(|piece| piece == self.piece),
        };
        if !numbers_fit {
            return Err(FormatError::Kind);
        }
        let sizes = match self.kind {
            Kind::Data => 0..=MAX_FILE_SIZE,
            Kind::Link => 1..=MAX_LINK,
            Kind::Tombstone | Kind::Folder => 0..=0,
        };
        let piece_size = self.scheme.piece_size(self.file_size, self.piece.max(1));
        if !sizes.contains(&self.file_size) || self.piece_size != piece_size {
            return Err(FormatError::Size);
        }
        if !(MIN_CHUNK_LOG2..=MAX_CHUNK_LOG2).contains(&self.chunk_log2) || self.chunks() > MAX_CHUNKS {
            return Err(FormatError::Chunks);
        }
        let is_in_range = self.replicas > 0
            && (self.scheme == Scheme::Copies || self.replicas == PARITY_REPLICAS)
            && self.modified.nanos < 1_000_000_000
            && self.mode <= MODE_BITS
            && self.version.generation > 0;
        if !is_in_range {
            return Err(FormatError::Number);
        }
        let is_of_folder = self.path.is_of_folder();
        if self.kind != Kind::Tombstone && is_of_folder != (self.kind == Kind::Folder) {
            return Err(FormatError::Name);
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
            mode: 0o640,
            scheme: Scheme::Copies,
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
    fn links_and_folders_have_headers_of_their_own() {
        let of = |kind, size, path: &str| {
            let facts = Facts { kind, mode: 0o777, size, ..Facts::from(&example()) };
            let path = FilePath::parse_any(path).unwrap();
            let header = Header::data(example().user, path, facts, 1, example().key);
            Header::decode(&header.encode()).map(|decoded| assert_eq!(decoded, header))
        };
        assert_eq!(of(Kind::Link, 1, "a"), Ok(()));
        assert_eq!(of(Kind::Link, MAX_LINK, "a"), Ok(()));
        assert_eq!(of(Kind::Link, 0, "a"), Err(FormatError::Size));
        assert_eq!(of(Kind::Link, MAX_LINK + 1, "a"), Err(FormatError::Size));
        assert_eq!(of(Kind::Link, 1, "a/"), Err(FormatError::Name));
        assert_eq!(of(Kind::Folder, 0, "a/"), Ok(()));
        assert_eq!(of(Kind::Folder, 0, "/"), Ok(()));
        assert_eq!(of(Kind::Folder, 1, "a/"), Err(FormatError::Size));
        assert_eq!(of(Kind::Folder, 0, "a"), Err(FormatError::Name));
    }

    #[test]
    fn a_file_with_parity_has_eight_pieces_and_an_xor_is_as_long_as_the_longer_source() {
        let facts = Facts { scheme: Scheme::Parity, replicas: 3, size: 300_002, ..Facts::from(&example()) };
        let of = |facts: &Facts, piece| {
            Header::data(example().user, example().path, facts.clone(), piece, example().key)
        };
        let sizes: Vec<u64> = (1..=8)
            .map(|piece| {
                let header = of(&facts, piece);
                assert_eq!(Header::decode(&header.encode()), Ok(header.clone()));
                assert_eq!(of(&facts, 1).of_piece(piece), header);
                header.piece_size
            })
            .collect();
        assert_eq!(sizes, [75_001, 75_001, 75_000, 75_000, 75_001, 75_000, 75_001, 75_001]);
        let decoded = |change: &dyn Fn(&mut Header)| {
            let mut header = of(&facts, 5);
            change(&mut header);
            Header::decode(&header.encode())
        };
        assert_eq!(decoded(&|h| h.piece = 9), Err(FormatError::Kind));
        assert_eq!(decoded(&|h| h.piece = 0), Err(FormatError::Kind));
        assert_eq!(decoded(&|h| h.scheme = Scheme::Copies), Err(FormatError::Kind));
        assert_eq!(decoded(&|h| h.piece = 6), Err(FormatError::Size));
        assert_eq!(decoded(&|h| h.replicas = 2), Err(FormatError::Number));
        let mut tombstone = Header::tombstone(example().user, example().path, facts.version, 3, [1; 16]);
        tombstone.scheme = Scheme::Parity;
        assert_eq!(Header::decode(&tombstone.encode()), Err(FormatError::Kind));
    }

    #[test]
    fn layout_and_chunks_cover_the_piece() {
        let header = example();
        let layout = header.layout();
        assert_eq!(header.chunks(), 2);
        assert_eq!(header.chunk_range(1), 65_536..75_000);
        assert_eq!((header.stored_chunk(0), header.stored_chunk(1)), (0..65_548, 65_548..75_024));
        assert_eq!(layout.body, 157..75_181);
        assert_eq!(layout.table, 75_181..75_245);
        assert_eq!(layout.tail, 75_245..75_309);
        assert_eq!(header.payload_size(), layout.table.end - layout.body.start);
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
        assert_eq!(with(&|h| h.mode = MODE_BITS + 1), Err(FormatError::Number));
        assert_eq!(with(&|h| h.kind = Kind::Link), Err(FormatError::Size));
        assert_eq!(with(&|h| h.kind = Kind::Folder), Err(FormatError::Size));
        assert_eq!(with(&|h| h.path = FilePath::of_folder(&h.path.folder())), Err(FormatError::Name));
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
