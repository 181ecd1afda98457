//! Copying pieces from server to server: READ here, RESTORE and COMMIT there.

use std::sync::Arc;

use super::plan::Task;
use super::step::{NotRepaired, Repaired};
use crate::client::Client;
use crate::client::report::{Doing, Progress, Report, Silent};
use crate::peer::{Answer, No, Peer, PeerError};
use crate::sealed::Claim;
use crate::wire::Request;

/// Pieces up to this many bytes are copied many at a time, through memory.
const SMALL: u64 = 256 * 1024;
/// Small pieces that are copied at a time.
const SMALL_BATCH: usize = 32;
/// Bytes of a large piece that are passed on at a time.
const STEP: usize = 256 * 1024;

impl Client {
    pub(super) fn copy_pieces(&mut self, tasks: &[Task], done: &mut Vec<Repaired>) {
        let (small, large): (Vec<&Task>, Vec<&Task>) =
            tasks.iter().partition(|task| task.claim.header.piece_size <= SMALL);
        self.report.doing(Doing::Copying);
        self.report.begin(0, tasks.iter().map(|task| task.claim.header.piece_size).sum());
        let mut outcomes: Vec<(&Task, Result<(), NotRepaired>)> = Vec::new();
        for batch in small.chunks(SMALL_BATCH) {
            let mut results = self.stage_small(batch);
            self.commit_copies(batch, &mut results);
            outcomes.extend(batch.iter().copied().zip(results));
            let done = batch.iter().map(|task| task.claim.header.piece_size).sum();
            self.report.progress(Progress { done });
        }
        for task in large {
            outcomes.push((task, self.copy_large(task)));
        }
        for (task, mut outcome) in outcomes {
            let mut task = task.clone();
            while outcome.is_err()
                && let Some(from) = task.others.pop()
            {
                task.from = from;
                outcome = self.copy_large(&task);
            }
            done.push(match outcome {
                Ok(()) => self.copied(&task),
                Err(why) => Repaired::Failed { path: task.claim.header.path.clone(), why },
            });
        }
    }

    /// Stages copies of pieces without a word of it, and commits none; gives the outcomes in the same order. The other
    /// servers of a task are not tried.
    pub(super) fn stage_copies(&mut self, tasks: &[Task]) -> Vec<Result<(), NotRepaired>> {
        let is_small = |task: &&Task| task.claim.header.piece_size <= SMALL;
        let small: Vec<&Task> = tasks.iter().filter(is_small).collect();
        let mut staged = Vec::new();
        for batch in small.chunks(SMALL_BATCH) {
            staged.extend(self.stage_small(batch));
        }
        let mut staged = staged.into_iter();
        let of_small = |task: &Task| if is_small(&task) { staged.next() } else { None };
        let outcomes: Vec<Option<_>> = tasks.iter().map(of_small).collect();
        let of_large =
            |(task, outcome): (&Task, Option<_>)| outcome.unwrap_or_else(|| self.stage_large(task, &Silent));
        tasks.iter().zip(outcomes).map(of_large).collect()
    }

    /// Stages copies of small pieces through memory: all are read, then all staged.
    fn stage_small(&mut self, tasks: &[&Task]) -> Vec<Result<(), NotRepaired>> {
        let reads: Vec<(usize, Request)> =
            tasks.iter().map(|task| (task.from, read_request(&task.claim))).collect();
        let payloads = self.cluster.exchange_with(
            &reads,
            &*self.report,
            |peer, request| peer.send(request),
            |peer, request| {
                let Request::Read { length, .. } = request else { return Ok(Ok(Vec::new())) };
                let answer = peer.receive_data(*length)?;
                let mut bytes = vec![0; usize::try_from(*length).unwrap_or(0)];
                if answer.is_ok() {
                    peer.receive_payload(&mut bytes)?;
                }
                Ok(answer.map(|()| bytes))
            },
        );
        let mut results: Vec<Result<(), NotRepaired>> = Vec::new();
        let mut stages = Vec::new();
        for (index, (task, payload)) in tasks.iter().zip(payloads).enumerate() {
            match payload {
                Some(Ok(bytes)) => {
                    stages.push((task.to, (index, bytes)));
                    results.push(Ok(()));
                }
                other => results.push(Err(self.why_not(task.from, other.map(|a| a.map(|_| ()))))),
            }
        }
        let staged = self.cluster.exchange_with(
            &stages,
            &*self.report,
            |peer, (index, bytes)| send_restore(peer, &tasks[*index].claim, tasks[*index].floor, bytes),
            |peer, _| peer.receive_done(),
        );
        for ((server, (index, _)), answer) in stages.iter().zip(staged) {
            if !matches!(answer, Some(Ok(()))) {
                results[*index] = Err(self.why_not(*server, answer));
            }
        }
        results
    }

