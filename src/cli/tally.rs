//! The fate of each file of one command.

use super::text::counted;
use super::units;
use crate::name::FilePath;

/// Files handed to the client at a time, so that those that are done are reported while the rest is in progress.
pub(super) const AT_A_TIME: usize = 1024;
/// If there are more files than this, only those that failed are listed.
const LISTED: usize = 50;

/// Counts files, and returns the line to report for each, if there should be one.
#[derive(Default)]
pub(super) struct Tally {
    verb: &'static str,
    files: usize,
    done: usize,
    bytes: Option<u64>,
    unchanged: usize,
    failed: usize,
    /// The failure that was reported last, and how many after it were the same.
    last: String,
    same: usize,
    /// Hints, each once.
    hints: Vec<String>,
    /// The exit status: that of the first failure.
    pub(super) status: u8,
}

impl Tally {
    pub(super) fn of(verb: &'static str, files: usize) -> Self {
        Self { verb, files, ..Self::default() }
    }

    /// A file is done; with its size if bytes were moved, and where it is now.
    pub(super) fn done(&mut self, path: &FilePath, size: Option<u64>, place: &str) -> Option<String> {
        self.done += 1;
        if let Some(size) = size {
            *self.bytes.get_or_insert(0) += size;
        }
        self.name(format!("{} {path}{}{place}", self.verb, in_brackets(size)))
    }

    pub(super) fn unchanged(&mut self, path: &FilePath) -> Option<String> {
        self.unchanged += 1;
        self.name(format!("unchanged {path}"))
    }

    /// A file failed. There is nothing to report if the one before failed with the same words.
    pub(super) fn failed(&mut self, error: String, status: u8, hint: Option<String>) -> Option<String> {
        self.failed += 1;
        self.status = if self.status == 0 { status } else { self.status };
        if let Some(hint) = hint.filter(|hint| !self.hints.contains(hint)) {
            self.hints.push(hint);
        }
        if error == self.last {
            self.same += 1;
            return None;
        }
        self.last.clone_from(&error);
        Some(error)
    }

    /// How many failures were not reported one by one.
    pub(super) fn not_reported(&self) -> Option<String> {
        (self.same > 0).then(|| format!("the same for {}", counted(self.same, "more file")))
    }

    /// Hints for those that failed.
    pub(super) fn hints(&self) -> &[String] {
        &self.hints
    }

    fn name(&self, line: String) -> Option<String> {
        (self.files <= LISTED).then_some(line)
    }

    /// The last line; none for a single file, which has been named.
    pub(super) fn summary(&self) -> Option<String> {
        let mut line = format!("{} {}{}", counted(self.done, "file"), self.verb, in_brackets(self.bytes));
        for (count, what) in [(self.unchanged, "unchanged"), (self.failed, "failed")] {
            if count > 0 {
                line.push_str(&format!(", {count} {what}"));
            }
        }
        (self.files > 1).then_some(line)
    }
}

fn in_brackets(bytes: Option<u64>) -> String {
    bytes.map_or(String::new(), |bytes| format!(" ({})", units::bytes(bytes as f64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> FilePath {
        FilePath::parse(name).unwrap()
    }

    #[test]
    fn a_single_file_is_named_and_that_is_all() {
        let mut tally = Tally::of("downloaded", 1);
        let line = tally.done(&path("a"), Some(2048), " to Downloads/a");
        assert_eq!(line.unwrap(), "downloaded a (2.0 KiB) to Downloads/a");
        assert_eq!(tally.summary(), None);
        let mut tally = Tally::of("deleted", 1);
        assert_eq!(tally.done(&path("a"), None, "").unwrap(), "deleted a");
    }

    #[test]
    fn what_is_the_same_for_many_is_reported_once() {
        let mut tally = Tally::of("downloaded", 4);
        let mut fail = |error: &str| tally.failed(error.into(), 1, Some("start the servers".into()));
        let reported = ["a is incomplete", "b is incomplete", "no room", "no room", "no room"].map(&mut fail);
        assert_eq!(reported.iter().flatten().count(), 3);
        assert_eq!(tally.not_reported().unwrap(), "the same for 2 more files");
        assert_eq!(tally.hints(), ["start the servers"]);
        assert_eq!(Tally::of("deleted", 1).not_reported(), None);
    }

    #[test]
    fn many_files_are_counted() {
        let mut tally = Tally::of("uploaded", LISTED + 1);
        assert_eq!(tally.done(&path("a"), Some(1024), ""), None);
        assert_eq!(tally.done(&path("b"), Some(1024), ""), None);
        assert_eq!(tally.unchanged(&path("c")), None);
        assert_eq!(tally.failed("no room".into(), 1, None).unwrap(), "no room");
        assert_eq!(tally.failed("no server".into(), 4, None).unwrap(), "no server");
        assert_eq!(tally.summary().unwrap(), "2 files uploaded (2.0 KiB), 1 unchanged, 2 failed");
        assert_eq!(tally.status, 1);
    }
}
