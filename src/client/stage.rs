//! Staging the pieces of a batch: encrypt and hash each byte once, send it to every holder.
//!
//! A job is one piece. Threads take jobs in order; each locks the connections of its piece's holders,
//! always in the order of the servers, so that no two wait for each other in a circle. Replies are
//! read when all is sent: they are short and wait in the sockets' buffers.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use super::error::ClientError;
use super::report::{Progress, Report};
use super::source::OpenSource;
use crate::peer::{No, Peer, PeerError};
use crate::placement;
use crate::primitives::Bytes32;
use crate::sealed::{ChunkCipher, ChunkHasher, FileKey, Header, MasterKey};
use crate::wire::Request;

/// Bytes that are read, encrypted, hashed and sent at a time: they stay in the processor's cache.
const STEP: usize = 256 * 1024;
/// More threads than this only wait for each other: there are four pieces.
const MAX_THREADS: usize = 4;
/// A thread for each so many bytes of a batch. Measured on two cores: a second one makes 16 MiB no quicker, and
/// many clients at once slower, since twice as much of theirs waits in sockets.
const BYTES_PER_THREAD: u64 = 16 << 20;

/// A file on its way: what is decided about it before its bytes are sent.
pub(super) struct Draft {
    pub(super) source: OpenSource,
    pub(super) key: FileKey,
    /// As of every piece but for number and piece size.
    pub(super) header: Header,
    /// By piece, from 1: the servers that are to hold it.
    pub(super) holders: Vec<Vec<usize>>,
}

/// One piece to stage.
pub(super) struct Job {
    pub(super) draft: usize,
    pub(super) piece: u8,
    /// Servers, in no order.
    pub(super) holders: Vec<usize>,
}

/// What became of a draft's pieces.
#[derive(Default)]
pub(super) struct Staged {
    /// The local file failed.
    pub(super) local: Option<ClientError>,
    /// Servers that refused a piece.
    pub(super) refused: Vec<(usize, No)>,
    /// Servers that were lost before they acknowledged a piece.
    pub(super) lost: Vec<usize>,
}

/// A connection in use, and the drafts whose replies are still to come on it.
struct Link {
    peer: Option<Result<Peer, PeerError>>,
    expected: VecDeque<usize>,
}

impl Link {
    /// Sends by `send`, unless the connection is lost already.
    fn try_send(&mut self, send: impl FnOnce(&mut Peer) -> Result<(), PeerError>) {
        if let Some(Ok(peer)) = &mut self.peer
            && let Err(why) = send(peer)
        {
            self.peer = Some(Err(why));
        }
    }
}

struct Work<'a> {
    drafts: &'a [Draft],
    jobs: Mutex<std::slice::Iter<'a, Job>>,
    links: Vec<Mutex<Link>>,
    outcomes: Vec<Mutex<Staged>>,
    key: &'a MasterKey,
    report: &'a dyn Report,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stages all jobs. Gives the outcomes by draft, and the connections back.
pub(super) fn stage_all(
    drafts: &[Draft],
    jobs: &[Job],
    peers: Vec<Option<Peer>>,
    key: &MasterKey,
    report: &dyn Report,
) -> (Vec<Staged>, Vec<Option<Result<Peer, PeerError>>>) {
    let link = |peer: Option<Peer>| Mutex::new(Link { peer: peer.map(Ok), expected: VecDeque::new() });
    let work = Work {
        drafts,
        jobs: Mutex::new(jobs.iter()),
        links: peers.into_iter().map(link).collect(),
        outcomes: drafts.iter().map(|_| Mutex::default()).collect(),
        key,
        report,
    };
    let bytes = drafts.iter().map(|draft| draft.header.file_size).sum();
    let threads = threads_for(bytes, available_parallelism().map_or(1, usize::from));
    std::thread::scope(|scope| {
        for _ in 1..threads.min(jobs.len()) {
            scope.spawn(|| work.run());
        }
        work.run();
    });
    for link in &work.links {
        lock(link).try_send(Peer::flush);
    }
    for (server, link) in work.links.iter().enumerate() {
        collect_replies(server, &mut lock(link), &work.outcomes);
    }
    let outcomes = work.outcomes.into_iter().map(|o| o.into_inner().unwrap_or_else(PoisonError::into_inner));
    let links = work.links.into_iter().map(|l| l.into_inner().unwrap_or_else(PoisonError::into_inner).peer);
    (outcomes.collect(), links.collect())
}

