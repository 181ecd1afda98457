//! One large file with parity beside one in two copies, up and down, and down with two of the four servers away.

use std::fs;
use std::path::{Path, PathBuf};

use super::Stage;
use crate::contest::{Rules, progress, timed};
use crate::ours::{Build, Cluster, base};
use crate::stats::Sample;
use crate::table::Unit;
use crate::{Fallible, inputs};

const SIZE: u64 = 1 << 30;
const QUICK_SIZE: u64 = 128 << 20;

pub(super) fn run(stage: &mut Stage<'_>) -> Fallible<()> {
    if !stage.options.wants("shareit") {
        return Ok(());
    }
    let size = stage.options.size.unwrap_or(if stage.options.quick { QUICK_SIZE } else { SIZE });
    let folder = stage.scratch.folder("parity")?;
    let source = inputs::file(&folder, "large.bin", size)?;
    let rounds = stage.options.rounds(5, 3);
    for build in stage.builds() {
        let rules = Rules { scratch: stage.scratch, rounds, peer_rounds: 0, warm: 4 * size, forget: false };
        let times = measure(stage, &build, &source, &rules)?;
        let [copies_up, parity_up, copies_down, parity_down, degraded_down] = &times;
        let name = inputs::size_name(size);
        let mut row = |task: &str, sample: &Sample, than: &Sample| {
            let ratio = sample.ratio(than).median();
            let note = format!("{ratio:.2} times that of the row it is compared with");
            stage.table.row(&format!("{name} {task}"), &build.name, Unit::Seconds, sample, &note);
        };
        row("up, two copies", copies_up, copies_up);
        row("up, parity, beside two copies", parity_up, copies_up);
        row("down, two copies", copies_down, copies_down);
        row("down, parity, beside two copies", parity_down, copies_down);
        row("down, parity, two servers away, beside all up", degraded_down, parity_down);
    }
    progress("");
    fs::remove_file(source)?;
    Ok(())
}

/// Uploads with two copies and with parity, the same down, and down with two neighbours away, in turns.
fn measure(stage: &Stage<'_>, build: &Build, source: &Path, rules: &Rules<'_>) -> Fallible<[Sample; 5]> {
    let whole = Cluster::start(build, stage.scratch)?;
    let mut degraded = Cluster::start(build, stage.scratch)?;
    let with_parity = |cluster: &Cluster| -> Fallible<PathBuf> {
        let conf = cluster.write_conf("parity.conf", &cluster.ports)?;
        fs::write(&conf, fs::read_to_string(&conf)? + "Redundancy parity\n")?;
        Ok(conf)
    };
    let (copies, parity) = (whole.folder.join("direct.conf"), with_parity(&whole)?);
    let parity_of_degraded = with_parity(&degraded)?;
    let upload =
        |cluster: &Cluster, conf: &Path| timed(cluster.client(conf).arg("Upload").arg(source), rules);
    upload(&degraded, &parity_of_degraded)?;
    degraded.servers.drain(..2);
    let download = |cluster: &Cluster, conf: &Path| -> Fallible<f64> {
        let seconds = timed(cluster.client(conf).arg("Download").arg(base(source)?), rules)?;
        fs::remove_file(cluster.download(base(source)?))?;
        Ok(seconds)
    };
    let mut times: [Sample; 5] = Default::default();
    for round in 1..=rules.rounds {
        progress(&format!("parity, round {round} of {}", rules.rounds));
        let [copies_up, parity_up, copies_down, parity_down, degraded_down] = &mut times;
        copies_up.push(upload(&whole, &copies)?);
        copies_down.push(download(&whole, &copies)?);
        parity_up.push(upload(&whole, &parity)?);
        parity_down.push(download(&whole, &parity)?);
        degraded_down.push(download(&degraded, &parity_of_degraded)?);
    }
    Ok(times)
}
