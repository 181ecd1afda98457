//! What to store again of a file with parity that has lost pieces, and where.

use super::parity::{losses, most_losses, subsets};
use super::set::{PIECES, PieceSet};

/// The fewest pieces to store so that a file is as safe as the servers that are `usable` can make it, and has all its
/// pieces if all servers are; each with its server. Of several such ways it is the one that is most like `placed`,
/// which is what each would have after an upload. `held` is what each has, of that which can be read. `None` if it does
/// not suffice to make others.
pub(super) fn to_make(held: &[PieceSet], placed: &[PieceSet], usable: &[bool]) -> Option<Vec<(u8, usize)>> {
    let wanted = most_losses(usable.iter().filter(|up| **up).count());
    losses(held)?;
    let all: PieceSet = (1..=2 * PIECES).collect();
    let is_enough = |held: &[PieceSet]| {
        let there = held.iter().fold(PieceSet::default(), |there, held| there.union(*held));
        losses(held) >= Some(wanted) && (there == all || usable.contains(&false))
    };
    if is_enough(held) {
        return Some(Vec::new());
    }
    let mut emptiest: Vec<usize> = (0..usable.len()).filter(|&server| usable[server]).collect();
    emptiest.sort_by_key(|&server| held[server].iter().count());
    let of_placed = |piece: u8| placed.iter().position(|held| held.contains(piece));
    let mut ways: Vec<Vec<(u8, usize)>> = Vec::new();
    for chosen in subsets(all).skip(1) {
        let as_placed = chosen.iter().map(|piece| Some((piece, of_placed(piece)?)));
        ways.extend(as_placed.collect::<Option<Vec<_>>>());
        // What holds two pairs, together or apart, suffices: so the pieces of a pair stay together.
        let pair = |piece: u8| (piece - 1) % PIECES;
        let mut pairs: Vec<u8> = chosen.iter().map(pair).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let to_emptiest = chosen.iter().map(|piece| {
            let index = pairs.iter().position(|of| *of == pair(piece))?;
            Some((piece, *emptiest.get(index)?))
        });
        ways.extend(to_emptiest.collect::<Option<Vec<_>>>());
    }
    ways.retain(|way| way.iter().all(|(piece, server)| !held[*server].contains(*piece)));
    let elsewhere =
        |way: &[(u8, usize)]| way.iter().filter(|(piece, server)| !placed[*server].contains(*piece)).count();
    ways.sort_by_cached_key(|way| (way.len(), elsewhere(way)));
    ways.into_iter().find(|way| {
        let mut then = held.to_vec();
        way.iter().for_each(|&(piece, server)| then[server].insert(piece));
        is_enough(&then)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Scheme;
    use super::*;

    fn hash(start: usize) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[31] = start as u8;
        hash
    }

    fn placed(start: usize, usable: &[bool]) -> Vec<PieceSet> {
        Scheme::Parity.placed(&hash(start), usable, 3)
    }

    /// Stores what is planned, and returns how many pieces that were.
    fn store(held: &mut [PieceSet], usable: &[bool], start: usize) -> usize {
        let planned = to_make(held, &placed(start, usable), usable).unwrap();
        for &(piece, server) in &planned {
            assert!(usable[server] && !held[server].contains(piece));
            held[server].insert(piece);
        }
        let up = usable.iter().filter(|up| **up).count();
        assert!(losses(held) >= Some(most_losses(up)), "{held:?}, {usable:?}");
        planned.len()
    }

    fn without(servers: usize, away: &[usize]) -> Vec<bool> {
        (0..servers).map(|server| !away.contains(&server)).collect()
    }

    #[test]
    fn a_wiped_server_gets_just_what_it_had() {
        for servers in [4, 5, 6, 8] {
            for start in 0..servers {
                let all = vec![true; servers];
                let before = placed(start, &all);
                for (one, other) in (0..servers).flat_map(|one| (0..=one).map(move |other| (one, other))) {
                    let mut held = before.clone();
                    (held[one], held[other]) = (PieceSet::default(), PieceSet::default());
                    let lost =
                        before.iter().zip(&held).map(|(a, b)| a.without(*b).iter().count()).sum::<usize>();
                    assert_eq!(store(&mut held, &all, start), lost);
                    assert_eq!(held, before, "{servers} servers, x {start}, wiped {one} and {other}");
                }
            }
        }
    }

    #[test]
    fn what_was_stored_with_a_server_away_costs_two_pieces_when_it_is_back() {
        for servers in [4, 5, 6, 8] {
            for (start, away) in (0..servers).flat_map(|start| (0..servers).map(move |away| (start, away))) {
                let mut held = placed(start, &without(servers, &[away]));
                let expected = if servers == 4 { 2 } else { 0 };
                assert_eq!(store(&mut held, &vec![true; servers], start), expected, "x {start}, {away}");
            }
        }
    }

    #[test]
    fn with_a_server_away_pieces_go_to_another_only_if_that_helps() {
        for (servers, expected) in [(4, 0), (5, 2), (6, 2)] {
            let mut held = placed(0, &vec![true; servers]);
            held[1] = PieceSet::default();
            assert_eq!(store(&mut held, &without(servers, &[1]), 0), expected, "{servers} servers");
        }
    }

    #[test]
    fn whatever_is_left_it_becomes_as_safe_as_can_be() {
        std::thread::scope(|scope| {
            for usable in [0b1111, 0b0111, 0b1011, 0b0101_u32] {
                scope.spawn(move || {
                    becomes_as_safe_as_can_be([0, 1, 2, 3].map(|server| usable >> server & 1 == 1));
                });
            }
        });
        assert_eq!(to_make(&[PieceSet::default(); 4], &placed(0, &[true; 4]), &[true; 4]), None);
    }

    fn becomes_as_safe_as_can_be(usable: [bool; 4]) {
        // Each piece on one of two servers, or lost.
        for places in 0..3_usize.pow(8) {
            let mut held = vec![PieceSet::default(); 4];
            for piece in 1..=8_u8 {
                let place = places / 3_usize.pow(u32::from(piece) - 1) % 3;
                let server = (usize::from(piece) + 2 * place) % 4;
                if place < 2 && usable[server] {
                    held[server].insert(piece);
                }
            }
            if losses(&held).is_some() {
                let mut now = held.clone();
                let written = store(&mut now, &usable, places % 4);
                assert!(written <= 8, "{held:?}");
            }
        }
    }
}
