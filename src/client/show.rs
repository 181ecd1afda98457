//! ShowFiles: what is in a folder, and how whole each file is.

use std::collections::{BTreeMap, BTreeSet};

use super::Client;
use super::error::ClientError;
use super::report::{Notice, Phase, timed};
use super::survey::Survey;
use crate::commit::TOMBSTONE;
use crate::name::{FilePath, FolderPath, ServerName};
use crate::peer::Peer;
use crate::placement;
use crate::sealed::{Distrust, ModifiedTime};
use crate::version::Version;
use crate::wire::{Entry, MAX_LISTING, ParseError, Request};

/// How whole a file is on the servers that answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// As many copies of each piece as were asked for.
    Whole,
    /// It can be rebuilt, with fewer copies than were asked for.
    Degraded,
    /// It cannot be rebuilt.
    Incomplete,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A folder, by its name in the listed one.
    Folder(FolderPath),
    /// A file.
    File(ShownFile),
}

/// A file in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownFile {
    /// Its name in the listed folder.
    pub path: FilePath,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last modified, at the uploader's.
    pub modified: ModifiedTime,
    /// How whole it is.
    pub health: Health,
    /// By server of the .conf: its name and what it holds, `None` where it did not answer.
    pub holders: Vec<(ServerName, Option<Holding>)>,
}

/// What one server has of a file, by the numbers of the pieces.
///
/// A listing looks at headers and seals. Damage of a piece's bytes is what Verify finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// Of the version that is shown.
    pub pieces: Vec<u8>,
    /// Of an older version, where it has none of this one's.
    pub outdated: Vec<u8>,
    /// With a header or seal that is not what the client wrote.
    pub damaged: Vec<u8>,
    /// Made under another password or `Key`.
    pub other_key: Vec<u8>,
}

/// What the servers say of one name in a list: by version, then by server.
#[derive(Default)]
struct Listed {
    versions: BTreeMap<Version, ListedVersion>,
    damaged: bool,
}

/// What all servers together say is in a folder.
struct Listing {
    folders: BTreeSet<FolderPath>,
    files: BTreeMap<FilePath, Listed>,
    /// Whether a server that is up would not say.
    refused: bool,
}

struct ListedVersion {
    size: u64,
    modified: ModifiedTime,
    replicas: u8,
    tombstone: bool,
    decided: bool,
    /// Whether servers differ on what all pieces of a version have in common.
    disputed: bool,
    pieces: BTreeMap<usize, BTreeSet<u8>>,
}

impl Client {
    /// The entries of a folder, sorted by name; or a single file, if the name is one's.
    ///
    /// A list is not sealed. Where servers do not agree on a file, its seals are asked for; what they
    /// all say alike is shown as it is.
    ///
    /// # Errors
    /// If the folder is not there, or no server is up.
    pub fn show(&mut self, folder: &FolderPath) -> Result<Vec<Shown>, ClientError> {
        self.cluster.refresh(&*self.report);
        self.require_server()?;
        let Listing { folders, files, .. } = self.list(folder, false);
        let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
        for name in folders {
            shown.insert(format!("{name}/"), Shown::Folder(name));
        }
        let found_nothing = shown.is_empty() && files.is_empty();
        for file in self.show_files(folder, files) {
            shown.insert(file.path.to_string(), Shown::File(file));
        }
        if found_nothing && !folder.is_root() {
            return self.show_file(folder).ok_or_else(|| ClientError::NotFound(folder.to_string()));
        }
        Ok(shown.into_values().collect())
    }

    /// A name that is no folder may be a file's.
    fn show_file(&mut self, name: &FolderPath) -> Option<Vec<Shown>> {
        let path = name.as_file()?;
        let surveys = self.cluster.survey(&[path], &self.config.user, &self.key, &*self.report);
        let file = surveys.iter().find_map(|survey| self.shown_survey(&name.parent(), survey))?;
        Some(vec![Shown::File(file)])
    }

    /// The files below a folder, sorted; also those that cannot be rebuilt.
    pub(super) fn files_below(&mut self, folder: &FolderPath) -> Result<Vec<FilePath>, ClientError> {
        let Listing { files, .. } = self.list(folder, true);
        let shown = self.show_files(folder, files);
        self.require_server()?;
        Ok(shown.iter().filter_map(|f| whole_path(folder, &f.path).ok()).collect())
    }

