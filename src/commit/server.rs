//! The server's side: what it does to its disk when a client asks.

use super::generation::MAX_JUMP;
use super::held::{Held, PieceState, Refused, Step};
use crate::placement::TOMBSTONE;
use crate::version::{MAX_GENERATION, Version};

/// How far beyond a server's clock the generation of a version that it accepts may be, in milliseconds: 69 years. So a
/// server whose clock was reset to 1970 still accepts versions made today.
pub const MAX_AHEAD: u64 = 1 << 41;

/// Checks that a generation is within [`MAX_AHEAD`] of a server's clock, `now` milliseconds since 1970. Everything that
/// is staged or raises a floor is checked, so that nobody can use up the generations: no request of a client moves this
/// bound.
///
/// # Errors
/// [`Refused::Ahead`] if it is beyond that.
pub fn not_ahead(generation: u64, now: u64) -> Result<(), Refused> {
    // This cannot overflow, because both numbers are bounded.
    let most = (now.min(MAX_GENERATION) + MAX_AHEAD).min(MAX_GENERATION);
    if generation <= most { Ok(()) } else { Err(Refused::Ahead) }
}

/// The newest version of which a piece is published here.
pub fn newest_published(held: &[Held]) -> Option<Version> {
    held.iter().filter(|h| h.state == PieceState::Published).map(|h| h.version).max()
}

fn staged(held: &[Held]) -> impl Iterator<Item = &Held> {
    held.iter().filter(|h| h.state != PieceState::Published)
}

/// Whether a piece of `version` may be staged. `floor` is the newest generation that this server has fenced or aborted,
/// or whose tombstone it has forgotten: a late writer must not bring back what was deleted below it.
///
/// This must be checked again when the whole piece has arrived and is on disk, in one step with making it known: while
/// it was in transit, a delete may have come and been forgotten.
///
/// # Errors
/// [`Refused::Behind`] if something newer is published, or the version is at or below the floor. A version that is
/// published here may be staged again: Repair does that.
pub fn may_stage(held: &[Held], floor: u64, version: Version) -> Result<(), Refused> {
    let published = newest_published(held);
    if published == Some(version) {
        return Ok(());
    }
    if published > Some(version) || version.rank() <= floor {
        return Err(Refused::Behind);
    }
    Ok(())
}

/// Whether a piece of a version that is decided elsewhere may be staged, as Repair does. The floor does not apply,
/// because it is for late writers. But the floor must still be `known_floor`, which the server reported when Repair
/// looked: otherwise a delete may have come and been forgotten in between.
///
/// # Errors
/// [`Refused::Behind`] if something newer is published, or the floor has changed.
pub fn may_restore(held: &[Held], floor: u64, known_floor: u64, version: Version) -> Result<(), Refused> {
    if newest_published(held) > Some(version) || floor != known_floor { Err(Refused::Behind) } else { Ok(()) }
}

/// The floor after the tombstone `version` was forgotten, or `version` was fenced. It always rises, so that no client
/// that saw the old floor overlooks this: a repair that looked before comes too late.
///
/// # Errors
/// [`Refused::Ahead`] if no greater floor exists.
pub fn raised_floor(floor: u64, version: Version) -> Result<u64, Refused> {
    let raised = floor.checked_add(1).ok_or(Refused::Ahead)?.max(version.rank());
    if raised <= MAX_GENERATION { Ok(raised) } else { Err(Refused::Ahead) }
}

/// The floor after `version` was aborted: an aborted version can never be staged again. The writer's next attempt has a
/// greater generation, and is accepted.
pub fn aborted_floor(floor: u64, version: Version) -> u64 {
    floor.max(version.rank())
}

/// The floor with which a server starts. A floor far beyond its clock, `now` milliseconds since 1970, would refuse
/// every new version until that time, and clients would not believe it, so it is lowered to the clock. Nothing is lost
/// by that, because floors guard against late writers, and a server that is starting has no connections.
pub fn floor_at_start(floor: u64, now: u64) -> u64 {
    let now = now.min(MAX_GENERATION);
    if floor <= now + MAX_JUMP { floor } else { now }
}

