//! The options: which exist, and which were given to a command.

use super::units;
use crate::client::Share;

/// The options of one command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) long: bool,
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) recursive: bool,
    pub(super) dry_run: bool,
    pub(super) only_changed: bool,
    /// Whether to delete at the target what the source does not have.
    pub(super) delete: bool,
    /// Patterns of what to skip.
    pub(super) exclude: Vec<String>,
    /// Where to, if it was said.
    pub(super) to: Option<String>,
    pub(super) follow: bool,
    /// How much of each copy Verify reads.
    pub(super) read: Option<Share>,
    /// Bytes a second.
    pub(super) limit: Option<u64>,
    pub(super) trace: Option<Trace>,
    pub(super) help: bool,
}

/// How the lines of the protocol are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trace {
    /// For people.
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// An option of some command.
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) value: Value,
    pub(super) means: &'static str,
    /// What other programs call it.
    pub(super) elsewhere: &'static [&'static str],
    /// Notes it, with its value; if the value is invalid, says what was expected.
    pub(super) set: Set,
}

type Set = fn(&mut Options, Option<&str>) -> Result<(), &'static str>;

/// The value of an option, as the help shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    None,
    /// After `=` in the same word, or left out.
    Optional(&'static str),
    /// After `=` in the same word, or the next word.
    Needed(&'static str),
}

/// What the help calls the value that is a place on the other side: here, or on the servers.
pub(super) const PATH: &str = "PATH";
/// What it calls an argument that is a folder on the servers.
#[cfg(any(test, feature = "line-editing"))]
pub(super) const FOLDER: &str = "FOLDER";

impl Flag {
    const fn new(name: &'static str, means: &'static str, set: Set) -> Self {
        Self { name, value: Value::None, means, elsewhere: &[], set }
    }

    const fn with(self, value: Value) -> Self {
        Self { value, ..self }
    }

    const fn elsewhere(self, elsewhere: &'static [&'static str]) -> Self {
        Self { elsewhere, ..self }
    }

    /// How it is written, with its value.
    pub(super) fn usage(&self) -> String {
        match self.value {
            Value::None => self.name.to_owned(),
            Value::Optional(value) => format!("{}[={value}]", self.name),
            Value::Needed(value) => format!("{} {value}", self.name),
        }
    }
}

macro_rules! switch {
    ($field:ident) => {
        |options, _| {
            options.$field = true;
            Ok(())
        }
    };
}

pub(super) const LONG: Flag =
    Flag::new("-l", "long: all columns, exact sizes; for Upload, every file", switch!(long))
        .elsewhere(&["--long"]);
pub(super) const RECURSIVE: Flag =
    Flag::new("-r", "everything below the folder", switch!(recursive)).elsewhere(&["--recursive"]);
pub(super) const DRY_RUN: Flag =
    Flag::new("-n", "only show what would be done", switch!(dry_run)).elsewhere(&["--dry-run"]);
pub(super) const ONLY_CHANGED: Flag =
    Flag::new("-u", "only what has changed", switch!(only_changed)).elsewhere(&["--update"]);
pub(super) const FOLLOW: Flag = Flag::new("-L", "follow links instead of storing them", switch!(follow))
    .elsewhere(&["--dereference", "--copy-links", "--follow"]);
pub(super) const READ: Flag =
    Flag::new("--read", "fetch and check every copy, or a random P% of it", |options, value| {
        let share = value.map_or(Some(Share::ALL), Share::parse);
        options.read = Some(share.ok_or("a percentage above 0% and up to 100%")?);
        Ok(())
    })
    .with(Value::Optional("P%"))
    .elsewhere(&["--read-data", "--read-data-subset"]);
pub(super) const TO: Flag =
    Flag::new("--to", "where to: a folder on the servers, or a path here", |options, value| {
        options.to = value.map(str::to_owned);
        Ok(())
    })
    .with(Value::Needed("PATH"))
    .elsewhere(&["--target", "--target-directory", "-t"]);
pub(super) const EXCLUDE: Flag =
    Flag::new("--exclude", "skip what matches, as in .gitignore", |options, value| {
        options.exclude.extend(value.map(str::to_owned));
        Ok(())
    })
    .with(Value::Needed("PATTERN"));
pub(super) const DELETE: Flag =
    Flag::new("--delete", "delete at the target what the source lacks; needs -u", switch!(delete))
        .elsewhere(&["--delete-after"]);
pub(super) const LIMIT: Flag =
    Flag::new("--limit", "move at most this many bytes a second: 500K, 5M, 1.5G", |options, value| {
        let rate = value.and_then(units::parse_bytes).filter(|rate| *rate > 0);
        options.limit = Some(rate.ok_or("bytes a second, such as 500K, 5M or 1.5G")?);
        Ok(())
    })
    .with(Value::Needed("RATE"))
    .elsewhere(&["--bwlimit", "--limit-rate", "--limit-upload", "--limit-download"]);
pub(super) const JSON: Flag = Flag::new("--json", "one JSON object per line", switch!(json));
pub(super) const QUIET: Flag = Flag::new("-q", "quiet: no success messages, no progress", switch!(quiet))
    .elsewhere(&["--quiet", "--silent"]);
pub(super) const TRACE: Flag =
    Flag::new("--trace", "each line of the protocol as it travels, on standard error", |options, value| {
        options.trace = Some(match value {
            None => Trace::Text,
            Some("json") => Trace::Json,
            Some(_) => return Err("json, or no value"),
        });
        Ok(())
    })
    .with(Value::Optional("json"));
pub(super) const HELP: Flag = Flag::new("--help", "", switch!(help));
pub(super) const HELP_SHORT: Flag = Flag::new("-h", "", switch!(help));
/// It ends the options, so nothing is noted of it.
pub(super) const END: Flag =
    Flag::new("--", "ends the options: a name after it may begin with a dash", |_, _| Ok(()));

/// Every option that the help lists, in its order.
pub(super) const ALL: [&Flag; 14] = [
    &LONG,
    &RECURSIVE,
    &DRY_RUN,
    &ONLY_CHANGED,
    &DELETE,
    &EXCLUDE,
    &TO,
    &FOLLOW,
    &READ,
    &LIMIT,
    &JSON,
    &QUIET,
    &TRACE,
    &END,
];
