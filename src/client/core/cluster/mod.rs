//! The servers of the .conf: which of them are up, and requests to several at once.

mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::error::LaunchError;
use super::login::{Ended, Logins};
use super::report::{Notice, Report};
use crate::config::Config;
use crate::name::ServerName;
use crate::peer::{Answer, Direction, Limits, Peer, PeerError, Received, Stop, WaitClock};
use crate::throttle::Throttle;
use crate::wire::{Refusal, Request};
use server::{Connection, Server};

/// Requests that are sent ahead of their replies.
const REQUESTS_AHEAD: usize = 512;

/// Connections that were lent, each with its server; or why they were lost.
pub(crate) type Returned = Vec<(usize, Result<Peer, PeerError>)>;

/// By server: connections besides the first.
pub(crate) type Extras = Vec<Vec<Peer>>;

/// The client's connections.
pub(crate) struct Cluster {
    servers: Vec<Server>,
    logins: Logins,
    password: Zeroizing<String>,
    /// For servers that refuse that one: the new one of a change in progress.
    other_password: Option<Zeroizing<String>>,
    /// Counts the rounds of logins.
    rounds: u64,
    /// Of all connections.
    throttle: Arc<Throttle>,
    report: Arc<dyn Report>,
    /// Whether servers that are lost or back go unreported.
    is_quiet: bool,
    /// The servers that were up before what may have been stopped.
    were_up: Vec<usize>,
}

impl Cluster {
    /// Connects to every server of the .conf, one after another, and logs in, with the other password if the .conf's is
    /// refused.
    pub(super) fn connect(
        config: &Config,
        other: Option<&str>,
        report: &Arc<dyn Report>,
    ) -> Result<Self, LaunchError> {
        let limits = Limits::from_timeout(config.timeout);
        let mut cluster = Self {
            servers: config.servers.iter().cloned().map(Server::new).collect(),
            logins: Logins::new(config.user.clone(), config.min_iterations, limits, Arc::clone(report)),
            password: config.password.clone(),
            other_password: other.map(|other| other.to_owned().into()),
            rounds: 0,
            throttle: Arc::default(),
            report: Arc::clone(report),
            is_quiet: false,
            were_up: Vec::new(),
        };
        cluster.log_in((0..cluster.len()).collect());
        if cluster.up().next().is_none() {
            return Err(cluster.why_nobody());
        }
        cluster.report_all_down();
        Ok(cluster)
    }

    fn why_nobody(&self) -> LaunchError {
        if self.servers.iter().any(Server::is_denied) {
            return LaunchError::Denied;
        }
        let is_busy = |server: &Server| matches!(server.error(), Some(PeerError::Refused(Refusal::Busy, _)));
        match self.servers.iter().any(is_busy) {
            true => LaunchError::Busy(self.down()),
            false => LaunchError::NoServer(self.down()),
        }
    }

    /// Reports that a server is down, unless that was reported before.
    fn report_if_down(&mut self, server: usize) {
        if self.servers[server].set_reported(true)
            && !self.is_quiet
            && let Some(why) = self.why_down(server)
        {
            self.report.notice(Notice::ServerDown { server: self.name(server).clone(), why });
        }
    }

    fn report_all_down(&mut self) {
        (0..self.len()).for_each(|server| self.report_if_down(server));
    }

    /// For each server, whether it is reported to be down.
    fn reported(&self) -> Vec<bool> {
        self.servers.iter().map(Server::is_reported).collect()
    }

    /// Reports those of the servers `was_up` that are down now, even if they were lost quietly.
    pub(super) fn report_lost(&mut self, was_up: &[usize]) {
        for &server in was_up {
            self.servers[server].set_reported(false);
            self.report_if_down(server);
        }
    }

    /// Turns off, or on again, the reporting of servers that are lost or back. Returns the previous setting.
    pub(super) fn set_quiet(&mut self, is_quiet: bool) -> bool {
        std::mem::replace(&mut self.is_quiet, is_quiet)
    }

