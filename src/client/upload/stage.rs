//! Staging the pieces of a batch: encrypt and hash each byte once, send it to every holder.
//!
//! A job is one piece. Threads take jobs in order; each locks the connections of its piece's holders, always in the
//! order of the servers, so that no two wait for each other. The pieces and XORs of a file with parity are one task,
//! because the XORs are made while the pieces are sent. If they are large, all of them are sent at the same time, each
//! by a thread and on a connection of its own. Replies are read when everything is sent: they are short, and wait in the
//! sockets' buffers.

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, available_parallelism};

use super::lane::{Lane, Receiver, Staged, lock};
use super::making::{Extent, Source, Unmade, encrypt, make_xor, pass_on};
use super::plan::{Encrypted, Plan};
use crate::client::core::cluster::lending::{Extras, Returned};
use crate::client::core::error::LocalError;
use crate::client::core::report::{Progress, Report};
use crate::peer::Peer;
use crate::placement::{self, parity};
use crate::sealed::{Header, MasterKey};
use crate::wire::{MIN_PARTIAL, Request};

/// More threads than this only wait for each other: there are four pieces.
const MAX_THREADS: usize = 4;
/// One thread for this many bytes of a batch. Measured on two cores: a second one makes 16 MiB no quicker, and many
/// clients at once slower, since twice as much of theirs waits in sockets.
const BYTES_PER_THREAD: u64 = 16 << 20;
/// Steps by which a piece may be ahead of an XOR of it that is sent at the same time. One is enough for both to work, and
/// bounds the memory.
const STEPS_AHEAD: usize = 1;
/// More steps than a piece has that is not sent at the same time as its XORs.
const ALL_STEPS: usize = 64;

/// One piece to stage, and on which servers.
pub(super) struct Job {
    pub(super) file: usize,
    pub(super) piece: u8,
    pub(super) servers: Vec<usize>,
}

/// The pieces that are staged by one thread, or by one for each of them, in this order: all of one file with parity, or
/// one piece of another file.
struct Task<'a> {
    plan: &'a Plan,
    jobs: Vec<&'a Job>,
}

impl Task<'_> {
    /// The number of its file.
    fn file(&self) -> usize {
        self.jobs.first().map_or(0, |job| job.file)
    }
}

struct Work<'a> {
    tasks: Mutex<VecDeque<Task<'a>>>,
    /// By server: its connections.
    lanes: Vec<Vec<Mutex<Lane>>>,
    staged: Vec<Mutex<Staged>>,
    key: &'a MasterKey,
    report: &'a dyn Report,
}

/// All pieces of these files, for the servers of their plans.
pub(super) fn all_jobs(plans: &[&Plan]) -> Vec<Job> {
    let job = |(file, piece): (usize, u8)| {
        let plan = plans[file];
        let servers = plan.holders[usize::from(piece) - 1].clone();
        Job { file, piece, servers }
    };
    let of_file = |file: usize| {
        let xors = plans[file].header.scheme.pieces().filter(|&piece| is_xor(piece));
        job_order().chain(xors).map(move |piece| (file, piece))
    };
    (0..plans.len()).flat_map(of_file).map(job).collect()
}

fn is_xor(piece: u8) -> bool {
    parity::sources(piece).is_some()
}

/// Whether its pieces and XORs are sent at the same time, because they are too large to be held in memory.
fn is_streamed(plan: &Plan) -> bool {
    plan.header.scheme.pieces().any(is_xor) && plan.header.of_piece(1).body_size() >= MIN_PARTIAL
}

/// For each of so many servers, how many connections these jobs need at the same time, apart from the first.
pub(super) fn extras_wanted(plans: &[&Plan], jobs: &[Job], servers: usize) -> Vec<usize> {
    let at_once = |file: usize, server: usize| {
        jobs.iter().filter(|job| job.file == file && job.servers.contains(&server)).count()
    };
    let streamed: Vec<usize> = (0..plans.len()).filter(|&file| is_streamed(plans[file])).collect();
    let most = |server| streamed.iter().map(|&file| at_once(file, server)).max().unwrap_or(0);
    (0..servers).map(|server| most(server).saturating_sub(1)).collect()
}