    /// A name under which no folder is found: a file's, or nobody's.
    fn name_of_file(&mut self, name: &FolderPath) -> Result<Vec<FilePath>, ClientError> {
        let not_found = || ClientError::NotFound(name.to_string());
        let path = name.as_file().ok_or_else(not_found)?;
        let surveys = self.cluster.ask(&[path], &self.config.user, &self.key, &*self.report);
        let known = surveys.into_iter().find(|survey| survey.is_a_file() || survey.tombstone().is_some());
        known.map(|survey| vec![survey.path]).ok_or_else(not_found)
    }

    /// Every name that a server knows in a folder, or below it: files, deletes, and what is damaged or
    /// unfinished.
    pub(super) fn names(
        &mut self,
        folder: &FolderPath,
        recursive: bool,
    ) -> Result<Vec<FilePath>, ClientError> {
        let Listing { folders, files, refused } = self.list(folder, recursive);
        self.require_server()?;
        if refused {
            return Err(ClientError::NotListed(folder.clone()));
        }
        if files.is_empty() && folders.is_empty() && !folder.is_root() {
            return self.name_of_file(folder);
        }
        // A name that only a server that lies can have sent is no reason to stop.
        Ok(files.keys().filter_map(|path| whole_path(folder, path).ok()).collect())
    }

    fn show_files(&mut self, folder: &FolderPath, files: BTreeMap<FilePath, Listed>) -> Vec<ShownFile> {
        let up: Vec<usize> = self.cluster.up().collect();
        let mut shown = Vec::new();
        let mut doubtful = Vec::new();
        for (path, listed) in files {
            match listed.unanimous() {
                Some((_, version)) if !listed.damaged => {
                    let file =
                        self.shown(path.clone(), version.size, version.modified, version.replicas, |s| {
                            let pieces = version.pieces.get(&s).into_iter().flatten().copied().collect();
                            Holding { pieces, ..Holding::default() }
                        });
                    if file.health == Health::Incomplete && up.len() == self.cluster.len() {
                        doubtful.push(path);
                    } else {
                        shown.push(file);
                    }
                }
                _ => doubtful.push(path),
            }
        }
        let doubtful: Vec<FilePath> =
            doubtful.iter().filter_map(|path| whole_path(folder, path).ok()).collect();
        let surveys = self.cluster.survey(&doubtful, &self.config.user, &self.key, &*self.report);
        shown.extend(surveys.iter().filter_map(|survey| self.shown_survey(folder, survey)));
        shown
    }

    fn shown_survey(&self, folder: &FolderPath, survey: &Survey) -> Option<ShownFile> {
        let path = folder.relative(&survey.path)?;
        let Some(version) = survey.file_version() else {
            let unreadable = survey.view().decided.is_none() && !survey.distrusted.is_empty();
            let no_version = |server| holding(survey, None, server);
            return unreadable.then(|| self.shown(path, 0, ModifiedTime::default(), 1, no_version));
        };
        let header = &survey.any_claim(version)?.header;
        Some(self.shown(path, header.file_size, header.modified, header.replicas, |server| {
            holding(survey, Some(version), server)
        }))
    }

    fn shown(
        &self,
        path: FilePath,
        size: u64,
        modified: ModifiedTime,
        replicas: u8,
        held_by: impl Fn(usize) -> Holding,
    ) -> ShownFile {
        let by_server: Vec<Option<Holding>> =
            (0..self.cluster.len()).map(|s| self.cluster.is_up(s).then(|| held_by(s))).collect();
        let copies = |piece: u8| by_server.iter().flatten().filter(|h| h.pieces.contains(&piece)).count();
        let wanted = placement::copies_wanted(usize::from(replicas), self.cluster.len());
        let health = if !placement::suffices(|piece| copies(piece) > 0) {
            Health::Incomplete
        } else if placement::pieces().any(|piece| copies(piece) < wanted) {
            Health::Degraded
        } else {
            Health::Whole
        };
        let holders = self.cluster.names().into_iter().zip(by_server).collect();
        ShownFile { path, size, modified, health, holders }
    }

