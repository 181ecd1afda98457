//! What a server remembers of one user's part of its disk: pieces and tombstones outside the published folders,
//! floors, and which directories are safe. Each of these has a bound in bytes.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::connections::Connection;
use super::keys::Keys;
use crate::commit::{Held, KeyCheck, PieceState, TOMBSTONE};
use crate::name::FilePath;
use crate::sealed::{Header, Kind};
use crate::version::Version;

/// A file outside the published folders: a staged piece, or a tombstone.
pub(super) struct Waiting {
    pub(super) piece: u8,
    pub(super) version: Version,
    /// The check of the key under which it was made.
    pub(super) key: KeyCheck,
    /// The connection that staged it; `None` after a restart.
    pub(super) connection: Option<Connection>,
    pub(super) file: PathBuf,
    /// Whether it is safe from a power failure.
    pub(super) synced: bool,
}

/// What was kept of a piece whose connection was lost while it arrived.
pub(super) struct Partial {
    pub(super) piece: u8,
    pub(super) version: Version,
    /// The check of the key under which it was made.
    pub(super) key: KeyCheck,
    pub(super) file: PathBuf,
}

/// The files of one name outside the published folders.
#[derive(Default)]
pub(super) struct Name {
    pub(super) staged: Vec<Waiting>,
    pub(super) partial: Vec<Partial>,
    pub(super) tombstone: Option<Waiting>,
    /// Files of tombstones that were replaced by a newer one. They are removed once that one is safe.
    pub(super) replaced: Vec<PathBuf>,
    /// What the index has counted for it.
    counted: Counted,
}

#[derive(Clone, Copy, Default)]
struct Counted {
    bytes: usize,
    staged: usize,
}

/// Most staged pieces of one user. No more are accepted then.
pub const MAX_STAGED_OF_USER: usize = 32_768;
/// Most bytes that a server remembers of one user's staged pieces and tombstones, enough for about 100,000 names. No
/// more are accepted then.
pub const MAX_WAITING: usize = 64 << 20;
/// Staged tombstones of one user that are accepted beyond [`MAX_STAGED_OF_USER`], because a delete makes room.
pub const RESERVED_FOR_DELETES: usize = 4096;
/// Bytes for tombstones that are accepted beyond [`MAX_WAITING`].
pub const RESERVED_WAITING: usize = 4 << 20;
/// Most bytes for floors of single names of one user. Beyond that, all names get the newest floor.
pub const MAX_FLOORS: usize = 8 << 20;
/// Most bytes that are remembered of the directories of one user. Beyond that, all are forgotten, and synced again when
/// needed.
pub const MAX_DIRECTORIES: usize = 4 << 20;
/// Most bytes for what is remembered of one user's published pieces. Beyond that, all is forgotten.
pub const MAX_PUBLISHED: usize = 1 << 20;

/// Bytes of an entry of a map, not counting what it points to: the map may have twice the room that it needs.
const fn entry<T>() -> usize {
    2 * (size_of::<T>() + 1)
}

/// The generations at or below which a user's late writers must not stage anything.
#[derive(Default)]
pub(super) struct Floor {
    /// The greatest so far. It is on disk.
    pub(super) newest: u64,
    /// For names of which nothing was forgotten since the server started: what `newest` was then. It must not be more,
    /// or each delete would interrupt uploads of all other names.
    pub(super) at_start: u64,
    /// For the other names: what `newest` became when something of them was last forgotten or fenced.
    pub(super) names: HashMap<FilePath, u64>,
    /// The size of `names`, in bytes.
    bytes: usize,
}

#[derive(Default)]
pub(super) struct Index {
    /// Whether the user's part of the disk was recovered: see [`Locked::recover`](super::locked::Locked::recover).
    pub(super) recovered: bool,
    pub(super) names: HashMap<FilePath, Name>,
    /// The sum for all names.
    counted: Counted,
    pub(super) floor: Floor,
    pub(super) keys: Keys,
    /// Connections that have begun to stage something, and have not ended.
    pub(super) open: HashSet<Connection>,
    /// Of these, those on which a large piece is arriving, and of which version. Its writer may have to go on without
    /// this server, or with another connection, but it is at work.
    arriving: HashMap<Connection, (FilePath, Version)>,
    directories: HashMap<PathBuf, Directory>,
    directories_bytes: usize,
    /// Counts the changes of all directories.
    pub(super) changes: u64,
    /// The value of `changes` when the directories were last forgotten.
    forgotten: u64,
    /// Counts everything that can make a piece inadmissible that was admissible before: pieces that are published, and
    /// changes of floors and keys.
    pub(super) decisions: u64,
    /// Counts the holders of the lock that could change a piece.
    pub(super) uses: u64,
    published: HashMap<FilePath, Box<[Held]>>,
    published_bytes: usize,
}

