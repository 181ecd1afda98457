//! Delete: a version like any other, whose one piece is a tombstone on every server.

use super::Client;
use super::error::ClientError;
use super::report::Notice;
use super::survey::Survey;
use crate::commit::TOMBSTONE;
use crate::name::{FilePath, FolderPath, ServerName};
use crate::peer::{No, Peer};
use crate::placement;
use crate::primitives::{Bytes32, sha256};
use crate::sealed::{Header, Kind, MIN_CHUNK_LOG2, ModifiedTime};
use crate::version::Version;
use crate::wire::{Refusal, Request, StageEnd};

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
            super::Found::File(path) => Ok(vec![path]),
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
        let results = files.chunks(BATCH).flat_map(|batch| self.delete_batch(batch)).collect();
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
                results[index] = Some(Err(ClientError::NotFound(survey.path.to_string())));
                continue;
            }
            match self.tombstone(survey) {
                Ok(tombstone) => tombstones.push((index, tombstone)),
                Err(error) => results[index] = Some(Err(error)),
            }
        }
        for (index, result) in self.bury(tombstones) {
            results[index] = result;
        }
        results
    }

    pub(super) fn tombstone(&self, survey: &Survey) -> Result<Tombstone, ClientError> {
        let header = Header {
            kind: Kind::Tombstone,
            piece: TOMBSTONE,
            chunk_log2: MIN_CHUNK_LOG2,
            replicas: u8::try_from(self.config.replicas).unwrap_or(u8::MAX),
            version: self.next_version(survey)?,
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
        Ok(Tombstone { header, root, seal })
    }

    /// Stages and commits tombstones on every server that is up, and forgets those that all have.
    fn bury(
        &mut self,
        tombstones: Vec<(usize, Tombstone)>,
    ) -> Vec<(usize, Option<Result<FilePath, ClientError>>)> {
        let up: Vec<usize> = self.cluster.up().collect();
        let targets: Vec<&Tombstone> = tombstones.iter().map(|(_, tombstone)| tombstone).collect();
        let staged = self.stage_tombstones(&targets, &up);
        let wanted = placement::copies_wanted(self.config.replicas, up.len());
        let mut results = Vec::new();
        let mut to_commit = Vec::new();
        for ((index, tombstone), answers) in tombstones.iter().zip(&staged) {
            let on: Vec<usize> =
                answers.iter().filter(|(_, a)| matches!(a, Some(Ok(())))).map(|(s, _)| *s).collect();
            if on.len() >= wanted {
                to_commit.push((*index, tombstone, on));
                continue;
            }
            self.abort_tombstone(tombstone, &on);
            results.push((*index, self.why_not_staged(&tombstone.header.path, answers)));
        }
        let requests = to_commit.iter().flat_map(|(index, tombstone, on)| {
            let Header { path, version, .. } = &tombstone.header;
            on.iter().map(move |&server| (*index, (server, Request::Commit(path.clone(), *version))))
        });
        let (owners, requests): (Vec<usize>, Vec<(usize, Request)>) = requests.unzip();
        let answers = self.cluster.exchange(&requests, &*self.report, Peer::receive_done);
        let mut everywhere = Vec::new();
        for (index, tombstone, on) in to_commit {
            let of_file =
                || owners.iter().zip(&answers).filter(|(owner, _)| **owner == index).map(|(_, a)| a);
            let committed = of_file().filter(|a| matches!(a, Some(Ok(())))).count();
            let lost = of_file().filter(|a| a.is_none()).count();
            let path = tombstone.header.path.clone();
            if committed == 0 {
                results.push((index, (lost > 0).then_some(Err(ClientError::Undecided(path)))));
                continue;
            }
            if committed == self.cluster.len() {
                everywhere.push((path.clone(), tombstone.header.version));
            } else {
                let missing = self.cluster.len() - committed.min(on.len());
                self.report.notice(Notice::DeleteNotEverywhere { path: path.clone(), missing });
            }
            results.push((index, Some(Ok(path))));
        }
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
                peer.send_end(&StageEnd::End { root: tombstone.root, seal: tombstone.seal })
            },
            |peer, _| peer.receive_done(),
        );
        let mut answers = requests.iter().map(|(server, _)| *server).zip(answers);
        tombstones.iter().map(|_| answers.by_ref().take(servers.len()).collect()).collect()
    }

    fn abort_tombstone(&mut self, tombstone: &Tombstone, on: &[usize]) {
        let Header { path, version, .. } = &tombstone.header;
        let requests: Vec<_> = on.iter().map(|&s| (s, Request::Abort(path.clone(), *version))).collect();
        // Best effort: what stays behind is settled by whoever meets it next.
        self.cluster.exchange(&requests, &*self.report, Peer::receive_done);
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

    /// Drops tombstones that every server has acknowledged.
    pub(super) fn forget(&mut self, tombstones: &[(FilePath, Version)]) {
        let servers = self.cluster.len();
        let requests: Vec<(usize, Request)> = tombstones
            .iter()
            .flat_map(|(path, version)| {
                (0..servers).map(move |s| (s, Request::Forget(path.clone(), *version)))
            })
            .collect();
        // Best effort: Repair forgets what stays behind.
        self.cluster.exchange(&requests, &*self.report, Peer::receive_done);
    }
}
