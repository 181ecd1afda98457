//! Requests that move a piece's bytes: STAGE and RESTORE receive them, COPY copies them on the disk, READ sends them.

use std::io::{self, Read, Seek, SeekFrom};

use super::replies::Session;
use crate::name::FilePath;
use crate::primitives::{Bytes32, PayloadMac};
use crate::sealed::Header;
use crate::server::channel::End;
use crate::server::clock::within_reach;
use crate::server::limits::{self, IDLE_LIMIT};
use crate::server::space;
use crate::server::voice::Speech;
use crate::store::{IncomingPiece, OsDisk, StoreError};
use crate::text::percent_encode;
use crate::version::Version;
use crate::wire::{LineError, Refusal, Reply, StageEnd};

/// Bytes that are read from a file and sent at a time.
const COPY_BUFFER: usize = 256 * 1024;
/// Bytes of a refused payload that are read at a time.
const SKIP_BUFFER: usize = 512;
/// Pieces up to this size are sent through the write buffer, larger ones past it.
const SMALL_READ: u64 = 64 * 1024;
/// Payloads of this size or more are refused beforehand if the disk has no room for them; smaller ones fail while they
/// are written.
pub const SPACE_CHECK: u64 = 16 << 20;

impl Session<'_> {
    pub(super) fn stage(&mut self, header: Header, length: u64, restore: Option<u64>) -> Result<(), End> {
        let word = if restore.is_some() { "RESTORE" } else { "STAGE" };
        let what =
            format!("{word} {} {} {}", percent_encode(header.path.as_str()), header.piece, header.version);
        if header.user != self.user || length != header.payload_size() {
            return Err(End::Refused(Refusal::BadRequest));
        }
        // A client that restores a piece passes on what another server sent.
        let mac = restore.is_none().then(|| PayloadMac::new(&self.payloads, self.opener.last()));
        // A version that was decided before generations had a bound can still be repaired: its rank raises no floor.
        let generation = if restore.is_some() { header.version.rank() } else { header.version.generation };
        let staging = self.work(|s| {
            s.require_room(length)?;
            within_reach(generation)?;
            s.shared.store.stage(s.connection, header, restore, mac, &mut s.batch)
        });
        self.stage_payload(what, length, staging, restore.is_none())
    }

    /// A STAGE that may begin with what is kept of another version, and of which a part is kept if it is cut off.
    pub(super) fn resume(
        &mut self,
        header: Header,
        opening: &Bytes32,
        from: (Version, u64),
        length: u64,
    ) -> Result<(), End> {
        let chunks = from.1;
        let what = format!(
            "RESUME {} {} {} after {chunks} chunks",
            percent_encode(header.path.as_str()),
            header.piece,
            header.version
        );
        if header.user != self.user || chunks > header.chunks() {
            return Err(End::Refused(Refusal::BadRequest));
        }
        let there = chunks.checked_sub(1).map_or(0, |last| header.stored_chunk(last).end);
        if there.checked_add(length) != Some(header.payload_size()) {
            return Err(End::Refused(Refusal::BadRequest));
        }
        let mac = PayloadMac::new(&self.payloads, self.opener.last());
        let generation = header.version.generation;
        let staging = self.work(|s| {
            s.require_room(length)?;
            within_reach(generation)?;
            s.shared.store.resume(s.connection, header, opening, from, mac)
        });
        self.stage_payload(what, length, staging, true)
    }

    fn require_room(&self, length: u64) -> Result<(), StoreError> {
        match length >= SPACE_CHECK && !space::has_room(&self.shared.folder, length) {
            true => Err(StoreError::Full(io::ErrorKind::StorageFull.into())),
            false => Ok(()),
        }
    }

    /// Receives the payload of a piece, with a MAC or without, and stages it.
    fn stage_payload(
        &mut self,
        what: String,
        length: u64,
        staging: Result<IncomingPiece<'_, OsDisk>, StoreError>,
        has_mac: bool,
    ) -> Result<(), End> {
        let (received, end) = self.receive(staging, length)?;
        let result = match (received, end) {
            (_, StageEnd::End { tag, .. }) if tag.is_some() != has_mac => {
                return Err(End::Refused(Refusal::BadRequest));
            }
            (Ok(staging), StageEnd::End { root, seal, tag }) => {
                self.work(|s| s.shared.store.stage_end(staging, &root, &seal, tag.as_ref(), &mut s.batch))
            }
            (Ok(_), StageEnd::Cancel) => Err(StoreError::NotFound),
            (Err(error), _) => Err(error),
        };
        self.hold(what, length, &result)
    }

    pub(super) fn copy(
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
        let word = |path: &FilePath| percent_encode(path.as_str());
        let what =
            format!("COPY {} {piece} {version} to {} {}", word(path), word(&header.path), header.version);
        let bytes = header.piece_size;
        let result = self.work(|s| {
            within_reach(header.version.generation)?;
            s.shared.store.copy(s.connection, (path, piece, version), header, seal, &mut s.batch)
        });
        self.hold(what, bytes, &result)
    }

    /// Receives a payload and the line after it. Even after an error the rest is read, because the next request comes
    /// after it.
    fn receive<'s>(
        &mut self,
        mut staging: Result<IncomingPiece<'s, OsDisk>, StoreError>,
        length: u64,
    ) -> Result<(Result<IncomingPiece<'s, OsDisk>, StoreError>, StageEnd), End> {
        let all_here = self.channel.inbox.buffer().len() as u64 >= length;
        if !all_here {
            self.lines.hand_over();
            self.flush()?;
            self.channel.inbox.limit(limits::payload(length));
        }
        let mut left = length;
        let mut unwanted = [0; SKIP_BUFFER];
        while left > 0 {
            let room = match &mut staging {
                Ok(staging) => staging.room(),
                Err(_) => &mut unwanted[..usize::try_from(left).unwrap_or(SKIP_BUFFER).min(SKIP_BUFFER)],
            };
            let got = match self.channel.inbox.read(room) {
                Ok(0) => Err(End::Line(LineError::Cut)),
                got => got.map_err(End::from),
            };
            let got = match got {
                Ok(got) => got,
                Err(end) => {
                    staging.into_iter().for_each(|staging| self.shared.store.keep_partial(staging));
                    return Err(end);
                }
            };
            left -= got as u64;
            if let Ok(receiving) = &mut staging
                && let Err(error) = receiving.advance(got)
            {
                staging = Err(error);
            }
        }
        let line = match self.read_text() {
            Ok(line) => line,
            Err(end) => {
                staging.into_iter().for_each(|staging| self.shared.store.keep_partial(staging));
                return Err(end);
            }
        };
        if !all_here {
            self.channel.limit_each_read(IDLE_LIMIT);
        }
        let end = StageEnd::parse(&line).map_err(|_| End::Refused(Refusal::BadRequest))?;
        Ok((staging, end))
    }

    pub(super) fn read(
        &mut self,
        what: &str,
        path: &FilePath,
        piece: u8,
        version: Version,
        offset: u64,
        length: u64,
    ) -> Result<(), End> {
        self.release_held()?;
        let (mut file, size) = match self.shared.store.open_piece(&self.user, path, piece, version) {
            Ok((file, claim)) => (file, claim.header.layout().tail.end),
            Err(error) => return self.reply(what, &Err(error)),
        };
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(End::Refused(Refusal::BadRequest));
        }
        file.seek(SeekFrom::Start(offset))?;
        let mut part = file.take(length);
        if length > SMALL_READ {
            self.lines.hand_over();
        }
        let mut speech = self.channel.voice.speak();
        speech.send(&Reply::Data(length))?;
        let sent = match length <= SMALL_READ {
            true => io::copy(&mut part, &mut *speech)?,
            false => copy_in_large_steps(&mut part, &mut speech)?,
        };
        drop(speech);
        if sent != length {
            return Err(End::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        self.log(&format!("{what}: ok"));
        Ok(())
    }
}

/// Like `io::copy`, whose steps are 8 KiB: std does not use sendfile(2) between a file and a socket, because the file's
/// pages could change in transit.
fn copy_in_large_steps(from: &mut impl Read, to: &mut Speech) -> io::Result<u64> {
    let mut buffer = vec![0; COPY_BUFFER];
    let mut sent = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(sent),
            got => {
                to.send_past_buffer(&buffer[..got])?;
                sent += got as u64;
            }
        }
    }
}
