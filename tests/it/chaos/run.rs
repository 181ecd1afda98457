//! A whole run: the story's rounds one after another, each judged by the model; and at its end a look at
//! everything that is left.

use super::judge::{self, Verdict};
use super::model::{Content, Model};
use super::story::{Act, Fault, NAMES, Round, SERVERS, Story, Task};
use super::world::{Outcome, World};
use crate::common::USER;
use shareit::placement::{DEFAULT_REPLICAS, PieceSet, Scheme};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Rounds between two looks at everything.
const STOCK_TAKING: usize = 60;
/// Rounds that are reported when something is wrong.
const TOLD: usize = 25;

/// What a run has done, and what it has seen.
#[derive(Default)]
pub(crate) struct Summary {
    pub(crate) operations: usize,
    counts: BTreeMap<String, usize>,
    pub(crate) bytes_checked: usize,
}

impl Summary {
    fn count(&mut self, what: String) {
        *self.counts.entry(what).or_default() += 1;
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} operations, {} bytes read back", self.operations, self.bytes_checked)?;
        self.counts.iter().try_for_each(|(what, count)| writeln!(f, "  {count:6} {what}"))
    }
}

struct Run {
    scheme: Scheme,
    world: World,
    model: Model,
    trace: Vec<String>,
    summary: Summary,
    /// How many servers are not well in this round.
    away: usize,
}

/// Lives through the story of a seed for so many operations. On a failure it tells what happened last.
pub(crate) fn run(seed: u64, scheme: Scheme, operations: usize) -> Result<Summary, String> {
    let mut story = Story::new(seed, scheme);
    let (world, model, summary) = (World::new(scheme), Model::default(), Summary::default());
    let mut run = Run { scheme, world, model, trace: Vec::new(), summary, away: 0 };
    let mut rounds = 0;
    let outcome = loop {
        rounds += 1;
        let over = run.summary.operations >= operations;
        let take_stock = over || rounds % STOCK_TAKING == 0;
        let round = if take_stock { story.end() } else { story.next_round() };
        let played = match round {
            Round::Work { heal, faults, acts } => {
                run.away = story.unwell().len();
                run.work(&heal, &faults, &acts)
            }
            Round::Mend { heal } => run.mend(&heal),
        };
        let played = if take_stock { played.and_then(|()| run.take_stock()) } else { played };
        if over || played.is_err() {
            break played;
        }
    };
    run.summary.bytes_checked = run.world.bytes_checked;
    match outcome {
        Ok(()) => Ok(run.summary),
        Err(why) => Err(format!(
            "{why}\n-- seed {seed}, round {rounds}; the last rounds were:\n{}-- servers:\n{}-- so far: {}",
            run.trace[run.trace.len().saturating_sub(TOLD)..].concat(),
            run.last_words_of_servers(),
            run.summary
        )),
    }
}

impl Run {
    fn work(&mut self, heal: &[usize], faults: &[(usize, Fault)], acts: &[Act]) -> Result<(), String> {
        self.model.begin_round();
        let mut text = String::new();
        for &server in heal {
            self.world.heal(server);
            let _ = writeln!(text, "Server{server} is up again");
        }
        acts.iter().for_each(|act| judge::attempt(&mut self.model, &act.task));
        let (outcomes, happened) = self.world.play(acts, faults);
        for ((server, fault), happened) in faults.iter().zip(happened) {
            let _ = writeln!(text, "Server{server}: {fault:?}{}", if happened { "" } else { " (in vain)" });
            if happened {
                self.summary.count(format!("fault: {}", kind(fault)));
            }
        }
        for (act, outcome) in acts.iter().zip(&outcomes) {
            text += &describe(act, outcome);
        }
        self.trace.push(format!("{text}\n"));
        let mut again = Vec::new();
        for (act, outcome) in acts.iter().zip(&outcomes) {
            judge::judge_reader(&mut self.model, act, outcome, acts)?;
        }
        for (act, outcome) in acts.iter().zip(&outcomes) {
            let verdict = judge::judge_writer(&mut self.model, act, outcome, acts, self.away)
                .map_err(|why| format!("{why}: {}", describe(act, outcome)))?;
            self.summary.operations += 1;
            self.summary.count(format!("{}: {verdict:?}", name(&act.task)));
            if verdict == Verdict::AskAgain {
                again.push(act.task.clone());
            }
        }
        again.into_iter().try_for_each(|task| self.ask_again(task))
    }

    /// What a client at its prompt could not do, a new one must do, though a server may still be faulty.
    fn ask_again(&mut self, task: Task) -> Result<(), String> {
        self.model.begin_round();
        judge::attempt(&mut self.model, &task);
        let outcome = self.world.calmly(task.clone());
        let act = [Act { seat: super::story::Seat::First, task, killed_after: None }];
        self.trace.push(format!("again: {}\n", describe(&act[0], &outcome)));
        judge::judge_reader(&mut self.model, &act[0], &outcome, &act)?;
        judge::judge_writer(&mut self.model, &act[0], &outcome, &act, self.away)
            .map(drop)
            .map_err(|why| format!("{why}: {}", describe(&act[0], &outcome)))
    }

