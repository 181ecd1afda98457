//! openssl as a yardstick: what cryptography alone costs on this machine.

use std::path::PathBuf;
use std::process::Command;

use crate::Fallible;
use crate::contest::{Contestant, Job};
use crate::ours::PASSWORD;

pub(super) struct Openssl;

/// Of a folder, all files one after another.
const FOLDER: &str = r#"
    cat "$1"/* | openssl enc -aes-256-ctr -pbkdf2 -pass env:PASSWORD -out /dev/null &&
    cat "$1"/* | openssl dgst -sha256
"#;
const FILE: &str = r#"
    openssl enc -aes-256-ctr -pbkdf2 -pass env:PASSWORD -in "$1" -out /dev/null &&
    openssl dgst -sha256 "$1"
"#;

fn command(job: &Job<'_>) -> Command {
    let mut command = Command::new("sh");
    let script = if job.source.is_dir() { FOLDER } else { FILE };
    command.env("PASSWORD", PASSWORD).args(["-c", script, "sh"]).arg(job.source);
    command
}

impl Contestant for Openssl {
    fn name(&self) -> String {
        "openssl".into()
    }

    fn does(&self) -> &'static str {
        "no network, no copy: AES-256-CTR, then SHA-256, one thread"
    }

    fn up(&mut self, job: &Job<'_>) -> Fallible<Command> {
        Ok(command(job))
    }

    /// The same work: there is no difference between encrypting and decrypting in this mode.
    fn down(&mut self, job: &Job<'_>) -> Fallible<Command> {
        Ok(command(job))
    }

    fn arrived(&self, _job: &Job<'_>) -> Option<PathBuf> {
        None
    }

    fn forget(&mut self, _job: &Job<'_>) -> Fallible<()> {
        Ok(())
    }
}
