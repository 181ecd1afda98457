//! Passwd: a new password for the login on every server, and for the keys in every header.
//!
//! First the key is retired on every server, so that from then on nobody else makes anything under it, and everything
//! that was made can be seen. Then everything is repaired under the old key, each file gets a header under the new one,
//! and finally the servers get the new verifier. Each step can be repeated: interrupted, it continues where it stopped,
//! as long as the new password is known. The caller must keep it, before the first step.

use super::repair::{NotRepaired, Repaired, Terms, repair_names};
use super::reseal::{NotResealed, Original, reseal};
use crate::auth::{DEFAULT_ITERATIONS, Verifier};
use crate::client::core::base::Core;
use crate::client::core::checks::BATCH;
use crate::client::core::error::{ClientError, PasswdError};
use crate::client::core::files::names;
use crate::client::core::look::{ask, ask_under, settle_under};
use crate::client::core::name_map::Names;
use crate::client::core::prove::{prove, survey_to_read};
use crate::client::core::report::{Notice, Progress};
use crate::client::core::sight::Unseen;
use crate::client::core::survey::Survey;
use crate::client::core::whole::whole_version;
use crate::commit::KeyChange;
use crate::name::{FilePath, FolderPath};
use crate::peer::{Answer, No, Peer};
use crate::primitives;
use crate::sealed::MasterKey;
use crate::wire::{Refusal, Request};

/// Why a password was not changed, or not everywhere.
#[derive(Debug)]
pub struct NotChanged {
    /// What went wrong.
    pub error: ClientError,
    /// Whether a server may know of the change. If so, the new password must not be lost: with it, the change can be
    /// continued.
    pub begun: bool,
}

/// How far a change has come.
struct Done {
    /// Servers that know which key is retired.
    told: Vec<usize>,
    /// How many logins there had been before the first of them knew.
    logins: u64,
    /// Whether something may be under the new key, or a server that does not answer may know of the change: if so, it
    /// can only be continued.
    begun: bool,
}

/// See [`Client::can_change_password`](crate::client::Client::can_change_password).
pub(crate) fn can_change_password(core: &mut Core) -> Result<(), ClientError> {
    core.cluster.refresh();
    core.cluster.find_silent();
    let cluster = &core.cluster;
    let down = (0..cluster.len()).filter(|&server| !cluster.is_denied(server));
    let down: Vec<_> =
        down.filter_map(|server| Some((cluster.name(server).clone(), cluster.why_down(server)?))).collect();
    if down.is_empty() { Ok(()) } else { Err(ClientError::NeedsEveryServer(down)) }
}

/// See [`Client::can_go_on_with`](crate::client::Client::can_go_on_with).
pub(crate) fn can_go_on_with(core: &mut Core, password: &str) -> Result<(), ClientError> {
    core.cluster.try_also(password);
    core.cluster.refresh();
    let all_up = core.require_every_server();
    if all_up.is_err() {
        adopt(core, password);
    }
    all_up
}

/// If a server has the new password already, every header is under the new key, and so is everything that this client
/// does from now on.
fn adopt(core: &mut Core, password: &str) {
    if core.cluster.has_other_password() && core.config.key.is_none() {
        core.key = MasterKey::from_password(&core.config.user, password);
    }
}

/// See [`Client::change_password`](crate::client::Client::change_password).
pub(crate) fn change_password(core: &mut Core, password: &str, again: bool) -> Result<(), NotChanged> {
    // Some servers may have the new password already.
    core.cluster.try_also(password);
    core.cluster.refresh();
    core.cluster.find_silent();
    // The key is retired on connections, and another one may be to a server that has lost its disk.
    core.cluster.forbid_returns();
    let new_key = match core.config.key {
        None => MasterKey::from_password(&core.config.user, password),
        // It remains the source of all keys.
        Some(_) => core.key.clone(),
    };
    let change = KeyChange { retired: core.key.check_value(), current: new_key.check_value() };
    let begun = again || core.cluster.has_other_password();
    let mut done = Done { told: Vec::new(), logins: core.cluster.logins(), begun };
    match change_everywhere(core, password, change, &new_key, &mut done) {
        Ok(()) => {
            core.cluster.set_password(password);
            core.config.password = password.to_owned().into();
            Ok(())
        }
        Err(error) => {
            let begun = done.begun || !take_back(core, change, &new_key, &done);
            adopt(core, password);
            Err(NotChanged { error, begun })
        }
    }
}

