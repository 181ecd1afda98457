//! The man pages: they name what `--help` names and nothing else, with the code's numbers, and are well-formed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::markdown::Document;
use shareit::cli::{DENIED, FAILED, INTERRUPTED, NO_SERVER, USAGE};
use shareit::config::{self, Config, Problem};
use shareit::{auth, name, peer, placement, server};

const CLIENT: &str = "shareit.1";
const SERVER: &str = "shareit-server.8";
const CONF: &str = "shareit.conf.5";

/// A man page, read as far as these tests need it.
struct Page {
    path: PathBuf,
    lines: Vec<String>,
}

impl Page {
    fn read(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self { path, lines: text.lines().map(str::to_owned).collect() }
    }

    /// The lines below `.SH HEADING`.
    fn section(&self, heading: &str) -> impl Iterator<Item = &String> {
        let is =
            move |line: &&String| line.strip_prefix(".SH ").is_some_and(|h| h.trim_matches('"') == heading);
        let mut lines = self.lines.iter();
        assert!(lines.by_ref().any(|line| is(&line)), "{}: no {heading}", self.path.display());
        lines.take_while(|line| !line.starts_with(".SH"))
    }

    /// The heads of the entries of a section: the line after each `.TP`.
    fn entries(&self, heading: &str) -> Vec<String> {
        let lines: Vec<_> = self.section(heading).collect();
        lines.windows(2).filter(|pair| pair[0] == ".TP").map(|pair| plain(pair[1])).collect()
    }

    /// The forms of the SYNOPSIS, one for each piece between `.br`s.
    fn synopsis(&self) -> Vec<String> {
        let words: Vec<String> = self.section("SYNOPSIS").map(|line| plain(line)).collect();
        words.split(|line| line == ".br").map(|form| form.join(" ")).collect()
    }

