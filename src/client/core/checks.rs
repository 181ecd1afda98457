//! Has servers check the copies that they claim to have.

use super::base::Core;
use super::report::{Doing, Progress};
use super::survey::Survey;
use crate::peer::{Answer, No, Peer};
use crate::placement::{self, PieceSet};
use crate::sealed::Distrust;
use crate::version::Version;
use crate::wire::{Refusal, Request};

/// Names that are checked together.
pub(crate) const BATCH: usize = 64;
/// CHECKs that are sent ahead of their replies.
const CHECKS_AHEAD: usize = 256;

/// The result of a server's check of one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    Good,
    Damaged,
    /// It says that it is good, but it sent bytes that are not.
    DamagedUnnoticed,
    /// It has another version by now, or the server was lost.
    Unknown(String),
}

/// A copy of a piece of the decided version.
#[derive(Clone)]
pub(crate) struct Copy {
    pub(crate) piece: u8,
    pub(crate) server: usize,
    pub(crate) check: Check,
}

/// Has every copy of every decided piece checked by its server. `files` is how many of these
/// files were not counted as looked at before.
pub(crate) fn check_copies(core: &mut Core, surveys: &[Survey], files: usize) -> Vec<Vec<Copy>> {
    let mut copies = claimed_copies(surveys);
    check(core, surveys, &mut copies, files, |_| true);
    copies
}

/// Has servers check those of their copies that are `wanted`.
pub(crate) fn check(
    core: &mut Core,
    surveys: &[Survey],
    copies: &mut [Vec<Copy>],
    files: usize,
    wanted: impl Fn(&Copy) -> bool,
) {
    let mut requests = Vec::new();
    let mut asked = Vec::new();
    let mut bytes = 0;
    for (survey, copies) in surveys.iter().zip(copies) {
        let Some(version) = survey.file_version() else { continue };
        for copy in copies.iter_mut().filter(|copy| wanted(copy)) {
            let size = survey.claim(version, copy.piece).map_or(0, |claim| claim.header.piece_size);
            let check = Request::Check(survey.path.clone(), copy.piece, version);
            requests.push((copy.server, (check, size)));
            asked.push(copy);
            bytes += size;
        }
    }
    let report = core.report.clone();
    report.doing(Doing::Checking);
    report.begin(files, bytes);
    for (asked, requests) in asked.chunks_mut(CHECKS_AHEAD).zip(requests.chunks(CHECKS_AHEAD)) {
        let answers = core.cluster.repeat_lost(requests, |cluster, requests| {
            cluster.exchange(
                requests,
                |peer: &mut Peer, (request, _)| peer.send(request),
                |peer, (_, size)| {
                    let answer = peer.receive_done_with(*size);
                    report.progress(Progress { done: *size });
                    answer
                },
            )
        });
        for (copy, answer) in asked.iter_mut().zip(answers) {
            copy.check = match answer {
                Answer::Done(()) => Check::Good,
                Answer::Refused(No { refusal: Refusal::Damaged | Refusal::DiskError, .. }) => Check::Damaged,
                Answer::Refused(no) => Check::Unknown(no.to_string()),
                Answer::Lost => Check::Unknown(core.cluster.why_down(copy.server).unwrap_or_default()),
            };
        }
    }
}

/// Every copy of the decided versions, good according to their claims.
pub(crate) fn claimed_copies(surveys: &[Survey]) -> Vec<Vec<Copy>> {
    let of_piece = |survey: &Survey, version: Version, piece: u8| {
        let copy = |server| Copy { piece, server, check: Check::Good };
        survey.holders(version, piece).into_iter().map(copy).collect::<Vec<_>>()
    };
    let of_survey = |survey: &Survey| {
        let version = survey.file_version();
        version.map_or(Vec::new(), |v| {
            placement::numbers().flat_map(|piece| of_piece(survey, v, piece)).collect()
        })
    };
    surveys.iter().map(of_survey).collect()
}

/// The servers with a good copy of a piece.
pub(crate) fn good_holders(copies: &[Copy], piece: u8) -> Vec<usize> {
    copies.iter().filter(|c| c.piece == piece && c.check == Check::Good).map(|c| c.server).collect()
}

/// The pieces of which each of so many servers has a good copy.
pub(crate) fn good_pieces(copies: &[Copy], servers: usize) -> Vec<PieceSet> {
    let good = |server| copies.iter().filter(move |c| c.server == server && c.check == Check::Good);
    (0..servers).map(|server| good(server).map(|c| c.piece).collect()).collect()
}

/// The servers with a damaged copy of a piece of this version.
pub(crate) fn damaged_holders(survey: &Survey, copies: &[Copy], piece: u8) -> Vec<usize> {
    let bytes = copies.iter().filter(|c| c.piece == piece && c.check == Check::Damaged).map(|c| c.server);
    let headers =
        survey.distrusted.iter().filter(|d| d.piece == piece && d.why == Distrust::Damaged).map(|d| d.server);
    bytes.chain(headers).collect()
}
