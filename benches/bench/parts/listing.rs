//! A folder with very many files.
//!
//! They are put on the servers' disks by the store itself, with the syncs left out: uploading them would take
//! many minutes, and what is measured is the listing.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;

use shareit::name::{FilePath, ServerName, UserName};
use shareit::placement;
use shareit::primitives::sha256;
use shareit::sealed::{ChunkHasher, Facts, FileKey, Header, MasterKey};
use shareit::store::{Batch, Disk, OsDisk, Store, Watch};
use shareit::version::Version;

use super::Stage;
use crate::contest::{Rules, progress, timed};
use crate::ours::{Build, Cluster, PASSWORD, USER};
use crate::process::peak_memory;
use crate::settle::settle;
use crate::stats::Sample;
use crate::table::Unit;
use crate::{Fallible, memory};

const COUNT: usize = 100_000;
const QUICK_COUNT: usize = 5_000;
const SERVERS: usize = 4;
const REPLICAS: u8 = 2;
/// Files that are staged and committed together.
const BATCH: usize = 100;
const WARM: u64 = 512 << 20;

pub(super) fn run(stage: &mut Stage<'_>) -> Fallible<()> {
    let count = stage.options.files.unwrap_or(if stage.options.quick { QUICK_COUNT } else { COUNT });
    settle(stage.scratch)?;
    let rounds = stage.options.rounds(5, 3);
    let rules = Rules { scratch: stage.scratch, rounds, peer_rounds: rounds, warm: WARM, forget: false };
    for build in stage.builds() {
        let cluster = seeded(stage, &build, count)?;
        let mut sample = Sample::default();
        for round in 1..=rounds {
            progress(&format!("listing, round {round} of {rounds}"));
            sample.push(timed(cluster.direct_client().args(["ShowFiles", "many"]), &rules)?);
        }
        let mut list = cluster.direct_client();
        let client = peak_memory(list.args(["ShowFiles", "many"]), &stage.scratch.path().join("errors"))?;
        let server = memory::of_process(cluster.servers[0].pid(), "VmHWM:")?;
        progress("");
        let task = format!("list {count} files");
        stage.table.row(
            &task,
            &build.name,
            Unit::Seconds,
            &sample,
            "empty ones, 2 copies on 4 servers, all checked",
        );
        stage.table.rate(format!("{:.0} files/s", count as f64 / sample.median()));
        for (bytes, note) in [(client, "peak memory of the client"), (server, "peak memory of a server")] {
            stage.table.row(&task, &build.name, Unit::Memory, &[bytes as f64].into_iter().collect(), note);
        }
    }
    Ok(())
}

fn seeded(stage: &Stage<'_>, build: &Build, count: usize) -> Fallible<Cluster> {
    let mut cluster = Cluster::new(build, stage.scratch)?;
    let key = MasterKey::from_password(&user()?, PASSWORD);
    let root = cluster.root();
    thread::scope(|scope| {
        let seed = |server| seed(&root, server, count, &key);
        let threads: Vec<_> = (0..SERVERS).map(|server| scope.spawn(move || seed(server))).collect();
        threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|_| Err("a thread panicked".into())))
    })?;
    cluster.run(stage.scratch, None)?;
    Ok(cluster)
}

fn user() -> Fallible<UserName> {
    UserName::parse(USER).map_err(|e| e.to_string().into())
}

/// What one server holds of the files `many/000000` and so on.
fn seed(root: &Path, server: usize, count: usize, key: &MasterKey) -> Fallible<()> {
    let name = ServerName::parse(&format!("Server{}", server + 1)).map_err(|e| e.to_string())?;
    let store = Store::open(Hasty(OsDisk::default()), root, &name, 0, &mut |_| ())?;
    store.make_user(&user()?)?;
    let connection = store.connect();
    let hasher = || ChunkHasher::new(1);
    let root_hash = hasher().finish(|_| ());
    for first in (0..count).step_by(BATCH) {
        if server == 0 {
            progress(&format!("listing: {first} of {count} files are there"));
        }
        let mut batch = Batch::default();
        for number in first..count.min(first + BATCH) {
            let path = FilePath::parse(&format!("many/{number:06}")).map_err(|e| e.to_string())?;
            let hash = sha256(path.as_str().as_bytes());
            let holders = placement::Scheme::Copies.holders(&hash, &[true; SERVERS], REPLICAS.into());
            // Nothing is encrypted with these, so nothing is lost if they are the same for all.
            let version = Version { generation: 1, upload: [1; 16] };
            let wrap_block = [number.to_be_bytes(), server.to_be_bytes()].concat();
            let wrap_block: [u8; 16] = wrap_block.try_into().map_err(|_| "not 64 bits")?;
            for piece in placement::pieces() {
                if !holders[usize::from(piece) - 1].contains(&server) {
                    continue;
                }
                let facts = Facts { version, replicas: REPLICAS, ..Facts::default() };
                let wrapped = key.wrap(&FileKey::new([1; 32]), wrap_block);
                let header = Header::data(user()?, path.clone(), facts, piece, wrapped);
                let seal = key.seal(&header.encode(), &root_hash);
                let staging = store.stage(connection, header, None, None, &mut batch)?;
                store.stage_end(staging, &root_hash, &seal, None, &mut batch)?;
            }
            store.commit(connection, &user()?, &path, version, &mut batch)?;
        }
        store.flush(&mut batch)?;
    }
    Ok(())
}

/// A disk that does not wait to be safe.
struct Hasty(OsDisk);

impl Disk for Hasty {
    type File = File;
    type Watch = Watch;

    fn create(&self, path: &Path) -> io::Result<File> {
        self.0.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.0.open(path)
    }

    fn reopen(&self, path: &Path, length: u64) -> io::Result<File> {
        self.0.reopen(path, length)
    }

    fn len(&self, file: &File) -> io::Result<u64> {
        self.0.len(file)
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        Ok(())
    }

    fn watch(&self, _folder: &Path) -> Option<Watch> {
        None
    }

    fn sync_whole(&self, _watch: &Watch, _files: usize) -> io::Result<bool> {
        Ok(true)
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
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
        self.0.entries(path)
    }
}
