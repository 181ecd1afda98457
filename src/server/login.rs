//! A connection before its user is known: SCRAM, under one time limit for all reads together.

use std::time::Duration;

use super::admission::Visit;
use super::channel::{Channel, End};
use super::limits::IDLE_LIMIT;
use super::refusal::refusal_for;
use super::shared::Shared;
use crate::auth::{ScramError, ServerFirst, SessionKeys};
use crate::name::UserName;
use crate::primitives;
use crate::store::{Connection, Ending, OsDisk};
use crate::text::base64_encode;
use crate::wire::{Login, Refusal, Reply, read_line};

/// Wait before a wrong password is refused.
pub const FAILED_LOGIN_DELAY: Duration = Duration::from_millis(250);

/// A user's session, from the login to its end.
pub(super) struct LoggedIn<'a> {
    pub(super) user: UserName,
    pub(super) keys: SessionKeys,
    pub(super) connection: Connection,
    /// Dropping it ends the connection to the store.
    pub(super) ending: Ending<'a, OsDisk>,
}

/// Has a user prove the password.
pub(super) fn login<'a>(
    shared: &'a Shared,
    visit: &mut Visit,
    channel: &mut Channel,
) -> Result<LoggedIn<'a>, End> {
    let malformed = |_| End::Refused(Refusal::BadRequest);
    let Login::Login(message) = read_login(channel)? else { return Err(End::Refused(Refusal::BadRequest)) };
    let first = ServerFirst::parse(&message).map_err(malformed)?;
    let user = first.user.clone();
    if shared.admission.is_barred(visit.from.ip(), &user) {
        return Err(End::Refused(Refusal::Busy));
    }
    let nonce = base64_encode(&primitives::random::<18>()?);
    let verifier = shared.users.verifier(&user, &shared.log);
    let challenge = first.challenge(verifier.clone(), &nonce);
    visit.challenged();
    channel.send_plain(&Reply::Challenge(shared.name.clone(), challenge.message().to_owned()))?;
    let Login::Prove(message) = read_login(channel)? else { return Err(End::Refused(Refusal::BadRequest)) };
    let prove = || challenge.finish(&message, &shared.name);
    let is_wrong = |error: &ScramError| matches!(error, ScramError::Denied);
    let (server_final, keys) = match shared.admission.attempt(visit.from.ip(), &user, prove, is_wrong) {
        None => return Err(End::Refused(Refusal::Busy)),
        Some(Err(ScramError::Denied)) => {
            std::thread::sleep(FAILED_LOGIN_DELAY);
            return Err(End::Refused(Refusal::Denied));
        }
        Some(proved) => proved.map_err(malformed)?,
    };
    if let Err(error) = shared.store.make_user(&user) {
        shared.log.line(&format!("{} cannot make the folder of {user}: {error}", visit.from));
        return Err(End::Refused(refusal_for(&error)));
    }
    let connection = shared.store.connect();
    let ending = shared.store.ends(user.clone(), connection);
    if !visit.belongs_to(&user, connection) {
        return Err(End::Refused(Refusal::Busy));
    }
    // A PASSWD ends the sessions that it sees: one that begins too late for that must have the new password.
    if shared.users.verifier(&user, &shared.log) != verifier {
        return Err(End::Refused(Refusal::Denied));
    }
    channel.send_plain(&Reply::Welcome(server_final))?;
    channel.limit_each_read(IDLE_LIMIT);
    Ok(LoggedIn { user, keys, connection, ending })
}

fn read_login(channel: &mut Channel) -> Result<Login, End> {
    Login::parse(&read_line(&mut channel.inbox)?).map_err(|_| End::Refused(Refusal::BadRequest))
}
