//! Making pieces of others, for a file that is stored with parity: a window of chunks at a time, so that memory stays
//! bounded whatever its size is.
//!
//! What is made of verified chunks is as the client wrote it. It is done chunk by chunk, so a file comes back although no
//! two of its servers have undamaged pieces, if each of its chunks can be made of what is undamaged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::fetch::{Fault, Output, Piece};
use super::gather::{Incoming, gather};
use crate::client::core::base::Core;
use crate::client::core::error::LocalError;
use crate::client::core::report::Progress;
use crate::client::core::survey::Survey;
use crate::placement::parity::{Recipe, recipe};
use crate::placement::{self, PieceSet, Scheme};
use crate::sealed::{FileKey, Header, VerifiedChunk};

/// Most bytes of a window, in all pieces together, unless a single chunk of each is more.
const WINDOW: u64 = 32 << 20;

/// Verified chunks, by the number of their piece and their own.
#[derive(Default)]
struct Kept(Mutex<BTreeMap<(u8, u64), VerifiedChunk>>);

impl Output for Kept {
    fn write(&self, _: &[u8], _: u64) -> Result<(), LocalError> {
        Ok(())
    }

    fn keep(&self, piece: u8, chunk: u64, bytes: VerifiedChunk) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((piece, chunk), bytes);
    }
}

/// Makes what is missing of a file, as far as that is possible. What was wrong with the pieces that were read for it is
/// added to the file's pieces.
pub(super) fn rebuild<O: Output>(core: &mut Core, file: &mut Incoming<O>) {
    let Some(header) = file.pieces.first().map(|piece| piece.claim.header.clone()) else { return };
    let Some(key) = file.pieces.first().and_then(Piece::key).cloned() else { return };
    if header.scheme != Scheme::Parity || file.failed.is_some() || file.pieces.iter().all(Piece::is_whole) {
        return;
    }
    let mut sources = Sources::new(file.survey.clone(), header);
    // What was asked for already, of every server that has it, is not asked for again.
    for piece in file.pieces.iter().filter(|piece| !piece.tried.is_empty()) {
        let number = piece.claim.header.piece;
        sources.bad.extend(piece.missing().iter().map(|&chunk| (number, chunk)));
    }
    while write_window(core, file, &mut sources, &key) {}
    file.pieces.extend(sources.into_faults());
}

/// Makes the next chunks that are missing, and writes them; returns whether there may be more.
fn write_window<O: Output>(
    core: &mut Core,
    file: &mut Incoming<O>,
    sources: &mut Sources,
    key: &FileKey,
) -> bool {
    let count = sources.chunks_in_window();
    let first = |piece: &Piece| piece.missing().iter().copied().take(count).collect::<Vec<_>>();
    let chunks: BTreeSet<u64> = file.pieces.iter().flat_map(first).collect();
    let wanted = |chunk: u64| -> PieceSet {
        let pieces = file.pieces.iter().filter(|piece| piece.missing().contains(&chunk));
        pieces.map(|piece| piece.claim.header.piece).collect()
    };
    let window: Vec<(u64, PieceSet)> =
        chunks.into_iter().take(count).map(|chunk| (chunk, wanted(chunk))).collect();
    if window.is_empty() {
        return false;
    }
    let Some(made) = sources.make(core, &window) else { return false };
    for (number, chunk, mut bytes) in made {
        let header = sources.header.of_piece(number);
        let range = header.chunk_range(chunk);
        let Some(plain) = bytes.decrypt(key) else { return false };
        let start = placement::range(header.file_size, number).start + range.start;
        if let Err(error) = file.output.write(plain, start) {
            file.failed = Some(error);
            return false;
        }
        core.report.progress(Progress { done: range.end - range.start });
        let targets = file.pieces.iter_mut().filter(|piece| piece.claim.header.piece == number);
        targets.for_each(|piece| piece.was_made(chunk));
    }
    true
}

/// The bodies of these pieces of a version, made of what the servers have; `None` if that does not suffice. They are
/// held in memory.
pub(crate) fn bodies(
    core: &mut Core,
    survey: &Survey,
    header: &Header,
    pieces: PieceSet,
) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut sources = Sources::new(survey.clone(), header.clone());
    let mut bodies: Vec<(u8, Vec<u8>)> = pieces.iter().map(|piece| (piece, Vec::new())).collect();
    let chunks = pieces.iter().map(|piece| header.of_piece(piece).chunks()).max().unwrap_or(0);
    let wanted = |chunk: u64| -> PieceSet {
        pieces.iter().filter(|piece| chunk < header.of_piece(*piece).chunks()).collect()
    };
    let window: Vec<(u64, PieceSet)> = (0..chunks).map(|chunk| (chunk, wanted(chunk))).collect();
    for window in window.chunks(sources.chunks_in_window()) {
        for (number, _, chunk) in sources.make(core, window)? {
            let body = bodies.iter_mut().find(|(piece, _)| *piece == number);
            body.into_iter().for_each(|(_, body)| body.extend(chunk.bytes()));
        }
    }
    Some(bodies)
}