    /// Asks every server that is up for its list of a folder.
    fn list(&mut self, folder: &FolderPath, recursive: bool) -> Listing {
        let up: Vec<usize> = self.cluster.up().collect();
        let request = Request::List { folder: folder.clone(), recursive };
        let requests: Vec<(usize, Request)> = up.iter().map(|&server| (server, request.clone())).collect();
        let receive = |peer: &mut Peer| {
            let mut entries = Vec::new();
            let answer = peer.receive_text(MAX_LISTING, |part| {
                for line in part.split_terminator('\n') {
                    entries.push(Entry::parse(line)?);
                }
                Ok::<(), ParseError>(())
            })?;
            Ok(answer.map(|()| entries))
        };
        let report = &*self.report;
        let answers = timed(report, Phase::List, || self.cluster.exchange(&requests, report, receive));
        let mut refused = false;
        let (mut folders, mut files) = (BTreeSet::new(), BTreeMap::<FilePath, Listed>::new());
        for ((server, _), answer) in requests.iter().zip(answers) {
            let entries = match answer {
                Some(Ok(entries)) => entries,
                Some(Err(no)) => {
                    let server = self.cluster.name(*server).clone();
                    self.report.notice(Notice::ListRefused { server, why: no.to_string() });
                    refused = true;
                    continue;
                }
                None => continue,
            };
            for entry in entries {
                match entry {
                    Entry::Folder(name) => drop(folders.insert(name)),
                    Entry::Damaged { path, .. } => files.entry(path).or_default().damaged = true,
                    Entry::Tombstone { path, version, published } => {
                        let listed =
                            files.entry(path).or_default().version(version, 0, ModifiedTime::default(), 1);
                        listed.tombstone = true;
                        listed.decided |= published;
                        listed.pieces.entry(*server).or_default().insert(TOMBSTONE);
                    }
                    Entry::File { path, version, published, pieces, size, modified, replicas } => {
                        let listed =
                            files.entry(path).or_default().version(version, size, modified, replicas);
                        listed.decided |= published;
                        listed.pieces.entry(*server).or_default().extend(pieces);
                    }
                }
            }
        }
        Listing { folders, files, refused }
    }
}

impl Listed {
    fn version(
        &mut self,
        version: Version,
        size: u64,
        modified: ModifiedTime,
        replicas: u8,
    ) -> &mut ListedVersion {
        let listed = self.versions.entry(version).or_insert_with(|| ListedVersion {
            size,
            modified,
            replicas,
            tombstone: false,
            decided: false,
            disputed: false,
            pieces: BTreeMap::new(),
        });
        listed.disputed |= (listed.size, listed.modified, listed.replicas) != (size, modified, replicas);
        listed
    }

    /// The one version that every server speaks of, if it is a decided file.
    fn unanimous(&self) -> Option<(&Version, &ListedVersion)> {
        let only = self.versions.iter().next()?;
        let agreed = only.1.decided && !only.1.tombstone && !only.1.disputed;
        // One server alone can say what it likes.
        let witnesses = only.1.pieces.len() > 1;
        (self.versions.len() == 1 && agreed && witnesses).then_some(only)
    }
}

/// What a server has of a name, `version` being the one that is shown.
fn holding(survey: &Survey, version: Option<Version>, server: usize) -> Holding {
    let of = |wanted: &dyn Fn(Version) -> bool| -> Vec<u8> {
        let held = survey.answers[server].iter().flatten().filter(|h| wanted(h.version));
        let numbers: BTreeSet<u8> = held.map(|h| h.piece).collect();
        placement::pieces().filter(|piece| numbers.contains(piece)).collect()
    };
    let distrusted = |why: Distrust| -> Vec<u8> {
        let by =
            |piece: u8| survey.distrusted.iter().any(|d| (d.server, d.piece, d.why) == (server, piece, why));
        placement::pieces().filter(|&piece| by(piece)).collect()
    };
    let pieces = of(&|v| Some(v) == version);
    let mut outdated = of(&|v| Some(v) < version);
    outdated.retain(|piece| !pieces.contains(piece));
    Holding {
        pieces,
        outdated,
        damaged: distrusted(Distrust::Damaged),
        other_key: distrusted(Distrust::OtherKey),
    }
}

fn whole_path(folder: &FolderPath, relative: &FilePath) -> Result<FilePath, ClientError> {
    folder.file(relative.as_str()).map_err(|why| ClientError::Name(relative.to_string(), why))
}
