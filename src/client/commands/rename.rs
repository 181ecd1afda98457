//! Move: a new name for the same bytes. Each holder copies its own pieces under a new header; then the version that was
//! copied is deleted under the old name. Whenever it is interrupted, the file is under one of the names, or both, and
//! the same Move continues where it stopped.

use std::collections::BTreeSet;

use super::delete::delete_versions;
use super::repair::{NotRepaired, Repaired, Terms, repair_names};
use super::reseal::{NotResealed, Original, Resealed, reseal_all};
use crate::client::core::base::Core;
use crate::client::core::checks::{Copy, check_copies, good_holders, good_pieces};
use crate::client::core::error::ClientError;
use crate::client::core::look::settle;
use crate::client::core::name_map::Names;
use crate::client::core::prove::survey_to_read;
use crate::client::core::retry::{Pending, until_settled};
use crate::client::core::sight::Unseen;
use crate::client::core::survey::Survey;
use crate::client::core::whole::whole_version;
use crate::name::FilePath;
use crate::placement::{self, Scheme};
use crate::primitives::sha256;
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

/// A name that a file is to have instead of another.
#[derive(Debug, Clone)]
pub(super) struct Renaming {
    pub(super) old: FilePath,
    pub(super) new: FilePath,
}

impl Renaming {
    fn is_half_done(&self, why: String) -> ClientError {
        ClientError::HalfMoved(self.old.clone(), self.new.clone(), why)
    }
}

/// See [`Client::rename`](crate::client::Client::rename).
pub(crate) fn rename(core: &mut Core, old: &FilePath, new: &FilePath) -> Result<(), ClientError> {
    core.begin();
    let names = [Renaming { old: old.clone(), new: new.clone() }];
    rename_all(core, &names, 0).pop().unwrap_or_else(|| Err(core.no_server()))
}

/// Renames files, not so many that they could not be surveyed together; one result for each, in order. `files` as for
/// [`check_copies`].
pub(super) fn rename_all(core: &mut Core, names: &[Renaming], files: usize) -> Vec<Result<(), ClientError>> {
    let copied = copy_all(core, names, files);
    let (mut results, mut versions) = (Vec::new(), Vec::new());
    for (name, copied) in names.iter().zip(copied) {
        results.push(copied.map(|version| versions.push((name.clone(), version))));
    }
    let mut deleted = delete_old(core, &versions).into_iter();
    results.into_iter().map(|copied| copied.and_then(|()| deleted.next().unwrap_or(Ok(())))).collect()
}

/// Gives files their new names beside the old ones: as many copies, each checked. For each the version that was copied.
/// `files` as for [`check_copies`].
pub(super) fn copy_all(
    core: &mut Core,
    names: &[Renaming],
    files: usize,
) -> Vec<Result<Version, ClientError>> {
    let copied = copy_to(core, names.to_vec(), false);
    let mut results = fill_up_all(core, names, copied, files);
    // What an earlier Move left may lack a piece that the old name has.
    let is_stale = |result: &Filled| matches!(result, Err((ClientError::HalfMoved(..), true)));
    let stale: Vec<usize> = (0..results.len()).filter(|&index| is_stale(&results[index])).collect();
    if !stale.is_empty() {
        let again: Vec<Renaming> = stale.iter().map(|&index| names[index].clone()).collect();
        let copied = copy_to(core, again.clone(), true);
        for (index, result) in stale.into_iter().zip(fill_up_all(core, &again, copied, 0)) {
            results[index] = result;
        }
    }
    results.into_iter().map(|result| result.map_err(|(error, _)| error)).collect()
}

/// Deletes old names: the versions that were copied, and nothing newer. The new names are as safe by now as the old
/// ones were.
pub(super) fn delete_old(core: &mut Core, names: &[(Renaming, Version)]) -> Vec<Result<(), ClientError>> {
    let versions = names.iter().map(|(name, version)| (name.old.clone(), *version));
    let deleted = delete_versions(core, versions);
    let result = |((Renaming { old, new }, _), deleted): (&(Renaming, Version), Result<_, _>)| {
        deleted.map_err(|error| match error {
            ClientError::Replaced(_) => ClientError::MovedOlder(old.clone(), new.clone()),
            // Then the old name may have been deleted as well.
            ClientError::Undecided(_) => error,
            error => ClientError::HalfMoved(old.clone(), new.clone(), error.to_string()),
        })
    };
    names.iter().zip(deleted).map(result).collect()
}