    /// Whether a server that is down should be tried again before `deadline`.
    pub(super) fn may_be_back(&self, server: usize, deadline: Instant) -> bool {
        self.servers[server].may_be_back(deadline)
    }

    /// How many servers there are, up or down.
    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }

    pub(crate) fn name(&self, server: usize) -> &ServerName {
        &self.servers[server].address.name
    }

    pub(crate) fn names(&self) -> Vec<ServerName> {
        self.servers.iter().map(|s| s.address.name.clone()).collect()
    }

    /// The number of the server with that name.
    pub(crate) fn number(&self, name: &ServerName) -> Option<usize> {
        self.servers.iter().position(|server| server.address.name == *name)
    }

    /// The numbers of the servers that are up.
    pub(crate) fn up(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(|&s| self.is_up(s))
    }

    pub(crate) fn is_up(&self, server: usize) -> bool {
        self.servers[server].is_up()
    }

    /// Whether every server that is up is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.servers.iter().filter_map(Server::peer).all(Peer::is_local)
    }

    /// Whether a server refused the name or password.
    pub(crate) fn is_denied(&self, server: usize) -> bool {
        self.servers[server].is_denied()
    }

    /// Why a server is down, in words; `None` if it is up.
    pub(crate) fn why_down(&self, server: usize) -> Option<String> {
        self.servers[server].why_down()
    }

    /// The servers that are down, each with the reason.
    pub(crate) fn down(&self) -> Vec<(ServerName, String)> {
        (0..self.len()).filter_map(|s| Some((self.name(s).clone(), self.why_down(s)?))).collect()
    }

    /// Whether every server that answers refuses a login that it accepted from this client before.
    pub(super) fn is_locked_out(&self) -> bool {
        self.up().next().is_none() && self.servers.iter().any(Server::is_locked_out)
    }

    /// Whether no server is up, and one has closed its connection, as it does when another client of the user
    /// changes the password.
    pub(super) fn was_hung_up(&self) -> bool {
        self.up().next().is_none() && self.servers.iter().any(Server::has_hung_up)
    }

    /// Makes logins with another password from now on.
    pub(crate) fn set_password(&mut self, password: &str) {
        self.password = password.to_owned().into();
        self.other_password = None;
        self.logins.forget_derived();
        self.servers.iter_mut().for_each(|server| server.has_other = false);
    }

    /// From now on this password is tried if the usual one is refused, even on servers that refused it before.
    pub(crate) fn try_also(&mut self, password: &str) {
        if self.other_password.as_ref().is_none_or(|other| **other != *password) {
            self.other_password = Some(password.to_owned().into());
            self.servers.iter_mut().for_each(|server| server.has_other = false);
        }
        self.servers.iter_mut().filter(|server| server.is_denied()).for_each(Server::try_soon);
    }

    /// Whether a server has accepted the other password, the new one of a change.
    pub(crate) fn has_other_password(&self) -> bool {
        self.servers.iter().any(|server| server.has_other)
    }

    /// How many rounds of logins there were: as long as it is the same, no connection is new.
    pub(crate) fn logins(&self) -> u64 {
        self.rounds
    }

    /// Whether a server is up, and on the same connection since there were that many rounds of logins.
    pub(crate) fn is_up_since(&self, server: usize, logins: u64) -> bool {
        self.is_up(server) && self.servers[server].round <= logins
    }

    /// Before a command or a batch of it: finds connections that have ended, and tries the servers again that may be
    /// back.
    pub(crate) fn refresh(&mut self) {
        self.servers.iter_mut().for_each(|server| server.allow_returns(true));
        self.replace(&[]);
    }

    /// Ends whatever waits for a server, from another thread.
    pub(crate) fn stop(&self) -> &Stop {
        &self.logins.stop
    }

    /// Before something that may be stopped.
    pub(crate) fn end_stop(&mut self) {
        if self.logins.stop.withdraw() {
            // These have not been logged in to again yet.
            self.report_later();
        } else {
            self.were_up.clear();
        }
        let up: Vec<usize> = self.up().collect();
        self.were_up.extend(up);
    }

    /// Has servers that were lost since [`Cluster::end_stop`] reported if they are still down when they are tried again.
    pub(crate) fn report_later(&mut self) {
        for &server in &self.were_up {
            self.servers[server].set_reported(false);
        }
    }

    /// Before a command: has servers that have fallen silent since the last one found when they are asked for
    /// something, sooner than during a command. See [`Peer::probe`].
    pub(crate) fn probe(&mut self) {
        self.servers.iter_mut().filter_map(Server::peer_mut).for_each(Peer::probe);
    }

    /// Finds them at once, at the price of a round trip: for a command that must not lose a server.
    pub(crate) fn find_silent(&mut self) {
        self.probe();
        let up: Vec<(usize, ())> = self.up().map(|server| (server, ())).collect();
        self.exchange(&up, |peer, ()| peer.send_probe(), |peer, ()| peer.receive_probe().map(Ok));
        self.log_in_again();
    }

    /// Has a server answer at once.
    pub(crate) fn ping(&mut self, server: usize) {
        self.ping_all(&[server], self.logins.limits.ping);
    }

    /// Has servers answer at once; one that takes longer than the limit is lost.
    fn ping_all(&mut self, servers: &[usize], limit: Duration) {
        let pings: Vec<_> = servers.iter().map(|&server| (server, Request::Ping)).collect();
        self.exchange(&pings, Peer::send, |peer, _| peer.receive_pong(limit));
    }

    /// Until the next command, a server that ends its connection is not logged in to again by
    /// [`Cluster::log_in_again`]: for a command that depends on its connections.
    pub(crate) fn forbid_returns(&mut self) {
        self.servers.iter_mut().for_each(|server| server.allow_returns(false));
    }

    /// The servers that are worth logging in to again.
    fn may_return(&self) -> Vec<usize> {
        let nobody = self.up().next().is_none();
        (0..self.len()).filter(|&server| self.servers[server].may_return(nobody)).collect()
    }

    /// Logs in again to servers that have ended their connections, a few times for each, and reports those for which
    /// that fails. Returns those that are up again.
    ///
    /// What was staged on the old connection is not to be committed on the new one: see [`Cluster::is_up_since`].
    pub(crate) fn log_in_again(&mut self) -> Vec<usize> {
        let gone = self.may_return();
        if gone.is_empty() {
            return gone;
        }
        let was_reported = self.reported();
        gone.iter().for_each(|&server| self.servers[server].count_return());
        self.log_in(gone.clone());
        self.report_changes(&was_reported);
        gone.into_iter().filter(|&server| self.is_up(server)).collect()
    }

    /// Replaces connections that can no longer be used, and tries the servers again that may be back. Servers that are
    /// up again afterwards are not reported.
    pub(crate) fn replace(&mut self, useless: &[usize]) {
        let was_reported = self.reported();
        for (number, server) in self.servers.iter_mut().enumerate() {
            if server.peer().is_some_and(|peer| useless.contains(&number) || peer.is_stale()) {
                server.lose(PeerError::Closed, Duration::ZERO);
            }
        }
        let now = Instant::now();
        let due: Vec<usize> = (0..self.len()).filter(|&s| self.may_be_back(s, now)).collect();
        if !due.is_empty() {
            self.log_in(due);
        }
        self.report_changes(&was_reported);
    }

    /// Reports servers that are down, and those that are back although they were reported to be down.
    fn report_changes(&mut self, was_reported: &[bool]) {
        self.report_all_down();
        for (server, was_reported) in was_reported.iter().enumerate() {
            if *was_reported && self.is_up(server) && !self.is_quiet {
                self.report.notice(Notice::ServerBack { server: self.name(server).clone() });
            }
        }
    }

    /// Has the servers that are down tried again at once.
    pub(super) fn try_soon(&mut self, servers: &[usize]) {
        servers.iter().for_each(|&server| self.servers[server].try_soon());
    }

    /// Takes note that a connection is lost. If the server was silent it would keep the client waiting again.
    fn forget(&mut self, server: usize, why: PeerError) {
        let wait = match why {
            PeerError::Silent => self.logins.limits.login,
            _ => Duration::ZERO,
        };
        self.servers[server].lose(why, wait);
    }

    /// Marks a server as down. One that may return is reported when it does not.
    fn lose(&mut self, server: usize, why: PeerError) {
        if self.is_up(server) {
            self.forget(server, why);
            self.report_lost_for_good();
        }
    }

    /// Reports servers that are down, except those that may return: they are reported when they do not.
    fn report_lost_for_good(&mut self) {
        let may_return = self.may_return();
        (0..self.len())
            .filter(|server| !may_return.contains(server))
            .for_each(|server| self.report_if_down(server));
    }

    /// Lends the connections that are up, for threads to use, by server; [`Cluster::take_back`] ends that.
    pub(crate) fn lend_peers(&mut self) -> Vec<Option<Peer>> {
        let mut peers: Vec<Option<Peer>> = self.servers.iter_mut().map(Server::lend).collect();
        // Threads wait at the same time, each for its own server.
        peers.iter_mut().flatten().for_each(|peer| peer.count_on(&WaitClock::default()));
        peers
    }

    /// Takes back what [`Cluster::lend_peers`] lent, each with its server: a connection, or why it was lost. One that
    /// is not returned, because its thread panicked, is lost.
    ///
    /// If one has fallen silent, the others are asked for a sign of life: one that is silent too must not be found only
    /// when it has taken the work of the first.
    pub(crate) fn take_back(&mut self, peers: Returned) {
        let has_silent = peers.iter().any(|(_, peer)| matches!(peer, Err(PeerError::Silent)));
        for (server, peer) in peers {
            match peer {
                Ok(mut peer) => {
                    peer.count_on(&self.logins.clock);
                    self.servers[server].connection = Connection::Up(Box::new(peer));
                }
                Err(why) => self.forget(server, why),
            }
        }
        for server in &mut self.servers {
            if matches!(server.connection, Connection::Lent) {
                server.lose(PeerError::Closed, Duration::ZERO);
            }
        }
        if has_silent {
            let up: Vec<usize> = self.up().collect();
            self.ping_all(&up, self.logins.limits.answer);
        }
        self.report_lost_for_good();
    }

    /// Lends connections besides the first, by server: as many as are wanted to each that is up. If a server does not
    /// accept another login, it is lost.
    pub(crate) fn lend_extras(&mut self, wanted: &[usize]) -> Extras {
        let (extras, refused) = self.make_extras(wanted);
        refused.into_iter().for_each(|(server, why)| self.lose(server, why));
        extras
    }

    /// [`Cluster::lend_extras`] for one who can do with fewer: a server that does not accept another login is not lost.
    pub(crate) fn lend_extras_if_possible(&mut self, wanted: &[usize]) -> Extras {
        self.make_extras(wanted).0
    }

    /// Logs in again for the connections that are not there yet; returns all that are wanted, and the servers that did not
    /// accept a login.
    fn make_extras(&mut self, wanted: &[usize]) -> (Extras, Vec<(usize, PeerError)>) {
        let mut missing = Vec::new();
        for (number, (server, &wanted)) in self.servers.iter_mut().zip(wanted).enumerate() {
            server.extras.retain(|peer| !peer.is_stale());
            let there = server.extras.len();
            missing.extend((there..wanted).filter(|_| server.is_up()).map(|_| number));
        }
        let (with_other, with_usual): (Vec<usize>, Vec<usize>) =
            missing.into_iter().partition(|&server| self.servers[server].has_other);
        let mut refused = self.log_in_besides(&with_usual, false);
        refused.extend(self.log_in_besides(&with_other, true));
        let take = |(server, &wanted): (&mut Server, &usize)| {
            let most = wanted.min(server.extras.len());
            server.extras.drain(..most).collect()
        };
        let mut extras: Extras = self.servers.iter_mut().zip(wanted).map(take).collect();
        extras.iter_mut().flatten().for_each(|peer| peer.count_on(&WaitClock::default()));
        (extras, refused)
    }

    /// Makes one more connection for each of these, which are numbers of servers. Returns those that refused.
    fn log_in_besides(&mut self, which: &[usize], with_other: bool) -> Vec<(usize, PeerError)> {
        let password = match &self.other_password {
            Some(other) if with_other => other.clone(),
            _ => self.password.clone(),
        };
        let mut refused = Vec::new();
        if which.is_empty() {
            return refused;
        }
        let limit = self.logins.limits.login;
        let servers = which.iter().map(|&server| (server, &self.servers[server].address));
        for Ended { server, outcome, .. } in self.logins.log_in(servers, &password, limit) {
            match outcome {
                Ok(peer) => {
                    let peer = self.equip(server, peer);
                    self.servers[server].extras.push(peer);
                }
                Err(why) => refused.push((server, why)),
            }
        }
        refused
    }

    /// Keeps what [`Cluster::lend_extras`] lent, until they are closed.
    pub(crate) fn keep_extras(&mut self, extras: Extras) {
        for (server, mut peers) in self.servers.iter_mut().zip(extras).filter(|(server, _)| server.is_up()) {
            peers.iter_mut().for_each(|peer| peer.count_on(&self.logins.clock));
            server.extras.append(&mut peers);
        }
    }

    /// Ends all connections besides the first, before what was staged on them is aborted: a server does not abort what
    /// was staged on another connection, unless that has ended.
    pub(crate) fn end_extras(&mut self) {
        Peer::end_all(self.servers.iter_mut().flat_map(|server| server.extras.drain(..)).collect());
    }

    /// From now on at most so many bytes pass in a second, over all connections and both ways together.
    pub(crate) fn throttle(&self, rate: Option<u64>) {
        self.throttle.set(rate);
    }

    /// Sends all requests to their servers ahead, then receives the replies in order. For a server that is down, or
    /// goes down, the answer is [`Answer::Lost`].
    ///
    /// The caller bounds the number of requests, so that replies fit the sockets' buffers while
    /// requests are still being sent.
    pub(crate) fn exchange<R, T>(
        &mut self,
        requests: &[(usize, R)],
        send: impl Fn(&mut Peer, &R) -> Result<(), PeerError>,
        mut receive: impl FnMut(&mut Peer, &R) -> Received<T>,
    ) -> Vec<Answer<T>> {
        for server in 0..self.len() {
            let Some(peer) = self.servers[server].peer_mut() else { continue };
            let mut of_server = requests.iter().filter(|(s, _)| *s == server);
            let sent = of_server.try_for_each(|(_, request)| send(peer, request)).and_then(|()| peer.flush());
            if let Err(why) = sent {
                self.lose(server, why);
            }
        }
        let mut answers = Vec::with_capacity(requests.len());
        for (server, request) in requests {
            answers.push(match self.servers[*server].peer_mut() {
                Some(peer) => match receive(peer, request) {
                    Ok(Ok(given)) => Answer::Done(given),
                    Ok(Err(no)) => Answer::Refused(no),
                    Err(why) => {
                        self.lose(*server, why);
                        Answer::Lost
                    }
                },
                None => Answer::Lost,
            });
        }
        answers
    }

    /// Sends requests that are answered when they are done, however many.
    pub(crate) fn ask_all(&mut self, requests: &[(usize, Request)]) -> Vec<Answer<()>> {
        let receive = |peer: &mut Peer, request: &Request| peer.receive_done_with(bytes_read(request));
        let exchange = |window| self.exchange(window, Peer::send, receive);
        requests.chunks(REQUESTS_AHEAD).flat_map(exchange).collect()
    }

    /// [`Cluster::ask_all`] for requests that may be repeated, on any connection.
    pub(crate) fn ask_all_again(&mut self, requests: &[(usize, Request)]) -> Vec<Answer<()>> {
        self.repeat_lost(requests, Self::ask_all)
    }

    /// Asks, and asks again what was lost with a connection that could be replaced. The requests may be repeated, on
    /// any connection.
    pub(crate) fn repeat_lost<R: Clone, T>(
        &mut self,
        requests: &[(usize, R)],
        mut ask: impl FnMut(&mut Self, &[(usize, R)]) -> Vec<Answer<T>>,
    ) -> Vec<Answer<T>> {
        let mut answers = ask(self, requests);
        while answers.iter().any(Answer::is_lost) && !self.log_in_again().is_empty() {
            let lost: Vec<usize> = (0..answers.len()).filter(|&index| answers[index].is_lost()).collect();
            let again: Vec<_> = lost.iter().map(|&index| requests[index].clone()).collect();
            for (index, answer) in lost.into_iter().zip(ask(self, &again)) {
                answers[index] = answer;
            }
        }
        answers
    }

    /// Sends one request that is answered when it is done.
    pub(crate) fn ask(&mut self, server: usize, request: Request) -> Answer<()> {
        self.ask_all(&[(server, request)]).pop().unwrap_or(Answer::Lost)
    }

    /// Two connections at once, to pass bytes from one server to another.
    pub(super) fn pair(&mut self, from: usize, to: usize) -> Option<(&mut Peer, &mut Peer)> {
        let [from, to] = self.servers.get_disjoint_mut([from, to]).ok()?;
        from.peer_mut().zip(to.peer_mut())
    }

    /// Logs in to servers, with the other password if the usual one is refused.
    fn log_in(&mut self, which: Vec<usize>) {
        let password = self.password.clone();
        self.log_in_with(&which, &password);
        let denied: Vec<usize> = which.into_iter().filter(|&server| self.is_denied(server)).collect();
        if let Some(other) = self.other_password.clone()
            && !denied.is_empty()
        {
            self.log_in_with(&denied, &other);
            for server in denied {
                self.servers[server].has_other |= self.is_up(server);
            }
        }
    }

    /// Logs in to servers. Those that gave up on this client while it derived keys, waited for another server or was
    /// stopped are tried once more: the keys are ready by then, and silent servers are skipped.
    fn log_in_with(&mut self, which: &[usize], password: &str) {
        let was_ended = self.try_to_log_in(which, password);
        if !was_ended.is_empty() {
            self.try_to_log_in(&was_ended, password);
        }
    }

    /// How long these servers may be silent during a login. If nobody is left because all have been silent, it was
    /// perhaps their connections that were dead, or else they will hardly answer now.
    fn login_limit(&self, which: &[usize]) -> Duration {
        let is_silent = |&server: &usize| matches!(self.servers[server].error(), Some(PeerError::Silent));
        let nobody = self.up().next().is_none() && which.iter().all(is_silent);
        if nobody { self.logins.limits.login / 2 } else { self.logins.limits.login }
    }

    /// Returns the servers that ended the connection.
    fn try_to_log_in(&mut self, which: &[usize], password: &str) -> Vec<usize> {
        self.rounds += 1;
        let limit = self.login_limit(which);
        let servers = which.iter().map(|&server| (server, &self.servers[server].address));
        let ended = self.logins.log_in(servers, password, limit);
        let was_ended = ended.iter().filter(|login| login.was_ended).map(|login| login.server).collect();
        for Ended { server, cost, outcome, .. } in ended {
            match outcome {
                Ok(peer) => {
                    let peer = self.equip(server, peer);
                    self.servers[server].welcome(peer, self.rounds);
                }
                Err(why) => self.servers[server].turn_away(why, cost),
            }
        }
        was_ended
    }

    /// Has a new connection to a server reported and throttled as all are.
    fn equip(&self, server: usize, mut peer: Peer) -> Peer {
        let (report, name) = (Arc::clone(&self.report), self.name(server).clone());
        report.trace(&name, Direction::Received, "WELCOME (logged in)");
        peer.trace(Box::new(move |direction, line| report.trace(&name, direction, line)));
        peer.throttle(&self.throttle);
        peer
    }
}

/// How much of a piece a server has to read for a request, in bytes.
fn bytes_read(request: &Request) -> u64 {
    match request {
        Request::Copy { header, .. } => header.piece_size,
        _ => 0,
    }
}
