//! The same bytes by one client and by many that begin at one moment: ShareIt's, and the floor's beside them.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use super::{CLIENTS, Stage};
use crate::contest::{Contestant, Job, progress};
use crate::floor::Floor;
use crate::ours::{Build, Cluster};
use crate::process::{Daemon, output, when_told};
use crate::scratch::Scratch;
use crate::settle::settle;
use crate::stats::Sample;
use crate::table::{Table, Unit};
use crate::{Fallible, inputs, memory};

/// Memory to touch before each run, in sizes of what is transferred: with four, some of what 64 clients use was
/// still the host's.
const WARM_TIMES: u64 = 10;

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

    /// Lets its clients do their work once.
    fn run(&mut self, scratch: &Scratch, clients: Vec<Waiting>) -> Fallible<()> {
        let seconds = together(scratch, clients, WARM_TIMES * self.bytes)?;
        let slowest = seconds.iter().copied().fold(0.0, f64::max);
        self.slowest.push(slowest);
        self.spread.push(slowest / seconds.iter().copied().fold(f64::INFINITY, f64::min));
        Ok(())
    }

    /// Its throughput relative to another's, round by round.
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
pub(super) fn at_once(stage: &mut Stage<'_>, build: &Build, large: &Path, parts: &Path) -> Fallible<()> {
    settle(stage.scratch)?;
    let cluster = Cluster::start(build, stage.scratch)?;
    let mut floor = match stage.options.wants("floor") {
        true => Some(Floor::start(stage.scratch)?),
        false => None,
    };
    let size = large.metadata()?.len();
    let rounds = stage.options.rounds(ORDERS.len(), 1);
    let one_file = || Crowd::new("1 client, 1 file", size);
    let everybody = || Crowd::new(&format!("{CLIENTS} clients at once, a file each"), size);
    let crowds = || {
        [
            one_file(),
            Crowd::new(&format!("1 client, {CLIENTS} files"), size),
            Crowd::new(&format!("1 client, 1 of the {CLIENTS} files"), size / CLIENTS as u64),
            everybody(),
        ]
    };
    let mut ways = ["up", "down"].map(|way| (way, crowds(), [one_file(), everybody()]));
    for round in 1..=rounds {
        progress(&format!("many, round {round} of {rounds}"));
        for (way, crowds, of_floor) in &mut ways {
            let commands = commands(way, round, large, parts);
            for number in ORDERS[round % ORDERS.len()] {
                let clients =
                    commands[number].iter().map(|command| Waiting::ours(&cluster, command)).collect();
                crowds[number].run(stage.scratch, clients)?;
            }
            let Some(floor) = &mut floor else { continue };
            let mut clients = floor_clients(floor, way, round, large, parts)?;
            for number in [round % 2, (round + 1) % 2] {
                of_floor[number].run(stage.scratch, std::mem::take(&mut clients[number]))?;
            }
        }
        // The many files on the servers stay until everything is measured: removing hundreds of files would slow down
        // any program that makes new ones. So only downloads, and what the floor has, are emptied.
        let downloads = cluster.folder.join("Downloads");
        empty(&downloads)?;
        std::fs::rename(downloads, cluster.folder.join(format!("downloads-{round}")))?;
        output(cluster.direct_client().args(["Delete", "-r", "one"]))?;
        if let Some(floor) = &floor {
            empty(&floor.folder)?;
        }
    }
    progress("");
    for (way, crowds, of_floor) in &ways {
        let task = format!("{} {way}, logged in", inputs::size_name(size));
        show(&mut stage.table, &task, &build.name, crowds);
        if floor.is_some() {
            show(&mut stage.table, &task, "floor", of_floor);
        }
    }
    let mut folders = vec![cluster.folder.clone()];
    folders.extend(floor.as_ref().map(|floor| floor.folder.clone()));
    drop((cluster, floor));
    Ok(folders.into_iter().try_for_each(std::fs::remove_dir_all)?)
}

