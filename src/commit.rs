//! The two-step commit of one name, as pure functions: what a server does with a commit or an abort,
//! and what a client concludes from the servers' answers.
//!
//! *Stage*, then *commit*. One server that has published a piece of a version has *decided* that
//! version: its staged pieces elsewhere then count. With no commit anywhere it never happened.
//! `docs/ARCHITECTURE.md` ("One upload is one version") gives the reasons.

use crate::version::Version;

/// The piece number under which a delete is kept: a tombstone is a version with this one piece.
pub const TOMBSTONE: u8 = 0;

/// How far a piece on a server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Readers see it.
    Published,
    /// On disk, waiting for a commit.
    Staged {
        /// Whether the connection that staged it is still open, so that its commit may still come.
        open: bool,
    },
}

/// One piece of one name as a server holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Held {
    /// Piece number, or [`TOMBSTONE`].
    pub piece: u8,
    /// The version that it belongs to.
    pub version: Version,
    /// Published or staged.
    pub phase: Phase,
}

/// One change to a server's disk. A list of them is carried out in order, and may be cut off by a
/// crash after any of them: [`recover`] then gives the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The staged piece takes the place of the published one with its number, if there is one.
    Publish {
        /// Piece number, or [`TOMBSTONE`].
        piece: u8,
        /// Which staged piece of that number.
        version: Version,
    },
    /// The published piece goes.
    DropPublished {
        /// Piece number, or [`TOMBSTONE`].
        piece: u8,
    },
    /// The staged piece goes.
    DropStaged {
        /// Piece number, or [`TOMBSTONE`].
        piece: u8,
        /// Which staged piece of that number.
        version: Version,
    },
}

/// Why a server will not do what was asked with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Commit: nothing of that version is here, staged or published, nor anything newer.
    NotStaged,
    /// Abort: published here, so it is decided.
    Decided,
    /// Abort: the connection that staged it is open and is not the asker's.
    Open,
    /// Stage: the version is not newer than what was published or forgotten here.
    Behind,
}

fn newest_published(held: &[Held]) -> Option<Version> {
    held.iter().filter(|h| h.phase == Phase::Published).map(|h| h.version).max()
}

fn staged(held: &[Held]) -> impl Iterator<Item = &Held> {
    held.iter().filter(|h| h.phase != Phase::Published)
}

/// Whether a piece of `version` may be staged. `floor` is the newest generation that this server has
/// forgotten a tombstone of: a late writer must not bring back what was deleted below it.
///
/// # Errors
/// [`Refused::Behind`]. A version that is published here may be staged again: repair does that.
pub fn may_stage(held: &[Held], floor: u64, version: Version) -> Result<(), Refused> {
    let published = newest_published(held);
    if published == Some(version) {
        return Ok(());
    }
    if published > Some(version) || version.generation <= floor {
        return Err(Refused::Behind);
    }
    Ok(())
}

/// Whether a piece of a version that is decided elsewhere may be staged, which Repair does. The floor
/// does not count: it is for late writers. But `known_floor`, as the server gave it when Repair looked,
/// must still be the floor: else a delete may have come and been forgotten in between.
///
/// # Errors
/// [`Refused::Behind`].
pub fn may_restore(held: &[Held], floor: u64, known_floor: u64, version: Version) -> Result<(), Refused> {
    if newest_published(held) > Some(version) || floor != known_floor { Err(Refused::Behind) } else { Ok(()) }
}

/// The floor after a tombstone of `generation` is forgotten. It always rises, so that nobody who saw
/// the old one overlooks the delete.
pub fn raised_floor(floor: u64, generation: u64) -> u64 {
    generation.max(floor.saturating_add(1))
}

/// What a server does with a commit of `version`: publishes its staged pieces and drops what is
/// older; behind a newer published version it only drops the stage, and acknowledges.
///
/// # Errors
/// [`Refused::NotStaged`], so that a writer whose stage was aborted is never told "done".
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
        .filter(|h| h.phase == Phase::Published && h.version < version && !to_publish.contains(&h.piece))
        .map(|h| Step::DropPublished { piece: h.piece });
    Ok(publish.chain(outdated).chain(drop_staged(held, |v| v < version)).collect())
}

/// What a server does with an abort of `version`. `own` says whether the asker staged it on this very
/// connection; a writer may always take back its own.
///
/// # Errors
/// [`Refused::Decided`] or [`Refused::Open`].
pub fn abort(held: &[Held], version: Version, own: bool) -> Result<Vec<Step>, Refused> {
    if held.iter().any(|h| h.version == version && h.phase == Phase::Published) {
        return Err(Refused::Decided);
    }
    if !own && staged(held).any(|h| h.version == version && h.phase == Phase::Staged { open: true }) {
        return Err(Refused::Open);
    }
    Ok(drop_staged(held, |v| v == version))
}

/// What a server does after a restart to end a commit that a crash cut off. It never touches a stage
/// that is newer than all it has published: only clients can know whether that is decided.
pub fn recover(held: &[Held]) -> Vec<Step> {
    newest_published(held).and_then(|version| commit(held, version).ok()).unwrap_or_default()
}

