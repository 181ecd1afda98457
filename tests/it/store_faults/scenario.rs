//! What clients ask of a server, step by step, and a server that does it on a [`MemoryDisk`].

use super::disk::MemoryDisk;
use super::ledger::Ledger;
use shareit::commit::{KeyChange, Refused, TOMBSTONE};
use shareit::name::{FilePath, ServerName, UserName};
use shareit::primitives::{PayloadMac, sha256};
use shareit::sealed::{ChunkHasher, Claim, Facts, Header, MasterKey, WrappedKey};
use shareit::store::{Batch, Connection, Disk, IncomingPiece, Store, StoreError};
use shareit::version::Version;
use shareit::wire::NameReport;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

pub(crate) const SERVER: &str = "Server1";
/// The clock: as early as the generations here, which are counted from 1, allow.
pub(crate) const NOW: u64 = 0;

/// A file's name.
pub(crate) type Name = &'static str;
/// One more than the last; each means one version of a name.
pub(crate) type Generation = u64;
/// Which client.
pub(crate) type Who = char;

/// One request, or the end of a batch of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    LogIn(Who),
    Stage(Who, Name, Generation, u8),
    /// A piece whose connection is lost when most of it has arrived; the client stays for other steps.
    CutOff(Who, Name, Generation, u8),
    /// A piece that begins with as much of an earlier generation's as the server lists and is right; or all of it.
    Resume(Who, Name, Generation, Generation, u8),
    Commit(Who, Name, Generation),
    /// The replies to what was staged, committed or dropped since the last one are sent.
    Flush(Who),
    Leave(Who),
    Fence(Who, Name, Generation),
    Abort(Who, Name, Generation),
    Retire(Who, Name, Generation),
    Forget(Who, Name, Generation),
    /// The server's own files are as an earlier server would have left them; this one is not used any more.
    ToOldLayout,
    /// Which key is retired, and which takes its place; no piece here is under either.
    Rekey(Who, u8, u8),
}

impl Step {
    fn who(self) -> Who {
        match self {
            Step::LogIn(who)
            | Step::Stage(who, ..)
            | Step::CutOff(who, ..)
            | Step::Resume(who, ..)
            | Step::Commit(who, ..)
            | Step::Flush(who)
            | Step::Leave(who)
            | Step::Fence(who, ..)
            | Step::Abort(who, ..)
            | Step::Retire(who, ..)
            | Step::Forget(who, ..)
            | Step::Rekey(who, ..) => who,
            Step::ToOldLayout => 'A',
        }
    }
}

pub(crate) fn stage(who: Who, name: Name, generation: Generation, pieces: &[u8]) -> Vec<Step> {
    pieces.iter().map(|&piece| Step::Stage(who, name, generation, piece)).collect()
}

pub(crate) fn upload(who: Who, name: Name, generation: Generation, pieces: &[u8]) -> Vec<Step> {
    let publish = [Step::Flush(who), Step::Commit(who, name, generation), Step::Flush(who)];
    [stage(who, name, generation, pieces), publish.to_vec()].concat()
}

pub(crate) fn delete(who: Who, name: Name, generation: Generation) -> Vec<Step> {
    upload(who, name, generation, &[TOMBSTONE])
}

pub(crate) fn forget(who: Who, deletes: &[(Name, Generation)]) -> Vec<Step> {
    let forget = |&(name, generation): &(Name, Generation)| Step::Forget(who, name, generation);
    deletes.iter().map(forget).chain([Step::Flush(who)]).collect()
}

pub(crate) fn version(generation: Generation) -> Version {
    Version { generation, upload: [generation as u8; 16] }
}

pub(crate) fn path(name: Name) -> FilePath {
    FilePath::parse(name).unwrap()
}

pub(crate) fn aditi() -> UserName {
    UserName::parse("Aditi").unwrap()
}

/// A piece as a client makes it: what it says, its body with the table, and the file that is kept.
pub(crate) struct Piece {
    pub claim: Claim,
    pub payload: Vec<u8>,
    pub file: Vec<u8>,
}

