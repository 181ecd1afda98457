//! Which copies to make, from where to where.

use std::collections::BTreeSet;

use super::repaired::NotRepaired;
use crate::client::core::base::Core;
use crate::client::core::checks::{Check, Copy, damaged_holders, good_holders, good_pieces};
use crate::client::core::copying::Transfer;
use crate::client::core::survey::{Distrusted, Survey, Unproved};
use crate::commit::OneWord;
use crate::placement::{self, PieceSet, Scheme};
use crate::primitives::sha256;
use crate::sealed::{Distrust, Header};
use crate::version::Version;

/// Which pieces to copy for a file, from where to where; and why some that it lacks are unavailable.
///
/// Nothing that cannot become a file is copied: such as what is left of one that was deleted while its server was down,
/// if that server was restored from an old backup, or of an upload that was never finished, if a server lies about it.
/// If another server may have what is missing, the rest is copied, but not over anything older: that may be all that is
/// left. Nor is anything copied that rests on one server's word: two servers would then seem to have received the
/// writer's commit. Nothing is copied to the servers `without`.
pub(super) fn plan_repair(
    core: &Core,
    survey: &Survey,
    copies: &[Copy],
    without: &[usize],
) -> (Vec<Transfer>, Option<NotRepaired>) {
    let Some(version) = survey.file_version() else {
        let why = if survey.view().decided.is_some() || survey.distrusted.is_empty() {
            None
        } else if survey.only_other_keys() {
            Some(NotRepaired::OtherKey)
        } else {
            Some(no_good_copy(core, survey, None, copies, placement::pieces().collect()))
        };
        return (Vec::new(), why);
    };
    if let Some(doubt) = &survey.unproved {
        return (Vec::new(), Some(not_proved(core, doubt)));
    }
    let is_usable = |server| core.cluster.is_up(server) && !without.contains(&server);
    let up: Vec<bool> = (0..core.cluster.len()).map(is_usable).collect();
    let mut transfers = Vec::new();
    let mut lost = Vec::new();
    let scheme = survey.scheme(version);
    for piece in scheme.pieces() {
        let good = good_holders(copies, piece);
        let (Some(&from), Some(claim)) = (good.first(), survey.claim(version, piece)) else {
            lost.push(piece);
            continue;
        };
        let wanted = scheme.holders_wanted(usize::from(claim.header.replicas), core.cluster.len());
        let damaged = damaged_holders(survey, copies, piece);
        let to = targets(&good, &damaged, &up, wanted, &survey.ring(piece));
        transfers.extend(to.into_iter().map(|to| Transfer {
            claim: claim.clone(),
            from,
            others: good[1..].to_vec(),
            to,
            floor: survey.floors[to],
        }));
    }
    if lost.is_empty() {
        return (transfers, None);
    }
    if scheme == Scheme::Parity && survey.is_complete(version) {
        return (transfers, None);
    }
    let why = no_good_copy(core, survey, Some(version), copies, lost);
    let replaced = survey.outdated(version, &[]);
    let may_spread = !matches!(why, NotRepaired::Gone { .. }) && survey.one_word(version).is_none();
    transfers.retain(|transfer| may_spread && !replaced.contains(&transfer.to));
    (transfers, Some(why))
}

/// A file whose pieces are not where they should be, although they can be made.
pub(super) struct Remake {
    pub(super) survey: Survey,
    pub(super) header: Header,
    /// Each piece to be made, and the server that should have it.
    pub(super) targets: Vec<(u8, usize)>,
}

impl Remake {
    pub(super) fn pieces(&self) -> PieceSet {
        self.targets.iter().map(|(piece, _)| *piece).collect()
    }

    /// Bytes to be written.
    pub(super) fn bytes(&self) -> u64 {
        self.targets.iter().map(|(piece, _)| self.header.of_piece(*piece).body_size()).sum()
    }
}

