//! Receiving a piece: streamed to a new file, hashed on the way, kept only if it fits its root.

use std::io::{BufWriter, Write};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::disk::Disk;
use super::piece::{BUFFER, SUM, own_sum};
use super::{Connection, StoreError};
use crate::primitives::{Bytes32, Hasher, TransitHasher};
use crate::sealed::{ChunkHasher, Header};

/// A piece is synced every so many bytes: the disk works while the rest arrives. The first steps are small, for
/// many pieces of a few MiB that come at once; later ones larger, since each sync has its cost.
const SYNC_STEPS: RangeInclusive<u64> = 1 << 20..=16 << 20;
/// A step, as a part of what has come.
const SYNC_PART: u64 = 8;
/// With so many bytes unsynced the client has to wait: the last sync, which is under a time limit, is short
/// however large the piece.
const MAX_UNSYNCED: u64 = 128 << 20;

/// What a piece was admitted on.
#[derive(Clone, Copy)]
pub(super) struct Admission {
    /// The floor that a client saw who restores a decided version.
    pub(super) restore: Option<u64>,
    /// [`Index::decisions`](super::index::Index::decisions) at that moment: as long as it is the same, the
    /// piece would be admitted again.
    pub(super) decisions: u64,
}

/// How the bytes of a piece are checked.
pub enum Check {
    /// By their chunks: for bytes that nobody vouches for.
    Chunks,
    /// By a hash of the whole that the writer sends behind them: five times as fast.
    Sum,
}

/// On the heap: one of them has 2 KiB.
enum Checking {
    Chunks(Box<ChunkHasher>),
    Sum(Box<TransitHasher>),
}

/// A piece that is being received. Dropped before [`Store::stage_end`](super::Store::stage_end), it leaves nothing behind.
pub struct Staging<'a, D: Disk> {
    pub(super) disk: &'a D,
    pub(super) header: Header,
    pub(super) connection: Connection,
    pub(super) admission: Admission,
    pub(super) path: PathBuf,
    file: Option<BufWriter<D::File>>,
    body_left: u64,
    table_left: u64,
    unsynced: u64,
    checking: Checking,
    table: Hasher,
}

impl<'a, D: Disk> Staging<'a, D> {
    pub(super) fn create(
        disk: &'a D,
        path: PathBuf,
        connection: Connection,
        header: Header,
        admission: Admission,
        check: Check,
    ) -> Result<Self, StoreError> {
        let mut file = BufWriter::with_capacity(
            BUFFER.min((header.layout().tail.end + SUM) as usize),
            disk.create(&path)?,
        );
        let written = file.write_all(&header.encode());
        let staging = Self {
            disk,
            connection,
            admission,
            path,
            file: Some(file),
            body_left: header.piece_size,
            table_left: 32 * header.chunks(),
            unsynced: 0,
            checking: match check {
                Check::Chunks => Checking::Chunks(Box::new(ChunkHasher::new(header.chunk_size()))),
                Check::Sum => Checking::Sum(Box::default()),
            },
            table: Hasher::default(),
            header,
        };
        written?;
        Ok(staging)
    }

    /// Bytes of body and table that are still to come.
    pub fn missing(&self) -> u64 {
        self.body_left + self.table_left
    }

    /// Takes the next bytes of body and table; never more than [`Staging::missing`].
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let in_body = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(bytes.len());
        let (body, table) = bytes.split_at(in_body);
        match &mut self.checking {
            Checking::Chunks(hasher) => hasher.update(body, |_| ()),
            Checking::Sum(hasher) => hasher.update(bytes),
        }
        self.body_left -= body.len() as u64;
        self.table.update(table);
        self.table_left = self.table_left.checked_sub(table.len() as u64).ok_or(StoreError::Damaged)?;
        let file = self.file.as_mut().ok_or(StoreError::Damaged)?;
        file.write_all(bytes)?;
        self.unsynced += bytes.len() as u64;
        let received = self.header.piece_size - self.body_left;
        let step = (received / SYNC_PART).clamp(*SYNC_STEPS.start(), *SYNC_STEPS.end());
        if self.unsynced >= step && self.disk.sync_soon(&self.path) {
            self.unsynced = 0;
        } else if self.unsynced >= MAX_UNSYNCED {
            self.disk.sync(file.get_ref())?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Ends the piece: its table must have the root, and its body the hashes of the table, or all of it
    /// the writer's sum.
    pub(super) fn finish(
        mut self,
        root: &Bytes32,
        seal: &Bytes32,
        sum: Option<&Bytes32>,
    ) -> Result<Received, StoreError> {
        let checking = std::mem::replace(&mut self.checking, Checking::Sum(Box::default()));
        let good = match checking {
            Checking::Chunks(hasher) => hasher.finish(|_| ()) == *root,
            Checking::Sum(hasher) => sum == Some(&hasher.finish()),
        };
        if self.missing() > 0 || !good || std::mem::take(&mut self.table).finish() != *root {
            return Err(StoreError::Damaged);
        }
        let mut writer = self.file.take().ok_or(StoreError::Damaged)?;
        let kept = writer
            .write_all(root)
            .and_then(|()| writer.write_all(seal))
            .and_then(|()| writer.write_all(&own_sum(&self.header.encode(), root, seal)))
            .and_then(|()| writer.into_inner().map_err(std::io::IntoInnerError::into_error));
        match kept {
            // Closed, and opened again to be synced: many connections with many small pieces each would
            // else run out of descriptors.
            Ok(_) => {
                let path = std::mem::take(&mut self.path);
                Ok(Received { header: self.header.clone(), connection: self.connection, path })
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl<D: Disk> Drop for Staging<'_, D> {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            if let Some(writer) = self.file.take() {
                // Without its buffered bytes: they are of no use, and a full disk would refuse them.
                drop(writer.into_parts());
            }
            // Nothing depends on it: a restart removes whatever is not a whole piece.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// A piece that is whole but not yet safe from a power failure.
pub(super) struct Received {
    pub(super) header: Header,
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
}
