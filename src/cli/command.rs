//! Commands: from words to what is meant.

use std::fmt;

use super::help;
use super::nearest::nearest;
use crate::client::Share;
use crate::name::printable;

/// The options that stand with a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) long: bool,
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) recursive: bool,
    pub(super) dry: bool,
    pub(super) only_changed: bool,
    pub(super) read: Option<Share>,
    pub(super) trace: bool,
    pub(super) help: bool,
}

/// A command, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    ShowFiles {
        folder: Option<String>,
    },
    Upload {
        what: String,
        folder: Option<String>,
    },
    Download {
        what: String,
        folder: Option<String>,
    },
    Delete {
        what: String,
        folder: Option<String>,
    },
    Move {
        old: String,
        new: String,
    },
    Verify {
        folder: Option<String>,
    },
    Repair {
        folder: Option<String>,
    },
    Status,
    Passwd,
    /// The list, or all about one command.
    Help {
        topic: Option<&'static str>,
    },
    Exit,
}

/// Why words are no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UsageError {
    Unknown(String),
    /// A command, and an option that it does not have.
    Option(&'static str, String),
    /// What is no share of the bytes.
    Share(String),
    /// Of which command, and what.
    Missing(&'static str, &'static str),
    Surplus(&'static str, String),
    Nothing,
    Quote,
    TooLong,
    NotUtf8,
    /// An arrow, or another key that only a line editor understands.
    CursorKey,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Unknown(word) => write!(f, "unknown command '{}'", printable(word)),
            UsageError::Option(name, option) => {
                write!(f, "{name} has no option '{}'", printable(option))
            }
            UsageError::Share(share) => {
                write!(f, "'--read={}': expected a percentage above 0% and up to 100%", printable(share))
            }
            UsageError::Missing(_, what) => write!(f, "{what} is missing"),
            UsageError::Surplus(_, word) => write!(f, "'{}' is one argument too many", printable(word)),
            UsageError::Nothing => f.write_str("a command is missing"),
            UsageError::Quote => f.write_str("a quote that does not end"),
            UsageError::TooLong => f.write_str("a line that is too long"),
            UsageError::NotUtf8 => f.write_str("a line that is not UTF-8"),
            UsageError::CursorKey => f.write_str("arrows and the like do nothing here"),
        }
    }
}

impl UsageError {
    pub(super) fn hint(&self) -> String {
        let list = || "Help lists the commands".to_owned();
        match self {
            UsageError::Unknown(word) if word.starts_with('-') => {
                "options stand behind the command: Upload -q poem.txt".into()
            }
            UsageError::Unknown(word) => match meant(word) {
                Some(name) => format!("did you mean {name}?"),
                None => list(),
            },
            UsageError::Option(name, option) => match meant_option(name, option) {
                Some(known) => format!("did you mean {known}?"),
                None => {
                    let own: Vec<&str> = help::options(name).filter(|own| *own != "--").collect();
                    format!("{name} takes {}; -- stands before a name that begins with -", own.join(", "))
                }
            },
            UsageError::Share(_) => "--read reads everything, --read=5% a random part".into(),
            UsageError::Missing(name, _) => {
                help::usage(name).map_or_else(list, |usage| format!("usage: {usage}"))
            }
            UsageError::Quote => {
                "a quote that belongs to a name has a backslash before it: it\\'s.txt".into()
            }
            UsageError::CursorKey => "`rlwrap Client DIR CONF` has line editing and a history".into(),
            UsageError::Surplus("Status" | "Passwd" | "Help" | "Exit", _) => list(),
            UsageError::Surplus(..) => "a name with spaces is written in quotes".into(),
            _ => list(),
        }
    }
}

/// What others call the options.
const OTHER_OPTIONS: [(&str, &str); 8] = [
    ("--dry-run", "-n"),
    ("--long", "-l"),
    ("--quiet", "-q"),
    ("--read-data", "--read"),
    ("--read-data-subset", "--read"),
    ("--recursive", "-r"),
    ("--silent", "-q"),
    ("--update", "-u"),
];

