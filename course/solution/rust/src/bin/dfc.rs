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
    connections: Vec<Option<Connection>>,
}

/// What a command could not do, for the user to read.
type Failure = String;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
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
    let all_done = if command.is_empty() { prompt(&conf) } else { run(&conf, command) };
    if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the commands of standard input, one per line, up to `exit`. Words are separated by spaces.
fn prompt(conf: &[conf::Server]) -> bool {
    let mut all_done = true;
    loop {
        if io::stdin().is_terminal() {
            print!("dfc> ");
            let _ = io::stdout().flush();
        }
        let mut line = String::new();
        if !matches!(io::stdin().lock().read_line(&mut line), Ok(1..)) {
            return all_done;
        }
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        match words.first().map(String::as_str) {
            None => {}
            Some("exit") => return all_done,
            Some(_) => all_done &= run(conf, &words),
        }
    }
}

/// Runs one command, and says whether it did all that it should.
fn run(conf: &[conf::Server], words: &[String]) -> bool {
    let connections = conf.iter().map(|server| Connection::open(server).ok()).collect();
    let mut servers = Servers { conf: conf.to_vec(), connections };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // A last word that ends with / is a folder on the servers.
    let (names, folder) = match words[1..].split_last() {
        Some((last, names)) if last.ends_with('/') => (names, last.trim_end_matches('/')),
        _ => (&words[1..], "."),
    };
    let results: Vec<Result<(), Failure>> = match (words[0], names) {
        ("list", []) => vec![servers.list(folder)],
        ("list", [folder]) => vec![servers.list(folder)],
        ("mkdir", []) if folder != "." => vec![servers.mkdir(folder)],
        ("mkdir", [folder]) => vec![servers.mkdir(folder)],
        ("put", [_, ..]) => names.iter().map(|name| servers.put(name, folder)).collect(),
        ("get", [_, ..]) => names.iter().map(|name| servers.get(&join(folder, name))).collect(),
        _ => vec![Err("expected list [FOLDER/], put FILE... [FOLDER/], get NAME... [FOLDER/], \
                       mkdir FOLDER or exit"
            .to_string())],
    };
    for failure in results.iter().filter_map(|result| result.as_ref().err()) {
        eprintln!("{failure}");
    }
    results.iter().all(Result::is_ok)
}

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
            wire::copy(file, &mut self.output, length)?;
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
    /// For each name and piece, the servers that have it.
    pieces: BTreeMap<String, [Vec<usize>; 4]>,
    folders: BTreeSet<String>,
}

// course: end solution
impl Servers {
    // course: begin solution
    /// Asks one server. A server that fails is not asked again.
    fn with<T>(&mut self, server: usize, ask: impl FnOnce(&mut Connection) -> io::Result<T>) -> Option<T> {
        let connection = self.connections[server].as_mut()?;
        match ask(connection) {
            Ok(answer) => Some(answer),
            Err(error) => {
                let late = error.kind() == io::ErrorKind::WouldBlock;
                let why = if late { "no answer in time".to_string() } else { error.to_string() };
                eprintln!("dfc: {}: {why}", self.conf[server].name);
                self.connections[server] = None;
                None
            }
        }
    }

    /// Asks all servers for their lists.
    ///
    /// # Errors
    /// No server answers, or none has such a folder.
    fn survey(&mut self, folder: &str) -> Result<Listing, Failure> {
        let request = Request::List { folder: folder.to_string() };
        let mut listing = Listing::default();
        let mut found = false;
        let mut refused = None;
        for server in 0..self.connections.len() {
            match self.with(server, |connection| connection.ask_for_text(&request)) {
                Some(Ok(text)) => {
                    found = true;
                    text.lines().for_each(|line| listing.add(server, line));
                }
                Some(Err(why)) => refused = Some(why),
                None => {}
            }
        }
        match refused {
            _ if found => Ok(listing),
            Some(why) => Err(format!("{folder}: {why}")),
            None => Err("no server answers".to_string()),
        }
    }

