//! Who may be connected: a cap on connections, within which those that have not logged in (strangers) make room for
//! each other, and a cap on failed logins.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::descriptors;
use crate::name::UserName;
use crate::store::{Connection, MAX_SYNC_THREADS, MAX_WATCHES};
use crate::wire::{Refusal, Reply};

/// Most connections at once. Each costs a thread, about 26 KiB while it is idle, and up to [`DESCRIPTORS`]
/// descriptors; the limit on open files may lower this number.
pub const MAX_CONNECTIONS: usize = 4096;
/// One user may have one part in this many of a server's connections.
pub const USERS_SHARE: usize = 4;
/// Most connections from one address that have not logged in; one more closes the oldest of them.
pub const MAX_STRANGERS_PER_ADDRESS: usize = 128;
/// Most failed logins of one user from one address within a minute; then that pair is refused for the rest of it.
/// Unknown users count too.
pub const FAILED_LOGINS_PER_MINUTE: u32 = 30;

/// Descriptors of a connection: its socket, a file that is read, and one that is written.
pub const DESCRIPTORS: usize = 3;
/// Descriptors reserved for the listener, the log, the locks, reading Users.conf and directories, and for what syncs
/// many files.
const RESERVED_DESCRIPTORS: usize = 36 + MAX_SYNC_THREADS + MAX_WATCHES;
const MINUTE: Duration = Duration::from_secs(60);
/// Most pairs remembered for failed logins, of about 200 bytes each. Beyond it those that are not barred are forgotten
/// or, if all are barred, the oldest.
const MAX_REMEMBERED: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    challenged: bool,
    number: u64,
}

#[derive(Default)]
struct Roster {
    connected: usize,
    next: u64,
    /// Connections that have not logged in. Those that have not even asked to come first, then the oldest: a flood of
    /// idle ones must not push out a login in progress.
    strangers: BTreeMap<Standing, (IpAddr, Arc<TcpStream>)>,
    /// Who has logged in, on which connections, by the visit's number.
    sessions: HashMap<UserName, HashMap<u64, (Connection, Arc<TcpStream>)>>,
    failures: HashMap<(IpAddr, UserName), (Instant, u32)>,
}

pub(super) struct Admission {
    roster: Arc<Mutex<Roster>>,
    cap: usize,
}

impl Default for Admission {
    fn default() -> Self {
        descriptors::raise_limit();
        Self { roster: Arc::default(), cap: descriptors::limit().map_or(MAX_CONNECTIONS, connections) }
    }
}

/// A connection that was let in. Dropping it makes room again.
pub(super) struct Visit {
    pub(super) stream: Arc<TcpStream>,
    pub(super) from: SocketAddr,
    number: u64,
    /// Most connections that its user may have.
    share: usize,
    /// `None` while it is a stranger.
    user: Option<UserName>,
    roster: Arc<Mutex<Roster>>,
}

impl Roster {
    fn forget_stranger(&mut self, number: u64) -> Option<(IpAddr, Arc<TcpStream>)> {
        let standing = |challenged| Standing { challenged, number };
        self.strangers.remove(&standing(false)).or_else(|| self.strangers.remove(&standing(true)))
    }
}

fn lock(roster: &Mutex<Roster>) -> MutexGuard<'_, Roster> {
    roster.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Admission {
    /// Lets a connection in. If the limit is reached, it takes the place of the oldest connection that has not logged
    /// in; if all have logged in, it is refused.
    pub(super) fn enter(&self, stream: TcpStream, from: SocketAddr) -> Option<Visit> {
        let mut roster = lock(&self.roster);
        if roster.connected >= self.cap && !roster.drop_oldest_stranger() {
            drop(roster);
            // A courtesy that cannot hold up the accept loop: the buffer of a new socket has room for it.
            let _ = (&stream).write_all(format!("{}\n", Reply::no(Refusal::Busy).to_line()).as_bytes());
            return None;
        }
        roster.make_room_for_address(from.ip());
        let stream = Arc::new(stream);
        let number = roster.next;
        roster.next += 1;
        roster.connected += 1;
        let standing = Standing { challenged: false, number };
        roster.strangers.insert(standing, (from.ip(), Arc::clone(&stream)));
        // Even if few connections are possible, one user needs more than one.
        let share = (self.cap / USERS_SHARE).max(4);
        Some(Visit { stream, from, number, share, user: None, roster: Arc::clone(&self.roster) })
    }

    pub(super) fn drop_oldest_stranger(&self) {
        lock(&self.roster).drop_oldest_stranger();
    }

    /// Whether this user has failed too often from this address.
    pub(super) fn is_barred(&self, from: IpAddr, user: &UserName) -> bool {
        lock(&self.roster).is_barred(from, user)
    }

    /// Ends every session of a user except one, and returns their connections. Their threads notice and end.
    pub(super) fn end_others(&self, user: &UserName, keep: Connection) -> Vec<Connection> {
        let roster = lock(&self.roster);
        let sessions = roster.sessions.get(user).into_iter().flat_map(HashMap::values);
        let others = sessions.filter(|(connection, _)| *connection != keep);
        others
            .map(|(connection, stream)| {
                // It may be closed already.
                let _ = stream.shutdown(Shutdown::Both);
                *connection
            })
            .collect()
    }

    /// Has `prove` check a proof, and counts it if it is wrong. Returns `None` without checking if the user has failed
    /// too often from this address by now. Asking, checking and counting are one step, so that logins that were all
    /// challenged before the first was refused gain nothing.
    pub(super) fn attempt<T, E>(
        &self,
        from: IpAddr,
        user: &UserName,
        prove: impl FnOnce() -> Result<T, E>,
        is_wrong: impl FnOnce(&E) -> bool,
    ) -> Option<Result<T, E>> {
        let mut roster = lock(&self.roster);
        if roster.is_barred(from, user) {
            return None;
        }
        let proved = prove();
        if proved.as_ref().err().is_some_and(is_wrong) {
            roster.note_failure(from, user);
        }
        Some(proved)
    }
}

