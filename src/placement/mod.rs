//! Redundancy: which pieces a file has, which bytes are in each, which servers hold them, and which sets of pieces
//! suffice.
//!
//! There are two schemes. With *copies*, the pieces are placed around the ring of servers from a start that depends on
//! the file's path, and each is copied to the servers before its home: *chained declustering* (Hsiao and DeWitt, 1990).
//! With [`parity`], there are XORs of two pieces instead of copies. No other module counts to four, to eight or to R.

mod mend;
pub mod parity;
mod set;

use std::ops::Range;

pub use parity::PARITY_REPLICAS;
pub use set::{PIECES, PieceSet};

/// The piece number under which a delete is kept: a tombstone is a version with this one piece.
pub const TOMBSTONE: u8 = 0;
/// The number of the scheme of copies in a piece's header.
pub const SCHEME_COPIES: u8 = 1;
/// The number of the scheme of XORs in a piece's header.
pub const SCHEME_PARITY: u8 = 2;
/// How many copies of each piece are kept by default.
pub const DEFAULT_REPLICAS: usize = 2;

/// How a version is protected against the loss of servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// R copies of each of four pieces: any R - 1 servers may be lost.
    #[default]
    Copies,
    /// Four pieces and four XORs of two of them, each once: any two servers may be lost.
    Parity,
}

impl Scheme {
    /// Its number in a header.
    pub fn number(self) -> u8 {
        match self {
            Scheme::Copies => SCHEME_COPIES,
            Scheme::Parity => SCHEME_PARITY,
        }
    }

    /// The scheme with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Scheme::Copies, Scheme::Parity].into_iter().find(|scheme| scheme.number() == number)
    }

    /// The numbers of its pieces: first those with a part of the file, in file order.
    pub fn pieces(self) -> impl Iterator<Item = u8> + Clone {
        1..=self.count()
    }

    /// How many pieces a file has.
    pub fn count(self) -> u8 {
        match self {
            Scheme::Copies => PIECES,
            Scheme::Parity => 2 * PIECES,
        }
    }

    /// Bytes of a file of `size` bytes that a piece stands for: an XOR is as long as the longer of its sources.
    pub fn piece_size(self, size: u64, piece: u8) -> u64 {
        let length = |piece| range(size, piece).end - range(size, piece).start;
        parity::sources(piece)
            .map_or_else(|| length(piece), |sources| sources.map(length).into_iter().fold(0, u64::max))
    }

    /// The holders of each piece: `holders[p - 1]` are the indices of the servers for piece `p`, home first. If no
    /// server is `usable`, nobody holds anything.
    ///
    /// `path_hash` is the SHA-256 of the file's path; read as a big-endian integer modulo the number of servers, it
    /// gives the start x. `replicas` counts for copies alone.
    pub fn holders(self, path_hash: &[u8; 32], usable: &[bool], replicas: usize) -> Vec<Vec<usize>> {
        let servers = usable.len();
        if servers == 0 {
            return vec![Vec::new(); usize::from(self.count())];
        }
        let start = remainder(path_hash, servers);
        match self {
            Scheme::Copies => holders_of_copies(start, usable, replicas),
            Scheme::Parity => parity::holders(start, usable),
        }
    }

    /// All servers in the order in which they are considered for a piece, its home first.
    pub fn ring(self, path_hash: &[u8; 32], servers: usize, piece: u8) -> Vec<usize> {
        let rank = piece.saturating_sub(1) % PIECES;
        let home = remainder(path_hash, servers.max(1)) + usize::from(rank);
        let step = |n| match self {
            Scheme::Copies => home + servers - n,
            Scheme::Parity => home + n,
        };
        (0..servers).map(|n| step(n) % servers).collect()
    }

    /// How many servers should hold each piece, if there are `servers` and `replicas` are asked for.
    pub fn holders_wanted(self, replicas: usize, servers: usize) -> usize {
        match self {
            Scheme::Copies => copies_wanted(replicas, servers),
            Scheme::Parity => 1,
        }
    }

    /// How many servers must be up for a file's new name to be worth as much as the old one, if there are `servers` and
    /// `replicas` are asked for: with parity so many that one of them may be lost.
    pub fn servers_wanted(self, replicas: usize, servers: usize) -> usize {
        match self {
            Scheme::Copies => copies_wanted(replicas, servers),
            Scheme::Parity => 2,
        }
    }

    /// What each server would have of a file that is stored while these are `usable`; see [`Scheme::holders`].
    pub fn placed(self, path_hash: &[u8; 32], usable: &[bool], replicas: usize) -> Vec<PieceSet> {
        let holders = self.holders(path_hash, usable, replicas);
        let holds = |server: usize| move |(_, of): &(u8, &Vec<usize>)| of.contains(&server);
        let of = |server| self.pieces().zip(&holders).filter(holds(server)).map(|(piece, _)| piece).collect();
        (0..usable.len()).map(of).collect()
    }

    /// Whether a file is as safe as was asked for. `held` is what each server has of it that answers, out of `servers`;
    /// so many that are `away` count as if they had what would help most, except that they alone do not suffice.
    pub fn is_safe(self, held: &[PieceSet], replicas: usize, servers: usize, away: usize) -> bool {
        let wanted = match self {
            Scheme::Copies => copies_wanted(replicas, servers) - 1,
            Scheme::Parity => parity::LOSSES,
        };
        self.losses(held).is_some_and(|losses| losses + away >= wanted)
    }

    /// How many more servers may be lost, whichever they are, with parity at most two; `None` if the file is lost
    /// already. `held` is what each server has of it.
    pub fn losses(self, held: &[PieceSet]) -> Option<usize> {
        match self {
            Scheme::Copies => {
                let copies = |piece| held.iter().filter(|held| held.contains(piece)).count();
                self.pieces().map(copies).min().and_then(|fewest| fewest.checked_sub(1))
            }
            Scheme::Parity => parity::losses(held),
        }
    }

    /// The fewest pieces to make of others so that a file with parity is as safe as the servers that are `usable` can make
    /// it, each with its server. `held` is what each server has; `None` if that does not suffice, or of copies, of which
    /// none is made of others.
    pub fn to_mend(
        self,
        path_hash: &[u8; 32],
        held: &[PieceSet],
        usable: &[bool],
    ) -> Option<Vec<(u8, usize)>> {
        let placed = || self.placed(path_hash, usable, usize::from(PARITY_REPLICAS));
        (self == Scheme::Parity).then(|| mend::mend(held, &placed(), usable)).flatten()
    }

    /// Whether a file is as safe as `up` servers can make it: then nothing older need be kept beside it. `held` is what
    /// each server has of it.
    pub fn is_safest(self, held: &[PieceSet], replicas: usize, up: usize) -> bool {
        match self {
            Scheme::Copies => self.is_safe(held, replicas, up, 0),
            Scheme::Parity => parity::losses(held) >= Some(parity::most_losses(up)),
        }
    }
}

