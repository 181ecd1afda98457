//! Chunks that are made of others, each as soon as the last one that it is made of has arrived.
//!
//! A chunk is added to the sums that it is part of while it is still in the processor's cache, and a sum is kept no longer
//! than until it is complete. So rebuilding costs little more than reading, and no phase of its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fetch::Output;
use crate::client::core::error::LocalError;
use crate::placement::PieceSet;
use crate::placement::parity::Recipe;
use crate::sealed::{ChunkSum, Header, VerifiedChunk};

/// What becomes of a wanted chunk: of the piece with this number, the chunk with this one. Returns how many bytes of the
/// file are done with it.
pub(super) type Take<'a> = Box<dyn Fn(u8, u64, VerifiedChunk<'_>) -> Result<u64, LocalError> + Sync + 'a>;

/// The wanted chunks of a window.
pub(super) struct Sums<'a> {
    /// Of any piece.
    header: Header,
    /// By the number of the chunk, which is the same in all pieces.
    rows: BTreeMap<u64, Mutex<Row>>,
    take: Take<'a>,
    /// Memory of sums that were taken, for others: to ask the system for it each time costs more than the XORs.
    spare: Mutex<Vec<ChunkSum>>,
}

/// The chunks with one number.
#[derive(Default)]
struct Row {
    /// Those that are still to come.
    wanted: PieceSet,
    made: PieceSet,
    sums: Vec<Sum>,
}

struct Sum {
    piece: u8,
    /// What is still to be added.
    missing: PieceSet,
    length: usize,
    /// As soon as something was added.
    bytes: Option<ChunkSum>,
}

impl<'a> Sums<'a> {
    /// Of pieces with this header, but for their number.
    pub(super) fn new(header: Header, take: Take<'a>) -> Self {
        Self { header, rows: BTreeMap::new(), take, spare: Mutex::default() }
    }

    /// Begins a window: these chunks are wanted, of these pieces.
    pub(super) fn begin(&mut self, window: impl IntoIterator<Item = (u64, PieceSet)>) {
        let row = |(chunk, wanted)| (chunk, Mutex::new(Row { wanted, ..Row::default() }));
        self.rows = window.into_iter().map(row).collect();
    }

    /// Ends it. Returns the chunks that are done, and of which pieces.
    pub(super) fn end(&mut self) -> Vec<(u64, PieceSet)> {
        let rows = std::mem::take(&mut self.rows).into_iter();
        rows.map(|(chunk, row)| (chunk, row.into_inner().unwrap_or_else(PoisonError::into_inner).made))
            .collect()
    }

    /// The chunks that are still to come, and of which pieces.
    pub(super) fn wanted(&self) -> Vec<(u64, PieceSet)> {
        let rows = self.rows.iter().map(|(chunk, row)| (*chunk, lock(row).wanted));
        rows.filter(|(_, wanted)| !wanted.is_empty()).collect()
    }

    /// From now on the wanted chunks with this number are made like this, and others are given up. Nothing has been
    /// added.
    pub(super) fn follow(&self, chunk: u64, recipe: &Recipe) {
        let Some(row) = self.rows.get(&chunk) else { return };
        let mut row = lock(row);
        row.wanted = recipe.made.iter().map(|(piece, _)| *piece).collect();
        let of_others = recipe.made.iter().filter(|(piece, of)| !of.contains(*piece));
        let sum = |(piece, of): &(u8, PieceSet)| {
            let length = self.header.of_piece(*piece).stored_chunk(chunk);
            let length = usize::try_from(length.end - length.start).unwrap_or(0);
            let beyond_end = |piece: &u8| chunk >= self.header.of_piece(*piece).chunks();
            let missing = of.without(of.iter().filter(beyond_end).collect());
            Sum { piece: *piece, missing, length, bytes: None }
        };
        row.sums = of_others.map(sum).collect();
    }
}

impl Output for Sums<'_> {
    fn write(&self, _: &[u8], _: u64) -> Result<(), LocalError> {
        Ok(())
    }

    fn combine(&self, piece: u8, chunk: u64, bytes: VerifiedChunk<'_>) -> Result<u64, LocalError> {
        let Some(row) = self.rows.get(&chunk) else { return Ok(0) };
        let (is_wanted, complete) = lock(row).add(piece, &bytes, &self.spare);
        // It is taken without the lock: others may go on.
        let mut done = 0;
        let mut made = PieceSet::default();
        if is_wanted {
            done += (self.take)(piece, chunk, bytes)?;
            made.insert(piece);
        }
        for (piece, mut sum) in complete {
            done += (self.take)(piece, chunk, sum.sum())?;
            made.insert(piece);
            lock(&self.spare).push(sum);
        }
        let mut row = lock(row);
        row.wanted = row.wanted.without(made);
        row.made = row.made.union(made);
        Ok(done)
    }
}

impl Row {
    /// Adds a chunk where it is missing. Returns whether it is wanted itself, and the sums that are complete now, each with
    /// its piece.
    fn add(
        &mut self,
        piece: u8,
        bytes: &VerifiedChunk<'_>,
        spare: &Mutex<Vec<ChunkSum>>,
    ) -> (bool, Vec<(u8, ChunkSum)>) {
        let mut complete = Vec::new();
        for sum in self.sums.iter_mut().filter(|sum| sum.missing.contains(piece)) {
            let begin = || {
                let mut begun = lock(spare).pop().unwrap_or_default();
                begun.restart(sum.length);
                begun
            };
            sum.bytes.get_or_insert_with(begin).add(bytes);
            sum.missing = sum.missing.without(PieceSet::from_iter([piece]));
            if sum.missing.is_empty() {
                complete.extend(sum.bytes.take().map(|bytes| (sum.piece, bytes)));
            }
        }
        (self.wanted.contains(piece), complete)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
