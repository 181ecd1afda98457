//! A disk in memory that tells what was written from what survives a power failure.
//!
//! # The crash model
//!
//! Nothing is safe but what was synced. A power failure may
//!
//! - undo any subset of the changes to directories (create, rename, unlink, mkdir, rmdir) that no
//!   `sync_dir` of that very directory has covered, in any order across directories and within one:
//!   only changes of one and the same entry keep their order;
//! - cut a rename in two, so that the file has both names. Its old name never goes before its new one
//!   can be reached: every file system that has a rename at all keeps that;
//! - lose, cut, or punch a hole into the bytes of a file that no `sync` has covered, while its entry and
//!   its length survive.
//!
//! A `sync_whole` covers everything that was written and changed before it. What it could not write is gone for good,
//! and every watch that had begun by then is told so, once; so is it of every `sync` that failed.
//!
//! A `sync` says nothing of a file's name, a `sync_dir` nothing of another directory, not even of the
//! one around it. After a `sync` that failed the bytes are gone for good, whatever a second one says.
//!
//! This is harsher than ext4 (`data=ordered`), where the changes to all directories are one journal: a
//! power failure there keeps a prefix of them, renames whole, and any sync keeps all that came before.
//! Each such prefix is one of the subsets here.
//!
//! A process that is killed loses nothing of this: what it wrote is still not synced, but there.

use shareit::store::Disk;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What goes wrong at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails with EIO, without effect.
    Error,
    /// The call fails with ENOSPC, without effect.
    Full,
    /// So does every later one that needs room, until [`MemoryDisk::heal`].
    FullFromThere,
    /// Half of the bytes are written, and the next write fails with ENOSPC.
    ShortWrite,
    /// The process dies before the call.
    Kill,
}

/// What becomes of the bytes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    Lost,
    Cut,
    Holed,
    Kept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reads,
    Frees,
    NeedsRoom,
    Writes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    File(usize),
    Dir(usize),
}

/// A change of one entry of one directory that is not synced.
#[derive(Clone)]
struct Change {
    id: u64,
    dir: usize,
    name: OsString,
    /// What the entry is from now on.
    node: Option<Node>,
    /// The changes without which this one is never kept: for the end of a file's old name, that it has
    /// its new one, in directories that are there.
    needs: Vec<u64>,
}

#[derive(Clone, Default)]
struct Content {
    now: Arc<Vec<u8>>,
    safe: Arc<Vec<u8>>,
    /// A sync has failed.
    spoiled: bool,
    /// How often writing back has failed. Linux tells each description that was open then, once.
    errors: usize,
}

type Dirs = Vec<BTreeMap<OsString, Node>>;

#[derive(Clone, Default)]
struct State {
    now: Dirs,
    safe: Dirs,
    changes: Vec<Change>,
    next_change: u64,
    files: Vec<Content>,
    calls: usize,
    syncs: usize,
    plan: Option<(usize, Fault)>,
    met: Option<String>,
    full: bool,
    short: bool,
    dead: bool,
    early_syncs_fail: bool,
    /// How often writing back has failed, for any file.
    errors: usize,
    /// With fewer files than this a sync of everything is not worth its while.
    together: usize,
    most_unsynced: usize,
}

/// The disk. A clone is the same disk.
#[derive(Clone)]
pub(crate) struct MemoryDisk(Arc<Mutex<State>>);

impl MemoryDisk {
    /// An empty disk with these directories on it, which are safe.
    pub(crate) fn with(directories: &[PathBuf]) -> Self {
        let mut state = State { now: vec![BTreeMap::new()], ..State::default() };
        for directory in directories {
            let mut at = 0;
            for name in names(directory) {
                at = match state.now[at].get(name) {
                    Some(Node::Dir(dir)) => *dir,
                    _ => {
                        state.now.push(BTreeMap::new());
                        let made = state.now.len() - 1;
                        state.now[at].insert(name.to_owned(), Node::Dir(made));
                        made
                    }
                };
            }
        }
        state.safe = state.now.clone();
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Counts calls from 1 again, and lets `fault` happen at call `at`.
    pub(crate) fn plan(&self, at: usize, fault: Fault) {
        let mut state = self.state();
        state.calls = 0;
        state.plan = Some((at, fault));
    }

    /// The call at which the planned fault happened, if it has come to that.
    pub(crate) fn met(&self) -> Option<String> {
        self.state().met.clone()
    }

    /// From now on a file that is synced while it is still written loses what it has.
    pub(crate) fn fail_early_syncs(&self) {
        self.state().early_syncs_fail = true;
    }

    /// From now on so many files are synced together.
    pub(crate) fn sync_together(&self, together: usize) {
        self.state().together = together;
    }

    /// What is not synced cannot be written back, and nobody has asked yet.
    pub(crate) fn lose_what_is_unsynced(&self) {
        self.state().lose_what_is_unsynced();
    }

    /// The most bytes that one file ever had unsynced.
    pub(crate) fn most_unsynced(&self) -> usize {
        self.state().most_unsynced
    }

    /// From now on everything works.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        assert!(!state.dead, "a process that was killed does not go on");
        (state.plan, state.full, state.short) = (None, false, false);
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.state().dead
    }

