//! The same bytes under another name or key: each holder copies its own pieces under a new header.

use crate::client::core::base::Core;
use crate::client::core::error::ClientError;
use crate::client::core::look::ask;
use crate::client::core::survey::Survey;
use crate::client::core::versions::{Ready, abort_all, commit_all_under, writer, writer_of_moved};
use crate::commit::{Committing, Outcome, PieceState, Staging, Writer};
use crate::name::{FilePath, ServerName};
use crate::peer::Answer;
use crate::placement;
use crate::primitives;
use crate::sealed::{Header, MasterKey};
use crate::version::Version;
use crate::wire::{Refusal, Request};

/// A request, and the server that it goes to.
type To = (usize, Request);

/// A version that was copied under another name or key.
pub(super) struct Resealed {
    /// The version that the copies have.
    pub(super) version: Version,
    /// Which server has acknowledged which piece.
    pub(super) said: Vec<(usize, u8)>,
    /// Servers that accepted their copies but did not confirm that they have published them.
    pub(super) missing: Vec<usize>,
}

/// Why the copies under another name or key are not complete.
pub(super) enum NotResealed {
    /// Servers did not accept their copies; nothing was changed.
    Refused(Vec<(ServerName, String)>),
    /// No server confirmed it: it may or may not be done.
    Undecided,
    /// An error that does not depend on the command. [`ClientError::Contended`] if others took it for abandoned; then
    /// nothing was changed.
    Other(ClientError),
}

impl From<ClientError> for NotResealed {
    fn from(error: ClientError) -> Self {
        NotResealed::Other(error)
    }
}

/// A version to copy under another name or key.
pub(super) struct Original<'a> {
    pub(super) from: &'a Survey,
    pub(super) version: Version,
    /// The other name, or the same one.
    pub(super) to: &'a Survey,
}

impl Original<'_> {
    fn is_moved(&self) -> bool {
        self.from.path != self.to.path
    }
}

/// [`reseal_all`] for one version.
pub(super) fn reseal(
    core: &mut Core,
    original: Original<'_>,
    new_key: &MasterKey,
) -> Result<Resealed, NotResealed> {
    reseal_all(core, &[original], new_key).pop().unwrap_or(Err(NotResealed::Undecided))
}

