//! The scripts that are tests as well: the demo, and docs/DEPLOY.md followed from top to bottom.

use crate::common::disk::TempFolder;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The exit status of a script if it cannot do its work here.
const SKIPPED: i32 = 77;

/// Runs a script of scripts/ with the programs of this build.
fn works(script: &str, arguments: &[&Path]) {
    let output = Command::new("bash")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script))
        .args(arguments)
        .env("SERVER", env!("CARGO_BIN_EXE_Server"))
        .env("CLIENT", env!("CARGO_BIN_EXE_Client"))
        .output()
        .unwrap();
    let printed =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    match output.status.code() {
        Some(0) => {}
        Some(SKIPPED) => println!("{printed}"),
        _ => panic!("{printed}"),
    }
}

#[test]
fn the_demo_is_as_it_says() {
    works("demo.sh", &[]);
}

/// The page has what travelled, under the demo's headings.
#[test]
fn the_recorded_demo_becomes_a_page() {
    let folder = TempFolder::new();
    let page = folder.path().join("demo.html");
    works("replay.sh", &[&page]);
    let text = fs::read_to_string(page).unwrap();
    let notes = text.lines().filter(|line| line.starts_with("{\"time\":") && line.contains("\"note\":"));
    let demo = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/demo.sh")).unwrap();
    let headings = demo.lines().filter(|line| line.starts_with("heading \""));
    assert_eq!(notes.count(), headings.count());
    for event in ["\"command\":\"Repair", "\"line\":\"STAGE ", "\"server\":\"Server3\",\"down\":"] {
        assert!(text.contains(event), "no {event}");
    }
}

/// On hosts made of namespaces, if that is permitted.
#[test]
fn the_page_about_four_real_machines_can_be_followed() {
    works("deploy-check.sh", &[]);
}