/// What a server drops when a client says that `version` is decided and whole elsewhere: all that is
/// older and published, and older stages whose writers are gone.
pub fn retire(held: &[Held], version: Version) -> Vec<Step> {
    held.iter()
        .filter(|h| h.version < version)
        .filter_map(|h| match h.phase {
            Phase::Published => Some(Step::DropPublished { piece: h.piece }),
            Phase::Staged { open: false } => Some(Step::DropStaged { piece: h.piece, version: h.version }),
            Phase::Staged { open: true } => None,
        })
        .collect()
}

fn drop_staged(held: &[Held], which: impl Fn(Version) -> bool) -> Vec<Step> {
    staged(held)
        .filter(|h| which(h.version))
        .map(|h| Step::DropStaged { piece: h.piece, version: h.version })
        .collect()
}

/// What the servers' answers about one name mean, by server index; `None` is a server that did not
/// answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The newest version of which a server has published a piece.
    pub decided: Option<Version>,
    /// The newest generation seen, staged ones included; 0 when there is nothing.
    pub generation: u64,
    /// Servers on which staged pieces of the decided version wait to be rolled forward.
    pub forward: Vec<usize>,
    /// Staged versions that may be aborted, each with the servers that hold it.
    pub abandoned: Vec<(Version, Vec<usize>)>,
}

/// Draws the conclusions. A staged version is abandoned only if every server answered, none has
/// published it, and no connection that staged it is open.
pub fn resolve(answers: &[Option<Vec<Held>>]) -> View {
    let all: Vec<(usize, Held)> =
        answers.iter().enumerate().flat_map(|(s, a)| a.iter().flatten().map(move |&h| (s, h))).collect();
    let decided = all.iter().filter(|(_, h)| h.phase == Phase::Published).map(|(_, h)| h.version).max();
    let generation = all.iter().map(|(_, h)| h.version.generation).max().unwrap_or(0);
    let waiting = |version: Version| -> Vec<usize> {
        let mut servers: Vec<usize> = all
            .iter()
            .filter(|(_, h)| h.version == version && h.phase != Phase::Published)
            .map(|&(s, _)| s)
            .collect();
        servers.dedup();
        servers
    };
    let mut stages: Vec<Version> =
        all.iter().filter(|(_, h)| h.phase != Phase::Published).map(|(_, h)| h.version).collect();
    stages.sort_unstable();
    stages.dedup();
    let open =
        |version| all.iter().any(|(_, h)| h.version == version && h.phase == Phase::Staged { open: true });
    let everybody_answered = answers.iter().all(Option::is_some);
    let abandoned = stages
        .iter()
        .filter(|&&v| Some(v) != decided && everybody_answered && !open(v))
        .map(|&v| (v, waiting(v)))
        .collect();
    View { decided, generation, forward: decided.map(waiting).unwrap_or_default(), abandoned }
}

/// The servers that hold `piece` of `version`, published or staged, in order.
pub fn holders(answers: &[Option<Vec<Held>>], version: Version, piece: u8) -> Vec<usize> {
    answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.iter().flatten().any(|h| h.version == version && h.piece == piece))
        .map(|(server, _)| server)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(generation: u64) -> Version {
        Version { generation, upload: [generation as u8; 16] }
    }

    fn published(piece: u8, generation: u64) -> Held {
        Held { piece, version: version(generation), phase: Phase::Published }
    }

    fn waiting(piece: u8, generation: u64, open: bool) -> Held {
        Held { piece, version: version(generation), phase: Phase::Staged { open } }
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
        assert_eq!((raised_floor(0, 4), raised_floor(4, 4), raised_floor(9, 4)), (4, 5, 10));
    }

    #[test]
    fn one_published_piece_decides_and_the_rest_is_rolled_forward() {
        let answers = [Some(vec![published(1, 2)]), Some(vec![published(2, 1), waiting(2, 2, true)]), None];
        let view = resolve(&answers);
        assert_eq!(view.decided, Some(version(2)));
        assert_eq!(view.forward, vec![1]);
        assert_eq!(view.abandoned, vec![]);
        assert_eq!(holders(&answers, version(2), 2), vec![1]);
    }

    #[test]
    fn a_stage_is_abandoned_only_when_all_answered_and_its_writer_is_gone() {
        let silent = [Some(vec![published(1, 1), waiting(1, 2, false)]), None];
        assert_eq!(resolve(&silent).abandoned, vec![]);
        assert_eq!(resolve(&silent).generation, 2);
        let open = [Some(vec![waiting(1, 2, false)]), Some(vec![waiting(2, 2, true)])];
        assert_eq!(resolve(&open).abandoned, vec![]);
        let gone = [Some(vec![waiting(1, 2, false)]), Some(vec![waiting(2, 2, false)])];
        assert_eq!(resolve(&gone).abandoned, vec![(version(2), vec![0, 1])]);
    }
}
