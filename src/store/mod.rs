//! A server's disk: the only module that writes pieces.
//!
//! What is acknowledged is on disk: a caller collects work in a [`Batch`] and acknowledges it only
//! after [`Store::flush`]. A process that dies at any instant leaves a disk that [`Store::open`]
//! brings in order, by the rules of [`crate::commit`].

mod disk;
mod listing;
mod lock;
mod piece;
mod places;
mod staging;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use disk::{Disk, OsDisk};
pub use lock::{FolderLock, LockError};
pub use staging::Staging;

use crate::commit::{self, Held, Phase, Refused, Step, TOMBSTONE};
use crate::name::{FilePath, ServerName, UserName};
use crate::placement;
use crate::primitives::Bytes32;
use crate::sealed::{Claim, Header, Kind};
use crate::version::Version;
use crate::wire::{MAX_STAGED, NameReport, Reported};
use piece::ReadError;
use places::Places;
use staging::Received;

/// Names of one user whose floors are remembered one by one; beyond, all get the newest.
const MAX_REMEMBERED: usize = 100_000;

/// Bytes that are set aside for deletes on a full disk: a batch of tombstones, a block each, fits.
const RESERVE: usize = 512 * 1024;

/// One client's connection, as far as staged pieces are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection(u64);

/// Why the store did not do what was asked.
#[derive(Debug)]
pub enum StoreError {
    /// The rules of the two-step commit forbid it.
    Refused(Refused),
    /// No such piece of that version is published.
    NotFound,
    /// A file where a folder of that name is, or the other way round.
    Conflict,
    /// The bytes do not have the hashes that were announced, or not any more.
    Damaged,
    /// The name has [`MAX_STAGED`] staged pieces already.
    TooManyStaged,
    /// The disk is full.
    Full(io::Error),
    /// The disk failed.
    Disk(io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Refused(why) => f.write_str(match why {
                Refused::NotStaged => "nothing staged to commit",
                Refused::Decided => "already committed",
                Refused::Open => "another client is still writing it",
                Refused::Behind => "a newer version is there",
            }),
            StoreError::NotFound => f.write_str("no such piece"),
            StoreError::Conflict => f.write_str("a file and a folder cannot have one name"),
            StoreError::Damaged => f.write_str("bytes that do not fit their hashes"),
            StoreError::TooManyStaged => f.write_str("too many unfinished uploads of this name"),
            StoreError::Full(error) | StoreError::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                StoreError::Full(error)
            }
            _ => StoreError::Disk(error),
        }
    }
}

impl From<Refused> for StoreError {
    fn from(why: Refused) -> Self {
        StoreError::Refused(why)
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Missing => StoreError::NotFound,
            ReadError::Format => StoreError::Damaged,
            ReadError::Io(error) => error.into(),
        }
    }
}

/// A file that waits outside the published folders: a staged piece, or a tombstone.
struct Waiting {
    piece: u8,
    version: Version,
    /// Who staged it; `None` after a restart.
    connection: Option<Connection>,
    file: PathBuf,
    /// Whether it is safe from a power failure.
    synced: bool,
}

/// What of one name lies outside the published folders.
#[derive(Default)]
struct Name {
    staged: Vec<Waiting>,
    tombstone: Option<Waiting>,
    /// Files of tombstones that a newer one has replaced. They go once that one is safe.
    replaced: Vec<PathBuf>,
}

/// What one user's late writers must not stage below.
#[derive(Default)]
struct Floor {
    /// The greatest so far; on disk.
    newest: u64,
    /// For names that nothing was forgotten of since the server started: what `newest` was then. Not
    /// more, or each delete would break off the uploads of all other names that are on their way.
    at_start: u64,
    /// For the others: what `newest` became when they were last forgotten or fenced.
    names: HashMap<FilePath, u64>,
}

#[derive(Default)]
struct Index {
    names: HashMap<(UserName, FilePath), Name>,
    floors: HashMap<UserName, Floor>,
    open: HashSet<Connection>,
    directories: HashMap<PathBuf, Directory>,
    /// Counts the changes of all directories.
    changes: u64,
}

