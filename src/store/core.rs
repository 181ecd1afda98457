//! A server's store, and each user's part of it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::HeaderCache;
use super::connections::{Connection, Connections};
use super::disk::{Disk, OsDisk};
use super::error::StoreError;
use super::files::ServerFiles;
use super::index::Index;
use super::locked::Locked;
use super::recovery::{read_users, take_over_old_layout};
use crate::name::{ServerName, UserName};

/// A server's pieces.
///
/// What is remembered of each user has a lock of its own, so a disk access that hangs holds up only the requests of one
/// user. `users` is never locked during a disk access.
pub struct Store<D: Disk = OsDisk> {
    pub(super) files: ServerFiles<D>,
    users: Mutex<HashMap<UserName, Arc<Mutex<Index>>>>,
    pub(super) connections: Connections,
    pub(super) cache: HeaderCache,
}

/// One user's part of a store.
pub(super) struct UserPart<'a, D> {
    files: &'a ServerFiles<D>,
    user: &'a UserName,
    index: Arc<Mutex<Index>>,
}

impl<D: Disk> UserPart<'_, D> {
    /// Locks it, after recovering what a crash left of it.
    pub(super) fn lock(&self) -> Result<Locked<'_, D>, StoreError> {
        let mut locked = self.lock_to_look()?;
        locked.index.uses += 1;
        Ok(locked)
    }

    /// The same for a holder that changes no piece.
    pub(super) fn lock_to_look(&self) -> Result<Locked<'_, D>, StoreError> {
        let mut locked = self.locked(lock(&self.index));
        if !locked.index.recovered {
            locked.recover()?;
            locked.index.recovered = true;
        }
        Ok(locked)
    }

    fn locked<'a>(&'a self, index: MutexGuard<'a, Index>) -> Locked<'a, D> {
        Locked { files: self.files, user: self.user, index }
    }
}

/// Ends a connection when dropped, even by a panic: see [`Store::ends`].
#[must_use]
pub struct Ending<'a, D: Disk> {
    store: &'a Store<D>,
    user: UserName,
    connection: Connection,
}

impl<D: Disk> Drop for Ending<'_, D> {
    fn drop(&mut self) {
        self.store.disconnect(&self.user, self.connection);
    }
}

impl<D: Disk> Store<D> {
    /// Opens ROOT/NAME and makes the directories that are missing. What a crash cut off is finished for each user at
    /// the user's first request, or by [`Store::recover_all`]. The caller must hold the
    /// [`FolderLock`](super::FolderLock). `now` is the clock in milliseconds since 1970; `log` gets lines for the log.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn open(
        disk: D,
        root: &Path,
        server: &ServerName,
        now: u64,
        log: &mut dyn FnMut(&str),
    ) -> Result<Self, StoreError> {
        let files = ServerFiles::open(disk, root, server)?;
        let places = &files.places;
        for directory in [places.staged(), places.tombstones(), places.floors(), places.keys()] {
            files.make_dir(&directory)?;
        }
        files.disk.sync_dir(places.own())?;
        let users = read_users(&files, now, log)?;
        // On most servers it does not exist, because nothing was ever moved there.
        let aside = files.disk.entries(&places.aside()).unwrap_or_default();
        aside.iter().for_each(|(entry, _)| files.numbers_begin_after(entry));
        take_over_old_layout(&files)?;
        files.keep_reserve();
        let users = users.into_iter().map(|(user, index)| (user, Arc::new(Mutex::new(index)))).collect();
        Ok(Self {
            files,
            users: Mutex::new(users),
            connections: Connections::default(),
            cache: HeaderCache::default(),
        })
    }

    /// Recovers every user's part, one after another, as the user's first request would. `report` gets each user for
    /// whom this failed, or for whom nothing can be published.
    pub fn recover_all(&self, mut report: impl FnMut(&UserName, StoreError)) {
        let places = &self.files.places;
        for user in self.files.users_in(&[places.staged(), places.tombstones()]) {
            if let Err(error) = self.part(&user).lock().map(drop) {
                report(&user, error);
            }
        }
        for user in self.files.users_in(&[places.published().to_path_buf()]) {
            match self.files.is_on_its_mount(&places.user(&user)) {
                Ok(true) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {}
                Ok(false) => report(&user, StoreError::Elsewhere),
                Err(error) => report(&user, error.into()),
            }
        }
    }

    /// Parts are made on first use. There are only as many as users who have logged in, or have floors.
    pub(super) fn part<'a>(&'a self, user: &'a UserName) -> UserPart<'a, D> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let index = match users.get(user) {
            Some(index) => Arc::clone(index),
            None => Arc::clone(users.entry(user.clone()).or_default()),
        };
        UserPart { files: &self.files, user, index }
    }

    /// Makes a user's folder, at the first login. It waits neither for other requests of the user nor for recovery,
    /// because a login has little time.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn make_user(&self, user: &UserName) -> Result<(), StoreError> {
        let part = self.part(user);
        let folder = self.files.places.user(user);
        match part.index.try_lock() {
            Ok(index) if index.recovered => {
                let mut locked = part.locked(index);
                locked.make_directory(folder)?;
                locked.sync(vec![self.files.places.published().to_path_buf()])
            }
            // It is synced with the first piece that is published in it.
            _ => self.files.make_dir(&folder).map(drop),
        }
    }

    /// A new connection. What it stages counts as open until [`Store::disconnect`], and it can stage and commit only
    /// until then.
    pub fn connect(&self) -> Connection {
        self.connections.begin()
    }

    /// Ends a connection of this user, which was closed or must do nothing more. Other clients may now settle what it
    /// staged, and what it is still doing is refused from now on.
    pub fn disconnect(&self, user: &UserName, connection: Connection) {
        self.connections.end(connection);
        lock(&self.part(user).index).disconnect(connection);
    }

    /// A guard that calls [`Store::disconnect`] when dropped, so that a connection ends however its session does.
    pub fn ends(&self, user: UserName, connection: Connection) -> Ending<'_, D> {
        Ending { store: self, user, connection }
    }
}

fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    // A thread that panicked left no half-made change: the index only follows the disk.
    index.lock().unwrap_or_else(PoisonError::into_inner)
}
