//! ShowFiles: what is in a folder, and how whole each file is.

use std::collections::{BTreeMap, BTreeSet};

use super::Client;
use super::error::ClientError;
use super::report::{Notice, Phase, timed};
use super::sight::Unseen;
use super::survey::Survey;
use crate::commit::TOMBSTONE;
use crate::name::{FilePath, FolderPath, ServerName};
use crate::peer::Peer;
use crate::placement::{self, PieceSet};
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
    /// Everything found was made under another password or `Key`.
    OtherKey,
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
    /// Its size in bytes; none where no header can be trusted.
    pub size: Option<u64>,
    /// When it was last modified, at the uploader's; none as above.
    pub modified: Option<ModifiedTime>,
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
    pub pieces: PieceSet,
    /// Of an older version, where it has none of this one's.
    pub outdated: PieceSet,
    /// With a header or seal that is not what the client wrote.
    pub damaged: PieceSet,
    /// Made under another password or `Key`.
    pub other_key: PieceSet,
}

/// What is in a folder.
#[derive(Debug)]
pub struct ShownFolder {
    /// Its entries, sorted by name.
    pub entries: Vec<Shown>,
    /// Servers that did not say what they have, each with the reason, if they are so many that there may be more;
    /// otherwise none.
    pub unseen: Vec<(ServerName, String)>,
}

/// What a header says of a file, for a listing.
#[derive(Clone, Copy)]
struct Facts {
    size: u64,
    modified: ModifiedTime,
}

/// What the servers say of one name in a list.
#[derive(Default)]
struct Listed {
    version: Option<ListedVersion>,
    /// Whether there is damage, or servers speak of different versions, or differ on what all pieces of one
    /// have in common: a list cannot tell then.
    disputed: bool,
    /// Whether the version is published somewhere.
    decided: bool,
    /// By server.
    pieces: Vec<(usize, PieceSet)>,
}

/// What all pieces of a version have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ListedVersion {
    version: Version,
    size: u64,
    modified: ModifiedTime,
    replicas: u8,
    tombstone: bool,
}

/// What all servers together say is in a folder.
#[derive(Default)]
struct Listing {
    folders: BTreeSet<FolderPath>,
    files: BTreeMap<FilePath, Listed>,
    /// Whether a server that is up would not say.
    refused: bool,
    /// All servers that did not say, or not all.
    unseen: Unseen,
}

impl Client {
    /// The entries of a folder, sorted by name; or a single file, if the name is one's.
    ///
    /// A list is not sealed. Where servers do not agree on a file, its seals are asked for; what they
    /// all say alike is shown as it is.
    ///
    /// # Errors
    /// If nothing has that name, as far as can be seen, or no server is up.
    pub fn show(&mut self, folder: &FolderPath) -> Result<ShownFolder, ClientError> {
        self.cluster.refresh(&*self.report);
        self.require_server()?;
        let Listing { folders, files, mut unseen, .. } = self.list(folder, false);
        let mut entries: Vec<Shown> = folders.into_iter().map(Shown::Folder).collect();
        if entries.is_empty() && files.is_empty() && !folder.is_root() {
            let file = self.show_file(folder, &mut unseen);
            entries.push(file.ok_or_else(|| self.not_found(folder.as_str(), &unseen))?);
        }
        entries.extend(self.show_files(folder, files).into_iter().map(Shown::File));
        entries.sort_by(|a, b| sort_key(a).cmp(sort_key(b)));
        Ok(ShownFolder { entries, unseen: self.out_of_sight(&unseen) })
    }

    /// A name that is no folder may be a file's.
    fn show_file(&mut self, name: &FolderPath, unseen: &mut Unseen) -> Option<Shown> {
        let path = name.as_file()?;
        let surveys = self.cluster.survey(&[path], &self.config.user, &self.key, &*self.report);
        surveys.iter().for_each(|survey| unseen.add(&survey.unseen));
        surveys.iter().find_map(|survey| self.shown_survey(&name.parent(), survey)).map(Shown::File)
    }

