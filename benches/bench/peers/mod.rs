//! Other programs for comparable tasks, if they are installed, with their normal settings.
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

/// How to know and to start one.
struct Peer {
    name: &'static str,
    /// What must be installed.
    programs: &'static [&'static str],
    /// What prints its version.
    version: [&'static str; 2],
    start: fn(&Scratch) -> Fallible<Box<dyn Contestant>>,
}

const PEERS: [Peer; 6] = [
    Peer {
        name: "scp",
        programs: &["sshd", "scp", "ssh-keygen"],
        version: ["ssh", "-V"],
        start: |scratch| Ok(Box::new(Scp::start(scratch)?)),
    },
    Peer {
        name: "rsync",
        programs: &["rsync"],
        version: ["rsync", "--version"],
        start: |scratch| Ok(Box::new(Rsync::start(scratch)?)),
    },
    Peer {
        name: "rclone",
        programs: &["rclone"],
        version: ["rclone", "version"],
        start: |scratch| Ok(Box::new(rclone::Rclone::start(scratch)?)),
    },
    Peer {
        name: "restic",
        programs: &["restic"],
        version: ["restic", "version"],
        start: |scratch| Ok(Box::new(restic::Restic::new(scratch)?)),
    },
    Peer {
        name: "borg",
        programs: &["borg"],
        version: ["borg", "--version"],
        start: |scratch| Ok(Box::new(borg::Borg::new(scratch)?)),
    },
    Peer {
        name: "openssl",
        programs: &["openssl"],
        version: ["openssl", "version"],
        start: |_| Ok(Box::new(openssl::Openssl)),
    },
];

/// Names and versions of those that are wanted and installed, for one line.
pub(crate) fn versions(options: &Options) -> Option<String> {
    let there = |peer: &&Peer| {
        options.wants(peer.name) && peer.programs.iter().all(|program| path_of(program).is_some())
    };
    let known: Vec<String> = PEERS
        .iter()
        .filter(there)
        .map(|peer| format!("{} {}", peer.name, version(peer.version).unwrap_or_else(|| "?".into())))
        .collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// The first word that looks like a version. ssh prints it to standard error.
fn version([program, argument]: [&str; 2]) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text =
        String::from_utf8_lossy(if output.stdout.is_empty() { &output.stderr } else { &output.stdout });
    let mut words = text.split([' ', ',', '\n']);
    words.find(|w| w.contains('.') && w.contains(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

/// Those that are wanted and installed; what is missing is reported on standard error.
pub(crate) fn installed(options: &Options, scratch: &Scratch) -> Vec<Box<dyn Contestant>> {
    PEERS.iter().filter_map(|peer| one(options, scratch, peer.name, peer.start)).collect()
}

/// One of them, started in a way of its own.
pub(crate) fn one<T>(
    options: &Options,
    scratch: &Scratch,
    name: &str,
    start: impl Fn(&Scratch) -> Fallible<T>,
) -> Option<T> {
    let peer = PEERS.iter().find(|peer| peer.name == name)?;
    if !options.wants(name) {
        return None;
    }
    if let Some(missing) = peer.programs.iter().find(|program| path_of(program).is_none()) {
        eprintln!("{name} is left out: {missing} is not installed");
        return None;
    }
    start(scratch).inspect_err(|error| eprintln!("{name} is left out: {error}")).ok()
}

/// A port that is free at the moment, for servers that do not report which one they took.
fn free_port() -> Fallible<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A program that should find none of the user's own settings and caches.
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
