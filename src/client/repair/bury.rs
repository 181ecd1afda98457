//! Deletes that a server has slept through.

use super::copy::send_restore;
use super::step::{NotRepaired, Repaired};
use crate::client::Client;
use crate::client::survey::Survey;
use crate::commit::{Held, Phase, TOMBSTONE};
use crate::peer::{No, Peer};
use crate::sealed::Claim;
use crate::wire::{Refusal, Request};

impl Client {
    /// Brings deletes to the servers that slept through them, and forgets those that all have.
    pub(super) fn bury_again(&mut self, surveys: &[Survey], dry: bool, done: &mut Vec<Repaired>) {
        let mut everywhere = Vec::new();
        for survey in surveys {
            let Some(version) = survey.tombstone() else { continue };
            let Some(claim) = survey.claim(version, TOMBSTONE) else { continue };
            // A tombstone that is only staged can still be lost.
            let published = Held { piece: TOMBSTONE, version, phase: Phase::Published };
            let has_it = |server: &usize| survey.answers[*server].iter().flatten().any(|h| *h == published);
            let have: Vec<usize> = (0..self.cluster.len()).filter(has_it).collect();
            let lacking: Vec<usize> = self.cluster.up().filter(|server| !have.contains(server)).collect();
            let path = survey.path.clone();
            let mut reached = have.len();
            for &server in &lacking {
                let name = self.cluster.name(server).clone();
                match if dry { Ok(()) } else { self.bury_at(claim, survey.floors[server], server) } {
                    Ok(()) => {
                        reached += 1;
                        done.push(Repaired::Buried { path: path.clone(), server: name });
                    }
                    Err(why) => done.push(Repaired::Failed { path: path.clone(), why }),
                }
            }
            if reached == self.cluster.len() {
                everywhere.push((path, version));
            }
        }
        if dry {
            done.extend(everywhere.into_iter().map(|(path, _)| Repaired::Forgotten { path }));
            return;
        }
        let answers = self.forget(&everywhere);
        for ((path, _), answers) in everywhere.into_iter().zip(answers) {
            let is_kept = |(_, answer): &(usize, _)| !is_forgotten(answer);
            let kept: Vec<_> = answers.into_iter().enumerate().filter(is_kept).collect();
            if kept.is_empty() {
                done.push(Repaired::Forgotten { path: path.clone() });
            }
            done.extend(kept.into_iter().map(|(server, answer)| Repaired::Failed {
                path: path.clone(),
                why: self.why_not(server, answer),
            }));
        }
    }

    /// Stages and commits a tombstone that other servers have.
    fn bury_at(&mut self, claim: &Claim, floor: u64, server: usize) -> Result<(), NotRepaired> {
        let staged = self.cluster.exchange_with(
            &[(server, claim)],
            &*self.report,
            |peer, claim| send_restore(peer, claim, floor, &[]),
            |peer, _| peer.receive_done(),
        );
        self.check_done(server, staged)?;
        let commit = [(server, Request::Commit(claim.header.path.clone(), claim.header.version))];
        let committed = self.cluster.exchange(&commit, &*self.report, Peer::receive_done);
        self.check_done(server, committed)
    }

    fn check_done(&self, server: usize, answers: Vec<Option<Result<(), No>>>) -> Result<(), NotRepaired> {
        match answers.into_iter().next().flatten() {
            Some(Ok(())) => Ok(()),
            other => Err(self.why_not(server, other)),
        }
    }
}

/// A server that does not find the tombstone any more has forgotten it for another client.
fn is_forgotten(answer: &Option<Result<(), No>>) -> bool {
    matches!(answer, Some(Ok(()) | Err(No { refusal: Refusal::NotFound, .. })))
}
