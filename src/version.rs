//! Versions: every upload and every delete of a name creates one.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::text::{parse_hex, parse_number};

/// A random 128-bit number that names one upload.
pub type UploadId = [u8; 16];

/// The greatest generation that a version may have: milliseconds from 1970 to the year 2248. No clock will reach it
/// while this program is in use, and there are more generations below it than anybody can count through.
pub const MAX_GENERATION: u64 = 1 << 43;

/// What a generation beyond [`MAX_GENERATION`] counts as: milliseconds from 1970 to November 2004. This makes it newer
/// than any generation counted up from 1, and older than any taken from a clock. So a name whose generations somebody
/// has used up still opens, and is replaced like any other.
const FAR_OFF: u64 = 1 << 40;

/// A version of one name. The greater one is the newer, by [rank](Version::rank), then by upload id.
///
/// A generation is greater than any that the writer saw on a server, and not less than the writer's clock in
/// milliseconds since 1970, so two writers that could not see each other's servers are ordered by time. (A file that
/// gets a name through a Move is the exception: [`Version::of_moved`].) Two writers that saw the same at the same time
/// may choose the same generation; the ids then break the tie in the same way for every reader.
///
/// The default is older than every version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Version {
    /// See [`commit::next_generation`](crate::commit::next_generation); at least 1.
    pub generation: u64,
    /// Random; for [`Version::of_moved`] only half of it is.
    pub upload: UploadId,
}

impl Version {
    /// The generation as it counts in the order of versions: the version's own or, beyond [`MAX_GENERATION`], one
    /// that every clock has passed.
    pub fn rank(&self) -> u64 {
        if self.generation > MAX_GENERATION { FAR_OFF } else { self.generation }
    }

    /// The version of a file that gets a name through a Move, with [the least
    /// generation](crate::commit::least_generation) that it may have. Among versions of one generation it is older
    /// than every upload, whose id is entirely random, except with probability 2^-64.
    #[must_use]
    pub fn of_moved(generation: u64, random: [u8; 8]) -> Self {
        Self { generation, upload: u128::from(u64::from_be_bytes(random)).to_be_bytes() }
    }

    /// The next greater version: no other can come between the two. A tombstone with this version hides the version
    /// that it follows and everything that one hides, and nothing else. `None` after the greatest.
    #[must_use]
    pub fn successor(self) -> Option<Self> {
        match u128::from_be_bytes(self.upload).checked_add(1) {
            Some(upload) => Some(Self { upload: upload.to_be_bytes(), ..self }),
            // The next generation would be the first one that no longer counts as itself.
            None if self.generation == MAX_GENERATION => None,
            None => Some(Self { generation: self.generation.checked_add(1)?, upload: [0; 16] }),
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        // Versions of one rank are ordered by generation, so only equal versions compare as equal.
        let key = |v: &Version| (v.rank(), v.generation, v.upload);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The text is not `GENERATION-UPLOADID` (decimal, 32 lower-case hex digits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionError;

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:032x}", self.generation, u128::from_be_bytes(self.upload))
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let (generation, upload) = text.split_once('-').ok_or(VersionError)?;
        let generation = parse_number(generation).filter(|&generation| generation > 0);
        Ok(Version {
            generation: generation.ok_or(VersionError)?,
            upload: parse_hex(upload).ok_or(VersionError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_comes_back_as_the_same_version(generation in 1u64.., upload in any::<[u8; 16]>()) {
            let version = Version { generation, upload };
            prop_assert_eq!(version.to_string().parse(), Ok(version));
        }

        #[test]
        fn no_version_is_between_one_and_its_successor(
            generation in 1u64.., upload in any::<[u8; 16]>(), other in any::<([u8; 16], i8)>(),
        ) {
            let version = Version { generation, upload };
            let successor = version.successor().unwrap();
            prop_assert!(version < successor);
            let near = generation.saturating_add_signed(other.1.into());
            let other = Version { generation: near, upload: other.0 };
            prop_assert!(other <= version || other >= successor);
        }
    }

    #[test]
    fn a_successor_has_the_next_id_or_the_next_generation() {
        let of = |generation, id: u128| Version { generation, upload: id.to_be_bytes() };
        assert_eq!(of(7, 0xff).successor(), Some(of(7, 0x100)));
        assert_eq!(of(7, u128::MAX - 1).successor(), Some(of(7, u128::MAX)));
        assert_eq!(of(7, u128::MAX).successor(), Some(of(8, 0)));
        assert_eq!(of(u64::MAX, 5).successor(), Some(of(u64::MAX, 6)));
        assert_eq!(of(u64::MAX, u128::MAX).successor(), None);
    }

    #[test]
    fn what_is_moved_is_older_than_an_upload_of_the_same_generation() {
        let upload = Version { generation: 7, upload: [1; 16] };
        assert!(Version::of_moved(7, [0xff; 8]) < upload && upload < Version::of_moved(8, [0; 8]));
        assert_ne!(Version::of_moved(7, [1; 8]), Version::of_moved(7, [2; 8]));
    }

    #[test]
    fn a_generation_that_is_far_off_is_newer_than_what_was_counted_and_older_than_what_has_a_clock() {
        let of = |generation| Version { generation, upload: [9; 16] };
        let now = 1_790_000_000_000;
        let ascending =
            [1, 7, 1 << 32, FAR_OFF, MAX_GENERATION + 1, u64::MAX, FAR_OFF + 1, now, MAX_GENERATION];
        assert!(ascending.map(of).is_sorted());
        assert_eq!(of(u64::MAX).rank(), FAR_OFF);
        assert!(of(u64::MAX) < Version { generation: u64::MAX, upload: [10; 16] });
    }

    #[test]
    fn only_one_spelling_is_accepted() {
        let hex = "00112233445566778899aabbccddeeff";
        assert!(format!("7-{hex}").parse::<Version>().is_ok());
        for bad in ["07-", "+7-", "-", "0-", "18446744073709551616-"] {
            assert_eq!(format!("{bad}{hex}").parse::<Version>(), Err(VersionError), "{bad}");
        }
        assert!(format!("7-{}", hex.to_uppercase()).parse::<Version>().is_err());
        assert!(format!("7-{hex}0").parse::<Version>().is_err());
    }
}
