//! What the marks and signs in a table mean, for those that appear in it.

use super::cells::{DAMAGED, OTHER_KEY, OUTDATED, paint};
use super::lines::mark;
use crate::cli::colour::Paint;
use crate::cli::grid::View;
use crate::cli::text::{hang, some};
use crate::client::{DELETED_BEFORE, Health, Holding, ShownFile};
use crate::placement::PieceSet;

/// Most servers that a line names one by one.
pub(super) const NAMED: usize = 4;

/// A line or more for each mark in the listing, and with `map` for each sign of a piece.
pub(super) fn legend(files: &[&ShownFile], down: &[String], map: bool, view: View) -> Vec<String> {
    let mut entries = marks(files, down);
    if map {
        entries.extend(signs(files));
    }
    let mark_room = entries.iter().map(|entry| entry.mark.len()).max().unwrap_or(0) + 2;
    let lines = |entry: Entry| {
        let mut lines = hang(&entry.mark, mark_room, &entry.text, view.width);
        if let Some(first) = lines.first_mut()
            && let Some(rest) = first.strip_prefix(&entry.mark)
        {
            *first = view.palette.paint(entry.paint, &entry.mark) + rest;
        }
        lines
    };
    entries.into_iter().flat_map(lines).collect()
}

struct Entry {
    mark: String,
    paint: Paint,
    text: String,
}

/// The marks after names, and what can be done about them.
fn marks(files: &[&ShownFile], down: &[String]) -> Vec<Entry> {
    let entry = |health: Health, text: String| {
        let any = files.iter().any(|file| file.health == health);
        any.then(|| Entry { mark: mark(health).trim_start().to_owned(), paint: paint(health), text })
    };
    let (degraded, incomplete) = match down {
        [] => (
            "Repair makes new ones".to_owned(),
            format!("no server has a good copy of what is missing; upload it again; {DELETED_BEFORE}"),
        ),
        down => {
            let start = format!("start {}", some(down, NAMED));
            (format!("{start}, or Repair"), start)
        }
    };
    let degraded = entry(Health::Degraded, format!("fewer copies than asked for: {degraded}"));
    let incomplete = entry(Health::Incomplete, format!("cannot be rebuilt now: {incomplete}"));
    let other_key = "encrypted under another key: needs the password or Key line that it was uploaded with";
    let other_key = entry(Health::OtherKey, other_key.to_owned());
    degraded.into_iter().chain(incomplete).chain(other_key).collect()
}

/// The signs in place of a piece's number.
fn signs(files: &[&ShownFile]) -> Vec<Entry> {
    let held: Vec<&Holding> =
        files.iter().flat_map(|file| &file.holders).filter_map(|(_, h)| h.as_ref()).collect();
    let entry = |kind: fn(&Holding) -> PieceSet, mark: char, paint: Paint, text: &str| {
        let any = held.iter().any(|held| !kind(held).is_empty());
        any.then(|| Entry { mark: mark.to_string(), paint, text: text.to_owned() })
    };
    let entries = [
        entry(|held| held.outdated, OUTDATED, Paint::Yellow, "from an older version: Repair drops it"),
        entry(
            |held| held.damaged,
            DAMAGED,
            Paint::Red,
            "damaged header or seal: Repair replaces it (Verify checks all bytes)",
        ),
        entry(|held| held.other_key, OTHER_KEY, Paint::Red, "encrypted under a key other than the .conf's"),
    ];
    entries.into_iter().flatten().collect()
}
