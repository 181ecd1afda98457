//! Move: a new name for the same bytes. Each holder copies its own pieces under a new header; then the version that was
//! copied is deleted under the old name. Whenever it is interrupted, the file is under one of the names, or both, and
//! the same Move continues where it stopped.

use std::collections::BTreeSet;

use super::delete::delete_version;
use super::repair::{NotRepaired, Repaired, Terms, repair_names};
use super::reseal::{NotResealed, reseal};
use crate::client::core::base::Core;
use crate::client::core::checks::{check_copies, good_holders};
use crate::client::core::error::ClientError;
use crate::client::core::look::settle;
use crate::client::core::name_map::Names;
use crate::client::core::prove::survey_to_read;
use crate::client::core::sight::Unseen;
use crate::client::core::survey::Survey;
use crate::client::core::whole::whole_version;
use crate::name::FilePath;
use crate::placement;
use crate::version::Version;

/// How often a move is tried again if other clients interfere.
const ATTEMPTS: usize = 8;
/// Of these, how many may be for a file that seems incomplete.
const MORE_LOOKS: usize = 2;

/// A version that was copied under the new name.
struct Copied {
    /// The version under the old name.
    of: Version,
    /// The version that the copies have.
    version: Version,
    /// Which server has acknowledged which piece.
    said: Vec<(usize, u8)>,
    /// Whether an earlier Move made it.
    is_of_earlier: bool,
}

/// See [`Client::rename`](crate::client::Client::rename).
pub(crate) fn rename(core: &mut Core, old: &FilePath, new: &FilePath) -> Result<(), ClientError> {
    core.begin();
    let half = |why: String| ClientError::HalfMoved(old.clone(), new.clone(), why);
    let copied = copy_to(core, old, new, false)?;
    let (mut version, is_of_earlier) = (copied.of, copied.is_of_earlier);
    match fill_up(core, new, copied, &half) {
        // What an earlier Move left may lack a piece that the old name has.
        Err(ClientError::HalfMoved(..)) if is_of_earlier => {
            let copied = copy_to(core, old, new, true)?;
            version = copied.of;
            fill_up(core, new, copied, &half)?;
        }
        filled => filled?,
    }
    // From here on the new name is as safe as the old one was, and the old one may be deleted: as the version that was
    // copied.
    delete_version(core, old, version).map_err(|error| match error {
        ClientError::Replaced(_) => ClientError::MovedOlder(old.clone(), new.clone()),
        // Then the old name may have been deleted as well.
        ClientError::Undecided(_) => error,
        error => half(error.to_string()),
    })
}

/// Copies the newest version of a file under another name, and returns the copy. What an interrupted Move copied is
/// used as it is or, with `afresh`, replaced.
fn copy_to(core: &mut Core, old: &FilePath, new: &FilePath, afresh: bool) -> Result<Copied, ClientError> {
    let mut up = core.cluster.up().count();
    for attempt in 0..ATTEMPTS {
        match attempt_copy(core, old, new, afresh) {
            // Another client was at work on one of the names.
            Err(ClientError::Contended(_)) => {}
            // To a look that an upload overlaps, a file may seem incomplete.
            Err(ClientError::Incomplete { .. }) if attempt < MORE_LOOKS => {}
            // A server that was lost in between is a reason to try again without it.
            Err(ClientError::NotTaken(..)) if core.cluster.up().count() < up => {}
            result => return result,
        }
        up = core.cluster.up().count();
    }
    Err(ClientError::Contended(new.clone()))
}

fn attempt_copy(
    core: &mut Core,
    old: &FilePath,
    new: &FilePath,
    afresh: bool,
) -> Result<Copied, ClientError> {
    let surveys = survey_to_read(core, &[old.clone(), new.clone()]);
    core.require_server()?;
    let [from, to] = &surveys[..] else { return Err(core.no_server()) };
    let version = whole_version(core, from);
    if to.is_a_file() {
        match (&version, to.file_version()) {
            (Ok(version), Some(copy)) if old != new && is_copy(core, from, *version, to, copy) => {
                if !afresh {
                    from.unseen.warn_of_newer(core);
                    return Ok(Copied { of: *version, version: copy, said: vec![], is_of_earlier: true });
                }
            }
            (Err(ClientError::NotFound(_)), _) => {}
            _ => return Err(ClientError::Exists(new.clone())),
        }
    }
    let version = version?;
    require_servers_for_copies(core, from, version)?;
    let key = core.key.clone();
    let resealed = reseal(core, from, version, to, &key).map_err(|why| match why {
        NotResealed::Refused(reasons) => ClientError::NotTaken(new.clone(), reasons),
        NotResealed::Undecided => ClientError::Undecided(new.clone()),
        NotResealed::Other(error) => error,
    })?;
    from.unseen.warn_of_newer(core);
    Ok(Copied { of: version, version: resealed.version, said: resealed.said, is_of_earlier: false })
}

