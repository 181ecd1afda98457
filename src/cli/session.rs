//! A client that is logged in, and what its commands have in common.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use super::alike::Kind;
use super::arguments::{outermost, parse_folder, without_slash};
use super::console::Console;
use super::hints;
use super::journal::Journal;
use super::tally::Tally;
use super::text::{NAMED, some};
use super::words::{quoted, read_line};
use super::{DENIED, FAILED, NO_SERVER};
use crate::client::{Client, ClientError, Found, LocalError, Matches, Names};
use crate::name::{FilePath, FolderPath, ServerName, printable};
use crate::pattern::{is_pattern, may_be_a_name};

/// A client that is logged in, and where its commands read and write.
pub(super) struct Session<'a> {
    pub(super) console: &'a Console,
    pub(super) client: Client,
    /// The folder that Upload reads from.
    pub(super) dir: PathBuf,
    pub(super) conf: PathBuf,
    pub(super) downloads: PathBuf,
    /// A password change that was interrupted and must still be finished.
    pub(super) pending: Option<Journal>,
    /// Whether standard input has the commands.
    pub(super) reads_commands: bool,
}

/// What names refer to.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) found: Vec<(String, Found)>,
    /// The exit status for each name that could not be found.
    pub(super) statuses: Vec<u8>,
    /// Servers that did not report what they know, if a pattern may match more because of that.
    pub(super) unseen: Vec<(ServerName, String)>,
}

