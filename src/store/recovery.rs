//! Opening a disk that a crash or a power failure has left.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::Store;
use super::disk::{Disk, named};
use super::error::StoreError;
use super::index::{Index, Waiting};
use super::keys::parse_key;
use super::piece::{self, ReadError};
use super::places::Places;
use crate::commit;
use crate::name::{ServerName, UserName};
use crate::sealed::Header;

impl<D: Disk> Store<D> {
    /// Puts every user's part of the disk in order, one after the other, as the first request would. `report` is
    /// told where that did not work, or where nothing can be published.
    pub fn settle(&self, mut report: impl FnMut(&UserName, StoreError)) {
        for user in self.users_in(&[self.places.staged(), self.places.tombstones()]) {
            if let Err(error) = self.index(&self.own(&user), &user).map(drop) {
                report(&user, error);
            }
        }
        for user in self.users_in(&[self.places.published().to_path_buf()]) {
            match self.disk.mount(&self.places.user(&user)) {
                Ok(mount) if mount == self.mount => {}
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
                Ok(_) => report(&user, StoreError::Elsewhere),
                Err(error) => report(&user, error.into()),
            }
        }
    }

    fn users_in(&self, directories: &[PathBuf]) -> BTreeSet<UserName> {
        // What cannot be read now is found at the user's first request.
        let entries = directories.iter().filter_map(|directory| self.disk.entries(directory).ok()).flatten();
        entries.filter_map(|(entry, _)| UserName::parse(entry.to_str()?).ok()).collect()
    }

    /// Reads a user's part of the server's own files, drops what never became a whole piece, and ends every commit
    /// that a crash cut off. After an error it is to be called again.
    pub(super) fn recover(&self, index: &mut Index, user: &UserName) -> Result<(), StoreError> {
        index.forget_names();
        let (staged, tombstones) = (self.places.staged_of(user), self.places.tombstones_of(user));
        self.make_folder_of(index, staged.clone())?;
        self.make_folder_of(index, tombstones.clone())?;
        let mut whole = Vec::new();
        for (directory, published) in [(&staged, false), (&tombstones, true)] {
            for (entry, is_dir) in self.disk.entries(directory)? {
                self.numbers_begin_behind(&entry);
                let file = directory.join(&entry);
                // Nothing of this server's.
                if is_dir {
                    continue;
                }
                match piece::sound_claim(&self.disk, &file) {
                    Ok(Some(claim)) if claim.header.user == *user => {
                        whole.push((claim.header, file, published))
                    }
                    // Somebody has put it here.
                    Ok(Some(_)) => {}
                    Ok(None) | Err(ReadError::Format | ReadError::Missing) => self.remove_if_there(&file)?,
                    Err(ReadError::Io(error)) => return Err(named(&file, &error).into()),
                }
            }
        }
        // What a killed process wrote may be whole and still not safe, and after a power failure only its length
        // may be right.
        let paths: Vec<&Path> = whole.iter().map(|(_, file, _)| file.as_path()).collect();
        self.disk.sync_all(&paths)?;
        self.disk.sync_dir(&staged)?;
        self.sync(index, vec![self.places.staged(), self.places.tombstones()])?;
        for (Header { user, path, version, piece, key, .. }, file, published) in whole {
            let waiting = Waiting { piece, version, key: key.check, connection: None, file, synced: true };
            match published {
                true => index.add_tombstone(user, path, waiting),
                false => index.add(user, path, waiting),
            }
        }
        self.end_commits(index)
    }

    /// Ends every commit that was cut off, all of them in the same steps as one: publish, sync, drop.
    fn end_commits(&self, index: &mut Index) -> Result<(), StoreError> {
        let names: Vec<_> = index.names.keys().cloned().collect();
        let mut cut_off = Vec::new();
        for (user, path) in names {
            let steps = commit::recover(&self.held(index, &user, &path)?);
            self.publish(index, &user, &path, &steps)?;
            cut_off.push((user, path, steps));
        }
        for (user, path, _) in &cut_off {
            // Before anything older goes: the process that published this may not have come to sync it.
            self.sync(index, self.directories(user, path))?;
        }
        for (user, path, steps) in cut_off {
            self.apply_all(index, &user, &path, &steps)?;
            self.drop_replaced(index, &user, &path)?;
        }
        Ok(())
    }

    /// Files get numbers that are not in use.
    pub(super) fn numbers_begin_behind(&self, entry: &OsStr) {
        /// Beyond, it is not one of ours, and counting on would come to an end.
        const MOST: u64 = u64::MAX / 2;
        let number = entry.to_str().and_then(|name| name.parse::<u64>().ok());
        if let Some(number) = number.filter(|number| *number < MOST) {
            self.next_file.fetch_max(number + 1, Ordering::Relaxed);
        }
    }

