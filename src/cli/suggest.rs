//! The file that a mistyped name may have meant.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::nearest::nearest;
use crate::client::Shown;
use crate::name::FolderPath;

/// Most names of a folder that are compared.
const COMPARED: usize = 10_000;

/// A path that begins with DIR, as it is written from there.
pub(super) fn inside(dir: &Path, path: &Path) -> Option<String> {
    let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    let parts =
        (1..=dir.components().count()).map(|last| dir.components().rev().take(last).collect::<Vec<_>>());
    let ends = parts.map(|parts| parts.into_iter().rev().collect::<PathBuf>());
    let inside = ends.filter_map(|end| path.strip_prefix(end).ok());
    let there = inside.map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    there.filter(|path| dir.join(path).exists()).find_map(|path| path.to_str().map(str::to_owned))
}

/// The name that a word may have meant: the nearest, or the only one with this stem (`poem` for `poem.txt`).
fn meant<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let stem = |name: &str| name.rsplit_once('.').map(|(stem, _)| stem.to_lowercase());
    let word_lower = word.to_lowercase();
    nearest(word, names.iter().copied()).or_else(|| {
        let mut same = names.iter().filter(|name| stem(name).as_deref() == Some(word_lower.as_str()));
        same.next().filter(|_| same.next().is_none()).copied()
    })
}

/// For a path that DIR does not have.
pub(super) fn local(dir: &Path, path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let folder = dir.join(path.parent()?);
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
    let entries = fs::read_dir(folder).ok()?;
    let names: Vec<String> =
        entries.take(COMPARED).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let near = meant(name, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
    path.with_file_name(near).to_str().map(str::to_owned)
}

/// For a name that the servers do not have: a name in the same folder, or a folder's with another one.
pub(super) fn stored(name: &str, mut list: impl FnMut(&FolderPath) -> Option<Vec<Shown>>) -> Option<String> {
    let mut near = |folder: &str, last: &str, folders_only: bool| -> Option<String> {
        let folder = if folder.is_empty() { FolderPath::root() } else { FolderPath::parse(folder).ok()? };
        let listing = list(&folder)?;
        let names = listing.iter().take(COMPARED).filter_map(|shown| match shown {
            Shown::Folder(name) => Some(name.as_str()),
            Shown::File(file) => (!folders_only).then(|| file.path.as_str()),
        });
        let near = meant(last, &names.collect::<Vec<_>>())?;
        Some(if folder.is_root() { near.to_owned() } else { format!("{folder}/{near}") })
    };
    let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
    near(folder, last, false).or_else(|| {
        let (above, wrong) = folder.rsplit_once('/').unwrap_or(("", folder));
        let folder = (!wrong.is_empty()).then(|| near(above, wrong, true)).flatten()?;
        Some(format!("{folder}/{last}"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::lines::tests::{file, folder};
    use super::*;
    use crate::client::Health;

    #[test]
    fn a_stored_name_is_looked_for_in_its_folder_and_then_its_folder() {
        let list = |name: &FolderPath| match name.as_str() {
            "" => Some(vec![folder("holiday"), file("poem.txt", Health::Whole, vec![])]),
            "holiday" => Some(vec![file("beach.jpg", Health::Whole, vec![])]),
            _ => None,
        };
        assert_eq!(stored("peom.txt", list).unwrap(), "poem.txt");
        assert_eq!(stored("poem", list).unwrap(), "poem.txt");
        assert_eq!(stored("Holiday", list).unwrap(), "holiday");
        assert_eq!(stored("holiday/baech.jpg", list).unwrap(), "holiday/beach.jpg");
        assert_eq!(stored("holidya/beach.jpg", list).unwrap(), "holiday/beach.jpg");
        assert_eq!(stored("poem.tx/x", list), None, "a file is no folder");
        assert_eq!(stored("other", list), None);
    }

    #[test]
    fn a_local_name_is_looked_for_in_its_folder() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(local(here, Path::new("cargo.tmol")).unwrap(), "Cargo.toml");
        assert_eq!(local(here, Path::new("src/lib.rss")).unwrap(), "src/lib.rs");
        assert_eq!(local(here, Path::new("nowhere/lib.rs")), None);
    }

    #[test]
    fn a_path_that_begins_with_dir_is_told_from_there() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/");
        for (path, meant) in [("src/lib.rs", "lib.rs"), ("src", "."), ("./src/cli/", "cli")] {
            assert_eq!(inside(&here, Path::new(path)).unwrap(), meant);
        }
        assert_eq!(inside(&here, Path::new("src/nowhere.rs")), None);
        assert_eq!(inside(&here, Path::new("rc/lib.rs")), None);
    }
}
