//! One client's connection, once logged in: one reply to each request, in order.
//!
//! Replies to STAGE and COMMIT wait until what they acknowledge is on disk. As long as more requests
//! have already arrived they wait together, so that a pipeline of small files shares its syncs.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use super::Shared;
use super::admission::Visit;
use super::channel::{Channel, End};
use super::login::login;
use crate::commit::Refused;
use crate::name::{FilePath, FolderPath, UserName};
use crate::primitives::{Bytes32, Keystream, sha256};
use crate::sealed::Header;
use crate::store::{Batch, Check, Connection, Staging, StoreError};
use crate::version::Version;
use crate::wire::{
    LineError, LineOpener, LineSealer, MAX_TEXT, Refusal, Reply, Request, StageEnd, Usage, read_line,
};

/// Time between two requests. Clients log in again when they need to; but one that has staged its piece
/// here may have to wait for the others of a large upload.
pub const IDLE_LIMIT: Duration = Duration::from_secs(2 * 3600);
/// Time for one read within a payload, and for one write.
pub const STALL_LIMIT: Duration = Duration::from_secs(60);
/// Most replies that wait for one sync.
pub const MAX_BATCH: usize = 256;

/// Bytes of payload that wait for one sync.
pub const MAX_BATCH_BYTES: u64 = 8 << 20;
const COPY_BUFFER: usize = 256 * 1024;
/// Pieces up to this size are sent through the write buffer, larger ones past it.
const SMALL_READ: u64 = 64 * 1024;
/// Payloads from this size on are refused beforehand if the disk has no room for them; smaller ones
/// find out while they are written.
pub const SPACE_CHECK: u64 = 16 << 20;
/// How often a long CHECK gives a sign of life.
pub const LIFE_SIGN: Duration = Duration::from_secs(1);

