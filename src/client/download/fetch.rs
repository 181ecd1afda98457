//! Fetching pieces from one server: send requests ahead, verify each chunk and, for a download, decrypt it and write it
//! to its place.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::OnceLock;

use super::piece::{Fault, Piece, Purpose, Read, What};
use crate::client::core::error::LocalError;
use crate::client::core::report::{Progress, Report};
use crate::name::FilePath;
use crate::peer::{Answer, No, Peer, PeerError};
use crate::placement;
use crate::primitives::sha256;
use crate::sealed::VerifiedChunk;
use crate::wire::{NameReport, Refusal, Request};

/// Bytes of READs and LOOKs, without their MACs, that are sent ahead of their replies: a server that is writing does
/// not read, so its socket's buffer must have room for them.
const AHEAD: usize = 16 * 1024;

/// Bytes of chunks that are received, verified and written at a time: they stay in the processor's cache.
const STEP: u64 = 256 * 1024;

/// Most bytes that are received only to be thrown away, because their file cannot be written: more take longer than
/// another login.
const MOST_USELESS: u64 = 1 << 20;

/// Takes the verified bytes of a file, in whatever order they arrive.
pub(super) trait Output: Sync {
    /// Takes bytes to their place in the file.
    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), LocalError>;

    /// Takes a chunk of a piece that others are made of. Returns how many more bytes of the file are done.
    fn combine(&self, _piece: u8, _chunk: u64, _bytes: VerifiedChunk<'_>) -> Result<u64, LocalError> {
        Ok(0)
    }
}

/// What is being written, for all servers that it comes from.
pub(super) struct Writing<'a> {
    pub(super) output: &'a dyn Output,
    /// Why it cannot be written. Nothing more of it is fetched then.
    pub(super) failed: OnceLock<LocalError>,
}

/// The result from a server: its connection; and its pieces, each with what was wrong.
pub(super) struct Fetched {
    pub(super) server: usize,
    pub(super) peer: Result<Peer, PeerError>,
    /// Whether much that nobody needs is still to come on the connection.
    pub(super) is_behind: bool,
    pub(super) pieces: Vec<Piece>,
    /// The answers to the LOOKs, as far as they came.
    pub(super) found: Vec<Answer<NameReport>>,
}

/// A fetch from one server.
pub(super) struct Fetching<'a> {
    files: &'a [Writing<'a>],
    report: &'a dyn Report,
    server: usize,
    peer: Peer,
    pieces: Vec<Piece>,
    to_ask: VecDeque<(usize, Read)>,
    /// READs whose replies are still to come, with the bytes of their lines.
    asked: VecDeque<(usize, Read, usize)>,
    ahead: usize,
    /// Names for LOOKs after the last READ.
    to_look: VecDeque<FilePath>,
    /// For LOOKs whose replies are still to come, the bytes of their lines.
    looking: VecDeque<usize>,
    found: Vec<Answer<NameReport>>,
    /// The chunks of a reply that has begun to arrive.
    taking: Option<Taking>,
}

struct Taking {
    index: usize,
    chunks: RangeInclusive<u64>,
    fault: Option<Fault>,
}

impl Taking {
    /// Bytes that are still to come.
    fn bytes_left(&self, pieces: &[Piece]) -> u64 {
        let header = &pieces[self.index].claim.header;
        header.stored_chunk(*self.chunks.end()).end - header.stored_chunk(*self.chunks.start()).start
    }
}

