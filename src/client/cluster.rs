//! The servers of the .conf: who is up, logging in, and asking several at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::error::LaunchError;
use super::report::{Notice, Phase, Report};
use crate::auth::Salted;
use crate::config::{Config, MAX_SERVERS, ServerAddress};
use crate::name::{ServerName, UserName, printable};
use crate::peer::{Answer, Challenged, Connected, Direction, Limits, No, Peer, PeerError, Proven};
use crate::primitives;
use crate::text::base64_encode;
use crate::wire::{Refusal, Request};

/// A server that is down is tried again after this many times what the last try cost: at once where
/// it refuses quickly, seldom where it lets one wait.
const RETRY_FACTOR: u32 = 10;
/// A server that refused the login is not asked again for this long.
const RETRY_REFUSED: Duration = Duration::from_secs(60);

/// Salts whose derivation is kept: one for each server, and as many again that it may have changed.
const MAX_DERIVED: usize = 2 * MAX_SERVERS;

enum State {
    Up(Box<Peer>),
    Down { why: PeerError, retry_at: Instant },
}

struct Server {
    address: ServerAddress,
    state: State,
    /// Whether it has taken a login of this client.
    was_up: bool,
    /// Whether it has taken the other password, the new one of a change.
    has_other: bool,
}

/// A password's derivation for one salt, kept for the session.
struct Derived {
    password: Zeroizing<String>,
    salt: Vec<u8>,
    iterations: u32,
    salted: Salted,
}

impl Derived {
    fn is_of(&self, password: &str, salt: &[u8], iterations: u32) -> bool {
        *self.password == password && self.salt == salt && self.iterations == iterations
    }
}

/// The client's connections.
pub(super) struct Cluster {
    servers: Vec<Server>,
    user: UserName,
    password: Zeroizing<String>,
    /// For servers that refuse that one: the new one of a change that is on its way.
    other_password: Option<Zeroizing<String>>,
    /// Counts the times that servers were logged in to.
    logins: u64,
    min_iterations: u32,
    limits: Limits,
    derived: Vec<Derived>,
    /// Where the lines of new connections are told.
    report: Arc<dyn Report>,
}

impl Cluster {
    /// Connects to every server of the .conf, one after another, and logs in, with the other password where the
    /// .conf's is refused.
    pub(super) fn connect(
        config: &Config,
        other: Option<&str>,
        report: &Arc<dyn Report>,
    ) -> Result<Self, LaunchError> {
        let never = || State::Down { why: PeerError::Closed, retry_at: Instant::now() };
        let servers = config
            .servers
            .iter()
            .map(|address| Server {
                address: address.clone(),
                state: never(),
                was_up: false,
                has_other: false,
            })
            .collect();
        let mut cluster = Self {
            servers,
            user: config.user.clone(),
            password: config.password.clone(),
            other_password: other.map(|other| other.to_owned().into()),
            logins: 0,
            min_iterations: config.min_iterations,
            limits: Limits::from_timeout(config.timeout),
            derived: Vec::new(),
            report: Arc::clone(report),
        };
        cluster.log_in((0..cluster.len()).collect());
        if cluster.up().next().is_none() {
            return Err(cluster.why_nobody());
        }
        for server in 0..cluster.len() {
            cluster.tell_if_down(server, &**report);
        }
        Ok(cluster)
    }

    fn why_nobody(&self) -> LaunchError {
        if (0..self.len()).any(|server| self.is_denied(server)) {
            return LaunchError::Denied;
        }
        let reasons =
            (0..self.len()).map(|s| (self.name(s).clone(), self.why_down(s).unwrap_or_default())).collect();
        let busy =
            |s: &Server| matches!(&s.state, State::Down { why: PeerError::Refused(Refusal::Busy, _), .. });
        if self.servers.iter().any(busy) {
            return LaunchError::Busy(reasons);
        }
        LaunchError::NoServer(reasons)
    }

    fn tell_if_down(&self, server: usize, report: &dyn Report) {
        if let Some(why) = self.why_down(server) {
            report.notice(Notice::ServerDown { server: self.name(server).clone(), why });
        }
    }

    /// Tells of those of the servers `was_up` that are down now.
    pub(super) fn tell_lost(&self, was_up: &[usize], report: &dyn Report) {
        was_up.iter().for_each(|&server| self.tell_if_down(server, report));
    }

    /// Whether a server that is down is to be tried again before `deadline`.
    pub(super) fn may_be_back(&self, server: usize, deadline: Instant) -> bool {
        matches!(self.servers[server].state, State::Down { retry_at, .. } if retry_at <= deadline)
    }

