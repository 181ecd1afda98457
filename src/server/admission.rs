//! Who may be connected: a cap, under which strangers make room for each other, and a cap on failed
//! logins.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use crate::name::UserName;
use crate::store::Connection;
use crate::wire::{Refusal, Reply};

/// Most connections at once. One costs a descriptor and a thread, some 37 KiB with its buffers; the limit
/// on descriptors may lower it.
pub const MAX_CONNECTIONS: usize = 4096;
/// Most connections from one address that have not logged in; one more closes the oldest of them.
pub const MAX_STRANGERS_PER_ADDRESS: usize = 128;
/// Failed logins of one user from one address within a minute; then that pair is refused for the rest
/// of it. Counted for users that there are not, too.
pub const FAILED_LOGINS_PER_MINUTE: u32 = 30;

/// Descriptors that are kept for files, the listener and the log.
const RESERVED_DESCRIPTORS: usize = 24;
const MINUTE: Duration = Duration::from_secs(60);
/// Pairs remembered for failed logins; beyond, the memory starts anew.
const MAX_REMEMBERED: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    challenged: bool,
    number: u64,
}

#[derive(Default)]
struct State {
    connected: usize,
    next: u64,
    /// Connections that have not logged in. Those that have not even asked to come first, then the
    /// oldest: a flood of idle ones must not push out a login that is under way.
    strangers: BTreeMap<Standing, (IpAddr, Arc<TcpStream>)>,
    /// Who has logged in on which connections, by the visit's number.
    sessions: HashMap<UserName, HashMap<u64, (Connection, Arc<TcpStream>)>>,
    failures: HashMap<(IpAddr, UserName), (Instant, u32)>,
}

pub(super) struct Admission {
    state: Arc<Mutex<State>>,
    cap: usize,
}

impl Default for Admission {
    fn default() -> Self {
        let cap = descriptor_limit().map_or(MAX_CONNECTIONS, |limit| {
            limit.saturating_sub(RESERVED_DESCRIPTORS).clamp(8, MAX_CONNECTIONS)
        });
        Self { state: Arc::default(), cap }
    }
}

/// A connection that was let in; dropped, it makes room again.
pub(super) struct Visit {
    pub(super) stream: Arc<TcpStream>,
    pub(super) from: SocketAddr,
    number: u64,
    /// Once it is no stranger any more.
    user: OnceLock<UserName>,
    state: Arc<Mutex<State>>,
}

