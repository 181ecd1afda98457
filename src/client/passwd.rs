//! Passwd: a new password for the login on every server, and for the keys in every header.
//!
//! The order keeps every step repeatable: first all is brought in order under the old password, then
//! each file gets a header under the new one, then the servers learn the new verifier. Interrupted,
//! it is run again with the same new password and goes on where it stopped.

use super::Client;
use super::error::ClientError;
use super::repair::Repaired;
use super::report::Progress;
use crate::auth::{DEFAULT_ITERATIONS, Verifier};
use crate::name::{FilePath, FolderPath, ServerName};
use crate::primitives;
use crate::sealed::MasterKey;

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

    /// Changes the user's password on every server and in every header; the data is not touched. The
    /// .conf is the caller's to rewrite, afterwards.
    ///
    /// # Errors
    /// If a server is down, a file cannot be repaired first, or a server fails. Files that are under
    /// the new password already are then unreadable with the old one until this is run again.
    pub fn change_password(&mut self, password: &str) -> Result<(), ClientError> {
        self.cluster.refresh(&*self.report);
        // A run that was cut off has given some servers the new password already.
        self.cluster.log_in_with(password);
        self.require_every_server()?;
        if self.config.key.is_none() {
            let new_key = MasterKey::from_password(&self.config.user, password);
            self.rewrap_everything(&new_key)?;
            self.key = new_key;
        }
        self.require_every_server()?;
        // This client itself must accept them at its next login.
        let iterations = DEFAULT_ITERATIONS.max(self.config.min_iterations);
        for server in 0..self.cluster.len() {
            let salt = primitives::random::<16>().map_err(ClientError::Random)?;
            let verifier = Verifier::derive(password, &salt, iterations);
            let block = primitives::random::<16>().map_err(ClientError::Random)?;
            let answer = self.cluster.exchange_with(
                &[(server, ())],
                &*self.report,
                |peer, ()| peer.send_verifier(&verifier, &block),
                |peer, ()| peer.receive_done(),
            );
            if !matches!(answer[..], [Some(Ok(()))]) {
                return Err(ClientError::PasswordNotEverywhere(self.cluster.name(server).clone()));
            }
        }
        self.cluster.set_password(password);
        Ok(())
    }

    fn require_every_server(&self) -> Result<(), ClientError> {
        let down: Vec<_> = self.servers().into_iter().filter_map(|(name, why)| Some((name, why?))).collect();
        needs_every_server(down)
    }

    fn rewrap_everything(&mut self, new_key: &MasterKey) -> Result<(), ClientError> {
        // Deletes must be done with, and copies be whole, while their seals can still be checked.
        let mut failure = None;
        self.repair_with(&FolderPath::root(), new_key, |step| {
            if let Repaired::Failed { path, why } = step {
                failure.get_or_insert_with(|| ClientError::NotInOrder(path.clone(), why.to_string()));
            }
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        let names = self.names(&FolderPath::root(), true)?;
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
        // the version under the old key, which would else be taken for the newest.
        let rewrapped = self.cluster.survey(paths, &self.config.user, new_key, &*self.report);
        if rewrapped.iter().any(|s| s.file_version().is_some_and(|v| s.is_complete(v))) {
            return Ok(());
        }
        let surveys = self.cluster.survey(paths, &self.config.user, &self.key, &*self.report);
        let [survey] = &surveys[..] else { return Err(self.no_server()) };
        if survey.tombstone().is_some() {
            return Ok(());
        }
        let version = self.whole_version(survey)?;
        self.copy_under(survey, version, survey, new_key)
    }

    /// Whether a file was made under another key already, by a run that was interrupted.
    pub(super) fn is_under(&mut self, path: &FilePath, key: &MasterKey) -> bool {
        let surveys = self.cluster.ask(std::slice::from_ref(path), &self.config.user, key, &*self.report);
        surveys.iter().all(|s| s.file_version().is_some_and(|v| s.is_complete(v)))
    }
}

fn needs_every_server(down: Vec<(ServerName, String)>) -> Result<(), ClientError> {
    if down.is_empty() { Ok(()) } else { Err(ClientError::NeedsEveryServer(down)) }
}
