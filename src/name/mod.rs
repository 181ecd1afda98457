//! Names of users, servers, folders and files, checked once at the door.
//!
//! A value of one of these types matches the grammar of `docs/FORMAT.md` ("Names"), so no other module ever
//! looks at a raw name, and no name reaches a file system unchecked.

mod disk;
mod printable;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub use disk::{parse_piece_file, piece_file};
pub use printable::{Printable, is_unprintable, printable};

use disk::{folder_on_disk, unescape};

/// Longest user or server name, in bytes.
pub const MAX_USER: usize = 64;
/// Longest segment of a path, in bytes, as a server's disk has it. A piece is stored as `.SEGMENT.1`, three bytes
/// longer, and file systems stop at 255.
pub const MAX_SEGMENT: usize = 252;
/// Longest path, in bytes, slashes included. This also bounds how many folders there are in it.
pub const MAX_PATH: usize = 1024;

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing where a name was expected, or nothing between two slashes.
    Empty,
    /// A user's or server's name of more than [`MAX_USER`] bytes.
    TooLong,
    /// A segment of more than [`MAX_SEGMENT`] bytes.
    LongSegment,
    /// A path of more than [`MAX_PATH`] bytes.
    LongPath,
    /// `.` or `..` as a segment.
    Dots,
    /// A slash at the beginning or the end of a path.
    OuterSlash,
    /// The character NUL.
    Nul,
    /// A character that a user's or server's name may not contain.
    Character,
    /// Bytes that are not UTF-8.
    NotUtf8,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Empty => "the name is empty, or empty between two slashes",
            NameError::TooLong => "the name is longer than 64 bytes",
            NameError::LongSegment => "the name is longer than 252 bytes, counting escapes",
            NameError::LongPath => "the path is longer than 1024 bytes",
            NameError::Dots => "the name contains '.' or '..' as a part",
            NameError::OuterSlash => "the name begins or ends with a slash",
            NameError::Nul => "the name contains the character NUL",
            NameError::Character => {
                "a user or server name may contain only letters, digits and . _ - @ +, and must begin with a letter or digit"
            }
            NameError::NotUtf8 => "the name is not UTF-8",
        })
    }
}

impl std::error::Error for NameError {}

/// A user's name: 1 to [`MAX_USER`] ASCII letters, digits and `. _ - @ +`, a letter or digit first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// A server's name, with the same grammar as a user's. Clones share one text, because a listing names every server
/// for every file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Arc<str>);

/// A name below a user's folder, of which there are versions: segments separated by `/`. One with a slash at the end
/// is the *entry of a folder*, which says what the folder itself is like; `/` is that of the user's own folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

/// A folder's path below its user's folder; the empty path is that folder itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderPath(String);

fn check_identifier(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_USER {
        return Err(NameError::TooLong);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-@+".contains(c);
    if name.starts_with(|c: char| !c.is_ascii_alphanumeric()) || !name.chars().all(allowed) {
        return Err(NameError::Character);
    }
    Ok(())
}

fn check_segment(segment: &str) -> Result<(), NameError> {
    match segment {
        "" => Err(NameError::Empty),
        "." | ".." => Err(NameError::Dots),
        s if s.contains('\0') => Err(NameError::Nul),
        s if folder_on_disk(s).len() > MAX_SEGMENT => Err(NameError::LongSegment),
        _ => Ok(()),
    }
}

/// The folder that a directory of a server's disk is, if it is one.
pub fn parse_folder(entry: &str) -> Option<Cow<'_, str>> {
    let segment = unescape(entry)?;
    (folder_on_disk(&segment) == entry && check_segment(&segment).is_ok() && !segment.contains('/'))
        .then_some(segment)
}

fn check_path(path: &str) -> Result<(), NameError> {
    if path.is_empty() {
        return Err(NameError::Empty);
    }
    if path.len() > MAX_PATH {
        return Err(NameError::LongPath);
    }
    if path.starts_with('/') || path.ends_with('/') {
        return Err(NameError::OuterSlash);
    }
    path.split('/').try_for_each(check_segment)
}

