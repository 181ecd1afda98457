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

    /// Whether a change to this password, which was cut off, can be ended now. Where it cannot, and a server has
    /// the new password already, so has every header, and this client works under the new key from now on.
    ///
    /// # Errors
    /// If a server is down.
    pub fn can_go_on_with(&mut self, password: &str) -> Result<(), ClientError> {
        self.cluster.try_also(password);
        self.cluster.refresh(&*self.report);
        let all_up = self.require_every_server();
        if all_up.is_err() && self.cluster.has_other_password() && self.config.key.is_none() {
            self.key = MasterKey::from_password(&self.config.user, password);
        }
        all_up
    }

    /// Changes the user's password on every server and in every header; the data is not touched. The
    /// .conf is the caller's to rewrite, afterwards.
    ///
    /// # Errors
    /// If a server is down, a file cannot be repaired first, or a server refuses or fails. Files that are under
    /// the new password already are then unreadable with the old one until this is run again.
    pub fn change_password(&mut self, password: &str) -> Result<(), NotChanged> {
        // A run that was cut off may have given some servers the new password already.
        self.cluster.try_also(password);
        self.cluster.refresh(&*self.report);
        let mut begun = self.cluster.has_other_password();
        let changed = self.change(password, &mut begun);
        match changed {
            Ok(()) => {
                self.cluster.set_password(password);
                self.config.password = password.to_owned().into();
                Ok(())
            }
            Err(error) => {
                if begun {
                    // On these connections the servers would still take what is made under the old key.
                    self.cluster.hang_up();
                }
                Err(NotChanged { error, begun })
            }
        }
    }

    fn change(&mut self, password: &str, begun: &mut bool) -> Result<(), ClientError> {
        self.require_every_server()?;
        let new_key = match self.config.key {
            None => MasterKey::from_password(&self.config.user, password),
            // It stays the source of all keys.
            Some(_) => self.key.clone(),
        };
        let retired = self.key.check_value();
        let logins = self.cluster.logins();
        self.rekey(KeyChange { retired, current: new_key.check_value() }, begun)?;
        if self.config.key.is_none() {
            self.rewrap_everything(&new_key)?;
        }
        self.require_every_server()?;
        if self.cluster.logins() != logins {
            // The new connection's server may have forgotten what it was told, with its disk.
            return Err(ClientError::Interrupted);
        }
        self.key = new_key;
        *begun = true;
        (0..self.cluster.len()).try_for_each(|server| self.send_verifier(server, password))
    }

    /// Tells every server which key is retired, or takes it back where one refuses. In the order of their names, which
    /// is the same for all clients: of two that want different keys one is then refused by the first.
    fn rekey(&mut self, change: KeyChange, begun: &mut bool) -> Result<(), ClientError> {
        let mut order: Vec<usize> = (0..self.cluster.len()).collect();
        order.sort_by_key(|&server| self.cluster.name(server).as_str().to_ascii_lowercase());
        let was_begun = *begun;
        for (told, &server) in order.iter().enumerate() {
            match self.ask_one(server, Request::Rekey(change)) {
                Some(Ok(())) => *begun = true,
                Some(Err(no)) => {
                    let back = KeyChange { current: change.retired, ..change };
                    let taken_back = order[..told]
                        .iter()
                        .all(|&s| matches!(self.ask_one(s, Request::Rekey(back)), Some(Ok(()))));
                    *begun = was_begun || !taken_back;
                    return Err(self.why_not_rekeyed(server, no));
                }
                None => {
                    *begun = true;
                    return Err(ClientError::NeedsEveryServer(self.down()));
                }
            }
        }
        Ok(())
    }

    fn why_not_rekeyed(&self, server: usize, no: No) -> ClientError {
        let name = self.cluster.name(server).clone();
        match no.refusal {
            Refusal::Rekeyed => ClientError::OtherChange(name),
            _ => ClientError::CannotChange(name, no.to_string()),
        }
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

    fn rewrap_everything(&mut self, new_key: &MasterKey) -> Result<(), ClientError> {
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
            self.rewrap(&path, new_key)?;
            self.report.progress(Progress { done: 1 });
        }
        self.report.end();
        Ok(())
    }

    fn rewrap(&mut self, path: &FilePath, new_key: &MasterKey) -> Result<(), ClientError> {
        let paths = std::slice::from_ref(path);
        // First under the new key: that rolls forward what a run that was cut off has half done, and drops
        // the version under the old key, which would otherwise be taken for the newest.
        let mut surveys = self.cluster.survey(paths, &self.config.user, new_key, &*self.report);
        surveys.extend(self.cluster.survey(paths, &self.config.user, &self.key, &*self.report));
        // What is not seen of a server that has just fallen away might be the newest.
        self.require_every_server()?;
        let [rewrapped, survey] = &surveys[..] else { return Err(self.no_server()) };
        if is_newest(rewrapped, survey) || survey.tombstone().is_some() || !survey.is_a_file() {
            return Ok(());
        }
        if survey.only_other_keys() {
            return match rewrapped.file_version() {
                Some(_) => self.whole_version(rewrapped).map(drop),
                None => {
                    self.report.notice(Notice::OtherKeyKept { path: path.clone() });
                    Ok(())
                }
            };
        }
        let version = self.whole_version(survey)?;
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

    /// Whether a file was made under another key already, by a run that was interrupted.
    pub(super) fn is_under(&mut self, path: &FilePath, key: &MasterKey) -> bool {
        let paths = std::slice::from_ref(path);
        let mut surveys = self.cluster.ask(paths, &self.config.user, key, &*self.report);
        surveys.extend(self.cluster.ask(paths, &self.config.user, &self.key, &*self.report));
        matches!(&surveys[..], [under, survey] if is_newest(under, survey))
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
