//! What is left of an upload that was cut off, and how much of it is the beginning of this one.
//!
//! Servers are not believed: the local file is encrypted again, under the nonces that they say were used, and what has
//! the hash that they say it has is what they have. Nothing of this goes anywhere.

use std::thread;

use super::encryption::Encryption;
use super::local::OpenSource;
use super::plan::{Encrypted, Kept, Plan};
use crate::client::core::base::Core;
use crate::client::core::chunks::{Known, Question, list_chunks};
use crate::client::core::survey::Survey;
use crate::name::FilePath;
use crate::peer::Answer;
use crate::placement::{self, parity};
use crate::primitives::sha256;
use crate::sealed::{FileKey, Header, Kind, NONCE, WrappedKey};
use crate::version::Version;
use crate::wire::MIN_PARTIAL;

/// What is left of an upload.
pub(super) struct Remains {
    pub(super) wrapped: WrappedKey,
    pub(super) key: FileKey,
    /// By piece, from 1: the chunks that are proved.
    pub(super) known: Vec<Vec<Known>>,
    pub(super) kept: Vec<Kept>,
}

/// Something that a server has of an unfinished version, as it says.
struct Candidate {
    kept: Kept,
    wrapped: WrappedKey,
    key: FileKey,
}

impl Remains {
    /// What is left of earlier uploads of a file, as far as its bytes are still the same. `fenced` are the versions
    /// that every server has promised never to publish: of others what is staged may still be needed.
    pub(super) fn find(
        core: &mut Core,
        survey: &Survey,
        fenced: &[Version],
        source: &OpenSource,
        header: &Header,
    ) -> Option<Self> {
        let candidates = candidates(core, survey, fenced, header);
        let first = candidates.first()?;
        let (wrapped, key) = (first.wrapped, first.key.clone());
        let lists = ask(core, &survey.path, candidates.iter().map(|candidate| &candidate.kept), header);
        let prove = |piece: u8| {
            let lists: Vec<&[Known]> = candidates
                .iter()
                .zip(&lists)
                .filter(|(candidate, _)| candidate.kept.piece == piece)
                .map(|(_, list)| &list[..])
                .collect();
            prove(source, &key, &header.of_piece(piece), &lists)
        };
        let known: Vec<Vec<Known>> = thread::scope(|scope| {
            let threads: Vec<_> =
                placement::pieces().map(|piece| scope.spawn(move || prove(piece))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
        });
        let kept = candidates.into_iter().zip(&lists).filter_map(|(Candidate { kept, .. }, list)| {
            let chunks = in_common(list, &known[usize::from(kept.piece) - 1]) as u64;
            (chunks > 0).then_some(Kept { chunks, ..kept })
        });
        let kept: Vec<Kept> = kept.collect();
        (!kept.is_empty()).then_some(Self { wrapped, key, known, kept })
    }

    /// Has an upload begin with this.
    pub(super) fn begin(self, plan: &mut Plan) {
        let Self { wrapped, key, known, kept } = self;
        (plan.header.key, plan.key, plan.known, plan.kept) = (wrapped, key, known, kept);
    }

    /// Bytes of the file that are proved.
    pub(super) fn bytes(&self, header: &Header) -> u64 {
        let of_piece = |(piece, known): (u8, &Vec<Known>)| {
            (known.len() as u64 * header.chunk_size()).min(header.of_piece(piece).piece_size)
        };
        placement::pieces().zip(&self.known).map(of_piece).sum()
    }
}

/// What servers that are back have of a version that this client is staging. `sent` are its pieces that were encrypted.
pub(super) fn kept_by(core: &mut Core, plan: &Plan, sent: &[Encrypted], servers: &[usize]) -> Vec<Kept> {
    let version = plan.header.version;
    let large = sent.iter().filter(|sent| plan.header.of_piece(sent.piece).body_size() >= MIN_PARTIAL);
    let pairs = large.flat_map(|sent| {
        let holders =
            servers.iter().filter(|server| plan.holders[usize::from(sent.piece) - 1].contains(server));
        holders.map(move |&server| (sent, server))
    });
    let (known, kept): (Vec<Vec<Known>>, Vec<Kept>) = pairs
        .map(|(sent, server)| {
            let chunks = u64::try_from(sent.table.len() / 32).unwrap_or(u64::MAX);
            (plan.known_of(sent), Kept { server, piece: sent.piece, version, chunks })
        })
        .unzip();
    let lists = ask(core, &plan.header.path, kept.iter(), &plan.header);
    let kept = kept.into_iter().zip(lists).zip(known).filter_map(|((kept, list), known)| {
        let chunks = in_common(&list, &known) as u64;
        (chunks > 0).then_some(Kept { chunks, ..kept })
    });
    kept.collect()
}

/// What could be the beginning of a file with this header: all under one file key, that under which there is most; and
/// for each piece on a server the longest.
fn candidates(core: &Core, survey: &Survey, fenced: &[Version], header: &Header) -> Vec<Candidate> {
    if header.kind != Kind::Data || header.of_piece(1).body_size() < MIN_PARTIAL {
        return Vec::new();
    }
    let fits = |found: &Header| {
        // XORs are made, and sent, again.
        let shape = |header: &Header| (header.kind, header.scheme, header.file_size, header.chunk_log2);
        shape(found) == shape(header) && parity::sources(found.piece).is_none()
    };
    let mut candidates = Vec::new();
    for &version in fenced {
        for piece in placement::pieces() {
            let Some(claim) = survey.claim(version, piece).filter(|claim| fits(&claim.header)) else {
                continue;
            };
            let Ok(verified) = core.key.verify(claim) else { continue };
            for server in survey.holders(version, piece) {
                let kept = Kept { server, piece, version, chunks: claim.header.chunks() };
                candidates.push(Candidate {
                    kept,
                    wrapped: claim.header.key,
                    key: core.key.unwrap(&verified),
                });
            }
        }
    }
    let decided = survey.view().decided;
    for partial in &survey.partial {
        let found = &partial.opening.header;
        // Nobody can commit it, so it can be taken from any writer, but one that is at work would have to send it
        // again.
        let is_left = Some(found.version) > decided && !survey.is_in_progress(found.version);
        if let Ok(verified) = core.key.verify_opening(&partial.opening)
            && is_left
            && fits(found)
        {
            let (piece, version) = (found.piece, found.version);
            let kept =
                Kept { server: partial.server, piece, version, chunks: partial.chunks.min(found.chunks()) };
            candidates.push(Candidate { kept, wrapped: found.key, key: core.key.unwrap(&verified) });
        }
    }
    candidates.sort_by_key(|Candidate { kept, .. }| (kept.piece, std::cmp::Reverse(kept.chunks)));
    let mut seen = Vec::new();
    candidates.retain(|Candidate { kept, wrapped, .. }| {
        let of = (kept.piece, kept.server, *wrapped);
        let is_new = !seen.contains(&of);
        seen.push(of);
        is_new
    });
    let total = |wrapped: &WrappedKey| -> u64 {
        let same = candidates.iter().filter(|candidate| candidate.wrapped == *wrapped);
        same.map(|candidate| candidate.kept.chunks).sum()
    };
    let Some(best) = candidates.iter().map(|candidate| candidate.wrapped).max_by_key(total) else {
        return Vec::new();
    };
    candidates.retain(|candidate| candidate.wrapped == best);
    candidates
}

/// The chunks that servers have, as they list them.
fn ask<'a>(
    core: &mut Core,
    path: &FilePath,
    kept: impl Iterator<Item = &'a Kept>,
    header: &Header,
) -> Vec<Vec<Known>> {
    let question =
        |kept: &Kept| (kept.server, Question::new(path, kept.version, &header.of_piece(kept.piece)));
    let answers = list_chunks(&mut core.cluster, &kept.map(question).collect::<Vec<_>>());
    answers
        .into_iter()
        .map(|answer| if let Answer::Done(list) = answer { list } else { Vec::new() })
        .collect()
}

