//! Passwd: changes the password, and finishes a change that was interrupted.

use std::io::{self, IsTerminal};

use crate::cli::FAILED;
use crate::cli::command::{Action, Call, Command};
use crate::cli::journal::{Journal, NO_PASSWORD_LINE};
use crate::cli::options::DRY_RUN;
use crate::cli::password;
use crate::cli::session::Session;
use crate::client::{ClientError, LocalError, NotChanged};

pub(in crate::cli) const COMMAND: Command = Command {
    name: "Passwd",
    elsewhere: &["password"],
    forms: &[("Passwd", "change your password")],
    options: &[(&DRY_RUN, "only find out whether it can be changed now")],
    details: "The new password is asked for twice, or read from the next line of a pipe, even one that begins with #. \
              Every server must be up, and your other sessions end. The new .conf is first written beside the old one, as \
              CONF.passwd: if the change is interrupted or refused, the next command continues it from there. Copies of \
              the .conf elsewhere need the new password too. Given the password that you already have, Passwd takes back a \
              change that was begun with another .conf and cannot be finished there, as long as no file is under its new \
              password.",
    examples: &["Passwd"],
    action: Action::Run(run),
    ..Command::EMPTY
};

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    if call.options.dry_run {
        return dry_run(session);
    }
    let finished = finish(session);
    change(session, finished).or_else(|error| {
        let status = session.report(error, None);
        match &session.pending {
            Some(journal) => session.console.hint(&will_continue(session, journal)),
            None => session.console.hint("no password was changed"),
        }
        Ok(status)
    })
}

/// Says what a change would do, as far as the servers and the .conf can tell.
fn dry_run(session: &mut Session<'_>) -> Result<u8, ClientError> {
    if !io::stdin().is_terminal() {
        // It is never a command.
        drop(password::read_new("new password"));
    }
    if let Err(error) = Journal::require_password_line(&session.conf) {
        return Ok(not_rewritten(session, &error));
    }
    session.console.begin_work();
    session.client.can_change_password()?;
    session.console.end_work();
    let conf = session.conf.display();
    session.console.result(&format!("would change the password on every server and in {conf}"));
    Ok(0)
}

/// Changes the password; `finished` says whether an interrupted change was finished before.
fn change(session: &mut Session<'_>, finished: Result<bool, ClientError>) -> Result<u8, ClientError> {
    let console = session.console;
    let ask = || password::read_new("new password");
    // The next line of a pipe is the password even if it cannot be changed: it is never a command.
    let piped = (!io::stdin().is_terminal()).then(ask);
    let finished = finished?;
    if let Err(error) = Journal::require_password_line(&session.conf) {
        return Ok(not_rewritten(session, &error));
    }
    console.begin_work();
    session.client.can_change_password()?;
    console.end_work();
    let password = match piped.unwrap_or_else(ask) {
        Ok(password) => password,
        Err(why) => {
            console.error(&why, None);
            return Ok(FAILED);
        }
    };
    if !(finished && *password == session.client.password()) {
        // The servers cannot unlearn a password, and nothing that is under it can be read without it: so it is on disk
        // first.
        session.pending = match Journal::write(&session.conf, &password) {
            Ok(journal) => Some(journal),
            Err(error) => return Ok(not_rewritten(session, &error)),
        };
        console.begin_work();
        if let Err(NotChanged { error, begun }) = carry_out(session, false) {
            if !begun && let Some(journal) = &session.pending {
                match journal.discard() {
                    Ok(()) => session.pending = None,
                    Err(why) => console.warning(&format!(
                        "cannot remove {} ({why}); remove it if the password should not be changed",
                        journal.path().display()
                    )),
                }
            }
            return Err(error);
        }
    }
    console.done(&"password changed on every server and in the .conf");
    Ok(0)
}

/// Reports that the .conf cannot get the new password; the exit status.
fn not_rewritten(session: &Session<'_>, error: &io::Error) -> u8 {
    let conf = session.conf.display();
    let hint = match error.kind() {
        io::ErrorKind::AlreadyExists => "another client is changing it, or was interrupted",
        NO_PASSWORD_LINE => {
            "put the current password in a Password line, in place of PasswordCommand if that is there"
        }
        _ => "Passwd writes a new .conf beside the old one",
    };
    session
        .console
        .error(&format!("cannot rewrite {conf} ({error}); no password was changed"), Some(hint.into()));
    FAILED
}

/// Finishes an interrupted change, if there is one; warns if that is not possible.
pub(super) fn finish_or_warn(session: &mut Session<'_>) {
    if let Err(error) = finish(session)
        && let Some(journal) = &session.pending
    {
        session.console.end_work();
        session.console.warning(&format!(
            "an interrupted password change cannot be finished now ({error}); until it is, some files may not open, \
             and none may be stored"
        ));
        session.console.hint(&will_continue(session, journal));
    }
}

/// Finishes an interrupted change, if that is possible; returns whether there was one.
fn finish(session: &mut Session<'_>) -> Result<bool, ClientError> {
    let Some(journal) = &session.pending else { return Ok(false) };
    // At the end the new password must find a place.
    Journal::require_password_line(&session.conf).map_err(|error| of_conf(session, error))?;
    session.console.begin_work();
    session.client.can_go_on_with(&journal.password)?;
    session.console.warning(&"finishing an interrupted password change");
    carry_out(session, true).map_err(|why| why.error)?;
    session.console.end_work();
    Ok(true)
}

/// Carries out the change that is in the journal, on the servers and in the .conf.
fn carry_out(session: &mut Session<'_>, again: bool) -> Result<(), NotChanged> {
    let Some(journal) = &session.pending else { return Ok(()) };
    session.client.change_password(&journal.password, again)?;
    journal.publish().map_err(|error| NotChanged { error: of_conf(session, error), begun: true })?;
    session.pending = None;
    Ok(())
}

fn of_conf(session: &Session<'_>, error: io::Error) -> ClientError {
    LocalError::Failed(session.conf.clone(), error).into()
}

pub(in crate::cli) fn will_continue(session: &Session<'_>, journal: &Journal) -> String {
    let path = journal.path().display();
    match Journal::require_password_line(&session.conf) {
        Err(error) if error.kind() == NO_PASSWORD_LINE => format!(
            "the new password is in {path}; to continue the change, write the old one in a Password line of {}",
            session.conf.display()
        ),
        _ => {
            format!("the new password is in {path}; the next command with this .conf continues the change")
        }
    }
}
