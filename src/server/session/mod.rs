//! One client's connection, once logged in: one reply to each request, in order.
//!
//! Replies to STAGE and COMMIT wait until what they acknowledge is on disk. As long as more requests
//! have already arrived they wait together, so that a pipeline of small files shares its syncs.

mod payload;

use std::io::{self, Write};

pub use payload::SPACE_CHECK;

use super::admission::Visit;
use super::channel::{Channel, End};
use super::log::Lines;
use super::login::login;
use super::refusal::reply_for;
use super::{Shared, now};
use crate::commit::{self, KeyChange};
use crate::name::{FolderPath, UserName};
use crate::primitives::{Key, Keystream, sha256};
use crate::store::{Batch, Connection, StoreError};
use crate::wire::{
    LineError, LineOpener, LineSealer, MAX_TEXT, NameReport, Refusal, Reply, Request, Usage, read_line,
};

/// Most replies that wait for one sync.
pub const MAX_BATCH: usize = 256;

/// Bytes of payload that wait for one sync.
pub const MAX_BATCH_BYTES: u64 = 8 << 20;
/// Serves one connection to its end.
pub(super) fn run(shared: &Shared, mut visit: Visit) {
    let from = visit.from;
    let log = |text: &str| shared.log.line(&format!("{from} {text}"));
    let mut channel = match Channel::open(&visit.stream) {
        Ok(channel) => channel,
        Err(error) => return log(&format!("connection failed: {error}")),
    };
    let (user, keys, connection) = match login(shared, &mut visit, &mut channel) {
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
    let ending = shared.store.ends(user.clone(), connection);
    log(&format!("{user} logged in"));
    channel.voice.seal_with(LineSealer::new(keys.server_lines));
    shared.voices.add(&channel.voice);
    let mut session = Session {
        shared,
        who: format!("{} {user}", visit.from),
        user,
        connection,
        channel,
        opener: LineOpener::new(keys.client_lines),
        payloads: keys.payloads,
        secrets: keys.secrets,
        batch: Batch::default(),
        held: Vec::new(),
        held_bytes: 0,
        lines: Lines::new(&shared.log),
    };
    let end = session.serve();
    session.channel.voice.rest();
    drop(ending);
    match end {
        end if end.is_quiet() => session.log("left"),
        End::Refused(refusal) => {
            // The last line that this client gets; whether it arrives is no longer our concern.
            let _ = session.send(&Reply::no(refusal)).and_then(|()| session.flush());
            session.log(&format!("disconnected: {refusal}"));
        }
        end => session.log(&format!("disconnected: {end}")),
    }
}

/// Whether the clock allows a generation: asked of all that stages something or raises a floor.
fn within_reach(generation: u64) -> Result<(), StoreError> {
    Ok(commit::not_ahead(generation, now())?)
}

/// A reply that waits for the batch, with what to log of it.
struct HeldReply {
    reply: Reply,
    what: String,
}

struct Session<'a> {
    shared: &'a Shared,
    who: String,
    user: UserName,
    connection: Connection,
    channel: Channel,
    opener: LineOpener,
    payloads: Key,
    secrets: Key,
    batch: Batch,
    held: Vec<HeldReply>,
    held_bytes: u64,
    /// What the log does not have yet: nothing while the session waits for its client.
    lines: Lines<'a>,
}

