//! Striping: which bytes of a file each piece holds.

use std::ops::Range;

/// The bytes of a file of `size` bytes that one of its `pieces` pieces holds, numbered from 1.
///
/// The ranges of all are contiguous and cover the file; lengths differ by at most one byte, the longer
/// ones first. A file shorter than the number of pieces has empty pieces at its end.
///
/// # Panics
/// Never for `1 <= piece <= pieces`; other numbers are a caller's mistake.
pub fn range(size: u64, pieces: u8, piece: u8) -> Range<u64> {
    debug_assert!((1..=pieces).contains(&piece));
    start(size, pieces, piece - 1)..start(size, pieces, piece)
}

fn start(size: u64, pieces: u8, index: u8) -> u64 {
    let (pieces, index) = (u64::from(pieces), u64::from(index));
    index * (size / pieces) + index.min(size % pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_sizes_are_split_as_the_format_says() {
        let length = |size, piece| range(size, 4, piece).end - range(size, 4, piece).start;
        let lengths = |size| [1, 2, 3, 4].map(|piece| length(size, piece));
        assert_eq!(lengths(0), [0, 0, 0, 0]);
        assert_eq!(lengths(1), [1, 0, 0, 0]);
        assert_eq!(lengths(6), [2, 2, 1, 1]);
        assert_eq!(lengths(1_001_718), [250_430, 250_430, 250_429, 250_429]);
    }

    proptest! {
        #[test]
        fn the_ranges_cover_every_byte_once(size in any::<u64>(), pieces in 1u8..=8) {
            let mut end = 0;
            for piece in 1..=pieces {
                let range = range(size, pieces, piece);
                prop_assert_eq!(range.start, end);
                let length = range.end - range.start;
                prop_assert!(length == size / u64::from(pieces) || length == size / u64::from(pieces) + 1);
                end = range.end;
            }
            prop_assert_eq!(end, size);
        }
    }
}
