//! Receiving pieces: what may be staged, and when it is.

use std::io::{self, Read, Seek, SeekFrom};

use super::batch::Batch;
use super::connections::Connection;
use super::core::Store;
use super::disk::Disk;
use super::error::StoreError;
use super::incoming::{Admission, IncomingPiece};
use super::index::{Index, Waiting};
use super::locked::Locked;
use crate::commit;
use crate::name::FilePath;
use crate::placement;
use crate::primitives::{Bytes32, PayloadMac};
use crate::sealed::{Claim, Header, Kind};
use crate::version::Version;
use crate::wire::MAX_STAGED;

impl<D: Disk> Store<D> {
    /// Begins to receive a piece. `restore` is the floor that a client saw who restores a version that
    /// is decided elsewhere. With `mac` the bytes are checked by the tag that the writer sends behind them, many times
    /// as fast as by their chunks; without, for bytes that nobody vouches for, by these.
    ///
    /// # Errors
    /// If a newer version is here, if a folder has the file's name or the other way round, or if the
    /// disk fails.
    pub fn stage(
        &self,
        connection: Connection,
        header: Header,
        restore: Option<u64>,
        mac: Option<PayloadMac>,
    ) -> Result<IncomingPiece<'_, D>, StoreError> {
        let decisions = {
            let part = self.part(&header.user);
            let mut locked = part.lock()?;
            if !self.connections.is_live(connection) {
                return Err(StoreError::Ended);
            }
            locked.admit(connection, &header, restore)?;
            locked.index.open.insert(connection);
            locked.index.decisions
        };
        let admission = Admission { restore, decisions };
        let file = self.files.new_file(&header.user);
        IncomingPiece::create(&self.files.disk, file, connection, header, admission, mac)
    }

    /// Ends a piece that was received. It counts as staged from now on, and may be acknowledged once
    /// the batch is flushed. What allowed it at the beginning is asked again: a newer version, or a
    /// delete, may have come and gone while it was received.
    ///
    /// # Errors
    /// [`StoreError::Ended`] if the connection was ended meanwhile; [`StoreError::Damaged`] if the bytes do not
    /// fit `root` or `tag`, which a piece needs that was staged with a MAC; as [`Store::stage`]; or the disk's.
    pub fn stage_end(
        &self,
        incoming: IncomingPiece<'_, D>,
        root: &Bytes32,
        seal: &Bytes32,
        tag: Option<&Bytes32>,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let admission = incoming.admission;
        let received = incoming.finish(root, seal, tag)?;
        let part = self.part(&received.header.user);
        let mut locked = part.lock()?;
        let admitted = match locked.index.decisions == admission.decisions {
            _ if !self.connections.is_live(received.connection) => Err(StoreError::Ended),
            true => admit_one_more(&locked.index, &received.header),
            false => locked.admit(received.connection, &received.header, admission.restore),
        };
        if let Err(error) = admitted {
            // Never acknowledged, so nothing depends on whether this works.
            let _ = self.files.disk.remove(&received.path);
            return Err(error);
        }
        let Header { user, path, version, piece, key, .. } = received.header.clone();
        let (connection, file) = (Some(received.connection), received.path.clone());
        locked.index.add(path, Waiting { piece, version, key: key.check, connection, file, synced: false });
        drop(locked);
        batch.user.get_or_insert(user);
        batch.received.push(received);
        Ok(())
    }

    /// Stages a piece under a new header, with the body and table of a published piece of this user. The
    /// bytes are hashed on the way, so that damage is found and not copied.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the source is of another version by now, [`StoreError::Damaged`] if
    /// it is damaged or not of the header's size, or as [`Store::stage`].
    pub fn copy(
        &self,
        connection: Connection,
        source: (&FilePath, u8, Version),
        header: Header,
        seal: &Bytes32,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let (path, number, version) = source;
        let (mut file, Claim { header: source, root, .. }) = self.files.piece(&header.user, path, number)?;
        if source.version != version {
            return Err(StoreError::NotFound);
        }
        let same_shape = source.piece == header.piece
            && source.chunk_log2 == header.chunk_log2
            && source.file_size == header.file_size;
        if !same_shape {
            return Err(StoreError::Damaged);
        }
        let mut incoming = self.stage(connection, header, None, None)?;
        file.seek(SeekFrom::Start(source.layout().body.start))?;
        while incoming.missing() > 0 {
            let room = incoming.room();
            let part = room.len();
            file.read_exact(room)?;
            incoming.advance(part)?;
        }
        self.stage_end(incoming, &root, seal, None, batch)
    }
}

impl<D: Disk> Locked<'_, D> {
    /// Whether a piece may be staged now.
    fn admit(
        &mut self,
        connection: Connection,
        header: &Header,
        restore: Option<u64>,
    ) -> Result<(), StoreError> {
        let path = &header.path;
        self.index.keys.may_use(connection, std::iter::once(header.key.check))?;
        let floor = self.index.floor(path);
        let held = self.held(path)?;
        match restore {
            None => commit::may_stage(&held, floor, header.version)?,
            Some(known_floor) => commit::may_restore(&held, floor, known_floor, header.version)?,
        }
        match header.kind {
            Kind::Data if self.files.is_elsewhere(self.user, path)? => return Err(StoreError::Elsewhere),
            Kind::Data => self.check_conflict(path)?,
            Kind::Tombstone => self.files.use_reserve(),
        }
        admit_one_more(&self.index, header)
    }

    /// A name is a file or a folder, never both: a download could not write both.
    fn check_conflict(&mut self, path: &FilePath) -> Result<(), StoreError> {
        let (disk, places) = (&self.files.disk, &self.files.places);
        let as_folder = places.folder(self.user, &path.folder()).join(path.file_name());
        if disk.entries(&as_folder).is_ok_and(|entries| !entries.is_empty()) {
            return Err(StoreError::Conflict);
        }
        let mut folder = path.folder();
        while let Some(as_file) = folder.as_file() {
            if !self.index.is_no_file(&as_file) {
                let open = |piece| disk.open(&places.piece(self.user, &as_file, piece)).map(drop);
                let opened: Vec<io::Result<()>> = placement::pieces().map(open).collect();
                if opened.iter().any(Result::is_ok) {
                    return Err(StoreError::Conflict);
                }
                let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
                if opened.iter().filter_map(|opened| opened.as_ref().err()).all(is_missing) {
                    self.index.remember_no_file(as_file);
                }
            }
            folder = folder.parent();
        }
        Ok(())
    }
}

fn admit_one_more(index: &Index, header: &Header) -> Result<(), StoreError> {
    let staged = index.names.get(&header.path).map_or(0, |name| name.staged.len());
    match staged >= MAX_STAGED {
        true => Err(StoreError::TooManyStaged),
        false if index.is_full(header.kind) => Err(StoreError::TooManyOfUser),
        false => Ok(()),
    }
}
