//! Patterns for names: `*`, `?`, `[a-z]`, and `**` for any number of folders.
//!
//! As arguments they work as in a shell: a dot that begins a name must be written. To exclude files they work as in
//! gitignore(5).

/// A pattern for the whole of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    segments: Vec<Segment>,
    /// Whether a dot that begins a name must be written.
    dots_are_written: bool,
}

/// What one name on a path must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// Any number of names.
    AnyDepth,
    Name(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Is(char),
    /// Any one character.
    One,
    /// Any number of characters.
    Any,
    /// One character that is, or with `not` is not, in one of the ranges.
    In {
        not: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Whether a name has a character by which it may be a pattern.
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Whether a pattern is more likely to be meant as a name: `photo[1].jpg`.
pub fn may_be_a_name(pattern: &str) -> bool {
    is_pattern(pattern) && !pattern.contains(['*', '?'])
}

impl Pattern {
    /// A pattern as it is given as an argument. Every text is one.
    pub fn new(text: &str) -> Self {
        Self { segments: segments(text.trim_end_matches('/')), dots_are_written: true }
    }

    /// The names at the beginning that are no patterns, and how deep below them a match can be; none if at any depth.
    /// Both leave out the last name.
    pub fn fixed(&self) -> (Vec<String>, Option<usize>) {
        let (_, folders) = self.segments.split_last().unwrap_or((&Segment::AnyDepth, &[]));
        let fixed: Vec<String> = folders.iter().map_while(literal).collect();
        let is_bounded = !self.segments.contains(&Segment::AnyDepth);
        let depth = folders.len() - fixed.len();
        (fixed, is_bounded.then_some(depth))
    }

    /// Whether a path, with `/` between its names, is of this form.
    pub fn matches(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        let is_it = |segment: &Segment, name: &&str| match segment {
            Segment::Name(tokens) => is_name(tokens, name, self.dots_are_written),
            Segment::AnyDepth => !(self.dots_are_written && name.starts_with('.')),
        };
        wildcard(&self.segments, &names, |segment| *segment == Segment::AnyDepth, is_it)
    }
}

/// Which files to leave out: those that match a pattern, unless a later one with `!` before it takes them back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excluded(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    is_back: bool,
    folders_only: bool,
}

impl Excluded {
    /// The patterns, in the order in which they were given.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self(patterns.into_iter().filter_map(rule).collect())
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a path below the folder that the patterns are about is left out, either itself or with a folder around
    /// it.
    pub fn has(&self, path: &str, is_folder: bool) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| (end, true)).chain([(path.len(), is_folder)]);
        ends.into_iter().any(|(end, is_folder)| self.has_itself(&path[..end], is_folder))
    }

    /// Whether a path is left out, if no folder around it is.
    pub fn has_itself(&self, path: &str, is_folder: bool) -> bool {
        let applies = |rule: &&Rule| (is_folder || !rule.folders_only) && rule.pattern.matches(path);
        self.0.iter().rev().find(applies).is_some_and(|rule| !rule.is_back)
    }
}

fn rule(text: &str) -> Option<Rule> {
    let (is_back, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    let folders_only = text.ends_with('/');
    let text = text.trim_end_matches('/');
    // A slash that is not the last character ties the pattern to the folder.
    let is_tied = text.contains('/');
    let text = text.trim_start_matches('/');
    let mut segments = segments(text);
    if !is_tied {
        segments.insert(0, Segment::AnyDepth);
    }
    let pattern = Pattern { segments, dots_are_written: false };
    (!text.is_empty()).then_some(Rule { pattern, is_back, folders_only })
}

fn segments(text: &str) -> Vec<Segment> {
    let segment = |text| if text == "**" { Segment::AnyDepth } else { Segment::Name(tokens(text)) };
    let mut segments: Vec<Segment> = text.split('/').map(segment).collect();
    // What is in a folder, and not the folder.
    if segments.last() == Some(&Segment::AnyDepth) {
        segments.push(Segment::Name(vec![Token::Any]));
    }
    segments
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        tokens.push(match c {
            '*' if tokens.last() == Some(&Token::Any) => continue,
            '*' => Token::Any,
            '?' => Token::One,
            '[' => match ranges(rest) {
                Some((token, after)) => {
                    rest = after;
                    token
                }
                None => Token::Is('['),
            },
            '\\' => match rest.chars().next() {
                Some(escaped) => {
                    rest = &rest[escaped.len_utf8()..];
                    Token::Is(escaped)
                }
                None => Token::Is('\\'),
            },
            c => Token::Is(c),
        });
    }
    tokens
}

/// What follows a `[`, and the text behind its `]`; none if there is no such.
fn ranges(text: &str) -> Option<(Token, &str)> {
    let (not, inner) = text.strip_prefix(['!', '^']).map_or((false, text), |rest| (true, rest));
    // A bracket that comes first is one of the characters.
    let first = inner.chars().next()?;
    let end = first.len_utf8() + inner[first.len_utf8()..].find(']')?;
    let chars: Vec<char> = inner[..end].chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let is_range = at + 2 < chars.len() && chars[at + 1] == '-';
        ranges.push((chars[at], if is_range { chars[at + 2] } else { chars[at] }));
        at += if is_range { 3 } else { 1 };
    }
    Some((Token::In { not, ranges }, &inner[end + 1..]))
}

fn literal(segment: &Segment) -> Option<String> {
    let Segment::Name(tokens) = segment else { return None };
    tokens.iter().map(|token| if let Token::Is(c) = token { Some(*c) } else { None }).collect()
}

