//! Logging in to several servers at once: the client connects to one after another, then the exchanges overlap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::report::{Phase, Report};
use crate::auth::Salted;
use crate::config::{MAX_SERVERS, ServerAddress};
use crate::name::UserName;
use crate::peer::{Challenged, Connected, Limits, Peer, PeerError, Proven, Stop, WaitClock};
use crate::primitives;
use crate::text::base64_encode;
use crate::wire::Refusal;

/// Salts whose derivation is kept: one for each server, and as many again in case they change.
const MAX_DERIVED: usize = 2 * MAX_SERVERS;

/// What a client logs in with, apart from the password.
pub(super) struct Logins {
    pub(super) user: UserName,
    pub(super) min_iterations: u32,
    pub(super) limits: Limits,
    pub(super) report: Arc<dyn Report>,
    /// Of all that is waited for outside of threads.
    pub(super) clock: WaitClock,
    /// Ends whatever waits for a server.
    pub(super) stop: Stop,
    derived: Vec<Derived>,
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

/// One server's login, which has come as far as `S`.
struct Attempt<S> {
    server: usize,
    cost: Duration,
    state: S,
}

/// One server's login that has ended.
pub(super) struct Ended {
    pub(super) server: usize,
    /// How long the server was waited for, alone or with others.
    pub(super) cost: Duration,
    pub(super) outcome: Result<Peer, PeerError>,
    /// Whether the server ended the connection, as it does when its time for a login is over.
    pub(super) was_ended: bool,
}

/// Takes logins one step further; those that fail have ended. A server may be silent for so long.
fn advance<S, T>(
    attempts: Vec<Attempt<S>>,
    limit: Duration,
    ended: &mut Vec<Ended>,
    mut step: impl FnMut(S) -> Result<T, PeerError>,
) -> Vec<Attempt<T>> {
    let mut advanced = Vec::with_capacity(attempts.len());
    for Attempt { server, cost, state } in attempts {
        let begin = Instant::now();
        let state = step(state);
        let mut cost = cost + begin.elapsed();
        match state {
            Ok(state) => advanced.push(Attempt { server, cost, state }),
            Err(why) => {
                if matches!(why, PeerError::Silent) {
                    // Another server may have been waited for in the meantime.
                    cost = cost.max(limit);
                }
                ended.push(Ended { server, cost, outcome: Err(why), was_ended: false });
            }
        }
    }
    advanced
}

impl Logins {
    pub(super) fn new(user: UserName, min_iterations: u32, limits: Limits, report: Arc<dyn Report>) -> Self {
        let (clock, stop) = (WaitClock::default(), Stop::default());
        Self { user, min_iterations, limits, report, clock, stop, derived: Vec::new() }
    }

    /// Drops everything that was derived from passwords.
    pub(super) fn forget_derived(&mut self) {
        self.derived.clear();
    }

    /// Logs in to servers with a password. They may be silent for `limit`, before each of the two answers of a login.
    pub(super) fn log_in<'a>(
        &mut self,
        servers: impl Iterator<Item = (usize, &'a ServerAddress)>,
        password: &str,
        limit: Duration,
    ) -> Vec<Ended> {
        let report = Arc::clone(&self.report);
        let mut lap = Instant::now();
        let mut end = |phase: Phase| {
            report.phase(phase, lap.elapsed());
            lap = Instant::now();
        };
        let mut ended = Vec::new();
        let limits = Limits { login: limit, ..self.limits };
        let start = |(server, address)| Attempt { server, cost: Duration::ZERO, state: address };
        let connected = advance(servers.map(start).collect(), limits.connect, &mut ended, |address| {
            if self.stop.is_requested() {
                return Err(PeerError::Closed);
            }
            let nonce = primitives::random::<18>().map_err(PeerError::Io)?;
            let nonce = base64_encode(&nonce);
            let begin = Instant::now();
            let connected = Connected::open(address, &self.user, &nonce, self.min_iterations, limits);
            // Those that are connected have been waited for as well.
            self.clock.advance(begin.elapsed().min(limits.connect));
            let mut connected = connected?;
            connected.count_on(&self.clock);
            connected.stop_by(&self.stop);
            Ok(connected)
        });
        end(Phase::Connect);
        let challenged = advance(connected, limit, &mut ended, Connected::challenged);
        end(Phase::Challenge);
        self.derive(&challenged, password);
        end(Phase::LoginKeys);
        let proven = advance(challenged, limit, &mut ended, |challenged: Challenged| {
            let (salt, iterations) = challenged.parameters();
            let known = self.derived.iter().find(|d| d.is_of(password, salt, iterations));
            // One is missing only if its thread panicked.
            let salted = known.map(|d| d.salted.clone()).ok_or(PeerError::Closed)?;
            challenged.prove(salted)
        });
        let welcomed = advance(proven, limit, &mut ended, Proven::welcomed);
        end(Phase::Welcome);
        for failed in &mut ended {
            failed.was_ended =
                matches!(failed.outcome, Err(PeerError::Closed | PeerError::Refused(Refusal::Slow, _)));
        }
        let success =
            |Attempt { server, cost, state }| Ended { server, cost, outcome: Ok(state), was_ended: false };
        ended.extend(welcomed.into_iter().map(success));
        ended
    }

    /// Derives the password for every salt that is new, each on a thread of its own.
    fn derive(&mut self, attempts: &[Attempt<Challenged>], password: &str) {
        // A server that has another salt each time must not fill the memory.
        let surplus = (self.derived.len() + attempts.len()).saturating_sub(MAX_DERIVED);
        self.derived.drain(..surplus);
        let mut wanted: Vec<(Vec<u8>, u32)> = attempts
            .iter()
            .map(|attempt| attempt.state.parameters())
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
