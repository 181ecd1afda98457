//! The journal of a password change: the next .conf, on disk beside the one that it will replace.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::config::{Config, MAX_CONFIG};
use crate::locked::Locked;

/// Of the error if a .conf has no line for another password.
pub(super) const NO_PASSWORD_LINE: io::ErrorKind = io::ErrorKind::Unsupported;
/// The suffix of a journal's name, after that of the .conf.
const JOURNAL: &str = ".passwd";

/// The .conf after a change of password, on disk beside the one that it will replace, from before the first server
/// learns of the change until all have made it. In between, the new password is stored only there. It is locked by the
/// process that makes the change.
pub(super) struct Journal {
    path: PathBuf,
    /// The .conf, or what it points to if it is a link.
    place: PathBuf,
    /// Keeps the lock.
    _file: Arc<Locked>,
    pub(super) password: Zeroizing<String>,
}

/// Why a change of password has no journal.
#[derive(Debug)]
pub(super) enum NoJournal {
    /// Another process is making a change.
    Taken(PathBuf),
    /// It exists, but cannot be read or is not a .conf.
    Unusable(PathBuf, String),
}

impl fmt::Display for NoJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoJournal::Taken(path) => {
                write!(
                    f,
                    "another client is changing the password of this .conf ({} is locked)",
                    path.display()
                )
            }
            NoJournal::Unusable(path, why) => {
                write!(
                    f,
                    "cannot use {}, which holds the password of an interrupted change ({why})",
                    path.display()
                )
            }
        }
    }
}

impl Journal {
    /// Finds and locks the journal that an interrupted change left.
    ///
    /// # Errors
    /// If it is another process's, or cannot be used.
    pub(super) fn find(conf: &Path) -> Result<Option<Self>, NoJournal> {
        // A .conf that does not exist is reported when it is read.
        let Ok(place) = fs::canonicalize(conf) else { return Ok(None) };
        let path = beside(&place, JOURNAL);
        let unusable = |error: io::Error| NoJournal::Unusable(path.clone(), error.to_string());
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(error)),
        };
        let file = match Locked::new(file) {
            Ok(file) => file,
            Err(TryLockError::WouldBlock) => return Err(NoJournal::Taken(path)),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        };
        // The process that had the lock may have finished in between.
        let (locked, there) = (file.metadata().map_err(unusable)?, fs::metadata(&path));
        if !there.is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino())) {
            return Ok(None);
        }
        // A process that renames with a second link may have been killed before it removed the first.
        let temporary = beside(&place, TEMPORARY);
        if fs::symlink_metadata(&temporary)
            .is_ok_and(|left| (left.dev(), left.ino()) == (locked.dev(), locked.ino()))
        {
            fs::remove_file(&temporary).map_err(unusable)?;
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_CONFIG + 1));
        (&*file).take(MAX_CONFIG as u64 + 1).read_to_string(&mut text).map_err(unusable)?;
        match Config::parse(&text) {
            Ok(config) => Ok(Some(Self { path, place, _file: Arc::new(file), password: config.password })),
            Err(error) => Err(NoJournal::Unusable(path, error.problem.to_string())),
        }
    }

    /// Writes a journal, and syncs it. Only the password's line differs from the .conf.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is one already, [`NO_PASSWORD_LINE`], or an error of the disk; then
    /// nothing is left behind.
    pub(super) fn write(conf: &Path, password: &str) -> io::Result<Self> {
        let place = fs::canonicalize(conf)?;
        let temporary = Temporary::write(&place, &with_password(&place, password)?)?;
        let path = beside(&place, JOURNAL);
        // It has its lock and all its bytes when it gets its name, and never replaces another.
        rename_new(&temporary.path, &path)?;
        let file = Arc::clone(&temporary.file);
        let journal = Self { path, place, _file: file, password: password.to_owned().into() };
        if let Err(error) = sync_folder(&journal.path) {
            let _ = journal.discard();
            return Err(error);
        }
        Ok(journal)
    }

    /// Whether a .conf could be replaced by one with another password.
    ///
    /// # Errors
    /// Of the kind [`NO_PASSWORD_LINE`], or why it cannot be read.
    pub(super) fn require_password_line(conf: &Path) -> io::Result<()> {
        with_password(conf, "").map(drop)
    }

    /// The files that a change of password makes beside a .conf.
    pub(super) fn files(conf: &Path) -> Vec<PathBuf> {
        let Ok(place) = fs::canonicalize(conf) else { return Vec::new() };
        [JOURNAL, TEMPORARY].map(|suffix| beside(&place, suffix)).into()
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, when no server knows of the change.
    ///
    /// # Errors
    /// If it cannot be removed, and so will make the change at the next launch.
    pub(super) fn discard(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                // Only a power failure could bring it back.
                let _ = sync_folder(&self.path);
                Ok(())
            }
        }
    }

    /// Replaces the .conf with it, in one step. Edits that were made there in the meantime are kept.
    pub(super) fn publish(&self) -> io::Result<()> {
        let wanted = with_password(&self.place, &self.password)?;
        if read(&self.path)? == wanted {
            if let Ok(metadata) = self.place.metadata() {
                // Anyone who could read the old one can read the new one, if that is possible.
                let _ = fs::set_permissions(&self.path, metadata.permissions());
            }
            fs::rename(&self.path, &self.place)?;
        } else {
            let temporary = Temporary::write(&self.place, &wanted)?;
            let _ = self.place.metadata().and_then(|m| temporary.file.set_permissions(m.permissions()));
            fs::rename(&temporary.path, &self.place)?;
            sync_folder(&self.place)?;
            fs::remove_file(&self.path)?;
        }
        sync_folder(&self.place)
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    fs::read_to_string(path).map(Zeroizing::new)
}

