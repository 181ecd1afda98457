//! The version of a file that can be rebuilt; or what it lacks, and each server's part in that.

use super::base::Core;
use super::error::{ClientError, MissingPiece};
use super::survey::Survey;
use crate::name::ServerName;
use crate::placement;
use crate::sealed::Distrust;
use crate::version::Version;

/// The result of fetching a piece.
pub(crate) struct Attempted {
    pub(crate) piece: u8,
    pub(crate) is_whole: bool,
    /// Servers that did not provide all of it, each with the reason.
    pub(crate) faults: Vec<(usize, String)>,
}

/// The newest decided version of a file, if it can be rebuilt.
pub(crate) fn whole_version(core: &Core, survey: &Survey) -> Result<Version, ClientError> {
    core.require_server()?;
    let path = survey.path.clone();
    if survey.only_other_keys() {
        return Err(ClientError::OtherKey(path));
    }
    let Some(version) = survey.file_version() else {
        if survey.view().decided.is_none() && survey.distrusted.iter().any(|d| d.why == Distrust::Damaged) {
            return Err(incomplete(core, survey, None, &[]));
        }
        return Err(survey.unseen.not_found(core, path.as_str()));
    };
    if !survey.is_complete(version) || survey.is_in_doubt(version) {
        return Err(incomplete(core, survey, Some(version), &[]));
    }
    Ok(version)
}

/// Reports, for each unavailable piece, every server's part in that.
pub(crate) fn incomplete(
    core: &Core,
    survey: &Survey,
    version: Option<Version>,
    fetched: &[Attempted],
) -> ClientError {
    let is_in_doubt =
        |number| survey.unproved.as_ref().is_some_and(|doubt| doubt.word.pieces.contains(&number));
    let missing = placement::pieces()
        .filter(|&number| match fetched.iter().find(|fetched| fetched.piece == number) {
            Some(fetched) => !fetched.is_whole,
            None => version.is_none_or(|v| survey.holders(v, number).is_empty() || is_in_doubt(number)),
        })
        .map(|number| MissingPiece { piece: number, reasons: reasons(core, survey, fetched, number) })
        .collect();
    let down = core.cluster.up().count() < core.cluster.len();
    let shown_by = version.map_or(Vec::new(), |version| survey.shown_by(version));
    let shown = shown_by.into_iter().map(|server| core.cluster.name(server).clone()).collect();
    ClientError::Incomplete { path: survey.path.clone(), missing, shown, down }
}

fn reasons(core: &Core, survey: &Survey, fetched: &[Attempted], number: u8) -> Vec<(ServerName, String)> {
    let fetched = fetched.iter().find(|fetched| fetched.piece == number);
    let fault = |server: usize| {
        let mut faults = fetched?.faults.iter();
        faults.find(|(s, _)| *s == server).map(|(_, fault)| fault.clone())
    };
    let doubt = |server: usize| {
        let doubt = survey.unproved.as_ref().filter(|doubt| doubt.is_of(server, number));
        doubt.map(|d| format!("alone shows it, which could not be proved ({})", d.why))
    };
    let damaged = |server: usize| {
        let is_distrusted = survey.distrusted.iter().any(|d| d.server == server && d.piece == number);
        is_distrusted.then(|| "has a damaged copy".to_owned())
    };
    let why = |server| {
        let why = fault(server).or_else(|| doubt(server)).or_else(|| core.cluster.why_down(server));
        Some((core.cluster.name(server).clone(), why.or_else(|| damaged(server))?))
    };
    let reasons: Vec<_> = (0..core.cluster.len()).filter_map(why).collect();
    if reasons.is_empty() {
        // If all servers are up and none is to blame, none has the piece.
        return core.cluster.names().into_iter().map(|n| (n, "does not have it".to_owned())).collect();
    }
    reasons
}
