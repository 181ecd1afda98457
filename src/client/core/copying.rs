//! Copying pieces from server to server: READ here, RESTORE and COMMIT there.

use std::fmt;

use super::base::Core;
use super::report::{Doing, Progress, Report, Silent};
use crate::name::ServerName;
use crate::peer::{Answer, No, Peer, PeerError, Received};
use crate::sealed::Claim;
use crate::wire::Request;

/// Pieces up to this many bytes are copied many at a time, through memory.
const SMALL: u64 = 256 * 1024;
/// Most small pieces that are copied at a time, and most bytes of them.
const SMALL_BATCH: (usize, u64) = (128, 8 << 20);
/// Bytes of READs that are sent ahead of their replies.
const READS_AHEAD: usize = 16 * 1024;
/// Bytes of a large piece that are passed on at a time.
const STEP: usize = 256 * 1024;

/// A piece to copy from one server to another.
#[derive(Clone)]
pub(crate) struct Transfer {
    pub(crate) claim: Claim,
    pub(crate) from: usize,
    /// Other servers with a good copy, if the first does not provide it.
    pub(crate) others: Vec<usize>,
    pub(crate) to: usize,
    /// The floor of the target server, as it was seen.
    pub(crate) floor: u64,
}

impl Transfer {
    fn size(&self) -> u64 {
        self.claim.header.piece_size
    }

    fn is_small(&self) -> bool {
        self.size() <= SMALL
    }
}

/// Why a server did not do its part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotCopied {
    Refused(ServerName, No),
    /// It was lost, and how.
    Down(ServerName, String),
}

impl NotCopied {
    pub(crate) fn server(&self) -> &ServerName {
        let (NotCopied::Refused(server, _) | NotCopied::Down(server, _)) = self;
        server
    }
}

impl fmt::Display for NotCopied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotCopied::Refused(server, no) => write!(f, "{server}: {no}"),
            NotCopied::Down(server, why) => write!(f, "{server}: {why}"),
        }
    }
}

/// What a server answered, unless it refused or was lost.
pub(crate) fn require_done<T>(core: &Core, server: usize, answer: Answer<T>) -> Result<T, NotCopied> {
    let name = || core.cluster.name(server).clone();
    match answer {
        Answer::Done(given) => Ok(given),
        Answer::Refused(no) => Err(NotCopied::Refused(name(), no)),
        Answer::Lost => {
            let why = core.cluster.why_down(server).unwrap_or_else(|| "no answer".into());
            Err(NotCopied::Down(name(), why))
        }
    }
}

/// Copies pieces and publishes the copies; a server that does not provide a piece is replaced by another that has it.
/// Returns the last attempt for each.
pub(crate) fn copy_all(core: &mut Core, transfers: Vec<Transfer>) -> Vec<(Transfer, Result<(), NotCopied>)> {
    core.report.doing(Doing::Copying);
    core.report.begin(0, transfers.iter().map(Transfer::size).sum());
    let (small, large): (Vec<Transfer>, Vec<Transfer>) = transfers.into_iter().partition(Transfer::is_small);
    let mut outcomes = Vec::new();
    for batch in batches(&small.iter().collect::<Vec<_>>()) {
        let staged = stage_small(core, batch);
        outcomes.extend(commit(core, batch, staged));
        core.report.progress(Progress { done: batch.iter().map(|transfer| transfer.size()).sum() });
    }
    let mut copied: Vec<_> = small.into_iter().zip(outcomes).collect();
    for transfer in large {
        let outcome = copy_large(core, &transfer);
        copied.push((transfer, outcome));
    }
    let back = core.cluster.log_in_again();
    for (transfer, outcome) in &mut copied {
        if let Err(NotCopied::Down(server, _)) = outcome
            && core.cluster.number(server).is_some_and(|server| back.contains(&server))
        {
            *outcome = copy_large(core, transfer);
        }
        while outcome.is_err()
            && let Some(from) = transfer.others.pop()
        {
            transfer.from = from;
            *outcome = copy_large(core, transfer);
        }
    }
    copied
}

/// Stages copies of pieces without reporting progress, and commits none; returns the outcomes in the same order. The
/// other servers that could provide one are not tried.
pub(super) fn stage_all(core: &mut Core, transfers: &[&Transfer]) -> Vec<Result<(), NotCopied>> {
    let small: Vec<&Transfer> = transfers.iter().copied().filter(|transfer| transfer.is_small()).collect();
    let mut staged = Vec::new();
    for batch in batches(&small) {
        staged.extend(stage_small(core, batch));
    }
    let mut staged = staged.into_iter();
    let stage = |transfer: &&Transfer| match transfer.is_small().then(|| staged.next()).flatten() {
        Some(outcome) => outcome,
        None => stage_large(core, transfer, &Silent),
    };
    transfers.iter().map(stage).collect()
}

