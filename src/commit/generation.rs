//! Which generation a new version gets. It depends on what was seen, as far as that can be believed, and on the time.

use crate::version::MAX_GENERATION;

/// How far a client's clock may be from a server's, in milliseconds, to count as the same time. Clocks that are set at
/// all, by hand or over a network, are closer than that. Two writers that could not see each other's servers are
/// ordered as inaccurately as their clocks are set, so they can be in the wrong order for a minute or two at most.
pub const MAX_SKEW: u64 = 60_000;

/// How far beyond what is certain a generation may be that only one server reports, in milliseconds: 49 days.
/// A server that lies can push the generations this far ahead of the clock, but no further, however often it lies.
pub const MAX_JUMP: u64 = 1 << 32;

/// A client's own clock before and after a request to the servers, in milliseconds since 1970. A slow answer, or a
/// process that was stopped, makes the interval longer but never wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Before the first line was sent.
    pub before: u64,
    /// After the last answer.
    pub after: u64,
}

/// How far a client's clock is from a server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// Whether the client's is ahead.
    pub ahead: bool,
    /// By how many milliseconds, at least.
    pub by: u64,
}

/// How far a client's clock is from that of a server that answered with `clock`; `None` if it is within
/// [`MAX_SKEW`].
pub fn skew(asked: Asked, clock: u64) -> Option<Skew> {
    // If the clock was set back in between, this is still an interval.
    let (first, last) = (asked.before.min(asked.after), asked.before.max(asked.after));
    let skew = match clock {
        _ if clock < first => Skew { ahead: true, by: first - clock },
        _ if clock > last => Skew { ahead: false, by: clock - last },
        _ => return None,
    };
    (skew.by > MAX_SKEW).then_some(skew)
}

/// What a client knows about the time, from its own clock and those of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Time {
    /// The client's clock in milliseconds since 1970, if it can be used to order versions that did not see each other.
    pub clock: Option<u64>,
    /// A time that no single server can have made greater.
    pub certain: u64,
}

/// What follows from the clocks of the servers that answered. The client's clock can be used if at least half of
/// theirs agree with it.
pub fn time(asked: Asked, servers: &[u64]) -> Time {
    let agreeing = servers.iter().filter(|&&clock| skew(asked, clock).is_none()).count();
    if agreeing * 2 >= servers.len() {
        return Time { clock: Some(asked.after), certain: asked.after };
    }
    // Otherwise the earlier of the client's clock and the servers' median is certain. Both can be wrong, but a server
    // that lies cannot push the result beyond this clock.
    let mut ascending = servers.to_vec();
    ascending.sort_unstable();
    let theirs = ascending.get(servers.len() / 2).copied().unwrap_or(0);
    Time { clock: None, certain: theirs.min(asked.after) }
}

/// What a survey has seen of the generations of a name.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The newest [rank](crate::version::Version::rank) with a good seal.
    pub sealed: u64,
    /// The floors reported by the servers that answered.
    pub floors: &'a [u64],
    /// Generations of claims without a good seal.
    pub unsealed: &'a [u64],
    /// Copies of each piece that were asked for.
    pub replicas: usize,
}

impl Seen<'_> {
    /// The newest generation that can be believed.
    ///
    /// A sealed generation counts, because only this user's clients can have made it. A floor counts if as many
    /// servers as there should be copies, and at least two, have one at least as great. Other floors, and generations
    /// without a good seal, count up to [`MAX_JUMP`] beyond such a floor or the time, whichever is later. So what one
    /// server reports is never added to what it reported before, even if no other server answers.
    pub fn newest(&self, time: Time) -> u64 {
        let mut floors: Vec<u64> = self.floors.iter().copied().filter(|&f| f <= MAX_GENERATION).collect();
        floors.sort_unstable_by(|a, b| b.cmp(a));
        let agreed = floors.get(self.replicas.max(2) - 1).copied().unwrap_or(0);
        let certain = agreed.max(time.certain.min(MAX_GENERATION));
        let believed = |&claimed: &u64| claimed <= MAX_GENERATION && claimed <= certain + MAX_JUMP;
        let unsealed = floors.iter().chain(self.unsealed).copied().filter(believed).max();
        unsealed.unwrap_or(0).max(agreed).max(self.sealed)
    }
}

