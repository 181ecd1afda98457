//! Reading a piece's range of a local file, and encrypting it chunk by chunk.

use super::local::OpenSource;
use crate::client::core::error::LocalError;
use crate::placement;
use crate::sealed::{ChunkCipher, FileKey, Header, MIN_CHUNK_LOG2, NONCE, Nonce};

/// Bytes that are read, encrypted, hashed and sent at a time: they stay in the processor's cache.
const STEP: u64 = 256 * 1024;

/// A piece that is read and encrypted. `N` gives the nonce of a chunk.
pub(super) struct Encryption<'a, N> {
    source: &'a OpenSource,
    key: &'a FileKey,
    header: &'a Header,
    nonce: N,
    /// Where the piece begins in the file.
    start: u64,
    /// Bytes of the piece's range that were encrypted, or left out.
    done: u64,
    /// Bytes of the file in a step.
    at_once: u64,
    cipher: ChunkCipher,
}

impl<'a, N: Fn(u64) -> Nonce> Encryption<'a, N> {
    /// Begins with a chunk; chunks are counted from 0 within the piece.
    pub(super) fn new(
        source: &'a OpenSource,
        key: &'a FileKey,
        header: &'a Header,
        chunk: u64,
        nonce: N,
    ) -> Self {
        let start = placement::range(header.file_size, header.piece).start;
        let done = (chunk * header.chunk_size()).min(header.piece_size);
        let cipher = ChunkCipher::new(key, &nonce(chunk));
        Self { source, key, header, nonce, start, done, at_once: STEP, cipher }
    }

    /// From now on each step has whole chunks.
    pub(super) fn in_whole_chunks(&mut self) {
        self.at_once = self.at_once.max(self.header.chunk_size());
    }

    /// From now on each step is one chunk.
    pub(super) fn by_chunk(&mut self) {
        self.at_once = self.header.chunk_size();
    }

    /// The next bytes of the body, none at its end; and how many bytes of the file they are.
    pub(super) fn step<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<(&'b [u8], u64), LocalError> {
        let chunk_size = self.header.chunk_size();
        // Even with the smallest chunks.
        buffer.resize(self.at_once as usize + NONCE * (self.at_once >> MIN_CHUNK_LOG2) as usize, 0);
        let (before, mut filled) = (self.done, 0);
        let end = self.header.piece_size.min(before + self.at_once);
        while self.done < end {
            let (chunk, within) = (self.done / chunk_size, self.done % chunk_size);
            if within == 0 {
                let nonce = (self.nonce)(chunk);
                self.cipher = ChunkCipher::new(self.key, &nonce);
                buffer[filled..filled + NONCE].copy_from_slice(&nonce);
                filled += NONCE;
            }
            let part = (chunk_size - within).min(end - self.done);
            let bytes = &mut buffer[filled..filled + part as usize];
            self.source.read(bytes, self.start + self.done)?;
            self.cipher.encrypt(bytes);
            filled += bytes.len();
            self.done += part;
        }
        Ok((&buffer[..filled], self.done - before))
    }
}
