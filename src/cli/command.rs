//! Commands: from words to what is meant.

use std::fmt;

/// The options that stand with a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) long: bool,
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) recursive: bool,
    pub(super) dry: bool,
    pub(super) only_changed: bool,
    pub(super) trace: bool,
}

/// A command, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    ShowFiles { folder: Option<String> },
    Upload { what: String, folder: Option<String> },
    Download { what: String, folder: Option<String> },
    Delete { what: String, folder: Option<String> },
    Move { old: String, new: String },
    Verify { folder: Option<String> },
    Repair { folder: Option<String> },
    Status,
    Passwd,
    Help,
    Exit,
}

/// Why words are no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UsageError {
    Unknown(String),
    Option(String),
    Missing(&'static str),
    Surplus(String),
    Quote,
    TooLong,
    NotUtf8,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Unknown(word) => write!(f, "unknown command '{}'", word.escape_debug()),
            UsageError::Option(option) => write!(f, "unknown option '{}'", option.escape_debug()),
            UsageError::Missing(what) => write!(f, "{what} is missing"),
            UsageError::Surplus(word) => write!(f, "'{}' is one argument too many", word.escape_debug()),
            UsageError::Quote => f.write_str("a quote that does not end"),
            UsageError::TooLong => f.write_str("a line that is too long"),
            UsageError::NotUtf8 => f.write_str("a line that is not UTF-8"),
        }
    }
}

impl UsageError {
    pub(super) fn hint(&self) -> String {
        match self {
            UsageError::Unknown(word) => match nearest(word) {
                Some(name) => format!("did you mean {name}?"),
                None => "Help lists the commands".into(),
            },
            UsageError::Surplus(_) => "a name with spaces is written in quotes".into(),
            _ => "Help lists the commands".into(),
        }
    }
}

const NAMES: [&str; 11] = [
    "ShowFiles",
    "Upload",
    "Download",
    "Delete",
    "Move",
    "Passwd",
    "Verify",
    "Repair",
    "Status",
    "Help",
    "Exit",
];

/// The command that a mistyped word is at most two edits away from.
fn nearest(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    let distance = |name: &&&str| edit_distance(&lower, &name.to_ascii_lowercase());
    NAMES.iter().min_by_key(distance).filter(|name| distance(name) <= 2).copied()
}

/// Levenshtein's distance.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// Understands a command's words, the command first.
pub(super) fn parse(words: &[String]) -> Result<(Command, Options), UsageError> {
    let (name, rest) = words.split_first().ok_or(UsageError::Missing("a command"))?;
    let (options, arguments) = split_options(rest)?;
    let mut arguments = arguments.into_iter();
    let command = match name.to_ascii_lowercase().as_str() {
        "showfiles" | "show_files" => Command::ShowFiles { folder: arguments.next() },
        "upload" => Command::Upload {
            what: arguments.next().ok_or(UsageError::Missing("the file to upload"))?,
            folder: arguments.next(),
        },
        "download" => Command::Download {
            what: arguments.next().ok_or(UsageError::Missing("the file to download"))?,
            folder: arguments.next(),
        },
        "delete" => Command::Delete {
            what: arguments.next().ok_or(UsageError::Missing("the file to delete"))?,
            folder: arguments.next(),
        },
        "move" => Command::Move {
            old: arguments.next().ok_or(UsageError::Missing("the file to move"))?,
            new: arguments.next().ok_or(UsageError::Missing("the new name"))?,
        },
        "verify" => Command::Verify { folder: arguments.next() },
        "repair" => Command::Repair { folder: arguments.next() },
        "status" => Command::Status,
        "passwd" => Command::Passwd,
        "help" => Command::Help,
        "exit" | "quit" => Command::Exit,
        _ => return Err(UsageError::Unknown(name.clone())),
    };
    match arguments.next() {
        Some(word) => Err(UsageError::Surplus(word)),
        None => Ok((command, options)),
    }
}

fn split_options(words: &[String]) -> Result<(Options, Vec<String>), UsageError> {
    let mut options = Options::default();
    let mut arguments = Vec::new();
    let mut words = words.iter();
    for word in words.by_ref() {
        match word.as_str() {
            "--" => break,
            "-l" => options.long = true,
            "-q" => options.quiet = true,
            "-r" => options.recursive = true,
            "-n" => options.dry = true,
            "-u" => options.only_changed = true,
            "--trace" => options.trace = true,
            "--json" => options.json = true,
            word if word.starts_with('-') && word.len() > 1 => {
                return Err(UsageError::Option(word.to_owned()));
            }
            word => arguments.push(word.to_owned()),
        }
    }
    arguments.extend(words.cloned());
    Ok((options, arguments))
}

/// Splits a line of the prompt into words. Single and double quotes keep spaces; a backslash, except
/// in single quotes, keeps the next character.
pub(super) fn split_words(line: &str) -> Result<Vec<String>, UsageError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => {
                word.get_or_insert_default().push(chars.next().ok_or(UsageError::Quote)?);
            }
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(UsageError::Quote);
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<(Command, Options), UsageError> {
        parse(&split_words(line)?)
    }

    #[test]
    fn commands_are_known_in_any_case_and_options_anywhere() {
        let (upload, options) = command("uPLOAD -q \"my notes.txt\" 'a b' -l").unwrap();
        assert_eq!(upload, Command::Upload { what: "my notes.txt".into(), folder: Some("a b".into()) });
        assert_eq!(options, Options { long: true, quiet: true, ..Options::default() });
        assert_eq!(command("Show_files").unwrap().0, Command::ShowFiles { folder: None });
        assert_eq!(command("quit").unwrap().0, Command::Exit);
        let (download, _) = command("Download -- -l").unwrap();
        assert_eq!(download, Command::Download { what: "-l".into(), folder: None });
    }

    #[test]
    fn words_keep_what_is_quoted() {
        assert_eq!(split_words(r#" a  "b c"d 'e\f' g\ h "" "#).unwrap(), ["a", "b cd", r"e\f", "g h", ""]);
        assert_eq!(split_words("\"a"), Err(UsageError::Quote));
        assert_eq!(split_words("a\\"), Err(UsageError::Quote));
    }

    #[test]
    fn mistakes_are_told_apart() {
        assert_eq!(command("Uplaod x").unwrap_err().hint(), "did you mean Upload?");
        assert_eq!(command("x").unwrap_err(), UsageError::Unknown("x".into()));
        assert_eq!(command("Upload").unwrap_err(), UsageError::Missing("the file to upload"));
        assert_eq!(command("Upload a b c").unwrap_err(), UsageError::Surplus("c".into()));
        assert_eq!(command("Upload -x a").unwrap_err(), UsageError::Option("-x".into()));
    }
}