/// Copies the newest versions of files under their new names, and returns the copies. What an interrupted Move copied is
/// used as it is or, with `afresh`, replaced.
fn copy_to(core: &mut Core, names: Vec<Renaming>, afresh: bool) -> Vec<Result<Copied, ClientError>> {
    let (mut up, mut looks) = (core.cluster.up().count(), 0);
    let attempt = |core: &mut Core, names: Vec<&mut Pending<Renaming, Result<Copied, ClientError>>>| {
        let pairs: Vec<&Renaming> = names.iter().map(|name| &name.of).collect();
        let results = attempt_copy(core, &pairs, afresh);
        let left = core.cluster.up().count();
        for (name, result) in names.into_iter().zip(results) {
            let is_worth_another = match &result {
                // Another client was at work on one of the names.
                Err(ClientError::Contended(_)) => true,
                // To a look that an upload overlaps, a file may seem incomplete.
                Err(ClientError::Incomplete { .. }) => looks < MORE_LOOKS,
                // A server that was lost in between is a reason to try again without it.
                Err(ClientError::NotTaken(..)) => left < up,
                _ => false,
            };
            name.result = Some(result).filter(|_| !is_worth_another);
        }
        (up, looks) = (left, looks + 1);
    };
    let given_up = |_: &Core, name: Renaming| Err(ClientError::Contended(name.new));
    until_settled(core, names, ATTEMPTS, attempt, given_up)
}

fn attempt_copy(core: &mut Core, names: &[&Renaming], afresh: bool) -> Vec<Result<Copied, ClientError>> {
    let paths: Vec<FilePath> = names.iter().flat_map(|name| [name.old.clone(), name.new.clone()]).collect();
    let surveys = survey_to_read(core, &paths);
    let looked: Vec<Result<Looked, ClientError>> =
        surveys.chunks_exact(2).map(|pair| look(core, &pair[0], &pair[1], afresh)).collect();
    let originals: Vec<Original<'_>> = looked
        .iter()
        .zip(surveys.chunks_exact(2))
        .filter_map(|(looked, pair)| match looked {
            Ok(Looked::ToCopy(version)) => Some(Original { from: &pair[0], version: *version, to: &pair[1] }),
            _ => None,
        })
        .collect();
    let key = core.key.clone();
    let mut resealed = reseal_all(core, &originals, &key).into_iter();
    let mut results = Vec::with_capacity(names.len());
    for ((looked, name), pair) in looked.into_iter().zip(names).zip(surveys.chunks_exact(2)) {
        let new = &name.new;
        let copied = looked.and_then(|looked| match looked {
            Looked::Copied(copied) => Ok(copied),
            Looked::ToCopy(of) => match resealed.next().unwrap_or(Err(NotResealed::Undecided)) {
                Ok(Resealed { version, said, .. }) => Ok(Copied { of, version, said, is_of_earlier: false }),
                Err(NotResealed::Refused(reasons)) => Err(ClientError::NotTaken(new.clone(), reasons)),
                Err(NotResealed::Undecided) => Err(ClientError::Undecided(new.clone())),
                Err(NotResealed::Other(error)) => Err(error),
            },
        });
        if copied.is_ok() {
            pair[0].unseen.warn_of_newer(core);
        }
        results.push(copied);
    }
    results
}

/// What the surveys of both names say.
enum Looked {
    /// An interrupted Move has copied it.
    Copied(Copied),
    /// This version is to be copied.
    ToCopy(Version),
}

fn look(core: &Core, from: &Survey, to: &Survey, afresh: bool) -> Result<Looked, ClientError> {
    core.require_server()?;
    let version = whole_version(core, from);
    if to.is_a_file() {
        match (&version, to.file_version()) {
            (Ok(version), Some(copy)) if from.path != to.path && is_copy(core, from, *version, to, copy) => {
                if !afresh {
                    let copied = Copied { of: *version, version: copy, said: vec![], is_of_earlier: true };
                    return Ok(Looked::Copied(copied));
                }
            }
            (Err(ClientError::NotFound(_)), _) => {}
            _ => return Err(ClientError::Exists(to.path.clone())),
        }
    }
    let version = version?;
    require_servers_for_copies(core, from, version)?;
    Ok(Looked::ToCopy(version))
}

/// Whether a version under one name is the very file that another is under another name, copied by a Move: only then do
/// they have the same file key.
pub(super) fn is_copy(core: &Core, from: &Survey, version: Version, to: &Survey, copy: Version) -> bool {
    let key = |survey: &Survey, version| {
        let verified = core.key.verify(survey.any_claim(version)?).ok()?;
        Some(core.key.unwrap(&verified))
    };
    key(from, version).zip(key(to, copy)).is_some_and(|(one, other)| one.is(&other))
}

/// With fewer servers up than a file has copies, the new name would be less safe than the old one, which the
/// others may still have copies of. With parity, what only they have is made of the rest.
fn require_servers_for_copies(core: &Core, survey: &Survey, version: Version) -> Result<(), ClientError> {
    let copies = copies_of(core, survey, version);
    let wanted = survey.scheme(version).servers_wanted(copies, core.cluster.len());
    if core.cluster.up().count() >= wanted {
        return Ok(());
    }
    Err(ClientError::NeedsServers(survey.path.clone(), wanted, core.cluster.down()))
}

/// How many copies of each piece a file should have.
fn copies_of(core: &Core, survey: &Survey, version: Version) -> usize {
    let by_config = || placement::copies_wanted(core.config.replicas, core.cluster.len());
    survey.replicas_wanted(version).unwrap_or_else(by_config)
}

