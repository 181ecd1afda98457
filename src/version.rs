//! Versions: every upload and every delete of a name is one.

use std::fmt;
use std::str::FromStr;

/// A random 128-bit number that names one upload.
pub type UploadId = [u8; 16];

/// A version of one name. The greater one is the newer: by generation, then by upload id.
///
/// A generation is one more than the newest that the writer saw on any server; it is not a clock.
/// Two writers that saw the same get the same generation, and the ids break the tie in the same way
/// for every reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// One more than the newest generation seen when the version was made; at least 1.
    pub generation: u64,
    /// Drawn at random for this version.
    pub upload: UploadId,
}

impl Version {
    /// The next greater version that there can be: nothing lies between the two. A tombstone of this version
    /// hides what this one hides, and this one, and nothing else. `None` behind the greatest.
    #[must_use]
    pub fn successor(self) -> Option<Self> {
        match u128::from_be_bytes(self.upload).checked_add(1) {
            Some(upload) => Some(Self { upload: upload.to_be_bytes(), ..self }),
            None => Some(Self { generation: self.generation.checked_add(1)?, upload: [0; 16] }),
        }
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
        let canonical_number = generation.bytes().all(|b| b.is_ascii_digit()) && !generation.starts_with('0');
        let canonical_hex = upload.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical_number || !canonical_hex || upload.len() != 32 {
            return Err(VersionError);
        }
        let number = u128::from_str_radix(upload, 16).map_err(|_| VersionError)?;
        Ok(Version {
            generation: generation.parse().map_err(|_| VersionError)?,
            upload: number.to_be_bytes(),
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
