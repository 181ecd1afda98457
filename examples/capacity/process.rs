//! A server to measure, and a folder for it; both go when they are dropped.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Failure;
use shareit::config::ServerAddress;
use shareit::name::{ServerName, UserName};

/// A folder below the system's for temporary files.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> std::io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("shareit-capacity-{}-{number}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that serves.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: ServerAddress,
    _folder: Scratch,
}

/// What the system says about a process.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) resident: u64,
    pub(crate) threads: u64,
    /// Seconds of work of all its threads, in the program and in the system.
    pub(crate) cpu: f64,
}

impl Server {
    pub(crate) fn start(user: &UserName, password: &str) -> Result<Self, Failure> {
        let folder = Scratch::new()?;
        shareit::server::add_user(folder.path(), user, password)?;
        let mut child = Command::new("./Server")
            .arg(folder.path())
            .args(["Server1", "0"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("./Server did not start ({error}): `make` builds it"))?;
        let mut log = BufReader::new(child.stderr.take().ok_or("no log")?);
        let mut line = String::new();
        let port = loop {
            line.clear();
            if log.read_line(&mut line)? == 0 {
                return Err("./Server ended".into());
            }
            if let Some(address) = line.trim().strip_prefix("listening on ") {
                break address.to_owned();
            }
        };
        // The server drops lines of a log that nobody reads, and that must not be what is measured.
        std::thread::spawn(move || std::io::copy(&mut log.by_ref(), &mut std::io::sink()));
        let name = ServerName::parse("Server1").map_err(|why| why.to_string())?;
        Ok(Self { child, address: ServerAddress { name, address: port }, _folder: folder })
    }

    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        let of = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.child.id()));
        let status = of("status")?;
        let field = |name: &str| -> Result<u64, Failure> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
            Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
        };
        let stat = of("stat")?;
        // Behind the name, which may have blanks in it: utime and stime are fields 14 and 15 of proc(5).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = fields.get(11).zip(fields.get(12)).ok_or("no times")?;
        let ticks: u64 = ticks.0.parse::<u64>()? + ticks.1.parse::<u64>()?;
        /// USER_HZ, which Linux has had at 100 on all common machines.
        const TICKS_A_SECOND: f64 = 100.0;
        Ok(Usage {
            resident: field("VmRSS:")? * 1024,
            threads: field("Threads:")?,
            cpu: ticks as f64 / TICKS_A_SECOND,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
