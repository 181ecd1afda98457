//! A server: `dfs DIR PORT`. It keeps pieces below DIR, and knows of no other server.

#![allow(unused)] // TODO: take this line out when you are done

use dfs::wire::{self, Request};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, port] = &arguments[..] else {
        eprintln!("usage: dfs DIR PORT");
        return ExitCode::from(2);
    };
    match serve(Path::new(dir), port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dfs: {dir}, port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(dir: &Path, port: &str) -> io::Result<()> {
    let port: u16 = port.parse().map_err(|_| io::Error::other("no port"))?;
    fs::create_dir_all(dir)?;
    // Anyone who can connect can read and write: level 1 has no users. So nobody else's machine may.
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    for stream in listener.incoming() {
        // TODO: several clients at once. Here they are served one after another, and the failure of
        // one ends the server.
        session(&stream?, dir)?;
    }
    Ok(())
}

/// Answers the requests of one client until it ends the connection.
fn session(stream: &TcpStream, dir: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut input = BufReader::new(stream);
    let mut output = BufWriter::new(stream);
    while let Some(line) = wire::read_line(&mut input)? {
        let Some(request) = Request::parse(&line) else {
            // How many bytes follow such a line is not known, so there is no next line to read.
            output.write_all(b"NO bad-request\n")?;
            return output.flush();
        };
        answer(request, dir, &mut input, &mut output)?;
        output.flush()?;
    }
    Ok(())
}

/// Does what a request asks for, and writes the reply.
///
/// # Errors
/// Only those after which the connection is of no use any more; for all others the reply is a `NO`.
fn answer(
    request: Request,
    dir: &Path,
    input: &mut BufReader<&TcpStream>,
    output: &mut BufWriter<&TcpStream>,
) -> io::Result<()> {
    // TODO
    output.write_all(b"NO not-implemented\n")
}
