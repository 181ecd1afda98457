//! The client: `dfc CONF` reads commands from standard input, `dfc CONF COMMAND ARGUMENT...` runs one.
// course: begin solution
// course: starter
//:
//: #![allow(unused)] // TODO: take this line out when you are done
// course: end solution

use dfs::conf;
use dfs::placement;
use dfs::wire::{self, Request};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;
// course: begin solution
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::Path;

/// Why a command failed if all servers are down.
const NOBODY: &str = "no server answers";
// course: end solution

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// How long it may be silent after that.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to one server.
struct Connection {
    input: BufReader<TcpStream>,
    output: TcpStream,
}

/// The servers of the dfc.conf. One that has failed once is not asked again by the same command.
struct Servers {
    conf: Vec<conf::Server>,
    down: Vec<bool>,
}

/// What a command could not do, for the user to read.
type Failure = String;

/// What was given is no command.
struct Usage;

const USAGE: &str =
    "expected list [FOLDER/], put FILE... [FOLDER/], get NAME... [FOLDER/], mkdir FOLDER or exit";

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let Some((path, command)) = arguments.split_first() else {
        eprintln!("usage: dfc CONF [COMMAND ARGUMENT...]");
        return ExitCode::from(2);
    };
    let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let conf = match read.and_then(|text| conf::parse(&text)) {
        Ok(conf) => conf,
        Err(error) => {
            eprintln!("dfc: {path}: {error}");
            return ExitCode::from(2);
        }
    };
    match if command.is_empty() { Ok(prompt(&conf)) } else { run(&conf, command) } {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Usage) => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs the commands of standard input, one per line, up to `exit`. Words are separated by spaces.
fn prompt(conf: &[conf::Server]) -> bool {
    let mut all_done = true;
    loop {
        if io::stdin().is_terminal() {
            print!("dfc> ");
            let _ = io::stdout().flush();
        }
        let mut line = Vec::new();
        if !matches!(io::stdin().lock().read_until(b'\n', &mut line), Ok(1..)) {
            return all_done;
        }
        let line = String::from_utf8_lossy(&line);
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        if words == ["exit"] {
            return all_done;
        }
        if !words.is_empty() {
            all_done &= run(conf, &words).unwrap_or_else(|Usage| {
                eprintln!("{USAGE}");
                false
            });
        }
    }
}

/// Runs one command, and says whether it did all that it should.
///
/// # Errors
/// The words are no command.
fn run(conf: &[conf::Server], words: &[String]) -> Result<bool, Usage> {
    let mut servers = Servers { conf: conf.to_vec(), down: vec![false; conf.len()] };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // A last word that ends with / is a folder on the servers.
    let (names, folder) = match words[1..].split_last() {
        Some((last, names)) if last.ends_with('/') => (names, last.trim_end_matches('/')),
        _ => (&words[1..], "."),
    };
    let results: Vec<Result<(), Failure>> = match &words[..] {
        ["list"] => vec![servers.list(".")],
        ["list", folder] => vec![servers.list(folder.trim_end_matches('/'))],
        ["mkdir", folder] => vec![servers.mkdir(folder.trim_end_matches('/'))],
        ["put", ..] if !names.is_empty() => names.iter().map(|name| servers.put(name, folder)).collect(),
        ["get", ..] if !names.is_empty() => {
            names.iter().map(|name| servers.get(&join(folder, name))).collect()
        }
        _ => return Err(Usage),
    };
    for failure in results.iter().filter_map(|result| result.as_ref().err()) {
        eprintln!("{failure}");
    }
    Ok(results.iter().all(Result::is_ok))
}

// course: begin solution
/// That servers take it as a folder. An end of line in it, for example, would be the end of the request.
fn checked(folder: &str) -> Result<(), String> {
    if wire::is_folder(folder) { Ok(()) } else { Err("bad-path".to_string()) }
}

// course: end solution
/// The path of a name in a folder.
fn join(folder: &str, name: &str) -> String {
    if folder == "." { name.to_string() } else { format!("{folder}/{name}") }
}

impl Connection {
    fn open(server: &conf::Server) -> io::Result<Self> {
        let output = TcpStream::connect_timeout(&server.address, CONNECT)?;
        output.set_read_timeout(Some(PATIENCE))?;
        output.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { input: BufReader::new(output.try_clone()?), output })
    }
    // course: begin solution

    /// Sends a request and the bytes that follow it, and reads the reply's line.
    fn ask(&mut self, request: &Request, body: Option<(&mut File, u64)>) -> io::Result<Result<u64, Failure>> {
        self.output.write_all(request.to_line().as_bytes())?;
        if let Some((file, length)) = body {
            match wire::copy(file, &mut self.output, length) {
                // The server is not to blame. It drops the piece when the connection ends.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(Err("the local file has become shorter".to_string()));
                }
                result => result?,
            }
        }
        wire::read_reply(&mut self.input)
    }

    /// The same for a request without a body, with what the reply brings.
    fn ask_for_text(&mut self, request: &Request) -> io::Result<Result<String, Failure>> {
        let length = match self.ask(request, None)? {
            Ok(length) if length > 64 << 20 => return Err(io::ErrorKind::InvalidData.into()),
            Ok(length) => length,
            Err(why) => return Ok(Err(why)),
        };
        let mut text = Vec::new();
        wire::copy(&mut self.input, &mut text, length)?;
        String::from_utf8(text).map(Ok).map_err(|_| io::ErrorKind::InvalidData.into())
    }
    // course: end solution
}

