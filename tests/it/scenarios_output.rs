//! Results that cannot be written: a closed pipe, a full disk.

use crate::common::process::{Session, wait_until};
use crate::common::{Cluster, client, cluster};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// The outputs that take nothing, each with what the system says about it.
fn broken_outputs() -> Vec<(Stdio, &'static str)> {
    let closed = std::io::pipe().unwrap().1;
    let mut outputs = vec![(Stdio::from(closed), "Broken pipe (os error 32)")];
    // Not every system has it.
    if let Ok(full) = OpenOptions::new().write(true).open("/dev/full") {
        outputs.push((full.into(), "No space left on device (os error 28)"));
    }
    outputs
}

/// Ends with status 1 and one line on standard error, whichever way the output is broken.
#[track_caller]
fn reports_lost_results(program: &str, command: impl Fn() -> Command, input: &str) {
    for (output, why) in broken_outputs() {
        let mut command = command();
        let mut child = command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
        // It may end before it reads all of it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(said, format!("{program}: error: cannot write results ({why})\n"), "{command:?}");
        assert_eq!(ended.status.code(), Some(1), "{command:?}");
    }
}

#[test]
fn what_a_program_says_about_itself_is_never_lost_silently() {
    for (program, of, args) in [
        (client::PROGRAM, "Client", "--help"),
        (client::PROGRAM, "Client", "--version"),
        (client::PROGRAM, "Client", "keygen"),
        (client::PROGRAM, "Client", "files user.conf Help"),
        (client::PROGRAM, "Client", "files user.conf Help Upload"),
        (cluster::PROGRAM, "Server", "--help"),
        (cluster::PROGRAM, "Server", "--version"),
    ] {
        let command = || {
            let mut command = Command::new(program);
            command.args(args.split(' '));
            command
        };
        reports_lost_results(of, command, "");
    }
}

#[test]
fn results_of_commands_are_never_lost_silently() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    // So that Verify and Repair have something to say.
    std::fs::remove_file(cluster.piece_file(cluster.holders("a", 1)[0], "a", 1)).unwrap();
    for args in [
        "Cat a",
        "ShowFiles",
        "ShowFiles -l",
        "ShowFiles --json",
        "Status",
        "Verify --json",
        "Repair --json -n",
    ] {
        let command = || aditi.command(&args.split(' ').collect::<Vec<_>>());
        reports_lost_results("Client", command, "");
    }
    reports_lost_results("Client", || aditi.command(&[]), "Help\nShowFiles\n");
    reports_lost_results("Client", || aditi.command(&[]), "ShowFiles\n");
}

#[test]
fn a_full_standard_error_ends_nothing() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let mut cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"a");
    aditi.shell("exec $client Upload a --trace 2>/dev/full").finish().succeeds();
    cluster.stop(1);
    let port = cluster.port(1);
    let mut server = Command::new("sh");
    server.args(["-c", r#"exec "$0" "$@" 2>/dev/full"#, cluster::PROGRAM]).arg(cluster.root());
    let _server = Session::start(server.args(["Server1", &port.to_string()]));
    wait_until("the server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    aditi.download("a", b"a");
}
