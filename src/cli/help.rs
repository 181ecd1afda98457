//! The help texts, made from the table of commands.

use super::command::Command;
use super::commands::TABLE;
use super::console::Console;
use super::options;
use super::program;
use super::text::{fold, hang};

/// Longer lines are hard to read.
const DETAILS_WIDTH: usize = 80;

/// What `Client --help` prints, under whatever name it was called by.
pub(super) fn client() -> String {
    let (room, _, _) = rooms();
    let commands = forms().map(|(usage, summary, _)| format!("  {usage:room$}{summary}\n"));
    let options = options::ALL.iter().map(|flag| format!("  {:20}{}\n", flag.usage(), flag.means));
    let name = program::name();
    format!(
        "ShareIt client: stores files in four encrypted pieces on a few servers.\n\n\
         {}\n{AFTER_USAGE}\n\
         commands (case does not matter); `{name} DIR CONF Help COMMAND` explains one:\n\
         {}\noptions, anywhere after the command:\n{}\n\
         exit status: 0 done, 1 failed, 2 usage or .conf, 3 refused, 4 too few servers\n",
        usage(name, &CLIENT_USAGE),
        commands.collect::<String>(),
        options.collect::<String>()
    )
}

/// The arguments of each form of use, and what it does.
type Usage = (&'static str, &'static str);

const CLIENT_USAGE: [Usage; 7] = [
    ("DIR CONF", "run commands from the prompt or a pipe"),
    ("DIR CONF COMMAND [ARGS]", "run one command"),
    ("keygen", "print a `Key` line for a .conf"),
    ("keygen --paper [CONF]", "print a new key, or CONF's, for paper"),
    ("keygen --from-paper", "print the `Key` line of a key on paper"),
    ("completion SHELL", "print a script for bash, zsh or fish"),
    ("--help | --version", ""),
];

const AFTER_USAGE: &str = "\
DIR is the folder that Upload reads from; CONF names the user and the servers.
In a pipe, a line that begins with # is a comment.
";

const SERVER_USAGE: [Usage; 4] = [
    ("ROOT NAME PORT", "listen on 127.0.0.1:PORT"),
    ("ROOT NAME ADDR:PORT", "listen on ADDR:PORT"),
    ("adduser ROOT USER", "read a password from standard input"),
    ("--help | --version", ""),
];

/// What `Server --help` prints.
pub(super) fn server() -> String {
    format!(
        "ShareIt server: keeps pieces of files that it cannot read.\n\n\
         {}\n\
         Pieces are stored at ROOT/NAME/USER/FOLDER/.FILE.1 to .4, with parity to .8; users are in ROOT/Users.conf.\n",
        usage(program::name(), &SERVER_USAGE)
    )
}

/// The forms of use of a program with this name.
fn usage(name: &str, forms: &[Usage]) -> String {
    let room = forms.iter().map(|(arguments, _)| arguments.len()).max().unwrap_or(0) + 3;
    let line = |(index, (arguments, does)): (usize, &Usage)| {
        let head = if index == 0 { "usage:" } else { "" };
        format!("{head:6} {name} {arguments:room$}{does}").trim_end().to_owned() + "\n"
    };
    forms.iter().enumerate().map(line).collect()
}

/// Shows the list of commands, or the full help for one.
pub(super) fn show(console: &Console, topic: Option<&Command>) {
    let width = console.out_width();
    console.results(&topic.map_or_else(|| list(width), |topic| command(topic, width)));
}

/// Each form of each command: how it is written, what it does, and an example.
fn forms() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    TABLE.into_iter().flat_map(|command| {
        let examples = command.examples.iter().copied().chain(std::iter::repeat(""));
        command.forms.iter().zip(examples).map(|((usage, summary), example)| (*usage, *summary, example))
    })
}

/// The columns that the parts of all forms need, side by side.
fn rooms() -> (usize, usize, usize) {
    forms().fold((0, 0, 0), |(a, b, c), (usage, summary, example)| {
        (a.max(usage.len() + 2), b.max(summary.len() + 2), c.max(example.len()))
    })
}

/// The list of commands, with an example for each where there is room.
fn list(width: usize) -> Vec<String> {
    let (usage_room, summary_room, example_room) = rooms();
    let with_examples = usage_room + summary_room + example_room <= width;
    let line = |(usage, summary, example): (&str, &str, &str)| {
        let example = if with_examples { example } else { "" };
        let line = format!("{usage:usage_room$}{summary:summary_room$}{example}").trim_end().to_owned();
        if line.len() <= width { vec![line] } else { vec![usage.to_owned(), format!("    {summary}")] }
    };
    let mut lines: Vec<String> = forms().flat_map(line).collect();
    let more = "Help COMMAND explains one. Put a name with spaces in quotes: \"my notes.txt\".";
    lines.extend(fold(more, width));
    lines
}

/// The full help for one command.
fn command(command: &Command, width: usize) -> Vec<String> {
    let room = command.forms.iter().map(|(usage, _)| usage.len()).max().unwrap_or(0) + 2;
    let forms = command.forms.iter().flat_map(|(usage, summary)| hang(usage, room, summary, width));
    let mut lines: Vec<String> = forms.collect();
    let options = command.listed_options().map(|(flag, means)| (format!("  {}", flag.usage()), means));
    let room = options.clone().map(|(option, _)| option.len()).max().unwrap_or(0) + 2;
    lines.extend(options.flat_map(|(option, means)| hang(&option, room, means, width)));
    if !command.details.is_empty() {
        lines.push(String::new());
        lines.extend(fold(command.details, width.min(DETAILS_WIDTH)));
    }
    if !command.examples.is_empty() {
        lines.push(String::new());
        lines.extend(command.examples.iter().map(|example| format!("  {example}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::{Parsed, parse};
    use crate::cli::words::split;

    #[test]
    fn the_list_fits_80_columns_with_examples_and_60_without() {
        let at = list(80);
        assert!(at.iter().all(|line| line.len() < 80), "{at:#?}");
        assert!(at.iter().any(|line| line.ends_with("Upload *.txt --to docs")), "{at:#?}");
        assert!(list(60).iter().all(|line| line.len() <= 60), "{:#?}", list(60));
        assert!(list(40).iter().all(|line| line.len() <= 40), "{:#?}", list(40));
        assert!(client().lines().all(|line| line.len() <= 80), "{}", client());
    }

    #[test]
    fn every_command_has_its_help_and_every_example_is_one_of_it() {
        for row in TABLE {
            for width in [40, 80] {
                let lines = command(row, width);
                assert!(lines.iter().all(|line| line.len() <= width), "{lines:#?}");
            }
            for example in row.examples {
                match parse(&split(example).unwrap()).unwrap() {
                    Parsed::Call(call) => assert_eq!(call.command, row, "{example}"),
                    _ => assert!(example.starts_with(row.name), "{example}"),
                }
            }
        }
    }

    #[test]
    fn every_form_names_its_command_and_what_may_be_left_out_comes_last() {
        for row in TABLE {
            for (usage, _) in row.forms {
                assert_eq!(usage.split(' ').next(), Some(row.name));
            }
            assert!(row.examples.len() >= row.forms.len(), "{row:?}");
            let needed = row.needed().count();
            assert!(row.arguments().skip(needed).all(|argument| argument.starts_with('[')), "{row:?}");
        }
    }
}
