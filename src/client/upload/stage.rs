//! Staging the pieces of a batch: encrypt and hash each byte once, send it to every holder.
//!
//! A job is one piece. Threads take jobs in order; each locks the connections of its piece's holders, always in the
//! order of the servers, so that no two wait for each other. Replies are read when everything is sent: they are short,
//! and wait in the sockets' buffers.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use super::local::OpenSource;
use crate::client::core::cluster::Returned;
use crate::client::core::error::LocalError;
use crate::client::core::report::{Progress, Report};
use crate::peer::{Answer, Peer, PeerError};
use crate::placement;
use crate::primitives::{Bytes32, sha256};
use crate::sealed::{
    ChunkCipher, ChunkHasher, FileKey, Header, MIN_CHUNK_LOG2, MasterKey, NONCE, Nonce, nonce,
};
use crate::wire::Request;

/// Bytes that are read, encrypted, hashed and sent at a time: they stay in the processor's cache.
const STEP: u64 = 256 * 1024;
/// More threads than this only wait for each other: there are four pieces.
const MAX_THREADS: usize = 4;
/// One thread for this many bytes of a batch. Measured on two cores: a second one makes 16 MiB no quicker, and many
/// clients at once slower, since twice as much of theirs waits in sockets.
const BYTES_PER_THREAD: u64 = 16 << 20;

/// What is decided about a file before its bytes are sent.
pub(super) struct Plan {
    pub(super) source: OpenSource,
    pub(super) key: FileKey,
    /// By piece, from 1: what its nonces begin with.
    pub(super) runs: Vec<[u8; 8]>,
    /// The header of every piece, except for number and piece size.
    pub(super) header: Header,
    /// By server: whether it may hold pieces.
    pub(super) usable: Vec<bool>,
    /// By piece, from 1: the servers that should hold it.
    pub(super) holders: Vec<Vec<usize>>,
}

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

/// What is known of a piece when it has been encrypted.
#[derive(Clone)]
pub(super) struct Encrypted {
    pub(super) piece: u8,
    /// The hash of each chunk.
    table: Vec<u8>,
    root: Bytes32,
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
    jobs: Mutex<std::slice::Iter<'a, Job>>,
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
    let of_file = |(file, plan): (usize, &&Plan)| {
        let holders = plan.holders.clone();
        job_order().map(move |piece| Job { file, piece, servers: holders[usize::from(piece) - 1].clone() })
    };
    plans.iter().enumerate().flat_map(of_file).collect()
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
    let work = Work {
        plans,
        jobs: Mutex::new(jobs.iter()),
        lanes: peers.into_iter().map(lane).collect(),
        staged: staged.into_iter().map(Mutex::new).collect(),
        key,
        report,
    };
    let bytes = jobs.iter().map(|job| plans[job.file].header.of_piece(job.piece).piece_size).sum();
    let threads = threads_for(bytes, available_parallelism().map_or(1, usize::from));
    std::thread::scope(|scope| {
        for _ in 1..threads.min(jobs.len()) {
            scope.spawn(|| work.run());
        }
        work.run();
    });
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
            let Some(job) = lock(&self.jobs).next() else { return };
            // A file that failed needs no more bytes.
            if lock(&self.staged[job.file]).local.is_none() {
                self.stage(job, &mut buffer);
            }
        }
    }

    fn stage(&self, job: &Job, buffer: &mut Vec<u8>) {
        let plan = self.plans[job.file];
        let header = plan.header.of_piece(job.piece);
        let length = header.payload_size();
        let request = Request::Stage { header: Box::new(header.clone()), length, restore: None };
        let mut in_order = job.servers.clone();
        in_order.sort_unstable();
        let mut lanes: Vec<MutexGuard<'_, Lane>> = in_order.iter().map(|&s| lock(&self.lanes[s])).collect();
        for lane in &mut lanes {
            lane.expected.push_back((job.file, job.piece));
            lane.try_send(|peer| peer.send(&request));
        }
        let before = lock(&self.staged[job.file]).pieces.iter().find(|sent| sent.piece == job.piece).cloned();
        let is_first = before.is_none();
        let send = |step: &[u8], done: u64| {
            for lane in &mut lanes {
                lane.try_send(|peer| peer.send_payload(step));
            }
            if is_first {
                self.report.progress(Progress { done });
            }
        };
        let encrypted = match before {
            None => encrypt(plan, &header, buffer, send),
            Some(sent) => encrypt_again(plan, &header, sent, buffer, send),
        };
        match encrypted {
            Ok(sent) => {
                let seal = self.key.seal(&header.encode(), &sent.root);
                for lane in &mut lanes {
                    lane.try_send(|peer| {
                        peer.send_payload(&sent.table)?;
                        peer.send_end(&sent.root, &seal)
                    });
                }
                if is_first {
                    lock(&self.staged[job.file]).pieces.push(sent);
                }
            }
            Err((error, sent)) => {
                lock(&self.staged[job.file]).local = Some(error);
                cancel(&mut lanes, length - sent);
            }
        }
    }
}

