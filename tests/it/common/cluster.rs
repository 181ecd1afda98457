//! Servers as real processes, and what can happen to them.

use super::client::{CONF, Client};
use super::disk::{self, TempFolder};
use super::process::{self, Outcome, Transcript, run};
use super::proxy::Proxy;
use rustix::process::Signal;
use shareit::config::MIN_ITERATIONS;
use shareit::name::{FilePath, piece_file};
use std::cell::Cell;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// The real program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_Server");

/// The user of tests in which it does not matter who it is.
pub(crate) const USER: &str = "Aditi";

/// A full disk takes small files but no longer one than this.
const FULL_DISK_BYTES: usize = 32 * 1024;

/// Users.conf for Aditi and Ritu with their usual passwords and the fewest iterations that are accepted.
const QUICK_USERS: &str = "\
    Aditi SCRAM-SHA-256$4096:QWRpdGkncyBzYWx0$B3gQkvUzlD33B50MT13moD+HLH580rD8dPA5VLTcXLE=:TFkCsCBt+/HG6NpU3WCMluhxgx6lZRh6qUroU9H8BZ8=\n\
    Ritu SCRAM-SHA-256$4096:Uml0dSdzIHNhbHQ=$FnEE1+rQTPBdHje78I/mCZLGa1oLQmOerSS2GJHfAtw=:pJPnEOlcrS9IfBa6pqCm48V4TUUd1UuZ5cLM9RNdK+w=\n";

/// Servers `Server1` to `ServerN` below one ROOT, with the users Aditi and Ritu.
///
/// Servers are counted from 1, as their names are, and so are pieces.
pub(crate) struct Cluster {
    servers: Vec<Server>,
    clients: Cell<usize>,
    quick: bool,
    /// Whether the users' verifiers have fewer rounds than a client accepts by default.
    has_few_rounds: bool,
    /// Whether each server has a ROOT of its own.
    apart: bool,
    // Last, so that the servers are gone before their folders are.
    home: TempFolder,
}

struct Server {
    name: String,
    port: u16,
    process: Option<Child>,
    disk_is_full: bool,
    /// Whether it has descriptors for so few connections that each user may have four.
    has_few_descriptors: bool,
    /// Standard error of each time that it ran.
    logs: Vec<Transcript>,
}

/// The password of a user of the tests.
pub(crate) fn password(user: &str) -> String {
    format!("{user}@123")
}

/// Every subset of the servers 1 to `count`, the empty one included.
pub(crate) fn subsets(count: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..1_usize << count)
        .map(move |bits| (1..=count).filter(|server| bits & (1 << (server - 1)) != 0).collect())
}

// Starting, stopping and other ways to be unwell.
impl Cluster {
    /// A new cluster of this many servers, all up, with nothing stored.
    pub(crate) fn of(count: usize) -> Self {
        let mut cluster = Self::without_users(count, false);
        for user in ["Aditi", "Ritu"] {
            cluster.add_user(user, &password(user)).succeeds();
        }
        cluster.run_all();
        cluster
    }

    /// The same for tests of many commands: users with cheap verifiers and a `Key` each, so that a command
    /// does not begin with a second of work.
    pub(crate) fn quick(count: usize) -> Self {
        let mut cluster = Self::without_users(count, false);
        (cluster.quick, cluster.has_few_rounds) = (true, true);
        fs::write(cluster.root().join("Users.conf"), QUICK_USERS).unwrap();
        cluster.run_all();
        cluster
    }

    /// Servers with users whose verifiers are cheap, and whose key comes from the password; with `apart` each has a
    /// ROOT of its own, as on machines of their own.
    pub(crate) fn with_passwords(count: usize, apart: bool) -> Self {
        let mut cluster = Self::without_users(count, apart);
        cluster.has_few_rounds = true;
        for n in 1..=count {
            fs::write(cluster.root_of(n).join("Users.conf"), QUICK_USERS).unwrap();
        }
        cluster.run_all();
        cluster
    }

    fn without_users(count: usize, apart: bool) -> Self {
        let home = TempFolder::new();
        let servers = (1..=count).map(Server::new).collect();
        let cluster =
            Self { servers, clients: Cell::new(0), quick: false, has_few_rounds: false, apart, home };
        (1..=count).for_each(|n| fs::create_dir_all(cluster.root_of(n)).unwrap());
        cluster
    }

