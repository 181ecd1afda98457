//! One client's connection, once logged in: one reply to each request, in order.
//!
//! Replies to STAGE, RESTORE, COPY and COMMIT wait until what they acknowledge is on disk. As long as more requests
//! have already arrived they wait together, so that a pipeline of small files shares its syncs.

mod payload;
mod replies;

use std::io;

pub use payload::SPACE_CHECK;
pub use replies::{MAX_BATCH, MAX_BATCH_BYTES};

use super::admission::Visit;
use super::channel::{Channel, End};
use super::clock::{now, within_reach};
use super::login::{LoggedIn, login};
use super::shared::Shared;
use super::space;
use crate::commit::KeyChange;
use crate::name::FolderPath;
use crate::primitives::Keystream;
use crate::store::StoreError;
use crate::wire::{LineError, MAX_TEXT, NameReport, Refusal, Reply, Request, Usage};
use replies::Session;

/// Serves one connection until it ends.
pub(super) fn run(shared: &Shared, mut visit: Visit) {
    let from = visit.from;
    let log = |text: &str| shared.log.line(&format!("{from} {text}"));
    let mut channel = match Channel::open(&visit.stream) {
        Ok(channel) => channel,
        Err(error) => return log(&format!("connection failed: {error}")),
    };
    let LoggedIn { user, keys, connection, ending } = match login(shared, &mut visit, &mut channel) {
        Ok(logged_in) => logged_in,
        Err(end) => {
            let end = match end {
                End::Line(LineError::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {
                    End::Refused(Refusal::Slow)
                }
                end => end,
            };
            if let End::Refused(refusal) = &end {
                channel.refuse_stranger(*refusal);
            }
            return log(&format!("not logged in: {end}"));
        }
    };
    log(&format!("{user} logged in"));
    let mut session = Session::new(shared, from, channel, (user, keys, connection));
    let end = session.serve();
    session.channel.voice.rest();
    drop(ending);
    match end {
        end if end.is_quiet() => session.log("left"),
        End::Refused(refusal) => {
            // The last line to this client. Whether it arrives no longer matters.
            let _ = session.send(&Reply::no(refusal)).and_then(|()| session.flush());
            session.log(&format!("disconnected: {refusal}"));
        }
        end => session.log(&format!("disconnected: {end}")),
    }
}

impl Session<'_> {
    fn serve(&mut self) -> End {
        loop {
            if let Err(end) = self.serve_one() {
                // What was staged or committed stays so, even if its acknowledgement does not arrive.
                let _ = self.release_held();
                return end;
            }
        }
    }

    fn serve_one(&mut self) -> Result<(), End> {
        let line = self.next_request()?;
        let request = Request::parse(&line).map_err(|_| End::Refused(Refusal::BadRequest))?;
        match request {
            // The replies to these wait for the batch.
            Request::Stage { header, length, restore } => self.stage(*header, length, restore),
            Request::Resume { header, opening, from, chunks, length } => {
                self.resume(*header, &opening, (from, chunks), length)
            }
            Request::Copy { path, piece, version, header, seal } => {
                self.copy(&path, piece, version, *header, &seal)
            }
            Request::Commit(path, version) => {
                let result =
                    self.work(|s| s.shared.store.commit(s.connection, &s.user, &path, version, &mut s.batch));
                self.hold(line, 0, &result)
            }
            // All others are answered at once.
            Request::Read { path, piece, version, offset, length } => {
                self.read(&line, &path, piece, version, offset, length)
            }
            Request::Look(path) => self.text(&line, |s| {
                let report = s.shared.store.look(&s.user, &path)?;
                Ok(NameReport { clock: now(), ..report }.to_text())
            }),
            Request::List { folder, recursive } => self.list(&line, &folder, recursive),
            Request::Fence(path, version) => self.done(&line, |s| {
                within_reach(version.rank())?;
                s.shared.store.fence(&s.user, &path, version)
            }),
            Request::Abort(path, version) => self.done(&line, |s| {
                within_reach(version.rank())?;
                s.shared.store.abort(s.connection, &s.user, &path, version)
            }),
            Request::Retire(path, version) => {
                self.done(&line, |s| s.shared.store.retire(&s.user, &path, version))
            }
            Request::Forget(path, version) => self.done(&line, |s| {
                within_reach(version.rank())?;
                s.shared.store.forget(&s.user, &path, version)
            }),
            Request::Check(path, piece, version) => self.done(&line, |s| {
                let sound = s.shared.store.is_sound(&s.user, &path, piece, version)?;
                if sound { Ok(()) } else { Err(StoreError::Damaged) }
            }),
            Request::Chunks(path, piece, version) => {
                self.bytes(&line, |s| s.shared.store.chunks(&s.user, &path, piece, version))
            }
            Request::Status => self.text(&line, |s| {
                let usage = s.shared.store.usage(&s.user)?;
                Ok(Usage { free: space::free_bytes(&s.shared.folder), ..usage }.to_text())
            }),
            Request::Rekey(change) => self.rekey(change),
            Request::Passwd { block, verifier } => self.passwd(&block, verifier),
            Request::Ping => {
                self.release_held()?;
                Ok(self.send(&Reply::Ok)?)
            }
        }
    }

    /// Checks first what PASSWD will need, so that whatever would make it fail is found before any piece changes.
    fn rekey(&mut self, change: KeyChange) -> Result<(), End> {
        self.begin()?;
        if let Err(error) = self.shared.users.can_change() {
            self.log(&format!("REKEY: {error}"));
            return Ok(self.send(&Reply::No(Refusal::DiskError, error.to_string()))?);
        }
        let result = self.shared.store.rekey(self.connection, &self.user, change);
        if result.is_ok() {
            self.end_others();
        }
        self.reply("REKEY", &result)
    }

    /// Ends the user's other sessions. What they staged can be settled at once.
    fn end_others(&mut self) {
        let others = self.shared.admission.end_others(&self.user, self.connection);
        others.iter().for_each(|&other| self.shared.store.disconnect(&self.user, other));
        if !others.is_empty() {
            self.log(&format!("other sessions ended: {}", others.len()));
        }
    }

    fn passwd(&mut self, block: &[u8; 16], mut verifier: Vec<u8>) -> Result<(), End> {
        Keystream::new(&self.secrets, block).apply(&mut verifier);
        let text = String::from_utf8(verifier).map_err(|_| End::Refused(Refusal::BadRequest))?;
        let verifier = text.parse().map_err(|_| End::Refused(Refusal::BadRequest))?;
        self.begin()?;
        let reply = match self.shared.users.change(&self.user, &verifier) {
            Ok(()) => {
                self.end_others();
                self.log("PASSWD: ok");
                Reply::Ok
            }
            Err(error) => {
                self.log(&format!("PASSWD: {error}"));
                Reply::No(Refusal::DiskError, error.to_string())
            }
        };
        Ok(self.send(&reply)?)
    }

    fn list(&mut self, what: &str, folder: &FolderPath, recursive: bool) -> Result<(), End> {
        /// An error of the store ends the list with a refusal, one of the connection the session.
        enum Stop {
            Store(StoreError),
            Io(io::Error),
        }
        impl From<StoreError> for Stop {
            fn from(error: StoreError) -> Self {
                Stop::Store(error)
            }
        }
        const FRAME: usize = MAX_TEXT / 4;
        self.begin()?;
        let user = self.user.clone();
        let mut text = String::new();
        let listed = self.shared.store.list::<Stop>(&user, folder, recursive, |entry| {
            text.push_str(&entry.to_line());
            if text.len() >= FRAME {
                self.send_part(&std::mem::take(&mut text)).map_err(Stop::Io)?;
            }
            Ok(())
        });
        match listed {
            Ok(()) => self.reply_text(what, &text),
            Err(Stop::Store(error)) => self.reply(what, &Err(error)),
            Err(Stop::Io(error)) => Err(error.into()),
        }
    }
}
