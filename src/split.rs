//! Striping: which bytes of a file each piece holds.

use std::ops::Range;

/// The byte ranges of a file of `size` bytes that its `pieces` pieces hold, in order.
///
/// The ranges are contiguous and cover the file; lengths differ by at most one byte, the longer
/// ones first. A file shorter than the number of pieces has empty pieces at its end.
pub fn ranges(size: u64, pieces: u8) -> impl Iterator<Item = Range<u64>> {
    (0..pieces).map(move |index| start(size, pieces, index)..start(size, pieces, index + 1))
}

/// The range of one piece, numbered from 1.
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
        let lengths = |size| ranges(size, 4).map(|r| r.end - r.start).collect::<Vec<_>>();
        assert_eq!(lengths(0), [0, 0, 0, 0]);
        assert_eq!(lengths(1), [1, 0, 0, 0]);
        assert_eq!(lengths(6), [2, 2, 1, 1]);
        assert_eq!(lengths(1_001_718), [250_430, 250_430, 250_429, 250_429]);
    }

    proptest! {
        #[test]
        fn the_ranges_cover_every_byte_once(size in any::<u64>(), pieces in 1u8..=8) {
            let mut end = 0;
            for (index, range) in ranges(size, pieces).enumerate() {
                prop_assert_eq!(range.start, end);
                prop_assert_eq!(super::range(size, pieces, index as u8 + 1), range.clone());
                let length = range.end - range.start;
                prop_assert!(length == size / u64::from(pieces) || length == size / u64::from(pieces) + 1);
                end = range.end;
            }
            prop_assert_eq!(end, size);
        }
    }
}
