//! rclone: its encrypting remote over an SFTP server, which rclone brings too. Over its WebDAV server small
//! files take ten times as long.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{alone, free_port, split};
use crate::Fallible;
use crate::contest::{Contestant, Job};
use crate::ours::PASSWORD;
use crate::process::{Daemon, output};
use crate::scratch::Scratch;

pub(super) struct Rclone {
    _server: Daemon,
    folder: PathBuf,
}

impl Rclone {
    pub(super) fn start(scratch: &Scratch) -> Fallible<Self> {
        let folder = scratch.folder("rclone")?;
        let port = free_port()?;
        let password = output(alone("rclone", &folder).args(["obscure", PASSWORD]))?;
        let password = password.trim();
        let conf = format!(
            "[server]\ntype = sftp\nhost = 127.0.0.1\nport = {port}\nuser = bench\npass = {password}\n\
             [crypt]\ntype = crypt\nremote = server:\npassword = {password}\n"
        );
        fs::write(folder.join("rclone.conf"), conf)?;
        let store = folder.join("stored");
        fs::create_dir(&store)?;
        let mut serve = alone("rclone", &folder);
        serve.args(["serve", "sftp", "--user", "bench", "--pass", PASSWORD]);
        serve.arg("--addr").arg(format!("127.0.0.1:{port}")).arg(&store);
        let mut server = Daemon::start(&mut serve, folder.join("log"), scratch.watch())?;
        server.wait_for("rclone's readiness", |log| log.contains("listening on").then_some(()))?;
        Ok(Self { _server: server, folder })
    }

    fn rclone(&self) -> Command {
        let mut command = alone("rclone", &self.folder);
        command.arg("--config").arg(self.folder.join("rclone.conf")).arg("copy");
        command
    }
}

impl Contestant for Rclone {
    fn name(&self) -> String {
        "rclone".into()
    }

    fn does(&self) -> &'static str {
        "1 server (its own, SFTP), 1 copy, encrypted, not synced"
    }

    fn up(&mut self, job: &Job<'_>) -> Fallible<Command> {
        let mut command = self.rclone();
        command.arg(job.source).arg(format!("crypt:{}", job.tag));
        Ok(command)
    }

    fn down(&mut self, job: &Job<'_>) -> Fallible<Command> {
        let mut command = self.rclone();
        command.arg(format!("crypt:{}", job.tag)).arg(self.folder.join(job.tag));
        Ok(command)
    }

    fn arrived(&self, job: &Job<'_>) -> Option<PathBuf> {
        let folder = self.folder.join(job.tag);
        if job.source.is_dir() { Some(folder) } else { Some(folder.join(split(job.source).ok()?.1)) }
    }

    fn forget(&mut self, job: &Job<'_>) -> Fallible<()> {
        let mut command = alone("rclone", &self.folder);
        command.arg("--config").arg(self.folder.join("rclone.conf")).arg("purge");
        output(command.arg(format!("crypt:{}", job.tag))).map(drop)
    }
}
