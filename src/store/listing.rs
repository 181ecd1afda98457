//! What is in a folder, and how much a user has stored.

use std::ffi::OsString;

use super::core::Store;
use super::disk::{Disk, Stamp};
use super::error::StoreError;
use super::piece::{self, ReadError};
use crate::commit::TOMBSTONE;
use crate::name::{FilePath, FolderPath, UserName, parse_folder, parse_piece_file};
use crate::placement::PieceSet;
use crate::sealed::Facts;
use crate::wire::{Entry, Usage};

/// A published piece as a directory entry.
struct PieceFile {
    /// `.FILE.1`
    entry: Box<str>,
    piece: u8,
    stamp: Option<Stamp>,
}

impl PieceFile {
    /// The entry without its number. There are many of these: the file's name is parsed when it is needed.
    fn stem(&self) -> &str {
        &self.entry[..self.entry.len() - 1]
    }

    fn path(&self, folder: &FolderPath) -> Option<FilePath> {
        let (file, _) = parse_piece_file(&self.entry)?;
        folder.absolute(&FilePath::parse_any(&file).ok()?).ok()
    }
}

/// The pieces in a directory, sorted, and its directories.
type Directory = (Vec<PieceFile>, Vec<String>);

impl<D: Disk> Store<D> {
    /// Passes every entry of a folder, or every file below it, to `sink`, in no particular order. Names are relative to
    /// the folder. A folder that does not exist is empty.
    ///
    /// # Errors
    /// An error of the disk, or one that `sink` returns.
    pub fn list<E: From<StoreError>>(
        &self,
        user: &UserName,
        folder: &FolderPath,
        recursive: bool,
        mut sink: impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut to_visit = vec![folder.clone()];
        while let Some(visited) = to_visit.pop() {
            let (files, folders) = self.scan(user, &visited)?;
            for pieces in files.chunk_by(|a, b| a.stem() == b.stem()) {
                let Some(path) = pieces[0].path(&visited) else { continue };
                self.published_entries(user, &path, pieces, folder, &mut sink)?;
            }
            for name in folders {
                let Ok(found) = visited.folder(&name) else { continue };
                if recursive {
                    to_visit.push(found);
                } else if let Ok(name) = FolderPath::parse(&name) {
                    sink(Entry::Folder(name))?;
                }
            }
        }
        self.waiting_entries(user, folder, recursive)?.into_iter().try_for_each(sink)
    }

    fn scan(&self, user: &UserName, folder: &FolderPath) -> Result<Directory, StoreError> {
        let (mut pieces, mut folders) = (Vec::new(), Vec::new());
        let mut see = |entry: OsString, is_dir: bool, stamp: Option<Stamp>| {
            let Ok(entry) = entry.into_string() else { return };
            // Anything in the place of a piece counts, even if it is no file: it is shown as damaged.
            if let Some((_, piece)) = parse_piece_file(&entry) {
                pieces.push(PieceFile { entry: entry.into(), piece, stamp });
            } else if is_dir && let Some(folder) = parse_folder(&entry) {
                folders.push(folder.into_owned());
            }
        };
        match self.files.disk.visit(&self.files.places.folder(user, folder), &mut see) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            seen => seen?,
        }
        pieces.sort_unstable_by(|a, b| (a.stem(), a.piece).cmp(&(b.stem(), b.piece)));
        Ok((pieces, folders))
    }

    /// Entries for the pieces of one file.
    fn published_entries<E: From<StoreError>>(
        &self,
        user: &UserName,
        path: &FilePath,
        pieces: &[PieceFile],
        listed: &FolderPath,
        sink: &mut impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut versions: Vec<(Facts, PieceSet)> = Vec::new();
        let Some(name) = listed.relative(path) else { return Ok(()) };
        for found in pieces {
            match self.facts(user, path, found) {
                Ok(facts) => match versions.iter_mut().find(|(known, _)| known.version == facts.version) {
                    Some((_, numbers)) => numbers.insert(found.piece),
                    None => versions.push((facts, PieceSet::from_iter([found.piece]))),
                },
                Err(ReadError::Missing) => {}
                Err(error) if error.is_of_the_file() => {
                    sink(Entry::Damaged { path: name.clone(), piece: found.piece })?;
                }
                Err(error) => return Err(StoreError::from(error).into()),
            }
        }
        versions.into_iter().try_for_each(|(facts, pieces)| {
            sink(Entry::File { path: name.clone(), published: true, pieces, facts })
        })
    }

    /// The facts in the header of a published piece, which is read again only if its file has changed.
    fn facts(&self, user: &UserName, path: &FilePath, found: &PieceFile) -> Result<Facts, ReadError> {
        let key = found.stamp.map(|stamp| (user, path, found.piece, stamp));
        if let Some(known) = key.and_then(|key| self.cache.recall(&key)) {
            return Ok(known);
        }
        let (_, claim) = self.files.piece(user, path, found.piece)?;
        let facts = Facts::from(&claim.header);
        if let Some(key) = key {
            self.cache.remember(&key, facts.clone());
        }
        Ok(facts)
    }

    /// Entries for staged pieces and tombstones.
    fn waiting_entries(
        &self,
        user: &UserName,
        folder: &FolderPath,
        recursive: bool,
    ) -> Result<Vec<Entry>, StoreError> {
        let part = self.part(user);
        let locked = part.lock()?;
        let mut entries = Vec::new();
        for (path, name) in &locked.index.names {
            let Some(relative) = folder.relative(path) else { continue };
            if !recursive && !relative.folder().is_root() {
                continue;
            }
            if let Some(tombstone) = &name.tombstone {
                let version = tombstone.version;
                entries.push(Entry::Tombstone { path: relative.clone(), version, published: true });
            }
            if !name.partial.is_empty() {
                entries.push(Entry::Partial { path: relative.clone() });
            }
            // A problem with one name must not keep the others from being listed.
            let hidden = locked.hides_staged(path, name).unwrap_or(true);
            for waiting in name.staged.iter().filter(|waiting| waiting.piece == TOMBSTONE || !hidden) {
                let entry = match piece::open(&self.files.disk, &waiting.file) {
                    _ if waiting.piece == TOMBSTONE => Entry::Tombstone {
                        path: relative.clone(),
                        version: waiting.version,
                        published: false,
                    },
                    Ok((_, claim)) => Entry::File {
                        path: relative.clone(),
                        published: false,
                        pieces: PieceSet::from_iter([waiting.piece]),
                        facts: Facts::from(&claim.header),
                    },
                    Err(_) => Entry::Damaged { path: relative.clone(), piece: waiting.piece },
                };
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// How much a user has stored on this server.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn usage(&self, user: &UserName) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        let mut to_visit = vec![FolderPath::root()];
        while let Some(visited) = to_visit.pop() {
            let (pieces, folders) = self.scan(user, &visited)?;
            to_visit.extend(folders.iter().filter_map(|name| visited.folder(name).ok()));
            for found in pieces {
                // It may have been removed since the scan.
                if let Ok(len) = self.len_of(user, &visited, &found) {
                    usage.pieces += 1;
                    usage.bytes += len;
                }
            }
        }
        Ok(usage)
    }

    fn len_of(&self, user: &UserName, folder: &FolderPath, found: &PieceFile) -> std::io::Result<u64> {
        if let Some(stamp) = found.stamp {
            return Ok(stamp.len);
        }
        let directory = self.files.places.folder(user, folder);
        let disk = &self.files.disk;
        disk.len(&disk.open(&directory.join(&*found.entry))?)
    }
}
