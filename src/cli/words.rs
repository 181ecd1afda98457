//! A line of commands: how it is read, and split into words.

use std::fmt;
use std::io::{BufRead, Read};

use crate::name::MAX_PATH;

/// Longest line, in bytes: two quoted paths fit.
pub(super) const MAX_LINE: usize = 4 * MAX_PATH + 1024;

/// Why a line has no words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadLine {
    Quote,
    TooLong,
    NotUtf8,
    /// An arrow, or another key that only a line editor understands.
    EditingKey,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadLine::Quote => "unclosed quote, or a backslash at the end",
            BadLine::TooLong => "line too long",
            BadLine::NotUtf8 => "line is not UTF-8",
            BadLine::EditingKey => "arrow and other editing keys do nothing here",
        })
    }
}

/// The next line; `None` at the end of input. A line that is too long or not UTF-8 is one mistake, not the end.
pub(super) fn read_line(input: &mut impl BufRead) -> Option<Result<String, BadLine>> {
    let mut line = Vec::new();
    match input.take(MAX_LINE as u64).read_until(b'\n', &mut line) {
        Ok(0) | Err(_) => return None,
        Ok(_) => {}
    }
    let whole = line.ends_with(b"\n") || line.len() < MAX_LINE;
    if !whole {
        skip_line(input);
        return Some(Err(BadLine::TooLong));
    }
    Some(String::from_utf8(line).map_err(|_| BadLine::NotUtf8))
}

fn skip_line(input: &mut impl BufRead) {
    loop {
        let Ok(buffer) = input.fill_buf() else { return };
        if buffer.is_empty() {
            return;
        }
        let end = buffer.iter().position(|&b| b == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if end.is_some() {
            return;
        }
    }
}

/// Splits a line into words. Single and double quotes keep spaces; a backslash, except in single quotes, keeps the
/// next character.
///
/// # Errors
/// [`BadLine::Quote`] if a quote or backslash has nothing after it.
pub(super) fn split(line: &str) -> Result<Vec<String>, BadLine> {
    let Scanned { mut words, last, is_whole } = scan(line);
    words.extend(last.map(|(_, word)| word));
    if is_whole { Ok(words) } else { Err(BadLine::Quote) }
}

/// A line as far as it is typed: its words, where in it the last one begins, and that one as far as it goes. Nothing
/// of a word is typed after a space.
#[cfg(any(test, feature = "line-editing"))]
pub(super) fn unfinished(line: &str) -> (Vec<String>, usize, String) {
    let Scanned { words, last, .. } = scan(line);
    let (start, last) = last.unwrap_or((line.len(), String::new()));
    (words, start, last)
}

struct Scanned {
    words: Vec<String>,
    /// The word that the line ends in, and where it begins.
    last: Option<(usize, String)>,
    /// Whether all quotes are closed, and a character follows each backslash.
    is_whole: bool,
}

fn scan(line: &str) -> Scanned {
    let (mut words, mut last) = (Vec::new(), None);
    let (mut quote, mut is_whole) = (None, true);
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        if c.is_whitespace() && quote.is_none() {
            words.extend(last.take().map(|(_, word)| word));
            continue;
        }
        let (_, word) = last.get_or_insert_with(|| (at, String::new()));
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => match chars.next() {
                Some((_, c)) => word.push(c),
                None => is_whole = false,
            },
            ('"' | '\'', None) => quote = Some(c),
            (c, _) => word.push(c),
        }
    }
    Scanned { words, last, is_whole: is_whole && quote.is_none() }
}

/// Whether a name is typed in quotes at the prompt.
pub(super) fn needs_quotes(name: &str) -> bool {
    name.is_empty() || name.chars().any(|c| c.is_whitespace() || "\"'\\".contains(c))
}

/// A name as it is typed at the prompt.
pub(super) fn quoted(name: &str) -> String {
    if needs_quotes(name) { begun_in_quotes(name) + "\"" } else { name.to_owned() }
}

/// The beginning of a name as it is typed in quotes.
pub(super) fn begun_in_quotes(name: &str) -> String {
    let escape = |c: char| if "\"\\".contains(c) { format!("\\{c}") } else { c.to_string() };
    format!("\"{}", name.chars().map(escape).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_is_quoted() {
        assert_eq!(split(r#" a  "b c"d 'e\f' g\ h "" "#).unwrap(), ["a", "b cd", r"e\f", "g h", ""]);
        assert_eq!(split("\"a"), Err(BadLine::Quote));
        assert_eq!(split("a\\"), Err(BadLine::Quote));
    }

    #[test]
    fn of_an_unfinished_line_the_last_word_is_read_as_far_as_it_goes() {
        let read = |line: &str| {
            let (words, start, last) = unfinished(line);
            (words.join("|"), line[start..].is_empty(), last)
        };
        let typed = |words: &str, last: &str| (words.to_owned(), false, last.to_owned());
        assert_eq!(read("Upload 'my no"), typed("Upload", "my no"));
        assert_eq!(read("Upload a b\\ c\\"), typed("Upload|a", "b c"));
        assert_eq!(read("Upl"), typed("", "Upl"));
        assert_eq!(read("Upload \"a b\" "), ("Upload|a b".to_owned(), true, String::new()));
        assert_eq!(unfinished("Upload ä 'b").1, "Upload ä ".len());
    }

    #[test]
    fn a_quoted_name_is_read_as_the_same() {
        for name in ["poem.txt", "my notes.txt", "q\"uote", "back\\slash", "it's", ""] {
            assert_eq!(split(&quoted(name)).unwrap(), [name]);
        }
        assert_eq!(quoted("my notes.txt"), "\"my notes.txt\"");
    }

    #[test]
    fn a_line_that_is_too_long_is_one_mistake() {
        let long = format!("{}\nStatus\n", "x".repeat(MAX_LINE + 5));
        let mut input = long.as_bytes();
        assert_eq!(read_line(&mut input), Some(Err(BadLine::TooLong)));
        assert_eq!(read_line(&mut input), Some(Ok("Status\n".into())));
        assert_eq!(read_line(&mut input), None);
    }
}
