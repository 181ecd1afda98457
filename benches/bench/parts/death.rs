//! What it costs that a server dies in the middle of an upload: bytes that the servers wrote, by bytes that were
//! wanted.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use super::Stage;
use crate::contest::progress;
use crate::ours::{Build, Cluster};
use crate::stats::Sample;
use crate::table::Unit;
use crate::{Fallible, inputs};

const SIZE: u64 = 512 << 20;
const QUICK_SIZE: u64 = 64 << 20;
/// Of two copies on four servers, each holds this much of the file.
const SHARE: f64 = 0.5;
/// When the server is killed: when it has written so much of its share.
const KILLED_AT: [(f64, &str); 2] = [(0.5, "half"), (0.9, "nine tenths")];
/// Which of the four.
const DOOMED: usize = 2;
pub(super) const ASK_EVERY: Duration = Duration::from_millis(1);

pub(super) fn run(stage: &mut Stage<'_>) -> Fallible<()> {
    if !stage.options.wants("shareit") {
        return Ok(());
    }
    let size = if stage.options.quick { QUICK_SIZE } else { SIZE };
    let folder = stage.scratch.folder("death")?;
    let source = inputs::file(&folder, "large.bin", size)?;
    let rounds = stage.options.rounds(3, 1);
    for (part, words) in KILLED_AT {
        for build in stage.builds() {
            let mut sample = Sample::default();
            for round in 1..=rounds {
                progress(&format!("death at {words}, round {round} of {rounds}"));
                sample.push(written(stage, &build, &source, size, part)?);
            }
            let task = format!("{} up, a server dies at {words}", inputs::size_name(size));
            let note = "bytes written by bytes wanted: two copies, and what the dead server had";
            stage.table.row(&task, &build.name, Unit::Plain, &sample, note);
        }
    }
    progress("");
    fs::remove_file(source)?;
    Ok(())
}

/// Uploads the file, kills a server on the way, and returns what all servers wrote as a multiple of what was wanted.
fn written(stage: &Stage<'_>, build: &Build, source: &Path, size: u64, part: f64) -> Fallible<f64> {
    let mut cluster = Cluster::start(build, stage.scratch)?;
    let mut command = cluster.direct_client();
    command.arg("Upload").arg(source).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let fatal = (size as f64 * SHARE * part) as u64;
    let mut client = command.spawn()?;
    let mut lost = 0;
    let status = loop {
        if lost == 0 {
            let now = bytes_of(cluster.servers[DOOMED].pid(), "wchar")?;
            if now >= fatal {
                lost = now;
                drop(cluster.servers.remove(DOOMED));
            }
        }
        match client.try_wait()? {
            Some(status) => break status,
            None => thread::sleep(ASK_EVERY),
        }
    };
    if !status.success() || lost == 0 {
        return Err(format!(
            "the upload ended with {status}, and {lost} bytes on the server that was to die"
        )
        .into());
    }
    let others =
        cluster.servers.iter().map(|server| bytes_of(server.pid(), "wchar")).sum::<Fallible<u64>>()?;
    Ok((lost + others) as f64 / (2 * size + lost) as f64)
}

/// Bytes that a process has read (rchar) or written (wchar) with files; sockets do not count (proc_pid_io(5)).
pub(super) fn bytes_of(process: u32, counter: &str) -> Fallible<u64> {
    let path = format!("/proc/{process}/io");
    let text = fs::read_to_string(&path)?;
    let of_counter = |line: &str| line.strip_prefix(counter)?.strip_prefix(": ")?.parse().ok();
    text.lines().find_map(of_counter).ok_or_else(|| format!("{path} has no {counter}").into())
}
