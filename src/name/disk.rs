//! Names as a server's disk has them: `docs/FORMAT.md` ("On a server's disk").

use std::borrow::Cow;

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
pub(super) fn unescape(name: &str) -> Option<Cow<'_, str>> {
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

/// What a directory entry is a piece of, as [`FilePath::file_name`](super::FilePath::file_name) has it, and the piece's number: `.earth.gif.2` is
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
pub(super) fn folder_on_disk(segment: &str) -> Cow<'_, str> {
    let escaped = escape(segment);
    match split_piece_file(&escaped) {
        Some(_) => format!("%2E{}", &escaped[1..]).into(),
        None => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{FilePath, FolderPath, parse_folder};

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
    }
}