/// A name has no generation left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp;

/// The generation of a new version. It is greater than every generation that was seen and can be believed, greater than
/// that of the same writer's last attempt (0 if there was none), and not less than the clock, if that can be used.
///
/// # Errors
/// [`UsedUp`] if it would be beyond [`MAX_GENERATION`].
pub fn next_generation(seen: &Seen<'_>, time: Time, last_try: u64) -> Result<u64, UsedUp> {
    let generation = least_generation(seen, time, last_try)?.max(time.clock.unwrap_or(0));
    if generation <= MAX_GENERATION { Ok(generation) } else { Err(UsedUp) }
}

/// The least generation that a new version may have: like [`next_generation`], but without the clock. It is used for a
/// file that gets a name through a Move: a client that uploads to that name at the same time has a generation from its
/// clock, or at least this one, and its upload must not be hidden by a file that it could not know about.
///
/// # Errors
/// [`UsedUp`] if it would be beyond [`MAX_GENERATION`].
pub fn least_generation(seen: &Seen<'_>, time: Time, last_try: u64) -> Result<u64, UsedUp> {
    let generation = seen.newest(time).max(last_try).checked_add(1).ok_or(UsedUp)?;
    if generation <= MAX_GENERATION { Ok(generation) } else { Err(UsedUp) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000_000;
    const DAY: u64 = 24 * 3600 * 1000;
    const AT_NOW: Asked = Asked { before: NOW - 5, after: NOW };

    fn seen<'a>(sealed: u64, floors: &'a [u64], unsealed: &'a [u64]) -> Seen<'a> {
        Seen { sealed, floors, unsealed, replicas: 2 }
    }

    fn on_time() -> Time {
        time(AT_NOW, &[NOW, NOW, NOW])
    }

    #[test]
    fn a_clock_is_used_if_half_of_the_servers_agree_with_it() {
        let (early, late) = (NOW - 5 - MAX_SKEW, NOW + MAX_SKEW);
        for good in [&[][..], &[NOW], &[early, late], &[NOW, 0], &[NOW, NOW, 0, u64::MAX]] {
            assert_eq!(time(AT_NOW, good).clock, Some(NOW), "{good:?}");
        }
        for bad in [&[0][..], &[early - 1], &[late + 1], &[NOW, 0, 0], &[NOW, 0, u64::MAX]] {
            assert_eq!(time(AT_NOW, bad).clock, None, "{bad:?}");
        }
        assert_eq!(skew(AT_NOW, NOW - 5 - 2 * MAX_SKEW), Some(Skew { ahead: true, by: 2 * MAX_SKEW }));
        assert_eq!(skew(AT_NOW, u64::MAX), Some(Skew { ahead: false, by: u64::MAX - NOW }));
    }

    #[test]
    fn a_process_that_was_stopped_or_whose_clock_was_set_back_only_knows_less() {
        let stopped = Asked { before: NOW - DAY, after: NOW };
        for clock in [NOW - DAY, NOW - DAY / 2, NOW] {
            assert_eq!(skew(stopped, clock), None);
            assert_eq!(skew(Asked { before: stopped.after, after: stopped.before }, clock), None);
        }
        assert!(skew(stopped, NOW - 2 * DAY).is_some());
    }

    #[test]
    fn of_two_writers_that_see_nothing_of_each_other_the_later_one_is_newer() {
        let first = next_generation(&seen(7, &[0, 0], &[]), on_time(), 0).unwrap();
        let later = Asked { before: NOW + 900, after: NOW + 1000 };
        let second = next_generation(&seen(7, &[0, 0], &[]), time(later, &[NOW + 950; 2]), 0).unwrap();
        assert_eq!((first, second), (NOW, NOW + 1000));
    }

    #[test]
    fn a_clock_that_is_far_off_neither_wins_nor_loses_for_a_long_time() {
        let ahead = time(Asked { before: NOW + 300 * DAY, after: NOW + 300 * DAY }, &[NOW; 4]);
        assert_eq!(next_generation(&seen(NOW - DAY, &[0; 4], &[]), ahead, 0), Ok(NOW - DAY + 1));
        let behind = time(Asked::default(), &[NOW; 4]);
        assert_eq!(next_generation(&seen(NOW - DAY, &[0; 4], &[]), behind, 0), Ok(NOW - DAY + 1));
    }

    #[test]
    fn a_newer_version_is_newer_whatever_the_clock_says() {
        let ahead = NOW + 5 * DAY;
        assert_eq!(next_generation(&seen(ahead, &[], &[]), on_time(), 0), Ok(ahead + 1));
        assert_eq!(next_generation(&seen(0, &[], &[]), on_time(), NOW), Ok(NOW + 1), "the last try");
    }

    #[test]
    fn one_server_cannot_use_up_the_numbers_also_if_no_other_answers() {
        let (lie, nothing) = (u64::MAX - 1, Time::default());
        for floors in [&[lie][..], &[3, lie], &[3, 3, MAX_GENERATION], &[NOW + MAX_JUMP + 1]] {
            assert_eq!(next_generation(&seen(5, floors, &[lie]), on_time(), 0), Ok(NOW), "{floors:?}");
        }
        assert_eq!(seen(5, &[3, 3, 4, lie], &[]).newest(nothing), 5);
        assert_eq!(seen(5, &[3, 3, 4], &[6, lie]).newest(nothing), 6);
        assert_eq!(seen(5, &[NOW], &[]).newest(nothing), 5, "alone");
        assert_eq!(seen(5, &[NOW, NOW + 1], &[]).newest(nothing), NOW + 1);
        assert_eq!(seen(5, &[lie, lie, lie], &[]).newest(nothing), 5);
    }

    #[test]
    fn what_one_server_says_is_not_added_to_what_it_has_said_before() {
        let mut sealed = 0;
        for _ in 0..10 {
            let lie = sealed.max(NOW) + MAX_JUMP;
            sealed = next_generation(&seen(sealed, &[lie], &[lie]), on_time(), 0).unwrap();
        }
        assert_eq!(sealed, NOW + MAX_JUMP + 10);
    }

    #[test]
    fn where_no_clock_can_be_used_a_server_is_believed_as_far_as_this_one() {
        let behind = Asked { before: 5 * DAY, after: 5 * DAY };
        assert_eq!(time(behind, &[NOW]).certain, 5 * DAY);
        assert_eq!(time(AT_NOW, &[u64::MAX]).certain, NOW);
        assert_eq!(time(AT_NOW, &[1000, 1000, u64::MAX]).certain, 1000);
    }

    #[test]
    fn the_least_generation_is_behind_what_was_seen_and_never_newer_than_an_upload_that_saw_the_same() {
        for (sealed, floors) in [(0, [0, 0]), (NOW - DAY, [0, 0]), (7, [NOW - 1; 2]), (NOW + DAY, [0, 0])] {
            let seen = seen(sealed, &floors, &[]);
            let least = least_generation(&seen, on_time(), 0).unwrap();
            assert_eq!(least, seen.newest(on_time()) + 1);
            assert!(least <= next_generation(&seen, on_time(), 0).unwrap());
        }
        assert_eq!(least_generation(&seen(5, &[0; 2], &[]), on_time(), 9), Ok(10), "the last try");
        assert_eq!(least_generation(&seen(MAX_GENERATION, &[], &[]), on_time(), 0), Err(UsedUp));
    }

    #[test]
    fn generations_end_with_an_error() {
        let last = MAX_GENERATION - 1;
        assert_eq!(next_generation(&seen(last, &[], &[]), on_time(), 0), Ok(MAX_GENERATION));
        assert_eq!(next_generation(&seen(MAX_GENERATION, &[], &[]), on_time(), 0), Err(UsedUp));
        assert_eq!(next_generation(&seen(0, &[], &[]), on_time(), u64::MAX), Err(UsedUp));
        let late = Time { clock: Some(u64::MAX), certain: u64::MAX };
        assert_eq!(next_generation(&seen(0, &[7, 7], &[]), late, 0), Err(UsedUp));
    }
}
