//! restic with a repository on the same disk. A new one for each round: it would know the bytes again.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{alone, split};
use crate::Fallible;
use crate::contest::{Contestant, Job};
use crate::ours::PASSWORD;
use crate::process::output;
use crate::scratch::Scratch;

pub(super) struct Restic {
    folder: PathBuf,
}

impl Restic {
    pub(super) fn new(scratch: &Scratch) -> Fallible<Self> {
        Ok(Self { folder: scratch.folder("restic")? })
    }

    fn restic(&self, job: &Job<'_>) -> Command {
        let mut command = alone("restic", &self.folder);
        command.env("RESTIC_PASSWORD", PASSWORD).arg("-q");
        command.arg("-r").arg(self.folder.join(format!("{}.repo", job.tag)));
        command
    }
}

impl Contestant for Restic {
    fn name(&self) -> String {
        "restic".into()
    }

    fn does(&self) -> &'static str {
        "no network, 1 copy, encrypted, checked, deduplicated, synced"
    }

    fn prepare(&mut self, job: &Job<'_>) -> Fallible<()> {
        output(self.restic(job).arg("init")).map(drop)
    }

    fn up(&mut self, job: &Job<'_>) -> Fallible<Command> {
        let (parent, name) = split(job.source)?;
        let mut command = self.restic(job);
        command.current_dir(parent).arg("backup").arg(name);
        Ok(command)
    }

    fn down(&mut self, job: &Job<'_>) -> Fallible<Command> {
        let mut command = self.restic(job);
        command.args(["restore", "latest", "--target"]).arg(self.folder.join(job.tag));
        Ok(command)
    }

    fn arrived(&self, job: &Job<'_>) -> Option<PathBuf> {
        Some(self.folder.join(job.tag).join(split(job.source).ok()?.1))
    }

    fn forget(&mut self, job: &Job<'_>) -> Fallible<()> {
        Ok(fs::remove_dir_all(self.folder.join(format!("{}.repo", job.tag)))?)
    }
}
