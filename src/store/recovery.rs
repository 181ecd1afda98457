//! Recovering a disk after a crash or a power failure.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::disk::{Disk, named};
use super::error::StoreError;
use super::files::ServerFiles;
use super::index::{Index, Partial, Waiting};
use super::locked::Locked;
use super::partial;
use super::piece::{self, ReadError};
use super::places::{parse_floor, parse_key};
use crate::commit;
use crate::name::UserName;
use crate::sealed::{Header, Kind, Opening};
use crate::wire::MAX_STAGED;

impl<D: Disk> Locked<'_, D> {
    /// Reads a user's part of the server's own files, drops what never became a whole piece, and finishes every commit
    /// that a crash cut off. After an error it must be called again.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        self.index.forget_names();
        let (disk, places) = (&self.files.disk, &self.files.places);
        let (staged, tombstones) = (places.staged_of(self.user), places.tombstones_of(self.user));
        self.make_directory(staged.clone())?;
        self.make_directory(tombstones.clone())?;
        let (mut whole, mut partial) = (Vec::new(), Vec::new());
        for (directory, published) in [(&staged, false), (&tombstones, true)] {
            for (entry, is_dir) in disk.entries(directory)? {
                self.files.numbers_begin_after(&entry);
                let file = directory.join(&entry);
                // The server makes no directories here.
                if is_dir {
                    continue;
                }
                match piece::sound_claim(disk, &file) {
                    Ok(Some(claim)) if claim.header.user == *self.user => {
                        whole.push((claim.header, file, published))
                    }
                    // Somebody put it here.
                    Ok(Some(_)) => {}
                    Ok(None) | Err(ReadError::Format | ReadError::Missing) => {
                        match partial::open(disk, &file) {
                            Ok((_, Opening { header, .. }, _)) if header.user == *self.user && !published => {
                                partial.push((header, file));
                            }
                            _ => self.files.remove_if_there(&file)?,
                        }
                    }
                    Err(ReadError::Io(error)) => return Err(named(&file, &error).into()),
                }
            }
        }
        // A piece that a killed process wrote may be whole but not safe yet. After a power failure, its length may be
        // right and its bytes wrong.
        let paths: Vec<&Path> = whole.iter().map(|(_, file, _)| file.as_path()).collect();
        disk.sync_all(&paths)?;
        disk.sync_dir(&staged)?;
        self.sync(vec![places.staged(), places.tombstones()])?;
        for (Header { path, version, piece, key, .. }, file, published) in whole {
            let waiting = Waiting { piece, version, key: key.check, connection: None, file, synced: true };
            match published {
                true => self.index.add_tombstone(path, waiting),
                false => self.index.add(path, waiting),
            }
        }
        for (Header { path, version, piece, key, .. }, file) in partial {
            // A server that was killed may have been receiving more than it would have kept.
            let is_full = self.index.names.get(&path).is_some_and(|name| name.held() >= MAX_STAGED);
            match is_full || self.index.is_full(Kind::Data) {
                true => self.files.remove_if_there(&file)?,
                false => {
                    self.index.add_partial(path, Partial { piece, version, key: key.check, file });
                }
            }
        }
        self.end_commits()
    }

    /// Finishes every commit that was cut off, all of them together in the steps of a single one: publish, sync, drop.
    fn end_commits(&mut self) -> Result<(), StoreError> {
        let paths: Vec<_> = self.index.names.keys().cloned().collect();
        let mut cut_off = Vec::new();
        for path in paths {
            let steps = commit::recover(&self.held(&path)?);
            self.publish(&path, &steps)?;
            cut_off.push((path, steps));
        }
        for (path, _) in &cut_off {
            // Before anything older is dropped: the process that published this may have died before it synced it.
            self.sync(self.directories(path))?;
        }
        for (path, steps) in cut_off {
            self.apply_all(&path, &steps)?;
            self.drop_replaced(&path)?;
            let newest = commit::newest_published(&self.held(&path)?);
            self.drop_partial(&path, |kept| Some(kept.version) <= newest)?;
        }
        Ok(())
    }
}

