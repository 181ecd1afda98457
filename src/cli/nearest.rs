//! The word that a mistyped one may have meant.

/// Longer words are compared by their beginnings only.
const COMPARED: usize = 128;

/// The candidate that `word` is at most two edits away from, and no more than half of its letters;
/// upper and lower case count as one.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let tolerance = (lower.chars().count() / 2).min(2);
    let distances = candidates.into_iter().map(|name| (edit_distance(&lower, &name.to_lowercase()), name));
    let close = distances.filter(|(distance, name)| *distance <= tolerance && *name != word);
    close.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Levenshtein's distance.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(COMPARED).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(COMPARED).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_a_finger_is_forgiven_and_another_word_is_not() {
        let files = ["poem.txt", "Notes.txt", "page.html", "a"];
        assert_eq!(nearest("peom.txt", files), Some("poem.txt"));
        assert_eq!(nearest("notes.txt", files), Some("Notes.txt"));
        assert_eq!(nearest("pgae.htm", files), None, "three edits");
        assert_eq!(nearest("xyz", files), None);
        assert_eq!(nearest("b", files), None, "nothing of it would be left");
        assert_eq!(nearest("poem.txt", files), None, "not the word itself");
    }
}
