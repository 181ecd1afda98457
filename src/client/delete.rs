//! Delete: a version like any other, whose one piece is a tombstone on every server.

use super::Client;
use super::error::ClientError;
use super::report::{Notice, Progress};
use super::survey::Survey;
use super::writing::staging_answer;
use crate::commit::{Outcome, Staging, TOMBSTONE, Writer};
use crate::name::{FilePath, FolderPath, ServerName};
use crate::peer::No;
use crate::placement;
use crate::primitives::{Bytes32, sha256};
use crate::sealed::{Header, Kind, MIN_CHUNK_LOG2, ModifiedTime};
use crate::version::Version;
use crate::wire::{Refusal, Request};

/// Names that are deleted together.
const BATCH: usize = 64;
/// How often a delete that another client's upload was quicker than is tried again.
const ATTEMPTS: usize = 8;

/// A server, and its answer to a STAGE; none from one that was lost.
type Staged = (usize, Option<Result<(), No>>);

/// A tombstone with its seal.
pub(super) struct Tombstone {
    pub(super) header: Header,
    root: Bytes32,
    seal: Bytes32,
}

impl Client {
    /// What `Delete NAME` means: the file, or with `recursive` the files below the folder.
    ///
    /// # Errors
    /// If there is neither, or the folder is meant without `recursive`.
    pub fn find_to_delete(&mut self, name: &str, recursive: bool) -> Result<Vec<FilePath>, ClientError> {
        match self.find(name)? {
            super::Found::File(file) => Ok(vec![file.path().clone()]),
            super::Found::Below(files) if recursive => Ok(files),
            super::Found::Below(_) => {
                let folder = FolderPath::parse(name).unwrap_or_default();
                Err(ClientError::IsFolder(folder))
            }
        }
    }

    /// Deletes files; one result for each, in order.
    pub fn delete(&mut self, files: &[FilePath]) -> Vec<Result<FilePath, ClientError>> {
        self.cluster.refresh(&*self.report);
        self.report.begin(files.len(), 0);
        let mut results = Vec::with_capacity(files.len());
        for batch in files.chunks(BATCH) {
            results.extend(self.delete_batch(batch));
            self.report.progress(Progress { done: batch.len() as u64 });
        }
        self.report.end();
        results
    }

    fn delete_batch(&mut self, batch: &[FilePath]) -> Vec<Result<FilePath, ClientError>> {
        let mut results: Vec<Option<Result<FilePath, ClientError>>> = batch.iter().map(|_| None).collect();
        for _ in 0..ATTEMPTS {
            let pending: Vec<usize> = (0..batch.len()).filter(|&f| results[f].is_none()).collect();
            if pending.is_empty() {
                break;
            }
            let paths: Vec<FilePath> = pending.iter().map(|&f| batch[f].clone()).collect();
            for (file, result) in pending.into_iter().zip(self.attempt_delete(&paths)) {
                results[file] = result;
            }
        }
        let contended = |path: &FilePath| Err(ClientError::Contended(path.clone()));
        results
            .into_iter()
            .zip(batch)
            .map(|(result, path)| result.unwrap_or_else(|| contended(path)))
            .collect()
    }

    /// Tries once; `None` is worth another try.
    fn attempt_delete(&mut self, paths: &[FilePath]) -> Vec<Option<Result<FilePath, ClientError>>> {
        let surveys = self.cluster.survey(paths, &self.config.user, &self.key, &*self.report);
        if let Err(error) = self.require_server() {
            let mut error = Some(error);
            return paths
                .iter()
                .map(|path| Some(Err(error.take().unwrap_or_else(|| ClientError::Undecided(path.clone())))))
                .collect();
        }
        let mut results: Vec<Option<Result<FilePath, ClientError>>> = Vec::new();
        let mut tombstones = Vec::new();
        for (index, survey) in surveys.iter().enumerate() {
            results.push(None);
            if !survey.is_a_file() {
                results[index] = Some(Err(ClientError::NotFound(survey.path.as_str().to_owned())));
                continue;
            }
            let up = self.cluster.up().collect();
            match self.writer(survey, up).map(|writer| (self.tombstone(survey, &writer), writer)) {
                Ok((tombstone, writer)) => tombstones.push((index, tombstone, writer)),
                Err(error) => results[index] = Some(Err(error)),
            }
        }
        for (index, result) in self.bury(tombstones) {
            results[index] = result;
        }
        results
    }

    fn tombstone(&self, survey: &Survey, writer: &Writer<Staging>) -> Tombstone {
        let header = Header {
            kind: Kind::Tombstone,
            piece: TOMBSTONE,
            chunk_log2: MIN_CHUNK_LOG2,
            replicas: u8::try_from(self.config.replicas).unwrap_or(u8::MAX),
            version: writer.version(),
            file_size: 0,
            piece_size: 0,
            modified: ModifiedTime::default(),
            key_check: self.key.check_value(),
            // A delete has no bytes to encrypt, so it wraps no key.
            wrap_block: [0; 16],
            wrapped_key: [0; 32],
            user: self.config.user.clone(),
            path: survey.path.clone(),
        };
        let root = sha256(b"");
        let seal = self.key.seal(&header.encode(), &root);
        Tombstone { header, root, seal }
    }

