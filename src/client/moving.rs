//! Move: a new name for the same bytes. Each holder copies its own pieces under a new header; then the
//! version that was copied is deleted under the old name. Whatever is interrupted, the file is under one of the
//! names, or both, and the same Move goes on where it stopped.

use std::collections::BTreeSet;

use super::Client;
use super::error::ClientError;
use super::repair::{NotRepaired, Repaired};
use super::sight::Unseen;
use super::survey::Survey;
use super::verify::good_holders;
use super::writing::staging_answer;
use crate::commit::{Outcome, Phase};
use crate::name::{FilePath, ServerName};
use crate::peer::No;
use crate::placement;
use crate::primitives;
use crate::sealed::{Header, MasterKey};
use crate::version::Version;
use crate::wire::{Refusal, Request};

/// How often a move that other clients got in the way of is tried again.
const ATTEMPTS: usize = 8;
/// Of these, how often it may be for a file that seems incomplete.
const MORE_LOOKS: usize = 2;

/// A version that was copied under another name or key.
pub(super) struct Copied {
    /// The version that the copies have.
    version: Version,
    /// Which server has said that it has which piece.
    said: Vec<(usize, u8)>,
    /// Servers that took their copies and did not confirm that they have published them.
    pub(super) missing: Vec<usize>,
    /// Whether an earlier Move has made it.
    is_of_earlier: bool,
}

/// Why the copies under another name or key are not all there. Each command has its own words for it.
pub(super) enum NotCopied {
    /// Servers did not take their copies; nothing was changed.
    Refused(Vec<(ServerName, String)>),
    /// A file and a folder would have one name.
    Conflict,
    /// The key was retired by a change of password.
    Rekeyed,
    /// Others took it for abandoned; nothing was changed.
    Contended,
    /// No server confirmed it: it may be done or not.
    Undecided,
    /// Something that has its words.
    Other(ClientError),
}

impl From<ClientError> for NotCopied {
    fn from(error: ClientError) -> Self {
        NotCopied::Other(error)
    }
}

fn is_refused(answers: &[Option<Result<(), No>>], why: Refusal) -> bool {
    answers.iter().any(|answer| matches!(answer, Some(Err(no)) if no.refusal == why))
}

impl Client {
    /// Renames a file. A name that there is already is never replaced, unless it is this very file, from a Move
    /// that was interrupted.
    ///
    /// # Errors
    /// If `old` is not there or incomplete, if `new` is there, if too few servers are up for its copies, or if
    /// the servers fail. If `old` was replaced meanwhile that is an error too, so that nobody takes the name for
    /// free: the newer version is kept, and `new` has the one before it.
    pub fn rename(&mut self, old: &FilePath, new: &FilePath) -> Result<(), ClientError> {
        self.cluster.refresh(&*self.report);
        self.tried.clear();
        let half = |why: String| ClientError::HalfMoved(old.clone(), new.clone(), why);
        let (mut version, copied) = self.copy_to(old, new, false)?;
        let is_of_earlier = copied.is_of_earlier;
        match self.fill_up(new, copied, &half) {
            // What an earlier Move has left may lack a piece. The old name has it.
            Err(ClientError::HalfMoved(..)) if is_of_earlier => {
                let copied;
                (version, copied) = self.copy_to(old, new, true)?;
                self.fill_up(new, copied, &half)?;
            }
            filled => filled?,
        }
        // From here on the new name is as safe as the old one was, and the old one may go: as what was copied.
        self.delete_version(old, version).map_err(|error| match error {
            ClientError::Replaced(_) => ClientError::MovedOlder(old.clone(), new.clone()),
            // Then the old name may be gone as well.
            ClientError::Undecided(_) => error,
            error => half(error.to_string()),
        })
    }

    /// Copies the newest version of a file under another name; gives that version and the copy. What an
    /// interrupted Move has copied is taken as it is, or with `afresh` replaced.
    fn copy_to(
        &mut self,
        old: &FilePath,
        new: &FilePath,
        afresh: bool,
    ) -> Result<(Version, Copied), ClientError> {
        let mut up = self.cluster.up().count();
        for attempt in 0..ATTEMPTS {
            match self.attempt_copy(old, new, afresh) {
                // Another client was at work on one of the names.
                Err(ClientError::Contended(_)) => {}
                // To a look that an upload overlaps, a file may seem incomplete.
                Err(ClientError::Incomplete { .. }) if attempt < MORE_LOOKS => {}
                // A server that was lost on the way is a reason to try again without it.
                Err(ClientError::NotTaken(..)) if self.cluster.up().count() < up => {}
                result => return result,
            }
            up = self.cluster.up().count();
        }
        Err(ClientError::Contended(new.clone()))
    }