/// How much of a directory is safe from a power failure. What an earlier process did is not known to be.
#[derive(Default)]
struct Directory {
    changed: u64,
    synced: Option<u64>,
}

/// Work that is done but must not be acknowledged before [`Store::flush`].
#[derive(Default)]
pub struct Batch {
    received: Vec<Received>,
    directories: BTreeSet<PathBuf>,
    committed: Vec<(UserName, FilePath, Version)>,
}

/// A server's pieces.
pub struct Store<D: Disk = OsDisk> {
    disk: D,
    places: Places,
    index: Mutex<Index>,
    next_file: AtomicU64,
    next_connection: AtomicU64,
}

impl<D: Disk> Store<D> {
    /// Opens ROOT/NAME, makes what is missing, and ends what a crash cut off. The caller holds the
    /// [`FolderLock`].
    ///
    /// # Errors
    /// If the disk fails.
    pub fn open(disk: D, root: &Path, server: &ServerName) -> Result<Self, StoreError> {
        let places = places_on_one_file_system(root, server)?;
        let store = Self {
            disk,
            places,
            index: Mutex::default(),
            next_file: AtomicU64::new(0),
            next_connection: AtomicU64::new(0),
        };
        for directory in [store.places.staged(), store.places.tombstones(), store.places.floors()] {
            store.make_dir(&directory)?;
        }
        store.disk.sync_dir(store.places.own())?;
        store.recover()?;
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

    fn index(&self) -> MutexGuard<'_, Index> {
        // A thread that panicked held no half-made change: the disk is the truth, the index follows it.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a user's folder, at the first login.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn make_user(&self, user: &UserName) -> Result<(), StoreError> {
        let mut index = self.index();
        self.make_folder_of(&mut index, self.places.user(user))?;
        self.sync(&mut index, vec![self.places.published().to_path_buf()])
    }

    /// A new connection. What it stages counts as open until [`Store::disconnect`].
    pub fn connect(&self) -> Connection {
        let connection = Connection(self.next_connection.fetch_add(1, Ordering::Relaxed));
        self.index().open.insert(connection);
        connection
    }

    /// The connection is closed: its staged pieces are now others' to settle.
    pub fn disconnect(&self, connection: Connection) {
        self.index().open.remove(&connection);
    }

