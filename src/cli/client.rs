//! `Client`: its arguments, its prompt, its commands.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::command::{self, Command, Options};
use super::console::{Console, counted};
use super::{DENIED, FAILED, NO_SERVER, USAGE, help, password, table};
use crate::client::{self, Client, ClientError, Found, LaunchError, Source};
use crate::config::{Config, MAX_CONFIG, MAX_PASSWORD};
use crate::name::{FilePath, FolderPath, MAX_PATH};
use crate::primitives;
use crate::wire::hex;

/// Where downloads go, below the current folder.
const DOWNLOADS: &str = "Downloads";
/// Longest line of the prompt, in bytes: two quoted paths fit.
const MAX_COMMAND: usize = 4 * MAX_PATH + 1024;

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
        [dir, conf] => session(&console, dir, conf, None),
        [dir, conf, ..] => match command::parse(&arguments[2..]) {
            Ok((Command::Help, _)) => {
                print!("{}", help::COMMANDS);
                ExitCode::SUCCESS
            }
            Ok(parsed) => session(&console, dir, conf, Some(parsed)),
            Err(error) => usage(&console, &error, Some(error.hint())),
        },
        _ => usage(&console, &"give DIR and CONF", None),
    }
}

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
    let config = match read_config(conf) {
        Ok(config) => config,
        Err(what) => {
            console.error(&what, None);
            return ExitCode::from(USAGE);
        }
    };
    if !Path::new(dir).is_dir() {
        return usage(console, &format!("DIR is not a folder: '{}'", dir.escape_debug()), None);
    }
    if let Some((_, options)) = &one {
        console.set_options(*options);
    }
    let client = match Client::launch(config, Arc::clone(console) as Arc<dyn client::Report>) {
        Ok(client) => client,
        Err(error) => {
            let (status, hint) = match &error {
                LaunchError::Denied => (DENIED, None),
                LaunchError::NoServer(_) => {
                    (NO_SERVER, Some("start the servers, or check their addresses in the .conf".to_owned()))
                }
            };
            console.error(&error, hint);
            return ExitCode::from(status);
        }
    };
    let downloads = Path::new(DOWNLOADS).join(client.user().as_str());
    let mut session =
        Session { console, client, dir: PathBuf::from(dir), conf: PathBuf::from(conf), downloads };
    let status = match one {
        Some((command, options)) => session.execute(&command, options),
        None => session.prompt(),
    };
    ExitCode::from(status)
}

fn read_config(conf: &str) -> Result<Config, String> {
    let mut text = String::new();
    let file = std::fs::File::open(conf);
    file.and_then(|file| file.take(MAX_CONFIG as u64 + 1).read_to_string(&mut text))
        .map_err(|error| format!("{conf}: {error}"))?;
    Config::parse(&text).map_err(|error| match error.line {
        Some(line) => format!("{conf}:{line}: {}", error.problem),
        None => format!("{conf}: {}", error.problem),
    })
}

/// Puts a new password into a .conf, in one step; everything else stays as it is.
fn rewrite_password(conf: &Path, password: &str) -> io::Result<()> {
    let text = std::fs::read_to_string(conf)?;
    // A link stays a link: what it points to is replaced.
    let place = std::fs::canonicalize(conf)?;
    let draft = place.with_extension(format!("conf.{}", std::process::id()));
    let mut file = std::fs::File::create_new(&draft)?;
    let written = file
        .set_permissions(place.metadata()?.permissions())
        .and_then(|()| file.write_all(Config::with_password(&text, password).as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&draft, &place));
    if written.is_err() {
        // The error that matters is told; this one would only hide it.
        let _ = std::fs::remove_file(&draft);
    }
    written
}

struct Session<'a> {
    console: &'a Console,
    client: Client,
    dir: PathBuf,
    conf: PathBuf,
    downloads: PathBuf,
}

