//! Text in a form that is safe to show to people, whoever wrote it.

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::FilePath;

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
}
