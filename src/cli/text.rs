//! How much room text takes on a terminal, and how it is made to fit.

/// What replaces the part that was cut out of a text.
const CUT: &str = "...";

/// First and last of the characters that take two columns (East Asian Wide and Fullwidth in Unicode's EastAsianWidth.txt,
/// and emoji). In blocks: a few unassigned ones are included.
#[rustfmt::skip]
const WIDE: &[(u32, u32)] = &[
    (0x1100, 0x115f), (0x231a, 0x231b), (0x2329, 0x232a), (0x23e9, 0x23ec), (0x25fd, 0x25fe),
    (0x2614, 0x2615), (0x2648, 0x2653), (0x26aa, 0x26ab), (0x26bd, 0x26be), (0x26c4, 0x26c5),
    (0x2705, 0x2705), (0x270a, 0x270b), (0x2728, 0x2728), (0x274c, 0x274c), (0x2753, 0x2757),
    (0x2795, 0x2797), (0x2b1b, 0x2b1c), (0x2b50, 0x2b50), (0x2e80, 0x303e), (0x3041, 0xa4cf),
    (0xa960, 0xa97f), (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xfe30, 0xfe6f), (0xff01, 0xff60),
    (0xffe0, 0xffe6), (0x1f18e, 0x1f19a), (0x1f200, 0x1f320), (0x1f32d, 0x1f64f), (0x1f680, 0x1f6ff),
    (0x1f7e0, 0x1f7eb), (0x1f90c, 0x1f9ff), (0x1fa70, 0x1faff), (0x20000, 0x3fffd),
];

/// Characters that combine with others and take no column.
#[rustfmt::skip]
const NARROW: &[(u32, u32)] = &[
    (0x0300, 0x036f), (0x0483, 0x0489), (0x0591, 0x05bd), (0x0610, 0x061a), (0x064b, 0x065f),
    (0x093c, 0x093c), (0x0941, 0x0948), (0x094d, 0x094d), (0x0e31, 0x0e31), (0x0e34, 0x0e3a),
    (0x0e47, 0x0e4e), (0x1ab0, 0x1aff), (0x1dc0, 0x1dff), (0x200b, 0x200d), (0x20d0, 0x20ff),
    (0x3099, 0x309a), (0xfe00, 0xfe0f), (0xfe20, 0xfe2f), (0x1f3fb, 0x1f3ff), (0xe0100, 0xe01ef),
];

fn is_in(c: char, ranges: &[(u32, u32)]) -> bool {
    let c = u32::from(c);
    let after = ranges.partition_point(|&(first, _)| first <= c);
    after > 0 && c <= ranges[after - 1].1
}

fn columns_of(c: char) -> usize {
    match c {
        ' '..='~' => 1,
        _ if is_in(c, NARROW) => 0,
        _ if is_in(c, WIDE) => 2,
        _ => 1,
    }
}

/// Columns that a text takes on a terminal.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// The longest beginning of a text that fits.
fn head(text: &str, room: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += columns_of(*c);
        used > room
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// A text cut at its end to fit.
pub(super) fn cut(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    format!("{}{}", head(text, room.saturating_sub(CUT.len())), head(CUT, room))
}

/// A name cut in its middle to fit: the beginning shows what it is, the end which kind.
pub(super) fn cut_middle(name: &str, room: usize) -> String {
    let wide = columns(name);
    if wide <= room || room < 2 * CUT.len() {
        return cut(name, room);
    }
    let left = room - CUT.len();
    let first = head(name, left - left / 3);
    let mut rest = name;
    let mut rest_wide = wide;
    while rest_wide > left / 3 {
        let mut chars = rest.chars();
        rest_wide -= chars.next().map_or(rest_wide, columns_of);
        rest = chars.as_str();
    }
    format!("{first}{CUT}{rest}")
}

/// Words in lines of at most `room` columns; a single word that is longer is cut.
pub(super) fn fold(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(cut(word, room)),
        }
    }
    lines
}

/// A message in lines of at most `room` columns; `first` columns before it are taken, and the lines after the first are
/// indented. Words stay whole: a path must be fit to be copied.
pub(super) fn wrap(text: &str, first: usize, indent: usize, room: usize) -> String {
    let (mut out, mut used) = (String::with_capacity(text.len()), first);
    for (index, word) in text.split(' ').enumerate() {
        let wide = columns(word);
        if index > 0 && used + 1 + wide > room {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = indent;
        } else if index > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += wide;
    }
    out
}

