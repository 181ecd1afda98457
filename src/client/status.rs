//! Status: each server's state, round trip and usage.

use std::time::{Duration, Instant};

use super::Client;
use crate::name::ServerName;
use crate::peer::Peer;
use crate::wire::{Request, Usage};

/// One server, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// Which.
    pub server: ServerName,
    /// What it holds for the user and how far it is, or why it is down.
    pub state: Result<(Usage, Duration), String>,
}

impl Client {
    /// Asks every server, one after another.
    pub fn status(&mut self) -> Vec<ServerStatus> {
        self.cluster.refresh(&*self.report);
        (0..self.cluster.len()).map(|server| self.server_status(server)).collect()
    }

    fn server_status(&mut self, server: usize) -> ServerStatus {
        let begin = Instant::now();
        self.cluster.exchange(&[(server, Request::Ping)], &super::report::Silent, Peer::receive_done);
        let round_trip = begin.elapsed();
        let usage = self.cluster.exchange(&[(server, Request::Status)], &super::report::Silent, |peer| {
            peer.receive_parsed(Usage::parse)
        });
        let state = match usage.into_iter().next().flatten() {
            Some(Ok(usage)) => Ok((usage, round_trip)),
            Some(Err(no)) => Err(no.to_string()),
            None => Err(self.cluster.why_down(server).unwrap_or_default()),
        };
        ServerStatus { server: self.cluster.name(server).clone(), state }
    }
}
