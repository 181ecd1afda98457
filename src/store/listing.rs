//! What is in a folder, and how much a user has.

use std::collections::BTreeMap;

use super::disk::Disk;
use super::piece::{self, ReadError};
use super::{Store, StoreError, is_the_piece};
use crate::commit::TOMBSTONE;
use crate::name::{FilePath, FolderPath, UserName, parse_piece_file};
use crate::sealed::Header;
use crate::version::Version;
use crate::wire::{Entry, Usage};

/// The files of a directory with their pieces' numbers, and its directories.
type Directory = (BTreeMap<String, Vec<u8>>, Vec<String>);

impl<D: Disk> Store<D> {
    /// Gives `sink` every entry of a folder, or every file below it. A folder that is not there is
    /// empty. Entries come in no order; the names are relative to the folder.
    ///
    /// # Errors
    /// The disk's, or what `sink` returns.
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
            for (name, pieces) in files {
                let Ok(path) = visited.file(&name) else { continue };
                self.published_entries(user, &path, &pieces, folder, &mut sink)?;
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
        self.waiting_entries(user, folder, recursive).into_iter().try_for_each(sink)
    }

    fn scan(&self, user: &UserName, folder: &FolderPath) -> Result<Directory, StoreError> {
        let (mut files, mut folders) = (BTreeMap::<String, Vec<u8>>::new(), Vec::new());
        let entries = match self.disk.entries(&self.places.folder(user, folder)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            entries => entries?,
        };
        for (name, is_dir) in entries {
            let Some(name) = name.to_str() else { continue };
            if is_dir {
                folders.push(name.to_owned());
            } else if let Some((file, piece)) = parse_piece_file(name) {
                files.entry(file.to_owned()).or_default().push(piece);
            }
        }
        Ok((files, folders))
    }

    fn published_entries<E: From<StoreError>>(
        &self,
        user: &UserName,
        path: &FilePath,
        pieces: &[u8],
        listed: &FolderPath,
        sink: &mut impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut versions: BTreeMap<Version, (Header, Vec<u8>)> = BTreeMap::new();
        let Some(name) = listed.relative(path) else { return Ok(()) };
        for &number in pieces {
            match piece::open(&self.disk, &self.places.piece(user, path, number)) {
                Ok((_, claim)) if is_the_piece(&claim.header, user, path, number) => {
                    let header = claim.header;
                    versions.entry(header.version).or_insert((header, Vec::new())).1.push(number);
                }
                Ok(_) => sink(Entry::Damaged { path: name.clone(), piece: number })?,
                Err(ReadError::Missing) => {}
                Err(error) if error.is_of_the_file() => {
                    sink(Entry::Damaged { path: name.clone(), piece: number })?;
                }
                Err(error) => return Err(StoreError::from(error).into()),
            }
        }
        versions
            .into_values()
            .try_for_each(|(header, numbers)| sink(file_entry(name.clone(), &header, true, numbers)))
    }

    /// Entries for staged pieces and tombstones.
    fn waiting_entries(&self, user: &UserName, folder: &FolderPath, recursive: bool) -> Vec<Entry> {
        let index = self.index();
        let mut entries = Vec::new();
        for ((owner, path), name) in &index.names {
            if owner != user {
                continue;
            }
            let Some(relative) = folder.relative(path) else { continue };
            if !recursive && !relative.folder().is_root() {
                continue;
            }
            if let Some(tombstone) = &name.tombstone {
                let version = tombstone.version;
                entries.push(Entry::Tombstone { path: relative.clone(), version, published: true });
            }
            for waiting in &name.staged {
                let entry = match piece::open(&self.disk, &waiting.file) {
                    _ if waiting.piece == TOMBSTONE => Entry::Tombstone {
                        path: relative.clone(),
                        version: waiting.version,
                        published: false,
                    },
                    Ok((_, claim)) => file_entry(relative.clone(), &claim.header, false, vec![waiting.piece]),
                    Err(_) => Entry::Damaged { path: relative.clone(), piece: waiting.piece },
                };
                entries.push(entry);
            }
        }
        entries
    }

    /// What a user has on this server.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn usage(&self, user: &UserName) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        let mut to_visit = vec![FolderPath::root()];
        while let Some(visited) = to_visit.pop() {
            let (files, folders) = self.scan(user, &visited)?;
            to_visit.extend(folders.iter().filter_map(|name| visited.folder(name).ok()));
            for (name, pieces) in files {
                let Ok(path) = visited.file(&name) else { continue };
                for number in pieces {
                    if let Ok(file) = self.disk.open(&self.places.piece(user, &path, number)) {
                        usage.pieces += 1;
                        usage.bytes += self.disk.len(&file)?;
                    }
                }
            }
        }
        Ok(usage)
    }
}

fn file_entry(path: FilePath, header: &Header, published: bool, mut pieces: Vec<u8>) -> Entry {
    pieces.sort_unstable();
    Entry::File {
        path,
        version: header.version,
        published,
        pieces,
        size: header.file_size,
        modified: header.modified,
        replicas: header.replicas,
    }
}
