//! Delete: a version like any other, whose one piece is a tombstone on every server.
//!
//! It deletes what it saw. Its tombstone has the version right after the one to delete, which hides that one and
//! nothing newer, however late it is committed. Only if a server is down, which may know of something newer that should
//! be deleted too, is the tombstone as new as possible.

use std::collections::HashSet;

use crate::client::core::base::Core;
use crate::client::core::error::ClientError;
use crate::client::core::look::{ask, settle};
use crate::client::core::report::{Notice, Progress};
use crate::client::core::retry::{Pending, until_settled};
use crate::client::core::sight::Unseen;
use crate::client::core::survey::Survey;
use crate::client::core::versions::{Ready, abort_all, commit_all, writer};
use crate::commit::{Outcome, Staging, Writer};
use crate::name::{FilePath, ServerName};
use crate::peer::{Answer, No, Peer};
use crate::placement;
use crate::primitives::{Bytes32, sha256};
use crate::sealed::Header;
use crate::version::Version;
use crate::wire::{Refusal, Request};

/// Names that are deleted together.
const BATCH: usize = 128;
/// How often a delete is tried again if another client was faster.
const ATTEMPTS: usize = 8;

/// A server, and its answer to a STAGE.
type Staged = (usize, Answer<()>);

type Deleted = Result<FilePath, ClientError>;

/// One name to delete, over all attempts.
struct Doomed {
    path: FilePath,
    /// What to delete: the version that the first look showed, itself none if only unreadable pieces exist.
    seen: Option<Option<Version>>,
    /// Whether to delete that version alone, even if a server that may know of a newer one is down.
    alone: bool,
}

type Deletion = Pending<Doomed, Deleted>;

impl Doomed {
    /// The result, if a look decides it; `None` if there is something to delete. From the second look on, anything
    /// newer than at the first one is kept.
    fn look(&mut self, core: &Core, survey: &Survey) -> Option<Deleted> {
        let Some(seen) = self.seen else {
            self.seen = Some(survey.file_version());
            let not_found = || survey.unseen.not_found(core, survey.path.as_str());
            return (!survey.is_a_file()).then(|| Err(not_found()));
        };
        if survey.file_version() > seen {
            return Some(Err(ClientError::Replaced(self.path.clone())));
        }
        let is_deleted = survey.tombstone() > seen;
        let is_nowhere = !survey.is_a_file() && survey.all_answered();
        (is_deleted || is_nowhere).then(|| Ok(self.path.clone()))
    }

    /// The version that hides what to delete and nothing else; `None` if that is not known.
    fn successor(&self, survey: &Survey) -> Option<Version> {
        let all_is_seen = survey.all_answered() && survey.distrusted.is_empty();
        self.seen.flatten().filter(|_| self.alone || all_is_seen)?.successor()
    }
}

/// A tombstone with its seal.
struct Tombstone {
    header: Header,
    root: Bytes32,
    seal: Bytes32,
}

/// A name for which this attempt will make a tombstone.
struct Burial<'a> {
    name: &'a mut Deletion,
    tombstone: Tombstone,
    writer: Writer<Staging>,
    /// By server, the floors that were seen: for a tombstone that may be below them.
    floors: Option<Vec<u64>>,
}

/// A name, and its version when it was looked at; none if only unreadable pieces of it were found.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The name.
    pub path: FilePath,
    version: Option<Version>,
}

/// See [`Client::look`](crate::client::Client::look).
pub(crate) fn look(core: &mut Core, files: &[FilePath]) -> Vec<Seen> {
    core.cluster.refresh();
    let surveys = files.chunks(BATCH).flat_map(|batch| ask(core, batch)).collect::<Vec<_>>();
    surveys.into_iter().map(|survey| Seen { version: survey.file_version(), path: survey.path }).collect()
}

/// See [`Client::delete`](crate::client::Client::delete).
pub(crate) fn delete(core: &mut Core, files: &[FilePath]) -> Vec<Result<FilePath, ClientError>> {
    let doomed = |path: &FilePath| Doomed { path: path.clone(), seen: None, alone: false };
    delete_in_batches(core, files.iter().map(doomed).collect())
}

/// See [`Client::delete_seen`](crate::client::Client::delete_seen).
pub(crate) fn delete_seen(core: &mut Core, seen: &[Seen]) -> Vec<Result<FilePath, ClientError>> {
    let doomed =
        |Seen { path, version }: &Seen| Doomed { path: path.clone(), seen: Some(*version), alone: true };
    delete_in_batches(core, seen.iter().map(doomed).collect())
}

fn delete_in_batches(core: &mut Core, mut all: Vec<Doomed>) -> Vec<Deleted> {
    core.begin();
    core.report.begin(all.len(), 0);
    let mut results = Vec::with_capacity(all.len());
    let mut unseen = Unseen::default();
    while !all.is_empty() {
        let batch: Vec<Doomed> = all.drain(..all.len().min(BATCH)).collect();
        let done = batch.len() as u64;
        core.cluster.refresh();
        results.extend(delete_all(core, batch, &mut unseen));
        core.report.progress(Progress { done });
    }
    core.report.end();
    if results.iter().any(Result::is_ok) {
        unseen.warn_of_newer(core);
    }
    results
}

