//! Many small files up and down.

use super::Stage;
use crate::contest::{Rules, hold};
use crate::settle::settle;
use crate::{Fallible, inputs};

const COUNT: usize = 1000;
const QUICK_COUNT: usize = 200;
const SIZE: u64 = 4096;
/// Enough for what the kernel keeps about some thousand files.
const WARM: u64 = 512 << 20;

pub(super) fn run(stage: &mut Stage<'_>) -> Fallible<()> {
    let count = stage.options.files.unwrap_or(if stage.options.quick { QUICK_COUNT } else { COUNT });
    let folder = stage.scratch.folder("small")?;
    let source = inputs::files(&folder, "small", count, SIZE)?;
    settle(stage.scratch)?;
    let rounds = stage.options.rounds(5, 3);
    let rules = Rules { scratch: stage.scratch, rounds, peer_rounds: 3, warm: WARM, forget: false };
    let scores = hold(&mut stage.contestants()?, &source, "small", &rules);
    let rate = |seconds: f64| format!("{:.0} files/s", count as f64 / seconds);
    stage.table.comparison(&format!("{count} × 4 KiB up"), &scores, |s| &s.up, rate);
    stage.table.comparison(&format!("{count} × 4 KiB down"), &scores, |s| &s.down, rate);
    Ok(())
}
