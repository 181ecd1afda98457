//! ShowFiles: what is in a folder, and how whole each file is.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use super::Client;
use super::error::ClientError;
use super::report::{Notice, Phase, timed};
use super::sight::Unseen;
use super::survey::Survey;
use crate::commit::TOMBSTONE;
use crate::config::MAX_SERVERS;
use crate::name::{FilePath, FolderPath, ServerName};
use crate::peer::{Answer, Peer, PeerError};
use crate::placement::{self, PieceSet};
use crate::sealed::{Distrust, Facts};
use crate::version::Version;
use crate::wire::{Entry, MAX_ENTRIES, MAX_LISTING, MAX_NAMES, Request};

/// Names that a list leaves in doubt and that are looked at together.
const DOUBTFUL: usize = 1024;

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
    /// What its pieces' headers say of it; none where no header can be trusted.
    pub facts: Option<Facts>,
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

/// What the servers say of one name in a list.
#[derive(Default)]
struct Listed {
    version: Option<ListedVersion>,
    /// Whether there is damage, or servers speak of different versions, or differ on what all pieces of one
    /// have in common: a list cannot tell then.
    disputed: bool,
    /// Whether the version is published somewhere.
    decided: bool,
    /// The servers that speak of the name.
    by: Servers,
    /// By server. There are many of these: the number of a server fits a byte.
    pieces: Vec<(u8, PieceSet)>,
}

/// A bit for each server.
type Servers = u64;
const _: () = assert!(MAX_SERVERS <= Servers::BITS as usize);

/// What all pieces of a version have in common.
#[derive(Clone, PartialEq, Eq)]
enum ListedVersion {
    File(Facts),
    Tombstone(Version),
}