/// What a server does with a commit of `version`: it publishes its staged pieces and drops what is older. If a newer
/// version is published, it only drops the stage, and acknowledges.
///
/// # Errors
/// [`Refused::NotStaged`] if nothing of it is here, so that a writer whose stage was aborted never gets an OK.
pub fn commit(held: &[Held], version: Version) -> Result<Vec<Step>, Refused> {
    let published = newest_published(held);
    if published > Some(version) {
        return Ok(drop_staged(held, |v| v == version));
    }
    let to_publish: Vec<u8> = staged(held).filter(|h| h.version == version).map(|h| h.piece).collect();
    if to_publish.is_empty() && published != Some(version) {
        return Err(Refused::NotStaged);
    }
    let publish = to_publish.iter().map(|&piece| Step::Publish { piece, version });
    let outdated = held
        .iter()
        .filter(|h| h.state == PieceState::Published && h.version < version && !to_publish.contains(&h.piece))
        .map(|h| Step::DropPublished { piece: h.piece });
    Ok(publish.chain(outdated).chain(drop_staged(held, |v| v < version)).collect())
}

/// What a server does with an abort of `version`, after it has raised the floor to [`aborted_floor`]. `own` says
/// whether no other connection that staged it is open; a writer may always take back its own.
///
/// # Errors
/// [`Refused::Decided`] if it is published here; [`Refused::Open`] if another connection that staged it is open.
pub fn abort(held: &[Held], version: Version, own: bool) -> Result<Vec<Step>, Refused> {
    if held.iter().any(|h| h.version == version && h.state == PieceState::Published) {
        return Err(Refused::Decided);
    }
    if !own && staged(held).any(|h| h.version == version && h.state == PieceState::Staged { open: true }) {
        return Err(Refused::Open);
    }
    Ok(drop_staged(held, |v| v == version))
}

/// Whether this server can promise that `version` was never published here and never will be. Every server is asked
/// before a client aborts another client's stage. With the promise, the server raises its floor to [`raised_floor`], so
/// that a stage that is still in transit comes too late.
///
/// Why a look at every server is not enough: it takes time, and in between the writer may stage and commit on one
/// server and lose its connections to others. The answers, taken together, were then never true.
///
/// # Errors
/// [`Refused::Decided`] if it is published here, or if something newer is: what that replaced here may still be the
/// newest that other servers have published. [`Refused::Open`] if a connection that staged it is open.
pub fn fence(held: &[Held], version: Version) -> Result<(), Refused> {
    if newest_published(held) > Some(version) {
        return Err(Refused::Decided);
    }
    abort(held, version, false).map(drop)
}

/// What a server does once every server has acknowledged the tombstone `version`. It must raise its floor to
/// [`raised_floor`] first.
///
/// The last step drops the tombstone. Before that, the other steps and all earlier drops of this name must be safe from
/// a power failure: an old piece that came back without the tombstone would bring back the file. There can be other
/// steps because the tombstone may be seen, and forgotten, before the commit that published it has dropped what is
/// older.
///
/// # Errors
/// [`Refused::NotStaged`] if the newest version published here is not that tombstone.
pub fn forget(held: &[Held], version: Version) -> Result<Vec<Step>, Refused> {
    let is_there =
        |h: &Held| h.piece == TOMBSTONE && h.version == version && h.state == PieceState::Published;
    if newest_published(held) != Some(version) || !held.iter().any(is_there) {
        return Err(Refused::NotStaged);
    }
    let mut steps = commit(held, version)?;
    steps.push(Step::DropPublished { piece: TOMBSTONE });
    Ok(steps)
}

/// What a server does after a restart to finish a commit that a crash cut off. It never touches a stage that is newer
/// than everything it has published: only clients can know whether that is decided.
pub fn recover(held: &[Held]) -> Vec<Step> {
    newest_published(held).and_then(|version| commit(held, version).ok()).unwrap_or_default()
}

/// What a server drops when a client says that `version` is decided and whole elsewhere: everything that is older and
/// published, and older stages whose connections are closed.
///
/// This may drop everything that the server has of the name. So the steps of [`recover`] must have been carried out
/// first, and be safe from a power failure, so that only one version is published: otherwise a power failure could
/// bring back the older of two versions without the newer.
pub fn retire(held: &[Held], version: Version) -> Vec<Step> {
    held.iter()
        .filter(|h| h.version < version)
        .filter_map(|h| match h.state {
            PieceState::Published => Some(Step::DropPublished { piece: h.piece }),
            PieceState::Staged { open: false } => {
                Some(Step::DropStaged { piece: h.piece, version: h.version })
            }
            PieceState::Staged { open: true } => None,
        })
        .collect()
}

