//! Deletes that a server missed.

use super::repaired::{NotRepaired, Repaired};
use crate::client::commands::delete::forget;
use crate::client::core::base::Core;
use crate::client::core::copying::{NotCopied, require_done, send_restore};
use crate::client::core::survey::Survey;
use crate::commit::{Held, PieceState, TOMBSTONE};
use crate::peer::{Answer, No, Peer};
use crate::sealed::Claim;
use crate::wire::{Refusal, Request};

/// Completes deletes on the servers that missed them, and forgets those that all have.
pub(super) fn bury_again<'a>(
    core: &mut Core,
    surveys: impl Iterator<Item = &'a Survey>,
    dry: bool,
    done: &mut Vec<Repaired>,
) {
    let mut everywhere = Vec::new();
    for survey in surveys {
        let Some(version) = survey.tombstone() else { continue };
        let Some(claim) = survey.claim(version, TOMBSTONE) else { continue };
        // A tombstone that is only staged can still be lost.
        let published = Held { piece: TOMBSTONE, version, state: PieceState::Published };
        let has_it = |server: &usize| survey.answers[*server].iter().flatten().any(|h| *h == published);
        let have: Vec<usize> = (0..core.cluster.len()).filter(has_it).collect();
        let lacking: Vec<usize> = core.cluster.up().filter(|server| !have.contains(server)).collect();
        let path = survey.path.clone();
        let mut reached = have.len();
        for &server in &lacking {
            let name = core.cluster.name(server).clone();
            match if dry { Ok(()) } else { bury_at(core, claim, survey.floors[server], server) } {
                Ok(()) => {
                    reached += 1;
                    done.push(Repaired::Buried { path: path.clone(), server: name });
                }
                Err(why) => done.push(Repaired::Failed { path: path.clone(), why: why.into() }),
            }
        }
        if reached == core.cluster.len() {
            everywhere.push((path, version));
        }
    }
    if dry {
        done.extend(everywhere.into_iter().map(|(path, _)| Repaired::Forgotten { path }));
        return;
    }
    let answers = forget(core, &everywhere);
    for ((path, _), answers) in everywhere.into_iter().zip(answers) {
        let kept = answers.into_iter().enumerate().filter(|(_, answer)| !is_forgotten(answer));
        let why = kept.filter_map(|(server, answer)| require_done(core, server, answer).err());
        let failed: Vec<NotRepaired> = why.map(NotRepaired::from).collect();
        if failed.is_empty() {
            done.push(Repaired::Forgotten { path: path.clone() });
        }
        done.extend(failed.into_iter().map(|why| Repaired::Failed { path: path.clone(), why }));
    }
}

/// Stages and commits a tombstone that other servers have.
fn bury_at(core: &mut Core, claim: &Claim, floor: u64, server: usize) -> Result<(), NotCopied> {
    let send = |peer: &mut Peer, claim: &&Claim| send_restore(peer, claim, floor, &[]);
    let staged = core.cluster.exchange(&[(server, claim)], send, |peer, _| peer.receive_done());
    require_done(core, server, staged.into_iter().next().unwrap_or(Answer::Lost))?;
    let commit = Request::Commit(claim.header.path.clone(), claim.header.version);
    let committed = core.cluster.ask(server, commit);
    require_done(core, server, committed)
}

/// A server that does not find the tombstone any more has forgotten it for another client.
fn is_forgotten(answer: &Answer<()>) -> bool {
    matches!(answer, Answer::Done(()) | Answer::Refused(No { refusal: Refusal::NotFound, .. }))
}