    fn attempt_copy(
        &mut self,
        old: &FilePath,
        new: &FilePath,
        afresh: bool,
    ) -> Result<(Version, Copied), ClientError> {
        let paths = [old.clone(), new.clone()];
        let surveys = self.survey_to_read(&paths, &self.key.clone());
        self.require_server()?;
        let [from, to] = &surveys[..] else { return Err(self.no_server()) };
        let version = self.whole_version(from);
        if to.is_a_file() {
            match (&version, to.file_version()) {
                (Ok(version), Some(copy)) if old != new && self.is_copy(from, *version, to, copy) => {
                    if !afresh {
                        self.warn_of_newer(&from.unseen);
                        let none =
                            Copied { version: copy, said: vec![], missing: vec![], is_of_earlier: true };
                        return Ok((*version, none));
                    }
                }
                (Err(ClientError::NotFound(_)), _) => {}
                _ => return Err(ClientError::Exists(new.clone())),
            }
        }
        let version = version?;
        self.require_servers_for_copies(from, version)?;
        let copied = self.copy_under(from, version, to, &self.key.clone()).map_err(|why| match why {
            NotCopied::Refused(reasons) => ClientError::NotTaken(new.clone(), reasons),
            NotCopied::Conflict => ClientError::Conflict(new.clone()),
            NotCopied::Rekeyed => ClientError::Rekeyed(new.clone()),
            NotCopied::Contended => ClientError::Contended(new.clone()),
            NotCopied::Undecided => ClientError::Undecided(new.clone()),
            NotCopied::Other(error) => error,
        })?;
        self.warn_of_newer(&from.unseen);
        Ok((version, copied))
    }

    /// Whether a version under one name is the very file that another is under another name, copied by a Move: only
    /// then they have one file key.
    fn is_copy(&self, from: &Survey, version: Version, to: &Survey, copy: Version) -> bool {
        let key = |survey: &Survey, version| {
            let verified = self.key.verify(survey.any_claim(version)?).ok()?;
            Some(self.key.unwrap(&verified))
        };
        key(from, version).zip(key(to, copy)).is_some_and(|(one, other)| one.is(&other))
    }

    /// With fewer servers up than a file has copies, the new name would be less safe than the old one, which the
    /// others may still have copies of.
    fn require_servers_for_copies(&self, survey: &Survey, version: Version) -> Result<(), ClientError> {
        let wanted = self.copies_of(survey, version);
        if self.cluster.up().count() >= wanted {
            return Ok(());
        }
        let down = self.servers().into_iter().filter_map(|(name, why)| Some((name, why?)));
        Err(ClientError::NeedsServers(survey.path.clone(), wanted, down.collect()))
    }

    /// How many copies of each piece a file is to have.
    fn copies_of(&self, survey: &Survey, version: Version) -> usize {
        let replicas = survey.any_claim(version).map(|claim| usize::from(claim.header.replicas));
        placement::copies_wanted(replicas.unwrap_or(self.config.replicas), self.cluster.len())
    }

    /// Sees to it that the new name has all its copies before the old one goes, each of them shown and checked
    /// by its server. What a server has not kept, or took with it when it went, is made up on others.
    fn fill_up(
        &mut self,
        new: &FilePath,
        copied: Copied,
        half: &dyn Fn(String) -> ClientError,
    ) -> Result<(), ClientError> {
        let mut said = copied.said;
        let mut left_out: BTreeSet<usize> = BTreeSet::new();
        let (mut is_repaired, mut failure): (bool, Option<NotRepaired>) = (false, None);
        loop {
            let paths = std::slice::from_ref(new);
            let surveys = self.cluster.survey(paths, &self.config.user, &self.key, &*self.report);
            let checks = self.check_copies(&surveys, 0);
            let ([survey], [copies]) = (&surveys[..], &checks[..]) else { return Err(self.no_server()) };
            match survey.file_version() {
                Some(version) if version == copied.version => {}
                // Somebody else's by now. What was copied may be gone.
                Some(_) => return Err(ClientError::Exists(new.clone())),
                None if survey.tombstone().is_some() => {
                    return Err(half(format!("{new} was deleted meanwhile")));
                }
                None => return Err(half(format!("no server shows {new} any more"))),
            }
            let good = |piece: u8| good_holders(copies, piece);
            let wanted = self.copies_of(survey, copied.version);
            let few = placement::pieces().map(|piece| (piece, good(piece).len())).find(|(_, n)| *n < wanted);
            let Some((piece, count)) = few else { return Ok(()) };
            // Who has said that it has a piece, and does not show it, or would not take one, is not asked again.
            let known = left_out.len();
            let broke_word = said.iter().filter(|(server, piece)| !good(*piece).contains(server));
            left_out.extend(broke_word.map(|(server, _)| *server));
            if let Some(NotRepaired::Refused(name, _) | NotRepaired::Down(name, _)) = &failure {
                left_out.extend(self.cluster.names().iter().position(|n| n == name));
            }
            if is_repaired && left_out.len() == known {
                let why = failure.map(|why| format!(": {why}")).unwrap_or_default();
                return Err(half(format!("{count} of {wanted} good copies of piece {piece} of {new}{why}")));
            }
            (is_repaired, failure) = (true, None);
            said.clear();
            let names = self.cluster.names();
            let without: Vec<usize> = left_out.iter().copied().collect();
            self.repair_without(
                &without,
                vec![new.clone()],
                Unseen::default(),
                false,
                &[],
                |step| match step {
                    Repaired::Copied { piece, to, .. } => {
                        said.extend(names.iter().position(|name| name == to).map(|server| (server, *piece)));
                    }
                    Repaired::Failed { why, .. } => failure = Some(why.clone()),
                    _ => {}
                },
            )
            .map_err(|error| half(error.to_string()))?;
        }
    }

