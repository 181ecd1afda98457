//! The piece format: what a piece file contains, and how it is encrypted and sealed (`docs/FORMAT.md`).
//!
//! ```text
//! header | body (AES-256-CTR) | table (SHA-256 of each chunk of the body) | root | seal
//! ```
//!
//! It uses envelope encryption and encrypt-then-MAC. The header contains the wrapped file key, which is new for each
//! upload; the root is the hash of the table; the seal is an HMAC over header and root, under a key that only the
//! client has. A server can check every byte against table and root, and can forge nothing.

mod chunks;
mod header;
mod keys;

pub use chunks::{ChunkCipher, ChunkHasher, ChunkSum, Nonce, VerifiedChunk, nonce, xor};
pub use header::{
    Facts, FormatError, HEADER_FIXED, Header, Kind, Layout, MAGIC, MAX_CHUNK_LOG2, MAX_CHUNKS, MAX_FILE_SIZE,
    MAX_HEADER, MAX_LINK, MIN_CHUNK_LOG2, MODE_BITS, ModifiedTime, NONCE, TAIL, WrappedKey, chunk_log2_for,
};
pub use keys::{Claim, Distrust, FileKey, MASTER_ITERATIONS, MASTER_SALT, MasterKey, Opening, VerifiedClaim};
