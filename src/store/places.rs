//! Where things are stored on a server's disk.
//!
//! ```text
//! ROOT/NAME/USER/FOLDER/.FILE.1     a published piece; nothing else is below ROOT/NAME
//! ROOT/.NAME/lock                   held while a server runs
//! ROOT/.NAME/reserve                space that is released so that a delete works on a full disk
//! ROOT/.NAME/staged/USER/17         a staged piece of USER; its header says which
//! ROOT/.NAME/tombstones/USER/18     a published tombstone
//! ROOT/.NAME/aside/19               a folder that was in the place of a piece
//! ROOT/.NAME/floors/USER.42         USER's number for floors
//! ROOT/.NAME/keys/USER.3.OLD.NEW    USER's latest change of key: the retired key and the new one
//! ```

use std::path::{Path, PathBuf};

use crate::commit::KeyChange;
use crate::name::{FilePath, FolderPath, ServerName, UserName, piece_file};
use crate::text::{hex, parse_hex};

/// The directories of one server.
#[derive(Debug, Clone)]
pub(super) struct Places {
    published: PathBuf,
    own: PathBuf,
}

impl Places {
    pub(super) fn new(root: &Path, server: &ServerName) -> Self {
        Self { published: root.join(server.as_str()), own: root.join(format!(".{server}")) }
    }

    /// Moves the server's own files below ROOT/NAME, for a ROOT/NAME that is on a file system of its own: a piece can
    /// be renamed only within one file system.
    pub(super) fn own_inside(self) -> Self {
        Self { own: self.published.join(".own"), ..self }
    }

    pub(super) fn published(&self) -> &Path {
        &self.published
    }

    pub(super) fn own(&self) -> &Path {
        &self.own
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.own.join("lock")
    }

    pub(super) fn reserve(&self) -> PathBuf {
        self.own.join("reserve")
    }

    pub(super) fn staged(&self) -> PathBuf {
        self.own.join("staged")
    }

    pub(super) fn staged_of(&self, user: &UserName) -> PathBuf {
        self.staged().join(user.as_str())
    }

    pub(super) fn tombstones(&self) -> PathBuf {
        self.own.join("tombstones")
    }

    pub(super) fn tombstones_of(&self, user: &UserName) -> PathBuf {
        self.tombstones().join(user.as_str())
    }

    pub(super) fn aside(&self) -> PathBuf {
        self.own.join("aside")
    }

    pub(super) fn floors(&self) -> PathBuf {
        self.own.join("floors")
    }

    pub(super) fn floor(&self, user: &UserName, number: u64) -> PathBuf {
        self.floors().join(format!("{user}.{number}"))
    }

    /// Each change of a key is an empty file whose name says everything, so that the change is one atomic step. The
    /// greatest count wins.
    pub(super) fn keys(&self) -> PathBuf {
        self.own.join("keys")
    }

    pub(super) fn key(&self, user: &UserName, count: u64, change: KeyChange) -> PathBuf {
        self.keys().join(key_file(user, count, change))
    }

    pub(super) fn user(&self, user: &UserName) -> PathBuf {
        self.published.join(user.as_str())
    }

    pub(super) fn folder(&self, user: &UserName, folder: &FolderPath) -> PathBuf {
        let mut path = self.user(user);
        folder.on_disk().for_each(|segment| path.push(&*segment));
        path
    }

    pub(super) fn piece(&self, user: &UserName, path: &FilePath, piece: u8) -> PathBuf {
        self.folder(user, &path.folder()).join(piece_file(path.file_name(), piece))
    }
}

/// Parses the name of a file in [`Places::floors`].
pub(super) fn parse_floor(entry: &str) -> Option<(UserName, u64)> {
    let (user, floor) = entry.rsplit_once('.')?;
    Some((UserName::parse(user).ok()?, floor.parse().ok()?))
}

/// Parses the name of a file in [`Places::keys`].
pub(super) fn parse_key(entry: &str) -> Option<(UserName, u64, KeyChange)> {
    let mut words = entry.rsplitn(4, '.');
    let current = parse_hex(words.next()?)?;
    let retired = parse_hex(words.next()?)?;
    let count = words.next()?.parse().ok()?;
    Some((UserName::parse(words.next()?).ok()?, count, KeyChange { retired, current }))
}

fn key_file(user: &UserName, count: u64, change: KeyChange) -> String {
    format!("{user}.{count}.{}.{}", hex(&change.retired), hex(&change.current))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_whose_key_was_changed_and_which() {
        let user = UserName::parse("a.b").unwrap();
        let change = KeyChange { retired: [0xab; 16], current: [1; 16] };
        let name = key_file(&user, 7, change);
        assert_eq!(name, format!("a.b.7.{}.{}", "ab".repeat(16), "01".repeat(16)));
        assert_eq!(parse_key(&name), Some((user, 7, change)));
        for other in ["a.7", "a.7.ab.01", &name.replace("ab", "AB"), &name.replace(".7.", ".x.")] {
            assert_eq!(parse_key(other), None, "{other}");
        }
    }
}
