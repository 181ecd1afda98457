//! What Tab offers at the prompt, from the table of commands: commands, options and names.

use super::command::{Action, Command, Names};
use super::commands::TABLE;
use super::options::{END, FOLDER, Flag, PATH, Value};
use super::parse::find;
use super::words::{begun_in_quotes, needs_quotes, quoted, unfinished};
use crate::name::printable;

/// Most that is offered: nobody reads through more.
const MOST: usize = 10_000;

/// What the last word of a line may become.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// For the list of all of them.
    pub(super) shown: String,
    /// What takes the place of the word.
    pub(super) typed: String,
}

/// Where names are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Below DIR.
    Dir,
    /// In the current folder.
    Here,
    /// On the servers.
    Servers,
}

/// A word that may be meant.
struct Found {
    /// All of it, as the program reads it.
    word: String,
    /// From where on it is shown in a list: not the folder that is typed already.
    shown_from: usize,
    /// Whether another word may follow, or more of this one.
    is_whole: bool,
}

impl Found {
    fn whole(word: &str) -> Self {
        Self { word: word.to_owned(), shown_from: 0, is_whole: true }
    }
}

/// Where in a line, typed up to the cursor, the last word begins, and what it may become. `list` returns the names in a
/// folder, which ends with a slash or is empty; folders end with a slash.
pub(super) fn complete(line: &str, list: impl FnMut(Place, &str) -> Vec<String>) -> (usize, Vec<Candidate>) {
    let (words, start, last) = unfinished(line);
    let mut found = match words.split_first() {
        None => commands(&last),
        Some((word, rest)) => {
            find(word).map_or_else(Vec::new, |command| of_command(command, rest, &last, list))
        }
    };
    // What a terminal would take for something else is neither shown nor typed.
    found.retain(|found| printable(&found.word).to_string() == found.word);
    found.truncate(MOST);
    (start, typed(&found))
}

fn commands(begin: &str) -> Vec<Found> {
    let begins = |name: &&str| name.get(..begin.len()).is_some_and(|name| name.eq_ignore_ascii_case(begin));
    let names: Vec<Found> =
        TABLE.into_iter().map(|command| command.name).filter(begins).map(Found::whole).collect();
    if !names.is_empty() {
        return names;
    }
    let aliases = TABLE.into_iter().flat_map(|command| command.aliases.iter().copied());
    aliases.filter(begins).map(Found::whole).collect()
}

fn of_command(
    command: &Command,
    before: &[String],
    last: &str,
    mut list: impl FnMut(Place, &str) -> Vec<String>,
) -> Vec<Found> {
    let (mut arguments, mut waiting, mut has_ended) = (0, None, false);
    for word in before {
        let is_value = waiting.take().is_some();
        if is_value {
            continue;
        }
        if has_ended || !word.starts_with('-') || word.len() == 1 {
            arguments += 1;
        } else {
            has_ended = *word == END.name;
            waiting = option(command, word).filter(|flag| matches!(flag.value, Value::Needed(_)));
        }
    }
    if let Some(flag) = waiting {
        return value(command, flag, last, "", list);
    }
    if last.starts_with('-') && !has_ended {
        let Some((name, begin)) = last.split_once('=') else { return options(command, last) };
        let flag = option(command, name);
        return flag.map_or_else(Vec::new, |flag| value(command, flag, begin, &last[..=name.len()], list));
    }
    let repeated = command.arguments().last().filter(|_| command.most_arguments().is_none());
    let place = match (command.arguments().nth(arguments).or(repeated), command.names) {
        (None, _) => return Vec::new(),
        (Some(_), _) if !matches!(command.action, Action::Run(_)) => return commands(last),
        (Some(label), _) if label.contains(FOLDER) => {
            return names(last, "", true, |folder| list(Place::Servers, folder));
        }
        (Some(_), Names::Local) => Place::Dir,
        (Some(_), Names::Stored) => Place::Servers,
    };
    names(last, "", false, |folder| list(place, folder))
}

fn option(command: &Command, word: &str) -> Option<&'static Flag> {
    command.options().map(|(flag, _)| *flag).find(|flag| flag.name == word)
}

fn options(command: &Command, begin: &str) -> Vec<Found> {
    let listed = command.listed_options().map(|(flag, _)| flag.name);
    listed.filter(|name| *name != END.name && name.starts_with(begin)).map(Found::whole).collect()
}

/// The value of an option. A path is where the names before it go to: the other side.
fn value(
    command: &Command,
    flag: &Flag,
    begin: &str,
    before: &str,
    mut list: impl FnMut(Place, &str) -> Vec<String>,
) -> Vec<Found> {
    let place = match (flag.value, command.names) {
        (Value::Needed(PATH), Names::Local) => Place::Servers,
        (Value::Needed(PATH), Names::Stored) => Place::Here,
        _ => return Vec::new(),
    };
    names(begin, before, place == Place::Servers, |folder| list(place, folder))
}

/// Names that begin like `begin`, in the folder that it names; `before` is the part of the word before it.
fn names(
    begin: &str,
    before: &str,
    only_folders: bool,
    mut list: impl FnMut(&str) -> Vec<String>,
) -> Vec<Found> {
    let (folder, begin) = begin.split_at(begin.rfind('/').map_or(0, |slash| slash + 1));
    // Hidden ones are meant only where a dot is typed.
    let is_meant = |name: &String| {
        name.starts_with(begin)
            && (begin.starts_with('.') || !name.starts_with('.'))
            && (!only_folders || name.ends_with('/'))
    };
    let mut found: Vec<String> = list(folder).into_iter().filter(is_meant).collect();
    found.sort_unstable();
    let found = found.into_iter().map(|name| Found {
        is_whole: !name.ends_with('/'),
        word: format!("{before}{folder}{name}"),
        shown_from: before.len() + folder.len(),
    });
    found.collect()
}

