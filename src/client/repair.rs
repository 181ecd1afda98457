//! Repair: brings files back to the copies that were asked for, by copying ciphertext.
//!
//! Nothing is deleted on the strength of a server that did not answer: what is dropped is older than
//! a version whose copies were all checked in this very run.

use std::fmt;

use super::Client;
use super::error::ClientError;
use super::report::{Doing, Progress, Report};
use super::survey::Survey;
use super::verify::{BATCH, Copy, damaged_holders, good_holders};
use crate::commit::{Held, Phase, TOMBSTONE};
use crate::name::{FilePath, FolderPath, ServerName};
use crate::peer::{Answer, No, Peer, PeerError};
use crate::placement;
use crate::sealed::{Claim, MasterKey};
use crate::version::Version;
use crate::wire::{Request, StageEnd};

/// Pieces up to this many bytes are copied many at a time, through memory.
const SMALL: u64 = 256 * 1024;
/// Small pieces that are copied at a time.
const SMALL_BATCH: usize = 32;
/// Bytes of a large piece that are passed on at a time.
const STEP: usize = 256 * 1024;

/// One thing that Repair did, would do, or could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repaired {
    /// A piece was copied from one server to another.
    Copied {
        /// The file.
        path: FilePath,
        /// The piece.
        piece: u8,
        /// Where a good copy was.
        from: ServerName,
        /// Where one is now.
        to: ServerName,
    },
    /// Outdated or damaged pieces were dropped at a server.
    Dropped {
        /// The file.
        path: FilePath,
        /// Where.
        server: ServerName,
    },
    /// A delete was brought to a server that had slept through it.
    Buried {
        /// The deleted name.
        path: FilePath,
        /// Where.
        server: ServerName,
    },
    /// A tombstone that every server has was dropped.
    Forgotten {
        /// The deleted name.
        path: FilePath,
    },
    /// An upload that was left half done was completed or dropped.
    Settled {
        /// The file.
        path: FilePath,
    },
    /// Something could not be repaired.
    Failed {
        /// The file.
        path: FilePath,
        /// Why.
        why: String,
    },
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Repaired::Copied { path, piece, from, to } => {
                write!(f, "{path}: piece {piece} copied from {from} to {to}")
            }
            Repaired::Dropped { path, server } => {
                write!(f, "{path}: old or damaged pieces dropped on {server}")
            }
            Repaired::Buried { path, server } => write!(f, "{path}: deleted on {server} too"),
            Repaired::Forgotten { path } => write!(f, "{path}: deleted everywhere"),
            Repaired::Settled { path } => write!(f, "{path}: an unfinished upload settled"),
            Repaired::Failed { path, why } => write!(f, "{path}: not repaired: {why}"),
        }
    }
}

/// What a repair has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RepairSummary {
    /// Names looked at.
    pub names: usize,
    /// Steps done, or that would be done.
    pub steps: usize,
    /// Steps that failed.
    pub failed: usize,
}

/// A piece to copy.
#[derive(Clone)]
struct Task {
    claim: Claim,
    from: usize,
    /// Other servers with a good copy, if the first does not give it.
    others: Vec<usize>,
    to: usize,
    /// The floor of the server that it goes to, as it was seen.
    floor: u64,
}

impl Client {
    /// Repairs every file below a folder. Each step goes to `tell`; with `dry` none is done.
    ///
    /// # Errors
    /// If no server is up.
    pub fn repair(
        &mut self,
        folder: &FolderPath,
        dry: bool,
        tell: impl FnMut(&Repaired),
    ) -> Result<RepairSummary, ClientError> {
        self.cluster.refresh(&*self.report);
        self.require_server()?;
        let names = self.names(folder, true)?;
        self.repair_names(names, dry, tell)
    }

    /// Repairs everything but what is under `other_key` already.
    pub(super) fn repair_with(
        &mut self,
        folder: &FolderPath,
        other_key: &MasterKey,
        tell: impl FnMut(&Repaired),
    ) -> Result<RepairSummary, ClientError> {
        let mut names = self.names(folder, true)?;
        names.retain(|name| !self.is_under(name, other_key));
        self.repair_names(names, false, tell)
    }

