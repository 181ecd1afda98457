//! The client: `dfc CONF` reads commands from standard input, `dfc CONF COMMAND ARGUMENT...` runs one.

#![allow(unused)] // TODO: take this line out when you are done

use dfs::conf;
use dfs::placement;
use dfs::wire::{self, Request};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

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
}

impl Servers {
    /// Prints the names in a folder, one per line, with ` [incomplete]` where a piece is missing.
    fn list(&mut self, folder: &str) -> Result<(), Failure> {
        // TODO: a LIST to each server, and the union of what they say
        Err(format!("{folder}/ list failed: not implemented"))
    }

    /// Makes a folder on every server that answers.
    fn mkdir(&mut self, folder: &str) -> Result<(), Failure> {
        // TODO: a MKDIR to each server
        Err(format!("{folder}/ mkdir failed: not implemented"))
    }

    /// Stores a local file in a folder on the servers, under the last part of its path.
    fn put(&mut self, file: &str, folder: &str) -> Result<(), Failure> {
        // TODO: each piece to its two servers
        Err(format!("{file} put failed: not implemented"))
    }

    /// Fetches a file into the current folder, under the last part of its path: all of it, or nothing.
    fn get(&mut self, path: &str) -> Result<(), Failure> {
        // TODO: find out who has which piece, and ask one server for each
        Err(format!("{path} get failed: not implemented"))
    }
}
