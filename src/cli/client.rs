//! `Client`: its arguments, and the launch.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;

use super::command::Call;
use super::commands::{self, status, upload};
use super::conf::{self, BadConf};
use super::console::Console;
use super::hints::{did_you_mean, nearest};
use super::journal::Journal;
use super::parse::{Parsed, parse};
use super::program::{self, command_line};
use super::session::Session;
use super::{DENIED, NO_SERVER, USAGE, help, keygen, prompt, shell};
use crate::client::{self, Client, LaunchError, ServerStatus};
use crate::config::Config;
use crate::descriptors;

/// Where downloads go, below the current folder.
const DOWNLOADS: &str = "Downloads";

/// Runs the client's command line; its first word is what the program was called by.
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    program::set(arguments.next(), program::CLIENT);
    descriptors::raise_limit();
    let console = Arc::new(Console::default());
    let arguments: Vec<String> = match arguments.map(OsString::into_string).collect() {
        Ok(arguments) => arguments,
        Err(argument) => {
            return console.usage(&format!("argument is not UTF-8: {argument:?}"), None);
        }
    };
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--help" | "-h"] | [_, "--help" | "-h"] => {
            console.result(&help::client().trim_end());
            ExitCode::SUCCESS
        }
        ["--version" | "-V"] => {
            console.result(&format!("{} (ShareIt) {}", program::name(), env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        ["completion"] => completion(&console, ""),
        // DIR might have this name.
        ["completion", shell] if shell::SHELLS.contains(&shell) || !Path::new("completion").is_dir() => {
            completion(&console, shell)
        }
        ["keygen", ..] => keygen::run(&console, &words[1..]),
        [conf, dir, ..] if Path::new(conf).is_file() && Path::new(dir).is_dir() => {
            console.usage(&"DIR comes before CONF", Some(did_you_mean(&command_line(&[dir, conf]))))
        }
        [dir, conf] => run_session(&console, dir, conf, None),
        [dir, conf, ..] => match parse(&arguments[2..]) {
            Ok(Parsed::Help(topic)) => {
                help::show(&console, topic);
                ExitCode::SUCCESS
            }
            Ok(parsed) => run_session(&console, dir, conf, Some(&parsed)),
            Err(error) => console.usage(&error, Some(error.hint())),
        },
        [word] => {
            let plain = word.trim_start_matches('-');
            let same = ALONE.into_iter().find(|alone| alone.trim_start_matches('-') == plain);
            let near = same.or(nearest(word, ALONE)).or_else(|| nearest(&format!("--{plain}"), ALONE));
            console.usage(&"expected DIR and CONF", near.map(did_you_mean))
        }
        [] => console.usage(&"expected DIR and CONF", None),
    }
}

/// Arguments that must be the only one.
const ALONE: [&str; 3] = ["--help", "--version", "keygen"];

fn completion(console: &Console, shell: &str) -> ExitCode {
    let program = std::env::args_os().next().and_then(|name| name.into_string().ok()).unwrap_or_default();
    match shell::script(shell, &program) {
        Some(script) => {
            console.result(&script.trim_end());
            ExitCode::SUCCESS
        }
        None => console.usage(&"expected bash, zsh or fish", None),
    }
}

/// The .conf with the password; if that cannot be had, or the command cannot be run here, the exit status, after a report.
fn config(console: &Console, dir: &str, conf: &str, call: Option<&Call>) -> Result<Config, ExitCode> {
    let unusable = |(what, hint): BadConf| {
        console.error(&what, hint);
        ExitCode::from(USAGE)
    };
    let (file, exposed) = conf::read(conf).map_err(unusable)?;
    if let Some(why) = call.and_then(|call| upload::lacks_dir(call, Path::new(dir))) {
        return Err(console.usage(&why, None));
    }
    if let Some(call) = call {
        console.set_options(&call.options);
        console.trace_command(&call.line());
    }
    if exposed {
        console.warning(&format!(
            "other users of this machine can read or change '{conf}', and so get at your files"
        ));
        console.hint(&conf::protect(conf));
    }
    // Commands, or what is to be stored, are no answer to a program's question.
    let input = if io::stdin().is_terminal() { Stdio::inherit() } else { Stdio::null() };
    conf::with_password(conf, file, input).map_err(unusable)
}

/// Logs in, and runs one command or those of standard input.
fn run_session(console: &Arc<Console>, dir: &str, conf: &str, one: Option<&Parsed>) -> ExitCode {
    let call = match one {
        Some(Parsed::Call(call)) => Some(call),
        _ => None,
    };
    // Read before the .conf: a change that ends between the two would otherwise leave an old password and no journal.
    let journal = Journal::find(Path::new(conf));
    let config = match config(console, dir, conf, call) {
        Ok(config) => config,
        Err(status) => return status,
    };
    console.set_servers(config.servers.iter().map(|server| &server.name));
    let status = call.filter(|call| *call.command == status::COMMAND);
    console.warn_of_down(status.is_none());
    console.begin_work();
    let (pending, no_journal) = journal.map_or_else(|why| (None, Some(why)), |found| (found, None));
    let is_new = pending.as_ref().is_some_and(|journal| journal.password == config.password);
    let new_password = pending.as_ref().map(|journal| journal.password.as_str());
    let launched = Client::launch(config, new_password, Arc::clone(console) as Arc<dyn client::Report>);
    console.end_work();
    console.warn_of_down(true);
    let client = match (launched, status) {
        (Ok(client), _) => client,
        (Err(LaunchError::NoServer(reasons)), Some(call)) => {
            // This is what Status is for.
            let down = |(server, why)| ServerStatus { server, state: Err(why) };
            let servers: Vec<_> = reasons.into_iter().map(down).collect();
            return ExitCode::from(status::show(console, &servers, &call.options));
        }
        (Err(error), _) => {
            let hint = match (&error, &pending, &no_journal) {
                (LaunchError::Denied, Some(journal), _) if is_new => Some(format!(
                    "this is the new password of an interrupted change ({}); it goes on with the old one",
                    journal.path().display()
                )),
                (LaunchError::Denied, Some(journal), _) => {
                    let path = journal.path().display();
                    Some(format!("the password in {path}, of an interrupted change, is not accepted either"))
                }
                (LaunchError::Denied, None, Some(why)) => Some(why.to_string()),
                _ => error.hint(),
            };
            console.error(&error, hint);
            return ExitCode::from(match error {
                LaunchError::Denied => DENIED,
                LaunchError::Busy(_) | LaunchError::NoServer(_) => NO_SERVER,
            });
        }
    };
    if let Some(why) = no_journal {
        console.warning(&why);
    }
    let downloads = Path::new(DOWNLOADS).join(client.user().as_str());
    let (dir, conf, reads_commands) = (PathBuf::from(dir), PathBuf::from(conf), one.is_none());
    let mut session = Session { console, client, dir, conf, downloads, pending, reads_commands };
    ExitCode::from(match (one, call) {
        (None, _) => prompt::run(&mut session),
        (_, Some(call)) => commands::execute(&mut session, call),
        (_, None) => 0,
    })
}