// course: begin solution
/// What the servers' lists say of a folder.
#[derive(Default)]
struct Listing {
    files: BTreeMap<String, Listed>,
    folders: BTreeSet<String>,
}

/// For each piece of a file, the servers that list it, with its length there.
#[derive(Default)]
struct Listed([Vec<(usize, u64)>; 4]);

impl Listed {
    /// None if the file is incomplete.
    fn size(&self) -> Option<u64> {
        placement::file_size(
            &self.0.each_ref().map(|servers| servers.iter().map(|listed| listed.1).collect()),
        )
    }
}

/// The file of a get: it takes all bytes, and remembers the first error, so that one of the disk is
/// not taken for one of a server.
struct Local {
    file: File,
    error: Option<io::Error>,
}

impl Write for Local {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.error.is_none() {
            self.error = self.file.write_all(bytes).err();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// course: end solution
impl Servers {
    // course: begin solution
    /// Asks one server. A server that fails is not asked again.
    ///
    /// Each request has a connection of its own: one that is idle while other servers are busy may be
    /// closed.
    fn with<T>(&mut self, server: usize, ask: impl FnOnce(&mut Connection) -> io::Result<T>) -> Option<T> {
        if self.down[server] {
            return None;
        }
        match Connection::open(&self.conf[server]).and_then(|mut connection| ask(&mut connection)) {
            Ok(answer) => Some(answer),
            Err(error) => {
                let late = error.kind() == io::ErrorKind::WouldBlock;
                let why = if late { "no answer in time".to_string() } else { error.to_string() };
                eprintln!("dfc: {}: {why}", self.conf[server].name);
                self.down[server] = true;
                None
            }
        }
    }

    /// Asks all servers for their lists.
    ///
    /// # Errors
    /// Why there is none: no server answers, or `not-found`, for example.
    fn survey(&mut self, folder: &str) -> Result<Listing, String> {
        let request = Request::List { folder: folder.to_string() };
        let mut listing = Listing::default();
        let mut answered = false;
        let mut refused = None;
        for server in 0..self.conf.len() {
            match self.with(server, |connection| connection.ask_for_text(&request)) {
                Some(Ok(text)) => {
                    answered = true;
                    text.lines().for_each(|line| listing.add(server, line));
                }
                Some(Err(why)) => refused = Some(why),
                None => {}
            }
        }
        if answered { Ok(listing) } else { Err(refused.unwrap_or_else(|| NOBODY.to_string())) }
    }

    // course: end solution
    /// Prints the names in a folder, one per line, with ` [incomplete]` where a piece is missing.
    fn list(&mut self, folder: &str) -> Result<(), Failure> {
        // course: begin solution
        let failed = |why: String| format!("{folder}/ list failed: {why}");
        let listing = checked(folder).and_then(|()| self.survey(folder)).map_err(failed)?;
        let mut lines: Vec<String> = listing.folders.iter().map(|name| format!("{name}/")).collect();
        for (name, listed) in &listing.files {
            let state = if listed.size().is_some() { "" } else { " [incomplete]" };
            lines.push(format!("{name}{state}"));
        }
        lines.sort();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        io::stdout().write_all(text.as_bytes()).map_err(|error| failed(error.to_string()))
        // course: starter
        //: // TODO: a LIST to each server, and the union of what they say
        //: Err(format!("{folder}/ list failed: not implemented"))
        // course: end solution
    }

    /// Makes a folder on every server that answers.
    fn mkdir(&mut self, folder: &str) -> Result<(), Failure> {
        // course: begin solution
        let failed = |why: String| format!("{folder}/ mkdir failed: {why}");
        checked(folder).map_err(failed)?;
        let request = Request::Mkdir { folder: folder.to_string() };
        let mut answers = Vec::new();
        for server in 0..self.conf.len() {
            answers.extend(self.with(server, |connection| connection.ask_for_text(&request)));
        }
        if answers.is_empty() {
            return Err(failed(NOBODY.to_string()));
        }
        answers.into_iter().try_for_each(|answer| answer.map(|_| ())).map_err(failed)
        // course: starter
        //: // TODO: a MKDIR to each server
        //: Err(format!("{folder}/ mkdir failed: not implemented"))
        // course: end solution
    }

