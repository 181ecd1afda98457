//! A session: the lines that it reads, and its replies, which are sent at once or when the batch is on disk.

use std::io::{self, Write};
use std::net::SocketAddr;

use crate::auth::SessionKeys;
use crate::name::UserName;
use crate::primitives::{Key, sha256};
use crate::server::channel::{Channel, End};
use crate::server::log::Lines;
use crate::server::refusal::reply_for;
use crate::server::shared::Shared;
use crate::store::{Batch, Connection, StoreError};
use crate::wire::{LineOpener, LineSealer, Refusal, Reply, read_line};

/// Most replies that wait for one sync.
pub const MAX_BATCH: usize = 256;
/// Most bytes of payloads that wait for one sync.
pub const MAX_BATCH_BYTES: u64 = 8 << 20;

/// A reply that waits for the batch, and what to log with it.
struct HeldReply {
    reply: Reply,
    what: String,
}

pub(super) struct Session<'a> {
    pub(super) shared: &'a Shared,
    pub(super) user: UserName,
    pub(super) connection: Connection,
    pub(super) channel: Channel,
    pub(super) opener: LineOpener,
    pub(super) payloads: Key,
    pub(super) secrets: Key,
    pub(super) batch: Batch,
    held: Vec<HeldReply>,
    held_bytes: u64,
    /// What is not in the log yet: nothing while the session waits for its client.
    pub(super) lines: Lines<'a>,
    who: String,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        from: SocketAddr,
        channel: Channel,
        (user, keys, connection): (UserName, SessionKeys, Connection),
    ) -> Self {
        channel.voice.seal_with(LineSealer::new(keys.server_lines));
        shared.voices.add(&channel.voice);
        Self {
            shared,
            who: format!("{from} {user}"),
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
        }
    }

    pub(super) fn log(&mut self, text: &str) {
        self.lines.line(&format!("{} {text}", self.who));
    }

    /// The line of the next request. Before the session waits for it, it sends the replies that wait for the batch.
    pub(super) fn next_request(&mut self) -> Result<String, End> {
        // While replies wait, part of a line is reason enough to wait for the rest: when many requests arrive
        // together the buffer mostly ends within one.
        let more = || self.has_line() || !self.held.is_empty() && self.channel.reader.get_ref().has_arrived();
        if !more() {
            self.release_held()?;
        }
        self.read_text()
    }

    /// Whether a whole line has arrived. The rest of a part may take long.
    fn has_line(&self) -> bool {
        self.channel.reader.buffer().contains(&b'\n')
    }

    pub(super) fn read_text(&mut self) -> Result<String, End> {
        if !self.has_line() {
            self.lines.hand_over();
            self.flush()?;
        }
        let line = read_line(&mut self.channel.reader)?;
        self.opener.open(&line).map(str::to_owned).map_err(|_| End::Refused(Refusal::BadMac))
    }

    pub(super) fn send(&self, reply: &Reply) -> io::Result<()> {
        self.channel.voice.speak().send(reply)
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        self.channel.voice.speak().flush()
    }

    /// Works for the client, which gets signs of life in the meantime.
    pub(super) fn work<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        self.channel.voice.work();
        let result = act(self);
        self.channel.voice.rest();
        result
    }

    /// Holds a reply until the batch is on disk. The request added `bytes` to the batch.
    pub(super) fn hold(
        &mut self,
        what: String,
        bytes: u64,
        result: &Result<(), StoreError>,
    ) -> Result<(), End> {
        if let Err(error) = result {
            self.log(&format!("{what}: {error}"));
        }
        self.held.push(HeldReply { reply: reply_for(result), what });
        self.held_bytes += bytes;
        if self.held.len() >= MAX_BATCH || self.held_bytes >= MAX_BATCH_BYTES {
            self.release_held()?;
        }
        Ok(())
    }

    /// Syncs the batch, then sends the replies that waited for it.
    pub(super) fn release_held(&mut self) -> Result<(), End> {
        if self.held.is_empty() {
            return Ok(());
        }
        let flushed = self.work(|session| session.shared.store.flush(&mut session.batch));
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

    /// Before a request that is answered at once: sends the replies that wait, then has the client get signs of life
    /// until the answer.
    pub(super) fn begin(&mut self) -> Result<(), End> {
        self.release_held()?;
        self.channel.voice.work();
        Ok(())
    }

    /// Carries out a request, and replies at once.
    pub(super) fn done(
        &mut self,
        what: &str,
        act: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), End> {
        self.begin()?;
        let result = act(self);
        self.reply(what, &result)
    }

    /// Makes the text that answers a request, and replies at once.
    pub(super) fn text(
        &mut self,
        what: &str,
        make: impl FnOnce(&mut Self) -> Result<String, StoreError>,
    ) -> Result<(), End> {
        self.begin()?;
        match make(self) {
            Ok(text) => self.reply_text(what, &text),
            Err(error) => self.reply(what, &Err(error)),
        }
    }

    /// Makes the bytes that answer a request, and replies at once.
    pub(super) fn bytes(
        &mut self,
        what: &str,
        make: impl FnOnce(&mut Self) -> Result<Vec<u8>, StoreError>,
    ) -> Result<(), End> {
        self.begin()?;
        match make(self) {
            Ok(bytes) => {
                self.log(&format!("{what}: ok"));
                let mut speech = self.channel.voice.speak();
                speech.send(&Reply::Data(bytes.len() as u64))?;
                Ok(speech.write_all(&bytes)?)
            }
            Err(error) => self.reply(what, &Err(error)),
        }
    }

    pub(super) fn reply(&mut self, what: &str, result: &Result<(), StoreError>) -> Result<(), End> {
        self.log_result(what, result);
        Ok(self.send(&reply_for(result))?)
    }

    pub(super) fn reply_text(&mut self, what: &str, text: &str) -> Result<(), End> {
        self.log(&format!("{what}: ok"));
        Ok(self.send_text(&Reply::Text(text.len() as u64, sha256(text.as_bytes())), text)?)
    }

    /// Sends a part of a text, of which more follows.
    pub(super) fn send_part(&self, text: &str) -> io::Result<()> {
        self.send_text(&Reply::More(text.len() as u64, sha256(text.as_bytes())), text)
    }

    fn send_text(&self, reply: &Reply, text: &str) -> io::Result<()> {
        // A sign of life must not come in between.
        let mut speech = self.channel.voice.speak();
        speech.send(reply)?;
        speech.write_all(text.as_bytes())
    }

    fn log_result(&mut self, what: &str, result: &Result<(), StoreError>) {
        match result {
            Ok(()) => self.log(&format!("{what}: ok")),
            Err(error) => self.log(&format!("{what}: {error}")),
        }
    }
}
