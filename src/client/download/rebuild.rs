//! Making pieces of others, for a file that is stored with parity: a window of chunks at a time, so that memory stays
//! bounded whatever its size is.
//!
//! What is made of verified chunks is as the client wrote it. It is done chunk by chunk, so a file comes back although no
//! two of its servers have undamaged pieces, if each of its chunks can be made of what is undamaged.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, available_parallelism};

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
type Chunks = BTreeMap<(u8, u64), VerifiedChunk>;

#[derive(Default)]
struct Kept(Mutex<Chunks>);

impl Kept {
    fn kept(&self) -> MutexGuard<'_, Chunks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output for Kept {
    fn write(&self, _: &[u8], _: u64) -> Result<(), LocalError> {
        Ok(())
    }

    fn keep(&self, piece: u8, chunk: u64, bytes: VerifiedChunk) {
        self.kept().insert((piece, chunk), bytes);
    }
}

/// Makes what is missing of files, as far as that is possible. What was wrong with the pieces that were read for it is
/// added to the pieces of their file.
pub(super) fn rebuild<'a, O: Output + 'a>(
    core: &mut Core,
    files: impl IntoIterator<Item = &'a mut Incoming<O>>,
) {
    let mut waiting: Vec<Rebuilding<'_, O>> = files.into_iter().filter_map(Rebuilding::new).collect();
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
        let windows = now.iter_mut().map(|file| (&mut file.sources, &file.window[..]));
        let made = make_all(core, windows.collect());
        for (file, made) in now.iter_mut().zip(made) {
            file.is_over = !made.is_some_and(|made| file.write(core, &made));
        }
        waiting.retain_mut(|file| !file.is_over);
    }
}

/// A file of which something is missing.
struct Rebuilding<'a, O: Output> {
    file: &'a mut Incoming<O>,
    key: FileKey,
    sources: Sources,
    /// The next chunks that are missing, and of which pieces.
    window: Vec<(u64, PieceSet)>,
    is_over: bool,
}

impl<O: Output> Drop for Rebuilding<'_, O> {
    fn drop(&mut self) {
        self.file.pieces.extend(self.sources.take_faults());
    }
}

impl<'a, O: Output> Rebuilding<'a, O> {
    fn new(file: &'a mut Incoming<O>) -> Option<Self> {
        let header = file.pieces.first()?.claim.header.clone();
        let key = file.pieces.first()?.key()?.clone();
        let is_missing = file.failed.is_none() && !file.pieces.iter().all(Piece::is_whole);
        if header.scheme != Scheme::Parity || !is_missing {
            return None;
        }
        let mut sources = Sources::new(file.survey.clone(), header);
        // What was asked for already, of every server that has it, is not asked for again.
        for piece in file.pieces.iter().filter(|piece| !piece.tried.is_empty()) {
            let number = piece.claim.header.piece;
            sources.bad.extend(piece.missing().iter().map(|&chunk| (number, chunk)));
        }
        Some(Self { file, key, sources, window: Vec::new(), is_over: false })
    }

    /// Finds the next chunks that are missing; returns how many bytes are read for them, at most.
    fn begin_window(&mut self) -> u64 {
        let count = self.sources.chunks_in_window();
        let pieces = &self.file.pieces;
        let first = |piece: &Piece| piece.missing().iter().copied().take(count).collect::<Vec<_>>();
        let chunks: BTreeSet<u64> = pieces.iter().flat_map(first).collect();
        let wanted = |chunk: u64| -> PieceSet {
            let pieces = pieces.iter().filter(|piece| piece.missing().contains(&chunk));
            pieces.map(|piece| piece.claim.header.piece).collect()
        };
        self.window = chunks.into_iter().take(count).map(|chunk| (chunk, wanted(chunk))).collect();
        let chunk_size = self.sources.header.chunk_size().min(self.sources.header.file_size);
        self.window.len() as u64 * u64::from(placement::PIECES) * chunk_size
    }

