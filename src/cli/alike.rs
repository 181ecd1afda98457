//! Messages that are the same for many files: the first ones are shown with their file, the others are counted.

use std::collections::BTreeMap;

use super::text::{counted, grouped};

/// Most files that one command names which were skipped, or failed, for the same reason.
const MOST_NAMED: usize = 20;
/// Most different messages that one command shows. A server chooses some of the words, so there may be as many as files.
const MOST_DIFFERENT: usize = 100;

/// How a message about a file is worded. Those that come first are reported first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A warning about a file.
    Warning,
    /// A file that was rightly skipped.
    Ignored,
    /// A file that was skipped, which is an error.
    Skipped,
    /// A local file that could not be read or written.
    Failed,
}

impl Kind {
    fn most(self) -> usize {
        match self {
            Kind::Warning | Kind::Ignored => 1,
            Kind::Skipped | Kind::Failed => MOST_NAMED,
        }
    }
}

/// Counts messages of one command by their words, without the file's name.
#[derive(Debug, Default)]
pub(super) struct Alike {
    counts: BTreeMap<(Kind, String), usize>,
    /// Those whose words are not counted, because there are too many others.
    others: usize,
}

impl Alike {
    /// Counts a message; returns whether it should be shown.
    pub(super) fn count(&mut self, kind: Kind, words: &str) -> bool {
        let key = (kind, words.to_owned());
        if self.counts.len() >= MOST_DIFFERENT && !self.counts.contains_key(&key) {
            self.others += 1;
            return false;
        }
        let count = self.counts.entry(key).or_default();
        *count += 1;
        *count <= kind.most()
    }

    /// A line for all messages with the same words that were not shown.
    pub(super) fn rest(self) -> Vec<(Kind, String)> {
        let mut lines = Vec::new();
        for ((kind, words), count) in self.counts {
            let Some(more @ 1..) = count.checked_sub(kind.most()) else { continue };
            let line = match kind {
                Kind::Warning => format!("the same for {}: {words}", counted(more, "more file")),
                Kind::Failed => format!("{} more failed ({words})", grouped(more)),
                Kind::Ignored | Kind::Skipped => format!("{} more skipped ({words})", grouped(more)),
            };
            lines.push((kind, line));
        }
        if self.others > 0 {
            let more = counted(self.others, "more warning");
            lines.push((Kind::Warning, format!("{more}; Verify shows every problem")));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(alike: Alike) -> Vec<String> {
        alike.rest().into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn the_first_of_the_same_words_is_shown_and_the_others_are_counted() {
        let mut alike = Alike::default();
        let shown = (0..6000).filter(|_| alike.count(Kind::Warning, "one copy")).count();
        assert_eq!(shown, 1);
        assert!(alike.count(Kind::Warning, "no copy"));
        assert_eq!(rest(alike), ["the same for 5,999 more files: one copy"]);
        assert!(rest(Alike::default()).is_empty());
    }

    #[test]
    fn what_is_skipped_is_named_up_to_a_limit_for_each_reason() {
        let mut alike = Alike::default();
        let shown = (0..6000).filter(|_| alike.count(Kind::Skipped, "a FIFO")).count();
        assert_eq!(shown, MOST_NAMED);
        assert!((0..MOST_NAMED).all(|_| alike.count(Kind::Skipped, "a socket")));
        assert!(alike.count(Kind::Warning, "a FIFO"), "another kind");
        assert_eq!(rest(alike), ["5,980 more skipped (a FIFO)"]);
    }

    #[test]
    fn different_words_are_all_shown_up_to_a_limit() {
        let mut alike = Alike::default();
        let shown = (0..6000).filter(|n| alike.count(Kind::Warning, &format!("refused: {n}"))).count();
        assert_eq!(shown, MOST_DIFFERENT);
        assert!(!alike.count(Kind::Warning, "refused: 1"), "still counted");
        assert_eq!(
            rest(alike),
            ["the same for 1 more file: refused: 1", "5,900 more warnings; Verify shows every problem"]
        );
    }
}
