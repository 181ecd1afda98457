//! A change of a user's key: under which key pieces may still arrive, and which change may follow which.

use super::held::Refused;

/// The value that says under which key a header was made.
pub type KeyCheck = [u8; 16];

/// A user's latest change of key, as one server knows it. If both keys are the same, none is retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyChange {
    /// The check of the key under which nothing new is accepted.
    pub retired: KeyCheck,
    /// The check of the key that replaced it.
    pub current: KeyCheck,
}

impl KeyChange {
    fn retires(&self, key: KeyCheck) -> bool {
        key == self.retired && self.retired != self.current
    }
}

/// Whether a piece under this key may be staged or published. This is not checked for the client that changes the key:
/// it alone still settles and repairs under the old one.
///
/// # Errors
/// [`Refused::Rekeyed`] if the key is retired.
pub fn may_use_key(known: Option<KeyChange>, key: KeyCheck) -> Result<(), Refused> {
    if known.is_some_and(|known| known.retires(key)) { Err(Refused::Rekeyed) } else { Ok(()) }
}

/// What a server knows about a user's key after a request to change it.
///
/// The same change again continues one that was interrupted. A change to the key that was retired last takes back the
/// change that was begun. One that changes nothing has no effect.
///
/// # Errors
/// [`Refused::Rekeyed`] for a change from the retired key to a third one: pieces may already be under the key that
/// replaced it, and this client would not have it.
pub fn rekey(known: Option<KeyChange>, asked: KeyChange) -> Result<Option<KeyChange>, Refused> {
    let retired = known.is_some_and(|known| known.retires(asked.retired));
    if asked.retired == asked.current {
        return Ok(if retired { Some(asked) } else { known });
    }
    if retired && known != Some(asked) { Err(Refused::Rekeyed) } else { Ok(Some(asked)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(retired: u8, current: u8) -> KeyChange {
        KeyChange { retired: [retired; 16], current: [current; 16] }
    }

    #[test]
    fn nothing_comes_under_a_retired_key() {
        assert_eq!(may_use_key(None, [1; 16]), Ok(()));
        assert_eq!(may_use_key(Some(change(1, 2)), [1; 16]), Err(Refused::Rekeyed));
        assert_eq!(may_use_key(Some(change(1, 2)), [2; 16]), Ok(()));
        assert_eq!(may_use_key(Some(change(1, 2)), [3; 16]), Ok(()), "the key of a `Key` line");
        assert_eq!(may_use_key(Some(change(1, 1)), [1; 16]), Ok(()));
    }

    #[test]
    fn a_change_that_was_cut_off_goes_on_and_no_other_takes_its_place() {
        assert_eq!(rekey(None, change(1, 2)), Ok(Some(change(1, 2))));
        assert_eq!(rekey(Some(change(1, 2)), change(1, 2)), Ok(Some(change(1, 2))));
        assert_eq!(rekey(Some(change(1, 2)), change(1, 3)), Err(Refused::Rekeyed));
    }

    #[test]
    fn the_next_change_begins_at_the_key_that_the_last_one_made() {
        assert_eq!(rekey(Some(change(1, 2)), change(2, 3)), Ok(Some(change(2, 3))));
        assert_eq!(rekey(Some(change(1, 2)), change(2, 1)), Ok(Some(change(2, 1))), "and back again");
        assert_eq!(rekey(Some(change(1, 2)), change(4, 5)), Ok(Some(change(4, 5))), "from an old backup");
    }

    #[test]
    fn a_change_to_the_retired_key_takes_back_what_was_begun() {
        assert_eq!(rekey(Some(change(1, 2)), change(1, 1)), Ok(Some(change(1, 1))));
        assert_eq!(rekey(Some(change(1, 1)), change(1, 3)), Ok(Some(change(1, 3))));
        assert_eq!(rekey(Some(change(1, 2)), change(2, 2)), Ok(Some(change(1, 2))), "nothing changes");
        assert_eq!(rekey(None, change(2, 2)), Ok(None));
    }
}