fn bars((since, count): &(Instant, u32)) -> bool {
    since.elapsed() < MINUTE && *count >= FAILED_LOGINS_PER_MINUTE
}

impl Roster {
    fn is_barred(&self, from: IpAddr, user: &UserName) -> bool {
        self.failures.get(&(from, user.clone())).is_some_and(bars)
    }

    fn note_failure(&mut self, from: IpAddr, user: &UserName) {
        let pair = (from, user.clone());
        if self.failures.len() >= MAX_REMEMBERED && !self.failures.contains_key(&pair) {
            // A barred pair must not be freed by failures of many others.
            self.failures.retain(|_, failures| bars(failures));
            if self.failures.len() >= MAX_REMEMBERED {
                // All are barred: the one barred longest would be free first anyway.
                let oldest = self.failures.iter().min_by_key(|(_, (since, _))| *since);
                let oldest = oldest.map(|(pair, _)| pair.clone());
                oldest.and_then(|pair| self.failures.remove(&pair));
            }
        }
        let now = Instant::now();
        let failures = self.failures.entry(pair).or_insert((now, 0));
        if now.duration_since(failures.0) >= MINUTE {
            *failures = (now, 0);
        }
        failures.1 += 1;
    }

    /// The thread of a dropped stranger sees its connection end, and ends too.
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
        let mut roster = lock(&self.roster);
        if let Some(stranger) = roster.forget_stranger(self.number) {
            roster.strangers.insert(Standing { challenged: true, number: self.number }, stranger);
        }
    }

    /// From now on it is a session of this user, with this connection to the store. False if the user already has as
    /// many as one may have.
    pub(super) fn belongs_to(&mut self, user: &UserName, connection: Connection) -> bool {
        let mut roster = lock(&self.roster);
        let sessions = roster.sessions.entry(user.clone()).or_default();
        if sessions.len() >= self.share {
            return false;
        }
        sessions.insert(self.number, (connection, Arc::clone(&self.stream)));
        self.user = Some(user.clone());
        roster.forget_stranger(self.number);
        true
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut roster = lock(&self.roster);
        roster.connected -= 1;
        roster.forget_stranger(self.number);
        if let Some(user) = &self.user
            && let Some(sessions) = roster.sessions.get_mut(user)
        {
            sessions.remove(&self.number);
            if sessions.is_empty() {
                roster.sessions.remove(user);
            }
        }
    }
}