/// What others call the commands.
const OTHER_NAMES: [(&str, &str); 16] = [
    ("?", "Help"),
    ("bye", "Exit"),
    ("del", "Delete"),
    ("dir", "ShowFiles"),
    ("get", "Download"),
    ("list", "ShowFiles"),
    ("logout", "Exit"),
    ("ls", "ShowFiles"),
    ("mv", "Move"),
    ("password", "Passwd"),
    ("put", "Upload"),
    ("remove", "Delete"),
    ("rename", "Move"),
    ("rm", "Delete"),
    ("show", "ShowFiles"),
    ("fsck", "Verify"),
];

/// The command that an unknown word may stand for.
fn meant(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == lower).map(|(_, name)| *name);
    other.or_else(|| nearest(word, help::names()))
}

/// The options of a command that another one may stand for.
fn meant_option(name: &str, option: &str) -> Option<String> {
    let own: Vec<&str> = help::options(name).collect();
    let lower = option.split('=').next().unwrap_or(option).to_ascii_lowercase();
    let other = OTHER_OPTIONS.iter().find(|(other, _)| *other == lower).map(|(_, short)| *short);
    if let Some(known) = other.or(Some(lower.as_str())).filter(|known| own.contains(known)) {
        return Some(known.to_owned());
    }
    // Of one letter nothing is left when it is another one.
    let letters = option.trim_start_matches('-');
    if letters.chars().count() < 2 {
        return None;
    }
    let apart: Vec<String> = letters.chars().map(|letter| format!("-{letter}")).collect();
    if !option.starts_with("--") && apart.iter().all(|option| own.contains(&option.as_str())) {
        return Some(apart.join(" "));
    }
    nearest(option, own.into_iter().filter(|own| own.len() > 2)).map(str::to_owned)
}

/// Understands a command's words, the command first.
pub(super) fn parse(words: &[String]) -> Result<(Command, Options), UsageError> {
    let (word, rest) = words.split_first().ok_or(UsageError::Nothing)?;
    let name = canonical(word).ok_or_else(|| UsageError::Unknown(word.clone()))?;
    let (options, arguments) = split_options(name, rest)?;
    if options.help {
        return Ok((Command::Help { topic: Some(name) }, options));
    }
    let mut arguments = arguments.into_iter();
    let mut needed = |what| arguments.next().ok_or(UsageError::Missing(name, what));
    let command = match name {
        "Upload" => Command::Upload { what: needed("the file to upload")?, folder: arguments.next() },
        "Download" => Command::Download { what: needed("the file to download")?, folder: arguments.next() },
        "Delete" => Command::Delete { what: needed("the file to delete")?, folder: arguments.next() },
        "Move" => Command::Move { old: needed("the file to move")?, new: needed("the new name")? },
        "ShowFiles" => Command::ShowFiles { folder: arguments.next() },
        "Verify" => Command::Verify { folder: arguments.next() },
        "Repair" => Command::Repair { folder: arguments.next() },
        "Status" => Command::Status,
        "Passwd" => Command::Passwd,
        "Exit" => Command::Exit,
        _ => Command::Help { topic: arguments.next().map(topic).transpose()? },
    };
    match arguments.next() {
        Some(word) => Err(UsageError::Surplus(name, word)),
        None => Ok((command, options)),
    }
}

/// The name of a command as the help has it.
fn canonical(word: &str) -> Option<&'static str> {
    let word = match word.to_ascii_lowercase().as_str() {
        "show_files" => "ShowFiles",
        "quit" => "Exit",
        _ => word,
    };
    help::names().find(|name| name.eq_ignore_ascii_case(word))
}

fn topic(word: String) -> Result<&'static str, UsageError> {
    canonical(&word).ok_or(UsageError::Unknown(word))
}

