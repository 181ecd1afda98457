//! Making the pieces of a file: those with a part of it are read and encrypted, XORs are made of these on the way.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use super::encryption::Encryption;
use super::plan::{Encrypted, Plan};
use crate::client::core::error::LocalError;
use crate::primitives::sha256;
use crate::sealed::{ChunkHasher, Header, xor};

/// Why a piece was not made.
pub(super) enum Unmade {
    /// The local file failed.
    Local(LocalError),
    /// Another piece was not made, of which this one is an XOR or that is an XOR of this one.
    Other,
}

impl From<LocalError> for Unmade {
    fn from(error: LocalError) -> Self {
        Unmade::Local(error)
    }
}

/// Which chunks of a piece are made, and what is known of them.
pub(super) struct Extent {
    /// The first one.
    pub(super) from: u64,
    /// The hashes of those that were sent before, to other servers or in another upload, as a table.
    pub(super) table: Vec<u8>,
    /// Whether each step has whole chunks, even if nothing is known.
    pub(super) in_whole_chunks: bool,
}

/// Reads, encrypts and hashes a piece. A chunk whose hash is known is given to `take` only if it is the very same: with
/// other bytes of the file, it would have the nonce of another. `take` gets each part of the body, where it begins in the
/// body, and how many bytes of the file are in it.
pub(super) fn encrypt(
    plan: &Plan,
    header: &Header,
    extent: Extent,
    buffer: &mut Vec<u8>,
    mut take: impl FnMut(&[u8], u64, u64) -> Result<(), Unmade>,
) -> Result<Encrypted, Unmade> {
    let Extent { from, mut table, in_whole_chunks } = extent;
    let mut encryption =
        Encryption::new(&plan.source, &plan.key, header, from, |chunk| plan.nonce(header.piece, chunk));
    let before = table.len() / 32;
    if in_whole_chunks || before > 0 {
        encryption.in_whole_chunks();
    }
    let stored = header.stored_chunk_size();
    let mut hasher = ChunkHasher::new(stored);
    let (mut chunk, mut at) = (usize::try_from(from).unwrap_or(usize::MAX), from * stored);
    loop {
        let (step, done) = encryption.step(buffer)?;
        if step.is_empty() {
            break;
        }
        let known = before.saturating_sub(chunk).saturating_mul(stored as usize).min(step.len());
        let (again, new) = step.split_at(known);
        for bytes in again.chunks(stored as usize) {
            if sha256(bytes) != table[chunk * 32..][..32] {
                return Err(plan.source.changed().into());
            }
            chunk += 1;
        }
        hasher.update(new, |hash| table.extend(hash));
        take(step, at, done)?;
        at += step.len() as u64;
    }
    hasher.finish(|hash| table.extend(hash));
    Ok(Encrypted { piece: header.piece, root: sha256(&table), table })
}

/// The other end of a piece that others are XORs of.
pub(super) struct Source {
    /// Bytes of its body that are still to come.
    left: u64,
    steps: Receiver<Arc<[u8]>>,
}

impl Source {
    /// A piece with this header, whose body comes in these steps.
    pub(super) fn new(header: &Header, steps: Receiver<Arc<[u8]>>) -> Self {
        Self { left: header.body_size(), steps }
    }

    /// The next step; nothing after the last one.
    fn step(&mut self) -> Result<Arc<[u8]>, Unmade> {
        if self.left == 0 {
            return Ok(Arc::default());
        }
        let step = self.steps.recv().map_err(|_| Unmade::Other)?;
        self.left = self.left.saturating_sub(step.len() as u64);
        Ok(step)
    }
}

/// Gives a step of a piece to those that are XORs of it.
pub(super) fn pass_on(step: &[u8], to: &[SyncSender<Arc<[u8]>>]) -> Result<(), Unmade> {
    if to.is_empty() {
        return Ok(());
    }
    let step: Arc<[u8]> = step.into();
    to.iter().try_for_each(|to| to.send(Arc::clone(&step)).map_err(|_| Unmade::Other))
}

/// Makes and hashes the XOR of two pieces, step by step: all steps of both but the last are of the same length. `take` is
/// as for [`encrypt`], without bytes of the file.
pub(super) fn make_xor(
    header: &Header,
    mut sources: [Source; 2],
    mut take: impl FnMut(&[u8], u64, u64) -> Result<(), Unmade>,
) -> Result<Encrypted, Unmade> {
    let (mut table, mut hasher) = (Vec::new(), ChunkHasher::new(header.stored_chunk_size()));
    let (mut sum, mut at) = (Vec::new(), 0);
    while at < header.body_size() {
        let [one, other] = sources.each_mut().map(Source::step);
        let (one, other) = (one?, other?);
        sum.clear();
        sum.extend_from_slice(&one);
        sum.resize(one.len().max(other.len()), 0);
        xor(&mut sum, &other);
        if sum.is_empty() {
            return Err(Unmade::Other);
        }
        hasher.update(&sum, |hash| table.extend(hash));
        take(&sum, at, 0)?;
        at += sum.len() as u64;
    }
    hasher.finish(|hash| table.extend(hash));
    Ok(Encrypted { piece: header.piece, root: sha256(&table), table })
}