/// Whether the file has the bytes now that were sent. What is encrypted for that must go nowhere: if they differ, it has
/// the nonces of others.
pub(super) fn has_same_bytes(plan: &Plan, sent: &[Encrypted]) -> Result<bool, LocalError> {
    let mut buffer = Vec::new();
    for sent in sent {
        let header = plan.header.of_piece(sent.piece);
        let now = encrypt(plan, &header, &mut buffer, |_, _| ()).map_err(|(error, _)| error)?;
        if now.root != sent.root {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A piece as it was encrypted before, for another server. A chunk goes to `take` only if it is the very one that was
/// sent: with other bytes of the file, it would have the nonce of another.
fn encrypt_again(
    plan: &Plan,
    header: &Header,
    sent: Encrypted,
    buffer: &mut Vec<u8>,
    mut take: impl FnMut(&[u8], u64),
) -> Result<Encrypted, (LocalError, u64)> {
    let mut encryption = Encryption::new(plan, header);
    encryption.at_once = encryption.at_once.max(header.chunk_size());
    let (mut hashes, mut taken) = (sent.table.chunks_exact(32), 0);
    loop {
        let (step, done) = encryption.step(buffer).map_err(|error| (error, taken))?;
        if step.is_empty() {
            break;
        }
        let mut chunks = step.chunks(header.stored_chunk_size() as usize);
        if !chunks.all(|chunk| hashes.next().is_some_and(|hash| sha256(chunk) == hash)) {
            return Err((plan.source.changed(), taken));
        }
        take(step, done);
        taken += step.len() as u64;
    }
    Ok(sent)
}

/// Reads, encrypts and hashes a piece. Each part of its body goes to `take`, with how many bytes of the file are in it.
///
/// # Errors
/// A local one, and how many bytes of the body came before it.
fn encrypt(
    plan: &Plan,
    header: &Header,
    buffer: &mut Vec<u8>,
    mut take: impl FnMut(&[u8], u64),
) -> Result<Encrypted, (LocalError, u64)> {
    let mut encryption = Encryption::new(plan, header);
    let mut hasher = ChunkHasher::new(header.stored_chunk_size());
    let mut table = Vec::new();
    let mut taken = 0;
    loop {
        let (step, done) = encryption.step(buffer).map_err(|error| (error, taken))?;
        if step.is_empty() {
            break;
        }
        hasher.update(step, |hash| table.extend(hash));
        take(step, done);
        taken += step.len() as u64;
    }
    let root = hasher.finish(|hash| table.extend(hash));
    Ok(Encrypted { piece: header.piece, table, root })
}

/// A piece that is read and encrypted.
struct Encryption<'a> {
    plan: &'a Plan,
    header: &'a Header,
    /// Where the piece begins in the file.
    start: u64,
    /// Bytes of the file that were encrypted.
    done: u64,
    /// Bytes of the file in a step.
    at_once: u64,
    cipher: ChunkCipher,
}

impl<'a> Encryption<'a> {
    fn new(plan: &'a Plan, header: &'a Header) -> Self {
        let start = placement::range(header.file_size, header.piece).start;
        let cipher = ChunkCipher::new(&plan.key, &nonce_of(plan, header, 0));
        Self { plan, header, start, done: 0, at_once: STEP, cipher }
    }

    /// The next bytes of the body, none at its end; and how many bytes of the file they are.
    fn step<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<(&'b [u8], u64), LocalError> {
        let chunk_size = self.header.chunk_size();
        // Even with the smallest chunks.
        buffer.resize(self.at_once as usize + NONCE * (self.at_once >> MIN_CHUNK_LOG2) as usize, 0);
        let (before, mut filled) = (self.done, 0);
        let end = self.header.piece_size.min(before + self.at_once);
        while self.done < end {
            let (chunk, within) = (self.done / chunk_size, self.done % chunk_size);
            if within == 0 {
                let nonce = nonce_of(self.plan, self.header, chunk);
                self.cipher = ChunkCipher::new(&self.plan.key, &nonce);
                buffer[filled..filled + NONCE].copy_from_slice(&nonce);
                filled += NONCE;
            }
            let part = (chunk_size - within).min(end - self.done);
            let bytes = &mut buffer[filled..filled + part as usize];
            self.plan.source.read(bytes, self.start + self.done)?;
            self.cipher.encrypt(bytes);
            filled += bytes.len();
            self.done += part;
        }
        Ok((&buffer[..filled], self.done - before))
    }
}

fn nonce_of(plan: &Plan, header: &Header, chunk: u64) -> Nonce {
    nonce(plan.runs[usize::from(header.piece) - 1], chunk)
}

/// The announced bytes must follow, so that the next request is found after them.
fn cancel(lanes: &mut [MutexGuard<'_, Lane>], mut left: u64) {
    let zeros = [0; 4096];
    while left > 0 {
        let part = zeros.len().min(usize::try_from(left).unwrap_or(zeros.len()));
        for lane in &mut *lanes {
            lane.try_send(|peer| peer.send_payload(&zeros[..part]));
        }
        left -= part as u64;
    }
    for lane in lanes {
        lane.try_send(|peer| peer.send_cancel());
    }
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
