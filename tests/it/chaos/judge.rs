//! Whether what was seen is what the model allows.

use super::model::{Content, Model};
use super::story::{Act, NAMES, Seat, Task};
use super::world::Outcome;

/// What a user's command means for the run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did what it should.
    Done,
    /// The client was killed.
    Killed,
    /// It was refused, for a reason that the model allows.
    Refused,
    /// A client at its prompt may treat a server that failed a while ago as lost: a new one must be able to do it.
    AskAgain,
}

/// Notes what a command is about to change.
pub(crate) fn attempt(model: &mut Model, task: &Task) {
    match *task {
        Task::Upload { name, content } => model.attempt(name, content),
        Task::Delete { name } => model.attempt(name, Content::Nothing),
        Task::Move { old, new } => {
            let contents = model.allowed(old);
            contents.into_iter().filter(|c| *c != Content::Nothing).for_each(|c| model.attempt(new, c));
            model.attempt(old, Content::Nothing);
        }
        Task::Download { .. } | Task::ShowFiles { .. } | Task::Verify | Task::Repair => {}
    }
}

/// Looks at what a reading command has found. To be called for all acts of a round before [`judge_writer`]:
/// what they read may be older than what was acknowledged at the same time.
pub(crate) fn judge_reader(
    model: &mut Model,
    act: &Act,
    outcome: &Outcome,
    acts: &[Act],
) -> Result<(), String> {
    match (&act.task, outcome.status) {
        (Task::Download { name }, status) => match (&outcome.file, status) {
            // Even if the client was killed: what is at the target is whole.
            (Some(bytes), _) => model.read(name, Some(bytes)),
            (None, Some(0)) => Err(format!("{name}: downloaded, but it is not there")),
            (None, Some(_)) if outcome.stderr.contains("not found") => model.read(name, None),
            (None, _) => Ok(()),
        },
        (Task::Delete { name } | Task::Move { old: name, .. }, Some(1..))
            if outcome.stderr.contains("not found") =>
        {
            model.read(name, None)
        }
        // A folder without a file in it is not found: an empty list.
        (Task::ShowFiles { folder }, Some(status))
            if act.seat != Seat::Prompt && (status == 0 || outcome.stderr.contains("not found")) =>
        {
            judge_listing(model, folder, outcome, acts)
        }
        _ => Ok(()),
    }
}

/// Files that nobody was writing must be in the list of their folder, whole or degraded, and deleted ones
/// must not.
fn judge_listing(model: &Model, folder: &str, outcome: &Outcome, acts: &[Act]) -> Result<(), String> {
    for name in NAMES {
        let (its_folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let busy = acts.iter().any(|act| act.task.writes() && act.task.names().contains(&name));
        if its_folder != folder || busy {
            continue;
        }
        let line = outcome.stdout.lines().find(|line| {
            line.strip_prefix(file).is_some_and(|rest| rest.is_empty() || rest.starts_with(" ["))
        });
        let wrong = match line {
            None => !model.may_be_missing(name),
            Some(line) => !model.may_be_there(name) || line.contains("[incomplete]"),
        };
        if wrong {
            return Err(format!("{name}: listed as {line:?}, allowed: {:?}", model.allowed(name)));
        }
    }
    Ok(())
}

/// Notes what was acknowledged, and whether a refusal is a permitted one while so many servers are `away`.
pub(crate) fn judge_writer(
    model: &mut Model,
    act: &Act,
    outcome: &Outcome,
    acts: &[Act],
    away: usize,
) -> Result<Verdict, String> {
    let Some(status) = outcome.status else {
        return if act.killed_after.is_some() {
            Ok(Verdict::Killed)
        } else {
            Err("the client was ended by a signal".into())
        };
    };
    if outcome.stderr.contains("panicked") {
        return Err("the client panicked".into());
    }
    if status == 0 {
        if act.task.writes() {
            act.task.names().iter().for_each(|name| model.acknowledge(name));
        }
        return Ok(Verdict::Done);
    }
    let says = |text: &str| outcome.stderr.contains(text);
    let is_rival = |other: &Act| {
        other.seat != act.seat
            && other.task.writes()
            && other.task.names().iter().any(|name| act.task.names().contains(name))
    };
    let allowed = match &act.task {
        // `judge_reader` has seen to it that it may be missing.
        Task::Download { .. } | Task::Delete { .. } | Task::Move { .. } | Task::ShowFiles { .. }
            if says("not found") =>
        {
            true
        }
        // With two away nobody can say that there is no such file.
        Task::Download { name } | Task::Delete { name } | Task::Move { old: name, .. }
            if away == 2 && status == 4 && says("cannot tell whether") =>
        {
            model.may_be_missing(name)
        }
        Task::ShowFiles { .. } if away == 2 && status == 4 && says("cannot tell whether") => true,
        // With parity it needs four servers.
        Task::Move { .. } if away > 0 && status == 4 && says("4 servers") => true,
        Task::Move { new, .. } if says("already exists") => model.may_be_there(new),
        // A server that falls away in the middle of a Move ends it: the file is under one of its names, or both.
        Task::Move { .. } if says("cannot store") || says("was kept beside") => {
            return Ok(Verdict::Refused);
        }
        // Somebody's upload came between its look and its end, and is what is there now.
        Task::Delete { .. } if says("was replaced in the meantime") => acts.iter().any(is_rival),
        // They do not go on without a server that was there when they began.
        Task::Verify | Task::Repair => {
            status == 1 || (status == 4 && (away == 2 || says("lost the connection to")))
        }
        _ => says("kept replacing") && acts.iter().any(is_rival),
    };
    if allowed && matches!(act.task, Task::Move { .. }) {
        // Both refusals of a Move come before it has changed anything.
        act.task.names().iter().for_each(|name| model.withdraw(name));
    }
    match (allowed, act.seat) {
        (true, _) => Ok(Verdict::Refused),
        (false, Seat::Prompt) if status == 1 => Ok(Verdict::AskAgain),
        (false, _) => Err(format!("refused within the promise, with exit status {status}")),
    }
}
