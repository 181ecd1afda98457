//! Throughput over the size of a file, as numbers and as a picture.

use std::fmt::Write as _;
use std::fs;

use super::Stage;
use crate::contest::{Rules, Score, hold};
use crate::plot::{self, Panel, Series};
use crate::stats::Sample;
use crate::{Fallible, inputs};

const SMALLEST: u64 = 1 << 10;
const LARGEST: u64 = 1 << 30;
const QUICK_LARGEST: u64 = 16 << 20;
/// Each size is this many times the one before.
const FACTOR: u64 = 4;
const MIN_WARM: u64 = 256 << 20;

/// It stores nothing.
const CRYPTO_ALONE: &str = "openssl";

/// What was measured for one size.
type Measured = (u64, Vec<Score>);

pub(super) fn run(stage: &mut Stage<'_>) -> Fallible<()> {
    let largest = stage.options.size.unwrap_or(if stage.options.quick { QUICK_LARGEST } else { LARGEST });
    let rounds = stage.options.rounds(3, 1);
    let folder = stage.scratch.folder("curve")?;
    let mut contestants = stage.contestants()?;
    contestants.retain(|contestant| contestant.name() != CRYPTO_ALONE);
    let mut measured: Vec<Measured> = Vec::new();
    let sizes = std::iter::successors(Some(SMALLEST), |size| Some(size * FACTOR));
    let mut large = stage.large.take();
    for size in sizes.take_while(|size| *size <= largest) {
        if let Some((_, mut scores)) = large.take_if(|(known, _)| *known == size) {
            scores.retain(|score| score.name != CRYPTO_ALONE);
            measured.push((size, scores));
            continue;
        }
        let name = inputs::size_name(size);
        let source = inputs::file(&folder, &format!("{size}.bin"), size)?;
        let warm = (4 * size).max(MIN_WARM);
        let rules = Rules { scratch: stage.scratch, rounds, peer_rounds: 1, warm, forget: true };
        measured
            .push((size, hold(&mut contestants, &source, &format!("curve-{name}").replace(' ', ""), &rules)));
        fs::remove_file(source)?;
    }
    let save = &stage.options.save;
    fs::create_dir_all(save)?;
    let (numbers, picture) = (save.join("throughput.csv"), save.join("throughput.svg"));
    fs::write(&numbers, csv(&measured)?)?;
    fs::write(&picture, draw(&measured)?)?;
    stage.saved.extend([numbers, picture]);
    Ok(())
}

fn mib_per_second(size: u64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes are powers of two")]
    let mib = size as f64 / f64::from(1 << 20);
    mib / seconds
}

fn csv(measured: &[Measured]) -> Fallible<String> {
    let mut text = String::from("who,way,bytes,median_seconds,min_seconds,max_seconds,mib_per_second\n");
    for (size, scores) in measured {
        for score in scores {
            for (way, times) in [("up", &score.up), ("down", &score.down)] {
                let (median, min, max) = (times.median(), times.min(), times.max());
                let rate = mib_per_second(*size, median);
                writeln!(text, "{},{way},{size},{median:.4},{min:.4},{max:.4},{rate:.4}", score.name)?;
            }
        }
    }
    Ok(text)
}

fn draw(measured: &[Measured]) -> Fallible<String> {
    let panel = |title: &str, way: fn(&Score) -> &Sample| {
        let mut series: Vec<Series> = Vec::new();
        for (size, scores) in measured {
            for score in scores {
                let point = (*size, mib_per_second(*size, way(score).median()));
                match series.iter_mut().find(|s| s.name == score.name) {
                    Some(known) => known.points.push(point),
                    None => series.push(Series { name: score.name.clone(), points: vec![point] }),
                }
            }
        }
        Panel { title: title.to_owned(), series }
    };
    plot::draw(&[panel("upload", |score| &score.up), panel("download", |score| &score.down)])
}