    /// Stores a local file in a folder on the servers, under the last part of its path.
    fn put(&mut self, file: &str, folder: &str) -> Result<(), Failure> {
        // course: begin solution
        let failed = |why: &dyn std::fmt::Display| format!("{file} put failed: {why}");
        let name = Path::new(file).file_name().and_then(|name| name.to_str());
        let path = join(folder, name.unwrap_or_default());
        if !wire::is_path(&path) {
            return Err(failed(&"bad-path"));
        }
        let mut local = File::open(file).map_err(|error| failed(&error))?;
        let metadata = local.metadata().map_err(|error| failed(&error))?;
        if !metadata.is_file() {
            return Err(failed(&"it is not a regular file"));
        }
        let row = placement::row(&path);
        let mut copies = [0; 4];
        for piece in 1..=placement::PIECES {
            let range = placement::range(metadata.len(), piece);
            let length = range.end - range.start;
            for server in placement::holders(row, piece) {
                local.seek(SeekFrom::Start(range.start)).map_err(|error| failed(&error))?;
                let request = Request::Put { piece, length, path: path.clone() };
                let body = Some((&mut local, length));
                match self.with(server, |connection| connection.ask(&request, body)) {
                    Some(Ok(_)) => copies[usize::from(piece) - 1] += 1,
                    Some(Err(why)) => eprintln!("dfc: {}: {path}: {why}", self.conf[server].name),
                    None => {}
                }
            }
        }
        if self.down.iter().all(|&down| down) {
            return Err(failed(&NOBODY));
        }
        if let Some(missing) = copies.iter().position(|&copies| copies == 0) {
            return Err(failed(&format!("no server took piece {}", missing + 1)));
        }
        let single = (1..).zip(copies).filter(|&(_, copies)| copies == 1);
        let single: Vec<String> = single.map(|(piece, _)| piece.to_string()).collect();
        if !single.is_empty() {
            eprintln!("{file} has only one copy of piece {}", single.join(", "));
        }
        Ok(())
        // course: starter
        //: // TODO: each piece to its two servers
        //: Err(format!("{file} put failed: not implemented"))
        // course: end solution
    }

    /// Fetches a file into the current folder, under the last part of its path: all of it, or nothing.
    fn get(&mut self, path: &str) -> Result<(), Failure> {
        // course: begin solution
        let failed = |why: &dyn std::fmt::Display| format!("{path} get failed: {why}");
        if !wire::is_path(path) {
            return Err(failed(&"bad-path"));
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        let not_found = || format!("{path} not found");
        let listing = match self.survey(folder) {
            Ok(listing) => listing,
            Err(why) if why == "not-found" => return Err(not_found()),
            Err(why) => return Err(failed(&why)),
        };
        let listed = listing.files.get(name).ok_or_else(not_found)?;
        let size = listed.size().ok_or_else(|| format!("{path} is incomplete"))?;
        // A name of its own length may already be the longest that the disk takes.
        let draft = format!(".dfc-{}.part", std::process::id());
        let file = File::create(&draft).map_err(|error| failed(&error))?;
        let mut local = Local { file, error: None };
        let result = self
            .fetch(path, size, listed, &mut local)
            .and_then(|()| fs::rename(&draft, name).map_err(|error| failed(&error)));
        if result.is_err() {
            let _ = fs::remove_file(&draft);
        }
        result
        // course: starter
        //: // TODO: find out who has which piece, and ask one server for each
        //: Err(format!("{path} get failed: not implemented"))
        // course: end solution
    }
    // course: begin solution

    /// Fetches a file of this size, each piece from the first server that sends all of it.
    fn fetch(&mut self, path: &str, size: u64, listed: &Listed, local: &mut Local) -> Result<(), Failure> {
        let failed = |error: io::Error| format!("{path} get failed: {error}");
        'pieces: for (piece, servers) in (1..).zip(&listed.0) {
            let request = Request::Get { piece, path: path.to_string() };
            let range = placement::range(size, piece);
            let length = range.end - range.start;
            for &(server, _) in servers.iter().filter(|listed| listed.1 == length) {
                // What another server sent before it failed is not of the file.
                local.file.set_len(range.start).map_err(failed)?;
                local.file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
                let fetched = self.with(server, |connection| match connection.ask(&request, None)? {
                    Ok(sent) if sent == length => {
                        wire::copy(&mut connection.input, local, length).map(|()| true)
                    }
                    // The piece has been put again since, or is gone.
                    _ => Ok(false),
                });
                if let Some(error) = local.error.take() {
                    return Err(failed(error));
                }
                if fetched == Some(true) {
                    continue 'pieces;
                }
            }
            return Err(format!("{path} is incomplete"));
        }
        Ok(())
    }
    // course: end solution
}
// course: begin solution

impl Listing {
    /// Adds a line of a server's list; one that is no such line is left alone.
    fn add(&mut self, server: usize, line: &str) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["piece", piece @ ("1" | "2" | "3" | "4"), length, name] => {
                let index = usize::from(piece.as_bytes()[0] - b'1');
                if let Some(length) = wire::number(length) {
                    self.files.entry(name.to_string()).or_default().0[index].push((server, length));
                }
            }
            ["folder", ..] => {
                self.folders.insert(line["folder ".len()..].to_string());
            }
            _ => {}
        }
    }
}
// course: end solution
