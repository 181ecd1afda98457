//! The .conf as a file.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_setfl};
use zeroize::Zeroizing;

use super::hints::{self, did_you_mean, nearest};
use super::password::{self, NoPassword};
use super::password_command;
use super::program::{command_line, shell_word};
use crate::config::{ConfFile, Config, KEYS, MAX_CONFIG, PasswordSource, Problem};

/// Fewest letters of a key that is taken for the beginning of another.
const BEGINNING: usize = 4;
/// The permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Why a .conf cannot be used, with the file and the line, and what the user might do about it.
pub(super) type BadConf = (String, Option<String>);

/// Reads a .conf. Also returns whether anyone but its owner has any rights to the file.
///
/// # Errors
/// If it cannot be read, or has a mistake.
pub(super) fn read(conf: &str) -> Result<(ConfFile, bool), BadConf> {
    // A text that grows would leave copies behind, which nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(MAX_CONFIG + 1));
    let exposed = read_text(conf, &mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => (format!("{conf}: not UTF-8 text"), None),
        _ => {
            let near = hints::local(Path::new(""), Path::new(conf));
            (format!("{conf}: {error}"), near.map(|name| did_you_mean(&name)))
        }
    })?;
    let file = ConfFile::parse(&text).map_err(|error| {
        let hint = hint(&error.problem);
        match error.line {
            Some(line) => (format!("{conf}:{line}: {}", error.problem), hint),
            None => (format!("{conf}: {}", error.problem), hint),
        }
    })?;
    Ok((file, exposed))
}

fn hint(problem: &Problem) -> Option<String> {
    match problem {
        Problem::UnknownKey(key) if ["/*", "//"].contains(&key.as_str()) => {
            Some("a comment begins with #".to_owned())
        }
        Problem::UnknownKey(key) => near(key).map(did_you_mean),
        Problem::ServerKey(key, address) => {
            Some(near(key).map_or_else(|| did_you_mean(&format!("Server {key} {address}")), did_you_mean))
        }
        Problem::Missing("Username") => {
            Some("add a line with your name on the servers, such as Username Aditi".to_owned())
        }
        Problem::Key => Some(format!("`{}` prints a Key line", command_line(&["keygen"]))),
        _ => None,
    }
}

/// The key that an unknown one may have meant: one that it is the beginning of, or that is written almost like it.
fn near(key: &str) -> Option<&'static str> {
    let lower = key.to_ascii_lowercase();
    let begins = |known: &&&str| lower.len() >= BEGINNING && known.to_ascii_lowercase().starts_with(&lower);
    KEYS.iter().find(begins).copied().or_else(|| nearest(key, KEYS))
}

/// Gets the password from where the .conf says that it is. A program has this standard input.
///
/// # Errors
/// If there is none.
pub(super) fn with_password(conf: &str, file: ConfFile, input: Stdio) -> Result<Config, BadConf> {
    let password = match &file.source {
        PasswordSource::Stated(password) => password.clone(),
        PasswordSource::Command(command, line) => password_command::run(command, input)
            .map_err(|why| (format!("{conf}:{line}: PasswordCommand: {why}"), why.hint()))?,
        PasswordSource::Asked => {
            password::read_existing(&format!("password for {}", file.user())).map_err(|why| {
                let hint = matches!(why, NoPassword::NoTerminal)
                    .then(|| "add a Password or a PasswordCommand line, or run it on a terminal".to_owned());
                (format!("{conf}: no password ({why})"), hint)
            })?
        }
    };
    Ok(file.with_password(password))
}

fn read_text(conf: &str, text: &mut String) -> io::Result<bool> {
    // A FIFO that has a writer is read to its end, as a shell's `<(...)` needs it; one without is taken as empty and
    // not waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(conf)?;
    fcntl_setfl(&file, OFlags::empty())?;
    let metadata = file.metadata()?;
    file.take(MAX_CONFIG as u64 + 1).read_to_string(text)?;
    Ok(metadata.is_file() && metadata.mode() & OTHERS != 0)
}

/// The shell command that keeps others from a .conf.
pub(super) fn protect(conf: &str) -> String {
    let dot = if conf.starts_with('-') { "./" } else { "" };
    format!("chmod 600 {}", shell_word(&format!("{dot}{conf}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_protects_a_conf_can_be_pasted() {
        for (conf, command) in [
            ("home.conf", "chmod 600 home.conf"),
            ("../a b.conf", "chmod 600 '../a b.conf'"),
            ("-x", "chmod 600 ./-x"),
            ("-x y", "chmod 600 './-x y'"),
        ] {
            assert_eq!(protect(conf), command);
        }
    }

    #[test]
    fn a_hint_names_the_key_that_was_meant_and_the_line_of_a_server() {
        for (line, expected) in [
            ("User alice", "did you mean Username?"),
            ("pass pw", "did you mean Password?"),
            ("Pasword pw", "did you mean Password?"),
            ("Sever1 localhost:8008", "did you mean Server?"),
            ("DFS1 127.0.0.1:10001", "did you mean Server DFS1 127.0.0.1:10001?"),
            ("DFS1=127.0.0.1:10001", "did you mean Server DFS1 127.0.0.1:10001?"),
            ("// mine", "a comment begins with #"),
            ("Colour red", ""),
        ] {
            let error = ConfFile::parse(line).err().unwrap();
            assert_eq!(hint(&error.problem).unwrap_or_default(), expected, "{line}");
        }
    }
}