impl Session<'_> {
    fn log(&mut self, text: &str) {
        self.lines.line(&format!("{} {text}", self.who));
    }

    fn serve(&mut self) -> End {
        loop {
            if let Err(end) = self.serve_one() {
                // What was staged or committed is so; only its acknowledgement may not arrive.
                let _ = self.release_held();
                return end;
            }
        }
    }

    fn serve_one(&mut self) -> Result<(), End> {
        // For held replies a part of a line is enough to wait for more: of many requests that come at once the
        // buffer mostly ends with one.
        let more = || self.has_line() || !self.held.is_empty() && self.channel.reader.get_ref().has_arrived();
        if !more() {
            self.release_held()?;
        }
        let line = self.read_text()?;
        let request = Request::parse(&line).map_err(|_| End::Refused(Refusal::BadRequest))?;
        match request {
            Request::Stage { header, length, restore } => self.stage(*header, length, restore),
            Request::Commit(path, version) => {
                self.channel.voice.work();
                let result =
                    self.shared.store.commit(self.connection, &self.user, &path, version, &mut self.batch);
                self.channel.voice.rest();
                self.hold(result, line, 0)
            }
            Request::Copy { path, piece, version, header, seal } => {
                self.copy(&path, piece, version, *header, &seal)
            }
            other => {
                self.release_held()?;
                self.answer(other, &line)
            }
        }
    }

    /// Whether a whole line is here. What follows a part of one may be long in coming.
    fn has_line(&self) -> bool {
        self.channel.reader.buffer().contains(&b'\n')
    }

    fn read_text(&mut self) -> Result<String, End> {
        if !self.has_line() {
            self.lines.hand_over();
            self.flush()?;
        }
        let line = read_line(&mut self.channel.reader)?;
        self.opener.open(&line).map(str::to_owned).map_err(|_| End::Refused(Refusal::BadMac))
    }

    fn answer(&mut self, request: Request, line: &str) -> Result<(), End> {
        let store = &self.shared.store;
        match request {
            Request::Read { path, piece, version, offset, length } => {
                return self.read(line, &path, piece, version, offset, length);
            }
            _ => self.channel.voice.work(),
        }
        match request {
            Request::Look(path) => match store.look(&self.user, &path) {
                Ok(report) => self.text(line, &NameReport { clock: now(), ..report }.to_text()),
                Err(error) => self.done(line, Err(error)),
            },
            Request::List { folder, recursive } => self.list(line, &folder, recursive),
            Request::Fence(path, version) => {
                let result =
                    within_reach(version.rank()).and_then(|()| store.fence(&self.user, &path, version));
                self.done(line, result)
            }
            Request::Abort(path, version) => {
                let abort = || store.abort(self.connection, &self.user, &path, version);
                let result = within_reach(version.rank()).and_then(|()| abort());
                self.done(line, result)
            }
            Request::Retire(path, version) => {
                let result = store.retire(&self.user, &path, version);
                self.done(line, result)
            }
            Request::Forget(path, version) => {
                let result =
                    within_reach(version.rank()).and_then(|()| store.forget(&self.user, &path, version));
                self.done(line, result)
            }
            Request::Check(path, piece, version) => {
                let sound = store.is_sound(&self.user, &path, piece, version);
                let result = sound.and_then(|sound| if sound { Ok(()) } else { Err(StoreError::Damaged) });
                self.done(line, result)
            }
            Request::Status => match store.usage(&self.user) {
                Ok(usage) => {
                    let free = super::space::free_bytes(&self.shared.folder);
                    self.text(line, &Usage { free, ..usage }.to_text())
                }
                Err(error) => self.done(line, Err(error)),
            },
            Request::Rekey(change) => self.rekey(change),
            Request::Passwd { block, verifier } => self.passwd(&block, verifier),
            Request::Ping => Ok(self.send(&Reply::Ok)?),
            // These wait in the batch: see `serve_one`.
            Request::Stage { .. } | Request::Copy { .. } | Request::Commit(..) | Request::Read { .. } => {
                Err(End::Refused(Refusal::BadRequest))
            }
        }
    }

    /// First what PASSWD will need, so that what keeps it from its work is found before any piece is changed.
    fn rekey(&mut self, change: KeyChange) -> Result<(), End> {
        if let Err(error) = self.shared.users.can_change() {
            self.log(&format!("REKEY: {error}"));
            return Ok(self.send(&Reply::No(Refusal::DiskError, error.to_string()))?);
        }
        let result = self.shared.store.rekey(self.connection, &self.user, change);
        if result.is_ok() {
            self.end_others();
        }
        self.done("REKEY", result)
    }

    /// Ends the user's other sessions. What they staged may be settled at once.
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

    fn send(&self, reply: &Reply) -> io::Result<()> {
        self.channel.voice.speak().send(reply)
    }

    fn flush(&self) -> io::Result<()> {
        self.channel.voice.speak().flush()
    }

    fn done(&mut self, what: &str, result: Result<(), StoreError>) -> Result<(), End> {
        let reply = reply_for(&result);
        self.log_result(what, &result);
        Ok(self.send(&reply)?)
    }

    fn log_result(&mut self, what: &str, result: &Result<(), StoreError>) {
        match result {
            Ok(()) => self.log(&format!("{what}: ok")),
            Err(error) => self.log(&format!("{what}: {error}")),
        }
    }

    fn text(&mut self, what: &str, text: &str) -> Result<(), End> {
        self.log(&format!("{what}: ok"));
        Ok(self.send_text(&Reply::Text(text.len() as u64, sha256(text.as_bytes())), text)?)
    }

    fn more(&self, text: &str) -> io::Result<()> {
        self.send_text(&Reply::More(text.len() as u64, sha256(text.as_bytes())), text)
    }

    fn send_text(&self, reply: &Reply, text: &str) -> io::Result<()> {
        // A sign of life must not come in between.
        let mut speech = self.channel.voice.speak();
        speech.send(reply)?;
        speech.write_all(text.as_bytes())
    }

    /// Lets a reply wait for the batch to be on disk.
    fn hold(&mut self, result: Result<(), StoreError>, what: String, bytes: u64) -> Result<(), End> {
        if let Err(error) = &result {
            self.log(&format!("{what}: {error}"));
        }
        self.held.push(HeldReply { reply: reply_for(&result), what });
        self.held_bytes += bytes;
        if self.held.len() >= MAX_BATCH || self.held_bytes >= MAX_BATCH_BYTES {
            self.release_held()?;
        }
        Ok(())
    }

    /// Syncs the batch, then sends the replies that waited for it.
    fn release_held(&mut self) -> Result<(), End> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.channel.voice.work();
        let flushed = self.shared.store.flush(&mut self.batch);
        self.channel.voice.rest();
        self.held_bytes = 0;
        for HeldReply { reply, what } in std::mem::take(&mut self.held) {
            if reply == Reply::Ok {
                self.log_result(&what, &flushed);
                self.send(&reply_for(&flushed))?;
            } else {
                self.send(&reply)?;
            }
        }
        Ok(())
    }

    fn list(&mut self, what: &str, folder: &FolderPath, recursive: bool) -> Result<(), End> {
        /// The store's errors end the list with a refusal; the connection's end the session.
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
        let user = self.user.clone();
        let mut text = String::new();
        let listed = self.shared.store.list::<Stop>(&user, folder, recursive, |entry| {
            text.push_str(&entry.to_line());
            if text.len() >= FRAME {
                self.more(&std::mem::take(&mut text)).map_err(Stop::Io)?;
            }
            Ok(())
        });
        match listed {
            Ok(()) => self.text(what, &text),
            Err(Stop::Store(error)) => self.done(what, Err(error)),
            Err(Stop::Io(error)) => Err(error.into()),
        }
    }
}
