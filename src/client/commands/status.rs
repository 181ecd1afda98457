//! Status: each server's state, round trip and usage.

use std::time::{Duration, Instant};

use crate::client::core::base::Core;
use crate::name::ServerName;
use crate::peer::{Answer, Peer};
use crate::wire::{Request, Usage};

/// One server, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// Which.
    pub server: ServerName,
    /// What it holds for the user and its round trip, or why it is down.
    pub state: Result<(Usage, Duration), String>,
}

/// See [`Client::status`](crate::client::Client::status).
pub(crate) fn status(core: &mut Core) -> Vec<ServerStatus> {
    core.cluster.refresh();
    // A server that is lost now is shown as it is.
    core.quietly(|core| {
        core.cluster.find_silent();
        (0..core.cluster.len()).map(|server| server_status(core, server)).collect()
    })
}

fn server_status(core: &mut Core, server: usize) -> ServerStatus {
    let begin = Instant::now();
    core.cluster.ping(server);
    let round_trip = begin.elapsed();
    let receive = |peer: &mut Peer, _: &Request| peer.receive_parsed(Usage::parse);
    let state = match core.cluster.exchange(&[(server, Request::Status)], Peer::send, receive).pop() {
        Some(Answer::Done(usage)) => Ok((usage, round_trip)),
        Some(Answer::Refused(no)) => Err(no.to_string()),
        Some(Answer::Lost) | None => Err(core.cluster.why_down(server).unwrap_or_default()),
    };
    ServerStatus { server: core.cluster.name(server).clone(), state }
}
