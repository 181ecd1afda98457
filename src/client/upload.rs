//! Upload: stage every piece on all its holders, then commit. Many small files go together.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Client;
use super::error::ClientError;
use super::report::{Notice, Phase, timed};
use super::source::{OpenSource, Source};
use super::stage::{Draft, Job, Staged, stage_all};
use super::survey::Survey;
use crate::commit::{Aborting, Answer, Committing, Outcome, Staging, Writer};
use crate::name::{FilePath, ServerName};
use crate::peer::No;
use crate::placement;
use crate::primitives::{self, sha256};
use crate::sealed::{Facts, FileKey, Header};
use crate::wire::Refusal;

/// Files that are staged and committed together: one round trip serves them all.
const BATCH_FILES: usize = 128;
/// A batch ends with the file that brings it to so many bytes: the first to the least of these, each later one to
/// what went in a second. At the end of a batch all wait for the disks; but what is not committed when the
/// line breaks has to be sent again, and older versions keep their room on the servers until the batch is committed.
const BATCH_BYTES: RangeInclusive<u64> = 32 << 20..=512 << 20;

/// How often a server may say that it is behind, or that bytes were damaged, before it is left out. Each
/// try sends it up to two pieces.
const MAX_SUSPICIONS: usize = 6;

/// What became of one file.
#[derive(Debug)]
pub struct Uploaded {
    /// Where it is now.
    pub path: FilePath,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it was there already, and nothing was sent.
    pub unchanged: bool,
}

/// One file of a batch, over all attempts.
struct Task {
    source: PathBuf,
    target: FilePath,
    /// Servers that will not take it, with the reason.
    excluded: Vec<(usize, String)>,
    /// Servers that refused for a reason that another try can mend, once for each refusal.
    suspected: Vec<usize>,
    attempts: usize,
    result: Option<Result<Uploaded, ClientError>>,
}

impl Task {
    fn suspect(&mut self, server: usize, no: &No) {
        self.suspected.push(server);
        if self.suspected.iter().filter(|s| **s == server).count() > MAX_SUSPICIONS {
            self.exclude(server, no);
        }
    }

    fn exclude(&mut self, server: usize, no: &No) {
        if !self.excluded.iter().any(|(s, _)| *s == server) {
            self.excluded.push((server, no.to_string()));
        }
    }
}