/// Stages and commits every copy of versions under other names or another key; one result for each, in order. All copies
/// of a version, so that the new one is as safe as the old one; otherwise it is an error, and the old one stays.
pub(super) fn reseal_all(
    core: &mut Core,
    originals: &[Original<'_>],
    new_key: &MasterKey,
) -> Vec<Result<Resealed, NotResealed>> {
    let mut results: Vec<Option<Result<Resealed, NotResealed>>> = Vec::new();
    let (mut begun, mut requests) = (Vec::new(), Vec::new());
    for (index, original) in originals.iter().enumerate() {
        results.push(match begin(core, original, new_key) {
            Ok((writer, copies)) => {
                begun.push((index, writer, copies.len()));
                requests.extend(copies);
                None
            }
            Err(error) => Some(Err(error.into())),
        });
    }
    let logins = core.cluster.logins();
    let answers = core.cluster.ask_all(&requests);
    let mut answers = requests.iter().map(|(server, _)| *server).zip(answers);
    let (mut staged, mut refused, mut aborting) = (Vec::new(), Vec::new(), Vec::new());
    for (index, writer, copies) in begun {
        let answers: Vec<(usize, Answer<()>)> = answers.by_ref().take(copies).collect();
        let everybody = writer.servers().len();
        match writer.staged(&answers, everybody) {
            Ok(writer) => staged.push((index, writer)),
            Err(writer) => {
                aborting.push((originals[index].to.path.clone(), writer));
                refused.push((index, answers));
            }
        }
    }
    abort_all(core, &aborting);
    for (index, answers) in refused {
        results[index] = Some(Err(why_not_staged(core, &originals[index], &answers)));
    }
    let alone = are_alone(core, originals, &staged);
    let (mut ready, mut aborting) = (Vec::new(), Vec::new());
    for ((index, writer), is_alone) in staged.into_iter().zip(alone) {
        let path = originals[index].to.path.clone();
        if is_alone {
            ready.push(Ready { of: (index, writer.version()), path, writer, logins });
        } else {
            results[index] = Some(Err(ClientError::Contended(path.clone()).into()));
            aborting.push((path, writer.give_up()));
        }
    }
    abort_all(core, &aborting);
    for ((index, version), outcome) in commit_all_under(core, new_key, ready) {
        let Original { from, version: of, to } = &originals[index];
        let said = || holders(from, *of).map(|(piece, server)| (server, piece)).collect();
        results[index] = Some(match outcome {
            Outcome::Done { missing, .. } => Ok(Resealed { version, said: said(), missing }),
            Outcome::Overtaken => Ok(Resealed { version, said: said(), missing: Vec::new() }),
            Outcome::NeverHappened => Err(ClientError::Contended(to.path.clone()).into()),
            Outcome::Undecided => Err(NotResealed::Undecided),
        });
    }
    results.into_iter().map(|result| result.unwrap_or(Err(NotResealed::Undecided))).collect()
}

/// The pieces of a version, each with every server that holds it.
fn holders(survey: &Survey, version: Version) -> impl Iterator<Item = (u8, usize)> {
    placement::numbers()
        .flat_map(move |piece| survey.holders(version, piece).into_iter().map(move |server| (piece, server)))
}

/// The writer of a copy, and what it asks of servers.
fn begin(
    core: &mut Core,
    original: &Original<'_>,
    new_key: &MasterKey,
) -> Result<(Writer<Staging>, Vec<To>), ClientError> {
    let Original { from, version, to } = original;
    let servers = holders(from, *version).map(|(_, server)| server).collect();
    // A name that was free is no reason to hide what is uploaded to it. Under a new key, everybody who could do so is
    // shut out.
    let writer =
        if original.is_moved() { writer_of_moved(core, to, servers)? } else { writer(core, to, servers)? };
    let requests = copy_requests(core, from, *version, &to.path, writer.version(), new_key)?;
    Ok((writer, requests))
}

/// A COPY for each copy of each piece, whose header has the file's key under `new_key`.
fn copy_requests(
    core: &Core,
    from: &Survey,
    version: Version,
    new: &FilePath,
    new_version: Version,
    new_key: &MasterKey,
) -> Result<Vec<To>, ClientError> {
    let mut requests = Vec::new();
    // One for all pieces, which have one key: what is made of others is then the same as what was lost.
    let wrap_block = primitives::random().map_err(ClientError::Random)?;
    for piece in placement::numbers() {
        let Some(claim) = from.claim(version, piece) else { continue };
        let Ok(verified) = core.key.verify(claim) else { continue };
        let header = Header {
            path: new.clone(),
            version: new_version,
            key: new_key.wrap(&core.key.unwrap(&verified), wrap_block),
            ..claim.header.clone()
        };
        let seal = new_key.seal(&header.encode(), &claim.root);
        for server in from.holders(version, piece) {
            let (path, header) = (from.path.clone(), Box::new(header.clone()));
            requests.push((server, Request::Copy { path, piece, version, header, seal }));
        }
    }
    Ok(requests)
}

fn why_not_staged(core: &mut Core, original: &Original<'_>, answers: &[(usize, Answer<()>)]) -> NotResealed {
    let new = &original.to.path;
    let is_refused = |why: Refusal| {
        let mut refusals = answers.iter().filter_map(|(_, answer)| answer.refusal());
        refusals.any(|no| no.refusal == why)
    };
    if is_refused(Refusal::Conflict) {
        ClientError::Conflict(new.clone()).into()
    } else if is_refused(Refusal::Rekeyed) {
        ClientError::Rekeyed(new.clone()).into()
    } else if is_refused(Refusal::Behind)
        || (is_refused(Refusal::NotFound) && is_replaced(core, &original.from.path, original.version))
    {
        ClientError::Contended(new.clone()).into()
    } else {
        NotResealed::Refused(answers.iter().filter_map(|(s, answer)| reason(core, *s, answer)).collect())
    }
}

/// Why a server did not do what was asked; `None` if it did.
fn reason(core: &Core, server: usize, answer: &Answer<()>) -> Option<(ServerName, String)> {
    let why = match answer {
        Answer::Done(()) => return None,
        Answer::Refused(no) => no.to_string(),
        Answer::Lost => core.cluster.why_down(server).unwrap_or_default(),
    };
    Some((core.cluster.name(server).clone(), why))
}

fn is_replaced(core: &mut Core, path: &FilePath, version: Version) -> bool {
    let surveys = ask(core, std::slice::from_ref(path));
    surveys.iter().any(|survey| survey.view().decided != Some(version))
}

/// For each copy that is staged, whether nobody else is about to give a file this name, or has done so since the survey:
/// if two moves to one name are staged, and each asks after its own stage, at least one sees the other. An upload that
/// stages after this look is newer than the copies.
fn are_alone(
    core: &mut Core,
    originals: &[Original<'_>],
    staged: &[(usize, Writer<Committing>)],
) -> Vec<bool> {
    let originals_staged = staged.iter().map(|(index, _)| &originals[*index]);
    let moved = originals_staged.filter(|original| original.is_moved());
    let paths: Vec<FilePath> = moved.map(|original| original.to.path.clone()).collect();
    let mut now = ask(core, &paths).into_iter();
    let is_alone = |(index, writer): &(usize, Writer<Committing>)| {
        let original = &originals[*index];
        !original.is_moved() || now.next().is_some_and(|now| is_alone(original.to, &now, writer.version()))
    };
    staged.iter().map(is_alone).collect()
}

fn is_alone(before: &Survey, now: &Survey, own: Version) -> bool {
    let mut held = now.answers.iter().flatten().flatten();
    let is_being_written = held.any(|h| h.version != own && h.state == PieceState::Staged { open: true });
    let is_as_before = before.is_a_file() && now.file_version() == before.file_version();
    !is_being_written && (is_as_before || !now.is_a_file())
}
