//! A listing as lines for pipes. Scripts read them: they change with their documents or not at all.

use crate::cli::json::{object, or_null, text};
use crate::cli::text::{counted, grouped};
use crate::client::{Health, Holding, Shown, ShownFile};
use crate::name::printable;
use crate::placement::{PieceSet, Scheme};
use crate::sealed::{Facts, Kind};
use crate::text::utc_text;

/// A size or date that no trustworthy header has.
pub(super) const UNKNOWN: &str = "?";

/// A file's size; of a link, that it is one.
pub(super) fn size_of(facts: Option<&Facts>, text: impl FnOnce(u64) -> String) -> String {
    match facts {
        None => UNKNOWN.to_owned(),
        Some(facts) if facts.kind == Kind::Link => "link".to_owned(),
        Some(facts) => text(facts.size),
    }
}

/// What follows a file's name; with parity, that it is degraded is followed by how many more servers may be lost.
pub(super) fn mark(file: &ShownFile) -> String {
    let losses = file.losses.filter(|_| file.scheme() == Scheme::Parity);
    match (file.health, losses) {
        (Health::Whole, _) => String::new(),
        (Health::Degraded, Some(losses)) => format!(" [degraded] {losses}"),
        (Health::Degraded, None) => " [degraded]".to_owned(),
        (Health::Incomplete, _) => " [incomplete]".to_owned(),
        (Health::OtherKey, _) => " [other key]".to_owned(),
    }
}

/// The name, and a mark if the file is not whole. It is the exact one, unless that could end the line.
pub(super) fn short(shown: &Shown) -> String {
    match shown {
        Shown::Folder(folder) => format!("{}/", in_line(folder.as_str())),
        Shown::File(file) => format!("{}{}", in_line(file.path.as_str()), mark(file)),
    }
}

fn in_line(name: &str) -> String {
    if name.contains(char::is_control) { printable(name).to_string() } else { name.to_owned() }
}

/// Name, size, date, and which server holds which piece.
pub(super) fn long(listing: &[Shown]) -> Vec<String> {
    let names: Vec<String> = listing.iter().map(short).collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let lines = listing.iter().zip(names).map(|(shown, name)| {
        let pad = " ".repeat(width - name.chars().count());
        match shown {
            Shown::Folder(_) => name,
            Shown::File(file) => {
                let facts = file.facts.as_ref();
                let size = size_of(facts, |size| size.to_string());
                let date = facts.map_or(UNKNOWN.to_owned(), |facts| utc_text(facts.modified.seconds));
                format!("{name}{pad}  {size:>13}  {date:<20}  {}", holders(file))
            }
        }
    });
    lines.collect()
}

fn holders(file: &ShownFile) -> String {
    let holder = |held: &Option<Holding>| match held {
        None => "down".to_owned(),
        Some(held) if held.pieces.is_empty() => "-".to_owned(),
        Some(held) => held.pieces.to_string(),
    };
    file.holders.iter().map(|(name, held)| format!("{name}:{}", holder(held))).collect::<Vec<_>>().join(" ")
}

/// An entry as JSON.
pub(super) fn json(shown: &Shown) -> String {
    let file = match shown {
        Shown::Folder(folder) => {
            return object([("name", text(folder.as_str())), ("type", text("folder"))]);
        }
        Shown::File(file) => file,
    };
    let state = match file.health {
        Health::Whole => "whole",
        Health::Degraded => "degraded",
        Health::Incomplete => "incomplete",
        Health::OtherKey => "other_key",
    };
    let facts = file.facts.as_ref();
    let is_link = facts.is_some_and(|facts| facts.kind == Kind::Link);
    let held = file.holders.iter().map(|(name, held)| (name, held.as_ref().map(|held| held.pieces)));
    let servers = held.map(|(name, pieces)| (name.as_str(), or_null(pieces.map(numbers))));
    object([
        ("name", text(file.path.as_str())),
        ("type", text(if is_link { "link" } else { "file" })),
        ("size", or_null(facts.map(|facts| facts.size))),
        ("modified", or_null(facts.map(|facts| text(&utc_text(facts.modified.seconds))))),
        ("mode", or_null(facts.map(|facts| text(&format!("{:03o}", facts.mode))))),
        ("redundancy", or_null(facts.map(|facts| text(redundancy(facts.scheme))))),
        ("state", text(state)),
        ("losses", or_null(file.losses)),
        ("servers", object(servers)),
        ("outdated", by_server(file, |held| held.outdated)),
        ("damaged", by_server(file, |held| held.damaged)),
        ("other_key", by_server(file, |held| held.other_key)),
    ])
}

/// A scheme, as the .conf has it.
fn redundancy(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Copies => "copies",
        Scheme::Parity => "parity",
    }
}