    /// How many calls there were since the last plan.
    pub(crate) fn calls(&self) -> usize {
        self.state().calls
    }

    /// How many files and directories were synced.
    pub(crate) fn syncs(&self) -> usize {
        self.state().syncs
    }

    /// What the next process finds if this one is killed now. This one's disk is not touched by it.
    pub(crate) fn after_a_kill(&self) -> Self {
        let State { now, safe, changes, next_change, files, together, .. } = self.state().clone();
        let next = State { now, safe, changes, next_change, files, together, ..State::default() };
        Self(Arc::new(Mutex::new(next)))
    }

    /// How many changes of directories and how many files are not safe. A file of zeros holds nothing
    /// that could be lost.
    pub(crate) fn unsafe_changes(&self) -> (usize, usize) {
        let state = self.state();
        let files = state.files.iter().filter(|file| file.is_unsafe()).count();
        (state.changes.len(), files)
    }

    /// What a power failure leaves, if it keeps these changes of directories.
    pub(crate) fn after_a_power_failure(&self, keeps: impl Fn(usize) -> bool, bytes: Bytes) -> Self {
        let state = self.state();
        let mut dirs = state.safe.clone();
        let mut kept = Vec::new();
        for (at, change) in state.changes.iter().enumerate() {
            let is_there = |needed: &u64| kept.contains(needed) || !state.is_pending(*needed);
            if keeps(at) && change.needs.iter().all(is_there) {
                kept.push(change.id);
                change.apply(&mut dirs);
            }
        }
        let files = state.files.iter().map(|file| file.after_a_power_failure(bytes)).collect();
        let next =
            State { now: dirs.clone(), safe: dirs, files, together: state.together, ..State::default() };
        Self(Arc::new(Mutex::new(next)))
    }

    /// Two disks with the same fingerprint behave the same.
    pub(crate) fn fingerprint(&self) -> u64 {
        let state = self.state();
        let mut hasher = DefaultHasher::new();
        (&state.now, &state.safe).hash(&mut hasher);
        state.changes.iter().for_each(|c| (c.dir, &c.name, c.node, &c.needs).hash(&mut hasher));
        state.files.iter().for_each(|f| (f.now.len(), f.safe.len(), f.spoiled, f.sample()).hash(&mut hasher));
        hasher.finish()
    }

    /// Every file below a directory with its bytes, without a call.
    pub(crate) fn files_below(&self, directory: &Path) -> Vec<(PathBuf, Arc<Vec<u8>>)> {
        let state = self.state();
        let mut found = Vec::new();
        let mut to_visit = vec![directory.to_path_buf()];
        while let Some(visited) = to_visit.pop() {
            let Ok(dir) = state.dir(&visited) else { continue };
            for (name, node) in &state.now[dir] {
                match node {
                    Node::File(file) => found.push((visited.join(name), state.files[*file].now.clone())),
                    Node::Dir(_) => to_visit.push(visited.join(name)),
                }
            }
        }
        found
    }

    fn call(&self, kind: Kind, what: impl FnOnce() -> String) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.dead {
            return Err(io::Error::other("killed"));
        }
        state.calls += 1;
        let needs_room = matches!(kind, Kind::NeedsRoom | Kind::Writes);
        if state.full && needs_room {
            return Err(ErrorKind::StorageFull.into());
        }
        if std::mem::take(&mut state.short) && kind == Kind::Writes {
            return Err(ErrorKind::StorageFull.into());
        }
        let Some((at, fault)) = state.plan else { return Ok(state) };
        if at != state.calls {
            return Ok(state);
        }
        match fault {
            Fault::Full | Fault::FullFromThere if !needs_room => return Ok(state),
            Fault::ShortWrite if kind != Kind::Writes => return Ok(state),
            _ => state.met = Some(what()),
        }
        match fault {
            Fault::Error => Err(io::Error::from_raw_os_error(5)),
            Fault::Kill => {
                state.dead = true;
                Err(io::Error::other("killed"))
            }
            Fault::ShortWrite => {
                state.short = true;
                Ok(state)
            }
            Fault::Full => Err(ErrorKind::StorageFull.into()),
            Fault::FullFromThere => {
                state.full = true;
                Err(ErrorKind::StorageFull.into())
            }
        }
    }
}

