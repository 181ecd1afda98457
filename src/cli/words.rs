//! A line of commands: how it is read, and split into words.

use std::fmt;
use std::io::{BufRead, Read};

use crate::name::MAX_PATH;

/// Longest line, in bytes: two quoted paths fit.
const MAX_LINE: usize = 4 * MAX_PATH + 1024;

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
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => {
                word.get_or_insert_default().push(chars.next().ok_or(BadLine::Quote)?);
            }
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(BadLine::Quote);
    }
    words.extend(word);
    Ok(words)
}

/// A name as it is typed at the prompt.
pub(super) fn quoted(name: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !"\"'\\".contains(c);
    if name.chars().all(plain) && !name.is_empty() {
        return name.to_owned();
    }
    let escape = |c: char| if "\"\\".contains(c) { format!("\\{c}") } else { c.to_string() };
    format!("\"{}\"", name.chars().map(escape).collect::<String>())
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
