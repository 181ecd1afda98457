//! The files of a folder, and the state of each. If the servers' lists are in doubt, the seals are requested.

use std::collections::BTreeSet;

use super::base::Core;
use super::error::ClientError;
use super::listing::{Agreed, Listed, Listing, Named, list};
use super::look::{ask, survey};
use super::name_map::{NameMap, Names};
use super::sight::Unseen;
use super::survey::Survey;
use crate::name::{FilePath, FolderPath, ServerName};
use crate::placement::{self, PieceSet, Scheme};
use crate::sealed::{Distrust, Facts};
use crate::version::Version;

/// Names that a list leaves in doubt and that are surveyed together.
const DOUBTFUL: usize = 1024;

/// The state of a file on the servers that answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// As safe as was asked for: with that many copies of each piece, or so that any two servers may be lost.
    Whole,
    /// It can be rebuilt, and is less safe than was asked for.
    Degraded,
    /// It cannot be rebuilt.
    Incomplete,
    /// Everything found was made under another password or `Key`.
    OtherKey,
}

/// A file in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownFile {
    /// Its name in the listed folder.
    pub path: FilePath,
    /// What its pieces' headers say about it; none if no header can be trusted.
    pub facts: Option<Facts>,
    /// Its state.
    pub health: Health,
    /// How many more servers may be lost, whichever they are, with parity at most two; none if it is lost already.
    pub losses: Option<usize>,
    /// For each server of the .conf, its name and what it holds; `None` if it did not answer.
    pub holders: Vec<(ServerName, Option<Holding>)>,
}

impl ShownFile {
    /// By which scheme it is stored, as far as that is known.
    pub fn scheme(&self) -> Scheme {
        self.facts.as_ref().map_or(Scheme::Copies, |facts| facts.scheme)
    }
}

/// What one server has of a file, by the numbers of the pieces.
///
/// A listing looks at headers and seals. Damage to a piece's bytes is found by Verify.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// Of the version that is shown.
    pub pieces: PieceSet,
    /// Of an older version, if it has none of this one.
    pub outdated: PieceSet,
    /// With a header or seal that is not what the client wrote.
    pub damaged: PieceSet,
    /// Made under another password or `Key`.
    pub other_key: PieceSet,
}

/// What is in a folder.
pub(crate) struct Entries {
    pub(crate) folders: Vec<FolderPath>,
    pub(crate) files: Vec<ShownFile>,
    /// Whether no server knows of anything in it, not even a delete.
    pub(crate) is_unknown: bool,
    /// Servers that did not report everything that they have.
    pub(crate) unseen: Unseen,
}

/// What is in a folder, or with `recursive` everything below it.
pub(crate) fn entries(core: &mut Core, folder: &FolderPath, recursive: bool) -> Entries {
    let Listing { folders, files, unseen, .. } = list(core, folder, recursive);
    let is_unknown = folders.is_empty() && files.is_empty();
    let mut shown = Vec::new();
    let mut folders: BTreeSet<FolderPath> = folders.into_keys().collect();
    show_files(core, folder, files, |file| {
        if recursive {
            add_folders_around(&file.path, &mut folders);
        }
        // The entry of a folder is not in it.
        shown.extend(Some(file).filter(|file| !file.path.is_of_folder()));
    });
    Entries { folders: folders.into_iter().collect(), files: shown, is_unknown, unseen }
}

fn add_folders_around(path: &FilePath, folders: &mut BTreeSet<FolderPath>) {
    let mut folder = path.folder();
    while !folder.is_root() {
        let parent = folder.parent();
        if !folders.insert(std::mem::replace(&mut folder, parent)) {
            break;
        }
    }
}

/// The names in a folder, as any of the lists has them that arrive: a glance, which reports nothing.
pub(crate) fn glance(core: &mut Core, folder: &FolderPath) -> (Vec<FolderPath>, Vec<FilePath>) {
    core.cluster.end_stop();
    let listing = core.quietly(|core| list::<Agreed>(core, folder, false));
    core.cluster.report_later();
    let files =
        listing.files.into_entries().filter(|(path, listed)| listed.may_be_file() && !path.is_of_folder());
    (listing.folders.into_keys().collect(), files.map(|(path, _)| path).collect())
}

/// The files below a folder, sorted, even those that cannot be rebuilt. Servers that do not report what they have are
/// added to `unseen`.
pub(crate) fn files_below(
    core: &mut Core,
    folder: &FolderPath,
    unseen: &mut Unseen,
) -> Result<Names, ClientError> {
    let listing = list::<Agreed>(core, folder, true);
    unseen.add(&listing.unseen);
    let all_are_up = core.cluster.up().count() == core.cluster.len();
    let (mut files, mut doubtful) = (Names::default(), Vec::new());
    for (path, listed) in listing.files.into_entries() {
        // A name that only a lying server can have sent is no reason to stop.
        let Ok(whole) = whole_path(folder, &path) else { continue };
        if listed.is_file() && (listed.is_complete() || !all_are_up) {
            files.extend([whole]);
        } else {
            doubtful.push(whole);
        }
    }
    for doubtful in doubtful.chunks(DOUBTFUL) {
        let surveys = survey(core, doubtful);
        let are_files = surveys.into_iter().filter(|survey| shown_survey(core, folder, survey).is_some());
        files.extend(are_files.map(|survey| survey.path));
    }
    core.require_server()?;
    Ok(files)
}

