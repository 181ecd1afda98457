//! Connections that are lent to threads: the first of each server, and more besides.

use std::time::Duration;

use super::Cluster;
use super::server::{Connection, Server};
use crate::client::core::login::Ended;
use crate::peer::{Peer, PeerError, WaitClock};

/// Connections that were lent, each with its server; or why they were lost.
pub(crate) type Returned = Vec<(usize, Result<Peer, PeerError>)>;

/// By server: connections besides the first.
pub(crate) type Extras = Vec<Vec<Peer>>;

impl Cluster {
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

    /// Lends connections besides the first, by server: as many as are wanted to each that is up, or fewer, if it does not
    /// accept so many logins.
    pub(crate) fn lend_extras(&mut self, wanted: &[usize]) -> Extras {
        let mut missing = Vec::new();
        for (number, (server, &wanted)) in self.servers.iter_mut().zip(wanted).enumerate() {
            server.extras.retain(|peer| !peer.is_stale());
            let there = server.extras.len();
            missing.extend((there..wanted).filter(|_| server.is_up()).map(|_| number));
        }
        let (with_other, with_usual): (Vec<usize>, Vec<usize>) =
            missing.into_iter().partition(|&server| self.servers[server].has_other);
        self.log_in_besides(&with_usual, false);
        self.log_in_besides(&with_other, true);
        let take = |(server, &wanted): (&mut Server, &usize)| {
            let most = wanted.min(server.extras.len());
            server.extras.drain(..most).collect()
        };
        let mut extras: Extras = self.servers.iter_mut().zip(wanted).map(take).collect();
        extras.iter_mut().flatten().for_each(|peer| peer.count_on(&WaitClock::default()));
        extras
    }

    /// Makes one more connection for each of these, which are numbers of servers, as far as they accept it.
    fn log_in_besides(&mut self, which: &[usize], with_other: bool) {
        if which.is_empty() {
            return;
        }
        let password = match &self.other_password {
            Some(other) if with_other => other.clone(),
            _ => self.password.clone(),
        };
        let limit = self.logins.limits.login;
        let servers = which.iter().map(|&server| (server, &self.servers[server].address));
        for Ended { server, outcome, .. } in self.logins.log_in(servers, &password, limit) {
            // If it is down, the first connection will say so.
            if let Ok(peer) = outcome {
                let peer = self.equip(server, peer);
                self.servers[server].extras.push(peer);
            }
        }
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
}