    /// Stages and commits tombstones on every server that is up, and forgets those that all have.
    fn bury(
        &mut self,
        tombstones: Vec<(usize, Tombstone, Writer<Staging>)>,
    ) -> Vec<(usize, Option<Result<FilePath, ClientError>>)> {
        let up: Vec<usize> = self.cluster.up().collect();
        let headers: Vec<&Tombstone> = tombstones.iter().map(|(_, tombstone, _)| tombstone).collect();
        let staged = self.stage_tombstones(&headers, &up);
        // Any R servers outvote what the others remember.
        let least = placement::copies_wanted(self.config.replicas, up.len());
        let (mut results, mut ready, mut committing, mut aborting) = (vec![], vec![], vec![], vec![]);
        for ((index, tombstone, writer), answers) in tombstones.into_iter().zip(&staged) {
            let path = tombstone.header.path;
            let of_server: Vec<_> = answers.iter().map(|(s, answer)| (*s, staging_answer(answer))).collect();
            match writer.staged(&of_server, least) {
                Ok(writer) => {
                    ready.push((index, path.clone(), writer.version()));
                    committing.push((path, writer));
                }
                Err(writer) => {
                    results.push((index, self.why_not_staged(&path, answers)));
                    aborting.push((path, writer));
                }
            }
        }
        self.abort_all(&aborting);
        let outcomes = self.commit_all(committing);
        let mut everywhere = Vec::new();
        for ((index, path, version), outcome) in ready.into_iter().zip(outcomes) {
            if outcome.may_forget(self.cluster.len()) {
                everywhere.push((path.clone(), version));
            }
            let result = match outcome {
                Outcome::Done { committed, .. } => {
                    let missing: Vec<ServerName> = (0..self.cluster.len())
                        .filter(|server| !committed.contains(server))
                        .map(|server| self.cluster.name(server).clone())
                        .collect();
                    if !missing.is_empty() {
                        self.report.notice(Notice::DeleteNotEverywhere { path: path.clone(), missing });
                    }
                    Some(Ok(path))
                }
                Outcome::NeverHappened => None,
                Outcome::Undecided => Some(Err(ClientError::Undecided(path))),
            };
            results.push((index, result));
        }
        // Best effort: Repair forgets what stays behind.
        self.forget(&everywhere);
        results
    }

    /// Stages tombstones on servers: by tombstone, each server's answer.
    pub(super) fn stage_tombstones(
        &mut self,
        tombstones: &[&Tombstone],
        servers: &[usize],
    ) -> Vec<Vec<Staged>> {
        let requests: Vec<(usize, &Tombstone)> =
            tombstones.iter().flat_map(|&t| servers.iter().map(move |&server| (server, t))).collect();
        let answers = self.cluster.exchange_with(
            &requests,
            &*self.report,
            |peer, tombstone| {
                let header = Box::new(tombstone.header.clone());
                peer.send(&Request::Stage { header, length: 0, restore: None })?;
                peer.send_end(&tombstone.root, &tombstone.seal)
            },
            |peer, _| peer.receive_done(),
        );
        let mut answers = requests.iter().map(|(server, _)| *server).zip(answers);
        tombstones.iter().map(|_| answers.by_ref().take(servers.len()).collect()).collect()
    }

    fn why_not_staged(&self, path: &FilePath, answers: &[Staged]) -> Option<Result<FilePath, ClientError>> {
        let mut reasons: Vec<(ServerName, String)> = Vec::new();
        for (server, answer) in answers {
            match answer {
                Some(Err(No { refusal: Refusal::Behind, .. })) => return None,
                Some(Err(no)) => reasons.push((self.cluster.name(*server).clone(), no.to_string())),
                _ => {}
            }
        }
        // Servers that were lost: the next try sees how many are left.
        (!reasons.is_empty()).then(|| Err(ClientError::NotTaken(path.clone(), reasons)))
    }

    /// Drops tombstones that every server has acknowledged: by tombstone, the answers of all servers.
    pub(super) fn forget(&mut self, tombstones: &[(FilePath, Version)]) -> Vec<Vec<Option<Result<(), No>>>> {
        let servers = self.cluster.len();
        let requests: Vec<(usize, Request)> = tombstones
            .iter()
            .flat_map(|(path, version)| {
                (0..servers).map(move |s| (s, Request::Forget(path.clone(), *version)))
            })
            .collect();
        let mut answers = self.ask_all(&requests).into_iter();
        tombstones.iter().map(|_| answers.by_ref().take(servers).collect()).collect()
    }
}