    /// With all servers up, one Repair brings back all copies, and Verify has nothing to say.
    fn mend(&mut self, heal: &[usize]) -> Result<(), String> {
        self.away = 0;
        heal.iter().for_each(|&server| self.world.heal(server));
        self.world.restart_all();
        for task in [Task::Repair, Task::Verify] {
            let outcome = self.world.calmly(task.clone());
            let what = format!("{task:?} with all servers up\n{}{}", outcome.stdout, outcome.stderr);
            self.trace.push(format!("{what}\n"));
            if outcome.status != Some(0) {
                return Err(format!("exit status {:?} of {what}", outcome.status));
            }
        }
        self.summary.count("Repair and Verify with all servers up".into());
        Ok(())
    }

    /// Reads every name back and looks at the servers' disks.
    fn take_stock(&mut self) -> Result<(), String> {
        for name in NAMES {
            self.model.begin_round();
            let outcome = self.world.calmly(Task::Download { name });
            let act =
                [Act { seat: super::story::Seat::First, task: Task::Download { name }, killed_after: None }];
            self.trace.push(describe(&act[0], &outcome));
            judge::judge_reader(&mut self.model, &act[0], &outcome, &act)?;
            judge::judge_writer(&mut self.model, &act[0], &outcome, &act, self.away)?;
            self.model.settle(name);
        }
        self.summary.count("all names read back, all disks looked at".into());
        for server in 1..=SERVERS {
            if self.world.cluster.log(server).contains("panicked") {
                return Err(format!("Server{server} panicked"));
            }
            for file in self.world.cluster.pieces_on(server) {
                let piece_of =
                    |name: &&str| (1..=8).any(|piece| file == piece_path(name, piece)) && self.is_there(name);
                if !NAMES.iter().any(piece_of) {
                    return Err(format!("Server{server} has {file}, which is no piece of a file"));
                }
            }
        }
        for name in NAMES.into_iter().filter(|name| self.is_there(name)) {
            let pieces = |server: usize| {
                let is_here =
                    |piece: &u8| self.world.cluster.piece_file(server, name, (*piece).into()).exists();
                self.scheme.pieces().filter(is_here).collect()
            };
            let held: Vec<PieceSet> = (1..=SERVERS).map(pieces).collect();
            if !self.scheme.is_safe(&held, DEFAULT_REPLICAS, SERVERS, 0) {
                return Err(format!("{name} is less safe than it can be after Repair: {held:?}"));
            }
        }
        Ok(())
    }

    fn is_there(&self, name: &str) -> bool {
        !self.model.may_be_missing(name)
    }

    fn last_words_of_servers(&self) -> String {
        let mut words = String::new();
        for server in 1..=SERVERS {
            let log = self.world.cluster.log(server);
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            let _ = writeln!(words, "Server{server} ({USER}):\n{}", last.join("\n"));
        }
        words
    }
}

fn piece_path(name: &str, piece: usize) -> String {
    match name.rsplit_once('/') {
        Some((folder, file)) => format!("{folder}/.{file}.{piece}"),
        None => format!(".{name}.{piece}"),
    }
}

fn name(task: &Task) -> &'static str {
    match task {
        Task::Upload { .. } => "Upload",
        Task::Download { .. } => "Download",
        Task::Delete { .. } => "Delete",
        Task::Move { .. } => "Move",
        Task::ShowFiles { .. } => "ShowFiles",
        Task::Verify => "Verify",
        Task::Repair => "Repair",
    }
}

fn kind(fault: &Fault) -> String {
    match fault {
        Fault::Kill { .. } => "server killed".into(),
        Fault::Wire { way, trouble, .. } => format!("wire: {trouble:?} {way:?}"),
        Fault::Damage { .. } => "disk damaged".into(),
        Fault::Wipe => "disk wiped".into(),
    }
}

fn describe(act: &Act, outcome: &Outcome) -> String {
    let killed = act.killed_after.map_or(String::new(), |bytes| format!(" (to be killed after {bytes})"));
    let status = outcome.status.map_or("killed".to_string(), |status| status.to_string());
    let read = match (&act.task, &outcome.file) {
        (Task::Download { .. }, Some(bytes)) => format!(", {} bytes", bytes.len()),
        _ => String::new(),
    };
    let mut text = format!("{:?}: {:?}{killed}: {status}{read}\n", act.seat, act.task);
    for line in outcome.stdout.lines().chain(outcome.stderr.lines()) {
        let _ = writeln!(text, "    {line}");
    }
    text
}

// A file that holds nothing is not the same as no file.
const _: () = assert!(!matches!(Content::File { seed: 0, len: 0 }, Content::Nothing));
