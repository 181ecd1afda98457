//! A call of the disk that hangs for one user holds up that user's requests, and nobody else's.

use super::disk::{MemoryDisk, OpenFile};
use super::scenario::{NOW, Piece, SERVER, aditi, new_disk, path, receive, root, version};
use shareit::name::{FolderPath, ServerName, UserName};
use shareit::sealed::Claim;
use shareit::store::{Batch, Disk, Store, StoreError};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Far more than any of it needs.
const LIMIT: Duration = Duration::from_secs(60);
const NAME: &str = "holiday/earth.gif";

/// Which call hangs, if it is about Aditi's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Create,
    Open,
    Rename,
    SyncDir,
    Entries,
    Mount,
}

#[derive(Default)]
struct Gate {
    shut: Option<Call>,
    /// If only one call hangs, the first: the name of its file.
    only: Option<&'static str>,
    waiting: bool,
}

/// A disk one of whose calls hangs, from [`Hanging::shut`] to [`Hanging::open_again`].
#[derive(Clone)]
struct Hanging(MemoryDisk, Arc<(Mutex<Gate>, Condvar)>);

impl Hanging {
    fn pass(&self, call: Call, file: &Path) {
        let (gate, changed) = &*self.1;
        let mut gate = gate.lock().unwrap();
        let is_hers = file.components().any(|part| part.as_os_str() == "Aditi");
        let hangs = |gate: &Gate| gate.only.is_none_or(|name| !gate.waiting && file.ends_with(name));
        if !(is_hers && gate.shut == Some(call) && hangs(&gate)) {
            return;
        }
        while gate.shut == Some(call) {
            gate.waiting = true;
            changed.notify_all();
            gate = changed.wait(gate).unwrap();
        }
    }

    fn shut(&self, call: Call) {
        *self.1.0.lock().unwrap() = Gate { shut: Some(call), ..Gate::default() };
    }

    /// Only the next open of a file of this name hangs.
    fn shut_for_one(&self, name: &'static str) {
        *self.1.0.lock().unwrap() = Gate { shut: Some(Call::Open), only: Some(name), waiting: false };
    }

    /// Whether a call hangs, at the latest after a while.
    fn somebody_waits(&self) -> bool {
        let (gate, changed) = &*self.1;
        let waited = changed.wait_timeout_while(gate.lock().unwrap(), LIMIT, |gate| !gate.waiting);
        waited.unwrap().0.waiting
    }

    fn open_again(&self) {
        self.1.0.lock().unwrap().shut = None;
        self.1.1.notify_all();
    }
}

impl Disk for Hanging {
    type File = OpenFile;
    type Watch = usize;

