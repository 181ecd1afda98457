//! ShowFiles on a terminal: a table with a map of the pieces, as wide as the terminal is.
//!
//! It uses the first layout, from rich to poor, in which the names have room. A listing and a width become plain text,
//! so that tests can look at it.

use super::cells::{held_by, holders, missing, paint};
use super::legend::legend;
use super::lines::{UNKNOWN, mark, size_of};
use crate::cli::colour::Paint;
use crate::cli::grid::{self, Cell, Column, View};
use crate::cli::text::{NAMED, columns, cut, cut_middle, hang, some};
use crate::cli::units;
use crate::client::{Health, Shown, ShownFile};
use crate::name::ServerName;
use crate::placement::Scheme;
use crate::text::utc_text;

/// Longer names are cut, so that no column is given up for them.
const LONG_NAME: usize = 32;
/// A layout that leaves less than this is too wide, if a poorer one leaves more.
const SHORT_NAME: usize = 20;
/// A longer name of a server is not put over a column of four characters.
const SHORT_HEADER: usize = 12;
/// Most lines for the names of servers that the table shows by their numbers.
const KEY_LINES: usize = 3;

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
    /// The same under something shorter, see [`Table::short_names`].
    Short,
    /// A column for each piece, with the places of its holders.
    Holders,
    Omitted,
}

#[derive(Debug, Clone, Copy)]
struct Layout {
    when: When,
    map: Map,
}

const LAYOUTS: [Layout; 5] = [
    Layout { when: When::Time, map: Map::Names },
    Layout { when: When::Date, map: Map::Short },
    Layout { when: When::Date, map: Map::Holders },
    Layout { when: When::Date, map: Map::Omitted },
    Layout { when: When::Omitted, map: Map::Omitted },
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
        // There is no room for a table, but the user asked for the names.
        let short = |shown| cut(&(name(shown) + &mark_of(shown).0), view.width);
        return listing.iter().map(short).chain(legend(&files, &table.down(), false, view)).collect();
    };
    let mut lines = table.drawn(layout, room);
    lines.extend(legend(&files, &table.down(), layout.map != Map::Omitted, view));
    lines
}

fn files(listing: &[Shown]) -> impl Iterator<Item = &ShownFile> {
    listing.iter().filter_map(|shown| match shown {
        Shown::File(file) => Some(file),
        Shown::Folder(_) => None,
    })
}

/// The name as a terminal may get it: with nothing that turns the direction of the line.
fn name(shown: &Shown) -> String {
    match shown {
        Shown::Folder(folder) => format!("{folder}/"),
        Shown::File(file) => file.path.to_string(),
    }
}

fn mark_of(shown: &Shown) -> (String, Paint) {
    match shown {
        Shown::Folder(_) => (String::new(), Paint::Plain),
        Shown::File(file) => (mark(file), paint(file.health)),
    }
}

struct Table<'a> {
    listing: &'a [Shown],
    /// In the order of the .conf, each with whether it is up.
    servers: Vec<(&'a ServerName, bool)>,
    /// Whether there is a column for pieces that no server has.
    missing: bool,
    view: View,
}

/// A column other than that of the names.
struct Field<'a> {
    column: Column,
    head: String,
    cell: Box<dyn Fn(&ShownFile) -> Cell + 'a>,
}

impl<'a> Field<'a> {
    fn new(column: Column, head: impl Into<String>, cell: impl Fn(&ShownFile) -> Cell + 'a) -> Self {
        Self { column, head: head.into(), cell: Box::new(cell) }
    }
}

