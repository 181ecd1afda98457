//! The one table.

use crate::contest::Score;
use crate::stats::Sample;

/// Rows of one width, so that the table can be read where it is printed, and put into a document as it is.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 7]>,
}

const HEAD: [&str; 7] = ["task", "who", "median", "min–max", "rate", "÷ floor", "what it does"];

/// How a value is written.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Seconds,
    /// Bytes, in MiB.
    Memory,
    /// A count or a factor.
    Plain,
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Unit::Seconds if value < 0.1 => format!("{:.1} ms", value * 1e3),
            Unit::Seconds if value < 1.0 => format!("{:.0} ms", value * 1e3),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Memory => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Unit::Plain => format!("{value:.2}"),
        }
    }
}

impl Table {
    /// A row of any kind.
    pub(crate) fn row(&mut self, task: &str, who: &str, unit: Unit, sample: &Sample, note: &str) {
        let spread = match sample.min().total_cmp(&sample.max()) {
            std::cmp::Ordering::Less => format!("{}–{}", unit.write(sample.min()), unit.write(sample.max())),
            _ => String::new(),
        };
        let median = unit.write(sample.median());
        self.rows.push([task, who, &median, &spread, "", "", note].map(str::to_owned));
    }

    /// What the last row has in the column `rate`.
    pub(crate) fn rate(&mut self, text: String) {
        if let Some(row) = self.rows.last_mut() {
            row[4] = text;
        }
    }

    /// The rows of a comparison, one way. `rate` says how fast a time is.
    pub(crate) fn comparison(
        &mut self,
        task: &str,
        scores: &[Score],
        way: impl Fn(&Score) -> &Sample,
        rate: impl Fn(f64) -> String,
    ) {
        let floor = scores.iter().find(|score| score.name == "floor").map(&way);
        for score in scores {
            let sample = way(score);
            self.row(task, &score.name, Unit::Seconds, sample, score.does);
            self.rate(rate(sample.median()));
            if let Some(row) = self.rows.last_mut() {
                row[5] = floor.map_or_else(String::new, |f| format!("{:.2}", sample.ratio(f).median()));
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let head = HEAD.map(str::to_owned);
        let mut widths = HEAD.map(|cell| cell.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut line = |row: &[String; 7]| -> std::fmt::Result {
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                let gap = " ".repeat(width - cell.chars().count());
                let numbers = (2..6).contains(&column);
                if numbers { write!(f, "| {gap}{cell} ")? } else { write!(f, "| {cell}{gap} ")? }
            }
            writeln!(f, "|")
        };
        line(&head)?;
        let rule = std::array::from_fn(|column| {
            let dashes = "-".repeat(widths[column] - 1);
            if (2..6).contains(&column) { dashes + ":" } else { dashes + "-" }
        });
        line(&rule)?;
        let mut task = "";
        for row in &self.rows {
            let mut row_shown = row.clone();
            if row[0] == task {
                row_shown[0].clear();
            }
            task = &row[0];
            line(&row_shown)?;
        }
        Ok(())
    }
}