fn threads_for(bytes: u64, cores: usize) -> usize {
    let enough = usize::try_from(bytes.div_ceil(BYTES_PER_THREAD)).unwrap_or(MAX_THREADS);
    enough.clamp(1, MAX_THREADS).min(cores)
}

fn collect_replies(server: usize, link: &mut Link, outcomes: &[Mutex<Staged>]) {
    for draft in std::mem::take(&mut link.expected) {
        let mut outcome = lock(&outcomes[draft]);
        match &mut link.peer {
            Some(Ok(peer)) => match peer.receive_done() {
                Ok(Ok(())) => {}
                Ok(Err(no)) => outcome.refused.push((server, no)),
                Err(why) => {
                    link.peer = Some(Err(why));
                    outcome.lost.push(server);
                }
            },
            _ => outcome.lost.push(server),
        }
    }
}

impl Work<'_> {
    fn run(&self) {
        let mut buffer = Vec::new();
        loop {
            let Some(job) = lock(&self.jobs).next() else { return };
            // A draft whose file failed is not worth more bytes.
            if lock(&self.outcomes[job.draft]).local.is_none() {
                self.stage(job, &mut buffer);
            }
        }
    }

    fn stage(&self, job: &Job, buffer: &mut Vec<u8>) {
        let draft = &self.drafts[job.draft];
        let header = draft.header.of_piece(job.piece);
        let length = header.piece_size + 32 * header.chunks();
        let request = Request::Stage { header: Box::new(header.clone()), length, restore: None };
        let mut in_order = job.holders.clone();
        in_order.sort_unstable();
        let mut links: Vec<MutexGuard<'_, Link>> = in_order.iter().map(|&s| lock(&self.links[s])).collect();
        for link in &mut links {
            link.expected.push_back(job.draft);
            link.try_send(|peer| peer.send(&request));
        }
        match self.send_body(
            draft,
            &header,
            placement::range(header.file_size, job.piece).start,
            &mut links,
            buffer,
        ) {
            Ok((table, root)) => {
                let seal = self.key.seal(&header.encode(), &root);
                for link in &mut links {
                    link.try_send(|peer| {
                        peer.send_payload(&table)?;
                        peer.send_end(&root, &seal)
                    });
                }
            }
            Err((error, sent)) => {
                lock(&self.outcomes[job.draft]).local = Some(error);
                cancel(&mut links, length - sent);
            }
        }
    }

    /// Gives table and root; on a local error that, and how many bytes were sent before.
    fn send_body(
        &self,
        draft: &Draft,
        header: &Header,
        start: u64,
        links: &mut [MutexGuard<'_, Link>],
        buffer: &mut Vec<u8>,
    ) -> Result<(Vec<u8>, Bytes32), (ClientError, u64)> {
        let mut cipher = ChunkCipher::new(&draft.key, header.piece);
        let mut hasher = ChunkHasher::new(header.chunk_size());
        let mut table = Vec::new();
        let mut sent = 0;
        while sent < header.piece_size {
            let part = STEP.min(usize::try_from(header.piece_size - sent).unwrap_or(STEP));
            buffer.resize(part, 0);
            draft.source.read(buffer, start + sent).map_err(|error| (error, sent))?;
            cipher.encrypt(buffer);
            hasher.update(buffer, |hash| table.extend(hash));
            for link in &mut *links {
                link.try_send(|peer| peer.send_payload(buffer));
            }
            sent += part as u64;
            self.report.progress(Progress { done: part as u64 });
        }
        let root = hasher.finish(|hash| table.extend(hash));
        Ok((table, root))
    }
}

/// The announced bytes must follow, so that the next request is found behind them.
fn cancel(links: &mut [MutexGuard<'_, Link>], mut left: u64) {
    let zeros = [0; 4096];
    while left > 0 {
        let part = zeros.len().min(usize::try_from(left).unwrap_or(zeros.len()));
        for link in &mut *links {
            link.try_send(|peer| peer.send_payload(&zeros[..part]));
        }
        left -= part as u64;
    }
    for link in links {
        link.try_send(|peer| peer.send_cancel());
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