impl Session<'_> {
    /// Commands from standard input to its end; the status is that of the first that failed.
    fn prompt(&mut self) -> u8 {
        let stdin = io::stdin();
        let interactive = stdin.is_terminal();
        if interactive {
            self.greet();
        }
        let mut status = 0;
        loop {
            if interactive {
                // A prompt that cannot be shown is no reason to stop.
                let _ = write!(io::stdout(), "ShareIt> ").and_then(|()| io::stdout().flush());
            }
            let Some(line) = read_command(&mut stdin.lock()) else { break };
            let outcome = match line.and_then(|line| command::split_words(&line)) {
                Ok(words) if words.is_empty() => continue,
                Ok(words) => command::parse(&words),
                Err(error) => Err(error),
            };
            let result = match outcome {
                Ok((Command::Exit, _)) => break,
                Ok((command, options)) => {
                    self.console.set_options(options);
                    self.execute(&command, options)
                }
                Err(error) => {
                    self.console.error(&error, Some(error.hint()));
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
        let up = self.client.servers().into_iter().filter(|(_, why)| why.is_none());
        let up: Vec<String> = up.map(|(name, _)| name.to_string()).collect();
        self.console.result(&format!("Welcome {}. Servers up: {}.", self.client.user(), up.join(", ")));
        self.console.result(&"Commands: ShowFiles, Upload, Download; Help says more.");
    }

    fn execute(&mut self, command: &Command, options: Options) -> u8 {
        let result = match command {
            Command::ShowFiles { folder } => self.show(folder.as_deref(), options),
            Command::Upload { what, folder } => self.upload(what, folder.as_deref(), options),
            Command::Download { what, folder } => self.download(what, folder.as_deref()),
            Command::Delete { what, folder } => self.delete(what, folder.as_deref(), options),
            Command::Move { old, new } => self.rename(old, new),
            Command::Verify { folder } => self.verify(folder.as_deref(), options),
            Command::Repair { folder } => self.repair(folder.as_deref(), options),
            Command::Status => Ok(self.status(options)),
            Command::Passwd => self.passwd(),
            Command::Help => {
                self.console.result(&help::COMMANDS.trim_end());
                Ok(0)
            }
            Command::Exit => Ok(0),
        };
        result.unwrap_or_else(|error| self.fail(&error))
    }

    fn fail(&self, error: &ClientError) -> u8 {
        self.console.error(error, error.hint());
        match error {
            ClientError::NoServer(_) | ClientError::NeedsEveryServer(_) => NO_SERVER,
            _ => FAILED,
        }
    }

    fn show(&mut self, folder: Option<&str>, options: Options) -> Result<u8, ClientError> {
        let listing = self.client.show(&parse_folder(folder)?)?;
        if options.json {
            listing.iter().for_each(|shown| self.console.result(&table::json(shown)));
        } else if options.long || self.console.out_is_terminal() {
            table::long(&listing).iter().for_each(|line| self.console.result(line));
        } else {
            listing.iter().for_each(|shown| self.console.result(&table::short(shown)));
        }
        Ok(0)
    }

    fn upload(&mut self, what: &str, folder: Option<&str>, options: Options) -> Result<u8, ClientError> {
        let (sources, whole) = client::find(&self.dir, what, &parse_folder(folder)?, self.console)?;
        let mut status = if whole { 0 } else { FAILED };
        // In steps, so that what is done is told while the rest goes on.
        for step in sources.chunks(1024) {
            status = self.upload_step(step, options, status);
        }
        Ok(status)
    }

    fn upload_step(&mut self, sources: &[Source], options: Options, mut status: u8) -> u8 {
        for result in self.client.upload(sources, options.only_changed) {
            match result {
                Ok(file) if file.unchanged => self.console.done(&format!("unchanged {}", file.path)),
                Ok(file) => self.console.done(&format!("uploaded {} ({} bytes)", file.path, file.size)),
                Err(error) => {
                    let failed = self.fail(&error);
                    status = if status == 0 { failed } else { status };
                }
            }
        }
        status
    }

    fn delete(&mut self, what: &str, folder: Option<&str>, options: Options) -> Result<u8, ClientError> {
        let files = self.client.find_to_delete(&join(folder, what)?, options.recursive)?;
        let mut status = 0;
        for result in self.client.delete(&files) {
            match result {
                Ok(path) => self.console.done(&format!("deleted {path}")),
                Err(error) => {
                    let failed = self.fail(&error);
                    status = if status == 0 { failed } else { status };
                }
            }
        }
        Ok(status)
    }

    fn rename(&mut self, old: &str, new: &str) -> Result<u8, ClientError> {
        let parse = |name: &str| FilePath::parse(name).map_err(|why| ClientError::Name(name.to_owned(), why));
        let (old, new) = (parse(old)?, parse(new)?);
        self.client.rename(&old, &new)?;
        self.console.done(&format!("moved {old} to {new}"));
        Ok(0)
    }

    fn verify(&mut self, folder: Option<&str>, options: Options) -> Result<u8, ClientError> {
        let console = self.console;
        let verified = self.client.verify(&parse_folder(folder)?, options.recursive, |problem| {
            if options.json { console.result(&table::problem_json(problem)) } else { console.result(problem) }
        })?;
        let (files, copies) = (counted(verified.files, "file"), verified.copies);
        if verified.problems > 0 {
            console.error(
                &format!("{} in {files} ({copies} copies checked)", counted(verified.problems, "problem")),
                Some("Repair brings back what can be brought back".into()),
            );
            return Ok(FAILED);
        }
        console.done(&format!("all is well: {files}, {copies} copies checked"));
        Ok(0)
    }

    fn repair(&mut self, folder: Option<&str>, options: Options) -> Result<u8, ClientError> {
        let console = self.console;
        let summary = self.client.repair(&parse_folder(folder)?, options.dry, |step| {
            if options.json {
                console.result(&table::repaired_json(step));
            } else if !console.is_quiet() {
                console.result(step);
            }
        })?;
        if summary.failed > 0 {
            let what = format!("{} of {} steps could not be done", summary.failed, summary.steps);
            console.error(&what, Some("start the servers that are down and repair again".into()));
            return Ok(FAILED);
        }
        let would = if options.dry { "would be " } else { "" };
        console.done(&format!(
            "{} looked at, {} {would}done",
            counted(summary.names, "name"),
            counted(summary.steps, "step")
        ));
        Ok(0)
    }

    fn passwd(&mut self) -> Result<u8, ClientError> {
        let password = match password::read("new password") {
            Ok(password) if Config::is_password(&password) => password,
            Ok(_) => {
                let what =
                    format!("a password of 1 to {MAX_PASSWORD} bytes, without spaces around it, is meant");
                self.console.error(&what, None);
                return Ok(FAILED);
            }
            Err(error) => {
                self.console.error(&format!("no password from standard input ({error})"), None);
                return Ok(FAILED);
            }
        };
        self.client.change_password(&password)?;
        if let Err(error) = rewrite_password(&self.conf, &password) {
            let what = format!("{}: {error}; the password is changed on the servers", self.conf.display());
            self.console.error(&what, Some("write the new password into the .conf yourself".into()));
            return Ok(FAILED);
        }
        self.console.done(&"password changed on every server and in the .conf");
        Ok(0)
    }

    fn status(&mut self, options: Options) -> u8 {
        let status = self.client.status();
        let down = status.iter().all(|server| server.state.is_err());
        for server in &status {
            let line = if options.json { table::status_json(server) } else { table::status(server) };
            self.console.result(&line);
        }
        if down { NO_SERVER } else { 0 }
    }

    fn download(&mut self, what: &str, folder: Option<&str>) -> Result<u8, ClientError> {
        let name = join(folder, what)?;
        let files = match self.client.find(&name)? {
            Found::File(path) => vec![path],
            Found::Below(files) => files,
        };
        let mut status = 0;
        for step in files.chunks(1024) {
            status = self.download_step(step, status);
        }
        Ok(status)
    }

    fn download_step(&mut self, files: &[FilePath], mut status: u8) -> u8 {
        for result in self.client.download(files, &self.downloads) {
            match result {
                Ok(file) => {
                    let (path, size, place) = (file.path, file.size, file.place.display().to_string());
                    self.console.done(&format!("downloaded {path} ({size} bytes) to {place}"));
                }
                Err(error) => {
                    let failed = self.fail(&error);
                    status = if status == 0 { failed } else { status };
                }
            }
        }
        status
    }
}

/// A name as `FILE [FOLDER]` gives it.
fn join(folder: Option<&str>, what: &str) -> Result<String, ClientError> {
    let Some(folder) = folder else { return Ok(what.to_owned()) };
    let path = parse_folder(Some(folder))?.file(what);
    path.map(|path| path.to_string()).map_err(|why| ClientError::Name(format!("{folder}/{what}"), why))
}

fn parse_folder(folder: Option<&str>) -> Result<FolderPath, ClientError> {
    match folder {
        None => Ok(FolderPath::root()),
        Some(name) => FolderPath::parse(name).map_err(|why| ClientError::Name(name.to_owned(), why)),
    }
}

/// The next line; `None` at the end of input. A line that is too long or not UTF-8 is one mistake,
/// not the end.
fn read_command(input: &mut impl BufRead) -> Option<Result<String, command::UsageError>> {
    let mut line = Vec::new();
    match input.take(MAX_COMMAND as u64).read_until(b'\n', &mut line) {
        Ok(0) | Err(_) => return None,
        Ok(_) => {}
    }
    let whole = line.ends_with(b"\n") || line.len() < MAX_COMMAND;
    if !whole {
        skip_line(input);
        return Some(Err(command::UsageError::TooLong));
    }
    Some(String::from_utf8(line).map_err(|_| command::UsageError::NotUtf8))
}

fn skip_line(input: &mut impl BufRead) {
    loop {
        let Ok(buffer) = input.fill_buf() else { return };
        if buffer.is_empty() {
            return;
        }
        let end = buffer.iter().position(|&b| b == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if end.is_some() {
            return;
        }
    }
}