/// Commands that take a folder whole: the `-r` that fingers add after years of scp changes nothing.
const TAKE_ALL: [&str; 3] = ["Upload", "Download", "Repair"];

/// Options and arguments. An option of another command is a mistake like any other: who gives `-n` to a
/// Delete does not mean that it is done.
fn split_options(name: &'static str, words: &[String]) -> Result<(Options, Vec<String>), UsageError> {
    let mut options = Options::default();
    let mut arguments = Vec::new();
    let mut words = words.iter();
    for word in words.by_ref() {
        let is_option = word.starts_with('-') && word.len() > 1;
        if !is_option {
            arguments.push(word.to_owned());
            continue;
        }
        let silently = matches!(word.as_str(), "-h" | "--help") || (word == "-r" && TAKE_ALL.contains(&name));
        // One option has a value, behind an equals sign.
        let (option, value) = match word.split_once('=') {
            Some((option @ "--read", value)) => (option, Some(value)),
            _ => (word.as_str(), None),
        };
        if !silently && !help::options(name).any(|own| own == option) {
            return Err(UsageError::Option(name, word.to_owned()));
        }
        match option {
            "--" => break,
            "-l" => options.long = true,
            "-q" => options.quiet = true,
            "-r" => options.recursive = true,
            "-n" => options.dry = true,
            "-u" => options.only_changed = true,
            "--trace" => options.trace = true,
            "--json" => options.json = true,
            "--read" => options.read = Some(value.map_or(Ok(Share::ALL), share)?),
            "-h" | "--help" => options.help = true,
            _ => return Err(UsageError::Option(name, word.to_owned())),
        }
    }
    arguments.extend(words.cloned());
    Ok((options, arguments))
}

