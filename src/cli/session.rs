//! The commands of one session, one after another.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use super::command::{self, Command, Options, UsageError};
use super::conf::Journal;
use super::console::Console;
use super::prompt::{PROMPT, greeting, read_command};
use super::table::{self, View};
use super::tally::Tally;
use super::text::{and, counted};
use super::{DENIED, FAILED, NO_SERVER, USAGE, help, json, lines, password, units};
use crate::client::{
    self, Client, ClientError, Files, Found, LocalError, NotChanged, NotRepaired, RepairSummary, Repaired,
    ServerStatus, ShownFolder,
};
use crate::name::{FolderPath, ServerName, printable};

/// Files that are handed to the client at a time.
const STEP: usize = 1024;
/// With this the terminal sends what arrows and the like stand for.
const ESCAPE: char = '\u{1b}';
/// Begins a line that is for people alone.
const COMMENT: char = '#';
/// Everything that a user has.
pub(super) const ALL: &str = ".";

/// A client that is logged in, and where its commands come from and go to.
pub(super) struct Session<'a> {
    pub(super) console: &'a Console,
    pub(super) client: Client,
    pub(super) dir: PathBuf,
    pub(super) conf: PathBuf,
    pub(super) downloads: PathBuf,
    /// A change of password that was cut off and is still to be ended.
    pub(super) pending: Option<Journal>,
}

/// The state of all servers; the status of the command.
pub(super) fn show_status(console: &Console, status: &[ServerStatus], options: Options) -> u8 {
    if options.json {
        status.iter().for_each(|server| console.result(&json::status(server)));
    } else if console.out_is_terminal() {
        let (width, palette) = (console.out_width(), console.out_palette());
        console.results(&table::status(status, View { width, exact: options.long, palette }));
    } else {
        status.iter().for_each(|server| console.result(&lines::status(server)));
    }
    if status.iter().any(|server| server.state.is_ok()) {
        return 0;
    }
    let hint = "start the servers, or check their addresses in the .conf".to_owned();
    console.error(&"no server can be used", Some(hint));
    NO_SERVER
}

/// The list of commands, or all about one.
pub(super) fn help(console: &Console, topic: Option<&str>) {
    let width = console.out_width();
    console.results(&match topic {
        Some(name) => help::topic(name, width),
        None => help::commands(width),
    });
}

