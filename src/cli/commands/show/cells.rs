//! What the cells of the table contain, and how they are painted.

use crate::cli::colour::Paint;
use crate::cli::grid::Cell;
use crate::client::{Health, Holding, ShownFile};

pub(super) fn paint(health: Health) -> Paint {
    match health {
        Health::Whole => Paint::Plain,
        Health::Degraded => Paint::Yellow,
        Health::Incomplete | Health::OtherKey => Paint::Red,
    }
}

/// The sign for a piece that a server has in the wrong state.
fn flaw(held: &Holding, piece: u8) -> Option<(char, Paint)> {
    let flaws = [
        (held.damaged, DAMAGED, Paint::Red),
        (held.other_key, OTHER_KEY, Paint::Red),
        (held.outdated, OUTDATED, Paint::Yellow),
    ];
    flaws.into_iter().find(|(pieces, ..)| pieces.contains(piece)).map(|(_, sign, paint)| (sign, paint))
}

pub(super) const DAMAGED: char = '!';
pub(super) const OTHER_KEY: char = 'k';
pub(super) const OUTDATED: char = '~';

/// The pieces that one server has, each at its place: `1--4`.
pub(super) fn held_by(file: &ShownFile, server: usize) -> Cell {
    let held = file.holders.get(server).and_then(|(_, held)| held.as_ref());
    let Some(held) = held else { return Cell::painted(Paint::Dim, "down") };
    file.scheme().pieces().fold(Cell::default(), |cell, piece| match flaw(held, piece) {
        _ if held.pieces.contains(piece) => cell.and(Paint::Plain, piece.to_string()),
        Some((sign, paint)) => cell.and(paint, sign),
        None => cell.and(Paint::Dim, "-"),
    })
}

/// The servers that have a piece, by their places: `5,6,9~`.
pub(super) fn holders(file: &ShownFile, piece: u8) -> Cell {
    if !file.scheme().pieces().any(|known| known == piece) {
        return Cell::default();
    }
    let up =
        file.holders.iter().enumerate().filter_map(|(index, (_, held))| Some((index + 1, held.as_ref()?)));
    let mut good: Vec<String> = Vec::new();
    let mut flawed = Vec::new();
    for (place, held) in up {
        match flaw(held, piece) {
            _ if held.pieces.contains(piece) => good.push(place.to_string()),
            Some((sign, paint)) => flawed.push((format!("{place}{sign}"), paint)),
            None => {}
        }
    }
    let cell = if good.is_empty() { Cell::painted(Paint::Red, "none") } else { Cell::new(good.join(",")) };
    flawed.into_iter().fold(cell, |cell, (text, paint)| cell.and(Paint::Plain, ",").and(paint, text))
}

/// The pieces that no server has.
pub(super) fn missing(file: &ShownFile) -> Cell {
    let has = |held: &Option<Holding>, piece| held.as_ref().is_some_and(|held| held.pieces.contains(piece));
    let missing =
        file.scheme().pieces().filter(|piece| !file.holders.iter().any(|(_, held)| has(held, *piece)));
    let missing: Vec<String> = missing.map(|piece| piece.to_string()).collect();
    Cell::painted(
        Paint::Red,
        match &missing[..] {
            // A number alone would be read as how many.
            [piece] => format!("piece {piece}"),
            pieces => pieces.join(","),
        },
    )
}