/// If one needs quotes all have them, so that all begin alike. Quotes stay open where more may be typed.
fn typed(found: &[Found]) -> Vec<Candidate> {
    let in_quotes = found.iter().any(|found| needs_quotes(&found.word));
    let candidate = |Found { word, shown_from, is_whole }: &Found| Candidate {
        shown: word[*shown_from..].to_owned(),
        typed: match (found.len() == 1 && *is_whole, in_quotes) {
            (true, _) => quoted(word) + " ",
            (false, true) => begun_in_quotes(word),
            (false, false) => word.clone(),
        },
    };
    found.iter().map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = ["holiday/", "my files/", "my notes.txt", "poem.txt", "pony.jpg", ".hidden"];

    fn list(place: Place, folder: &str) -> Vec<String> {
        let inside = match (place, folder) {
            (Place::Servers, "") => &["stored.txt", "archive/"][..],
            (_, "") => &NAMES,
            (_, "my files/") => &["it's", "bell\u{7}"],
            (Place::Dir, "/etc/") => &["hosts"],
            _ => &[],
        };
        inside.iter().map(|name| (*name).to_owned()).collect()
    }

    /// What Tab makes of a line that it can complete.
    fn tab(line: &str) -> String {
        let (start, found) = complete(line, list);
        match &found[..] {
            [only] => format!("{}{}", &line[..start], only.typed),
            _ => panic!("{line}: {found:#?}"),
        }
    }

    fn offered(line: &str) -> Vec<String> {
        complete(line, list).1.into_iter().map(|candidate| candidate.shown).collect()
    }

    #[test]
    fn a_command_is_completed_in_any_case_and_every_row_of_the_table_is_offered() {
        assert_eq!(tab("upl"), "Upload ");
        assert_eq!(tab("  UPL"), "  Upload ");
        assert_eq!(tab("qu"), "Quit ", "another name for Exit");
        assert_eq!(tab("help down"), "help Download ");
        assert_eq!(offered("").len(), TABLE.len());
        assert_eq!(offered("S"), ["ShowFiles", "Status"]);
        assert_eq!(offered("ä"), [""; 0]);
        assert_eq!(offered("Nothing "), [""; 0]);
    }

    #[test]
    fn options_are_those_of_the_command() {
        assert_eq!(tab("Verify --re"), "Verify --read ");
        for command in TABLE {
            let listed = command.listed_options().filter(|(flag, _)| flag.name != END.name).count();
            assert_eq!(offered(&format!("{} -", command.name)).len(), listed, "{command:?}");
        }
        assert_eq!(offered("Upload -- -"), [""; 0], "a name");
    }

    #[test]
    fn names_are_local_for_an_upload_and_stored_for_the_rest() {
        assert_eq!(tab("Upload poe"), "Upload poem.txt ");
        assert_eq!(tab("Upload -u ho"), "Upload -u holiday/");
        assert_eq!(tab("Upload /etc/h"), "Upload /etc/hosts ");
        assert_eq!(tab("Download s"), "Download stored.txt ");
        assert_eq!(tab("Upload holiday poe"), "Upload holiday poem.txt ", "another name");
        assert_eq!(tab("Upload poem.txt --to "), "Upload poem.txt --to archive/", "a folder on the servers");
        assert_eq!(tab("Upload poem.txt --to=a"), "Upload poem.txt --to=archive/");
        assert_eq!(tab("Download stored.txt --to poe"), "Download stored.txt --to poem.txt ", "a local path");
        assert_eq!(offered("Upload --exclude po"), [""; 0], "a pattern");
        assert_eq!(tab("Upload --exclude '*.o' poe"), "Upload --exclude '*.o' poem.txt ");
        assert_eq!(tab("ShowFiles "), "ShowFiles archive/", "a folder");
        assert_eq!(offered("Status "), [""; 0]);
        assert_eq!(offered("Move stored.txt new extra"), [""; 0], "there is no third argument");
    }

    #[test]
    fn a_name_with_spaces_is_quoted_and_read_back_as_it_is() {
        assert_eq!(tab("Upload my\\ n"), "Upload \"my notes.txt\" ");
        assert_eq!(tab("Upload 'my n"), "Upload \"my notes.txt\" ");
        assert_eq!(tab("Upload \"my f"), "Upload \"my files/", "more of it may be typed");
        assert_eq!(tab("Upload \"my files/i"), "Upload \"my files/it's\" ");
        let (start, both) = complete("Upload my", list);
        let typed: Vec<&str> = both.iter().map(|candidate| candidate.typed.as_str()).collect();
        assert_eq!((start, typed), (7, vec!["\"my files/", "\"my notes.txt"]));
        assert_eq!(offered("Upload 'my"), ["my files/", "my notes.txt"]);
    }

    #[test]
    fn what_would_change_the_terminal_and_what_is_hidden_is_not_offered() {
        assert_eq!(offered("Upload \"my files/"), ["it's"]);
        assert_eq!(offered("Upload ").len(), 5);
        assert_eq!(offered("Upload ."), [".hidden"]);
    }

    #[test]
    fn many_names_are_offered_up_to_a_limit() {
        let many = |_: Place, _: &str| (0..=MOST).map(|n| n.to_string()).collect();
        assert_eq!(complete("Upload ", many).1.len(), MOST);
    }
}