impl Session<'_> {
    /// Commands from standard input to its end; the status is that of the first that failed.
    pub(super) fn prompt(&mut self) -> u8 {
        let stdin = io::stdin();
        let interactive = stdin.is_terminal();
        if interactive {
            self.greet();
        }
        let (mut status, mut number) = (0, 0);
        loop {
            if interactive {
                self.console.prompt(PROMPT);
            }
            number += 1;
            let Some(line) = read_command(&mut stdin.lock()) else {
                if interactive {
                    // What comes next is not to stand behind the prompt.
                    self.console.prompt("\n");
                }
                break;
            };
            let words = line.and_then(|line| match line.contains(ESCAPE) {
                // The line would not be what its writer sees.
                true if interactive => Err(UsageError::CursorKey),
                _ if line.trim_start().starts_with(COMMENT) => Ok(Vec::new()),
                _ => command::split_words(&line),
            });
            let outcome = match words {
                Ok(words) if words.is_empty() => continue,
                Ok(words) => command::parse(&words),
                Err(error) => Err(error),
            };
            let result = match outcome {
                Ok((Command::Exit, _)) => break,
                Ok((command, options)) => {
                    // It takes the next line for the password.
                    number += usize::from(command == Command::Passwd);
                    self.console.set_options(options);
                    self.execute(&command, options)
                }
                Err(error) => {
                    let place = if interactive { String::new() } else { format!(" (line {number})") };
                    self.console.error(&format!("{error}{place}"), Some(error.hint()));
                    USAGE
                }
            };
            if status == 0 {
                status = result;
            }
        }
        status
    }

    fn greet(&self) {
        let (servers, width) = (self.client.servers(), self.console.out_width());
        let lines = greeting(self.client.user(), &servers, &self.dir, &self.downloads, width);
        // As the prompt: where the user looks.
        lines.iter().for_each(|line| self.console.prompt(&format!("{line}\n")));
    }

    pub(super) fn execute(&mut self, command: &Command, options: Options) -> u8 {
        let mut gone_on = match command {
            Command::Help { .. } | Command::Exit => Ok(false),
            _ => self.go_on_with_change(),
        };
        // A new password is typed first.
        if *command != Command::Passwd {
            if let Err(error) = std::mem::replace(&mut gone_on, Ok(false)) {
                self.tell_pending(&error);
            }
            self.console.begin_work();
        }
        let result = match command {
            Command::ShowFiles { folder } => self.show(folder.as_deref(), options),
            Command::Upload { what, folder } => self.upload(what, folder.as_deref(), options),
            Command::Download { what, folder } => self.download(what, folder.as_deref()),
            Command::Delete { what, folder } => self.delete(what, folder.as_deref(), options),
            Command::Move { old, new } => self.rename(old, new),
            Command::Verify { folder } => self.verify(folder.as_deref(), options),
            Command::Repair { folder } => self.repair(folder.as_deref(), options),
            Command::Status => Ok(self.status(options)),
            Command::Passwd => self.passwd(gone_on),
            Command::Help { topic } => {
                help(self.console, *topic);
                Ok(0)
            }
            Command::Exit => Ok(0),
        };
        let status = result.unwrap_or_else(|error| {
            let error = self.client.find_reason(error);
            let hint = self.hint(&error, command);
            self.console.error(&error, hint);
            match (command, &self.pending) {
                (Command::Passwd, Some(journal)) => self.console.hint(&goes_on(journal)),
                (Command::Passwd, None) => self.console.hint("no password was changed"),
                _ => {}
            }
            status_of(&error)
        });
        self.console.end_work();
        status
    }

    /// One of several files failed. What helps all of them is said once, at the end.
    pub(super) fn fail(&mut self, tally: &mut Tally, error: ClientError) {
        let error = self.client.find_reason(error);
        if let Some(line) = tally.failed(error.to_string(), status_of(&error), error.hint()) {
            self.console.error(&line, None);
        }
    }

    /// The last words on a command for several files, and its status.
    pub(super) fn conclude(&self, tally: &Tally) -> u8 {
        if let Some(line) = tally.not_said() {
            self.console.error(&line, None);
        }
        tally.hints().iter().for_each(|hint| self.console.hint(hint));
        self.tell(tally.summary());
        tally.status
    }

    /// The same for files of a folder, in which there may be more than were seen.
    pub(super) fn conclude_seen(&self, tally: &Tally, unseen: Vec<(ServerName, String)>) -> u8 {
        self.unless_unseen(self.conclude(tally), unseen)
    }

    fn show(&mut self, folder: Option<&str>, options: Options) -> Result<u8, ClientError> {
        let ShownFolder { entries: listing, unseen } = self.client.show(&parse_folder(folder)?)?;
        self.console.end_work();
        if !unseen.is_empty() {
            let names: Vec<_> = unseen.iter().map(|(server, _)| server.to_string()).collect();
            self.console.warning(&format!("what only {} may have is not listed", and(&names, usize::MAX)));
        }
        let to_person = self.console.out_is_terminal() && !options.json;
        if to_person && listing.is_empty() && !unseen.is_empty() {
            self.console.done(&"nothing was found here on the servers that answered");
        } else if to_person && listing.is_empty() {
            self.console.done(&"nothing is stored here; Upload stores a file");
        } else if to_person {
            let (width, palette) = (self.console.out_width(), self.console.out_palette());
            self.console.results(&table::table(&listing, View { width, exact: options.long, palette }));
        } else if options.json {
            listing.iter().for_each(|shown| self.console.result(&json::shown(shown)));
        } else if options.long {
            self.console.results(&lines::long(&listing));
        } else {
            listing.iter().for_each(|shown| self.console.result(&lines::short(shown)));
        }
        Ok(0)
    }

    fn upload(&mut self, what: &str, folder: Option<&str>, options: Options) -> Result<u8, ClientError> {
        let (sources, whole) = client::find(&self.dir, what, &parse_folder(folder)?, self.console)?;
        self.console.expect_files(sources.len());
        let mut tally = Tally::of("uploaded", sources.len());
        if !whole {
            tally.status = FAILED;
        }
        // In steps, so that what is done is told while the rest goes on.
        for step in sources.chunks(STEP) {
            for result in self.client.upload(step, options.only_changed) {
                match result {
                    Ok(file) if file.unchanged => self.tell(tally.unchanged(&file.path)),
                    Ok(file) => self.tell(tally.done(&file.path, Some(file.size), "")),
                    Err(error) => self.fail(&mut tally, error),
                }
            }
        }
        Ok(self.conclude(&tally))
    }

    /// A word about a success, if there is one.
    pub(super) fn tell(&self, line: Option<String>) {
        if let Some(line) = line {
            self.console.done(&line);
        }
    }

    fn verify(&mut self, folder: Option<&str>, options: Options) -> Result<u8, ClientError> {
        let console = self.console;
        let verified =
            self.client.verify(&parse_folder(folder)?, options.recursive, options.read, |problem| {
                if options.json { console.result(&json::problem(problem)) } else { console.result(problem) }
            })?;
        let files = counted(verified.files, "file");
        let copies = match options.read {
            None => format!("{} copies checked", verified.copies),
            Some(_) => {
                format!("{} copies checked, {} read", verified.copies, units::bytes(verified.read as f64))
            }
        };
        if verified.problems > 0 {
            let have = if verified.files == 1 { "has" } else { "have" };
            console.error(
                &format!(
                    "{} of {files} {have} problems ({}, {copies})",
                    verified.bad,
                    counted(verified.problems, "problem")
                ),
                Some(verified.hint().into()),
            );
            return Ok(self.unless_unseen(FAILED, verified.unseen));
        }
        let well =
            if verified.unseen.is_empty() { "all is well" } else { "no problems in what could be checked" };
        console.done(&format!("{well}: {files}, {copies}"));
        Ok(self.unless_unseen(0, verified.unseen))
    }

    /// The status of a command that ends with `status`, unless so much was not seen that nobody can vouch for the rest:
    /// then that is said too, with a hint if there was none yet.
    fn unless_unseen(&self, status: u8, unseen: Vec<(ServerName, String)>) -> u8 {
        if unseen.is_empty() {
            return status;
        }
        let error = ClientError::NotAllSeen(unseen);
        self.console.error(&error, error.hint().filter(|_| status == 0));
        if status == 0 { status_of(&error) } else { status }
    }

    fn repair(&mut self, folder: Option<&str>, options: Options) -> Result<u8, ClientError> {
        let console = self.console;
        let mut other_key = 0;
        let mut summary = self.client.repair(&parse_folder(folder)?, options.dry, |step| {
            other_key += usize::from(matches!(step, Repaired::Failed { why: NotRepaired::OtherKey, .. }));
            if options.json {
                console.result(&json::repaired(step, options.dry));
            } else if options.dry && !console.is_quiet() {
                console.result(&lines::would(step));
            } else if !console.is_quiet() {
                console.result(step);
            }
        })?;
        let unseen = std::mem::take(&mut summary.unseen);
        if summary.failed > 0 {
            let could = if options.dry { "cannot" } else { "could not" };
            let what = format!("{} of {} steps {could} be done", summary.failed, summary.steps);
            let down = self.client.servers().iter().any(|(_, why)| why.is_some());
            let hint = if other_key == summary.failed {
                client::OTHER_KEY_HINT.to_owned()
            } else {
                hint_after_repair(&summary, down)
            };
            console.error(&what, Some(hint));
            return Ok(self.unless_unseen(FAILED, unseen));
        }
        let names = counted(summary.names, "name");
        if summary.steps > 0 {
            let would = if options.dry { "would be " } else { "" };
            console.done(&format!("{names} looked at, {} {would}done", counted(summary.steps, "step")));
        } else if unseen.is_empty() {
            console.done(&format!("nothing to repair ({names} looked at)"));
        }
        Ok(self.unless_unseen(0, unseen))
    }

    fn passwd(&mut self, gone_on: Result<bool, ClientError>) -> Result<u8, ClientError> {
        let console = self.console;
        let ask = || password::read_new("new password");
        // From a pipe the next line is the password, also of a Passwd that cannot be: it is never a command.
        let piped = (!io::stdin().is_terminal()).then(ask);
        let ended_one = gone_on?;
        console.begin_work();
        self.client.can_change_password()?;
        console.end_work();
        let password = match piped.unwrap_or_else(ask) {
            Ok(password) => password,
            Err(why) => {
                console.error(&why, None);
                return Ok(FAILED);
            }
        };
        if !(ended_one && *password == self.client.password()) {
            // What the servers have learned cannot be taken back, and without the new password nothing can be read
            // of what is under it: so first it is on disk.
            self.pending = match Journal::write(&self.conf, &password) {
                Ok(journal) => Some(journal),
                Err(error) => {
                    let what =
                        format!("cannot rewrite {} ({error}); no password was changed", self.conf.display());
                    let hint = match error.kind() {
                        io::ErrorKind::AlreadyExists => "another Client is changing it, or was cut off",
                        _ => "Passwd writes a new .conf beside the old one",
                    };
                    console.error(&what, Some(hint.into()));
                    return Ok(FAILED);
                }
            };
            console.begin_work();
            if let Err(NotChanged { error, begun }) = self.change_password(false) {
                if !begun && let Some(journal) = &self.pending {
                    match journal.discard() {
                        Ok(()) => self.pending = None,
                        Err(why) => console.warning(&format!(
                            "cannot remove {} ({why}); remove it if the password is not to be changed",
                            journal.path().display()
                        )),
                    }
                }
                return Err(error);
            }
        }
        console.done(&"password changed on every server and in the .conf");
        Ok(0)
    }

    /// Ends a change of password that was cut off, if it can be; whether there was one.
    fn go_on_with_change(&mut self) -> Result<bool, ClientError> {
        let Some(journal) = &self.pending else { return Ok(false) };
        self.console.begin_work();
        self.client.can_go_on_with(&journal.password)?;
        self.console.warning(&"finishing an interrupted password change");
        self.change_password(true).map_err(|why| why.error)?;
        self.console.end_work();
        Ok(true)
    }

    fn tell_pending(&self, error: &ClientError) {
        let Some(journal) = &self.pending else { return };
        self.console.end_work();
        self.console.warning(&format!(
            "an interrupted password change cannot be finished now ({error}); until it is, some files may not open, \
             and none may be stored"
        ));
        self.console.hint(&goes_on(journal));
    }

    /// Makes the change that is in the journal, on the servers and in the .conf.
    fn change_password(&mut self, again: bool) -> Result<(), NotChanged> {
        let Some(journal) = &self.pending else { return Ok(()) };
        self.client.change_password(&journal.password, again)?;
        let local = |error| ClientError::from(LocalError::Failed(self.conf.clone(), error));
        journal.publish().map_err(|error| NotChanged { error: local(error), begun: true })?;
        self.pending = None;
        Ok(())
    }

    fn status(&mut self, options: Options) -> u8 {
        // Its row says that a server is down.
        self.console.warn_of_down(false);
        let status = self.client.status();
        self.console.warn_of_down(true);
        self.console.end_work();
        show_status(self.console, &status, options)
    }

    fn download(&mut self, what: &str, folder: Option<&str>) -> Result<u8, ClientError> {
        let name = join(folder, what)?;
        let (mut looked, Files { files, unseen }) = match self.client.find(&name)? {
            Found::File(file) => {
                let path = file.path().clone();
                (Some(*file), Files { files: vec![path], unseen: Vec::new() })
            }
            Found::Below(files) => (None, files),
        };
        if self.is_no_folder(what, &name, &files) {
            return Ok(FAILED);
        }
        self.console.expect_files(files.len());
        let mut tally = Tally::of("downloaded", files.len());
        for step in files.chunks(STEP) {
            let results = match looked.take() {
                Some(file) => vec![self.client.download_looked(file, &self.downloads)],
                None => self.client.download(step, &self.downloads),
            };
            for result in results {
                match result {
                    Ok(file) => {
                        let place = format!(" to {}", printable(&file.place.to_string_lossy()));
                        self.tell(tally.done(&file.path, Some(file.size), &place));
                    }
                    Err(error) => self.fail(&mut tally, error),
                }
            }
        }
        Ok(self.conclude_seen(&tally, unseen))
    }
}

