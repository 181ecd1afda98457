//! Delete: a version like any other, whose one piece is a tombstone on every server.
//!
//! It takes what it saw. Its tombstone has the version right behind the one that is to go, which hides that
//! one and nothing newer, however late it is committed. Only where a server is away, so that it may know of
//! something newer that is meant too, is the tombstone as new as can be.

use super::Client;
use super::download::Files;
use super::error::ClientError;
use super::report::{Notice, Progress};
use super::sight::Unseen;
use super::survey::Survey;
use super::writing::staging_answer;
use crate::commit::{Outcome, Staging, Writer};
use crate::name::{FilePath, FolderPath, ServerName};
use crate::peer::No;
use crate::placement;
use crate::primitives::{Bytes32, sha256};
use crate::sealed::Header;
use crate::version::Version;
use crate::wire::{Refusal, Request};

/// Names that are deleted together.
const BATCH: usize = 64;
/// How often a delete that another client was quicker than is tried again.
const ATTEMPTS: usize = 8;

/// A server, and its answer to a STAGE; none from one that was lost.
type Staged = (usize, Option<Result<(), No>>);

type Deleted = Result<FilePath, ClientError>;

/// One name to delete, over all attempts.
struct Task {
    path: FilePath,
    /// What is to go: the version that the first look showed, itself none where only unreadable pieces are.
    seen: Option<Option<Version>>,
    /// Whether that version alone is to go, also where a server is away that may know of a newer one.
    alone: bool,
    result: Option<Deleted>,
}

impl Task {
    fn new(path: FilePath) -> Self {
        Self { path, seen: None, alone: false, result: None }
    }

    /// What a look ends this with; `None` if there is something to bury. From the second look on, what is
    /// newer than at the first one stays.
    fn look(&mut self, survey: &Survey, not_found: impl FnOnce() -> ClientError) -> Option<Deleted> {
        let Some(seen) = self.seen else {
            self.seen = Some(survey.file_version());
            return (!survey.is_a_file()).then(|| Err(not_found()));
        };
        if survey.file_version() > seen {
            return Some(Err(ClientError::Replaced(self.path.clone())));
        }
        let is_deleted = survey.tombstone() > seen;
        let is_nowhere = !survey.is_a_file() && survey.answers.iter().all(Option::is_some);
        (is_deleted || is_nowhere).then(|| Ok(self.path.clone()))
    }

    /// The version that hides what is to go and nothing else; `None` where it is not known what that is.
    fn successor(&self, survey: &Survey) -> Option<Version> {
        let all_is_seen = survey.answers.iter().all(Option::is_some) && survey.distrusted.is_empty();
        self.seen.flatten().filter(|_| self.alone || all_is_seen)?.successor()
    }
}

/// A tombstone with its seal.
struct Tombstone {
    header: Header,
    root: Bytes32,
    seal: Bytes32,
}

/// A tombstone on its way.
struct Burial {
    /// Of which task.
    task: usize,
    tombstone: Tombstone,
    writer: Writer<Staging>,
    /// By server, the floors that were seen: for one that is not newer than all that they hide.
    floors: Option<Vec<u64>>,
}

