//! What is decided about a file before its bytes are sent, and what is known of those that were.

use super::local::OpenSource;
use crate::client::core::chunks::Known;
use crate::placement::{PieceSet, parity};
use crate::primitives::Bytes32;
use crate::sealed::{FileKey, Header, Nonce, nonce, xor};
use crate::version::Version;

/// The first chunks of a piece that a server has, of an unfinished version.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) server: usize,
    pub(super) piece: u8,
    pub(super) version: Version,
    pub(super) chunks: u64,
}

impl Kept {
    /// Whether it is of this piece on this server.
    pub(super) fn is(&self, server: usize, piece: u8) -> bool {
        (self.server, self.piece) == (server, piece)
    }
}

/// What is decided about a file before its bytes are sent.
pub(super) struct Plan {
    pub(super) source: OpenSource,
    pub(super) key: FileKey,
    /// By piece of the file, from 1: what its nonces begin with.
    pub(super) runs: Vec<[u8; 8]>,
    /// The header of every piece, except for number and piece size.
    pub(super) header: Header,
    /// By server: whether it may hold pieces.
    pub(super) usable: Vec<bool>,
    /// By piece, from 1: the servers that should hold it.
    pub(super) holders: Vec<Vec<usize>>,
    /// By piece of the file, from 1: its first chunks, as an upload that was cut off had encrypted them.
    pub(super) known: Vec<Vec<Known>>,
    /// What servers have of these, or of this version: at most one for each piece on a server.
    pub(super) kept: Vec<Kept>,
}

impl Plan {
    /// Notes what a server has of a piece, in place of what was known.
    pub(super) fn keep(&mut self, new: Kept) {
        self.kept.retain(|kept| !kept.is(new.server, new.piece));
        self.kept.push(new);
    }

    /// A server does not have what it said that it had. Returns whether it said so.
    pub(super) fn forget_kept(&mut self, server: usize, piece: u8) -> bool {
        let before = self.kept.len();
        self.kept.retain(|kept| !kept.is(server, piece));
        self.kept.len() < before
    }

    /// What each of these servers should hold.
    pub(super) fn held_by(&self, servers: &[usize]) -> Vec<PieceSet> {
        let of = |server| {
            let holders = self.header.scheme.pieces().zip(&self.holders);
            holders.filter(|(_, holders)| holders.contains(server)).map(|(piece, _)| piece).collect()
        };
        servers.iter().map(of).collect()
    }

    /// What a chunk of a piece begins with: of an XOR it is that of its sources' nonces.
    pub(super) fn nonce(&self, piece: u8, chunk: u64) -> Nonce {
        if let Some(sources) = parity::sources(piece) {
            let has_chunk = |source: &u8| chunk < self.header.of_piece(*source).chunks();
            let nonces = sources.into_iter().filter(has_chunk).map(|source| self.nonce(source, chunk));
            return nonces.fold(Nonce::default(), |mut sum, nonce| {
                xor(&mut sum, &nonce);
                sum
            });
        }
        let piece = usize::from(piece) - 1;
        let known = usize::try_from(chunk).ok().and_then(|chunk| self.known[piece].get(chunk));
        known.map_or_else(|| nonce(self.runs[piece], chunk), |known| known.nonce)
    }

    /// The hashes of the chunks that are known.
    pub(super) fn known_hashes(&self, piece: u8) -> Vec<u8> {
        self.known.get(usize::from(piece) - 1).into_iter().flatten().flat_map(|known| known.hash).collect()
    }

    /// All chunks of a piece.
    pub(super) fn known_of(&self, sent: &Encrypted) -> Vec<Known> {
        let hashes = (0..).zip(sent.table.as_chunks().0);
        hashes.map(|(chunk, hash)| Known { nonce: self.nonce(sent.piece, chunk), hash: *hash }).collect()
    }
}

/// What is known of a piece when it has been encrypted.
#[derive(Clone)]
pub(super) struct Encrypted {
    pub(super) piece: u8,
    /// The hash of each chunk.
    pub(super) table: Vec<u8>,
    pub(super) root: Bytes32,
}
