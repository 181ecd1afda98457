//! What is kept of a piece whose connection was lost while it arrived: header and the beginning of the body.
//!
//! Nobody can commit it. A client may begin another piece with it, or have it dropped. The seal over its header, which
//! no server can make, is in the name of its file, so that it is there from the first byte on. So is a part of the
//! header's hash: a file that got a new name, but not its new header, when the server died is no partial piece.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::disk::Disk;
use super::piece::{ReadError, read_header};
use crate::primitives::{Bytes32, sha256};
use crate::sealed::{Header, NONCE, Opening};
use crate::text::{hex, parse_hex};
use crate::wire::MIN_PARTIAL;

/// Bytes of a header's hash in the name of its file.
const SUM: usize = 8;

/// The name of a file for a piece that may be kept if it does not arrive completely. `opening` is the seal over its
/// header.
pub(super) fn file_name(number: u64, header: &Header, opening: &Bytes32) -> String {
    format!("{number}.{}.{}", hex(opening), sum(header))
}

fn sum(header: &Header) -> String {
    hex(&sha256(&header.encode())[..SUM])
}

/// The seal and the sum in a file's name, if it has them.
fn seal_and_sum(file: &Path) -> Option<(Bytes32, &str)> {
    let (_, rest) = file.file_name()?.to_str()?.split_once('.')?;
    let (seal, sum) = rest.split_once('.')?;
    Some((parse_hex(seal)?, sum))
}

/// Whole chunks in the first bytes of a body.
pub(super) fn whole_chunks(header: &Header, body: u64) -> u64 {
    if body >= header.body_size() { header.chunks() } else { body / header.stored_chunk_size() }
}

/// Whether so many chunks are worth keeping.
pub(super) fn is_worth_keeping(header: &Header, chunks: u64) -> bool {
    chunks > 0 && header.stored_chunk(chunks - 1).end >= MIN_PARTIAL
}

/// What a file has of a piece: the header, the seal over it, and how many whole chunks. They need not be sound.
pub(super) fn open<D: Disk>(disk: &D, path: &Path) -> Result<(D::File, Opening, u64), ReadError> {
    let (seal, named) = seal_and_sum(path).ok_or(ReadError::Format)?;
    let (file, header, chunks) = extent(disk, path)?;
    match is_worth_keeping(&header, chunks) && sum(&header) == named {
        true => Ok((file, Opening { header, seal }, chunks)),
        false => Err(ReadError::Format),
    }
}

/// A file with a piece, whole or partial; its header, and how many whole chunks come after that.
pub(super) fn extent<D: Disk>(disk: &D, path: &Path) -> Result<(D::File, Header, u64), ReadError> {
    let mut file = disk.open(path)?;
    let header = read_header(&mut file)?;
    let body = disk.len(&file)?.saturating_sub(header.encoded_len() as u64);
    let chunks = whole_chunks(&header, body);
    Ok((file, header, chunks))
}

/// Nonce and hash of the first `chunks` chunks of a body, one after another: 44 bytes for each.
pub(super) fn list_chunks<F: Read + Seek>(
    file: &mut F,
    header: &Header,
    chunks: u64,
) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(header.layout().body.start))?;
    let mut list = Vec::new();
    let mut buffer = Vec::new();
    for chunk in 0..chunks {
        let range = header.stored_chunk(chunk);
        buffer.resize(usize::try_from(range.end - range.start).unwrap_or(0), 0);
        file.read_exact(&mut buffer)?;
        list.extend(&buffer[..NONCE]);
        list.extend(sha256(&buffer));
    }
    Ok(list)
}

/// The same for all chunks of a whole piece, with the hashes of its table.
pub(super) fn list_table<F: Read + Seek>(file: &mut F, header: &Header) -> std::io::Result<Vec<u8>> {
    let layout = header.layout();
    let mut table = vec![0; usize::try_from(layout.table.end - layout.table.start).unwrap_or(0)];
    file.seek(SeekFrom::Start(layout.table.start))?;
    file.read_exact(&mut table)?;
    let mut list = Vec::new();
    for (chunk, hash) in (0..).zip(table.chunks_exact(32)) {
        let mut nonce = [0; NONCE];
        file.seek(SeekFrom::Start(layout.body.start + header.stored_chunk(chunk).start))?;
        file.read_exact(&mut nonce)?;
        list.extend(nonce);
        list.extend(hash);
    }
    Ok(list)
}
