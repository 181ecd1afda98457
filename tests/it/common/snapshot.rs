//! What a tree is like, to the last bit that is stored of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An entry of a tree.
#[derive(PartialEq, Eq, Clone)]
pub(crate) struct Entry {
    kind: &'static str,
    /// Those of a link mean nothing.
    mode: u32,
    modified: (i64, i64),
    /// A file's bytes or a link's target.
    content: Vec<u8>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, mode, modified: (seconds, nanos), content } = self;
        write!(
            f,
            "{kind} {mode:o} {seconds}.{nanos:09} {} bytes {:?}",
            content.len(),
            content.first_chunk::<8>()
        )
    }
}

/// A folder and everything below it, by their paths from there; no link is followed.
pub(crate) fn snapshot(folder: &Path) -> BTreeMap<OsString, Entry> {
    let (mut found, mut todo) = (BTreeMap::new(), vec![folder.to_path_buf()]);
    while let Some(path) = todo.pop() {
        let metadata =
            fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mode = metadata.mode() & 0o777;
        let (kind, mode, content) = match metadata.file_type() {
            t if t.is_dir() => ("folder", mode, Vec::new()),
            t if t.is_symlink() => ("link", 0, fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()),
            _ => ("file", mode, fs::read(&path).unwrap()),
        };
        if kind == "folder" {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let name = path.strip_prefix(folder).unwrap().as_os_str().to_owned();
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        found.insert(name, Entry { kind, mode, modified, content });
    }
    found
}

/// Compares two trees, and says what differs first.
#[track_caller]
pub(crate) fn assert_same_tree(original: &Path, copy: &Path) {
    assert_same(&snapshot(original), &snapshot(copy));
}

/// As [`assert_same_tree`].
#[track_caller]
pub(crate) fn assert_same(original: &BTreeMap<OsString, Entry>, copy: &BTreeMap<OsString, Entry>) {
    let all = original.keys().chain(copy.keys());
    let differs = |name: &&OsString| original.get(*name) != copy.get(*name);
    let different: Vec<String> = all
        .filter(differs)
        .map(|name| {
            format!(
                "{}: {:?}, came back {:?}",
                PathBuf::from(name).display(),
                original.get(name),
                copy.get(name)
            )
        })
        .collect();
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}
