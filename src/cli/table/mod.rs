//! Results on a terminal: tables, as wide as the terminal is. That of ShowFiles has a map of the pieces.
//!
//! Of several layouts, from rich to poor, the first is taken in which the names have room. What is
//! drawn from a listing and a width is text and nothing else, so that tests can look at it.

mod cells;
mod legend;
mod status;

pub(super) use status::status;

use super::colour::{Paint, Palette};
use super::grid::{self, Cell, Column};
use super::lines::{UNKNOWN, mark};
use super::text::{columns, cut, cut_middle, hang, some};
use super::units;
use crate::client::{Health, Shown, ShownFile};
use crate::name::ServerName;
use crate::placement;
use crate::text::utc_text;
use cells::{holders, is_held, map};
use legend::legend;

/// Longer names are cut before a column is given up for them.
const LONG_NAME: usize = 32;
/// Below this a layout is too wide, if a poorer one leaves more.
const SHORT_NAME: usize = 20;
/// A header longer than this is not put over a column of four characters.
const SHORT_HEADER: usize = 12;
/// Most servers that a line names one by one.
const NAMED: usize = 4;
/// Most lines for the names of servers that the table has by their numbers.
const KEY_LINES: usize = 3;

/// What the table is drawn for.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// Columns of the terminal.
    pub(super) width: usize,
    /// Sizes to the byte and times to the second.
    pub(super) exact: bool,
    pub(super) palette: Palette,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Time,
    Date,
    Omitted,
}

/// How the pieces are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Map {
    /// A column for each server, under its name.
    Names,
    /// The same under what tells its name from the others'; the first has its whole name.
    Ends,
    /// The same under its place in the .conf.
    Places,
    /// A column for each piece, with the places of its holders.
    Holders,
}

#[derive(Debug, Clone, Copy)]
struct Layout {
    when: When,
    size: bool,
    map: Map,
}

const LAYOUTS: [Layout; 11] = [
    Layout { when: When::Time, size: true, map: Map::Names },
    Layout { when: When::Date, size: true, map: Map::Names },
    Layout { when: When::Date, size: true, map: Map::Ends },
    Layout { when: When::Omitted, size: true, map: Map::Ends },
    Layout { when: When::Omitted, size: false, map: Map::Ends },
    Layout { when: When::Date, size: true, map: Map::Places },
    Layout { when: When::Omitted, size: true, map: Map::Places },
    Layout { when: When::Omitted, size: false, map: Map::Places },
    Layout { when: When::Date, size: true, map: Map::Holders },
    Layout { when: When::Omitted, size: true, map: Map::Holders },
    Layout { when: When::Omitted, size: false, map: Map::Holders },
];

/// The lines of a listing.
pub(super) fn table(listing: &[Shown], view: View) -> Vec<String> {
    let files: Vec<&ShownFile> = files(listing).collect();
    let Some(first) = files.first() else {
        return listing.iter().map(|shown| cut(&name(shown), view.width)).collect();
    };
    let table = Table {
        servers: first.holders.iter().map(|(name, held)| (name, held.is_some())).collect(),
        missing: files.iter().any(|file| file.health == Health::Incomplete),
        listing,
        view,
    };
    let Some((layout, room)) = table.layout() else {
        // No room for a table: the names still are what was asked for.
        let short = |shown| cut(&(name(shown) + mark_of(shown).0), view.width);
        return listing.iter().map(short).chain(legend(&files, &table.down(), false, view)).collect();
    };
    let mut lines = table.drawn(layout, room);
    lines.extend(legend(&files, &table.down(), true, view));
    lines
}

fn files(listing: &[Shown]) -> impl Iterator<Item = &ShownFile> {
    listing.iter().filter_map(|shown| match shown {
        Shown::File(file) => Some(file),
        Shown::Folder(_) => None,
    })
}

/// As people may see it: nothing in it turns the line around.
fn name(shown: &Shown) -> String {
    match shown {
        Shown::Folder(folder) => format!("{folder}/"),
        Shown::File(file) => file.path.to_string(),
    }
}

fn mark_of(shown: &Shown) -> (&'static str, Paint) {
    match shown {
        Shown::Folder(_) => ("", Paint::Plain),
        Shown::File(file) => (mark(file.health), paint(file.health)),
    }
}