/// Each crowd's time; how fair the last one's was, and its throughput relative to each of the others.
fn show(table: &mut Table, task: &str, who: &str, crowds: &[Crowd]) {
    let Some((many, single)) = crowds.split_last() else { return };
    for crowd in crowds {
        table.row(task, who, Unit::Seconds, &crowd.slowest, &crowd.what);
        table.rate(inputs::rate_name(crowd.bytes, crowd.slowest.median()));
    }
    table.row(task, who, Unit::Plain, &many.spread, "the slowest of them ÷ the fastest");
    for crowd in single {
        let note = format!("their throughput ÷ that of {}", crowd.what);
        table.row(task, who, Unit::Plain, &many.times(crowd), &note);
    }
}

/// Makes room on the disk without removing a file: all below this folder become empty.
fn empty(folder: &Path) -> Fallible<()> {
    let mut folders = vec![folder.to_path_buf()];
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
    Ok(())
}

/// What the clients of each crowd are asked, in the order of the crowds.
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

/// The floor's crowds: one client with all bytes, and many with a file each.
fn floor_clients(
    floor: &mut Floor,
    way: &str,
    round: usize,
    large: &Path,
    parts: &Path,
) -> Fallible<[Vec<Waiting>; 2]> {
    let one = Waiting::floor(floor, way, large, &format!("one-{round}"))?;
    let mut many = Vec::new();
    for number in 0..CLIENTS {
        let file = parts.join(inputs::small_name(number));
        many.push(Waiting::floor(floor, way, &file, &format!("many-{round}-{number}"))?);
    }
    Ok([vec![one], many])
}

/// A client that has all that it needs, and waits for the signal to begin.
struct Waiting {
    command: Command,
    /// What it is asked at its start, and how many lines it prints then.
    question: &'static str,
    lines: usize,
    /// What makes it begin.
    word: String,
}

impl Waiting {
    /// Logged in everywhere.
    fn ours(cluster: &Cluster, word: &str) -> Self {
        Self { command: cluster.direct_client(), question: "Status\n", lines: 4, word: word.to_owned() }
    }

    /// Started: there is nothing to log in to, and it makes its connections when it begins.
    fn floor(floor: &mut Floor, way: &str, source: &Path, tag: &str) -> Fallible<Self> {
        let job = Job { source, tag };
        let command = if way == "up" { floor.up(&job) } else { floor.down(&job) }?;
        Ok(Self { command: when_told(&command), question: "", lines: 1, word: String::new() })
    }
}

/// Starts the clients, waits until all are ready, and has all begin at once. Returns the seconds from then until each
/// has ended.
///
/// They are stopped while they get their commands, and one signal continues them all. Otherwise the first take the
/// processor from the program that sends the commands, and the last begin a third of a second later.
fn together(scratch: &Scratch, waiting: Vec<Waiting>, warm: u64) -> Fallible<Vec<f64>> {
    let mut clients = Vec::new();
    let mut group = None;
    for (number, mut waiting) in waiting.into_iter().enumerate() {
        let log = scratch.path().join(format!("client-{number}.log"));
        // 0: a new group, of the first and for all.
        waiting.command.process_group(group.map_or(0, Pid::as_raw_pid));
        let mut client = Daemon::start(&mut waiting.command, log, scratch.watch())?;
        client.stdin()?.write_all(waiting.question.as_bytes())?;
        group = group.or(Pid::from_raw(client.pid().try_into()?));
        clients.push((client, waiting));
    }
    for (client, waiting) in &mut clients {
        client.wait_for("its readiness", |log| (log.matches('\n').count() >= waiting.lines).then_some(()))?;
    }
    output(&mut Command::new("sync"))?;
    memory::warm(warm);
    let group = group.ok_or("a crowd of nobody")?;
    kill_process_group(group, Signal::STOP)?;
    for (client, waiting) in &mut clients {
        writeln!(client.stdin()?, "{}", waiting.word)?;
        client.close_stdin();
    }
    let start = Instant::now();
    kill_process_group(group, Signal::CONT)?;
    thread::scope(|scope| {
        let wait = |mut client: Daemon| client.finish().map(|()| start.elapsed().as_secs_f64());
        let threads: Vec<_> =
            clients.into_iter().map(|(client, _)| scope.spawn(move || wait(client))).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("a thread panicked".into()))).collect()
    })
}