fn change_everywhere(
    core: &mut Core,
    password: &str,
    change: KeyChange,
    new_key: &MasterKey,
    done: &mut Done,
) -> Result<(), ClientError> {
    core.require_every_server()?;
    if core.config.key.is_none() && change.retired == change.current {
        // This may take back a change that was begun elsewhere. What is under its new key would be lost: the next
        // change would retire the old key for a third one.
        require_no_other_key(core)?;
    }
    done.logins = core.cluster.logins();
    rekey(core, change, done)?;
    if core.config.key.is_none() {
        rewrap_everything(core, new_key, done)?;
    }
    core.require_every_server()?;
    if core.cluster.logins() != done.logins {
        // The new connection's server may have lost its disk, and the retired key with it.
        return Err(PasswdError::Interrupted.into());
    }
    core.key = new_key.clone();
    done.begun = true;
    (0..core.cluster.len()).try_for_each(|server| send_verifier(core, server, password))
}

/// Retires the key on every server, in the order of their names, which is the same for all clients: if two of them want
/// different keys, one is then refused by the first server.
fn rekey(core: &mut Core, change: KeyChange, done: &mut Done) -> Result<(), ClientError> {
    let mut order: Vec<usize> = (0..core.cluster.len()).collect();
    order.sort_by_key(|&server| core.cluster.name(server).as_str().to_ascii_lowercase());
    for server in order {
        let name = core.cluster.name(server).clone();
        match core.cluster.ask(server, Request::Rekey(change)) {
            Answer::Done(()) => done.told.push(server),
            Answer::Refused(No { refusal: Refusal::Rekeyed, .. }) => {
                return Err(PasswdError::OtherChange(name).into());
            }
            Answer::Refused(no) => return Err(PasswdError::CannotChange(name, no.to_string()).into()),
            Answer::Lost => {
                // It may have received it.
                done.begun = true;
                return Err(ClientError::NeedsEveryServer(core.cluster.down()));
            }
        }
    }
    Ok(())
}

/// Takes the change back on the servers; returns whether no server knows of it then, and nothing is under the new key.
/// Something can be under it without any action of this client: another one may have begun the same change.
fn take_back(core: &mut Core, change: KeyChange, new_key: &MasterKey, done: &Done) -> bool {
    let is_under_new =
        if change.retired == change.current { Ok(false) } else { is_anything_under(core, new_key) };
    match is_under_new {
        Ok(true) => false,
        // Before a new connection was made, another client may have taken the change over.
        Ok(false) if core.cluster.logins() == done.logins => {
            let back = Request::Rekey(KeyChange { current: change.retired, ..change });
            done.told.iter().all(|&server| core.cluster.ask(server, back.clone()).is_done())
        }
        _ => done.told.is_empty(),
    }
}

/// Whether anything was decided under a key.
///
/// # Errors
/// If not every server has reported everything that it has.
fn is_anything_under(core: &mut Core, key: &MasterKey) -> Result<bool, ClientError> {
    let surveys = survey_everything(core, key, |survey| survey.view().decided.is_some())?;
    Ok(surveys > 0)
}

fn require_no_other_key(core: &mut Core) -> Result<(), ClientError> {
    let key = core.key.clone();
    match survey_everything(core, &key, Survey::has_other_keys)? {
        0 => Ok(()),
        files => Err(PasswdError::UnderOtherPassword(files).into()),
    }
}

/// The number of names for which `holds` is true, as seen with a key.
fn survey_everything(
    core: &mut Core,
    key: &MasterKey,
    holds: impl Fn(&Survey) -> bool,
) -> Result<usize, ClientError> {
    let names = names(core, &FolderPath::root(), true, &mut Unseen::default())?;
    let mut count = 0;
    for batch in names.batches(BATCH) {
        let surveys = ask_under(core, key, &batch);
        if !surveys.iter().all(Survey::all_answered) {
            core.require_every_server()?;
            return Err(ClientError::NotListed(FolderPath::root()));
        }
        count += surveys.iter().filter(|survey| holds(survey)).count();
    }
    core.require_every_server()?;
    Ok(count)
}

fn send_verifier(core: &mut Core, server: usize, password: &str) -> Result<(), ClientError> {
    let salt = primitives::random::<16>().map_err(ClientError::Random)?;
    // This client itself must accept them at its next login.
    let iterations = DEFAULT_ITERATIONS.max(core.config.min_iterations);
    let verifier = Verifier::derive(password, &salt, iterations);
    let block = primitives::random::<16>().map_err(ClientError::Random)?;
    let send = |peer: &mut Peer, (): &()| peer.send_verifier(&verifier, &block);
    let why = match core.cluster.exchange(&[(server, ())], send, |peer, ()| peer.receive_done()).pop() {
        Some(Answer::Done(())) => return Ok(()),
        Some(Answer::Refused(no)) => no.to_string(),
        Some(Answer::Lost) | None => core.cluster.why_down(server).unwrap_or_default(),
    };
    Err(PasswdError::NotEverywhere(core.cluster.name(server).clone(), why).into())
}

