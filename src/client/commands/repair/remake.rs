//! Making pieces of others, for files with parity. The file's plain text is not needed for it.
//!
//! Everything is verified before a server is told to keep it: each chunk that is read, and the root of a piece that its
//! writer has sealed.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::plan::Remake;
use super::repaired::{NotRepaired, Repaired};
use crate::client::core::base::Core;
use crate::client::core::copying::{NotCopied, require_done, send_restore};
use crate::client::core::report::{Doing, Progress, Report};
use crate::client::download::rebuild::{Parts, Remaking, make_next};
use crate::name::FilePath;
use crate::peer::{Peer, PeerError};
use crate::sealed::{ChunkHasher, Claim, Header, MasterKey};
use crate::version::Version;
use crate::wire::Request;

/// Files of which up to so many bytes are to be made are repaired many at a time, through memory.
const SMALL: u64 = 2 << 20;
/// Most bytes that are made of them at a time.
const SMALL_BATCH: u64 = 8 << 20;

/// Makes the pieces that are planned, and publishes them: those of a file all together, which takes the fewest to read.
pub(super) fn remake(core: &mut Core, planned: &[Remake], done: &mut Vec<Repaired>) {
    core.report.doing(Doing::Making);
    core.report.begin(0, planned.iter().map(Remake::bytes).sum());
    let (planned, hopeless): (Vec<&Remake>, Vec<&Remake>) =
        planned.iter().partition(|planned| !planned.targets.is_empty());
    for Remake { survey, lost, .. } in hopeless {
        done.extend(lost.clone().map(|why| Repaired::Failed { path: survey.path.clone(), why }));
    }
    let (mut small, large): (Vec<&Remake>, Vec<&Remake>) =
        planned.into_iter().partition(|planned| planned.bytes() <= SMALL);
    while !small.is_empty() {
        let mut bytes = 0;
        let fits = |planned: &&&Remake| {
            bytes += planned.bytes();
            bytes <= SMALL_BATCH
        };
        let count = small.iter().take_while(fits).count().max(1);
        let batch: Vec<&Remake> = small.drain(..count).collect();
        make_small(core, &batch, done);
    }
    for planned in large {
        let mut targets = planned.targets.clone();
        while !targets.is_empty() {
            targets = make_large(core, planned, targets, done);
        }
    }
    core.cluster.end_extras();
}

/// A piece that is written to a server, and what came of it.
struct Written<'a> {
    planned: &'a Remake,
    piece: u8,
    to: usize,
    outcome: Result<(), NotRepaired>,
}

impl<'a> Written<'a> {
    fn failed(planned: &'a Remake, piece: u8, to: usize, outcome: NotRepaired) -> Self {
        Self { planned, piece, to, outcome: Err(outcome) }
    }

    fn version(&self) -> (usize, &'a FilePath, Version) {
        (self.to, &self.planned.survey.path, self.planned.header.version)
    }
}

/// A claim, body and table, and the floor of the server that they go to.
type Payload = (Claim, Vec<u8>, u64);

/// Makes pieces of several files in memory. None where something is missing.
fn bodies_of(core: &mut Core, batch: &[&Remake]) -> Vec<Option<Parts>> {
    let new = |planned: &&Remake| Remaking::new(&planned.survey, &planned.header, planned.pieces());
    let mut makings: Vec<Remaking> = batch.iter().map(new).collect();
    let mut bodies: Vec<Option<Parts>> = batch
        .iter()
        .map(|planned| Some(planned.pieces().iter().map(|piece| (piece, Vec::new())).collect()))
        .collect();
    loop {
        let is_open =
            |(making, of_file): &(&mut Remaking, &mut Option<_>)| !making.is_done() && of_file.is_some();
        let (mut open, to): (Vec<&mut Remaking>, Vec<_>) =
            makings.iter_mut().zip(&mut bodies).filter(is_open).unzip();
        if open.is_empty() {
            return bodies;
        }
        for (of_file, made) in to.into_iter().zip(make_next(core, &mut open)) {
            match (of_file.as_mut(), made) {
                (Some(of_file), Some(made)) => {
                    of_file.iter_mut().zip(made).for_each(|((_, body), (_, more))| body.extend(more));
                }
                _ => *of_file = None,
            }
        }
    }
}

/// Seals pieces, each with its table at the end. None if one of them is not what it must be.
fn sealed(core: &Core, planned: &Remake, bodies: Parts) -> Option<Vec<(Claim, Vec<u8>)>> {
    let seal = |(piece, mut body): (u8, Vec<u8>)| {
        let mut sealing = Sealing::new(core, planned, piece);
        sealing.update(&body);
        let (claim, table) = sealing.finish()?;
        body.extend(table);
        Some((claim, body))
    };
    bodies.into_iter().map(seal).collect()
}

