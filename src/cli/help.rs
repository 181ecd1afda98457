//! The help texts.

use super::text::{fold, hang};

/// What one command does, for the lists and for `Help COMMAND`.
struct Topic {
    name: &'static str,
    forms: &'static [Form],
    /// Its own options.
    options: &'static [(&'static str, &'static str)],
    more: &'static str,
    examples: &'static [&'static str],
}

/// A way to write a command, what it does, and an example short enough for the list.
struct Form(&'static str, &'static str, &'static str);

const TOPICS: &[Topic] = &[
    Topic {
        name: "ShowFiles",
        forms: &[Form("ShowFiles [FOLDER]", "what is stored", "ShowFiles holiday")],
        options: &[
            ("-l", "all columns, also into a pipe; to the byte and the second"),
            ("--json", "one JSON object a line"),
        ],
        more: "On a terminal the table has for each server the pieces that it holds: 1--4 is the first and the \
               fourth of a file's four pieces. [degraded] stands next to a file with fewer copies than asked for, \
               [incomplete] next to one that cannot be rebuilt now. A file that another password or Key line opens \
               is marked [other key] when it is asked for by its name; the list of a folder is not sealed and seldom \
               knows. From a pipe come the names and these marks alone. \
               Show_files is the same command.",
        examples: &["ShowFiles", "ShowFiles holiday", "ShowFiles poem.txt"],
    },
    Topic {
        name: "Upload",
        forms: &[
            Form("Upload FILE [FOLDER]", "store a file", "Upload poem.txt papers"),
            Form("Upload DIRECTORY [FOLDER]", "store everything below it", "Upload holiday"),
        ],
        options: &[("-u", "leave out what is there with its size, time and all copies")],
        more: "FILE is a path inside DIR, the client's first argument, or an absolute path. It is stored under its last \
               name, in FOLDER on the servers if one is given; there is no need to make folders. An older file of that \
               name is replaced in one step. `Upload .` stores all of DIR.",
        examples: &["Upload poem.txt", "Upload \"my notes.txt\" papers", "Upload /etc/hosts", "Upload -u ."],
    },
    Topic {
        name: "Download",
        forms: &[
            Form("Download FILE [FOLDER]", "get a file back", "Download poem.txt"),
            Form("Download FOLDER", "get everything below it", "Download holiday"),
        ],
        options: &[],
        more: "It comes to Downloads/USER/FOLDER/FILE in the folder in which the client was started. An older download \
               is replaced in one step, and only by a file that is whole. A link below Downloads/USER is not \
               followed. `Download .` gets all.",
        examples: &[
            "Download poem.txt",
            "Download beach.jpg holiday",
            "Download holiday/beach.jpg",
            "Download .",
        ],
    },
    Topic {
        name: "Delete",
        forms: &[Form("Delete FILE [FOLDER]", "delete; a folder with -r", "Delete -r holiday")],
        options: &[("-r", "a folder with everything below it")],
        more: "A server that is down now learns of it when it is back: Repair brings it there. Before all that you have \
               is deleted (`Delete -r .`), a terminal is asked once more. What is uploaded under the name meanwhile is \
               kept, and the exit status is 1.",
        examples: &["Delete poem.txt", "Delete beach.jpg holiday", "Delete -r holiday"],
    },
    Topic {
        name: "Move",
        forms: &[Form("Move OLD NEW", "give a file another name", "Move a.txt papers/b.txt")],
        options: &[],
        more: "The bytes do not travel again. A file that has the new name already is never replaced; a folder cannot be \
               moved. As many servers must be up as the file is to have copies. If the old name is uploaded again \
               meanwhile, the newer version is kept, and the exit status is 1. A Move that was interrupted goes on when \
               it is given again.",
        examples: &["Move a.txt b.txt", "Move a.txt papers/a.txt"],
    },
    Topic {
        name: "Passwd",
        forms: &[Form("Passwd", "change your password", "Passwd")],
        options: &[],
        more: "The new password is asked for twice, or read from the next line of a pipe, whatever that begins with. Every \
               server must be up, and your other sessions end. The new .conf is written beside the old one first, as \
               CONF.passwd: cut off or refused anywhere, the next command goes on from it. Copies of the .conf elsewhere \
               need the new password too. With the password that you have, Passwd takes back a change that was begun \
               with another .conf and cannot be finished there, as long as no file is under its new password.",
        examples: &["Passwd"],
    },
    Topic {
        name: "Verify",
        forms: &[Form("Verify [FOLDER]", "check every copy", "Verify -r")],
        options: &[
            ("-r", "everything below"),
            ("--read[=P%]", "also read and check the bytes here: all, or a random part, such as 5%"),
            ("--json", "one JSON object for each problem"),
        ],
        more: "Each server hashes every byte of its copies; the client checks the seals. That believes a server that says \
               that its copy is good. With --read every copy is fetched and checked by the client; with --read=5% a \
               random 5% of the chunks of each copy, at least one. Each problem is a line, and the exit status is 1 if \
               there is one. It is 4 if there is none, but so many servers did not answer that files, deletes or damage \
               may be known to them alone. FOLDER may also be the name of a single file.",
        examples: &["Verify", "Verify -r", "Verify --read=5% -r", "Verify holiday"],
    },
    Topic {
        name: "Repair",
        forms: &[Form("Repair [FOLDER]", "make lost copies again", "Repair -n")],
        options: &[("-n", "only say what would be done"), ("--json", "one JSON object for each step")],
        more: "Everything below FOLDER gets the copies that were asked for. Copies are made from copies: nothing is decrypted \
               for it. A file's name in place of FOLDER means that file alone.",
        examples: &["Repair", "Repair -n", "Repair holiday"],
    },
    Topic {
        name: "Status",
        forms: &[Form("Status", "how the servers are", "Status")],
        options: &[("-l", "sizes to the byte"), ("--json", "one JSON object for each server")],
        more: "Up or down, the round trip, the pieces and bytes held for you, the free space.",
        examples: &["Status"],
    },
    Topic {
        name: "Help",
        forms: &[Form("Help [COMMAND]", "this list, or more on one", "Help Upload")],
        options: &[],
        more: "",
        examples: &["Help", "Help Upload"],
    },
    Topic {
        name: "Exit",
        forms: &[Form("Exit", "leave; also Quit, Ctrl-D", "Exit")],
        options: &[],
        more: "Nothing is lost by leaving, however it is done: what was acknowledged is stored.",
        examples: &[],
    },
];

/// Options of every command.
const COMMON: [(&str, &str); 3] = [
    ("-q", "quiet: no word about successes, no progress"),
    ("--trace", "each line of the protocol as it travels, on standard error"),
    ("--", "ends the options, for a name that begins with -"),
];

/// Every command, in the order of the help.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().map(|topic| topic.name)
}

