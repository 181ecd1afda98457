//! The hand-out of the course: its starter code is what the script cuts from the solution, it compiles and does
//! nothing; and the solution, in either language, does what course/handout asks for in level 1.

use crate::common::disk::{self, TempFolder};
use crate::common::process::{Outcome, Session, run, stop};
use crate::common::{noise, python, subsets};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

fn course() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("course")
}

/// A language of the solution, and of the starter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    Python,
}

use Language::{Python, Rust};

impl Language {
    /// Those that can be run here.
    fn all() -> impl Iterator<Item = Self> + Clone {
        [Rust, Python].into_iter().filter(|&language| language == Rust || python().is_some())
    }

    /// A program of the solution.
    fn program(self, name: &str) -> Command {
        static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
            cargo("solution", &["build"]).succeeds();
            target("solution").join("debug")
        });
        match self {
            Rust => Command::new(BUILT.join(name)),
            Python => script(&course().join("solution/python").join(format!("{name}.py"))),
        }
    }
}

fn script(script: &Path) -> Command {
    let mut command = python().unwrap();
    command.arg(script);
    command
}

fn target(part: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("course").join(part)
}

/// Runs cargo for the package of `solution` or `handout`. A warning is an error.
fn cargo(part: &str, words: &[&str]) -> Outcome {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(words)
        .args(["--quiet", "--offline", "--locked", "--manifest-path"])
        .arg(course().join(part).join("rust/Cargo.toml"))
        .env("CARGO_TARGET_DIR", target(part))
        .env("RUSTFLAGS", "-D warnings")
        .env("RUST_BACKTRACE", "0");
    run(&mut cargo, "")
}

/// Runs the unit tests in Python.
fn unittest(part: &str) -> Outcome {
    let mut python = python().unwrap();
    run(python.args(["-m", "unittest"]).current_dir(course().join(part).join("python")), "")
}

/// The files below a folder, with what they contain and whether they can be run; without what a compiler makes.
fn sources(folder: &Path) -> Vec<(String, Vec<u8>, bool)> {
    let made = |name: &str| name.contains("target/") || name.contains("__pycache__/");
    let files = disk::tree(folder).into_iter().filter(|(name, _)| !made(name));
    files
        .map(|(name, bytes)| {
            let mode = fs::metadata(folder.join(&name)).unwrap().permissions().mode();
            (name, bytes, mode & 0o100 != 0)
        })
        .collect()
}

#[test]
fn the_starter_is_what_the_script_makes_of_the_solution() {
    let made = TempFolder::new();
    run(Command::new("bash").arg(course().join("make-handout.sh")).arg(made.path()), "").succeeds();
    for part in ["handout/rust", "handout/python", "exercises"] {
        let made = sources(&made.path().join(part));
        let committed = sources(&course().join(part));
        assert!(made == committed, "course/{part} is not what course/make-handout.sh makes: run it");
        for (name, bytes, _) in made {
            let text = String::from_utf8(bytes).unwrap();
            assert!(!text.contains("course: "), "{part}/{name} has something of the solution");
        }
    }
}

#[test]
fn the_starter_in_rust_compiles_and_its_tests_fail_until_there_is_a_solution() {
    let starter = cargo("handout", &["test", "--no-fail-fast"]).exits(101);
    let failed: Vec<&str> =
        starter.lines().into_iter().filter_map(|line| line.strip_prefix("    ")).collect();
    for test in ["placement::tests::", "wire::tests::", "a_refused_put", "a_piece_that_breaks_off"] {
        assert!(failed.iter().any(|name| name.starts_with(test)), "{test} does not fail: {starter}");
    }
    cargo("solution", &["test"]).succeeds();
}

#[test]
fn the_starter_in_python_runs_and_its_tests_fail_until_there_is_a_solution() {
    if Language::all().any(|language| language == Python) {
        let mut starter = unittest("handout").exits(1).complains_of("FAILED (failures=");
        for test in ["the_pairs", "a_line_becomes", "a_refused_put", "a_piece_that_breaks_off"] {
            starter = starter.complains_of(&format!(": test_{test}"));
        }
        unittest("solution").succeeds();
        let dfc = course().join("handout/python/dfc.py");
        run(&mut script(&dfc), "").exits(2).complains_of("usage: dfc.py CONF");
    }
}

/// Four servers of the solution, and a client's folder.
struct Servers {
    language: Language,
    home: TempFolder,
    running: Vec<Option<(Session, u16)>>,
}

