//! docs/TOUR.md: every function is in the file that its link names, and every section is there.

use std::fs;
use std::path::Path;

use crate::common::definitions::defines;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Text and target of each link.
fn links(text: &str) -> Vec<(&str, &str)> {
    text.match_indices("](")
        .map(|(at, middle)| {
            let target = text[at + middle.len()..].split(')').next().unwrap();
            (text[..at].rsplit('[').next().unwrap(), target)
        })
        .collect()
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

#[test]
fn every_section_that_the_tour_names_is_there() {
    let tour = read("TOUR.md");
    let mut seen = 0;
    for (text, target) in links(&tour) {
        let Some((document, anchor)) = target.split_once('#') else { continue };
        let document = if document.is_empty() { "TOUR.md" } else { document };
        let there = read(document)
            .lines()
            .filter(|line| line.starts_with('#'))
            .any(|line| slug(line.trim_start_matches('#')) == anchor);
        assert!(there, "{text}: {document} has no #{anchor}");
        seen += 1;
    }
    assert!(seen > 10, "the document is read wrongly");
}

/// A heading as links to it spell it.
fn slug(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}
