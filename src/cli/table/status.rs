//! Status on a terminal.

use super::View;
use crate::cli::colour::Paint;
use crate::cli::grid::{self, Cell, Column};
use crate::cli::text::cut;
use crate::cli::units;
use crate::client::ServerStatus;

/// Columns that are never left out.
const LEAST: usize = 3;

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
    // On a narrow terminal the last columns are left out; a name, a state and a round trip stay.
    let fits = |columns: &usize| {
        let rows: Vec<Vec<Cell>> = rows.iter().map(|row| row[..row.len().min(*columns)].to_vec()).collect();
        grid::width(&grid[..*columns], &rows) <= view.width
    };
    let columns = (LEAST..=grid.len()).rev().find(fits).unwrap_or(LEAST);
    rows.iter_mut().for_each(|row| row.truncate(columns));
    grid::lines(&grid[..columns], &rows, view.palette)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::colour::Palette;
    use crate::cli::text::columns;
    use crate::name::ServerName;
    use crate::wire::Usage;
    use std::time::Duration;

    #[test]
    fn a_narrow_terminal_loses_what_is_held_and_free() {
        let usage = Usage { pieces: 12, bytes: 5 << 20, free: Some(7 << 30) };
        let server = |name: &str, state| ServerStatus { server: ServerName::parse(name).unwrap(), state };
        let servers = [
            server("Server1", Ok((usage, Duration::from_millis(2)))),
            server("Server2", Err("refused the connection".to_owned())),
        ];
        let heads = [(80, "Free"), (50, "Held"), (40, "Pieces"), (30, "Round trip")];
        for (width, last) in heads {
            let lines = status(&servers, View { width, exact: false, palette: Palette::OFF });
            assert!(lines[0].ends_with(last), "{width}: {lines:#?}");
            assert!(lines.iter().all(|line| columns(line) <= width), "{width}: {lines:#?}");
        }
    }
}