/// How much of a directory is safe from a power failure. Changes made by an earlier process may not be.
#[derive(Default)]
struct Directory {
    changed: u64,
    synced: Option<u64>,
}

impl Floor {
    pub(super) fn remember(&mut self, path: &FilePath, floor: u64) {
        let bytes = entry::<(FilePath, u64)>() + path.as_str().len();
        if self.bytes + bytes > MAX_FLOORS {
            self.at_start = self.newest;
            self.names = HashMap::new();
            self.bytes = 0;
        }
        if self.names.insert(path.clone(), floor).is_none() {
            self.bytes += bytes;
        }
    }
}

impl Name {
    fn count(&self, path: &FilePath) -> Counted {
        let waiting = self.staged.iter().chain(&self.tombstone).map(|waiting| &waiting.file);
        let partial = self.partial.iter().map(|partial| &partial.file);
        let files = waiting.chain(partial).chain(&self.replaced);
        let files = files.map(|file| size_of::<Waiting>() + file.as_os_str().len());
        Counted {
            bytes: entry::<(FilePath, Self)>() + path.as_str().len() + files.sum::<usize>(),
            staged: self.held(),
        }
    }

    /// Staged and partial pieces.
    pub(super) fn held(&self) -> usize {
        self.staged.len() + self.partial.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held() == 0 && self.tombstone.is_none() && self.replaced.is_empty()
    }

    fn take_staged(&mut self, piece: u8, version: Version) -> Option<Waiting> {
        let at = self.staged.iter().position(|w| w.piece == piece && w.version == version)?;
        Some(self.staged.swap_remove(at))
    }

    fn publish_tombstone(&mut self, tombstone: Waiting) {
        match &mut self.tombstone {
            // A power failure can leave a file with both its names.
            Some(known) if known.file == tombstone.file => {}
            Some(known) if known.version > tombstone.version => self.replaced.push(tombstone.file),
            known => self.replaced.extend(known.replace(tombstone).map(|replaced| replaced.file)),
        }
    }
}

impl Index {
    /// The index at the start of the server, with the user's floor from the disk.
    pub(super) fn with_floor(floor: u64) -> Self {
        Self { floor: Floor { newest: floor, at_start: floor, ..Floor::default() }, ..Self::default() }
    }

    /// What is published under a name, except for its tombstone, if that is remembered. Each request of an upload or a
    /// delete asks this about its name, and an upload about every folder of it, and the disk would take long to answer.
    pub(super) fn published(&self, path: &FilePath) -> Option<&[Held]> {
        self.published.get(path).map(Box::as_ref)
    }

    /// Whether a name is remembered as free.
    pub(super) fn is_no_file(&self, path: &FilePath) -> bool {
        self.published(path).is_some_and(<[Held]>::is_empty)
    }

    /// These are all pieces of this name that are published.
    pub(super) fn remember_published(&mut self, path: &FilePath, held: &[Held]) {
        self.forget_published(path);
        let bytes = published_bytes(path, held);
        if self.published_bytes + bytes > MAX_PUBLISHED {
            self.published = HashMap::new();
            self.published_bytes = 0;
        }
        self.published.insert(path.clone(), held.into());
        self.published_bytes += bytes;
    }

    /// A piece of this name will be published or dropped, or one was found that is damaged.
    pub(super) fn forget_published(&mut self, path: &FilePath) {
        if let Some(held) = self.published.remove(path) {
            self.published_bytes -= published_bytes(path, &held);
        }
    }

    pub(super) fn floor(&self, path: &FilePath) -> u64 {
        self.floor.names.get(path).copied().unwrap_or(self.floor.at_start)
    }

