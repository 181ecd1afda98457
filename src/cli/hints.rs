//! Hints: the word, or the file, that a mistyped one may have meant.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::options::Flag;
use super::words::quoted;
use crate::client::{ClientError, LocalError, Shown};
use crate::name::FolderPath;

/// Longer words are compared by their beginnings only.
const COMPARED_LETTERS: usize = 128;
/// Most names of a folder that are compared.
const COMPARED_NAMES: usize = 10_000;

pub(super) const IN_QUOTES: &str = "put a name with spaces in quotes";
const IN_THE_CURRENT_FOLDER: &str =
    "it is in the current folder, not in DIR: put a pattern in quotes, so that the shell leaves it alone";
pub(super) const TWO_NAMES: &str = "put a name with spaces in quotes; of two names, the second is a folder on the servers, unless --to says where to";

pub(super) fn did_you_mean(name: &str) -> String {
    format!("did you mean {name}?")
}

/// The candidate that `word` is at most two edits away from, and no more than half of its letters; case does not
/// count.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let tolerance = (lower.chars().count() / 2).min(2);
    let distances = candidates.into_iter().map(|name| (edit_distance(&lower, &name.to_lowercase()), name));
    let close = distances.filter(|(distance, name)| *distance <= tolerance && *name != word);
    close.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Levenshtein's distance.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(COMPARED_LETTERS).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(COMPARED_LETTERS).enumerate() {
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

/// The command's option that an unknown one may have meant.
pub(super) fn option(word: &str, own: &[&Flag]) -> Option<String> {
    let lower = word.split('=').next().unwrap_or(word).to_ascii_lowercase();
    let is_it = |flag: &&&Flag| flag.name == lower || flag.elsewhere.contains(&lower.as_str());
    if let Some(flag) = own.iter().find(is_it) {
        return Some(flag.name.to_owned());
    }
    // A single letter cannot be similar to another.
    let letters = word.trim_start_matches('-');
    if letters.chars().count() < 2 {
        return None;
    }
    let apart: Vec<String> = letters.chars().map(|letter| format!("-{letter}")).collect();
    if !word.starts_with("--") && apart.iter().all(|option| own.iter().any(|flag| flag.name == option)) {
        return Some(apart.join(" "));
    }
    let long = own.iter().map(|flag| flag.name).filter(|name| name.len() > "-x".len());
    nearest(word, long).map(str::to_owned)
}

/// What to do about an error: more than the client can suggest, because it does not know how the command was written.
/// `folder` is the word after the name, which may belong to it, and what else may have been meant; `list` asks the servers for a folder's entries.
pub(super) fn error(
    error: &ClientError,
    dir: &Path,
    folder: Option<(&str, &str)>,
    list: impl FnMut(&FolderPath) -> Option<Vec<Shown>>,
) -> Option<String> {
    match error {
        ClientError::Local(LocalError::Missing(path)) => {
            let sought = format!("looked for {}", dir.join(path).display());
            let in_one = folder.map(|(folder, _)| format!("{} {folder}", path.display()));
            if let Some(name) = in_one.filter(|name| dir.join(name).exists()) {
                return Some(did_you_mean(&quoted(&name)));
            }
            if let Some(name) = inside(dir, path) {
                return Some(format!("{sought}; {}", did_you_mean(&quoted(&name))));
            }
            let near = local(dir, path).map(|name| did_you_mean(&quoted(&name)));
            near.or_else(|| match folder {
                _ if path.is_relative() && path.exists() => {
                    Some(format!("{sought}; {IN_THE_CURRENT_FOLDER}"))
                }
                Some((_, meant)) => Some(format!("{sought}; {meant}")),
                None if path.is_relative() => Some(format!("{sought}; paths are looked up in DIR")),
                None => None,
            })
        }
        ClientError::NotFound(name) => {
            let near = stored(name, list).map(|name| did_you_mean(&quoted(&name)));
            near.or_else(|| match folder {
                Some((_, meant)) => error.hint().map(|hint| format!("{hint}; {meant}")),
                None => error.hint(),
            })
        }
        _ => error.hint(),
    }
}

/// A path that begins with DIR, written relative to DIR.
fn inside(dir: &Path, path: &Path) -> Option<String> {
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

/// The path below `dir` that a nonexistent one may have meant.
pub(super) fn local(dir: &Path, path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let folder = dir.join(path.parent()?);
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
    let entries = fs::read_dir(folder).ok()?;
    let names: Vec<String> =
        entries.take(COMPARED_NAMES).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let near = meant(name, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
    path.with_file_name(near).to_str().map(str::to_owned)
}

/// The name that an unknown one may have meant: a similar one in the same folder, or the same one in another folder.
fn stored(name: &str, mut list: impl FnMut(&FolderPath) -> Option<Vec<Shown>>) -> Option<String> {
    let mut near = |folder: &str, last: &str, folders_only: bool| -> Option<String> {
        let folder = if folder.is_empty() { FolderPath::root() } else { FolderPath::parse(folder).ok()? };
        let listing = list(&folder)?;
        let names = listing.iter().take(COMPARED_NAMES).filter_map(|shown| match shown {
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
    use super::super::fixtures::{file, folder};
    use super::*;
    use crate::client::Health;

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
        assert_eq!(stored("poem.tx/x", list), None, "a file is not a folder");
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
    fn a_path_that_begins_with_dir_is_shown_from_there() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/");
        for (path, meant) in [("src/lib.rs", "lib.rs"), ("src", "."), ("./src/cli/", "cli")] {
            assert_eq!(inside(&here, Path::new(path)).unwrap(), meant);
        }
        assert_eq!(inside(&here, Path::new("src/nowhere.rs")), None);
        assert_eq!(inside(&here, Path::new("rc/lib.rs")), None);
    }
}