    // course: end solution
    /// Prints the names in a folder, one per line, with ` [incomplete]` where a piece is missing.
    fn list(&mut self, folder: &str) -> Result<(), Failure> {
        // course: begin solution
        let listing = self.survey(folder)?;
        let mut lines: Vec<String> = listing.folders.iter().map(|name| format!("{name}/")).collect();
        for (name, pieces) in &listing.pieces {
            let whole = pieces.iter().all(|servers| !servers.is_empty());
            lines.push(if whole { name.clone() } else { format!("{name} [incomplete]") });
        }
        lines.sort();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
        // course: starter
        //: // TODO: a LIST to each server, and the union of what they say
        //: Err(format!("{folder}: list is not implemented"))
        // course: end solution
    }

    /// Makes a folder on every server that answers.
    fn mkdir(&mut self, folder: &str) -> Result<(), Failure> {
        // course: begin solution
        let request = Request::Mkdir { folder: folder.to_string() };
        let mut made = Err("no server answers".to_string());
        for server in 0..self.connections.len() {
            match self.with(server, |connection| connection.ask_for_text(&request)) {
                Some(Ok(_)) if made.is_err() => made = Ok(()),
                Some(Err(why)) => return Err(format!("{folder}: {why}")),
                _ => {}
            }
        }
        made
        // course: starter
        //: // TODO: a MKDIR to each server
        //: Err(format!("{folder}: mkdir is not implemented"))
        // course: end solution
    }

    /// Stores a local file in a folder on the servers, under the last part of its path.
    fn put(&mut self, file: &str, folder: &str) -> Result<(), Failure> {
        // course: begin solution
        let failed = |why: &dyn std::fmt::Display| format!("{file} put failed: {why}");
        let name = Path::new(file).file_name().and_then(|name| name.to_str());
        let path = join(folder, name.ok_or_else(|| failed(&"it has no name"))?);
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
        match copies.iter().position(|&copies| copies == 0) {
            Some(missing) => Err(failed(&format!("no server took piece {}", missing + 1))),
            None => Ok(()),
        }
        // course: starter
        //: // TODO: each piece to its two servers
        //: Err(format!("{file} put failed: put to {folder} is not implemented"))
        // course: end solution
    }

    /// Fetches a file into the current folder, under the last part of its path: all of it, or nothing.
    fn get(&mut self, path: &str) -> Result<(), Failure> {
        // course: begin solution
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        let listing = self.survey(folder)?;
        let pieces = listing.pieces.get(name).ok_or_else(|| format!("{path} not found"))?;
        let draft = format!(".{name}.{}.part", std::process::id());
        let fetched =
            File::create(&draft).map_err(|error| format!("{draft}: {error}")).and_then(|mut file| {
                pieces.iter().zip(1..).try_for_each(|(servers, piece)| {
                    if self.fetch(path, piece, servers, &mut file) {
                        Ok(())
                    } else {
                        Err(format!("{path} is incomplete"))
                    }
                })
            });
        let result =
            fetched.and_then(|()| fs::rename(&draft, name).map_err(|error| format!("{name}: {error}")));
        if result.is_err() {
            let _ = fs::remove_file(&draft);
        }
        result
        // course: starter
        //: // TODO: find out who has which piece, and ask one server for each
        //: Err(format!("{path}: get is not implemented"))
        // course: end solution
    }
    // course: begin solution

    /// Appends a piece to a file, from the first server that has it to the end. Says whether one had.
    fn fetch(&mut self, path: &str, piece: u8, servers: &[usize], file: &mut File) -> bool {
        let request = Request::Get { piece, path: path.to_string() };
        let Ok(start) = file.stream_position() else { return false };
        for &server in servers {
            let fetched = self.with(server, |connection| match connection.ask(&request, None)? {
                Ok(length) => wire::copy(&mut connection.input, file, length).map(|()| true),
                Err(_) => Ok(false),
            });
            if fetched == Some(true) {
                return true;
            }
            // What a server sent before it failed is not of the file.
            if file.set_len(start).and_then(|()| file.seek(SeekFrom::Start(start))).is_err() {
                return false;
            }
        }
        false
    }
    // course: end solution
}
// course: begin solution

impl Listing {
    /// Adds a line of a server's list; one that is no such line is left alone.
    fn add(&mut self, server: usize, line: &str) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["piece", piece @ ("1" | "2" | "3" | "4"), _, name] => {
                let index = usize::from(piece.as_bytes()[0] - b'1');
                self.pieces.entry(name.to_string()).or_default()[index].push(server);
            }
            ["folder", ..] => {
                self.folders.insert(line["folder ".len()..].to_string());
            }
            _ => {}
        }
    }
}
// course: end solution