/// Which pieces to make of others, for a file with parity: those of which there are only damaged copies, in their place,
/// and as many as make the file as safe as the servers that are up can make it.
pub(super) fn plan_remake(
    core: &Core,
    survey: &Survey,
    copies: &[Copy],
    without: &[usize],
) -> Option<Remake> {
    let version = survey.file_version().filter(|version| survey.is_complete(*version))?;
    let header = survey.any_claim(version)?.header.clone();
    if header.scheme != Scheme::Parity || survey.unproved.is_some() {
        return None;
    }
    let up: Vec<bool> = (0..core.cluster.len())
        .map(|server| core.cluster.is_up(server) && !without.contains(&server))
        .collect();
    let path_hash = sha256(survey.path.as_str().as_bytes());
    let mut held = good_pieces(copies, core.cluster.len());
    let is_lost = |piece: &u8| good_holders(copies, *piece).is_empty();
    let over_damaged = header.scheme.pieces().filter(is_lost).filter_map(|piece| {
        let damaged = damaged_holders(survey, copies, piece);
        Some((piece, damaged.into_iter().find(|server| up[*server])?))
    });
    let mut targets: Vec<(u8, usize)> = over_damaged.collect();
    let placed = header.scheme.placed(&path_hash, &up, usize::from(header.replicas));
    if header.scheme.losses(&held).is_none() {
        // They cannot be made, as far as is known; trying says why.
        let place = |piece| Some((piece, placed.iter().position(|held| held.contains(piece))?));
        targets.extend(header.scheme.pieces().filter(is_lost).filter_map(place));
    } else {
        targets.iter().for_each(|&(piece, server)| held[server].insert(piece));
        targets.extend(header.scheme.to_mend(&path_hash, &held, &up).unwrap_or_default());
    }
    targets.sort_unstable();
    targets.dedup();
    (!targets.is_empty()).then(|| Remake { survey: survey.clone(), header, targets })
}

fn no_good_copy(
    core: &Core,
    survey: &Survey,
    version: Option<Version>,
    copies: &[Copy],
    pieces: Vec<u8>,
) -> NotRepaired {
    let servers = |piece: u8| {
        (0..core.cluster.len()).filter(move |&server| may_have_good(survey, copies, piece, server))
    };
    let gone: Vec<u8> = pieces.iter().copied().filter(|&piece| servers(piece).next().is_none()).collect();
    if !gone.is_empty() {
        let shown = version.map_or(Vec::new(), |version| survey.shown_by(version));
        let shown = shown.into_iter().map(|server| core.cluster.name(server).clone()).collect();
        return NotRepaired::Gone { pieces: gone, shown };
    }
    let may_have: BTreeSet<usize> = pieces.iter().flat_map(|&piece| servers(piece)).collect();
    let names = may_have.into_iter().map(|server| core.cluster.name(server).clone());
    NotRepaired::NotFound(pieces, names.collect())
}

/// Why a file is not repaired whose version was not proved.
fn not_proved(core: &Core, doubt: &Unproved) -> NotRepaired {
    let OneWord { server, pieces } = doubt.word.clone();
    NotRepaired::Unproved { server: core.cluster.name(server).clone(), pieces, why: doubt.why.clone() }
}

/// Whether a server may have a good copy of a piece for which none was found: it did not answer, did not check what it
/// has, or has one under another key.
fn may_have_good(survey: &Survey, copies: &[Copy], piece: u8, server: usize) -> bool {
    let of_other_key = |d: &Distrusted| d.why == Distrust::OtherKey;
    let unchecked = |c: &Copy| matches!(c.check, Check::Unknown(_));
    survey.answers[server].is_none()
        || copies.iter().any(|c| (c.server, c.piece) == (server, piece) && unchecked(c))
        || survey.distrusted.iter().any(|d| (d.server, d.piece) == (server, piece) && of_other_key(d))
}

/// Where to make copies: first over damaged ones, then along the ring until there are enough.
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
            "damage is repaired even if there are enough"
        );
        assert_eq!(targets(&[0, 1], &[], &up, 2, &[0, 1, 2, 3]), [0; 0]);
        assert_eq!(targets(&[0], &[3], &up, 4, &[0, 1, 2, 3]), [1, 2]);
    }
}
