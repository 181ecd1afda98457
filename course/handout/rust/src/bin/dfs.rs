//! A server: `dfs DIR PORT`. It keeps pieces below DIR, and knows of no other server.

#![allow(unused)] // TODO: take this line out when you are done

use dfs::wire::{self, Request};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(60);
/// In which time a client may read why it is sent away.
const FAREWELL: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let port = arguments.get(1).and_then(|port| port.to_str()?.parse::<u16>().ok());
    let ([dir, _], Some(port)) = (&arguments[..], port) else {
        eprintln!("usage: dfs DIR PORT, with a port from 0 to 65535");
        return ExitCode::from(2);
    };
    let dir = Path::new(dir);
    match serve(dir, port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dfs: {}, port {port}: {error}", dir.display());
            ExitCode::FAILURE
        }
    }
}

fn serve(dir: &Path, port: u16) -> io::Result<()> {
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
    loop {
        let request = match wire::read_line(&mut input) {
            Ok(None) => return Ok(()),
            Ok(Some(line)) => Request::parse(&line),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Err(error) => return Err(error),
        };
        let Some(request) = request else {
            // How many bytes follow such a line is not known, so there is no next line to read.
            output.write_all(b"NO bad-request\n")?;
            output.flush()?;
            return send_away(stream);
        };
        answer(request, dir, &mut input, &mut output)?;
        output.flush()?;
    }
}

/// Ends a connection whose client may still be sending: closing with bytes that were not read
/// resets the connection, and the client may lose the reply.
fn send_away(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let end = Instant::now() + FAREWELL;
    let mut bytes = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        if stream.read(&mut bytes)? == 0 {
            return Ok(());
        }
    }
}

/// Does what a request asks for, and writes the reply.
///
/// # Errors
/// Only those after which there is nothing more to say on this connection: it failed, or the disk did
/// in the middle of a reply. For all others the reply is a `NO`.
fn answer(
    request: Request,
    dir: &Path,
    input: &mut BufReader<&TcpStream>,
    output: &mut BufWriter<&TcpStream>,
) -> io::Result<()> {
    // TODO
    output.write_all(b"NO not-implemented\n")
}
