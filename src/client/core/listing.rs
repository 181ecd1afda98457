//! What is in a folder according to the servers' lists, which no seal covers.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use super::base::Core;
use super::name_map::NameMap;
use super::report::{Notice, Phase, timed};
use super::sight::Unseen;
use crate::commit::TOMBSTONE;
use crate::config::MAX_SERVERS;
use crate::name::FolderPath;
use crate::peer::{Peer, PeerError, Received};
use crate::placement::{self, PieceSet};
use crate::sealed::Facts;
use crate::version::Version;
use crate::wire::{Entry, MAX_ENTRIES, MAX_LISTING, MAX_NAMES, Request};

/// What is kept of the servers' lists about one name: there may be very many names.
pub(super) trait Kept: Default + Send {
    fn take(&mut self, server: usize, told: Told);
    /// Drops what this server told. Returns whether others list the name, too.
    fn forget(&mut self, server: usize) -> bool;
}

/// What one entry of a server's list tells about a name.
pub(super) enum Told {
    Damaged,
    /// Only a look says more.
    Partial,
    Version {
        version: ListedVersion,
        published: bool,
        pieces: PieceSet,
    },
}

/// That a name is listed, and by whom.
#[derive(Default)]
pub(super) struct Named {
    by: Servers,
}

/// Whether the servers' lists agree that a name is a file.
#[derive(Default)]
pub(super) struct Agreed {
    /// A hash of the version that was listed first, if any.
    version: Option<u64>,
    is_file: bool,
    /// As in [`Listed`].
    disputed: bool,
    decided: bool,
    by: Servers,
    /// The servers that list a version.
    witnesses: Servers,
    /// On all servers together.
    pieces: PieceSet,
}

/// What the servers' lists say about one name.
#[derive(Default)]
pub(super) struct Listed {
    version: Option<ListedVersion>,
    /// Whether damage was found, or servers report different versions, or differ on what all pieces of one have in
    /// common: then a list is not enough.
    disputed: bool,
    /// Whether the version is published somewhere.
    decided: bool,
    /// The servers that list the name.
    by: Servers,
    /// By server. There are many of these: a server's number fits into a byte.
    pieces: Vec<(u8, PieceSet)>,
}

/// A bit for each server.
pub(super) type Servers = u64;
const _: () = assert!(MAX_SERVERS <= Servers::BITS as usize);

/// What all pieces of a version have in common.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum ListedVersion {
    File(Facts),
    Tombstone(Version),
}

/// What is in a folder according to all servers together.
pub(super) struct Listing<K> {
    pub(super) folders: BTreeMap<FolderPath, Servers>,
    pub(super) files: NameMap<K>,
    /// Whether a server that is up did not report.
    pub(super) is_refused: bool,
    /// All servers that did not report everything.
    pub(super) unseen: Unseen,
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        let unseen = Unseen::default();
        Self { folders: BTreeMap::new(), files: NameMap::default(), is_refused: false, unseen }
    }
}

/// Asks every server that is up for its list of a folder, all at once: a slow one must not hold up another until that
/// gives up.
pub(super) fn list<K: Kept>(core: &mut Core, folder: &FolderPath, recursive: bool) -> Listing<K> {
    let mut listing = list_once(core, folder, recursive);
    while !core.cluster.log_in_again().is_empty() {
        listing = list_once(core, folder, recursive);
    }
    listing
}

fn list_once<K: Kept>(core: &mut Core, folder: &FolderPath, recursive: bool) -> Listing<K> {
    let request = Request::List { folder: folder.clone(), recursive };
    let listing = Mutex::new(Listing::<K>::default());
    let peers = core.cluster.lend_peers();
    let list = |server: usize, mut peer: Peer| {
        let answer = ask_for_list(&mut peer, server, &request, &listing);
        (server, answer.map(|answer| (peer, answer)))
    };
    let answers: Vec<_> = timed(&*core.report, Phase::List, || {
        std::thread::scope(|scope| {
            let up = peers.into_iter().enumerate().filter_map(|(server, peer)| Some((server, peer?)));
            let threads: Vec<_> = up.map(|(server, peer)| scope.spawn(move || list(server, peer))).collect();
            let joined = threads.into_iter().map(ScopedJoinHandle::join);
            joined.map(|answer| answer.unwrap_or_else(|panic| resume_unwind(panic))).collect()
        })
    });
    let mut listing = listing.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut back = Vec::new();
    let mut refused = Vec::new();
    for (server, answer) in answers {
        // What a server has reported counts even if it is lost before the end, as one more voice; but not if it would
        // have gone on without end.
        if matches!(answer, Err(PeerError::TooMany)) {
            listing.forget(server);
        }
        let peer = answer.map(|(peer, answer)| {
            refused.extend(answer.err().map(|no| (server, no)));
            peer
        });
        back.push((server, peer));
    }
    core.cluster.take_back(back);
    for (server, no) in refused {
        listing.unseen.note(server, no.to_string());
        let server = core.cluster.name(server).clone();
        core.report.notice(Notice::ListRefused { server, why: no.to_string() });
        listing.is_refused = true;
    }
    for server in 0..core.cluster.len() {
        if let Some(why) = core.cluster.why_down(server) {
            listing.unseen.note(server, why);
        }
    }
    listing
}