impl State {
    fn is_pending(&self, change: u64) -> bool {
        self.changes.iter().any(|c| c.id == change)
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        names(path).try_fold(Node::Dir(0), |at, name| match at {
            Node::Dir(dir) => self.now[dir].get(name).copied().ok_or(ErrorKind::NotFound.into()),
            Node::File(_) => Err(ErrorKind::NotADirectory.into()),
        })
    }

    fn dir(&self, path: &Path) -> io::Result<usize> {
        match self.node(path)? {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.node(path)? {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(ErrorKind::IsADirectory.into()),
        }
    }

    /// The directory in which a path's last name is, or would be.
    fn place<'p>(&self, path: &'p Path) -> io::Result<(usize, &'p OsStr)> {
        let (Some(around), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        Ok((self.dir(around)?, name))
    }

    /// The changes that made the directories around a path, as far as they are not safe.
    fn unsafe_way_to(&self, path: &Path) -> Vec<u64> {
        let around = path.ancestors().skip(1).filter_map(|directory| self.node(directory).ok());
        let made = |directory: Node| self.changes.iter().filter(move |c| c.node == Some(directory));
        around.flat_map(made).map(|change| change.id).collect()
    }

    fn place_for_new<'p>(&self, path: &'p Path) -> io::Result<(usize, &'p OsStr)> {
        let (dir, name) = self.place(path)?;
        if self.now[dir].contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        Ok((dir, name))
    }

    fn change(&mut self, (dir, name): (usize, &OsStr), node: Option<Node>, needs: Vec<u64>) -> u64 {
        let id = self.next_change;
        self.next_change += 1;
        let change = Change { id, dir, name: name.to_owned(), node, needs };
        change.apply(&mut self.now);
        self.changes.push(change);
        id
    }

    fn lose_what_is_unsynced(&mut self) {
        for content in self.files.iter_mut().filter(|content| !Arc::ptr_eq(&content.now, &content.safe)) {
            (content.spoiled, content.errors) = (true, content.errors + 1);
        }
        self.errors += 1;
    }

    fn sync_whole(&mut self) {
        for content in self.files.iter_mut().filter(|content| !content.spoiled) {
            content.safe = content.now.clone();
        }
        self.safe = self.now.clone();
        self.changes.clear();
    }

    fn sync_dir(&mut self, dir: usize) {
        let here = self.changes.iter().filter(|c| c.dir == dir);
        let needed: Vec<u64> = here.flat_map(|c| c.needs.iter().copied().chain([c.id])).collect();
        // What is synced early takes what happened to the same entry before along.
        let entries: Vec<(u64, usize, OsString)> = self
            .changes
            .iter()
            .filter(|c| needed.contains(&c.id))
            .map(|c| (c.id, c.dir, c.name.clone()))
            .collect();
        let goes = |c: &Change| {
            entries.iter().any(|(id, dir, name)| c.id <= *id && c.dir == *dir && c.name == *name)
        };
        let changes = std::mem::take(&mut self.changes);
        let (synced, left): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(goes);
        synced.iter().for_each(|change| change.apply(&mut self.safe));
        self.changes = left;
    }
}

impl Change {
    fn apply(&self, dirs: &mut Dirs) {
        // A directory that only exists in memory has its place among the safe ones too, empty.
        let last = self.dir.max(match self.node {
            Some(Node::Dir(dir)) => dir,
            _ => 0,
        });
        if dirs.len() <= last {
            dirs.resize_with(last + 1, BTreeMap::new);
        }
        match self.node {
            Some(node) => dirs[self.dir].insert(self.name.clone(), node),
            None => dirs[self.dir].remove(&self.name),
        };
    }
}

impl Content {
    fn is_unsafe(&self) -> bool {
        self.now.len() != self.safe.len() && !Arc::ptr_eq(&self.now, &zeros(self.now.len()))
    }