impl<'a> Fetching<'a> {
    /// Everything that is missing of `pieces`, from the server at `peer`, as far as it is available there; then what it
    /// has of the names `to_look`.
    pub(super) fn new(
        files: &'a [Writing<'a>],
        report: &'a dyn Report,
        server: usize,
        peer: Peer,
        mut pieces: Vec<Piece>,
        to_look: &[FilePath],
    ) -> Self {
        let reads = |(i, p): (usize, &Piece)| p.reads().into_iter().map(move |r| (i, r));
        let mut to_ask: Vec<(usize, Read)> = pieces.iter().enumerate().flat_map(reads).collect();
        if pieces.iter().all(Piece::is_combined) {
            let place = |piece: &Piece| (piece.claim.header.file_size, piece.file);
            to_ask.sort_by_key(|(index, read)| (place(&pieces[*index]), read.what.first()));
        }
        pieces.iter_mut().for_each(|piece| piece.tried.push((server, None)));
        let (asked, to_look) = (VecDeque::new(), to_look.iter().cloned().collect());
        let (looking, found) = (VecDeque::new(), Vec::new());
        Self {
            files,
            report,
            server,
            peer,
            pieces,
            to_ask: to_ask.into(),
            asked,
            ahead: 0,
            to_look,
            looking,
            found,
            taking: None,
        }
    }

    /// Fetches everything that the server provides.
    pub(super) fn run(mut self) -> Fetched {
        let mut buffer = Vec::new();
        let ended = self.ask().map_err(Stop::Peer).and_then(|()| {
            while self.take_more(&mut buffer)? {}
            Ok(())
        });
        let (peer, is_behind) = match ended {
            Ok(()) => (Ok(self.peer), false),
            Err(Stop::Peer(why)) => {
                for piece in self.pieces.iter_mut().filter(|p| !p.is_whole()) {
                    piece.note(Fault::Lost(why.to_string()));
                }
                (Err(why), false)
            }
            Err(Stop::Behind) => {
                // What was not reached can still be requested.
                let was_reached =
                    |piece: &Piece| piece.is_whole() || matches!(piece.tried.last(), Some((_, Some(_))));
                for piece in self.pieces.iter_mut().filter(|piece| !was_reached(piece)) {
                    piece.tried.pop();
                }
                (Ok(self.peer), true)
            }
        };
        Fetched { server: self.server, peer, is_behind, pieces: self.pieces, found: self.found }
    }

    /// Whether a piece's file cannot be written.
    fn is_useless(&self, index: usize) -> bool {
        has_failed(self.files, &self.pieces[index])
    }

    /// Bytes that were requested and are of no use anymore.
    fn useless(&self) -> u64 {
        let of_reply = |taking: &&Taking| self.is_useless(taking.index);
        let arriving = self.taking.iter().filter(of_reply).map(|taking| taking.bytes_left(&self.pieces));
        let asked = self.asked.iter().filter(|(index, ..)| self.is_useless(*index));
        arriving.chain(asked.map(|(_, read, _)| read.length)).sum()
    }

    /// Sends READs, then LOOKs, as far ahead of their replies as allowed.
    fn ask(&mut self) -> Result<(), PeerError> {
        // Many at a time: each time wakes the server.
        if self.ahead > AHEAD / 2 {
            return Ok(());
        }
        while let Some((index, read)) = self.to_ask.pop_front() {
            if self.is_useless(index) {
                continue;
            }
            let header = &self.pieces[index].claim.header;
            let request = Request::Read {
                path: header.path.clone(),
                piece: header.piece,
                version: header.version,
                offset: read.offset,
                length: read.length,
            };
            let line = request.to_line().len();
            if self.ahead + line > AHEAD && !self.asked.is_empty() {
                self.to_ask.push_front((index, read));
                break;
            }
            self.asked.push_back((index, read, line));
            self.ahead += line;
            self.peer.send(&request)?;
        }
        while self.to_ask.is_empty()
            && let Some(path) = self.to_look.pop_front()
        {
            let request = Request::Look(path);
            let line = request.to_line().len();
            if self.ahead + line > AHEAD && !(self.asked.is_empty() && self.looking.is_empty()) {
                let Request::Look(path) = request else { break };
                self.to_look.push_front(path);
                break;
            }
            self.looking.push_back(line);
            self.ahead += line;
            self.peer.send(&request)?;
        }
        self.peer.flush()
    }

    /// Receives some of what the server sends; returns whether more will follow.
    fn take_more(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Stop> {
        if self.useless() > MOST_USELESS {
            return Err(Stop::Behind);
        }
        if self.taking.is_none() {
            let Some((index, read, line)) = self.asked.pop_front() else { return Ok(self.take_look()?) };
            self.ahead -= line;
            if let Some(fault) = self.begin(index, &read, buffer)? {
                self.pieces[index].note(fault);
            }
        }
        if let Some(mut taking) = self.taking.take() {
            let piece = &mut self.pieces[taking.index];
            take_chunks(self.files, self.report, &mut self.peer, piece, &mut taking, buffer)?;
            if !taking.chunks.is_empty() {
                self.taking = Some(taking);
                return Ok(true);
            }
            if let Some(fault) = taking.fault {
                piece.note(fault);
            }
            // READs of one piece follow one another: a copy that is only verified is done after the last, and its table
            // is dropped.
            let next =
                self.asked.front().map(|(index, ..)| index).or(self.to_ask.front().map(|(index, _)| index));
            if matches!(piece.purpose, Purpose::Verify) && next != Some(&taking.index) {
                piece.table = None;
            }
        }
        self.ask()?;
        Ok(true)
    }

    /// Receives the reply to a LOOK; returns whether there was one to come.
    fn take_look(&mut self) -> Result<bool, PeerError> {
        let Some(line) = self.looking.pop_front() else { return Ok(false) };
        self.ahead -= line;
        self.found.push(match self.peer.receive_parsed(NameReport::parse)? {
            Ok(report) => Answer::Done(report),
            Err(no) => Answer::Refused(no),
        });
        self.ask()?;
        Ok(true)
    }

    /// Receives the reply to a READ: a whole table, or only the line before the chunks.
    fn begin(&mut self, index: usize, read: &Read, buffer: &mut Vec<u8>) -> Result<Option<Fault>, Stop> {
        match self.peer.receive_data(read.length)? {
            Ok(()) => {}
            Err(No { refusal: Refusal::NotFound, .. }) => return Ok(Some(Fault::Replaced)),
            Err(No { refusal: Refusal::Damaged, .. }) => return Ok(Some(Fault::Damaged)),
            Err(no) => return Ok(Some(Fault::Refused(no.to_string()))),
        }
        let piece = &mut self.pieces[index];
        match read.what {
            What::Table => take_table(&mut self.peer, piece, read.length, buffer),
            What::Chunks(first, last) => {
                self.taking = Some(Taking { index, chunks: first..=last, fault: None });
                Ok(None)
            }
        }
    }
}