impl Client {
    /// Uploads files; one result for each, in order. With `only_changed`, a file whose size and time
    /// are those of the stored one, which has all its copies, is left as it is.
    pub fn upload(&mut self, sources: &[Source], only_changed: bool) -> Vec<Result<Uploaded, ClientError>> {
        self.cluster.refresh(&*self.report);
        self.tried.clear();
        let sizes: Vec<u64> = sources.iter().map(|s| s.local.metadata().map_or(0, |m| m.len())).collect();
        self.report.begin(sources.len(), sizes.iter().sum());
        self.warn_if_outdated();
        let mut results = Vec::with_capacity(sources.len());
        let mut rest = sources;
        let mut limit = *BATCH_BYTES.start();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(batch_length(&sizes[results.len()..], limit));
            let started = Instant::now();
            let uploaded = self.upload_batch(batch, only_changed);
            limit = match sent(&uploaded) {
                0 => limit,
                bytes => next_limit(bytes, started.elapsed()),
            };
            results.extend(uploaded);
            rest = later;
        }
        self.report.end();
        results
    }

    /// Servers that are down may be the only ones that know a newer version.
    fn warn_if_outdated(&self) {
        let away: Vec<ServerName> = (0..self.cluster.len())
            .filter(|&server| !self.cluster.is_up(server))
            .map(|server| self.cluster.name(server).clone())
            .collect();
        let servers = self.cluster.len();
        if placement::out_of_sight(self.config.replicas, servers, away.len()) && away.len() < servers {
            self.report.notice(Notice::MayBeOutdated { away });
        }
    }

    fn upload_batch(&mut self, batch: &[Source], only_changed: bool) -> Vec<Result<Uploaded, ClientError>> {
        let mut tasks: Vec<Task> = batch
            .iter()
            .map(|source| Task {
                source: source.local.clone(),
                target: source.target.clone(),
                excluded: Vec::new(),
                suspected: Vec::new(),
                attempts: 0,
                result: None,
            })
            .collect();
        loop {
            let pending: Vec<usize> = (0..tasks.len()).filter(|&t| tasks[t].result.is_none()).collect();
            if pending.is_empty() {
                break;
            }
            if self.cluster.was_hung_up() {
                // A login says why.
                self.cluster.refresh(&*self.report);
            }
            self.attempt(&mut tasks, &pending, only_changed);
        }
        tasks.into_iter().filter_map(|task| task.result).collect()
    }

    /// Tries once to upload the pending tasks; what cannot be ended by trying again gets its result.
    fn attempt(&mut self, tasks: &mut [Task], pending: &[usize], only_changed: bool) {
        let paths: Vec<FilePath> = pending.iter().map(|&t| tasks[t].target.clone()).collect();
        let surveys = self.cluster.survey(&paths, &self.config.user, &self.key, &*self.report);
        let (mut drafts, mut writers, mut drafted) = (Vec::new(), Vec::new(), Vec::new());
        for (&task, survey) in pending.iter().zip(&surveys) {
            if only_changed && let Some(size) = self.unchanged(&tasks[task], survey) {
                let path = survey.path.clone();
                tasks[task].result = Some(Ok(Uploaded { path, size, unchanged: true }));
                continue;
            }
            match self.draft(&mut tasks[task], survey) {
                Ok((draft, writer)) => {
                    drafts.push(draft);
                    writers.push(writer);
                    drafted.push(task);
                }
                Err(error) => tasks[task].result = Some(Err(error)),
            }
        }
        let staged = self.stage(&drafts);
        let (mut ready, mut committing, mut aborting) = (Vec::new(), Vec::new(), Vec::new());
        for (((draft, writer), &task), staged) in drafts.iter().zip(writers).zip(&drafted).zip(staged) {
            let path = draft.header.path.clone();
            match self.judge(draft, &mut tasks[task], writer, staged) {
                Ok(writer) => {
                    ready.push((draft, task));
                    committing.push((path, writer));
                }
                Err((writer, error)) => {
                    aborting.push((path, writer));
                    tasks[task].result = error.map(Err);
                }
            }
        }
        self.abort_all(&aborting);
        let outcomes = self.commit_all(committing);
        for ((draft, task), outcome) in ready.into_iter().zip(outcomes) {
            self.conclude_upload(draft, &mut tasks[task], &outcome);
        }
    }

    /// The size of the local file, if the stored one has the same size and time, and all its copies.
    fn unchanged(&self, task: &Task, survey: &Survey) -> Option<u64> {
        let version = survey.file_version()?;
        let stored = &survey.any_claim(version)?.header;
        let local = OpenSource::open(&task.source).ok()?;
        let wanted = self.config.replicas;
        let whole = placement::pieces().all(|piece| survey.holders(version, piece).len() >= wanted);
        (whole && (stored.file_size, stored.modified) == (local.size, local.modified)).then_some(local.size)
    }

    fn draft(&mut self, task: &mut Task, survey: &Survey) -> Result<(Draft, Writer<Staging>), ClientError> {
        task.attempts += 1;
        if task.attempts > 6 * self.cluster.len() + 4 {
            return Err(self.not_taken(task).unwrap_or(ClientError::Contended(task.target.clone())));
        }
        let usable: Vec<bool> = (0..self.cluster.len())
            .map(|s| self.cluster.is_up(s) && !task.excluded.iter().any(|(e, _)| *e == s))
            .collect();
        if !usable.contains(&true) {
            return Err(self.not_taken(task).unwrap_or_else(|| self.no_server()));
        }
        if survey.only_other_keys() && task.attempts == 1 {
            self.report.notice(Notice::OtherKeyReplaced { path: task.target.clone() });
        }
        let path_hash = sha256(task.target.as_str().as_bytes());
        let holders = placement::holders(&path_hash, &usable, self.config.replicas);
        let writer = self.writer(survey, holders.iter().flatten().copied().collect())?;
        let source = OpenSource::open(&task.source)?;
        let key = FileKey::new(primitives::random().map_err(ClientError::Random)?);
        let wrap_block = primitives::random().map_err(ClientError::Random)?;
        let facts = Facts {
            version: writer.version(),
            size: source.size,
            modified: source.modified,
            replicas: u8::try_from(self.config.replicas).unwrap_or(u8::MAX),
        };
        let (user, path) = (self.config.user.clone(), task.target.clone());
        let header = Header::data(user, path, facts, 1, self.key.wrap(&key, wrap_block));
        Ok((Draft { source, key, header, holders }, writer))
    }

    fn not_taken(&self, task: &Task) -> Option<ClientError> {
        let reason = |(server, why): &(usize, String)| (self.cluster.name(*server).clone(), why.clone());
        let reasons: Vec<(ServerName, String)> = task.excluded.iter().map(reason).collect();
        (!reasons.is_empty()).then(|| ClientError::NotTaken(task.target.clone(), reasons))
    }

    fn stage(&mut self, drafts: &[Draft]) -> Vec<Staged> {
        let jobs: Vec<Job> = drafts
            .iter()
            .enumerate()
            .flat_map(|(draft, d)| {
                job_order().map(move |piece| Job {
                    draft,
                    piece,
                    holders: d.holders[usize::from(piece) - 1].clone(),
                })
            })
            .collect();
        let peers = self.cluster.take_peers();
        let staging = || stage_all(drafts, &jobs, peers, &self.key, &*self.report);
        let (outcomes, peers) = timed(&*self.report, Phase::Stage, staging);
        self.cluster.put_back(peers, &*self.report);
        outcomes
    }

    /// Whether a staged draft may be committed. If not, with the error that ends it; without one, it is
    /// worth another try.
    fn judge(
        &self,
        draft: &Draft,
        task: &mut Task,
        writer: Writer<Staging>,
        staged: Staged,
    ) -> Result<Writer<Committing>, (Writer<Aborting>, Option<ClientError>)> {
        let unchanged = staged.local.map_or_else(|| draft.source.check_unchanged(), Err);
        if let Err(error) = unchanged {
            return Err((writer.give_up(), Some(error)));
        }
        for (server, no) in &staged.refused {
            match no.refusal {
                Refusal::Conflict => {
                    return Err((writer.give_up(), Some(ClientError::Conflict(task.target.clone()))));
                }
                Refusal::Rekeyed => {
                    return Err((writer.give_up(), Some(ClientError::Rekeyed(task.target.clone()))));
                }
                Refusal::DiskFull | Refusal::DiskError | Refusal::Busy | Refusal::Ahead => {
                    task.exclude(*server, no)
                }
                // Behind: somebody was quicker. Damaged: bytes were altered on their way. Again and again,
                // and it is the server.
                _ => task.suspect(*server, no),
            }
        }
        let answer = |server: usize| {
            let refused = staged.refused.iter().any(|(s, _)| *s == server);
            match refused {
                _ if staged.lost.contains(&server) => Answer::Lost,
                true => Answer::Refused,
                false => Answer::Done,
            }
        };
        let answers: Vec<_> = writer.servers().iter().map(|&server| (server, answer(server))).collect();
        let everybody = writer.servers().len();
        writer.staged(&answers, everybody).map_err(|writer| (writer, None))
    }

    fn conclude_upload(&self, draft: &Draft, task: &mut Task, outcome: &Outcome) {
        let path = draft.header.path.clone();
        task.result = match outcome {
            Outcome::Done { committed, .. } => {
                self.tell_about_copies(draft, task, committed);
                Some(Ok(Uploaded { path, size: draft.header.file_size, unchanged: false }))
            }
            // It is done, and replaced: what there is of the newer one is for its writer to tell.
            Outcome::Overtaken => Some(Ok(Uploaded { path, size: draft.header.file_size, unchanged: false })),
            Outcome::NeverHappened => None,
            Outcome::Undecided => Some(Err(ClientError::Undecided(path))),
        };
    }

    fn tell_about_copies(&self, draft: &Draft, task: &Task, committed: &[usize]) {
        for (server, why) in &task.excluded {
            let (path, server, why) = (task.target.clone(), self.cluster.name(*server).clone(), why.clone());
            self.report.notice(Notice::NotPlaced { path, server, why });
        }
        let confirmed = |holders: &Vec<usize>| holders.iter().filter(|s| committed.contains(s)).count();
        let copies = draft.holders.iter().map(confirmed).min().unwrap_or(0);
        if copies < self.config.replicas {
            let (path, wanted) = (task.target.clone(), self.config.replicas);
            self.report.notice(Notice::FewerCopies { path, copies, wanted });
        }
    }
}

