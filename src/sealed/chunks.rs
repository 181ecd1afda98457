//! The body of a piece, chunk by chunk: encrypt then hash, and hash then decrypt.

use super::keys::FileKey;
use crate::primitives::{Bytes32, Hasher, Keystream, sha256};

/// Encrypts and decrypts the body of one piece.
///
/// The counter block consists of the piece's number, seven zero bytes, and a 64-bit block count from 0, so the pieces
/// of one upload share no counter value under their common key.
pub struct ChunkCipher(Keystream);

impl ChunkCipher {
    /// The cipher for one piece of the upload with this key.
    pub fn new(key: &FileKey, piece: u8) -> Self {
        let mut block = [0; 16];
        block[0] = piece;
        Self(Keystream::new(&key.0, &block))
    }

    /// Encrypts the next bytes of the body in place.
    pub fn encrypt(&mut self, data: &mut [u8]) {
        self.0.apply(data);
    }

    /// Decrypts, in place, the bytes of the body that begin at `offset`, if their hash is the one that the table has
    /// for them; otherwise leaves them unchanged and returns `false`.
    #[must_use]
    pub fn decrypt_verified(&mut self, data: &mut [u8], offset: u64, expected: &Bytes32) -> bool {
        if sha256(data) != *expected {
            return false;
        }
        self.0.seek(offset);
        self.0.apply(data);
        true
    }
}

/// Hashes a body into the root of its table, chunk by chunk, in constant memory.
pub struct ChunkHasher {
    chunk: Hasher,
    room_in_chunk: u64,
    chunk_size: u64,
    root: Hasher,
}

impl ChunkHasher {
    /// A hasher for chunks of `chunk_size` bytes.
    pub fn new(chunk_size: u64) -> Self {
        Self { chunk: Hasher::default(), room_in_chunk: chunk_size, chunk_size, root: Hasher::default() }
    }

    /// Takes the next bytes of the encrypted body; `table` gets the hash of each chunk that is completed.
    pub fn update(&mut self, mut data: &[u8], mut table: impl FnMut(&Bytes32)) {
        while !data.is_empty() {
            let take = usize::try_from(self.room_in_chunk).unwrap_or(usize::MAX).min(data.len());
            let (now, later) = data.split_at(take);
            self.chunk.update(now);
            self.room_in_chunk -= take as u64;
            if self.room_in_chunk == 0 {
                self.end_chunk(&mut table);
            }
            data = later;
        }
    }

    /// Ends the last chunk, if it is not full, and returns the root.
    pub fn finish(mut self, mut table: impl FnMut(&Bytes32)) -> Bytes32 {
        if self.room_in_chunk < self.chunk_size {
            self.end_chunk(&mut table);
        }
        self.root.finish()
    }

    fn end_chunk(&mut self, table: &mut impl FnMut(&Bytes32)) {
        let hash = std::mem::take(&mut self.chunk).finish();
        self.root.update(&hash);
        table(&hash);
        self.room_in_chunk = self.chunk_size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_of_one_upload_share_no_keystream() {
        let key = FileKey::new([1; 32]);
        let mut blocks: Vec<Vec<u8>> = Vec::new();
        for piece in 1..=4 {
            let mut zeros = [0; 64];
            ChunkCipher::new(&key, piece).encrypt(&mut zeros);
            blocks.extend(zeros.chunks(16).map(<[u8]>::to_vec));
        }
        blocks.sort_unstable();
        blocks.dedup();
        assert_eq!(blocks.len(), 16);
    }

    proptest! {
        #[test]
        fn chunks_decrypt_in_any_order_and_the_root_is_the_hash_of_the_table(
            body in prop::collection::vec(any::<u8>(), 0..200),
            cut in 1usize..50,
        ) {
            let key = FileKey::new([4; 32]);
            let mut sealed = body.clone();
            ChunkCipher::new(&key, 3).encrypt(&mut sealed);
            let mut table = Vec::new();
            let mut hasher = ChunkHasher::new(16);
            for part in sealed.chunks(cut) {
                hasher.update(part, |hash| table.push(*hash));
            }
            let root = hasher.finish(|hash| table.push(*hash));
            prop_assert_eq!(root, sha256(&table.concat()));
            prop_assert_eq!(table.len(), body.len().div_ceil(16));
            let mut cipher = ChunkCipher::new(&key, 3);
            for (index, hash) in table.iter().enumerate().rev() {
                let range = index * 16..(index * 16 + 16).min(body.len());
                let mut chunk = sealed[range.clone()].to_vec();
                prop_assert!(cipher.decrypt_verified(&mut chunk, range.start as u64, hash));
                prop_assert_eq!(&chunk, &body[range.clone()]);
                chunk[0] ^= 1;
                let before = chunk.clone();
                prop_assert!(!cipher.decrypt_verified(&mut chunk, range.start as u64, hash));
                prop_assert_eq!(chunk, before);
            }
        }
    }
}
