//! Fetching pieces from one server: ask ahead, verify each chunk, decrypt it, write it to its place.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use super::error::ClientError;
use super::report::{Progress, Report};
use super::target::Target;
use crate::peer::{No, Peer, PeerError};
use crate::primitives::{Bytes32, sha256};
use crate::sealed::{ChunkCipher, Claim, FileKey};
use crate::wire::{Refusal, Request};
use crate::{placement, split};

/// Bytes of READs, without their MACs, that are sent ahead of their replies: a server that is writing does not read, so
/// its socket's buffer must have room for them.
const AHEAD: usize = 16 * 1024;

/// Bytes of chunks that are received, verified and written at a time: they stay in the processor's cache.
const STEP: u64 = 256 * 1024;

/// One piece of a download, as far as it has come.
pub(super) struct Piece {
    /// Which file of the batch.
    pub(super) file: usize,
    pub(super) claim: Claim,
    pub(super) key: FileKey,
    table: Option<Vec<Bytes32>>,
    /// Chunks that are still missing.
    missing: BTreeSet<u64>,
    /// Servers that were asked, with what was wrong if something was.
    pub(super) tried: Vec<(usize, Option<Fault>)>,
}

/// Why a server did not give all that was asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It sent bytes that are not what the client wrote.
    Damaged,
    /// It has another version by now.
    Replaced,
    /// It said no.
    Refused(String),
    /// The connection was lost.
    Lost(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Damaged => f.write_str("sent damaged bytes"),
            Fault::Replaced => f.write_str("has another version"),
            Fault::Refused(why) => write!(f, "refused: {why}"),
            Fault::Lost(why) => f.write_str(why),
        }
    }
}

impl Piece {
    pub(super) fn new(file: usize, claim: Claim, key: FileKey) -> Self {
        let missing = (0..claim.header.chunks()).collect();
        Self { file, claim, key, table: None, missing, tried: Vec::new() }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }

    pub(super) fn was_tried(&self, server: usize) -> bool {
        self.tried.iter().any(|(s, _)| *s == server)
    }

    /// What to ask for next, as ranges of the piece file: first the table, if more than one chunk
    /// needs it, then runs of missing chunks.
    fn reads(&self) -> Vec<Read> {
        let header = &self.claim.header;
        let layout = header.layout();
        let mut reads = Vec::new();
        if self.table.is_none() && header.chunks() > 1 {
            reads.push(Read {
                what: What::Table,
                offset: layout.table.start,
                length: layout.table.end - layout.table.start,
            });
        }
        for run in runs(self.missing.iter().copied()) {
            let (first, last) = run.into_inner();
            let (start, end) = (header.chunk_range(first).start, header.chunk_range(last).end);
            reads.push(Read {
                what: What::Chunks(first, last),
                offset: layout.body.start + start,
                length: end - start,
            });
        }
        reads
    }
}

#[derive(Clone, Copy)]
enum What {
    Table,
    Chunks(u64, u64),
}

struct Read {
    what: What,
    offset: u64,
    length: u64,
}

/// What a thread works with.
pub(super) struct Context<'a> {
    pub(super) targets: &'a [Target],
    pub(super) report: &'a dyn Report,
}

/// Fetches what is missing of `pieces` from the server at `peer`, as far as it can be had there.
/// Notes in each piece what was wrong. A local error ends it; the connection is then of no more use.
pub(super) fn fetch(
    context: &Context<'_>,
    server: usize,
    mut peer: Peer,
    pieces: &mut [Piece],
) -> (Result<Peer, PeerError>, Option<(usize, ClientError)>) {
    let mut asked: VecDeque<(usize, Read, usize)> = VecDeque::new();
    let mut ahead = 0;
    let mut to_ask = pieces
        .iter()
        .enumerate()
        .flat_map(|(i, p)| p.reads().into_iter().map(move |r| (i, r)))
        .collect::<VecDeque<_>>();
    pieces.iter_mut().for_each(|piece| piece.tried.push((server, None)));
    let mut buffer = Vec::new();
    let lost = loop {
        while let Some((index, read)) = to_ask.pop_front() {
            let header = &pieces[index].claim.header;
            let request = Request::Read {
                path: header.path.clone(),
                piece: header.piece,
                version: header.version,
                offset: read.offset,
                length: read.length,
            };
            let line = request.to_line().len();
            if ahead + line > AHEAD && !asked.is_empty() {
                to_ask.push_front((index, read));
                break;
            }
            asked.push_back((index, read, line));
            ahead += line;
            if let Err(why) = peer.send(&request) {
                return (lose(pieces, why), None);
            }
        }
        if let Err(why) = peer.flush() {
            break why;
        }
        let Some((index, read, line)) = asked.pop_front() else { return (Ok(peer), None) };
        ahead -= line;
        match take(context, &mut peer, &mut pieces[index], &read, &mut buffer) {
            Ok(None) => {}
            Ok(Some(fault)) => note(&mut pieces[index], fault),
            Err(Stop::Peer(why)) => break why,
            Err(Stop::Local(error)) => return (Err(PeerError::Closed), Some((pieces[index].file, error))),
        }
    };
    (lose(pieces, lost), None)
}

