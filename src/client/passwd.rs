//! Passwd: a new password for the login on every server, and for the keys in every header.
//!
//! First every server is told which key is retired, so that from then on nobody else makes anything under it, and
//! all that was made is there to be seen. Then all is brought in order under the old key, each file gets a header
//! under the new one, and last the servers learn the new verifier. Each step can be repeated: interrupted, it goes
//! on where it stopped, as long as the new password is known. To keep that is the caller's, before the first step.

use super::Client;
use super::error::ClientError;
use super::moving::NotCopied;
use super::repair::{NotRepaired, Repaired};
use super::report::{Notice, Progress};
use super::sight::Unseen;
use super::survey::Survey;
use super::verify::BATCH;
use crate::auth::{DEFAULT_ITERATIONS, Verifier};
use crate::commit::KeyChange;
use crate::name::{FilePath, FolderPath, ServerName};
use crate::peer::{No, Peer};
use crate::primitives;
use crate::sealed::MasterKey;
use crate::wire::{Refusal, Request};

/// Why a password was not changed, or not everywhere.
#[derive(Debug)]
pub struct NotChanged {
    /// What went wrong.
    pub error: ClientError,
    /// Whether a server may know of the change. Then the new password must not be lost: with it, the change can
    /// be gone on with.
    pub begun: bool,
}

/// How far a change has come.
struct Done {
    /// Servers that know which key is retired.
    told: Vec<usize>,
    /// How many logins there had been before the first was told.
    logins: u64,
    /// Whether something may be under the new key, or a server may know of the change that does not answer: from
    /// then on it can only be gone on with.
    begun: bool,
}

impl Client {
    /// Whether the password can be changed now; nothing is.
    ///
    /// # Errors
    /// If a server is down. One that refuses the present password may have the new one already, from a
    /// run that was cut off.
    pub fn can_change_password(&mut self) -> Result<(), ClientError> {
        self.cluster.refresh(&*self.report);
        let down = (0..self.cluster.len()).filter(|&server| !self.cluster.is_denied(server));
        let down = down
            .filter_map(|server| Some((self.cluster.name(server).clone(), self.cluster.why_down(server)?)));
        needs_every_server(down.collect())
    }

    /// Whether a change to this password, which was cut off, can be ended now.
    ///
    /// # Errors
    /// If a server is down.
    pub fn can_go_on_with(&mut self, password: &str) -> Result<(), ClientError> {
        self.cluster.try_also(password);
        self.cluster.refresh(&*self.report);
        let all_up = self.require_every_server();
        if all_up.is_err() {
            self.adopt(password);
        }
        all_up
    }

    /// Where a server has the new password already, every header is under the new key, and so is all that this
    /// client does from now on.
    fn adopt(&mut self, password: &str) {
        if self.cluster.has_other_password() && self.config.key.is_none() {
            self.key = MasterKey::from_password(&self.config.user, password);
        }
    }

    /// Changes the user's password on every server and in every header; the data is not touched. The
    /// .conf is the caller's to rewrite, afterwards. `again` says that an earlier run was cut off, which may have
    /// done any part of it.
    ///
    /// After a failure this client alone can still store files under the old key: the next run sees them.
    ///
    /// # Errors
    /// If a server is down, a file cannot be repaired first, or a server refuses or fails. Files that are under
    /// the new password already are then unreadable with the old one until this is run again.
    pub fn change_password(&mut self, password: &str, again: bool) -> Result<(), NotChanged> {
        // Some servers may have the new password already.
        self.cluster.try_also(password);
        self.cluster.refresh(&*self.report);
        let new_key = match self.config.key {
            None => MasterKey::from_password(&self.config.user, password),
            // It stays the source of all keys.
            Some(_) => self.key.clone(),
        };
        let change = KeyChange { retired: self.key.check_value(), current: new_key.check_value() };
        let begun = again || self.cluster.has_other_password();
        let mut done = Done { told: Vec::new(), logins: self.cluster.logins(), begun };
        match self.change(password, change, &new_key, &mut done) {
            Ok(()) => {
                self.cluster.set_password(password);
                self.config.password = password.to_owned().into();
                Ok(())
            }
            Err(error) => {
                let begun = done.begun || !self.take_back(change, &new_key, &done);
                self.adopt(password);
                Err(NotChanged { error, begun })
            }
        }
    }

    fn change(
        &mut self,
        password: &str,
        change: KeyChange,
        new_key: &MasterKey,
        done: &mut Done,
    ) -> Result<(), ClientError> {
        self.require_every_server()?;
        if self.config.key.is_none() && change.retired == change.current {
            // It may take a change back that was begun elsewhere. What is under its new key would be lost: the next
            // change would retire the old key for a third one.
            self.require_no_other_key()?;
        }
        done.logins = self.cluster.logins();
        self.rekey(change, done)?;
        if self.config.key.is_none() {
            self.rewrap_everything(new_key, done)?;
        }
        self.require_every_server()?;
        if self.cluster.logins() != done.logins {
            // The new connection's server may have forgotten what it was told, with its disk.
            return Err(ClientError::Interrupted);
        }
        self.key = new_key.clone();
        done.begun = true;
        (0..self.cluster.len()).try_for_each(|server| self.send_verifier(server, password))
    }