    pub(super) fn repair_names(
        &mut self,
        names: Vec<FilePath>,
        dry: bool,
        mut tell: impl FnMut(&Repaired),
    ) -> Result<RepairSummary, ClientError> {
        self.report.expect(names.len());
        let mut summary = RepairSummary { names: names.len(), ..RepairSummary::default() };
        for batch in names.chunks(BATCH) {
            for step in self.repair_batch(batch, dry) {
                summary.failed += usize::from(matches!(step, Repaired::Failed { .. }));
                summary.steps += 1;
                tell(&step);
            }
        }
        self.report.end();
        Ok(summary)
    }

    fn repair_batch(&mut self, batch: &[FilePath], dry: bool) -> Vec<Repaired> {
        let mut done = Vec::new();
        let mut surveys = self.cluster.ask(batch, &self.config.user, &self.key, &*self.report);
        for survey in &surveys {
            let view = survey.view();
            if !view.forward.is_empty() || !view.abandoned.is_empty() {
                done.push(Repaired::Settled { path: survey.path.clone() });
            }
        }
        if !dry {
            surveys = self.cluster.survey(batch, &self.config.user, &self.key, &*self.report);
        }
        let mut copies = self.check_copies(&surveys, surveys.len());
        let mut tasks = Vec::new();
        for (survey, copies) in surveys.iter().zip(&copies) {
            match self.plan_repair(survey, copies) {
                Ok(planned) => tasks.extend(planned),
                Err(why) => done.push(Repaired::Failed { path: survey.path.clone(), why }),
            }
        }
        if dry {
            done.extend(tasks.iter().map(|task| self.copied(task)));
        } else {
            if !tasks.is_empty() {
                self.copy_pieces(&tasks, &mut done);
                // What was written is looked at again, before anything older goes.
                surveys = self.cluster.survey(batch, &self.config.user, &self.key, &*self.report);
                copies = self.check_copies(&surveys, 0);
            }
        }
        self.drop_outdated(&surveys, &copies, dry, &mut done);
        self.bury_again(&surveys, dry, &mut done);
        done
    }

    /// Which pieces to copy for a file, from where to where.
    fn plan_repair(&self, survey: &Survey, copies: &[Copy]) -> Result<Vec<Task>, String> {
        let Some(version) = survey.file_version() else {
            let unreadable = survey.view().decided.is_none() && !survey.distrusted.is_empty();
            return if unreadable {
                Err("no copy that can be read with this key".into())
            } else {
                Ok(Vec::new())
            };
        };
        let up: Vec<bool> = (0..self.cluster.len()).map(|s| self.cluster.is_up(s)).collect();
        let mut tasks = Vec::new();
        let mut lost = Vec::new();
        for piece in placement::pieces() {
            let good = good_holders(copies, piece);
            let (Some(&from), Some(claim)) = (good.first(), survey.claim(version, piece)) else {
                lost.push(piece.to_string());
                continue;
            };
            let wanted = placement::copies_wanted(usize::from(claim.header.replicas), self.cluster.len());
            let damaged = damaged_holders(survey, copies, piece);
            let to = targets(&good, &damaged, &up, wanted, &survey.ring(piece));
            tasks.extend(to.into_iter().map(|to| Task {
                claim: claim.clone(),
                from,
                others: good[1..].to_vec(),
                to,
                floor: survey.floors[to],
            }));
        }
        if lost.is_empty() { Ok(tasks) } else { Err(format!("no good copy of piece {}", lost.join(", "))) }
    }

    fn copied(&self, task: &Task) -> Repaired {
        Repaired::Copied {
            path: task.claim.header.path.clone(),
            piece: task.claim.header.piece,
            from: self.cluster.name(task.from).clone(),
            to: self.cluster.name(task.to).clone(),
        }
    }

