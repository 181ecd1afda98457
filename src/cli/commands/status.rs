//! Status: the state of the servers.

use crate::cli::NO_SERVER;
use crate::cli::colour::Paint;
use crate::cli::command::{Action, Call, Command};
use crate::cli::console::Console;
use crate::cli::grid::{self, Cell, Column, View};
use crate::cli::json;
use crate::cli::options::{JSON, LONG, Options};
use crate::cli::session::Session;
use crate::cli::text::cut;
use crate::cli::units;
use crate::client::{ClientError, ServerStatus};

pub(in crate::cli) const COMMAND: Command = Command {
    name: "Status",
    forms: &[("Status", "the state of the servers")],
    options: &[(&LONG, "sizes to the byte"), (&JSON, "one JSON object for each server")],
    details: "Up or down, the round trip, the pieces and bytes held for you, and the free space.",
    examples: &["Status"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    // The result says which servers are down.
    session.console.warn_of_down(false);
    let status = session.client.status();
    session.console.warn_of_down(true);
    session.console.end_work();
    Ok(show(session.console, &status, &call.options))
}

/// Shows the state of all servers; the exit status.
pub(in crate::cli) fn show(console: &Console, status: &[ServerStatus], options: &Options) -> u8 {
    if options.json {
        status.iter().for_each(|server| console.result(&object(server)));
    } else if console.out_is_terminal() {
        console.results(&table(status, console.view(options.long)));
    } else {
        status.iter().for_each(|server| console.result(&line(server)));
    }
    if status.iter().any(|server| server.state.is_ok()) {
        return 0;
    }
    console.error(&"no server is available", ClientError::NoServer(Vec::new()).hint());
    NO_SERVER
}

fn object(status: &ServerStatus) -> String {
    let server = ("server", json::text(status.server.as_str()));
    match &status.state {
        Ok((usage, round_trip)) => json::object([
            server,
            ("up", "true".to_owned()),
            ("round_trip_ms", format!("{:.3}", round_trip.as_secs_f64() * 1000.0)),
            ("pieces", usage.pieces.to_string()),
            ("bytes", usage.bytes.to_string()),
            ("free", json::or_null(usage.free)),
        ]),
        Err(why) => json::object([server, ("up", "false".to_owned()), ("why", json::text(why))]),
    }
}

fn line(status: &ServerStatus) -> String {
    match &status.state {
        Ok((usage, round_trip)) => {
            let free = usage.free.map_or("unknown".to_owned(), |bytes| bytes.to_string());
            let milliseconds = round_trip.as_secs_f64() * 1000.0;
            format!(
                "{}: up, round trip {milliseconds:.1} ms, {} pieces, {} bytes held, {free} bytes free",
                status.server, usage.pieces, usage.bytes
            )
        }
        Err(why) => format!("{}: down ({why})", status.server),
    }
}

/// Columns that are never left out.
const LEAST: usize = 3;

fn table(servers: &[ServerStatus], view: View) -> Vec<String> {
    let grid = [
        Column::left(0),
        Column::left(2),
        Column::right(2),
        Column::right(2),
        Column::right(2),
        Column::right(2),
    ];
    let header = ["Server", "State", "Free", "Held", "Pieces", "Round trip"];
    let mut rows = vec![header.map(|text| Cell::painted(Paint::Bold, text)).to_vec()];
    rows.extend(servers.iter().map(|server| row(server, view)));
    // On a narrow terminal the last columns are left out; a name, a state and the free space stay.
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
                Cell::new(usage.free.map_or("unknown".to_owned(), size)),
                Cell::new(size(usage.bytes)),
                Cell::new(usage.pieces.to_string()),
                Cell::new(format!("{:.1} ms", round_trip.as_secs_f64() * 1000.0)),
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
    fn a_narrow_terminal_loses_the_round_trip_first_and_keeps_the_free_space() {
        let usage = Usage { pieces: 12, bytes: 5 << 20, free: Some(7 << 30) };
        let server = |name: &str, state| ServerStatus { server: ServerName::parse(name).unwrap(), state };
        let servers = [
            server("Server1", Ok((usage, Duration::from_millis(2)))),
            server("Server2", Err("refused the connection".to_owned())),
        ];
        let heads = [(80, "Round trip"), (40, "Pieces"), (32, "Held"), (26, "Free")];
        for (width, last) in heads {
            let lines = table(&servers, View { width, exact: false, palette: Palette::OFF });
            assert!(lines[0].ends_with(last), "{width}: {lines:#?}");
            assert!(lines.iter().all(|line| columns(line) <= width), "{width}: {lines:#?}");
        }
    }
}
