//! The same bytes under another name or key: each holder copies its own pieces under a new header.

use crate::client::core::base::Core;
use crate::client::core::error::ClientError;
use crate::client::core::look::ask;
use crate::client::core::survey::Survey;
use crate::client::core::versions::{Ready, abort_all, commit_all_under, writer, writer_of_moved};
use crate::commit::{Outcome, PieceState};
use crate::name::{FilePath, ServerName};
use crate::peer::Answer;
use crate::placement;
use crate::primitives;
use crate::sealed::{Header, MasterKey};
use crate::version::Version;
use crate::wire::{Refusal, Request};

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

/// Stages and commits every copy of a version under another name or key: all of them, so that the new one is as safe as
/// the old one; otherwise it is an error, and the old one stays.
pub(super) fn reseal(
    core: &mut Core,
    from: &Survey,
    version: Version,
    to: &Survey,
    new_key: &MasterKey,
) -> Result<Resealed, NotResealed> {
    let new = &to.path;
    let holders = placement::pieces().flat_map(|piece| from.holders(version, piece)).collect();
    let is_moved = from.path != *new;
    // A name that was free is no reason to hide what is uploaded to it. Under a new key, everybody who could do so is
    // shut out.
    let writer = if is_moved { writer_of_moved(core, to, holders)? } else { writer(core, to, holders)? };
    let requests = copy_requests(core, from, version, new, writer.version(), new_key)?;
    let logins = core.cluster.logins();
    let answers = core.cluster.ask_all(&requests);
    let answers: Vec<(usize, Answer<()>)> = requests.iter().map(|(server, _)| *server).zip(answers).collect();
    let everybody = writer.servers().len();
    let writer = match writer.staged(&answers, everybody) {
        Ok(writer) => writer,
        Err(writer) => {
            abort_all(core, &[(new.clone(), writer)]);
            return Err(why_not_staged(core, &from.path, version, new, &answers));
        }
    };
    let copy = writer.version();
    if is_moved && !is_alone(core, to, copy) {
        abort_all(core, &[(new.clone(), writer.give_up())]);
        return Err(ClientError::Contended(new.clone()).into());
    }
    let said = requests.iter().filter_map(|(server, request)| match request {
        Request::Copy { piece, .. } => Some((*server, *piece)),
        _ => None,
    });
    let said = said.collect();
    let ready = vec![Ready { of: (), path: new.clone(), writer, logins }];
    match commit_all_under(core, new_key, ready).pop() {
        Some(((), Outcome::Done { missing, .. })) => Ok(Resealed { version: copy, said, missing }),
        Some(((), Outcome::Overtaken)) => Ok(Resealed { version: copy, said, missing: Vec::new() }),
        Some(((), Outcome::NeverHappened)) => Err(ClientError::Contended(new.clone()).into()),
        Some(((), Outcome::Undecided)) | None => Err(NotResealed::Undecided),
    }
}

/// A COPY for each copy of each piece, whose header has the file's key under `new_key`.
fn copy_requests(
    core: &Core,
    from: &Survey,
    version: Version,
    new: &FilePath,
    new_version: Version,
    new_key: &MasterKey,
) -> Result<Vec<(usize, Request)>, ClientError> {
    let mut requests = Vec::new();
    for piece in placement::pieces() {
        let Some(claim) = from.claim(version, piece) else { continue };
        let Ok(verified) = core.key.verify(claim) else { continue };
        let wrap_block = primitives::random().map_err(ClientError::Random)?;
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

fn why_not_staged(
    core: &mut Core,
    old: &FilePath,
    version: Version,
    new: &FilePath,
    answers: &[(usize, Answer<()>)],
) -> NotResealed {
    let is_refused = |why: Refusal| {
        let mut refusals = answers.iter().filter_map(|(_, answer)| answer.refusal());
        refusals.any(|no| no.refusal == why)
    };
    if is_refused(Refusal::Conflict) {
        ClientError::Conflict(new.clone()).into()
    } else if is_refused(Refusal::Rekeyed) {
        ClientError::Rekeyed(new.clone()).into()
    } else if is_refused(Refusal::Behind)
        || (is_refused(Refusal::NotFound) && is_replaced(core, old, version))
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

/// Whether nobody else is about to give a file this name, or has done so since the survey: if two moves to one name are
/// staged, and each asks after its own stage, at least one sees the other. An upload that stages after this look is
/// newer than the copies.
fn is_alone(core: &mut Core, before: &Survey, own: Version) -> bool {
    let surveys = ask(core, std::slice::from_ref(&before.path));
    surveys.iter().all(|survey| {
        let mut held = survey.answers.iter().flatten().flatten();
        let is_being_written = held.any(|h| h.version != own && h.state == PieceState::Staged { open: true });
        let is_as_before = before.is_a_file() && survey.file_version() == before.file_version();
        !is_being_written && (is_as_before || !survey.is_a_file())
    })
}