impl Session<'_> {
    /// Reports why a command failed, with a hint, which `folder` helps to find (see [`hints::error`]); its exit status.
    pub(super) fn report(&mut self, error: ClientError, folder: Option<(&str, &str)>) -> u8 {
        let error = self.client.find_reason(error);
        // A list is another question to the servers; a script that tries many names can do without, with -q.
        let quiet = self.console.is_quiet();
        let client = &mut self.client;
        let hint = hints::error(&error, &self.dir, folder, |folder| {
            if quiet { None } else { Some(client.show(folder, false).ok()?.entries) }
        });
        self.console.error(&error, hint);
        status_of(&error)
    }

    /// Reports why one of several names cannot be used; the exit status.
    pub(super) fn refuse(&mut self, name: &str, error: ClientError) -> u8 {
        self.console.result_without("failed", name, &error);
        self.report(error, None)
    }

    /// What stored names refer to; a pattern, unless something has just that name, to all that match it. If there are
    /// several names, the others are found even if one is not, which is reported.
    ///
    /// # Errors
    /// If there is only one, and it refers to nothing.
    pub(super) fn find(&mut self, names: &[String]) -> Result<Stored, ClientError> {
        let mut stored = Stored::default();
        let results = self.client.find_all(names);
        for (name, result) in names.iter().zip(results) {
            let found = match result {
                Err(ClientError::NotFound(_) | ClientError::OutOfSight(..)) if is_pattern(name) => {
                    self.find_matching(name, &mut stored)
                }
                found => found.map(|found| stored.found.push((name.clone(), found))),
            };
            match found {
                Ok(()) => {}
                Err(error) if names.len() == 1 => return Err(error),
                Err(error) => stored.statuses.push(self.refuse(name, error)),
            }
        }
        stored.found.sort_by(|(a, _), (b, _)| a.cmp(b));
        stored.found.dedup_by(|(a, _), (b, _)| a == b);
        Ok(stored)
    }

    /// The folders, or files, that an optional argument refers to: several if it is a pattern, and nothing has just that
    /// name.
    ///
    /// # Errors
    /// If the name is none, or a pattern matches nothing.
    pub(super) fn folders(&mut self, name: Option<&str>) -> Result<Vec<FolderPath>, ClientError> {
        match name {
            Some(name) if is_pattern(name) && self.client.find(name).is_err() => {
                // Whoever looks into them finds out what was not seen.
                let names = outermost(self.client.matching(name)?.names);
                names.iter().map(|name| parse_folder(Some(name))).collect()
            }
            name => Ok(vec![parse_folder(name)?]),
        }
    }

    /// Says what a name matches that may not have been meant as a pattern.
    pub(super) fn tell_of_match(&self, pattern: &str, names: &[String]) {
        if may_be_a_name(pattern) {
            let nothing = format!("nothing is named '{}'; as a pattern it matches", printable(pattern));
            self.console.warning(&format!("{nothing} {}", some(names, NAMED)));
        }
    }

    fn find_matching(&mut self, pattern: &str, stored: &mut Stored) -> Result<(), ClientError> {
        let Matches { names, unseen } = self.client.matching(pattern)?;
        self.tell_of_match(pattern, &names);
        stored.unseen.extend(unseen);
        let names: Vec<String> = outermost(names).iter().map(|name| without_slash(name).to_owned()).collect();
        let found = self.client.find_all(&names);
        for (name, found) in names.into_iter().zip(found) {
            match found {
                // Deleted since it was listed.
                Err(ClientError::NotFound(_)) => {}
                found => stored.found.push((name, found?)),
            }
        }
        Ok(())
    }

    /// A success; none if it is not one of those that are reported.
    pub(super) fn done(&self, line: Option<String>) {
        if let Some(line) = line {
            self.console.done(&line);
        }
    }

    /// What happened to a file, or would happen, which is a result that was asked for.
    pub(super) fn tell(&self, tally: &Tally, line: Option<String>) {
        match line {
            Some(line) if tally.is_result(self.console.is_quiet()) => self.console.result(&line),
            line => self.done(line),
        }
    }

    /// Asks the user at a terminal whether to go on; without one, the command has said it.
    pub(super) fn may(&self, question: &str, if_not: &str) -> bool {
        let is_seen = self.console.out_is_terminal() || self.console.err_is_terminal();
        if !io::stdin().is_terminal() || !is_seen {
            return true;
        }
        self.console.end_work();
        self.console.prompt(&format!("{question} [y/N] "));
        let answer = read_line(&mut io::stdin().lock()).and_then(Result::ok).unwrap_or("\n".into());
        if !answer.ends_with('\n') {
            self.console.prompt("\n");
        }
        let yes = ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
        if yes {
            self.console.begin_work();
        } else {
            self.console.done(&if_not);
        }
        yes
    }

    /// One of several files failed. A hint that applies to all of them is shown once, at the end.
    pub(super) fn fail(&mut self, tally: &mut Tally, path: &FilePath, error: ClientError) {
        let error = self.client.find_reason(error);
        self.console.result_without("failed", path.as_str(), &error);
        let Some(line) = tally.failed(error.to_string(), status_of(&error), error.hint()) else { return };
        match &error {
            ClientError::Local(LocalError::Failed(_, why)) => {
                self.console.say_alike(Kind::Failed, &why.to_string(), &line);
            }
            _ => self.console.error(&line, None),
        }
    }

    /// Ends the report of a command on several files, some of which may not have been seen; its status. If not all are
    /// done, the last line is reported to a script too: nobody must take a part for the whole.
    pub(super) fn conclude(&self, tally: &Tally, unseen: Vec<(ServerName, String)>) -> u8 {
        if let Some(line) = tally.not_reported() {
            self.console.error(&line, None);
        }
        self.console.report_alike();
        tally.hints().iter().for_each(|hint| self.console.hint(hint));
        let status = self.unless_unseen(tally.status, unseen);
        match tally.summary() {
            Some(line)
                if !tally.is_whole() && (self.console.is_quiet() || !self.console.out_is_terminal()) =>
            {
                self.console.warning(&line);
            }
            line => self.done(line),
        }
        status
    }

    /// The status of a command that ends with `status`, unless so much was not seen that nobody can vouch for the rest:
    /// then that is reported too, with a hint if there was none yet.
    pub(super) fn unless_unseen(&self, status: u8, mut unseen: Vec<(ServerName, String)>) -> u8 {
        // Each name may have been looked up without it.
        let mut named = HashSet::new();
        unseen.retain(|(server, _)| named.insert(server.clone()));
        if unseen.is_empty() {
            return status;
        }
        let error = ClientError::NotAllSeen(unseen);
        self.console.error(&error, error.hint().filter(|_| status == 0));
        if status == 0 { status_of(&error) } else { status }
    }

    /// Whether `what`, which refers to `name`, is written like a folder, with a slash at its end, but is one of the
    /// files; that is an error, which is reported.
    pub(super) fn is_no_folder(&self, what: &str, name: &str, files: &Names) -> bool {
        let no_folder = what.ends_with('/') && files.iter().any(|path| path.as_str() == name);
        if no_folder {
            let hint = hints::did_you_mean(&quoted(without_slash(what)));
            self.console.error(&format!("'{}' is a file, not a folder", printable(name)), Some(hint));
        }
        no_folder
    }
}

fn status_of(error: &ClientError) -> u8 {
    match error {
        ClientError::NoServer(_)
        | ClientError::NeedsEveryServer(_)
        | ClientError::NeedsServers(..)
        | ClientError::OutOfSight(..)
        | ClientError::NotAllSeen(_)
        | ClientError::Lost(..)
        | ClientError::Ended(_) => NO_SERVER,
        ClientError::PasswordChanged | ClientError::UndecidedAtChange(_) | ClientError::Rekeyed(_) => DENIED,
        _ => FAILED,
    }
}
