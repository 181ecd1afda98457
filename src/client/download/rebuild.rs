//! Making pieces of others, for a file that is stored with parity: a window of chunks at a time, so that memory stays
//! bounded whatever its size is.
//!
//! What is made of verified chunks is as the client wrote it. It is done chunk by chunk, so a file comes back although no
//! two of its servers have undamaged pieces, if each of its chunks can be made of what is undamaged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::fetch::Output;
use super::gather::{Incoming, gather};
use super::piece::{Fault, Piece};
use super::sums::{Sums, Take};
use crate::client::core::base::Core;
use crate::client::core::error::LocalError;
use crate::client::core::survey::Survey;
use crate::placement::parity::{Recipe, recipes};
use crate::placement::{self, PieceSet, Scheme};
use crate::sealed::{Header, VerifiedChunk};

/// Most bytes of a window, in all pieces together, unless a single chunk of each is more.
const WINDOW: u64 = 32 << 20;
/// The same for pieces that are sent on: a server waits for a minute, at most, while the next part is made.
const PART: u64 = 8 << 20;

/// Makes what is missing of files, as far as that is possible. What was wrong with the pieces that were read for it is
/// added to the pieces of their file.
pub(super) fn rebuild<'a, O: Output + 'a>(
    core: &mut Core,
    files: impl IntoIterator<Item = &'a mut Incoming<O>>,
) {
    let mut waiting: Vec<Rebuilding<'_>> = files.into_iter().filter_map(Rebuilding::new).collect();
    while !waiting.is_empty() {
        // Many small files together: each window costs a round trip.
        let (mut count, mut bytes) = (0, 0);
        while count < waiting.len() {
            bytes += waiting[count].begin_window();
            if count > 0 && bytes > WINDOW {
                break;
            }
            count += 1;
        }
        let now = &mut waiting[..count];
        make(core, now.iter_mut().map(|file| &mut file.sources).collect());
        now.iter_mut().for_each(Rebuilding::end_window);
        waiting.retain(|file| !file.is_over);
    }
}

/// A file of which something is missing.
struct Rebuilding<'a> {
    pieces: &'a mut Vec<Piece>,
    failed: &'a mut Option<LocalError>,
    sources: Sources<'a>,
    /// The first chunk that was in no window yet.
    next: u64,
    is_over: bool,
}

impl Drop for Rebuilding<'_> {
    fn drop(&mut self) {
        self.sources.give_faults(self.pieces);
    }
}

impl<'a> Rebuilding<'a> {
    fn new<O: Output>(file: &'a mut Incoming<O>) -> Option<Self> {
        let Incoming { survey, output, pieces, failed } = file;
        let header = pieces.first()?.claim.header.clone();
        let is_missing = failed.is_none() && !pieces.iter().all(Piece::is_whole);
        if header.scheme != Scheme::Parity || !is_missing {
            return None;
        }
        let (key, output, of_any) = (pieces.first()?.key()?.clone(), &*output, header.clone());
        let write = move |piece: u8, chunk: u64, bytes: VerifiedChunk<'_>| {
            let header = of_any.of_piece(piece);
            let range = header.chunk_range(chunk);
            let start = placement::range(header.file_size, piece).start + range.start;
            bytes.decrypt(&key).map_or(Ok(()), |plain| output.write(plain, start))?;
            Ok(range.end - range.start)
        };
        let mut sources = Sources::new(survey.clone(), header, Box::new(write));
        // What was asked for already, of every server that has it, is not asked for again.
        for piece in pieces.iter().filter(|piece| !piece.tried.is_empty()) {
            let number = piece.claim.header.piece;
            sources.bad.extend(piece.missing().iter().map(|&chunk| (number, chunk)));
        }
        Some(Self { pieces, failed, sources, next: 0, is_over: false })
    }

    /// Finds the next chunks that are missing; returns how many bytes are read for them, at most.
    fn begin_window(&mut self) -> u64 {
        let count = self.sources.chunks_in_window();
        let pieces = &self.pieces;
        let first =
            |piece: &Piece| piece.missing().range(self.next..).copied().take(count).collect::<Vec<_>>();
        let chunks: BTreeSet<u64> = pieces.iter().flat_map(first).collect();
        let wanted = |chunk: u64| -> PieceSet {
            let pieces = pieces.iter().filter(|piece| piece.missing().contains(&chunk));
            pieces.map(|piece| piece.claim.header.piece).collect()
        };
        let chunks: Vec<u64> = chunks.into_iter().take(count).collect();
        self.sources.sums().begin(chunks.iter().map(|&chunk| (chunk, wanted(chunk))));
        self.is_over = chunks.is_empty();
        let header = &self.sources.header;
        chunks.len() as u64 * u64::from(placement::PIECES) * header.chunk_size().min(header.file_size)
    }

    /// Notes what was made. What could not be made is not tried again.
    fn end_window(&mut self) {
        for (chunk, made) in self.sources.sums().end() {
            self.next = chunk + 1;
            let targets = self.pieces.iter_mut().filter(|piece| made.contains(piece.claim.header.piece));
            targets.for_each(|piece| piece.was_made(chunk));
        }
        *self.failed = self.sources.incoming.failed.take();
        self.is_over |= self.failed.is_some();
    }
}

