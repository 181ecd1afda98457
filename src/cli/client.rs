//! `Client`: its arguments, and the launch.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::command::{self, Command, Options};
use super::console::Console;
use super::nearest::nearest;
use super::session::{Session, help, show_status};
use super::{DENIED, FAILED, NO_SERVER, USAGE, conf, help};
use crate::client::{self, Client, LaunchError, ServerStatus};
use crate::name::{ServerName, printable};
use crate::primitives;
use crate::text::hex;

/// Where downloads go, below the current folder.
const DOWNLOADS: &str = "Downloads";

/// Runs the client's command line.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let console = Arc::new(Console::default());
    let arguments: Vec<String> = match arguments.map(OsString::into_string).collect() {
        Ok(arguments) => arguments,
        Err(argument) => {
            return usage(&console, &format!("an argument that is not UTF-8: {argument:?}"), None);
        }
    };
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--help" | "-h"] => {
            print!("{}", help::CLIENT);
            ExitCode::SUCCESS
        }
        ["--version" | "-V"] => {
            println!("Client (ShareIt) {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        ["keygen"] => keygen(&console),
        ["keygen", ..] => usage(&console, &"keygen stands alone", None),
        [_, "--help" | "-h"] => {
            print!("{}", help::CLIENT);
            ExitCode::SUCCESS
        }
        [conf, dir, ..] if Path::new(conf).is_file() && Path::new(dir).is_dir() => {
            let hint = format!("did you mean Client {dir} {conf}?");
            usage(&console, &"DIR stands before CONF", Some(hint))
        }
        [dir, conf] => session(&console, dir, conf, None),
        [dir, conf, ..] => match command::parse(&arguments[2..]) {
            Ok((Command::Help { topic }, _)) => {
                help(&console, topic);
                ExitCode::SUCCESS
            }
            Ok(parsed) => session(&console, dir, conf, Some(parsed)),
            Err(error) => usage(&console, &error, Some(error.hint())),
        },
        [word] => {
            let plain = word.trim_start_matches('-');
            let same = ALONE.into_iter().find(|alone| alone.trim_start_matches('-') == plain);
            let near = same.or(nearest(word, ALONE)).or_else(|| nearest(&format!("--{plain}"), ALONE));
            usage(&console, &"give DIR and CONF", near.map(|alone| format!("did you mean {alone}?")))
        }
        _ => usage(&console, &"give DIR and CONF", None),
    }
}

/// What stands alone behind the program's name.
const ALONE: [&str; 3] = ["--help", "--version", "keygen"];

fn usage(console: &Console, what: &dyn Display, hint: Option<String>) -> ExitCode {
    console.error(what, Some(hint.unwrap_or_else(|| "`Client --help` shows the usage".into())));
    ExitCode::from(USAGE)
}

fn keygen(console: &Console) -> ExitCode {
    match primitives::random::<32>() {
        Ok(key) => {
            console.result(&format!("Key {}", hex(&key)));
            ExitCode::SUCCESS
        }
        Err(error) => {
            console.error(&format!("no random bytes from the system ({error})"), None);
            ExitCode::from(FAILED)
        }
    }
}

fn session(console: &Arc<Console>, dir: &str, conf: &str, one: Option<(Command, Options)>) -> ExitCode {
    // Before the .conf, or a change that ends in between would leave neither of the two as it was found.
    let journal = conf::Journal::find(Path::new(conf));
    let (config, exposed) = match conf::read(conf) {
        Ok(read) => read,
        Err((what, hint)) => {
            console.error(&what, hint);
            return ExitCode::from(USAGE);
        }
    };
    if !Path::new(dir).is_dir() {
        return usage(console, &format!("DIR is not a folder: '{}'", printable(dir)), None);
    }
    if let Some((_, options)) = &one {
        console.set_options(*options);
    }
    if exposed {
        console.warning(&format!(
            "other users of this machine can read or change '{conf}', and so reach your files"
        ));
        console.hint(&conf::protect(conf));
    }
    console.set_servers(config.servers.iter().map(|server| &server.name));
    let status = one.as_ref().filter(|(command, _)| *command == Command::Status).map(|(_, options)| *options);
    console.warn_of_down(status.is_none());
    console.begin_work();
    let (pending, no_journal) = journal.map_or_else(|why| (None, Some(why)), |found| (found, None));
    let new_password = pending.as_ref().map(|journal| journal.password.as_str());
    let launched = Client::launch(config, new_password, Arc::clone(console) as Arc<dyn client::Report>);
    console.end_work();
    console.warn_of_down(true);
    let client = match launched {
        Ok(client) => client,
        Err(error) => {
            if let (LaunchError::NoServer(reasons), Some(options)) = (&error, status) {
                // That is what was asked for.
                let down = |(server, why): &(_, String)| ServerStatus {
                    server: ServerName::clone(server),
                    state: Err(why.clone()),
                };
                return ExitCode::from(show_status(
                    console,
                    &reasons.iter().map(down).collect::<Vec<_>>(),
                    options,
                ));
            }
            let status = match &error {
                LaunchError::Denied => DENIED,
                LaunchError::Busy(_) | LaunchError::NoServer(_) => NO_SERVER,
            };
            let of_journal = match (&error, &pending, &no_journal) {
                (LaunchError::Denied, Some(journal), _) => {
                    let path = journal.path().display();
                    Some(format!("the password in {path}, of an interrupted change, is not accepted either"))
                }
                (LaunchError::Denied, None, Some(why)) => Some(why.to_string()),
                _ => None,
            };
            console.error(&error, of_journal.or_else(|| error.hint()));
            return ExitCode::from(status);
        }
    };
    if let Some(why) = no_journal {
        console.warning(&why);
    }
    let downloads = Path::new(DOWNLOADS).join(client.user().as_str());
    let mut session =
        Session { console, client, dir: PathBuf::from(dir), conf: PathBuf::from(conf), downloads, pending };
    let status = match one {
        Some((command, options)) => session.execute(&command, options),
        None => session.prompt(),
    };
    ExitCode::from(status)
}
