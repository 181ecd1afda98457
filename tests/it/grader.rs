//! The course's grader, course/grade: it gives this program full points, and finds the fault of each mutant.

use crate::common::disk::TempFolder;
use crate::common::process::{Session, processes_in, signal, wait_until};
use crate::common::python;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

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

/// How many processes, and files.
fn left_in(folder: &Path) -> (usize, usize) {
    (processes_in(folder), fs::read_dir(folder).unwrap().count())
}

/// What was printed, after a look that nothing is left behind.
fn finished(output: &Output, folder: &Path) -> String {
    assert_eq!(left_in(folder), (0, 0));
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

/// In a file of the solution, a text, what stands there in the mutant, and what the grader then says.
const FAULTS_OF_A_PROTOCOL: &[[&str; 4]] = &[
    [
        "wire.py",
        "    while length > 0:\n        chunk = source.read(",
        "    if length > 0:\n        chunk = source.read1(",
        "GET 1 a: expected",
    ],
    [
        "wire.py",
        "raise BadMessage(\"fewer bytes than announced\")",
        "return",
        "PUT 2 100 a, of which 4 bytes come",
    ],
    ["wire.py", "\"0|[1-9][0-9]{0,12}\"", "\"-?[0-9]{1,13}\"", "PUT 1 -5 a"],
    ["wire.py", "PUT ([1-4])", "PUT ([1-9])", "PUT 5 0 a"],
    ["dfs.py", "wire.copy(stream, nothing, request.length)", "pass", "after the 7 bytes of a refused PUT"],
    [
        "dfs.py",
        "    if not wire.is_path(request.path):\n        with",
        "    if False:\n        with",
        "PUT 1 7 ../a",
    ],
    [
        "dfs.py",
        "raise wire.Refused(\"not-found\") from None\n        with",
        "file = open(os.devnull, \"rb\")\n        with",
        "GET 2 a",
    ],
    ["dfs.py", "{entry.stat().st_size} {name}", "{name}", "LIST ."],
    ["dfs.py", "f\"OK {length}\\n\"", "f\"OK {length} \\n\"", "GET 1 a"],
];

#[test]
fn each_fault_of_a_servers_messages_is_found_by_the_scenario_that_speaks_the_protocol() {
    if python().is_none() {
        return;
    }
    for [file, text, instead, said] in FAULTS_OF_A_PROTOCOL {
        let (folder, mutant) = (TempFolder::new(), TempFolder::new());
        let files = fs::read_dir(adapter("../solution/python")).unwrap().map(Result::unwrap);
        for file in files.filter(|file| file.path().is_file()) {
            fs::copy(file.path(), mutant.path().join(file.file_name())).unwrap();
        }
        let program = fs::read_to_string(mutant.path().join(file)).unwrap();
        assert_eq!(program.matches(text).count(), 1, "{text:?} in {file}");
        fs::write(mutant.path().join(file), program.replace(text, instead)).unwrap();
        let mut grader = script("grade.py", folder.path()).unwrap();
        grader.arg(mutant.path().join("adapter.sh")).arg(mutant.path());
        grader.args(["--table", &adapter("points-level1.txt"), "--only", "protocol", "--patience", "10"]);

        let output = grader.output().unwrap();

        let printed = finished(&output, folder.path());
        assert_eq!(output.status.code(), Some(1), "{instead:?} in {file}: {printed}");
        assert!(printed.contains(said), "{instead:?} in {file}: {printed}");
    }
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
    let grader = Session::start(&mut grader);
    wait_until("four servers, their shells, and what they left behind", || processes_in(folder.path()) == 12);

    signal(grader.id(), Signal::INT);

    grader.finish().exits(128 + 2);
    assert_eq!(left_in(folder.path()), (0, 0));
}