impl Piece {
    /// Always the same for the same name, generation and number, and different from every other.
    pub(crate) fn of(name: Name, generation: Generation, number: u8) -> &'static Piece {
        type Made = Mutex<BTreeMap<(Name, Generation, u8), &'static Piece>>;
        static MADE: OnceLock<Made> = OnceLock::new();
        let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
        made.entry((name, generation, number))
            .or_insert_with(|| Box::leak(Box::new(Piece::make(name, generation, number))))
    }

    fn make(name: Name, generation: Generation, number: u8) -> Self {
        let size = match name.starts_with("large") {
            true => 1_400_000 + generation,
            _ if name.starts_with("huge") => 9_000_000 + generation,
            // The same bytes in every generation.
            _ if name.starts_with("big") => 6_000_000,
            false => 600 + generation,
        };
        let facts = Facts { version: version(generation), size, replicas: 2, ..Facts::default() };
        let key = WrappedKey { check: [1; 16], block: [2; 16], bytes: [3; 32] };
        let header = match number {
            TOMBSTONE => Header::tombstone(aditi(), path(name), facts.version, facts.replicas, key.check),
            _ => Header::data(aditi(), path(name), facts, number, key),
        };
        let seed = if name.starts_with("big") { 0 } else { generation };
        let mut random = Random(seed << 8 | u64::from(number));
        let mut payload: Vec<u8> = (0..header.body_size()).map(|_| random.next() as u8).collect();
        let mut hasher = ChunkHasher::new(header.stored_chunk_size());
        let mut table: Vec<u8> = Vec::new();
        hasher.update(&payload, |hash| table.extend(hash));
        let root = hasher.finish(|hash| table.extend(hash));
        payload.extend(table);
        let seal = master_key().seal(&header.encode(), &root);
        let mut piece = Self { claim: Claim { header, root, seal }, payload, file: Vec::new() };
        piece.file = piece.stored();
        piece
    }

    /// What a server lists of all its chunks.
    pub(crate) fn chunks(&self) -> Vec<u8> {
        let header = &self.claim.header;
        let chunk = |chunk| header.stored_chunk(chunk);
        let body = (0..header.chunks()).map(|number| &self.payload[as_usize(chunk(number))]);
        body.flat_map(|bytes| [&bytes[..12], &sha256(bytes)[..]].concat()).collect()
    }

    /// The file that a store makes of it when nothing goes wrong.
    fn stored(&self) -> Vec<u8> {
        let disk = new_disk();
        let server = Server::start(&disk).unwrap();
        let mut batch = Batch::default();
        let connection = server.store.connect();
        receive(&server.store, connection, &self.claim, &self.payload, &mut batch).unwrap();
        server.store.flush(&mut batch).unwrap();
        let files = disk.files_below(&own().join("staged"));
        assert_eq!(files.len(), 1);
        files[0].1.to_vec()
    }
}

/// SplitMix64: what is drawn from it is the same in every run.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The servers' folder. The store asks the operating system once whether it is one file system, so it
/// exists; its contents are in memory.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("store_faults")
}

pub(crate) fn published() -> PathBuf {
    root().join(SERVER)
}

pub(crate) fn own() -> PathBuf {
    root().join(format!(".{SERVER}"))
}

pub(crate) fn users_folder() -> PathBuf {
    published().join("Aditi")
}

/// A disk on which a server has never run.
pub(crate) fn new_disk() -> MemoryDisk {
    MemoryDisk::with(&[published(), own()])
}

struct Client {
    connection: Connection,
    batch: Batch<MemoryDisk>,
    /// What the batch will have done.
    waiting: Vec<Step>,
    /// What a batch was to do that failed.
    failed: Vec<Step>,
}

/// A server process and its clients.
pub(crate) struct Server {
    disk: MemoryDisk,
    store: Store<MemoryDisk>,
    clients: BTreeMap<Who, Client>,
}

impl Server {
    pub(crate) fn start(disk: &MemoryDisk) -> Result<Self, StoreError> {
        let store =
            Store::open(disk.clone(), &root(), &ServerName::parse(SERVER).unwrap(), NOW, &mut |_| ())?;
        let mut settled = Ok(());
        store.recover_all(|_, error| settled = Err(error));
        settled.map(|()| Self { disk: disk.clone(), store, clients: BTreeMap::new() })
    }

