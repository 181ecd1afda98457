//! Parses words into a command.

use std::fmt;

use super::command::{Action, Call, Command, Meaning};
use super::commands::TABLE;
use super::hints::{self, did_you_mean, nearest};
use super::options::{END, Flag, Options, Value};
use super::program;
use super::words::BadLine;
use crate::name::printable;

/// What words mean.
#[derive(Debug)]
pub(super) enum Parsed {
    Call(Call),
    /// The list of commands, or the full help for one.
    Help(Option<&'static Command>),
    Exit,
}

/// Why words are not a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UsageError {
    Line(BadLine),
    NoCommand,
    Unknown(String),
    /// An option that the command does not have.
    Option(&'static Command, String),
    /// An option with an invalid value, what was expected, and what it means.
    Value(String, &'static str, String),
    /// An option without its value, and what it means.
    NoValue(&'static str, String),
    /// A required argument.
    Missing(&'static Command, &'static str),
    Unexpected(&'static Command, String),
}

impl From<BadLine> for UsageError {
    fn from(why: BadLine) -> Self {
        Self::Line(why)
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Line(why) => why.fmt(f),
            UsageError::NoCommand => f.write_str("a command is missing"),
            UsageError::Unknown(word) => write!(f, "unknown command '{}'", printable(word)),
            UsageError::Option(command, option) => {
                write!(f, "{} has no option '{}'", command.name, printable(option))
            }
            UsageError::Value(option, expected, _) => {
                write!(f, "'{}': expected {expected}", printable(option))
            }
            UsageError::NoValue(option, _) => write!(f, "{option} has no value"),
            UsageError::Missing(_, argument) => write!(f, "{argument} is missing"),
            UsageError::Unexpected(_, word) => write!(f, "unexpected argument '{}'", printable(word)),
        }
    }
}

impl UsageError {
    /// What the user might do about it.
    pub(super) fn hint(&self) -> String {
        match self {
            UsageError::Unknown(word) if word.starts_with('-') => {
                "options come after the command: Upload -q poem.txt".into()
            }
            UsageError::Unknown(word) => meant(word).map_or_else(list, did_you_mean),
            UsageError::Option(command, option) => {
                let own: Vec<&Flag> = command.options().map(|(flag, _)| *flag).collect();
                match hints::option(option, &own) {
                    Some(known) => did_you_mean(&known),
                    None => {
                        let listed = command.listed_options().map(|(flag, _)| flag.name);
                        let names: Vec<&str> = listed.filter(|name| *name != END.name).collect();
                        format!(
                            "{} takes {}; put -- before a name that begins with -",
                            command.name,
                            names.join(", ")
                        )
                    }
                }
            }
            UsageError::Value(.., usage) | UsageError::NoValue(_, usage) => usage.clone(),
            UsageError::Missing(command, _) => format!("usage: {}", command.usage()),
            UsageError::Line(BadLine::Quote) => {
                "put a backslash before a quote that is part of a name: it\\'s.txt".into()
            }
            UsageError::Line(BadLine::EditingKey) => {
                let line = program::command_line(&["DIR", "CONF"]);
                format!("`rlwrap {line}` has line editing and a history")
            }
            UsageError::Unexpected(command, _) if takes_names(command) => hints::IN_QUOTES.into(),
            _ => list(),
        }
    }
}

fn list() -> String {
    "Help lists the commands".to_owned()
}

fn takes_names(command: &Command) -> bool {
    matches!(command.action, Action::Run(_)) && command.arguments().next().is_some()
}

/// The command that a word names.
pub(super) fn find(word: &str) -> Option<&'static Command> {
    let is_it = |name: &&str| name.eq_ignore_ascii_case(word);
    TABLE.into_iter().find(|command| is_it(&command.name) || command.aliases.iter().any(&is_it))
}

/// The command that an unknown word may have meant.
fn meant(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    let other = TABLE.into_iter().find(|command| command.elsewhere.contains(&lower.as_str()));
    let names = || TABLE.into_iter().map(|command| command.name);
    other.map(|command| command.name).or_else(|| nearest(word, names()))
}

/// Parses a command's words, the command first.
///
/// # Errors
/// The first thing that is wrong, options before arguments.
pub(super) fn parse(words: &[String]) -> Result<Parsed, UsageError> {
    let (word, rest) = words.split_first().ok_or(UsageError::NoCommand)?;
    let command = find(word).ok_or_else(|| UsageError::Unknown(word.clone()))?;
    let (options, arguments) = split_options(command, rest)?;
    if options.help {
        return Ok(Parsed::Help(Some(command)));
    }
    if let Some(missing) = command.needed().nth(arguments.len()) {
        return Err(UsageError::Missing(command, missing));
    }
    if let Some(word) = command.most_arguments().and_then(|most| arguments.get(most)) {
        return Err(UsageError::Unexpected(command, word.clone()));
    }
    match command.action {
        Action::Run(run) => Ok(Parsed::Call(Call { command, run, arguments, options })),
        Action::Exit => Ok(Parsed::Exit),
        Action::Help => {
            let topic = |word: &String| find(word).ok_or_else(|| UsageError::Unknown(word.clone()));
            Ok(Parsed::Help(arguments.first().map(topic).transpose()?))
        }
    }
}

/// Options and arguments. An option of another command is a mistake like any other: a user who gives `-n` to a Delete
/// does not want it done.
fn split_options(command: &'static Command, words: &[String]) -> Result<(Options, Vec<String>), UsageError> {
    let mut options = Options::default();
    let mut arguments = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if *word == END.name {
            break;
        }
        let is_option = word.starts_with('-') && word.len() > 1;
        if !is_option {
            arguments.push(word.to_owned());
            continue;
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.as_str(), None),
        };
        let is_it =
            |(flag, _): &&Meaning| flag.name == name && (value.is_none() || flag.value != Value::None);
        let known = command.options().find(is_it);
        let (flag, means) = known.ok_or_else(|| UsageError::Option(command, word.to_owned()))?;
        let usage = || format!("{}: {means}", flag.usage());
        let value = match (value, flag.value) {
            (None, Value::Needed(_)) => {
                Some(words.next().ok_or_else(|| UsageError::NoValue(flag.name, usage()))?.as_str())
            }
            (value, _) => value,
        };
        (flag.set)(&mut options, value).map_err(|expected| {
            let given = value.filter(|value| !word.ends_with(value));
            let given = given.map_or(word.to_owned(), |value| format!("{word} {value}"));
            UsageError::Value(given, expected, usage())
        })?;
    }
    arguments.extend(words.cloned());
    Ok((options, arguments))
}

