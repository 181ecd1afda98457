//! A server's disk: the only module that writes pieces.
//!
//! What is acknowledged is on disk: a caller collects work in a [`Batch`] and acknowledges it only
//! after [`Store::flush`]. A process that dies at any instant leaves a disk that [`Store::open`]
//! brings in order, by the rules of [`crate::commit`].

mod apply;
mod disk;
mod error;
mod index;
mod keys;
mod listing;
mod lock;
mod output;
mod piece;
mod places;
mod receive;
mod recovery;
mod seen;
mod settle;
mod staging;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use disk::{Disk, MAX_SYNC_THREADS, Mount, NotAFile, OsDisk, open_regular};
pub use error::StoreError;
pub use index::{
    MAX_DIRECTORIES, MAX_FLOORS, MAX_NO_FILES, MAX_STAGED_OF_USER, MAX_WAITING, RESERVED_FOR_DELETES,
    RESERVED_WAITING,
};
pub use lock::{FolderLock, LockError, open_lock};
pub use seen::Stamp;
pub use staging::{Check, Staging};

use crate::commit::{Held, Phase, TOMBSTONE};
use crate::name::{FilePath, ServerName, UserName};
use crate::placement;
use crate::sealed::{Claim, Header};
use crate::version::Version;
use crate::wire::{NameReport, Reported};
use index::{Index, Name, Waiting, phases};
use piece::ReadError;
use places::Places;
use recovery::places_on_one_file_system;
use seen::Seen;
use staging::Received;

/// Bytes that are set aside for deletes on a full disk: a batch of tombstones, a block each, fits.
const RESERVE: usize = 512 * 1024;

/// One client's connection, as far as staged pieces are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection(u64);

#[cfg(test)]
impl Connection {
    /// One of no store.
    pub(crate) fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// Ends a connection when it is dropped, also by a panic: see [`Store::ends`].
#[must_use]
pub struct Ending<'a, D: Disk> {
    store: &'a Store<D>,
    user: UserName,
    connection: Connection,
}

impl<D: Disk> Drop for Ending<'_, D> {
    fn drop(&mut self) {
        self.store.disconnect(&self.user, self.connection);
    }
}

/// Work of one user that is done but must not be acknowledged before [`Store::flush`].
#[derive(Default)]
pub struct Batch {
    /// Whose it is; none while it is empty.
    user: Option<UserName>,
    received: Vec<Received>,
    directories: BTreeSet<PathBuf>,
    /// Names of which something is left to drop.
    committed: Vec<(UserName, FilePath, Version)>,
}

/// A server's pieces.
///
/// What is remembered of each user is under a lock of its own: a call of the disk that hangs for one holds up that
/// user's requests alone. `users` is never locked while the disk is asked.
pub struct Store<D: Disk = OsDisk> {
    disk: D,
    places: Places,
    /// Where the server's own files are mounted.
    mount: Mount,
    users: Mutex<HashMap<UserName, Arc<Mutex<Index>>>>,
    /// Connections that have not ended. Never locked while the disk is asked.
    live: Mutex<HashSet<Connection>>,
    seen: Seen,
    next_file: AtomicU64,
    next_connection: AtomicU64,
}

impl<D: Disk> Store<D> {
    /// Opens ROOT/NAME and makes what is missing. What a crash cut off is ended for each user at the first request,
    /// or by [`Store::settle`]. The caller holds the [`FolderLock`]. `now` is the clock in milliseconds since 1970;
    /// `tell` hears what is worth a line of the log.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn open(
        disk: D,
        root: &Path,
        server: &ServerName,
        now: u64,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Self, StoreError> {
        let places = places_on_one_file_system(&disk, root, server)?;
        let mut store = Self {
            mount: disk.mount(places.own())?,
            disk,
            places,
            users: Mutex::default(),
            live: Mutex::default(),
            seen: Seen::default(),
            next_file: AtomicU64::new(0),
            next_connection: AtomicU64::new(0),
        };
        for directory in
            [store.places.staged(), store.places.tombstones(), store.places.floors(), store.places.keys()]
        {
            store.make_dir(&directory)?;
        }
        store.disk.sync_dir(store.places.own())?;
        store.read_floors(now, tell)?;
        store.read_keys()?;
        // Most servers never have had to move anything there.
        let aside = store.disk.entries(&store.places.aside()).unwrap_or_default();
        aside.iter().for_each(|(entry, _)| store.numbers_begin_behind(entry));
        store.take_over_old_layout()?;
        store.keep_reserve();
        Ok(store)
    }

