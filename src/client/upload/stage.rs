//! Staging the pieces of a batch: encrypt and hash each byte once, send it to every holder.
//!
//! A job is one piece. Threads take jobs in order; each locks the connections of its piece's holders, always in the
//! order of the servers, so that no two wait for each other. Replies are read when everything is sent: they are short,
//! and wait in the sockets' buffers.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use super::encryption::Encryption;
use super::plan::{Encrypted, Plan};
use crate::client::core::cluster::Returned;
use crate::client::core::error::LocalError;
use crate::client::core::report::{Progress, Report};
use crate::peer::{Answer, Peer, PeerError};
use crate::placement::{self, parity};
use crate::primitives::sha256;
use crate::sealed::{ChunkHasher, Header, MasterKey, xor};
use crate::wire::{MIN_PARTIAL, Request};

/// More threads than this only wait for each other: there are four pieces.
const MAX_THREADS: usize = 4;
/// One thread for this many bytes of a batch. Measured on two cores: a second one makes 16 MiB no quicker, and many
/// clients at once slower, since twice as much of theirs waits in sockets.
const BYTES_PER_THREAD: u64 = 16 << 20;

/// The result for a file's pieces.
#[derive(Default)]
pub(super) struct Staged {
    /// The local file failed.
    pub(super) local: Option<LocalError>,
    /// The pieces that were sent.
    pub(super) pieces: Vec<Encrypted>,
    /// What each server answered, for each of its pieces.
    pub(super) answers: Vec<(usize, u8, Answer<()>)>,
}

impl Staged {
    /// Whether a server has staged a piece.
    pub(super) fn has(&self, server: usize, piece: u8) -> bool {
        self.answers.iter().any(|(s, p, answer)| (*s, *p) == (server, piece) && answer.is_done())
    }
}

/// One piece to stage, and on which servers.
pub(super) struct Job {
    pub(super) file: usize,
    pub(super) piece: u8,
    pub(super) servers: Vec<usize>,
}

/// A connection in use, and the pieces whose replies are still to come on it, each with the number of its file.
struct Lane {
    peer: Option<Result<Peer, PeerError>>,
    expected: VecDeque<(usize, u8)>,
}

impl Lane {
    /// Sends with `send`, unless the connection is already lost.
    fn try_send(&mut self, send: impl FnOnce(&mut Peer) -> Result<(), PeerError>) {
        if let Some(Ok(peer)) = &mut self.peer
            && let Err(why) = send(peer)
        {
            self.peer = Some(Err(why));
        }
    }
}

struct Work<'a> {
    plans: &'a [&'a Plan],
    jobs: Mutex<VecDeque<&'a Job>>,
    lanes: Vec<Mutex<Lane>>,
    staged: Vec<Mutex<Staged>>,
    key: &'a MasterKey,
    report: &'a dyn Report,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All pieces of these files, for the servers of their plans.
pub(super) fn all_jobs(plans: &[&Plan]) -> Vec<Job> {
    let job = |(file, piece): (usize, u8)| {
        let plan = plans[file];
        let servers = plan.holders[usize::from(piece) - 1].clone();
        Job { file, piece, servers }
    };
    let of_file = |file: usize| {
        let pieces = plans[file].header.scheme.pieces();
        let xors = pieces.filter(|&piece| parity::sources(piece).is_some());
        job_order().chain(xors).map(move |piece| (file, piece))
    };
    (0..plans.len()).flat_map(of_file).map(job).collect()
}

/// Does these jobs for these files, of which so much is staged already. Returns the result for each file, and the
/// connections, each with its server.
pub(super) fn stage_all(
    plans: &[&Plan],
    staged: Vec<Staged>,
    jobs: &[Job],
    peers: Vec<Option<Peer>>,
    key: &MasterKey,
    report: &dyn Report,
) -> (Vec<Staged>, Returned) {
    let lane = |peer: Option<Peer>| Mutex::new(Lane { peer: peer.map(Ok), expected: VecDeque::new() });
    // An XOR is made of pieces that were sent: see `encrypt_xor`.
    let (xors, data): (Vec<&Job>, Vec<&Job>) =
        jobs.iter().partition(|job| parity::sources(job.piece).is_some());
    let work = Work {
        plans,
        jobs: Mutex::default(),
        lanes: peers.into_iter().map(lane).collect(),
        staged: staged.into_iter().map(Mutex::new).collect(),
        key,
        report,
    };
    let bytes = jobs.iter().map(|job| plans[job.file].header.of_piece(job.piece).piece_size).sum();
    let threads = threads_for(bytes, available_parallelism().map_or(1, usize::from));
    for jobs in [data, xors] {
        let threads = threads.min(jobs.len());
        *lock(&work.jobs) = jobs.into();
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| work.run());
            }
            work.run();
        });
    }
    for lane in &work.lanes {
        lock(lane).try_send(Peer::flush);
    }
    for (server, lane) in work.lanes.iter().enumerate() {
        collect_replies(server, &mut lock(lane), &work.staged);
    }
    let staged = work.staged.into_iter().map(|o| o.into_inner().unwrap_or_else(PoisonError::into_inner));
    let peers = work.lanes.into_iter().map(|l| l.into_inner().unwrap_or_else(PoisonError::into_inner).peer);
    let peers = peers.enumerate().filter_map(|(server, peer)| Some((server, peer?)));
    (staged.collect(), peers.collect())
}