/// A paragraph narrower than this does not get a column of its own.
const PARAGRAPH: usize = 20;

/// A paragraph after its mark, which has a column of its own if there is room for that.
pub(super) fn hang(mark: &str, mark_room: usize, text: &str, width: usize) -> Vec<String> {
    if width < mark_room + PARAGRAPH {
        return fold(&format!("{mark} {text}"), width);
    }
    let lines = fold(text, width - mark_room);
    let line = |(index, line): (usize, String)| {
        let mark = if index == 0 { mark } else { "" };
        cut(&format!("{}{line}", pad(mark, mark_room)), width)
    };
    lines.into_iter().enumerate().map(line).collect()
}

/// A text padded with blanks to a width.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// Most servers that a message names one by one.
pub(super) const NAMED: usize = 8;

/// A number with its noun.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{} {noun}s", grouped(count)) }
}

/// A number with a comma between its thousands.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Names in a sentence: `a`, `a and b`, `a, b and 3 more`.
pub(super) fn and(names: &[String], most: usize) -> String {
    match names {
        [first @ .., last] if !first.is_empty() && names.len() <= most => {
            format!("{} and {last}", first.join(", "))
        }
        names => some(names, most),
    }
}

/// Some names, and how many more there are.
pub(super) fn some(names: &[String], most: usize) -> String {
    if names.len() <= most {
        return names.join(", ");
    }
    format!("{} and {} more", names[..most - 1].join(", "), names.len() + 1 - most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_are_in_order() {
        for ranges in [WIDE, NARROW] {
            assert!(ranges.iter().all(|(first, last)| first <= last));
            assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    #[test]
    fn wide_characters_take_two_columns_and_marks_none() {
        for (text, expected) in
            [("a b", 3), ("ü", 1), ("u\u{308}", 1), ("日本語.txt", 10), ("🎈", 2), ("é–", 2)]
        {
            assert_eq!(columns(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_cut_never_takes_more_than_its_room() {
        for text in
            ["", "short", "a-rather-long-name-of-a-report-2026.pdf", "日本語日本語日本語.txt", "🎈🎈🎈🎈🎈🎈"]
        {
            for room in 0..60 {
                for cut in [cut(text, room), cut_middle(text, room)] {
                    assert!(columns(&cut) <= room, "{cut:?} in {room}");
                    assert_eq!(cut == text, columns(text) <= room, "{cut:?} in {room}");
                }
            }
        }
        assert_eq!(cut_middle("a-rather-long-name-of-2026.pdf", 20), "a-rather-lon...6.pdf");
        assert_eq!(cut("a-rather-long-name", 10), "a-rathe...");
    }

    #[test]
    fn paragraphs_are_folded_at_blanks() {
        assert_eq!(fold("one two three", 7), ["one two", "three"]);
        assert_eq!(fold("incomprehensible", 9), ["incomp..."]);
        assert_eq!(hang("!", 3, "one two three four five six", 23), ["!  one two three four", "   five six"]);
        assert_eq!(hang("!", 3, "one two three", 10), ["! one two", "three"]);
    }

    #[test]
    fn messages_are_wrapped_at_blanks_and_their_words_are_whole() {
        assert_eq!(wrap("one two three four", 4, 2, 12), "one two\n  three four");
        assert_eq!(wrap("a incomprehensible b", 0, 2, 9), "a\n  incomprehensible\n  b");
        assert_eq!(wrap("a  b ", 0, 2, 9), "a  b ");
    }

    #[test]
    fn thousands_have_commas() {
        let numbers = [0, 999, 1000, 65_536, 1_000_000].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "65,536", "1,000,000"]);
        assert_eq!([counted(1, "file"), counted(6000, "file")], ["1 file", "6,000 files"]);
    }

    #[test]
    fn many_names_are_counted() {
        let names: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        assert_eq!(some(&names, 4), "a, b, c, d");
        assert_eq!(some(&names, 3), "a, b and 2 more");
        assert_eq!([and(&names[..1], 3), and(&names[..3], 3)], ["a", "a, b and c"]);
        assert_eq!(and(&names, 3), "a, b and 2 more");
    }
}
