//! What a connection costs a server: memory while it is idle, and time while it is not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::process::{Server, Usage};
use shareit::auth::Salted;
use shareit::config::{DEFAULT_ITERATIONS, ServerAddress};
use shareit::name::{FilePath, UserName};
use shareit::peer::{Connected, Limits, Peer};
use shareit::wire::{NameReport, Request};

const USER: &str = "Aditi";
const PASSWORD: &str = "Aditi@123";
/// Threads that log in at once.
const DOORS: usize = 8;
/// How long each kind of request is measured.
const SPAN: Duration = Duration::from_secs(2);

/// For each number in turn: opens sessions up to so many, and measures.
pub(crate) fn measure(numbers: &[usize]) -> Result<(), Failure> {
    let user = UserName::parse(USER).map_err(|why| why.to_string())?;
    let server = Server::start(&user, PASSWORD)?;
    let door = Door::find(&server.address, user)?;
    let empty = server.usage()?;
    println!("Sessions of one server, which has {} KiB with none:", empty.resident / 1024);
    println!(
        "  sessions  threads  KiB each  logins/s  server's us  one more: ms  PING/s  server's us  LOOK/s  server's us"
    );
    let mut sessions: Vec<Peer> = Vec::new();
    for &number in numbers {
        let more = number.saturating_sub(sessions.len());
        let (before, begin) = (server.usage()?, Instant::now());
        sessions.extend(door.enter(more)?);
        let logins = Rate::of(more, begin, before, server.usage()?);
        let used = server.usage()?;
        let each = (used.resident - empty.resident) as f64 / 1024.0 / number as f64;
        let one_more = door.median_login()?;
        let ping = requests(&server, &mut sessions, &Request::Ping)?;
        let look = requests(&server, &mut sessions, &Request::Look(file()?))?;
        println!(
            "  {number:>8} {:>8} {each:>9.1} {logins}  {:>12.2} {ping} {look}",
            used.threads,
            one_more.as_secs_f64() * 1e3,
        );
    }
    Ok(())
}

fn file() -> Result<FilePath, Failure> {
    Ok(FilePath::parse("holiday/earth.gif").map_err(|why| why.to_string())?)
}

/// How often something was done, and what it cost the server.
struct Rate {
    each_second: f64,
    server_micros: f64,
}

impl Rate {
    fn of(done: usize, begin: Instant, before: Usage, after: Usage) -> Self {
        let done = done as f64;
        Self {
            each_second: done / begin.elapsed().as_secs_f64(),
            server_micros: (after.cpu - before.cpu) * 1e6 / done,
        }
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>9.0} {:>12.1}", self.each_second, self.server_micros)
    }
}

/// The way in, with the password derived once: what is left is what a login costs the server.
struct Door<'a> {
    address: &'a ServerAddress,
    user: UserName,
    salted: Salted,
    limits: Limits,
    next: AtomicUsize,
}

impl<'a> Door<'a> {
    fn find(address: &'a ServerAddress, user: UserName) -> Result<Self, Failure> {
        let limits = Limits::from_timeout(Duration::from_secs(20));
        let challenged =
            Connected::open(address, &user, &nonce(0), DEFAULT_ITERATIONS, limits)?.challenged()?;
        let (salt, iterations) = challenged.parameters();
        let salted = Salted::derive(PASSWORD, salt, iterations);
        Ok(Self { address, user, salted, limits, next: AtomicUsize::new(1) })
    }

    fn log_in(&self) -> Result<Peer, Failure> {
        let nonce = nonce(self.next.fetch_add(1, Ordering::Relaxed));
        let connected = Connected::open(self.address, &self.user, &nonce, DEFAULT_ITERATIONS, self.limits)?;
        Ok(connected.challenged()?.prove(self.salted.clone())?.welcomed()?)
    }

    /// So many sessions, by several threads at once.
    fn enter(&self, number: usize) -> Result<Vec<Peer>, Failure> {
        let sessions = Mutex::new(Vec::with_capacity(number));
        let left = AtomicUsize::new(number);
        let work = || -> Result<(), Failure> {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                let session = self.log_in()?;
                sessions.lock().map_err(|_| "a login panicked")?.push(session);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..DOORS).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|_| Err("a login panicked".into())))
        })?;
        Ok(sessions.into_inner().map_err(|_| "a login panicked")?)
    }

    /// How long one login takes, the median of many.
    fn median_login(&self) -> Result<Duration, Failure> {
        let mut times = Vec::new();
        for _ in 0..99 {
            let begin = Instant::now();
            drop(self.log_in()?);
            times.push(begin.elapsed());
        }
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }
}

/// Unlike any other of this run; a measurement needs no more of it.
fn nonce(number: usize) -> String {
    format!("capacity{number:016}")
}

/// All sessions send a request, then all take their answers; again and again.
fn requests(server: &Server, sessions: &mut [Peer], request: &Request) -> Result<Rate, Failure> {
    let (before, begin, mut done) = (server.usage()?, Instant::now(), 0);
    while begin.elapsed() < SPAN {
        for session in &mut *sessions {
            session.send(request)?;
            session.flush()?;
        }
        for session in &mut *sessions {
            match request {
                Request::Ping => drop(session.receive_done()?),
                _ => drop(session.receive_parsed(NameReport::parse)?),
            }
        }
        done += sessions.len();
    }
    Ok(Rate::of(done, begin, before, server.usage()?))
}
