//! Reading piece files: what a file claims to be, and whether its bytes match the claim.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::disk::{Disk, is_not_a_file};
use super::error::StoreError;
use crate::primitives::{Bytes32, Hasher};
use crate::sealed::{ChunkHasher, Claim, Header, MAX_HEADER};

/// Bytes that a server adds after a piece: SHA-256 of header, root and seal. It cannot check the seal, and must not
/// trust a damaged header, least of all the version in it.
pub(super) const SUM: u64 = 32;

/// What comes after a piece in its file.
pub(super) fn own_sum(header: &[u8], root: &Bytes32, seal: &Bytes32) -> Bytes32 {
    let mut hasher = Hasher::default();
    [header, root, seal].iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

/// Bytes that are read or written at a time.
pub(super) const BUFFER: usize = 256 * 1024;

/// Why a piece file could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// It does not exist.
    Missing,
    /// It is not a whole piece.
    Format,
    /// The disk failed.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => ReadError::Missing,
            _ if is_not_a_file(&error) => ReadError::Format,
            _ => ReadError::Io(error),
        }
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Missing => StoreError::NotFound,
            ReadError::Format => StoreError::Damaged,
            ReadError::Io(error) => error.into(),
        }
    }
}

impl ReadError {
    /// Whether only this one file cannot be read. Reports then call it damaged and continue. Code that decides about
    /// other pieces must not, because the next attempt may succeed.
    pub(super) fn is_of_the_file(&self) -> bool {
        /// Numbers of Linux errors for which std has no kind: a failed read, and too many links.
        const EIO: i32 = 5;
        const ELOOP: i32 = 40;
        match self {
            ReadError::Missing => false,
            ReadError::Format => true,
            ReadError::Io(error) => matches!(error.raw_os_error(), Some(EIO | ELOOP)),
        }
    }
}

/// Reads the header at the beginning of a file.
pub(super) fn read_header(file: &mut impl Read) -> Result<Header, ReadError> {
    let mut start = Vec::with_capacity(MAX_HEADER);
    file.take(MAX_HEADER as u64).read_to_end(&mut start)?;
    Header::decode(&start).map_err(|_| ReadError::Format)
}

/// Opens a piece file and reads its claim. The file's length must match its header, and its sum must be right.
pub(super) fn open<D: Disk>(disk: &D, path: &Path) -> Result<(D::File, Claim), ReadError> {
    let mut file = disk.open(path)?;
    let header = read_header(&mut file)?;
    let tail = header.layout().tail;
    if disk.len(&file)? != tail.end + SUM {
        return Err(ReadError::Format);
    }
    file.seek(SeekFrom::Start(tail.start))?;
    let mut bytes = [[0; 32]; 3];
    file.read_exact(bytes.as_flattened_mut())?;
    let [root, seal, stored] = bytes;
    if own_sum(&header.encode(), &root, &seal) != stored {
        return Err(ReadError::Format);
    }
    Ok((file, Claim { header, root, seal }))
}

/// The claim of a piece file: header, root and seal.
pub(super) fn claim<D: Disk>(disk: &D, path: &Path) -> Result<Claim, ReadError> {
    open(disk, path).map(|(_, claim)| claim)
}

/// Hashes a whole piece, and returns its claim if chunks, table and root match.
pub(super) fn sound_claim<D: Disk>(disk: &D, path: &Path) -> Result<Option<Claim>, ReadError> {
    let (mut file, claim) = open(disk, path)?;
    let header = &claim.header;
    file.seek(SeekFrom::Start(header.layout().body.start))?;
    let mut hasher = ChunkHasher::new(header.stored_chunk_size());
    let mut hashes = Vec::with_capacity(usize::try_from(header.chunks()).unwrap_or(0));
    let mut left = header.body_size();
    let mut buffer = vec![0; usize::try_from(left).unwrap_or(BUFFER).min(BUFFER)];
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
        file.read_exact(&mut buffer[..part])?;
        hasher.update(&buffer[..part], |hash| hashes.push(*hash));
        left -= part as u64;
    }
    let root = hasher.finish(|hash| hashes.push(*hash));
    let mut stored = [0; 32];
    for hash in &hashes {
        file.read_exact(&mut stored)?;
        if stored != *hash {
            return Ok(None);
        }
    }
    Ok((claim.root == root).then_some(claim))
}
