//! A server: `dfs DIR PORT`. It keeps pieces below DIR, and knows of no other server.
// course: begin solution
// course: starter
//:
//: #![allow(unused)] // TODO: take this line out when you are done
// course: end solution

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
// course: begin solution
/// How the names of pieces begin that are still arriving. It ends like no piece's.
const ARRIVING: &str = ".arriving-";
// course: end solution

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
    // course: begin solution
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(ARRIVING) {
            fs::remove_file(entry.path())?;
        }
    }
    // course: end solution
    // Anyone who can connect can read and write: level 1 has no users. So nobody else's machine may.
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    for stream in listener.incoming() {
        // course: begin solution
        let Ok(stream) = stream else { continue };
        let dir = dir.to_path_buf();
        std::thread::spawn(move || {
            if let Err(error) = session(&stream, &dir) {
                eprintln!("dfs: a client: {error}");
            }
        });
        // course: starter
        //: // TODO: several clients at once. Here they are served one after another, and the failure of
        //: // one ends the server.
        //: session(&stream?, dir)?;
        // course: end solution
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
    // course: begin solution
    match request {
        Request::Put { piece, length, path } => {
            let stored = if wire::is_path(&path) {
                store(dir, &place(dir, piece, &path), input, length)?
            } else {
                wire::copy(input, &mut io::sink(), length)?;
                Err("bad-path".to_string())
            };
            reply(output, stored.map(|()| Vec::new()))
        }
        Request::Get { piece, path } => {
            if !wire::is_path(&path) {
                return reply(output, Err("bad-path".to_string()));
            }
            match File::open(place(dir, piece, &path)) {
                Ok(mut file) => {
                    let length = file.metadata()?.len();
                    writeln!(output, "OK {length}")?;
                    wire::copy(&mut file, output, length)
                }
                Err(_) => reply(output, Err("not-found".to_string())),
            }
        }
        Request::List { folder } if wire::is_folder(&folder) => reply(output, list(&dir.join(folder))),
        Request::Mkdir { folder } if wire::is_folder(&folder) => {
            let made = fs::create_dir_all(dir.join(folder));
            reply(output, made.map(|()| Vec::new()).map_err(|error| error.to_string()))
        }
        Request::List { .. } | Request::Mkdir { .. } => reply(output, Err("bad-path".to_string())),
    }
    // course: starter
    //: // TODO
    //: output.write_all(b"NO not-implemented\n")
    // course: end solution
}
// course: begin solution

fn reply(output: &mut impl Write, result: Result<Vec<u8>, String>) -> io::Result<()> {
    match result {
        Ok(bytes) => {
            writeln!(output, "OK {}", bytes.len())?;
            output.write_all(&bytes)
        }
        Err(why) => writeln!(output, "NO {why}"),
    }
}

/// Where a piece is: `.NAME.PIECE` in its folder.
fn place(dir: &Path, piece: u8, path: &str) -> PathBuf {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    dir.join(folder).join(format!(".{name}.{piece}"))
}

/// Writes a piece beside its place, and moves it there when all of it has arrived: a reader finds
/// the old piece or the new one. All bytes are read, even if the disk takes none.
///
/// # Errors
/// Outside, those of the connection; inside, those of the disk.
fn store(
    dir: &Path,
    place: &Path,
    input: &mut BufReader<&TcpStream>,
    length: u64,
) -> io::Result<Result<(), String>> {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let arriving = dir.join(format!("{ARRIVING}{number}-"));
    let mut on_disk = match File::create(&arriving) {
        Ok(file) => Disk { file: Some(file), error: None },
        Err(error) => Disk { file: None, error: Some(error) },
    };
    let copied = wire::copy(input, &mut on_disk, length);
    let moved = match (&copied, on_disk.error) {
        (Ok(()), None) => {
            let parent = place.parent().unwrap_or(dir);
            fs::create_dir_all(parent).and_then(|()| fs::rename(&arriving, place))
        }
        (_, error) => Err(error.unwrap_or(io::ErrorKind::UnexpectedEof.into())),
    };
    if moved.is_err() {
        let _ = fs::remove_file(&arriving);
    }
    copied?;
    Ok(moved.map_err(|error| error.to_string()))
}

/// A file that takes all bytes: after the first error it only remembers that.
struct Disk {
    file: Option<File>,
    error: Option<io::Error>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(Err(error)) = self.file.as_mut().map(|file| file.write_all(bytes)) {
            self.error = Some(error);
            self.file = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of a LIST: a line for each piece and folder.
fn list(folder: &Path) -> Result<Vec<u8>, String> {
    let mut lines = Vec::new();
    let entries = fs::read_dir(folder).map_err(|_| "not-found")?;
    for entry in entries.flatten() {
        // Somebody else may have written here too.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        let piece = name.strip_prefix('.').and_then(|name| name.rsplit_once('.'));
        match piece {
            _ if metadata.is_dir() && wire::is_folder(&name) => lines.push(format!("folder {name}\n")),
            Some((name, piece @ ("1" | "2" | "3" | "4"))) if metadata.is_file() && wire::is_name(name) => {
                lines.push(format!("piece {piece} {} {name}\n", metadata.len()));
            }
            _ => {}
        }
    }
    lines.sort();
    Ok(lines.concat().into_bytes())
}
// course: end solution
