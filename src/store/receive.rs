//! Staging pieces: what may be staged, and when it counts as staged.

use std::io::{self, Read, Seek, SeekFrom};

use super::batch::Batch;
use super::connections::Connection;
use super::core::Store;
use super::disk::Disk;
use super::error::StoreError;
use super::incoming::{Admission, IncomingPiece};
use super::index::{Index, Name, Partial, Waiting};
use super::locked::Locked;
use super::partial;
use crate::commit;
use crate::name::{FilePath, FolderPath};
use crate::placement;
use crate::primitives::{Bytes32, PayloadMac};
use crate::sealed::{Claim, Header, Kind};
use crate::version::Version;
use crate::wire::MAX_STAGED;

/// Pieces up to this many bytes may be synced together with others.
const SMALL: u64 = 256 << 10;

impl<D: Disk> Store<D> {
    /// Begins to receive a piece. `restore` is for a client that restores a version decided elsewhere: the floor that
    /// it saw. With a `mac`, the bytes are checked by the tag that the writer sends after them, which is many times
    /// faster than hashing their chunks; without one, for bytes that the sender cannot vouch for, their chunks are
    /// hashed.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if a newer version exists, the floor forbids it, or the key was retired;
    /// [`StoreError::Conflict`] if a folder has the file's name, or a file the name of one of its folders;
    /// [`StoreError::Elsewhere`] if nothing can be published in its folder; [`StoreError::TooManyStaged`] or
    /// [`StoreError::TooManyOfUser`] at a limit; [`StoreError::Ended`] if the connection has ended; or an error of the
    /// disk.
    pub fn stage(
        &self,
        connection: Connection,
        header: Header,
        restore: Option<u64>,
        mac: Option<PayloadMac>,
        batch: &mut Batch<D>,
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
        let disk = &self.files.disk;
        let is_small = header.layout().tail.end <= SMALL;
        let folder = self.files.places.staged_of(&header.user);
        let watch = if is_small { batch.watch(disk, &folder) } else { None };
        IncomingPiece::create(disk, file, connection, header, admission, mac, watch)
    }