/// Does these jobs for these files, of which so much is staged already. Returns the result for each file, and the
/// connections, each with its server.
pub(super) fn stage_all(
    plans: &[&Plan],
    staged: Vec<Staged>,
    jobs: &[Job],
    (peers, extras): (Vec<Option<Peer>>, Extras),
    key: &MasterKey,
    report: &dyn Report,
) -> (Vec<Staged>, Returned, Extras) {
    // Of a server with fewer than its pieces need, some pieces are left for the next round.
    let lanes = |(peer, extras): (Option<Peer>, Vec<Peer>)| {
        let peers = std::iter::once(peer).chain(extras.into_iter().map(Some));
        Lane::all_of(peers).into_iter().map(Mutex::new).collect()
    };
    let work = Work {
        tasks: Mutex::default(),
        lanes: peers.into_iter().zip(extras).map(lanes).collect(),
        staged: staged.into_iter().map(Mutex::new).collect(),
        key,
        report,
    };
    let bytes = jobs.iter().map(|job| plans[job.file].header.of_piece(job.piece).piece_size).sum();
    let (streamed, others): (Vec<Task<'_>>, Vec<Task<'_>>) =
        tasks(plans, jobs).into_iter().partition(|task| is_streamed(task.plan));
    let threads = threads_for(bytes, available_parallelism().map_or(1, usize::from)).min(others.len());
    *lock(&work.tasks) = others.into();
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| work.run());
        }
        work.run();
    });
    streamed.iter().for_each(|task| work.stream(task));
    for lane in work.lanes.iter().flatten() {
        lock(lane).try_send(Peer::flush);
    }
    for (server, lanes) in work.lanes.iter().enumerate() {
        lanes.iter().for_each(|lane| lock(lane).collect_replies(server, &work.staged));
    }
    let staged = work.staged.into_iter().map(|o| o.into_inner().unwrap_or_else(PoisonError::into_inner));
    let (mut returned, mut extras) = (Returned::new(), Extras::new());
    for (server, lanes) in work.lanes.into_iter().enumerate() {
        let peers = lanes.into_iter().map(|l| l.into_inner().unwrap_or_else(PoisonError::into_inner).peer);
        let mut peers = peers.flatten();
        // A server that has ended one connection is not trusted to have what was sent on the others.
        let first =
            peers.next().map(|first| first.and_then(|first| Ok((first, peers.collect::<Result<_, _>>()?))));
        extras.push(Vec::new());
        match first {
            Some(Ok((first, others))) => {
                returned.push((server, Ok(first)));
                extras[server] = others;
            }
            Some(Err(why)) => returned.push((server, Err(why))),
            None => {}
        }
    }
    (staged.collect(), returned, extras)
}

