//! Every test that docs/RELIABILITY.md names as the holder of a promise is there.

use std::fs;
use std::path::Path;

use super::markdown::Document;

#[test]
fn every_promise_names_existing_tests() {
    let rows = Document::read("RELIABILITY.md").section("Promises").table("promise");
    assert!(!rows.is_empty());
    for row in rows {
        for test in row[1].split(", ") {
            let (file, name) = test.trim_matches('`').split_once("::").unwrap_or_else(|| panic!("{test}"));
            assert!(source_of(file).contains(&format!("fn {name}()")), "{test}: no such test");
        }
    }
}

/// The text of `tests/it/FILE.rs` and of its rooms.
fn source_of(file: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut text = fs::read_to_string(tests.join(format!("{file}.rs"))).unwrap_or_default();
    for room in fs::read_dir(tests.join(file)).into_iter().flatten().flatten() {
        text += &fs::read_to_string(room.path()).unwrap_or_default();
    }
    text
}
