//! Many clients at once, many sessions that do nothing, and what memory they take.

mod crowds;

use std::path::Path;

use super::Stage;
use crate::contest::{Rules, progress, timed};
use crate::ours::{Build, Cluster};
use crate::process::{Daemon, output, own_program, peak_memory, with_descriptors};
use crate::stats::Sample;
use crate::table::Unit;
use crate::{Fallible, inputs, memory};

const CLIENTS: usize = 64;
const SESSIONS: usize = 1000;
/// What the clients transfer in all, and what one does by itself.
const SIZE: u64 = 1 << 30;
const QUICK_SIZE: u64 = 128 << 20;
const NEWCOMER_SIZE: u64 = 16 << 20;
const WARM: u64 = 512 << 20;
/// Descriptors for a process with many sessions: two each at a client.
const DESCRIPTORS: usize = 4096;

pub(super) fn run(stage: &mut Stage<'_>) -> Fallible<()> {
    if !stage.options.wants("shareit") {
        return Ok(());
    }
    let size = stage.options.size.unwrap_or(if stage.options.quick { QUICK_SIZE } else { SIZE });
    let folder = stage.scratch.folder("many")?;
    let large = inputs::file(&folder, "large.bin", size)?;
    let parts = inputs::files(&folder, "parts", CLIENTS, size / CLIENTS as u64)?;
    for build in stage.builds() {
        peaks(stage, &build, &large)?;
        crowds::at_once(stage, &build, &large, &parts)?;
        idle(stage, &build)?;
    }
    Ok(std::fs::remove_dir_all(folder)?)
}

/// The most memory that client and server take for a large file.
fn peaks(stage: &mut Stage<'_>, build: &Build, large: &Path) -> Fallible<()> {
    progress("many: memory for a large file");
    let cluster = Cluster::start(build, stage.scratch)?;
    let errors = stage.scratch.path().join("errors");
    let mut upload = cluster.direct_client();
    upload.arg("Upload").arg(large);
    let mut download = cluster.direct_client();
    download.args(["Download", "large.bin"]);
    let size = inputs::size_name(large.metadata()?.len());
    for (command, way) in [(&mut upload, "up"), (&mut download, "down")] {
        let client = peak_memory(command, &errors)?;
        let task = format!("peak memory, {size} {way}");
        stage.table.row(&task, &build.name, Unit::Memory, &one(client), "the client");
        let servers = cluster.servers.iter().map(|s| memory::of_process(s.pid(), "VmHWM:"));
        let most = servers.collect::<Fallible<Vec<u64>>>()?.into_iter().max().unwrap_or(0);
        stage.table.row(&task, &build.name, Unit::Memory, &one(most), "the server with most, so far");
    }
    std::fs::remove_file(cluster.download("large.bin"))?;
    output(cluster.direct_client().args(["Delete", "large.bin"])).map(drop)
}

#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
fn one(bytes: u64) -> Sample {
    [bytes as f64].into_iter().collect()
}

/// A server with a thousand sessions that do nothing, and what a newcomer notices of them.
fn idle(stage: &mut Stage<'_>, build: &Build) -> Fallible<()> {
    progress("many: idle sessions");
    let quiet = Cluster::start(build, stage.scratch)?;
    let mut crowded = Cluster::new(build, stage.scratch)?;
    crowded.run(stage.scratch, Some(DESCRIPTORS))?;
    let rss = |what| memory::of_process(crowded.servers[0].pid(), what);
    let before = rss("VmRSS:")?;
    let mut helpers = Vec::new();
    for (number, port) in (1..).zip(&crowded.ports) {
        let mut command = with_descriptors(DESCRIPTORS, &own_program());
        command.arg("idle").arg(format!("Server{number}")).arg(port.to_string()).arg(SESSIONS.to_string());
        let log = stage.scratch.path().join(format!("idle-{number}.log"));
        helpers.push(Daemon::start(&mut command, log, stage.scratch.watch())?);
    }
    for helper in &mut helpers {
        helper.wait_for("all sessions", |log| log.contains("ready").then_some(()))?;
    }
    let after = rss("VmRSS:")?;
    let each = (after.saturating_sub(before)) / 1024 / SESSIONS as u64;
    let task = "memory of a server";
    stage.table.row(task, &build.name, Unit::Memory, &one(before), "just started");
    let note = format!("with {SESSIONS} idle sessions: {each} KiB each");
    stage.table.row(task, &build.name, Unit::Memory, &one(after), &note);

    let file = inputs::file(stage.scratch.path(), "newcomer.bin", NEWCOMER_SIZE)?;
    let rounds = stage.options.rounds(7, 3);
    let rules = Rules { scratch: stage.scratch, rounds, peer_rounds: rounds, warm: WARM, forget: false };
    let mut samples = vec![[Sample::default(), Sample::default()]; 2];
    for round in 1..=rounds {
        progress(&format!("many: beside idle sessions, round {round} of {rounds}"));
        for (cluster, samples) in [&quiet, &crowded].into_iter().zip(&mut samples) {
            let mut list = cluster.direct_client();
            list.arg("ShowFiles");
            let mut upload = cluster.direct_client();
            upload.arg("Upload").arg(&file).arg(round.to_string());
            samples[0].push(timed(&mut list, &rules)?);
            samples[1].push(timed(&mut upload, &rules)?);
        }
    }
    progress("");
    for (number, task) in
        ["log in and list, as a newcomer", "16 MiB up, as a newcomer"].into_iter().enumerate()
    {
        for (samples, note) in
            samples.iter().zip(["beside nobody", "beside 1,000 idle sessions on each server"])
        {
            stage.table.row(task, &build.name, Unit::Seconds, &samples[number], note);
        }
    }
    Ok(())
}
