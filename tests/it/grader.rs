//! The course's grader, course/grade: it gives this program full points, and finds the fault of each mutant.

use crate::common::disk::TempFolder;
use crate::common::process::{processes_in, signal, wait_until};
use crate::common::python;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A program of course/grade that works in this folder; none on a machine without Python.
fn script(name: &str, folder: &Path) -> Option<Command> {
    let mut command = python()?;
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("course/grade").join(name))
        .env("SERVER", env!("CARGO_BIN_EXE_Server"))
        .env("CLIENT", env!("CARGO_BIN_EXE_Client"))
        .env("TMPDIR", folder);
    Some(command)
}

/// The functions of an adapter, except `start`, for a program that does nothing.
const NOTHING: &str = "put() { :; }\nget() { :; }\nlist() { :; }\nmkdir() { :; }\npieces() { :; }\n";

fn adapter(name: &str) -> String {
    format!("{}/course/grade/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What was printed, after a look that nothing is left behind.
fn finished(output: &Output, folder: &Path) -> String {
    assert_eq!(processes_in(folder), 0);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

#[test]
fn this_program_gets_full_points() {
    let folder = TempFolder::new();
    let Some(mut grader) = script("grade.py", folder.path()) else { return };
    // Its limits are for a machine that does nothing else.
    grader.args([&adapter("shareit.sh"), "--jobs", "4", "--patience", "10"]);

    let output = grader.output().unwrap();

    let printed = finished(&output, folder.path());
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.ends_with("100/100 points\n"), "{printed}");
}

/// The newer form of the assignment has no users: no dfs.conf, and only servers in the dfc.conf.
#[test]
fn a_classic_conf_without_users_is_enough() {
    let (folder, elsewhere) = (TempFolder::new(), TempFolder::new());
    let Some(mut grader) = script("grade.py", folder.path()) else { return };
    let without_users = elsewhere.path().join("adapter.sh");
    let functions = r#"
        PROGRAMS=$COURSE/shareit
        . "$COURSE/classic.sh"
        start() { rm -f dfs.conf; exec "$PROGRAMS/dfs" "$2" "$3"; }
        dfc() { sed -i '/^Server/!d' dfc.conf; "$PROGRAMS/dfc" "$@"; }
        put() { dfc put "$@"; }
        get() { dfc get "$1"; }
        list() { dfc list; }
    "#;
    fs::write(&without_users, functions).unwrap();
    grader.env("COURSE", adapter("")).arg(&without_users).args([
        "--only",
        "binary",
        "--only",
        "list",
        "--patience",
        "10",
    ]);

    let output = grader.output().unwrap();

    let printed = finished(&output, folder.path());
    assert_eq!(output.status.code(), Some(0), "{printed}");
}

#[test]
fn each_mutant_fails_the_scenarios_that_are_for_its_fault() {
    let folder = TempFolder::new();
    let Some(mut check) = script("mutants/check.py", folder.path()) else { return };

    let output = check.output().unwrap();

    let printed = finished(&output, folder.path());
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.lines().filter(|line| line.starts_with("ok")).count() > 12, "{printed}");
}

#[test]
fn a_client_that_does_nothing_gets_no_points_and_a_mistake_in_the_adapter_is_no_grade() {
    let folder = TempFolder::new();
    let Some(mut grader) = script("grade.py", folder.path()) else { return };
    grader.env("CLIENT", "/bin/true").args([&adapter("shareit.sh"), "--only", "several", "--json"]);
    grader.args(["--patience", "10"]);
    let output = grader.output().unwrap();
    let printed = finished(&output, folder.path());
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("\"points\": 0,") && printed.contains("get A: no file came back"), "{printed}");

    let Some(mut grader) = script("grade.py", folder.path()) else { return };
    let output = grader.arg("/dev/null").output().unwrap();
    let printed = finished(&output, folder.path());
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("no function start"), "{printed}");
}

#[test]
fn a_reply_that_announces_more_than_can_be_read_is_a_wrong_reply() {
    let (folder, elsewhere) = (TempFolder::new(), TempFolder::new());
    let Some(mut grader) = script("grade.py", folder.path()) else { return };
    let server = "import socket, sys\n\
        server, clients = socket.create_server(('127.0.0.1', int(sys.argv[1]))), []\n\
        while True: clients += [server.accept()[0]]; clients[-1].sendall(b'OK 99999999999999999999\\n')\n";
    fs::write(elsewhere.path().join("server.py"), server).unwrap();
    let adapter_file = elsewhere.path().join("adapter.sh");
    let start = r#"start() { exec "$PYTHON" "$HERE/server.py" "$3"; }"#;
    fs::write(&adapter_file, format!("{start}\n{NOTHING}")).unwrap();
    grader.arg(&adapter_file).args(["--table", &adapter("points-level1.txt"), "--only", "protocol"]);

    let output = grader.args(["--patience", "10"]).output().unwrap();

    let printed = finished(&output, folder.path());
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("the server says b'OK 99999999999999999999"), "{printed}");
}

#[test]
fn interrupted_the_grader_leaves_neither_a_process_nor_a_file() {
    let (folder, elsewhere) = (TempFolder::new(), TempFolder::new());
    let Some(mut grader) = script("grade.py", folder.path()) else { return };
    // Servers that never listen, and each leaves a process behind that is in no group of the grader's.
    let adapter = elsewhere.path().join("adapter.sh");
    fs::write(&adapter, format!("start() {{ setsid sleep 600 & exec sleep 600; }}\n{NOTHING}")).unwrap();
    grader.arg(&adapter).args(["--only", "binary", "--patience", "10"]);
    let grader = grader.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("four servers, their shells, and what they left behind", || processes_in(folder.path()) == 12);

    signal(grader.id(), Signal::INT);

    let output = grader.wait_with_output().unwrap();
    let printed = finished(&output, folder.path());
    assert_eq!(output.status.code(), Some(128 + 2), "{printed}");
}