/// Serves one connection to its end.
pub(super) fn run(shared: &Shared, visit: Visit) {
    let log = |text: &str| shared.log.line(&format!("{} {text}", visit.from));
    let mut channel = match Channel::open(&visit.stream) {
        Ok(channel) => channel,
        Err(error) => return log(&format!("connection failed: {error}")),
    };
    let (user, keys) = match login(shared, &visit, &mut channel) {
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
    visit.logged_in();
    log(&format!("{user} logged in"));
    let connection = shared.store.connect();
    let mut session = Session {
        shared,
        who: format!("{} {user}", visit.from),
        user,
        connection,
        channel,
        sealer: LineSealer::new(keys.server_lines),
        opener: LineOpener::new(keys.client_lines),
        secrets: keys.secrets,
        batch: Batch::default(),
        held: Vec::new(),
        held_bytes: 0,
    };
    let end = session.serve();
    shared.store.disconnect(connection);
    match end {
        end if end.is_quiet() => session.log("left"),
        End::Refused(refusal) => {
            // The last line that this client gets; whether it arrives is no longer our concern.
            let _ = session.send(&Reply::no(refusal)).and_then(|()| session.channel.writer.flush());
            session.log(&format!("disconnected: {refusal}"));
        }
        end => session.log(&format!("disconnected: {end}")),
    }
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
    sealer: LineSealer,
    opener: LineOpener,
    secrets: Bytes32,
    batch: Batch,
    held: Vec<HeldReply>,
    held_bytes: u64,
}

impl Session<'_> {
    fn log(&self, text: &str) {
        self.shared.log.line(&format!("{} {text}", self.who));
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
        let reader = &self.channel.reader;
        let more = || !reader.buffer().is_empty() || !self.held.is_empty() && reader.get_ref().has_arrived();
        if !more() {
            self.release_held()?;
            self.channel.writer.flush()?;
        }
        let line = self.read_text()?;
        let request = Request::parse(&line).map_err(|_| End::Refused(Refusal::BadRequest))?;
        match request {
            Request::Stage { header, length, restore } => self.stage(*header, length, restore),
            Request::Commit(path, version) => {
                let result = self.shared.store.commit(&self.user, &path, version, &mut self.batch);
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

    fn read_text(&mut self) -> Result<String, End> {
        let line = read_line(&mut self.channel.reader)?;
        self.opener.open(&line).map(str::to_owned).map_err(|_| End::Refused(Refusal::BadMac))
    }

    fn answer(&mut self, request: Request, line: &str) -> Result<(), End> {
        let store = &self.shared.store;
        match request {
            Request::Look(path) => match store.look(&self.user, &path) {
                Ok(report) => self.text(line, &report.to_text()),
                Err(error) => self.done(line, Err(error)),
            },
            Request::List { folder, recursive } => self.list(line, &folder, recursive),
            Request::Read { path, piece, version, offset, length } => {
                self.read(line, &path, piece, version, offset, length)
            }
            Request::Fence(path, version) => {
                let result = store.fence(&self.user, &path, version);
                self.done(line, result)
            }
            Request::Abort(path, version) => {
                let result = store.abort(self.connection, &self.user, &path, version);
                self.done(line, result)
            }
            Request::Retire(path, version) => {
                let result = store.retire(&self.user, &path, version);
                self.done(line, result)
            }
            Request::Forget(path, version) => {
                let result = store.forget(&self.user, &path, version);
                self.done(line, result)
            }
            Request::Check(path, piece, version) => self.check(line, &path, piece, version),
            Request::Status => match store.usage(&self.user) {
                Ok(usage) => {
                    let free = super::space::free_bytes(&self.shared.folder);
                    self.text(line, &Usage { free, ..usage }.to_text())
                }
                Err(error) => self.done(line, Err(error)),
            },
            Request::Passwd { block, verifier } => self.passwd(&block, verifier),
            Request::Ping => Ok(self.send(&Reply::Ok)?),
            // These wait in the batch: see `serve_one`.
            Request::Stage { .. } | Request::Copy { .. } | Request::Commit(..) => {
                Err(End::Refused(Refusal::BadRequest))
            }
        }
    }

    fn passwd(&mut self, block: &[u8; 16], mut verifier: Vec<u8>) -> Result<(), End> {
        Keystream::new(&self.secrets, block).apply(&mut verifier);
        let text = String::from_utf8(verifier).map_err(|_| End::Refused(Refusal::BadRequest))?;
        let verifier = text.parse().map_err(|_| End::Refused(Refusal::BadRequest))?;
        let reply = match self.shared.users.change(&self.user, &verifier) {
            Ok(()) => {
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

    fn send(&mut self, reply: &Reply) -> io::Result<()> {
        let line = self.sealer.seal(&reply.to_line());
        self.channel.writer.write_all(line.as_bytes())
    }

    fn done(&mut self, what: &str, result: Result<(), StoreError>) -> Result<(), End> {
        let reply = reply_for(&result);
        self.log_result(what, &result);
        Ok(self.send(&reply)?)
    }

    fn log_result(&self, what: &str, result: &Result<(), StoreError>) {
        match result {
            Ok(()) => self.log(&format!("{what}: ok")),
            Err(error) => self.log(&format!("{what}: {error}")),
        }
    }

    fn text(&mut self, what: &str, text: &str) -> Result<(), End> {
        self.log(&format!("{what}: ok"));
        self.send(&Reply::Text(text.len() as u64, sha256(text.as_bytes())))?;
        Ok(self.channel.writer.write_all(text.as_bytes())?)
    }

    fn more(&mut self, text: &str) -> io::Result<()> {
        self.send(&Reply::More(text.len() as u64, sha256(text.as_bytes())))?;
        self.channel.writer.write_all(text.as_bytes())
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
        let flushed = self.shared.store.flush(&mut self.batch);
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

    fn stage(&mut self, header: Header, length: u64, restore: Option<u64>) -> Result<(), End> {
        let what = format!(
            "STAGE {} {} {}",
            crate::wire::percent_encode(header.path.as_str()),
            header.piece,
            header.version
        );
        if header.user != self.user || length != header.piece_size + 32 * header.chunks() {
            return Err(End::Refused(Refusal::BadRequest));
        }
        // Who restores a piece passes on what another server has sent.
        let check = if restore.is_some() { Check::Chunks } else { Check::Sum };
        let store = &self.shared.store;
        let staging = match length >= SPACE_CHECK && !super::space::has_room(&self.shared.folder, length) {
            true => Err(StoreError::Full(io::ErrorKind::StorageFull.into())),
            false => store.stage(self.connection, header, restore, check),
        };
        let (received, end) = self.receive(staging, length)?;
        let result = match (received, end) {
            (_, StageEnd::End { sum, .. }) if sum.is_some() == restore.is_some() => {
                return Err(End::Refused(Refusal::BadRequest));
            }
            (Ok(staging), StageEnd::End { root, seal, sum }) => {
                store.stage_end(staging, &root, &seal, sum.as_ref(), &mut self.batch)
            }
            (Ok(_), StageEnd::Cancel) => Err(StoreError::NotFound),
            (Err(error), _) => Err(error),
        };
        self.hold(result, what, length)
    }

    fn copy(
        &mut self,
        path: &FilePath,
        piece: u8,
        version: Version,
        header: Header,
        seal: &Bytes32,
    ) -> Result<(), End> {
        if header.user != self.user {
            return Err(End::Refused(Refusal::BadRequest));
        }
        let word = |path: &FilePath| crate::wire::percent_encode(path.as_str());
        let what =
            format!("COPY {} {piece} {version} to {} {}", word(path), word(&header.path), header.version);
        let bytes = header.piece_size;
        if bytes >= MAX_BATCH_BYTES {
            // It may take long enough for signs of life, and those must not overtake other replies.
            self.release_held()?;
        }
        let (shared, connection) = (self.shared, self.connection);
        let mut batch = std::mem::take(&mut self.batch);
        let mut signs = LifeSigns::default();
        let result = shared.store.copy(connection, (path, piece, version), header, seal, &mut batch, || {
            if bytes >= MAX_BATCH_BYTES {
                signs.give(self);
            }
        });
        self.batch = batch;
        signs.sent?;
        self.hold(result, what, bytes)
    }

    /// Takes a payload and the line behind it. After an error the rest is read all the same, because
    /// the next request begins behind it.
    fn receive<'s>(
        &mut self,
        mut staging: Result<Staging<'s, crate::store::OsDisk>, StoreError>,
        length: u64,
    ) -> Result<(Result<Staging<'s, crate::store::OsDisk>, StoreError>, StageEnd), End> {
        let all_here = self.channel.reader.buffer().len() as u64 >= length;
        if !all_here {
            self.channel.reader.get_mut().limit_each_read(STALL_LIMIT)?;
        }
        let mut buffer = vec![0; COPY_BUFFER.min(usize::try_from(length).unwrap_or(COPY_BUFFER))];
        let mut left = length;
        while left > 0 {
            let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = self.channel.reader.read(&mut buffer[..part])?;
            if got == 0 {
                return Err(End::Line(LineError::Cut));
            }
            left -= got as u64;
            staging = staging.and_then(|mut staging| staging.write(&buffer[..got]).map(|()| staging));
        }
        let line = self.read_text()?;
        if !all_here {
            self.channel.reader.get_mut().limit_each_read(IDLE_LIMIT)?;
        }
        let end = StageEnd::parse(&line).map_err(|_| End::Refused(Refusal::BadRequest))?;
        Ok((staging, end))
    }

    fn read(
        &mut self,
        what: &str,
        path: &FilePath,
        piece: u8,
        version: Version,
        offset: u64,
        length: u64,
    ) -> Result<(), End> {
        let (mut file, size) = match self.shared.store.open_piece(&self.user, path, piece, version) {
            Ok((file, claim)) => (file, claim.header.layout().tail.end),
            Err(error) => return self.done(what, Err(error)),
        };
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(End::Refused(Refusal::BadRequest));
        }
        file.seek(SeekFrom::Start(offset))?;
        self.send(&Reply::Data(length))?;
        let mut part = file.take(length);
        let sent = if length <= SMALL_READ {
            io::copy(&mut part, &mut self.channel.writer)?
        } else {
            self.channel.writer.flush()?;
            copy_in_large_steps(&mut part, &mut self.channel.writer.get_ref().0.as_ref())?
        };
        if sent != length {
            return Err(End::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        self.log(&format!("{what}: ok"));
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

    fn check(&mut self, what: &str, path: &FilePath, piece: u8, version: Version) -> Result<(), End> {
        let mut signs = LifeSigns::default();
        let (shared, user) = (self.shared, self.user.clone());
        let sound = shared.store.is_sound(&user, path, piece, version, || signs.give(self));
        signs.sent?;
        let result = sound.and_then(|sound| if sound { Ok(()) } else { Err(StoreError::Damaged) });
        self.done(what, result)
    }
}

/// As `io::copy`, which takes steps of 8 KiB: std leaves sendfile(2) alone between file and socket,
/// because the file's pages could still change while they are on their way.
fn copy_in_large_steps(from: &mut impl Read, to: &mut impl Write) -> io::Result<u64> {
    let mut buffer = vec![0; COPY_BUFFER];
    let mut sent = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(sent),
            got => {
                to.write_all(&buffer[..got])?;
                sent += got as u64;
            }
        }
    }
}

/// Tells a client that waits for a long operation that it goes on.
struct LifeSigns {
    last: Instant,
    sent: io::Result<()>,
}

impl Default for LifeSigns {
    fn default() -> Self {
        Self { last: Instant::now(), sent: Ok(()) }
    }
}

impl LifeSigns {
    fn give(&mut self, session: &mut Session<'_>) {
        if self.last.elapsed() >= LIFE_SIGN && self.sent.is_ok() {
            self.sent = session.more("").and_then(|()| session.channel.writer.flush());
            self.last = Instant::now();
        }
    }
}

fn reply_for(result: &Result<(), StoreError>) -> Reply {
    match result {
        Ok(()) => Reply::Ok,
        Err(error) => Reply::No(refusal_for(error), error.to_string()),
    }
}

pub(super) fn refusal_for(error: &StoreError) -> Refusal {
    match error {
        StoreError::Refused(Refused::NotStaged) => Refusal::NotStaged,
        StoreError::Refused(Refused::Decided) => Refusal::Decided,
        StoreError::Refused(Refused::Open) => Refusal::Open,
        StoreError::Refused(Refused::Behind) => Refusal::Behind,
        StoreError::NotFound => Refusal::NotFound,
        StoreError::Conflict => Refusal::Conflict,
        StoreError::Damaged => Refusal::Damaged,
        StoreError::TooManyStaged => Refusal::Busy,
        StoreError::Full(_) => Refusal::DiskFull,
        StoreError::Disk(_) => Refusal::DiskError,
    }
}