/// What chunks are made of: verified chunks of the pieces of a version.
struct Sources {
    /// Of any piece.
    header: Header,
    incoming: Incoming<Kept>,
    /// Pieces and chunks that no server provides.
    bad: BTreeSet<(u8, u64)>,
    /// By the number of a piece: what was wrong with it on which server.
    faults: Vec<(u8, usize, Fault)>,
}

impl Sources {
    fn new(survey: Survey, header: Header) -> Self {
        let claims = header.scheme.pieces().filter_map(|piece| survey.claim(header.version, piece));
        let pieces = claims.map(|claim| Piece::to_keep(claim.clone())).collect();
        let incoming = Incoming { survey, output: Kept::default(), pieces, failed: None };
        Self { header, incoming, bad: BTreeSet::new(), faults: Vec::new() }
    }

    fn chunks_in_window(&self) -> usize {
        let count = (WINDOW / (u64::from(placement::PIECES) * self.header.chunk_size())).max(1);
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// Makes the wanted pieces of each of these chunks; returns pieces, chunks and bytes, the chunks in order. `None` if
    /// one cannot be made.
    fn make(&mut self, core: &mut Core, window: &[(u64, PieceSet)]) -> Option<Vec<(u8, u64, VerifiedChunk)>> {
        self.incoming.output = Kept::default();
        let plans = loop {
            let plans = self.plan(core, window)?;
            if !self.fetch(core, &plans) {
                break plans;
            }
            if self.faults.iter().any(|(.., fault)| *fault == Fault::Replaced) {
                return None;
            }
        };
        let kept = self.incoming.output.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut made = Vec::new();
        for (chunk, recipe) in plans {
            for (number, of) in recipe.made {
                let stored = self.header.of_piece(number).stored_chunk(chunk);
                let length = usize::try_from(stored.end - stored.start).unwrap_or(0);
                let of = of.iter().filter_map(|piece| kept.get(&(piece, chunk)));
                made.push((number, chunk, VerifiedChunk::sum(of, length)));
            }
        }
        Some(made)
    }

    /// How to make each chunk; `None` if one cannot be made.
    fn plan(&self, core: &Core, window: &[(u64, PieceSet)]) -> Option<Vec<(u64, Recipe)>> {
        let is_shown = |piece: u8| {
            let holders = self.incoming.survey.holders(self.header.version, piece);
            holders.iter().any(|&server| core.cluster.is_up(server))
        };
        let shown: PieceSet = placement::numbers().filter(|&piece| is_shown(piece)).collect();
        let mut known: Vec<((PieceSet, PieceSet), Recipe)> = Vec::new();
        let of_chunk = |&(chunk, wanted): &(u64, PieceSet)| {
            // Beyond its end a piece has zeros, which nobody needs to be asked for.
            let is_there = |piece: &u8| {
                let is_good = shown.contains(*piece) && !self.bad.contains(&(*piece, chunk));
                is_good || chunk >= self.header.of_piece(*piece).chunks()
            };
            let there: PieceSet = placement::numbers().filter(is_there).collect();
            if let Some((_, recipe)) = known.iter().find(|(of, _)| *of == (there, wanted)) {
                return Some((chunk, recipe.clone()));
            }
            let recipe = recipe(there, wanted)?;
            known.push(((there, wanted), recipe.clone()));
            Some((chunk, recipe))
        };
        window.iter().map(of_chunk).collect()
    }

    /// Fetches what is needed and not there; returns whether there was any such thing.
    fn fetch(&mut self, core: &mut Core, plans: &[(u64, Recipe)]) -> bool {
        let kept = self.incoming.output.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for piece in &mut self.incoming.pieces {
            let number = piece.claim.header.piece;
            let is_needed = |chunk: u64, recipe: &Recipe| {
                recipe.read.contains(number) && !kept.contains_key(&(number, chunk))
            };
            let chunks = plans.iter().filter(|(chunk, recipe)| is_needed(*chunk, recipe));
            let end = piece.claim.header.chunks();
            piece.want(chunks.map(|(chunk, _)| *chunk).filter(|chunk| *chunk < end));
            piece.tried.clear();
        }
        if self.incoming.pieces.iter().all(Piece::is_whole) {
            return false;
        }
        gather(core, &mut [&mut self.incoming], &[]);
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
        true
    }

    /// The pieces that were read, of those that had faults.
    fn into_faults(self) -> impl Iterator<Item = Piece> {
        let Self { incoming, faults, .. } = self;
        incoming.pieces.into_iter().filter_map(move |mut piece| {
            let of_piece = faults.iter().filter(|(number, ..)| *number == piece.claim.header.piece);
            piece.tried = of_piece.map(|(_, server, fault)| (*server, Some(fault.clone()))).collect();
            piece.want([]);
            (!piece.tried.is_empty()).then_some(piece)
        })
    }
}
