//! What a server remembers of its disk: what waits outside the published folders, floors, and which
//! directories are safe.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::Connection;
use super::keys::Keys;
use crate::commit::{KeyCheck, Phase};
use crate::name::{FilePath, UserName};
use crate::version::Version;

/// A file that waits outside the published folders: a staged piece, or a tombstone.
pub(super) struct Waiting {
    pub(super) piece: u8,
    pub(super) version: Version,
    /// The key that it was made under.
    pub(super) key: KeyCheck,
    /// Who staged it; `None` after a restart.
    pub(super) connection: Option<Connection>,
    pub(super) file: PathBuf,
    /// Whether it is safe from a power failure.
    pub(super) synced: bool,
}

/// What of one name lies outside the published folders.
#[derive(Default)]
pub(super) struct Name {
    pub(super) staged: Vec<Waiting>,
    pub(super) tombstone: Option<Waiting>,
    /// Files of tombstones that a newer one has replaced. They go once that one is safe.
    pub(super) replaced: Vec<PathBuf>,
}

/// What one user's late writers must not stage below.
#[derive(Default)]
pub(super) struct Floor {
    /// The greatest so far; on disk.
    pub(super) newest: u64,
    /// For names that nothing was forgotten of since the server started: what `newest` was then. Not
    /// more, or each delete would break off the uploads of all other names that are on their way.
    pub(super) at_start: u64,
    /// For the others: what `newest` became when they were last forgotten or fenced.
    pub(super) names: HashMap<FilePath, u64>,
}

#[derive(Default)]
pub(super) struct Index {
    pub(super) names: HashMap<(UserName, FilePath), Name>,
    pub(super) floors: HashMap<UserName, Floor>,
    pub(super) keys: HashMap<UserName, Keys>,
    pub(super) open: HashSet<Connection>,
    pub(super) directories: HashMap<PathBuf, Directory>,
    /// Counts the changes of all directories.
    pub(super) changes: u64,
    /// Counts what can make a piece inadmissible that was not so before: what is published, floors, and changes
    /// of keys.
    pub(super) decisions: u64,
    no_files: HashSet<(UserName, FilePath)>,
}

/// Names that are remembered as no files' at most. One more, and all are forgotten.
const MAX_NO_FILES: usize = 4096;

/// How much of a directory is safe from a power failure. What an earlier process did is not known to be.
#[derive(Default)]
pub(super) struct Directory {
    pub(super) changed: u64,
    pub(super) synced: Option<u64>,
}

impl Name {
    pub(super) fn is_empty(&self) -> bool {
        self.staged.is_empty() && self.tombstone.is_none() && self.replaced.is_empty()
    }

    pub(super) fn publish_tombstone(&mut self, tombstone: Waiting) {
        match &mut self.tombstone {
            // A file that a power failure has left with both its names.
            Some(known) if known.file == tombstone.file => {}
            Some(known) if known.version > tombstone.version => self.replaced.push(tombstone.file),
            known => self.replaced.extend(known.replace(tombstone).map(|replaced| replaced.file)),
        }
    }
}

impl Index {
    /// Whether nothing is published under a name, as far as is remembered. An upload asks of its name, and
    /// of every name around it, for each piece and again to commit: a disk takes long to say no.
    pub(super) fn is_no_file(&self, name: &(UserName, FilePath)) -> bool {
        self.no_files.contains(name)
    }

    /// None of the pieces of this name was found.
    pub(super) fn remember_no_file(&mut self, name: (UserName, FilePath)) {
        if self.no_files.len() >= MAX_NO_FILES {
            self.no_files.clear();
        }
        self.no_files.insert(name);
    }

    /// A piece of this name was found, or is going to be published.
    pub(super) fn may_be_file(&mut self, name: &(UserName, FilePath)) {
        self.no_files.remove(name);
    }

    pub(super) fn floor(&self, user: &UserName, path: &FilePath) -> u64 {
        self.floors.get(user).map_or(0, |floor| floor.names.get(path).copied().unwrap_or(floor.at_start))
    }

    pub(super) fn add(&mut self, user: UserName, path: FilePath, waiting: Waiting) {
        self.names.entry((user, path)).or_default().staged.push(waiting);
    }

    pub(super) fn add_tombstone(&mut self, user: UserName, path: FilePath, waiting: Waiting) {
        self.names.entry((user, path)).or_default().publish_tombstone(waiting);
    }

    pub(super) fn has_changed(&mut self, directory: PathBuf) {
        self.changes += 1;
        self.directories.entry(directory).or_default().changed = self.changes;
    }

    /// A sync of a directory that began after so many changes has ended.
    pub(super) fn is_synced(&mut self, directory: PathBuf, changes: u64) {
        let synced = &mut self.directories.entry(directory).or_default().synced;
        *synced = (*synced).max(Some(changes));
    }

    pub(super) fn is_safe(&self, directory: &Path) -> bool {
        self.directories.get(directory).is_some_and(|d| d.synced >= Some(d.changed))
    }

    pub(super) fn staged(&self, key: &(UserName, FilePath), piece: u8, version: Version) -> Option<&Waiting> {
        self.names.get(key)?.staged.iter().find(|w| w.piece == piece && w.version == version)
    }

    pub(super) fn mark_synced(&mut self, key: &(UserName, FilePath), file: &Path) {
        let staged = self.names.get_mut(key).map(|name| name.staged.iter_mut());
        if let Some(waiting) = staged.into_iter().flatten().find(|w| w.file == file) {
            waiting.synced = true;
        }
    }

    /// Another file may be staged as the same piece.
    pub(super) fn drop_file(&mut self, key: &(UserName, FilePath), file: &Path) {
        if let Some(name) = self.names.get_mut(key) {
            name.staged.retain(|waiting| waiting.file != file);
        }
        self.tidy(key);
    }

    pub(super) fn drop_staged(&mut self, key: &(UserName, FilePath), piece: u8, version: Version) {
        if let Some(name) = self.names.get_mut(key)
            && let Some(at) = name.staged.iter().position(|w| w.piece == piece && w.version == version)
        {
            name.staged.swap_remove(at);
        }
        self.tidy(key);
    }

    pub(super) fn tidy(&mut self, key: &(UserName, FilePath)) {
        if self.names.get(key).is_some_and(|name| name.is_empty()) {
            self.names.remove(key);
        }
    }
}

pub(super) fn phases<'a>(
    name: &'a Name,
    open: &'a HashSet<Connection>,
) -> impl Iterator<Item = (&'a Waiting, Phase)> {
    let tombstone = name.tombstone.iter().map(|w| (w, Phase::Published));
    let staged = name.staged.iter().map(|w| {
        let open = w.connection.is_some_and(|connection| open.contains(&connection));
        (w, Phase::Staged { open })
    });
    tombstone.chain(staged)
}
