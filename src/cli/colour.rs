//! Colours: few, only on a terminal, and never the only sign of a meaning.

use std::ffi::OsString;

/// How a word is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Paint {
    #[default]
    Plain,
    Bold,
    Dim,
    Red,
    Yellow,
}

/// Whether colours are used on one of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Palette {
    on: bool,
}

impl Palette {
    /// The colours for an output of this process.
    pub(super) fn of(is_terminal: bool) -> Self {
        Self::from(is_terminal, |name| std::env::var_os(name))
    }

    /// The rules: a terminal that knows escape sequences, and no `NO_COLOR`, or an empty one (<https://no-color.org>).
    fn from(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { on: is_terminal && knows_escapes(variable("TERM")) && !refused }
    }

    pub(super) fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            _ if !self.on => return text.to_owned(),
            Paint::Plain => return text.to_owned(),
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Red => "1;31",
            Paint::Yellow => "33",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Whether a terminal of this name knows escape sequences.
pub(super) fn knows_escapes(term: Option<OsString>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(test)]
impl Palette {
    pub(super) const ON: Palette = Palette { on: true };
    pub(super) const OFF: Palette = Palette { on: false };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_that_knows_them_and_wants_them_gets_colours() {
        let with = |term: Option<&str>, no_color: Option<&str>| {
            let value = |name: &str| if name == "TERM" { term } else { no_color };
            Palette::from(true, |name| value(name).map(OsString::from))
        };
        assert_eq!(with(Some("xterm"), None), Palette::ON);
        assert_eq!(with(Some("xterm"), Some("")), Palette::ON);
        assert_eq!(with(Some("xterm"), Some("0")), Palette::OFF);
        assert_eq!(with(Some("dumb"), None), Palette::OFF);
        assert_eq!(with(None, None), Palette::OFF);
        assert_eq!(Palette::from(false, |_| Some("xterm".into())), Palette::OFF);
    }

    #[test]
    fn without_colours_a_word_is_a_word() {
        assert_eq!(Palette::OFF.paint(Paint::Red, "x"), "x");
        assert_eq!(Palette::ON.paint(Paint::Red, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(Palette::ON.paint(Paint::Plain, "x"), "x");
    }
}