    pub(crate) fn look(&self, name: Name) -> Result<NameReport, StoreError> {
        self.store.look(&aditi(), &path(name))
    }

    pub(crate) fn is_sound(&self, name: Name, piece: u8, version: Version) -> Result<bool, StoreError> {
        self.store.is_sound(&aditi(), &path(name), piece, version)
    }

    /// How many chunks of a piece it lists.
    pub(crate) fn lists_chunks(
        &self,
        name: Name,
        generation: Generation,
        piece: u8,
    ) -> Result<usize, StoreError> {
        let listed = self.store.chunks(&aditi(), &path(name), piece, version(generation))?;
        Ok(listed.len() / 44)
    }

    /// Whether a change of key is known: no other can take its place.
    pub(crate) fn knows_change(&self, retired: u8) -> bool {
        let asked = self.store.rekey(self.store.connect(), &aditi(), change(retired, 0xee));
        matches!(asked, Err(StoreError::Refused(Refused::Rekeyed)))
    }

    /// Takes a step, and notes first what may come of it, then what was acknowledged.
    pub(crate) fn take(&mut self, step: Step, ledger: &mut Ledger) -> Result<(), StoreError> {
        ledger.asks(step);
        let done = self.ask(step);
        match (&done, step) {
            (Ok(()), Step::Flush(who)) => {
                let waiting = self.clients.get_mut(&who).map(|c| std::mem::take(&mut c.waiting));
                waiting.into_iter().flatten().for_each(|step| ledger.acknowledges(step));
            }
            (
                Ok(()),
                Step::Stage(who, ..)
                | Step::Resume(who, ..)
                | Step::Commit(who, ..)
                | Step::Retire(who, ..)
                | Step::Forget(who, ..),
            ) => {
                self.client(who).waiting.push(step);
            }
            (Ok(()), _) => ledger.acknowledges(step),
            (Err(_), Step::Flush(who)) => {
                let client = self.client(who);
                client.failed = std::mem::take(&mut client.waiting);
            }
            (Err(_), _) => {}
        }
        done
    }

    /// Takes a step that failed once more; if it was a flush, with all that it should have flushed.
    pub(crate) fn take_again(&mut self, step: Step, ledger: &mut Ledger) -> Result<(), StoreError> {
        let mut again = std::mem::take(&mut self.client(step.who()).failed);
        again.push(step);
        again.into_iter().try_for_each(|step| match (step, self.take(step, ledger)) {
            // The first attempt has forgotten it.
            (Step::Forget(..), Err(StoreError::NotFound)) => {
                ledger.acknowledges(step);
                Ok(())
            }
            (_, taken) => taken,
        })
    }

    /// The clients go away, as a server sees it: what they have asked for is still flushed.
    pub(crate) fn everybody_leaves(&mut self, ledger: &mut Ledger) {
        let clients: Vec<Who> = self.clients.keys().copied().collect();
        for who in clients {
            // Whether that works is what the ledger is for.
            let _ = self.take(Step::Flush(who), ledger);
            let _ = self.take(Step::Leave(who), ledger);
        }
    }

    fn client(&mut self, who: Who) -> &mut Client {
        self.clients.entry(who).or_insert_with(|| Client {
            connection: self.store.connect(),
            batch: Batch::default(),
            waiting: Vec::new(),
            failed: Vec::new(),
        })
    }