/// Every name that a server knows in a folder, or below it: files, deletes, and what is damaged or unfinished. Servers
/// that do not report what they have are added to `unseen`.
pub(crate) fn names(
    core: &mut Core,
    folder: &FolderPath,
    recursive: bool,
    unseen: &mut Unseen,
) -> Result<Names, ClientError> {
    let Listing::<Named> { folders, files, is_refused, unseen: by_listing } = list(core, folder, recursive);
    unseen.add(&by_listing);
    core.require_server()?;
    if is_refused {
        return Err(ClientError::NotListed(folder.clone()));
    }
    if files.is_empty() && folders.is_empty() && !folder.is_root() {
        return name_of_file(core, folder, unseen);
    }
    // A name that only a lying server can have sent is no reason to stop.
    Ok(files.into_entries().filter_map(|(path, _)| whole_path(folder, &path).ok()).collect())
}

/// A name under which no folder is found: a file's, or nobody's.
fn name_of_file(core: &mut Core, name: &FolderPath, unseen: &mut Unseen) -> Result<Names, ClientError> {
    let path = name.as_file().ok_or_else(|| ClientError::NotFound(name.as_str().to_owned()))?;
    let surveys = ask(core, &[path]);
    surveys.iter().for_each(|survey| unseen.add(&survey.unseen));
    let known = surveys.into_iter().find(|survey| survey.is_a_file() || survey.tombstone().is_some());
    known.map(|survey| Names::from_iter([survey.path])).ok_or_else(|| unseen.not_found(core, name.as_str()))
}

fn show_files(core: &mut Core, folder: &FolderPath, files: NameMap<Listed>, mut show: impl FnMut(ShownFile)) {
    let all_are_up = core.cluster.up().count() == core.cluster.len();
    let mut doubtful = Vec::new();
    for (path, listed) in files.into_entries() {
        let Some(facts) = listed.unanimous() else {
            doubtful.push(path);
            continue;
        };
        let held_by = |s| Holding { pieces: listed.held_by(s), ..Holding::default() };
        let file = shown_file(core, path, Some(facts.clone()), held_by);
        if file.health == Health::Incomplete && all_are_up {
            doubtful.push(file.path);
        } else {
            show(file);
        }
    }
    // Few at a time: a server may have much to report on each.
    for doubtful in doubtful.chunks(DOUBTFUL) {
        let paths: Vec<FilePath> = doubtful.iter().filter_map(|path| whole_path(folder, path).ok()).collect();
        let surveys = survey(core, &paths);
        surveys.iter().filter_map(|survey| shown_survey(core, folder, survey)).for_each(&mut show);
    }
}

/// A surveyed name as a line of the list of a folder; `None` if it is no file.
pub(crate) fn shown_survey(core: &Core, folder: &FolderPath, survey: &Survey) -> Option<ShownFile> {
    let path = folder.relative(&survey.path)?;
    let Some(version) = survey.file_version() else {
        let unreadable = survey.view().decided.is_none() && !survey.distrusted.is_empty();
        let no_version = |server| holding(survey, None, server);
        let health = if survey.only_other_keys() { Health::OtherKey } else { Health::Incomplete };
        return unreadable.then(|| ShownFile { health, ..shown_file(core, path, None, no_version) });
    };
    let header = &survey.any_claim(version)?.header;
    let held_by = |server| holding(survey, Some(version), server);
    Some(shown_file(core, path, Some(header.into()), held_by))
}

fn shown_file(
    core: &Core,
    path: FilePath,
    facts: Option<Facts>,
    held_by: impl Fn(usize) -> Holding,
) -> ShownFile {
    let cluster = &core.cluster;
    let by_server: Vec<Option<Holding>> =
        (0..cluster.len()).map(|s| cluster.is_up(s).then(|| held_by(s))).collect();
    let replicas = facts.as_ref().map_or(1, |facts| usize::from(facts.replicas));
    let held: Vec<PieceSet> = by_server.iter().flatten().map(|held| held.pieces).collect();
    let scheme = facts.as_ref().map_or(Scheme::Copies, |facts| facts.scheme);
    let losses = scheme.losses(&held);
    let health = match losses {
        None => Health::Incomplete,
        Some(_) if !scheme.is_safe(&held, replicas, cluster.len(), 0) => Health::Degraded,
        Some(_) => Health::Whole,
    };
    let holders = cluster.names().into_iter().zip(by_server).collect();
    ShownFile { path, facts, health, losses, holders }
}

/// What a server has of a name, `version` being the one that is shown.
fn holding(survey: &Survey, version: Option<Version>, server: usize) -> Holding {
    let of = |wanted: &dyn Fn(Version) -> bool| -> PieceSet {
        let held = survey.answers[server].iter().flatten().filter(|h| wanted(h.version));
        let numbers: PieceSet = held.map(|h| h.piece).collect();
        placement::numbers().filter(|&piece| numbers.contains(piece)).collect()
    };
    let distrusted = |why: Distrust| -> PieceSet {
        let by =
            |piece: u8| survey.distrusted.iter().any(|d| (d.server, d.piece, d.why) == (server, piece, why));
        placement::numbers().filter(|&piece| by(piece)).collect()
    };
    let pieces = of(&|v| Some(v) == version);
    Holding {
        pieces,
        outdated: of(&|v| Some(v) < version).without(pieces),
        damaged: distrusted(Distrust::Damaged),
        other_key: distrusted(Distrust::OtherKey),
    }
}

fn whole_path(folder: &FolderPath, relative: &FilePath) -> Result<FilePath, ClientError> {
    folder.absolute(relative).map_err(|why| ClientError::Name(relative.as_str().to_owned(), why))
}