/// The numbers of the pieces into which a file is split, in file order, in every scheme.
pub fn pieces() -> impl Iterator<Item = u8> + Clone {
    1..=PIECES
}

/// The numbers of the pieces of all schemes, for those who do not know by which one a file is stored.
pub fn numbers() -> impl Iterator<Item = u8> + Clone {
    Scheme::Parity.pieces()
}

/// The bytes of a file of `size` bytes that a piece holds.
///
/// The ranges of all pieces are contiguous and cover the file; lengths differ by at most one byte, the longer
/// ones first. A file shorter than the number of pieces has empty pieces at its end.
///
/// # Panics
/// Never for one of [`pieces`]; any other number is a caller's mistake.
pub fn range(size: u64, piece: u8) -> Range<u64> {
    stripe(size, PIECES, piece)
}

/// One of `pieces` parts, counted from 1.
fn stripe(size: u64, pieces: u8, piece: u8) -> Range<u64> {
    debug_assert!((1..=pieces).contains(&piece));
    let (part, longer) = (size / u64::from(pieces), size % u64::from(pieces));
    let start = |index: u8| u64::from(index) * part + u64::from(index).min(longer);
    start(piece - 1)..start(piece)
}

/// The home of piece p is server x + p, counted from 1 around the ring. The piece is stored on the first `replicas`
/// servers that are `usable`, going backwards from its home. If fewer are usable, it is stored on all of them; if none
/// is, nowhere.
fn holders_of_copies(start: usize, usable: &[bool], replicas: usize) -> Vec<Vec<usize>> {
    let servers = usable.len();
    pieces()
        .map(|piece| {
            let home = start + usize::from(piece) - 1;
            (0..servers)
                .map(|back| (home + servers - back) % servers)
                .filter(|&server| usable[server])
                .take(replicas)
                .collect()
        })
        .collect()
}

