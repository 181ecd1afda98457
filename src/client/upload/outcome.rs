//! What came of an attempt for one file: whether it may be committed, and what the user is told.

use super::lane::Staged;
use super::local::Since;
use super::outgoing::{Outgoing, Uploaded, has_no_room};
use super::plan::{Encrypted, Plan};
use super::stage::has_same_bytes;
use crate::client::core::base::Core;
use crate::client::core::error::{ClientError, LocalError};
use crate::client::core::report::Notice;
use crate::commit::{Aborting, Committing, Outcome, Staging, Writer};
use crate::placement::Scheme;
use crate::wire::Refusal;

/// Whether what is staged may be committed. If not, it returns the error that ends it; without one, it is worth another
/// attempt.
pub(super) fn judge(
    plan: &Plan,
    file: &mut Outgoing,
    writer: Writer<Staging>,
    staged: Staged,
) -> Result<Writer<Committing>, (Writer<Aborting>, Option<ClientError>)> {
    match staged.local.map_or_else(|| is_consistent(plan, &staged.pieces), Err) {
        Ok(grew) => file.grew = grew,
        Err(error) => return Err((writer.give_up(), Some(error.into()))),
    }
    let refused = staged.answers.iter().filter_map(|(s, _, answer)| Some((*s, answer.refusal()?)));
    for (server, no) in refused {
        match no.refusal {
            Refusal::Conflict => {
                return Err((writer.give_up(), Some(ClientError::Conflict(file.source.target.clone()))));
            }
            Refusal::Rekeyed => {
                return Err((writer.give_up(), Some(ClientError::Rekeyed(file.source.target.clone()))));
            }
            refusal if has_no_room(refusal) => file.exclude(server, no),
            // Behind: somebody was faster. Damaged: bytes were altered in transit. If it happens again and again, the
            // server is at fault.
            _ => file.suspect(server, no),
        }
    }
    let everybody = writer.servers().len();
    let answers: Vec<_> = staged.answers.into_iter().map(|(server, _, answer)| (server, answer)).collect();
    writer.staged(&answers, everybody).map_err(|writer| (writer, None))
}

/// Checks that what was sent of a file belongs together: a file that was written to in the meantime is read again.
/// Returns whether it has grown.
fn is_consistent(plan: &Plan, sent: &[Encrypted]) -> Result<bool, LocalError> {
    let Since { is_touched, grew } = plan.source.since_opened()?;
    if is_touched && !has_same_bytes(plan, sent)? {
        return Err(plan.source.changed());
    }
    Ok(grew)
}

pub(super) fn conclude(
    core: &Core,
    plan: &Plan,
    file: &Outgoing,
    outcome: &Outcome,
) -> Option<Result<Uploaded, ClientError>> {
    let path = plan.header.path.clone();
    match outcome {
        Outcome::Done { committed, .. } => {
            if file.grew {
                core.report.notice(Notice::Grew { path: file.source.target.clone() });
            }
            report_copies(core, plan, file, committed);
            Some(Ok(Uploaded { path, size: plan.header.file_size, unchanged: false }))
        }
        // It is done, and was replaced: the newer one is for its writer to report.
        Outcome::Overtaken => Some(Ok(Uploaded { path, size: plan.header.file_size, unchanged: false })),
        Outcome::NeverHappened => None,
        Outcome::Undecided => Some(Err(ClientError::Undecided(path))),
    }
}

fn report_copies(core: &Core, plan: &Plan, file: &Outgoing, committed: &[usize]) {
    for (server, why) in &file.excluded {
        let (path, server, why) =
            (file.source.target.clone(), core.cluster.name(*server).clone(), why.clone());
        core.report.notice(Notice::NotPlaced { path, server, why });
    }
    let path = || file.source.target.clone();
    let (scheme, replicas) = (plan.header.scheme, core.config.replicas);
    match scheme {
        Scheme::Copies => {
            let confirmed = |holders: &Vec<usize>| holders.iter().filter(|s| committed.contains(s)).count();
            let copies = plan.holders.iter().map(confirmed).min().unwrap_or(0);
            if copies < replicas {
                core.report.notice(Notice::FewerCopies { path: path(), copies, wanted: replicas });
            }
        }
        Scheme::Parity => {
            let losses = Scheme::Parity.losses(&plan.held_by(committed));
            if losses.is_none_or(|losses| losses + 1 < replicas) {
                core.report.notice(Notice::FewerLosses { path: path(), losses });
            }
        }
    }
}