    /// How many servers there are, up or down.
    pub(super) fn len(&self) -> usize {
        self.servers.len()
    }

    pub(super) fn name(&self, server: usize) -> &ServerName {
        &self.servers[server].address.name
    }

    pub(super) fn names(&self) -> Vec<ServerName> {
        self.servers.iter().map(|s| s.address.name.clone()).collect()
    }

    /// The indices of the servers that are up.
    pub(super) fn up(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(|&s| self.is_up(s))
    }

    pub(super) fn is_up(&self, server: usize) -> bool {
        matches!(self.servers[server].state, State::Up(_))
    }

    /// Whether every server that is up is on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.servers.iter().all(|server| !matches!(&server.state, State::Up(peer) if !peer.is_local()))
    }

    /// Whether a server refused the name or password.
    pub(super) fn is_denied(&self, server: usize) -> bool {
        matches!(&self.servers[server].state, State::Down { why, .. } if why.is_denied())
    }

    /// Why a server is down, in words; `None` if it is up.
    pub(super) fn why_down(&self, server: usize) -> Option<String> {
        match &self.servers[server].state {
            State::Up(_) => None,
            State::Down { why: PeerError::Resolve(why), .. } => {
                let address = self.servers[server].address.address.as_str();
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                Some(format!("host '{}' not found: {why}", printable(host)))
            }
            State::Down { why, .. } => Some(why.to_string()),
        }
    }

    /// Whether every server that answers refuses a login that this client was let in with before.
    pub(super) fn is_locked_out(&self) -> bool {
        self.up().next().is_none() && (0..self.len()).any(|s| self.is_denied(s) && self.servers[s].was_up)
    }

    /// Whether no server is up, and one has closed its connection, as it does when another client of the user
    /// changes the password.
    pub(super) fn was_hung_up(&self) -> bool {
        let has_closed =
            |s: &Server| s.was_up && matches!(&s.state, State::Down { why: PeerError::Closed, .. });
        self.up().next().is_none() && self.servers.iter().any(has_closed)
    }

    /// From now on logins are made with another password.
    pub(super) fn set_password(&mut self, password: &str) {
        self.password = password.to_owned().into();
        self.other_password = None;
        self.derived.clear();
        self.servers.iter_mut().for_each(|server| server.has_other = false);
    }

    /// From now on this password is tried where the usual one is refused, also where it was.
    pub(super) fn try_also(&mut self, password: &str) {
        if self.other_password.as_ref().is_none_or(|other| **other != *password) {
            self.other_password = Some(password.to_owned().into());
            self.servers.iter_mut().for_each(|server| server.has_other = false);
        }
        let now = Instant::now();
        for server in &mut self.servers {
            if let State::Down { why, retry_at } = &mut server.state
                && why.is_denied()
            {
                *retry_at = now;
            }
        }
    }

    /// Whether a server has taken the other password, the new one of a change.
    pub(super) fn has_other_password(&self) -> bool {
        self.servers.iter().any(|server| server.has_other)
    }

    /// How many times servers were logged in to: as long as it is the same, no connection is a new one.
    pub(super) fn logins(&self) -> u64 {
        self.logins
    }

    /// Before a command: finds connections that ended meanwhile, and tries again who may be back.
    pub(super) fn refresh(&mut self, report: &dyn Report) {
        let was_up: Vec<bool> = (0..self.len()).map(|s| self.is_up(s)).collect();
        for server in &mut self.servers {
            if matches!(&server.state, State::Up(peer) if peer.is_stale()) {
                server.state = State::Down { why: PeerError::Closed, retry_at: Instant::now() };
            }
        }
        let now = Instant::now();
        let due = |s: &Server| matches!(s.state, State::Down { retry_at, .. } if retry_at <= now);
        let due: Vec<usize> = (0..self.len()).filter(|&s| due(&self.servers[s])).collect();
        if !due.is_empty() {
            self.log_in(due);
        }
        for (server, was_up) in was_up.into_iter().enumerate() {
            if was_up {
                self.tell_if_down(server, report);
            } else if self.is_up(server) {
                report.notice(Notice::ServerBack { server: self.name(server).clone() });
            }
        }
    }

    /// Marks a server as down.
    pub(super) fn lose(&mut self, server: usize, why: PeerError, report: &dyn Report) {
        if self.is_up(server) {
            self.servers[server].state = State::Down { why, retry_at: Instant::now() };
            self.tell_if_down(server, report);
        }
    }

    /// Takes the connections out, for threads to use; [`Cluster::put_back`] returns them.
    pub(super) fn take_peers(&mut self) -> Vec<Option<Peer>> {
        let lent = || State::Down { why: PeerError::Closed, retry_at: Instant::now() };
        self.servers
            .iter_mut()
            .map(|server| match server.state {
                State::Up(_) => match std::mem::replace(&mut server.state, lent()) {
                    State::Up(peer) => Some(*peer),
                    State::Down { .. } => None,
                },
                State::Down { .. } => None,
            })
            .collect()
    }

    /// Takes back what [`Cluster::take_peers`] gave: a connection, or why it was lost; `None` for a
    /// server that was down before.
    pub(super) fn put_back(&mut self, peers: Vec<Option<Result<Peer, PeerError>>>, report: &dyn Report) {
        for (server, peer) in peers.into_iter().enumerate() {
            match peer {
                Some(Ok(peer)) => self.servers[server].state = State::Up(Box::new(peer)),
                Some(Err(why)) => {
                    self.servers[server].state = State::Down { why, retry_at: Instant::now() };
                    self.tell_if_down(server, report);
                }
                None => {}
            }
        }
    }

    /// Sends each request to its server, all ahead, then takes the replies in order. `None` stands
    /// for a server that is down or was lost on the way.
    ///
    /// The caller bounds the number of requests, so that replies fit the sockets' buffers while
    /// requests are still being sent.
    pub(super) fn exchange<T>(
        &mut self,
        requests: &[(usize, Request)],
        report: &dyn Report,
        mut receive: impl FnMut(&mut Peer) -> Answer<T>,
    ) -> Vec<Option<Result<T, No>>> {
        self.exchange_with(requests, report, |peer, request| peer.send(request), |peer, _| receive(peer))
    }

    /// As [`Cluster::exchange`], for requests with a payload or answers that depend on the request.
    pub(super) fn exchange_with<R, T>(
        &mut self,
        requests: &[(usize, R)],
        report: &dyn Report,
        send: impl Fn(&mut Peer, &R) -> Result<(), PeerError>,
        mut receive: impl FnMut(&mut Peer, &R) -> Answer<T>,
    ) -> Vec<Option<Result<T, No>>> {
        for server in 0..self.len() {
            let State::Up(peer) = &mut self.servers[server].state else { continue };
            let mut of_server = requests.iter().filter(|(s, _)| *s == server);
            let sent = of_server.try_for_each(|(_, request)| send(peer, request)).and_then(|()| peer.flush());
            if let Err(why) = sent {
                self.lose(server, why, report);
            }
        }
        let mut answers = Vec::with_capacity(requests.len());
        for (server, request) in requests {
            let State::Up(peer) = &mut self.servers[*server].state else {
                answers.push(None);
                continue;
            };
            match receive(peer, request) {
                Ok(answer) => answers.push(Some(answer)),
                Err(why) => {
                    self.lose(*server, why, report);
                    answers.push(None);
                }
            }
        }
        answers
    }

    /// Two connections at once, to pass bytes from one server to another.
    pub(super) fn pair(&mut self, from: usize, to: usize) -> Option<(&mut Peer, &mut Peer)> {
        let [from, to] = self.servers.get_disjoint_mut([from, to]).ok()?;
        match (&mut from.state, &mut to.state) {
            (State::Up(from), State::Up(to)) => Some((from, to)),
            _ => None,
        }
    }

    /// Logs in to servers, with the other password where the usual one is refused.
    fn log_in(&mut self, which: Vec<usize>) {
        let password = self.password.clone();
        self.log_in_with(which.clone(), &password);
        let denied: Vec<usize> = which.into_iter().filter(|&server| self.is_denied(server)).collect();
        if let Some(other) = self.other_password.clone()
            && !denied.is_empty()
        {
            self.log_in_with(denied.clone(), &other);
            for server in denied {
                self.servers[server].has_other |= self.is_up(server);
            }
        }
    }

    /// Logs in to servers. Those that gave up on this client while it derived keys, or waited for another server, are
    /// asked once more: the keys are there by then, and who was silent is left out.
    fn log_in_with(&mut self, which: Vec<usize>, password: &str) {
        let gave_up = self.try_to_log_in(which, password);
        if !gave_up.is_empty() {
            self.try_to_log_in(gave_up, password);
        }
    }

    /// Connects one after another, then lets the exchanges overlap. Gives the servers that did not wait for the proof.
    fn try_to_log_in(&mut self, which: Vec<usize>, password: &str) -> Vec<usize> {
        self.logins += 1;
        let (user, min_iterations, limits) = (self.user.clone(), self.min_iterations, self.limits);
        let report = Arc::clone(&self.report);
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut lap = Instant::now();
        let mut ended = |phase: Phase| {
            report.phase(phase, lap.elapsed());
            lap = Instant::now();
        };
        for server in which {
            let begin = Instant::now();
            let step = primitives::random::<18>().map_err(PeerError::Io).and_then(|nonce| {
                let address = &self.servers[server].address;
                Connected::open(address, &user, &base64_encode(&nonce), min_iterations, limits)
            });
            attempts.push(Attempt {
                server,
                cost: begin.elapsed(),
                answered: false,
                step: step.map(Step::Connected),
            });
        }
        ended(Phase::Connect);
        attempts.iter_mut().for_each(|a| {
            a.advance(|step| match step {
                Step::Connected(connected) => connected.challenged().map(Step::Challenged),
                step => Ok(step),
            });
            a.answered = a.step.is_ok();
        });
        ended(Phase::Challenge);
        self.derive(&attempts, password);
        ended(Phase::LoginKeys);
        let derived = &self.derived;
        attempts.iter_mut().for_each(|a| {
            a.advance(|step| match step {
                Step::Challenged(challenged) => {
                    let (salt, iterations) = challenged.parameters();
                    let known = derived.iter().find(|d| d.is_of(password, salt, iterations));
                    let salted = known.map(|d| d.salted.clone()).ok_or(PeerError::Closed)?;
                    challenged.prove(salted).map(Step::Proven)
                }
                step => Ok(step),
            })
        });
        attempts.iter_mut().for_each(|a| {
            a.advance(|step| match step {
                Step::Proven(proven) => proven.welcomed().map(|peer| Step::Welcomed(Box::new(peer))),
                step => Ok(step),
            })
        });
        ended(Phase::Welcome);
        let gave_up = attempts.iter().filter(|a| a.gave_up()).map(|a| a.server).collect();
        for Attempt { server, cost, step, .. } in attempts {
            self.servers[server].state = match step {
                Ok(Step::Welcomed(mut peer)) => {
                    let (report, name) = (Arc::clone(&self.report), self.name(server).clone());
                    report.trace(&name, Direction::Received, "WELCOME (logged in)");
                    peer.trace(Box::new(move |direction, line| report.trace(&name, direction, line)));
                    self.servers[server].was_up = true;
                    State::Up(peer)
                }
                Ok(_) => State::Down { why: PeerError::Closed, retry_at: Instant::now() },
                Err(why) => {
                    let wait = if matches!(why, PeerError::Refused(..)) {
                        RETRY_REFUSED
                    } else {
                        cost * RETRY_FACTOR
                    };
                    State::Down { why, retry_at: Instant::now() + wait }
                }
            };
        }
        gave_up
    }

    /// Derives the password for every salt that is new, each on a thread of its own.
    fn derive(&mut self, attempts: &[Attempt], password: &str) {
        // A server that has another salt each time must not fill the memory.
        let surplus = (self.derived.len() + attempts.len()).saturating_sub(MAX_DERIVED);
        self.derived.drain(..surplus);
        let mut wanted: Vec<(Vec<u8>, u32)> = attempts
            .iter()
            .filter_map(|a| match &a.step {
                Ok(Step::Challenged(challenged)) => Some(challenged.parameters()),
                _ => None,
            })
            .filter(|(salt, n)| !self.derived.iter().any(|d| d.is_of(password, salt, *n)))
            .map(|(salt, iterations)| (salt.to_vec(), iterations))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let derived: Vec<Derived> = std::thread::scope(|scope| {
            let threads: Vec<_> = wanted
                .into_iter()
                .map(|(salt, iterations)| {
                    scope.spawn(move || {
                        let salted = Salted::derive(password, &salt, iterations);
                        Derived { password: password.to_owned().into(), salt, iterations, salted }
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        self.derived.extend(derived);
    }
}

/// One server's login on its way.
struct Attempt {
    server: usize,
    cost: Duration,
    /// Whether it sent a challenge.
    answered: bool,
    step: Result<Step, PeerError>,
}

enum Step {
    Connected(Connected),
    Challenged(Challenged),
    Proven(Proven),
    Welcomed(Box<Peer>),
}

impl Attempt {
    /// Whether the server's time for a login was over before it had the proof.
    fn gave_up(&self) -> bool {
        self.answered && matches!(self.step, Err(PeerError::Closed | PeerError::Refused(Refusal::Slow, _)))
    }

    fn advance(&mut self, next: impl FnOnce(Step) -> Result<Step, PeerError>) {
        let begin = Instant::now();
        // `Closed` stands in only while the step is out.
        let step = std::mem::replace(&mut self.step, Err(PeerError::Closed));
        self.step = step.and_then(next);
        self.cost += begin.elapsed();
    }
}
