//! Move: a new name for the same bytes. Each holder copies its own pieces under a new header; then
//! the old name is deleted. Whatever is interrupted, the file is under one of the names, or both.

use std::collections::BTreeSet;

use super::Client;
use super::error::ClientError;
use super::report::Notice;
use super::survey::Survey;
use crate::name::FilePath;
use crate::peer::Peer;
use crate::placement;
use crate::primitives;
use crate::sealed::{Header, MasterKey};
use crate::version::Version;
use crate::wire::Request;

impl Client {
    /// Renames a file. A name that there is already is never replaced.
    ///
    /// # Errors
    /// If `old` is not there or incomplete, if `new` is there, or if the servers fail.
    pub fn rename(&mut self, old: &FilePath, new: &FilePath) -> Result<(), ClientError> {
        self.cluster.refresh(&*self.report);
        let paths = [old.clone(), new.clone()];
        let surveys = self.cluster.survey(&paths, &self.config.user, &self.key, &*self.report);
        self.require_server()?;
        let [from, to] = &surveys[..] else { return Err(self.no_server()) };
        if to.is_a_file() {
            return Err(ClientError::Exists(new.clone()));
        }
        let version = self.whole_version(from)?;
        let target = self.next_version(to)?;
        let copies = self.copy_under(from, version, new, target, &self.key.clone())?;
        if copies < self.config.replicas {
            let (path, wanted) = (new.clone(), self.config.replicas);
            self.report.notice(Notice::FewerCopies { path, copies, wanted });
        }
        self.delete(std::slice::from_ref(old)).into_iter().try_for_each(|result| result.map(drop))
    }

    /// Stages and commits every copy of a version under another name or key; gives the copies of the
    /// rarest piece.
    pub(super) fn copy_under(
        &mut self,
        from: &Survey,
        version: Version,
        new: &FilePath,
        target: Version,
        new_key: &MasterKey,
    ) -> Result<usize, ClientError> {
        let mut requests = Vec::new();
        for piece in placement::pieces() {
            let Some(claim) = from.claim(version, piece) else { continue };
            let Ok(verified) = self.key.verify(claim) else { continue };
            let wrap_block = primitives::random().map_err(ClientError::Random)?;
            let header = Header {
                path: new.clone(),
                version: target,
                key_check: new_key.check_value(),
                wrapped_key: new_key.wrap(&self.key.unwrap(&verified), &wrap_block),
                wrap_block,
                ..claim.header.clone()
            };
            let seal = new_key.seal(&header.encode(), &claim.root);
            for server in from.holders(version, piece) {
                let (path, header) = (from.path.clone(), Box::new(header.clone()));
                requests.push((server, Request::Copy { path, piece, version, header, seal }));
            }
        }
        let answers = self.cluster.exchange(&requests, &*self.report, Peer::receive_done);
        let mut staged: Vec<(usize, u8)> = Vec::new();
        let mut reasons = Vec::new();
        for ((server, request), answer) in requests.iter().zip(answers) {
            let Request::Copy { piece, .. } = request else { continue };
            match answer {
                Some(Ok(())) => staged.push((*server, *piece)),
                Some(Err(no)) => reasons.push((self.cluster.name(*server).clone(), no.to_string())),
                None => {
                    let why = self.cluster.why_down(*server).unwrap_or_default();
                    reasons.push((self.cluster.name(*server).clone(), why));
                }
            }
        }
        let servers: BTreeSet<usize> = staged.iter().map(|(server, _)| *server).collect();
        if !placement::suffices(|piece| staged.iter().any(|(_, p)| *p == piece)) {
            let aborts: Vec<_> = servers.iter().map(|&s| (s, Request::Abort(new.clone(), target))).collect();
            // Best effort: what stays behind is settled by whoever meets it next.
            self.cluster.exchange(&aborts, &*self.report, Peer::receive_done);
            return Err(ClientError::NotTaken(new.clone(), reasons));
        }
        let commits: Vec<_> = servers.iter().map(|&s| (s, Request::Commit(new.clone(), target))).collect();
        let answers = self.cluster.exchange(&commits, &*self.report, Peer::receive_done);
        let committed: Vec<usize> = commits
            .iter()
            .zip(&answers)
            .filter(|(_, a)| matches!(a, Some(Ok(()))))
            .map(|((s, _), _)| *s)
            .collect();
        if committed.is_empty() {
            return Err(ClientError::Undecided(new.clone()));
        }
        let copies = |piece| staged.iter().filter(|(s, p)| *p == piece && committed.contains(s)).count();
        Ok(placement::pieces().map(copies).min().unwrap_or(0))
    }
}