    fn commit_copies(&mut self, tasks: &[&Task], results: &mut [Result<(), NotRepaired>]) {
        let staged: Vec<usize> = (0..tasks.len()).filter(|&index| results[index].is_ok()).collect();
        let requests: Vec<(usize, Request)> = staged
            .iter()
            .map(|&index| {
                let header = &tasks[index].claim.header;
                (tasks[index].to, Request::Commit(header.path.clone(), header.version))
            })
            .collect();
        let answers = self.cluster.exchange(&requests, &*self.report, Peer::receive_done);
        for ((index, (server, _)), answer) in staged.into_iter().zip(&requests).zip(answers) {
            if !matches!(answer, Some(Ok(()))) {
                results[index] = Err(self.why_not(*server, answer));
            }
        }
    }

    fn copy_large(&mut self, task: &Task) -> Result<(), NotRepaired> {
        let report = Arc::clone(&self.report);
        let mut results = [self.stage_large(task, &*report)];
        self.commit_copies(&[task], &mut results);
        let [result] = results;
        result
    }

    /// Passes a large piece on in steps, so that memory stays small whatever its size.
    fn stage_large(&mut self, task: &Task, progress: &dyn Report) -> Result<(), NotRepaired> {
        let Some((from, to)) = self.cluster.pair(task.from, task.to) else {
            let down = if self.cluster.is_up(task.from) { task.to } else { task.from };
            return Err(self.why_not(down, None));
        };
        let passed = pass_on(from, to, task, progress);
        let staged = match passed {
            Ok(answer) => answer,
            Err((server, why)) => {
                // Both ends are in the middle of a payload now.
                self.cluster.lose(task.from, PeerError::Closed, &Silent);
                self.cluster.lose(task.to, PeerError::Closed, &Silent);
                self.cluster.refresh(&*self.report);
                return Err(NotRepaired::Down(self.cluster.name(server).clone(), why.to_string()));
            }
        };
        staged.map_err(|(server, no)| NotRepaired::Refused(self.cluster.name(server).clone(), no))
    }
}

/// Body and table of a piece, in one READ.
fn read_request(claim: &Claim) -> Request {
    let (header, layout) = (&claim.header, claim.header.layout());
    Request::Read {
        path: header.path.clone(),
        piece: header.piece,
        version: header.version,
        offset: layout.body.start,
        length: layout.table.end - layout.body.start,
    }
}

pub(super) fn send_restore(
    peer: &mut Peer,
    claim: &Claim,
    floor: u64,
    payload: &[u8],
) -> Result<(), PeerError> {
    peer.send(&restore_request(claim, floor, payload.len() as u64))?;
    peer.send_payload(payload)?;
    peer.send_end(&claim.root, &claim.seal)
}

fn restore_request(claim: &Claim, floor: u64, length: u64) -> Request {
    Request::Stage { header: Box::new(claim.header.clone()), length, restore: Some(floor) }
}

/// Streams a piece from one server to another; says which of them refused or failed.
fn pass_on(
    from: &mut Peer,
    to: &mut Peer,
    task: &Task,
    report: &dyn Report,
) -> Result<Result<(), (usize, No)>, (usize, PeerError)> {
    let claim = &task.claim;
    let request = read_request(claim);
    let Request::Read { length, .. } = request else { return Ok(Ok(())) };
    let source = |why| (task.from, why);
    let target = |why| (task.to, why);
    from.send(&request).and_then(|()| from.flush()).map_err(source)?;
    let answer: Answer<()> = from.receive_data(length);
    if let Err(no) = answer.map_err(source)? {
        return Ok(Err((task.from, no)));
    }
    to.send(&restore_request(claim, task.floor, length)).map_err(target)?;
    let mut buffer = vec![0; STEP];
    let mut left = length;
    while left > 0 {
        let part = STEP.min(usize::try_from(left).unwrap_or(STEP));
        from.receive_payload(&mut buffer[..part]).map_err(source)?;
        to.send_payload(&buffer[..part]).map_err(target)?;
        left -= part as u64;
        report.progress(Progress { done: part as u64 });
    }
    to.send_end(&claim.root, &claim.seal).and_then(|()| to.flush()).map_err(target)?;
    Ok(to.receive_done().map_err(target)?.map_err(|no| (task.to, no)))
}