/// The floors and changes of keys of all users. Both are kept in the names of empty files.
pub(super) fn read_users<D: Disk>(
    files: &ServerFiles<D>,
    now: u64,
    log: &mut dyn FnMut(&str),
) -> Result<HashMap<UserName, Index>, StoreError> {
    let floors = read_floors(files, now, log)?.into_iter();
    let mut users: HashMap<_, _> = floors.map(|(user, floor)| (user, Index::with_floor(floor))).collect();
    for (entry, _) in files.disk.entries(&files.places.keys())? {
        if let Some((user, count, change)) = entry.to_str().and_then(parse_key) {
            users.entry(user).or_default().keys.found(count, change);
        }
    }
    files.disk.sync_dir(&files.places.keys())?;
    Ok(users)
}

fn read_floors<D: Disk>(
    files: &ServerFiles<D>,
    now: u64,
    log: &mut dyn FnMut(&str),
) -> Result<HashMap<UserName, u64>, StoreError> {
    let mut floors: HashMap<UserName, u64> = HashMap::new();
    let mut far_off = Vec::new();
    for (entry, _) in files.disk.entries(&files.places.floors())? {
        if let Some((user, floor)) = entry.to_str().and_then(parse_floor) {
            let usable = commit::floor_at_start(floor, now);
            let known = floors.entry(user.clone()).or_default();
            *known = usable.max(*known);
            far_off.extend((usable != floor).then_some((user, floor)));
        }
    }
    for (user, floor) in far_off {
        let lower = floors.get(&user).copied().unwrap_or(0);
        log(&format!("lowered the floor of {user} from {floor}, far beyond the clock, to {lower}"));
        files.keep_floor(&user, lower)?;
        files.remove_if_there(&files.places.floor(&user, floor))?;
    }
    files.disk.sync_dir(&files.places.floors())?;
    Ok(floors)
}

/// Earlier servers kept the files of all users in one directory: this moves each one to its user's directory. Whether
/// it is sound is checked when that user's part is recovered.
pub(super) fn take_over_old_layout<D: Disk>(files: &ServerFiles<D>) -> Result<(), StoreError> {
    let disk = &files.disk;
    for directory in [files.places.staged(), files.places.tombstones()] {
        let entries = disk.entries(&directory)?;
        let mut found = Vec::new();
        for (entry, _) in entries.into_iter().filter(|(_, is_dir)| !is_dir) {
            let file = directory.join(&entry);
            match piece::claim(disk, &file) {
                Ok(claim) => found.push((entry, directory.join(claim.header.user.as_str()))),
                Err(ReadError::Format | ReadError::Missing) => {
                    // It was never acknowledged, so it does not matter whether this works.
                    let _ = disk.remove(&file);
                }
                Err(ReadError::Io(error)) => return Err(named(&file, &error).into()),
            }
        }
        // A file may have the name of a user, who needs a folder of that name. No user's name begins with a dot.
        let folders: BTreeSet<PathBuf> = found.iter().map(|(_, folder)| folder.clone()).collect();
        for (entry, _) in &mut found {
            let file = directory.join(&*entry);
            if folders.contains(&file) {
                let mut other = OsString::from(".");
                other.push(&*entry);
                disk.rename(&file, &directory.join(&other))?;
                *entry = other;
            }
        }
        let mut users = BTreeSet::new();
        for (entry, folder) in found {
            let file = directory.join(&entry);
            files.make_dir(&folder)?;
            disk.rename(&file, &folder.join(&entry))?;
            // A power failure may have left it with both names. A rename does nothing then.
            files.remove_if_there(&file)?;
            users.insert(folder);
        }
        // The new names must be safe before the old ones are gone for good.
        users.iter().try_for_each(|folder| disk.sync_dir(folder))?;
        if !users.is_empty() {
            disk.sync_dir(&directory)?;
        }
    }
    Ok(())
}
