//! Servers that are 25 ms away, each way: how many round trips a command takes.

use std::process::Command;

use super::Stage;
use crate::contest::{Job, Rules, progress, timed};
use crate::ours::{Cluster, base};
use crate::peers::{self, Rsync, Scp};
use crate::proxy::{DELAY, Way};
use crate::settle::settle;
use crate::stats::Sample;
use crate::table::Unit;
use crate::{Fallible, inputs};

const COUNT: usize = 100;
const SMALL: u64 = 4096;
const LARGE: u64 = 64 << 20;
const WARM: u64 = 512 << 20;

/// How a program does each task, near or far.
struct Traveller {
    name: String,
    /// A peer travels once: with a time that is mostly waiting, another round adds little.
    is_peer: bool,
    does: &'static str,
    command: Box<Directions>,
}

/// The command for a task, far (true) or near; none if the program has no such task.
type Directions = dyn Fn(Task, bool, &Job<'_>) -> Fallible<Option<Command>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    List,
    ManyUp,
    ManyDown,
    OneDown,
    LargeUp,
    LargeDown,
}

/// In this order in each round: what is fetched was stored before.
const TASKS: [(Task, &str); 6] = [
    (Task::List, "log in and list, far"),
    (Task::ManyUp, "100 × 4 KiB up, far"),
    (Task::ManyDown, "100 × 4 KiB down, far"),
    (Task::OneDown, "4 KiB down, far"),
    (Task::LargeUp, "64 MiB up, far"),
    (Task::LargeDown, "64 MiB down, far"),
];

/// One task of one traveller.
#[derive(Default)]
struct Times {
    near: Sample,
    far: Sample,
}

pub(super) fn run(stage: &mut Stage<'_>) -> Fallible<()> {
    let folder = stage.scratch.folder("far")?;
    let many = inputs::files(&folder, "many", COUNT, SMALL)?;
    let large = inputs::file(&folder, "large.bin", LARGE)?;
    settle(stage.scratch)?;
    let rounds = stage.options.rounds(3, 1);
    let rules = Rules { scratch: stage.scratch, rounds, peer_rounds: rounds, warm: WARM, forget: false };
    let travellers = travellers(stage)?;
    let mut times: Vec<Vec<Times>> =
        travellers.iter().map(|_| TASKS.iter().map(|_| Times::default()).collect()).collect();
    for round in 1..=rounds {
        for (traveller, times) in travellers.iter().zip(&mut times) {
            if traveller.is_peer && round > 1 {
                continue;
            }
            progress(&format!("far, round {round} of {rounds}: {}", traveller.name));
            for far in [false, true] {
                let tag = format!("{}-{round}", if far { "far" } else { "near" });
                for ((task, _), times) in TASKS.iter().zip(times.iter_mut()) {
                    let is_large = matches!(task, Task::LargeUp | Task::LargeDown);
                    let job = Job { source: if is_large { &large } else { &many }, tag: &tag };
                    if let Some(mut command) = (traveller.command)(*task, far, &job)? {
                        let seconds = timed(&mut command, &rules)?;
                        if far { times.far.push(seconds) } else { times.near.push(seconds) }
                    }
                }
            }
        }
    }
    progress("");
    let round_trip = 2.0 * DELAY.as_secs_f64();
    for (number, (_, task)) in TASKS.iter().enumerate() {
        for (traveller, times) in travellers.iter().zip(&times) {
            let Times { near, far } = &times[number];
            if !far.is_empty() {
                let trips = (far.median() - near.median()) / round_trip;
                stage.table.row(task, &traveller.name, Unit::Seconds, far, traveller.does);
                stage.table.rate(format!("{trips:.1} round trips"));
            }
        }
    }
    Ok(())
}

fn travellers(stage: &Stage<'_>) -> Fallible<Vec<Traveller>> {
    let mut all = Vec::new();
    if stage.options.wants("shareit") {
        for build in stage.builds() {
            let cluster = Cluster::start(&build, stage.scratch)?;
            let way = Way::new();
            let ports = cluster.ports.iter().map(|&port| way.to(port)).collect::<Fallible<Vec<_>>>()?;
            let far_conf = cluster.write_conf("far.conf", &ports)?;
            let command = move |task, far, job: &Job<'_>| {
                let mut command = if far { cluster.client(&far_conf) } else { cluster.direct_client() };
                ours(task, &mut command, job).map(|()| Some(command))
            };
            all.push(Traveller {
                name: build.name,
                is_peer: false,
                does: "4 servers",
                command: Box::new(command),
            });
        }
    }
    if let Some(scp) = peers::one(stage.options, stage.scratch, "scp", Scp::start) {
        let far = Way::new().to(scp.port)?;
        let command = move |task, is_far, job: &Job<'_>| {
            Ok(by_scp(&scp, task, if is_far { far } else { scp.port }, job))
        };
        all.push(Traveller {
            name: "scp".into(),
            is_peer: true,
            does: "1 server",
            command: Box::new(command),
        });
    }
    if let Some(rsync) = peers::one(stage.options, stage.scratch, "rsync", Rsync::start) {
        let far = Way::new().to(rsync.port)?;
        let command = move |task, is_far, job: &Job<'_>| {
            Ok(Some(by_rsync(&rsync, task, if is_far { far } else { rsync.port }, job)))
        };
        all.push(Traveller {
            name: "rsync".into(),
            is_peer: true,
            does: "1 server",
            command: Box::new(command),
        });
    }
    Ok(all)
}

fn ours(task: Task, command: &mut Command, job: &Job<'_>) -> Fallible<()> {
    let stored = format!("{}/{}", job.tag, base(job.source)?);
    match task {
        Task::List => command.arg("ShowFiles"),
        Task::ManyUp | Task::LargeUp => command.arg("Upload").arg(job.source).arg(job.tag),
        Task::ManyDown | Task::LargeDown => command.arg("Download").arg(stored),
        Task::OneDown => command.arg("Download").arg(format!("{stored}/{}", inputs::small_name(0))),
    };
    Ok(())
}

/// What the file or folder of a task is called on a server that knows no folders of ours.
fn stored(task: Task, job: &Job<'_>) -> String {
    match task {
        Task::LargeUp | Task::LargeDown => format!("{}-large", job.tag),
        Task::OneDown => format!("{}-many/{}", job.tag, inputs::small_name(0)),
        _ => format!("{}-many", job.tag),
    }
}

fn by_scp(scp: &Scp, task: Task, port: u16, job: &Job<'_>) -> Option<Command> {
    let stored = stored(task, job);
    match task {
        Task::List => None,
        Task::ManyUp | Task::LargeUp => Some(scp.up_at(port, job.source, &stored)),
        Task::ManyDown | Task::OneDown | Task::LargeDown => Some(scp.down_at(port, &stored)),
    }
}

fn by_rsync(rsync: &Rsync, task: Task, port: u16, job: &Job<'_>) -> Command {
    let stored = stored(task, job);
    match task {
        Task::List => rsync.list_at(port),
        Task::ManyUp | Task::LargeUp => rsync.up_at(port, job.source, &stored),
        Task::ManyDown | Task::OneDown | Task::LargeDown => rsync.down_at(port, &stored),
    }
}