    /// Sets space aside, if there is some and it is not set aside yet.
    fn keep_reserve(&self) {
        let path = self.places.reserve();
        let Ok(mut file) = self.disk.create(&path) else { return };
        if file.write_all(&[0; RESERVE]).is_err() {
            // A disk that is too full for the reserve needs these bytes for something else.
            let _ = self.disk.remove(&path);
        }
    }

    /// Gives the reserve up, so that a tombstone fits on a full disk and can make room.
    fn use_reserve(&self) {
        // Not there is just as well.
        let _ = self.disk.remove(&self.places.reserve());
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserName, Arc<Mutex<Index>>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> MutexGuard<'_, HashSet<Connection>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of a user: see [`Store::index`]. There are only as many as have logged in, or have floors.
    fn own(&self, user: &UserName) -> Arc<Mutex<Index>> {
        let mut users = self.users();
        match users.get(user) {
            Some(own) => Arc::clone(own),
            None => Arc::clone(users.entry(user.clone()).or_default()),
        }
    }

    /// Locks what is remembered of a user, once what a crash has left of it is in order.
    fn index<'a>(&self, own: &'a Mutex<Index>, user: &UserName) -> Result<MutexGuard<'a, Index>, StoreError> {
        let mut index = lock(own);
        if !index.recovered {
            self.recover(&mut index, user)?;
            index.recovered = true;
        }
        Ok(index)
    }

    /// Makes a user's folder, at the first login. Waits for no other request of this user, and not until what a crash
    /// has left is in order: a login has little time.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn make_user(&self, user: &UserName) -> Result<(), StoreError> {
        let own = self.own(user);
        match own.try_lock() {
            Ok(mut index) if index.recovered => {
                self.make_folder_of(&mut index, self.places.user(user))?;
                self.sync(&mut index, vec![self.places.published().to_path_buf()])
            }
            // It is synced with the first piece that is published in it.
            _ => self.make_dir(&self.places.user(user)).map(drop),
        }
    }

    /// A new connection. What it stages counts as open until [`Store::disconnect`]; only until then it can stage and
    /// commit.
    pub fn connect(&self) -> Connection {
        let connection = Connection(self.next_connection.fetch_add(1, Ordering::Relaxed));
        self.live().insert(connection);
        connection
    }

    /// A connection of this user is closed, or is not to do anything more: its staged pieces are now others' to
    /// settle. What it has in hand is refused from now on.
    pub fn disconnect(&self, user: &UserName, connection: Connection) {
        self.live().remove(&connection);
        lock(&self.own(user)).open.remove(&connection);
    }

    /// Lets a connection end with what it is for, whichever way that ends: [`Store::disconnect`] when dropped.
    pub fn ends(&self, user: UserName, connection: Connection) -> Ending<'_, D> {
        Ending { store: self, user, connection }
    }

    /// Everything held of one name, with the claims; the clock is left to the caller.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn look(&self, user: &UserName, path: &FilePath) -> Result<NameReport, StoreError> {
        let own = self.own(user);
        let mut index = self.index(&own, user)?;
        // A reader must not see what a power failure could still take back.
        self.sync(&mut index, self.directories(user, path))?;
        let mut report = NameReport { floor: index.floor(path), ..NameReport::default() };
        for piece in placement::pieces() {
            match piece::claim(&self.disk, &self.places.piece(user, path, piece)) {
                Ok(claim) if is_the_piece(&claim.header, user, path, piece) => {
                    report.pieces.push(Reported::Piece(Phase::Published, Box::new(claim)));
                }
                Ok(_) => report.pieces.push(Reported::Damaged(piece)),
                Err(ReadError::Missing) => {}
                Err(error) if error.is_of_the_file() => report.pieces.push(Reported::Damaged(piece)),
                Err(error) => return Err(error.into()),
            }
        }
        let key = (user.clone(), path.clone());
        // The disk is asked here whatever is remembered: a file that came by another way is seen.
        match report.pieces.is_empty() {
            true => index.remember_no_file(key.clone()),
            false => index.may_be_file(&key),
        }
        if let Some(name) = index.names.get(&key) {
            let hidden = self.hides_staged(user, path, name)?;
            let shown = |(waiting, phase): &(&Waiting, Phase)| {
                *phase == Phase::Published || waiting.piece == TOMBSTONE || !hidden
            };
            for (waiting, phase) in phases(name, &index.open).filter(shown) {
                match piece::claim(&self.disk, &waiting.file) {
                    Ok(claim) => report.pieces.push(Reported::Piece(phase, Box::new(claim))),
                    Err(_) => report.pieces.push(Reported::Damaged(waiting.piece)),
                }
            }
        }
        Ok(report)
    }

    /// Whether staged pieces of a file are not to be shown, because they can never be published.
    fn hides_staged(&self, user: &UserName, path: &FilePath, name: &Name) -> Result<bool, StoreError> {
        let any = name.staged.iter().any(|waiting| waiting.piece != TOMBSTONE);
        Ok(any && self.is_elsewhere(user, path)?)
    }

    /// A published piece's file, for reading, and its claim.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is of another version by now, [`StoreError::Damaged`] if its
    /// header cannot be read.
    pub fn open_piece(
        &self,
        user: &UserName,
        path: &FilePath,
        number: u8,
        version: Version,
    ) -> Result<(D::File, Claim), StoreError> {
        let (file, claim) = piece::open(&self.disk, &self.places.piece(user, path, number))?;
        if !is_the_piece(&claim.header, user, path, number) {
            return Err(StoreError::Damaged);
        }
        if claim.header.version != version {
            return Err(StoreError::NotFound);
        }
        Ok((file, claim))
    }

    /// Whether a published piece still has the hashes that it was written with.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is of another version by now, or the disk's.
    pub fn is_sound(
        &self,
        user: &UserName,
        path: &FilePath,
        number: u8,
        version: Version,
    ) -> Result<bool, StoreError> {
        match self.open_piece(user, path, number, version) {
            Err(StoreError::Damaged) => return Ok(false),
            opened => drop(opened?),
        }
        match piece::sound_claim(&self.disk, &self.places.piece(user, path, number)) {
            Err(ReadError::Format) => Ok(false),
            sound => Ok(sound?.is_some()),
        }
    }

    /// What the rules need to know of one name. A damaged piece counts as older than anything.
    fn held(&self, index: &mut Index, user: &UserName, path: &FilePath) -> Result<Vec<Held>, StoreError> {
        let key = (user.clone(), path.clone());
        let mut held = if index.is_no_file(&key) { Vec::new() } else { self.published(user, path)? };
        if held.is_empty() {
            index.remember_no_file(key.clone());
        }
        if let Some(name) = index.names.get(&key) {
            let waiting = phases(name, &index.open);
            held.extend(waiting.map(|(w, phase)| Held { piece: w.piece, version: w.version, phase }));
        }
        Ok(held)
    }

    fn published(&self, user: &UserName, path: &FilePath) -> Result<Vec<Held>, StoreError> {
        let mut held = Vec::new();
        for number in placement::pieces() {
            let version = match piece::open(&self.disk, &self.places.piece(user, path, number)) {
                Ok((_, claim)) if is_the_piece(&claim.header, user, path, number) => claim.header.version,
                Ok(_) | Err(ReadError::Format) => Version { generation: 0, upload: [0; 16] },
                Err(ReadError::Missing) => continue,
                Err(ReadError::Io(error)) => return Err(error.into()),
            };
            held.push(Held { piece: number, version, phase: Phase::Published });
        }
        Ok(held)
    }
}

