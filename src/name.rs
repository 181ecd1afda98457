//! Names of users, servers, folders and files, checked once at the door.
//!
//! A value of one of these types matches the grammar of `docs/FORMAT.md` ("Names"), so no other module ever
//! looks at a raw name, and no name reaches a file system unchecked.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

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

/// A name as a server's disk has it: each byte of a control character or slash is written as `%XX`, and so is a `%`
/// that two hexadecimal digits follow, so that the original can be read back. Most names have none of these.
fn escape(name: &str) -> Cow<'_, str> {
    let is_escape = |percent: usize| {
        let digits = name.as_bytes().get(percent + 1..percent + 3);
        digits.is_some_and(|digits| digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')))
    };
    let is_plain = |(at, c): (usize, char)| !(c == '/' || c.is_control() || (c == '%' && is_escape(at)));
    if name.char_indices().all(is_plain) {
        return name.into();
    }
    let mut out = String::with_capacity(name.len() + 8);
    for (at, c) in name.char_indices() {
        if is_plain((at, c)) {
            out.push(c);
        } else {
            name.as_bytes()[at..at + c.len_utf8()]
                .iter()
                .for_each(|byte| out.push_str(&format!("%{byte:02X}")));
        }
    }
    out.into()
}

/// Reads what [`escape`] wrote, or anything with more escapes; `None` if that is not UTF-8.
fn unescape(name: &str) -> Option<Cow<'_, str>> {
    if !name.contains('%') {
        return Some(name.into());
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.split_first_chunk().filter(|_| first == b'%');
        let (byte, tail) = escaped
            .and_then(|(digits, tail)| Some((parse_upper_hex(*digits)?, tail)))
            .unwrap_or((first, tail));
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8(bytes).ok().map(Cow::from)
}

fn parse_upper_hex(digits: [u8; 2]) -> Option<u8> {
    let [high, low] = digits.map(|digit| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    });
    Some(high? << 4 | low?)
}

/// The number at the end of a directory entry that has the form of a piece's: a dot, a name, a dot and a digit.
fn split_piece_file(entry: &str) -> Option<(&str, u8)> {
    let (file, number) = entry.strip_prefix('.')?.rsplit_once('.')?;
    match number.as_bytes() {
        [digit @ b'1'..=b'9'] if !file.is_empty() => Some((file, digit - b'0')),
        _ => None,
    }
}

/// What a directory entry is a piece of, as [`FilePath::file_name`] has it, and the piece's number: `.earth.gif.2` is
/// `("earth.gif", 2)`.
pub fn parse_piece_file(entry: &str) -> Option<(Cow<'_, str>, u8)> {
    let (escaped, piece) = split_piece_file(entry)?;
    let file = unescape(escaped)?;
    (escape(&file) == escaped).then_some((file, piece))
}

/// The directory entry of a piece: `.earth.gif.2`.
pub fn piece_file(file: &str, piece: u8) -> String {
    format!(".{}.{piece}", escape(file))
}

/// A folder's name as a server's disk has it. The first dot of one that looks like a piece is written as `%2E`.
fn folder_on_disk(segment: &str) -> Cow<'_, str> {
    let escaped = escape(segment);
    match split_piece_file(&escaped) {
        Some(_) => format!("%2E{}", &escaped[1..]).into(),
        None => escaped,
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
        assert_eq!(parse_piece_file(".earth.gif.2"), Some(("earth.gif".into(), 2)));
        assert_eq!(parse_piece_file("..x.1.3"), Some((".x.1".into(), 3)));
        for other in ["earth.gif.2", ".earth.gif", ".x.0", ".x.10", "..1", ".1", ".%41.1", ".%FF.1", ".%2E.1"]
        {
            assert_eq!(parse_piece_file(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_must_be_is_escaped_on_a_servers_disk() {
        for (file, entry) in [
            ("earth.gif", ".earth.gif.2"),
            ("100%.txt", ".100%.txt.2"),
            ("%2f %4", ".%2f %4.2"),
            ("a%2Fb", ".a%252Fb.2"),
            ("%%41", ".%%2541.2"),
            ("a\tb\n", ".a%09b%0A.2"),
            ("\u{85}ü", ".%C2%85ü.2"),
            ("/", ".%2F.2"),
        ] {
            assert_eq!(piece_file(file, 2), entry);
            assert_eq!(parse_piece_file(entry), Some((file.into(), 2)));
        }
        for (folder, entry) in [
            ("holiday", "holiday"),
            (".x.1", "%2Ex.1"),
            (".x.10", ".x.10"),
            ("..1", "..1"),
            ("%2Ex.1", "%252Ex.1"),
        ] {
            assert_eq!(folder_on_disk(folder), entry);
            assert_eq!(parse_folder(entry), Some(folder.into()));
        }
        for other in [".x.1", "%2Ex", "%41", "%2F", "a%00", "%FF", "", ".", ".."] {
            assert_eq!(parse_folder(other), None, "{other}");
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
        fn any_name_comes_back_from_a_servers_disk(name in "([%2EF./a-c\n\u{85}]|\\PC){1,12}", piece in 1u8..=9) {
            if let Ok(path) = FilePath::parse(&name) {
                let entry = piece_file(path.file_name(), piece);
                proptest::prop_assert!(!entry.contains(['/', '\n']));
                proptest::prop_assert_eq!(parse_piece_file(&entry), Some((path.file_name().into(), piece)));
                let folder = FolderPath::parse(&name).unwrap();
                for (segment, entry) in folder.segments().zip(folder.on_disk()) {
                    proptest::prop_assert!(!entry.contains(['/', '\n']) && parse_piece_file(&entry).is_none());
                    proptest::prop_assert_eq!(parse_folder(&entry), Some(segment.into()));
                }
            }
        }

        #[test]
        fn an_entry_on_a_servers_disk_is_refused_or_the_only_one_of_its_name(entry in "[%2EFa.1/]{1,9}") {
            if let Some((file, piece)) = parse_piece_file(&entry) {
                proptest::prop_assert_eq!(&piece_file(&file, piece), &entry);
            }
            if let Some(folder) = parse_folder(&entry) {
                proptest::prop_assert_eq!(&folder_on_disk(&folder), &entry);
            }
        }

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
