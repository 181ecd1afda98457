//! Gathering the pieces of files: which server gives which piece, and which is asked next.

use std::sync::OnceLock;

use super::fetch::{Fetched, Fetching, Output, Writing};
use super::piece::Piece;
use crate::client::core::base::Core;
use crate::client::core::cluster::lending::Extras;
use crate::client::core::error::LocalError;
use crate::client::core::look::{Looks, now};
use crate::client::core::report::{Phase, timed};
use crate::client::core::survey::Survey;
use crate::commit::Asked;
use crate::name::FilePath;
use crate::peer::Answer;
use crate::wire::NameReport;

/// If all servers are on this machine, up to so many bytes come from as few of them as have them: from the first what
/// it has, from the next what is still missing. Each further server takes time of the same cores, which shows when many
/// clients download at once. Servers elsewhere have disks and lines of their own.
const FEW: u64 = 16 << 20;

/// A file that is being fetched, and what takes its bytes.
pub(super) struct Incoming<O> {
    pub(super) survey: Survey,
    pub(super) output: O,
    pub(super) pieces: Vec<Piece>,
    /// Why it cannot be written here.
    pub(super) failed: Option<LocalError>,
}

impl<O> Incoming<O> {
    /// Its bytes.
    pub(super) fn size(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.claim.header.piece_size).sum()
    }
}

/// Fetches until every piece is whole or no server is left to ask. In each round, each missing piece is requested from
/// a server that has it and was not asked yet.
///
/// If that does not take long, the servers are then asked about the names `next`, so that they have something to do
/// while what they sent is written. Returns what they answered.
pub(super) fn gather<O: Output>(
    core: &mut Core,
    files: &mut [&mut Incoming<O>],
    next: &[FilePath],
) -> Option<Looks> {
    let mut looks = None;
    let mut may_share = true;
    loop {
        let mut by_server: Vec<Vec<Piece>> = (0..core.cluster.len()).map(|_| Vec::new()).collect();
        let mut load = vec![0; core.cluster.len()];
        let bytes: u64 = files.iter().flat_map(|file| &file.pieces).map(Piece::bytes_missing).sum();
        let few = bytes <= FEW && core.cluster.is_local();
        for (number, file) in files.iter_mut().enumerate().filter(|(_, file)| file.failed.is_none()) {
            for mut piece in std::mem::take(&mut file.pieces) {
                match giver(candidates(core, &piece, &file.survey), &load, few) {
                    Some(server) => {
                        load[server] += piece.claim.header.piece_size;
                        piece.file = number;
                        by_server[server].push(piece);
                    }
                    None => file.pieces.push(piece),
                }
            }
        }
        if by_server.iter().all(Vec::is_empty) {
            return looks;
        }
        // Small files first: what is larger than the room on the disk then costs none that fits, even if the file
        // system does not let it be reserved.
        by_server.iter_mut().for_each(|pieces| pieces.sort_by_key(|piece| piece.claim.header.file_size));
        let writing: Vec<Writing<'_>> =
            files.iter().map(|file| Writing { output: &file.output, failed: OnceLock::new() }).collect();
        let next = if bytes <= FEW && looks.is_none() { next } else { &[] };
        let beside = if bytes > FEW && may_share { beside(&mut by_server) } else { Vec::new() };
        let All { mut pieces, looks: found, is_extra_lost } =
            fetch_all(core, &writing, by_server, beside, next);
        looks = looks.or(found);
        may_share &= !is_extra_lost;
        let back = core.cluster.log_in_again();
        for piece in pieces.iter_mut().filter(|piece| piece.was_lost_by(&back)) {
            piece.tried.pop();
        }
        let failed: Vec<_> = writing.into_iter().map(|file| file.failed.into_inner()).collect();
        for (file, failed) in files.iter_mut().zip(failed).filter(|(_, failed)| failed.is_some()) {
            file.failed = failed;
        }
        for piece in pieces {
            files[piece.file].pieces.push(piece);
        }
    }
}

/// The servers that can be asked for a piece: its home first, then back along the ring.
pub(super) fn candidates(core: &Core, piece: &Piece, survey: &Survey) -> Vec<usize> {
    if piece.is_whole() {
        return Vec::new();
    }
    let header = &piece.claim.header;
    let holders = survey.holders(header.version, header.piece);
    let may_give = |s: &usize| holders.contains(s) && core.cluster.is_up(*s) && !piece.was_tried(*s);
    survey.ring(header.piece).into_iter().filter(may_give).collect()
}

/// Which of the candidates gives a piece: if few servers should give, one that already gives something, otherwise the
/// one with the least to give so far; in a tie, the first. So with all servers up each gives one piece of a large file.
fn giver(candidates: Vec<usize>, load: &[u64], few: bool) -> Option<usize> {
    candidates.into_iter().min_by_key(|&server| if few { u64::from(load[server] == 0) } else { load[server] })
}

/// Takes, from each server that gives several pieces of which others are made, half of them for another connection: so a
/// server that gives as much as two is asked by as many threads as two.
fn beside(by_server: &mut [Vec<Piece>]) -> Vec<Vec<Piece>> {
    let half = |pieces: &mut Vec<Piece>| match pieces.iter().all(Piece::is_combined) {
        true => pieces.split_off(pieces.len().div_ceil(2)),
        false => Vec::new(),
    };
    by_server.iter_mut().map(half).collect()
}

