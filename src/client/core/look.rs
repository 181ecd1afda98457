//! Asking all servers what they hold of names, and settling what others left half done.

use std::time::{SystemTime, UNIX_EPOCH};

use super::base::Core;
use super::report::{Phase, timed};
use super::survey::Survey;
use crate::commit::{self, Asked, PieceState};
use crate::name::FilePath;
use crate::peer::{Answer, Peer};
use crate::sealed::MasterKey;
use crate::version::Version;
use crate::wire::{NameReport, Request};

/// LOOKs, and COMMITs of what they found, that are sent to each server ahead of their replies.
const LOOKS_AHEAD: usize = 128;

/// What the servers have answered about names.
pub(crate) struct Looks {
    pub(crate) paths: Vec<FilePath>,
    /// For each name, the servers that answered.
    pub(crate) answers: Vec<Vec<(usize, Answer<NameReport>)>>,
    pub(crate) asked: Asked,
    /// How many rounds of logins there were before: servers that are back since then were not asked.
    pub(crate) logins: u64,
}

/// This client's clock, in milliseconds since 1970 UTC.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Asks every server that is up about names, and rolls forward what is decided. Unfinished uploads stay: they may be
/// continued.
pub(crate) fn survey(core: &mut Core, paths: &[FilePath]) -> Vec<Survey> {
    let key = core.key.clone();
    survey_under(core, &key, paths)
}

/// [`survey`] for what was made under this key.
pub(crate) fn survey_under(core: &mut Core, key: &MasterKey, paths: &[FilePath]) -> Vec<Survey> {
    let report = core.report.clone();
    timed(&*report, Phase::Survey, || {
        let mut surveys = ask_under(core, key, paths);
        roll_forward(core, &mut surveys, &[]);
        surveys
    })
}

/// The same, from what the servers have answered already. None if others have come up since.
pub(super) fn survey_looked(core: &mut Core, key: &MasterKey, looks: Looks) -> Option<Vec<Survey>> {
    if looks.logins != core.cluster.logins() {
        return None;
    }
    let mut surveys = surveys(core, key, looks);
    roll_forward(core, &mut surveys, &[]);
    Some(surveys)
}

/// A [`survey`] that also drops what writers that died left unfinished.
pub(crate) fn settle(core: &mut Core, paths: &[FilePath]) -> Vec<Survey> {
    let key = core.key.clone();
    settle_under(core, &key, paths)
}

/// [`settle`] for what was made under this key.
pub(crate) fn settle_under(core: &mut Core, key: &MasterKey, paths: &[FilePath]) -> Vec<Survey> {
    settle_own(core, key, paths, &[])
}

/// [`settle_under`] for the writer of the versions `own`, who has staged every piece on all its holders.
pub(super) fn settle_own(
    core: &mut Core,
    key: &MasterKey,
    paths: &[FilePath],
    own: &[Version],
) -> Vec<Survey> {
    let report = core.report.clone();
    timed(&*report, Phase::Survey, || {
        let surveys = ask_under(core, key, paths);
        settle_seen(core, key, surveys, own)
    })
}

/// [`settle_own`] for names that were just asked about.
pub(crate) fn settle_seen(
    core: &mut Core,
    key: &MasterKey,
    mut surveys: Vec<Survey>,
    own: &[Version],
) -> Vec<Survey> {
    roll_forward(core, &mut surveys, own);
    if abort_abandoned(core, &surveys) {
        let paths: Vec<FilePath> = surveys.into_iter().map(|survey| survey.path).collect();
        surveys = ask_under(core, key, &paths);
    }
    surveys
}

/// Asks every server that is up about names, and changes nothing.
pub(crate) fn ask(core: &mut Core, paths: &[FilePath]) -> Vec<Survey> {
    let key = core.key.clone();
    ask_under(core, &key, paths)
}

/// [`ask`] for what was made under this key.
pub(crate) fn ask_under(core: &mut Core, key: &MasterKey, paths: &[FilePath]) -> Vec<Survey> {
    let mut surveys = Vec::with_capacity(paths.len());
    for window in paths.chunks(LOOKS_AHEAD) {
        core.cluster.log_in_again();
        let mut found = ask_about(core, key, window);
        while !core.cluster.log_in_again().is_empty() {
            found = ask_about(core, key, window);
        }
        surveys.extend(found);
    }
    surveys
}

