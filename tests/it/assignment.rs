//! docs/ASSIGNMENT.md, the classic assignment point by point: its places in the code must exist.

use crate::common::definitions::defines;
use crate::common::disk::files_below;
use std::path::PathBuf;

#[test]
fn every_place_that_the_document_names_is_there() {
    let document = std::fs::read_to_string(top().join("docs/ASSIGNMENT.md")).unwrap();
    let quoted: Vec<&str> = document.split('`').skip(1).step_by(2).collect();
    let (places, files): (Vec<&str>, Vec<&str>) = quoted
        .into_iter()
        .filter(|text| !text.contains(' ') && (text.contains("::") || text.starts_with("tests/")))
        .partition(|text| text.contains("::"));
    assert!(places.len() > 20 && files.len() > 2, "the document is read wrongly: {places:?} {files:?}");

    let missing: Vec<&str> = files.into_iter().filter(|file| !top().join(file).exists()).collect();
    assert!(missing.is_empty(), "no such files: {missing:?}");
    let missing: Vec<&str> = places.into_iter().filter(|place| !is_in_the_code(place)).collect();
    assert!(missing.is_empty(), "no such places in src/: {missing:?}");
}

/// Whether the first words of `module::item` are a module and the others are defined there.
fn is_in_the_code(place: &str) -> bool {
    let mut path = top().join("src");
    let mut words = place.split("::").peekable();
    while let Some(word) =
        words.next_if(|word| path.join(word).with_extension("rs").exists() || path.join(word).is_dir())
    {
        path.push(word);
    }
    let text = match std::fs::read_to_string(path.with_extension("rs")) {
        Ok(text) => text,
        Err(_) => {
            files_below(&path).iter().map(|file| std::fs::read_to_string(path.join(file)).unwrap()).collect()
        }
    };
    words.all(|word| defines(&text, word))
}

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