    /// `Server adduser`, while the servers run or before.
    pub(crate) fn add_user(&self, user: &str, password: &str) -> Outcome {
        let mut command = Command::new(PROGRAM);
        run(command.arg("adduser").arg(self.root()).arg(user), &format!("{password}\n"))
    }

    /// Starts a server that is not running, at the port that it had before, and waits until it listens.
    pub(crate) fn start(&mut self, n: usize) {
        let root = self.root_of(n);
        self.server(n).start(&root);
    }

    /// Kills a server with SIGKILL: it has no chance to tidy up.
    pub(crate) fn stop(&mut self, n: usize) {
        self.server(n).stop();
    }

    /// Kills a server and starts it again.
    pub(crate) fn restart(&mut self, n: usize) {
        self.stop(n);
        self.start(n);
    }

    /// Has exactly these servers running.
    pub(crate) fn run_only(&mut self, up: &[usize]) {
        for n in 1..=self.servers.len() {
            match (up.contains(&n), self.servers[n - 1].process.is_some()) {
                (true, false) => self.start(n),
                (false, true) => self.stop(n),
                _ => {}
            }
        }
    }

    /// Has all servers running.
    pub(crate) fn run_all(&mut self) {
        let all: Vec<usize> = (1..=self.servers.len()).collect();
        self.run_only(&all);
    }

    /// Makes a server fall silent: the system still takes connections for it, but it does not answer.
    pub(crate) fn pause(&mut self, n: usize) {
        process::stop(self.id(n));
    }

    /// Wakes a paused server, which then reads what has come in since.
    pub(crate) fn resume(&mut self, n: usize) {
        process::signal(self.id(n), Signal::CONT);
    }

    fn id(&mut self, n: usize) -> u32 {
        self.server(n).process.as_ref().unwrap().id()
    }

    /// Replaces a server's disk by an empty one: what it stored and what it keeps for itself are gone.
    pub(crate) fn wipe(&mut self, n: usize) {
        self.stop(n);
        let name = &self.servers[n - 1].name;
        for folder in [name.clone(), format!(".{name}")] {
            let _ = fs::remove_dir_all(self.root_of(n).join(folder));
        }
        assert!(self.pieces_on(n).is_empty(), "still there");
        self.start(n);
    }

    /// Restarts a server with a disk that takes no file longer than 32 KiB.
    pub(crate) fn fill_disk(&mut self, n: usize) {
        self.server(n).disk_is_full = true;
        self.restart(n);
    }

    /// Restarts a server with room on its disk again.
    pub(crate) fn empty_disk(&mut self, n: usize) {
        self.server(n).disk_is_full = false;
        self.restart(n);
    }

    /// Restarts a server that accepts four connections of each user, and no more.
    pub(crate) fn limit_connections(&mut self, n: usize) {
        self.server(n).has_few_descriptors = true;
        self.restart(n);
    }

    fn server(&mut self, n: usize) -> &mut Server {
        &mut self.servers[n - 1]
    }
}

// Those who talk to the servers.
impl Cluster {
    /// A user with a working folder of its own and a .conf in the form of the original.
    pub(crate) fn client(&self, user: &str) -> Client {
        self.client_at(user, |n| self.port(n))
    }

    /// A user whose connections go through these proxies, the first to Server1 and so on.
    pub(crate) fn client_through(&self, user: &str, proxies: &[Proxy]) -> Client {
        self.client_at(user, |n| proxies[n - 1].port())
    }

    /// A proxy in front of each server.
    pub(crate) fn proxies(&self) -> Vec<Proxy> {
        self.servers.iter().map(|s| Proxy::to(s.port)).collect()
    }

    /// A proxy in front of each server; they count together.
    pub(crate) fn proxies_together(&self) -> Vec<Proxy> {
        Proxy::together(self.servers.iter().map(|s| s.port))
    }

