//! What a command did not see: whatever only those servers hold that did not say what they hold.

use std::collections::BTreeMap;

use super::Client;
use super::error::ClientError;
use super::report::Notice;
use crate::name::ServerName;
use crate::placement;

/// Servers that did not say what they hold, by number, each with the reason.
#[derive(Debug, Clone, Default)]
pub(super) struct Unseen(BTreeMap<usize, String>);

impl Unseen {
    pub(super) fn note(&mut self, server: usize, why: String) {
        self.0.entry(server).or_insert(why);
    }

    /// Takes over what another question did not see.
    pub(super) fn add(&mut self, other: &Unseen) {
        other.0.iter().for_each(|(server, why)| self.note(*server, why.clone()));
    }

    pub(super) fn why(&self, server: usize) -> Option<&str> {
        self.0.get(&server).map(String::as_str)
    }
}

impl Client {
    /// The servers that were not seen, each with the reason, if they are so many that something may be known to them
    /// alone; otherwise none.
    pub(super) fn out_of_sight(&self, unseen: &Unseen) -> Vec<(ServerName, String)> {
        if !placement::out_of_sight(self.config.replicas, self.cluster.len(), unseen.0.len()) {
            return Vec::new();
        }
        unseen.0.iter().map(|(&server, why)| (self.cluster.name(server).clone(), why.clone())).collect()
    }

    /// What to say of a name that no server showed: only if nothing is out of sight, that it does not exist.
    pub(super) fn not_found(&self, name: &str, unseen: &Unseen) -> ClientError {
        match self.out_of_sight(unseen) {
            nobody if nobody.is_empty() => ClientError::NotFound(name.to_owned()),
            servers => ClientError::OutOfSight(name.to_owned(), servers),
        }
    }

    /// Warns that what was used may not be the newest version.
    pub(super) fn warn_of_newer(&self, unseen: &Unseen) {
        let unseen = self.out_of_sight(unseen);
        if !unseen.is_empty() {
            let unseen = unseen.into_iter().map(|(server, _)| server).collect();
            self.report.notice(Notice::NewerUnseen { unseen });
        }
    }
}