/// How many of the first chunks are the same.
fn in_common(one: &[Known], other: &[Known]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// The longest of the lists' beginnings that the file has. One that is the same as what is proved already costs
/// nothing.
fn prove(source: &OpenSource, key: &FileKey, header: &Header, lists: &[&[Known]]) -> Vec<Known> {
    let mut best: &[Known] = &[];
    let agreed = before_a_contradiction(lists);
    for list in lists {
        let list = &list[..agreed.min(list.len())];
        if in_common(list, best) < list.len() {
            let proved = &list[..count_proved(source, key, header, list)];
            if proved.len() > best.len() {
                best = proved;
            }
        }
    }
    best.to_vec()
}

/// How many of the first chunks have no nonce for which two servers list different bytes: one of them lies.
fn before_a_contradiction(lists: &[&[Known]]) -> usize {
    let chunks = lists.iter().map(|list| list.len()).max().unwrap_or(0);
    let contradicts = |chunk: usize| {
        let of_chunk = || lists.iter().filter_map(move |list| list.get(chunk));
        of_chunk().any(|one| of_chunk().any(|other| one.nonce == other.nonce && one.hash != other.hash))
    };
    (0..chunks).find(|&chunk| contradicts(chunk)).unwrap_or(chunks)
}

fn count_proved(source: &OpenSource, key: &FileKey, header: &Header, list: &[Known]) -> usize {
    if list.is_empty() {
        return 0;
    }
    let nonce = |chunk: u64| {
        let known = usize::try_from(chunk).ok().and_then(|chunk| list.get(chunk));
        known.map_or([0; NONCE], |known| known.nonce)
    };
    let mut encryption = Encryption::new(source, key, header, 0, nonce);
    encryption.by_chunk();
    let mut buffer = Vec::new();
    let is_there = |known: &&Known| {
        // If the file cannot be read, staging says so.
        encryption.step(&mut buffer).is_ok_and(|(chunk, _)| !chunk.is_empty() && sha256(chunk) == known.hash)
    };
    list.iter().take_while(is_there).count()
}
