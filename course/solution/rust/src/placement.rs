//! Which bytes a piece has, and which servers hold it.

use std::ops::Range;

/// How many pieces a file has, and how many servers there are.
pub const PIECES: u8 = 4;

/// The bytes of a file of `size` bytes that piece 1, 2, 3 or 4 has: together they are the whole
/// file, in order, and their lengths differ by at most one byte, the longer ones first.
pub fn range(size: u64, piece: u8) -> Range<u64> {
    // course: begin solution
    let (part, longer) = (size / u64::from(PIECES), size % u64::from(PIECES));
    let start = |before: u8| u64::from(before) * part + longer.min(u64::from(before));
    start(piece - 1)..start(piece)
    // course: starter
    //: // TODO
    //: 0..0
    // course: end solution
}

/// The row of the table that a file has: the SHA-256 of its path, as a number, mod 4.
pub fn row(path: &str) -> usize {
    // course: begin solution
    // 256 is a multiple of 4, so the last byte is enough.
    usize::from(crate::sha256::sha256(path.as_bytes())[31]) % usize::from(PIECES)
    // course: starter
    //: // TODO
    //: 0
    // course: end solution
}

/// The two servers of a piece, counted from 0 in the order of the dfc.conf.
pub fn holders(row: usize, piece: u8) -> [usize; 2] {
    // course: begin solution
    let home = row + usize::from(piece) - 1;
    [home % 4, (home + 3) % 4]
    // course: starter
    //: // TODO
    //: [0, 1]
    // course: end solution
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
