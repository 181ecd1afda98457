//! Tests of the programs: `cargo test --test level1`. This file is complete.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn a_refused_put_is_read_to_its_end() {
    let server = Server::start("refused");
    for path in ["../a", ""] {
        let said = server.says(format!("PUT 1 6 {path}\nhello\nGET 1 a\n").as_bytes());
        assert_eq!(said.unwrap(), "NO bad-path\nNO not-found\n");
    }
}

#[test]
fn a_put_that_is_cut_leaves_the_old_piece() {
    let server = Server::start("cut");
    assert_eq!(server.says(b"PUT 1 3 a\nold").unwrap(), "OK 0\n");
    server.says(b"PUT 1 1000 a\nnew").unwrap();
    assert_eq!(server.says(b"GET 1 a\n").unwrap(), "OK 3\nold");
}

#[test]
fn a_reply_arrives_even_if_the_client_has_sent_more() {
    let server = Server::start("more");
    let sent = [&b"Hello\n"[..], &[0; 1 << 20]].concat();
    assert_eq!(server.says(&sent).unwrap(), "NO bad-request\n");
}

#[test]
fn a_piece_that_breaks_off_is_taken_from_another_server() {
    for number in 1..=4 {
        let (folder, _servers) = client("breaks", number);
        let done = dfc(&folder, &["dfc.conf", "get", "old.bin"]);
        assert!(done.status.success(), "server {number} breaks off: {done:?}");
        assert!(fs::read(folder.join("old.bin")).unwrap() == old(), "server {number} breaks off");
    }
}

#[test]
fn pieces_go_where_the_row_of_the_whole_path_has_them_the_longer_ones_first() {
    let (folder, servers) = client("row", 0);
    fs::write(folder.join("poem.txt"), "abcdef").unwrap();
    let done = dfc(&folder, &["dfc.conf", "put", "poem.txt", "notes/"]);
    assert!(done.status.success(), "{done:?}");
    let put = |piece: usize| format!("PUT {piece} {} notes/poem.txt", [2, 2, 1, 1][piece - 1]);
    // Row 1.
    for (server, pieces) in servers.iter().zip([[1, 4], [1, 2], [2, 3], [3, 4]]) {
        let mut received = server.lines.lock().unwrap().clone();
        received.retain(|line| line.starts_with("PUT"));
        received.sort();
        assert_eq!(received, pieces.map(put));
    }
}

#[test]
fn the_exit_status_and_a_message_say_what_was_not_done() {
    let (folder, _servers) = client("status", 0);
    assert_eq!(dfc(&folder, &["nosuch.conf", "list"]).status.code(), Some(2));
    for words in [&["list", "a", "b/"][..], &["mkdir"], &["put"], &["nosuch"]] {
        let done = dfc(&folder, &[&["dfc.conf"], words].concat());
        assert_eq!(done.status.code(), Some(2), "{words:?}");
    }
    let done = dfc(&folder, &["dfc.conf", "get", "old.bin", "nosuch"]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("nosuch not found\n"), "{done:?}");
    assert!(fs::read(folder.join("old.bin")).unwrap() == old());
    assert!(!folder.join("nosuch").exists());
}

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A dfs, until it is dropped.
struct Server(Child, String);

impl Server {
    fn start(name: &str) -> Self {
        let mut dfs = Command::new(env!("CARGO_BIN_EXE_dfs"));
        dfs.arg(folder(name)).arg("0").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = dfs.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self(process, line.trim_start_matches("listening on ").trim().to_string())
    }

    /// What the server answers to a client that sends this and nothing more.
    fn says(&self, sent: &[u8]) -> io::Result<String> {
        let mut stream = TcpStream::connect(&self.1)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(sent)?;
        stream.shutdown(Shutdown::Write)?;
        let mut said = String::new();
        stream.read_to_string(&mut said).map(|_| said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn dfc(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dfc")).args(words).current_dir(folder).output().unwrap()
}

/// A client's folder, and the four servers in its dfc.conf, one of which sends only half of each piece.
fn client(name: &str, breaking_off: usize) -> (PathBuf, Vec<FakeServer>) {
    let folder = folder(name);
    let servers: Vec<FakeServer> = (1..=4).map(|number| FakeServer::start(number == breaking_off)).collect();
    let conf: String = servers.iter().map(|server| format!("Server DFS {}\n", server.address)).collect();
    fs::write(folder.join("dfc.conf"), conf).unwrap();
    (folder, servers)
}

fn old() -> Vec<u8> {
    (0..=255).cycle().take(256_000).collect()
}

/// A server that has all pieces of old.bin, takes everything, and remembers the lines of the requests.
struct FakeServer {
    address: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl FakeServer {
    fn start(breaks_off: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap().to_string(), lines: Arc::default() };
        let lines = server.lines.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let lines = lines.clone();
                thread::spawn(move || answer(&stream, breaks_off, &lines));
            }
        });
        server
    }
}

fn answer(mut stream: &TcpStream, breaks_off: bool, lines: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut input = BufReader::new(stream);
    let length = old().len() / 4;
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end_matches('\n');
        lines.lock().unwrap().push(line.to_string());
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let reply = match words[..] {
            ["PUT", _, length, _] => {
                io::copy(&mut (&mut input).take(length.parse().unwrap()), &mut io::sink())?;
                Vec::new()
            }
            ["GET", piece, ..] => old()[length * (piece.parse::<usize>().unwrap() - 1)..][..length].to_vec(),
            ["LIST", ..] => {
                (1..=4).flat_map(|piece| format!("piece {piece} {length} old.bin\n").into_bytes()).collect()
            }
            _ => Vec::new(),
        };
        writeln!(stream, "OK {}", reply.len())?;
        if breaks_off && words[0] == "GET" {
            return stream.write_all(&reply[..length / 2]);
        }
        stream.write_all(&reply)?;
    }
}