/// The text of a .conf with another password.
///
/// # Errors
/// Of the kind [`NO_PASSWORD_LINE`], or why it cannot be read.
fn with_password(conf: &Path, password: &str) -> io::Result<Zeroizing<String>> {
    let text = Config::with_password(&read(conf)?, password);
    text.map(Zeroizing::new).ok_or_else(|| io::Error::new(NO_PASSWORD_LINE, "it has no Password line"))
}

/// The suffix of a temporary file's name, after that of the .conf. Always the same: a file that a killed process left,
/// with a password in it, is replaced by the next one.
const TEMPORARY: &str = ".passwd.new";

/// A file that is written, synced and locked, and will be renamed. When it is dropped, its name is removed.
struct Temporary {
    path: PathBuf,
    file: Arc<Locked>,
}

impl Temporary {
    fn write(place: &Path, text: &str) -> io::Result<Self> {
        let path = beside(place, TEMPORARY);
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        if let Ok(left) = options.open(&path) {
            // It is not overwritten: it may have a second name, see `rename_new`.
            drop(Self::lock(path.clone(), left)?);
        }
        let file = options.create_new(true).mode(0o600).open(&path)?;
        let temporary = Self::lock(path, file)?;
        (&**temporary.file).write_all(text.as_bytes())?;
        temporary.file.sync_all()?;
        Ok(temporary)
    }

    /// Locks an existing file, unless a running process has it.
    fn lock(path: PathBuf, file: File) -> io::Result<Self> {
        let file = Locked::new(file).map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::AlreadyExists.into(),
            TryLockError::Error(error) => error,
        })?;
        let temporary = Self { path, file: Arc::new(file) };
        if temporary.has_its_name() { Ok(temporary) } else { Err(io::ErrorKind::AlreadyExists.into()) }
    }

    /// False after it was renamed, perhaps by the process that had it before.
    fn has_its_name(&self) -> bool {
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let there = fs::symlink_metadata(&self.path).map(id);
        self.file.metadata().map(id).is_ok_and(|own| there.is_ok_and(|there| there == own))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.has_its_name() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn beside(place: &Path, suffix: &str) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    place.with_file_name(name)
}

/// Gives a file another name, which must not exist. File systems without such a rename have links.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::hard_link(from, to),
    }
}

