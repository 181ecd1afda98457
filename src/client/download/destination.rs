//! Where downloads go on this machine.

use std::path::{Path, PathBuf};

use crate::name::{FilePath, FolderPath, NameError};

/// Where files go: below a local folder, under their stored names or a part of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    root: PathBuf,
    /// The stored folder whose content goes to `root`.
    of: FolderPath,
    /// The local name of the one file of that folder that is meant.
    renamed: Option<FilePath>,
}

impl Destination {
    /// `root`, for what is stored in the folder `of`; the names of folders around it do not count.
    pub fn new(root: PathBuf, of: FolderPath) -> Self {
        Self { root, of, renamed: None }
    }

    /// `root`, for a single file, which gets another name there.
    ///
    /// # Errors
    /// If no file can have that name.
    pub fn of_file(root: PathBuf, name: &str) -> Result<Self, NameError> {
        let renamed = Some(FolderPath::root().file(name)?);
        Ok(Self { root, of: FolderPath::root(), renamed })
    }

    /// The local folder. It may be a link; below it none is followed.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a stored folder is below the local one, and not that one itself.
    pub(super) fn has(&self, folder: &FolderPath) -> bool {
        let local = self.of.relative(&FilePath::of_folder(folder));
        self.renamed.is_none() && local.is_some_and(|path| path.as_str() != "/")
    }

    /// The path below the local folder.
    pub(super) fn local(&self, stored: &FilePath) -> FilePath {
        match &self.renamed {
            Some(name) => name.clone(),
            None => self.of.relative(stored).unwrap_or_else(|| stored.clone()),
        }
    }

    /// The stored name of what has this path below the local folder.
    ///
    /// # Errors
    /// If the whole name would be too long.
    pub(super) fn stored(&self, local: &FilePath) -> Result<FilePath, NameError> {
        self.of.absolute(local)
    }

    /// The name under which what is in this local place would be stored; none if it could not.
    pub fn stored_at(&self, place: &Path) -> Option<FilePath> {
        let below = place.strip_prefix(&self.root).ok()?.to_str()?;
        self.stored(&FilePath::parse(below).ok()?).ok()
    }

    /// The local path, for messages.
    pub fn place(&self, stored: &FilePath) -> PathBuf {
        super::entries::place(&self.root, &self.local(stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_below_the_root_under_its_name_or_another() {
        let path = |name: &str| FilePath::parse_any(name).unwrap();
        let all = Destination::new("down".into(), FolderPath::root());
        assert_eq!(all.place(&path("a/b")), Path::new("down/a/b"));
        let of = Destination::new("down".into(), FolderPath::parse("a").unwrap());
        assert_eq!(of.place(&path("a/b/c")), Path::new("down/b/c"));
        assert_eq!(of.place(&path("a/")), Path::new("down/"), "the folder itself");
        assert_eq!(of.stored(&path("b/c")), Ok(path("a/b/c")));
        assert!(of.has(&FolderPath::parse("a/b").unwrap()));
        assert!(["", "a", "b"].iter().all(|name| !of.has(&FolderPath::parse(name).unwrap_or_default())));
        let renamed = Destination::of_file("down".into(), "new").unwrap();
        assert_eq!(renamed.place(&path("a/b")), Path::new("down/new"));
        assert!(Destination::of_file("down".into(), "a/../b").is_err());
    }
}
