//! Waits until the file system makes new files as quickly as it usually does.
//!
//! ext4 without a journal does not use the number of a removed file again for some minutes. If thousands
//! were removed just before (by tests, or by the last run of these benchmarks), it looks at each of them
//! before it makes a new file, and that takes fifty times as long as usual: the first program measured would pay.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::contest::progress;
use crate::scratch::Scratch;

const PROBES: u32 = 200;
/// Usual are 10 to 40 µs.
const QUICK: Duration = Duration::from_micros(80);
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(360);

/// Waits for a few minutes at most, and reports it if that was not enough.
pub(crate) fn settle(scratch: &Scratch) -> Fallible<()> {
    let begin = Instant::now();
    loop {
        let folder = scratch.folder("probe")?;
        let start = Instant::now();
        (0..PROBES).try_for_each(|number| File::create_new(folder.join(number.to_string())).map(drop))?;
        let each = start.elapsed() / PROBES;
        if each < QUICK {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            eprintln!("a new file still takes {each:?}: the figures for small files suffer");
            return Ok(());
        }
        progress(&format!("a new file takes {each:?}: waiting for the file system to settle"));
        thread::sleep(LOOK_AGAIN);
    }
}