    /// All users' floors: the names of empty files.
    pub(super) fn read_floors(&mut self, now: u64, tell: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        let mut floors: HashMap<UserName, u64> = HashMap::new();
        let mut far_off = Vec::new();
        for (entry, _) in self.disk.entries(&self.places.floors())? {
            if let Some((user, floor)) = entry.to_str().and_then(parse_floor) {
                let usable = commit::floor_at_start(floor, now);
                let known = floors.entry(user.clone()).or_default();
                *known = usable.max(*known);
                far_off.extend((usable != floor).then_some((user, floor)));
            }
        }
        for (user, floor) in far_off {
            let lower = floors.get(&user).copied().unwrap_or(0);
            tell(&format!("the floor of {user}, {floor}, is far beyond the clock: lowered to {lower}"));
            self.keep_floor(&user, lower)?;
            self.remove_if_there(&self.places.floor(&user, floor))?;
        }
        self.disk.sync_dir(&self.places.floors())?;
        for (user, floor) in floors {
            self.users().insert(user, Arc::new(Mutex::new(Index::with_floor(floor))));
        }
        Ok(())
    }

    /// All users' changes of keys: the names of empty files.
    pub(super) fn read_keys(&mut self) -> Result<(), StoreError> {
        for (entry, _) in self.disk.entries(&self.places.keys())? {
            if let Some((user, count, change)) = entry.to_str().and_then(parse_key) {
                super::lock(&self.own(&user)).keys.found(count, change);
            }
        }
        Ok(self.disk.sync_dir(&self.places.keys())?)
    }

    /// Earlier servers kept the files of all users in one directory: moves each to its user's. Whether it is
    /// sound is found out when that user's part is put in order.
    pub(super) fn take_over_old_layout(&mut self) -> Result<(), StoreError> {
        for directory in [self.places.staged(), self.places.tombstones()] {
            let entries = self.disk.entries(&directory)?;
            let files = entries.into_iter().filter(|(_, is_dir)| !is_dir).map(|(entry, _)| entry);
            let mut found = Vec::new();
            for entry in files {
                let file = directory.join(&entry);
                match piece::claim(&self.disk, &file) {
                    Ok(claim) => found.push((entry, directory.join(claim.header.user.as_str()))),
                    Err(ReadError::Format | ReadError::Missing) => {
                        // It was never acknowledged, and does not matter.
                        let _ = self.disk.remove(&file);
                    }
                    Err(ReadError::Io(error)) => return Err(named(&file, &error).into()),
                }
            }
            // A file may have the name of a user, who needs a folder of that name. No user's begins with a dot.
            let folders: BTreeSet<PathBuf> = found.iter().map(|(_, folder)| folder.clone()).collect();
            for (entry, _) in &mut found {
                let file = directory.join(&*entry);
                if folders.contains(&file) {
                    let mut other = OsString::from(".");
                    other.push(&*entry);
                    self.disk.rename(&file, &directory.join(&other))?;
                    *entry = other;
                }
            }
            let mut users = BTreeSet::new();
            for (entry, folder) in found {
                let file = directory.join(&entry);
                self.make_dir(&folder)?;
                self.disk.rename(&file, &folder.join(&entry))?;
                // A power failure may have left it with both its names, and then a rename does nothing.
                self.remove_if_there(&file)?;
                users.insert(folder);
            }
            // New names are safe before old ones are gone for good.
            users.iter().try_for_each(|folder| self.disk.sync_dir(folder))?;
            if !users.is_empty() {
                self.disk.sync_dir(&directory)?;
            }
        }
        Ok(())
    }
}

fn parse_floor(entry: &str) -> Option<(UserName, u64)> {
    let (user, floor) = entry.rsplit_once('.')?;
    Some((UserName::parse(user).ok()?, floor.parse().ok()?))
}

/// Makes ROOT/NAME and the server's own directory, on one file system.
pub(super) fn places_on_one_file_system<D: Disk>(
    disk: &D,
    root: &Path,
    server: &ServerName,
) -> io::Result<Places> {
    let places = Places::new(root, server);
    std::fs::create_dir_all(places.published())?;
    std::fs::create_dir_all(places.own())?;
    if disk.mount(places.published())? == disk.mount(places.own())? {
        return Ok(places);
    }
    let places = places.own_inside();
    std::fs::create_dir_all(places.own())?;
    Ok(places)
}
