//! What is in a folder according to the servers' lists, which no seal covers.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use super::base::Core;
use super::report::{Notice, Phase, timed};
use super::sight::Unseen;
use crate::commit::TOMBSTONE;
use crate::config::MAX_SERVERS;
use crate::name::{FilePath, FolderPath};
use crate::peer::{Peer, PeerError, Received};
use crate::placement::PieceSet;
use crate::sealed::Facts;
use crate::version::Version;
use crate::wire::{Entry, MAX_ENTRIES, MAX_LISTING, MAX_NAMES, Request};

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
#[derive(Clone, PartialEq, Eq)]
enum ListedVersion {
    File(Facts),
    Tombstone(Version),
}

/// What is in a folder according to all servers together.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) folders: BTreeMap<FolderPath, Servers>,
    pub(super) files: BTreeMap<FilePath, Listed>,
    /// Whether a server that is up did not report.
    pub(super) is_refused: bool,
    /// All servers that did not report everything.
    pub(super) unseen: Unseen,
}

/// Asks every server that is up for its list of a folder, all at once: a slow one must not hold up another until that
/// gives up.
pub(super) fn list(core: &mut Core, folder: &FolderPath, recursive: bool) -> Listing {
    let mut listing = list_once(core, folder, recursive);
    while !core.cluster.log_in_again().is_empty() {
        listing = list_once(core, folder, recursive);
    }
    listing
}

fn list_once(core: &mut Core, folder: &FolderPath, recursive: bool) -> Listing {
    let request = Request::List { folder: folder.clone(), recursive };
    let listing = Mutex::new(Listing::default());
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
fn ask_for_list(peer: &mut Peer, server: usize, request: &Request, listing: &Mutex<Listing>) -> Received<()> {
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

impl Listing {
    fn take(&mut self, server: usize, entry: Entry) {
        match entry {
            Entry::Folder(name) => *self.folders.entry(name).or_default() |= bit(server),
            Entry::Damaged { path, .. } => {
                let listed = self.files.entry(path).or_default();
                listed.disputed = true;
                listed.by |= bit(server);
            }
            // Only a look says more.
            Entry::Partial { path } => self.files.entry(path).or_default().by |= bit(server),
            Entry::Tombstone { path, version, published } => {
                let (told, pieces) = (ListedVersion::Tombstone(version), PieceSet::from_iter([TOMBSTONE]));
                self.files.entry(path).or_default().take(server, told, published, pieces);
            }
            Entry::File { path, published, pieces, facts } => {
                let told = ListedVersion::File(facts);
                self.files.entry(path).or_default().take(server, told, published, pieces);
            }
        }
    }

    /// Drops what only this server lists. What others list too must be surveyed.
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
