//! What became of the files of one command.

use super::text::counted;
use super::units;
use crate::name::FilePath;

/// More files than this are counted and not named, but for those that failed.
const NAMED: usize = 50;

/// Counts files, and says what is worth saying of each.
pub(super) struct Tally {
    verb: &'static str,
    files: usize,
    done: usize,
    bytes: Option<u64>,
    unchanged: usize,
    failed: usize,
    /// The exit status: that of the first failure.
    pub(super) status: u8,
}

impl Tally {
    pub(super) fn of(verb: &'static str, files: usize) -> Self {
        Self { verb, files, done: 0, bytes: None, unchanged: 0, failed: 0, status: 0 }
    }

    /// A file is done; what it was if it has a size, and where it is now.
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

    pub(super) fn failed(&mut self, status: u8) {
        self.failed += 1;
        self.status = if self.status == 0 { status } else { self.status };
    }

    fn name(&self, line: String) -> Option<String> {
        (self.files <= NAMED).then_some(line)
    }

    /// What is to be said at the end: nothing of a single file, which has been named.
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
    fn many_files_are_counted() {
        let mut tally = Tally::of("uploaded", NAMED + 1);
        assert_eq!(tally.done(&path("a"), Some(1024), ""), None);
        assert_eq!(tally.done(&path("b"), Some(1024), ""), None);
        assert_eq!(tally.unchanged(&path("c")), None);
        tally.failed(1);
        tally.failed(4);
        assert_eq!(tally.summary().unwrap(), "2 files uploaded (2.0 KiB), 1 unchanged, 2 failed");
        assert_eq!(tally.status, 1);
    }
}