/// How many connections are possible, so that each has its descriptors and so has the rest of the server.
fn connections(descriptors: usize) -> usize {
    (descriptors.saturating_sub(RESERVED_DESCRIPTORS) / DESCRIPTORS).clamp(8, MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn at_the_limit_the_oldest_stranger_is_dropped_and_never_a_user() {
        let admission = Admission { roster: Arc::default(), cap: 2 };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut visitors: Vec<TcpStream> =
            (0..4).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
        let enter = || {
            let (stream, from) = listener.accept().unwrap();
            admission.enter(stream, from)
        };
        let aditi = UserName::parse("Aditi").unwrap();
        let mut user = enter().unwrap();
        assert!(user.belongs_to(&aditi, Connection::numbered(1)));
        let oldest = enter().unwrap();
        let mut younger = enter().unwrap();
        let mut byte = [0];
        assert_eq!(visitors[1].read(&mut byte).unwrap(), 0, "the oldest stranger was closed");
        drop(oldest);
        assert!(younger.belongs_to(&aditi, Connection::numbered(2)));
        assert!(enter().is_none(), "all have logged in");
        let mut refusal = String::new();
        visitors[3].read_to_string(&mut refusal).unwrap();
        assert!(refusal.starts_with("NO busy "), "{refusal}");
    }

    #[test]
    fn one_address_crowds_out_only_its_own_strangers() {
        let admission = Admission { roster: Arc::default(), cap: 1000 };
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
            let mut visit = admission.enter(stream, from).unwrap();
            assert!(visit.belongs_to(&UserName::parse(name).unwrap(), Connection::numbered(number)));
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
        assert_eq!(lock(&admission.roster).sessions[&aditi].len(), 1);
    }

    #[test]
    fn too_many_failures_bar_only_that_user_at_that_address() {
        let admission = Admission::default();
        let (here, there): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let (aditi, ritu) = (UserName::parse("Aditi").unwrap(), UserName::parse("Ritu").unwrap());
        for _ in 0..FAILED_LOGINS_PER_MINUTE {
            assert!(!admission.is_barred(here, &aditi));
            assert_eq!(admission.attempt(here, &aditi, || Err::<(), _>(()), |_| true), Some(Err(())));
        }
        assert!(admission.is_barred(here, &aditi));
        assert!(!admission.is_barred(there, &aditi));
        assert!(!admission.is_barred(here, &ritu));
        // A login that was challenged before gains nothing, and neither does the right password.
        assert_eq!(admission.attempt(here, &aditi, || Ok::<_, ()>(()), |()| true), None);
    }

    #[test]
    fn failing_as_many_others_does_not_end_a_bar() {
        let admission = Admission::default();
        let here: IpAddr = "10.0.0.1".parse().unwrap();
        let fail = |user: &str| {
            let user = UserName::parse(user).unwrap();
            let _ = admission.attempt(here, &user, || Err::<(), _>(()), |()| true);
        };
        (0..FAILED_LOGINS_PER_MINUTE).for_each(|_| fail("Aditi"));
        (0..=MAX_REMEMBERED).for_each(|at| fail(&format!("user{at}")));
        assert!(admission.is_barred(here, &UserName::parse("Aditi").unwrap()));
        assert!(lock(&admission.roster).failures.len() <= MAX_REMEMBERED);
    }

    #[test]
    fn where_all_are_barred_one_more_ends_only_the_oldest_bar() {
        let admission = Admission::default();
        let here: IpAddr = "10.0.0.1".parse().unwrap();
        let user = |at: usize| UserName::parse(&format!("user{at}")).unwrap();
        let fail = |at| {
            let _ = admission.attempt(here, &user(at), || Err::<(), _>(()), |()| true);
        };
        let start = Instant::now();
        for at in 0..MAX_REMEMBERED {
            let since = start + Duration::from_nanos(at as u64);
            lock(&admission.roster).failures.insert((here, user(at)), (since, FAILED_LOGINS_PER_MINUTE));
        }
        fail(MAX_REMEMBERED);
        let barred = (0..=MAX_REMEMBERED).filter(|&at| admission.is_barred(here, &user(at)));
        assert!(barred.eq(1..MAX_REMEMBERED));
        // One that is remembered takes no more room.
        fail(MAX_REMEMBERED);
        assert!(admission.is_barred(here, &user(1)));
    }

    #[test]
    fn a_user_has_a_share_of_the_connections_and_what_is_closed_counts_no_more() {
        let admission = Admission { roster: Arc::default(), cap: 6 * USERS_SHARE };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let enter = || {
            let visitor = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (stream, from) = listener.accept().unwrap();
            (visitor, admission.enter(stream, from).unwrap())
        };
        let (aditi, ritu) = (UserName::parse("Aditi").unwrap(), UserName::parse("Ritu").unwrap());
        let mut visits: Vec<_> = (0..6).map(|_| enter()).collect();
        assert!(visits.iter_mut().all(|(_, visit)| visit.belongs_to(&aditi, Connection::numbered(1))));
        assert!(!enter().1.belongs_to(&aditi, Connection::numbered(2)), "one more than its share");
        assert!(enter().1.belongs_to(&ritu, Connection::numbered(3)));
        visits.pop();
        assert!(enter().1.belongs_to(&aditi, Connection::numbered(2)));
        drop(visits);
        assert!(lock(&admission.roster).sessions.is_empty());
    }

    #[test]
    fn each_connection_has_its_descriptors_and_the_syncs_have_theirs() {
        for limit in [256, 1024, 4096, 16_384] {
            let connections = connections(limit);
            assert!(connections * DESCRIPTORS + RESERVED_DESCRIPTORS <= limit, "{limit}: {connections}");
        }
        assert_eq!(connections(16_384), MAX_CONNECTIONS, "as the systemd unit has it");
        assert_eq!(connections(0), 8);
    }
}