/// Fetches what the wanted chunks of these windows are made of, as far as they can be made.
fn make(core: &mut Core, mut windows: Vec<&mut Sources<'_>>) {
    loop {
        let to_fetch = windows.iter_mut().filter_map(|sources| sources.plan(core).then_some(&mut **sources));
        let mut to_fetch: Vec<&mut Sources<'_>> = to_fetch.collect();
        if to_fetch.is_empty() {
            return;
        }
        let mut incoming: Vec<_> = to_fetch.iter_mut().map(|sources| &mut sources.incoming).collect();
        gather(core, &mut incoming, &[]);
        to_fetch.into_iter().for_each(Sources::note_faults);
    }
}

/// Bytes of the bodies of pieces, each with the piece.
pub(crate) type Parts = Vec<(u8, Vec<u8>)>;

/// By the number of the piece, and that of the chunk.
type Chunks = BTreeMap<(u8, u64), Vec<u8>>;

/// Pieces of a version that are made of what the servers have, from the first byte to the last.
pub(crate) struct Remaking {
    sources: Sources<'static>,
    made: Arc<Mutex<Chunks>>,
    pieces: PieceSet,
    /// The first chunk that was not made yet.
    next: u64,
}

impl Remaking {
    pub(crate) fn new(survey: &Survey, header: &Header, pieces: PieceSet) -> Self {
        let made: Arc<Mutex<Chunks>> = Arc::default();
        let kept = Arc::clone(&made);
        let keep = move |piece: u8, chunk: u64, bytes: VerifiedChunk<'_>| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert((piece, chunk), bytes.bytes().to_vec());
            Ok(0)
        };
        let sources = Sources::new(survey.clone(), header.clone(), Box::new(keep));
        Self { sources, made, pieces, next: 0 }
    }

    /// The chunks that are made next, each with the pieces that have it.
    fn window(&self) -> Vec<(u64, PieceSet)> {
        let header = &self.sources.header;
        let has = |chunk: u64| move |piece: &u8| chunk < header.of_piece(*piece).chunks();
        let of_chunk = |chunk: u64| (chunk, self.pieces.iter().filter(has(chunk)).collect::<PieceSet>());
        let chunks = (self.next..).map(of_chunk).take(self.sources.chunks_in(PART));
        chunks.take_while(|(_, pieces)| !pieces.is_empty()).collect()
    }

    /// Whether everything was made.
    pub(crate) fn is_done(&self) -> bool {
        self.window().is_empty()
    }

    /// Ends a window: its part of each piece, if all of it could be made.
    fn end(&mut self, window: &[(u64, PieceSet)]) -> Option<Parts> {
        self.next += window.len() as u64;
        let is_made = self.sources.sums().end() == window;
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let mut parts: Parts = self.pieces.iter().map(|piece| (piece, Vec::new())).collect();
        for ((piece, _), chunk) in made {
            let part = parts.iter_mut().find(|(of, _)| *of == piece);
            part.into_iter().for_each(|(_, part)| part.extend(&chunk));
        }
        is_made.then_some(parts)
    }
}

/// The next part of each; `None` for those that cannot be made.
pub(crate) fn make_next(core: &mut Core, remakings: &mut [&mut Remaking]) -> Vec<Option<Parts>> {
    let windows: Vec<_> = remakings.iter().map(|remaking| remaking.window()).collect();
    let of_each = remakings.iter_mut().zip(&windows);
    of_each.for_each(|(remaking, window)| remaking.sources.sums().begin(window.iter().copied()));
    make(core, remakings.iter_mut().map(|remaking| &mut remaking.sources).collect());
    remakings.iter_mut().zip(&windows).map(|(remaking, window)| remaking.end(window)).collect()
}

/// What chunks are made of: verified chunks of the pieces of a version.
struct Sources<'a> {
    /// Of any piece.
    header: Header,
    incoming: Incoming<Sums<'a>>,
    /// Pieces and chunks that no server provides.
    bad: BTreeSet<(u8, u64)>,
    /// By the number of a piece: what was wrong with it on which server.
    faults: Vec<(u8, usize, Fault)>,
}

