//! The fate of each file of one command.

use std::borrow::Borrow;

use super::FAILED;
use super::json;
use super::text::{counted, grouped};
use super::units;
use crate::name::{FilePath, printable};

/// Files handed to the client at a time, so that those that are done are reported while the rest is in progress.
pub(super) const AT_A_TIME: usize = 1024;
/// If there are more files than this, only those that failed are listed.
const LISTED: usize = 50;

/// What a command does to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Upload,
    Download,
    Delete,
    Move,
    /// The removal of a local file.
    Remove,
}

impl Deed {
    /// Of one file, when it is done.
    fn done(self) -> &'static str {
        match self {
            Deed::Upload => "uploaded",
            Deed::Download => "downloaded",
            Deed::Delete => "deleted",
            Deed::Move => "moved",
            Deed::Remove => "removed here",
        }
    }

    /// Of one file, if it is only said.
    fn would(self) -> &'static str {
        match self {
            Deed::Upload => "would upload",
            Deed::Download => "would download",
            Deed::Delete => "would delete",
            Deed::Move => "would move",
            Deed::Remove => "would remove here",
        }
    }

    /// Of one file, in JSON.
    fn action(self) -> &'static str {
        if self == Deed::Remove { "removed" } else { self.done() }
    }

    /// Of several files, in the last line.
    fn counted(self) -> &'static str {
        if self == Deed::Upload { "stored" } else { self.done() }
    }
}

/// Counts files, and returns the line to report for each, if there should be one.
pub(super) struct Tally {
    deed: Deed,
    /// Whether nothing is done, but only said: then each file has a line.
    dry_run: bool,
    /// Whether each file has an object instead of a line.
    json: bool,
    files: usize,
    /// Whether there are only entries of folders: otherwise these are not counted.
    only_folders: bool,
    /// Whether each has a line, however many there are.
    all_listed: bool,
    done: usize,
    bytes: Option<u64>,
    unchanged: usize,
    failed: usize,
    left_out: usize,
    /// The failure that was reported last, and how many after it were the same.
    last: String,
    same: usize,
    /// Hints, each once.
    hints: Vec<String>,
    /// The exit status: that of the first failure.
    pub(super) status: u8,
}

impl Tally {
    /// A command on these files.
    pub(super) fn of(deed: Deed, paths: impl IntoIterator<Item = impl Borrow<FilePath>>) -> Self {
        let (mut files, mut folders) = (0, 0);
        for path in paths {
            *(if path.borrow().is_of_folder() { &mut folders } else { &mut files }) += 1;
        }
        let only_folders = files == 0 && folders > 0;
        Self {
            deed,
            dry_run: false,
            json: false,
            files,
            only_folders,
            all_listed: false,
            done: 0,
            bytes: None,
            unchanged: 0,
            failed: 0,
            left_out: 0,
            last: String::new(),
            same: 0,
            hints: Vec::new(),
            status: 0,
        }
    }

    /// Nothing is done; each file has a line that says what would be.
    pub(super) fn dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// Each file has an object instead of a line.
    pub(super) fn json(self, json: bool) -> Self {
        Self { json, ..self }
    }

    /// An upload of these files, and of so many more that cannot be stored. With `all_listed`, each has a line.
    pub(super) fn of_upload(
        paths: impl IntoIterator<Item = impl Borrow<FilePath>>,
        left_out: usize,
        all_listed: bool,
    ) -> Self {
        let status = if left_out > 0 { FAILED } else { 0 };
        let mut tally = Self::of(Deed::Upload, paths);
        tally.only_folders &= left_out == 0;
        Self { left_out, all_listed, status, ..tally }
    }

    /// A file is done, or would be; with its size if bytes are moved, and where it is then.
    pub(super) fn done(&mut self, path: &FilePath, size: Option<u64>, place: &str) -> Option<String> {
        self.done_as(path, path.as_str(), size, place)
    }

    /// The same, with another name in its line.
    pub(super) fn done_as(
        &mut self,
        path: &FilePath,
        name: &str,
        size: Option<u64>,
        place: &str,
    ) -> Option<String> {
        let size = size.filter(|_| !path.is_of_folder());
        self.done += usize::from(self.counts(path));
        if let Some(size) = size {
            *self.bytes.get_or_insert(0) += size;
        }
        if self.json {
            // What was removed here has its name here.
            let name = if self.deed == Deed::Remove { name } else { path.as_str() };
            return Some(self.object(name, self.deed.action(), size));
        }
        let is_shown = match self.dry_run {
            true => !path.is_of_folder() || !matches!(self.deed, Deed::Upload | Deed::Download),
            false => !path.is_of_folder() && self.files <= LISTED,
        };
        let is_listed = self.all_listed || is_shown;
        let verb = if self.dry_run { self.deed.would() } else { self.deed.done() };
        is_listed.then(|| format!("{verb} {}{}{place}", printable(name), in_brackets(size)))
    }

