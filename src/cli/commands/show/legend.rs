//! What the marks and signs in a table mean, for those that appear in it.

use super::cells::{DAMAGED, OTHER_KEY, OUTDATED, paint, scheme};
use super::lines::mark;
use crate::cli::colour::Paint;
use crate::cli::grid::View;
use crate::cli::text::{hang, some};
use crate::client::{DELETED_BEFORE, Health, Holding, ShownFile};
use crate::placement::{PieceSet, Scheme};

/// Most servers whose names it lists as servers to start.
const STARTED: usize = 4;

/// One or more lines for each mark in the listing and, with `map`, for each sign of a piece.
pub(super) fn legend(files: &[&ShownFile], down: &[String], map: bool, view: View) -> Vec<String> {
    let mut notes = marks(files, down);
    if map {
        notes.extend(signs(files));
    }
    let mark_room = notes.iter().map(|note| note.mark.len()).max().unwrap_or(0) + 2;
    let lines = |note: Note| {
        let mut lines = hang(&note.mark, mark_room, &note.text, view.width);
        if let Some(first) = lines.first_mut()
            && let Some(rest) = first.strip_prefix(&note.mark)
        {
            *first = view.palette.paint(note.paint, &note.mark) + rest;
        }
        lines
    };
    notes.into_iter().flat_map(lines).collect()
}

struct Note {
    mark: String,
    paint: Paint,
    text: String,
}

/// The marks after names, and what can be done about them.
fn marks(files: &[&ShownFile], down: &[String]) -> Vec<Note> {
    let note = |health: Health, text: String| {
        let any = files.iter().any(|file| file.health == health);
        any.then(|| Note { mark: mark(health).trim_start().to_owned(), paint: paint(health), text })
    };
    let (degraded, incomplete) = match down {
        [] => (
            "Repair makes new ones".to_owned(),
            format!("no server has a good copy of what is missing; upload it again; {DELETED_BEFORE}"),
        ),
        down => {
            let start = format!("start {}", some(down, STARTED));
            (format!("{start}, or Repair"), start)
        }
    };
    let mut degraded_files = files.iter().filter(|file| file.health == Health::Degraded);
    let what = match degraded_files.all(|file| scheme(file) == Scheme::Copies) {
        true => "fewer copies than asked for",
        false => "fewer losses of servers can be borne than asked for",
    };
    let degraded = note(Health::Degraded, format!("{what}: {degraded}"));
    let incomplete = note(Health::Incomplete, format!("cannot be rebuilt now: {incomplete}"));
    let other_key = "encrypted under another key: needs the password or Key line that it was uploaded with";
    let other_key = note(Health::OtherKey, other_key.to_owned());
    degraded.into_iter().chain(incomplete).chain(other_key).collect()
}

/// The signs that replace a piece's number.
fn signs(files: &[&ShownFile]) -> Vec<Note> {
    let held: Vec<&Holding> =
        files.iter().flat_map(|file| &file.holders).filter_map(|(_, h)| h.as_ref()).collect();
    let note = |kind: fn(&Holding) -> PieceSet, mark: char, paint: Paint, text: &str| {
        let any = held.iter().any(|held| !kind(held).is_empty());
        any.then(|| Note { mark: mark.to_string(), paint, text: text.to_owned() })
    };
    let notes = [
        note(|held| held.outdated, OUTDATED, Paint::Yellow, "from an older version: Repair drops it"),
        note(
            |held| held.damaged,
            DAMAGED,
            Paint::Red,
            "damaged header or seal: Repair replaces it (Verify checks all bytes)",
        ),
        note(|held| held.other_key, OTHER_KEY, Paint::Red, "encrypted under a key other than the .conf's"),
    ];
    notes.into_iter().flatten().collect()
}
