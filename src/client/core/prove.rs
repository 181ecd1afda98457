//! Proving what only one server claims: that a version was stored of which only this server has some pieces.
//!
//! Publishing the rest of such a version on other servers drops what is older there. If the one server lies, and the
//! upload died halfway, the file would then be in its hands. So what only it has is first staged on another server,
//! which checks every byte against the sealed root; from then on its word is not needed.

use super::base::Core;
use super::copying::{NotCopied, Transfer, stage_all};
use super::look::{Looks, roll_forward, survey_looked, survey_under};
use super::survey::{Survey, Unproved};
use crate::commit::OneWord;
use crate::name::FilePath;
use crate::peer::No;
use crate::sealed::{Distrust, MasterKey};
use crate::version::Version;
use crate::wire::Refusal;

/// A piece that must still be proved.
struct Open {
    /// The number of its survey.
    survey: usize,
    word: OneWord,
    transfer: Transfer,
    /// The other servers on which it could be staged, the last one first.
    others: Vec<usize>,
}

/// A survey for a command that reads the files: what rests on one server's word is proved and rolled forward, if that
/// is possible.
pub(crate) fn survey_to_read(core: &mut Core, paths: &[FilePath]) -> Vec<Survey> {
    let key = core.key.clone();
    let mut surveys = survey_under(core, &key, paths);
    prove(core, &mut surveys, &key, &[], Survey::waits_for);
    surveys
}

/// The same, from what the servers have answered already. None if others have come up since.
pub(crate) fn looked_to_read(core: &mut Core, looks: Looks) -> Option<Vec<Survey>> {
    let key = core.key.clone();
    let mut surveys = survey_looked(core, &key, looks)?;
    prove(core, &mut surveys, &key, &[], Survey::waits_for);
    Some(surveys)
}

/// Proves versions that rest on one server's word, if that is `worth` it: pieces that no other server has are staged
/// along the ring, not on the servers `without`. What this proves is rolled forward; the rest is noted in its survey.
/// Returns the copies of what was proved.
pub(crate) fn prove(
    core: &mut Core,
    surveys: &mut [Survey],
    key: &MasterKey,
    without: &[usize],
    worth: impl Fn(&Survey, &OneWord) -> bool,
) -> Vec<Transfer> {
    let is_doubtful = |survey: &Survey| survey.to_prove().is_some_and(|(_, word)| worth(survey, &word));
    let doubtful: Vec<usize> = (0..surveys.len()).filter(|&s| is_doubtful(&surveys[s])).collect();
    if doubtful.is_empty() {
        return Vec::new();
    }
    // The servers were not asked at one instant: if stages and a commit overlap with the looks, it may only seem so.
    let paths: Vec<FilePath> = doubtful.iter().map(|&s| surveys[s].path.clone()).collect();
    let again = survey_under(core, key, &paths);
    let mut open = Vec::new();
    for (index, survey) in doubtful.into_iter().zip(again) {
        if let Some((version, word)) = survey.to_prove().filter(|(_, word)| worth(&survey, word)) {
            open.extend(to_stage(core, index, &survey, version, &word, without));
        }
        surveys[index] = survey;
    }
    let mut made = Vec::new();
    while !open.is_empty() {
        let outcomes = stage_all(core, &open.iter().map(|open| &open.transfer).collect::<Vec<_>>());
        let mut left = Vec::new();
        for (mut open, outcome) in open.into_iter().zip(outcomes) {
            let survey = &mut surveys[open.survey];
            let Err(why) = outcome else {
                let header = &open.transfer.claim.header;
                survey.note_staged(open.transfer.to, header.piece, header.version);
                made.push((open.survey, open.transfer));
                continue;
            };
            let is_given = !is_fault_of(core, open.word.server, &why);
            match open.others.pop() {
                Some(to) if is_given => {
                    open.transfer.to = to;
                    open.transfer.floor = survey.floors[to];
                    left.push(open);
                }
                _ => {
                    let word = OneWord { server: open.word.server, pieces: Vec::new() };
                    let unproved = || Unproved { word, is_given, why: why.to_string() };
                    let doubt = survey.unproved.get_or_insert_with(unproved);
                    doubt.word.pieces.push(open.transfer.claim.header.piece);
                }
            }
        }
        left.retain(|open| surveys[open.survey].unproved.is_none());
        open = left;
    }
    roll_forward(core, surveys, &[]);
    // A piece that is only staged is not a copy yet.
    made.retain(|(survey, _)| surveys[*survey].unproved.is_none());
    made.into_iter().map(|(_, transfer)| transfer).collect()
}

/// What must be staged to prove a version; nothing if no other server is up.
fn to_stage(
    core: &Core,
    index: usize,
    survey: &Survey,
    version: Version,
    word: &OneWord,
    without: &[usize],
) -> Vec<Open> {
    let open = |&piece: &u8| {
        let claim = survey.claim(version, piece)?.clone();
        let is_damaged = |&server: &usize| {
            let mut distrusted = survey.distrusted.iter();
            distrusted.any(|d| (d.server, d.piece, d.why) == (server, piece, Distrust::Damaged))
        };
        // As for any repair: first over a damaged copy, then along the ring.
        let (mut others, ring): (Vec<usize>, Vec<usize>) =
            survey.ring(piece).into_iter().partition(is_damaged);
        others.extend(ring);
        others.retain(|server| {
            let is_usable = core.cluster.is_up(*server) && survey.answers[*server].is_some();
            is_usable && *server != word.server && !without.contains(server)
        });
        others.reverse();
        let to = others.pop()?;
        let transfer =
            Transfer { claim, from: word.server, others: Vec::new(), to, floor: survey.floors[to] };
        Some(Open { survey: index, word: word.clone(), transfer, others })
    };
    word.pieces.iter().filter_map(open).collect()
}

/// Whether the server whose word must be proved has failed, by what it sent if not by its answer.
fn is_fault_of(core: &Core, server: usize, why: &NotCopied) -> bool {
    match why {
        NotCopied::Refused(_, No { refusal: Refusal::Damaged, .. }) => true,
        why => why.server() == core.cluster.name(server),
    }
}