fn lock(own: &Mutex<Index>) -> MutexGuard<'_, Index> {
    // A thread that panicked held no half-made change: the disk is the truth, the index follows it.
    own.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A piece file that was moved or copied to another's place is damage, however whole it is.
fn is_the_piece(header: &Header, user: &UserName, path: &FilePath, piece: u8) -> bool {
    header.user == *user && header.path == *path && header.piece == piece
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::FolderPath;
    use crate::wire::Entry;

    /// An empty store in a folder of its own, and a user who has logged in.
    fn store(name: &str) -> (PathBuf, Store, UserName) {
        let root = std::env::temp_dir().join(format!("shareit-{name}-{}", std::process::id()));
        let server = ServerName::parse("Server1").unwrap();
        let user = UserName::parse("Aditi").unwrap();
        let store = Store::open(OsDisk::default(), &root, &server, 0, &mut |_| ()).unwrap();
        store.make_user(&user).unwrap();
        (root, store, user)
    }

    fn path(text: &str) -> FilePath {
        FilePath::parse(text).unwrap()
    }

    #[test]
    fn what_is_behind_a_link_is_elsewhere_wherever_it_leads() {
        let (root, store, user) = store("link");
        let folder = store.places.user(&user);
        std::fs::create_dir_all(folder.join("in/deep")).unwrap();
        std::fs::create_dir_all(root.join("other/deep")).unwrap();
        std::os::unix::fs::symlink(root.join("other"), folder.join("linked")).unwrap();
        std::os::unix::fs::symlink("deep", folder.join("in/near")).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", folder.join("dangling")).unwrap();
        for (name, elsewhere) in [
            ("f", false),
            ("in/deep/f", false),
            ("in/deep/and/new/f", false),
            ("new/and/deep/f", false),
            ("linked/f", true),
            ("linked/deep/f", true),
            ("linked/new/f", true),
            ("in/near/f", true),
            ("dangling/f", true),
        ] {
            assert_eq!(store.is_elsewhere(&user, &path(name)).unwrap(), elsewhere, "{name}");
        }
        // The user's own folder may be a link: a listing begins behind it.
        std::fs::rename(&folder, root.join("moved")).unwrap();
        std::os::unix::fs::symlink(root.join("moved"), &folder).unwrap();
        assert!(!store.is_elsewhere(&user, &path("in/deep/f")).unwrap());
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_staged_name_in_whose_way_something_is_does_not_keep_the_others_from_being_listed() {
        let (root, store, user) = store("list");
        std::fs::write(store.places.user(&user).join("a"), "somebody's").unwrap();
        let own = store.own(&user);
        for name in ["a/b", "c"] {
            let version = Version { generation: 1, upload: [0; 16] };
            let file = store.new_file(&user);
            let waiting = Waiting { piece: 1, version, key: [0; 16], connection: None, file, synced: true };
            store.index(&own, &user).unwrap().add(user.clone(), path(name), waiting);
        }
        assert!(store.is_elsewhere(&user, &path("a/b")).is_err());
        let mut listed = Vec::new();
        let mut sink = |entry| {
            listed.push(entry);
            Ok::<_, StoreError>(())
        };
        store.list(&user, &FolderPath::root(), true, &mut sink).unwrap();
        assert_eq!(listed, [Entry::Damaged { path: path("c"), piece: 1 }]);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_connection_ends_with_a_panic_too() {
        let (root, store, user) = store("panic");
        let connection = store.connect();
        lock(&store.own(&user)).open.insert(connection);
        let session = || {
            let _ending = store.ends(user.clone(), connection);
            panic!("on purpose");
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(session)).unwrap_err();
        assert!(!store.live().contains(&connection));
        assert!(!lock(&store.own(&user)).open.contains(&connection));
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_look_into_folders_that_are_not_there_leaves_nothing_behind() {
        let (root, store, user) = store("look");
        let remembered = || lock(&store.own(&user)).directories();
        store.look(&user, &FilePath::parse("a").unwrap()).unwrap();
        let before = remembered();
        for number in 0..100 {
            let path = FilePath::parse(&format!("{number}/which/is/not/there/a")).unwrap();
            assert_eq!(store.look(&user, &path).unwrap().pieces, []);
        }
        assert_eq!(remembered(), before);
        std::fs::remove_dir_all(root).unwrap();
    }
}