    /// The running text, each blank one space.
    fn text(&self) -> String {
        let words: Vec<String> = self.lines.iter().map(|line| plain(line)).collect();
        words.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn example(&self) -> String {
        let mut lines = self.lines.iter();
        assert!(lines.any(|line| line == ".EX"), "{}: no example", self.path.display());
        lines.take_while(|line| *line != ".EE").map(|line| line.clone() + "\n").collect()
    }
}

/// A line as a reader sees it, without fonts. Of the macros, those of fonts are understood; others stay.
fn plain(line: &str) -> String {
    let mut words = words(line);
    let font = words.first().and_then(|word| word.strip_prefix('.')).unwrap_or("none");
    let text = match font {
        "B" | "I" => words.split_off(1).join(" "),
        "BR" | "RB" | "BI" | "IB" | "IR" | "RI" => words.split_off(1).concat(),
        _ => line.to_owned(),
    };
    ["\\fR", "\\fI", "\\fB", "\\fP", "\\&"]
        .iter()
        .fold(text, |text, font| text.replace(font, ""))
        .replace("\\-", "-")
}

/// The words of a macro line; quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// What a program says to `--help`.
fn help(program: &str) -> String {
    let output = Command::new(program).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn client_help() -> String {
    help(env!("CARGO_BIN_EXE_Client"))
}

fn server_help() -> String {
    help(env!("CARGO_BIN_EXE_Server"))
}

/// The lines from one that begins with `heading` to the next empty one, in cells that two spaces or more part.
fn cells<'a>(help: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let lines =
        help.lines().skip_while(|line| !line.starts_with(heading)).take_while(|line| !line.is_empty());
    let rows: Vec<Vec<&str>> =
        lines.map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    assert!(!rows.is_empty(), "--help has no {heading:?}");
    rows
}

/// The forms of use, with the name that the program is installed under.
fn usage(help: &str, program: &str, installed: &str) -> Vec<String> {
    let rows = cells(help, "usage:");
    let forms = rows.iter().map(|row| row[0].trim_start_matches("usage: "));
    forms.map(|form| form.replacen(program, installed, 1)).collect()
}

/// The words of a help text that begin with `-`, which alone is standard input.
fn options(help: &str) -> BTreeSet<String> {
    let is_option = |word: &&str| word.starts_with('-') && *word != "-";
    help.split_whitespace()
        .map(|word| word.trim_end_matches([',', ';']))
        .filter(is_option)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_synopses_are_the_forms_of_use() {
    let of_client = usage(&client_help(), "Client", "shareit");
    assert_eq!(Page::read(CLIENT).synopsis(), of_client);
    let of_server = usage(&server_help(), "Server", "shareit-server");
    assert_eq!(Page::read(SERVER).synopsis(), of_server);
}

#[test]
fn the_client_page_has_every_command_of_the_help_text_and_no_other() {
    let help = client_help();
    let in_help: Vec<String> = cells(&help, "commands").iter().skip(1).map(|row| row[0].to_owned()).collect();
    assert_eq!(Page::read(CLIENT).entries("COMMANDS"), in_help);
}

#[test]
fn the_pages_have_every_option_of_the_help_texts_and_no_other() {
    for (page, help) in [(CLIENT, client_help()), (SERVER, server_help())] {
        let entries = Page::read(page).entries("OPTIONS");
        // A value in a word of its own is not part of the name.
        let name = |entry: &String| entry.split(' ').next().unwrap().to_owned();
        let in_page: BTreeSet<String> = entries.iter().map(name).collect();
        assert_eq!(in_page.len(), entries.len(), "{page}: an option appears twice");
        assert_eq!(in_page, options(&help), "{page}");
    }
}

#[test]
fn the_pages_have_every_exit_status_and_no_other() {
    let statuses = [0, FAILED, USAGE, DENIED, NO_SERVER, INTERRUPTED].map(|status| status.to_string());
    assert_eq!(Page::read(CLIENT).entries("EXIT STATUS"), statuses);
    let [done, failed, usage, denied, no_server, interrupted] = &statuses;
    assert_eq!(
        Page::read(SERVER).entries("EXIT STATUS").iter().collect::<Vec<_>>(),
        [done, failed, usage, interrupted]
    );
    let help = client_help();
    let line = cells(&help, "exit status:")[0].join(" ");
    let in_help: Vec<&str> = line.split([' ', ',']).filter(|word| word.parse::<u8>().is_ok()).collect();
    assert_eq!(in_help, [done, failed, usage, denied, no_server], "a user who interrupts knows that one");
}

/// The readme has the help text's line for each command; of options and exit statuses it has the names.
#[test]
fn the_readme_has_every_command_option_and_exit_status() {
    let readme = Document::read("../README.md");
    let commands = readme.section("Commands");
    let help = client_help();
    assert_eq!(commands.table("command"), cells(&help, "commands")[1..]);
    let quoted: BTreeSet<&str> = commands.text().split('`').skip(1).step_by(2).collect();
    let missing = options(&help).into_iter().filter(|option| !quoted.contains(option.as_str()));
    let elsewhere = ["--from-paper", "--help", "--paper", "--version"];
    assert_eq!(missing.collect::<Vec<_>>(), elsewhere, "these are options of no command");
    let statuses = commands.text().split_once("exit status is").unwrap().1.split(". ").next().unwrap();
    let in_text: Vec<&str> = statuses.split_whitespace().filter(|word| word.parse::<u8>().is_ok()).collect();
    let in_page = Page::read(CLIENT).entries("EXIT STATUS");
    assert_eq!(in_text, in_page[..in_page.len() - 1], "a user who interrupts knows that one");
}

#[test]
fn the_conf_page_has_the_keys_of_the_grammar_and_the_program_knows_them() {
    let in_page: BTreeSet<String> = Page::read(CONF)
        .entries("KEYS")
        .iter()
        .map(|entry| entry.split(' ').next().unwrap_or("").replace("ServerN", "Server"))
        .collect();
    for key in &in_page {
        let problem = Config::parse(&format!("{key} x")).err().map(|error| error.problem);
        assert!(!matches!(problem, Some(Problem::UnknownKey(_))), "{key}");
    }
    let architecture = Document::read("ARCHITECTURE.md");
    let grammar = architecture.section("The .conf");
    let keys = grammar.text().lines().find(|line| line.trim_start().starts_with("key ")).unwrap();
    let in_grammar: BTreeSet<String> = keys.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(in_page, in_grammar);
}

#[test]
fn the_example_of_the_conf_page_is_understood() {
    let config = Config::parse(&Page::read(CONF).example()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.servers.len(), 4);
    assert!(config.key.is_some());
}

#[test]
fn the_numbers_are_the_codes() {
    let seconds = |seconds: u64| peer::Limits::from_timeout(Duration::from_secs(seconds));
    // What is waited for at least, at most, and how many times as long as for a connection in between.
    let (least, most) = (seconds(0), seconds(config::MAX_TIMEOUT_SECONDS as u64));
    let times =
        |limit: fn(&peer::Limits) -> Duration, timeout: u64| limit(&seconds(timeout)).as_secs() / timeout;
    let conf = Page::read(CONF).text();
    for said in [
        format!("There can be up to {} servers.", config::MAX_SERVERS),
        format!("The user who logs in: 1 to {} letters", name::MAX_USER),
        format!("at most {} bytes", config::MAX_PASSWORD),
        format!("by default {}, or 1 if there is one server. Any", placement::DEFAULT_REPLICAS),
        format!("above 0 and at most {}, such as", config::MAX_TIMEOUT_SECONDS),
        format!("such as 0.25; by default {}.", config::DEFAULT_TIMEOUT.as_secs()),
        format!("from {} to {};", config::MIN_ITERATIONS, config::MAX_ITERATIONS),
        format!("{} by default", config::DEFAULT_ITERATIONS),
        format!(
            "{} times as long, at least {} seconds, for each step of the login",
            times(|limits| limits.login, 10),
            least.login.as_secs()
        ),
        format!(
            "{} times, {} to {} seconds, for an answer",
            times(|limits| limits.answer, 2),
            least.answer.as_secs(),
            most.answer.as_secs()
        ),
        format!(
            "{} times, at least {} seconds, for one that waits for a disk",
            times(|limits| limits.durable, 10),
            least.durable.as_secs()
        ),
    ] {
        assert!(conf.contains(&said), "{CONF}: missing: {said:?}");
    }
    let page = Page::read(SERVER).text();
    for said in [
        format!("1 to {} letters", name::MAX_USER),
        format!("1 to {} bytes", config::MAX_PASSWORD),
        format!("{},000 rounds of PBKDF2", auth::DEFAULT_ITERATIONS / 1000),
        format!("closed after {} seconds", server::LOGIN_LIMIT.as_secs()),
        format!("at most {} connections", server::MAX_CONNECTIONS),
        format!("and {} from one address", server::MAX_STRANGERS_PER_ADDRESS),
        format!("After {} wrong passwords", server::FAILED_LOGINS_PER_MINUTE),
    ] {
        assert!(page.contains(&said), "{SERVER}: missing: {said:?}");
    }
}

#[test]
fn the_pages_are_of_this_version() {
    for page in [CLIENT, SERVER, CONF] {
        let title = format!("\"ShareIt {}\"", env!("CARGO_PKG_VERSION"));
        let page = Page::read(page);
        let found = page.lines.iter().any(|line| line.starts_with(".TH ") && line.contains(&title));
        assert!(found, "{}: .TH without {title}", page.path.display());
    }
}

/// If groff or mandoc is installed, it checks the markup as well.
#[test]
fn the_pages_are_well_formed() {
    let checkers: [&[&str]; 2] = [&["groff", "-man", "-ww", "-Tutf8", "-z"], &["mandoc", "-Tlint"]];
    for checker in checkers {
        for page in [CLIENT, SERVER, CONF] {
            let path = Page::read(page).path;
            match Command::new(checker[0]).args(&checker[1..]).arg(&path).output() {
                Ok(output) => {
                    let said = [output.stdout, output.stderr].concat();
                    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
                }
                Err(_) => println!("skipped: no {}", checker[0]),
            }
        }
    }
}
