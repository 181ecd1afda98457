//! Finds out whether a source defines what a document says it does.

/// Whether a function, type or constant of this name is defined in a source.
pub(crate) fn defines(text: &str, word: &str) -> bool {
    let kinds = ["fn", "struct", "enum", "trait", "type", "const"];
    let is_name_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    kinds.iter().any(|kind| {
        let begin = format!("{kind} {word}");
        text.match_indices(&begin).any(|(at, _)| is_name_end(&text[at + begin.len()..]))
    })
}
