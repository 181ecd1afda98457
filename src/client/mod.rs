//! The client: the coordinator of uploads, downloads and listings. It prints nothing and reads no
//! arguments; the servers do not know each other, so all that must agree is decided here.

mod cluster;
mod delete;
mod download;
mod error;
mod fetch;
mod gather;
mod moving;
mod passwd;
mod repair;
mod report;
mod show;
mod sight;
mod source;
mod stage;
mod status;
mod survey;
mod target;
mod upload;
mod verify;
mod writing;

use std::collections::HashMap;
use std::sync::Arc;

pub use download::{Downloaded, Files, Found, Looked};
pub use error::{ClientError, DELETED_BEFORE, LaunchError, MissingPiece, OTHER_KEY_HINT};
pub use passwd::NotChanged;
pub use repair::{NotRepaired, RepairSummary, Repaired};
pub use report::{Doing, Notice, Phase, Progress, Report};
pub use show::{Health, Holding, Shown, ShownFile, ShownFolder};
pub use source::{Source, find};
pub use status::ServerStatus;
pub use upload::Uploaded;
pub use verify::{Problem, Share, Verified, Wrong};

use crate::config::Config;
use crate::name::{FilePath, ServerName, UserName};
use crate::sealed::MasterKey;
use cluster::Cluster;
use report::timed;

/// A client that is logged in to the servers that are up.
pub struct Client {
    config: Config,
    key: MasterKey,
    cluster: Cluster,
    report: Arc<dyn Report>,
    /// By name, the generation of the version that this command tried to write last.
    tried: HashMap<FilePath, u64>,
}

impl Client {
    /// Derives the user's key, and logs in to every server that can be reached. One that refuses the password is
    /// tried with `other`, the new one of a change that was cut off.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub fn launch(config: Config, other: Option<&str>, report: Arc<dyn Report>) -> Result<Self, LaunchError> {
        let (key, cluster) = std::thread::scope(|scope| {
            let key = scope.spawn(|| match &config.key {
                Some(key) => MasterKey::from_key(key),
                None => timed(&*report, Phase::MasterKey, || {
                    MasterKey::from_password(&config.user, &config.password)
                }),
            });
            let cluster = Cluster::connect(&config, other, &report);
            (key.join(), cluster)
        });
        // The derivation has no way to fail; should it panic, the panic goes on here.
        let key = key.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(Self { config, key, cluster: cluster?, report, tried: HashMap::new() })
    }

    /// Who is logged in.
    pub fn user(&self) -> &UserName {
        &self.config.user
    }

    /// The servers, each with why it is down if it is.
    pub fn servers(&self) -> Vec<(ServerName, Option<String>)> {
        (0..self.cluster.len()).map(|s| (self.cluster.name(s).clone(), self.cluster.why_down(s))).collect()
    }

    /// The password that the client logs in with.
    pub fn password(&self) -> &str {
        &self.config.password
    }

    /// Finds out why no server is left: where they have ended the connections, a login says why.
    pub fn find_reason(&mut self, error: ClientError) -> ClientError {
        let reasons = match error {
            ClientError::NoServer(reasons) => reasons,
            ClientError::Undecided(path) => return self.find_why_undecided(path),
            error => return error,
        };
        if !self.cluster.was_hung_up() {
            return ClientError::NoServer(reasons);
        }
        self.cluster.refresh(&*self.report);
        match self.require_server() {
            Ok(()) => ClientError::Ended(reasons),
            Err(ClientError::PasswordChanged) => ClientError::PasswordChanged,
            Err(_) => ClientError::NoServer(reasons),
        }
    }

    fn find_why_undecided(&mut self, path: FilePath) -> ClientError {
        if self.cluster.was_hung_up() {
            self.cluster.refresh(&*self.report);
        }
        match self.cluster.is_locked_out() {
            true => ClientError::UndecidedAtChange(path),
            false => ClientError::Undecided(path),
        }
    }

    fn no_server(&self) -> ClientError {
        if self.cluster.is_locked_out() {
            return ClientError::PasswordChanged;
        }
        let reasons = self.servers().into_iter().map(|(name, why)| (name, why.unwrap_or_default()));
        ClientError::NoServer(reasons.collect())
    }

    /// The servers that are up, for [`Client::require_still_up`].
    fn present(&self) -> Vec<usize> {
        self.cluster.up().collect()
    }

    /// That no server was lost since a command began. What one holds is not missing because it fell silent on
    /// the way: it would be copied elsewhere, or reported piece by piece.
    fn require_still_up(&self, present: &[usize]) -> Result<(), ClientError> {
        let why = |&server: &usize| Some((server, self.cluster.why_down(server)?));
        match present.iter().find_map(why) {
            None => Ok(()),
            Some((server, why)) => Err(ClientError::Lost(self.cluster.name(server).clone(), why)),
        }
    }

    fn require_server(&self) -> Result<(), ClientError> {
        if self.cluster.up().next().is_some() { Ok(()) } else { Err(self.no_server()) }
    }
}