/// Deletes versions of files, and what is older; one result for each, in order. These are [`ClientError::Replaced`] if
/// there is a newer one, which is kept.
pub(super) fn delete_versions(
    core: &mut Core,
    versions: impl IntoIterator<Item = (FilePath, Version)>,
) -> Vec<Result<(), ClientError>> {
    let doomed =
        versions.into_iter().map(|(path, version)| Doomed { path, seen: Some(Some(version)), alone: true });
    let deleted = delete_all(core, doomed, &mut Unseen::default());
    deleted.into_iter().map(|result| result.map(drop)).collect()
}

fn delete_all(
    core: &mut Core,
    doomed: impl IntoIterator<Item = Doomed>,
    unseen: &mut Unseen,
) -> Vec<Deleted> {
    let contended = |_: &Core, doomed: Doomed| Err(ClientError::Contended(doomed.path));
    until_settled(core, doomed, ATTEMPTS, |core, names| attempt(core, names, unseen), contended)
}

/// Tries once; a name without a result is worth another attempt.
fn attempt(core: &mut Core, names: Vec<&mut Deletion>, unseen: &mut Unseen) {
    let paths: Vec<FilePath> = names.iter().map(|name| name.of.path.clone()).collect();
    let surveys = settle(core, &paths);
    if let Err(error) = core.require_server() {
        let mut error = Some(error);
        for name in names {
            let error = error.take().unwrap_or_else(|| ClientError::Undecided(name.of.path.clone()));
            name.result = Some(Err(error));
        }
        return;
    }
    let mut burials = Vec::new();
    for (name, survey) in names.into_iter().zip(&surveys) {
        unseen.add(&survey.unseen);
        name.result = name.of.look(core, survey);
        if name.result.is_some() {
            continue;
        }
        let up: Vec<usize> = core.cluster.up().collect();
        let writer = match name.of.successor(survey) {
            // The floor of a server that did not answer the look is not known.
            Some(version) => {
                let answered = up.into_iter().filter(|&server| survey.answers[server].is_some());
                Ok((Writer::at(version, answered.collect()), Some(survey.floors.clone())))
            }
            None => writer(core, survey, up).map(|writer| (writer, None)),
        };
        match writer {
            Ok((writer, floors)) => {
                let tombstone = tombstone(core, survey, &writer);
                burials.push(Burial { name, tombstone, writer, floors });
            }
            Err(error) => name.result = Some(Err(error)),
        }
    }
    bury(core, burials);
}

fn tombstone(core: &Core, survey: &Survey, writer: &Writer<Staging>) -> Tombstone {
    // The same as the file's, so that two clients that delete one version make the same tombstone.
    let of_file = survey.file_version().and_then(|version| survey.any_claim(version));
    let replicas = of_file.map(|claim| claim.header.replicas);
    let replicas = replicas.unwrap_or(u8::try_from(core.config.replicas).unwrap_or(u8::MAX));
    let (user, path) = (core.config.user.clone(), survey.path.clone());
    let header = Header::tombstone(user, path, writer.version(), replicas, core.key.check_value());
    let root = sha256(b"");
    let seal = core.key.seal(&header.encode(), &root);
    Tombstone { header, root, seal }
}

/// Stages and commits tombstones on every server that is up, and forgets those that all have.
fn bury(core: &mut Core, burials: Vec<Burial<'_>>) {
    let logins = core.cluster.logins();
    let staged = stage_tombstones(core, &burials);
    // A server that is up again can get the tombstone too, in another attempt.
    let is_lost = |(_, answer): &Staged| answer.is_lost();
    let is_back = staged.iter().flatten().any(is_lost) && !core.cluster.log_in_again().is_empty();
    // Any R servers outvote what the others remember.
    let least = placement::copies_wanted(core.config.replicas, core.cluster.up().count());
    let (mut ready, mut aborting) = (Vec::new(), Vec::new());
    for (Burial { name, tombstone, writer, floors }, answers) in burials.into_iter().zip(&staged) {
        let path = tombstone.header.path;
        // Something newer came, or the name was deleted or fenced since the look: what became of it?
        let is_late = floors.is_some() && answers.iter().any(|(_, answer)| is_behind(answer));
        let is_worth_another = is_back && answers.iter().any(is_lost);
        let writer =
            if is_late || is_worth_another { Err(writer.give_up()) } else { writer.staged(answers, least) };
        match writer {
            Ok(writer) => ready.push(Ready { of: (name, writer.version()), path, writer, logins }),
            Err(writer) => {
                name.result = why_not_staged(core, &path, answers);
                aborting.push((path, writer));
            }
        }
    }
    abort_all(core, &aborting);
    let committed = commit_all(core, ready);
    let tombstones = |is_everywhere: bool| {
        let chosen =
            committed.iter().filter(|(_, outcome)| outcome.may_forget(core.cluster.len()) == is_everywhere);
        chosen.map(|((name, version), _)| (name.of.path.clone(), *version)).collect::<Vec<_>>()
    };
    let (everywhere, mut in_doubt) = (tombstones(true), tombstones(false));
    // Best effort: Repair forgets what is left. No server forgets a tombstone if it has something newer.
    let answers = forget(core, &everywhere);
    let is_forgotten =
        |answers: &Vec<Answer<()>>| answers.iter().all(|answer| matches!(answer, Answer::Done(())));
    let kept = everywhere.into_iter().zip(answers).filter(|(_, answers)| !is_forgotten(answers));
    in_doubt.extend(kept.map(|(tombstone, _)| tombstone));
    let replaced = replaced(core, &in_doubt);
    for ((name, _), outcome) in committed {
        let path = name.of.path.clone();
        let is_newer = replaced.contains(&path);
        name.result = match outcome {
            // For the servers that is a success, and for this user's other sessions too.
            Outcome::Done { .. } | Outcome::Overtaken if is_newer => Some(Err(ClientError::Replaced(path))),
            Outcome::Done { committed, .. } => {
                let missed = |server: &usize| !committed.contains(server);
                let missing: Vec<ServerName> = (0..core.cluster.len())
                    .filter(missed)
                    .map(|server| core.cluster.name(server).clone())
                    .collect();
                if !missing.is_empty() {
                    core.report.notice(Notice::DeleteNotEverywhere { path: path.clone(), missing });
                }
                Some(Ok(path))
            }
            Outcome::Overtaken => Some(Ok(path)),
            Outcome::NeverHappened => None,
            Outcome::Undecided => Some(Err(ClientError::Undecided(path))),
        };
    }
}

