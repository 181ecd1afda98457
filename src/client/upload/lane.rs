//! A connection on which pieces are staged, and what comes of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::plan::Encrypted;
use crate::client::core::error::LocalError;
use crate::peer::{Answer, Peer, PeerError};
use crate::primitives::Bytes32;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The result for a file's pieces.
#[derive(Default)]
pub(super) struct Staged {
    /// The local file failed.
    pub(super) local: Option<LocalError>,
    /// The pieces that were sent.
    pub(super) pieces: Vec<Encrypted>,
    /// What each server answered, for each of its pieces.
    pub(super) answers: Vec<(usize, u8, Answer<()>)>,
}

impl Staged {
    /// Whether a server has staged a piece.
    pub(super) fn has(&self, server: usize, piece: u8) -> bool {
        self.answers.iter().any(|(s, p, answer)| (*s, *p) == (server, piece) && answer.is_done())
    }
}

/// A connection in use, and the pieces whose replies are still to come on it, each with the number of its file.
pub(super) struct Lane {
    pub(super) peer: Option<Result<Peer, PeerError>>,
    pub(super) expected: VecDeque<(usize, u8)>,
    /// Whether any connection to its server is lost. Then nothing is waited for on the others: they are not used either.
    is_server_lost: Arc<AtomicBool>,
}

impl Lane {
    /// Those to one server.
    pub(super) fn all_of(peers: impl Iterator<Item = Option<Peer>>) -> Vec<Self> {
        let is_server_lost: Arc<AtomicBool> = Arc::default();
        let lane = |peer: Option<Peer>| Self {
            peer: peer.map(Ok),
            expected: VecDeque::new(),
            is_server_lost: Arc::clone(&is_server_lost),
        };
        peers.map(lane).collect()
    }

    /// Does this, unless a connection to the server is lost; `None` if one is, now or before.
    fn attempt<T>(&mut self, act: impl FnOnce(&mut Peer) -> Result<T, PeerError>) -> Option<T> {
        let Some(Ok(peer)) = &mut self.peer else { return None };
        if self.is_server_lost.load(Ordering::Relaxed) {
            return None;
        }
        act(peer)
            .map_err(|why| {
                self.is_server_lost.store(true, Ordering::Relaxed);
                self.peer = Some(Err(why));
            })
            .ok()
    }

    /// Sends with `send`, unless a connection to the server is lost.
    pub(super) fn try_send(&mut self, send: impl FnOnce(&mut Peer) -> Result<(), PeerError>) {
        self.attempt(send);
    }

    /// Receives the replies that are still to come.
    pub(super) fn collect_replies(&mut self, server: usize, staged: &[Mutex<Staged>]) {
        for (file, piece) in std::mem::take(&mut self.expected) {
            let answer = match self.attempt(Peer::receive_done) {
                Some(Ok(())) => Answer::Done(()),
                Some(Err(no)) => Answer::Refused(no),
                None => Answer::Lost,
            };
            lock(&staged[file]).answers.push((server, piece, answer));
        }
    }
}

/// A connection that gets a piece, or the rest of one.
pub(super) struct Receiver<'a> {
    pub(super) lane: MutexGuard<'a, Lane>,
    /// How many chunks its server has, and bytes of the body.
    pub(super) chunks: u64,
    pub(super) start: u64,
    /// Bytes that were announced, and not sent.
    pub(super) left: u64,
}

impl Receiver<'_> {
    /// Sends what its server lacks of a part of the body that begins at `at`.
    pub(super) fn send(&mut self, step: &[u8], at: u64) {
        let there = usize::try_from(self.start.saturating_sub(at)).unwrap_or(usize::MAX).min(step.len());
        let rest = &step[there..];
        self.left = self.left.saturating_sub(rest.len() as u64);
        self.lane.try_send(|peer| peer.send_payload(rest));
    }

    /// Sends what comes after the body.
    pub(super) fn finish(&mut self, piece: &Encrypted, seal: &Bytes32) {
        self.lane.try_send(|peer| {
            peer.send_payload(&piece.table)?;
            peer.send_end(&piece.root, seal)
        });
    }

    /// The announced bytes must follow, so that the next request is found after them.
    pub(super) fn cancel(&mut self) {
        let zeros = [0; 4096];
        while self.left > 0 {
            let part = zeros.len().min(usize::try_from(self.left).unwrap_or(zeros.len()));
            self.lane.try_send(|peer| peer.send_payload(&zeros[..part]));
            self.left -= part as u64;
        }
        self.lane.try_send(|peer| peer.send_cancel());
    }
}
