//! Reading piece files: what one claims to be, and whether its bytes keep the claim.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::disk::Disk;
use crate::primitives::Bytes32;
use crate::sealed::{ChunkHasher, Claim, Header, MAX_HEADER, TAIL};

/// Bytes that are read or written at a time.
pub(super) const BUFFER: usize = 256 * 1024;

/// Why a piece file could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// It is not there.
    Missing,
    /// It is not a whole piece.
    Format,
    /// The disk failed.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { ReadError::Missing } else { ReadError::Io(error) }
    }
}

/// Opens a piece file and reads its header; the file must be as long as that says.
pub(super) fn open<D: Disk>(disk: &D, path: &Path) -> Result<(D::File, Header), ReadError> {
    let mut file = disk.open(path)?;
    let mut start = Vec::with_capacity(MAX_HEADER);
    (&mut file).take(MAX_HEADER as u64).read_to_end(&mut start)?;
    let header = Header::decode(&start).map_err(|_| ReadError::Format)?;
    if disk.len(&file)? != header.layout().tail.end {
        return Err(ReadError::Format);
    }
    Ok((file, header))
}

/// Reads a piece file's claim: header, root and seal.
pub(super) fn claim<D: Disk>(disk: &D, path: &Path) -> Result<Claim, ReadError> {
    let (mut file, header) = open(disk, path)?;
    let (root, seal) = tail(&mut file, &header)?;
    Ok(Claim { header, root, seal })
}

/// Reads root and seal of an open piece file.
pub(super) fn tail(file: &mut (impl Read + Seek), header: &Header) -> io::Result<(Bytes32, Bytes32)> {
    file.seek(SeekFrom::Start(header.layout().tail.start))?;
    read_tail(file)
}

fn read_tail(file: &mut impl Read) -> io::Result<(Bytes32, Bytes32)> {
    let (mut root, mut seal) = ([0; 32], [0; 32]);
    const _: () = assert!(TAIL == 64);
    file.read_exact(&mut root)?;
    file.read_exact(&mut seal)?;
    Ok((root, seal))
}

/// Hashes a whole piece and says whether every chunk, the table and the root fit. `alive` is called
/// after each buffer.
pub(super) fn is_sound<D: Disk>(disk: &D, path: &Path, mut alive: impl FnMut()) -> Result<bool, ReadError> {
    let (mut file, header) = open(disk, path)?;
    file.seek(SeekFrom::Start(header.layout().body.start))?;
    let mut hasher = ChunkHasher::new(header.chunk_size());
    let mut hashes = Vec::with_capacity(usize::try_from(header.chunks()).unwrap_or(0));
    let mut buffer = vec![0; BUFFER];
    let mut left = header.piece_size;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
        file.read_exact(&mut buffer[..part])?;
        hasher.update(&buffer[..part], |hash| hashes.push(*hash));
        left -= part as u64;
        alive();
    }
    let root = hasher.finish(|hash| hashes.push(*hash));
    let mut stored = [0; 32];
    for hash in &hashes {
        file.read_exact(&mut stored)?;
        if stored != *hash {
            return Ok(false);
        }
    }
    Ok(read_tail(&mut file)?.0 == root)
}
