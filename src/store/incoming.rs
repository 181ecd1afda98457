//! Receiving a piece: streamed to a new file, hashed on the way, kept only if it fits its root.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::connections::Connection;
use super::disk::Disk;
use super::error::StoreError;
use super::output::Output;
use super::piece::{BUFFER, SUM, own_sum};
use crate::primitives::{Bytes32, Hasher, PayloadMac};
use crate::sealed::{ChunkHasher, Header};

/// A piece is synced every so many bytes: the disk works while the rest arrives. The first steps are small, for
/// many pieces of a few MiB that come at once, and the last ones, for which the client waits; those between
/// larger, since each sync has its cost.
const SYNC_STEPS: RangeInclusive<u64> = 2 << 20..=16 << 20;
/// A step, as a part of what has come, or, if that is less, of what is still to come.
const SYNC_PART: u64 = 8;

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
enum Checking {
    Chunks(Box<ChunkHasher>),
    Mac(Box<PayloadMac>),
}

/// A piece that is being received. Dropped before [`Store::stage_end`](super::Store::stage_end), it leaves nothing
/// behind.
pub struct IncomingPiece<'a, D: Disk> {
    pub(super) disk: &'a D,
    pub(super) header: Header,
    pub(super) connection: Connection,
    pub(super) admission: Admission,
    pub(super) path: PathBuf,
    output: Option<Output<D::File>>,
    /// Bytes of body and table.
    length: u64,
    /// How many of them have arrived.
    arrived: u64,
    unsynced: u64,
    /// Whether others have synced parts of it.
    synced_early: bool,
    /// None once it is over.
    checking: Option<Checking>,
    table: Hasher,
}

impl<'a, D: Disk> IncomingPiece<'a, D> {
    pub(super) fn create(
        disk: &'a D,
        path: PathBuf,
        connection: Connection,
        header: Header,
        admission: Admission,
        mac: Option<PayloadMac>,
    ) -> Result<Self, StoreError> {
        let encoded = header.encode();
        let size = usize::try_from(header.layout().tail.end + SUM).unwrap_or(usize::MAX);
        let mut output = Output::new(disk.create(&path)?, size.min(BUFFER));
        let written = output.write_all(&encoded);
        let incoming = Self {
            disk,
            connection,
            admission,
            path,
            output: Some(output),
            length: header.piece_size + 32 * header.chunks(),
            arrived: 0,
            unsynced: 0,
            synced_early: false,
            checking: Some(match mac {
                None => Checking::Chunks(Box::new(ChunkHasher::new(header.chunk_size()))),
                Some(mac) => Checking::Mac(Box::new(mac)),
            }),
            table: Hasher::default(),
            header,
        };
        written?;
        Ok(incoming)
    }

    /// Bytes of body and table that are still to come.
    pub fn missing(&self) -> u64 {
        self.length - self.arrived
    }

    /// Where the next bytes of body and table go: some of the missing ones, at least one if there are any.
    pub fn room(&mut self) -> &mut [u8] {
        let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
        let room = self.output.as_mut().map_or(&mut [][..], Output::room);
        let part = room.len().min(missing);
        &mut room[..part]
    }

    /// The first bytes of [`IncomingPiece::room`] have arrived.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub fn advance(&mut self, bytes: usize) -> Result<(), StoreError> {
        let bytes = bytes.min(self.room().len());
        let output = self.output.as_mut().ok_or(StoreError::Damaged)?;
        let bytes = output.advance(bytes);
        let body_left = self.header.piece_size.saturating_sub(self.arrived);
        let in_body = usize::try_from(body_left).unwrap_or(usize::MAX).min(bytes.len());
        let (body, table) = bytes.split_at(in_body);
        match &mut self.checking {
            Some(Checking::Chunks(hasher)) => hasher.update(body, |_| ()),
            Some(Checking::Mac(mac)) => mac.update(bytes),
            None => {}
        }
        self.table.update(table);
        self.arrived += bytes.len() as u64;
        if output.room().is_empty() { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> Result<(), StoreError> {
        let around = self.arrived.min(self.missing());
        let output = self.output.as_mut().ok_or(StoreError::Damaged)?;
        self.unsynced += output.write_out()? as u64;
        let step = (around / SYNC_PART).clamp(*SYNC_STEPS.start(), *SYNC_STEPS.end());
        if self.unsynced >= step {
            // If the disk is that busy, the client has to wait for it now rather than at its end, where all
            // others wait too, and the last sync is under a time limit.
            match self.disk.sync_soon(&self.path) {
                true => self.synced_early = true,
                false => self.disk.sync(output.file())?,
            }
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Ends the piece: its table must have the root, and its body the hashes of the table, or all of it
    /// the writer's tag.
    pub(super) fn finish(
        mut self,
        root: &Bytes32,
        seal: &Bytes32,
        tag: Option<&Bytes32>,
    ) -> Result<ReceivedPiece, StoreError> {
        let good = match self.checking.take() {
            Some(Checking::Chunks(hasher)) => hasher.finish(|_| ()) == *root,
            Some(Checking::Mac(mac)) => tag.is_some_and(|tag| mac.verify(tag)),
            None => false,
        };
        if self.missing() > 0 || !good || std::mem::take(&mut self.table).finish() != *root {
            return Err(StoreError::Damaged);
        }
        let mut output = self.output.take().ok_or(StoreError::Damaged)?;
        let kept = output
            .write_all(root)
            .and_then(|()| output.write_all(seal))
            .and_then(|()| output.write_all(&own_sum(&self.header.encode(), root, seal)))
            .and_then(|()| output.write_out().map(drop))
            .and_then(|()| match self.synced_early {
                // Only a description that was open when an early sync failed is told so, and this is the last one.
                true => self.disk.sync(output.file()),
                false => Ok(()),
            });
        match kept {
            // Closed, and opened again to be synced: many connections with many small pieces each would
            // else run out of descriptors.
            Ok(()) => {
                let path = std::mem::take(&mut self.path);
                let synced = self.synced_early;
                Ok(ReceivedPiece { header: self.header.clone(), connection: self.connection, path, synced })
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl<D: Disk> Drop for IncomingPiece<'_, D> {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Nothing depends on it: a restart removes whatever is not a whole piece.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// A piece that is whole.
pub(super) struct ReceivedPiece {
    pub(super) header: Header,
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    /// Whether its bytes are safe from a power failure; its name is not yet.
    pub(super) synced: bool,
}
