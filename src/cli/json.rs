//! Results as JSON, one object a line; `man/shareit.1` has the fields.

use crate::client::{Health, Holding, Problem, Repaired, ServerStatus, Shown, ShownFile};
use crate::name::is_unprintable;
use crate::placement::PieceSet;
use crate::wire::utc_text;

/// An entry of a listing.
pub(super) fn shown(shown: &Shown) -> String {
    match shown {
        Shown::Folder(folder) => format!("{{\"name\":{},\"type\":\"folder\"}}", text(folder.as_str())),
        Shown::File(file) => {
            let state = match file.health {
                Health::Whole => "whole",
                Health::Degraded => "degraded",
                Health::Incomplete => "incomplete",
                Health::OtherKey => "other_key",
            };
            let servers = file.holders.iter().map(|(name, held)| match held {
                None => format!("{}:null", text(name.as_str())),
                Some(held) => format!("{}:{}", text(name.as_str()), numbers(held.pieces)),
            });
            format!(
                "{{\"name\":{},\"type\":\"file\",\"size\":{},\"modified\":{},\"state\":\"{state}\",\"servers\":{{{}}},\
                 \"outdated\":{},\"damaged\":{},\"other_key\":{}}}",
                text(file.path.as_str()),
                file.facts.as_ref().map_or("null".to_owned(), |facts| facts.size.to_string()),
                file.facts
                    .as_ref()
                    .map_or("null".to_owned(), |facts| text(&utc_text(facts.modified.seconds))),
                servers.collect::<Vec<_>>().join(","),
                by_server(file, |held| held.outdated),
                by_server(file, |held| held.damaged),
                by_server(file, |held| held.other_key),
            )
        }
    }
}

fn numbers(pieces: PieceSet) -> String {
    format!("[{pieces}]")
}

/// The servers that have pieces of some kind, with these pieces.
fn by_server(file: &ShownFile, kind: impl Fn(&Holding) -> PieceSet) -> String {
    let with = file.holders.iter().filter_map(|(name, held)| {
        let pieces = held.as_ref().map(&kind).filter(|pieces| !pieces.is_empty())?;
        Some(format!("{}:{}", text(name.as_str()), numbers(pieces)))
    });
    format!("{{{}}}", with.collect::<Vec<_>>().join(","))
}

/// A problem; `server` and `piece` are null where there is none.
pub(super) fn problem(problem: &Problem) -> String {
    let server = problem.server.as_ref().map_or("null".to_owned(), |name| text(name.as_str()));
    let piece = problem.piece.map_or("null".to_owned(), |piece| piece.to_string());
    let what = text(&problem.what.to_string());
    format!(
        "{{\"name\":{},\"server\":{server},\"piece\":{piece},\"problem\":{what}}}",
        text(problem.path.as_str())
    )
}

/// A step of a repair; with `dry` one that is not done.
pub(super) fn repaired(step: &Repaired, dry: bool) -> String {
    let done = !dry && !matches!(step, Repaired::Failed { .. });
    let (action, path, rest) = match step {
        Repaired::Copied { path, piece, from, to } => {
            let (from, to) = (text(from.as_str()), text(to.as_str()));
            ("copied", path, format!(",\"piece\":{piece},\"from\":{from},\"to\":{to}"))
        }
        Repaired::Dropped { path, server } => {
            ("dropped", path, format!(",\"server\":{}", text(server.as_str())))
        }
        Repaired::Buried { path, server } => {
            ("deleted", path, format!(",\"server\":{}", text(server.as_str())))
        }
        Repaired::Forgotten { path } => ("forgotten", path, String::new()),
        Repaired::Settled { path } => ("settled", path, String::new()),
        Repaired::Failed { path, why } => ("failed", path, format!(",\"why\":{}", text(&why.to_string()))),
    };
    format!("{{\"name\":{},\"action\":\"{action}\",\"done\":{done}{rest}}}", text(path.as_str()))
}

/// A server's state.
pub(super) fn status(status: &ServerStatus) -> String {
    let server = text(status.server.as_str());
    match &status.state {
        Ok((usage, round_trip)) => {
            let free = usage.free.map_or("null".to_owned(), |bytes| bytes.to_string());
            let milliseconds = round_trip.as_secs_f64() * 1000.0;
            format!(
                "{{\"server\":{server},\"up\":true,\"round_trip_ms\":{milliseconds:.3},\"pieces\":{},\"bytes\":{},\"free\":{free}}}",
                usage.pieces, usage.bytes
            )
        }
        Err(why) => format!("{{\"server\":{server},\"up\":false,\"why\":{}}}", text(why)),
    }
}

/// A JSON string (RFC 8259, section 7): the exact text, with what could forge a line on a terminal escaped.
fn text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if is_unprintable(c) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::{file, held};
    use super::*;

    #[test]
    fn names_are_escaped_and_flawed_pieces_are_told_by_server() {
        let flawed = Holding {
            outdated: PieceSet::from_iter([2, 3]),
            damaged: PieceSet::from_iter([1]),
            ..Holding::default()
        };
        let servers = vec![("Server1", held(&[1, 2])), ("Server2", Some(flawed)), ("Server3", None)];
        let line = shown(&file("a\"\\é", Health::Whole, servers));
        let expected =
            r#"{"name":"a\"\\é","type":"file","size":12,"modified":"1970-01-01T00:00:00Z","state":"whole","#;
        let servers = r#""servers":{"Server1":[1,2],"Server2":[],"Server3":null},"#;
        let flaws = r#""outdated":{"Server2":[2,3]},"damaged":{"Server2":[1]},"other_key":{}}"#;
        assert_eq!(line, format!("{expected}{servers}{flaws}"));
    }

    #[test]
    fn what_is_not_known_of_a_file_under_another_key_is_null() {
        let Shown::File(file) = file("a", Health::OtherKey, vec![]) else { panic!("no file") };
        let line = shown(&Shown::File(ShownFile { facts: None, ..file }));
        assert!(line.contains(r#""size":null,"modified":null,"state":"other_key","#), "{line}");
    }
}