/// What belongs together.
fn tasks<'a>(plans: &[&'a Plan], jobs: &'a [Job]) -> Vec<Task<'a>> {
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for job in jobs {
        let plan = plans[job.file];
        match tasks.last_mut() {
            Some(task) if task.file() == job.file && plan.header.scheme.pieces().any(is_xor) => {
                task.jobs.push(job);
            }
            _ => tasks.push(Task { plan, jobs: vec![job] }),
        }
    }
    tasks
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

/// One piece of a task: what it is made of, and what is made of it.
struct Part<'a> {
    piece: u8,
    /// Its holders, each with the connection by which it goes there.
    lanes: Vec<(usize, &'a Mutex<Lane>)>,
    sources: Option<[Source; 2]>,
    xors: Vec<SyncSender<Arc<[u8]>>>,
}

impl Work<'_> {
    fn run(&self) {
        let mut buffer = Vec::new();
        loop {
            let Some(task) = lock(&self.tasks).pop_front() else { return };
            for part in self.parts(&task, ALL_STEPS, |_| 0) {
                self.stage(&task, part, &mut buffer);
            }
        }
    }

    /// Stages all pieces of a task at the same time.
    fn stream(&self, task: &Task<'_>) {
        let mut used = vec![0; self.lanes.len()];
        let next_lane = |server: usize| {
            used[server] += 1;
            used[server] - 1
        };
        let parts = self.parts(task, STEPS_AHEAD, next_lane);
        thread::scope(|scope| {
            for part in parts {
                scope.spawn(|| self.stage(task, part, &mut Vec::new()));
            }
        });
    }

    /// The pieces of a task, each after those of which it is an XOR. What an XOR is made of is among them even if
    /// nobody is to be sent it.
    fn parts(
        &self,
        task: &Task<'_>,
        steps_ahead: usize,
        mut lane: impl FnMut(usize) -> usize,
    ) -> Vec<Part<'_>> {
        let with_lanes = |job: &&Job| {
            let mut servers = job.servers.clone();
            servers.sort_unstable();
            let lanes = servers
                .into_iter()
                .filter_map(|server| Some((server, self.lanes[server].get(lane(server))?)));
            (job.piece, lanes.collect::<Vec<_>>())
        };
        let mut sent: Vec<_> = task.jobs.iter().map(with_lanes).collect();
        // What no connection is left for waits for the next round.
        sent.retain(|(_, lanes)| !lanes.is_empty());
        let is_source = |piece: &u8| {
            sent.iter().filter_map(|(of, _)| parity::sources(*of)).flatten().any(|of| of == *piece)
        };
        let is_sent = |piece: &u8| sent.iter().any(|(of, _)| of == piece);
        let unsent = placement::pieces().filter(|piece| is_source(piece) && !is_sent(piece));
        let unsent: Vec<_> = unsent.map(|piece| (piece, Vec::new())).collect();
        let mut parts: Vec<Part<'_>> = Vec::new();
        for (piece, lanes) in unsent.into_iter().chain(sent) {
            let source = |source: u8| {
                let (sender, steps) = sync_channel(steps_ahead);
                let part = parts.iter_mut().find(|part| part.piece == source);
                part.into_iter().for_each(|part| part.xors.push(sender.clone()));
                Source::new(&task.plan.header.of_piece(source), steps)
            };
            let sources = parity::sources(piece).map(|sources| sources.map(source));
            parts.push(Part { piece, lanes, sources, xors: Vec::new() });
        }
        parts
    }

    /// Tells each holder of a piece what will follow: all of the piece, or what the server lacks.
    fn announce<'l>(
        &self,
        task: &Task<'_>,
        header: &Header,
        lanes: Vec<(usize, &'l Mutex<Lane>)>,
    ) -> Vec<Receiver<'l>> {
        let opening = self.key.seal_opening(&header.encode());
        let receiver = |(server, lane): (usize, &'l Mutex<Lane>)| {
            let kept = task.plan.kept.iter().find(|kept| kept.is(server, header.piece));
            let (from, chunks) = kept.map_or((header.version, 0), |kept| (kept.version, kept.chunks));
            let start = chunks.checked_sub(1).map_or(0, |last| header.stored_chunk(last).end);
            let length = header.payload_size() - start;
            let request = match header.body_size() >= MIN_PARTIAL {
                true => Request::Resume { header: Box::new(header.clone()), opening, from, chunks, length },
                false => Request::Stage { header: Box::new(header.clone()), length, restore: None },
            };
            let mut lane = lock(lane);
            lane.expected.push_back((task.file(), header.piece));
            lane.try_send(|peer| peer.send(&request));
            Receiver { lane, chunks, start, left: length }
        };
        lanes.into_iter().map(receiver).collect()
    }

    fn stage<'l>(&'l self, task: &Task<'_>, part: Part<'l>, buffer: &mut Vec<u8>) {
        let (plan, staged) = (task.plan, &self.staged[task.file()]);
        // A file that failed needs no more bytes.
        if lock(staged).local.is_some() {
            return;
        }
        let header = plan.header.of_piece(part.piece);
        let mut receivers = self.announce(task, &header, part.lanes);
        let first_lacking = receivers.iter().map(|receiver| receiver.chunks).min().unwrap_or(0);
        let sent = lock(staged).pieces.iter().find(|sent| sent.piece == part.piece).cloned();
        let is_first = sent.is_none();
        let table = sent.map_or_else(|| plan.known_hashes(part.piece), |sent| sent.table);
        let known = header.stored_chunk_size() * (table.len() / 32) as u64;
        let take = |step: &[u8], at: u64, done: u64| {
            pass_on(step, &part.xors)?;
            receivers.iter_mut().for_each(|receiver| receiver.send(step, at));
            if is_first && at >= known && done > 0 {
                self.report.progress(Progress { done });
            }
            Ok(())
        };
        let made = match part.sources {
            Some(sources) => make_xor(&header, sources, take),
            // An XOR needs all of it, in the same steps as its other source.
            None if !part.xors.is_empty() => {
                encrypt(plan, &header, Extent { from: 0, table, in_whole_chunks: true }, buffer, take)
            }
            None => {
                let extent = Extent { from: first_lacking, table, in_whole_chunks: false };
                encrypt(plan, &header, extent, buffer, take)
            }
        };
        match made {
            Ok(encrypted) => {
                let seal = self.key.seal(&header.encode(), &encrypted.root);
                receivers.iter_mut().for_each(|receiver| receiver.finish(&encrypted, &seal));
                if is_first {
                    lock(staged).pieces.push(encrypted);
                }
            }
            Err(why) => {
                if let Unmade::Local(error) = why {
                    lock(staged).local = Some(error);
                }
                receivers.iter_mut().for_each(Receiver::cancel);
            }
        }
    }
}

/// Whether the file has the bytes now that were sent. What is encrypted for that must go nowhere: if they differ, it
/// has the nonces of others.
pub(super) fn has_same_bytes(plan: &Plan, sent: &[Encrypted]) -> Result<bool, LocalError> {
    let mut buffer = Vec::new();
    for sent in sent.iter().filter(|sent| !is_xor(sent.piece)) {
        let header = plan.header.of_piece(sent.piece);
        let all = Extent { from: 0, table: Vec::new(), in_whole_chunks: false };
        match encrypt(plan, &header, all, &mut buffer, |_, _, _| Ok(())) {
            Ok(now) if now.root == sent.root => {}
            Ok(_) | Err(Unmade::Other) => return Ok(false),
            Err(Unmade::Local(error)) => return Err(error),
        }
    }
    Ok(true)
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