impl<'a> Sources<'a> {
    fn new(survey: Survey, header: Header, take: Take<'a>) -> Self {
        let claims = header.scheme.pieces().filter_map(|piece| survey.claim(header.version, piece));
        let pieces = claims.map(|claim| Piece::to_combine(claim.clone())).collect();
        let sums = Sums::new(header.clone(), take);
        let incoming = Incoming { survey, output: sums, pieces, failed: None };
        Self { header, incoming, bad: BTreeSet::new(), faults: Vec::new() }
    }

    fn sums(&mut self) -> &mut Sums<'a> {
        &mut self.incoming.output
    }

    fn chunks_in_window(&self) -> usize {
        self.chunks_in(WINDOW)
    }

    fn chunks_in(&self, bytes: u64) -> usize {
        let count = (bytes / (u64::from(placement::PIECES) * self.header.chunk_size())).max(1);
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// Plans how to make the chunks that are still to come, and has the pieces want what is needed for it. Returns
    /// whether there is any such thing.
    fn plan(&mut self, core: &Core) -> bool {
        if self.incoming.failed.is_some() {
            return false;
        }
        let is_shown = |piece: u8| {
            let holders = self.incoming.survey.holders(self.header.version, piece);
            holders.iter().any(|&server| core.cluster.is_up(server))
        };
        let shown: PieceSet = placement::numbers().filter(|&piece| is_shown(piece)).collect();
        let there = |chunk: u64| -> PieceSet {
            // Beyond its end a piece has zeros, which nobody needs to be asked for.
            let is_there = |piece: &u8| {
                let is_good = shown.contains(*piece) && !self.bad.contains(&(*piece, chunk));
                is_good || chunk >= self.header.of_piece(*piece).chunks()
            };
            placement::numbers().filter(is_there).collect()
        };
        let mut wants: Vec<(u64, PieceSet)> = Vec::new();
        let alike = |chunk: u64, wanted: PieceSet| (there(chunk), wanted);
        for rows in self.incoming.output.wanted().chunk_by(|a, b| alike(a.0, a.1) == alike(b.0, b.1)) {
            let Some(&(chunk, wanted)) = rows.first() else { continue };
            let recipes = recipes_for_most(there(chunk), wanted);
            // Each for a part of the window: they read from different servers.
            for (rows, recipe) in rows.chunks(rows.len().div_ceil(recipes.len())).zip(&recipes) {
                for &(chunk, _) in rows {
                    self.incoming.output.follow(chunk, recipe);
                    wants.push((chunk, recipe.read));
                }
            }
        }
        for piece in &mut self.incoming.pieces {
            let header = &piece.claim.header;
            let (number, end) = (header.piece, header.chunks());
            let chunks = wants.iter().filter(|(chunk, read)| read.contains(number) && *chunk < end);
            piece.want(chunks.map(|(chunk, _)| *chunk));
            piece.tried.clear();
        }
        !self.incoming.pieces.iter().all(Piece::is_whole)
    }

    /// Notes what the servers did not provide, and why.
    fn note_faults(&mut self) {
        for piece in &mut self.incoming.pieces {
            let number = piece.claim.header.piece;
            self.bad.extend(piece.missing().iter().map(|&chunk| (number, chunk)));
            for (server, fault) in piece.tried.drain(..) {
                let Some(fault) = fault else { continue };
                if !self.faults.iter().any(|(p, s, _)| (*p, *s) == (number, server)) {
                    self.faults.push((number, server, fault));
                }
            }
        }
    }

    /// Adds the faults to the pieces of the file, and the XORs that had some.
    fn give_faults(&mut self, pieces: &mut Vec<Piece>) {
        for (number, server, fault) in self.faults.drain(..) {
            let of_number = |piece: &Piece| piece.claim.header.piece == number;
            if !pieces.iter().any(of_number) {
                let read = self.incoming.pieces.iter().find(|piece| of_number(piece));
                pieces.extend(read.map(|piece| Piece::to_combine(piece.claim.clone())));
            }
            if let Some(piece) = pieces.iter_mut().find(|piece| of_number(piece))
                && !piece.was_tried(server)
            {
                piece.tried.push((server, Some(fault)));
            }
        }
    }
}

/// How to make those of the wanted pieces that can be made: all ways, of which there is at least one.
fn recipes_for_most(there: PieceSet, wanted: PieceSet) -> Vec<Recipe> {
    let all = recipes(there, wanted);
    if !all.is_empty() {
        return all;
    }
    let can_be_made = |piece: &u8| !recipes(there, PieceSet::from_iter([*piece])).is_empty();
    recipes(there, wanted.iter().filter(can_be_made).collect())
}
