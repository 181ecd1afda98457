//! What the marks and signs in a table mean, for those that appear in it.

use std::collections::BTreeMap;

use super::cells::{DAMAGED, OTHER_KEY, OUTDATED, paint};
use super::lines::mark;
use crate::cli::colour::Paint;
use crate::cli::grid::View;
use crate::cli::text::{counted, hang, some};
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
    let start = (!down.is_empty()).then(|| format!("start {}", some(down, STARTED)));
    let or =
        |then: &str, repair: &str| start.as_ref().map_or(repair.to_owned(), |start| start.clone() + then);
    let again = or(", or Repair", "Repair makes new ones");
    let again_of_parity = or(", then Repair", "Repair makes what is missing");
    let lost = || format!("no server has a good copy of what is missing; upload it again; {DELETED_BEFORE}");
    let text = |file: &ShownFile| match (file.health, file.scheme(), file.losses) {
        (Health::Whole, ..) => String::new(),
        (Health::Degraded, Scheme::Copies, _) => format!("fewer copies than asked for: {again}"),
        (Health::Degraded, Scheme::Parity, Some(losses @ 1..)) => {
            let servers = counted(losses, "more server");
            format!("bears the loss of only {servers}: {again_of_parity}")
        }
        (Health::Degraded, Scheme::Parity, _) => {
            format!("bears no further loss of a server: {again_of_parity}")
        }
        (Health::Incomplete, ..) => {
            format!("cannot be rebuilt now: {}", start.clone().unwrap_or_else(lost))
        }
        (Health::OtherKey, ..) => {
            "encrypted under another key: needs the password or Key line that it was uploaded with".to_owned()
        }
    };
    let mut notes: BTreeMap<String, Note> = BTreeMap::new();
    for file in files.iter().filter(|file| file.health != Health::Whole) {
        let mark = mark(file).trim_start().to_owned();
        let note = |mark: &String| Note { mark: mark.clone(), paint: paint(file.health), text: text(file) };
        notes.entry(mark).or_insert_with_key(note);
    }
    notes.into_values().collect()
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
