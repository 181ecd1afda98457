//! The bytes of a file in their order: fetched a window at a time, so that memory stays bounded whatever its size is.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::fetch::Output;
use super::gather::{Incoming, gather};
use super::piece::{Fault, Piece};
use super::plan::{BadCopy, Failure, Plan, bad_copies, failure, is_to_make, pieces, report_bad_copies};
use super::rebuild::rebuild;
use crate::client::core::base::Core;
use crate::client::core::error::LocalError;
use crate::placement;
use crate::version::Version;

/// Bytes of the first window: over a slow line, too, the first bytes come soon.
const FIRST: u64 = 1 << 20;
/// Most bytes of a window. Each one costs a round trip in which nothing arrives.
const MOST: u64 = 32 << 20;
/// From so many bytes on, the part of a piece that is in a window is fetched from two holders at the same time.
const WORTH_TWO: u64 = 4 << 20;

/// A file that is fetched from its beginning to its end.
pub(super) struct Stream {
    /// Each piece twice, for two holders. A piece is whole if it has what it should have of the window.
    file: Incoming<Window>,
    version: Version,
    /// The number of the piece, and that of its chunk, with which the next window begins.
    next: (u8, u64),
    /// About how many bytes the next window has.
    length: u64,
    bad: Vec<BadCopy>,
}

/// The bytes of a window, as far as they have arrived.
struct Window {
    /// Where they begin in the file.
    start: u64,
    bytes: Mutex<Vec<u8>>,
    is_unwanted: Arc<AtomicBool>,
}

impl Window {
    fn of(range: Range<u64>, is_unwanted: Arc<AtomicBool>) -> Self {
        // Its length is bounded above.
        let length = usize::try_from(range.end - range.start).unwrap_or(0);
        Self { start: range.start, bytes: Mutex::new(vec![0; length]), is_unwanted }
    }
}

/// Why a window takes no bytes: it has no path.
fn unusable(why: ErrorKind) -> LocalError {
    LocalError::Failed(PathBuf::new(), why.into())
}

impl Output for Window {
    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), LocalError> {
        if self.is_unwanted.load(Ordering::Relaxed) {
            return Err(unusable(ErrorKind::BrokenPipe));
        }
        let mut window = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let start = offset.checked_sub(self.start).and_then(|start| usize::try_from(start).ok());
        let part = start.and_then(|start| window.get_mut(start..start.checked_add(bytes.len())?));
        // Nothing else was wanted; what is not taken must not be taken for written.
        let Some(part) = part else { return Err(unusable(ErrorKind::InvalidInput)) };
        part.copy_from_slice(bytes);
        Ok(())
    }
}

impl Stream {
    /// Of a file that can be rebuilt. Nothing more is fetched when `is_unwanted`.
    pub(super) fn new(core: &Core, plan: Plan, is_unwanted: Arc<AtomicBool>) -> Self {
        let version = plan.facts.version;
        let pieces = [pieces(core, &plan), pieces(core, &plan)].into_iter().flatten().collect();
        let first = placement::pieces().next().unwrap_or_default();
        let file =
            Incoming { survey: plan.survey, output: Window::of(0..0, is_unwanted), pieces, failed: None };
        // Of what is made of others nothing is read twice if all of it is in one window.
        let is_one = plan.facts.size <= MOST && is_to_make(core, &file.survey, &file.pieces);
        let length = if is_one { MOST } else { FIRST };
        Self { file, version, next: (first, 0), length, bad: Vec::new() }
    }

    /// The next bytes, all of them verified; none at the end of the file, or if they are unwanted.
    pub(super) fn next(&mut self, core: &mut Core) -> Result<Option<Vec<u8>>, Failure> {
        let Some(range) = self.begin_window() else { return Ok(None) };
        let length = range.end - range.start;
        self.file.output = Window::of(range, Arc::clone(&self.file.output.is_unwanted));
        core.cluster.refresh();
        let begin = Instant::now();
        self.fetch(core);
        if !self.is_whole() && self.file.pieces.iter().any(|piece| !piece.tried.is_empty()) {
            // A copy that is damaged elsewhere may have these chunks.
            self.file.pieces.iter_mut().for_each(|piece| piece.tried.clear());
            self.fetch(core);
        }
        if let Some(error) = self.file.failed.take() {
            let is_unwanted = self.file.output.is_unwanted.load(Ordering::Relaxed);
            return if is_unwanted { Ok(None) } else { Err(Failure::Failed(error.into())) };
        }
        if !self.is_whole() {
            return Err(failure(core, &self.file.survey, self.version, &self.file.pieces));
        }
        self.length = length_after(length, begin.elapsed());
        let bytes = self.file.output.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(std::mem::take(bytes)))
    }

    /// Warns of the copies that were bad.
    pub(super) fn report_bad_copies(self, core: &Core) {
        report_bad_copies(core, &self.file.survey, self.bad);
    }

    fn is_whole(&self) -> bool {
        self.file.pieces.iter().all(Piece::is_whole)
    }

    fn fetch(&mut self, core: &mut Core) {
        if !is_to_make(core, &self.file.survey, &self.file.pieces) {
            gather(core, &mut [&mut self.file], &[]);
        }
        rebuild(core, [&mut self.file]);
        for (server, piece, why) in bad_copies(&self.file.pieces) {
            if !self.bad.iter().any(|(s, p, _)| (*s, *p) == (server, piece)) {
                self.bad.push((server, piece, why));
            }
        }
    }

    /// Has the pieces want what the next window has of them; returns where it is in the file.
    fn begin_window(&mut self) -> Option<Range<u64>> {
        // What is behind is not needed anymore, nor are faults of XORs. Servers that failed are asked again only if no
        // other has it.
        self.file.pieces.retain(|piece| piece.claim.header.piece >= self.next.0 && piece.key().is_some());
        let is_bad = |fault: &Option<Fault>| !matches!(fault, None | Some(Fault::Lost(_)));
        self.file.pieces.iter_mut().for_each(|piece| piece.tried.retain(|(_, fault)| is_bad(fault)));
        self.file.pieces.iter_mut().for_each(|piece| piece.want(0..0));
        let (mut window, mut left): (Option<Range<u64>>, _) = (None, self.length);
        while left > 0
            && let Some(piece) = self.file.pieces.iter().find(|p| p.claim.header.piece == self.next.0)
        {
            let header = piece.claim.header.clone();
            let (number, first) = self.next;
            let end = header.chunks().min(first + left.div_ceil(header.chunk_size()));
            self.next = if end < header.chunks() { (number, end) } else { (number + 1, 0) };
            let length = (first..end).map(|chunk| header.chunk_range(chunk)).map(|r| r.end - r.start).sum();
            let start = placement::range(header.file_size, number).start + first * header.chunk_size();
            window = Some(window.map_or(start, |window| window.start)..start + length);
            left = left.saturating_sub(length);
            let middle = if length < WORTH_TWO { end } else { first + (end - first).div_ceil(2) };
            let twice = self.file.pieces.iter_mut().filter(|piece| piece.claim.header.piece == number);
            twice.zip([first..middle, middle..end]).for_each(|(piece, chunks)| piece.want(chunks));
        }
        window.filter(|window| !window.is_empty())
    }
}

/// Bytes of the window that follows one of `length` bytes, which took so long: what arrives in a second.
fn length_after(length: u64, took: Duration) -> u64 {
    let of_a_second = u128::from(length) * 1000 / took.as_millis().max(1);
    u64::try_from(of_a_second).unwrap_or(u64::MAX).clamp(FIRST, MOST)
}