/// Odd pieces first: with two copies, neighbours share a server and others do not, so that two
/// threads then seldom wait for each other.
fn job_order() -> impl Iterator<Item = u8> {
    placement::pieces().filter(|p| p % 2 == 1).chain(placement::pieces().filter(|p| p % 2 == 0))
}

fn batch_length(sizes: &[u64], limit: u64) -> usize {
    let mut bytes: u64 = 0;
    let full = sizes.iter().take(BATCH_FILES).position(|size| {
        bytes = bytes.saturating_add(*size);
        bytes >= limit
    });
    full.map_or(sizes.len().min(BATCH_FILES), |last| last + 1)
}

/// Bytes of the files that were sent. Those that were there already say nothing about the line.
fn sent(batch: &[Result<Uploaded, ClientError>]) -> u64 {
    let sent = batch.iter().flatten().filter(|file| !file.unchanged);
    sent.map(|file| file.size).fold(0, u64::saturating_add)
}

/// The bytes of the next batch, after one in which so many were sent.
fn next_limit(bytes: u64, took: Duration) -> u64 {
    let of_a_second = u128::from(bytes) * 1000 / took.as_millis().max(1);
    u64::try_from(of_a_second).unwrap_or(u64::MAX).clamp(*BATCH_BYTES.start(), *BATCH_BYTES.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_with_the_file_that_fills_it_or_with_the_most_files() {
        assert_eq!(batch_length(&[10, 10, 10], 20), 2);
        assert_eq!(batch_length(&[10, 11, 10], 20), 2);
        assert_eq!(batch_length(&[10, 9, 10], 20), 3);
        assert_eq!(batch_length(&[u64::MAX, u64::MAX], 20), 1);
        assert_eq!(batch_length(&[10], 20), 1);
        assert_eq!(batch_length(&[0; 1000], 20), BATCH_FILES);
    }

    #[test]
    fn files_that_were_there_already_or_failed_were_not_sent() {
        let path = || FilePath::parse("a").unwrap();
        let uploaded = |size, unchanged| Ok(Uploaded { path: path(), size, unchanged });
        assert_eq!(sent(&[]), 0);
        assert_eq!(sent(&[uploaded(1, false), uploaded(10, true), uploaded(100, false)]), 101);
        assert_eq!(sent(&[Err(ClientError::Contended(path())), uploaded(1, false)]), 1);
        assert_eq!(sent(&[uploaded(u64::MAX, false), uploaded(1, false)]), u64::MAX);
    }

    #[test]
    fn the_next_batch_is_what_goes_in_a_second_within_limits() {
        const MIB: u64 = 1 << 20;
        let after = |mib, millis| next_limit(mib * MIB, Duration::from_millis(millis)) / MIB;
        assert_eq!(after(32, 200), 160);
        assert_eq!(after(160, 1000), 160);
        assert_eq!(after(160, 2000), 80);
        assert_eq!(after(160, 100_000), 32);
        assert_eq!(after(32, 1), 512);
        assert_eq!(after(32, 0), 512);
        assert_eq!(after(0, 0), 32);
        assert_eq!(next_limit(u64::MAX, Duration::MAX), 32 * MIB);
    }
}
