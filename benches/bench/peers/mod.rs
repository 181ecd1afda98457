//! Other programs for comparable tasks, where they are installed, with their normal settings.
//!
//! They do not do the same as ShareIt, and each says what it does. Servers run on free ports of this machine,
//! as the user who measures, with all that they need in the scratch folder.

mod borg;
mod openssl;
mod rclone;
mod restic;
mod rsync;
mod scp;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fallible;
use crate::contest::Contestant;
use crate::options::Options;
use crate::process::path_of;
use crate::scratch::Scratch;

pub(crate) use rsync::Rsync;
pub(crate) use scp::Scp;

type Start = fn(&Scratch) -> Fallible<Box<dyn Contestant>>;

/// A name, the programs that it needs, and how to start it.
const PEERS: [(&str, &[&str], Start); 6] = [
    ("scp", &["sshd", "scp", "ssh-keygen"], |s| Ok(Box::new(Scp::start(s)?))),
    ("rsync", &["rsync"], |s| Ok(Box::new(Rsync::start(s)?))),
    ("rclone", &["rclone"], |s| Ok(Box::new(rclone::Rclone::start(s)?))),
    ("restic", &["restic"], |s| Ok(Box::new(restic::Restic::new(s)?))),
    ("borg", &["borg"], |s| Ok(Box::new(borg::Borg::new(s)?))),
    ("openssl", &["openssl"], |_| Ok(Box::new(openssl::Openssl))),
];

/// Those that are wanted and installed; what is missing is told on standard error.
pub(crate) fn installed(options: &Options, scratch: &Scratch) -> Vec<Box<dyn Contestant>> {
    let mut all = Vec::new();
    for (name, programs, start) in PEERS {
        if !options.wants(name) {
            continue;
        }
        if let Some(missing) = programs.iter().find(|program| path_of(program).is_none()) {
            eprintln!("{name} is left out: {missing} is not installed");
            continue;
        }
        match start(scratch) {
            Ok(contestant) => all.push(contestant),
            Err(error) => eprintln!("{name} is left out: {error}"),
        }
    }
    all
}

/// A port that nobody uses at this moment, for servers that do not say which one they took.
fn free_port() -> Fallible<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A program that is to find none of the user's own settings and caches.
fn alone(program: &str, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("HOME", home).env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME");
    command
}

/// The folder of a source and the source's name in it.
fn split(source: &Path) -> Fallible<(PathBuf, String)> {
    let parent = source.parent().ok_or("a source without a folder")?;
    Ok((parent.to_path_buf(), crate::ours::base(source)?.to_owned()))
}
