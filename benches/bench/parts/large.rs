//! One large file up and down. Its ratios to the floor decide the exit status.

use super::Stage;
use crate::contest::{Rules, hold};
use crate::{Fallible, inputs};

/// Most that an upload may take, as a multiple of the floor's time.
const UPLOAD_LIMIT: f64 = 1.25;
/// The same for a download.
const DOWNLOAD_LIMIT: f64 = 1.20;

const SIZE: u64 = 1 << 30;
const QUICK_SIZE: u64 = 128 << 20;
/// Memory to touch before each command: four times the file's size, for two copies on servers and one that is
/// fetched, but no less than this.
const MIN_WARM: u64 = 1 << 30;

pub(super) fn run(stage: &mut Stage<'_>) -> Fallible<()> {
    let size = stage.options.size.unwrap_or(if stage.options.quick { QUICK_SIZE } else { SIZE });
    let folder = stage.scratch.folder("large")?;
    let source = inputs::file(&folder, "large.bin", size)?;
    let rounds = stage.options.rounds(5, 3);
    let rules = Rules {
        scratch: stage.scratch,
        rounds,
        peer_rounds: 2,
        warm: (4 * size).max(MIN_WARM),
        forget: true,
    };
    let scores = hold(&mut stage.contestants()?, &source, "large", &rules);
    std::fs::remove_file(source)?;
    let rate = |seconds| inputs::rate_name(size, seconds);
    let name = inputs::size_name(size);
    let (up, down) = (format!("{name} up"), format!("{name} down"));
    stage.table.comparison(&up, &scores, |s| &s.up, rate);
    stage.table.comparison(&down, &scores, |s| &s.down, rate);
    stage.judge(&up, &scores, true, UPLOAD_LIMIT);
    stage.judge(&down, &scores, false, DOWNLOAD_LIMIT);
    stage.large = Some((size, scores));
    Ok(())
}