    /// Stages and commits every copy of a version under another name or key: all of them, so that the
    /// new one is as safe as the old one, or it is an error and the old one stays.
    pub(super) fn copy_under(
        &mut self,
        from: &Survey,
        version: Version,
        to: &Survey,
        new_key: &MasterKey,
    ) -> Result<Copied, NotCopied> {
        let new = &to.path;
        let holders = placement::pieces().flat_map(|piece| from.holders(version, piece)).collect();
        let is_moved = from.path != *new;
        // A name that was free is no reason to hide what is uploaded to it. Under a new key, all who could do so are
        // shut out.
        let writer = if is_moved { self.writer_of_moved(to, holders)? } else { self.writer(to, holders)? };
        let mut requests = Vec::new();
        for piece in placement::pieces() {
            let Some(claim) = from.claim(version, piece) else { continue };
            let Ok(verified) = self.key.verify(claim) else { continue };
            let wrap_block = primitives::random().map_err(ClientError::Random)?;
            let header = Header {
                path: new.clone(),
                version: writer.version(),
                key: new_key.wrap(&self.key.unwrap(&verified), wrap_block),
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
            Err(writer) if is_refused(&answers, Refusal::Conflict) => {
                self.abort_all(&[(new.clone(), writer)]);
                return Err(NotCopied::Conflict);
            }
            Err(writer) if is_refused(&answers, Refusal::Rekeyed) => {
                self.abort_all(&[(new.clone(), writer)]);
                return Err(NotCopied::Rekeyed);
            }
            Err(writer) => {
                self.abort_all(&[(new.clone(), writer)]);
                if is_refused(&answers, Refusal::Behind) {
                    return Err(NotCopied::Contended);
                }
                let is_gone = is_refused(&answers, Refusal::NotFound);
                if is_gone && self.is_replaced(&from.path, version) {
                    return Err(NotCopied::Contended);
                }
                let reasons = self.reasons_of(requests.iter().map(|(server, _)| *server).zip(answers));
                return Err(NotCopied::Refused(reasons));
            }
        };
        let copy = writer.version();
        if is_moved && !self.is_alone(to, copy) {
            self.abort_all(&[(new.clone(), writer.give_up())]);
            return Err(NotCopied::Contended);
        }
        let said = requests.iter().filter_map(|(server, request)| match request {
            Request::Copy { piece, .. } => Some((*server, *piece)),
            _ => None,
        });
        let said = said.collect();
        match self.commit_all_under(new_key, vec![(new.clone(), writer)]).pop() {
            Some(Outcome::Done { missing, .. }) => {
                Ok(Copied { version: copy, said, missing, is_of_earlier: false })
            }
            Some(Outcome::Overtaken) => {
                Ok(Copied { version: copy, said, missing: Vec::new(), is_of_earlier: false })
            }
            Some(Outcome::NeverHappened) => Err(NotCopied::Contended),
            Some(Outcome::Undecided) | None => Err(NotCopied::Undecided),
        }
    }

    fn is_replaced(&mut self, path: &FilePath, version: Version) -> bool {
        let paths = std::slice::from_ref(path);
        let surveys = self.cluster.ask(paths, &self.config.user, &self.key, &*self.report);
        surveys.iter().any(|survey| survey.view().decided != Some(version))
    }

    /// Whether nobody else is about to give a file this name, or has done so since the survey: of two moves to one
    /// name that are staged, each asked after its own stage, at least one sees the other. An upload that stages after
    /// this look is newer than the copies.
    fn is_alone(&mut self, before: &Survey, own: Version) -> bool {
        let paths = std::slice::from_ref(&before.path);
        let surveys = self.cluster.ask(paths, &self.config.user, &self.key, &*self.report);
        surveys.iter().all(|survey| {
            let mut held = survey.answers.iter().flatten().flatten();
            let is_being_written = held.any(|h| h.version != own && h.phase == Phase::Staged { open: true });
            let is_as_before = before.is_a_file() && survey.file_version() == before.file_version();
            !is_being_written && (is_as_before || !survey.is_a_file())
        })
    }

    /// Why servers have not confirmed a commit, as text.
    pub(super) fn why_missing(&self, missing: &[usize]) -> Vec<(ServerName, String)> {
        let why =
            |server: usize| self.cluster.why_down(server).unwrap_or_else(|| "did not confirm".to_owned());
        missing.iter().map(|&s| (self.cluster.name(s).clone(), why(s))).collect()
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
