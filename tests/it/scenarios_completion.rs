//! What Tab offers in a shell.

use crate::common::Cluster;
use crate::common::client::PROGRAM;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn script(shell: &str) -> String {
    let output = Command::new(PROGRAM).args(["completion", shell]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a shell prints for commands, in a folder with local files. None, with a message, if it is not installed.
fn run(shell: &str, folder: &Path, arguments: &[&str]) -> Option<String> {
    if Command::new(shell).arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("not tested: there is no {shell}");
        return None;
    }
    let output = Command::new(shell).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{shell} {arguments:?}: {output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A working folder with files and the three scripts.
fn folder() -> (Cluster, std::path::PathBuf) {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.put("my notes.txt", b"a");
    aditi.put("holiday/beach.jpg", b"b");
    for shell in ["bash", "zsh", "fish"] {
        fs::write(aditi.folder().join(shell), script(shell)).unwrap();
    }
    (cluster, aditi.folder().to_owned())
}

#[test]
fn the_scripts_are_read_by_their_shells_without_a_mistake() {
    let (_cluster, folder) = folder();
    for shell in ["bash", "zsh", "fish"] {
        run(shell, &folder, &["-n", shell]);
    }
}

/// How bash calls the function, and what it returns.
const CALL: &str = r#"
source ./bash
compopt() { :; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shareit
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[test]
fn bash_completes_commands_options_and_local_names() {
    let (_cluster, folder) = folder();
    let complete = |words: &[&str]| {
        let output = run("bash", &folder, &[&["-c", CALL, "bash"], words].concat())?;
        let mut offered: Vec<String> = output.lines().map(str::to_owned).collect();
        offered.sort();
        Some(offered.join("|"))
    };
    let Some(first) = complete(&["shareit", "fi"]) else { return };
    assert_eq!(first, "files/");
    for (words, offered) in [
        (&["./Client", "key"][..], "keygen"),
        (&["./Client", "completion", "b"], "bash"),
        (&["./Client", "files", "us"], "user.conf"),
        (&["./Client", "files", "user.conf", "upl"], "Upload"),
        (&["./Client", "files", "user.conf", "S"], "ShowFiles|Status"),
        (&["./Client", "files", "user.conf", "Upload", "my\\ n"], "my notes.txt"),
        (&["./Client", "'files'", "user.conf", "Upload", "\"my \"n"], "my notes.txt"),
        (&["./Client", "files/", "user.conf", "upload", "-u", "ho"], "holiday/"),
        (&["./Client", "files", "user.conf", "Upload", "holiday/b"], "holiday/beach.jpg"),
        (&["./Client", "files", "user.conf", "Verify", "--r"], "--read"),
        (&["./Client", "files", "user.conf", "help", "mo"], "Move"),
        (&["./Client", "files", "user.conf", "Download", "x", "--to", "us"], "user.conf"),
        (&["./Client", "files", "user.conf", "Upload", "x", "--to", "us"], ""),
        // No server is asked.
        (&["./Client", "files", "user.conf", "Download", "m"], ""),
    ] {
        assert_eq!(complete(words).unwrap(), offered, "{words:?}");
    }
}

#[test]
fn fish_completes_commands_options_and_local_names() {
    let (_cluster, folder) = folder();
    let complete = |line: &str| {
        let commands = format!("source ./fish; complete -C '{line}'");
        let output = run("fish", &folder, &["--no-config", "-c", &commands])?;
        let words = output.lines().map(|line| line.split('\t').next().unwrap_or(line));
        Some(words.collect::<Vec<_>>().join("|"))
    };
    let Some(first) = complete("shareit key") else { return };
    assert_eq!(first, "keygen");
    assert_eq!(complete("./Client files user.conf S").unwrap(), "ShowFiles|Status");
    assert_eq!(complete("./Client files user.conf Upload my").unwrap(), "my notes.txt");
    assert_eq!(complete("./Client files user.conf Upload holiday/b").unwrap(), "holiday/beach.jpg");
    assert_eq!(complete("./Client files user.conf Verify --r").unwrap(), "--read");
}

#[test]
fn an_unknown_shell_is_a_mistake_and_a_folder_of_that_name_is_dir() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    let status = |arguments: &[&str]| {
        let output = Command::new(PROGRAM).args(arguments).current_dir(aditi.folder()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = status(&["completion", "tcsh"]);
    assert!(code == 2 && error.contains("expected bash, zsh or fish"), "{code}: {error}");
    fs::create_dir(aditi.folder().join("completion")).unwrap();
    let (code, error) = status(&["completion", "user.conf"]);
    assert!(!error.contains("expected bash"), "{code}: {error}");
}
