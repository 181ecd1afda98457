//! Many clients at once, many sessions that do nothing, and what memory they take.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use super::Stage;
use crate::contest::{Rules, progress, timed};
use crate::ours::{Build, Cluster};
use crate::process::{Daemon, output, own_program, peak_memory, with_descriptors};
use crate::settle::settle;
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
/// Memory to touch before each run, in sizes of what is transferred: with four, some of what 64 clients use was
/// still the host's.
const WARM_TIMES: u64 = 10;
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
        at_once(stage, &build, &large, &parts)?;
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

/// Clients that begin at one moment, and what they took, round by round.
struct Crowd {
    what: String,
    /// What they transfer in all.
    bytes: u64,
    /// The slowest of them, and that divided by the fastest.
    slowest: Sample,
    spread: Sample,
}

impl Crowd {
    fn new(what: &str, bytes: u64) -> Self {
        Self { what: what.to_owned(), bytes, slowest: Sample::default(), spread: Sample::default() }
    }

    fn push(&mut self, seconds: &[f64]) {
        let slowest = seconds.iter().copied().fold(0.0, f64::max);
        self.slowest.push(slowest);
        self.spread.push(slowest / seconds.iter().copied().fold(f64::INFINITY, f64::min));
    }

    /// Its throughput in times of another's, round by round.
    #[expect(clippy::cast_precision_loss, reason = "what is transferred is far below 2^53 bytes")]
    fn times(&self, other: &Self) -> Sample {
        let bytes = self.bytes as f64 / other.bytes as f64;
        other.slowest.ratio(&self.slowest).iter().map(|ratio| bytes * ratio).collect()
    }
}

/// The crowds of a round by their numbers: in four rounds each follows each of the others once, since none should
/// always meet the same one's syncs.
const ORDERS: [[usize; 4]; 4] = [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]];

/// The same bytes by one client as one file, by one client as many files, and by many clients with a file each;
/// and one of these files by one client that is alone. They have logged in before: the keys of 64 users are derived
/// on their own machines elsewhere, but would all be derived on this one here.
fn at_once(stage: &mut Stage<'_>, build: &Build, large: &Path, parts: &Path) -> Fallible<()> {
    settle(stage.scratch)?;
    let cluster = Cluster::start(build, stage.scratch)?;
    let size = large.metadata()?.len();
    let rounds = stage.options.rounds(ORDERS.len(), 1);
    let crowds = || {
        [
            Crowd::new("1 client, 1 file", size),
            Crowd::new(&format!("1 client, {CLIENTS} files"), size),
            Crowd::new(&format!("1 client, 1 of the {CLIENTS} files"), size / CLIENTS as u64),
            Crowd::new(&format!("{CLIENTS} clients at once, a file each"), size),
        ]
    };
    let mut ways = [("up", crowds()), ("down", crowds())];
    for round in 1..=rounds {
        progress(&format!("many, round {round} of {rounds}"));
        for (way, crowds) in &mut ways {
            let commands = commands(way, round, large, parts);
            for number in ORDERS[round % ORDERS.len()] {
                let crowd = &mut crowds[number];
                crowd.push(&together(stage, &cluster, &commands[number], WARM_TIMES * crowd.bytes)?);
            }
        }
        // What lies on the servers in many files stays until all is measured: removing hundreds of files would
        // slow down whoever makes new ones. So downloads are only emptied.
        set_aside(&cluster.folder, round)?;
        output(cluster.direct_client().args(["Delete", "-r", "one"]))?;
    }
    progress("");
    for (way, crowds) in &ways {
        let task = format!("{} {way}, logged in", inputs::size_name(size));
        let [single @ .., many] = crowds;
        for crowd in crowds {
            stage.table.row(&task, &build.name, Unit::Seconds, &crowd.slowest, &crowd.what);
            stage.table.rate(inputs::rate_name(crowd.bytes, crowd.slowest.median()));
        }
        stage.table.row(&task, &build.name, Unit::Plain, &many.spread, "the slowest of them ÷ the fastest");
        for crowd in single {
            let note = format!("their throughput ÷ that of {}", crowd.what);
            stage.table.row(&task, &build.name, Unit::Plain, &many.times(crowd), &note);
        }
    }
    let folder = cluster.folder.clone();
    drop(cluster);
    Ok(std::fs::remove_dir_all(folder)?)
}

/// Makes room on the disk, and at the places of the downloads, without removing a file.
fn set_aside(folder: &Path, round: usize) -> Fallible<()> {
    let downloads = folder.join("Downloads");
    let mut folders = vec![downloads.clone()];
    while let Some(below) = folders.pop() {
        for entry in std::fs::read_dir(below)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                OpenOptions::new().write(true).open(entry.path())?.set_len(0)?;
            }
        }
    }
    Ok(std::fs::rename(downloads, folder.join(format!("downloads-{round}")))?)
}

/// What the clients of each crowd are told, in the order of the crowds.
fn commands(way: &str, round: usize, large: &Path, parts: &Path) -> [Vec<String>; 4] {
    let name = inputs::small_name;
    let upload = |file: &Path, folder: &str| format!("Upload \"{}\" {folder}", file.display());
    let (by_one, by_many) = (format!("by-one-{round}"), format!("by-many-{round}"));
    match way {
        "up" => [
            vec![upload(large, "one")],
            vec![upload(parts, &by_one)],
            vec![upload(&parts.join(name(0)), "one")],
            (0..CLIENTS).map(|n| upload(&parts.join(name(n)), &by_many)).collect(),
        ],
        _ => [
            vec!["Download one/large.bin".to_owned()],
            vec![format!("Download {by_one}/parts")],
            vec![format!("Download one/{}", name(0))],
            (0..CLIENTS).map(|n| format!("Download {by_many}/{}", name(n))).collect(),
        ],
    }
}

/// Starts a client for each command, waits until all have logged in everywhere, gives all commands at once;
/// seconds from then until each client has ended.
fn together(stage: &Stage<'_>, cluster: &Cluster, commands: &[String], warm: u64) -> Fallible<Vec<f64>> {
    let mut clients = Vec::new();
    for number in 0..commands.len() {
        let log = stage.scratch.path().join(format!("client-{number}.log"));
        let mut client = Daemon::start(&mut cluster.direct_client(), log, stage.scratch.watch())?;
        writeln!(client.stdin()?, "Status")?;
        clients.push(client);
    }
    for client in &mut clients {
        client.wait_for("four servers", |log| (log.matches('\n').count() >= 4).then_some(()))?;
    }
    output(&mut Command::new("sync"))?;
    memory::warm(warm);
    let start = Instant::now();
    for (client, command) in clients.iter_mut().zip(commands) {
        writeln!(client.stdin()?, "{command}")?;
        client.close_stdin();
    }
    thread::scope(|scope| {
        let wait = |mut client: Daemon| client.finish().map(|()| start.elapsed().as_secs_f64());
        let threads: Vec<_> = clients.into_iter().map(|client| scope.spawn(move || wait(client))).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("a thread panicked".into()))).collect()
    })
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
