//! Piece numbers, and sets of them.

/// Into how many pieces a file is split. With parity there are as many XORs of them.
pub const PIECES: u8 = 4;

/// A set of piece numbers: those of every scheme, 0 for a tombstone, and up to 15 for pieces that a server names and no
/// known scheme has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PieceSet(u16);

impl PieceSet {
    fn bit(piece: u8) -> u16 {
        1u16.checked_shl(piece.into()).unwrap_or(0)
    }

    /// Adds a number; one above 15 is ignored.
    pub fn insert(&mut self, piece: u8) {
        self.0 |= Self::bit(piece);
    }

    /// Whether a number is in it.
    pub fn contains(self, piece: u8) -> bool {
        self.0 & Self::bit(piece) != 0
    }

    /// Whether it has no number.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The numbers of both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The numbers that are not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Its numbers, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..16).filter(move |&piece| self.contains(piece))
    }
}

impl FromIterator<u8> for PieceSet {
    fn from_iter<I: IntoIterator<Item = u8>>(numbers: I) -> Self {
        numbers.into_iter().fold(Self::default(), |set, piece| set.union(Self(Self::bit(piece))))
    }
}

/// Ascending, separated by commas: `1,4`.
impl std::fmt::Display for PieceSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut numbers = self.iter();
        numbers.next().map_or(Ok(()), |first| write!(f, "{first}"))?;
        numbers.try_for_each(|piece| write!(f, ",{piece}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_pieces_has_what_was_put_in_ascending() {
        let set: PieceSet = [4, 0, 1, 4, 200].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 1, 4]);
        assert_eq!(set.to_string(), "0,1,4");
        assert!(set.contains(4) && !set.contains(2) && !set.contains(200));
        assert_eq!(set.without([0, 4].into_iter().collect()), [1].into_iter().collect());
        assert!(PieceSet::default().is_empty() && PieceSet::default().to_string().is_empty());
    }
}
