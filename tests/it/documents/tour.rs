//! docs/TOUR.md: every function is in the file that its link names, and the dozen files are there.

use std::fs;
use std::path::Path;

use super::links::links;
use crate::common::definitions::defines;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_function_is_in_the_file_that_its_link_names() {
    let tour = read("TOUR.md");
    let links: Vec<_> = links(&tour).into_iter().filter(|(_, file)| file.starts_with("../src/")).collect();
    assert!(links.len() > 50, "the document is read wrongly: {links:?}");
    for (place, file) in links {
        let source = read(file);
        let (owner, function) = place
            .trim_matches('`')
            .split_once("::")
            .unwrap_or_else(|| panic!("{place} is not OWNER::FUNCTION"));
        assert!(is_owner(owner, file, &source), "{place}: {file} is not of {owner}");
        assert!(defines(&source, function), "{place}: not in {file}");
    }
}

#[test]
fn the_dozen_files_are_twelve_and_there() {
    let tour = read("TOUR.md");
    let files: Vec<&str> =
        tour.split('`').skip(1).step_by(2).filter(|text| text.starts_with("src/")).collect();
    assert_eq!(files.len(), 12, "{files:?}");
    for file in files {
        read(&format!("../{file}"));
    }
}

/// Whether a file is of a module, or has methods of a type.
fn is_owner(owner: &str, file: &str, source: &str) -> bool {
    if owner.starts_with(char::is_lowercase) {
        return Path::new(file).with_extension("").components().any(|part| part.as_os_str() == owner);
    }
    let is_word = |word: &str| word == owner;
    let mut heads = source.lines().filter(|line| line.starts_with("impl"));
    heads.any(|head| head.split(|c: char| !c.is_alphanumeric()).any(is_word))
}
