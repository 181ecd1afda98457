//! What the store holds of one name, and its pieces for reading.

use super::core::Store;
use super::disk::Disk;
use super::error::StoreError;
use super::locked::Locked;
use super::partial;
use super::piece::{self, ReadError};
use crate::commit::{Held, PieceState, TOMBSTONE};
use crate::name::{FilePath, UserName};
use crate::placement;
use crate::sealed::Claim;
use crate::version::Version;
use crate::wire::{NameReport, Reported};

impl<D: Disk> Store<D> {
    /// Everything that is held of one name, with the claims. The caller adds the clock.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn look(&self, user: &UserName, path: &FilePath) -> Result<NameReport, StoreError> {
        let part = self.part(user);
        // A reader must not see anything that a power failure could still undo.
        let safe = |locked: &mut Locked<'_, D>| locked.sync(locked.directories(path));
        let mut locked = part.lock_to_look()?;
        safe(&mut locked)?;
        let uses = locked.index.uses;
        drop(locked);
        // Without the lock, since a thread that waits for the processor meanwhile would hold up all others.
        let mut pieces = self.published(user, path);
        let mut locked = part.lock_to_look()?;
        if locked.index.uses != uses {
            safe(&mut locked)?;
            pieces = self.published(user, path);
        }
        let mut report =
            NameReport { floor: locked.index.floor(path), pieces: pieces?, ..NameReport::default() };
        // This reads the disk whatever is remembered, so a file that somebody put there by hand is seen.
        locked.index.forget_published(path);
        let held = report.pieces.iter().filter_map(|reported| match reported {
            Reported::Piece(state, claim) => {
                Some(Held { piece: claim.header.piece, version: claim.header.version, state: *state })
            }
            _ => None,
        });
        let held: Vec<Held> = held.collect();
        if held.len() == report.pieces.len() {
            locked.index.remember_published(path, &held);
        }
        let newest = locked.index.arriving(path).map(|(_, version)| version).max();
        report.pieces.extend(newest.map(Reported::Arriving));
        let Some(name) = locked.index.names.get(path) else { return Ok(report) };
        for kept in &name.partial {
            if let Ok((_, opening, chunks)) = partial::open(&self.files.disk, &kept.file) {
                report.pieces.push(Reported::Partial(Box::new(opening), chunks));
            }
        }
        let hidden = locked.hides_staged(path, name)?;
        for (waiting, state) in locked.index.waiting(path) {
            if hidden && state != PieceState::Published && waiting.piece != TOMBSTONE {
                continue;
            }
            match piece::claim(&self.files.disk, &waiting.file) {
                Ok(claim) => report.pieces.push(Reported::Piece(state, Box::new(claim))),
                Err(_) => report.pieces.push(Reported::Damaged(waiting.piece)),
            }
        }
        Ok(report)
    }

    fn published(&self, user: &UserName, path: &FilePath) -> Result<Vec<Reported>, StoreError> {
        let mut pieces = Vec::new();
        for piece in placement::numbers() {
            match self.files.piece(user, path, piece) {
                Ok((_, claim)) => pieces.push(Reported::Piece(PieceState::Published, Box::new(claim))),
                Err(ReadError::Missing) => {}
                Err(error) if error.is_of_the_file() => pieces.push(Reported::Damaged(piece)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pieces)
    }

    /// Opens a published piece for reading, and reads its claim.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it does not exist, or is of another version by now; [`StoreError::Damaged`] if its
    /// header cannot be read; or an error of the disk.
    pub fn open_piece(
        &self,
        user: &UserName,
        path: &FilePath,
        number: u8,
        version: Version,
    ) -> Result<(D::File, Claim), StoreError> {
        let (file, claim) = self.files.piece(user, path, number)?;
        if claim.header.version == version { Ok((file, claim)) } else { Err(StoreError::NotFound) }
    }

    /// Nonce and hash of each whole chunk of a piece, 44 bytes for each. Those of a staged or partial piece are hashed
    /// now, those of a published one are from its table.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if nothing of that piece is here, or it is staged on a connection that is open; or an
    /// error of the disk.
    pub fn chunks(
        &self,
        user: &UserName,
        path: &FilePath,
        number: u8,
        version: Version,
    ) -> Result<Vec<u8>, StoreError> {
        if let Ok((mut file, claim)) = self.open_piece(user, path, number, version) {
            return Ok(partial::list_table(&mut file, &claim.header)?);
        }
        let disk = &self.files.disk;
        let (mut file, header, chunks) = {
            let part = self.part(user);
            let locked = part.lock()?;
            let name = locked.index.names.get(path).ok_or(StoreError::NotFound)?;
            let kept = name.partial.iter().find(|kept| (kept.piece, kept.version) == (number, version));
            let staged = locked.index.staged(path, number, version);
            match (kept, staged.filter(|waiting| !locked.index.is_open(waiting))) {
                (Some(kept), _) => {
                    let (file, opening, chunks) = partial::open(disk, &kept.file)?;
                    (file, opening.header, chunks)
                }
                (None, Some(waiting)) => {
                    let (file, claim) = piece::open(disk, &waiting.file)?;
                    let chunks = claim.header.chunks();
                    (file, claim.header, chunks)
                }
                (None, None) => return Err(StoreError::NotFound),
            }
        };
        Ok(partial::list_chunks(&mut file, &header, chunks)?)
    }

    /// Whether the bytes of a published piece still match the hashes with which they were written.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it does not exist, or is of another version by now; or an error of the disk.
    pub fn is_sound(
        &self,
        user: &UserName,
        path: &FilePath,
        number: u8,
        version: Version,
    ) -> Result<bool, StoreError> {
        match self.open_piece(user, path, number, version) {
            Err(StoreError::Damaged) => Ok(false),
            opened => opened.and_then(|(file, claim)| Ok(piece::is_sound(file, &claim)?)),
        }
    }
}