    /// The files below a folder, sorted; also those that cannot be rebuilt. Servers that do not say what they have are
    /// added to `unseen`.
    pub(super) fn files_below(
        &mut self,
        folder: &FolderPath,
        unseen: &mut Unseen,
    ) -> Result<Vec<FilePath>, ClientError> {
        let listing = self.list(folder, true);
        unseen.add(&listing.unseen);
        let shown = self.show_files(folder, listing.files);
        self.require_server()?;
        Ok(shown.iter().filter_map(|f| whole_path(folder, &f.path).ok()).collect())
    }

    /// A name under which no folder is found: a file's, or nobody's.
    fn name_of_file(&mut self, name: &FolderPath, unseen: &mut Unseen) -> Result<Vec<FilePath>, ClientError> {
        let path = name.as_file().ok_or_else(|| ClientError::NotFound(name.to_string()))?;
        let surveys = self.cluster.ask(&[path], &self.config.user, &self.key, &*self.report);
        surveys.iter().for_each(|survey| unseen.add(&survey.unseen));
        let known = surveys.into_iter().find(|survey| survey.is_a_file() || survey.tombstone().is_some());
        known.map(|survey| vec![survey.path]).ok_or_else(|| self.not_found(name.as_str(), unseen))
    }

    /// Every name that a server knows in a folder, or below it: files, deletes, and what is damaged or
    /// unfinished. Servers that do not say what they have are added to `unseen`.
    pub(super) fn names(
        &mut self,
        folder: &FolderPath,
        recursive: bool,
        unseen: &mut Unseen,
    ) -> Result<Vec<FilePath>, ClientError> {
        let Listing { folders, files, refused, unseen: by_listing } = self.list(folder, recursive);
        unseen.add(&by_listing);
        self.require_server()?;
        if refused {
            return Err(ClientError::NotListed(folder.clone()));
        }
        if files.is_empty() && folders.is_empty() && !folder.is_root() {
            return self.name_of_file(folder, unseen);
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
                Some(version) => {
                    let facts = Facts { size: version.size, modified: version.modified };
                    let file = self.shown(path, Some(facts), version.replicas, |s| Holding {
                        pieces: listed.held_by(s),
                        ..Holding::default()
                    });
                    if file.health == Health::Incomplete && up.len() == self.cluster.len() {
                        doubtful.push(file.path);
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
            let health = if survey.only_other_keys() { Health::OtherKey } else { Health::Incomplete };
            return unreadable.then(|| ShownFile { health, ..self.shown(path, None, 1, no_version) });
        };
        let header = &survey.any_claim(version)?.header;
        let facts = Facts { size: header.file_size, modified: header.modified };
        Some(self.shown(path, Some(facts), header.replicas, |server| holding(survey, Some(version), server)))
    }

    fn shown(
        &self,
        path: FilePath,
        facts: Option<Facts>,
        replicas: u8,
        held_by: impl Fn(usize) -> Holding,
    ) -> ShownFile {
        let by_server: Vec<Option<Holding>> =
            (0..self.cluster.len()).map(|s| self.cluster.is_up(s).then(|| held_by(s))).collect();
        let copies = |piece: u8| by_server.iter().flatten().filter(|h| h.pieces.contains(piece)).count();
        let wanted = placement::copies_wanted(usize::from(replicas), self.cluster.len());
        let health = if !placement::suffices(|piece| copies(piece) > 0) {
            Health::Incomplete
        } else if placement::pieces().any(|piece| copies(piece) < wanted) {
            Health::Degraded
        } else {
            Health::Whole
        };
        let names = (0..self.cluster.len()).map(|s| self.cluster.name(s).clone());
        let holders = names.zip(by_server).collect();
        let (size, modified) = (facts.map(|facts| facts.size), facts.map(|facts| facts.modified));
        ShownFile { path, size, modified, health, holders }
    }

    /// Asks every server that is up for its list of a folder.
    fn list(&mut self, folder: &FolderPath, recursive: bool) -> Listing {
        let servers: Vec<(usize, usize)> = self.cluster.up().map(|server| (server, server)).collect();
        let request = Request::List { folder: folder.clone(), recursive };
        let mut listing = Listing::default();
        // What a server has said counts also if it is lost before the end: it is one more voice.
        let receive = |peer: &mut Peer, &server: &usize| {
            peer.receive_text(MAX_LISTING, |part| {
                part.split_terminator('\n').try_for_each(|line| {
                    listing.take(server, Entry::parse(line)?);
                    Ok::<(), ParseError>(())
                })
            })
        };
        let report = &*self.report;
        let answers = timed(report, Phase::List, || {
            self.cluster.exchange_with(&servers, report, |peer, _| peer.send(&request), receive)
        });
        for ((server, _), answer) in servers.iter().zip(answers) {
            if let Some(Err(no)) = answer {
                listing.unseen.note(*server, no.to_string());
                let server = self.cluster.name(*server).clone();
                self.report.notice(Notice::ListRefused { server, why: no.to_string() });
                listing.refused = true;
            }
        }
        for server in 0..self.cluster.len() {
            if let Some(why) = self.cluster.why_down(server) {
                listing.unseen.note(server, why);
            }
        }
        listing
    }
}

/// A folder lies where its name with a slash behind would.
fn sort_key(shown: &Shown) -> impl Iterator<Item = u8> {
    let (name, end) = match shown {
        Shown::Folder(folder) => (folder.as_str(), Some(b'/')),
        Shown::File(file) => (file.path.as_str(), None),
    };
    name.bytes().chain(end)
}

impl Listing {
    fn take(&mut self, server: usize, entry: Entry) {
        match entry {
            Entry::Folder(name) => drop(self.folders.insert(name)),
            Entry::Damaged { path, .. } => self.files.entry(path).or_default().disputed = true,
            Entry::Tombstone { path, version, published } => {
                let (modified, replicas) = (ModifiedTime::default(), 1);
                let told = ListedVersion { version, size: 0, modified, replicas, tombstone: true };
                let pieces = PieceSet::from_iter([TOMBSTONE]);
                self.files.entry(path).or_default().take(server, told, published, pieces);
            }
            Entry::File { path, version, published, pieces, size, modified, replicas } => {
                let told = ListedVersion { version, size, modified, replicas, tombstone: false };
                self.files.entry(path).or_default().take(server, told, published, pieces);
            }
        }
    }
}

impl Listed {
    fn take(&mut self, server: usize, told: ListedVersion, published: bool, pieces: PieceSet) {
        self.disputed |= *self.version.get_or_insert(told) != told;
        self.decided |= published;
        match self.pieces.iter_mut().find(|(of, _)| *of == server) {
            Some((_, known)) => *known = known.union(pieces),
            None => self.pieces.push((server, pieces)),
        }
    }

    /// The one version that every server speaks of, if it is a decided file.
    fn unanimous(&self) -> Option<&ListedVersion> {
        // One server alone can say what it likes.
        let witnesses = self.pieces.len() > 1;
        let known = !self.disputed && self.decided && witnesses;
        self.version.as_ref().filter(|version| known && !version.tombstone)
    }

    fn held_by(&self, server: usize) -> PieceSet {
        let told = self.pieces.iter().find(|(of, _)| *of == server);
        told.map_or(PieceSet::default(), |(_, pieces)| *pieces)
    }
}

/// What a server has of a name, `version` being the one that is shown.
fn holding(survey: &Survey, version: Option<Version>, server: usize) -> Holding {
    let of = |wanted: &dyn Fn(Version) -> bool| -> PieceSet {
        let held = survey.answers[server].iter().flatten().filter(|h| wanted(h.version));
        let numbers: PieceSet = held.map(|h| h.piece).collect();
        placement::pieces().filter(|&piece| numbers.contains(piece)).collect()
    };
    let distrusted = |why: Distrust| -> PieceSet {
        let by =
            |piece: u8| survey.distrusted.iter().any(|d| (d.server, d.piece, d.why) == (server, piece, why));
        placement::pieces().filter(|&piece| by(piece)).collect()
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
    folder.file(relative.as_str()).map_err(|why| ClientError::Name(relative.to_string(), why))
}