/// Makes pieces of several files in memory, then sends all of them.
fn make_small(core: &mut Core, batch: &[&Remake], done: &mut Vec<Repaired>) {
    let mut written = Vec::new();
    let mut sending: Vec<(usize, Payload)> = Vec::new();
    for (planned, bodies) in batch.iter().copied().zip(bodies_of(core, batch)) {
        let sealed = bodies.and_then(|bodies| sealed(core, planned, bodies)).unwrap_or_default();
        for &(piece, to) in &planned.targets {
            let made = sealed.iter().find(|(claim, _)| claim.header.piece == piece);
            let Some((claim, payload)) = made else {
                written.push(Written::failed(planned, piece, to, NotRepaired::NotMade(vec![piece])));
                continue;
            };
            sending.push((to, (claim.clone(), payload.clone(), planned.survey.floors[to])));
            written.push(Written { planned, piece, to, outcome: Ok(()) });
        }
    }
    let staged = core.cluster.exchange(
        &sending,
        |peer, (claim, payload, floor)| send_restore(peer, claim, *floor, payload),
        |peer, _| peer.receive_done(),
    );
    let sent = written.iter_mut().filter(|written| written.outcome.is_ok());
    for (written, answer) in sent.zip(staged) {
        written.outcome = require_done(core, written.to, answer).map_err(NotRepaired::from);
    }
    core.report.progress(Progress { done: batch.iter().map(|planned| planned.bytes()).sum() });
    publish(core, written, done);
}

