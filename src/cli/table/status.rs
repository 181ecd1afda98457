//! Status on a terminal.

use super::View;
use crate::cli::colour::Paint;
use crate::cli::grid::{self, Cell, Column};
use crate::cli::text::cut;
use crate::cli::units;
use crate::client::ServerStatus;

/// The lines of a status.
pub(in crate::cli) fn status(servers: &[ServerStatus], view: View) -> Vec<String> {
    let grid = [
        Column::left(0),
        Column::left(2),
        Column::right(2),
        Column::right(2),
        Column::right(2),
        Column::right(2),
    ];
    let header = ["Server", "State", "Round trip", "Pieces", "Held", "Free"];
    let mut rows = vec![header.map(|text| Cell::painted(Paint::Bold, text)).to_vec()];
    rows.extend(servers.iter().map(|server| row(server, view)));
    grid::lines(&grid, &rows, view.palette)
}

fn row(server: &ServerStatus, view: View) -> Vec<Cell> {
    let name = server.server.as_str();
    match &server.state {
        Ok((usage, round_trip)) => {
            let size = |bytes: u64| if view.exact { bytes.to_string() } else { units::bytes(bytes as f64) };
            vec![
                Cell::new(name),
                Cell::new("up"),
                Cell::new(format!("{:.1} ms", round_trip.as_secs_f64() * 1000.0)),
                Cell::new(usage.pieces.to_string()),
                Cell::new(size(usage.bytes)),
                Cell::new(usage.free.map_or("unknown".to_owned(), size)),
            ]
        }
        Err(why) => {
            let room = view.width.saturating_sub(name.len() + "  down: ".len());
            vec![
                Cell::new(name),
                Cell::painted(Paint::Red, "down").and(Paint::Plain, format!(": {}", cut(why, room))),
            ]
        }
    }
}