/// Whether a version under one name is the very file that another is under another name, copied by a Move: only then do
/// they have the same file key.
fn is_copy(core: &Core, from: &Survey, version: Version, to: &Survey, copy: Version) -> bool {
    let key = |survey: &Survey, version| {
        let verified = core.key.verify(survey.any_claim(version)?).ok()?;
        Some(core.key.unwrap(&verified))
    };
    key(from, version).zip(key(to, copy)).is_some_and(|(one, other)| one.is(&other))
}

/// With fewer servers up than a file has copies, the new name would be less safe than the old one, which the
/// others may still have copies of.
fn require_servers_for_copies(core: &Core, survey: &Survey, version: Version) -> Result<(), ClientError> {
    let wanted = copies_of(core, survey, version);
    if core.cluster.up().count() >= wanted {
        return Ok(());
    }
    Err(ClientError::NeedsServers(survey.path.clone(), wanted, core.cluster.down()))
}

/// How many copies of each piece a file should have.
fn copies_of(core: &Core, survey: &Survey, version: Version) -> usize {
    let by_config = || placement::copies_wanted(core.config.replicas, core.cluster.len());
    survey.copies_wanted(version).unwrap_or_else(by_config)
}

/// Makes sure that the new name has all its copies before the old one is deleted, each of them shown and checked by its
/// server. What a server has not kept, or was lost with a server, is copied to others.
fn fill_up(
    core: &mut Core,
    new: &FilePath,
    copied: Copied,
    half: &dyn Fn(String) -> ClientError,
) -> Result<(), ClientError> {
    let mut said = copied.said;
    let mut left_out: BTreeSet<usize> = BTreeSet::new();
    let (mut is_repaired, mut failure): (bool, Option<NotRepaired>) = (false, None);
    loop {
        let surveys = settle(core, std::slice::from_ref(new));
        let checks = check_copies(core, &surveys, 0);
        let ([survey], [copies]) = (&surveys[..], &checks[..]) else { return Err(core.no_server()) };
        match survey.file_version() {
            Some(version) if version == copied.version => {}
            // It is somebody else's by now. What was copied may have been dropped.
            Some(_) => return Err(ClientError::Exists(new.clone())),
            None if survey.tombstone().is_some() => {
                return Err(half(format!("{new} was deleted in the meantime")));
            }
            None => return Err(half(format!("no server shows {new} anymore"))),
        }
        let good = |piece: u8| good_holders(copies, piece);
        let wanted = copies_of(core, survey, copied.version);
        let few = placement::pieces().map(|piece| (piece, good(piece).len())).find(|(_, n)| *n < wanted);
        let Some((piece, count)) = few else { return Ok(()) };
        // A server that acknowledged a piece and does not show it, or did not accept one, is not asked again.
        let known = left_out.len();
        let broke_word = said.iter().filter(|(server, piece)| !good(*piece).contains(server));
        left_out.extend(broke_word.map(|(server, _)| *server));
        if let Some(NotRepaired::Refused(name, _) | NotRepaired::Down(name, _)) = &failure {
            left_out.extend(core.cluster.number(name));
        }
        if is_repaired && left_out.len() == known {
            let why = failure.map(|why| format!(": {why}")).unwrap_or_default();
            return Err(half(format!("{count} of {wanted} good copies of piece {piece} of {new}{why}")));
        }
        (is_repaired, failure) = (true, None);
        said.clear();
        let names = core.cluster.names();
        let terms = Terms { without: left_out.iter().copied().collect(), ..Terms::default() };
        let tell = |step: &Repaired| match step {
            Repaired::Copied { piece, to, .. } => {
                said.extend(names.iter().position(|name| name == to).map(|server| (server, *piece)));
            }
            Repaired::Failed { why, .. } => failure = Some(why.clone()),
            _ => {}
        };
        repair_names(core, &terms, &Names::from_iter([new.clone()]), Unseen::default(), tell)
            .map_err(|error| half(error.to_string()))?;
    }
}