impl Servers {
    fn of(language: Language) -> Self {
        let mut servers = Self { language, home: TempFolder::new(), running: Vec::new() };
        servers.running = (1..=4).map(|number| Some(servers.start(number, 0))).collect();
        let line = |(number, running): (usize, &Option<(Session, u16)>)| {
            format!("Server DFS{number} 127.0.0.1:{}\n", running.as_ref().unwrap().1)
        };
        let conf: String = (1..).zip(&servers.running).map(line).collect();
        // As in the classic assignment: level 1 leaves the user alone.
        fs::write(servers.path("dfc.conf"), conf + "Username: Bob\nPassword: ComplexPassword\n").unwrap();
        servers
    }

    fn start(&self, number: usize, port: u16) -> (Session, u16) {
        let mut command = self.language.program("dfs");
        command.arg(self.path(&format!("DFS{number}"))).arg(port.to_string());
        let server = Session::start(&mut command);
        let line = server.first_line();
        let port = line.strip_prefix("listening on 127.0.0.1:").unwrap().parse().unwrap();
        (server, port)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn stop(&mut self, number: usize) {
        self.running[number - 1].take().unwrap().0.kill();
    }

    /// Stops it, without a word to its clients.
    fn hang(&self, number: usize) {
        stop(self.running[number - 1].as_ref().unwrap().0.id());
    }

    fn connect(&self, number: usize) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.running[number - 1].as_ref().unwrap().1)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Runs one command of a client of some language in the folder.
    fn dfc(&self, language: Language, words: &[&str]) -> Outcome {
        let mut command = language.program("dfc");
        run(command.arg("dfc.conf").args(words).current_dir(self.home.path()), "")
    }

    /// Runs a client at its prompt.
    fn prompt(&self, language: Language, lines: &str) -> Outcome {
        run(language.program("dfc").arg("dfc.conf").current_dir(self.home.path()), lines)
    }

    /// Gets a file, which must come back the same.
    #[track_caller]
    fn gets(&self, language: Language, name: &str, bytes: &[u8]) {
        let _ = fs::remove_file(self.path(name));
        self.dfc(language, &["get", name]).succeeds();
        assert!(fs::read(self.path(name)).unwrap() == bytes, "{name} did not come back the same");
    }
}