fn rewrap_everything(core: &mut Core, new_key: &MasterKey, done: &mut Done) -> Result<(), ClientError> {
    // Deletes must be complete, and copies whole, while their seals can still be checked.
    repair_first(core, new_key)?;
    let names = names(core, &FolderPath::root(), true, &mut Unseen::default())?;
    core.report.expect(names.len());
    core.report.begin(names.len(), 0);
    for path in names.iter() {
        rewrap(core, &path, new_key, done)?;
        core.report.progress(Progress { done: 1 });
    }
    core.report.end();
    Ok(())
}

/// Repairs everything except what is under the new key already.
fn repair_first(core: &mut Core, new_key: &MasterKey) -> Result<(), ClientError> {
    let terms = Terms { present: core.cluster.up().collect(), ..Terms::default() };
    let mut unseen = Unseen::default();
    let names = names(core, &FolderPath::root(), true, &mut unseen)?;
    let names = not_under(core, &names, new_key);
    let mut failure = None;
    repair_names(core, &terms, &names, unseen, |step| match step {
        // Nothing of it can be read now, and nothing of it is changed: see `rewrap`.
        Repaired::Failed { why: NotRepaired::OtherKey, .. } => {}
        Repaired::Failed { path, why } => {
            failure.get_or_insert_with(|| PasswdError::NotRepaired(path.clone(), why.to_string()));
        }
        _ => {}
    })?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

fn rewrap(core: &mut Core, path: &FilePath, new_key: &MasterKey, done: &mut Done) -> Result<(), ClientError> {
    let paths = std::slice::from_ref(path);
    // First under the new key: that rolls forward what an interrupted run left half done, and drops the version under
    // the old key, which would otherwise be taken for the newest.
    let mut surveys = settle_under(core, new_key, paths);
    // The word of one server alone must not count as done: afterwards nobody could open the old version.
    prove(core, &mut surveys, new_key, &[], |_, _| true);
    surveys.extend(survey_to_read(core, paths));
    // A server that was just lost might have the newest.
    core.require_every_server()?;
    let [rewrapped, survey] = &surveys[..] else { return Err(core.no_server()) };
    if rewrapped.view().decided.is_some() {
        done.begun = true;
    }
    let is_done = is_newest(rewrapped, survey) && rewrapped.to_prove().is_none();
    if is_done || survey.tombstone().is_some() || !survey.is_a_file() {
        return Ok(());
    }
    if survey.only_other_keys() {
        return match rewrapped.file_version() {
            Some(_) => whole_version(core, rewrapped).map(drop),
            // It was stored while the change to it was taken back.
            None if core.key.check_value() == new_key.check_value() => {
                Err(PasswdError::UnderOtherPassword(1).into())
            }
            None => {
                core.report.notice(Notice::OtherKeyKept { path: path.clone() });
                Ok(())
            }
        };
    }
    let version = whole_version(core, survey)?;
    done.begun = true;
    let original = Original { from: survey, version, to: survey };
    let resealed = reseal(core, original, new_key).map_err(|why| match why {
        NotResealed::Refused(reasons) => PasswdError::NotConfirmed(path.clone(), reasons).into(),
        NotResealed::Undecided => PasswdError::NotConfirmed(path.clone(), core.cluster.down()).into(),
        NotResealed::Other(error) => error,
    })?;
    if resealed.missing.is_empty() {
        return Ok(());
    }
    let why = |server| core.cluster.why_down(server).unwrap_or_else(|| "did not confirm".to_owned());
    let reasons = resealed.missing.iter().map(|&s| (core.cluster.name(s).clone(), why(s)));
    Err(PasswdError::NotConfirmed(path.clone(), reasons.collect()).into())
}

/// The files that an interrupted run has not put under another key yet.
fn not_under(core: &mut Core, names: &Names, key: &MasterKey) -> Names {
    let mut left = Names::default();
    for batch in names.batches(BATCH) {
        let under = ask_under(core, key, &batch);
        if under.iter().all(|survey| survey.file_version().is_none()) {
            left.extend(batch);
            continue;
        }
        let surveys = ask(core, &batch);
        let both = batch.iter().zip(under.iter().zip(&surveys));
        left.extend(
            both.filter(|(_, (under, survey))| !is_newest(under, survey)).map(|(path, _)| path.clone()),
        );
    }
    left
}

/// Whether a file is whole under one key, and nothing newer was decided under the other. That can happen if a
/// change was taken back and is made again.
fn is_newest(under_one: &Survey, under_other: &Survey) -> bool {
    let newest = under_one.file_version().filter(|&version| under_one.is_complete(version));
    newest.is_some() && newest >= under_other.view().decided
}
