//! Results as lines for pipes; scripts read them, so they change with the man page or not at all.

use crate::client::{Health, Holding, Repaired, ServerStatus, Shown, ShownFile};
use crate::wire::utc_text;

/// One line for an entry: the name, to the letter, and a mark if it is not whole.
pub(super) fn short(shown: &Shown) -> String {
    match shown {
        Shown::Folder(folder) => format!("{}/", folder.as_str()),
        Shown::File(file) => format!("{}{}", file.path.as_str(), mark(file.health)),
    }
}

/// What stands next to a file's name.
pub(super) fn mark(health: Health) -> &'static str {
    match health {
        Health::Whole => "",
        Health::Degraded => " [degraded]",
        Health::Incomplete => " [incomplete]",
        Health::OtherKey => " [other key]",
    }
}

/// A size or date that no header tells that can be trusted.
pub(super) const UNKNOWN: &str = "?";

/// The long lines for a listing: name, size, date, and which server holds which piece.
pub(super) fn long(listing: &[Shown]) -> Vec<String> {
    let names: Vec<String> = listing.iter().map(short).collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let lines = listing.iter().zip(names).map(|(shown, name)| {
        let pad = " ".repeat(width - name.chars().count());
        match shown {
            Shown::Folder(_) => name,
            Shown::File(file) => {
                let facts = file.facts.as_ref();
                let size = facts.map_or(UNKNOWN.to_owned(), |facts| facts.size.to_string());
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

/// A step of a repair that is not done, as `-n` shows it.
pub(super) fn would(step: &Repaired) -> String {
    match step {
        Repaired::Copied { path, piece, from, to } => {
            format!("{path}: would copy piece {piece} from {from} to {to}")
        }
        Repaired::Dropped { path, server } => {
            format!("{path}: would drop old or damaged pieces on {server}")
        }
        Repaired::Buried { path, server } => format!("{path}: would delete on {server} too"),
        Repaired::Forgotten { path } => format!("{path}: would be deleted everywhere"),
        Repaired::Settled { path } => format!("{path}: would settle an unfinished upload"),
        Repaired::Failed { path, why } => format!("{path}: cannot be repaired: {why}"),
    }
}

/// A server's state as a line.
pub(super) fn status(status: &ServerStatus) -> String {
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::name::{FilePath, FolderPath, ServerName};
    use crate::sealed::Facts;

    pub(in crate::cli) fn held(pieces: &[u8]) -> Option<Holding> {
        Some(Holding { pieces: pieces.iter().copied().collect(), ..Holding::default() })
    }

    pub(in crate::cli) fn file(name: &str, health: Health, servers: Vec<(&str, Option<Holding>)>) -> Shown {
        let server = |(name, held)| (ServerName::parse(name).unwrap(), held);
        Shown::File(ShownFile {
            path: FilePath::parse(name).unwrap(),
            facts: Some(Facts { size: 12, ..Facts::default() }),
            health,
            holders: servers.into_iter().map(server).collect(),
        })
    }

    pub(in crate::cli) fn folder(name: &str) -> Shown {
        Shown::Folder(FolderPath::parse(name).unwrap())
    }

    #[test]
    fn lines_have_the_name_first_and_marks_behind_it() {
        assert_eq!(short(&folder("my folder")), "my folder/");
        assert_eq!(short(&file("a b", Health::Whole, vec![])), "a b");
        assert_eq!(short(&file("a", Health::Degraded, vec![])), "a [degraded]");
        let servers = vec![("Server1", held(&[1, 2])), ("Server2", held(&[])), ("Server3", None)];
        let lines = long(&[folder("my folder"), file("a", Health::Incomplete, servers)]);
        let expected =
            "a [incomplete]             12  1970-01-01T00:00:00Z  Server1:1,2 Server2:- Server3:down";
        assert_eq!(lines, ["my folder/", expected]);
        let Shown::File(other) = file("a", Health::OtherKey, vec![("Server1", held(&[]))]) else { panic!() };
        let lines = long(&[Shown::File(ShownFile { facts: None, ..other })]);
        assert_eq!(lines, [format!("a [other key]  {:>13}  {:<20}  Server1:-", "?", "?")]);
    }
}