/// The options of a command.
pub(super) fn options(name: &str) -> impl Iterator<Item = &'static str> {
    let own = TOPICS.iter().find(|topic| topic.name == name).map_or(&[][..], |topic| topic.options);
    // Without what may stand behind it.
    own.iter().chain(&COMMON).map(|(option, _)| option.split('[').next().unwrap_or(option))
}

/// How a command is written, for a hint.
pub(super) fn usage(name: &str) -> Option<String> {
    let topic = TOPICS.iter().find(|topic| topic.name == name)?;
    Some(topic.forms.iter().map(|Form(form, ..)| *form).collect::<Vec<_>>().join(", or "))
}

/// The list of commands, with an example for each where there is room.
pub(super) fn commands(width: usize) -> Vec<String> {
    let forms: Vec<&Form> = TOPICS.iter().flat_map(|topic| topic.forms).collect();
    let longest = |part: fn(&Form) -> usize| forms.iter().map(|form| part(form)).max().unwrap_or(0);
    let (form_room, does_room) = (longest(|f| f.0.len()) + 2, longest(|f| f.1.len()) + 2);
    let examples = form_room + does_room + longest(|f| f.2.len()) <= width;
    let line = |Form(form, does, example): &Form| {
        let example = if examples { example } else { "" };
        let line = format!("{form:<form_room$}{does:<does_room$}{example}").trim_end().to_owned();
        if line.len() <= width { vec![line] } else { vec![(*form).to_owned(), format!("    {does}")] }
    };
    let mut lines: Vec<String> = forms.into_iter().flat_map(line).collect();
    lines.extend(fold(
        "Help COMMAND says more. A name with spaces is put in quotes: \"my notes.txt\".",
        width,
    ));
    lines
}

