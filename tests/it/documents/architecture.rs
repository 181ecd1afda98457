//! docs/ARCHITECTURE.md: what it names in the code and the tests is there.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What is between backticks on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Every file of the library, with its path from src/.
fn sources() -> Vec<(PathBuf, String)> {
    let src = root().join("src");
    let (mut found, mut todo) = (Vec::new(), vec![src.clone()]);
    while let Some(folder) = todo.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                todo.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&src).unwrap().with_extension(""), text));
            }
        }
    }
    found
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|known| known == word)
}

fn is_part(path: &Path, name: &str) -> bool {
    path.iter().any(|part| part == name)
}

/// Whether a file is of a module, or of a type: defines it or has methods of it.
fn is_of(owner: &str, path: &Path, text: &str) -> bool {
    if owner.starts_with(char::is_lowercase) {
        return is_part(path, owner);
    }
    let is_head = |line: &&str| ["struct ", "enum ", "trait ", "impl"].iter().any(|kind| line.contains(kind));
    text.lines().filter(is_head).any(|line| has_word(line, owner))
}

#[test]
fn every_name_of_the_code_is_in_the_code() {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let is_name =
        |name: &&str| name.contains("::") && name.chars().all(|c| c.is_alphanumeric() || "_:()".contains(c));
    let sources = sources();
    let mut seen = 0;
    for name in quoted(&text).filter(is_name).filter(|name| !name.starts_with("io::")) {
        let (owner, word) = name.trim_end_matches("()").rsplit_once("::").unwrap();
        let owner = owner.rsplit("::").next().unwrap();
        let is_here = |(path, text): &(PathBuf, String)| {
            is_of(owner, path, text) && (is_part(path, word) || has_word(text, word))
        };
        assert!(sources.iter().any(is_here), "`{name}` is not in the code");
        seen += 1;
    }
    assert!(seen > 40, "the document is read wrongly");
}

/// But for `tag.rs`, the file of a command that does not exist.
#[test]
fn every_file_that_the_map_and_the_guide_name_exists() {
    let mut seen = 0;
    for document in ["docs/ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let is_path = |path: &&str| ["src/", "tests/", "docs/"].iter().any(|start| path.starts_with(start));
        for path in quoted(&text).filter(is_path).filter(|path| !path.ends_with("/tag.rs")) {
            let known = path.split('*').next().unwrap();
            let is_file = root().join(known).exists();
            let begins = || {
                let (folder, start) = known.rsplit_once('/').unwrap();
                let mut names =
                    fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
                names.any(|name| name.to_string_lossy().starts_with(start))
            };
            let as_module = root().join(format!("{known}.rs")).exists();
            assert!(is_file || as_module || path.contains('*') && begins(), "{document}: {path}");
            seen += 1;
        }
    }
    assert!(seen > 20, "the documents are read wrongly");
}