    /// Makes chunks and writes them; returns whether there may be more.
    fn write(&mut self, core: &Core, made: &[Making]) -> bool {
        let (header, key, output) = (&self.sources.header, &self.key, &self.file.output);
        let guard = self.sources.incoming.output.kept();
        let kept = &*guard;
        let write = |making: &Making| {
            let header = header.of_piece(making.piece);
            let range = header.chunk_range(making.chunk);
            let start = placement::range(header.file_size, making.piece).start + range.start;
            let mut bytes = making.sum(&header, kept);
            match bytes.decrypt(key) {
                Some(plain) => output.write(plain, start),
                None => Ok(()),
            }
        };
        let cores = available_parallelism().map_or(1, usize::from).min(made.len().max(1));
        let failed = thread::scope(|scope| {
            let part = |part| scope.spawn(move || made.iter().skip(part).step_by(cores).try_for_each(write));
            let threads: Vec<_> = (1..cores).map(part).collect();
            let own = made.iter().step_by(cores).try_for_each(write);
            let panicked = || Err(LocalError::Failed(PathBuf::new(), io::ErrorKind::Other.into()));
            let others = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked()));
            others.fold(own, |all, one| all.and(one)).err()
        });
        drop(guard);
        if failed.is_some() {
            self.file.failed = failed;
            return false;
        }
        for &Making { piece: number, chunk, .. } in made {
            let range = self.sources.header.of_piece(number).chunk_range(chunk);
            core.report.progress(Progress { done: range.end - range.start });
            let targets = self.file.pieces.iter_mut().filter(|piece| piece.claim.header.piece == number);
            targets.for_each(|piece| piece.was_made(chunk));
        }
        !self.file.pieces.iter().all(Piece::is_whole)
    }
}

/// A chunk to be made, and of which pieces.
struct Making {
    piece: u8,
    chunk: u64,
    of: PieceSet,
}

impl Making {
    /// The chunk, of a piece with this header.
    fn sum(&self, header: &Header, kept: &Chunks) -> VerifiedChunk {
        let stored = header.stored_chunk(self.chunk);
        let length = usize::try_from(stored.end - stored.start).unwrap_or(0);
        VerifiedChunk::sum(self.of.iter().filter_map(|piece| kept.get(&(piece, self.chunk))), length)
    }
}

/// Fetches what the wanted pieces of these chunks are made of, and returns how, for each window; `None` if one cannot be
/// made.
fn make_all(core: &mut Core, windows: Vec<(&mut Sources, &[(u64, PieceSet)])>) -> Vec<Option<Vec<Making>>> {
    let mut windows: Vec<_> = windows;
    windows.iter_mut().for_each(|(sources, _)| sources.incoming.output = Kept::default());
    let mut plans: Vec<Option<Vec<(u64, Recipe)>>> = windows.iter().map(|_| Some(Vec::new())).collect();
    loop {
        let mut to_fetch: Vec<&mut Sources> = Vec::new();
        for ((sources, window), plan) in windows.iter_mut().zip(&mut plans) {
            *plan = plan.take().and_then(|_| sources.plan(core, window));
            if plan.as_ref().is_some_and(|plan| sources.wants(plan)) {
                to_fetch.push(sources);
            }
        }
        if to_fetch.is_empty() {
            break;
        }
        let mut incoming: Vec<&mut Incoming<Kept>> =
            to_fetch.iter_mut().map(|sources| &mut sources.incoming).collect();
        gather(core, &mut incoming, &[]);
        to_fetch.into_iter().for_each(Sources::note_faults);
    }
    let making = |plan: Vec<(u64, Recipe)>| {
        let of_chunk = |(chunk, recipe): (u64, Recipe)| {
            recipe.made.into_iter().map(move |(piece, of)| Making { piece, chunk, of })
        };
        plan.into_iter().flat_map(of_chunk).collect()
    };
    plans.into_iter().map(|plan| plan.map(making)).collect()
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
        let made = make_all(core, vec![(&mut sources, window)]).pop().flatten()?;
        let kept = &*sources.incoming.output.kept();
        for making in made {
            let body = bodies.iter_mut().find(|(piece, _)| *piece == making.piece);
            let chunk = making.sum(&header.of_piece(making.piece), kept);
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

    /// How to make each chunk; `None` if one cannot be made.
    fn plan(&self, core: &Core, window: &[(u64, PieceSet)]) -> Option<Vec<(u64, Recipe)>> {
        if self.faults.iter().any(|(.., fault)| *fault == Fault::Replaced) {
            return None;
        }
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

    /// Has the pieces want what is needed and not there; returns whether there is any such thing.
    fn wants(&mut self, plans: &[(u64, Recipe)]) -> bool {
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

    /// The pieces that were read, of those that had faults.
    fn take_faults(&mut self) -> Vec<Piece> {
        let faults = std::mem::take(&mut self.faults);
        let with_faults = std::mem::take(&mut self.incoming.pieces).into_iter().filter_map(|mut piece| {
            let of_piece = faults.iter().filter(|(number, ..)| *number == piece.claim.header.piece);
            piece.tried = of_piece.map(|(_, server, fault)| (*server, Some(fault.clone()))).collect();
            piece.want([]);
            (!piece.tried.is_empty()).then_some(piece)
        });
        with_faults.collect()
    }
}