    /// Tells every server which key is retired. In the order of their names, which is the same for all clients: of
    /// two that want different keys one is then refused by the first.
    fn rekey(&mut self, change: KeyChange, done: &mut Done) -> Result<(), ClientError> {
        let mut order: Vec<usize> = (0..self.cluster.len()).collect();
        order.sort_by_key(|&server| self.cluster.name(server).as_str().to_ascii_lowercase());
        for server in order {
            let name = self.cluster.name(server).clone();
            match self.ask_one(server, Request::Rekey(change)) {
                Some(Ok(())) => done.told.push(server),
                Some(Err(No { refusal: Refusal::Rekeyed, .. })) => {
                    return Err(ClientError::OtherChange(name));
                }
                Some(Err(no)) => return Err(ClientError::CannotChange(name, no.to_string())),
                None => {
                    // It may have heard it.
                    done.begun = true;
                    return Err(ClientError::NeedsEveryServer(self.down()));
                }
            }
        }
        Ok(())
    }

    /// Takes back what servers were told; whether no server knows of the change then, and nothing is under the new
    /// key. That can be there without a doing of this client: another one may have begun the same change.
    fn take_back(&mut self, change: KeyChange, new_key: &MasterKey, done: &Done) -> bool {
        let is_under_new =
            if change.retired == change.current { Ok(false) } else { self.is_anything_under(new_key) };
        match is_under_new {
            Ok(true) => false,
            // Behind a new connection another client may have taken the change over.
            Ok(false) if self.cluster.logins() == done.logins => {
                let back = Request::Rekey(KeyChange { current: change.retired, ..change });
                done.told.iter().all(|&server| matches!(self.ask_one(server, back.clone()), Some(Ok(()))))
            }
            _ => done.told.is_empty(),
        }
    }

    /// Whether anything was decided under a key.
    ///
    /// # Errors
    /// If not every server has said all that it has.
    fn is_anything_under(&mut self, key: &MasterKey) -> Result<bool, ClientError> {
        let surveys = self.survey_everything(key, |survey| survey.view().decided.is_some())?;
        Ok(surveys > 0)
    }

    fn require_no_other_key(&mut self) -> Result<(), ClientError> {
        let key = self.key.clone();
        match self.survey_everything(&key, Survey::has_other_keys)? {
            0 => Ok(()),
            files => Err(ClientError::UnderOtherPassword(files)),
        }
    }

    /// Of how many names something holds, as seen with a key.
    fn survey_everything(
        &mut self,
        key: &MasterKey,
        holds: impl Fn(&Survey) -> bool,
    ) -> Result<usize, ClientError> {
        let names = self.names(&FolderPath::root(), true, &mut Unseen::default())?;
        let mut count = 0;
        for batch in names.chunks(BATCH) {
            let surveys = self.cluster.ask(batch, &self.config.user, key, &*self.report);
            if surveys.iter().any(|survey| survey.answers.iter().any(Option::is_none)) {
                self.require_every_server()?;
                return Err(ClientError::NotListed(FolderPath::root()));
            }
            count += surveys.iter().filter(|survey| holds(survey)).count();
        }
        self.require_every_server()?;
        Ok(count)
    }

    fn send_verifier(&mut self, server: usize, password: &str) -> Result<(), ClientError> {
        let salt = primitives::random::<16>().map_err(ClientError::Random)?;
        // This client itself must accept them at its next login.
        let iterations = DEFAULT_ITERATIONS.max(self.config.min_iterations);
        let verifier = Verifier::derive(password, &salt, iterations);
        let block = primitives::random::<16>().map_err(ClientError::Random)?;
        let answer = self.cluster.exchange_with(
            &[(server, ())],
            &*self.report,
            |peer, ()| peer.send_verifier(&verifier, &block),
            |peer, ()| peer.receive_done(),
        );
        let why = match answer.into_iter().next().flatten() {
            Some(Ok(())) => return Ok(()),
            Some(Err(no)) => no.to_string(),
            None => self.cluster.why_down(server).unwrap_or_default(),
        };
        Err(ClientError::PasswordNotEverywhere(self.cluster.name(server).clone(), why))
    }

    fn ask_one(&mut self, server: usize, request: Request) -> Option<Result<(), No>> {
        let answers = self.cluster.exchange(&[(server, request)], &*self.report, Peer::receive_done);
        answers.into_iter().next().flatten()
    }

