//! Gathering the pieces of files: who gives which, on how many threads, and who is asked next.

use std::thread::available_parallelism;

use super::Client;
use super::error::ClientError;
use super::fetch::{Context, Fetched, Fetching, Piece, fetch_in_turns};
use super::report::{Phase, timed};
use super::survey::Survey;
use super::target::Target;
use crate::peer::{Peer, PeerError};

/// Up to so many bytes are fetched by one thread: to start another takes as long as to fetch half of them.
const ONE_THREAD: u64 = 1 << 20;
/// If all servers are on this machine, up to so many come from as few of them as have them, and go to no more threads
/// than there are cores: each further server or thread takes time of the same cores, which shows where many clients
/// download at once. Servers elsewhere have cores and lines of their own, and a slow one must not hold up another.
const FEW: u64 = 16 << 20;
/// Most servers that one thread fetches from: while one is silent the others wait, and a server gives up after
/// twice as long as a client waits (see [`Limits::answer`](crate::peer::Limits::answer)).
const MAX_IN_TURNS: usize = 2;

impl Client {
    /// Fetches until every piece is whole or nobody is left to ask. In each round a server is asked for a piece that
    /// has it and was not asked yet.
    pub(super) fn gather(
        &mut self,
        targets: &[Target],
        files: &[usize],
        surveys: &[Survey],
        pieces: &mut Vec<Piece>,
        local_errors: &mut [Option<ClientError>],
    ) {
        let cores = available_parallelism().map_or(1, usize::from);
        loop {
            let bytes: u64 = pieces.iter().map(Piece::bytes_missing).sum();
            let few = bytes <= FEW && self.cluster.is_local();
            let mut by_server: Vec<Vec<Piece>> = (0..self.cluster.len()).map(|_| Vec::new()).collect();
            let mut load = vec![0; self.cluster.len()];
            let mut settled = Vec::new();
            for piece in std::mem::take(pieces) {
                let may_be_asked = !piece.is_whole() && local_errors[piece.file].is_none();
                let candidates = self.candidates(&piece, &surveys[files[piece.file]]);
                match giver(candidates, &load, few).filter(|_| may_be_asked) {
                    Some(server) => {
                        load[server] += piece.claim.header.piece_size;
                        by_server[server].push(piece);
                    }
                    None => settled.push(piece),
                }
            }
            *pieces = settled;
            if by_server.iter().all(Vec::is_empty) {
                return;
            }
            let threads = |servers| threads_for(bytes, servers, cores, few);
            pieces.extend(self.fetch(targets, by_server, threads, local_errors));
        }
    }

    /// Takes what it can of the pieces for each server from it, on so many threads as `threads` says for the number of
    /// servers that are asked. Gives all pieces back.
    fn fetch(
        &mut self,
        targets: &[Target],
        by_server: Vec<Vec<Piece>>,
        threads: impl Fn(usize) -> usize,
        local_errors: &mut [Option<ClientError>],
    ) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let context = Context { targets, report: &*self.report };
        let mut returned: Vec<Option<Result<Peer, PeerError>>> = Vec::new();
        let mut fetching = Vec::new();
        for (server, (peer, of_server)) in self.cluster.take_peers().into_iter().zip(by_server).enumerate() {
            returned.push(match peer {
                Some(peer) if !of_server.is_empty() => {
                    fetching.push(Fetching::new(&context, server, peer, of_server));
                    None
                }
                peer => {
                    pieces.extend(of_server);
                    peer.map(Ok)
                }
            });
        }
        let threads = threads(fetching.len());
        let fetched = timed(&*self.report, Phase::Fetch, || fetch_on(threads, fetching));
        for Fetched { server, peer, pieces: of_server, local_error } in fetched {
            if let Some((file, error)) = local_error {
                local_errors[file].get_or_insert(error);
            }
            pieces.extend(of_server);
            returned[server] = Some(peer);
        }
        self.cluster.put_back(returned, &*self.report);
        pieces
    }

    /// Reads copies from the servers that have them, each on a thread of its own, and verifies what comes. Gives all
    /// copies back, each with the fault that was met.
    pub(super) fn read_to_verify(&mut self, by_server: Vec<Vec<Piece>>) -> Vec<Piece> {
        self.fetch(&[], by_server, |servers| servers, &mut [])
    }

    /// Who can be asked for a piece: its home first, then back along the ring.
    fn candidates(&self, piece: &Piece, survey: &Survey) -> Vec<usize> {
        let header = &piece.claim.header;
        let holders = survey.holders(header.version, header.piece);
        let may_give = |s: &usize| holders.contains(s) && self.cluster.is_up(*s) && !piece.was_tried(*s);
        survey.ring(header.piece).into_iter().filter(may_give).collect()
    }
}

/// Who of the candidates gives a piece: if few servers are to give, one that gives something already, else the one with
/// the least to give so far; the first of several. So with all servers up each gives one piece of a large file.
fn giver(candidates: Vec<usize>, load: &[u64], few: bool) -> Option<usize> {
    candidates.into_iter().min_by_key(|&server| if few { u64::from(load[server] == 0) } else { load[server] })
}

/// Threads for so many bytes from so many servers; `few` as for [`giver`]. For many bytes a thread for each server
/// keeps the cores busier than one for each core, which has to wait now and then.
fn threads_for(bytes: u64, servers: usize, cores: usize, few: bool) -> usize {
    if !few {
        return servers;
    }
    let enough = if bytes <= ONE_THREAD { 1 } else { cores };
    enough.max(servers.div_ceil(MAX_IN_TURNS)).min(servers)
}

/// Fetches on so many threads, of which this is one.
fn fetch_on(threads: usize, fetching: Vec<Fetching<'_>>) -> Vec<Fetched> {
    let mut shares: Vec<Vec<Fetching<'_>>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, server) in fetching.into_iter().enumerate() {
        shares[number % threads].push(server);
    }
    std::thread::scope(|scope| {
        let own = shares.pop().unwrap_or_default();
        let others: Vec<_> = shares.into_iter().map(|share| scope.spawn(|| fetch_in_turns(share))).collect();
        let mut fetched = fetch_in_turns(own);
        // A thread that panicked has lost its connections and its pieces; the file is then incomplete.
        fetched.extend(others.into_iter().flat_map(|thread| thread.join().unwrap_or_default()));
        fetched
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

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

    #[test]
    fn few_servers_share_a_thread_but_no_more_than_two_and_many_have_one_each() {
        let threads = |servers, cores| [0, MIB, MIB + 1, FEW].map(|b| threads_for(b, servers, cores, true));
        assert_eq!(threads(1, 2), [1, 1, 1, 1]);
        assert_eq!(threads(2, 1), [1, 1, 1, 1]);
        assert_eq!(threads(2, 2), [1, 1, 2, 2]);
        assert_eq!(threads(4, 8), [2, 2, 4, 4]);
        assert_eq!(threads(9, 2), [5, 5, 5, 5]);
        assert_eq!([0, FEW, u64::MAX].map(|b| threads_for(b, 4, 2, false)), [4, 4, 4]);
    }
}