/// Reads copies from the servers that have them, and verifies what arrives. Returns all copies, each with the fault
/// that was found.
pub(crate) fn read_to_verify(core: &mut Core, by_server: Vec<Vec<Piece>>) -> Vec<Piece> {
    let mut pieces = fetch_all(core, &[], by_server, Vec::new(), &[]).pieces;
    loop {
        let back = core.cluster.log_in_again();
        if back.is_empty() {
            return pieces;
        }
        let mut by_server: Vec<Vec<Piece>> = (0..core.cluster.len()).map(|_| Vec::new()).collect();
        let (lost, read) = pieces.into_iter().partition(|piece| piece.was_lost_by(&back));
        pieces = read;
        let lost: Vec<Piece> = lost;
        for mut piece in lost {
            if let Some((server, _)) = piece.tried.pop() {
                by_server[server].push(piece);
            }
        }
        pieces.extend(fetch_all(core, &[], by_server, Vec::new(), &[]).pieces);
    }
}

/// What came of fetching from all servers.
struct All {
    pieces: Vec<Piece>,
    /// What the servers have of the names that they were asked for.
    looks: Option<Looks>,
    /// Whether a connection besides the first was lost. Its server may be asked again on the first.
    is_extra_lost: bool,
}

/// Fetches what it can of the pieces for each server, each on a thread of its own: a slow server must not hold up
/// another. Those that are to come `beside` them, by server as well, have connections of their own.
fn fetch_all(
    core: &mut Core,
    files: &[Writing<'_>],
    mut by_server: Vec<Vec<Piece>>,
    beside: Vec<Vec<Piece>>,
    next: &[FilePath],
) -> All {
    let wanted: Vec<usize> = beside.iter().map(|pieces| usize::from(!pieces.is_empty())).collect();
    let extras = core.cluster.lend_extras(&wanted);
    let (before, logins) = (now(), core.cluster.logins());
    let mut answers: Vec<Vec<(usize, Answer<NameReport>)>> = next.iter().map(|_| Vec::new()).collect();
    let (mut pieces, mut back, mut behind) = (Vec::new(), Vec::new(), Vec::new());
    let (mut fetching, mut fetching_beside) = (Vec::new(), Vec::new());
    for (server, (mut extra, of_server)) in extras.into_iter().zip(beside).enumerate() {
        match extra.pop() {
            Some(peer) => {
                fetching_beside.push(Fetching::new(files, &*core.report, server, peer, of_server, &[]));
            }
            None => by_server[server].extend(of_server),
        }
    }
    for (server, (peer, of_server)) in core.cluster.lend_peers().into_iter().zip(by_server).enumerate() {
        match peer {
            Some(peer) if !(of_server.is_empty() && next.is_empty()) => {
                fetching.push(Fetching::new(files, &*core.report, server, peer, of_server, next));
            }
            peer => {
                pieces.extend(of_server);
                back.extend(peer.map(|peer| (server, Ok(peer))));
            }
        }
    }
    let (fetched, fetched_beside) = timed(&*core.report, Phase::Fetch, || run_all(fetching, fetching_beside));
    for Fetched { server, peer, is_behind, pieces: of_server, found } in fetched {
        answers.iter_mut().zip(found).for_each(|(of_name, answer)| of_name.push((server, answer)));
        behind.extend(is_behind.then_some(server));
        pieces.extend(of_server);
        back.push((server, peer));
    }
    core.cluster.take_back(back);
    let is_extra_lost = keep_extras(core, fetched_beside, &mut pieces);
    if !behind.is_empty() {
        core.cluster.replace(&behind);
    }
    let asked = Asked { before, after: now() };
    let looks = (!next.is_empty()).then(|| Looks { paths: next.to_vec(), answers, asked, logins });
    All { pieces, looks, is_extra_lost }
}

/// Runs these at the same time, the last of the first ones on this thread.
fn run_all<'a>(mut fetching: Vec<Fetching<'a>>, beside: Vec<Fetching<'a>>) -> (Vec<Fetched>, Vec<Fetched>) {
    std::thread::scope(|scope| {
        let run = |fetching: Fetching<'a>| fetching.run();
        let spawn = |fetching| scope.spawn(move || run(fetching));
        let own = fetching.pop();
        let others: Vec<_> = fetching.into_iter().map(spawn).collect();
        let beside: Vec<_> = beside.into_iter().map(spawn).collect();
        let own = own.map(run);
        // A thread that panicked has lost its connection and its pieces; the file is then incomplete.
        let joined = others.into_iter().filter_map(|thread| thread.join().ok());
        let beside = beside.into_iter().filter_map(|thread| thread.join().ok());
        (joined.chain(own).collect(), beside.collect())
    })
}

/// Takes back the connections besides the first, and adds the pieces that came by them. Returns whether one was lost.
fn keep_extras(core: &mut Core, fetched: Vec<Fetched>, pieces: &mut Vec<Piece>) -> bool {
    let mut extras: Extras = (0..core.cluster.len()).map(|_| Vec::new()).collect();
    let mut is_lost = false;
    for Fetched { server, peer, is_behind, pieces: mut of_server, .. } in fetched {
        match peer {
            Ok(peer) => extras[server].extend((!is_behind).then_some(peer)),
            Err(_) => {
                is_lost = true;
                of_server.iter_mut().for_each(Piece::forget_loss);
            }
        }
        pieces.extend(of_server);
    }
    core.cluster.keep_extras(extras);
    is_lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_comes_from_all_servers_and_a_small_one_from_few() {
        let holders = [vec![0, 3], vec![1, 0], vec![2, 1], vec![3, 2]];
        let givers = |few| {
            let mut load = [0; 4];
            holders.clone().map(|candidates| {
                let server = giver(candidates, &load, few).unwrap();
                load[server] += 1;
                server
            })
        };
        assert_eq!(givers(false), [0, 1, 2, 3]);
        assert_eq!(givers(true), [0, 0, 2, 2]);
    }
}
