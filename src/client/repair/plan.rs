//! Which copies are to be made, from where to where.

use std::collections::BTreeSet;

use super::step::{NotRepaired, Repaired};
use crate::client::Client;
use crate::client::survey::{Distrusted, Survey};
use crate::client::verify::{Check, Copy, damaged_holders, good_holders};
use crate::placement;
use crate::sealed::{Claim, Distrust};
use crate::version::Version;

/// A piece to copy.
#[derive(Clone)]
pub(in crate::client) struct Task {
    pub(super) claim: Claim,
    pub(super) from: usize,
    /// Other servers with a good copy, if the first does not give it.
    pub(super) others: Vec<usize>,
    pub(super) to: usize,
    /// The floor of the server that it goes to, as it was seen.
    pub(super) floor: u64,
}

impl Client {
    /// Which pieces to copy for a file, from where to where; and why not all that it lacks can be had.
    ///
    /// Nothing is spread that cannot become a file: what is left of one that was deleted meanwhile, on a server
    /// that was restored from an old backup, or of an upload that was never finished, if a server lies about it.
    /// Where another server may have what is missing, the rest is copied, but nowhere in place of something older:
    /// that may be all there is. Nor is anything spread that stands on one server's word: two servers would then
    /// seem to have got the writer's commit. Nothing is copied to the servers `without`.
    pub(super) fn plan_repair(
        &self,
        survey: &Survey,
        copies: &[Copy],
        without: &[usize],
    ) -> (Vec<Task>, Option<NotRepaired>) {
        let Some(version) = survey.file_version() else {
            let why = if survey.view().decided.is_some() || survey.distrusted.is_empty() {
                None
            } else if survey.only_other_keys() {
                Some(NotRepaired::OtherKey)
            } else {
                Some(self.no_good_copy(survey, None, copies, placement::pieces().collect()))
            };
            return (Vec::new(), why);
        };
        if let Some(doubt) = &survey.unproved {
            return (Vec::new(), Some(self.not_proved(doubt)));
        }
        let is_usable = |server| self.cluster.is_up(server) && !without.contains(&server);
        let up: Vec<bool> = (0..self.cluster.len()).map(is_usable).collect();
        let mut tasks = Vec::new();
        let mut lost = Vec::new();
        for piece in placement::pieces() {
            let good = good_holders(copies, piece);
            let (Some(&from), Some(claim)) = (good.first(), survey.claim(version, piece)) else {
                lost.push(piece);
                continue;
            };
            let wanted = placement::copies_wanted(usize::from(claim.header.replicas), self.cluster.len());
            let damaged = damaged_holders(survey, copies, piece);
            let to = targets(&good, &damaged, &up, wanted, &survey.ring(piece));
            tasks.extend(to.into_iter().map(|to| Task {
                claim: claim.clone(),
                from,
                others: good[1..].to_vec(),
                to,
                floor: survey.floors[to],
            }));
        }
        if lost.is_empty() {
            return (tasks, None);
        }
        let why = self.no_good_copy(survey, Some(version), copies, lost);
        let replaced = survey.outdated(version, &[]);
        let may_spread = !matches!(why, NotRepaired::Gone { .. }) && survey.one_word(version).is_none();
        tasks.retain(|task| may_spread && !replaced.contains(&task.to));
        (tasks, Some(why))
    }

    fn no_good_copy(
        &self,
        survey: &Survey,
        version: Option<Version>,
        copies: &[Copy],
        pieces: Vec<u8>,
    ) -> NotRepaired {
        let servers = |piece: u8| {
            (0..self.cluster.len()).filter(move |&server| may_have_good(survey, copies, piece, server))
        };
        let gone: Vec<u8> = pieces.iter().copied().filter(|&piece| servers(piece).next().is_none()).collect();
        if !gone.is_empty() {
            let shown = version.map_or(Vec::new(), |version| self.shown_by(survey, version));
            return NotRepaired::Gone { pieces: gone, shown };
        }
        let may_have: BTreeSet<usize> = pieces.iter().flat_map(|&piece| servers(piece)).collect();
        let names = may_have.into_iter().map(|server| self.cluster.name(server).clone());
        NotRepaired::NotFound(pieces, names.collect())
    }

    pub(super) fn copied(&self, task: &Task) -> Repaired {
        Repaired::Copied {
            path: task.claim.header.path.clone(),
            piece: task.claim.header.piece,
            from: self.cluster.name(task.from).clone(),
            to: self.cluster.name(task.to).clone(),
        }
    }
}

/// Whether a server may have a good copy of a piece of which none was found: it did not answer, did not check
/// what it has, or has one under another key.
fn may_have_good(survey: &Survey, copies: &[Copy], piece: u8, server: usize) -> bool {
    let of_other_key = |d: &Distrusted| d.why == Distrust::OtherKey;
    let unchecked = |c: &Copy| matches!(c.check, Check::Unknown(_));
    survey.answers[server].is_none()
        || copies.iter().any(|c| (c.server, c.piece) == (server, piece) && unchecked(c))
        || survey.distrusted.iter().any(|d| (d.server, d.piece) == (server, piece) && of_other_key(d))
}

/// Where copies are to be made: first over damaged ones, then on the ring until there are enough.
fn targets(good: &[usize], damaged: &[usize], up: &[bool], wanted: usize, ring: &[usize]) -> Vec<usize> {
    let mut targets: Vec<usize> = damaged.iter().copied().filter(|s| up[*s] && !good.contains(s)).collect();
    targets.dedup();
    for &server in ring {
        if good.len() + targets.len() >= wanted {
            break;
        }
        if up[server] && !good.contains(&server) && !targets.contains(&server) {
            targets.push(server);
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_made_over_damaged_ones_first_then_around_the_ring() {
        let up = [true, true, true, false];
        assert_eq!(targets(&[0], &[1], &up, 2, &[3, 2, 1, 0]), [1]);
        assert_eq!(targets(&[0], &[], &up, 2, &[3, 2, 1, 0]), [2]);
        assert_eq!(
            targets(&[0, 1], &[2], &up, 2, &[3, 2, 1, 0]),
            [2],
            "damage is mended though there are enough"
        );
        assert_eq!(targets(&[0, 1], &[], &up, 2, &[0, 1, 2, 3]), [0; 0]);
        assert_eq!(targets(&[0], &[3], &up, 4, &[0, 1, 2, 3]), [1, 2]);
    }
}
