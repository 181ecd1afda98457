//! Names of users, servers, folders and files, checked once at the door.
//!
//! A value of one of these types matches the grammar of `docs/FORMAT.md` ("Names"), so no other module ever
//! looks at a raw name, and no name reaches a file system unchecked.

use std::fmt;
use std::sync::Arc;

/// Longest user or server name, in bytes.
pub const MAX_USER: usize = 64;
/// Longest segment of a path, in bytes. A piece is stored as `.SEGMENT.1`, three bytes longer, and
/// file systems stop at 255.
pub const MAX_SEGMENT: usize = 252;
/// Longest path, in bytes, slashes included.
pub const MAX_PATH: usize = 1024;
/// Most segments in a path. This bounds every recursion over folders.
pub const MAX_DEPTH: usize = 32;

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing where a name was expected, or nothing between two slashes.
    Empty,
    /// Longer than the limit for its kind.
    TooLong,
    /// More segments than [`MAX_DEPTH`].
    TooDeep,
    /// `.` or `..` as a segment.
    Dots,
    /// A slash at the beginning or the end of a path.
    OuterSlash,
    /// A control character (including NUL, line feed and the C1 controls).
    Control,
    /// A character that a user's or server's name may not contain.
    Character,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A folder that is named like a stored piece (`.x.1`), which would hide that piece.
    LooksLikePiece,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Empty => "the name is empty, or empty between two slashes",
            NameError::TooLong => "the name is too long",
            NameError::TooDeep => "the name contains too many folders",
            NameError::Dots => "the name contains '.' or '..' as a part",
            NameError::OuterSlash => "the name begins or ends with a slash",
            NameError::Control => "the name contains a control character",
            NameError::Character => {
                "a user or server name may contain only letters, digits and . _ - @ +, and must begin with a letter or digit"
            }
            NameError::NotUtf8 => "the name is not UTF-8",
            NameError::LooksLikePiece => {
                "a folder's name must not look like a stored piece's (a dot first, a dot and one digit at the end)"
            }
        })
    }
}

impl std::error::Error for NameError {}

/// The first and last character of each range that is invisible or changes the direction of text: format characters
/// (general category Cf of Unicode 16), line and paragraph separators, and ranges reserved for more of them.
const INVISIBLE: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e00ff}'),
    ('\u{e01f0}', '\u{e0fff}'),
];

/// Whether a character could forge what people see: a control character, or one that is invisible or changes the
/// direction of text.
pub fn is_unprintable(c: char) -> bool {
    if (' '..='~').contains(&c) {
        return false;
    }
    let after = INVISIBLE.partition_point(|&(first, _)| first <= c);
    c.is_control() || (after > 0 && c <= INVISIBLE[after - 1].1)
}

/// A text in a form that is safe to show to people, whoever wrote it: characters that [could
/// forge](is_unprintable) what they see are escaped (`\n`, `\u{202e}`); all others are unchanged.
pub fn printable(text: &str) -> Printable<'_> {
    Printable(text)
}

/// The result of [`printable`].
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unprintable(*c)) {
            f.write_str(&rest[..at])?;
            match c {
                '\n' | '\r' | '\t' => write!(f, "{}", c.escape_default())?,
                _ => write!(f, "{}", c.escape_unicode())?,
            }
            rest = &rest[at + c.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// A user's name: 1 to [`MAX_USER`] ASCII letters, digits and `. _ - @ +`, a letter or digit first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// A server's name, with the same grammar as a user's. Clones share one text, because a listing names every server
/// for every file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Arc<str>);

/// A file's path below its user's folder: 1 to [`MAX_DEPTH`] segments separated by `/`.
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
        s if s.chars().any(char::is_control) => Err(NameError::Control),
        s if s.len() > MAX_SEGMENT => Err(NameError::TooLong),
        _ => Ok(()),
    }
}

/// The file that a directory entry is a piece of, and the piece's number: `.earth.gif.2` is
/// `("earth.gif", 2)`.
pub fn parse_piece_file(entry: &str) -> Option<(&str, u8)> {
    let (file, number) = entry.strip_prefix('.')?.rsplit_once('.')?;
    match number.as_bytes() {
        [digit @ b'1'..=b'9'] if !file.is_empty() => Some((file, digit - b'0')),
        _ => None,
    }
}

/// The directory entry of a piece: `.earth.gif.2`.
pub fn piece_file(file: &str, piece: u8) -> String {
    format!(".{file}.{piece}")
}