impl Client {
    /// What `Delete NAME` means: the file, or with `recursive` the files below the folder.
    ///
    /// # Errors
    /// If there is neither, as far as can be seen, or the folder is meant without `recursive`.
    pub fn find_to_delete(&mut self, name: &str, recursive: bool) -> Result<Files, ClientError> {
        match self.find(name)? {
            super::Found::File(file) => Ok(Files { files: vec![file.path().clone()], unseen: Vec::new() }),
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
        self.tried.clear();
        self.report.begin(files.len(), 0);
        let mut results = Vec::with_capacity(files.len());
        let mut unseen = Unseen::default();
        for batch in files.chunks(BATCH) {
            results.extend(self.delete_all(batch.iter().cloned().map(Task::new).collect(), &mut unseen));
            self.report.progress(Progress { done: batch.len() as u64 });
        }
        self.report.end();
        if results.iter().any(Result::is_ok) {
            self.warn_of_newer(&unseen);
        }
        results
    }

    /// Deletes a version of a file, and what is older.
    ///
    /// # Errors
    /// [`ClientError::Replaced`] if there is a newer one, which stays; or if the servers fail.
    pub(super) fn delete_version(&mut self, path: &FilePath, version: Version) -> Result<(), ClientError> {
        let task = Task { seen: Some(Some(version)), alone: true, ..Task::new(path.clone()) };
        self.delete_all(vec![task], &mut Unseen::default())
            .into_iter()
            .try_for_each(|result| result.map(drop))
    }

    fn delete_all(&mut self, mut tasks: Vec<Task>, unseen: &mut Unseen) -> Vec<Deleted> {
        for _ in 0..ATTEMPTS {
            let mut pending: Vec<&mut Task> = tasks.iter_mut().filter(|task| task.result.is_none()).collect();
            if pending.is_empty() {
                break;
            }
            self.attempt_delete(&mut pending, unseen);
        }
        let contended = |path: FilePath| Err(ClientError::Contended(path));
        tasks.into_iter().map(|task| task.result.unwrap_or_else(|| contended(task.path))).collect()
    }

    /// Tries once; what gets no result is worth another try.
    fn attempt_delete(&mut self, tasks: &mut [&mut Task], unseen: &mut Unseen) {
        let paths: Vec<FilePath> = tasks.iter().map(|task| task.path.clone()).collect();
        let surveys = self.cluster.survey(&paths, &self.config.user, &self.key, &*self.report);
        if let Err(error) = self.require_server() {
            let mut error = Some(error);
            for task in tasks {
                let error = error.take().unwrap_or_else(|| ClientError::Undecided(task.path.clone()));
                task.result = Some(Err(error));
            }
            return;
        }
        let mut burials = Vec::new();
        for (index, (task, survey)) in tasks.iter_mut().zip(&surveys).enumerate() {
            unseen.add(&survey.unseen);
            task.result = task.look(survey, || self.not_found(survey.path.as_str(), &survey.unseen));
            if task.result.is_some() {
                continue;
            }
            let up: Vec<usize> = self.cluster.up().collect();
            let writer = match task.successor(survey) {
                // Where no look was answered it is not known what floor to pass.
                Some(version) => {
                    let answered = up.into_iter().filter(|&server| survey.answers[server].is_some());
                    Ok((Writer::at(version, answered.collect()), Some(survey.floors.clone())))
                }
                None => self.writer(survey, up).map(|writer| (writer, None)),
            };
            match writer {
                Ok((writer, floors)) => {
                    let tombstone = self.tombstone(survey, &writer);
                    burials.push(Burial { task: index, tombstone, writer, floors });
                }
                Err(error) => task.result = Some(Err(error)),
            }
        }
        for (index, result) in self.bury(burials) {
            tasks[index].result = result;
        }
    }

    fn tombstone(&self, survey: &Survey, writer: &Writer<Staging>) -> Tombstone {
        // As the file has it, so that two clients that delete one version make the same tombstone.
        let of_file = survey.file_version().and_then(|version| survey.any_claim(version));
        let replicas = of_file.map(|claim| claim.header.replicas);
        let replicas = replicas.unwrap_or(u8::try_from(self.config.replicas).unwrap_or(u8::MAX));
        let (user, path) = (self.config.user.clone(), survey.path.clone());
        let header = Header::tombstone(user, path, writer.version(), replicas, self.key.check_value());
        let root = sha256(b"");
        let seal = self.key.seal(&header.encode(), &root);
        Tombstone { header, root, seal }
    }

    /// Stages and commits tombstones on every server that is up, and forgets those that all have. Gives the
    /// results by task.
    fn bury(&mut self, burials: Vec<Burial>) -> Vec<(usize, Option<Deleted>)> {
        let staged = self.stage_tombstones(&burials);
        // Any R servers outvote what the others remember.
        let least = placement::copies_wanted(self.config.replicas, self.cluster.up().count());
        let (mut results, mut ready, mut committing, mut aborting) = (vec![], vec![], vec![], vec![]);
        for (Burial { task, tombstone, writer, floors }, answers) in burials.into_iter().zip(&staged) {
            let path = tombstone.header.path;
            let of_server: Vec<_> = answers.iter().map(|(s, answer)| (*s, staging_answer(answer))).collect();
            // Something newer came, or the name was deleted or fenced since the look: what became of it?
            let is_late = floors.is_some() && answers.iter().any(|(_, answer)| is_behind(answer));
            let writer = if is_late { Err(writer.give_up()) } else { writer.staged(&of_server, least) };
            match writer {
                Ok(writer) => {
                    ready.push((task, path.clone(), writer.version()));
                    committing.push((path, writer));
                }
                Err(writer) => {
                    results.push((task, self.why_not_staged(&path, answers)));
                    aborting.push((path, writer));
                }
            }
        }
        self.abort_all(&aborting);
        let outcomes = self.commit_all(committing);
        let is_newer = self.is_newer_there(&ready);
        let mut everywhere = Vec::new();
        for (((task, path, version), outcome), is_newer) in ready.into_iter().zip(outcomes).zip(is_newer) {
            if outcome.may_forget(self.cluster.len()) {
                everywhere.push((path.clone(), version));
            }
            let result = match outcome {
                // To the servers that is a success, and to the others of this user too.
                Outcome::Done { .. } | Outcome::Overtaken if is_newer => {
                    Some(Err(ClientError::Replaced(path)))
                }
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
                Outcome::Overtaken => Some(Ok(path)),
                Outcome::NeverHappened => None,
                Outcome::Undecided => Some(Err(ClientError::Undecided(path))),
            };
            results.push((task, result));
        }
        // Best effort: Repair forgets what stays behind.
        self.forget(&everywhere);
        results
    }

    /// Whether a file is there that is newer than its tombstone: behind one, a commit is acknowledged too.
    fn is_newer_there(&mut self, tombstones: &[(usize, FilePath, Version)]) -> Vec<bool> {
        let paths: Vec<FilePath> = tombstones.iter().map(|(_, path, _)| path.clone()).collect();
        let surveys = self.cluster.ask(&paths, &self.config.user, &self.key, &*self.report);
        let is_newer = |(survey, (_, _, tombstone)): (&Survey, &(_, _, Version))| {
            survey.file_version() > Some(*tombstone)
        };
        surveys.iter().zip(tombstones).map(is_newer).collect()
    }

    /// Stages tombstones: by tombstone, each server's answer.
    fn stage_tombstones(&mut self, burials: &[Burial]) -> Vec<Vec<Staged>> {
        let requests: Vec<(usize, (&Tombstone, Option<u64>))> = burials
            .iter()
            .flat_map(|burial| {
                let floor = |server: usize| burial.floors.as_ref().map(|floors| floors[server]);
                burial.writer.servers().iter().map(move |&s| (s, (&burial.tombstone, floor(s))))
            })
            .collect();
        let answers = self.cluster.exchange_with(
            &requests,
            &*self.report,
            |peer, (tombstone, restore)| {
                let header = Box::new(tombstone.header.clone());
                peer.send(&Request::Stage { header, length: 0, restore: *restore })?;
                peer.send_end(&tombstone.root, &tombstone.seal)
            },
            |peer, _| peer.receive_done(),
        );
        let mut answers = requests.iter().map(|(server, _)| *server).zip(answers);
        burials.iter().map(|burial| answers.by_ref().take(burial.writer.servers().len()).collect()).collect()
    }

    fn why_not_staged(&self, path: &FilePath, answers: &[Staged]) -> Option<Deleted> {
        let mut reasons: Vec<(ServerName, String)> = Vec::new();
        for (server, answer) in answers {
            match answer {
                behind if is_behind(behind) => return None,
                Some(Err(No { refusal: Refusal::Rekeyed, .. })) => {
                    return Some(Err(ClientError::Rekeyed(path.clone())));
                }
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

fn is_behind(answer: &Option<Result<(), No>>) -> bool {
    matches!(answer, Some(Err(No { refusal: Refusal::Behind, .. })))
}
