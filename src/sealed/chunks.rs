//! The body of a piece, chunk by chunk: encrypt then hash, and hash then decrypt.
//!
//! Each chunk begins with its nonce, so it can be decrypted alone, and the rest of a piece can be encrypted later under
//! new nonces: even if the file has changed by then, no byte of keystream serves two plaintexts.

use super::header::NONCE;
use super::keys::FileKey;
use crate::primitives::{Bytes32, Hasher, Keystream, sha256};

/// The nonce of a chunk, of which no other chunk of the same upload has the same.
pub type Nonce = [u8; NONCE];

/// The nonce of a chunk that is encrypted in a run. `run` are random bytes, drawn whenever the encryption of a piece is
/// begun or continued; chunks are counted from 0 within the piece.
pub fn nonce(run: [u8; 8], chunk: u64) -> Nonce {
    let mut nonce = [0; NONCE];
    let (random, number) = nonce.split_at_mut(8);
    random.copy_from_slice(&run);
    // No piece has as many chunks as four bytes can count.
    number.copy_from_slice(&chunk.to_be_bytes()[4..]);
    nonce
}

/// Adds bytes to `sum`, as XORs of pieces are made: the shorter of the two counts as if it had zeros at its end, and
/// `sum` keeps its length.
pub fn xor(sum: &mut [u8], bytes: &[u8]) {
    sum.iter_mut().zip(bytes).for_each(|(sum, byte)| *sum ^= byte);
}

/// Encrypts one chunk. The counter block consists of the nonce and a 32-bit block count from 0, as in RFC 3686 and GCM.
pub struct ChunkCipher(Keystream);

impl ChunkCipher {
    /// The cipher for the chunk with this nonce, of the upload with this key. It must not be used for other bytes.
    pub fn new(key: &FileKey, nonce: &Nonce) -> Self {
        let mut block = [0; 16];
        block[..NONCE].copy_from_slice(nonce);
        Self(Keystream::new(&key.0, &block))
    }

    /// Encrypts the next bytes of the chunk in place.
    pub fn encrypt(&mut self, data: &mut [u8]) {
        self.0.apply(data);
    }
}

/// A chunk, nonce included, that has the hash which the table has for it; or the XOR of such chunks.
pub struct VerifiedChunk<'a>(&'a mut [u8]);

impl<'a> VerifiedChunk<'a> {
    /// The chunk, if it has this hash. It is left as it is.
    pub fn new(chunk: &'a mut [u8], expected: &Bytes32) -> Option<Self> {
        (sha256(chunk) == *expected).then_some(Self(chunk))
    }

    /// Decrypts it in place; `None` if it is too short to have a nonce.
    #[must_use]
    pub fn decrypt(self, key: &FileKey) -> Option<&'a [u8]> {
        let (nonce, data) = self.0.split_first_chunk_mut()?;
        ChunkCipher::new(key, nonce).encrypt(data);
        Some(data)
    }

    /// Its bytes, which are encrypted.
    pub fn bytes(&self) -> &[u8] {
        self.0
    }
}

/// The XOR of verified chunks, to which they are added one by one.
#[derive(Default)]
pub struct ChunkSum {
    bytes: Vec<u8>,
    length: usize,
}

impl ChunkSum {
    /// One of so many bytes, to which nothing has been added. It takes no memory until something is.
    pub fn new(length: usize) -> Self {
        Self { bytes: Vec::new(), length }
    }

    /// Makes it one of so many bytes, to which nothing has been added, in the same memory.
    pub fn restart(&mut self, length: usize) {
        self.bytes.clear();
        self.length = length;
    }

    /// Adds a chunk: what is shorter counts as if it had zeros at its end, and what is longer is cut off.
    pub fn add(&mut self, chunk: &VerifiedChunk<'_>) {
        if self.bytes.is_empty() {
            self.bytes.reserve_exact(self.length);
            self.bytes.extend_from_slice(&chunk.0[..self.length.min(chunk.0.len())]);
            self.bytes.resize(self.length, 0);
        } else {
            xor(&mut self.bytes, chunk.0);
        }
    }

    /// The sum: as good as what was added.
    pub fn sum(&mut self) -> VerifiedChunk<'_> {
        self.bytes.resize(self.length, 0);
        VerifiedChunk(&mut self.bytes)
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
    /// A hasher for chunks of `chunk_size` bytes, nonce included.
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
    fn chunks_share_no_keystream() {
        let key = FileKey::new([1; 32]);
        let mut blocks: Vec<Vec<u8>> = Vec::new();
        for nonce in
            [([1; 8], 0), ([1; 8], 1), ([1; 8], 65_535), ([2; 8], 0)].map(|(run, chunk)| nonce(run, chunk))
        {
            let mut zeros = [0; 64];
            ChunkCipher::new(&key, &nonce).encrypt(&mut zeros);
            blocks.extend(zeros.chunks(16).map(<[u8]>::to_vec));
        }
        blocks.sort_unstable();
        blocks.dedup();
        assert_eq!(blocks.len(), 16);
    }

    proptest! {
        #[test]
        fn chunks_decrypt_in_any_order_and_the_root_is_the_hash_of_the_table(
            plain in prop::collection::vec(any::<u8>(), 0..200),
            cut in 1usize..50,
        ) {
            let key = FileKey::new([4; 32]);
            let mut body = Vec::new();
            for (chunk, plain) in plain.chunks(16).enumerate() {
                let (nonce, start) = (nonce([5; 8], chunk as u64), body.len() + NONCE);
                body.extend(nonce);
                body.extend(plain);
                ChunkCipher::new(&key, &nonce).encrypt(&mut body[start..]);
            }
            let mut table = Vec::new();
            let mut hasher = ChunkHasher::new(16 + NONCE as u64);
            for part in body.chunks(cut) {
                hasher.update(part, |hash| table.push(*hash));
            }
            let root = hasher.finish(|hash| table.push(*hash));
            prop_assert_eq!(root, sha256(&table.concat()));
            prop_assert_eq!(table.len(), plain.len().div_ceil(16));
            let chunks = body.chunks(16 + NONCE).zip(plain.chunks(16)).zip(&table);
            for ((sealed, plain), hash) in chunks.rev() {
                let mut chunk = sealed.to_vec();
                let verified = VerifiedChunk::new(&mut chunk, hash);
                prop_assert_eq!(verified.and_then(|verified| verified.decrypt(&key)), Some(plain));
                let mut altered = sealed.to_vec();
                altered[0] ^= 1;
                let before = altered.clone();
                prop_assert!(VerifiedChunk::new(&mut altered, hash).is_none());
                prop_assert_eq!(altered, before);
            }
        }
    }
}