    fn client_at(&self, user: &str, port: impl Fn(usize) -> u16) -> Client {
        let mut conf = String::new();
        for (n, server) in (1..).zip(&self.servers) {
            writeln!(conf, "{} 127.0.0.1:{}", server.name, port(n)).unwrap();
        }
        writeln!(conf, "Username {user}\nPassword {}", password(user)).unwrap();
        if self.quick {
            // Another one for each user.
            writeln!(conf, "Key {}", format!("{:02x}", user.as_bytes()[0]).repeat(32)).unwrap();
        }
        if self.has_few_rounds {
            writeln!(conf, "MinIterations {MIN_ITERATIONS}").unwrap();
        }
        self.clients.set(self.clients.get() + 1);
        let folder = self.home.path().join(format!("client{}", self.clients.get()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(CONF), &conf).unwrap();
        Client::new(folder, user, conf)
    }

    /// Where a server listens.
    pub(crate) fn port(&self, n: usize) -> u16 {
        self.servers[n - 1].port
    }

    /// All that a server has written to standard error.
    pub(crate) fn log(&self, n: usize) -> String {
        let logs = self.servers[n - 1].logs.iter();
        logs.map(Transcript::text).collect()
    }

    /// Waits until every client that has logged in at a running server is gone, in the server's eyes too.
    #[track_caller]
    pub(crate) fn wait_until_all_left(&self) {
        for server in self.servers.iter().filter(|server| server.process.is_some()) {
            let log = server.logs.last().unwrap();
            let count = |text: &str, what: &str| text.matches(what).count();
            let left = log.wait_for(|text| {
                let ended = count(text, " left\n") + count(text, " disconnected: ");
                (ended == count(text, " logged in\n")).then_some(())
            });
            assert!(left.is_some(), "somebody stays at {}:\n{}", server.name, log.text());
        }
    }

    /// Waits for a line of a server's log with this text in it.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, n: usize, text: &str) {
        self.wait_for_logs(n, text, 1);
    }

    /// Waits for this many such lines.
    #[track_caller]
    pub(crate) fn wait_for_logs(&self, n: usize, text: &str, lines: usize) {
        let log = self.servers[n - 1].logs.last().unwrap();
        let in_whole_lines =
            |log: &str| log.rsplit_once('\n').map_or(0, |(log, _)| log.matches(text).count());
        let seen = log.wait_for(|log| (in_whole_lines(log) >= lines).then_some(()));
        assert!(seen.is_some(), "Server{n} did not log {text:?} {lines} times, but:\n{}", log.text());
    }
}

// The servers' disks.
impl Cluster {
    /// The first argument of every server.
    pub(crate) fn root(&self) -> PathBuf {
        self.home.path().join("Servers")
    }

    /// The first argument of a server.
    pub(crate) fn root_of(&self, n: usize) -> PathBuf {
        if self.apart { self.home.path().join(format!("Servers{n}")) } else { self.root() }
    }

    /// Every file that the servers have made so far, by its path from ROOT.
    pub(crate) fn files(&self) -> Vec<String> {
        disk::files_below(&self.root())
    }

    /// A folder of the cluster's own for whatever a test needs.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// ROOT/ServerN/USER.
    pub(crate) fn user_folder(&self, n: usize, user: &str) -> PathBuf {
        self.root_of(n).join(&self.servers[n - 1].name).join(user)
    }

    /// Every file in Aditi's folder on a server, by its path from there.
    pub(crate) fn pieces_on(&self, n: usize) -> Vec<String> {
        disk::files_below(&self.user_folder(n, USER))
    }

    /// The file that holds a piece of Aditi's file `path` (with its folder, if it is in one).
    pub(crate) fn piece_file(&self, n: usize, path: &str, piece: usize) -> PathBuf {
        let path = FilePath::parse_any(path).unwrap();
        let mut place = self.user_folder(n, USER);
        path.folder().on_disk().for_each(|segment| place.push(&*segment));
        place.join(piece_file(path.file_name(), piece as u8))
    }

    /// The servers that hold this piece.
    pub(crate) fn holders(&self, path: &str, piece: usize) -> Vec<usize> {
        (1..=self.servers.len()).filter(|n| self.piece_file(*n, path, piece).exists()).collect()
    }

    /// How many copies of its rarest piece the given servers hold: with none, the file cannot be rebuilt.
    pub(crate) fn copies_on(&self, servers: &[usize], path: &str) -> usize {
        (1..=4)
            .map(|piece| {
                let holders = self.holders(path, piece);
                holders.iter().filter(|n| servers.contains(n)).count()
            })
            .min()
            .unwrap()
    }

    /// Whether each piece has this many copies, all of them the same to the last bit.
    #[track_caller]
    pub(crate) fn has_equal_copies(&self, path: &str, count: usize) {
        for piece in 1..=4 {
            let holders = self.holders(path, piece);
            assert_eq!(holders.len(), count, "copies of piece {piece} of {path}: on {holders:?}");
            let copies: Vec<_> =
                holders.iter().map(|n| fs::read(self.piece_file(*n, path, piece)).unwrap()).collect();
            assert!(copies.iter().all(|copy| *copy == copies[0]), "piece {piece} of {path} differs");
        }
    }

