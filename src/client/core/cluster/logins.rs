//! Logins, and logins again where a connection has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Cluster;
use super::server::Server;
use crate::client::core::error::LaunchError;
use crate::client::core::login::{Ended, Logins};
use crate::client::core::report::{Notice, Report};
use crate::config::Config;
use crate::peer::{Direction, Limits, Peer, PeerError};
use crate::wire::Refusal;

impl Cluster {
    /// Connects to every server of the .conf, one after another, and logs in, with the other password if the .conf's is
    /// refused.
    pub(crate) fn connect(
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

    /// Before a command or a batch of it: finds connections that have ended, and tries the servers again that may be
    /// back.
    pub(crate) fn refresh(&mut self) {
        self.servers.iter_mut().for_each(|server| server.allow_returns(true));
        self.replace(&[]);
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
    pub(super) fn equip(&self, server: usize, mut peer: Peer) -> Peer {
        let (report, name) = (Arc::clone(&self.report), self.name(server).clone());
        report.trace(&name, Direction::Received, "WELCOME (logged in)");
        peer.trace(Box::new(move |direction, line| report.trace(&name, direction, line)));
        peer.throttle(&self.throttle);
        peer
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

    /// Takes note that a connection is lost. If the server was silent it would keep the client waiting again.
    pub(super) fn forget(&mut self, server: usize, why: PeerError) {
        let wait = match why {
            PeerError::Silent => self.logins.limits.login,
            _ => Duration::ZERO,
        };
        self.servers[server].lose(why, wait);
    }

    /// Marks a server as down. One that may return is reported when it does not.
    pub(super) fn lose(&mut self, server: usize, why: PeerError) {
        if self.is_up(server) {
            self.forget(server, why);
            self.report_lost_for_good();
        }
    }

    /// Reports servers that are down, except those that may return: they are reported when they do not.
    pub(super) fn report_lost_for_good(&mut self) {
        let may_return = self.may_return();
        (0..self.len())
            .filter(|server| !may_return.contains(server))
            .for_each(|server| self.report_if_down(server));
    }
}