fn is_name(tokens: &[Token], name: &str, dots_are_written: bool) -> bool {
    if dots_are_written && name.starts_with('.') && tokens.first() != Some(&Token::Is('.')) {
        return false;
    }
    let chars: Vec<char> = name.chars().collect();
    wildcard(
        tokens,
        &chars,
        |token| *token == Token::Any,
        |token, c| match token {
            Token::Is(is) => is == c,
            Token::One | Token::Any => true,
            Token::In { not, ranges } => ranges.iter().any(|(from, to)| (from..=to).contains(&c)) != *not,
        },
    )
}

/// Whether all items match the pattern, of which each part matches one item, or any number of them if it `is_any`. Takes
/// time in proportion to the product of the lengths, whatever the pattern is.
fn wildcard<P, I>(
    pattern: &[P],
    items: &[I],
    is_any: impl Fn(&P) -> bool,
    is_one: impl Fn(&P, &I) -> bool,
) -> bool {
    // Which beginnings of the items the pattern matches so far.
    let mut matched: Vec<bool> = (0..=items.len()).map(|length| length == 0).collect();
    for part in pattern {
        if is_any(part) {
            for length in 1..=items.len() {
                matched[length] |= matched[length - 1] && is_one(part, &items[length - 1]);
            }
        } else {
            for length in (1..=items.len()).rev() {
                matched[length] = matched[length - 1] && is_one(part, &items[length - 1]);
            }
            matched[0] = false;
        }
    }
    matched[items.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching<'a>(pattern: &str, paths: &[&'a str]) -> Vec<&'a str> {
        let pattern = Pattern::new(pattern);
        paths.iter().copied().filter(|path| pattern.matches(path)).collect()
    }

    #[test]
    fn stars_stay_within_a_name_and_two_go_through_folders() {
        let paths = ["a.txt", "b.txt", "b.md", "d", "d/a.txt", "d/e/a.txt", ".a.txt", "d/.e/a.txt"];
        assert_eq!(matching("*.txt", &paths), ["a.txt", "b.txt"]);
        assert_eq!(matching("?.txt", &paths), ["a.txt", "b.txt"]);
        assert_eq!(matching("*/a*", &paths), ["d/a.txt"]);
        assert_eq!(matching("**/a.txt", &paths), ["a.txt", "d/a.txt", "d/e/a.txt"]);
        assert_eq!(matching("d/**", &paths), ["d/a.txt", "d/e/a.txt"]);
        assert_eq!(matching("**", &paths), ["a.txt", "b.txt", "b.md", "d", "d/a.txt", "d/e/a.txt"]);
        assert_eq!(matching(".*", &paths), [".a.txt"]);
        assert_eq!(matching("d/*/", &["d/e", "d"]), ["d/e"]);
    }

    #[test]
    fn brackets_are_one_of_several_characters() {
        let names = ["a", "b", "c", "-", "]", "é", "!"];
        assert_eq!(matching("[a-b]", &names), ["a", "b"]);
        assert_eq!(matching("[!a-c]", &names), ["-", "]", "é", "!"]);
        assert_eq!(matching("[^a-cé]", &names), ["-", "]", "!"]);
        assert_eq!(matching("[]-]", &names), ["-", "]"]);
        assert_eq!(matching("[a", &["[a", "a"]), ["[a"]);
        assert_eq!(matching("[*]", &["*", "a"]), ["*"]);
        assert_eq!(matching("\\*", &["*", "a"]), ["*"]);
    }

    #[test]
    fn a_pattern_says_where_to_look() {
        let fixed = |pattern| Pattern::new(pattern).fixed();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(fixed("*.txt"), (names(&[]), Some(0)));
        assert_eq!(fixed("a/b/*.txt"), (names(&["a", "b"]), Some(0)));
        assert_eq!(fixed("a/*/c/d"), (names(&["a"]), Some(2)));
        assert_eq!(fixed("a/**/d"), (names(&["a"]), None));
        assert_eq!(fixed("a/**"), (names(&["a"]), None));
    }

    #[test]
    fn what_is_excluded_is_as_in_gitignore() {
        let excluded =
            |patterns: &[&str], path, is_folder| Excluded::new(patterns.iter().copied()).has(path, is_folder);
        assert!(excluded(&["*.o"], "a/b/x.o", false), "at any depth");
        assert!(excluded(&["*.o"], ".x.o", false), "a dot is like any other");
        assert!(excluded(&["target"], "a/target/debug/x", false), "what is below is left out too");
        assert!(excluded(&["target/"], "target/x", false));
        assert!(!excluded(&["target/"], "target", false), "a file");
        assert!(excluded(&["/a"], "a", false) && !excluded(&["/a"], "b/a", false));
        assert!(excluded(&["a/b"], "a/b", false) && !excluded(&["a/b"], "c/a/b", false));
        assert!(excluded(&["a/**/b"], "a/b", false) && excluded(&["a/**/b"], "a/x/y/b", false));
        assert!(excluded(&["**/a/b"], "c/a/b", false));
        assert!(!excluded(&["*.o", "!keep.o"], "keep.o", false), "taken back");
        assert!(excluded(&["!keep.o", "*.o"], "keep.o", false), "the last one counts");
        assert!(!excluded(&[""], "a", false) && !excluded(&["/"], "a", true));
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern = Pattern::new(&"*a".repeat(500));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(1000))));
        assert!(pattern.matches(&"a".repeat(500)));
    }
}