/// Adds a server's list to what all of them report.
fn ask_for_list<K: Kept>(
    peer: &mut Peer,
    server: usize,
    request: &Request,
    listing: &Mutex<Listing<K>>,
) -> Received<()> {
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

impl<K: Kept> Listing<K> {
    fn take(&mut self, server: usize, entry: Entry) {
        let (path, told) = match entry {
            Entry::Folder(name) => {
                *self.folders.entry(name).or_default() |= bit(server);
                return;
            }
            Entry::Damaged { path, .. } => (path, Told::Damaged),
            Entry::Partial { path } => (path, Told::Partial),
            Entry::Tombstone { path, version, published } => {
                let (version, pieces) = (ListedVersion::Tombstone(version), PieceSet::from_iter([TOMBSTONE]));
                (path, Told::Version { version, published, pieces })
            }
            Entry::File { path, published, pieces, facts } => {
                (path, Told::Version { version: ListedVersion::File(facts), published, pieces })
            }
        };
        self.files.entry(&path).take(server, told);
    }

    /// Drops what only this server lists. What others list too must be surveyed.
    fn forget(&mut self, server: usize) {
        self.folders.retain(|_, by| {
            *by &= !bit(server);
            *by != 0
        });
        self.files.retain(|kept| kept.forget(server));
    }
}

impl Kept for Named {
    fn take(&mut self, server: usize, _: Told) {
        self.by |= bit(server);
    }

    fn forget(&mut self, server: usize) -> bool {
        self.by &= !bit(server);
        self.by != 0
    }
}

fn bit(server: usize) -> Servers {
    1 << server
}

impl Kept for Agreed {
    fn take(&mut self, server: usize, told: Told) {
        self.by |= bit(server);
        self.disputed |= matches!(told, Told::Damaged);
        let Told::Version { version, published, pieces } = told else { return };
        let mut hasher = DefaultHasher::new();
        version.hash(&mut hasher);
        let hash = hasher.finish();
        self.disputed |= self.version.is_some_and(|known| known != hash);
        self.version.get_or_insert(hash);
        self.is_file = matches!(version, ListedVersion::File(_));
        self.decided |= published;
        self.witnesses |= bit(server);
        self.pieces = self.pieces.union(pieces);
    }

    fn forget(&mut self, server: usize) -> bool {
        self.disputed |= self.by & bit(server) != 0;
        self.by &= !bit(server);
        self.by != 0
    }
}

impl Agreed {
    /// Whether at least two servers list the same version, and all others too, and it is a decided file.
    pub(super) fn is_file(&self) -> bool {
        !self.disputed && self.decided && self.is_file && self.witnesses.count_ones() > 1
    }

    /// Whether it may be one, which a single server can claim of anything: enough to suggest the name.
    pub(super) fn may_be_file(&self) -> bool {
        self.decided && self.is_file
    }

    /// Whether there is every piece.
    pub(super) fn is_complete(&self) -> bool {
        placement::suffices(|piece| self.pieces.contains(piece))
    }
}

impl Kept for Listed {
    fn take(&mut self, server: usize, told: Told) {
        self.by |= bit(server);
        self.disputed |= matches!(told, Told::Damaged);
        let Told::Version { version, published, pieces } = told else { return };
        match &self.version {
            Some(known) => self.disputed |= *known != version,
            None => self.version = Some(version),
        }
        self.decided |= published;
        match self.pieces.iter_mut().find(|(of, _)| usize::from(*of) == server) {
            Some((_, known)) => *known = known.union(pieces),
            None => self.pieces.push((server as u8, pieces)),
        }
    }

    fn forget(&mut self, server: usize) -> bool {
        self.disputed |= self.by & bit(server) != 0;
        self.by &= !bit(server);
        self.pieces.retain(|(of, _)| usize::from(*of) != server);
        self.by != 0
    }
}

impl Listed {
    /// The one version that every server lists, if it is a decided file.
    pub(super) fn unanimous(&self) -> Option<&Facts> {
        // One server alone can claim anything.
        let witnesses = self.pieces.len() > 1;
        let known = !self.disputed && self.decided && witnesses;
        match &self.version {
            Some(ListedVersion::File(facts)) if known => Some(facts),
            _ => None,
        }
    }

    pub(super) fn held_by(&self, server: usize) -> PieceSet {
        let told = self.pieces.iter().find(|(of, _)| usize::from(*of) == server);
        told.map_or(PieceSet::default(), |(_, pieces)| *pieces)
    }
}