fn check_folders<'a>(mut folders: impl Iterator<Item = &'a str>) -> Result<(), NameError> {
    if folders.any(|s| parse_piece_file(s).is_some()) {
        return Err(NameError::LooksLikePiece);
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), NameError> {
    if path.is_empty() {
        return Err(NameError::Empty);
    }
    if path.len() > MAX_PATH {
        return Err(NameError::TooLong);
    }
    if path.starts_with('/') || path.ends_with('/') {
        return Err(NameError::OuterSlash);
    }
    if path.split('/').count() > MAX_DEPTH {
        return Err(NameError::TooDeep);
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
    /// Checks a path against the grammar.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(path: &str) -> Result<Self, NameError> {
        check_path(path)?;
        check_folders(path.split('/').rev().skip(1))?;
        Ok(Self(path.to_owned()))
    }

    /// The path as text, its segments separated by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, file)| file)
    }

    /// All but the last segment.
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
        check_folders(path.split('/'))?;
        Ok(Self(path.to_owned()))
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

    /// The folder that contains this one; for the root, the root itself.
    pub fn parent(&self) -> FolderPath {
        FolderPath(self.0.rsplit_once('/').map_or(String::new(), |(parent, _)| parent.to_owned()))
    }

    /// The file that would have this folder's path; `None` for the root.
    pub fn as_file(&self) -> Option<FilePath> {
        FilePath::parse(&self.0).ok()
    }

    /// A file's path relative to this folder, if the file is below it.
    pub fn relative(&self, path: &FilePath) -> Option<FilePath> {
        let relative = if self.is_root() {
            path.as_str()
        } else {
            path.as_str().strip_prefix(&self.0)?.strip_prefix('/')?
        };
        Some(FilePath(relative.to_owned()))
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
            ("a\nb", NameError::Control),
            ("a\0b", NameError::Control),
            ("a\u{85}b", NameError::Control),
            (".x.1/a", NameError::LooksLikePiece),
        ] {
            assert_eq!(FilePath::parse(path), Err(why), "{path:?}");
        }
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_over() {
        let longest = "s".repeat(MAX_SEGMENT);
        assert!(FilePath::parse(&longest).is_ok());
        assert_eq!(FilePath::parse(&format!("{longest}s")), Err(NameError::TooLong));
        let deepest = vec!["d"; MAX_DEPTH].join("/");
        assert!(FilePath::parse(&deepest).is_ok());
        assert_eq!(FilePath::parse(&format!("{deepest}/d")), Err(NameError::TooDeep));
        let long_path = vec!["p".repeat(204); 5].join("/");
        assert_eq!(long_path.len(), MAX_PATH);
        assert!(FilePath::parse(&long_path).is_ok());
        assert_eq!(FilePath::parse(&format!("{long_path}p")), Err(NameError::TooLong));
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
        ] {
            assert_eq!(FilePath::parse(path).map(|p| p.to_string()), Ok(path.to_owned()));
        }
    }

    #[test]
    fn what_could_forge_a_line_is_escaped_and_nothing_else() {
        for plain in ["", "it's", "a \\ b \"", "Übung 🎈 日本", "é", "a\u{fe0f}"] {
            assert_eq!(printable(plain).to_string(), plain);
        }
        for (text, shown) in [
            ("a\u{202e}fdp", "a\\u{202e}fdp"),
            ("\u{200b}\u{ad}\u{feff}", "\\u{200b}\\u{ad}\\u{feff}"),
            ("\u{1b}[2K\r\n\u{85}", "\\u{1b}[2K\\r\\n\\u{85}"),
            ("\u{2028}\u{2029}\u{2066}\u{2069}\u{61c}", "\\u{2028}\\u{2029}\\u{2066}\\u{2069}\\u{61c}"),
            ("\u{180e}\u{2060}\u{2064}\u{fff9}\u{fffb}", "\\u{180e}\\u{2060}\\u{2064}\\u{fff9}\\u{fffb}"),
            ("\u{e0001}\u{e007f}x", "\\u{e0001}\\u{e007f}x"),
        ] {
            assert_eq!(printable(text).to_string(), shown);
        }
        let path = FilePath::parse("a\u{202e}b").unwrap();
        assert_eq!((path.as_str(), path.to_string().as_str()), ("a\u{202e}b", "a\\u{202e}b"));
        assert!(INVISIBLE.iter().all(|(first, last)| first <= last));
        assert!(INVISIBLE.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn user_names_are_one_plain_word() {
        assert!(UserName::parse("Aditi").is_ok());
        for name in ["", "a b", "../x", ".x", "a/b", "é", "a,b", "a\n"] {
            assert!(UserName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn piece_files_are_told_from_others() {
        assert_eq!(parse_piece_file(".earth.gif.2"), Some(("earth.gif", 2)));
        assert_eq!(parse_piece_file("..x.1.3"), Some((".x.1", 3)));
        for other in ["earth.gif.2", ".earth.gif", ".x.0", ".x.10", "..1", ".1"] {
            assert_eq!(parse_piece_file(other), None, "{other}");
        }
        assert_eq!(piece_file("earth.gif", 2), ".earth.gif.2");
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
