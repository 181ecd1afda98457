//! Parity: four pieces P1 to P4, and four XORs of two of them, so that any two of four servers may be lost.
//!
//! ```text
//! Q1 = P2 ^ P3    Q2 = P3 ^ P4    Q3 = P4 ^ P1    Q4 = P1 ^ P2
//! ```
//!
//! Server i of the file's row of four holds Pi and Qi: a *WEAVER code* (Hafner, 2005). P1 to P4 are the pieces 1 to 4, Q1
//! to Q4 the pieces 5 to 8. Each piece is a vector of bits, one for each of P1 to P4 that is in it; what a set of pieces
//! can make is what its vectors span.

use super::set::{PIECES, PieceSet};

/// What a header with parity has for R, the number of copies: R - 1 servers may be lost with either scheme.
pub const PARITY_REPLICAS: u8 = 3;
/// How many servers may be lost of a file that has all its pieces on four servers.
pub(super) const LOSSES: usize = PARITY_REPLICAS as usize - 1;

/// The two pieces whose XOR this one is; none for a piece that has a part of the file.
pub fn sources(piece: u8) -> Option<[u8; 2]> {
    let is_xor = (PIECES + 1..=2 * PIECES).contains(&piece);
    is_xor.then(|| [piece % PIECES + 1, (piece + 1) % PIECES + 1])
}

/// A bit for each piece of the file that is in this one.
fn vector(piece: u8) -> u8 {
    let bit = |piece: u8| 1 << (piece - 1);
    match sources(piece) {
        Some([one, other]) => bit(one) | bit(other),
        None if (1..=PIECES).contains(&piece) => bit(piece),
        None => 0,
    }
}

/// What the XOR of these pieces is.
fn xor(pieces: PieceSet) -> u8 {
    pieces.iter().fold(0, |sum, piece| sum ^ vector(piece))
}

/// All subsets of a set, the empty one first.
pub(super) fn subsets(set: PieceSet) -> impl Iterator<Item = PieceSet> {
    let members: Vec<u8> = set.iter().collect();
    (0..1_u32 << members.len()).map(move |bits| {
        let is_in = |(index, _): &(usize, &u8)| bits >> index & 1 == 1;
        members.iter().enumerate().filter(is_in).map(|(_, &piece)| piece).collect()
    })
}

/// The rank of vectors over GF(2), in which a sum is an XOR: how many of them are needed to make all of them.
fn rank(vectors: impl IntoIterator<Item = u8>) -> usize {
    // Gauss: each vector adds to the rank unless it is the sum of those before it.
    let mut basis: Vec<u8> = Vec::new();
    for vector in vectors {
        let rest = basis.iter().fold(vector, |rest, base| rest.min(rest ^ base));
        if rest != 0 {
            basis.push(rest);
        }
    }
    basis.len()
}

/// Whether the file can be rebuilt from these pieces.
pub fn suffices(held: PieceSet) -> bool {
    rank(held.iter().map(vector)) == usize::from(PIECES)
}

/// How to make pieces: which ones to read, and of which of these each is the XOR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The pieces to read.
    pub read: PieceSet,
    /// Each wanted piece, and the pieces whose XOR it is: itself alone, if it is read.
    pub made: Vec<(u8, PieceSet)>,
}

/// How to make the `wanted` pieces from those that are `held`: all ways with the fewest to read and, of these, the fewest
/// XORs. None if it cannot be done.
pub fn recipes(held: PieceSet, wanted: PieceSet) -> Vec<Recipe> {
    let made_of = |read: PieceSet, piece: u8| {
        let ways = subsets(read).filter(|way| xor(*way) == vector(piece));
        ways.min_by_key(|way| way.iter().count()).map(|way| (piece, way))
    };
    let with = |read: PieceSet| {
        let made: Option<Vec<(u8, PieceSet)>> = wanted.iter().map(|piece| made_of(read, piece)).collect();
        made.map(|made| Recipe { read, made })
    };
    let cost = |recipe: &Recipe| {
        let xored: usize = recipe.made.iter().map(|(_, of)| of.iter().count()).sum();
        (recipe.read.iter().count(), xored)
    };
    // More than four are never needed: four that are independent span everything.
    let few = subsets(held).filter(|read| read.iter().count() <= usize::from(PIECES));
    let mut recipes: Vec<Recipe> = few.filter_map(with).collect();
    let least = recipes.iter().map(cost).min();
    recipes.retain(|recipe| Some(cost(recipe)) == least);
    recipes
}

