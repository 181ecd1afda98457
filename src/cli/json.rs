//! JSON for results: one object per line.

use std::fmt::Display;

use crate::name::is_unprintable;

/// An object with these members, whose values are JSON already.
pub(super) fn object<N: AsRef<str>>(members: impl IntoIterator<Item = (N, String)>) -> String {
    let members = members.into_iter().map(|(name, value)| format!("{}:{value}", text(name.as_ref())));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// What became of a file, and whether that is done.
pub(super) fn fate(
    name: &str,
    action: &str,
    done: bool,
    more: impl IntoIterator<Item = (&'static str, String)>,
) -> String {
    let first = [("name", text(name)), ("action", text(action)), ("done", done.to_string())];
    object(first.into_iter().chain(more))
}

/// A value, or null.
pub(super) fn or_null(value: Option<impl Display>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

/// A string (RFC 8259, section 7): the exact text, with whatever could forge a line on a terminal escaped.
pub(super) fn text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if is_unprintable(c) => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_what_is_unknown_is_null() {
        let members =
            [("name", text("a\"\\é\n\u{202e}")), ("piece", or_null(Some(3))), ("why", or_null(None::<u8>))];
        assert_eq!(object(members), r#"{"name":"a\"\\é\u000a\u202e","piece":3,"why":null}"#);
        assert_eq!(object::<&str>([]), "{}");
    }
}