fn drop_staged(held: &[Held], which: impl Fn(Version) -> bool) -> Vec<Step> {
    staged(held)
        .filter(|h| which(h.version))
        .map(|h| Step::DropStaged { piece: h.piece, version: h.version })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(generation: u64) -> Version {
        Version { generation, upload: [generation as u8; 16] }
    }

    fn published(piece: u8, generation: u64) -> Held {
        Held { piece, version: version(generation), state: PieceState::Published }
    }

    fn waiting(piece: u8, generation: u64, open: bool) -> Held {
        Held { piece, version: version(generation), state: PieceState::Staged { open } }
    }

    #[test]
    fn a_commit_publishes_its_stage_and_drops_what_is_older() {
        let held =
            [published(1, 1), published(2, 1), waiting(2, 3, true), waiting(3, 3, true), waiting(1, 2, true)];
        assert_eq!(
            commit(&held, version(3)),
            Ok(vec![
                Step::Publish { piece: 2, version: version(3) },
                Step::Publish { piece: 3, version: version(3) },
                Step::DropPublished { piece: 1 },
                Step::DropStaged { piece: 1, version: version(2) },
            ])
        );
    }

    #[test]
    fn a_commit_behind_a_newer_version_only_drops_its_own_stage() {
        let held = [published(1, 5), waiting(1, 3, true), waiting(1, 7, true)];
        assert_eq!(commit(&held, version(3)), Ok(vec![Step::DropStaged { piece: 1, version: version(3) }]));
        assert_eq!(commit(&[published(1, 5)], version(3)), Ok(vec![]));
    }

    #[test]
    fn a_commit_of_what_was_never_staged_is_refused_and_a_second_one_is_not() {
        assert_eq!(commit(&[published(1, 1)], version(2)), Err(Refused::NotStaged));
        assert_eq!(commit(&[], version(2)), Err(Refused::NotStaged));
        assert_eq!(commit(&[published(1, 2)], version(2)), Ok(vec![]));
    }

    #[test]
    fn an_abort_needs_an_undecided_version_and_a_closed_connection() {
        assert_eq!(abort(&[waiting(1, 2, true)], version(2), false), Err(Refused::Open));
        assert_eq!(
            abort(&[waiting(1, 2, true)], version(2), true),
            Ok(vec![Step::DropStaged { piece: 1, version: version(2) }])
        );
        assert!(abort(&[waiting(1, 2, false)], version(2), false).is_ok());
        assert_eq!(abort(&[published(1, 2), waiting(2, 2, false)], version(2), false), Err(Refused::Decided));
    }

    #[test]
    fn a_fence_is_a_promise_about_undecided_versions_of_closed_connections() {
        assert_eq!(fence(&[], version(2)), Ok(()));
        assert_eq!(fence(&[published(1, 1), waiting(1, 2, false)], version(2)), Ok(()));
        assert_eq!(fence(&[waiting(1, 2, true)], version(2)), Err(Refused::Open));
        assert_eq!(fence(&[published(1, 2)], version(2)), Err(Refused::Decided));
        assert_eq!(fence(&[published(1, 3)], version(2)), Err(Refused::Decided));
        for floor in [1, 2, 3] {
            let fenced = raised_floor(floor, version(2)).unwrap();
            assert!(fenced > floor);
            assert_eq!(may_stage(&[], fenced, version(2)), Err(Refused::Behind));
        }
    }

    #[test]
    fn only_the_newest_tombstone_is_forgotten() {
        let buried = [published(TOMBSTONE, 4)];
        assert_eq!(forget(&buried, version(4)), Ok(vec![Step::DropPublished { piece: TOMBSTONE }]));
        let cut_off = [published(TOMBSTONE, 4), published(2, 3)];
        let steps = [Step::DropPublished { piece: 2 }, Step::DropPublished { piece: TOMBSTONE }];
        assert_eq!(forget(&cut_off, version(4)), Ok(steps.to_vec()));
        assert_eq!(forget(&buried, version(3)), Err(Refused::NotStaged));
        assert_eq!(forget(&[published(TOMBSTONE, 4), published(1, 5)], version(4)), Err(Refused::NotStaged));
        assert_eq!(forget(&[published(1, 4)], version(4)), Err(Refused::NotStaged));
    }

    #[test]
    fn a_restart_ends_a_commit_that_was_cut_off_and_leaves_undecided_stages() {
        let cut_off = [published(1, 2), published(2, 1), waiting(2, 2, false), waiting(2, 3, false)];
        assert_eq!(recover(&cut_off), vec![Step::Publish { piece: 2, version: version(2) }]);
        assert_eq!(recover(&[waiting(1, 1, false)]), vec![]);
    }

    #[test]
    fn staging_behind_a_published_or_forgotten_version_is_refused() {
        assert_eq!(may_stage(&[published(1, 4)], 0, version(3)), Err(Refused::Behind));
        assert_eq!(may_stage(&[], 3, version(3)), Err(Refused::Behind));
        assert_eq!(may_stage(&[published(1, 3)], 3, version(3)), Ok(()));
        assert_eq!(may_stage(&[published(1, 3)], 3, version(4)), Ok(()));
    }

    #[test]
    fn a_restore_passes_the_floor_but_not_a_delete_in_between() {
        assert_eq!(may_restore(&[], 9, 9, version(3)), Ok(()));
        assert_eq!(may_restore(&[], 10, 9, version(3)), Err(Refused::Behind));
        assert_eq!(may_restore(&[published(TOMBSTONE, 4)], 9, 9, version(3)), Err(Refused::Behind));
        assert_eq!([0, 4, 9].map(|floor| raised_floor(floor, version(4))), [Ok(4), Ok(5), Ok(10)]);
    }

    #[test]
    fn what_was_aborted_is_never_staged_again_and_the_next_try_is() {
        let floor = aborted_floor(1, version(4));
        assert_eq!(may_stage(&[], floor, version(4)), Err(Refused::Behind));
        assert_eq!(may_stage(&[], floor, version(5)), Ok(()));
        assert_eq!(aborted_floor(9, version(4)), 9);
    }

    #[test]
    fn generations_are_not_used_up_by_what_a_client_says() {
        let now = 1_790_000_000_000;
        assert_eq!(not_ahead(now + MAX_AHEAD, now), Ok(()));
        assert_eq!(not_ahead(now + MAX_AHEAD + 1, now), Err(Refused::Ahead));
        assert_eq!(not_ahead(now, 0), Ok(()), "a clock that has died");
        assert_eq!(not_ahead(MAX_GENERATION, u64::MAX), Ok(()));
        assert_eq!(not_ahead(MAX_GENERATION + 1, u64::MAX), Err(Refused::Ahead));
        assert_eq!(raised_floor(MAX_GENERATION, version(1)), Err(Refused::Ahead));
        assert_eq!(raised_floor(u64::MAX, version(1)), Err(Refused::Ahead));
        let far_off = Version { generation: u64::MAX, upload: [0; 16] };
        assert_eq!(raised_floor(0, far_off), Ok(far_off.rank()));
    }

    #[test]
    fn a_server_starts_with_a_floor_that_its_clock_can_pass() {
        let now = 1_790_000_000_000;
        for floor in [0, 7, now, now + MAX_JUMP] {
            assert_eq!(floor_at_start(floor, now), floor);
        }
        for floor in [now + MAX_JUMP + 1, u64::MAX - 1, u64::MAX] {
            assert_eq!(floor_at_start(floor, now), now);
        }
    }

    #[test]
    fn a_name_whose_generations_were_used_up_takes_new_versions() {
        let held = [published(1, u64::MAX)];
        let new = Version { generation: 1_790_000_000_000, upload: [1; 16] };
        assert_eq!(may_stage(&held, 0, new), Ok(()));
        assert_eq!(fence(&held, new), Ok(()));
        let [publish, staged] = [Step::Publish { piece: 2, version: new }, Step::DropPublished { piece: 1 }];
        let of_new = Held { piece: 2, version: new, state: PieceState::Staged { open: true } };
        assert_eq!(commit(&[held[0], of_new], new), Ok(vec![publish, staged]));
    }
}
