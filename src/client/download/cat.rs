//! A file's bytes, written in their order to wherever the caller wants them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use super::plan::{Failure, MAX_RESTARTS, MORE_LOOKS, Plan, plan};
use super::stream::Stream;
use crate::client::core::base::Core;
use crate::client::core::error::ClientError;
use crate::client::core::find::Looked;
use crate::client::core::prove::survey_to_read;
use crate::client::core::report::Notice;
use crate::client::core::sight::Unseen;
use crate::peer::Stop;
use crate::sealed::Kind;

/// Bytes that are written at a time: a terminal may take a second for a megabyte, and a stop should not wait for it.
const STEP: usize = 64 * 1024;

/// See [`Client::cat`](crate::client::Client::cat).
pub(crate) fn cat(core: &mut Core, file: Looked, out: &mut (dyn Write + Send)) -> Result<(), ClientError> {
    let path = file.path().clone();
    let mut unseen = Unseen::default();
    let mut looked = file.into_survey();
    for look in 1..=MAX_RESTARTS {
        let again = |core: &mut Core| survey_to_read(core, std::slice::from_ref(&path)).pop();
        let Some(survey) = looked.take().or_else(|| again(core)) else { break };
        unseen.add(&survey.unseen);
        let plan = match plan(core, survey) {
            // As in a download.
            Err(ClientError::Incomplete { .. }) if look <= MORE_LOOKS => continue,
            plan => plan?,
        };
        let (size, mut written) = (plan.facts.size, 0);
        let ended = write(core, plan, out, &mut written);
        core.report.end();
        match ended {
            Ok(()) => {
                unseen.warn_of_newer(core);
                return Ok(());
            }
            Err(Failure::Failed(error @ ClientError::Output(_))) => return Err(error),
            Err(_) if written > 0 => {
                core.report.notice(Notice::CutShort { path: path.clone(), written, size });
            }
            Err(Failure::Replaced) => continue,
            Err(Failure::Failed(ClientError::Incomplete { .. })) if look <= MORE_LOOKS => continue,
            Err(Failure::Failed(_)) => {}
        }
        return Err(match ended {
            Err(Failure::Failed(error)) => error,
            _ => ClientError::ReplacedWhileRead(path),
        });
    }
    Err(ClientError::Contended(path))
}

/// Writes the bytes of a file, and counts them in `written`. While some are written, the next are fetched.
fn write(
    core: &mut Core,
    plan: Plan,
    out: &mut (dyn Write + Send),
    written: &mut u64,
) -> Result<(), Failure> {
    let is_link = plan.facts.kind == Kind::Link;
    let path = plan.survey.path.clone();
    let is_unwanted = Arc::new(AtomicBool::new(false));
    core.report.begin(1, plan.facts.size);
    let mut stream = Stream::new(core, plan, Arc::clone(&is_unwanted));
    let stop = core.cluster.stop().clone();
    if is_link {
        // A link is short.
        let target = stream.next(core)?.unwrap_or_default();
        let target = String::from_utf8_lossy(&target).into_owned();
        return Err(Failure::Failed(ClientError::IsLink(path, target)));
    }
    let (ended, put_out) = thread::scope(|scope| {
        // Without room in between: no more than two windows are in memory.
        let (windows, to_write) = sync_channel::<Vec<u8>>(0);
        let stop = &stop;
        let writer = scope.spawn(move || {
            let mut put_out = |window: Vec<u8>| window.chunks(STEP).try_for_each(|step| put(out, step, stop));
            let put_out = to_write.iter().try_for_each(&mut put_out);
            // An output with a buffer must not bring the rest of it later.
            let put_out = put_out.and(out.flush());
            is_unwanted.store(put_out.is_err(), Ordering::Relaxed);
            put_out
        });
        let ended = loop {
            match stream.next(core) {
                Ok(Some(window)) => {
                    let length = window.len() as u64;
                    if windows.send(window).is_err() {
                        break Ok(());
                    }
                    *written += length;
                }
                Ok(None) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        drop(windows);
        let panicked = || Err(io::Error::other("its thread ended"));
        (ended, writer.join().unwrap_or_else(|_| panicked()))
    });
    stream.report_bad_copies(core);
    if stop.is_requested() {
        // As if all servers were lost, which is what ends the other commands.
        return Err(Failure::Failed(core.no_server()));
    }
    put_out.map_err(|error| Failure::Failed(ClientError::Output(error)))?;
    ended
}

/// Writes some bytes, unless that should be stopped.
fn put(out: &mut (dyn Write + Send), bytes: &[u8], stop: &Stop) -> io::Result<()> {
    if stop.is_requested() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    out.write_all(bytes)
}
