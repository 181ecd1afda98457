//! One piece on its way: which chunks of it are wanted and still missing, and who was asked for them.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::primitives::{Bytes32, sha256};
use crate::sealed::{Claim, FileKey};

/// Bytes of a piece that are requested before as many of the next, if chunks of both are combined: then there is little
/// of which only one has arrived.
const SIDE_BY_SIDE: u64 = 1 << 20;

/// One piece of a download, as far as it has arrived; or a copy of one that is read for verification.
pub(crate) struct Piece {
    /// The number of its file among those that are fetched, or of the copy.
    pub(crate) file: usize,
    pub(crate) claim: Claim,
    pub(super) purpose: Purpose,
    pub(super) table: Option<Vec<Bytes32>>,
    /// Chunks that are wanted and still missing.
    pub(super) missing: BTreeSet<u64>,
    /// Servers that were asked, each with what was wrong, if anything.
    pub(crate) tried: Vec<(usize, Option<Fault>)>,
}

/// What becomes of the chunks of a piece when they are verified.
pub(super) enum Purpose {
    /// They are decrypted and written.
    Write(FileKey),
    /// They are combined with those of other pieces.
    Combine,
    /// They are dropped.
    Verify,
}

/// Why a server did not provide everything that it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It sent bytes that are not what the client wrote.
    Damaged,
    /// It has another version by now.
    Replaced,
    /// It refused.
    Refused(String),
    /// The connection was lost.
    Lost(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Damaged => f.write_str("sent damaged bytes"),
            Fault::Replaced => f.write_str("has another version"),
            Fault::Refused(why) => write!(f, "refused: {why}"),
            Fault::Lost(why) => f.write_str(why),
        }
    }
}

impl Piece {
    pub(crate) fn new(claim: Claim, key: FileKey) -> Self {
        let missing = (0..claim.header.chunks()).collect();
        Self { file: 0, claim, purpose: Purpose::Write(key), table: None, missing, tried: Vec::new() }
    }

    /// A copy of which these chunks, and the table, are read to be verified.
    pub(crate) fn to_verify(copy: usize, claim: Claim, chunks: BTreeSet<u64>) -> Self {
        Self { file: copy, claim, purpose: Purpose::Verify, table: None, missing: chunks, tried: Vec::new() }
    }

    /// One of which chunks are fetched for making others.
    pub(super) fn to_combine(claim: Claim) -> Self {
        Self { purpose: Purpose::Combine, ..Self::to_verify(0, claim, BTreeSet::new()) }
    }

    /// That of a piece that is decrypted.
    pub(super) fn key(&self) -> Option<&FileKey> {
        if let Purpose::Write(key) = &self.purpose { Some(key) } else { None }
    }

    /// Whether others are made of it.
    pub(super) fn is_combined(&self) -> bool {
        matches!(self.purpose, Purpose::Combine)
    }

    /// If the connection was lost on which it was asked for last, the server can be asked again.
    pub(super) fn forget_loss(&mut self) {
        if matches!(self.tried.last(), Some((_, Some(Fault::Lost(_))))) {
            self.tried.pop();
        }
    }

    /// The chunks that are wanted and missing.
    pub(super) fn missing(&self) -> &BTreeSet<u64> {
        &self.missing
    }

    /// Notes that a chunk was made of others.
    pub(super) fn was_made(&mut self, chunk: u64) {
        self.missing.remove(&chunk);
    }

    /// Takes its verified table, and notes which chunks need not be fetched because the file has them already.
    pub(super) fn resume(&mut self, table: Vec<Bytes32>, there: &[u64]) {
        self.table = Some(table);
        for chunk in there {
            self.missing.remove(chunk);
        }
    }

    /// Wants these chunks and no others.
    pub(super) fn want(&mut self, chunks: impl IntoIterator<Item = u64>) {
        self.missing = chunks.into_iter().collect();
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }

    /// Bytes of the chunks that are still missing.
    pub(crate) fn bytes_missing(&self) -> u64 {
        let of_chunk = |chunk| self.claim.header.chunk_range(chunk);
        self.missing.iter().map(|&chunk| of_chunk(chunk).end - of_chunk(chunk).start).sum()
    }

    pub(crate) fn was_tried(&self, server: usize) -> bool {
        self.tried.iter().any(|(s, _)| *s == server)
    }

    /// Notes what was wrong with the server that was asked last. The first fault counts.
    pub(super) fn note(&mut self, fault: Fault) {
        if let Some((_, noted)) = self.tried.last_mut() {
            noted.get_or_insert(fault);
        }
    }

    /// Whether the server that was asked last is one of these, and did not provide all of it because its connection
    /// ended: then it can be asked again.
    pub(crate) fn was_lost_by(&self, servers: &[usize]) -> bool {
        let is_lost = |(server, fault): &(usize, Option<Fault>)| {
            servers.contains(server) && matches!(fault, Some(Fault::Lost(_)))
        };
        !self.is_whole() && self.tried.last().is_some_and(is_lost)
    }

    /// The hash that a chunk must have. A single chunk needs no table: its hash is the whole table.
    pub(super) fn expected_hash(&self, chunk: u64, bytes: &[u8]) -> Option<Bytes32> {
        if self.claim.header.chunks() == 1 {
            let hash = sha256(bytes);
            return (sha256(&hash) == self.claim.root).then_some(hash);
        }
        self.table.as_ref()?.get(usize::try_from(chunk).ok()?).copied()
    }

    /// What to request next, as ranges of the piece file: first the table, if more than one chunk needs it or it must
    /// be verified, then runs of missing chunks.
    pub(super) fn reads(&self) -> Vec<Read> {
        let header = &self.claim.header;
        let layout = header.layout();
        let mut reads = Vec::new();
        if self.table.is_none() && (header.chunks() > 1 || matches!(self.purpose, Purpose::Verify)) {
            reads.push(Read {
                what: What::Table,
                offset: layout.table.start,
                length: layout.table.end - layout.table.start,
            });
        }
        let together = match self.purpose {
            Purpose::Combine => (SIDE_BY_SIDE / header.chunk_size()).max(1),
            Purpose::Write(_) | Purpose::Verify => u64::MAX,
        };
        for run in runs(self.missing.iter().copied(), together) {
            let (first, last) = run.into_inner();
            let (start, end) = (header.stored_chunk(first).start, header.stored_chunk(last).end);
            reads.push(Read {
                what: What::Chunks(first, last),
                offset: layout.body.start + start,
                length: end - start,
            });
        }
        reads
    }
}

/// What of a piece is read.
#[derive(Clone, Copy)]
pub(super) enum What {
    Table,
    /// From this one to that one.
    Chunks(u64, u64),
}

impl What {
    /// Its first chunk.
    pub(super) fn first(self) -> Option<u64> {
        if let What::Chunks(first, _) = self { Some(first) } else { None }
    }
}

/// A range of a piece's file.
pub(super) struct Read {
    pub(super) what: What,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Ascending numbers as runs without gaps, none of which has two multiples of `most` in it.
fn runs(numbers: impl IntoIterator<Item = u64>, most: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
    let mut numbers = numbers.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = numbers.next()?;
        let mut last = first;
        while let Some(next) = numbers.next_if(|next| *next == last + 1 && !next.is_multiple_of(most)) {
            last = next;
        }
        Some(first..=last)
    })
}
