//! Gathering the pieces of files: which server gives which, and which is asked next.

use super::fetch::{Fetched, Fetching, Piece};
use super::target::Target;
use crate::client::core::base::Core;
use crate::client::core::error::ClientError;
use crate::client::core::report::{Phase, timed};
use crate::client::core::survey::Survey;

/// A file that is being downloaded.
pub(super) struct Incoming {
    pub(super) survey: Survey,
    pub(super) target: Target,
    pub(super) pieces: Vec<Piece>,
    /// Why it cannot be written here.
    pub(super) failed: Option<ClientError>,
}

/// Fetches until every piece is whole or nobody is left to ask. In each round a server is asked for a piece that
/// has it and was not asked yet.
pub(super) fn gather(core: &mut Core, files: &mut [&mut Incoming]) {
    loop {
        let mut by_server: Vec<Vec<Piece>> = (0..core.cluster.len()).map(|_| Vec::new()).collect();
        let mut load = vec![0; core.cluster.len()];
        for (number, file) in files.iter_mut().enumerate().filter(|(_, file)| file.failed.is_none()) {
            for mut piece in std::mem::take(&mut file.pieces) {
                let candidates = candidates(core, &piece, &file.survey).into_iter();
                // With all servers up each gives one piece of a large file.
                match candidates.min_by_key(|&server| load[server]) {
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
            return;
        }
        let targets: Vec<&Target> = files.iter().map(|file| &file.target).collect();
        let (pieces, failures) = fetch_all(core, &targets, by_server);
        for (number, error) in failures {
            files[number].failed.get_or_insert(error);
        }
        for piece in pieces {
            files[piece.file].pieces.push(piece);
        }
    }
}

/// The servers that can be asked for a piece: its home first, then back along the ring.
fn candidates(core: &Core, piece: &Piece, survey: &Survey) -> Vec<usize> {
    if piece.is_whole() {
        return Vec::new();
    }
    let header = &piece.claim.header;
    let holders = survey.holders(header.version, header.piece);
    let may_give = |s: &usize| holders.contains(s) && core.cluster.is_up(*s) && !piece.was_tried(*s);
    survey.ring(header.piece).into_iter().filter(may_give).collect()
}

/// Reads copies from the servers that have them, and verifies what comes. Gives all copies back, each with the fault
/// that was met.
pub(crate) fn read_to_verify(core: &mut Core, by_server: Vec<Vec<Piece>>) -> Vec<Piece> {
    fetch_all(core, &[], by_server).0
}

/// Fetches what it can of the pieces for each server, each on a thread of its own: a slow server must not hold up
/// another. Gives all pieces back, and which files could not be written.
fn fetch_all(
    core: &mut Core,
    targets: &[&Target],
    by_server: Vec<Vec<Piece>>,
) -> (Vec<Piece>, Vec<(usize, ClientError)>) {
    let (mut pieces, mut failures, mut back) = (Vec::new(), Vec::new(), Vec::new());
    let mut fetching = Vec::new();
    for (server, (peer, of_server)) in core.cluster.lend_peers().into_iter().zip(by_server).enumerate() {
        match peer {
            Some(peer) if !of_server.is_empty() => {
                fetching.push(Fetching::new(targets, &*core.report, server, peer, of_server));
            }
            peer => {
                pieces.extend(of_server);
                back.extend(peer.map(|peer| (server, Ok(peer))));
            }
        }
    }
    let fetched = timed(&*core.report, Phase::Fetch, || {
        std::thread::scope(|scope| {
            let own = fetching.pop();
            let others: Vec<_> =
                fetching.into_iter().map(|fetching| scope.spawn(|| fetching.run())).collect();
            let own = own.map(Fetching::run);
            // A thread that panicked has lost its connection and its pieces; the file is then incomplete.
            let joined = others.into_iter().filter_map(|thread| thread.join().ok());
            joined.chain(own).collect::<Vec<_>>()
        })
    });
    for Fetched { server, peer, pieces: of_server, local_error } in fetched {
        failures.extend(local_error);
        pieces.extend(of_server);
        back.push((server, peer));
    }
    core.cluster.take_back(back);
    (pieces, failures)
}
