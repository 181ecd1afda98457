//! Which bytes a piece has, and which servers hold it.

use std::ops::Range;

/// How many pieces a file has, and how many servers there are.
pub const PIECES: u8 = 4;

/// The bytes of a file of `size` bytes that piece 1, 2, 3 or 4 has: together they are the whole
/// file, in order, and their lengths differ by at most one byte, the longer ones first.
pub fn range(size: u64, piece: u8) -> Range<u64> {
    // TODO
    0..0
}

/// The size of a file, from the lengths that servers list for each of its pieces.
///
/// None if no four lengths are those of one size, or if several sizes are possible: a server that
/// was away may have pieces of an older file.
pub fn file_size(lengths: &[Vec<u64>; 4]) -> Option<u64> {
    // TODO
    None
}

/// The row of the table that a file has: the SHA-256 of its path, as a number, mod 4.
pub fn row(path: &str) -> usize {
    // TODO
    0
}

/// The two servers of a piece, counted from 0 in the order of the dfc.conf.
pub fn holders(row: usize, piece: u8) -> [usize; 2] {
    // TODO
    [0, 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_ranges_are_the_file_and_differ_by_at_most_a_byte() {
        for size in (0..20).chain([1_001_718, 64 << 20]) {
            let mut end = 0;
            for piece in 1..=PIECES {
                let range = range(size, piece);
                assert_eq!(range.start, end, "{size} bytes, piece {piece}");
                assert!((range.end - range.start).abs_diff(size / 4) <= 1, "{size} bytes, piece {piece}");
                end = range.end;
            }
            assert_eq!(end, size);
        }
        assert_eq!([1, 2, 3, 4].map(|piece| range(6, piece)), [0..2, 2..4, 4..5, 5..6]);
    }

    #[test]
    fn the_size_is_the_one_that_four_lengths_are_of() {
        for (lengths, size) in [
            ([vec![2, 2], vec![2, 2], vec![1, 1], vec![1, 1]], Some(6)),
            ([vec![0], vec![0], vec![0], vec![0]], Some(0)),
            ([vec![1], vec![0], vec![0], vec![0]], Some(1)),
            ([vec![2], vec![2], vec![1], vec![]], None),
            ([vec![2], vec![2], vec![2], vec![1, 9]], Some(7)),
            ([vec![1], vec![1], vec![2], vec![2]], None),
            // An older file of 6 bytes on one server, and a newer one of 1000; and of 9, which could also be 8.
            ([vec![2, 250], vec![2, 250], vec![250, 250], vec![250, 250]], Some(1000)),
            ([vec![2, 3], vec![2, 2], vec![2, 2], vec![2, 2]], None),
        ] {
            assert_eq!(file_size(&lengths), size, "{lengths:?}");
        }
    }

    #[test]
    fn the_row_is_the_hash_of_the_path_mod_4() {
        let rows = ["poem.txt", "earth.gif", "a", "d", "notes/poem.txt"].map(row);
        assert_eq!(rows, [2, 1, 3, 0, 1]);
    }

    #[test]
    fn the_pairs_are_those_of_the_table() {
        let table = [
            [[1, 2], [2, 3], [3, 4], [4, 1]],
            [[4, 1], [1, 2], [2, 3], [3, 4]],
            [[3, 4], [4, 1], [1, 2], [2, 3]],
            [[2, 3], [3, 4], [4, 1], [1, 2]],
        ];
        for (row, pairs) in table.iter().enumerate() {
            for (server, pair) in pairs.iter().enumerate() {
                for piece in 1..=PIECES {
                    let holds = holders(row, piece).contains(&server);
                    assert_eq!(holds, pair.contains(&piece), "row {row}, server {server}, piece {piece}");
                }
            }
        }
    }
}
