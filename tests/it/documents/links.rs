//! The links between the documents lead to files and sections that exist.

use std::fs;
use std::path::{Path, PathBuf};

/// Text and target of each link of a document.
pub(crate) fn links(text: &str) -> Vec<(&str, &str)> {
    text.match_indices("](")
        .map(|(at, middle)| {
            let target = text[at + middle.len()..].split(')').next().unwrap();
            (text[..at].rsplit('[').next().unwrap(), target)
        })
        .collect()
}

fn documents() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        "",
        "docs",
        "benches",
        "course",
        "course/chapters",
        "course/grade",
        "course/handout",
        "course/solution",
        "course/slides",
    ];
    let files = folders.map(|folder| fs::read_dir(top.join(folder)).unwrap());
    let files = files.into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_section_that_exist() {
    let mut seen = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for (name, target) in links(&text).into_iter().filter(|(_, target)| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            assert!(to.exists(), "{}: {name}: no {file}", path.display());
            if !anchor.is_empty() {
                let document = fs::read_to_string(&to).unwrap();
                let mut headings = document.lines().filter(|line| line.starts_with('#'));
                let there = headings.any(|line| slug(line.trim_start_matches('#')) == anchor);
                assert!(there, "{}: {name}: {} has no #{anchor}", path.display(), to.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "the documents are read wrongly");
}

/// A heading as links to it spell it.
fn slug(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}