    fn copy_pieces(&mut self, tasks: &[Task], done: &mut Vec<Repaired>) {
        let (small, large): (Vec<&Task>, Vec<&Task>) =
            tasks.iter().partition(|task| task.claim.header.piece_size <= SMALL);
        self.report.doing(Doing::Copying);
        self.report.begin(0, tasks.iter().map(|task| task.claim.header.piece_size).sum());
        let mut outcomes: Vec<(&Task, Result<(), String>)> = Vec::new();
        for batch in small.chunks(SMALL_BATCH) {
            outcomes.extend(batch.iter().copied().zip(self.copy_small(batch)));
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

    /// Copies small pieces through memory: all are read, then all staged, then all committed.
    fn copy_small(&mut self, tasks: &[&Task]) -> Vec<Result<(), String>> {
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
        let mut results: Vec<Result<(), String>> = Vec::new();
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
        self.commit_copies(tasks, &mut results);
        results
    }

    fn commit_copies(&mut self, tasks: &[&Task], results: &mut [Result<(), String>]) {
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

    fn why_not(&self, server: usize, answer: Option<Result<(), No>>) -> String {
        let why = match answer {
            Some(Err(no)) => no.to_string(),
            _ => self.cluster.why_down(server).unwrap_or_else(|| "no answer".into()),
        };
        format!("{}: {why}", self.cluster.name(server))
    }

    /// Passes a large piece on in steps, so that memory stays small whatever its size.
    fn copy_large(&mut self, task: &Task) -> Result<(), String> {
        let Some((from, to)) = self.cluster.pair(task.from, task.to) else {
            return Err(self.why_not(task.from, None));
        };
        let passed = pass_on(from, to, task, &*self.report);
        let staged = match passed {
            Ok(answer) => answer,
            Err((at_source, why)) => {
                let server = if at_source { task.from } else { task.to };
                // Both ends are in the middle of a payload now.
                self.cluster.lose(task.from, PeerError::Closed, &super::report::Silent);
                self.cluster.lose(task.to, PeerError::Closed, &super::report::Silent);
                self.cluster.refresh(&*self.report);
                return Err(format!("{}: {why}", self.cluster.name(server)));
            }
        };
        if let Err(no) = staged {
            return Err(self.why_not(task.to, Some(Err(no))));
        }
        let mut results = [Ok(())];
        self.commit_copies(&[task], &mut results);
        let [result] = results;
        result
    }

    /// Drops what is older than a version that has all its copies, checked in this run.
    fn drop_outdated(
        &mut self,
        surveys: &[Survey],
        copies: &[Vec<Copy>],
        dry: bool,
        done: &mut Vec<Repaired>,
    ) {
        let up = self.cluster.up().count();
        let mut requests = Vec::new();
        for (survey, copies) in surveys.iter().zip(copies) {
            let Some(version) = survey.file_version() else { continue };
            let replicas = survey.any_claim(version).map_or(1, |c| usize::from(c.header.replicas));
            let wanted = placement::copies_wanted(replicas, self.cluster.len()).min(up);
            let enough = placement::pieces().all(|piece| good_holders(copies, piece).len() >= wanted);
            if enough || dry {
                for server in survey.outdated(version) {
                    requests.push((server, Request::Retire(survey.path.clone(), version)));
                }
            }
        }
        self.carry_out(&requests, dry, done, |path, server| Repaired::Dropped { path, server });
    }

    /// Brings deletes to the servers that slept through them, and forgets those that all have.
    fn bury_again(&mut self, surveys: &[Survey], dry: bool, done: &mut Vec<Repaired>) {
        let mut everywhere = Vec::new();
        for survey in surveys {
            let Some(version) = survey.tombstone() else { continue };
            // A tombstone that is only staged can still be lost.
            let published = Held { piece: TOMBSTONE, version, phase: Phase::Published };
            let has_it = |server: &usize| survey.answers[*server].iter().flatten().any(|h| *h == published);
            let have: Vec<usize> = (0..self.cluster.len()).filter(has_it).collect();
            let lacking: Vec<usize> = self.cluster.up().filter(|server| !have.contains(server)).collect();
            let path = survey.path.clone();
            let mut reached = have.len();
            for &server in &lacking {
                let name = self.cluster.name(server).clone();
                if dry || self.bury_at(survey, version, server) {
                    reached += 1;
                    done.push(Repaired::Buried { path: path.clone(), server: name });
                } else {
                    let why = self.why_not(server, None);
                    done.push(Repaired::Failed { path: path.clone(), why });
                }
            }
            if reached == self.cluster.len() {
                done.push(Repaired::Forgotten { path: path.clone() });
                everywhere.push((path, version));
            }
        }
        if !dry {
            self.forget(&everywhere);
        }
    }

    /// Stages and commits a tombstone that other servers have.
    fn bury_at(&mut self, survey: &Survey, version: Version, server: usize) -> bool {
        let Some(claim) = survey.claim(version, TOMBSTONE) else { return false };
        let staged = self.cluster.exchange_with(
            &[(server, claim)],
            &*self.report,
            |peer, claim| send_restore(peer, claim, survey.floors[server], &[]),
            |peer, _| peer.receive_done(),
        );
        if !matches!(staged[..], [Some(Ok(()))]) {
            return false;
        }
        let commit = [(server, Request::Commit(survey.path.clone(), version))];
        let committed = self.cluster.exchange(&commit, &*self.report, Peer::receive_done);
        matches!(committed[..], [Some(Ok(()))])
    }

    fn carry_out(
        &mut self,
        requests: &[(usize, Request)],
        dry: bool,
        done: &mut Vec<Repaired>,
        step: impl Fn(FilePath, ServerName) -> Repaired,
    ) {
        let answers = if dry {
            requests.iter().map(|_| Some(Ok(()))).collect()
        } else {
            self.cluster.exchange(requests, &*self.report, Peer::receive_done)
        };
        for ((server, request), answer) in requests.iter().zip(answers) {
            let (Request::Retire(path, _) | Request::Forget(path, _)) = request else { continue };
            let name = self.cluster.name(*server).clone();
            done.push(match answer {
                Some(Ok(())) => step(path.clone(), name),
                other => Repaired::Failed { path: path.clone(), why: self.why_not(*server, other) },
            });
        }
    }
}

/// Where copies are to be made: first over damaged ones, then on the ring until there are enough.
fn targets(good: &[usize], damaged: &[usize], up: &[bool], wanted: usize, ring: &[usize]) -> Vec<usize> {
    let mut targets: Vec<usize> = damaged.iter().copied().filter(|s| up[*s] && !good.contains(s)).collect();
    targets.dedup();
    for &server in ring {
        if good.len() + targets.len() >= wanted {
            break;
        }
        if up[server] && !good.contains(&server) && !targets.contains(&server) {
            targets.push(server);
        }
    }
    targets
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

fn send_restore(peer: &mut Peer, claim: &Claim, floor: u64, payload: &[u8]) -> Result<(), PeerError> {
    peer.send(&restore_request(claim, floor, payload.len() as u64))?;
    peer.send_payload(payload)?;
    peer.send_end(&StageEnd::End { root: claim.root, seal: claim.seal, sum: None })
}

fn restore_request(claim: &Claim, floor: u64, length: u64) -> Request {
    Request::Stage { header: Box::new(claim.header.clone()), length, restore: Some(floor) }
}

/// Streams a piece from one server to another; says on an error whether it was the source's.
fn pass_on(
    from: &mut Peer,
    to: &mut Peer,
    task: &Task,
    report: &dyn Report,
) -> Result<Result<(), No>, (bool, PeerError)> {
    let claim = &task.claim;
    let request = read_request(claim);
    let Request::Read { length, .. } = request else { return Ok(Ok(())) };
    let source = |why| (true, why);
    let target = |why| (false, why);
    from.send(&request).and_then(|()| from.flush()).map_err(source)?;
    let answer: Answer<()> = from.receive_data(length);
    if let Err(no) = answer.map_err(source)? {
        return Ok(Err(no));
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
    to.send_end(&StageEnd::End { root: claim.root, seal: claim.seal, sum: None })
        .and_then(|()| to.flush())
        .map_err(target)?;
    to.receive_done().map_err(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_made_over_damaged_ones_first_then_around_the_ring() {
        let up = [true, true, true, false];
        assert_eq!(targets(&[0], &[1], &up, 2, &[3, 2, 1, 0]), [1]);
        assert_eq!(targets(&[0], &[], &up, 2, &[3, 2, 1, 0]), [2]);
        assert_eq!(
            targets(&[0, 1], &[2], &up, 2, &[3, 2, 1, 0]),
            [2],
            "damage is mended though there are enough"
        );
        assert_eq!(targets(&[0, 1], &[], &up, 2, &[0, 1, 2, 3]), [0; 0]);
        assert_eq!(targets(&[0], &[3], &up, 4, &[0, 1, 2, 3]), [1, 2]);
    }
}