    fn down(&self) -> Vec<(ServerName, String)> {
        self.servers().into_iter().filter_map(|(name, why)| Some((name, why?))).collect()
    }

    fn require_every_server(&self) -> Result<(), ClientError> {
        needs_every_server(self.down())
    }

    fn rewrap_everything(&mut self, new_key: &MasterKey, done: &mut Done) -> Result<(), ClientError> {
        // Deletes must be done with, and copies be whole, while their seals can still be checked.
        let mut failure = None;
        self.repair_with(&FolderPath::root(), new_key, |step| match step {
            // Nothing of it can be read now, and nothing of it is changed: see `rewrap`.
            Repaired::Failed { why: NotRepaired::OtherKey, .. } => {}
            Repaired::Failed { path, why } => {
                failure.get_or_insert_with(|| ClientError::NotInOrder(path.clone(), why.to_string()));
            }
            _ => {}
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        let names = self.names(&FolderPath::root(), true, &mut Unseen::default())?;
        self.report.expect(names.len());
        self.report.begin(names.len(), 0);
        for path in names {
            self.rewrap(&path, new_key, done)?;
            self.report.progress(Progress { done: 1 });
        }
        self.report.end();
        Ok(())
    }

    fn rewrap(&mut self, path: &FilePath, new_key: &MasterKey, done: &mut Done) -> Result<(), ClientError> {
        let paths = std::slice::from_ref(path);
        // First under the new key: that rolls forward what a run that was cut off has half done, and drops
        // the version under the old key, which would otherwise be taken for the newest.
        let mut surveys = self.cluster.survey(paths, &self.config.user, new_key, &*self.report);
        // What one server alone says must not pass for done: afterwards nobody could open the old version.
        self.prove(&mut surveys, new_key, &[], |_, _| true);
        surveys.extend(self.survey_to_read(paths, &self.key.clone()));
        // What is not seen of a server that has just fallen away might be the newest.
        self.require_every_server()?;
        let [rewrapped, survey] = &surveys[..] else { return Err(self.no_server()) };
        if rewrapped.view().decided.is_some() {
            done.begun = true;
        }
        let is_done = is_newest(rewrapped, survey) && rewrapped.to_prove().is_none();
        if is_done || survey.tombstone().is_some() || !survey.is_a_file() {
            return Ok(());
        }
        if survey.only_other_keys() {
            return match rewrapped.file_version() {
                Some(_) => self.whole_version(rewrapped).map(drop),
                // It came while the change to it was taken back.
                None if self.key.check_value() == new_key.check_value() => {
                    Err(ClientError::UnderOtherPassword(1))
                }
                None => {
                    self.report.notice(Notice::OtherKeyKept { path: path.clone() });
                    Ok(())
                }
            };
        }
        let version = self.whole_version(survey)?;
        done.begun = true;
        let copied = self.copy_under(survey, version, survey, new_key).map_err(|why| match why {
            NotCopied::Refused(reasons) => ClientError::NotRewrapped(path.clone(), reasons),
            NotCopied::Conflict => ClientError::Conflict(path.clone()),
            NotCopied::Rekeyed => ClientError::Rekeyed(path.clone()),
            NotCopied::Contended => ClientError::Contended(path.clone()),
            NotCopied::Undecided => ClientError::NotRewrapped(path.clone(), self.down()),
            NotCopied::Other(error) => error,
        })?;
        if copied.missing.is_empty() {
            return Ok(());
        }
        Err(ClientError::NotRewrapped(path.clone(), self.why_missing(&copied.missing)))
    }

    /// The files that were not made under another key already, by a run that was interrupted.
    pub(super) fn not_under(&mut self, names: &[FilePath], key: &MasterKey) -> Vec<FilePath> {
        let mut left = Vec::new();
        for batch in names.chunks(BATCH) {
            let under = self.cluster.ask(batch, &self.config.user, key, &*self.report);
            if under.iter().all(|survey| survey.file_version().is_none()) {
                left.extend_from_slice(batch);
                continue;
            }
            let surveys = self.cluster.ask(batch, &self.config.user, &self.key, &*self.report);
            let both = batch.iter().zip(under.iter().zip(&surveys));
            left.extend(
                both.filter(|(_, (under, survey))| !is_newest(under, survey)).map(|(path, _)| path.clone()),
            );
        }
        left
    }
}

/// Whether a file is whole under one key, and nothing newer was decided under the other. That can be where a
/// change was taken back and is made again.
fn is_newest(under_one: &Survey, under_other: &Survey) -> bool {
    let newest = under_one.file_version().filter(|&version| under_one.is_complete(version));
    newest.is_some() && newest >= under_other.view().decided
}

fn needs_every_server(down: Vec<(ServerName, String)>) -> Result<(), ClientError> {
    if down.is_empty() { Ok(()) } else { Err(ClientError::NeedsEveryServer(down)) }
}