fn ask_about(core: &mut Core, key: &MasterKey, window: &[FilePath]) -> Vec<Survey> {
    let cluster = &mut core.cluster;
    let up: Vec<usize> = cluster.up().collect();
    let requests: Vec<(usize, Request)> = window
        .iter()
        .flat_map(|path| up.iter().map(move |&server| (server, Request::Look(path.clone()))))
        .collect();
    let before = now();
    let answers = cluster.exchange(&requests, Peer::send, |peer, _| peer.receive_parsed(NameReport::parse));
    let asked = Asked { before, after: now() };
    let mut answers = answers.into_iter();
    let of_name = |_: &FilePath| up.iter().copied().zip(answers.by_ref()).collect();
    let answers = window.iter().map(of_name).collect();
    surveys(core, key, Looks { paths: window.to_vec(), answers, asked, logins: core.cluster.logins() })
}

/// What the servers' answers say.
fn surveys(core: &Core, key: &MasterKey, looks: Looks) -> Vec<Survey> {
    let (cluster, user) = (&core.cluster, &core.config.user);
    let mut found: Vec<Survey> =
        looks.paths.into_iter().map(|path| Survey::new(path, cluster.len(), looks.asked)).collect();
    for (survey, answers) in found.iter_mut().zip(looks.answers) {
        for (server, answer) in answers {
            match answer {
                Answer::Done(name_report) => survey.take(server, name_report, user, key),
                Answer::Refused(no) => survey.unseen.note(server, no.to_string()),
                // Down by now, as are those that were down before.
                Answer::Lost => {}
            }
        }
    }
    let down: Vec<_> = (0..cluster.len()).filter_map(|s| Some((s, cluster.why_down(s)?))).collect();
    for survey in &mut found {
        let unanswered = down.iter().filter(|(server, _)| survey.answers[*server].is_none());
        unanswered.for_each(|(server, why)| survey.unseen.note(*server, why.clone()));
    }
    found
}

/// Commits the staged pieces of versions that other servers have decided.
pub(super) fn roll_forward(core: &mut Core, surveys: &mut [Survey], own: &[Version]) {
    let mut work: Vec<(usize, Version)> = Vec::new();
    let mut requests = Vec::new();
    for (index, survey) in surveys.iter().enumerate() {
        let Some((version, servers)) = survey.to_roll_forward(own) else { continue };
        for server in servers {
            work.push((index, version));
            requests.push((server, Request::Commit(survey.path.clone(), version)));
        }
    }
    let windows = requests.chunks(LOOKS_AHEAD);
    let answers: Vec<Answer<()>> = windows.flat_map(|window| core.cluster.ask_all(window)).collect();
    for (((index, version), (server, _)), answer) in work.into_iter().zip(&requests).zip(answers) {
        if let (Answer::Done(()), Some(held)) = (answer, &mut surveys[index].answers[*server]) {
            held.retain(|h| h.version >= version);
            held.iter_mut().filter(|h| h.version == version).for_each(|h| h.state = PieceState::Published);
        }
    }
}

/// Aborts what writers that died left behind, once every server has promised that it is undecided. Returns whether
/// there was any.
fn abort_abandoned(core: &mut Core, surveys: &[Survey]) -> bool {
    let mut any = false;
    for survey in surveys {
        for (version, holders) in survey.abandoned() {
            any = true;
            if fence(core, &survey.path, version) {
                abort(core, &survey.path, version, &holders);
            }
        }
    }
    any
}

/// Whether every server has promised that a version which seems abandoned is undecided, and stays so.
pub(crate) fn fence(core: &mut Core, path: &FilePath, version: Version) -> bool {
    let fence = |server| (server, Request::Fence(path.clone(), version));
    let fences: Vec<_> = (0..core.cluster.len()).map(fence).collect();
    let promises: Vec<_> = core.cluster.ask_all(&fences).into_iter().enumerate().collect();
    commit::may_abort(&promises, core.cluster.len())
}

/// Drops a version that every server has [fenced](fence). Best effort: what remains is dropped by the next client that
/// settles it.
pub(crate) fn abort(core: &mut Core, path: &FilePath, version: Version, servers: &[usize]) {
    let abort = |&server: &usize| (server, Request::Abort(path.clone(), version));
    core.cluster.ask_all(&servers.iter().map(abort).collect::<Vec<_>>());
}
