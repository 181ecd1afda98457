//! Going on with a download that was cut off: which chunks its draft has.
//!
//! Neither the draft is believed nor any server. What the draft has is encrypted again, in memory, under the nonces
//! that a server lists; a chunk that then has the hash that the sealed root has for it, is as the client wrote it.
//! Nothing of this goes anywhere, so keystream that is used again reveals nothing.

use std::collections::VecDeque;
use std::thread;

use super::gather::{Incoming, candidates};
use super::piece::Piece;
use super::target::Target;
use crate::client::core::base::Core;
use crate::client::core::chunks::{Known, Question, list_chunks};
use crate::peer::{Answer, Stop};
use crate::placement;
use crate::primitives::{Bytes32, sha256};
use crate::sealed::{ChunkCipher, NONCE};

/// A piece of which the draft may have something.
struct Doubted<'a> {
    piece: &'a mut Piece,
    /// The servers that can still be asked.
    servers: VecDeque<usize>,
    /// What the last of them listed.
    list: Vec<Known>,
}

/// Notes what the draft of a file has already, if it is that of an earlier download.
pub(super) fn resume(core: &mut Core, file: &mut Incoming<Target>) {
    let Incoming { survey, output: target, pieces, .. } = file;
    if !target.is_resumed() {
        return;
    }
    let (target, path) = (&*target, survey.path.clone());
    let doubted = pieces.iter_mut().filter_map(|piece| {
        let servers = candidates(core, piece, survey).into();
        let header = &piece.claim.header;
        let was_written = target.was_written(&placement::range(header.file_size, header.piece));
        was_written.then_some(Doubted { piece, servers, list: Vec::new() })
    });
    let mut doubted: Vec<Doubted<'_>> = doubted.collect();
    let stop = &core.cluster.stop().clone();
    // A list from which nothing is proved may be a lie: another server is asked.
    while !doubted.is_empty() {
        doubted.retain_mut(|doubted| !doubted.servers.is_empty());
        let question = |Doubted { piece, servers, .. }: &mut Doubted<'_>| {
            let header = &piece.claim.header;
            Some((servers.pop_front()?, Question::new(&path, header.version, header)))
        };
        let questions: Vec<_> = doubted.iter_mut().filter_map(question).collect();
        let answers = core.cluster.repeat_lost(&questions, list_chunks);
        let is_proved: Vec<bool> = thread::scope(|scope| {
            let prove = |(doubted, answer)| scope.spawn(move || prove(target, doubted, answer, stop));
            let threads: Vec<_> = doubted.iter_mut().zip(answers).map(prove).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
        });
        let mut is_proved = is_proved.into_iter();
        doubted.retain(|_| is_proved.next() == Some(false));
    }
}

/// Returns whether anything of a piece is proved.
fn prove(target: &Target, doubted: &mut Doubted<'_>, answer: Answer<Vec<Known>>, stop: &Stop) -> bool {
    let (Doubted { piece, list: last, .. }, Answer::Done(list)) = (doubted, answer) else { return false };
    let table: Vec<Bytes32> = list.iter().map(|known| known.hash).collect();
    if list == *last || sha256(&table.concat()) != piece.claim.root {
        return false;
    }
    let there = chunks_there(target, piece, &list, stop);
    piece.resume(table, &there);
    *last = list;
    !there.is_empty()
}

fn chunks_there(target: &Target, piece: &Piece, list: &[Known], stop: &Stop) -> Vec<u64> {
    let (header, Some(key)) = (&piece.claim.header, piece.key()) else { return Vec::new() };
    let in_file = placement::range(header.file_size, header.piece).start;
    let mut buffer = Vec::new();
    let mut is_there = |chunk: u64, known: &Known| {
        let range = header.chunk_range(chunk);
        let range = in_file + range.start..in_file + range.end;
        buffer.resize(NONCE + usize::try_from(range.end - range.start).unwrap_or(0), 0);
        let (nonce, bytes) = buffer.split_at_mut(NONCE);
        if !target.was_written(&range) || !target.read(bytes, range.start) {
            return false;
        }
        nonce.copy_from_slice(&known.nonce);
        ChunkCipher::new(key, &known.nonce).encrypt(bytes);
        sha256(&buffer) == known.hash
    };
    let chunks = (0..header.chunks()).zip(list).take_while(|_| !stop.is_requested());
    chunks.filter(|(chunk, known)| is_there(*chunk, known)).map(|(chunk, _)| chunk).collect()
}