    fn create(&self, path: &Path) -> io::Result<OpenFile> {
        self.pass(Call::Create, path);
        self.0.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<OpenFile> {
        self.pass(Call::Open, path);
        self.0.open(path)
    }

    fn reopen(&self, path: &Path, length: u64) -> io::Result<OpenFile> {
        self.pass(Call::Open, path);
        self.0.reopen(path, length)
    }

    fn len(&self, file: &OpenFile) -> io::Result<u64> {
        self.0.len(file)
    }

    fn sync(&self, file: &OpenFile) -> io::Result<()> {
        self.0.sync(file)
    }

    fn watch(&self, folder: &Path) -> Option<usize> {
        self.pass(Call::Open, folder);
        self.0.watch(folder)
    }

    fn sync_whole(&self, watch: &usize, files: usize) -> io::Result<bool> {
        self.0.sync_whole(watch, files)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.pass(Call::SyncDir, path);
        self.0.sync_dir(path)
    }

    fn mount(&self, folder: &Path) -> io::Result<shareit::store::Mount> {
        self.pass(Call::Mount, folder);
        self.0.mount(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass(Call::Rename, from);
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir(path)
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<(OsString, bool)>> {
        self.pass(Call::Entries, path);
        self.0.entries(path)
    }
}

/// All that a user does: logs in, uploads, looks, lists and leaves.
fn day_of(store: &Store<Hanging>, user: &UserName) -> Result<(), StoreError> {
    store.make_user(user)?;
    let connection = store.connect();
    let mut batch = Batch::default();
    let Piece { claim, payload, .. } = Piece::of(NAME, 1, 1);
    let claim =
        Claim { header: shareit::sealed::Header { user: user.clone(), ..claim.header.clone() }, ..*claim };
    receive(store, connection, &claim, payload, &mut batch)?;
    store.flush(&mut batch)?;
    store.commit(connection, user, &path(NAME), version(1), &mut batch)?;
    store.flush(&mut batch)?;
    assert_eq!(store.look(user, &path(NAME))?.pieces.len(), 1);
    let mut entries = 0;
    store.list::<StoreError>(user, &FolderPath::root(), true, |_| {
        entries += 1;
        Ok(())
    })?;
    assert_eq!(entries, 1);
    store.disconnect(user, connection);
    Ok(())
}

fn hangs_alone(call: Call, settled: bool) {
    let disk = Hanging(new_disk(), Arc::default());
    let store =
        Store::open(disk.clone(), &root(), &ServerName::parse(SERVER).unwrap(), NOW, &mut |_| ()).unwrap();
    let store = Arc::new(store);
    let ritu = UserName::parse("Ritu").unwrap();
    if settled {
        store.make_user(&aditi()).unwrap();
        store.make_user(&ritu).unwrap();
    }
    disk.shut(call);
    let hers = Arc::clone(&store);
    let aditis = std::thread::spawn(move || day_of(&hers, &aditi()));
    assert!(disk.somebody_waits(), "{call:?} is not called");
    let (done, outcome) = channel();
    std::thread::spawn(move || {
        done.send(day_of(&store, &ritu)).unwrap();
        // Her own next login has little time; her requests get signs of life.
        done.send(store.make_user(&aditi())).unwrap();
    });
    for who in ["Ritu", "Aditi's next login"] {
        outcome.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("{who} waits for Aditi's {call:?}")).unwrap();
    }
    disk.open_again();
    aditis.join().unwrap().unwrap();
}

#[test]
fn a_call_that_hangs_for_one_user_holds_up_nobody_else() {
    for call in [Call::Create, Call::Open, Call::Rename, Call::SyncDir, Call::Entries, Call::Mount] {
        hangs_alone(call, true);
    }
}

#[test]
fn a_look_that_reads_while_another_session_commits_sees_one_version() {
    let disk = Hanging(new_disk(), Arc::default());
    let server = ServerName::parse(SERVER).unwrap();
    let store = Arc::new(Store::open(disk.clone(), &root(), &server, NOW, &mut |_| ()).unwrap());
    let connection = store.connect();
    let stage = |generation| {
        let mut batch = Batch::default();
        for number in [1, 2] {
            let Piece { claim, payload, .. } = Piece::of(NAME, generation, number);
            receive(&store, connection, claim, payload, &mut batch).unwrap();
        }
        store.flush(&mut batch).unwrap();
    };
    let commit = move |store: &Store<Hanging>, generation| {
        let mut batch = Batch::default();
        store.commit(connection, &aditi(), &path(NAME), version(generation), &mut batch)?;
        store.flush(&mut batch)
    };
    stage(1);
    commit(&store, 1).unwrap();
    stage(2);
    disk.shut_for_one(".earth.gif.2");
    let looking = Arc::clone(&store);
    let look = std::thread::spawn(move || looking.look(&aditi(), &path(NAME)));
    assert!(disk.somebody_waits(), "the second piece is not read");
    let (done, outcome) = channel();
    let committing = Arc::clone(&store);
    std::thread::spawn(move || done.send(commit(&committing, 2)));
    outcome.recv_timeout(LIMIT).expect("the commit waits for the look").unwrap();
    disk.open_again();
    assert_eq!(look.join().unwrap().unwrap(), store.look(&aditi(), &path(NAME)).unwrap());
}

#[test]
fn a_disk_that_hangs_while_one_users_part_is_recovered_holds_up_nobody_else() {
    hangs_alone(Call::Entries, false);
}
