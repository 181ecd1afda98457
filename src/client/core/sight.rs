//! What a command did not see: whatever is held only by servers that did not report what they hold.

use std::collections::BTreeMap;

use super::base::Core;
use super::error::ClientError;
use super::report::Notice;
use crate::name::ServerName;
use crate::placement;

/// Servers that did not report what they hold, by number, each with the reason.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unseen(BTreeMap<usize, String>);

impl Unseen {
    pub(crate) fn note(&mut self, server: usize, why: String) {
        self.0.entry(server).or_insert(why);
    }

    /// Adds what another request did not see.
    pub(crate) fn add(&mut self, other: &Unseen) {
        other.0.iter().for_each(|(server, why)| self.note(*server, why.clone()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn why(&self, server: usize) -> Option<&str> {
        self.0.get(&server).map(String::as_str)
    }

    /// The servers that were not seen, each with the reason, if they are so many that they alone may know of something;
    /// otherwise none.
    pub(crate) fn out_of_sight(&self, core: &Core) -> Vec<(ServerName, String)> {
        if !placement::out_of_sight(core.config.replicas, core.cluster.len(), self.0.len()) {
            return Vec::new();
        }
        self.0.iter().map(|(&server, why)| (core.cluster.name(server).clone(), why.clone())).collect()
    }

    /// What to report about a name that no server showed: that it does not exist, only if nothing is out of sight.
    pub(crate) fn not_found(&self, core: &Core, name: &str) -> ClientError {
        match self.out_of_sight(core) {
            nobody if nobody.is_empty() => ClientError::NotFound(name.to_owned()),
            servers => ClientError::OutOfSight(name.to_owned(), servers),
        }
    }

    /// Warns that what was used may not be the newest version.
    pub(crate) fn warn_of_newer(&self, core: &Core) {
        let unseen = self.out_of_sight(core);
        if !unseen.is_empty() {
            let unseen = unseen.into_iter().map(|(server, _)| server).collect();
            core.report.notice(Notice::NewerUnseen { unseen });
        }
    }
}
