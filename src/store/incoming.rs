//! Receiving a piece: it is streamed to a new file, hashed at the same time, and kept only if it matches its root.

use std::io::{Seek, SeekFrom, Write};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use super::connections::Connection;
use super::disk::Disk;
use super::error::StoreError;
use super::output::Output;
use super::partial;
use super::piece::{BUFFER, SUM, own_sum};
use crate::primitives::{Bytes32, Hasher, PayloadMac};
use crate::sealed::{ChunkHasher, Header};

/// A piece is synced in steps, so that the disk works while the rest arrives. The first steps are small,
/// for the case that many pieces of a few MiB arrive at once, and so are the last ones, because the client waits for
/// them. Those in between are larger, because each sync has its cost.
const SYNC_STEPS: RangeInclusive<u64> = 2 << 20..=16 << 20;
/// A step is this fraction of what has arrived, or of what is still missing, if that is less.
const SYNC_PART: u64 = 8;

/// The conditions under which a piece was admitted.
#[derive(Clone, Copy)]
pub(super) struct Admission {
    /// The floor that was seen by a client that restores a decided version.
    pub(super) restore: Option<u64>,
    /// [`Index::decisions`](super::index::Index::decisions) at that moment. While it is the same, the piece would be
    /// admitted again.
    pub(super) decisions: u64,
}

/// How the bytes of a piece are checked.
enum Checking {
    Chunks(Box<ChunkHasher>),
    Mac(Box<PayloadMac>),
}

/// A piece that is being received. If it is dropped before [`Store::stage_end`](super::Store::stage_end), it leaves
/// nothing behind.
pub struct IncomingPiece<'a, D: Disk> {
    pub(super) disk: &'a D,
    pub(super) header: Header,
    pub(super) connection: Connection,
    pub(super) admission: Admission,
    pub(super) path: PathBuf,
    watch: Option<Arc<D::Watch>>,
    output: Option<Output<D::File>>,
    /// Bytes of body and table together.
    length: u64,
    /// How many of them have arrived.
    arrived: u64,
    unsynced: u64,
    /// Whether other threads have synced parts of it.
    synced_early: bool,
    /// `None` at the end.
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
        watch: Option<Arc<D::Watch>>,
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
            watch,
            output: Some(output),
            length: header.payload_size(),
            arrived: 0,
            unsynced: 0,
            synced_early: false,
            checking: Some(match mac {
                None => Checking::Chunks(Box::new(ChunkHasher::new(header.stored_chunk_size()))),
                Some(mac) => Checking::Mac(Box::new(mac)),
            }),
            table: Hasher::default(),
            header,
        };
        written?;
        Ok(incoming)
    }

    /// Begins with the first `chunks` chunks of the file, which is under its new name already. The header is replaced;
    /// if that does not come about, it does not match the file's name.
    pub(super) fn begin_with(
        disk: &'a D,
        path: PathBuf,
        connection: Connection,
        header: Header,
        admission: Admission,
        mac: PayloadMac,
        chunks: u64,
    ) -> Result<Self, StoreError> {
        let encoded = header.encode();
        let body = chunks.checked_sub(1).map_or(0, |last| header.stored_chunk(last).end);
        let length = encoded.len() as u64 + body;
        let opened = disk.reopen(&path, length).and_then(|mut file| {
            file.write_all(&encoded)?;
            file.seek(SeekFrom::Start(length))?;
            Ok(file)
        });
        let mut incoming = Self {
            disk,
            connection,
            admission,
            path,
            // Its first bytes are older than any.
            watch: None,
            output: None,
            length: header.payload_size(),
            arrived: body,
            unsynced: 0,
            // Nobody knows what of it is safe.
            synced_early: true,
            checking: Some(Checking::Mac(Box::new(mac))),
            table: Hasher::default(),
            header,
        };
        incoming.output = Some(Output::new(opened?, BUFFER));
        Ok(incoming)
    }

    /// Ends without the rest. Returns the header and the file, if it is worth keeping.
    pub(super) fn cut_off(mut self) -> Option<(Header, PathBuf)> {
        let mut output = self.output.take()?;
        output.write_out().ok()?;
        if self.synced_early {
            // Whoever opens it later may not be told of a sync that has failed on the way.
            self.disk.sync(output.file()).ok()?;
        }
        let (_, opening, _) = partial::open(self.disk, &self.path).ok()?;
        Some((opening.header, std::mem::take(&mut self.path)))
    }

    /// Bytes of body and table that are still missing.
    pub fn missing(&self) -> u64 {
        self.length - self.arrived
    }

    /// Where the next bytes of body and table must be put: room for some of the missing ones, at least one if any are
    /// missing.
    pub fn room(&mut self) -> &mut [u8] {
        let missing = usize::try_from(self.missing()).unwrap_or(usize::MAX);
        let room = self.output.as_mut().map_or(&mut [][..], Output::room);
        let part = room.len().min(missing);
        &mut room[..part]
    }

    /// Takes the first `bytes` of [`IncomingPiece::room`], which have been filled.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub fn advance(&mut self, bytes: usize) -> Result<(), StoreError> {
        let bytes = bytes.min(self.room().len());
        let output = self.output.as_mut().ok_or(StoreError::Damaged)?;
        let bytes = output.advance(bytes);
        let body_left = self.header.body_size().saturating_sub(self.arrived);
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
            // If all threads are busy, the client has to wait for the disk now. At the end of the piece would be worse:
            // all other clients wait there too, and the last sync is under a time limit.
            match self.disk.sync_soon(&self.path) {
                true => self.synced_early = true,
                false => self.disk.sync(output.file())?,
            }
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Ends the piece. Its table must match the root; its body must match the table, or body and table the writer's
    /// tag.
    pub(super) fn finish(
        mut self,
        root: &Bytes32,
        seal: &Bytes32,
        tag: Option<&Bytes32>,
    ) -> Result<ReceivedPiece<D>, StoreError> {
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
                // Only a file that was open when an early sync failed reports that failure, and this is the last one
                // that was.
                true => self.disk.sync(output.file()),
                false => Ok(()),
            });
        match kept {
            // The file is closed, and opened again to be synced: otherwise many connections with many small pieces
            // each would run out of descriptors.
            Ok(()) => {
                let path = std::mem::take(&mut self.path);
                let (connection, synced, watch) = (self.connection, self.synced_early, self.watch.take());
                Ok(ReceivedPiece { header: self.header.clone(), connection, path, synced, watch })
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl<D: Disk> Drop for IncomingPiece<'_, D> {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Nothing depends on this: a restart removes every file that is not a whole piece.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// A piece that has been received completely.
pub(super) struct ReceivedPiece<D: Disk> {
    pub(super) header: Header,
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    /// Whether its bytes are safe from a power failure. Its name is not safe yet.
    pub(super) synced: bool,
    /// A watch that began before the piece was created, if any.
    pub(super) watch: Option<Arc<D::Watch>>,
}