    /// Enough to tell files of one length apart: a hole is in the middle, a seal at the end.
    fn sample(&self) -> (&[u8], &[u8]) {
        const LENGTH: usize = 64;
        let (length, middle) = (self.now.len(), self.now.len() / 2);
        (&self.now[middle..length.min(middle + LENGTH)], &self.now[length.saturating_sub(LENGTH)..])
    }

    fn after_a_power_failure(&self, bytes: Bytes) -> Self {
        let (from, to) = (self.safe.len(), self.now.len());
        let left = match bytes {
            _ if from == to => self.safe.clone(),
            Bytes::Lost => self.safe.clone(),
            Bytes::Cut => Arc::new(self.now[..from + (to - from) / 2].to_vec()),
            Bytes::Holed => {
                let third = (to - from) / 3;
                let mut holed = self.now.to_vec();
                holed[from + third..to - third].fill(0);
                Arc::new(holed)
            }
            Bytes::Kept => self.now.clone(),
        };
        Self { now: left.clone(), safe: left, spoiled: false, errors: 0 }
    }
}

/// So many zeros, always the same ones: the store sets space aside with them, often.
fn zeros(length: usize) -> Arc<Vec<u8>> {
    static MADE: Mutex<BTreeMap<usize, Arc<Vec<u8>>>> = Mutex::new(BTreeMap::new());
    Arc::clone(MADE.lock().unwrap().entry(length).or_insert_with(|| Arc::new(vec![0; length])))
}

fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

/// Where a path leads, short enough to read in a list of calls.
fn short(path: &Path) -> String {
    let names: Vec<_> = names(path).map(OsStr::to_string_lossy).collect();
    let from = names.iter().position(|name| name.trim_start_matches('.') == super::scenario::SERVER);
    names[from.unwrap_or(0)..].join("/")
}

impl Disk for MemoryDisk {
    type File = OpenFile;
    /// How many errors it was too late for.
    type Watch = usize;

    fn create(&self, path: &Path) -> io::Result<OpenFile> {
        let mut state = self.call(Kind::NeedsRoom, || format!("create {}", short(path)))?;
        let place = state.place_for_new(path)?;
        state.files.push(Content::default());
        let id = state.files.len() - 1;
        state.change(place, Some(Node::File(id)), Vec::new());
        Ok(OpenFile { disk: self.clone(), id, position: 0, errors: 0 })
    }

    fn open(&self, path: &Path) -> io::Result<OpenFile> {
        let state = self.call(Kind::Reads, || format!("open {}", short(path)))?;
        let id = state.file(path)?;
        Ok(OpenFile { disk: self.clone(), id, position: 0, errors: state.files[id].errors })
    }

    fn reopen(&self, path: &Path, length: u64) -> io::Result<OpenFile> {
        let mut state = self.call(Kind::NeedsRoom, || format!("reopen {}", short(path)))?;
        let id = state.file(path)?;
        let content = &mut state.files[id];
        for bytes in [&mut content.now, &mut content.safe] {
            Arc::make_mut(bytes).truncate(usize::try_from(length).unwrap());
        }
        let errors = content.errors;
        Ok(OpenFile { disk: self.clone(), id, position: 0, errors })
    }

    fn len(&self, file: &OpenFile) -> io::Result<u64> {
        Ok(self.call(Kind::Reads, || "len".into())?.files[file.id].now.len() as u64)
    }

    fn sync(&self, file: &OpenFile) -> io::Result<()> {
        match self.call(Kind::NeedsRoom, || format!("sync file {}", file.id)) {
            Ok(mut state) => {
                state.syncs += 1;
                let content = &mut state.files[file.id];
                if content.errors > file.errors {
                    return Err(io::Error::from_raw_os_error(5));
                }
                if !content.spoiled {
                    content.safe = content.now.clone();
                }
                Ok(())
            }
            Err(error) => {
                let mut state = self.state();
                // A process that is killed does not fail to sync: it does not try.
                if !state.dead {
                    let content = &mut state.files[file.id];
                    // What was safe before, and what is written later, is not lost by it.
                    content.spoiled |= !Arc::ptr_eq(&content.now, &content.safe);
                    state.errors += 1;
                }
                Err(error)
            }
        }
    }

    fn sync_soon(&self, path: &Path) -> bool {
        let mut state = self.state();
        let fails = state.early_syncs_fail;
        if let (true, Ok(id)) = (fails, state.file(path)) {
            let content = &mut state.files[id];
            (content.spoiled, content.errors) = (true, content.errors + 1);
            state.errors += 1;
        }
        fails
    }