    /// Like [`Store::stage`] without `restore`, for a piece of which [`Store::keep_partial`] may keep a part. `opening`
    /// is the seal over its header. It begins with the first `chunks` chunks of what is kept of version `from` of the
    /// same piece, which is gone from then on; or with nothing, if `chunks` is 0.
    ///
    /// # Errors
    /// Those of [`Store::stage`]; [`StoreError::NotFound`] if not as much of that is kept, or it is staged and not
    /// fenced.
    pub fn resume(
        &self,
        connection: Connection,
        header: Header,
        opening: &Bytes32,
        (from, chunks): (Version, u64),
        mac: PayloadMac,
    ) -> Result<IncomingPiece<'_, D>, StoreError> {
        let disk = &self.files.disk;
        let part = self.part(&header.user);
        let mut locked = part.lock()?;
        if !self.connections.is_live(connection) {
            return Err(StoreError::Ended);
        }
        locked.admit(connection, &header, None)?;
        let file = self.files.new_partial(&header, opening);
        if chunks > 0 {
            let kept = locked
                .index
                .kept(&header.path, header.piece, from, header.version)
                .ok_or(StoreError::NotFound)?
                .to_path_buf();
            let (_, known, whole) = partial::extent(disk, &kept)?;
            if whole < chunks || known.chunk_log2 != header.chunk_log2 || known.file_size != header.file_size
            {
                return Err(StoreError::NotFound);
            }
            disk.rename(&kept, &file)?;
            locked.index.forget_kept(&header.path, &kept);
        }
        locked.index.begins(connection, &header);
        let admission = Admission { restore: None, decisions: locked.index.decisions };
        drop(locked);
        if chunks == 0 {
            return IncomingPiece::create(disk, file, connection, header, admission, Some(mac), None);
        }
        IncomingPiece::begin_with(disk, file, connection, header, admission, mac, chunks)
    }

    /// Keeps what has arrived of a piece whose connection was lost, if it can be resumed and is worth it. Nothing
    /// depends on whether this works.
    pub fn keep_partial(&self, incoming: IncomingPiece<'_, D>) {
        let connection = incoming.connection;
        let Some((header, file)) = incoming.cut_off() else { return };
        let Header { user, path, version, piece, key, .. } = &header;
        let part = self.part(user);
        let may_be_kept = |locked: &mut Locked<'_, D>| {
            locked.index.keys.may_use(connection, std::iter::once(key.check))?;
            let held = locked.held(path)?;
            commit::may_stage(&held, locked.index.floor(path), *version)?;
            admit_one_more(&locked.index, &header)
        };
        let Ok(mut locked) = part.lock() else { return };
        match may_be_kept(&mut locked) {
            Ok(()) => {
                let kept = Partial { piece: *piece, version: *version, key: key.check, file };
                locked.index.add_partial(path.clone(), kept);
            }
            Err(_) => drop(self.files.disk.remove(&file)),
        }
    }

    /// Ends a piece that was received. It counts as staged from now on, and may be acknowledged after the batch is
    /// flushed. The conditions of [`Store::stage`] are checked again: a newer version, or a delete, may have come and
    /// gone while the piece was received.
    ///
    /// # Errors
    /// Those of [`Store::stage`], or [`StoreError::Damaged`] if the bytes do not match `root`, or do not match `tag`,
    /// which is required if the piece was staged with a MAC.
    pub fn stage_end(
        &self,
        incoming: IncomingPiece<'_, D>,
        root: &Bytes32,
        seal: &Bytes32,
        tag: Option<&Bytes32>,
        batch: &mut Batch<D>,
    ) -> Result<(), StoreError> {
        let admission = incoming.admission;
        let received = incoming.finish(root, seal, tag)?;
        let part = self.part(&received.header.user);
        let mut locked = part.lock()?;
        locked.index.has_ended(received.connection);
        let admitted = match locked.index.decisions == admission.decisions {
            _ if !self.connections.is_live(received.connection) => Err(StoreError::Ended),
            true => admit_one_more(&locked.index, &received.header),
            false => locked.admit(received.connection, &received.header, admission.restore),
        };
        if let Err(error) = admitted {
            // It was never acknowledged, so nothing depends on whether this works.
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

    /// Stages a piece under a new header, with the body and table of a published piece of the same user. The bytes are
    /// hashed while they are copied, so that damage is found and not copied.
    ///
    /// # Errors
    /// Those of [`Store::stage`], or [`StoreError::NotFound`] if the source does not exist or is of another version by
    /// now, or [`StoreError::Damaged`] if it is damaged or its size differs from the header's.
    pub fn copy(
        &self,
        connection: Connection,
        source: (&FilePath, u8, Version),
        header: Header,
        seal: &Bytes32,
        batch: &mut Batch<D>,
    ) -> Result<(), StoreError> {
        let (path, number, version) = source;
        let (mut file, Claim { header: source, root, .. }) =
            self.open_piece(&header.user, path, number, version)?;
        let same_shape = source.piece == header.piece
            && source.scheme == header.scheme
            && source.chunk_log2 == header.chunk_log2
            && source.file_size == header.file_size;
        if !same_shape {
            return Err(StoreError::Damaged);
        }
        let mut incoming = self.stage(connection, header, None, None, batch)?;
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
    /// Checks that a piece may be staged now.
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
            Kind::Tombstone => self.files.use_reserve(),
            _ if self.files.is_elsewhere(self.user, path)? => return Err(StoreError::Elsewhere),
            _ => self.check_conflict(path)?,
        }
        admit_one_more(&self.index, header)
    }

    /// Checks that a name is not both a file and a folder, because a download could not write both.
    fn check_conflict(&mut self, path: &FilePath) -> Result<(), StoreError> {
        let (disk, places) = (&self.files.disk, &self.files.places);
        if let Ok(as_folder) = FolderPath::parse(path.as_str()) {
            let directory = places.folder(self.user, &as_folder);
            if disk.entries(&directory).is_ok_and(|entries| !entries.is_empty()) {
                return Err(StoreError::Conflict);
            }
        }
        let mut folder = path.folder();
        while let Some(as_file) = folder.as_file() {
            if !self.index.is_no_file(&as_file) {
                let open = |piece| disk.open(&places.piece(self.user, &as_file, piece)).map(drop);
                let opened: Vec<io::Result<()>> = placement::numbers().map(open).collect();
                if opened.iter().any(Result::is_ok) {
                    return Err(StoreError::Conflict);
                }
                let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
                if opened.iter().filter_map(|opened| opened.as_ref().err()).all(is_missing) {
                    self.index.remember_published(&as_file, &[]);
                }
            }
            folder = folder.parent();
        }
        Ok(())
    }
}

fn admit_one_more(index: &Index, header: &Header) -> Result<(), StoreError> {
    let staged = index.names.get(&header.path).map_or(0, Name::held);
    match staged >= MAX_STAGED {
        true => Err(StoreError::TooManyStaged),
        false if index.is_full(header.kind) => Err(StoreError::TooManyOfUser),
        false => Ok(()),
    }
}
