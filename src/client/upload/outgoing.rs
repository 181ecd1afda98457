//! A file that is being uploaded, over all attempts, and what came of it.

use super::local::Attributes;
use super::source::Source;
use crate::client::core::base::Core;
use crate::client::core::error::ClientError;
use crate::client::core::survey::Survey;
use crate::config::Config;
use crate::name::{FilePath, ServerName};
use crate::peer::No;
use crate::wire::Refusal;

/// How often a server may answer `behind` or `damaged` before it is excluded. Each attempt sends it up to two pieces.
const MAX_SUSPICIONS: usize = 6;

/// The result for one file.
#[derive(Debug)]
pub struct Uploaded {
    /// Where it is now.
    pub path: FilePath,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it was already stored, and nothing was sent.
    pub unchanged: bool,
}

/// One file of a batch, over all attempts.
pub(super) struct Outgoing {
    pub(super) source: Source,
    /// Servers that will not accept it, with the reason.
    pub(super) excluded: Vec<(usize, String)>,
    /// Servers that refused for a reason that another attempt may remove, once for each refusal.
    suspected: Vec<usize>,
    pub(super) attempts: usize,
    /// Whether the local file has grown since it was opened.
    pub(super) grew: bool,
}

impl Outgoing {
    pub(super) fn new(source: &Source) -> Self {
        Self { source: source.clone(), excluded: Vec::new(), suspected: Vec::new(), attempts: 0, grew: false }
    }

    pub(super) fn suspect(&mut self, server: usize, no: &No) {
        self.suspected.push(server);
        if self.suspected.iter().filter(|s| **s == server).count() > MAX_SUSPICIONS {
            self.exclude(server, no);
        }
    }

    pub(super) fn is_excluded(&self, server: usize) -> bool {
        self.excluded.iter().any(|(excluded, _)| *excluded == server)
    }

    pub(super) fn exclude(&mut self, server: usize, no: &No) {
        if !self.is_excluded(server) {
            self.excluded.push((server, no.to_string()));
        }
    }

    pub(super) fn not_taken(&self, core: &Core) -> Option<ClientError> {
        let reason = |(server, why): &(usize, String)| (core.cluster.name(*server).clone(), why.clone());
        let reasons: Vec<(ServerName, String)> = self.excluded.iter().map(reason).collect();
        (!reasons.is_empty()).then(|| ClientError::NotTaken(self.source.target.clone(), reasons))
    }
}

/// Whether a refusal is about the server, and not about the version.
pub(super) fn has_no_room(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::DiskFull | Refusal::DiskError | Refusal::Busy | Refusal::Ahead)
}

/// The size of the local file, if the stored one is of the same kind, size, time and mode, and has all its copies.
pub(super) fn unchanged(core: &Core, source: &Source, survey: &Survey) -> Option<u64> {
    let version = survey.file_version()?;
    let stored = &survey.any_claim(version)?.header;
    let local = Attributes::now(source)?;
    let (Config { scheme, replicas, .. }, servers) = (&core.config, core.cluster.len());
    // What a server that is down holds need not be stored again: Repair is for one that does not come back.
    let away = servers - core.cluster.up().count();
    let is_safe = scheme.is_safe(&survey.held(version), *replicas, servers, away);
    let is_whole = *scheme == stored.scheme && is_safe;
    (is_whole && Attributes::from(stored) == local).then_some(local.size)
}