fn note(piece: &mut Piece, fault: Fault) {
    if let Some((_, noted)) = piece.tried.last_mut() {
        noted.get_or_insert(fault);
    }
}

fn lose(pieces: &mut [Piece], why: PeerError) -> Result<Peer, PeerError> {
    for piece in pieces.iter_mut().filter(|p| !p.is_whole()) {
        note(piece, Fault::Lost(why.to_string()));
    }
    Err(why)
}

enum Stop {
    Peer(PeerError),
    Local(ClientError),
}

impl From<PeerError> for Stop {
    fn from(why: PeerError) -> Self {
        Stop::Peer(why)
    }
}

/// Takes the reply to one READ.
fn take(
    context: &Context<'_>,
    peer: &mut Peer,
    piece: &mut Piece,
    read: &Read,
    buffer: &mut Vec<u8>,
) -> Result<Option<Fault>, Stop> {
    match peer.receive_data(read.length)? {
        Ok(()) => {}
        Err(No { refusal: Refusal::NotFound, .. }) => return Ok(Some(Fault::Replaced)),
        Err(No { refusal: Refusal::Damaged, .. }) => return Ok(Some(Fault::Damaged)),
        Err(no) => return Ok(Some(Fault::Refused(no.to_string()))),
    }
    match read.what {
        What::Table => take_table(peer, piece, read.length, buffer),
        What::Chunks(first, last) => take_chunks(context, peer, piece, first..=last, buffer),
    }
}

fn take_table(
    peer: &mut Peer,
    piece: &mut Piece,
    length: u64,
    buffer: &mut Vec<u8>,
) -> Result<Option<Fault>, Stop> {
    resize(buffer, length);
    peer.receive_payload(buffer)?;
    if sha256(buffer) != piece.claim.root {
        return Ok(Some(Fault::Damaged));
    }
    let entries = buffer.chunks_exact(32).map(|entry| {
        let mut hash = [0; 32];
        hash.copy_from_slice(entry);
        hash
    });
    piece.table = Some(entries.collect());
    Ok(None)
}

fn take_chunks(
    context: &Context<'_>,
    peer: &mut Peer,
    piece: &mut Piece,
    chunks: RangeInclusive<u64>,
    buffer: &mut Vec<u8>,
) -> Result<Option<Fault>, Stop> {
    let header = piece.claim.header.clone();
    let in_file = split::range(header.file_size, placement::PIECES, header.piece).start;
    let mut cipher = ChunkCipher::new(&piece.key, header.piece);
    let mut fault = None;
    let at_once = (STEP / header.chunk_size()).max(1);
    for first in chunks.clone().step_by(at_once as usize) {
        let last = (first + at_once - 1).min(*chunks.end());
        let step = header.chunk_range(first).start..header.chunk_range(last).end;
        resize(buffer, step.end - step.start);
        peer.receive_payload(buffer)?;
        let mut good = Vec::new();
        for (chunk, bytes) in (first..=last).zip(buffer.chunks_mut(header.chunk_size() as usize)) {
            let offset = header.chunk_range(chunk).start;
            if expected_hash(piece, chunk, bytes)
                .is_some_and(|expected| cipher.decrypt_verified(bytes, offset, &expected))
            {
                good.push(chunk);
            } else {
                fault = Some(Fault::Damaged);
            }
        }
        let target = &context.targets[piece.file];
        for run in runs(good) {
            let range = header.chunk_range(*run.start()).start..header.chunk_range(*run.end()).end;
            let bytes = &buffer[(range.start - step.start) as usize..(range.end - step.start) as usize];
            target.write(bytes, in_file + range.start).map_err(Stop::Local)?;
            run.for_each(|chunk| {
                piece.missing.remove(&chunk);
            });
            context.report.progress(Progress { done: range.end - range.start });
        }
    }
    Ok(fault)
}

/// Ascending numbers as runs without gaps.
fn runs(numbers: impl IntoIterator<Item = u64>) -> impl Iterator<Item = RangeInclusive<u64>> {
    let mut numbers = numbers.into_iter().peekable();
    std::iter::from_fn(move || {
        let first = numbers.next()?;
        let mut last = first;
        while let Some(next) = numbers.next_if_eq(&(last + 1)) {
            last = next;
        }
        Some(first..=last)
    })
}

/// The hash that a chunk must have. A single chunk needs no table: its hash is the whole table.
fn expected_hash(piece: &Piece, chunk: u64, bytes: &[u8]) -> Option<Bytes32> {
    if piece.claim.header.chunks() == 1 {
        let hash = sha256(bytes);
        return (sha256(&hash) == piece.claim.root).then_some(hash);
    }
    piece.table.as_ref()?.get(usize::try_from(chunk).ok()?).copied()
}

fn resize(buffer: &mut Vec<u8>, length: u64) {
    buffer.resize(usize::try_from(length).unwrap_or(0), 0);
}