/// The servers for each piece: see [`Scheme::holders`](super::Scheme::holders). Server i of the row, which begins at
/// `start`, holds Pi and Qi. If it is not usable, the next usable server of the ring after the row takes its place; if
/// there is none, both pieces go to the server with the fewest, the first after it. So each pair stays together, and
/// whatever holds two pairs, together or apart, suffices.
pub(super) fn holders(start: usize, usable: &[bool]) -> Vec<Vec<usize>> {
    let (ring, places) = (usable.len(), usize::from(PIECES));
    let at = |n: usize| (start + n) % ring;
    let mut spare = (places..ring).map(at).filter(|&server| usable[server]);
    let row: Vec<Option<usize>> = (0..places)
        .map(|place| {
            Some(at(place)).filter(|&server| place < ring && usable[server]).or_else(|| spare.next())
        })
        .collect();
    let mut filled = row.clone();
    for place in 0..places {
        if filled[place].is_none() {
            let pairs = |server: &usize| filled.iter().filter(|of| **of == Some(*server)).count();
            let after = (1..places).filter_map(|n| row[(place + n) % places]);
            filled[place] = after.min_by_key(pairs);
        }
    }
    let pairs = filled.iter().chain(&filled);
    pairs.map(|server| server.iter().copied().collect()).collect()
}

/// How many servers may be lost of a file that was stored while so many were up.
pub fn most_losses(up: usize) -> usize {
    match up {
        0 | 1 => 0,
        2 | 3 => 1,
        _ => LOSSES,
    }
}

