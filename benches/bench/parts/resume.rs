//! What it costs that a transfer is cut off: bytes that the servers wrote or read in both runs of the same command, by
//! bytes that were wanted.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Stage;
use super::death::{ASK_EVERY, bytes_of};
use crate::contest::progress;
use crate::ours::{Cluster, base};
use crate::stats::Sample;
use crate::table::Unit;
use crate::{Fallible, inputs};

const SIZE: u64 = 512 << 20;
const QUICK_SIZE: u64 = 64 << 20;
const COPIES: u64 = 2;
/// When the client is killed: when the servers have written or read so much of what is wanted.
const KILLED_AT: [(f64, &str); 2] = [(0.5, "half"), (0.9, "nine tenths")];

pub(super) fn run(stage: &mut Stage<'_>) -> Fallible<()> {
    if !stage.options.wants("shareit") {
        return Ok(());
    }
    let size = if stage.options.quick { QUICK_SIZE } else { SIZE };
    let folder = stage.scratch.folder("resume")?;
    let source = inputs::file(&folder, "large.bin", size)?;
    let rounds = stage.options.rounds(3, 1);
    for (part, words) in KILLED_AT {
        for build in stage.builds() {
            let (mut up, mut down) = (Sample::default(), Sample::default());
            for round in 1..=rounds {
                progress(&format!("resume at {words}, round {round} of {rounds}"));
                let cluster = Cluster::start(&build, stage.scratch)?;
                let mut upload = cluster.direct_client();
                upload.arg("Upload").arg(&source);
                up.push(cut_off_and_run_again(&cluster, upload, "wchar", COPIES * size, part)?);
                let mut download = cluster.direct_client();
                download.arg("Download").arg(base(&source)?);
                down.push(cut_off_and_run_again(&cluster, download, "rchar", size, part)?);
                must_be_equal(&source, &cluster.download(base(&source)?))?;
            }
            for (way, sample) in [("up", up), ("down", down)] {
                let task = format!("{} {way}, cut off at {words}", inputs::size_name(size));
                let note = "bytes that servers wrote or read in both runs, by bytes wanted";
                stage.table.row(&task, &build.name, Unit::Plain, &sample, note);
            }
        }
    }
    progress("");
    fs::remove_file(source)?;
    Ok(())
}

/// Runs a client, kills it on the way, and runs it again; returns what the servers' counter went up by as a multiple of
/// `wanted`.
fn cut_off_and_run_again(
    cluster: &Cluster,
    mut command: Command,
    counter: &str,
    wanted: u64,
    part: f64,
) -> Fallible<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let count =
        || cluster.servers.iter().map(|server| bytes_of(server.pid(), counter)).sum::<Fallible<u64>>();
    let before = count()?;
    let mut client = command.spawn()?;
    while count()? - before < (wanted as f64 * part) as u64 {
        if let Some(status) = client.try_wait()? {
            return Err(format!("the command ended with {status} before it was to be killed").into());
        }
        std::thread::sleep(ASK_EVERY);
    }
    client.kill()?;
    client.wait()?;
    match command.status()? {
        status if status.success() => Ok((count()? - before) as f64 / wanted as f64),
        status => Err(format!("the same command again ended with {status}").into()),
    }
}

fn must_be_equal(one: &Path, other: &Path) -> Fallible<()> {
    match Command::new("cmp").arg(one).arg(other).status()?.success() {
        true => Ok(()),
        false => Err(format!("{} came back different", one.display()).into()),
    }
}
