//! borg with a repository on the same disk. A new one for each round: it would know the bytes again.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{alone, split};
use crate::Fallible;
use crate::contest::{Contestant, Job};
use crate::ours::PASSWORD;
use crate::process::output;
use crate::scratch::Scratch;

pub(super) struct Borg {
    folder: PathBuf,
}

impl Borg {
    pub(super) fn new(scratch: &Scratch) -> Fallible<Self> {
        Ok(Self { folder: scratch.folder("borg")? })
    }

    fn borg(&self) -> Command {
        let mut command = alone("borg", &self.folder);
        command.env("BORG_BASE_DIR", &self.folder).env("BORG_PASSPHRASE", PASSWORD);
        command
    }

    fn repository(&self, job: &Job<'_>) -> PathBuf {
        self.folder.join(format!("{}.repo", job.tag))
    }

    fn archive(&self, job: &Job<'_>) -> String {
        format!("{}::a", self.repository(job).display())
    }
}

impl Contestant for Borg {
    fn name(&self) -> String {
        "borg".into()
    }

    fn does(&self) -> &'static str {
        "no network, 1 copy, encrypted, checked, deduplicated, synced"
    }

    fn prepare(&mut self, job: &Job<'_>) -> Fallible<()> {
        fs::create_dir(self.folder.join(job.tag))?;
        output(self.borg().args(["init", "-e", "repokey"]).arg(self.repository(job))).map(drop)
    }

    fn up(&mut self, job: &Job<'_>) -> Fallible<Command> {
        let (parent, name) = split(job.source)?;
        let mut command = self.borg();
        command.current_dir(parent).arg("create").arg(self.archive(job)).arg(name);
        Ok(command)
    }

    fn down(&mut self, job: &Job<'_>) -> Fallible<Command> {
        let mut command = self.borg();
        command.current_dir(self.folder.join(job.tag)).arg("extract").arg(self.archive(job));
        Ok(command)
    }

    fn arrived(&self, job: &Job<'_>) -> Option<PathBuf> {
        Some(self.folder.join(job.tag).join(split(job.source).ok()?.1))
    }

    fn forget(&mut self, job: &Job<'_>) -> Fallible<()> {
        Ok(fs::remove_dir_all(self.repository(job))?)
    }
}
