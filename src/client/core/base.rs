//! What a command works with: the connections, the user's key, and a place to report to.

use std::collections::HashMap;
use std::sync::Arc;

use super::cluster::Cluster;
use super::error::{ClientError, LaunchError};
use super::report::{Phase, Report, timed};
use crate::config::Config;
use crate::descriptors;
use crate::name::{FilePath, ServerName};
use crate::sealed::MasterKey;

/// Files of which something is transferred at the same time, if the limit on open files allows it: one round trip serves
/// them all.
const BATCH_FILES: usize = 128;
/// Descriptors reserved for what is not transferred: standard input and outputs, the journal's lock, folders that are
/// being read, and those that this process was started with.
const RESERVED_DESCRIPTORS: usize = 20;

/// What every command works with.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) key: MasterKey,
    pub(crate) cluster: Cluster,
    pub(crate) report: Arc<dyn Report>,
    /// By name, the generation of the version that the last command with that name tried to write.
    pub(super) tried: HashMap<FilePath, u64>,
}

impl Core {
    /// See [`Client::launch`](crate::client::Client::launch).
    pub(crate) fn launch(
        config: Config,
        other: Option<&str>,
        report: Arc<dyn Report>,
    ) -> Result<Self, LaunchError> {
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
        // The derivation cannot fail; if it panics, the panic continues here.
        let key = key.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(Self { config, key, cluster: cluster?, report, tried: HashMap::new() })
    }

    /// How many files may be transferred together, if each needs so many descriptors here.
    pub(crate) fn batch_files(&self, descriptors: usize) -> usize {
        let left = |limit: usize| limit.saturating_sub(RESERVED_DESCRIPTORS + self.cluster.len());
        descriptors::limit().map_or(BATCH_FILES, |limit| left(limit) / descriptors).clamp(1, BATCH_FILES)
    }

    /// Before a command that writes versions.
    pub(crate) fn begin(&mut self) {
        self.cluster.refresh();
        self.tried.clear();
    }

    /// The servers, each with why it is down if it is.
    pub(crate) fn servers(&self) -> Vec<(ServerName, Option<String>)> {
        (0..self.cluster.len()).map(|s| (self.cluster.name(s).clone(), self.cluster.why_down(s))).collect()
    }

    /// Does some work without reporting servers that are lost or back during it.
    pub(crate) fn quietly<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let was_quiet = self.cluster.set_quiet(true);
        let done = work(self);
        self.cluster.set_quiet(was_quiet);
        done
    }

    /// Finds out why no server is left: if the servers have ended the connections, a login says why.
    pub(crate) fn find_reason(&mut self, error: ClientError) -> ClientError {
        if !matches!(error, ClientError::NoServer(_) | ClientError::Undecided(_)) {
            return error;
        }
        let was_hung_up = self.cluster.was_hung_up();
        if was_hung_up {
            self.cluster.refresh();
        }
        match (error, self.require_server()) {
            (ClientError::Undecided(path), Err(ClientError::PasswordChanged)) => {
                ClientError::UndecidedAtChange(path)
            }
            (ClientError::NoServer(reasons), Ok(())) if was_hung_up => ClientError::Ended(reasons),
            (ClientError::NoServer(_), Err(ClientError::PasswordChanged)) if was_hung_up => {
                ClientError::PasswordChanged
            }
            (error, _) => error,
        }
    }

    pub(crate) fn no_server(&self) -> ClientError {
        match self.cluster.is_locked_out() {
            true => ClientError::PasswordChanged,
            false => ClientError::NoServer(self.cluster.down()),
        }
    }

    pub(crate) fn require_server(&self) -> Result<(), ClientError> {
        if self.cluster.up().next().is_some() { Ok(()) } else { Err(self.no_server()) }
    }

    pub(crate) fn require_every_server(&self) -> Result<(), ClientError> {
        match self.cluster.down() {
            down if down.is_empty() => Ok(()),
            down => Err(ClientError::NeedsEveryServer(down)),
        }
    }

    /// That none of these servers was lost since a command began. What one holds is not missing just because it stopped
    /// answering: it would be copied elsewhere, or reported piece by piece.
    pub(crate) fn require_still_up(&self, present: &[usize]) -> Result<(), ClientError> {
        let why = |&server: &usize| Some((server, self.cluster.why_down(server)?));
        match present.iter().find_map(why) {
            None => Ok(()),
            Some((server, why)) => Err(ClientError::Lost(self.cluster.name(server).clone(), why)),
        }
    }
}
