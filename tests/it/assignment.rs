//! The classic assignment: its grading scenarios in tests/assignment.sh, run with the programs as they are now;
//! and docs/ASSIGNMENT.md, whose places in the code must exist.

use crate::common::definitions::defines;
use crate::common::disk::{TempFolder, files_below};
use crate::common::process::processes_in;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SERVER: &str = env!("CARGO_BIN_EXE_Server");
const CLIENT: &str = env!("CARGO_BIN_EXE_Client");

#[test]
fn the_usual_grading_scenarios_pass() {
    let graded = grade(SERVER, CLIENT);

    assert_eq!(graded.status, Some(0), "{graded}");
    assert_eq!(graded.failed, 0, "{graded}");
    assert!(graded.passed > 0, "{graded}");
}

#[test]
fn a_client_that_does_nothing_does_not_pass() {
    let graded = grade(SERVER, "/bin/true");

    assert_eq!(graded.status, Some(1), "{graded}");
    assert!(graded.failed > graded.passed, "{graded}");
}

#[test]
fn servers_that_do_not_start_are_reported() {
    let graded = grade("/bin/true", CLIENT);

    assert_eq!(graded.status, Some(2), "{graded}");
    assert!(graded.stderr.contains("DFS1 did not start"), "{graded}");
}

#[test]
fn interrupted_the_script_leaves_neither_a_process_nor_a_file() {
    let folder = TempFolder::new();
    let mut script = script(SERVER, CLIENT, folder.path());
    let mut script = script.stdout(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(script.stdout.take().unwrap()).lines();
    assert!(printed.next().unwrap().unwrap().starts_with("PASS  1."));
    assert!(processes_in(folder.path()) >= 4, "four servers");

    // A process of its own, since std can only kill.
    let sent = Command::new("kill").args(["-TERM", &script.id().to_string()]).status().unwrap();
    assert!(sent.success());

    assert_eq!(script.wait().unwrap().code(), Some(128 + 15));
    assert_eq!(processes_in(folder.path()), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

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

/// What came of a run of the script.
struct Graded {
    status: Option<i32>,
    passed: usize,
    failed: usize,
    stdout: String,
    stderr: String,
}

impl std::fmt::Display for Graded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit status {:?}\n{}{}", self.status, self.stdout, self.stderr)
    }
}

fn grade(server: &str, client: &str) -> Graded {
    let folder = TempFolder::new();
    let output = script(server, client, folder.path()).output().unwrap();
    assert_eq!(processes_in(folder.path()), 0);
    assert_eq!(files_below(folder.path()), [""; 0]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = |mark: &str| stdout.lines().filter(|line| line.starts_with(mark)).count();
    Graded {
        status: output.status.code(),
        passed: lines("PASS"),
        failed: lines("FAIL"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        stdout,
    }
}

fn script(server: &str, client: &str, folder: &Path) -> Command {
    let mut command = Command::new("bash");
    command.arg(top().join("tests/assignment.sh")).args([server, client]).env("TMPDIR", folder);
    command
}

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