/// Odd pieces first: with two copies, neighbours share a server and others do not, so that two
/// threads then seldom wait for each other.
fn job_order() -> impl Iterator<Item = u8> {
    placement::pieces().filter(|p| p % 2 == 1).chain(placement::pieces().filter(|p| p % 2 == 0))
}

fn threads_for(bytes: u64, cores: usize) -> usize {
    let enough = usize::try_from(bytes.div_ceil(BYTES_PER_THREAD)).unwrap_or(MAX_THREADS);
    enough.clamp(1, MAX_THREADS).min(cores)
}

fn collect_replies(server: usize, lane: &mut Lane, staged: &[Mutex<Staged>]) {
    for (file, piece) in std::mem::take(&mut lane.expected) {
        let answer = match &mut lane.peer {
            Some(Ok(peer)) => match peer.receive_done() {
                Ok(Ok(())) => Answer::Done(()),
                Ok(Err(no)) => Answer::Refused(no),
                Err(why) => {
                    lane.peer = Some(Err(why));
                    Answer::Lost
                }
            },
            _ => Answer::Lost,
        };
        lock(&staged[file]).answers.push((server, piece, answer));
    }
}

impl Work<'_> {
    fn run(&self) {
        let mut buffer = Vec::new();
        loop {
            let Some(job) = lock(&self.jobs).pop_front() else { return };
            // A file that failed needs no more bytes.
            if lock(&self.staged[job.file]).local.is_none() {
                self.stage(job, &mut buffer);
            }
        }
    }

    fn stage(&self, job: &Job, buffer: &mut Vec<u8>) {
        let plan = self.plans[job.file];
        let header = plan.header.of_piece(job.piece);
        let opening = self.key.seal_opening(&header.encode());
        let mut in_order = job.servers.clone();
        in_order.sort_unstable();
        let mut receivers: Vec<Receiver<'_>> = in_order
            .iter()
            .map(|&server| {
                let kept = plan.kept.iter().find(|kept| kept.is(server, job.piece));
                let (from, chunks) = kept.map_or((header.version, 0), |kept| (kept.version, kept.chunks));
                let start = chunks.checked_sub(1).map_or(0, |last| header.stored_chunk(last).end);
                let length = header.payload_size() - start;
                let request = match header.body_size() >= MIN_PARTIAL {
                    true => {
                        Request::Resume { header: Box::new(header.clone()), opening, from, chunks, length }
                    }
                    false => Request::Stage { header: Box::new(header.clone()), length, restore: None },
                };
                let mut lane = lock(&self.lanes[server]);
                lane.expected.push_back((job.file, job.piece));
                lane.try_send(|peer| peer.send(&request));
                Receiver { lane, chunks, start, left: length }
            })
            .collect();
        let sent = lock(&self.staged[job.file]).pieces.iter().find(|sent| sent.piece == job.piece).cloned();
        let is_first = sent.is_none();
        let table = sent.map_or_else(|| plan.known_hashes(job.piece), |sent| sent.table);
        let known = header.stored_chunk_size() * (table.len() / 32) as u64;
        let from = receivers.iter().map(|receiver| receiver.chunks).min().unwrap_or(0);
        let send = |step: &[u8], at: u64, done: u64| {
            receivers.iter_mut().for_each(|receiver| receiver.send(step, at));
            if is_first && at >= known && done > 0 {
                self.report.progress(Progress { done });
            }
        };
        let encrypted = match parity::sources(job.piece) {
            None => encrypt(plan, &header, from, table, buffer, send),
            Some(sources) => {
                let sent = lock(&self.staged[job.file]).pieces.clone();
                encrypt_xor(plan, &header, from, &sources, &sent, send)
            }
        };
        match encrypted {
            Ok(encrypted) => {
                let seal = self.key.seal(&header.encode(), &encrypted.root);
                for Receiver { lane, .. } in &mut receivers {
                    lane.try_send(|peer| {
                        peer.send_payload(&encrypted.table)?;
                        peer.send_end(&encrypted.root, &seal)
                    });
                }
                if is_first {
                    lock(&self.staged[job.file]).pieces.push(encrypted);
                }
            }
            Err(error) => {
                lock(&self.staged[job.file]).local = Some(error);
                receivers.iter_mut().for_each(Receiver::cancel);
            }
        }
    }
}

/// A connection that gets a piece, or the rest of one.
struct Receiver<'a> {
    lane: MutexGuard<'a, Lane>,
    /// How many chunks its server has, and bytes of the body.
    chunks: u64,
    start: u64,
    /// Bytes that were announced, and not sent.
    left: u64,
}