/// How many files and folders there are, the bytes of the files, and their states.
pub(super) fn totals(listing: &[Shown]) -> String {
    let Totals { files, folders, bytes, states } = Totals::of(listing);
    let names = ["whole", "degraded", "incomplete", "under another key"];
    let states = states.into_iter().zip(names).filter(|(count, _)| *count > 0);
    let states: Vec<String> = states.map(|(count, state)| format!("{} {state}", grouped(count))).collect();
    let states = if states.is_empty() { String::new() } else { format!(": {}", states.join(", ")) };
    let bytes = grouped(usize::try_from(bytes).unwrap_or(usize::MAX));
    format!("{} in {}, {bytes} bytes{states}", counted(files, "file"), counted(folders, "folder"))
}

/// The same as JSON.
pub(super) fn totals_json(listing: &[Shown]) -> String {
    let Totals { files, folders, bytes, states: [whole, degraded, incomplete, other_key] } =
        Totals::of(listing);
    object([
        ("type", text("total")),
        ("files", files.to_string()),
        ("folders", folders.to_string()),
        ("bytes", bytes.to_string()),
        ("whole", whole.to_string()),
        ("degraded", degraded.to_string()),
        ("incomplete", incomplete.to_string()),
        ("other_key", other_key.to_string()),
    ])
}

#[derive(Default)]
struct Totals {
    files: usize,
    folders: usize,
    bytes: u64,
    /// Whole, degraded, incomplete, and under another key.
    states: [usize; 4],
}

impl Totals {
    fn of(listing: &[Shown]) -> Self {
        let mut totals = Self::default();
        for shown in listing {
            let Shown::File(file) = shown else {
                totals.folders += 1;
                continue;
            };
            totals.files += 1;
            totals.bytes += file.facts.as_ref().map_or(0, |facts| facts.size);
            totals.states[match file.health {
                Health::Whole => 0,
                Health::Degraded => 1,
                Health::Incomplete => 2,
                Health::OtherKey => 3,
            }] += 1;
        }
        totals
    }
}

fn numbers(pieces: PieceSet) -> String {
    format!("[{pieces}]")
}

/// The servers that have pieces of some kind, with these pieces.
fn by_server(file: &ShownFile, kind: impl Fn(&Holding) -> PieceSet) -> String {
    object(file.holders.iter().filter_map(|(name, held)| {
        let pieces = held.as_ref().map(&kind).filter(|pieces| !pieces.is_empty())?;
        Some((name.as_str(), numbers(pieces)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fixtures::{file, folder, held, shown_file};

    fn under_another_key(servers: Vec<(&str, Option<Holding>)>) -> Shown {
        let file = shown_file("a", Health::OtherKey, servers);
        Shown::File(ShownFile { facts: None, ..file })
    }

    #[test]
    fn lines_have_the_name_first_and_then_the_mark() {
        assert_eq!(short(&folder("my folder")), "my folder/");
        assert_eq!(short(&file("a b", Health::Whole, vec![])), "a b");
        assert_eq!(short(&file("a", Health::Degraded, vec![])), "a [degraded]");
        let parity = shown_file("a", Health::Degraded, vec![]);
        let facts = Facts { scheme: Scheme::Parity, ..Facts::default() };
        let parity = ShownFile { facts: Some(facts), losses: Some(1), ..parity };
        assert_eq!(short(&Shown::File(parity)), "a [degraded] 1");
        let servers = vec![("Server1", held(&[1, 2])), ("Server2", held(&[])), ("Server3", None)];
        let lines = long(&[folder("my folder"), file("a", Health::Incomplete, servers)]);
        let expected =
            "a [incomplete]             12  1970-01-01T00:00:00Z  Server1:1,2 Server2:- Server3:down";
        assert_eq!(lines, ["my folder/", expected]);
        let lines = long(&[under_another_key(vec![("Server1", held(&[]))])]);
        assert_eq!(lines, [format!("a [other key]  {:>13}  {:<20}  Server1:-", "?", "?")]);
    }

    #[test]
    fn json_names_the_server_of_each_flawed_piece() {
        let flawed = Holding {
            outdated: PieceSet::from_iter([2, 3]),
            damaged: PieceSet::from_iter([1]),
            ..Holding::default()
        };
        let servers = vec![("Server1", held(&[1, 2])), ("Server2", Some(flawed)), ("Server3", None)];
        let line = json(&file("a\"\\é", Health::Whole, servers));
        let expected =
            r#"{"name":"a\"\\é","type":"file","size":12,"modified":"1970-01-01T00:00:00Z","mode":"000","#;
        let servers = r#""redundancy":"copies","state":"whole","losses":1,"servers":{"Server1":[1,2],"Server2":[],"Server3":null},"#;
        let flaws = r#""outdated":{"Server2":[2,3]},"damaged":{"Server2":[1]},"other_key":{}}"#;
        assert_eq!(line, format!("{expected}{servers}{flaws}"));
    }

    #[test]
    fn what_is_not_known_of_a_file_under_another_key_is_null() {
        let line = json(&under_another_key(vec![]));
        assert!(line.contains(r#""size":null,"modified":null,"mode":null,"redundancy":null,"state":"other_key","losses":null,"#), "{line}");
    }
}