/// The names under which there is a file newer than the tombstone: the tombstone's commit is acknowledged even then.
fn replaced(core: &mut Core, tombstones: &[(FilePath, Version)]) -> HashSet<FilePath> {
    let paths: Vec<FilePath> = tombstones.iter().map(|(path, _)| path.clone()).collect();
    let surveys = ask(core, &paths).into_iter().zip(tombstones);
    let newer = surveys.filter(|(survey, (_, of))| survey.file_version() > Some(*of));
    newer.map(|(survey, _)| survey.path).collect()
}

/// Stages tombstones: by tombstone, each server's answer.
fn stage_tombstones(core: &mut Core, burials: &[Burial<'_>]) -> Vec<Vec<Staged>> {
    let requests: Vec<(usize, (&Tombstone, Option<u64>))> = burials
        .iter()
        .flat_map(|burial| {
            let floor = |server: usize| burial.floors.as_ref().map(|floors| floors[server]);
            burial.writer.servers().iter().map(move |&s| (s, (&burial.tombstone, floor(s))))
        })
        .collect();
    let send = |peer: &mut Peer, (tombstone, restore): &(&Tombstone, Option<u64>)| {
        let header = Box::new(tombstone.header.clone());
        peer.send(&Request::Stage { header, length: 0, restore: *restore })?;
        peer.send_end(&tombstone.root, &tombstone.seal)
    };
    let answers = core.cluster.exchange(&requests, send, |peer, _| peer.receive_done());
    let mut answers = requests.iter().map(|(server, _)| *server).zip(answers);
    burials.iter().map(|burial| answers.by_ref().take(burial.writer.servers().len()).collect()).collect()
}

/// Why a tombstone was not staged, if that ends the delete.
fn why_not_staged(core: &Core, path: &FilePath, answers: &[Staged]) -> Option<Deleted> {
    if answers.iter().any(|(_, answer)| is_behind(answer)) {
        return None;
    }
    let refused = |(server, answer): &'_ Staged| Some((*server, answer.refusal()?.clone()));
    let refused: Vec<(usize, No)> = answers.iter().filter_map(refused).collect();
    if refused.iter().any(|(_, no)| no.refusal == Refusal::Rekeyed) {
        return Some(Err(ClientError::Rekeyed(path.clone())));
    }
    let reason = |(server, no): (usize, No)| (core.cluster.name(server).clone(), no.to_string());
    let reasons: Vec<(ServerName, String)> = refused.into_iter().map(reason).collect();
    // Servers were lost: the next attempt sees how many are left.
    (!reasons.is_empty()).then(|| Err(ClientError::NotTaken(path.clone(), reasons)))
}

/// Drops tombstones that every server has acknowledged: by tombstone, the answers of all servers.
pub(crate) fn forget(core: &mut Core, tombstones: &[(FilePath, Version)]) -> Vec<Vec<Answer<()>>> {
    let servers = core.cluster.len();
    let forget = |(path, version): &(FilePath, Version)| Request::Forget(path.clone(), *version);
    let requests: Vec<(usize, Request)> =
        tombstones.iter().flat_map(|t| (0..servers).map(move |s| (s, forget(t)))).collect();
    let mut answers = core.cluster.ask_all_again(&requests).into_iter();
    tombstones.iter().map(|_| answers.by_ref().take(servers).collect()).collect()
}

fn is_behind(answer: &Answer<()>) -> bool {
    answer.refusal().is_some_and(|no| no.refusal == Refusal::Behind)
}