impl Receiver<'_> {
    /// Sends what its server lacks of a part of the body that begins at `at`.
    fn send(&mut self, step: &[u8], at: u64) {
        let there = usize::try_from(self.start.saturating_sub(at)).unwrap_or(usize::MAX).min(step.len());
        let rest = &step[there..];
        self.left = self.left.saturating_sub(rest.len() as u64);
        self.lane.try_send(|peer| peer.send_payload(rest));
    }

    /// The announced bytes must follow, so that the next request is found after them.
    fn cancel(&mut self) {
        let zeros = [0; 4096];
        while self.left > 0 {
            let part = zeros.len().min(usize::try_from(self.left).unwrap_or(zeros.len()));
            self.lane.try_send(|peer| peer.send_payload(&zeros[..part]));
            self.left -= part as u64;
        }
        self.lane.try_send(|peer| peer.send_cancel());
    }
}

/// Whether the file has the bytes now that were sent. What is encrypted for that must go nowhere: if they differ, it
/// has the nonces of others.
pub(super) fn has_same_bytes(plan: &Plan, sent: &[Encrypted]) -> Result<bool, LocalError> {
    let mut buffer = Vec::new();
    for sent in sent.iter().filter(|sent| parity::sources(sent.piece).is_none()) {
        let header = plan.header.of_piece(sent.piece);
        if encrypt(plan, &header, 0, Vec::new(), &mut buffer, |_, _, _| ())?.root != sent.root {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads, encrypts and hashes a piece, from a chunk on. `table` has the hashes of the chunks that were sent before, to
/// other servers or in another upload: such a chunk is given to `take` only if it is the very same. With other bytes of
/// the file, it would have the nonce of another. `take` gets each part of the body, where it begins in the body, and
/// how many bytes of the file are in it.
fn encrypt(
    plan: &Plan,
    header: &Header,
    from: u64,
    mut table: Vec<u8>,
    buffer: &mut Vec<u8>,
    mut take: impl FnMut(&[u8], u64, u64),
) -> Result<Encrypted, LocalError> {
    let mut encryption =
        Encryption::new(&plan.source, &plan.key, header, from, |chunk| plan.nonce(header.piece, chunk));
    let before = table.len() / 32;
    if before > 0 {
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
                return Err(plan.source.changed());
            }
            chunk += 1;
        }
        hasher.update(new, |hash| table.extend(hash));
        take(step, at, done);
        at += step.len() as u64;
    }
    hasher.finish(|hash| table.extend(hash));
    Ok(Encrypted { piece: header.piece, root: sha256(&table), table })
}

/// Makes an XOR of two pieces that were `sent`, from a chunk on. They are read and encrypted again, under the same nonces:
/// so nothing goes into it that is not the very same as what was sent. `take` is as for [`encrypt`], without
/// bytes of the file.
fn encrypt_xor(
    plan: &Plan,
    header: &Header,
    from: u64,
    sources: &[u8],
    sent: &[Encrypted],
    mut take: impl FnMut(&[u8], u64, u64),
) -> Result<Encrypted, LocalError> {
    let headers: Vec<Header> = sources.iter().map(|&source| header.of_piece(source)).collect();
    let table_of =
        |header: &Header| sent.iter().find(|sent| sent.piece == header.piece).map(|sent| &sent.table);
    let mut sources = Vec::new();
    for header in &headers {
        let nonce = |chunk| plan.nonce(header.piece, chunk);
        let mut encryption = Encryption::new(&plan.source, &plan.key, header, 0, nonce);
        encryption.by_chunk();
        sources.push((encryption, table_of(header)));
    }
    let (mut table, mut hasher) = (Vec::new(), ChunkHasher::new(header.stored_chunk_size()));
    let (mut sum, mut buffer) = (Vec::new(), Vec::new());
    for chunk in 0..header.chunks() {
        let stored = header.stored_chunk(chunk);
        sum.clear();
        sum.resize(usize::try_from(stored.end - stored.start).unwrap_or(0), 0);
        for (encryption, table) in &mut sources {
            let (bytes, _) = encryption.step(&mut buffer)?;
            let hash =
                usize::try_from(chunk).ok().and_then(|chunk| table.as_ref()?.as_chunks::<32>().0.get(chunk));
            if !bytes.is_empty() && hash != Some(&sha256(bytes)) {
                return Err(plan.source.changed());
            }
            xor(&mut sum, bytes);
        }
        hasher.update(&sum, |hash| table.extend(hash));
        if chunk >= from {
            take(&sum, stored.start, 0);
        }
    }
    hasher.finish(|hash| table.extend(hash));
    Ok(Encrypted { piece: header.piece, root: sha256(&table), table })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_batch_has_one_thread_and_a_large_one_as_many_as_there_are_cores_or_pieces() {
        let threads = |cores| [0, 16 << 20, (16 << 20) + 1, 1 << 30, u64::MAX].map(|b| threads_for(b, cores));
        assert_eq!(threads(1), [1, 1, 1, 1, 1]);
        assert_eq!(threads(2), [1, 1, 2, 2, 2]);
        assert_eq!(threads(8), [1, 1, 2, 4, 4]);
    }
}
