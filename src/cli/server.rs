//! `Server`: its arguments and messages.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use super::console::{server_error, server_line, server_result, server_warning};
use super::{FAILED, USAGE, help, password, program};
use crate::name::{ServerName, UserName, printable};
use crate::server::{self, StartError};

/// Runs the server's command line; its first word is what the program was called by.
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    program::set(arguments.next(), program::SERVER);
    let arguments: Vec<String> = match arguments.map(OsString::into_string).collect() {
        Ok(arguments) => arguments,
        Err(argument) => return usage(&format!("argument is not UTF-8: {argument:?}")),
    };
    server::make_private_files();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--help" | "-h"] => server_result(&help::server().trim_end()),
        ["--version" | "-V"] => {
            server_result(&format!("{} (ShareIt) {}", program::name(), env!("CARGO_PKG_VERSION")))
        }
        ["adduser", root, user] => add_user(root, user),
        ["adduser"] => usage("ROOT and USER are missing"),
        ["adduser", _] => usage("USER, the user name, is missing"),
        [option] if option.starts_with('-') => usage(&format!("unknown option '{}'", printable(option))),
        [root, name, address] => serve(root, name, address),
        [] => usage("ROOT, NAME and PORT are missing"),
        [_] => usage("NAME and PORT are missing"),
        [_, _] => usage("PORT is missing"),
        _ => usage("too many arguments: expected ROOT NAME PORT, or adduser ROOT USER"),
    }
}

fn error(what: &dyn Display, hint: Option<&str>) -> ExitCode {
    server_error(what, hint);
    ExitCode::from(FAILED)
}

fn usage(what: &str) -> ExitCode {
    let help = format!("`{}` shows the usage", program::command_line(&["--help"]));
    server_error(&what, Some(&help));
    ExitCode::from(USAGE)
}

fn add_user(root: &str, user: &str) -> ExitCode {
    let user = match UserName::parse(user) {
        Ok(user) => user,
        Err(why) => return usage(&format!("bad user name '{}': {why}", printable(user))),
    };
    let root = Path::new(root);
    let exists = match server::has_user(root, &user) {
        Ok(exists) => exists,
        Err(why) => return error(&why, None),
    };
    if exists {
        // Before the password is typed: Ctrl-C still helps.
        server_warning(&format!(
            "{user} already exists: files stored without a Key line open only with the current password; the client's \
             Passwd changes both"
        ));
    }
    let password = match password::read_new(&format!("password for {user}")) {
        Ok(password) => password,
        Err(why) => return error(&why, None),
    };
    let made = if root.exists() { "" } else { " (new folder)" };
    if let Err(why) = server::add_user(root, &user, &password) {
        return error(&why, None);
    }
    // As in the client: a success is reported to people, and scripts have the exit status.
    if std::io::stdout().is_terminal() {
        let done = if exists { format!("changed the password of {user}") } else { format!("added {user}") };
        return server_result(&format!("{done} in {}{made}", printable(&root.to_string_lossy())));
    }
    ExitCode::SUCCESS
}

fn serve(root: &str, name: &str, address: &str) -> ExitCode {
    let name = match ServerName::parse(name) {
        Ok(name) => name,
        Err(why) => return usage(&format!("bad server name '{}': {why}", printable(name))),
    };
    let address = match server::parse_address(address) {
        Ok(parsed) => parsed,
        Err(why) => return usage(&format!("bad address '{}': {why}", printable(address))),
    };
    match server::Server::start(Path::new(root), name, address, Box::new(std::io::stderr())) {
        Ok(server) => {
            // Scripts wait for this line.
            server_line(&format!("listening on {}", server.address()));
            server.serve()
        }
        Err(why) => {
            let hint = match &why {
                StartError::Listen(address, error) => match error.kind() {
                    ErrorKind::AddrInUse => {
                        Some(format!("is another program using port {}?", address.port()))
                    }
                    ErrorKind::AddrNotAvailable => {
                        Some(format!("this machine has no address {}", address.ip()))
                    }
                    ErrorKind::PermissionDenied => Some("ports below 1024 usually need root".to_owned()),
                    _ => None,
                },
                _ => None,
            };
            error(&why, hint.as_deref())
        }
    }
}
