//! Chunks as servers list them: what a client may have on this side already, or not have to send again.

use super::cluster::Cluster;
use crate::name::FilePath;
use crate::peer::{Answer, Peer};
use crate::primitives::Bytes32;
use crate::sealed::{Header, NONCE, Nonce};
use crate::version::Version;
use crate::wire::Request;

/// Bytes of a chunk in a list.
const ENTRY: u64 = NONCE as u64 + 32;

/// One chunk, as it was encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) nonce: Nonce,
    pub(crate) hash: Bytes32,
}

/// A server's list of the chunks that it has of a piece.
#[derive(Clone)]
pub(crate) struct Question {
    request: Request,
    /// The most bytes that may come.
    most: u64,
    /// How many the server has to read for them.
    reads: u64,
}

impl Question {
    /// Of the piece of this version that has such a header.
    pub(crate) fn new(path: &FilePath, version: Version, header: &Header) -> Self {
        let request = Request::Chunks(path.clone(), header.piece, version);
        Self { request, most: ENTRY * header.chunks(), reads: header.body_size() }
    }
}

/// The lists of these servers. The questions may be repeated, on any connection.
pub(crate) fn list_chunks(cluster: &mut Cluster, questions: &[(usize, Question)]) -> Vec<Answer<Vec<Known>>> {
    let send = |peer: &mut Peer, question: &Question| peer.send(&question.request);
    let receive = |peer: &mut Peer, question: &Question| {
        Ok(peer.receive_chunks(question.most, question.reads)?.map(|list| parse(&list)))
    };
    cluster.exchange(questions, send, receive)
}

fn parse(list: &[u8]) -> Vec<Known> {
    let mut known = Vec::new();
    let mut rest = list;
    while let Some((nonce, after)) = rest.split_first_chunk::<NONCE>()
        && let Some((hash, after)) = after.split_first_chunk::<32>()
    {
        known.push(Known { nonce: *nonce, hash: *hash });
        rest = after;
    }
    known
}