impl State {
    fn forget_stranger(&mut self, number: u64) -> Option<(IpAddr, Arc<TcpStream>)> {
        let standing = |challenged| Standing { challenged, number };
        self.strangers.remove(&standing(false)).or_else(|| self.strangers.remove(&standing(true)))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Admission {
    /// Lets a connection in. In a full house the oldest that has not logged in is closed for it;
    /// where all have, it is refused.
    pub(super) fn enter(&self, stream: TcpStream, from: SocketAddr) -> Option<Visit> {
        let mut state = lock(&self.state);
        if state.connected >= self.cap && !state.drop_oldest_stranger() {
            drop(state);
            // A courtesy that must not hold up the accept loop: a new socket's buffer has room for it.
            let _ = (&stream).write_all(format!("{}\n", Reply::no(Refusal::Busy).to_line()).as_bytes());
            return None;
        }
        state.make_room_for_address(from.ip());
        let stream = Arc::new(stream);
        let number = state.next;
        state.next += 1;
        state.connected += 1;
        let standing = Standing { challenged: false, number };
        state.strangers.insert(standing, (from.ip(), Arc::clone(&stream)));
        Some(Visit { stream, from, number, user: OnceLock::new(), state: Arc::clone(&self.state) })
    }

    pub(super) fn drop_oldest_stranger(&self) {
        lock(&self.state).drop_oldest_stranger();
    }

    /// Whether this user has failed too often from this address.
    pub(super) fn is_barred(&self, from: IpAddr, user: &UserName) -> bool {
        let state = lock(&self.state);
        let failures = state.failures.get(&(from, user.clone()));
        failures.is_some_and(|(since, count)| since.elapsed() < MINUTE && *count >= FAILED_LOGINS_PER_MINUTE)
    }

    /// Ends every session of a user but one; gives their connections. Their threads see it and leave.
    pub(super) fn end_others(&self, user: &UserName, keep: Connection) -> Vec<Connection> {
        let state = lock(&self.state);
        let sessions = state.sessions.get(user).into_iter().flat_map(HashMap::values);
        let others = sessions.filter(|(connection, _)| *connection != keep);
        others
            .map(|(connection, stream)| {
                // One that is closed already is just as well.
                let _ = stream.shutdown(Shutdown::Both);
                *connection
            })
            .collect()
    }

    pub(super) fn note_failure(&self, from: IpAddr, user: &UserName) {
        let mut state = lock(&self.state);
        if state.failures.len() >= MAX_REMEMBERED {
            state.failures.clear();
        }
        let now = Instant::now();
        let failures = state.failures.entry((from, user.clone())).or_insert((now, 0));
        if now.duration_since(failures.0) >= MINUTE {
            *failures = (now, 0);
        }
        failures.1 += 1;
    }
}

impl State {
    /// The thread of a dropped stranger sees its connection end, and leaves.
    fn drop_oldest_stranger(&mut self) -> bool {
        let Some((_, (_, stream))) = self.strangers.pop_first() else { return false };
        let _ = stream.shutdown(Shutdown::Both);
        true
    }

    fn make_room_for_address(&mut self, address: IpAddr) {
        let of_address = || self.strangers.iter().filter(|(_, (from, _))| *from == address);
        if of_address().count() < MAX_STRANGERS_PER_ADDRESS {
            return;
        }
        let oldest = of_address().next().map(|(&standing, _)| standing);
        if let Some((_, stream)) = oldest.and_then(|standing| self.strangers.remove(&standing)) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Visit {
    /// It has asked for a login and is being answered.
    pub(super) fn challenged(&self) {
        let mut state = lock(&self.state);
        if let Some(stranger) = state.forget_stranger(self.number) {
            state.strangers.insert(Standing { challenged: true, number: self.number }, stranger);
        }
    }

    /// From now on it is no stranger.
    pub(super) fn logged_in(&self, user: &UserName, connection: Connection) {
        let mut state = lock(&self.state);
        state.forget_stranger(self.number);
        let session = (connection, Arc::clone(&self.stream));
        state.sessions.entry(user.clone()).or_default().insert(self.number, session);
        let _ = self.user.set(user.clone());
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.connected -= 1;
        state.forget_stranger(self.number);
        if let Some(user) = self.user.get()
            && let Some(sessions) = state.sessions.get_mut(user)
        {
            sessions.remove(&self.number);
            if sessions.is_empty() {
                state.sessions.remove(user);
            }
        }
    }
}

/// The soft limit on open files; none where there is no limit.
fn descriptor_limit() -> Option<usize> {
    usize::try_from(getrlimit(Resource::Nofile).current?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn a_full_house_drops_the_oldest_stranger_and_never_a_user() {
        let admission = Admission { state: Arc::default(), cap: 2 };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut visitors: Vec<TcpStream> =
            (0..4).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
        let enter = || {
            let (stream, from) = listener.accept().unwrap();
            admission.enter(stream, from)
        };
        let user = enter().unwrap();
        let aditi = UserName::parse("Aditi").unwrap();
        user.logged_in(&aditi, Connection::numbered(1));
        let oldest = enter().unwrap();
        let younger = enter().unwrap();
        let mut byte = [0];
        assert_eq!(visitors[1].read(&mut byte).unwrap(), 0, "the oldest stranger was closed");
        drop(oldest);
        younger.logged_in(&aditi, Connection::numbered(2));
        assert!(enter().is_none(), "all have logged in");
        let mut refusal = String::new();
        visitors[3].read_to_string(&mut refusal).unwrap();
        assert!(refusal.starts_with("NO busy "), "{refusal}");
    }

    #[test]
    fn one_address_crowds_out_only_its_own_strangers() {
        let admission = Admission { state: Arc::default(), cap: 1000 };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let enter = |from: &str| {
            let visitor = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (stream, _) = listener.accept().unwrap();
            (visitor, admission.enter(stream, from.parse().unwrap()).unwrap())
        };
        let elsewhere = enter("10.0.0.2:1");
        let mut here: Vec<_> = (0..=MAX_STRANGERS_PER_ADDRESS).map(|_| enter("10.0.0.1:1")).collect();
        assert_eq!(here[0].0.read(&mut [0]).unwrap(), 0, "the oldest of that address was closed");
        for (visitor, _) in [&here[1], &elsewhere] {
            visitor.set_nonblocking(true).unwrap();
            assert!(visitor.peek(&mut [0]).is_err(), "others are still open");
        }
    }

    #[test]
    fn a_session_ends_the_others_of_its_user_and_nobody_elses() {
        let admission = Admission::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let log_in = |name: &str, number| {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (stream, from) = listener.accept().unwrap();
            let visit = admission.enter(stream, from).unwrap();
            visit.logged_in(&UserName::parse(name).unwrap(), Connection::numbered(number));
            (client, visit)
        };
        let (mut own, visit) = log_in("Aditi", 1);
        let (mut other, _visit) = log_in("Aditi", 2);
        let (mut ritu, _visit_of_ritu) = log_in("Ritu", 3);
        drop(log_in("Aditi", 4));
        let aditi = UserName::parse("Aditi").unwrap();
        let ended = admission.end_others(&aditi, Connection::numbered(1));
        assert_eq!(ended, [Connection::numbered(2)]);
        let mut byte = [0];
        assert_eq!(other.read(&mut byte).unwrap(), 0);
        for client in [&mut own, &mut ritu] {
            client.set_nonblocking(true).unwrap();
            assert_eq!(client.read(&mut byte).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        }
        drop(visit);
        assert_eq!(lock(&admission.state).sessions[&aditi].len(), 1);
    }

    #[test]
    fn too_many_failures_bar_only_that_user_at_that_address() {
        let admission = Admission::default();
        let (here, there): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let (aditi, ritu) = (UserName::parse("Aditi").unwrap(), UserName::parse("Ritu").unwrap());
        for _ in 0..FAILED_LOGINS_PER_MINUTE {
            assert!(!admission.is_barred(here, &aditi));
            admission.note_failure(here, &aditi);
        }
        assert!(admission.is_barred(here, &aditi));
        assert!(!admission.is_barred(there, &aditi));
        assert!(!admission.is_barred(here, &ritu));
    }
}