    fn watch(&self, folder: &Path) -> Option<usize> {
        let state = self.call(Kind::Reads, || format!("watch {}", short(folder))).ok()?;
        (state.together > 0).then_some(state.errors)
    }

    fn sync_whole(&self, watch: &usize, files: usize) -> io::Result<bool> {
        if files < self.state().together {
            return Ok(false);
        }
        match self.call(Kind::NeedsRoom, || format!("sync all of {files}")) {
            Ok(state) if state.errors > *watch => Err(io::Error::from_raw_os_error(5)),
            Ok(mut state) => {
                state.sync_whole();
                Ok(true)
            }
            Err(error) => {
                let mut state = self.state();
                if !state.dead {
                    state.lose_what_is_unsynced();
                }
                Err(error)
            }
        }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call(Kind::NeedsRoom, || format!("sync_dir {}", short(path)))?;
        state.syncs += 1;
        let dir = state.dir(path)?;
        state.sync_dir(dir);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let what = || format!("rename {} {}", short(from), short(to));
        let mut state = self.call(Kind::NeedsRoom, what)?;
        let (file, old, new) = (state.file(from)?, state.place(from)?, state.place(to)?);
        match state.node(to) {
            Ok(Node::Dir(_)) => return Err(ErrorKind::IsADirectory.into()),
            // Two names of one file: rename(2) leaves both.
            Ok(Node::File(there)) if there == file => return Ok(()),
            _ => {}
        }
        let mut needs = state.unsafe_way_to(to);
        needs.push(state.change(new, Some(Node::File(file)), Vec::new()));
        state.change(old, None, needs);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call(Kind::Frees, || format!("remove {}", short(path)))?;
        state.file(path)?;
        let place = state.place(path)?;
        state.change(place, None, Vec::new());
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call(Kind::NeedsRoom, || format!("create_dir {}", short(path)))?;
        let place = state.place_for_new(path)?;
        state.now.push(BTreeMap::new());
        let dir = state.now.len() - 1;
        state.change(place, Some(Node::Dir(dir)), Vec::new());
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call(Kind::Frees, || format!("remove_dir {}", short(path)))?;
        let dir = state.dir(path)?;
        if !state.now[dir].is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        let place = state.place(path)?;
        state.change(place, None, Vec::new());
        Ok(())
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<(OsString, bool)>> {
        let state = self.call(Kind::Reads, || format!("entries {}", short(path)))?;
        let entries = &state.now[state.dir(path)?];
        Ok(entries.iter().map(|(name, node)| (name.clone(), matches!(node, Node::Dir(_)))).collect())
    }
}

/// An open file of a [`MemoryDisk`].
pub(crate) struct OpenFile {
    disk: MemoryDisk,
    id: usize,
    position: usize,
    /// Errors of the file that this description was too late for.
    errors: usize,
}

impl Read for OpenFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.call(Kind::Reads, || format!("read file {}", self.id))?;
        let content = &state.files[self.id].now;
        let rest = &content[self.position.min(content.len())..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.position += length;
        Ok(length)
    }
}

impl Write for OpenFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut state =
            self.disk.call(Kind::Writes, || format!("write file {} {}", self.id, buffer.len()))?;
        let length = if state.short { buffer.len() / 2 } else { buffer.len() };
        let content = &mut state.files[self.id].now;
        let overwritten = self.position..content.len().min(self.position + length);
        let is_header = self.position == 0 && overwritten.len() == length;
        assert!(is_header || overwritten.is_empty(), "the store appends, or replaces a header");
        if is_header {
            Arc::make_mut(content)[overwritten].copy_from_slice(&buffer[..length]);
        } else if content.is_empty() && buffer[..length] == zeros(length)[..] {
            *content = zeros(length);
        } else {
            Arc::make_mut(content).extend_from_slice(&buffer[..length]);
        }
        let unsynced = state.files[self.id].now.len() - state.files[self.id].safe.len();
        state.most_unsynced = state.most_unsynced.max(unsynced);
        self.position += length;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for OpenFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let state = self.disk.call(Kind::Reads, || format!("seek file {}", self.id))?;
        let length = state.files[self.id].now.len();
        let position = match to {
            SeekFrom::Start(position) => position as i64,
            SeekFrom::Current(by) => self.position as i64 + by,
            SeekFrom::End(by) => length as i64 + by,
        };
        self.position = usize::try_from(position).map_err(|_| ErrorKind::InvalidInput)?;
        Ok(self.position as u64)
    }
}