fn goes_on(journal: &Journal) -> String {
    let path = journal.path().display();
    format!("the new password is in {path}; the next command with this .conf goes on with the change")
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

/// A name as `FILE [FOLDER]` gives it.
pub(super) fn join(folder: Option<&str>, what: &str) -> Result<String, ClientError> {
    let what = if what == "/" { ALL } else { without_slash(what) };
    let Some(folder) = folder else { return Ok(what.to_owned()) };
    let path = parse_folder(Some(folder))?.file(what);
    path.map(|path| path.as_str().to_owned())
        .map_err(|why| ClientError::Name(format!("{folder}/{what}"), why))
}

/// A folder may be written as ShowFiles shows it.
pub(super) fn without_slash(name: &str) -> &str {
    name.strip_suffix('/').filter(|name| !name.is_empty()).unwrap_or(name)
}

fn parse_folder(folder: Option<&str>) -> Result<FolderPath, ClientError> {
    match folder {
        None | Some(ALL | "/") => Ok(FolderPath::root()),
        Some(name) => {
            FolderPath::parse(without_slash(name)).map_err(|why| ClientError::Name(name.to_owned(), why))
        }
    }
}

fn hint_after_repair(summary: &RepairSummary, down: bool) -> String {
    let again = if down {
        "start the servers that are down and repair again"
    } else {
        "repair again; Verify and the servers' logs say more"
    };
    let lost = format!("what is lost can only be uploaded again, or deleted; {}", client::DELETED_BEFORE);
    match summary {
        RepairSummary { lost: 0, .. } => again.to_owned(),
        RepairSummary { lost: all, failed, .. } if all == failed => lost,
        _ => format!("{lost}; for the rest {again}"),
    }
}