fn has_failed(files: &[Writing<'_>], piece: &Piece) -> bool {
    // Copies that are only verified belong to no local file.
    files.get(piece.file).is_some_and(|file| file.failed.get().is_some())
}

enum Stop {
    Peer(PeerError),
    /// Too much would have to be thrown away.
    Behind,
}

impl From<PeerError> for Stop {
    fn from(why: PeerError) -> Self {
        Stop::Peer(why)
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

/// Receives the next chunks of a reply.
fn take_chunks(
    files: &[Writing<'_>],
    report: &dyn Report,
    peer: &mut Peer,
    piece: &mut Piece,
    taking: &mut Taking,
    buffer: &mut Vec<u8>,
) -> Result<(), Stop> {
    let header = piece.claim.header.clone();
    let at_once = (STEP / header.chunk_size()).max(1);
    let (first, end) = (*taking.chunks.start(), *taking.chunks.end());
    let last = (first + at_once - 1).min(end);
    taking.chunks = last + 1..=end;
    resize(buffer, header.stored_chunk(last).end - header.stored_chunk(first).start);
    peer.receive_payload(buffer)?;
    if has_failed(files, piece) {
        return Ok(());
    }
    for (chunk, bytes) in (first..=last).zip(buffer.chunks_mut(header.stored_chunk_size() as usize)) {
        match take_chunk(files, piece, chunk, bytes) {
            Ok(Some(done)) => {
                piece.missing.remove(&chunk);
                if done > 0 {
                    report.progress(Progress { done });
                }
            }
            Ok(None) => taking.fault = Some(Fault::Damaged),
            Err(error) => {
                // The first failure is the one that is reported.
                let _ = files[piece.file].failed.set(error);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Verifies a chunk, and does with it what it was fetched for. Returns how many bytes are done with it; `None` if it is
/// damaged.
fn take_chunk(
    files: &[Writing<'_>],
    piece: &Piece,
    chunk: u64,
    bytes: &mut [u8],
) -> Result<Option<u64>, LocalError> {
    let header = &piece.claim.header;
    let verified = piece.expected_hash(chunk, bytes).and_then(|hash| VerifiedChunk::new(bytes, &hash));
    let Some(verified) = verified else { return Ok(None) };
    let range = header.chunk_range(chunk);
    match &piece.purpose {
        Purpose::Verify => {}
        Purpose::Combine => return files[piece.file].output.combine(header.piece, chunk, verified).map(Some),
        Purpose::Write(key) => {
            let Some(plain) = verified.decrypt(key) else { return Ok(None) };
            let start = placement::range(header.file_size, header.piece).start + range.start;
            files[piece.file].output.write(plain, start)?;
        }
    }
    Ok(Some(range.end - range.start))
}

fn resize(buffer: &mut Vec<u8>, length: u64) {
    buffer.resize(usize::try_from(length).unwrap_or(0), 0);
}