    /// Whether this user has so much staged, or deleted and not forgotten, that no more of this kind is accepted.
    pub(super) fn is_full(&self, kind: Kind) -> bool {
        let (staged, bytes) = match kind {
            Kind::Tombstone => (RESERVED_FOR_DELETES, RESERVED_WAITING),
            _ => (0, 0),
        };
        self.counted.staged >= MAX_STAGED_OF_USER + staged || self.counted.bytes >= MAX_WAITING + bytes
    }

    pub(super) fn add(&mut self, path: FilePath, waiting: Waiting) {
        self.names.entry(path.clone()).or_default().staged.push(waiting);
        self.tidy(&path);
    }

    pub(super) fn add_partial(&mut self, path: FilePath, partial: Partial) {
        self.names.entry(path.clone()).or_default().partial.push(partial);
        self.tidy(&path);
    }

    /// The file of a partial piece, or of a staged one whose connection is closed: another piece can begin with its
    /// bytes. A staged one may be needed where it is, unless its version is at or below the floor, or its writer stages
    /// it again.
    pub(super) fn kept(&self, path: &FilePath, piece: u8, version: Version, by: Version) -> Option<&Path> {
        let name = self.names.get(path)?;
        let partial = name.partial.iter().find(|p| (p.piece, p.version) == (piece, version));
        let may_go = version.rank() <= self.floor(path) || version == by;
        let staged = self.staged(path, piece, version).filter(|waiting| may_go && !self.is_open(waiting));
        partial.map(|partial| &*partial.file).or(staged.map(|waiting| &*waiting.file))
    }

    /// Forgets a file that [`Index::kept`] found.
    pub(super) fn forget_kept(&mut self, path: &FilePath, file: &Path) {
        if let Some(name) = self.names.get_mut(path) {
            name.partial.retain(|partial| partial.file != file);
        }
        self.drop_file(path, file);
    }

    /// A large piece begins to arrive.
    pub(super) fn begins(&mut self, connection: Connection, header: &Header) {
        self.open.insert(connection);
        self.arriving.insert(connection, (header.path.clone(), header.version));
    }

    /// The piece that was arriving on a connection has come to its end, whatever that was.
    pub(super) fn has_ended(&mut self, connection: Connection) {
        self.arriving.remove(&connection);
    }

    /// The connection has ended.
    pub(super) fn disconnect(&mut self, connection: Connection) {
        self.open.remove(&connection);
        self.arriving.remove(&connection);
    }

    /// The versions of a name of which a piece is arriving, each with its connection.
    pub(super) fn arriving(&self, path: &FilePath) -> impl Iterator<Item = (Connection, Version)> {
        let of_name = self.arriving.iter().filter(move |(_, (name, _))| name == path);
        of_name.map(|(connection, (_, version))| (*connection, *version))
    }

    /// Whether the connection that staged a piece is open.
    pub(super) fn is_open(&self, waiting: &Waiting) -> bool {
        waiting.connection.is_some_and(|connection| self.open.contains(&connection))
    }

    pub(super) fn add_tombstone(&mut self, path: FilePath, waiting: Waiting) {
        self.names.entry(path.clone()).or_default().publish_tombstone(waiting);
        self.tidy(&path);
    }

    /// A staged tombstone was published: its file was moved to this one.
    pub(super) fn publish_tombstone(&mut self, path: &FilePath, version: Version, file: PathBuf) {
        if let Some(name) = self.names.get_mut(path)
            && let Some(staged) = name.take_staged(TOMBSTONE, version)
        {
            name.publish_tombstone(Waiting { file, ..staged });
        }
        self.tidy(path);
    }

    /// The user's part of the disk will be read again.
    pub(super) fn forget_names(&mut self) {
        self.names.clear();
        self.counted = Counted::default();
    }

    pub(super) fn has_changed(&mut self, directory: PathBuf) {
        self.changes += 1;
        self.directory(directory).changed = self.changes;
    }

    /// A sync of a directory has ended that began after this many changes.
    pub(super) fn is_synced(&mut self, directory: PathBuf, changes: u64) {
        let synced = &mut self.directory(directory).synced;
        *synced = (*synced).max(Some(changes));
    }

