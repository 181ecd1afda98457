//! The chapters of the course: what they print is what is printed, and each has an exercise whose tests fail until it
//! is done.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common;

fn course() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("course")
}

/// A run of Python in a folder of the course; none on a machine without it.
fn python(folder: &str, words: &[&str]) -> Option<Output> {
    let mut command = common::python()?;
    command
        .args(words)
        .current_dir(course().join(folder))
        .env("SERVER", env!("CARGO_BIN_EXE_Server"))
        .env("CLIENT", env!("CARGO_BIN_EXE_Client"));
    Some(command.output().unwrap())
}

fn printed(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// Names without the extension, sorted.
fn names(folder: &str, extension: &str) -> Vec<String> {
    let files = fs::read_dir(course().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|e| e == extension));
    let mut names: Vec<String> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_string()).collect();
    names.sort_unstable();
    names
}

fn exercises() -> Vec<String> {
    let tests = names("solution/exercises", "py");
    tests.iter().filter_map(|name| name.strip_prefix("test_")).map(str::to_string).collect()
}

#[test]
fn what_the_chapters_print_is_what_is_printed() {
    if let Some(output) = python("", &["check.py"]) {
        assert!(output.status.success(), "{}", printed(&output));
    }
}

#[test]
fn an_exercise_fails_until_it_is_done_and_its_solution_passes() {
    for exercise in exercises() {
        let test = format!("test_{exercise}");
        let run = |folder: &str| python(folder, &["-m", "unittest", &test]);
        let (Some(before), Some(after)) = (run("exercises"), run("solution/exercises")) else { return };
        assert!(printed(&before).contains("FAILED ("), "{exercise} is done already: {}", printed(&before));
        assert!(after.status.success(), "{exercise}: {}", printed(&after));
    }
}

#[test]
fn each_chapter_has_all_that_a_chapter_has_and_is_in_the_table() {
    let table = fs::read_to_string(course().join("README.md")).unwrap();
    let chapters = names("chapters", "md");
    assert_eq!(chapters.len(), exercises().len());
    for chapter in chapters {
        let text = fs::read_to_string(course().join(format!("chapters/{chapter}.md"))).unwrap();
        for part in ["**Goal**", "**Time**", "**Read**", "## Predict, then run", "```console", "## Exercise"]
        {
            assert!(text.contains(part), "{chapter} has no {part}");
        }
        let exercise = exercises().into_iter().find(|name| text.contains(&format!("exercises/{name}.py)")));
        let exercise = exercise.unwrap_or_else(|| panic!("{chapter} has no exercise"));
        assert!(
            text.contains(&format!("(../solution/exercises/{exercise}.py)")),
            "{chapter} has no solution"
        );
        assert!(text.contains(&format!("python3 -m unittest test_{exercise}")), "{chapter} runs no test");
        assert!(
            table.contains(&format!("(chapters/{chapter}.md)")),
            "{chapter} is not in the table of contents"
        );
    }
}

/// Chapter 6 has what the model of the commit prints.
#[test]
fn the_story_that_the_model_tells_is_the_one_in_the_chapter() {
    let test = "commit_model::an_abort_while_a_connection_is_open_loses_a_version";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .output()
        .unwrap();
    let chapter = fs::read_to_string(course().join("chapters/06-a-model-that-finds-the-bug.md")).unwrap();
    let (_, story) = chapter.split_once(&format!("    test {test} ... ")).unwrap();
    let story: Vec<&str> = story.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    assert!(story.len() > 5, "the chapter is read wrongly: {story:?}");
    let printed = printed(&output);
    for line in story {
        assert!(printed.lines().any(|other| other.contains(line)), "not printed: {line}\n{printed}");
    }
}