    fn ask(&mut self, step: Step) -> Result<(), StoreError> {
        let connection = self.client(step.who()).connection;
        let (user, store) = (aditi(), &self.store);
        let Some(Client { batch, .. }) = self.clients.get_mut(&step.who()) else { return Ok(()) };
        match step {
            Step::LogIn(_) => store.make_user(&user),
            Step::Stage(_, name, generation, number) => {
                let piece = Piece::of(name, generation, number);
                receive(store, connection, &piece.claim, &piece.payload, batch)
            }
            Step::CutOff(_, name, generation, number) => {
                let piece = Piece::of(name, generation, number);
                let mut incoming = resume(store, connection, piece, (version(generation), 0))?;
                take(&mut incoming, &piece.payload[..piece.payload.len() / 4 * 3])?;
                store.keep_partial(incoming);
                Ok(())
            }
            Step::Resume(_, name, from, generation, number) => {
                let piece = Piece::of(name, generation, number);
                let listed = store.chunks(&user, &path(name), number, version(from)).unwrap_or_default();
                let chunks =
                    listed.iter().zip(piece.chunks()).take_while(|(one, other)| *one == other).count();
                let mut incoming = resume(store, connection, piece, (version(from), (chunks / 44) as u64))?;
                let missing = usize::try_from(incoming.missing()).unwrap();
                let rest = &piece.payload[piece.payload.len() - missing..];
                take(&mut incoming, rest)?;
                let mut mac = mac();
                mac.update(rest);
                store.stage_end(incoming, &piece.claim.root, &piece.claim.seal, Some(&mac.finish()), batch)
            }
            Step::Commit(_, name, generation) => {
                store.commit(connection, &user, &path(name), version(generation), batch)
            }
            Step::Flush(_) => store.flush(batch),
            Step::Leave(who) => {
                store.disconnect(&user, connection);
                self.clients.remove(&who);
                Ok(())
            }
            Step::Fence(_, name, generation) => store.fence(&user, &path(name), version(generation)),
            Step::Abort(_, name, generation) => {
                store.abort(connection, &user, &path(name), version(generation))
            }
            Step::Retire(_, name, generation) => {
                store.retire(&user, path(name), version(generation), batch);
                Ok(())
            }
            Step::Forget(_, name, generation) => store.forget(&user, path(name), version(generation), batch),
            Step::ToOldLayout => {
                to_old_layout(&self.disk);
                Ok(())
            }
            Step::Rekey(_, retired, current) => store.rekey(connection, &user, change(retired, current)),
        }
    }
}

/// Earlier servers had no folders for users in these.
fn to_old_layout(disk: &MemoryDisk) {
    for directory in ["staged", "tombstones"].map(|name| own().join(name)) {
        let users = directory.join("Aditi");
        for (entry, _) in disk.entries(&users).unwrap() {
            disk.rename(&users.join(&entry), &directory.join(&entry)).unwrap();
        }
        disk.sync_dir(&directory).unwrap();
        disk.sync_dir(&users).unwrap();
        disk.remove_dir(&users).unwrap();
        disk.sync_dir(&directory).unwrap();
    }
}

fn change(retired: u8, current: u8) -> KeyChange {
    KeyChange { retired: [retired; 16], current: [current; 16] }
}

/// In parts, as they come from the network.
pub(crate) fn receive<D: Disk>(
    store: &Store<D>,
    connection: Connection,
    claim: &Claim,
    payload: &[u8],
    batch: &mut Batch<D>,
) -> Result<(), StoreError> {
    let Claim { header, root, seal } = claim;
    let mut staging = store.stage(connection, header.clone(), None, None, batch)?;
    take(&mut staging, payload)?;
    store.stage_end(staging, root, seal, None, batch)
}

fn take<D: Disk>(staging: &mut IncomingPiece<'_, D>, payload: &[u8]) -> Result<(), StoreError> {
    for mut part in payload.chunks(100_000) {
        while !part.is_empty() {
            let room = staging.room();
            let taken = room.len().min(part.len());
            room[..taken].copy_from_slice(&part[..taken]);
            staging.advance(taken)?;
            part = &part[taken..];
        }
    }
    Ok(())
}

/// Begins a piece with so many chunks of what is there of a version.
fn resume<'a>(
    store: &'a Store<MemoryDisk>,
    connection: Connection,
    piece: &Piece,
    from: (Version, u64),
) -> Result<IncomingPiece<'a, MemoryDisk>, StoreError> {
    let header = piece.claim.header.clone();
    let opening = master_key().seal_opening(&header.encode());
    store.resume(connection, header, &opening, from, mac())
}

/// That of a payload; here all have the same.
fn mac() -> PayloadMac {
    PayloadMac::new(&[5; 32], 1)
}

fn master_key() -> MasterKey {
    MasterKey::from_key(&[7; 32])
}

fn as_usize(range: std::ops::Range<u64>) -> std::ops::Range<usize> {
    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
}