/// Divides small pieces into those that are copied together.
fn batches<'b, 't>(mut transfers: &'b [&'t Transfer]) -> Vec<&'b [&'t Transfer]> {
    let (most, most_bytes) = SMALL_BATCH;
    let mut batches = Vec::new();
    while !transfers.is_empty() {
        let (mut bytes, mut ahead) = (0, 0);
        let fits = |transfer: &&&Transfer| {
            bytes += transfer.size();
            ahead += read_request(&transfer.claim).to_line().len();
            bytes <= most_bytes && ahead <= READS_AHEAD
        };
        let count = transfers.iter().take(most).take_while(fits).count().max(1);
        let (batch, rest) = transfers.split_at(count);
        batches.push(batch);
        transfers = rest;
    }
    batches
}

/// Stages copies of small pieces through memory: all are read, then all staged.
fn stage_small(core: &mut Core, transfers: &[&Transfer]) -> Vec<Result<(), NotCopied>> {
    let reads: Vec<(usize, Request)> =
        transfers.iter().map(|transfer| (transfer.from, read_request(&transfer.claim))).collect();
    let payloads = core.cluster.exchange(&reads, Peer::send, |peer, request| {
        let Request::Read { length, .. } = request else { return Ok(Ok(Vec::new())) };
        let answer = peer.receive_data(*length)?;
        let mut bytes = vec![0; usize::try_from(*length).unwrap_or(0)];
        if answer.is_ok() {
            peer.receive_payload(&mut bytes)?;
        }
        Ok(answer.map(|()| bytes))
    });
    let mut outcomes: Vec<Result<(), NotCopied>> = Vec::new();
    let mut stages: Vec<(usize, (usize, Vec<u8>))> = Vec::new();
    for (index, (transfer, payload)) in transfers.iter().zip(payloads).enumerate() {
        let payload = require_done(core, transfer.from, payload);
        outcomes.push(payload.map(|bytes| stages.push((transfer.to, (index, bytes)))));
    }
    let staged = core.cluster.exchange(
        &stages,
        |peer, (index, bytes)| send_restore(peer, &transfers[*index].claim, transfers[*index].floor, bytes),
        |peer, _| peer.receive_done(),
    );
    for ((server, (index, _)), answer) in stages.iter().zip(staged) {
        outcomes[*index] = require_done(core, *server, answer);
    }
    outcomes
}

/// Publishes the copies that are `staged`; returns the outcomes in the same order.
fn commit(
    core: &mut Core,
    transfers: &[&Transfer],
    staged: Vec<Result<(), NotCopied>>,
) -> Vec<Result<(), NotCopied>> {
    let to_commit = transfers.iter().zip(&staged).filter(|(_, staged)| staged.is_ok());
    let requests: Vec<(usize, Request)> = to_commit
        .map(|(Transfer { to, claim, .. }, _)| {
            (*to, Request::Commit(claim.header.path.clone(), claim.header.version))
        })
        .collect();
    let mut answers = core.cluster.ask_all(&requests).into_iter();
    let outcome = |(transfer, staged): (&&Transfer, Result<(), NotCopied>)| {
        staged?;
        require_done(core, transfer.to, answers.next().unwrap_or(Answer::Lost))
    };
    transfers.iter().zip(staged).map(outcome).collect()
}

fn copy_large(core: &mut Core, transfer: &Transfer) -> Result<(), NotCopied> {
    let report = core.report.clone();
    let staged = stage_large(core, transfer, &*report);
    let committed = commit(core, &[transfer], vec![staged]).pop();
    committed.unwrap_or_else(|| require_done(core, transfer.to, Answer::Lost))
}

/// Passes a large piece on in steps, so that memory stays small whatever its size.
fn stage_large(core: &mut Core, transfer: &Transfer, progress: &dyn Report) -> Result<(), NotCopied> {
    let Some((from, to)) = core.cluster.pair(transfer.from, transfer.to) else {
        let down = if core.cluster.is_up(transfer.from) { transfer.to } else { transfer.from };
        return require_done(core, down, Answer::Lost);
    };
    match pass_on(from, to, transfer, progress) {
        Ok(staged) => {
            staged.map_err(|(server, no)| NotCopied::Refused(core.cluster.name(server).clone(), no))
        }
        Err((server, why)) => {
            // Both ends are in the middle of a payload now.
            core.cluster.replace(&[transfer.from, transfer.to]);
            Err(NotCopied::Down(core.cluster.name(server).clone(), why.to_string()))
        }
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

pub(crate) fn send_restore(
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

/// Streams a piece from one server to another; returns which of them refused or failed.
fn pass_on(
    from: &mut Peer,
    to: &mut Peer,
    transfer: &Transfer,
    report: &dyn Report,
) -> Result<Result<(), (usize, No)>, (usize, PeerError)> {
    let claim = &transfer.claim;
    let request = read_request(claim);
    let Request::Read { length, .. } = request else { return Ok(Ok(())) };
    let source = |why| (transfer.from, why);
    let target = |why| (transfer.to, why);
    from.send(&request).and_then(|()| from.flush()).map_err(source)?;
    let answer: Received<()> = from.receive_data(length);
    if let Err(no) = answer.map_err(source)? {
        return Ok(Err((transfer.from, no)));
    }
    to.send(&restore_request(claim, transfer.floor, length)).map_err(target)?;
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
    Ok(to.receive_done().map_err(target)?.map_err(|no| (transfer.to, no)))
}
