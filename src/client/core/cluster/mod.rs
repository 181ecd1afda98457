//! The servers of the .conf: which of them are up, and what is said of those that are not.

mod asking;
pub(crate) mod lending;
mod logins;
mod server;

use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use super::login::Logins;
use super::report::{Notice, Report};
use crate::name::ServerName;
use crate::peer::{Peer, Stop};
use crate::throttle::Throttle;
use server::Server;

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

    /// Has the servers that are down tried again at once.
    pub(super) fn try_soon(&mut self, servers: &[usize]) {
        servers.iter().for_each(|&server| self.servers[server].try_soon());
    }

    /// From now on at most so many bytes pass in a second, over all connections and both ways together.
    pub(crate) fn throttle(&self, rate: Option<u64>) {
        self.throttle.set(rate);
    }
}