fn header(fields: &[Field<'_>]) -> Vec<Cell> {
    fields.iter().map(|field| Cell::painted(Paint::Bold, field.head.clone())).collect()
}

fn row(fields: &[Field<'_>], file: &ShownFile) -> Vec<Cell> {
    fields.iter().map(|field| (field.cell)(file)).collect()
}

impl Table<'_> {
    fn down(&self) -> Vec<String> {
        self.servers.iter().filter(|(_, up)| !up).map(|(name, _)| name.to_string()).collect()
    }

    /// The first layout that leaves room for the names, and how much; none if even the last one does not.
    fn layout(&self) -> Option<(Layout, usize)> {
        let mark_room = |file: &ShownFile| mark(file).len();
        let wanted = |file: &ShownFile| columns(&file.path.to_string()) + mark_room(file);
        let longest = files(self.listing).map(wanted).max().unwrap_or(0).max("Name".len());
        let mark = files(self.listing).map(mark_room).max().unwrap_or(0);
        let rooms = || LAYOUTS.into_iter().map(|layout| (layout, self.room(layout, (mark + 6).min(longest))));
        let with = |wanted: usize| rooms().find(|(_, room)| *room >= wanted.min(longest));
        // The date is not given up for a long name.
        let with_date = |wanted| with(wanted).filter(|(layout, _)| layout.when != When::Omitted);
        // Where names are cut short anyway, no other column comes before them.
        let with_most = || rooms().rev().max_by_key(|(_, room)| *room).filter(|(_, room)| *room > 0);
        with_date(LONG_NAME).or_else(|| with(SHORT_NAME.max(mark + 8))).or_else(with_most)
    }

    /// The columns of the terminal that a layout leaves for the names; 0 if they are fewer than `least`.
    fn room(&self, layout: Layout, least: usize) -> usize {
        let fields = self.fields(layout);
        let grid: Vec<Column> = fields.iter().map(|field| field.column).collect();
        let room = |rows: &[Vec<Cell>]| {
            let room = self.view.width.checked_sub(grid::width(&grid, rows));
            room.filter(|room| *room >= least).unwrap_or(0)
        };
        // Most that are too wide are so by their header alone.
        let header = header(&fields);
        let rows = || files(self.listing).map(|file| row(&fields, file));
        if room(std::slice::from_ref(&header)) == 0 {
            0
        } else {
            room(&rows().chain([header]).collect::<Vec<_>>())
        }
    }

    /// All columns but the name.
    fn fields(&self, layout: Layout) -> Vec<Field<'_>> {
        let mut fields = Vec::new();
        fields.push(Field::new(Column::right(2), "Size", |file| self.size(file)));
        if layout.when != When::Omitted {
            let zone = if layout.when == When::Time && !self.view.exact { " (UTC)" } else { "" };
            let when = move |file: &ShownFile| self.when(file, layout.when);
            fields.push(Field::new(Column::left(2), format!("Modified{zone}"), when));
        }
        if layout.map == Map::Holders {
            let is_parity = files(self.listing).any(|file| file.scheme() == Scheme::Parity);
            let scheme = if is_parity { Scheme::Parity } else { Scheme::Copies };
            fields.extend(scheme.pieces().map(|piece| {
                let head = if piece == 1 { "Piece 1".to_owned() } else { piece.to_string() };
                Field::new(Column::left(2), head, move |file| holders(file, piece))
            }));
            return fields;
        }
        if layout.map == Map::Omitted {
            return fields;
        }
        let names = || self.servers.iter().map(|(name, _)| name.to_string()).collect();
        let short = || {
            self.short_names().unwrap_or_else(|| (1..=self.servers.len()).map(|n| n.to_string()).collect())
        };
        let heads: Vec<String> = if layout.map == Map::Names { names() } else { short() };
        fields.extend(heads.into_iter().enumerate().map(|(index, head)| {
            let held = move |file: &ShownFile| held_by(file, index);
            Field::new(Column::left(if index == 0 { 2 } else { 1 }), head, held)
        }));
        if self.missing {
            fields.push(Field::new(Column::left(2), "Missing", missing));
        }
        fields
    }

    fn size(&self, file: &ShownFile) -> Cell {
        let text = |size: u64| if self.view.exact { size.to_string() } else { units::bytes(size as f64) };
        Cell::new(size_of(file.facts.as_ref(), text))
    }

    fn when(&self, file: &ShownFile, when: When) -> Cell {
        let Some(facts) = &file.facts else { return Cell::new(UNKNOWN) };
        let text = utc_text(facts.modified.seconds);
        Cell::new(match text.split_once('T') {
            Some((date, _)) if when == When::Date => date.to_owned(),
            Some((date, time)) if !self.view.exact => {
                format!("{date} {}", cut(time.get(..5).unwrap_or(""), 5))
            }
            _ => text,
        })
    }

    /// Short forms that distinguish the servers: the first name in full, and of the others the part after the prefix
    /// that all share. None if that saves nothing: then their places distinguish them.
    fn short_names(&self) -> Option<Vec<String>> {
        let names: Vec<&str> = self.servers.iter().map(|(name, _)| name.as_str()).collect();
        let (first, others) = names.split_first()?;
        let same = |name: &&str| first.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        // Digits stay together: of Server10 and Server11 the ends are 10 and 11.
        let common =
            first[..others.iter().map(same).min()?].trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let short = common > 0 && first.len() <= SHORT_HEADER && names.iter().all(|name| name.len() > common);
        short.then(|| {
            let ends = others.iter().map(|name| name[common..].to_owned());
            std::iter::once((*first).to_owned()).chain(ends).collect()
        })
    }

    fn drawn(&self, layout: Layout, room: usize) -> Vec<String> {
        let fields = self.fields(layout);
        let name = |shown: &Shown, room: usize| {
            let (mark, paint) = mark_of(shown);
            Cell::new(cut_middle(&name(shown), room.saturating_sub(mark.len()))).and(paint, mark)
        };
        let rows = self.listing.iter().map(|shown| match shown {
            // It has its line to itself.
            Shown::Folder(_) => vec![name(shown, self.view.width)],
            Shown::File(file) => [vec![name(shown, room)], row(&fields, file)].concat(),
        });
        let header = [vec![Cell::painted(Paint::Bold, "Name")], header(&fields)].concat();
        let rows: Vec<Vec<Cell>> = std::iter::once(header).chain(rows).collect();
        let grid: Vec<Column> =
            std::iter::once(Column::left(0)).chain(fields.iter().map(|field| field.column)).collect();
        let mut lines = self.key(layout.map);
        lines.extend(grid::lines(&grid, &rows, self.view.palette));
        lines
    }

    /// Which server is which, if the columns do not have their names.
    fn key(&self, map: Map) -> Vec<String> {
        if matches!(map, Map::Names | Map::Omitted) || map == Map::Short && self.short_names().is_some() {
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
            lines.extend(hang("Down:", 9, &some(&down, NAMED), self.view.width));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::colour::Palette;
    use crate::cli::fixtures::{file, folder, held, shown_file};
    use crate::client::Holding;
    use crate::placement::PieceSet;
    use crate::sealed::Facts;

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
            "~             from an older version: Repair drops it",
            "!             damaged header or seal: Repair replaces it (Verify checks all",
            "              bytes)",
            "k             encrypted under a key other than the .conf's",
        ];
        assert_eq!(drawn(&listing, 80), expected);
    }

    #[test]
    fn with_parity_the_mark_has_how_many_more_servers_may_be_lost() {
        let parity = |name: &str, losses: usize| {
            let servers = vec![("Server1", held(&[1, 5])), ("Server2", None), ("Server3", held(&[3, 7]))];
            let facts = Facts { scheme: Scheme::Parity, ..Facts::default() };
            let file = shown_file(name, Health::Degraded, servers);
            Shown::File(ShownFile { facts: Some(facts), losses: Some(losses), ..file })
        };
        let copies = on("copies", Health::Degraded, &FOUR[..3], &[1]);
        let listing = [parity("a", 1), parity("b", 0), copies];
        let expected = [
            "Name               Size  Modified (UTC)    Server1  Server2 Server3",
            "a [degraded] 1      0 B  1970-01-01 00:00  1---5--- down    --3---7-",
            "b [degraded] 0      0 B  1970-01-01 00:00  1---5--- down    --3---7-",
            "copies [degraded]  12 B  1970-01-01 00:00  1--4     down    -23-",
            "[degraded]    fewer copies than asked for: start Server2, or Repair",
            "[degraded] 0  bears no further loss of a server: start Server2, then Repair",
            "[degraded] 1  bears the loss of only 1 more server: start Server2, then Repair",
        ];
        assert_eq!(drawn(&listing, 80), expected);
        (1..150).for_each(|width| drop(drawn(&listing, width)));
    }

    #[test]
    fn a_file_under_another_key_is_not_called_lost() {
        let of = |pieces: [u8; 2]| Holding { other_key: PieceSet::from_iter(pieces), ..Holding::default() };
        let servers = vec![("Server1", Some(of([1, 4]))), ("Server2", Some(of([2, 3])))];
        let file = shown_file("a", Health::OtherKey, servers);
        let listing = [Shown::File(ShownFile { facts: None, ..file })];
        let expected = [
            "Name           Size  Modified (UTC)  Server1 Server2",
            "a [other key]     ?  ?               k--k    -kk-",
            "[other key]  encrypted under another key: needs the password or Key line that it",
            "             was uploaded with",
            "k            encrypted under a key other than the .conf's",
        ];
        assert_eq!(drawn(&listing, 80), expected);
    }

    #[test]
    fn a_narrow_terminal_loses_the_map_and_then_the_date_and_the_size_but_not_the_marks() {
        let listing = [on("odd-size.bin", Health::Incomplete, &FOUR, &[1, 2])];
        let expected = [
            "Name                       Size  Modified",
            "odd-size.bin [incomplete]  12 B  1970-01-01",
            "[incomplete]  cannot be rebuilt now: start Server2, Server3",
        ];
        assert_eq!(drawn(&listing, 60), expected);
        assert_eq!(drawn(&listing, 50)[..2], expected[..2]);
        let expected = [
            "Name                      Size",
            "odd-si...in [incomplete]  12 B",
            "[incomplete] cannot be rebuilt",
            "now: start Server2, Server3",
        ];
        assert_eq!(drawn(&listing, 30), expected);
        let listing = [on("a-name-of-some-length.txt", Health::Degraded, &FOUR, &[1])];
        let expected =
            ["Name                       Size  Modified", "a-name-o...txt [degraded]  12 B  1970-01-01"];
        assert_eq!(drawn(&listing, 43)[..2], expected);
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
            "Name                  Size  Modified    Piece 1  2  3    4",
            "earth.gif [degraded]  12 B  1970-01-01  1        3  3,4  1,4",
            "[degraded]  fewer copies than asked for: start Server2, Server10, or Repair",
        ];
        assert_eq!(drawn(&listing, 80), expected);
        (1..500).for_each(|width| drop(drawn(&listing, width)));
    }

    #[test]
    fn long_names_of_servers_are_above_the_table() {
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
