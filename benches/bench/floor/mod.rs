//! The floor: a program that does only what cannot be left out, as well as it can be done on this machine.
//!
//! It has what ShareIt's tasks need: each byte is read, encrypted (AES-256-CTR), hashed (SHA-256), sent twice
//! over TCP to four server processes, and on the disk of both when the client ends. It has no login, no
//! versions, no commit in two steps, no names to check, no tables, and its servers do not look at the bytes.

mod client;
mod server;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fallible;
use crate::contest::{Contestant, Job};
use crate::process::{Daemon, own_program};
use crate::scratch::Scratch;

pub(crate) use crate::inputs::small_name;

/// The four servers, and how to call the client.
pub(crate) struct Floor {
    servers: Vec<Daemon>,
    ports: Vec<String>,
    pub(crate) folder: PathBuf,
}

impl Floor {
    pub(crate) fn start(scratch: &Scratch) -> Fallible<Self> {
        let folder = scratch.folder("floor")?;
        let mut floor = Self { servers: Vec::new(), ports: Vec::new(), folder };
        for number in 1..=4 {
            let store = floor.folder.join(format!("server{number}"));
            fs::create_dir(&store)?;
            let mut command = Command::new(own_program());
            command.args(["floor", "serve"]).arg(&store);
            let log = floor.folder.join(format!("server{number}.log"));
            let mut server = Daemon::start(&mut command, log, scratch.watch())?;
            let port = |log: &str| Some(log.split_once("listens on ")?.1.split_once('.')?.0.to_owned());
            floor.ports.push(server.wait_for("a port", port)?);
            floor.servers.push(server);
        }
        Ok(floor)
    }

    fn client(&self, words: &[&str], path: &Path, tag: &str) -> Fallible<Command> {
        let mut command = Command::new(own_program());
        command.arg("floor").args(words).arg(path).arg(tag).args(&self.ports);
        Ok(command)
    }
}

impl Contestant for Floor {
    fn name(&self) -> String {
        "floor".into()
    }

    fn does(&self) -> &'static str {
        "4 servers, 2 copies, encrypted, synced; nothing else"
    }

    fn is_peer(&self) -> bool {
        false
    }

    fn up(&mut self, job: &Job<'_>) -> Fallible<Command> {
        let word = if job.source.is_dir() { "put-many" } else { "put" };
        self.client(&[word], job.source, job.tag)
    }

    fn down(&mut self, job: &Job<'_>) -> Fallible<Command> {
        let place = self.folder.join(job.tag);
        if !job.source.is_dir() {
            let size = job.source.metadata()?.len().to_string();
            return self.client(&["get", &size], &place, job.tag);
        }
        let files = fs::read_dir(job.source)?.count();
        let size = job.source.join(small_name(0)).metadata()?.len();
        self.client(&["get-many", &files.to_string(), &size.to_string()], &place, job.tag)
    }

    fn arrived(&self, job: &Job<'_>) -> Option<PathBuf> {
        Some(self.folder.join(job.tag))
    }

    fn forget(&mut self, job: &Job<'_>) -> Fallible<()> {
        for number in 1..=4 {
            for entry in fs::read_dir(self.folder.join(format!("server{number}")))? {
                let entry = entry?;
                let own = entry.file_name().to_string_lossy().starts_with(&format!("{}.", job.tag));
                if own {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// What this program does when it is started as a part of the floor.
pub(crate) fn run(words: &[&str]) -> Fallible<()> {
    let ports = |words: &[&str]| -> Fallible<Vec<u16>> { words.iter().map(|p| Ok(p.parse()?)).collect() };
    match words {
        ["serve", folder] => server::serve(Path::new(folder)),
        ["put", path, tag, rest @ ..] => client::put(Path::new(path), tag, &ports(rest)?),
        ["get", size, path, tag, rest @ ..] => {
            client::get(Path::new(path), size.parse()?, tag, &ports(rest)?)
        }
        ["put-many", folder, tag, rest @ ..] => client::put_many(Path::new(folder), tag, &ports(rest)?),
        ["get-many", files, size, folder, tag, rest @ ..] => {
            client::get_many(Path::new(folder), files.parse()?, size.parse()?, tag, &ports(rest)?)
        }
        _ => Err(format!("the floor does not know {words:?}").into()),
    }
}