fn paint(health: Health) -> Paint {
    match health {
        Health::Whole => Paint::Plain,
        Health::Degraded => Paint::Yellow,
        Health::Incomplete | Health::OtherKey => Paint::Red,
    }
}

struct Table<'a> {
    listing: &'a [Shown],
    /// By place in the .conf, each with whether it is up.
    servers: Vec<(&'a ServerName, bool)>,
    /// Whether there is a column for pieces that nobody has.
    missing: bool,
    view: View,
}

impl Table<'_> {
    fn down(&self) -> Vec<String> {
        self.servers.iter().filter(|(_, up)| !up).map(|(name, _)| name.to_string()).collect()
    }

    /// The first layout that leaves room for the names, and how much; none if even the poorest does not.
    fn layout(&self) -> Option<(Layout, usize)> {
        let mark_room = |file: &ShownFile| mark(file.health).len();
        let wanted = |file: &ShownFile| columns(&file.path.to_string()) + mark_room(file);
        let longest = files(self.listing).map(wanted).max().unwrap_or(0).max("Name".len());
        let mark = files(self.listing).map(mark_room).max().unwrap_or(0);
        let least = (mark + 6).min(longest);
        let mut rooms: [Option<usize>; LAYOUTS.len()] = [None; LAYOUTS.len()];
        for wanted in [LONG_NAME, SHORT_NAME.max(mark + 8)] {
            for (layout, room) in LAYOUTS.into_iter().zip(&mut rooms) {
                let room = *room.get_or_insert_with(|| self.room(layout, least));
                if room >= wanted.min(longest) && room > 0 {
                    return Some((layout, room));
                }
            }
        }
        // Where names are cut short anyway, no other column comes before them.
        let left = LAYOUTS.into_iter().zip(rooms.map(|room| room.unwrap_or(0))).rev();
        left.max_by_key(|(_, room)| *room).filter(|(_, room)| *room > 0)
    }

    /// What a layout leaves for the names; nothing if that is less than the least.
    fn room(&self, layout: Layout, least: usize) -> usize {
        let room = |rows: &[Vec<Cell>]| {
            let rest = grid::width(&self.columns(layout)[1..], rows);
            self.view.width.checked_sub(rest).filter(|room| *room >= least).unwrap_or(0)
        };
        // Most that are too wide are so by their header alone.
        if !self.can_be(layout.map) || room(&[self.header(layout)]) == 0 {
            return 0;
        }
        room(&self.rows(layout).into_iter().map(|(_, rest)| rest).collect::<Vec<_>>())
    }

    fn can_be(&self, map: Map) -> bool {
        match map {
            Map::Names => true,
            Map::Ends => self.ends().is_some(),
            Map::Places | Map::Holders => self.servers.len() > 1,
        }
    }

    fn columns(&self, layout: Layout) -> Vec<Column> {
        let mut grid = vec![Column::left(0)];
        if layout.size {
            grid.push(Column::right(2));
        }
        if layout.when != When::Omitted {
            grid.push(Column::left(2));
        }
        let in_map =
            if layout.map == Map::Holders { placement::pieces().count() } else { self.servers.len() };
        grid.extend((0..in_map).map(|index| Column::left(if index == 0 { 2 } else { 1 })));
        grid.extend(self.has_missing(layout).then(|| Column::left(2)));
        grid
    }

    /// In a map by piece, a cell without a holder says it.
    fn has_missing(&self, layout: Layout) -> bool {
        self.missing && layout.map != Map::Holders
    }

    /// The header and a row for each entry: the entry, none for the header, and all cells but the name.
    fn rows(&self, layout: Layout) -> Vec<(Option<&Shown>, Vec<Cell>)> {
        let mut rows = vec![(None, self.header(layout))];
        for shown in self.listing {
            rows.push(match shown {
                Shown::Folder(_) => (Some(shown), Vec::new()),
                Shown::File(file) => (Some(shown), self.row(file, layout)),
            });
        }
        rows
    }

    fn header(&self, layout: Layout) -> Vec<Cell> {
        let mut header = Vec::new();
        if layout.size {
            header.push("Size".to_owned());
        }
        match layout.when {
            When::Time if self.view.exact => header.push("Modified".to_owned()),
            When::Time => header.push("Modified (UTC)".to_owned()),
            When::Date => header.push("Modified".to_owned()),
            When::Omitted => {}
        }
        match layout.map {
            Map::Names => header.extend(self.servers.iter().map(|(name, _)| name.to_string())),
            Map::Ends => header.extend(self.ends().unwrap_or_default()),
            Map::Places => header.extend((1..=self.servers.len()).map(|place| place.to_string())),
            Map::Holders => header.extend(placement::pieces().map(|piece| format!("Piece {piece}"))),
        }
        if self.has_missing(layout) {
            header.push("Missing".to_owned());
        }
        header.into_iter().map(|text| Cell::painted(Paint::Bold, text)).collect()
    }

    fn row(&self, file: &ShownFile, layout: Layout) -> Vec<Cell> {
        let mut row = Vec::new();
        if layout.size {
            let exact = self.view.exact;
            let text = |size: u64| if exact { size.to_string() } else { units::bytes(size as f64) };
            row.push(Cell::new(file.facts.as_ref().map_or(UNKNOWN.to_owned(), |facts| text(facts.size))));
        }
        if layout.when != When::Omitted {
            row.push(Cell::new(self.when(file, layout.when)));
        }
        if layout.map == Map::Holders {
            row.extend(placement::pieces().map(|piece| holders(file, piece)));
        } else {
            row.extend(file.holders.iter().map(|(_, held)| map(held.as_ref())));
        }
        if self.has_missing(layout) {
            let missing: Vec<String> = placement::pieces()
                .filter(|&piece| !is_held(file, piece))
                .map(|piece| piece.to_string())
                .collect();
            // A number alone would be read as how many.
            let missing = match &missing[..] {
                [piece] => format!("piece {piece}"),
                pieces => pieces.join(","),
            };
            row.push(Cell::painted(Paint::Red, missing));
        }
        row
    }

    fn when(&self, file: &ShownFile, when: When) -> String {
        let Some(facts) = &file.facts else { return UNKNOWN.to_owned() };
        let text = utc_text(facts.modified.seconds);
        match text.split_once('T') {
            Some((date, _)) if when == When::Date => date.to_owned(),
            Some((date, time)) if !self.view.exact => {
                format!("{date} {}", cut(time.get(..5).unwrap_or(""), 5))
            }
            _ => text,
        }
    }

    /// The first name, and of the others what stands behind the part that all have in common; none
    /// where that saves nothing.
    fn ends(&self) -> Option<Vec<String>> {
        let names: Vec<&str> = self.servers.iter().map(|(name, _)| name.as_str()).collect();
        let (first, others) = names.split_first()?;
        let same = |name: &&str| first.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        // Digits stay together: of Server10 and Server11 the ends are 10 and 11.
        let common =
            first[..others.iter().map(same).min()?].trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let told = common > 0 && first.len() <= SHORT_HEADER && names.iter().all(|name| name.len() > common);
        told.then(|| {
            let ends = others.iter().map(|name| name[common..].to_owned());
            std::iter::once((*first).to_owned()).chain(ends).collect()
        })
    }

    fn drawn(&self, layout: Layout, room: usize) -> Vec<String> {
        let mut lines = self.key(layout.map);
        let rows: Vec<Vec<Cell>> = self
            .rows(layout)
            .into_iter()
            .map(|(shown, rest)| {
                let first = match shown {
                    None => Cell::painted(Paint::Bold, "Name"),
                    Some(shown) => {
                        let (mark, paint) = mark_of(shown);
                        // A folder has its line to itself.
                        let room = if rest.is_empty() { self.view.width } else { room };
                        let name = cut_middle(&name(shown), room.saturating_sub(mark.len()));
                        Cell::new(name).and(paint, mark)
                    }
                };
                std::iter::once(first).chain(rest).collect()
            })
            .collect();
        lines.extend(grid::lines(&self.columns(layout), &rows, self.view.palette));
        lines
    }

    /// Which server is which, where a column does not have its name.
    fn key(&self, map: Map) -> Vec<String> {
        if matches!(map, Map::Names | Map::Ends) {
            return Vec::new();
        }
        let named = |(index, (name, _)): (usize, &(&ServerName, bool))| format!("{}={name}", index + 1);
        let all: Vec<String> = self.servers.iter().enumerate().map(named).collect();
        let mut lines = hang("Servers:", 9, &all.join(" "), self.view.width);
        if lines.len() > KEY_LINES {
            let (first, last) = (self.servers[0].0, self.servers[self.servers.len() - 1].0);
            let text = format!("1 {first} to {} {last}, numbered as in the .conf", self.servers.len());
            lines = hang("Servers:", 9, &text, self.view.width);
        }
        let down = self.down();
        if map == Map::Holders && !down.is_empty() {
            lines.extend(hang("Down:", 9, &some(&down, 2 * NAMED), self.view.width));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::lines::tests::{file, folder, held};
    use crate::client::Holding;
    use crate::placement::PieceSet;

    fn drawn(listing: &[Shown], width: usize) -> Vec<String> {
        let lines = table(listing, View { width, exact: false, palette: Palette::OFF });
        assert!(lines.iter().all(|line| columns(line) <= width), "{width}: {lines:#?}");
        assert!(lines.iter().all(|line| line.trim_end() == line), "{lines:#?}");
        lines
    }

    /// A file on servers with these names, two copies of each piece.
    fn on(name: &str, health: Health, servers: &[&str], down: &[usize]) -> Shown {
        let pieces = [&[1, 4][..], &[1, 2], &[2, 3], &[3, 4]];
        let mut holders = Vec::new();
        for (index, server) in servers.iter().enumerate() {
            let held = held(pieces.get(index).unwrap_or(&&[][..]));
            holders.push((*server, held.filter(|_| !down.contains(&index))));
        }
        file(name, health, holders)
    }

    const FOUR: [&str; 4] = ["Server1", "Server2", "Server3", "Server4"];

    #[test]
    fn four_servers_fit_80_columns_with_a_map_under_their_names() {
        let listing = [on("earth.gif", Health::Whole, &FOUR, &[]), folder("holiday")];
        let expected = [
            "Name       Size  Modified (UTC)    Server1 Server2 Server3 Server4",
            "earth.gif  12 B  1970-01-01 00:00  1--4    12--    -23-    --34",
            "holiday/",
        ];
        assert_eq!(drawn(&listing, 80), expected);
    }

    #[test]
    fn what_is_down_missing_outdated_or_damaged_is_seen_and_explained() {
        let one = |piece| PieceSet::from_iter([piece]);
        let flawed =
            Holding { pieces: one(3), outdated: one(2), damaged: one(4), other_key: PieceSet::default() };
        let other = Holding { other_key: one(1), ..Holding::default() };
        let servers = |third| {
            vec![("Server1", held(&[1, 4])), ("Server2", None), ("Server3", third), ("Server4", held(&[]))]
        };
        let listing = [
            file("a", Health::Incomplete, servers(Some(flawed))),
            file("b", Health::Degraded, servers(held(&[2, 3]))),
            file("c", Health::Whole, servers(Some(other))),
        ];
        let expected = [
            "Name            Size  Modified (UTC)    Server1 Server2 Server3 Server4  Missing",
            "a [incomplete]  12 B  1970-01-01 00:00  1--4    down    -~3!    ----     piece 2",
            "b [degraded]    12 B  1970-01-01 00:00  1--4    down    -23-    ----",
            "c               12 B  1970-01-01 00:00  1--4    down    k---    ----     2,3",
            "[degraded]    fewer copies than asked for: start Server2, or Repair",
            "[incomplete]  cannot be rebuilt now: start Server2",
            "~             outdated, of an older version: Repair drops it",
            "!             damaged header or seal: Repair mends it (Verify checks all bytes)",
            "k             encrypted under another key than the .conf's",
        ];
        assert_eq!(drawn(&listing, 80), expected);
    }

    #[test]
    fn a_file_under_another_key_is_not_called_lost() {
        let of = |pieces: [u8; 2]| Holding { other_key: PieceSet::from_iter(pieces), ..Holding::default() };
        let servers = vec![("Server1", Some(of([1, 4]))), ("Server2", Some(of([2, 3])))];
        let Shown::File(file) = file("a", Health::OtherKey, servers) else { panic!() };
        let listing = [Shown::File(ShownFile { facts: None, ..file })];
        let expected = [
            "Name           Size  Modified (UTC)  Server1 Server2",
            "a [other key]     ?  ?               k--k    -kk-",
            "[other key]  not under the .conf's key: the password or Key line it was uploaded",
            "             with opens it",
            "k            encrypted under another key than the .conf's",
        ];
        assert_eq!(drawn(&listing, 80), expected);
    }

    #[test]
    fn a_narrow_terminal_loses_columns_and_not_the_map_or_the_marks() {
        let listing = [on("odd-size.bin", Health::Incomplete, &FOUR, &[1, 2])];
        let expected = [
            "Name                       Server1 2    3    4     Missing",
            "odd-size.bin [incomplete]  1--4    down down --34  piece 2",
            "[incomplete]  cannot be rebuilt now: start Server2, Server3",
        ];
        assert_eq!(drawn(&listing, 60), expected);
        let expected =
            ["odd-size.bin [incomplete]", "[incomplete] cannot be rebuilt", "now: start Server2, Server3"];
        assert_eq!(drawn(&listing, 30), expected);
        let listing = [on("a-name-of-some-length.txt", Health::Degraded, &FOUR, &[1])];
        let expected = ["Name                 1    2    3    4", "a-na...t [degraded]  1--4 down -23- --34"];
        assert_eq!(drawn(&listing, 40)[2..4], expected);
        (1..150).for_each(|width| drop(drawn(&listing, width)));
    }

    #[test]
    fn with_many_servers_each_piece_names_its_holders() {
        let names: Vec<String> = (1..=64).map(|n| format!("Server{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let listing = [on("earth.gif", Health::Degraded, &names, &[1, 9])];
        let expected = [
            "Servers: 1 Server1 to 64 Server64, numbered as in the .conf",
            "Down:    Server2, Server10",
            "Name                  Size  Modified    Piece 1 Piece 2 Piece 3 Piece 4",
            "earth.gif [degraded]  12 B  1970-01-01  1       3       3,4     1,4",
            "[degraded]  fewer copies than asked for: start Server2, Server10, or Repair",
        ];
        assert_eq!(drawn(&listing, 80), expected);
        (1..500).for_each(|width| drop(drawn(&listing, width)));
    }

    #[test]
    fn long_names_of_servers_stand_above_the_table() {
        let names = ["storage-eu-west-1.example.com", "storage-eu-east-1.example.com", "backup.example.com"];
        let listing = [on("a", Health::Whole, &names, &[])];
        let expected = [
            "Servers: 1=storage-eu-west-1.example.com 2=storage-eu-east-1.example.com",
            "         3=backup.example.com",
            "Name  Size  Modified    1    2    3",
            "a     12 B  1970-01-01  1--4 12-- -23-",
        ];
        assert_eq!(drawn(&listing, 80), expected);
        assert!(drawn(&listing, 140)[0].ends_with("backup.example.com"));
        (1..200).for_each(|width| drop(drawn(&listing, width)));
    }

    #[test]
    fn long_names_of_files_are_cut_and_keep_their_marks() {
        let name = "a-very-long-name-of-a-report-about-nothing-in-particular-2026.pdf";
        let listing = [on(name, Health::Degraded, &FOUR, &[1]), on("日本語.txt", Health::Whole, &FOUR, &[])];
        let expected = [
            "Name                                Size  Modified    Server1 2    3    4",
            "a-very-long-na...26.pdf [degraded]  12 B  1970-01-01  1--4    down -23- --34",
            "日本語.txt                          12 B  1970-01-01  1--4    12-- -23- --34",
        ];
        assert_eq!(drawn(&listing, 76)[..3], expected);
        (1..200).for_each(|width| drop(drawn(&listing, width)));
    }

    #[test]
    fn colours_do_not_move_anything() {
        let listing = [on("a", Health::Degraded, &FOUR, &[1])];
        let plain = drawn(&listing, 80);
        let coloured = table(&listing, View { width: 80, exact: false, palette: Palette::ON });
        assert!(coloured[1].contains("\x1b[33m [degraded]\x1b[0m"), "{coloured:#?}");
        let strip = |line: &String| {
            let parts = line.split('\x1b').enumerate();
            parts
                .map(|(n, part)| if n == 0 { part } else { part.split_once('m').unwrap().1 })
                .collect::<String>()
        };
        assert_eq!(coloured.iter().map(strip).collect::<Vec<_>>(), plain);
    }

    #[test]
    fn exact_sizes_and_times_are_for_those_who_ask() {
        let listing = [on("a", Health::Whole, &FOUR, &[])];
        let lines = table(&listing, View { width: 100, exact: true, palette: Palette::OFF });
        assert_eq!(lines[1], "a       12  1970-01-01T00:00:00Z  1--4    12--    -23-    --34");
        assert_eq!(drawn(&[folder("only"), folder("folders")], 6), ["only/", "fol..."]);
    }
}
