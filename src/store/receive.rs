//! Receiving pieces: what may be staged, and when it is.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::disk::Disk;
use super::error::StoreError;
use super::index::{Index, Waiting};
use super::staging::{Admission, Check, Received, Staging};
use super::{Batch, Connection, Store};
use crate::commit;
use crate::name::{FilePath, UserName};
use crate::placement;
use crate::primitives::Bytes32;
use crate::sealed::{Claim, Header, Kind};
use crate::version::Version;
use crate::wire::MAX_STAGED;

impl<D: Disk> Store<D> {
    /// Begins to receive a piece; `restore` is the floor that a client saw who restores a version that
    /// is decided elsewhere.
    ///
    /// # Errors
    /// If a newer version is here, if a folder has the file's name or the other way round, or if the
    /// disk fails.
    pub fn stage(
        &self,
        connection: Connection,
        header: Header,
        restore: Option<u64>,
        check: Check,
    ) -> Result<Staging<'_, D>, StoreError> {
        let decisions = {
            let own = self.own(&header.user);
            let mut index = self.index(&own, &header.user)?;
            if !self.live().contains(&connection) {
                return Err(StoreError::Ended);
            }
            self.admit(&mut index, connection, &header, restore)?;
            index.open.insert(connection);
            index.decisions
        };
        let admission = Admission { restore, decisions };
        let file = self.new_file(&header.user);
        Staging::create(&self.disk, file, connection, header, admission, check)
    }

    /// Whether a piece may be staged now.
    pub(super) fn admit(
        &self,
        index: &mut Index,
        connection: Connection,
        header: &Header,
        restore: Option<u64>,
    ) -> Result<(), StoreError> {
        let (user, path) = (&header.user, &header.path);
        index.may_use_keys(connection, std::iter::once(header.key.check))?;
        let floor = index.floor(path);
        let held = self.held(index, user, path)?;
        match restore {
            None => commit::may_stage(&held, floor, header.version)?,
            Some(known_floor) => commit::may_restore(&held, floor, known_floor, header.version)?,
        }
        match header.kind {
            Kind::Data if self.is_elsewhere(user, path)? => return Err(StoreError::Elsewhere),
            Kind::Data => self.check_conflict(index, user, path)?,
            Kind::Tombstone => self.use_reserve(),
        }
        admit_one_more(index, header)
    }

    /// Ends a piece that was received. It counts as staged from now on, and may be acknowledged once
    /// the batch is flushed. What allowed it at the beginning is asked again: a newer version, or a
    /// delete, may have come and gone while it was received.
    ///
    /// # Errors
    /// [`StoreError::Ended`] if the connection was ended meanwhile; [`StoreError::Damaged`] if the bytes do not
    /// fit `root` or `tag`, which a piece needs that was staged
    /// with [`Check::Mac`]; as [`Store::stage`]; or the disk's.
    pub fn stage_end(
        &self,
        staging: Staging<'_, D>,
        root: &Bytes32,
        seal: &Bytes32,
        tag: Option<&Bytes32>,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let admission = staging.admission;
        let received = staging.finish(root, seal, tag)?;
        let own = self.own(&received.header.user);
        let mut index = self.index(&own, &received.header.user)?;
        let admitted = match index.decisions == admission.decisions {
            _ if !self.live().contains(&received.connection) => Err(StoreError::Ended),
            true => admit_one_more(&index, &received.header),
            false => self.admit(&mut index, received.connection, &received.header, admission.restore),
        };
        if let Err(error) = admitted {
            // Never acknowledged, so nothing depends on whether this works.
            let _ = self.disk.remove(&received.path);
            return Err(error);
        }
        let Header { user, path, version, piece, key, .. } = received.header.clone();
        let connection = Some(received.connection);
        batch.user.get_or_insert_with(|| user.clone());
        index.add(
            user,
            path,
            Waiting {
                piece,
                version,
                key: key.check,
                connection,
                file: received.path.clone(),
                synced: false,
            },
        );
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
        let (mut file, Claim { header: source, root, .. }) =
            self.open_piece(&header.user, path, number, version)?;
        let same_shape = source.piece == header.piece
            && source.chunk_log2 == header.chunk_log2
            && source.file_size == header.file_size;
        if !same_shape {
            return Err(StoreError::Damaged);
        }
        let mut staging = self.stage(connection, header, None, Check::Chunks)?;
        file.seek(SeekFrom::Start(source.layout().body.start))?;
        while staging.missing() > 0 {
            let room = staging.room();
            let part = room.len();
            file.read_exact(room)?;
            staging.advance(part)?;
        }
        self.stage_end(staging, &root, seal, None, batch)
    }

    pub(super) fn sync_received(&self, user: &UserName, received: Vec<Received>) -> Result<(), StoreError> {
        if received.is_empty() {
            return Ok(());
        }
        // What is gone was dropped by a newer version meanwhile, or published by another client, who synced it.
        let unsynced = received.iter().filter(|piece| !piece.synced);
        let paths: Vec<&Path> = unsynced.map(|piece| piece.path.as_path()).collect();
        let synced =
            self.disk.sync_all(&paths).and_then(|()| self.disk.sync_dir(&self.places.staged_of(user)));
        let own = self.own(user);
        let mut index = self.index(&own, user)?;
        for piece in received {
            let key = (piece.header.user, piece.header.path);
            match &synced {
                Ok(()) => index.mark_synced(&key, &piece.path),
                Err(_) => {
                    // Never acknowledged, so nothing depends on whether this works.
                    let _ = self.disk.remove(&piece.path);
                    index.drop_file(&key, &piece.path);
                }
            }
        }
        Ok(synced?)
    }

    /// A name is a file or a folder, never both: a download could not write both.
    pub(super) fn check_conflict(
        &self,
        index: &mut Index,
        user: &UserName,
        path: &FilePath,
    ) -> Result<(), StoreError> {
        let as_folder = self.places.folder(user, &path.folder()).join(path.file_name());
        if self.disk.entries(&as_folder).is_ok_and(|entries| !entries.is_empty()) {
            return Err(StoreError::Conflict);
        }
        let mut folder = path.folder();
        while let Some(as_file) = folder.as_file() {
            let name = (user.clone(), as_file);
            if !index.is_no_file(&name) {
                let open = |piece| self.disk.open(&self.places.piece(user, &name.1, piece)).map(drop);
                let opened: Vec<io::Result<()>> = placement::pieces().map(open).collect();
                if opened.iter().any(Result::is_ok) {
                    return Err(StoreError::Conflict);
                }
                let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
                if opened.iter().filter_map(|opened| opened.as_ref().err()).all(is_missing) {
                    index.remember_no_file(name);
                }
            }
            folder = folder.parent();
        }
        Ok(())
    }

    /// Whether no piece of a file is to be published in its folder: this is on another file system than the
    /// server's own files, so that none can be renamed into it, or behind a link, where no listing finds it. The
    /// user's own folder may be a link. Asked from there downwards: below a folder that is not there is nothing.
    pub(super) fn is_elsewhere(&self, user: &UserName, path: &FilePath) -> Result<bool, StoreError> {
        let mut folder = self.places.user(user);
        let mut mount = self.disk.mount(&folder).map(Some);
        let around = path.folder();
        let mut segments = around.segments();
        loop {
            match mount {
                Ok(Some(mount)) if mount == self.mount => {}
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            let Some(segment) = segments.next() else { return Ok(false) };
            folder.push(segment);
            mount = self.disk.mount_unless_link(&folder);
        }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn new_file(&self, user: &UserName) -> PathBuf {
        self.places.staged_of(user).join(self.next_number().to_string())
    }
}

fn admit_one_more(index: &Index, header: &Header) -> Result<(), StoreError> {
    let key = (header.user.clone(), header.path.clone());
    let staged = index.names.get(&key).map_or(0, |name| name.staged.len());
    match staged >= MAX_STAGED {
        true => Err(StoreError::TooManyStaged),
        false if index.is_full(header.kind) => Err(StoreError::TooManyOfUser),
        false => Ok(()),
    }
}
