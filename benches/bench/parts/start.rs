//! What a command takes that has nothing to do: to start, to derive the keys, to log in, to list.

use std::process::Command;

use super::Stage;
use crate::Fallible;
use crate::contest::{Rules, progress, timed};
use crate::ours::Cluster;
use crate::peers::{self, Rsync};
use crate::stats::Sample;
use crate::table::Unit;

const WARM: u64 = 128 << 20;

type Starter = (String, &'static str, Box<dyn Fn() -> Command>);

pub(super) fn run(stage: &mut Stage<'_>) -> Fallible<()> {
    let rounds = stage.options.rounds(15, 5);
    let rules = Rules { scratch: stage.scratch, rounds, peer_rounds: rounds, warm: WARM, forget: false };
    let mut starters: Vec<Starter> = Vec::new();
    if stage.options.wants("shareit") {
        for build in stage.builds() {
            let cluster = Cluster::start(&build, stage.scratch)?;
            let list = move || {
                let mut command = cluster.direct_client();
                command.arg("ShowFiles");
                command
            };
            starters.push((
                build.name,
                "4 servers; two keys from the password, 600,000 rounds each",
                Box::new(list),
            ));
        }
    }
    if let Some(rsync) = peers::one(stage.options, stage.scratch, "rsync", Rsync::start) {
        let list = move || rsync.list_at(rsync.port);
        starters.push(("rsync".into(), "1 server, no password", Box::new(list)));
    }
    let mut samples = vec![Sample::default(); starters.len()];
    for round in 1..=rounds {
        progress(&format!("start, round {round} of {rounds}"));
        for ((_, _, command), sample) in starters.iter().zip(&mut samples) {
            sample.push(timed(&mut command(), &rules)?);
        }
    }
    progress("");
    for ((name, does, _), sample) in starters.iter().zip(&samples) {
        stage.table.row("log in and list", name, Unit::Seconds, sample, does);
    }
    Ok(())
}