    /// What the servers keep only until something is settled: staged pieces and tombstones.
    pub(crate) fn unsettled(&self) -> Vec<String> {
        let waits = |file: &String| file.contains("/staged/") || file.contains("/tombstones/");
        self.files().into_iter().filter(waits).collect()
    }

    /// Turns one bit over in the middle of a piece.
    pub(crate) fn corrupt_piece(&self, n: usize, path: &str, piece: usize) {
        self.edit_piece(n, path, piece, |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
    }

    /// Takes the last byte from a piece.
    pub(crate) fn cut_piece(&self, n: usize, path: &str, piece: usize) {
        self.edit_piece(n, path, piece, |bytes| {
            bytes.pop();
        });
    }

    /// Does anything to a piece.
    pub(crate) fn edit_piece(&self, n: usize, path: &str, piece: usize, edit: impl FnOnce(&mut Vec<u8>)) {
        let file = self.piece_file(n, path, piece);
        let mut bytes = fs::read(&file).unwrap();
        edit(&mut bytes);
        fs::write(file, bytes).unwrap();
    }

    /// Exchanges two pieces that one server holds.
    pub(crate) fn swap_pieces(&self, n: usize, one: (&str, usize), other: (&str, usize)) {
        let one = self.piece_file(n, one.0, one.1);
        let other = self.piece_file(n, other.0, other.1);
        let bytes = fs::read(&one).unwrap();
        fs::copy(&other, &one).unwrap();
        fs::write(other, bytes).unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in &mut self.servers {
            server.stop();
        }
        if std::thread::panicking() {
            for n in 1..=self.servers.len() {
                eprintln!("-- standard error of Server{n}:\n{}", self.log(n));
            }
        }
    }
}

impl Server {
    fn new(n: usize) -> Self {
        Self {
            name: format!("Server{n}"),
            port: 0,
            process: None,
            disk_is_full: false,
            has_few_descriptors: false,
            logs: Vec::new(),
        }
    }

    fn start(&mut self, root: &Path) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        let first_time = self.port == 0;
        for _ in 0..100 {
            let port = if first_time { next_port() } else { self.port };
            if let Some(port) = self.try_start(root, port) {
                self.port = port;
                return;
            }
            if !first_time {
                break;
            }
        }
        let log = self.logs.last().map(Transcript::text).unwrap_or_default();
        panic!("{} does not listen:\n{log}", self.name);
    }

    /// Starts the process and waits for the line that says that it is ready. `None` if it ended instead.
    fn try_start(&mut self, root: &Path, port: u16) -> Option<u16> {
        let mut child = self
            .command(root, port)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Transcript::of(child.stderr.take().unwrap());
        self.logs.push(log.clone());
        self.process = Some(child);
        let listens = log.wait_for_line(|line| {
            let (_, port) = line.split_once("listening on 127.0.0.1:")?;
            port.parse().ok()
        });
        if listens.is_none() {
            self.stop();
        }
        listens
    }

    fn command(&self, root: &Path, port: u16) -> Command {
        let mut command = match self {
            Self { disk_is_full: true, .. } => full_disk(),
            Self { has_few_descriptors: true, .. } => few_descriptors(),
            _ => Command::new(PROGRAM),
        };
        command.arg(root).arg(&self.name).arg(port.to_string());
        command
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The server's program with a limit on the size of each file. With SIGXFSZ ignored, a write beyond it fails
/// with an error, as it does on a full disk; `ulimit -f` counts blocks of 512 bytes.
fn full_disk() -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"trap '' XFSZ; ulimit -f "$0"; exec "$@""#])
        .arg((FULL_DISK_BYTES / 512).to_string())
        .arg(PROGRAM);
    command
}

fn few_descriptors() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 40; exec "$0" "$@""#]).arg(PROGRAM);
    command
}

/// A port for a new server.
///
/// Not the system's choice (port 0): it gives a port of a killed server to the next one who asks, and then a
/// test would talk to the servers of another. These are below the range that systems choose from. Each run of
/// tests has a block of its own; it keeps the first port of it open, so that another run takes another block.
fn next_port() -> u16 {
    const BLOCK: u16 = 1000;
    static CLAIM: LazyLock<TcpListener> = LazyLock::new(|| {
        let mut first_ports = (10_000..32_000).step_by(BLOCK.into());
        first_ports
            .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
            .expect("a free block of ports")
    });
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let first = CLAIM.local_addr().unwrap().port();
    first + 1 + COUNT.fetch_add(1, Ordering::Relaxed) % (BLOCK - 1)
}