macro_rules! identifier {
    ($type:ident) => {
        impl $type {
            /// Checks a name against the grammar.
            ///
            /// # Errors
            /// The first rule that it breaks.
            pub fn parse(name: &str) -> Result<Self, NameError> {
                check_identifier(name).map(|()| Self(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
identifier!(UserName);
identifier!(ServerName);

impl FilePath {
    /// Checks the path of a file against the grammar.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(path: &str) -> Result<Self, NameError> {
        check_path(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Checks the path of a file, or of the entry of a folder, against the grammar.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse_any(path: &str) -> Result<Self, NameError> {
        match path.strip_suffix('/') {
            None => Self::parse(path),
            Some("") => Ok(Self::of_folder(&FolderPath::root())),
            Some(folder) => FolderPath::parse(folder).map(|folder| Self::of_folder(&folder)),
        }
    }

    /// The entry of a folder.
    pub fn of_folder(folder: &FolderPath) -> Self {
        Self(format!("{}/", folder.as_str()))
    }

    /// Whether this is the entry of a folder.
    pub fn is_of_folder(&self) -> bool {
        self.0.ends_with('/')
    }

    /// The path as text, its segments separated by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment; for the entry of a folder `/`.
    pub fn file_name(&self) -> &str {
        match self.0.rsplit_once('/') {
            Some((_, "")) => "/",
            Some((_, file)) => file,
            None => &self.0,
        }
    }

    /// The folder that it is in; for the entry of a folder, that folder.
    pub fn folder(&self) -> FolderPath {
        FolderPath(self.0.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned()))
    }
}

/// For people: characters that could forge a line are escaped. The exact name is [`FilePath::as_str`].
impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        printable(&self.0).fmt(f)
    }
}

impl FolderPath {
    /// The user's own folder.
    pub fn root() -> Self {
        Self::default()
    }

    /// Checks a path against the grammar. The root has no text form here: see [`FolderPath::root`].
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(path: &str) -> Result<Self, NameError> {
        check_path(path)?;
        // Its entry has one byte more, and so has every name in it.
        if path.len() == MAX_PATH { Err(NameError::LongPath) } else { Ok(Self(path.to_owned())) }
    }

    /// The path as text; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the user's own folder.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The segments, outermost first.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|s| !s.is_empty())
    }

    /// The segments as a server's disk has them.
    pub fn on_disk(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.segments().map(folder_on_disk)
    }

    /// The folder that contains this one; for the root, the root itself.
    pub fn parent(&self) -> FolderPath {
        FolderPath(self.0.rsplit_once('/').map_or(String::new(), |(parent, _)| parent.to_owned()))
    }

    /// The file that would have this folder's path; `None` for the root.
    pub fn as_file(&self) -> Option<FilePath> {
        FilePath::parse(&self.0).ok()
    }

    /// A path relative to this folder, if it is below it; `/` for the folder's own entry.
    pub fn relative(&self, path: &FilePath) -> Option<FilePath> {
        let relative = if self.is_root() {
            path.as_str()
        } else {
            path.as_str().strip_prefix(&self.0)?.strip_prefix('/')?
        };
        Some(FilePath(if relative.is_empty() { "/" } else { relative }.to_owned()))
    }

    fn below(&self, relative: &str) -> String {
        if self.is_root() { relative.to_owned() } else { format!("{}/{relative}", self.0) }
    }

    /// The file at a relative path below this folder.
    ///
    /// # Errors
    /// The first rule that the whole path breaks.
    pub fn file(&self, relative: &str) -> Result<FilePath, NameError> {
        if relative.starts_with('/') {
            return Err(NameError::OuterSlash);
        }
        FilePath::parse(&self.below(relative))
    }

    /// What has this path [relative](FolderPath::relative) to this folder.
    ///
    /// # Errors
    /// The first rule that the whole path breaks.
    pub fn absolute(&self, relative: &FilePath) -> Result<FilePath, NameError> {
        match relative.as_str() {
            "/" => Ok(FilePath::of_folder(self)),
            relative => FilePath::parse_any(&self.below(relative)),
        }
    }

    /// The folder at a relative path below this folder.
    ///
    /// # Errors
    /// The first rule that the whole path breaks.
    pub fn folder(&self, relative: &str) -> Result<FolderPath, NameError> {
        if relative.starts_with('/') {
            return Err(NameError::OuterSlash);
        }
        FolderPath::parse(&self.below(relative))
    }
}

/// For people: characters that could forge a line are escaped. The exact name is [`FolderPath::as_str`].
impl fmt::Display for FolderPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        printable(&self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_leave_the_user_folder_are_refused() {
        for (path, why) in [
            ("", NameError::Empty),
            ("/a", NameError::OuterSlash),
            ("a/", NameError::OuterSlash),
            ("a//b", NameError::Empty),
            ("..", NameError::Dots),
            ("a/../b", NameError::Dots),
            ("a/./b", NameError::Dots),
            ("a\0b", NameError::Nul),
        ] {
            assert_eq!(FilePath::parse(path), Err(why), "{path:?}");
        }
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_over() {
        let longest = "s".repeat(MAX_SEGMENT);
        assert!(FilePath::parse(&longest).is_ok());
        assert_eq!(FilePath::parse(&format!("{longest}s")), Err(NameError::LongSegment));
        assert!(FilePath::parse(&format!("\n{}", &longest[..MAX_SEGMENT - 3])).is_ok());
        assert_eq!(
            FilePath::parse(&format!("\n{}", &longest[..MAX_SEGMENT - 2])),
            Err(NameError::LongSegment)
        );
        let deepest = vec!["d"; MAX_PATH / 2].join("/");
        assert!(FilePath::parse(&deepest).is_ok());
        let long_path = vec!["p".repeat(204); 5].join("/");
        assert_eq!(long_path.len(), MAX_PATH);
        assert!(FilePath::parse(&long_path).is_ok());
        assert_eq!(FilePath::parse(&format!("{long_path}p")), Err(NameError::LongPath));
        assert_eq!(FilePath::parse_any(&format!("{long_path}/")), Err(NameError::LongPath));
        assert!(UserName::parse(&"u".repeat(MAX_USER)).is_ok());
        assert_eq!(UserName::parse(&"u".repeat(MAX_USER + 1)), Err(NameError::TooLong));
    }

    #[test]
    fn ordinary_and_odd_names_are_kept_as_they_are() {
        for path in [
            "a",
            "holiday/earth.gif",
            "my notes.txt",
            "...",
            ".hidden",
            ".x.1",
            "Übung/ß",
            "-#####-",
            "a%2Fb",
            ".x.1/a",
            "a\tb\nc/\u{85}",
        ] {
            assert_eq!(FilePath::parse(path).map(|p| p.as_str().to_owned()), Ok(path.to_owned()));
        }
    }

    #[test]
    fn user_names_are_one_plain_word() {
        assert!(UserName::parse("Aditi").is_ok());
        for name in ["", "a b", "../x", ".x", "a/b", "é", "a,b", "a\n"] {
            assert!(UserName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_folder_has_an_entry() -> Result<(), NameError> {
        let (root, folder) = (FolderPath::root(), FolderPath::parse("a/b")?);
        for (folder, entry) in [(&root, "/"), (&folder, "a/b/")] {
            let of_folder = FilePath::of_folder(folder);
            assert_eq!(of_folder.as_str(), entry);
            assert_eq!(FilePath::parse_any(entry)?, of_folder);
            assert!(of_folder.is_of_folder() && FilePath::parse(entry).is_err());
            assert_eq!((of_folder.folder(), of_folder.file_name()), (folder.clone(), "/"));
        }
        for (relative, path) in [("/", "a/b/"), ("c/", "a/b/c/"), ("c", "a/b/c")] {
            let (relative, path) = (FilePath::parse_any(relative)?, FilePath::parse_any(path)?);
            assert_eq!(folder.relative(&path), Some(relative.clone()));
            assert_eq!(folder.absolute(&relative)?, path);
            assert_eq!(root.absolute(&path)?, path);
        }
        assert_eq!(root.relative(&FilePath::of_folder(&root)), Some(FilePath::of_folder(&root)));
        for bad in ["//", "a//", "./", "/a/"] {
            assert!(FilePath::parse_any(bad).is_err(), "{bad}");
        }
        Ok(())
    }

    #[test]
    fn folders_and_files_compose() -> Result<(), NameError> {
        let folder = FolderPath::parse("a/b")?;
        assert_eq!(folder.file("c/d")?.as_str(), "a/b/c/d");
        assert_eq!(FolderPath::root().file("c")?.folder(), FolderPath::root());
        assert_eq!(folder.file("c")?.folder(), folder);
        assert_eq!(folder.file("/c"), Err(NameError::OuterSlash));
        assert_eq!(folder.parent().parent(), FolderPath::root());
        assert_eq!(folder.relative(&FilePath::parse("a/b/c/d")?), Some(FilePath::parse("c/d")?));
        assert_eq!(folder.relative(&FilePath::parse("a/bc")?), None);
        assert_eq!(FolderPath::root().relative(&FilePath::parse("c")?), Some(FilePath::parse("c")?));
        Ok(())
    }

    proptest::proptest! {
        #[test]
        fn an_accepted_path_never_leaves_its_folder(path in "[a./\\\\ \u{0}-\u{20}]{0,12}") {
            if let Ok(path) = FilePath::parse(&path) {
                let mut depth = 0;
                for segment in path.as_str().split('/') {
                    proptest::prop_assert!(!segment.is_empty() && segment != "." && segment != "..");
                    depth += 1;
                }
                proptest::prop_assert!(depth >= 1);
            }
        }
    }
}