#[test]
fn every_size_comes_back_whatever_the_languages_of_client_and_servers_are() {
    let sizes: Vec<usize> = (0..=17).chain([1_000_003]).collect();
    for (servers_in, client_in) in Language::all().flat_map(|s| Language::all().map(move |c| (s, c))) {
        let servers = Servers::of(servers_in);
        let names: Vec<String> = sizes.iter().map(|size| format!("{size}.bin")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for (name, &size) in names.iter().zip(&sizes) {
            fs::write(servers.path(name), noise(size as u64, size)).unwrap();
        }
        servers.dfc(client_in, &[&["put"], &names[..]].concat()).succeeds();
        // With one client for all of them: to start Python takes longer than to get a file.
        names.iter().for_each(|name| fs::remove_file(servers.path(name)).unwrap());
        servers.dfc(client_in, &[&["get"], &names[..]].concat()).succeeds();
        for (name, &size) in names.iter().zip(&sizes) {
            let bytes = fs::read(servers.path(name)).unwrap();
            assert!(bytes == noise(size as u64, size), "{name} did not come back the same");
        }
        let mut sorted = names.clone();
        sorted.sort_unstable();
        servers.dfc(client_in, &["list"]).succeeds().prints(&sorted);
    }
}

#[test]
fn pieces_are_where_the_table_has_them_and_nothing_else_is_there() {
    for language in Language::all() {
        let servers = Servers::of(language);
        fs::write(servers.path("poem.txt"), "abcdef").unwrap();
        servers.dfc(language, &["put", "poem.txt"]).succeeds();
        servers
            .prompt(language, "mkdir notes\nput poem.txt notes/\nlist notes/\nlist\nexit")
            .succeeds()
            .prints(&["poem.txt", "notes/", "poem.txt"]);
        let piece = |number: usize| ["", "ab", "cd", "e", "f"][number].as_bytes().to_vec();
        let file = |folder: &str, number: usize| (format!("{folder}.poem.txt.{number}"), piece(number));
        // Row 2, and row 1.
        let tops = [[3, 4], [4, 1], [1, 2], [2, 3]];
        let notes = [[4, 1], [1, 2], [2, 3], [3, 4]];
        for (server, (top, notes)) in (1..).zip(tops.into_iter().zip(notes)) {
            let expected =
                top.map(|n| file("", n)).into_iter().chain(notes.map(|n| file("notes/", n))).collect();
            assert_eq!(disk::tree(&servers.path(&format!("DFS{server}"))), expected, "DFS{server}");
        }
    }
}

#[test]
fn a_file_comes_back_unless_two_neighbours_are_down() {
    for language in Language::all() {
        let bytes = noise(5, 1003);
        // Python starts slowly: one set that is enough, and one that is not.
        let is_tried =
            |down: &Vec<usize>| language == Rust || [[2, 4], [1, 2]].iter().any(|pair| down == pair);
        for down in subsets(4).filter(|down| down.len() < 4 && is_tried(down)) {
            let mut servers = Servers::of(language);
            fs::write(servers.path("a.bin"), &bytes).unwrap();
            servers.dfc(language, &["put", "a.bin"]).succeeds();
            down.iter().for_each(|&number| servers.stop(number));
            let enough = (1..=4).all(|n| !down.contains(&n) || !down.contains(&(n % 4 + 1)));
            if enough {
                servers.dfc(language, &["list"]).succeeds().prints(&["a.bin"]);
                servers.gets(language, "a.bin", &bytes);
            } else {
                servers.dfc(language, &["list"]).succeeds().prints(&["a.bin [incomplete]"]);
                fs::remove_file(servers.path("a.bin")).unwrap();
                servers.dfc(language, &["get", "a.bin"]).exits(1).complains_of("a.bin is incomplete");
                assert!(!servers.path("a.bin").exists());
            }
        }
    }
}

#[test]
fn a_server_that_hangs_is_passed_over_and_a_silent_client_keeps_nobody_waiting() {
    for language in Language::all() {
        let servers = Servers::of(language);
        let _silent: Vec<TcpStream> = (1..=4).map(|number| servers.connect(number)).collect();
        let bytes = noise(6, 1003);
        fs::write(servers.path("a.bin"), &bytes).unwrap();
        servers.dfc(language, &["put", "a.bin"]).succeeds();
        servers.hang(3);
        servers.gets(language, "a.bin", &bytes);
    }
}

#[test]
fn a_put_that_too_few_servers_take_fails_and_says_so() {
    for language in Language::all() {
        let mut servers = Servers::of(language);
        fs::write(servers.path("a.bin"), "abcdef").unwrap();
        servers.dfc(language, &["put", "a.bin"]).succeeds().does_not_complain_of("a.bin");
        servers.stop(1);
        // Row 2.
        let put = servers.dfc(language, &["put", "a.bin"]).succeeds();
        put.complains_of("a.bin has only one copy of piece 3, 4\n");
        servers.stop(2);
        servers.dfc(language, &["put", "a.bin", "dfc.conf"]).exits(1).complains_of("a.bin put failed: ");
        servers.stop(3);
        servers.stop(4);
        for (command, failed) in [
            (&["list"][..], "./ list failed"),
            (&["list", "b/"], "b/ list failed"),
            (&["get", "a.bin"], "a.bin get failed"),
            (&["put", "a.bin"], "a.bin put failed"),
            (&["mkdir", "b"], "b/ mkdir failed"),
        ] {
            servers.dfc(language, command).exits(1).complains_of(&format!("\n{failed}: no server answers\n"));
        }
    }
}

#[test]
fn what_cannot_be_done_is_named_with_its_folder_and_nothing_else_is_left_out() {
    for language in Language::all() {
        let servers = Servers::of(language);
        fs::write(servers.path("a.bin"), "abcdef").unwrap();
        servers.dfc(language, &["put", "a.bin", "notes/"]).succeeds();
        servers.dfc(language, &["list", "nosuch/"]).exits(1).complains_of("nosuch/ list failed: not-found\n");
        for name in ["notes/nosuch", "nosuch/a.bin"] {
            servers.dfc(language, &["get", name]).exits(1).complains_of(&format!("{name} not found\n"));
        }
        let refused = [
            (&["put", "a.bin", "../"][..], "a.bin put failed"),
            (&["get", "../a.bin"], "../a.bin get failed"),
            (&["list", "/"], "/ list failed"),
            (&["mkdir", "x\nMKDIR y"], "x\nMKDIR y/ mkdir failed"),
        ];
        for (command, failed) in refused {
            servers.dfc(language, command).exits(1).complains_of(&format!("{failed}: bad-path\n"));
        }
        servers
            .dfc(language, &["put", "nosuch", "a.bin"])
            .exits(1)
            .complains_of("nosuch put failed: no such");
        // Where the file should be is a folder.
        fs::remove_file(servers.path("a.bin")).unwrap();
        fs::create_dir(servers.path("a.bin")).unwrap();
        servers
            .dfc(language, &["get", "notes/a.bin"])
            .exits(1)
            .complains_of("notes/a.bin get failed: is a dir");
        servers.dfc(language, &["list"]).succeeds().prints(&["a.bin", "notes/"]);
        let here: Vec<String> = disk::tree(servers.home.path()).into_keys().collect();
        assert!(here.iter().all(|name| name.starts_with("DFS") || name == "dfc.conf"), "left: {here:?}");
    }
}

#[test]
fn what_is_no_command_is_refused_before_any_server_is_asked() {
    for language in Language::all() {
        let servers = Servers::of(language);
        for command in
            [&["list", "a", "b/"][..], &["mkdir", "a", "b/"], &["mkdir"], &["put", "a/"], &["nosuch"]]
        {
            servers.dfc(language, command).exits(2).complains_of("expected list [FOLDER/], put FILE");
        }
        servers.prompt(language, "list a b/\nmkdir a b/\nmkdir c\nlist").exits(1).prints(&["c/"]);
        servers.prompt(language, "mkdir d\nexit\nnosuch").succeeds();
        let mut command = language.program("dfc");
        run(command.arg("nosuch.conf").current_dir(servers.home.path()), "")
            .exits(2)
            .complains_of("nosuch.conf: ");
        fs::write(servers.path("bad.conf"), "Server DFS1 127.0.0.1:99999\n").unwrap();
        let mut command = language.program("dfc");
        run(command.arg("bad.conf").current_dir(servers.home.path()), "")
            .exits(2)
            .complains_of("bad.conf: line 1");
    }
}

#[test]
fn a_server_refuses_a_port_that_is_none_and_one_that_is_taken() {
    for language in Language::all() {
        let servers = Servers::of(language);
        for port in ["²", "99999", "-1", ""] {
            let mut command = language.program("dfs");
            run(command.arg(servers.path("DFS5")).arg(port), "").exits(2).complains_of("usage: dfs");
        }
        let mut command = language.program("dfs");
        let taken = servers.running[0].as_ref().unwrap().1.to_string();
        let outcome = run(command.arg(servers.path("DFS5")).arg(&taken), "").exits(1);
        outcome.complains_of(&format!("DFS5, port {taken}: address ")).does_not_complain_of("traceback");
    }
}

#[test]
fn old_pieces_of_a_server_that_was_away_make_no_file_if_their_lengths_show_it() {
    for language in Language::all() {
        let mut servers = Servers::of(language);
        let (old, new) = (noise(7, 1000), noise(8, 5001));
        fs::write(servers.path("a.bin"), &old).unwrap();
        servers.dfc(language, &["put", "a.bin"]).succeeds();
        let port = servers.running[0].as_ref().unwrap().1;
        servers.stop(1);
        fs::write(servers.path("a.bin"), &new).unwrap();
        servers.dfc(language, &["put", "a.bin"]).succeeds();
        let back = servers.start(1, port);
        servers.running[0] = Some(back);
        servers.gets(language, "a.bin", &new);
        // Row 2: of piece 3 there is the old one alone.
        servers.stop(4);
        servers.dfc(language, &["list"]).succeeds().prints(&["a.bin [incomplete]"]);
        servers.dfc(language, &["get", "a.bin"]).exits(1).complains_of("a.bin is incomplete\n");
        assert!(fs::read(servers.path("a.bin")).unwrap() == new, "the file that was there is gone");
    }
}

#[test]
fn a_piece_that_the_disk_has_only_half_of_ends_without_any_other_bytes() {
    for language in Language::all() {
        let servers = Servers::of(language);
        let piece = fs::File::create(servers.path("DFS1/.a.1")).unwrap();
        piece.set_len(1 << 30).unwrap();
        let mut stream = servers.connect(1);
        stream.write_all(b"GET 1 a\n").unwrap();
        let mut line = [0; 14];
        stream.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"OK 1073741824\n");
        // The server is far from its end: nobody reads what it sends.
        piece.set_len(0).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.len() < 1 << 30 && rest.iter().all(|&byte| byte == 0), "{language:?}");
    }
}

