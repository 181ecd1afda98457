//! Requests to one server and to several at once.

use std::time::Duration;

use super::Cluster;
use crate::peer::{Answer, Peer, PeerError, Received};
use crate::wire::Request;

/// Requests that are sent ahead of their replies.
const REQUESTS_AHEAD: usize = 512;

impl Cluster {
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
    pub(super) fn ping_all(&mut self, servers: &[usize], limit: Duration) {
        let pings: Vec<_> = servers.iter().map(|&server| (server, Request::Ping)).collect();
        self.exchange(&pings, Peer::send, |peer, _| peer.receive_pong(limit));
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
    pub(crate) fn pair(&mut self, from: usize, to: usize) -> Option<(&mut Peer, &mut Peer)> {
        let [from, to] = self.servers.get_disjoint_mut([from, to]).ok()?;
        from.peer_mut().zip(to.peer_mut())
    }
}

/// How much of a piece a server has to read for a request, in bytes.
fn bytes_read(request: &Request) -> u64 {
    match request {
        Request::Copy { header, .. } => header.piece_size,
        _ => 0,
    }
}