    /// Everything held of one name, with the claims.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn look(&self, user: &UserName, path: &FilePath) -> Result<NameReport, StoreError> {
        let mut index = self.index();
        // A reader must not see what a power failure could still take back.
        self.sync(&mut index, self.directories(user, path))?;
        let mut report = NameReport { floor: index.floor(user, path), pieces: Vec::new() };
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
        if let Some(name) = index.names.get(&(user.clone(), path.clone())) {
            for (waiting, phase) in phases(name, &index.open) {
                match piece::claim(&self.disk, &waiting.file) {
                    Ok(claim) => report.pieces.push(Reported::Piece(phase, Box::new(claim))),
                    Err(_) => report.pieces.push(Reported::Damaged(waiting.piece)),
                }
            }
        }
        Ok(report)
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
        alive: impl FnMut(),
    ) -> Result<bool, StoreError> {
        match self.open_piece(user, path, number, version) {
            Err(StoreError::Damaged) => return Ok(false),
            opened => drop(opened?),
        }
        match piece::is_sound(&self.disk, &self.places.piece(user, path, number), alive) {
            Err(ReadError::Format) => Ok(false),
            sound => Ok(sound?),
        }
    }

    /// Begins to receive a piece; `restore` is the floor that a client saw who restores a version that
    /// is decided elsewhere.
    ///
    /// # Errors
    /// If a newer version is here, if a folder has the file's name or the other way round, or if the
    /// disk fails.
    pub fn stage(
        &self,
        connection: Connection,
        header: Header,
        restore: Option<u64>,
    ) -> Result<Staging<'_, D>, StoreError> {
        self.admit(&self.index(), &header, restore)?;
        Staging::create(&self.disk, self.new_file(), connection, header, restore)
    }

    /// Whether a piece may be staged now.
    fn admit(&self, index: &Index, header: &Header, restore: Option<u64>) -> Result<(), StoreError> {
        let (user, path) = (&header.user, &header.path);
        let floor = index.floor(user, path);
        let held = self.held(index, user, path)?;
        match restore {
            None => commit::may_stage(&held, floor, header.version)?,
            Some(known_floor) => commit::may_restore(&held, floor, known_floor, header.version)?,
        }
        match header.kind {
            Kind::Data => self.check_conflict(user, path)?,
            Kind::Tombstone => self.use_reserve(),
        }
        let staged = index.names.get(&(user.clone(), path.clone())).map_or(0, |name| name.staged.len());
        if staged >= MAX_STAGED { Err(StoreError::TooManyStaged) } else { Ok(()) }
    }

    /// Ends a piece that was received. It counts as staged from now on, and may be acknowledged once
    /// the batch is flushed. What allowed it at the beginning is asked again: a newer version, or a
    /// delete, may have come and gone while it was received.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the bytes do not fit `root`; as [`Store::stage`]; or the disk's.
    pub fn stage_end(
        &self,
        staging: Staging<'_, D>,
        root: &Bytes32,
        seal: &Bytes32,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let restore = staging.restore;
        let received = staging.finish(root, seal)?;
        let mut index = self.index();
        if let Err(error) = self.admit(&index, &received.header, restore) {
            // Never acknowledged, so nothing depends on whether this works.
            let _ = self.disk.remove(&received.path);
            return Err(error);
        }
        let Header { user, path, version, piece, .. } = received.header.clone();
        let connection = Some(received.connection);
        index.add(
            user,
            path,
            Waiting { piece, version, connection, file: received.path.clone(), synced: false },
        );
        batch.received.push(received);
        Ok(())
    }

    /// Stages a piece under a new header, with the body and table of a published piece of this user. The
    /// bytes are hashed on the way, so that damage is found and not copied. `alive` is called after each
    /// buffer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the source is of another version by now, [`StoreError::Damaged`] if
    /// it is damaged or not of the header's size, or as [`Store::stage`].
    pub fn copy(
        &self,
        connection: Connection,
        source: (&FilePath, u8, Version),
        header: Header,
        seal: &Bytes32,
        batch: &mut Batch,
        mut alive: impl FnMut(),
    ) -> Result<(), StoreError> {
        let (path, number, version) = source;
        let (mut file, Claim { header: source, root, .. }) =
            self.open_piece(&header.user, path, number, version)?;
        let same_shape = source.piece == header.piece
            && source.chunk_log2 == header.chunk_log2
            && source.file_size == header.file_size;
        if !same_shape {
            return Err(StoreError::Damaged);
        }
        let mut staging = self.stage(connection, header, None)?;
        file.seek(SeekFrom::Start(source.layout().body.start))?;
        let mut buffer =
            vec![0; piece::BUFFER.min(usize::try_from(staging.missing()).unwrap_or(piece::BUFFER))];
        while staging.missing() > 0 {
            let part = buffer.len().min(usize::try_from(staging.missing()).unwrap_or(usize::MAX));
            file.read_exact(&mut buffer[..part])?;
            staging.write(&buffer[..part])?;
            alive();
        }
        self.stage_end(staging, &root, seal, batch)
    }

    /// Publishes what is staged of a version. What it replaces goes when the batch is flushed.
    ///
    /// # Errors
    /// [`Refused::NotStaged`], or the disk's.
    pub fn commit(
        &self,
        user: &UserName,
        path: &FilePath,
        version: Version,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let mut index = self.index();
        let steps = commit::commit(&self.held(&index, user, path)?, version)?;
        self.publish(&mut index, user, path, &steps)?;
        // Also behind a newer version, or one that another client commits at this moment: what that one
        // published here must be safe before this is acknowledged.
        let unsafe_yet = self.directories(user, path).into_iter().filter(|d| !index.is_safe(d));
        batch.directories.extend(unsafe_yet);
        batch.committed.push((user.clone(), path.clone(), version));
        Ok(())
    }

    /// Makes everything in the batch safe from a power failure, and drops what its commits replaced.
    ///
    /// # Errors
    /// If the disk fails: then nothing in the batch may be acknowledged.
    pub fn flush(&self, batch: &mut Batch) -> Result<(), StoreError> {
        let batch = std::mem::take(batch);
        let changes = self.index().changes;
        self.sync_received(batch.received)?;
        batch.directories.iter().try_for_each(|directory| self.sync_dir(directory))?;
        let mut index = self.index();
        batch.directories.into_iter().for_each(|directory| index.is_synced(directory, changes));
        for (user, path, version) in batch.committed {
            // Now only the drops are left of it.
            if let Ok(steps) = commit::commit(&self.held(&index, &user, &path)?, version) {
                self.apply_all(&mut index, &user, &path, &steps)?;
            }
            self.drop_replaced(&mut index, &user, &path)?;
        }
        self.keep_reserve();
        Ok(())
    }

    /// Promises that a version that is not published here never will be: what of it is still on its way
    /// comes too late.
    ///
    /// # Errors
    /// [`Refused::Decided`], [`Refused::Open`], or the disk's.
    pub fn fence(&self, user: &UserName, path: &FilePath, version: Version) -> Result<(), StoreError> {
        let mut index = self.index();
        commit::fence(&self.held(&index, user, path)?, version)?;
        self.raise_floor(&mut index, user, path, version.generation, commit::fenced_floor)
    }

    /// Drops what is staged of a version.
    ///
    /// # Errors
    /// [`Refused::Decided`], [`Refused::Open`], or the disk's.
    pub fn abort(
        &self,
        connection: Connection,
        user: &UserName,
        path: &FilePath,
        version: Version,
    ) -> Result<(), StoreError> {
        let mut index = self.index();
        let own = index.names.get(&(user.clone(), path.clone())).is_some_and(|name| {
            let mut of_version = name.staged.iter().filter(|w| w.version == version);
            of_version.all(|w| w.connection == Some(connection))
        });
        let steps = commit::abort(&self.held(&index, user, path)?, version, own)?;
        self.apply_all(&mut index, user, path, &steps)
    }

    /// Drops what is older than a version that is whole elsewhere.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn retire(&self, user: &UserName, path: &FilePath, version: Version) -> Result<(), StoreError> {
        let mut index = self.index();
        // A commit that is half done is ended first, and is on disk: dropping a tombstone together with what
        // it hides would let a power failure bring back the one without the other.
        let unfinished = commit::recover(&self.held(&index, user, path)?);
        self.apply_all(&mut index, user, path, &unfinished)?;
        self.sync_directories(user, path)?;
        let steps = commit::retire(&self.held(&index, user, path)?, version);
        self.apply_all(&mut index, user, path, &steps)
    }

    /// Drops the tombstone of a version that every server has acknowledged. From then on nothing of
    /// that generation or an older one can be staged for this user.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the newest version here is not that tombstone, or the disk's.
    pub fn forget(&self, user: &UserName, path: &FilePath, version: Version) -> Result<(), StoreError> {
        let mut index = self.index();
        let Ok(steps) = commit::forget(&self.held(&index, user, path)?, version) else {
            return Err(StoreError::NotFound);
        };
        // What the tombstone made go must not come back without it: all that is left to drop goes first, and
        // is gone for good, before the tombstone goes as the last.
        let Some((tombstone, drops)) = steps.split_last() else { return Ok(()) };
        self.apply_all(&mut index, user, path, drops)?;
        self.sync_directories(user, path)?;
        if self.drop_replaced(&mut index, user, path)? {
            self.disk.sync_dir(&self.places.tombstones())?;
        }
        self.raise_floor(&mut index, user, path, version.generation, commit::raised_floor)?;
        self.apply(&mut index, user, path, *tombstone)
    }

    fn raise_floor(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
        generation: u64,
        raised: fn(u64, u64) -> u64,
    ) -> Result<(), StoreError> {
        let floor = index.floors.entry(user.clone()).or_default();
        let (before, now) = (floor.newest, raised(floor.newest, generation));
        if now > before {
            let file = |floor: u64| self.places.floors().join(format!("{user}.{floor}"));
            match self.disk.create(&file(now)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => self.disk.sync_dir(&self.places.floors())?,
            }
            floor.newest = now;
            if before > 0 {
                // The older one is harmless: the greatest counts.
                let _ = self.disk.remove(&file(before));
            }
        }
        if floor.names.len() >= MAX_REMEMBERED {
            floor.at_start = floor.newest;
            floor.names.clear();
        }
        floor.names.insert(path.clone(), now);
        Ok(())
    }

    fn sync_received(&self, received: Vec<Received>) -> Result<(), StoreError> {
        if received.is_empty() {
            return Ok(());
        }
        let synced = received
            .iter()
            .try_for_each(|piece| match self.disk.open(&piece.path) {
                // Dropped by a newer version meanwhile, or published by another client, who synced it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                file => self.disk.sync(&file?),
            })
            .and_then(|()| self.disk.sync_dir(&self.places.staged()));
        let mut index = self.index();
        for piece in received {
            let key = (piece.header.user, piece.header.path);
            match &synced {
                Ok(()) => index.mark_synced(&key, &piece.path),
                Err(_) => {
                    // Never acknowledged, so nothing depends on whether this works.
                    let _ = self.disk.remove(&piece.path);
                    index.drop_file(&key, &piece.path);
                }
            }
        }
        Ok(synced?)
    }

    /// Makes what was published or dropped of a name safe from a power failure.
    fn sync_directories(&self, user: &UserName, path: &FilePath) -> Result<(), StoreError> {
        self.directories(user, path).iter().try_for_each(|directory| self.sync_dir(directory))
    }

    /// A folder may have been removed since, with its last piece: then there is nothing to keep.
    fn sync_dir(&self, directory: &Path) -> Result<(), StoreError> {
        match self.disk.sync_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => Ok(synced?),
        }
    }

    /// What the rules need to know of one name. A damaged piece counts as older than anything.
    fn held(&self, index: &Index, user: &UserName, path: &FilePath) -> Result<Vec<Held>, StoreError> {
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
        if let Some(name) = index.names.get(&(user.clone(), path.clone())) {
            let waiting = phases(name, &index.open);
            held.extend(waiting.map(|(w, phase)| Held { piece: w.piece, version: w.version, phase }));
        }
        Ok(held)
    }

    fn apply_all(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
        steps: &[Step],
    ) -> Result<(), StoreError> {
        steps.iter().try_for_each(|&step| self.apply(index, user, path, step))
    }

    fn apply(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
        step: Step,
    ) -> Result<(), StoreError> {
        let key = (user.clone(), path.clone());
        match step {
            Step::Publish { piece: TOMBSTONE, version } => {
                let name = index.names.entry(key).or_default();
                let Some(at) = name.staged.iter().position(|w| w.piece == TOMBSTONE && w.version == version)
                else {
                    return Ok(());
                };
                self.sync_waiting(&name.staged[at])?;
                let to = self.places.tombstones().join(file_name(&name.staged[at].file));
                self.disk.rename(&name.staged[at].file, &to)?;
                let arrived = Waiting { file: to, ..name.staged.swap_remove(at) };
                name.publish_tombstone(arrived);
                index.has_changed(self.places.tombstones());
            }
            Step::Publish { piece, version } => {
                let Some(waiting) = index.staged(&key, piece, version) else { return Ok(()) };
                self.sync_waiting(waiting)?;
                self.disk.rename(&waiting.file, &self.places.piece(user, path, piece))?;
                index.drop_staged(&key, piece, version);
                index.has_changed(self.places.folder(user, &path.folder()));
            }
            Step::DropStaged { piece, version } => {
                let Some(waiting) = index.staged(&key, piece, version) else { return Ok(()) };
                self.remove_if_there(&waiting.file)?;
                index.drop_staged(&key, piece, version);
            }
            Step::DropPublished { piece: TOMBSTONE } => {
                if let Some(name) = index.names.get_mut(&key) {
                    if let Some(tombstone) = &name.tombstone {
                        self.remove_if_there(&tombstone.file)?;
                    }
                    name.tombstone = None;
                }
                index.tidy(&key);
            }
            Step::DropPublished { piece } => {
                self.remove_if_there(&self.places.piece(user, path, piece))?;
                self.remove_empty_folders(index, user, path);
            }
        }
        Ok(())
    }

    /// Others may publish what its own writer has not been told is safe yet.
    fn sync_waiting(&self, waiting: &Waiting) -> Result<(), StoreError> {
        if waiting.synced { Ok(()) } else { Ok(self.disk.sync(&self.disk.open(&waiting.file)?)?) }
    }

    fn remove_if_there(&self, file: &Path) -> Result<(), StoreError> {
        match self.disk.remove(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// From the file's folder outwards, as long as they are empty; the user's own folder stays.
    fn remove_empty_folders(&self, index: &mut Index, user: &UserName, path: &FilePath) {
        let mut folder = path.folder();
        while !folder.is_root() {
            let directory = self.places.folder(user, &folder);
            if self.disk.remove_dir(&directory).is_err() {
                return;
            }
            index.directories.remove(&directory);
            folder = folder.parent();
        }
    }

    /// The directories that must be synced for what is published of a name to be safe: every one on the
    /// way to it, because a sync says nothing of the directory's own name.
    fn directories(&self, user: &UserName, path: &FilePath) -> Vec<PathBuf> {
        let mut directories = vec![self.places.tombstones(), self.places.published().to_path_buf()];
        let mut directory = self.places.user(user);
        for segment in path.folder().segments() {
            directories.push(directory.clone());
            directory.push(segment);
        }
        directories.push(directory);
        directories
    }

    /// Syncs those that are not safe yet.
    fn sync(&self, index: &mut Index, directories: Vec<PathBuf>) -> Result<(), StoreError> {
        for directory in directories {
            if !index.is_safe(&directory) {
                self.sync_dir(&directory)?;
                let changes = index.changes;
                index.is_synced(directory, changes);
            }
        }
        Ok(())
    }

    fn publish(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
        steps: &[Step],
    ) -> Result<(), StoreError> {
        for &step in steps.iter().filter(|step| matches!(step, Step::Publish { .. })) {
            if !matches!(step, Step::Publish { piece: TOMBSTONE, .. }) {
                self.make_folder(index, user, path)?;
            }
            self.apply(index, user, path, step)?;
        }
        Ok(())
    }

    fn drop_replaced(&self, index: &mut Index, user: &UserName, path: &FilePath) -> Result<bool, StoreError> {
        let key = (user.clone(), path.clone());
        let Some(name) = index.names.get_mut(&key) else { return Ok(false) };
        let dropped = !name.replaced.is_empty();
        {
            while let Some(file) = name.replaced.last() {
                self.remove_if_there(file)?;
                name.replaced.pop();
            }
        }
        index.tidy(&key);
        Ok(dropped)
    }

    fn make_folder(&self, index: &mut Index, user: &UserName, path: &FilePath) -> Result<(), StoreError> {
        let mut directory = self.places.user(user);
        self.make_folder_of(index, directory.clone())?;
        for segment in path.folder().segments() {
            directory.push(segment);
            self.make_folder_of(index, directory.clone())?;
        }
        Ok(())
    }

    fn make_folder_of(&self, index: &mut Index, directory: PathBuf) -> Result<(), StoreError> {
        if self.make_dir(&directory)? {
            directory.parent().into_iter().for_each(|parent| index.has_changed(parent.to_path_buf()));
            index.has_changed(directory);
        }
        Ok(())
    }

    /// Whether it had to be made.
    fn make_dir(&self, directory: &Path) -> Result<bool, StoreError> {
        match self.disk.create_dir(directory) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A name is a file or a folder, never both: a download could not write both.
    fn check_conflict(&self, user: &UserName, path: &FilePath) -> Result<(), StoreError> {
        let as_folder = self.places.folder(user, &path.folder()).join(path.file_name());
        if self.disk.entries(&as_folder).is_ok_and(|entries| !entries.is_empty()) {
            return Err(StoreError::Conflict);
        }
        let mut folder = path.folder();
        while let Some(as_file) = folder.as_file() {
            let is_file =
                placement::pieces().any(|p| self.disk.open(&self.places.piece(user, &as_file, p)).is_ok());
            if is_file {
                return Err(StoreError::Conflict);
            }
            folder = folder.parent();
        }
        Ok(())
    }

    fn new_file(&self) -> PathBuf {
        self.places.staged().join(self.next_file.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Reads the server's own files, drops what never became a whole piece, and ends every commit that
    /// a crash cut off.
    fn recover(&self) -> Result<(), StoreError> {
        let mut index = self.index();
        for (directory, published) in [(self.places.staged(), false), (self.places.tombstones(), true)] {
            for (entry, _) in self.disk.entries(&directory)? {
                let file = directory.join(&entry);
                if let Some(number) = entry.to_str().and_then(|name| name.parse::<u64>().ok()) {
                    self.next_file.fetch_max(number + 1, Ordering::Relaxed);
                }
                // What a killed process wrote may be whole and still not safe, and after a power failure
                // only its length may be right.
                match self.keep_whole(&file) {
                    Ok(claim) => {
                        let Header { user, path, version, piece, .. } = claim.header;
                        let waiting = Waiting { piece, version, connection: None, file, synced: true };
                        if published {
                            index.add_tombstone(user, path, waiting)
                        } else {
                            index.add(user, path, waiting)
                        }
                    }
                    Err(ReadError::Format | ReadError::Missing) => self.remove_if_there(&file)?,
                    Err(ReadError::Io(error)) => return Err(error.into()),
                }
            }
        }
        for (entry, _) in self.disk.entries(&self.places.floors())? {
            if let Some((user, floor)) = entry.to_str().and_then(parse_floor) {
                let known = index.floors.entry(user).or_default();
                known.newest = floor.max(known.newest);
                known.at_start = known.newest;
            }
        }
        self.disk.sync_dir(&self.places.staged())?;
        self.disk.sync_dir(&self.places.floors())?;
        let names: Vec<_> = index.names.keys().cloned().collect();
        for (user, path) in names {
            let steps = commit::recover(&self.held(&index, &user, &path)?);
            self.publish(&mut index, &user, &path, &steps)?;
            // Before anything older goes: the process that published this may not have come to sync it.
            self.sync(&mut index, self.directories(&user, &path))?;
            self.apply_all(&mut index, &user, &path, &steps)?;
            self.drop_replaced(&mut index, &user, &path)?;
        }
        Ok(())
    }

    fn keep_whole(&self, file: &Path) -> Result<Claim, ReadError> {
        if !piece::is_sound(&self.disk, file, || ())? {
            return Err(ReadError::Format);
        }
        self.disk.sync(&self.disk.open(file)?)?;
        piece::claim(&self.disk, file)
    }
}

impl Name {
    fn is_empty(&self) -> bool {
        self.staged.is_empty() && self.tombstone.is_none() && self.replaced.is_empty()
    }

    fn publish_tombstone(&mut self, tombstone: Waiting) {
        match &mut self.tombstone {
            // A file that a power failure has left with both its names.
            Some(known) if known.file == tombstone.file => {}
            Some(known) if known.version > tombstone.version => self.replaced.push(tombstone.file),
            known => self.replaced.extend(known.replace(tombstone).map(|replaced| replaced.file)),
        }
    }
}

impl Index {
    fn floor(&self, user: &UserName, path: &FilePath) -> u64 {
        self.floors.get(user).map_or(0, |floor| floor.names.get(path).copied().unwrap_or(floor.at_start))
    }

    fn add(&mut self, user: UserName, path: FilePath, waiting: Waiting) {
        self.names.entry((user, path)).or_default().staged.push(waiting);
    }

    fn add_tombstone(&mut self, user: UserName, path: FilePath, waiting: Waiting) {
        self.names.entry((user, path)).or_default().publish_tombstone(waiting);
    }

    fn has_changed(&mut self, directory: PathBuf) {
        self.changes += 1;
        self.directories.entry(directory).or_default().changed = self.changes;
    }

    /// A sync of a directory that began after so many changes has ended.
    fn is_synced(&mut self, directory: PathBuf, changes: u64) {
        let synced = &mut self.directories.entry(directory).or_default().synced;
        *synced = (*synced).max(Some(changes));
    }

    fn is_safe(&self, directory: &Path) -> bool {
        self.directories.get(directory).is_some_and(|d| d.synced >= Some(d.changed))
    }

    fn staged(&self, key: &(UserName, FilePath), piece: u8, version: Version) -> Option<&Waiting> {
        self.names.get(key)?.staged.iter().find(|w| w.piece == piece && w.version == version)
    }

    fn mark_synced(&mut self, key: &(UserName, FilePath), file: &Path) {
        let staged = self.names.get_mut(key).map(|name| name.staged.iter_mut());
        if let Some(waiting) = staged.into_iter().flatten().find(|w| w.file == file) {
            waiting.synced = true;
        }
    }

    /// Another file may be staged as the same piece.
    fn drop_file(&mut self, key: &(UserName, FilePath), file: &Path) {
        if let Some(name) = self.names.get_mut(key) {
            name.staged.retain(|waiting| waiting.file != file);
        }
        self.tidy(key);
    }

    fn drop_staged(&mut self, key: &(UserName, FilePath), piece: u8, version: Version) {
        if let Some(name) = self.names.get_mut(key)
            && let Some(at) = name.staged.iter().position(|w| w.piece == piece && w.version == version)
        {
            name.staged.swap_remove(at);
        }
        self.tidy(key);
    }

    fn tidy(&mut self, key: &(UserName, FilePath)) {
        if self.names.get(key).is_some_and(|name| name.is_empty()) {
            self.names.remove(key);
        }
    }
}

fn phases<'a>(name: &'a Name, open: &'a HashSet<Connection>) -> impl Iterator<Item = (&'a Waiting, Phase)> {
    let tombstone = name.tombstone.iter().map(|w| (w, Phase::Published));
    let staged = name.staged.iter().map(|w| {
        let open = w.connection.is_some_and(|connection| open.contains(&connection));
        (w, Phase::Staged { open })
    });
    tombstone.chain(staged)
}

/// A piece file that was moved or copied to another's place is damage, however whole it is.
fn is_the_piece(header: &Header, user: &UserName, path: &FilePath, piece: u8) -> bool {
    header.user == *user && header.path == *path && header.piece == piece
}

fn file_name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or_default()
}

fn parse_floor(entry: &str) -> Option<(UserName, u64)> {
    let (user, floor) = entry.rsplit_once('.')?;
    Some((UserName::parse(user).ok()?, floor.parse().ok()?))
}

/// Makes ROOT/NAME and the server's own directory, on one file system.
fn places_on_one_file_system(root: &Path, server: &ServerName) -> io::Result<Places> {
    use std::os::unix::fs::MetadataExt;
    let places = Places::new(root, server);
    std::fs::create_dir_all(places.published())?;
    std::fs::create_dir_all(places.own())?;
    if places.published().metadata()?.dev() == places.own().metadata()?.dev() {
        return Ok(places);
    }
    let places = places.own_inside();
    std::fs::create_dir_all(places.own())?;
    Ok(places)
}
