//! ROOT/Users.conf and ROOT/.secret.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::StartError;
use super::log::Log;
use crate::auth::{DEFAULT_ITERATIONS, MAX_USERS_FILE, UserTable, UsersError, Verifier};
use crate::locked::Locked;
use crate::name::UserName;
use crate::primitives;
use crate::store::{open_lock, open_regular};

const USERS_FILE: &str = "Users.conf";
const SECRET_FILE: &str = ".secret";
const LOCK_FILE: &str = ".users.lock";

/// How long this process waits for another that has locked Users.conf: less than a client waits for the answer to
/// PASSWD.
pub const USERS_LOCK_LIMIT: Duration = Duration::from_secs(10);
/// How often it tries again.
const LOCK_ROUND: Duration = Duration::from_millis(20);

/// What changes when a file does: its size, modification time, change time and inode number.
type Stamp = (u64, i64, i64, i64, i64, u64);

struct LastRead {
    table: UserTable,
    stamp: Option<Stamp>,
}

/// The users, as the file has them now.
pub(super) struct Users {
    root: PathBuf,
    path: PathBuf,
    last_read: Mutex<LastRead>,
}

impl Users {
    pub(super) fn open(root: &Path, log: &Log) -> Result<Self, StartError> {
        let secret = secret(root).map_err(|error| StartError::Root(root.join(SECRET_FILE), error))?;
        let path = root.join(USERS_FILE);
        let (text, stamp) = read(&path).map_err(|error| StartError::Root(path.clone(), error))?;
        let table =
            UserTable::new(secret).read(&text).map_err(|error| StartError::Users(path.clone(), error))?;
        let users = Self { root: root.to_path_buf(), path, last_read: Mutex::new(LastRead { table, stamp }) };
        let last_read = users.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        users.warn(&last_read.table, &[], log);
        drop(last_read);
        Ok(users)
    }

    /// `known` are the users that a warning has already named for a password in plain text.
    fn warn(&self, table: &UserTable, known: &[&UserName], log: &Log) {
        if table.is_empty() {
            log.line(&format!(
                "warning: no users in {} (`Server adduser ROOT USER` adds one)",
                self.path.display()
            ));
        }
        for user in table.plain_text_users().into_iter().filter(|user| !known.contains(user)) {
            log.line(&format!(
                "warning: the password of {user} is in plain text in {} (`Server adduser ROOT {user}` replaces it)",
                self.path.display()
            ));
        }
    }

    /// Whether a verifier could be changed now: Users.conf is valid, and a new one can be written beside it.
    pub(super) fn can_change(&self) -> Result<(), AddUserError> {
        let (_lock, text) = lock_and_read(&self.root)?;
        let draft = draft(&self.root);
        let written = replace_private(&draft, text.as_bytes());
        // It may not exist.
        let _ = std::fs::remove_file(&draft);
        written.map_err(|error| AddUserError::Disk(self.path.clone(), error))
    }

    /// Gives a user another verifier, for logins from now on.
    pub(super) fn change(&self, user: &UserName, verifier: &Verifier) -> Result<(), AddUserError> {
        set_verifier(&self.root, user, verifier)
    }

    /// The verifier to challenge a user with, from the file as it is now. A file that is not valid changes nothing,
    /// and the log says so.
    pub(super) fn verifier(&self, user: &UserName, log: &Log) -> Verifier {
        let mut last_read = self.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp(&self.path).ok() != Some(last_read.stamp) {
            match read(&self.path).map(|(text, stamp)| (last_read.table.read(&text), stamp)) {
                Ok((Ok(table), stamp)) => {
                    log.line(&format!("{}: reloaded, {} users", self.path.display(), table.len()));
                    self.warn(&table, &last_read.table.plain_text_users(), log);
                    *last_read = LastRead { table, stamp };
                }
                Ok((Err(error), stamp)) => {
                    last_read.stamp = stamp;
                    log.line(&format!(
                        "warning: {}: {error}; keeping the previous users",
                        self.path.display()
                    ));
                }
                Err(error) => log.line(&format!("warning: {}: {error}", self.path.display())),
            }
        }
        last_read.table.verifier(user)
    }
}

fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match path.metadata() {
        Ok(m) => Ok(Some((m.len(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec(), m.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The stamp is taken first, so that a change in between is noticed the next time.
fn read(path: &Path) -> io::Result<(String, Option<Stamp>)> {
    let stamp = stamp(path)?;
    let mut text = String::new();
    if stamp.is_some() {
        open_followed(path)?.take(MAX_USERS_FILE + 1).read_to_string(&mut text)?;
    }
    if text.len() as u64 > MAX_USERS_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {MAX_USERS_FILE} bytes")));
    }
    Ok((text, stamp))
}

/// Opens a file that may be a link: an administrator may have made it one.
fn open_followed(path: &Path) -> io::Result<File> {
    open_regular(File::options().read(true), &path.canonicalize()?)
}

/// The secret that all servers of one ROOT share; the first of them makes it. With it they show the same salt for a
/// name, known or not.
fn secret(root: &Path) -> io::Result<[u8; 32]> {
    let path = root.join(SECRET_FILE);
    if !path.exists() {
        // No lock is held, and in containers that share ROOT all servers may have the same process id.
        let draft = root.join(format!("{SECRET_FILE}.{:016x}", u64::from_be_bytes(primitives::random()?)));
        write_private(File::options().create_new(true), &draft, &primitives::random::<32>()?)?;
        let linked = std::fs::hard_link(&draft, &path);
        std::fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => File::open(root)?.sync_all()?,
        }
    }
    let mut secret = [0; 32];
    open_followed(&path)?.read_exact(&mut secret)?;
    Ok(secret)
}

/// Replaces what an earlier holder of the lock may have left under this name.
fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_private(File::options().create(true).truncate(true), path, bytes)
}

fn write_private(options: &mut OpenOptions, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = open_regular(options.write(true).mode(0o600), path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Why a user was not added.
#[derive(Debug)]
pub enum AddUserError {
    /// Users.conf is not valid as it is.
    Users(PathBuf, UsersError),
    /// Users.conf cannot be read or written.
    Disk(PathBuf, io::Error),
    /// Another process keeps the lock.
    Locked(PathBuf),
}

impl fmt::Display for AddUserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddUserError::Users(path, error) => write!(f, "{}: {error}", path.display()),
            AddUserError::Disk(path, error) => write!(f, "cannot use {} ({error})", path.display()),
            AddUserError::Locked(path) => write!(
                f,
                "another process has kept {} locked for {} seconds",
                path.display(),
                USERS_LOCK_LIMIT.as_secs()
            ),
        }
    }
}

impl std::error::Error for AddUserError {}

/// Whether ROOT/Users.conf has a user.
///
/// # Errors
/// Users.conf cannot be read, or is not valid.
pub fn has_user(root: &Path, user: &UserName) -> Result<bool, AddUserError> {
    let path = root.join(USERS_FILE);
    let (text, _) = read(&path).map_err(|error| AddUserError::Disk(path.clone(), error))?;
    UserTable::check(&text).map_err(|error| AddUserError::Users(path, error))?;
    Ok(text.lines().any(|line| is_of(line, user)))
}

fn is_of(line: &str, user: &UserName) -> bool {
    line.split_whitespace().next() == Some(user.as_str())
}

/// Writes a user's verifier for a password to ROOT/Users.conf, replacing an older line of the same name. Other lines
/// and comments are kept. Running servers use it from the next login on.
///
/// # Errors
/// Users.conf cannot be locked, read or written, or is not valid; it is then unchanged.
pub fn add_user(root: &Path, user: &UserName, password: &str) -> Result<(), AddUserError> {
    let salt = primitives::random::<16>().map_err(|error| AddUserError::Disk(root.to_path_buf(), error))?;
    set_verifier(root, user, &Verifier::derive(password, &salt, DEFAULT_ITERATIONS))
}

fn lock(path: &Path) -> Result<Locked, AddUserError> {
    let disk = |error| AddUserError::Disk(path.to_path_buf(), error);
    let start = Instant::now();
    loop {
        match Locked::new(open_lock(path).map_err(disk)?) {
            Ok(file) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(disk(error)),
            Err(TryLockError::WouldBlock) if start.elapsed() >= USERS_LOCK_LIMIT => {
                return Err(AddUserError::Locked(path.to_path_buf()));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_ROUND),
        }
    }
}

/// Writes a user's verifier to ROOT/Users.conf.
pub(super) fn set_verifier(root: &Path, user: &UserName, verifier: &Verifier) -> Result<(), AddUserError> {
    let path = root.join(USERS_FILE);
    let disk = |error| AddUserError::Disk(path.clone(), error);
    let (_lock, text) = lock_and_read(root)?;
    let line = format!("{user} {verifier}");
    let mut lines: Vec<&str> = text.lines().collect();
    match lines.iter().position(|line| is_of(line, user)) {
        Some(at) => lines[at] = &line,
        None => lines.push(&line),
    }
    let draft = draft(root);
    replace_private(&draft, (lines.join("\n") + "\n").as_bytes()).map_err(disk)?;
    std::fs::rename(&draft, &path).map_err(disk)?;
    File::open(root).and_then(|directory| directory.sync_all()).map_err(disk)
}

/// Several servers and `adduser` may share the file; only the one with the lock reads and writes it.
fn lock_and_read(root: &Path) -> Result<(Locked, String), AddUserError> {
    let path = root.join(USERS_FILE);
    let disk = |error| AddUserError::Disk(path.clone(), error);
    std::fs::create_dir_all(root).map_err(disk)?;
    let lock = lock(&root.join(LOCK_FILE))?;
    let (text, _) = read(&path).map_err(disk)?;
    UserTable::check(&text).map_err(|error| AddUserError::Users(path.clone(), error))?;
    Ok((lock, text))
}

fn draft(root: &Path) -> PathBuf {
    root.join(format!("{USERS_FILE}.{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_written_over_the_one_that_another_with_this_process_id_has_just_linked() {
        let root = std::env::temp_dir().join(format!("shareit-secret-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        // The other's draft, not removed yet, and the name that it was linked to.
        let draft = root.join(format!("{SECRET_FILE}.{}", std::process::id()));
        std::fs::write(&draft, [7; 32]).unwrap();
        std::fs::hard_link(&draft, root.join("linked")).unwrap();
        let made = secret(&root).unwrap();
        assert_eq!(std::fs::read(root.join("linked")).unwrap(), [7; 32]);
        assert_eq!(secret(&root).unwrap(), made);
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 3, "no draft of its own is left");
        std::fs::remove_dir_all(root).unwrap();
    }
}