    fn directory(&mut self, directory: PathBuf) -> &mut Directory {
        let bytes = directory_bytes(&directory);
        if !self.directories.contains_key(&directory) {
            if self.directories_bytes + bytes > MAX_DIRECTORIES {
                self.directories = HashMap::new();
                self.directories_bytes = 0;
                self.forgotten = self.changes;
            }
            self.directories_bytes += bytes;
        }
        // It may have changed before it was forgotten, so a sync that began before then proves nothing.
        let changed = self.forgotten;
        self.directories.entry(directory).or_insert(Directory { changed, synced: None })
    }

    /// How many directories are remembered.
    #[cfg(test)]
    pub(super) fn directories(&self) -> usize {
        self.directories.len()
    }

    /// A directory was removed.
    pub(super) fn forget_directory(&mut self, directory: &Path) {
        if self.directories.remove(directory).is_some() {
            self.directories_bytes -= directory_bytes(directory);
        }
    }

    pub(super) fn is_safe(&self, directory: &Path) -> bool {
        self.directories.get(directory).is_some_and(|d| d.synced >= Some(d.changed))
    }

    pub(super) fn staged(&self, path: &FilePath, piece: u8, version: Version) -> Option<&Waiting> {
        self.names.get(path)?.staged.iter().find(|w| w.piece == piece && w.version == version)
    }

    /// The published tombstone and the staged pieces of a name.
    pub(super) fn waiting(&self, path: &FilePath) -> impl Iterator<Item = (&Waiting, PieceState)> {
        let name = self.names.get(path);
        let tombstone = name.and_then(|name| name.tombstone.as_ref()).map(|w| (w, PieceState::Published));
        let staged = name
            .into_iter()
            .flat_map(|name| &name.staged)
            .map(|w| (w, PieceState::Staged { open: self.is_open(w) }));
        tombstone.into_iter().chain(staged)
    }

    pub(super) fn mark_synced(&mut self, path: &FilePath, file: &Path) {
        let staged = self.names.get_mut(path).map(|name| name.staged.iter_mut());
        if let Some(waiting) = staged.into_iter().flatten().find(|w| w.file == file) {
            waiting.synced = true;
        }
    }

    /// Drops one file of a name. Another one may be staged as the same piece.
    pub(super) fn drop_file(&mut self, path: &FilePath, file: &Path) {
        if let Some(name) = self.names.get_mut(path) {
            name.staged.retain(|waiting| waiting.file != file);
        }
        self.tidy(path);
    }

    pub(super) fn drop_staged(&mut self, path: &FilePath, piece: u8, version: Version) {
        if let Some(name) = self.names.get_mut(path) {
            name.take_staged(piece, version);
        }
        self.tidy(path);
    }

    /// Must be called whenever the files of a name have changed.
    pub(super) fn tidy(&mut self, path: &FilePath) {
        let Some(name) = self.names.get_mut(path) else { return };
        let before = name.counted;
        let now = if name.is_empty() { Counted::default() } else { name.count(path) };
        name.counted = now;
        if name.is_empty() {
            self.names.remove(path);
        }
        self.counted.bytes = self.counted.bytes + now.bytes - before.bytes;
        self.counted.staged = self.counted.staged + now.staged - before.staged;
    }
}

fn directory_bytes(directory: &Path) -> usize {
    entry::<(PathBuf, Directory)>() + directory.as_os_str().len()
}

