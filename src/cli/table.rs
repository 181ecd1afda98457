//! ShowFiles as lines, as a table, and as JSON.

use crate::client::{Health, Problem, Repaired, ServerStatus, Shown, ShownFile};
use crate::wire::utc_text;

/// One line for an entry: the name, and a mark if it is not whole.
pub(super) fn short(shown: &Shown) -> String {
    match shown {
        Shown::Folder(folder) => format!("{folder}/"),
        Shown::File(file) => format!("{}{}", file.path, mark(file.health)),
    }
}

fn mark(health: Health) -> &'static str {
    match health {
        Health::Whole => "",
        Health::Degraded => " [degraded]",
        Health::Incomplete => " [incomplete]",
    }
}

/// The long lines for a listing: name, size, date, and which server holds which piece.
pub(super) fn long(listing: &[Shown]) -> Vec<String> {
    let names: Vec<String> = listing.iter().map(short).collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let lines = listing.iter().zip(names).map(|(shown, name)| {
        let pad = " ".repeat(width - name.chars().count());
        match shown {
            Shown::Folder(_) => name,
            Shown::File(file) => {
                let date = utc_text(file.modified.seconds);
                format!("{name}{pad}  {:>13}  {date}  {}", file.size, holders(file))
            }
        }
    });
    lines.collect()
}

fn holders(file: &ShownFile) -> String {
    let holder = |pieces: &Option<Vec<u8>>| match pieces {
        None => "down".to_owned(),
        Some(pieces) if pieces.is_empty() => "-".to_owned(),
        Some(pieces) => pieces.iter().map(u8::to_string).collect::<Vec<_>>().join(","),
    };
    file.holders
        .iter()
        .map(|(name, pieces)| format!("{name}:{}", holder(pieces)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// One JSON object for an entry.
pub(super) fn json(shown: &Shown) -> String {
    match shown {
        Shown::Folder(folder) => format!("{{\"name\":{},\"type\":\"folder\"}}", json_text(folder.as_str())),
        Shown::File(file) => {
            let state = match file.health {
                Health::Whole => "whole",
                Health::Degraded => "degraded",
                Health::Incomplete => "incomplete",
            };
            let servers = file.holders.iter().map(|(name, pieces)| match pieces {
                None => format!("{}:null", json_text(name.as_str())),
                Some(pieces) => {
                    let numbers: Vec<String> = pieces.iter().map(u8::to_string).collect();
                    format!("{}:[{}]", json_text(name.as_str()), numbers.join(","))
                }
            });
            format!(
                "{{\"name\":{},\"type\":\"file\",\"size\":{},\"modified\":{},\"state\":\"{state}\",\"servers\":{{{}}}}}",
                json_text(file.path.as_str()),
                file.size,
                json_text(&utc_text(file.modified.seconds)),
                servers.collect::<Vec<_>>().join(",")
            )
        }
    }
}

/// A problem as one JSON object; `server` and `piece` are null where there is none.
pub(super) fn problem_json(problem: &Problem) -> String {
    let server = problem.server.as_ref().map_or("null".to_owned(), |name| json_text(name.as_str()));
    let piece = problem.piece.map_or("null".to_owned(), |piece| piece.to_string());
    let what = json_text(&problem.what.to_string());
    format!(
        "{{\"name\":{},\"server\":{server},\"piece\":{piece},\"problem\":{what}}}",
        json_text(problem.path.as_str())
    )
}

/// A step of a repair as one JSON object.
pub(super) fn repaired_json(step: &Repaired) -> String {
    let (action, path, rest) = match step {
        Repaired::Copied { path, piece, from, to } => {
            let (from, to) = (json_text(from.as_str()), json_text(to.as_str()));
            ("copied", path, format!(",\"piece\":{piece},\"from\":{from},\"to\":{to}"))
        }
        Repaired::Dropped { path, server } => {
            ("dropped", path, format!(",\"server\":{}", json_text(server.as_str())))
        }
        Repaired::Buried { path, server } => {
            ("deleted", path, format!(",\"server\":{}", json_text(server.as_str())))
        }
        Repaired::Forgotten { path } => ("forgotten", path, String::new()),
        Repaired::Settled { path } => ("settled", path, String::new()),
        Repaired::Failed { path, why } => ("failed", path, format!(",\"why\":{}", json_text(why))),
    };
    format!("{{\"name\":{},\"action\":\"{action}\"{rest}}}", json_text(path.as_str()))
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

/// A server's state as one JSON object.
pub(super) fn status_json(status: &ServerStatus) -> String {
    let server = json_text(status.server.as_str());
    match &status.state {
        Ok((usage, round_trip)) => {
            let free = usage.free.map_or("null".to_owned(), |bytes| bytes.to_string());
            let milliseconds = round_trip.as_secs_f64() * 1000.0;
            format!(
                "{{\"server\":{server},\"up\":true,\"round_trip_ms\":{milliseconds:.3},\"pieces\":{},\"bytes\":{},\"free\":{free}}}",
                usage.pieces, usage.bytes
            )
        }
        Err(why) => format!("{{\"server\":{server},\"up\":false,\"why\":{}}}", json_text(why)),
    }
}

/// A JSON string (RFC 8259, section 7).
fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{FilePath, FolderPath, ServerName};
    use crate::sealed::ModifiedTime;

    fn file(name: &str, health: Health) -> Shown {
        let server = |name| ServerName::parse(name).unwrap();
        Shown::File(ShownFile {
            path: FilePath::parse(name).unwrap(),
            size: 12,
            modified: ModifiedTime::default(),
            health,
            holders: vec![
                (server("Server1"), Some(vec![1, 2])),
                (server("Server2"), Some(vec![])),
                (server("Server3"), None),
            ],
        })
    }

    #[test]
    fn lines_have_the_name_first_and_marks_behind_it() {
        let folder = Shown::Folder(FolderPath::parse("my folder").unwrap());
        assert_eq!(short(&folder), "my folder/");
        assert_eq!(short(&file("a b", Health::Whole)), "a b");
        assert_eq!(short(&file("a", Health::Degraded)), "a [degraded]");
        assert_eq!(short(&file("a", Health::Incomplete)), "a [incomplete]");
        let lines = long(&[folder, file("a", Health::Incomplete)]);
        assert_eq!(lines[0], "my folder/");
        assert!(lines[1].starts_with("a [incomplete]  "), "{}", lines[1]);
        assert!(
            lines[1].ends_with("12  1970-01-01T00:00:00Z  Server1:1,2 Server2:- Server3:down"),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn json_is_escaped() {
        let line = json(&file("a\"\\é", Health::Whole));
        assert!(line.starts_with(r#"{"name":"a\"\\é","type":"file","size":12,"#), "{line}");
        assert!(line.ends_with(r#""servers":{"Server1":[1,2],"Server2":[],"Server3":null}}"#), "{line}");
    }
}
