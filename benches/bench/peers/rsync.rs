//! rsync to a daemon of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{alone, free_port};
use crate::Fallible;
use crate::contest::{Contestant, Job};
use crate::process::{Daemon, output};
use crate::scratch::Scratch;

pub(crate) struct Rsync {
    _server: Daemon,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Rsync {
    pub(crate) fn start(scratch: &Scratch) -> Fallible<Self> {
        let folder = scratch.folder("rsync")?;
        for name in ["stored", "fetched"] {
            fs::create_dir(folder.join(name))?;
        }
        let user = output(Command::new("id").arg("-un"))?;
        let group = output(Command::new("id").arg("-gn"))?;
        let store = folder.join("stored");
        let conf = format!(
            "use chroot = no\nuid = {}\ngid = {}\n[bench]\npath = {}\nread only = no\n",
            user.trim(),
            group.trim(),
            store.display()
        );
        fs::write(folder.join("rsyncd.conf"), conf)?;
        let port = free_port()?;
        let mut daemon = Command::new("rsync");
        daemon.args(["--daemon", "--no-detach", "--address=127.0.0.1", "--log-file=/dev/stderr"]);
        daemon.arg(format!("--port={port}")).arg(format!("--config={}/rsyncd.conf", folder.display()));
        let mut server = Daemon::start(&mut daemon, folder.join("log"), scratch.watch())?;
        server.wait_for("rsync's readiness", |log| log.contains("listening on port").then_some(()))?;
        Ok(Self { _server: server, port, folder })
    }

    fn rsync(&self) -> Command {
        let mut command = alone("rsync", &self.folder);
        // Files that already exist there with the same size and time are sent too: a second fetch must fetch again.
        command.args(["-a", "-I"]);
        command
    }

    /// To a server at this port, under this name: the slash means that the folder itself gets the name.
    pub(crate) fn up_at(&self, port: u16, source: &Path, name: &str) -> Command {
        let mut command = self.rsync();
        let end = if source.is_dir() { "/" } else { "" };
        command.arg(format!("{}{end}", source.display()));
        command.arg(format!("rsync://127.0.0.1:{port}/bench/{name}"));
        command
    }

    pub(crate) fn down_at(&self, port: u16, name: &str) -> Command {
        let mut command = self.rsync();
        command.arg(format!("rsync://127.0.0.1:{port}/bench/{name}")).arg(self.folder.join("fetched"));
        command
    }

    /// Logs in and lists what is stored.
    pub(crate) fn list_at(&self, port: u16) -> Command {
        let mut command = alone("rsync", &self.folder);
        command.arg("--list-only").arg(format!("rsync://127.0.0.1:{port}/bench/"));
        command
    }
}

impl Contestant for Rsync {
    fn name(&self) -> String {
        "rsync".into()
    }

    fn does(&self) -> &'static str {
        "1 server (its own daemon), 1 copy, not encrypted, checked, not synced"
    }

    fn up(&mut self, job: &Job<'_>) -> Fallible<Command> {
        Ok(self.up_at(self.port, job.source, job.tag))
    }

    fn down(&mut self, job: &Job<'_>) -> Fallible<Command> {
        Ok(self.down_at(self.port, job.tag))
    }

    fn arrived(&self, job: &Job<'_>) -> Option<PathBuf> {
        Some(self.folder.join("fetched").join(job.tag))
    }

    fn forget(&mut self, job: &Job<'_>) -> Fallible<()> {
        Ok(fs::remove_file(self.folder.join("stored").join(job.tag))?)
    }
}