/// The version under the old name once the new one has all its copies; or an error, and whether the copies are those of
/// an earlier Move.
type Filled = Result<Version, (ClientError, bool)>;

/// Makes sure that the new names have all their copies before the old ones are deleted. Most have: so all are looked at
/// together, and only those that lack something one by one.
fn fill_up_all(
    core: &mut Core,
    names: &[Renaming],
    copied: Vec<Result<Copied, ClientError>>,
    files: usize,
) -> Vec<Filled> {
    let copies = names.iter().zip(&copied).filter(|(_, copied)| copied.is_ok());
    let paths: Vec<FilePath> = copies.map(|(name, _)| name.new.clone()).collect();
    let surveys = settle(core, &paths);
    let checks = check_copies(core, &surveys, files);
    let mut seen = surveys.into_iter().zip(checks);
    let mut filled = Vec::with_capacity(names.len());
    for (name, copied) in names.iter().zip(copied) {
        filled.push(match copied {
            Ok(copied) => {
                let (of, is_of_earlier) = (copied.of, copied.is_of_earlier);
                let result = fill_up(core, name, copied, seen.next());
                result.map(|()| of).map_err(|error| (error, is_of_earlier))
            }
            Err(error) => Err((error, false)),
        });
    }
    filled
}

/// What a file has too little of, in words: copies of a piece; or with parity, if it would bear more losses were it
/// stored now on the servers that are up and not `left_out`, the losses that it bears.
fn lack(
    core: &Core,
    survey: &Survey,
    version: Version,
    copies: &[Copy],
    left_out: &BTreeSet<usize>,
) -> Option<String> {
    let (scheme, replicas, servers) =
        (survey.scheme(version), copies_of(core, survey, version), core.cluster.len());
    if scheme == Scheme::Parity {
        let usable: Vec<bool> =
            (0..servers).map(|server| core.cluster.is_up(server) && !left_out.contains(&server)).collect();
        let could =
            scheme.losses(&scheme.placed(&sha256(survey.path.as_str().as_bytes()), &usable, replicas));
        let losses = scheme.losses(&good_pieces(copies, servers));
        return (losses < could).then(|| match losses {
            None => "too few good pieces".to_owned(),
            Some(losses) => format!("pieces on so few servers that only {losses} more may be lost"),
        });
    }
    let wanted = scheme.holders_wanted(replicas, servers);
    let few =
        scheme.pieces().map(|piece| (piece, good_holders(copies, piece).len())).find(|(_, n)| *n < wanted);
    few.map(|(piece, count)| format!("{count} of {wanted} good copies of piece {piece}"))
}

/// Makes sure that a new name has all its copies, each of them shown and checked by its server. What a server has not
/// kept, or was lost with a server, is copied to others. `seen` is what the first look has shown.
fn fill_up(
    core: &mut Core,
    name: &Renaming,
    copied: Copied,
    mut seen: Option<(Survey, Vec<Copy>)>,
) -> Result<(), ClientError> {
    let new = &name.new;
    let half = |why: String| name.is_half_done(why);
    let mut said = copied.said;
    let mut left_out: BTreeSet<usize> = BTreeSet::new();
    let (mut is_repaired, mut failure): (bool, Option<NotRepaired>) = (false, None);
    loop {
        let look_again = |core: &mut Core| {
            let mut surveys = settle(core, std::slice::from_ref(new));
            let mut checks = check_copies(core, &surveys, 0);
            surveys.pop().zip(checks.pop())
        };
        let seen = seen.take().or_else(|| look_again(core));
        let Some((survey, copies)) = &seen else { return Err(core.no_server()) };
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
        let Some(lack) = lack(core, survey, copied.version, copies, &left_out) else { return Ok(()) };
        // A server that acknowledged a piece and does not show it, or did not accept one, is not asked again.
        let known = left_out.len();
        let broke_word = said.iter().filter(|(server, piece)| !good(*piece).contains(server));
        left_out.extend(broke_word.map(|(server, _)| *server));
        if let Some(NotRepaired::Refused(name, _) | NotRepaired::Down(name, _)) = &failure {
            left_out.extend(core.cluster.number(name));
        }
        if is_repaired && left_out.len() == known {
            let why = failure.map(|why| format!(": {why}")).unwrap_or_default();
            return Err(half(format!("{new} has {lack}{why}")));
        }
        (is_repaired, failure) = (true, None);
        said.clear();
        let names = core.cluster.names();
        let terms = Terms { without: left_out.iter().copied().collect(), ..Terms::default() };
        let tell = |step: &Repaired| match step {
            Repaired::Copied { piece, to, .. } | Repaired::Made { piece, to, .. } => {
                said.extend(names.iter().position(|name| name == to).map(|server| (server, *piece)));
            }
            Repaired::Failed { why, .. } => failure = Some(why.clone()),
            _ => {}
        };
        repair_names(core, &terms, &Names::from_iter([new.clone()]), Unseen::default(), tell)
            .map_err(|error| half(error.to_string()))?;
    }
}