    /// A name is moved, or would be.
    pub(super) fn moved(&mut self, path: &FilePath, to: &FilePath) -> Option<String> {
        let line = self.done(path, None, &format!(" to {to}"));
        let to = || [("to", json::text(to.as_str()))];
        if self.json { Some(json::fate(path.as_str(), "moved", !self.dry_run, to())) } else { line }
    }

    /// A file is as it should be.
    pub(super) fn unchanged(&mut self, path: &FilePath, size: u64) -> Option<String> {
        self.unchanged += usize::from(self.counts(path));
        if self.json {
            let size = Some(size).filter(|_| !path.is_of_folder());
            return Some(self.object(path.as_str(), "unchanged", size));
        }
        let is_alone = self.files == 1 && !path.is_of_folder() && !self.dry_run;
        let is_listed = self.all_listed || is_alone;
        is_listed.then(|| format!("unchanged {path}"))
    }

    fn counts(&self, path: &FilePath) -> bool {
        self.only_folders || !path.is_of_folder()
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

    /// The fate of a file; with its size, if the command moves bytes and it is none of a folder.
    fn object(&self, name: &str, action: &str, size: Option<u64>) -> String {
        let moves_bytes = matches!(self.deed, Deed::Upload | Deed::Download);
        let size = moves_bytes.then(|| ("size", json::or_null(size)));
        json::fate(name, action, !self.dry_run, size)
    }

    /// A name that was given failed, which has been reported.
    pub(super) fn refused(&mut self, status: u8) {
        (self.failed, self.files) = (self.failed + 1, self.files + 1);
        self.status = if self.status == 0 { status } else { self.status };
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Whether a line is a result that was asked for, even by a script.
    pub(super) fn is_result(&self, is_quiet: bool) -> bool {
        self.json || ((self.dry_run || self.all_listed) && !is_quiet)
    }

    /// How many failures were not reported one by one.
    pub(super) fn not_reported(&self) -> Option<String> {
        (self.same > 0).then(|| format!("the same for {}", counted(self.same, "more file")))
    }

    /// Hints for those that failed.
    pub(super) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Whether nothing failed or was left out.
    pub(super) fn is_whole(&self) -> bool {
        self.failed == 0 && self.left_out == 0
    }

    /// The last line; none for a single file, which has been named.
    pub(super) fn summary(&self) -> Option<String> {
        let noun = if self.only_folders { "folder" } else { "file" };
        let would = if self.dry_run { "would be " } else { "" };
        let mut line = format!("{} {would}{}", counted(self.done, noun), self.deed.counted());
        for (count, what) in
            [(self.unchanged, "unchanged"), (self.failed, "failed"), (self.left_out, "left out")]
        {
            if count > 0 {
                line.push_str(&format!(", {} {what}", grouped(count)));
            }
        }
        line.push_str(&in_brackets(self.bytes));
        (self.files > 1 || self.left_out > 0 || self.only_folders).then_some(line)
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

    /// This many names of files.
    fn files(count: usize) -> Vec<FilePath> {
        vec![path("f"); count]
    }

    fn folder(name: &str) -> FilePath {
        FilePath::parse_any(name).unwrap()
    }

    #[test]
    fn a_single_file_is_named_and_that_is_all() {
        let mut tally = Tally::of(Deed::Download, files(1));
        let line = tally.done(&path("a"), Some(2048), " to Downloads/a");
        assert_eq!(line.unwrap(), "downloaded a (2.0 KiB) to Downloads/a");
        assert_eq!(tally.summary(), None);
        let mut tally = Tally::of(Deed::Delete, files(1));
        assert_eq!(tally.done(&path("a"), None, "").unwrap(), "deleted a");
    }

    #[test]
    fn what_is_the_same_for_many_is_reported_once() {
        let mut tally = Tally::of(Deed::Download, files(4));
        let mut fail = |error: &str| tally.failed(error.into(), 1, Some("start the servers".into()));
        let reported = ["a is incomplete", "b is incomplete", "no room", "no room", "no room"].map(&mut fail);
        assert_eq!(reported.iter().flatten().count(), 3);
        assert_eq!(tally.not_reported().unwrap(), "the same for 2 more files");
        assert_eq!(tally.hints(), ["start the servers"]);
        assert_eq!(Tally::of(Deed::Delete, files(1)).not_reported(), None);
    }

    #[test]
    fn many_files_are_counted() {
        let mut tally = Tally::of(Deed::Delete, files(LISTED + 1));
        assert_eq!(tally.done(&path("a"), None, ""), None);
        assert_eq!(tally.failed("no room".into(), 1, None).unwrap(), "no room");
        assert_eq!(tally.failed("no server".into(), 4, None).unwrap(), "no server");
        assert_eq!(tally.summary().unwrap(), "1 file deleted, 2 failed");
        assert_eq!((tally.status, tally.is_whole()), (1, false));
    }

    #[test]
    fn the_last_line_of_an_upload_counts_what_is_not_stored() {
        let mut tally = Tally::of_upload(files(6000), 5980, false);
        assert_eq!(tally.done(&path("a"), Some(1024), ""), None);
        assert_eq!(tally.done(&path("b"), Some(1024), ""), None);
        assert_eq!(tally.unchanged(&path("c"), 1), None);
        tally.failed("no room".into(), 4, None);
        assert_eq!(
            tally.summary().unwrap(),
            "2 files stored, 1 unchanged, 1 failed, 5,980 left out (2.0 KiB)"
        );
        assert_eq!((tally.status, tally.is_whole()), (FAILED, false), "left out before it failed");
        assert_eq!(Tally::of_upload(&[], 1, false).summary().unwrap(), "0 files stored, 1 left out");
        assert_eq!(Tally::of_upload(files(1), 0, false).summary(), None);
        assert!(Tally::of_upload(files(1), 0, false).is_whole());
    }

    #[test]
    fn folders_count_only_where_there_is_nothing_else() {
        let (a, b) = (folder("a/"), folder("a/b/"));
        let mut tally = Tally::of_upload([&a, &b, &path("a/c")], 0, false);
        assert_eq!((tally.done(&a, Some(0), ""), tally.unchanged(&b, 0)), (None, None));
        assert_eq!(tally.done(&path("a/c"), Some(5), "").unwrap(), "uploaded a/c (5 B)");
        assert_eq!(tally.summary(), None);
        let mut tally = Tally::of_upload([&a, &b], 0, false);
        assert_eq!((tally.done(&a, Some(0), ""), tally.unchanged(&b, 0)), (None, None));
        assert_eq!(tally.summary().unwrap(), "1 folder stored, 1 unchanged");
        let mut tally = Tally::of_upload([&a], 1, true);
        assert_eq!(tally.done(&a, Some(0), "").unwrap(), "uploaded a/");
        assert_eq!(tally.summary().unwrap(), "0 files stored, 1 left out");
    }

    #[test]
    fn in_json_every_file_has_an_object_with_the_same_members() {
        let (a, b) = (path("a"), folder("b/"));
        let mut tally = Tally::of(Deed::Upload, files(LISTED + 1)).json(true);
        let object =
            |action, done, size| format!(r#"{{"name":"a","action":"{action}","done":{done},"size":{size}}}"#);
        assert_eq!(
            tally.done_as(&a, "b/a", Some(5), ", stored as a").unwrap(),
            object("uploaded", true, "5")
        );
        assert_eq!(tally.unchanged(&a, 5).unwrap(), object("unchanged", true, "5"));
        let of_folder = tally.done(&b, Some(0), "").unwrap();
        assert_eq!(of_folder, r#"{"name":"b/","action":"uploaded","done":true,"size":null}"#);
        let mut tally = Tally::of(Deed::Delete, files(1)).json(true).dry_run(true);
        assert_eq!(tally.done(&a, None, "").unwrap(), r#"{"name":"a","action":"deleted","done":false}"#);
        let mut tally = Tally::of(Deed::Remove, files(1)).json(true);
        let removed = tally.done_as(&a, "Downloads/a", None, "").unwrap();
        assert_eq!(removed, r#"{"name":"Downloads/a","action":"removed","done":true}"#);
    }

    #[test]
    fn unchanged_files_are_listed_when_asked_for_or_alone() {
        let unchanged =
            |count, all_listed| Tally::of_upload(files(count), 0, all_listed).unchanged(&path("a"), 1);
        assert_eq!(unchanged(2, false), None);
        assert_eq!(unchanged(1, false).unwrap(), "unchanged a");
        assert_eq!(unchanged(LISTED + 1, true).unwrap(), "unchanged a");
    }
}