fn sync_folder(of: &Path) -> io::Result<()> {
    File::open(of.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own with a .conf; removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn of(test: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("shareit-{test}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let folder = Self(folder);
            fs::write(folder.conf(), "# mine\nServer1 a:1\nUsername u\nPassword old\n").unwrap();
            folder
        }

        fn conf(&self) -> PathBuf {
            self.0.join("home.conf")
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_journal_exists_until_it_replaces_the_conf() {
        let folder = Folder::of("journal");
        let journal = Journal::write(&folder.conf(), "new").unwrap();
        assert_eq!(folder.names(), ["home.conf", "home.conf.passwd"]);
        assert!(matches!(Journal::find(&folder.conf()), Err(NoJournal::Taken(_))), "while it is made");
        let second = Journal::write(&folder.conf(), "third").err().unwrap();
        assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
        drop(journal);
        let left = Journal::find(&folder.conf()).unwrap().unwrap();
        assert_eq!(*left.password, "new");
        left.publish().unwrap();
        assert_eq!(folder.names(), ["home.conf"]);
        let conf = fs::read_to_string(folder.conf()).unwrap();
        assert_eq!(conf, "# mine\nServer1 a:1\nUsername u\nPassword new\n");
        assert!(Journal::find(&folder.conf()).unwrap().is_none());
    }

    #[test]
    fn edits_of_the_conf_in_the_meantime_are_kept() {
        let folder = Folder::of("edited");
        let journal = Journal::write(&folder.conf(), "new").unwrap();
        fs::write(folder.conf(), "Server1 b:1\nUsername u\nPassword old\n").unwrap();
        journal.publish().unwrap();
        assert_eq!(folder.names(), ["home.conf"]);
        let conf = fs::read_to_string(folder.conf()).unwrap();
        assert_eq!(conf, "Server1 b:1\nUsername u\nPassword new\n");
    }

    #[test]
    fn a_conf_without_a_password_gets_none_and_the_journal_stays() {
        let folder = Folder::of("elsewhere");
        let journal = Journal::write(&folder.conf(), "new").unwrap();
        fs::write(folder.conf(), "Server1 b:1\nUsername u\nPasswordCommand pass\n").unwrap();
        assert_eq!(journal.publish().err().unwrap().kind(), NO_PASSWORD_LINE);
        assert_eq!(folder.names(), ["home.conf", "home.conf.passwd"]);
        journal.discard().unwrap();
        assert_eq!(Journal::write(&folder.conf(), "new").err().unwrap().kind(), NO_PASSWORD_LINE);
        assert_eq!(folder.names(), ["home.conf"]);
    }

    #[test]
    fn a_journal_is_beside_what_a_link_points_to() {
        let folder = Folder::of("link");
        let link = folder.0.join("link.conf");
        std::os::unix::fs::symlink("home.conf", &link).unwrap();
        let journal = Journal::write(&link, "new").unwrap();
        assert_eq!(folder.names(), ["home.conf", "home.conf.passwd", "link.conf"]);
        journal.publish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&link).unwrap().contains("Password new"));
    }

    #[test]
    fn a_journal_that_no_server_knows_of_is_removed() {
        let folder = Folder::of("discarded");
        Journal::write(&folder.conf(), "new").unwrap().discard().unwrap();
        assert_eq!(folder.names(), ["home.conf"]);
    }

    #[test]
    fn the_file_of_a_killed_process_is_replaced_by_the_next() {
        let folder = Folder::of("draft");
        let left = beside(&folder.conf(), TEMPORARY);
        fs::hard_link(folder.conf(), &left).unwrap();
        let journal = Journal::write(&folder.conf(), "new").unwrap();
        assert_eq!(folder.names(), ["home.conf", "home.conf.passwd"]);
        assert!(fs::read_to_string(folder.conf()).unwrap().contains("Password old"));
        fs::hard_link(journal.path(), &left).unwrap();
        drop(journal);
        Journal::find(&folder.conf()).unwrap().unwrap().publish().unwrap();
        assert_eq!(folder.names(), ["home.conf"]);
    }

    #[test]
    fn a_temporary_file_of_a_running_process_stays() {
        let folder = Folder::of("living");
        let temporary = Temporary::write(&folder.conf(), "living").unwrap();
        let refused = Journal::write(&folder.conf(), "new").err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&temporary.path).unwrap(), "living");
    }
}