/// Whether a file can be rebuilt, if `held` says of each piece whether a copy of it exists. Only a file with parity has
/// XORs, so the rule is the same for both schemes.
pub fn suffices(held: impl Fn(u8) -> bool) -> bool {
    parity::suffices(numbers().filter(|&piece| held(piece)).collect())
}

/// How many copies of each piece are possible on `servers` servers if `replicas` are asked for.
pub fn copies_wanted(replicas: usize, servers: usize) -> usize {
    replicas.clamp(1, servers.max(1))
}

/// Whether a file, a delete or damage may be out of sight if `unseen` of `servers` servers did not say what they
/// have. If so, nobody can say that a name does not exist, or that there is no problem.
///
/// A file stored while at least `replicas` servers are up is on at least `replicas` of them: one of these answers
/// unless as many are unseen. A file stored while fewer are up, but fewer than `replicas` are down, is on all that are
/// up: one of these answers if `replicas` servers do. (A file stored while even more are down has fewer copies, and
/// its writer was warned; the rule does not cover it.)
pub fn out_of_sight(replicas: usize, servers: usize, unseen: usize) -> bool {
    let replicas = copies_wanted(replicas, servers);
    unseen > 0 && (unseen >= replicas || servers.saturating_sub(unseen) < replicas)
}