fn published_bytes(path: &FilePath, held: &[Held]) -> usize {
    entry::<(FilePath, Box<[Held]>)>() + path.as_str().len() + size_of_val(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path of the greatest length, different for each number.
    fn path(number: usize) -> FilePath {
        FilePath::parse(
            &[format!("{number:0>250}"), "x".repeat(250), "y".repeat(250), "z".repeat(250)].join("/"),
        )
        .unwrap()
    }

    fn waiting(number: usize) -> Waiting {
        let version = Version { generation: 1, upload: [0; 16] };
        let file = PathBuf::from(format!("/var/lib/shareit/.Server1/staged/Aditi/{number}"));
        Waiting { piece: 1, version, key: [0; 16], connection: None, file, synced: true }
    }

    #[test]
    fn staged_pieces_have_a_bound_and_what_is_dropped_makes_room() {
        let mut index = Index::default();
        for number in 0..MAX_STAGED_OF_USER {
            assert!(!index.is_full(Kind::Data), "{number}");
            index.add(FilePath::parse(&format!("f{number}")).unwrap(), waiting(number));
        }
        assert!(index.is_full(Kind::Data));
        index.drop_staged(&FilePath::parse("f7").unwrap(), 1, waiting(7).version);
        assert!(!index.is_full(Kind::Data));
    }

    #[test]
    fn a_delete_is_taken_where_an_upload_is_one_too_many_but_not_for_ever() {
        let mut index = Index::default();
        for number in 0..MAX_STAGED_OF_USER + RESERVED_FOR_DELETES {
            assert!(!index.is_full(Kind::Tombstone), "{number}");
            index.add(FilePath::parse(&format!("f{number}")).unwrap(), waiting(number));
        }
        assert!(index.is_full(Kind::Data) && index.is_full(Kind::Tombstone));
    }

    #[test]
    fn tombstones_with_long_names_have_a_bound_in_bytes() {
        let mut index = Index::default();
        let mut count = 0;
        while !index.is_full(Kind::Tombstone) {
            index.add_tombstone(path(count), waiting(count));
            count += 1;
        }
        // The bytes of the text alone, which must not be far below the bound.
        let texts: usize = index.names.keys().map(|path| path.as_str().len()).sum();
        let most = MAX_WAITING + RESERVED_WAITING;
        assert!((most / 3..=most).contains(&texts), "{count} names: {texts} bytes");
        let paths: Vec<_> = index.names.keys().cloned().collect();
        for path in paths {
            if let Some(name) = index.names.get_mut(&path) {
                name.tombstone = None;
            }
            index.tidy(&path);
        }
        assert_eq!((index.counted.bytes, index.names.len()), (0, 0), "nothing is left of it");
    }

    #[test]
    fn floors_of_names_have_a_bound_and_beyond_it_all_get_the_newest() {
        let mut floor = Floor { newest: 9, ..Floor::default() };
        let mut most = 0;
        for number in 0..20_000 {
            floor.remember(&path(number), 5);
            most = most.max(floor.names.len());
            assert!(floor.bytes <= MAX_FLOORS);
        }
        assert!(most * path(0).as_str().len() <= MAX_FLOORS && most < 20_000);
        assert_eq!(floor.at_start, 9);
        assert_eq!(floor.names.len() * (entry::<(FilePath, u64)>() + path(0).as_str().len()), floor.bytes);
    }

    #[test]
    fn published_pieces_have_a_bound() {
        let mut index = Index::default();
        let held = Held { piece: 1, version: Version::default(), state: PieceState::Published };
        for number in 0..5000 {
            index.remember_published(&path(number), &vec![held; number % 3]);
            index.remember_published(&path(number), &vec![held; number % 2]);
            assert!(index.published_bytes <= MAX_PUBLISHED);
        }
        assert_eq!(index.published(&path(4999)), Some(&[held][..]));
        assert!(index.is_no_file(&path(4998)) && !index.is_no_file(&path(4999)));
        let left: Vec<_> = index.published.keys().cloned().collect();
        left.iter().for_each(|name| index.forget_published(name));
        assert_eq!(index.published_bytes, 0);
    }

    #[test]
    fn directories_have_a_bound_and_a_forgotten_one_is_not_taken_for_safe() {
        let mut index = Index::default();
        let directory = |number: usize| PathBuf::from(format!("/ROOT/NAME/USER/{}", path(number).as_str()));
        index.has_changed(directory(0));
        let changes = index.changes;
        index.has_changed(directory(0));
        for number in 1..10_000 {
            index.has_changed(directory(number));
            assert!(index.directories_bytes <= MAX_DIRECTORIES);
        }
        assert!(!index.directories.contains_key(&directory(0)), "it is forgotten");
        // This sync began before its second change.
        index.is_synced(directory(0), changes);
        assert!(!index.is_safe(&directory(0)));
        index.is_synced(directory(0), index.changes);
        assert!(index.is_safe(&directory(0)));
        index.forget_directory(&directory(0));
        assert!(!index.is_safe(&directory(0)));
    }
}
