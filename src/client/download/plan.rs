//! A file that can be rebuilt: its version, its pieces, and what was wrong with copies of them.

use super::piece::{Fault, Piece};
use crate::client::core::base::Core;
use crate::client::core::error::ClientError;
use crate::client::core::report::Notice;
use crate::client::core::survey::Survey;
use crate::client::core::whole::{Attempted, incomplete, whole_version};
use crate::placement::{self, Scheme, parity};
use crate::sealed::{Claim, Facts};
use crate::version::Version;

/// How often a download is begun again if the file is replaced in the meantime.
pub(super) const MAX_RESTARTS: usize = 20;

/// How often a file that seems incomplete is surveyed again before it is reported as such.
pub(super) const MORE_LOOKS: usize = 3;

/// A file that can be rebuilt.
pub(super) struct Plan {
    pub(super) survey: Survey,
    pub(super) facts: Facts,
}

/// The newest version, if every piece of it is available.
pub(super) fn plan(core: &Core, survey: Survey) -> Result<Plan, ClientError> {
    let version = whole_version(core, &survey)?;
    let Some(claim) = survey.any_claim(version) else {
        return Err(ClientError::NotFound(survey.path.as_str().to_owned()));
    };
    let facts = Facts::from(&claim.header);
    Ok(Plan { survey, facts })
}

/// The pieces into which it was split, of which nothing has arrived. One that no server shows can be made of others, as
/// far as it has a part of the file; it is no claim, and there is nobody to be asked for it.
pub(super) fn pieces(core: &Core, plan: &Plan) -> Vec<Piece> {
    let version = plan.facts.version;
    let Some(any) = plan.survey.any_claim(version) else { return Vec::new() };
    let piece = |number| {
        let claim = plan.survey.claim(version, number);
        let verified = core.key.verify(claim.unwrap_or(any)).ok()?;
        let made = || Claim { header: any.header.of_piece(number), root: [0; 32], seal: [0; 32] };
        Some(Piece::new(claim.cloned().unwrap_or_else(made), core.key.unwrap(&verified)))
    };
    placement::pieces().filter_map(piece).collect()
}

/// Whether something of it must be made of others, because no server that is up shows it.
pub(super) fn is_to_make(core: &Core, survey: &Survey, pieces: &[Piece]) -> bool {
    let is_away = |piece: &Piece| {
        let header = &piece.claim.header;
        let holders = survey.holders(header.version, header.piece);
        let is_shown = holders.iter().any(|&server| core.cluster.is_up(server));
        header.scheme == Scheme::Parity && !is_shown && !piece.is_whole()
    };
    pieces.iter().any(is_away)
}

/// Why a file that was begun was not completed.
pub(super) enum Failure {
    Replaced,
    Failed(ClientError),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::Failed(error)
    }
}

/// Why the pieces are not whole when no server is left to ask.
pub(super) fn failure(core: &Core, survey: &Survey, version: Version, pieces: &[Piece]) -> Failure {
    if pieces.iter().flat_map(|piece| &piece.tried).any(|(_, fault)| *fault == Some(Fault::Replaced)) {
        return Failure::Replaced;
    }
    let is_xor = |piece: &&Piece| parity::sources(piece.claim.header.piece).is_some();
    let of_xors: Vec<_> = pieces.iter().filter(is_xor).flat_map(faults_for_others).collect();
    let fetched = |number| {
        let is_short = |piece: &&Piece| piece.claim.header.piece == number && !piece.is_whole();
        let short = pieces.iter().find(is_short);
        let faults = short.into_iter().flat_map(faults).chain(of_xors.iter().cloned());
        Attempted { piece: number, is_whole: short.is_none(), faults: faults.collect() }
    };
    let fetched: Vec<Attempted> = placement::pieces().map(fetched).collect();
    Failure::Failed(incomplete(core, survey, Some(version), &fetched))
}

/// The fate of a piece, in words, by server.
fn faults(piece: &Piece) -> impl Iterator<Item = (usize, String)> {
    piece.tried.iter().filter_map(|(server, fault)| Some((*server, fault.as_ref()?.to_string())))
}

/// That of one of which others could not be made.
fn faults_for_others(piece: &Piece) -> impl Iterator<Item = (usize, String)> {
    let number = piece.claim.header.piece;
    faults(piece).map(move |(server, why)| (server, format!("{why} for piece {number}")))
}

/// A server, the number of a piece, and what was wrong with the copy that the server has of it.
pub(super) type BadCopy = (usize, u8, String);

/// The copies that were not what the client wrote.
pub(super) fn bad_copies(pieces: &[Piece]) -> Vec<BadCopy> {
    let of_piece = |piece: &Piece| {
        let number = piece.claim.header.piece;
        let bad = |(server, fault): &(usize, Option<Fault>)| match fault {
            Some(fault @ (Fault::Damaged | Fault::Refused(_))) => Some((*server, number, fault.to_string())),
            _ => None,
        };
        piece.tried.iter().filter_map(bad).collect::<Vec<_>>()
    };
    pieces.iter().flat_map(of_piece).collect()
}

/// Warns of these copies of a file, and of those that its survey distrusts.
pub(super) fn report_bad_copies(core: &Core, survey: &Survey, bad: Vec<BadCopy>) {
    let distrusted = survey.distrusted.iter().map(|d| (d.server, d.piece, d.why.to_string()));
    for (server, piece, why) in distrusted.chain(bad) {
        let (path, server) = (survey.path.clone(), core.cluster.name(server).clone());
        core.report.notice(Notice::BadCopy { path, piece, server, why });
    }
}