fn remainder(big_endian: &[u8; 32], modulus: usize) -> usize {
    big_endian.iter().fold(0, |rest, &byte| (rest * 256 + usize::from(byte)) % modulus)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_sizes_are_split_as_the_format_says() {
        let length = |size, piece| range(size, piece).end - range(size, piece).start;
        let lengths = |size| [1, 2, 3, 4].map(|piece| length(size, piece));
        assert_eq!(lengths(0), [0, 0, 0, 0]);
        assert_eq!(lengths(1), [1, 0, 0, 0]);
        assert_eq!(lengths(6), [2, 2, 1, 1]);
        assert_eq!(lengths(1_001_718), [250_430, 250_430, 250_429, 250_429]);
    }

    fn hash_with_start(x: u8) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[31] = x;
        hash
    }

    /// The table that every description of the exercise has: pieces by server for each x.
    #[test]
    fn four_servers_and_two_copies_give_the_classic_table() {
        let table = [
            [[1, 2], [2, 3], [3, 4], [4, 1]],
            [[4, 1], [1, 2], [2, 3], [3, 4]],
            [[3, 4], [4, 1], [1, 2], [2, 3]],
            [[2, 3], [3, 4], [4, 1], [1, 2]],
        ];
        for (x, row) in table.iter().enumerate() {
            let holders = Scheme::Copies.holders(&hash_with_start(x as u8), &[true; 4], 2);
            for (server, expected) in row.iter().enumerate() {
                for piece in pieces() {
                    let holds = holders[usize::from(piece) - 1].contains(&server);
                    assert_eq!(holds, expected.contains(&piece), "x {x}, server {server}, piece {piece}");
                }
            }
        }
    }

    #[test]
    fn a_file_is_as_safe_as_it_can_be_with_the_servers_that_are_up() {
        let copies = [[1, 2], [2, 3], [3, 4], [4, 1]].map(PieceSet::from_iter);
        assert_eq!(Scheme::Copies.losses(&copies), Some(1));
        assert_eq!(Scheme::Copies.losses(&copies[..3]), Some(0));
        assert_eq!(Scheme::Copies.losses(&copies[..2]), None);
        assert!(Scheme::Copies.is_safest(&copies, 2, 4) && !Scheme::Copies.is_safest(&copies[..3], 2, 3));
        let pairs = [[1, 5], [2, 6], [3, 7], [4, 8]].map(PieceSet::from_iter);
        let on_one = [Scheme::Parity.pieces().collect::<PieceSet>(), PieceSet::default()];
        assert_eq!(Scheme::Parity.losses(&pairs), Some(2));
        assert!(Scheme::Parity.is_safest(&pairs, 3, 4) && Scheme::Parity.is_safest(&pairs[..3], 3, 3));
        assert!(!Scheme::Parity.is_safest(&pairs[..3], 3, 4) && !Scheme::Parity.is_safest(&on_one, 3, 2));
        assert!(Scheme::Parity.is_safest(&on_one, 3, 1) && !Scheme::Parity.is_safest(&pairs[..1], 3, 1));
    }

    /// Every upload with so few servers down, for each start, looked for with every set of servers unseen.
    #[test]
    fn something_may_be_out_of_sight_just_where_the_rule_says_so() {
        let sets = |servers: usize| {
            (0..1_usize << servers)
                .map(move |bits| (0..servers).map(|s| bits >> s & 1 == 1).collect::<Vec<_>>())
        };
        let count = |set: &[bool]| set.iter().filter(|&&is_in| is_in).count();
        for (servers, replicas) in (1..=6).flat_map(|servers| (1..=servers).map(move |r| (servers, r))) {
            let mut hidden = vec![false; servers + 1];
            let covered = |up: &Vec<bool>| {
                let up = count(up);
                up > 0 && (up >= replicas || servers - up < replicas)
            };
            for up in sets(servers).filter(covered) {
                for x in 0..servers as u8 {
                    let holders = Scheme::Copies.holders(&hash_with_start(x), &up, replicas).concat();
                    for unseen in sets(servers).filter(|unseen| holders.iter().all(|&s| unseen[s])) {
                        hidden[count(&unseen)] = true;
                    }
                }
            }
            let told: Vec<bool> = (0..=servers).map(|n| out_of_sight(replicas, servers, n)).collect();
            assert_eq!(told, hidden, "{servers} servers, {replicas} copies");
        }
        assert!(!out_of_sight(2, 4, 0) && !out_of_sight(2, 4, 1) && out_of_sight(2, 4, 2));
        assert!(out_of_sight(1, 4, 1) && !out_of_sight(1, 1, 0) && out_of_sight(1, 1, 1));
        assert!(out_of_sight(2, 2, 1), "what was stored while one was down, when the other is");
        assert!(out_of_sight(3, 2, 1), "no more copies than servers");
    }

    #[test]
    fn the_whole_hash_counts() {
        let mut hash = [0; 32];
        hash[0] = 1;
        assert_eq!(remainder(&hash, 7), (0..31).fold(1, |r, _| r * 256 % 7));
    }

    proptest! {
        #[test]
        fn the_ranges_cover_every_byte_once(size in any::<u64>(), pieces in 1u8..=8) {
            let mut end = 0;
            for piece in 1..=pieces {
                let range = stripe(size, pieces, piece);
                prop_assert_eq!(range.start, end);
                let length = range.end - range.start;
                prop_assert!(length == size / u64::from(pieces) || length == size / u64::from(pieces) + 1);
                end = range.end;
            }
            prop_assert_eq!(end, size);
        }

        #[test]
        fn every_piece_has_as_many_distinct_usable_holders_as_there_can_be(
            hash in any::<[u8; 32]>(),
            usable in prop::collection::vec(any::<bool>(), 1..12),
            replicas in 1usize..6,
        ) {
            let up = usable.iter().filter(|&&u| u).count();
            for servers in Scheme::Copies.holders(&hash, &usable, replicas) {
                prop_assert_eq!(servers.len(), replicas.min(up));
                let mut distinct = servers.clone();
                distinct.sort_unstable();
                distinct.dedup();
                prop_assert_eq!(distinct.len(), servers.len());
                prop_assert!(servers.iter().all(|&s| usable[s]));
            }
        }

        #[test]
        fn any_replicas_less_one_servers_can_be_lost(
            hash in any::<[u8; 32]>(),
            usable in prop::collection::vec(any::<bool>(), 2..9),
            replicas in 2usize..4,
            lost in any::<[prop::sample::Index; 3]>(),
        ) {
            let up = usable.iter().filter(|&&u| u).count();
            prop_assume!(up >= replicas);
            let lost: Vec<usize> = lost[..replicas - 1].iter().map(|i| i.index(usable.len())).collect();
            let holders = Scheme::Copies.holders(&hash, &usable, replicas);
            let survives = suffices(|p| {
                let holders = holders.get(usize::from(p) - 1);
                holders.is_some_and(|holders| holders.iter().any(|s| !lost.contains(s)))
            });
            prop_assert!(survives);
        }
    }
}