/// All about one command.
pub(super) fn topic(name: &str, width: usize) -> Vec<String> {
    let Some(topic) = TOPICS.iter().find(|topic| topic.name == name) else { return Vec::new() };
    let room = topic.forms.iter().map(|Form(form, ..)| form.len()).max().unwrap_or(0) + 2;
    let mut lines: Vec<String> =
        topic.forms.iter().flat_map(|Form(form, does, _)| hang(form, room, does, width)).collect();
    let options = || topic.options.iter().chain(&COMMON);
    let room = options().map(|(option, _)| option.len()).max().unwrap_or(0) + 4;
    lines.extend(options().flat_map(|(option, means)| hang(&format!("  {option}"), room, means, width)));
    if !topic.more.is_empty() {
        lines.push(String::new());
        lines.extend(fold(topic.more, width.min(MORE_WIDTH)));
    }
    if !topic.examples.is_empty() {
        lines.push(String::new());
        lines.extend(topic.examples.iter().map(|example| format!("  {example}")));
    }
    lines
}

/// Longer lines are hard to read.
const MORE_WIDTH: usize = 80;

pub(super) const CLIENT: &str = "\
ShareIt client: stores files in four encrypted pieces on a few servers.

usage: Client DIR CONF                  commands from the prompt or from a pipe
       Client DIR CONF COMMAND [ARGS]   one command
       Client keygen                    prints a `Key` line for a .conf
       Client --help | --version

DIR is the folder that Upload reads from; CONF says who and which servers.
A line from the pipe that begins with # is a comment.

commands, in any case; `Client DIR CONF Help COMMAND` says more of one:
  ShowFiles [FOLDER]           what is in a folder; -l long, --json for programs
  Upload FILE [FOLDER]         DIR/FILE to FOLDER on the servers
  Upload DIRECTORY [FOLDER]    everything below it
  Download FILE [FOLDER]       to Downloads/USER/FOLDER/FILE here
  Download FOLDER              everything below it
  Delete FILE [FOLDER]         also a folder, with -r
  Move OLD NEW                 a new name; the data does not travel again
  Passwd                       a new password, from standard input
  Verify [FOLDER]              checks every copy of every piece; -r everything below
  Repair [FOLDER]              brings everything below back to all its copies; -n only says how
  Status                       each server: round trip, space, what it holds
  Help [COMMAND], Exit

options, anywhere after the command:
  -l       long listing        --json   one JSON object a line
  -r       everything below    -n       say what would be done
  -u       upload only what has changed
  --read[=P%]  verify by reading every copy, or a random P% of it
  --trace  each line of the protocol, as it travels, on standard error
  -q       quiet               --       ends the options

exit status: 0 done, 1 failed, 2 usage or .conf, 3 refused, 4 too few servers
";

pub(super) const SERVER: &str = "\
ShareIt server: keeps pieces of files that it cannot read.

usage: Server ROOT NAME PORT            listens on 127.0.0.1:PORT
       Server ROOT NAME ADDR:PORT       listens on ADDR:PORT
       Server adduser ROOT USER         takes a password from standard input
       Server --help | --version

Pieces lie at ROOT/NAME/USER/FOLDER/.FILE.1 to .4; users are in ROOT/Users.conf.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::{self, Command};

    #[test]
    fn the_list_fits_80_columns_with_examples_and_60_without() {
        let list = commands(80);
        assert!(list.iter().all(|line| line.len() < 80), "{list:#?}");
        assert!(list.iter().any(|line| line.ends_with("Upload poem.txt papers")), "{list:#?}");
        assert!(commands(60).iter().all(|line| line.len() <= 60), "{:#?}", commands(60));
        assert!(commands(40).iter().all(|line| line.len() <= 40), "{:#?}", commands(40));
    }

    #[test]
    fn every_command_has_its_topic_and_every_example_is_one() {
        for name in names() {
            let narrow = topic(name, 40);
            assert!(narrow.iter().all(|line| line.len() <= 40), "{narrow:#?}");
            let lines = topic(name, 80);
            assert!(lines.iter().all(|line| line.len() <= 80), "{lines:#?}");
            let forms = TOPICS.iter().find(|topic| topic.name == name).unwrap();
            let examples = forms.examples.iter().chain(forms.forms.iter().map(|form| &form.2));
            for example in examples {
                let words = command::split_words(example).unwrap();
                let (parsed, _) = command::parse(&words).unwrap();
                assert!(example.starts_with(name), "{example}");
                assert!(name == "Help" || !matches!(parsed, Command::Help { .. }), "{example}");
            }
        }
        assert_eq!(usage("Upload").unwrap(), "Upload FILE [FOLDER], or Upload DIRECTORY [FOLDER]");
    }
}
