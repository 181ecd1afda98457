//! The steps that every new version has in common, whether it is an upload, a delete or a move: a
//! [`Writer`] decides, and this carries out.

use super::Client;
use super::error::ClientError;
use super::report::{Phase, timed};
use super::survey::Survey;
use crate::commit::{Aborting, Answer, Committing, Outcome, Staging, Writer};
use crate::name::FilePath;
use crate::peer::{No, Peer};
use crate::primitives;
use crate::wire::{Refusal, Request};

/// Requests that are sent ahead of their replies.
const WINDOW: usize = 512;

/// What a reply to a STAGE or COPY means.
pub(super) fn staging_answer(answer: &Option<Result<(), No>>) -> Answer {
    match answer {
        Some(Ok(())) => Answer::Done,
        Some(Err(_)) => Answer::Refused,
        None => Answer::Lost,
    }
}

/// What a reply to a COMMIT means. After any refusal but the one a part of it may be done.
fn commit_answer(answer: &Option<Result<(), No>>) -> Answer {
    match answer {
        Some(Ok(())) => Answer::Done,
        Some(Err(No { refusal: Refusal::NotStaged, .. })) => Answer::Refused,
        Some(Err(_)) | None => Answer::Lost,
    }
}

impl Client {
    /// A writer of a version newer than all that a survey has seen.
    pub(super) fn writer(
        &self,
        survey: &Survey,
        servers: Vec<usize>,
    ) -> Result<Writer<Staging>, ClientError> {
        let upload = primitives::random().map_err(ClientError::Random)?;
        Ok(Writer::new(survey.seen(self.config.replicas), upload, servers))
    }

    /// Commits versions that are staged; gives the outcomes in the same order.
    pub(super) fn commit_all(&mut self, ready: Vec<(FilePath, Writer<Committing>)>) -> Vec<Outcome> {
        let mut requests = Vec::new();
        for (path, writer) in &ready {
            let commit = |&server: &usize| (server, Request::Commit(path.clone(), writer.version()));
            requests.extend(writer.servers().iter().map(commit));
        }
        let report = std::sync::Arc::clone(&self.report);
        let mut answers = timed(&*report, Phase::Commit, || self.ask_all(&requests)).into_iter();
        ready
            .into_iter()
            .map(|(_, writer)| {
                let servers = writer.servers().to_vec();
                let of_writer = answers.by_ref().take(servers.len());
                let answers: Vec<_> =
                    servers.iter().copied().zip(of_writer.map(|answer| commit_answer(&answer))).collect();
                writer.committed(&answers)
            })
            .collect()
    }

    /// Takes stages back. Best effort: what stays behind is settled by whoever meets it next.
    pub(super) fn abort_all(&mut self, writers: &[(FilePath, Writer<Aborting>)]) {
        let mut requests = Vec::new();
        for (path, writer) in writers {
            let abort = |&server: &usize| (server, Request::Abort(path.clone(), writer.version()));
            requests.extend(writer.servers().iter().map(abort));
        }
        self.ask_all(&requests);
    }

    /// Sends requests that are answered when they are done, in windows.
    pub(super) fn ask_all(&mut self, requests: &[(usize, Request)]) -> Vec<Option<Result<(), No>>> {
        let report = std::sync::Arc::clone(&self.report);
        requests
            .chunks(WINDOW)
            .flat_map(|window| {
                let receive =
                    |peer: &mut Peer, request: &Request| peer.receive_done_with(bytes_read(request));
                self.cluster.exchange_with(window, &*report, Peer::send, receive)
            })
            .collect()
    }
}

/// How much of a piece a server has to read for a request.
fn bytes_read(request: &Request) -> u64 {
    match request {
        Request::Copy { header, .. } => header.piece_size,
        _ => 0,
    }
}