fn share(text: &str) -> Result<Share, UsageError> {
    Share::parse(text).ok_or_else(|| UsageError::Share(text.to_owned()))
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

/// A name as it is typed at the prompt.
pub(super) fn quoted(name: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !"\"'\\".contains(c);
    if name.chars().all(plain) && !name.is_empty() {
        return name.to_owned();
    }
    let escape = |c: char| if "\"\\".contains(c) { format!("\\{c}") } else { c.to_string() };
    format!("\"{}\"", name.chars().map(escape).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<(Command, Options), UsageError> {
        parse(&split_words(line)?)
    }

    #[test]
    fn commands_are_known_in_any_case_and_options_anywhere() {
        let (upload, options) = command("uPLOAD -q \"my notes.txt\" 'a b' -u").unwrap();
        assert_eq!(upload, Command::Upload { what: "my notes.txt".into(), folder: Some("a b".into()) });
        assert_eq!(options, Options { only_changed: true, quiet: true, ..Options::default() });
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
    fn a_quoted_name_is_read_as_the_same() {
        for name in ["poem.txt", "my notes.txt", "q\"uote", "back\\slash", "it's", ""] {
            assert_eq!(split_words(&quoted(name)).unwrap(), [name]);
        }
        assert_eq!(quoted("my notes.txt"), "\"my notes.txt\"");
    }

    #[test]
    fn mistakes_are_told_apart() {
        assert_eq!(command("x").unwrap_err(), UsageError::Unknown("x".into()));
        assert_eq!(command("Upload").unwrap_err(), UsageError::Missing("Upload", "the file to upload"));
        assert_eq!(command("Move a").unwrap_err(), UsageError::Missing("Move", "the new name"));
        assert_eq!(command("Upload a b c").unwrap_err(), UsageError::Surplus("Upload", "c".into()));
        assert_eq!(command("Upload -x a").unwrap_err(), UsageError::Option("Upload", "-x".into()));
    }

    #[test]
    fn hints_say_what_may_have_been_meant() {
        let hint = |line| command(line).unwrap_err().hint();
        assert_eq!(hint("Uplaod x"), "did you mean Upload?");
        assert_eq!(hint("hlep"), "did you mean Help?");
        assert_eq!(hint("ls"), "did you mean ShowFiles?");
        assert_eq!(hint("Help get"), "did you mean Download?");
        assert_eq!(hint("xyzzy"), "Help lists the commands");
        assert_eq!(hint("Delete -R x"), "did you mean -r?");
        assert_eq!(hint("Status --jsno"), "did you mean --json?");
        assert_eq!(hint("Delete --recursive x"), "did you mean -r?");
        assert_eq!(hint("Delete -rq x"), "did you mean -r -q?");
        let takes = "takes -r, -q, --trace; -- stands before a name that begins with -";
        for line in ["Delete -x a", "Delete -rn a", "Delete --al a", "Delete -n a", "Delete --dry-run a"] {
            assert_eq!(hint(line), format!("Delete {takes}"), "{line}");
        }
        assert_eq!(hint("-q Upload x"), "options stand behind the command: Upload -q poem.txt");
        assert_eq!(hint("Exit now"), "Help lists the commands");
        assert!(hint("Upload it's").ends_with("it\\'s.txt"), "{}", hint("Upload it's"));
        assert_eq!(hint("Move a"), "usage: Move OLD NEW");
        assert_eq!(hint("Upload a b c"), "a name with spaces is written in quotes");
    }

    #[test]
    fn no_command_takes_an_option_that_its_help_does_not_have() {
        let all = ["-l", "-r", "-n", "-u", "-q", "--json", "--trace", "--read"];
        for name in help::names() {
            let own: Vec<&str> = help::options(name).collect();
            let arguments = if name == "Move" { "a b" } else { "" };
            let arguments = if ["Upload", "Download", "Delete"].contains(&name) { "a" } else { arguments };
            for option in all {
                let parsed = command(&format!("{name} {option} {arguments}"));
                if option == "-r" && TAKE_ALL.contains(&name) {
                    assert!(parsed.is_ok(), "{name} -r");
                    continue;
                }
                match own.contains(&option) {
                    true => assert!(
                        parsed.is_ok_and(|(_, options)| options != Options::default()),
                        "{name} {option}"
                    ),
                    false => assert_eq!(parsed, Err(UsageError::Option(name, option.into()))),
                }
            }
        }
        assert!(command("Delete -- -n").is_ok());
    }

    #[test]
    fn what_is_to_be_read_is_all_or_a_share() {
        let read = |line| command(line).map(|(_, options)| options.read);
        assert_eq!(read("Verify"), Ok(None));
        assert_eq!(read("Verify --read -r"), Ok(Some(Share::ALL)));
        assert_eq!(read("Verify --read=100%"), Ok(Some(Share::ALL)));
        assert_eq!(read("Verify --read=2.5% d"), Ok(Share::parse("2.5%")));
        for value in ["0%", "abc", "", "5", "101%", "-1%"] {
            let error = command(&format!("Verify --read={value}")).unwrap_err();
            assert_eq!(error, UsageError::Share(value.into()));
            assert!(error.hint().contains("--read=5%"), "{}", error.hint());
        }
        assert_eq!(read("Repair --read=5%"), Err(UsageError::Option("Repair", "--read=5%".into())));
        assert_eq!(command("Verify --raed").unwrap_err().hint(), "did you mean --read?");
        assert_eq!(command("Verify --read-data-subset=5%").unwrap_err().hint(), "did you mean --read?");
    }

    #[test]
    fn help_takes_a_command() {
        assert_eq!(command("help").unwrap().0, Command::Help { topic: None });
        assert_eq!(command("Help uPLOAD").unwrap().0, Command::Help { topic: Some("Upload") });
        assert_eq!(command("Help quit").unwrap().0, Command::Help { topic: Some("Exit") });
        assert_eq!(command("Upload --help").unwrap().0, Command::Help { topic: Some("Upload") });
    }
}