/// How many more servers may be lost, whichever they are, at most [`LOSSES`]; `None` if the file is lost already. `held`
/// is what each server has.
pub(super) fn losses(held: &[PieceSet]) -> Option<usize> {
    let union = |left_out: &[usize]| -> PieceSet {
        let rest = held.iter().enumerate().filter(|(server, _)| !left_out.contains(server));
        rest.fold(PieceSet::default(), |all, (_, held)| all.union(*held))
    };
    let all = || 0..held.len();
    if !suffices(union(&[])) {
        None
    } else if !all().all(|one| suffices(union(&[one]))) {
        Some(0)
    } else if !all().all(|one| (0..one).all(|other| suffices(union(&[one, other])))) {
        Some(1)
    } else {
        Some(LOSSES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> PieceSet {
        (1..=8).collect()
    }

    fn recipe(held: PieceSet, wanted: PieceSet) -> Option<Recipe> {
        recipes(held, wanted).into_iter().next()
    }

    fn held_by(server: usize, holders: &[Vec<usize>]) -> PieceSet {
        (1..=8).filter(|&piece| holders[usize::from(piece) - 1].contains(&server)).collect()
    }

    fn held(holders: &[Vec<usize>], servers: usize) -> Vec<PieceSet> {
        (0..servers).map(|server| held_by(server, holders)).collect()
    }

    /// Every choice of so many servers of `servers` that are away.
    fn away(servers: usize, count: usize) -> impl Iterator<Item = Vec<bool>> {
        let sets = (0..1_usize << servers).filter(move |bits| bits.count_ones() as usize == count);
        sets.map(move |bits| (0..servers).map(|server| bits >> server & 1 == 0).collect())
    }

    #[test]
    fn each_xor_is_of_the_two_pieces_that_follow_on_the_row() {
        assert_eq!([5, 6, 7, 8].map(sources), [Some([2, 3]), Some([3, 4]), Some([4, 1]), Some([1, 2])]);
        assert!([0, 1, 2, 3, 4, 9].iter().all(|&piece| sources(piece).is_none()));
    }

    #[test]
    fn of_the_sixteen_sets_of_servers_those_with_two_or_more_suffice() {
        let holders = holders(0, &[true; 4]);
        assert_eq!(held(&holders, 4), [[1, 5], [2, 6], [3, 7], [4, 8]].map(PieceSet::from_iter));
        for servers in 0..16_u32 {
            let there = (0..4).filter(|server| servers >> server & 1 == 1);
            let pieces = there.fold(PieceSet::default(), |all, server| all.union(held_by(server, &holders)));
            assert_eq!(suffices(pieces), servers.count_ones() >= 2, "{servers:04b}");
        }
    }

    /// What docs/ASSIGNMENT.md says of the other ways to choose the XORs: each is of two of the three pieces that its
    /// server does not have. A way that works takes the two that follow on a ring, and there are six orders of a ring.
    #[test]
    fn of_the_81_ways_to_choose_the_xors_six_bear_the_loss_of_any_two_servers() {
        let xors = |server: u8| {
            (0..4).filter(move |left_out| *left_out != server).map(move |l| 0b1111 ^ 1 << l ^ 1 << server)
        };
        let ways = xors(0).flat_map(|a| xors(1).map(move |b| [a, b]));
        let ways = ways.flat_map(|[a, b]| xors(2).flat_map(move |c| xors(3).map(move |d| [a, b, c, d])));
        let bears =
            |way: &[u8; 4], one: usize, other: usize| rank([1 << one, way[one], 1 << other, way[other]]) == 4;
        let works = |way: &[u8; 4]| (0..4).all(|one| (0..one).all(|other| bears(way, one, other)));
        let ours = [5, 6, 7, 8].map(vector);
        let (all, good): (Vec<_>, Vec<_>) = (ways.clone().collect(), ways.filter(works).collect());
        assert_eq!((all.len(), good.len()), (81, 6));
        assert!(good.contains(&ours));

        let rings = [[0, 1, 2, 3], [0, 1, 3, 2], [0, 2, 1, 3], [0, 2, 3, 1], [0, 3, 1, 2], [0, 3, 2, 1]];
        for ring in rings {
            let mut way = [0; 4];
            (0..4).for_each(|n| way[ring[n]] = 1 << ring[(n + 1) % 4] | 1 << ring[(n + 2) % 4]);
            assert!(good.contains(&way), "{ring:?}");
        }
    }

    #[test]
    fn what_suffices_is_what_makes_all_pieces_of_the_file() {
        for set in subsets(all()) {
            assert_eq!(suffices(set), recipe(set, (1..=4).collect()).is_some(), "{set}");
        }
    }

    #[test]
    fn with_all_servers_up_any_two_may_be_lost() {
        for servers in [4, 5, 6, 8] {
            for start in 0..servers {
                let holders = holders(start, &vec![true; servers]);
                assert!(holders.iter().all(|of| of.len() == 1));
                assert_eq!(losses(&held(&holders, servers)), Some(2), "{servers} servers, x {start}");
            }
        }
    }

    #[test]
    fn with_servers_away_at_the_upload_as_many_may_be_lost_as_four_servers_allow() {
        for servers in [4, 5, 6, 8] {
            for start in 0..servers {
                for usable in (1..servers).flat_map(|count| away(servers, count)) {
                    let up = usable.iter().filter(|up| **up).count();
                    let holders = holders(start, &usable);
                    assert!(holders.iter().flatten().all(|&server| usable[server]));
                    assert!(holders.iter().all(|of| of.len() == 1));
                    let lost = losses(&held(&holders, servers));
                    assert_eq!(lost, Some(most_losses(up)), "x {start}, {usable:?}");
                }
            }
        }
        assert!(holders(0, &[false; 4]).iter().all(Vec::is_empty));
    }

    /// Wherever the two pieces of a server that is away go among the other three, together or not.
    #[test]
    fn with_one_of_four_away_one_more_may_be_lost_wherever_its_pieces_are() {
        for absent in 1..=4_u8 {
            let row: Vec<u8> = (1..=4).filter(|place| *place != absent).collect();
            for (p, q) in (0..3).flat_map(|p| (0..3).map(move |q| (p, q))) {
                let mut held: Vec<PieceSet> =
                    row.iter().map(|&place| [place, place + 4].into_iter().collect()).collect();
                held[p].insert(absent);
                held[q].insert(absent + 4);
                assert!(losses(&held) >= Some(1), "{held:?}");
            }
        }
    }

    #[test]
    fn reading_costs_four_pieces_and_mending_two_three_or_four() {
        let cost = |held, wanted| recipe(held, wanted).map(|recipe| recipe.read.iter().count());
        let server = |place: u8| PieceSet::from_iter([place, place + 4]);
        let file = PieceSet::from_iter([1, 2, 3, 4]);
        for one in 1..=4 {
            assert_eq!(cost(all().without(server(one)), file), Some(4));
            assert_eq!(cost(all().without(server(one)), server(one)), Some(3), "a server");
            for other in (1..=4).filter(|other| *other != one) {
                let lost = server(one).union(server(other));
                assert_eq!(cost(all().without(lost), file), Some(4));
                assert_eq!(cost(all().without(lost), lost), Some(4), "two servers");
            }
        }
        for piece in 1..=8 {
            let piece = PieceSet::from_iter([piece]);
            assert_eq!(cost(all().without(piece), piece), Some(2), "a piece");
        }
        assert_eq!(cost(all(), file), Some(4));
        assert_eq!(recipe(all(), file).unwrap().read, file, "nothing is made that can be read");
        let ways = recipes(all().without(server(3)), file).into_iter().map(|recipe| recipe.read);
        assert!(
            ways.eq([[1, 2, 4, 5], [1, 2, 4, 6]].map(PieceSet::from_iter)),
            "either neighbour has an XOR"
        );
        assert_eq!(cost(server(1), file), None);
        assert_eq!(cost(all(), PieceSet::default()), Some(0));
    }

    #[test]
    fn a_recipe_makes_what_it_says_from_bytes() {
        let data: [u8; 4] = [0x1b, 0x5c, 0xe0, 0x77];
        let byte = |piece: u8| match sources(piece) {
            None => data[usize::from(piece) - 1],
            Some(sources) => sources.iter().fold(0, |sum, &of| sum ^ data[usize::from(of) - 1]),
        };
        for held in subsets(all()) {
            for piece in 1..=8 {
                let Some(recipe) = recipe(held, [piece].into_iter().collect()) else { continue };
                assert_eq!(recipe.read.without(held), PieceSet::default());
                for (made, of) in recipe.made {
                    assert_eq!(of.iter().fold(0, |sum, of| sum ^ byte(of)), byte(made), "{held}: {made}");
                }
            }
        }
    }
}
