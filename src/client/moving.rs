//! Move: a new name for the same bytes. Each holder copies its own pieces under a new header; then
//! the old name is deleted. Whatever is interrupted, the file is under one of the names, or both.

use super::Client;
use super::error::ClientError;
use super::report::Notice;
use super::survey::Survey;
use super::writing::staging_answer;
use crate::commit::Outcome;
use crate::name::{FilePath, ServerName};
use crate::peer::No;
use crate::placement;
use crate::primitives;
use crate::sealed::{Header, MasterKey};
use crate::version::Version;
use crate::wire::{Refusal, Request};

fn is_conflict(answer: &Option<Result<(), No>>) -> bool {
    matches!(answer, Some(Err(No { refusal: Refusal::Conflict, .. })))
}

impl Client {
    /// Renames a file. A name that there is already is never replaced.
    ///
    /// # Errors
    /// If `old` is not there or incomplete, if `new` is there, or if the servers fail.
    pub fn rename(&mut self, old: &FilePath, new: &FilePath) -> Result<(), ClientError> {
        self.cluster.refresh(&*self.report);
        let mut up = self.cluster.up().count();
        while let Err(error) = self.copy_to(old, new) {
            // A server that was lost on the way is a reason to try again without it.
            let left = self.cluster.up().count();
            if left == up || !matches!(error, ClientError::NotTaken(..)) {
                return Err(error);
            }
            up = left;
        }
        self.fill_up(new)?;
        self.delete(std::slice::from_ref(old)).into_iter().try_for_each(|result| result.map(drop))
    }

    fn copy_to(&mut self, old: &FilePath, new: &FilePath) -> Result<(), ClientError> {
        let paths = [old.clone(), new.clone()];
        let surveys = self.cluster.survey(&paths, &self.config.user, &self.key, &*self.report);
        self.require_server()?;
        let [from, to] = &surveys[..] else { return Err(self.no_server()) };
        if to.is_a_file() {
            return Err(ClientError::Exists(new.clone()));
        }
        let version = self.whole_version(from)?;
        self.copy_under(from, version, to, &self.key.clone())
    }

    /// The copies that a server took with it when it went are made up on others, before the old name,
    /// which that server still knows, is deleted.
    fn fill_up(&mut self, new: &FilePath) -> Result<(), ClientError> {
        let present = self.present();
        self.repair_names(vec![new.clone()], false, &present, |_| ())?;
        let surveys =
            self.cluster.survey(std::slice::from_ref(new), &self.config.user, &self.key, &*self.report);
        for survey in &surveys {
            let version = self.whole_version(survey)?;
            let copies = placement::pieces().map(|p| survey.holders(version, p).len()).min().unwrap_or(0);
            let wanted = self.config.replicas;
            if copies < wanted {
                self.report.notice(Notice::FewerCopies { path: new.clone(), copies, wanted });
            }
        }
        Ok(())
    }

    /// Stages and commits every copy of a version under another name or key: all of them, so that the
    /// new one is as safe as the old one, or it is an error and the old one stays.
    pub(super) fn copy_under(
        &mut self,
        from: &Survey,
        version: Version,
        to: &Survey,
        new_key: &MasterKey,
    ) -> Result<(), ClientError> {
        let new = &to.path;
        let holders = placement::pieces().flat_map(|piece| from.holders(version, piece)).collect();
        let writer = self.writer(to, holders)?;
        let mut requests = Vec::new();
        for piece in placement::pieces() {
            let Some(claim) = from.claim(version, piece) else { continue };
            let Ok(verified) = self.key.verify(claim) else { continue };
            let wrap_block = primitives::random().map_err(ClientError::Random)?;
            let header = Header {
                path: new.clone(),
                version: writer.version(),
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
        let answers = self.ask_all(&requests);
        let staged: Vec<_> = requests
            .iter()
            .zip(&answers)
            .map(|((server, _), answer)| (*server, staging_answer(answer)))
            .collect();
        let everybody = writer.servers().len();
        let writer = match writer.staged(&staged, everybody) {
            Ok(writer) => writer,
            Err(writer) if answers.iter().any(is_conflict) => {
                self.abort_all(&[(new.clone(), writer)]);
                return Err(ClientError::Conflict(new.clone()));
            }
            Err(writer) => {
                let reasons = self.reasons_of(requests.iter().map(|(server, _)| *server).zip(answers));
                self.abort_all(&[(new.clone(), writer)]);
                return Err(ClientError::NotTaken(new.clone(), reasons));
            }
        };
        match self.commit_all(vec![(new.clone(), writer)]).pop() {
            Some(Outcome::Done { missing, .. }) if missing.is_empty() => Ok(()),
            Some(Outcome::Done { missing, .. }) => {
                let why = |s: usize| self.cluster.why_down(s).unwrap_or_else(|| "did not confirm".to_owned());
                let reasons = missing.into_iter().map(|s| (self.cluster.name(s).clone(), why(s))).collect();
                Err(ClientError::HalfMoved(from.path.clone(), new.clone(), reasons))
            }
            Some(Outcome::NeverHappened) => Err(ClientError::Contended(new.clone())),
            Some(Outcome::Undecided) | None => Err(ClientError::Undecided(new.clone())),
        }
    }

    /// Why servers did not do what was asked; empty if all did.
    fn reasons_of(
        &self,
        answers: impl Iterator<Item = (usize, Option<Result<(), No>>)>,
    ) -> Vec<(ServerName, String)> {
        let reason = |(server, answer)| match answer {
            Some(Ok(())) => None,
            Some(Err(no)) => Some((self.cluster.name(server).clone(), No::to_string(&no))),
            None => {
                Some((self.cluster.name(server).clone(), self.cluster.why_down(server).unwrap_or_default()))
            }
        };
        answers.filter_map(reason).collect()
    }
}
