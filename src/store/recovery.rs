//! Opening a disk that a crash or a power failure has left.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::Store;
use super::disk::Disk;
use super::error::StoreError;
use super::index::Waiting;
use super::keys::parse_key;
use super::piece::{self, ReadError};
use super::places::Places;
use crate::commit;
use crate::name::{ServerName, UserName};
use crate::sealed::{Claim, Header};

impl<D: Disk> Store<D> {
    /// Reads the server's own files, drops what never became a whole piece, and ends every commit that
    /// a crash cut off.
    pub(super) fn recover(&self, now: u64, tell: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        let mut index = self.index();
        for (directory, published) in [(self.places.staged(), false), (self.places.tombstones(), true)] {
            for (entry, _) in self.disk.entries(&directory)? {
                let file = directory.join(&entry);
                if let Some(number) = entry.to_str().and_then(|name| name.parse::<u64>().ok()) {
                    self.next_file.fetch_max(number + 1, Ordering::Relaxed);
                }
                // What a killed process wrote may be whole and still not safe, and after a power failure
                // only its length may be right.
                match self.keep_whole(&file) {
                    Ok(claim) => {
                        let Header { user, path, version, piece, key_check: key, .. } = claim.header;
                        let waiting = Waiting { piece, version, key, connection: None, file, synced: true };
                        if published {
                            index.add_tombstone(user, path, waiting)
                        } else {
                            index.add(user, path, waiting)
                        }
                    }
                    Err(ReadError::Format | ReadError::Missing) => self.remove_if_there(&file)?,
                    Err(ReadError::Io(error)) => return Err(error.into()),
                }
            }
        }
        let mut far_off = Vec::new();
        for (entry, _) in self.disk.entries(&self.places.floors())? {
            if let Some((user, floor)) = entry.to_str().and_then(parse_floor) {
                let usable = commit::floor_at_start(floor, now);
                let known = index.floors.entry(user.clone()).or_default();
                known.newest = usable.max(known.newest);
                known.at_start = known.newest;
                far_off.extend((usable != floor).then_some((user, floor)));
            }
        }
        for (user, floor) in far_off {
            let lower = index.floors.get(&user).map_or(0, |floor| floor.newest);
            tell(&format!("the floor of {user}, {floor}, is far beyond the clock: lowered to {lower}"));
            self.keep_floor(&user, lower)?;
            self.remove_if_there(&self.places.floor(&user, floor))?;
        }
        for (entry, _) in self.disk.entries(&self.places.keys())? {
            if let Some((user, count, change)) = entry.to_str().and_then(parse_key) {
                index.keys.entry(user).or_default().found(count, change);
            }
        }
        self.disk.sync_dir(&self.places.staged())?;
        self.disk.sync_dir(&self.places.floors())?;
        self.disk.sync_dir(&self.places.keys())?;
        let names: Vec<_> = index.names.keys().cloned().collect();
        for (user, path) in names {
            let steps = commit::recover(&self.held(&mut index, &user, &path)?);
            self.publish(&mut index, &user, &path, &steps)?;
            // Before anything older goes: the process that published this may not have come to sync it.
            self.sync(&mut index, self.directories(&user, &path))?;
            self.apply_all(&mut index, &user, &path, &steps)?;
            self.drop_replaced(&mut index, &user, &path)?;
        }
        Ok(())
    }

    pub(super) fn keep_whole(&self, file: &Path) -> Result<Claim, ReadError> {
        if !piece::is_sound(&self.disk, file, || ())? {
            return Err(ReadError::Format);
        }
        self.disk.sync(&self.disk.open(file)?)?;
        piece::claim(&self.disk, file)
    }
}

fn parse_floor(entry: &str) -> Option<(UserName, u64)> {
    let (user, floor) = entry.rsplit_once('.')?;
    Some((UserName::parse(user).ok()?, floor.parse().ok()?))
}

/// Makes ROOT/NAME and the server's own directory, on one file system.
pub(super) fn places_on_one_file_system(root: &Path, server: &ServerName) -> io::Result<Places> {
    use std::os::unix::fs::MetadataExt;
    let places = Places::new(root, server);
    std::fs::create_dir_all(places.published())?;
    std::fs::create_dir_all(places.own())?;
    if places.published().metadata()?.dev() == places.own().metadata()?.dev() {
        return Ok(places);
    }
    let places = places.own_inside();
    std::fs::create_dir_all(places.own())?;
    Ok(places)
}
