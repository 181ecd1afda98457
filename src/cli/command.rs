//! What a command is: the row that it has in the table of commands, and a call of it.
//!
//! A row is everything that the program knows about a command: parsing, usage lines, hints, every help text and
//! what Tab offers come from it, and tests compare the man page and the README with it.

use std::fmt;

use super::hints;
use super::options::{END, Flag, HELP, HELP_SHORT, Options, QUIET, TRACE};
use super::session::Session;
use super::words::quoted;
use crate::client::ClientError;

/// An option, and what it means for a command.
pub(super) type Meaning = (&'static Flag, &'static str);

/// A row of the table of commands.
pub(super) struct Command {
    /// As the help shows it; case does not matter.
    pub(super) name: &'static str,
    /// Its other names.
    pub(super) aliases: &'static [&'static str],
    /// What other programs call it, for a hint.
    pub(super) elsewhere: &'static [&'static str],
    /// The ways to write it, each with a line that says what it does. The first has all arguments; those in brackets
    /// are optional, and one that ends in `...` may be repeated. Options with values stand in brackets of their own.
    pub(super) forms: &'static [(&'static str, &'static str)],
    /// Where the names are that it takes.
    pub(super) names: Names,
    /// Its own options. One with an empty meaning is accepted, but not listed.
    pub(super) options: &'static [Meaning],
    /// What else is worth knowing.
    pub(super) details: &'static str,
    /// Examples, the first ones of each form in turn: these are short enough for the list of commands.
    pub(super) examples: &'static [&'static str],
    pub(super) action: Action,
}

/// Runs a command that works with the servers: prints its results, and returns its exit status.
type Run = fn(&mut Session<'_>, &Call) -> Result<u8, ClientError>;

/// Where names are that a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Below DIR.
    Local,
    /// On the servers.
    Stored,
}

/// What a command does.
pub(super) enum Action {
    Run(Run),
    Help,
    Exit,
}

/// A command as it was given. It has as many arguments as its first form allows.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) command: &'static Command,
    pub(super) run: Run,
    pub(super) arguments: Vec<String>,
    pub(super) options: Options,
}

impl Call {
    /// The command and its arguments as one line.
    pub(super) fn line(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| quoted(argument));
        let words = std::iter::once(self.command.name.to_owned()).chain(arguments);
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Ends an argument that may be repeated.
const REPEATED: &str = "...";

/// Options of every command.
const COMMON: [Meaning; 5] =
    [(&QUIET, QUIET.means), (&TRACE, TRACE.means), (&END, END.means), (&HELP, ""), (&HELP_SHORT, "")];

impl Command {
    /// The defaults for what a row leaves out.
    pub(super) const EMPTY: Self = Self {
        name: "",
        aliases: &[],
        elsewhere: &[],
        forms: &[],
        names: Names::Stored,
        options: &[],
        details: "",
        examples: &[],
        action: Action::Exit,
    };

    /// Its own options and those of every command.
    pub(super) fn options(&self) -> impl Iterator<Item = &'static Meaning> + Clone {
        self.options.iter().chain(&COMMON)
    }

    /// Those that the help lists.
    pub(super) fn listed_options(&self) -> impl Iterator<Item = &'static Meaning> + Clone {
        self.options().filter(|(_, means)| !means.is_empty())
    }

    /// Its arguments, as the help shows them.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &'static str> + Clone {
        let form = self.forms.first().map_or("", |(usage, _)| usage);
        form.split(" [--").next().unwrap_or(form).split(' ').skip(1)
    }

    /// Those that must be given.
    pub(super) fn needed(&self) -> impl Iterator<Item = &'static str> + Clone {
        let needed = self.arguments().filter(|argument| !argument.starts_with('['));
        needed.map(|argument| argument.trim_end_matches(REPEATED))
    }

    /// How many arguments it takes; none if there is no limit.
    pub(super) fn most_arguments(&self) -> Option<usize> {
        let is_limited = !self.arguments().any(|argument| argument.ends_with(REPEATED));
        is_limited.then(|| self.arguments().count())
    }

    /// Its forms, for a hint.
    pub(super) fn usage(&self) -> String {
        self.forms.iter().map(|(usage, _)| *usage).collect::<Vec<_>>().join(", or ")
    }
}

impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Command {}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The names of a command that takes several, and where to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given<'a> {
    pub(super) names: &'a [String],
    /// FOLDER of `FILE FOLDER`.
    pub(super) folder: Option<&'a str>,
    /// The value of `--to`.
    pub(super) to: Option<&'a str>,
}

impl Call {
    /// The names that were given. Two without `--to` are FILE and FOLDER, as the original has it.
    pub(super) fn given(&self) -> Given<'_> {
        let to = self.options.to.as_deref();
        match (&self.arguments[..], to) {
            ([name, folder], None) => Given { names: std::slice::from_ref(name), folder: Some(folder), to },
            (names, to) => Given { names, folder: None, to },
        }
    }

    /// A required argument; the parser has checked that it is there.
    pub(super) fn needed(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// The optional argument, which is always the last.
    pub(super) fn optional(&self) -> Option<&str> {
        self.arguments.get(self.command.needed().count()).map(String::as_str)
    }

    /// The argument after a name that may belong to it, and what may have been meant: `my notes.txt` without quotes is
    /// two words.
    pub(super) fn after_name(&self) -> Option<(&str, &'static str)> {
        let takes_several = self.command.most_arguments().is_none();
        let meant = if takes_several { hints::TWO_NAMES } else { hints::IN_QUOTES };
        self.optional().filter(|_| self.command.needed().count() > 0).map(|word| (word, meant))
    }
}