/// What all servers together say is in a folder.
#[derive(Default)]
struct Listing {
    folders: BTreeMap<FolderPath, Servers>,
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
        let mut entries: Vec<Shown> = folders.into_keys().map(Shown::Folder).collect();
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
        let path = name.as_file().ok_or_else(|| ClientError::NotFound(name.as_str().to_owned()))?;
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
                Some(facts) => {
                    let file = self.shown(path, Some(facts.clone()), |s| Holding {
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
        // Few at a time: a server may say much of each.
        for doubtful in doubtful.chunks(DOUBTFUL) {
            let paths: Vec<FilePath> =
                doubtful.iter().filter_map(|path| whole_path(folder, path).ok()).collect();
            let surveys = self.cluster.survey(&paths, &self.config.user, &self.key, &*self.report);
            shown.extend(surveys.iter().filter_map(|survey| self.shown_survey(folder, survey)));
        }
        shown
    }

    fn shown_survey(&self, folder: &FolderPath, survey: &Survey) -> Option<ShownFile> {
        let path = folder.relative(&survey.path)?;
        let Some(version) = survey.file_version() else {
            let unreadable = survey.view().decided.is_none() && !survey.distrusted.is_empty();
            let no_version = |server| holding(survey, None, server);
            let health = if survey.only_other_keys() { Health::OtherKey } else { Health::Incomplete };
            return unreadable.then(|| ShownFile { health, ..self.shown(path, None, no_version) });
        };
        let header = &survey.any_claim(version)?.header;
        Some(self.shown(path, Some(header.into()), |server| holding(survey, Some(version), server)))
    }

    fn shown(&self, path: FilePath, facts: Option<Facts>, held_by: impl Fn(usize) -> Holding) -> ShownFile {
        let by_server: Vec<Option<Holding>> =
            (0..self.cluster.len()).map(|s| self.cluster.is_up(s).then(|| held_by(s))).collect();
        let copies = |piece: u8| by_server.iter().flatten().filter(|h| h.pieces.contains(piece)).count();
        let replicas = facts.as_ref().map_or(1, |facts| facts.replicas);
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
        ShownFile { path, facts, health, holders }
    }

    /// Asks every server that is up for its list of a folder, all at once: one that takes its time must not hold
    /// up another until that gives up.
    fn list(&mut self, folder: &FolderPath, recursive: bool) -> Listing {
        let request = Request::List { folder: folder.clone(), recursive };
        let listing = Mutex::new(Listing::default());
        let peers = self.cluster.take_peers();
        let list = |server: usize, mut peer: Peer| {
            let answer = ask_for_list(&mut peer, server, &request, &listing);
            (server, answer.map(|answer| (peer, answer)))
        };
        let answers: Vec<_> = timed(&*self.report, Phase::List, || {
            std::thread::scope(|scope| {
                let up = peers.into_iter().enumerate().filter_map(|(server, peer)| Some((server, peer?)));
                let threads: Vec<_> =
                    up.map(|(server, peer)| scope.spawn(move || list(server, peer))).collect();
                let joined = threads.into_iter().map(ScopedJoinHandle::join);
                joined.map(|answer| answer.unwrap_or_else(|panic| resume_unwind(panic))).collect()
            })
        });
        let mut listing = listing.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut back: Vec<Option<Result<Peer, PeerError>>> = (0..self.cluster.len()).map(|_| None).collect();
        let mut refused = Vec::new();
        for (server, answer) in answers {
            back[server] = Some(answer.map(|(peer, answer)| {
                refused.extend(answer.err().map(|no| (server, no)));
                peer
            }));
            // What a server has said counts also if it is lost before the end, as one more voice; but not if it
            // would have said that without end.
            if matches!(back[server], Some(Err(PeerError::TooMany))) {
                listing.forget(server);
            }
        }
        self.cluster.put_back(back, &*self.report);
        for (server, no) in refused {
            listing.unseen.note(server, no.to_string());
            let server = self.cluster.name(server).clone();
            self.report.notice(Notice::ListRefused { server, why: no.to_string() });
            listing.refused = true;
        }
        for server in 0..self.cluster.len() {
            if let Some(why) = self.cluster.why_down(server) {
                listing.unseen.note(server, why);
            }
        }
        listing
    }
}

/// Takes a server's list into what all of them say.
fn ask_for_list(peer: &mut Peer, server: usize, request: &Request, listing: &Mutex<Listing>) -> Answer<()> {
    peer.send(request)?;
    peer.flush()?;
    let (mut entries, mut names) = (0, 0);
    peer.receive_list(MAX_LISTING, |part| {
        let mut listing = listing.lock().unwrap_or_else(PoisonError::into_inner);
        for line in part.split_terminator('\n') {
            let entry = Entry::parse(line)?;
            (entries, names) = (entries + 1, names + entry.name().len());
            if entries > MAX_ENTRIES || names > MAX_NAMES {
                return Err(PeerError::TooMany);
            }
            listing.take(server, entry);
        }
        Ok(())
    })
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
            Entry::Folder(name) => *self.folders.entry(name).or_default() |= bit(server),
            Entry::Damaged { path, .. } => {
                let listed = self.files.entry(path).or_default();
                listed.disputed = true;
                listed.by |= bit(server);
            }
            Entry::Tombstone { path, version, published } => {
                let (told, pieces) = (ListedVersion::Tombstone(version), PieceSet::from_iter([TOMBSTONE]));
                self.files.entry(path).or_default().take(server, told, published, pieces);
            }
            Entry::File { path, published, pieces, facts } => {
                self.files.entry(path).or_default().take(
                    server,
                    ListedVersion::File(facts),
                    published,
                    pieces,
                );
            }
        }
    }

    /// Drops what only this server speaks of. What others speak of too is to be looked at.
    fn forget(&mut self, server: usize) {
        self.folders.retain(|_, by| {
            *by &= !bit(server);
            *by != 0
        });
        self.files.retain(|_, listed| {
            listed.disputed |= listed.by & bit(server) != 0;
            listed.by &= !bit(server);
            listed.pieces.retain(|(of, _)| usize::from(*of) != server);
            listed.by != 0
        });
    }
}

fn bit(server: usize) -> Servers {
    1 << server
}

impl Listed {
    fn take(&mut self, server: usize, told: ListedVersion, published: bool, pieces: PieceSet) {
        match &self.version {
            Some(known) => self.disputed |= *known != told,
            None => self.version = Some(told),
        }
        self.decided |= published;
        self.by |= bit(server);
        match self.pieces.iter_mut().find(|(of, _)| usize::from(*of) == server) {
            Some((_, known)) => *known = known.union(pieces),
            None => self.pieces.push((server as u8, pieces)),
        }
    }

    /// The one version that every server speaks of, if it is a decided file.
    fn unanimous(&self) -> Option<&Facts> {
        // One server alone can say what it likes.
        let witnesses = self.pieces.len() > 1;
        let known = !self.disputed && self.decided && witnesses;
        match &self.version {
            Some(ListedVersion::File(facts)) if known => Some(facts),
            _ => None,
        }
    }

    fn held_by(&self, server: usize) -> PieceSet {
        let told = self.pieces.iter().find(|(of, _)| usize::from(*of) == server);
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
    folder.file(relative.as_str()).map_err(|why| ClientError::Name(relative.as_str().to_owned(), why))
}