/// Makes pieces of one file, a window at a time, and sends each on a connection of its own, so that memory stays small
/// whatever its size is. Returns those for which a server accepted too few connections: they are left for another time.
fn make_large(
    core: &mut Core,
    planned: &Remake,
    targets: Vec<(u8, usize)>,
    done: &mut Vec<Repaired>,
) -> Vec<(u8, usize)> {
    let to_each =
        (0..core.cluster.len()).map(|server| targets.iter().filter(|(_, to)| *to == server).count());
    let mut lines = core.cluster.lend_extras(&to_each.collect::<Vec<_>>());
    let is_refused: Vec<bool> = lines.iter().map(Vec::is_empty).collect();
    let (mut written, mut sendings, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for (piece, to) in targets {
        match lines[to].pop() {
            Some(peer) => {
                let sealing = Sealing::new(core, planned, piece);
                sendings.push(Sending { piece, to, floor: planned.survey.floors[to], peer, sealing });
            }
            None if !is_refused[to] => left.push((piece, to)),
            None => {
                let name = core.cluster.name(to).clone();
                let why =
                    core.cluster.why_down(to).unwrap_or_else(|| "it accepts no more connections".into());
                written.push(Written::failed(planned, piece, to, NotRepaired::Down(name, why)));
            }
        }
    }
    let (sent, is_made) = send_all(core, planned, sendings);
    let is_made = is_made && sent.iter().all(|sent| !matches!(sent.outcome, Err(NotSent::NotMade)));
    let mut staging = Vec::new();
    for Sent { piece, to, outcome } in sent {
        match outcome {
            Ok((mut peer, claim)) if is_made => {
                let ended = peer.send_end(&claim.root, &claim.seal).and_then(|()| peer.flush());
                staging.push((piece, to, ended.map(|()| peer)));
            }
            Err(NotSent::Lost(why)) => staging.push((piece, to, Err(why))),
            // The connection ends in the middle of the payload, which the server then drops.
            _ => written.push(Written::failed(planned, piece, to, NotRepaired::NotMade(vec![piece]))),
        }
    }
    for (piece, to, peer) in staging {
        let name = || core.cluster.name(to).clone();
        let answer = peer.and_then(|mut peer| {
            let answer = peer.receive_done()?;
            Ok((peer, answer))
        });
        let outcome = match answer {
            Ok((peer, answer)) => {
                lines[to].push(peer);
                answer.map_err(|no| NotCopied::Refused(name(), no))
            }
            Err(why) => Err(NotCopied::Down(name(), why.to_string())),
        };
        written.push(Written { planned, piece, to, outcome: outcome.map_err(NotRepaired::from) });
    }
    core.cluster.keep_extras(lines);
    publish(core, written, done);
    left
}

/// Publishes what was staged, and reports it.
fn publish(core: &mut Core, written: Vec<Written<'_>>, done: &mut Vec<Repaired>) {
    let mut staged: Vec<_> = written.iter().filter(|of| of.outcome.is_ok()).map(Written::version).collect();
    staged.sort_unstable();
    staged.dedup();
    let commit =
        |&(to, path, version): &(usize, &FilePath, Version)| (to, Request::Commit(path.clone(), version));
    let answers = core.cluster.ask_all(&staged.iter().map(commit).collect::<Vec<_>>());
    let outcomes = staged.iter().zip(answers).map(|((to, ..), answer)| require_done(core, *to, answer));
    let committed: Vec<Result<(), NotCopied>> = outcomes.collect();
    for of in &written {
        let path = of.planned.survey.path.clone();
        let is_of = |(staged, _): &(&(usize, &FilePath, Version), _)| **staged == of.version();
        let committed =
            || staged.iter().zip(&committed).find(is_of).map_or(Ok(()), |(_, outcome)| outcome.clone());
        let step = match of.outcome.clone().and_then(|()| Ok(committed()?)) {
            Ok(()) => Repaired::Made { path, piece: of.piece, to: core.cluster.name(of.to).clone() },
            Err(NotRepaired::NotMade(pieces)) => {
                let why = of.planned.lost.clone().unwrap_or(NotRepaired::NotMade(pieces));
                Repaired::Failed { path, why }
            }
            Err(why) => Repaired::Failed { path, why },
        };
        // A lost file is told once.
        if !done.contains(&step) {
            done.push(step);
        }
    }
}

/// The table, root and seal of a piece that is made.
struct Sealing {
    header: Header,
    /// What its writer has sealed, if a server shows that.
    known: Option<Claim>,
    key: MasterKey,
    hasher: ChunkHasher,
    table: Vec<u8>,
    length: u64,
}

impl Sealing {
    fn new(core: &Core, planned: &Remake, piece: u8) -> Self {
        let known = planned.survey.claim(planned.header.version, piece).cloned();
        let header =
            known.as_ref().map_or_else(|| planned.header.of_piece(piece), |known| known.header.clone());
        let hasher = ChunkHasher::new(header.stored_chunk_size());
        Self { header, known, key: core.key.clone(), hasher, table: Vec::new(), length: 0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes, |hash| self.table.extend(hash));
        self.length += bytes.len() as u64;
    }

    /// The claim and the table; `None` if it is not all of the piece, or not what the writer has sealed: then its XORs
    /// were never those of its pieces.
    fn finish(mut self) -> Option<(Claim, Vec<u8>)> {
        if self.length != self.header.body_size() {
            return None;
        }
        let root = self.hasher.finish(|hash| self.table.extend(hash));
        let claim = match self.known {
            Some(known) => Some(known).filter(|known| known.root == root)?,
            None => Claim { seal: self.key.seal(&self.header.encode(), &root), header: self.header, root },
        };
        Some((claim, self.table))
    }
}

/// A piece on its way to a server, on a connection of its own.
struct Sending {
    piece: u8,
    to: usize,
    floor: u64,
    peer: Peer,
    sealing: Sealing,
}

/// A piece of which everything was sent but its end.
struct Sent {
    piece: u8,
    to: usize,
    outcome: Result<(Peer, Claim), NotSent>,
}

enum NotSent {
    Lost(PeerError),
    NotMade,
}

impl From<PeerError> for NotSent {
    fn from(why: PeerError) -> Self {
        NotSent::Lost(why)
    }
}

/// Makes pieces and sends them while the next part of them is made. Returns whether all could be made.
fn send_all(core: &mut Core, planned: &Remake, sendings: Vec<Sending>) -> (Vec<Sent>, bool) {
    let pieces = sendings.iter().map(|sending| sending.piece).collect();
    let mut making = Remaking::new(&planned.survey, &planned.header, pieces);
    let report = Arc::clone(&core.report);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut parts: Vec<(u8, SyncSender<Arc<Vec<u8>>>)> = Vec::new();
        for sending in sendings {
            let (piece, to, report) = (sending.piece, sending.to, &*report);
            // One that is sent, one that waits, and one that is made: memory is bounded.
            let (give, take) = sync_channel(1);
            parts.push((piece, give));
            threads.push((piece, to, scope.spawn(move || sending.run(&take, report))));
        }
        while !making.is_done() && !parts.is_empty() {
            let Some(made) = make_next(core, &mut [&mut making]).pop().flatten() else { break };
            for (piece, bytes) in made {
                let bytes = Arc::new(bytes);
                // A connection that was lost takes no more.
                parts.retain(|(of, give)| *of != piece || give.send(Arc::clone(&bytes)).is_ok());
            }
        }
        drop(parts);
        let sent = threads.into_iter().map(|(piece, to, thread)| {
            let panicked = |_| Err(NotSent::Lost(PeerError::Closed));
            Sent { piece, to, outcome: thread.join().unwrap_or_else(panicked) }
        });
        let sent = sent.collect();
        (sent, making.is_done())
    })
}

impl Sending {
    /// Sends the parts of the body as they come, and the table. The end is left to the caller.
    fn run(self, parts: &Receiver<Arc<Vec<u8>>>, report: &dyn Report) -> Result<(Peer, Claim), NotSent> {
        let Sending { floor, mut peer, mut sealing, .. } = self;
        let header = &sealing.header;
        let (length, header) = (header.payload_size(), Box::new(header.clone()));
        peer.send(&Request::Stage { header, length, restore: Some(floor) })?;
        for part in parts {
            sealing.update(&part);
            peer.send_payload(&part)?;
            report.progress(Progress { done: part.len() as u64 });
        }
        let (claim, table) = sealing.finish().ok_or(NotSent::NotMade)?;
        peer.send_payload(&table)?;
        Ok((peer, claim))
    }
}