#[cfg(test)]
mod tests {
    use super::super::words::split;
    use super::*;
    use crate::cli::options;
    use crate::client::Share;

    fn parsed(line: &str) -> Result<Parsed, UsageError> {
        parse(&split(line)?)
    }

    fn call(line: &str) -> Result<(&'static str, Vec<String>, Options), UsageError> {
        match parsed(line)? {
            Parsed::Call(call) => Ok((call.command.name, call.arguments, call.options)),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn row(name: &str) -> &'static Command {
        find(name).unwrap()
    }

    #[test]
    fn commands_are_known_in_any_case_and_options_anywhere() {
        let (name, arguments, options) = call("uPLOAD -q \"my notes.txt\" 'a b' -u").unwrap();
        assert_eq!((name, arguments), ("Upload", vec!["my notes.txt".into(), "a b".into()]));
        assert_eq!(options, Options { only_changed: true, quiet: true, ..Options::default() });
        assert_eq!(call("Show_files").unwrap().0, "ShowFiles");
        assert!(matches!(parsed("quit"), Ok(Parsed::Exit)));
        assert_eq!(call("Download -- -l").unwrap().1, ["-l"]);
    }

    #[test]
    fn mistakes_are_told_apart() {
        let mistake = |line| parsed(line).unwrap_err();
        let upload = row("Upload");
        assert_eq!(mistake(""), UsageError::NoCommand);
        assert_eq!(mistake("x"), UsageError::Unknown("x".into()));
        assert_eq!(mistake("Upload"), UsageError::Missing(upload, "NAME"));
        assert_eq!(mistake("Move a"), UsageError::Missing(row("Move"), "NEW"));
        assert_eq!(mistake("Delete a b c"), UsageError::Unexpected(row("Delete"), "c".into()));
        assert_eq!(call("Upload a b c").unwrap().1, ["a", "b", "c"]);
        assert_eq!(mistake("Upload -x a"), UsageError::Option(upload, "-x".into()));
        assert_eq!(mistake("Upload 'a"), UsageError::Line(BadLine::Quote));
    }

    #[test]
    fn hints_say_what_may_have_been_meant() {
        let hint = |line| parsed(line).unwrap_err().hint();
        assert_eq!(hint("Uplaod x"), "did you mean Upload?");
        assert_eq!(hint("hlep"), "did you mean Help?");
        assert_eq!(hint("ls"), "did you mean ShowFiles?");
        assert_eq!(hint("Help get"), "did you mean Download?");
        assert_eq!(hint("xyzzy"), "Help lists the commands");
        assert_eq!(hint("Delete -R x"), "did you mean -r?");
        assert_eq!(hint("Status --jsno"), "did you mean --json?");
        assert_eq!(hint("Delete --recursive x"), "did you mean -r?");
        assert_eq!(hint("Delete -rq x"), "did you mean -r -q?");
        let takes = "takes -r, -n, --json, -q, --trace; put -- before a name that begins with -";
        for line in ["Delete -x a", "Delete -ru a", "Delete --al a", "Delete -u a", "Delete --update a"] {
            assert_eq!(hint(line), format!("Delete {takes}"), "{line}");
        }
        assert_eq!(hint("-q Upload x"), "options come after the command: Upload -q poem.txt");
        assert_eq!(hint("Exit now"), "Help lists the commands");
        assert_eq!(hint("Status now"), "Help lists the commands");
        assert!(hint("Upload it's").ends_with("it\\'s.txt"), "{}", hint("Upload it's"));
        assert_eq!(hint("Move a"), "usage: Move OLD NEW");
        assert_eq!(
            hint("Upload"),
            "usage: Upload NAME... [--to FOLDER], or Upload FILE [FOLDER], or Upload - NAME [--to FOLDER]"
        );
        assert_eq!(hint("Delete a b c"), "put a name with spaces in quotes");
    }

    #[test]
    fn no_command_takes_an_option_that_its_help_does_not_have() {
        let takes_all = |name| ["Upload", "Download", "Repair"].contains(&name);
        for command in TABLE.into_iter().filter(|command| matches!(command.action, Action::Run(_))) {
            let name = command.name;
            let arguments = command.needed().collect::<Vec<_>>().join(" ");
            let listed: Vec<&str> = command.listed_options().map(|(flag, _)| flag.name).collect();
            for flag in options::ALL.into_iter().filter(|flag| flag.name != END.name) {
                let value = match flag.value {
                    Value::Needed(_) => " 1M",
                    Value::None | Value::Optional(_) => "",
                };
                let parsed = call(&format!("{name} {}{value} {arguments}", flag.name));
                match listed.contains(&flag.name) || (flag.name == "-r" && takes_all(name)) {
                    true => assert_ne!(parsed.unwrap().2, Options::default(), "{name} {}", flag.name),
                    false => assert_eq!(parsed, Err(UsageError::Option(command, flag.name.into()))),
                }
            }
        }
        assert!(call("Delete -- -n").is_ok());
    }

    #[test]
    fn the_bytes_to_read_are_all_or_a_share() {
        let read = |line| call(line).map(|(_, _, options)| options.read);
        assert_eq!(read("Verify"), Ok(None));
        assert_eq!(read("Verify --read -r"), Ok(Some(Share::ALL)));
        assert_eq!(read("Verify --read=100%"), Ok(Some(Share::ALL)));
        assert_eq!(read("Verify --read=2.5% d"), Ok(Share::parse("2.5%")));
        for value in ["0%", "abc", "", "5", "101%", "-1%"] {
            let error = parsed(&format!("Verify --read={value}")).unwrap_err();
            let expected = "expected a percentage above 0% and up to 100%";
            assert_eq!(error.to_string(), format!("'--read={value}': {expected}"));
            assert!(error.hint().starts_with("--read[=P%]: "), "{}", error.hint());
        }
        assert_eq!(read("Repair --read=5%"), Err(UsageError::Option(row("Repair"), "--read=5%".into())));
        assert_eq!(read("Verify --json=5%"), Err(UsageError::Option(row("Verify"), "--json=5%".into())));
        assert_eq!(parsed("Verify --raed").unwrap_err().hint(), "did you mean --read?");
        assert_eq!(parsed("Verify --read-data-subset=5%").unwrap_err().hint(), "did you mean --read?");
    }

    #[test]
    fn help_takes_a_command() {
        let topic = |line| match parsed(line) {
            Ok(Parsed::Help(topic)) => topic.map(|command| command.name),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(topic("help"), None);
        assert_eq!(topic("Help uPLOAD"), Some("Upload"));
        assert_eq!(topic("Help quit"), Some("Exit"));
        assert_eq!(topic("Upload --help"), Some("Upload"));
    }
}