#[test]
fn a_line_that_is_no_request_is_answered_and_then_the_connection_ends() {
    for language in Language::all() {
        let servers = Servers::of(language);
        let long = b"a".repeat(5000);
        for line in
            [&b"GET 1 \xff"[..], &long, b"PUT 1 1099511627777 a", b"PUT 1 06 a", b"PUT 01 6 a", b"GET 1"]
        {
            let mut stream = servers.connect(1);
            // More follows than the server reads, and no more than it can drop in the time that it gives a client.
            stream.write_all(&[line, b"\n", &[b'x'; 1 << 16]].concat()).unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            assert_eq!(said, "NO bad-request\n", "{language:?}, {:?}", String::from_utf8_lossy(line));
        }
    }
}

#[test]
fn connections_that_servers_end_when_idle_are_not_missed() {
    for language in Language::all() {
        let folder = TempFolder::new();
        // They end them as early as can be: after each reply.
        let listeners: Vec<TcpListener> =
            (1..=4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let line = |listener: &TcpListener| format!("Server DFS {}\n", listener.local_addr().unwrap());
        fs::write(folder.path().join("dfc.conf"), listeners.iter().map(line).collect::<String>()).unwrap();
        fs::write(folder.path().join("a.bin"), noise(9, 1003)).unwrap();
        for listener in listeners {
            std::thread::spawn(move || {
                listener.incoming().flatten().for_each(|stream| take_one_piece(&stream))
            });
        }
        let mut put = language.program("dfc");
        let put = run(put.args(["dfc.conf", "put", "a.bin"]).current_dir(folder.path()), "").succeeds();
        assert_eq!(put.stderr, "", "{language:?}");
    }
}

/// Answers one PUT, and ends the connection when the client has ended it too, so that it is not reset.
fn take_one_piece(mut stream: &TcpStream) {
    let mut line = String::new();
    let mut input = BufReader::new(stream);
    input.read_line(&mut line).unwrap();
    let length: u64 = line.split(' ').nth(2).unwrap().parse().unwrap();
    std::io::copy(&mut (&mut input).take(length), &mut std::io::sink()).unwrap();
    stream.write_all(b"OK 0\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let _ = input.read_to_end(&mut Vec::new());
}

#[test]
fn a_piece_of_which_not_all_arrives_leaves_what_was_there() {
    for language in Language::all() {
        let servers = Servers::of(language);
        let mut stream = servers.connect(1);
        stream.write_all(b"PUT 1 3 a\noldPUT 1 1000 a\nnew").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        let expected = [(".a.1".to_string(), b"old".to_vec())].into_iter().collect();
        assert_eq!(disk::tree(&servers.path("DFS1")), expected, "{language:?}");
    }
}

#[test]
fn the_grader_gives_the_solution_full_points() {
    let has_python = Language::all().any(|language| language == Python);
    for language in Language::all().filter(|_| has_python) {
        let folder = TempFolder::new();
        let built = target("solution").join("debug");
        let part = if language == Rust { "solution/rust" } else { "solution/python" };
        // The adapter looks for what a student builds.
        let programs = folder.path().join("programs");
        if language == Rust {
            let _ = language.program("dfs");
            fs::create_dir_all(programs.join("target")).unwrap();
            std::os::unix::fs::symlink(built, programs.join("target/release")).unwrap();
        } else {
            std::os::unix::fs::symlink(course().join(part), &programs).unwrap();
        }
        let mut grader = script(&course().join("grade/grade.py"));
        grader.arg(course().join(part).join("adapter.sh")).arg(&programs).arg("--table");
        // Its time limits are for a machine that does nothing else.
        grader.arg(course().join("grade/points-level1.txt")).args(["--jobs", "4", "--patience", "10"]);
        let output = grader.env("TMPDIR", folder.path()).output().unwrap();
        assert!(output.status.success(), "{language:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn the_example_of_the_protocol_is_what_the_servers_say() {
    let document = fs::read_to_string(course().join("handout/PROTOCOL.md")).unwrap();
    let (mut asked, mut answered) = (String::new(), String::new());
    for line in document.lines() {
        let both = [("    C", &mut asked), ("    S", &mut answered)];
        for (who, text) in both {
            if let Some(line) = line.strip_prefix(who) {
                // After `:` is a line, after `=` are bytes.
                let ends = line.starts_with(": ");
                text.push_str(&line[2..].replace('↵', "\n"));
                text.push_str(if ends { "\n" } else { "" });
            }
        }
    }
    assert!(asked.lines().count() > 10, "the document is read wrongly: {asked}");
    for language in Language::all() {
        let servers = Servers::of(language);
        let mut stream = servers.connect(1);
        stream.write_all(asked.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert_eq!(said, answered, "{language:?}");
        assert_eq!(fs::read(servers.path("DFS1/.poem.txt.1")).unwrap(), b"hello\n");
    }
}
