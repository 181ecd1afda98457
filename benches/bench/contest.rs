//! A comparison: the same task for several programs, in turn, round after round.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{output, time};
use crate::scratch::Scratch;
use crate::stats::Sample;
use crate::{Fallible, inputs, memory};

/// What is stored, and then fetched.
pub(crate) struct Job<'a> {
    /// A file, or a folder of files of one size.
    pub(crate) source: &'a Path,
    /// A name for this round: nobody finds what it has stored before.
    pub(crate) tag: &'a str,
}

/// A program that can store and fetch. Commands are timed from start to exit; nothing else here is.
pub(crate) trait Contestant {
    fn name(&self) -> String;

    /// What it does for its time, in a few words.
    fn does(&self) -> &'static str;

    fn prepare(&mut self, _job: &Job<'_>) -> Fallible<()> {
        Ok(())
    }

    fn up(&mut self, job: &Job<'_>) -> Fallible<Command>;

    fn down(&mut self, job: &Job<'_>) -> Fallible<Command>;

    /// Whether it is another program, here only to compare with.
    fn is_peer(&self) -> bool {
        true
    }

    /// Where the fetched file or folder is; none if it does not fetch.
    fn arrived(&self, job: &Job<'_>) -> Option<PathBuf>;

    /// Removes what it has stored of a large file.
    fn forget(&mut self, job: &Job<'_>) -> Fallible<()>;
}

/// How one did.
pub(crate) struct Score {
    pub(crate) name: String,
    pub(crate) does: &'static str,
    pub(crate) up: Sample,
    pub(crate) down: Sample,
}

/// How to go about it.
pub(crate) struct Rules<'a> {
    pub(crate) scratch: &'a Scratch,
    pub(crate) rounds: usize,
    /// In how many of them, from the first, the peers take part: they are slow, and decide nothing.
    pub(crate) peer_rounds: usize,
    /// Memory to touch before each command.
    pub(crate) warm: u64,
    /// Whether to remove what was stored before the next turn. Not for many small files: ext4 without a
    /// journal takes long to make files where many were removed in the last minutes.
    pub(crate) forget: bool,
}

/// Lets each contestant store and fetch `source` once in each round. One that fails is left out from then on,
/// with a word on standard error.
pub(crate) fn hold(
    contestants: &mut [Box<dyn Contestant>],
    source: &Path,
    label: &str,
    rules: &Rules<'_>,
) -> Vec<Score> {
    let mut scores: Vec<Score> = contestants
        .iter()
        .map(|c| Score { name: c.name(), does: c.does(), up: Sample::default(), down: Sample::default() })
        .collect();
    let mut failed = vec![false; contestants.len()];
    for round in 1..=rules.rounds {
        let tag = format!("{label}-{round}");
        let job = Job { source, tag: &tag };
        for ((contestant, score), failed) in contestants.iter_mut().zip(&mut scores).zip(&mut failed) {
            if *failed || (contestant.is_peer() && round > rules.peer_rounds) {
                continue;
            }
            progress(&format!("{label}, round {round} of {}: {}", rules.rounds, score.name));
            if let Err(error) = turn(contestant.as_mut(), score, &job, rules, round == 1) {
                progress("");
                eprintln!("{label}: {} is left out: {error}", score.name);
                *failed = true;
            }
        }
    }
    progress("");
    scores.into_iter().zip(failed).filter(|(_, failed)| !failed).map(|(score, _)| score).collect()
}

/// A line that the next one overwrites, for a person at a terminal.
pub(crate) fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

fn turn(
    contestant: &mut dyn Contestant,
    score: &mut Score,
    job: &Job<'_>,
    rules: &Rules<'_>,
    check: bool,
) -> Fallible<()> {
    contestant.prepare(job)?;
    let mut command = contestant.up(job)?;
    score.up.push(timed(&mut command, rules)?);
    let mut command = contestant.down(job)?;
    score.down.push(timed(&mut command, rules)?);
    if let Some(place) = contestant.arrived(job) {
        if check && !inputs::are_equal(job.source, &place)? {
            return Err("what came back is not what was stored".into());
        }
        if rules.forget {
            std::fs::remove_file(place)?;
        }
    }
    if rules.forget { contestant.forget(job) } else { Ok(()) }
}

/// Seconds that a command takes, on a machine made ready for it.
pub(crate) fn timed(command: &mut Command, rules: &Rules<'_>) -> Fallible<f64> {
    output(&mut Command::new("sync"))?;
    memory::warm(rules.warm);
    Ok(time(command, &rules.scratch.path().join("errors"))?.as_secs_f64())
}
