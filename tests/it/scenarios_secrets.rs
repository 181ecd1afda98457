//! Where a password comes from, keys on paper, and what the programs are called.

use crate::common::client::{CONF, PROGRAM};
use crate::common::cluster;
use crate::common::process::{Session, run};
use crate::common::terminal::TELL_WHEN_HIDDEN;
use crate::common::{Client, Cluster, Fault, disk};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

/// The line of the password in the .conf of a user of the tests.
const STATED: &str = "Password Aditi@123";

impl Client {
    /// The same with another line in place of the password's.
    fn instead_of_password(mut self, line: &str) -> Self {
        assert!(self.conf.contains(STATED), "{}", self.conf);
        self.conf = self.conf.replace(STATED, line);
        self
    }

    /// The number of the line in the .conf that begins so.
    fn line_of(&self, key: &str) -> usize {
        self.conf.lines().position(|line| line.starts_with(key)).unwrap() + 1
    }

    /// Runs shell commands in a session of its own, which has no terminal. None without `setsid`.
    fn without_terminal(&self, commands: &str) -> Option<Session> {
        self.write_conf();
        let mut command = Command::new("setsid");
        command.current_dir(self.folder()).args(["-w", "sh", "-c"]);
        command.arg(format!("client='{PROGRAM} files {CONF}'; {commands}"));
        if Command::new("setsid").arg("--version").output().is_err() {
            eprintln!("not tested: `setsid`, which takes the terminal away, is missing");
            return None;
        }
        Some(Session::start(&mut command))
    }

    fn journal_is_there(&self) -> bool {
        self.folder().join(format!("{CONF}.passwd")).exists()
    }
}

#[test]
fn the_first_line_that_a_program_prints_is_the_password() {
    let cluster = Cluster::with_passwords(2, false);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    for line in [
        "PasswordCommand printf '%s\\n' Aditi@123 notes",
        "passwordcommand: sh -c \"echo asked >&2; cat secret\"",
        "PasswordCommand = sh print",
    ] {
        let aditi = cluster.client("Aditi").instead_of_password(line);
        disk::write(&aditi.folder().join("secret"), b"  Aditi@123\r\nanother\n");
        disk::write(&aditi.folder().join("print"), b"cat secret\n");
        aditi.download("a", b"a");
        aditi.pipe("ShowFiles\nStatus\n").succeeds();
    }
}

#[test]
fn a_program_that_gives_no_password_is_an_error_of_its_line_and_nobody_logs_in() {
    let cluster = Cluster::quick(1);
    for (command, complaint) in [
        ("/nowhere/pass show", "cannot run '/nowhere/pass' (No such file"),
        ("false", "'false' failed (exit status: 1)"),
        ("sh -c 'echo Aditi@123; exit 3'", "'sh' failed (exit status: 3)"),
        ("true", "'true' printed an empty first line, or nothing"),
        ("sh -c 'echo; echo Aditi@123'", "'sh' printed an empty first line, or nothing"),
        ("yes Aditi@123", "'yes' printed more than 65536 bytes"),
        ("echo 'Aditi@123", "unclosed quote"),
    ] {
        let aditi = cluster.client("Aditi").instead_of_password(&format!("PasswordCommand {command}"));
        let place = format!("{CONF}:{}: PasswordCommand: {complaint}", aditi.line_of("PasswordCommand"));
        aditi.run(&["ShowFiles"]).fails_with(2).complains_of(&place);
    }
    assert!(!cluster.log(1).contains("login"), "{}", cluster.log(1));
    let wrong = cluster.client("Aditi").instead_of_password("PasswordCommand echo wrong");
    wrong.run(&["ShowFiles"]).fails_with(3).complains_of("Invalid username or password");
    let both = cluster.client("Aditi").with("PasswordCommand echo Aditi@123");
    both.run(&["ShowFiles"])
        .fails_with(2)
        .complains_of("'Password' and 'PasswordCommand' exclude each other");
}

#[test]
fn a_program_may_ask_on_the_terminal() {
    let cluster = Cluster::quick(1);
    let asking = "PasswordCommand sh -c 'read -r pin; test \"$pin\" = 1234 && echo Aditi@123'";
    let aditi = cluster.client("Aditi").instead_of_password(asking);
    let Some(mut session) = aditi.on_terminal(80, "$client Status") else { return };
    session.send("1234");
    session.finish().succeeds();
}

#[test]
fn a_program_that_reads_on_takes_nothing_of_what_comes_from_a_pipe() {
    let cluster = Cluster::quick(1);
    let greedy = "PasswordCommand sh -c 'cat >/dev/null; echo Aditi@123'";
    let aditi = cluster.client("Aditi").instead_of_password(greedy);
    aditi.shell("echo all of it | $client Upload - a").finish().succeeds();
    cluster.client("Aditi").download("a", b"all of it\n");
    aditi.pipe("ShowFiles\nShowFiles\n").succeeds().prints(&["a", "a"]);
}

#[test]
fn ctrl_c_ends_a_program_that_hangs_and_the_client() {
    let cluster = Cluster::quick(1);
    let aditi = cluster
        .client("Aditi")
        .instead_of_password("PasswordCommand sh -c 'echo it hangs >&2; exec sleep 1000'");
    let commands = "trap : INT; $client Status; echo \"status $?\"";
    let Some(mut session) = aditi.on_terminal(80, commands) else { return };
    session.wait_for_text("it hangs");
    session.press("\x03");
    session.wait_for_text("status 130");
}

#[test]
fn status_without_a_server_asks_the_program_and_says_what_it_always_says() {
    let mut cluster = Cluster::quick(1);
    cluster.stop(1);
    let aditi = cluster.client("Aditi").instead_of_password("PasswordCommand echo Aditi@123");
    let outcome = aditi.run(&["Status"]).fails_with(4);
    assert!(outcome.lines()[0].starts_with("Server1: down (refused"), "{outcome}");
    let aditi = cluster.client("Aditi").instead_of_password("PasswordCommand false");
    aditi.run(&["Status"]).fails_with(2).complains_of("'false' failed");
    aditi.run(&["Help"]).succeeds();
}

#[test]
fn without_a_password_a_terminal_is_asked_and_shows_nothing() {
    let cluster = Cluster::with_passwords(1, false);
    cluster.client("Aditi").upload("a", b"a");
    let aditi = cluster.client("Aditi").instead_of_password("# none");
    // Also if commands come from a pipe, and if standard error goes elsewhere.
    for commands in
        ["$client Download a", "echo Download a | $client", "$client Download a 2>/dev/null </dev/null | cat"]
    {
        let commands = format!("{TELL_WHEN_HIDDEN} {commands}; echo \"status $?\"");
        let Some(mut session) = aditi.on_terminal(80, &commands) else { return };
        session.wait_for_text("password for Aditi: ");
        session.wait_for_text("hidden");
        session.press("Aditi@123\n");
        session.wait_for_text("status 0");
        let outcome = session.finish();
        assert!(!outcome.stdout.contains("Aditi@123"), "{outcome}");
        aditi.has_downloaded("a", b"a");
        aditi.forget_downloads();
    }
}

#[test]
fn a_password_that_is_asked_for_may_be_wrong_or_empty_or_not_given() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi").instead_of_password("");
    for (keys, status) in [("wrong\n", 3), ("\n", 2), ("\x04", 2), ("Adi\x03", 130)] {
        let commands = format!("{TELL_WHEN_HIDDEN} $client Status; echo \"status $?\"; stty -a");
        let Some(mut session) = aditi.on_terminal(80, &commands) else { return };
        session.wait_for_text("hidden");
        session.press(keys);
        session.wait_for_text(&format!("status {status}"));
        let outcome = session.finish();
        let words: Vec<&str> = outcome.stdout.split_whitespace().map(|w| w.trim_end_matches(';')).collect();
        assert!(words.contains(&"echo") && words.contains(&"isig"), "{outcome}");
    }
}

#[test]
fn without_a_password_and_a_terminal_the_three_ways_are_named() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi").instead_of_password("");
    let Some(session) = aditi.without_terminal("$client ShowFiles") else { return };
    let outcome = session.finish().fails_with(2).complains_of(&format!("{CONF}: no password"));
    outcome
        .complains_of("hint: add a Password or a PasswordCommand line, or run it on a terminal")
        .does_not_complain_of("password for Aditi");
    let aditi = aditi.with("PasswordCommand echo Aditi@123");
    aditi.without_terminal("$client ShowFiles").unwrap().finish().succeeds();
}

#[test]
fn passwd_refuses_where_the_new_password_has_no_place() {
    let cluster = Cluster::with_passwords(1, false);
    let aditi = cluster.client("Aditi").instead_of_password("PasswordCommand echo Aditi@123");
    let outcome = aditi.pipe("Passwd\nanother\nShowFiles\n").fails_with(1);
    outcome
        .complains_of(&format!("cannot rewrite {CONF} (it has no Password line); no password was changed"))
        .complains_of("hint: put the current password in a Password line")
        .does_not_complain_of("unknown command");
    assert!(!aditi.journal_is_there());
    aditi.run(&["ShowFiles"]).succeeds();
}

#[test]
fn an_interrupted_change_waits_until_the_conf_has_a_password_line_again() {
    let cluster = Cluster::with_passwords(2, false);
    let proxies = cluster.proxies_together();
    let mut aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("a", b"a");
    proxies[1].fail_at_line("PASSWD", Fault::Cut);
    aditi.pipe("Passwd\nanother\n").fails();
    assert!(aditi.journal_is_there());
    proxies[1].heal();

    let stated = std::mem::take(&mut aditi.conf);
    aditi.conf = stated.replace(STATED, "PasswordCommand echo Aditi@123");
    for command in ["ShowFiles", "Passwd"] {
        let outcome = aditi.pipe(&format!("{command}\nthird\n"));
        outcome
            .complains_of("it has no Password line")
            .complains_of("write the old one in a Password line of user.conf");
        assert!(aditi.journal_is_there(), "{command}");
    }
    aditi.conf = stated.replace(STATED, "PasswordCommand echo another");
    let outcome = aditi.run(&["ShowFiles"]).fails_with(3);
    outcome.complains_of("this is the new password of an interrupted change").complains_of("the old one");
    assert!(aditi.journal_is_there());
    aditi.conf = stated;
    aditi.run(&["ShowFiles"]).succeeds().complains_of("finishing an interrupted password change");
    assert!(!aditi.journal_is_there());
    aditi.reread_conf();
    assert!(aditi.conf.contains("Password another\n"), "{}", aditi.conf);
    aditi.download("a", b"a");
}

#[test]
fn the_confs_of_the_classic_assignment_work_and_keep_their_form() {
    let cluster = Cluster::with_passwords(2, false);
    let mut aditi = cluster.client("Aditi");
    aditi.conf = format!(
        "[Servers]\r\nServer Server1 127.0.0.1 {}\r\nserver2 = localhost {}\r\n\r\nUsername:Aditi\r\n\
         Password:Aditi@123\r\nMinIterations=4096\r\n",
        cluster.port(1),
        cluster.port(2)
    );
    aditi.upload("a", b"a");
    let before = aditi.conf.clone();
    aditi.pipe("Passwd\n= a:b\n").succeeds();
    aditi.reread_conf();
    assert_eq!(aditi.conf, before.replace("Aditi@123", "= a:b"));
    aditi.download("a", b"a");
}

#[test]
fn a_conf_without_a_user_is_told_the_line_that_it_needs() {
    let cluster = Cluster::quick(1);
    let mut aditi = cluster.client("Aditi");
    aditi.conf = "server dfs1 127.0.0.1:10001\nserver dfs2 127.0.0.1:10002\n".into();
    let outcome = aditi.run(&["ShowFiles"]).fails_with(2);
    outcome
        .complains_of(&format!("{CONF}: there is no 'Username' line"))
        .complains_of("hint: add a line with your name on the servers, such as Username Aditi");
    aditi.conf = "DFS1 127.0.0.1:10001\nUsername: Aditi\n".into();
    let outcome =
        aditi.run(&["ShowFiles"]).fails_with(2).complains_of(&format!("{CONF}:1: unknown key 'DFS1'"));
    outcome.complains_of("hint: did you mean Server DFS1 127.0.0.1:10001?");
}

#[test]
fn the_programs_call_themselves_what_they_were_called_by() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.write_conf();
    let called = |program: &str, name: &str, arguments: &[&str]| {
        let link = aditi.folder().join(name);
        if !link.exists() {
            symlink(program, link).unwrap();
        }
        let mut command = Command::new("sh");
        command.current_dir(aditi.folder()).args(["-c", &format!("exec \"./{name}\" \"$@\""), "sh"]);
        run(command.args(arguments), "")
    };
    let outcome = called(PROGRAM, "shareit", &[]).exits(2);
    assert_eq!(
        outcome.stderr,
        "shareit: error: expected DIR and CONF\nshareit: hint: `./shareit --help` shows the usage\n"
    );
    let outcome = called(PROGRAM, "my client", &[CONF, "files"]).exits(2);
    assert!(outcome.stderr.ends_with("hint: did you mean './my client' files user.conf?\n"), "{outcome}");
    let outcome = called(PROGRAM, "shareit", &["files", CONF, "Download", "nowhere"]).exits(1);
    assert!(outcome.stderr.lines().all(|line| line.starts_with("shareit: ")), "{outcome}");
    let help = called(PROGRAM, "shareit", &["--help"]).succeeds();
    assert!(help.stdout.contains("usage: shareit DIR CONF ") && !help.stdout.contains("Client"), "{help}");
    let version = called(PROGRAM, "shareit", &["--version"]).succeeds();
    assert!(version.stdout.starts_with("shareit (ShareIt) "), "{version}");

    let outcome = called(cluster::PROGRAM, "shareit-server", &["x"]).exits(2);
    assert_eq!(
        outcome.stderr,
        "shareit-server: error: NAME and PORT are missing\n\
         shareit-server: hint: `./shareit-server --help` shows the usage\n"
    );
    let help = called(cluster::PROGRAM, "shareit-server", &["--help"]).succeeds();
    assert!(help.stdout.contains("usage: shareit-server ROOT NAME PORT "), "{help}");
}

#[test]
fn only_upload_needs_dir() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    let elsewhere = aditi.folder().join("elsewhere");
    fs::rename(aditi.files(), &elsewhere).unwrap();
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    aditi.download("a", b"a");
    let missing = "DIR, from which Upload reads, is not a folder: 'files'";
    aditi.run(&["Upload", "a"]).fails_with(2).complains_of(missing);
    aditi.run(&["Upload", elsewhere.join("a").to_str().unwrap()]).succeeds();
    aditi.pipe("Upload a\nShowFiles\n").fails_with(2).complains_of(missing).prints(&["a"]);
    aditi.pipe("ShowFiles\n").succeeds().does_not_complain_of("DIR");
    let Some(mut session) = aditi.on_terminal(80, "$client; echo \"status $?\"") else { return };
    session.wait_for_text_after("DIR is not a folder: 'files'", "ShareIt> ");
    session.send("Upload a");
    session.wait_for_text_after("DIR, from which Upload reads", "ShareIt> ");
    session.send("Exit");
    session.wait_for_text("status 0");
}

#[test]
fn a_key_comes_back_from_paper_and_a_mistake_is_named_with_its_line() {
    let cluster = Cluster::with_passwords(1, false);
    let keygen =
        |arguments: &[&str], input: &str| run(Command::new(PROGRAM).arg("keygen").args(arguments), input);
    let paper = keygen(&["--paper"], "").succeeds();
    let key = *paper.lines().last().unwrap();
    assert!(key.starts_with("Key ") && key.len() == 68, "{paper}");
    let aditi = cluster.client("Aditi").with(key);
    aditi.upload("a", b"a");

    let of_conf =
        run(Command::new(PROGRAM).current_dir(aditi.folder()).args(["keygen", "--paper", CONF]), "");
    let of_conf = of_conf.succeeds();
    let lines: Vec<&str> = of_conf.lines().into_iter().filter(|line| line.starts_with("    ")).collect();
    assert_eq!(lines.len(), 4, "{of_conf}");
    assert!(!of_conf.stdout.contains("Key "), "{of_conf}");
    let back = keygen(&["--from-paper"], &of_conf.stdout.to_lowercase()).succeeds();
    assert_eq!(back.lines(), [key]);
    cluster.client("Aditi").with(back.lines()[0]).download("a", b"a");

    let mut wrong = lines.clone();
    wrong.swap(1, 2);
    keygen(&["--from-paper"], &wrong.join("\n"))
        .fails_with(1)
        .complains_of("line 2 does not match its checksum");
    keygen(&["--from-paper"], &lines[..3].join("\n"))
        .fails_with(1)
        .complains_of("48 characters instead of 4 lines");
    keygen(&["--from-paper"], &"0".repeat(70_000)).fails_with(1).complains_of("more than 65536 bytes");
    let none = cluster.client("Aditi");
    none.write_conf();
    let outcome = run(Command::new(PROGRAM).current_dir(none.folder()).args(["keygen", "--paper", CONF]), "");
    outcome.fails_with(2).complains_of(&format!("{CONF}: there is no 'Key' line"));
    keygen(&["--paper", "a", "b"], "").fails_with(2);
}

#[test]
fn a_key_is_typed_at_a_terminal_and_ends_with_its_last_line_or_a_mistake() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    for (typed, mistake) in [
        ("000G 40R4 0M30 EPED\n104G M2RC 1M70 YT1\n208H\n44RM\n", "line 2 has 15 characters instead of 16"),
        ("000G 40U4\n", "line 1 has 'U'"),
    ] {
        let typing = format!("{PROGRAM} keygen --from-paper");
        let Some(mut session) = aditi.on_terminal(200, &typing) else { return };
        session.wait_for_text("Type the 4 lines of the key:");
        session.press(typed);
        session.wait_for_text(mistake);
        session.finish().exits(1);
    }
    let Some(mut session) = aditi.on_terminal(80, &format!("{PROGRAM} keygen --from-paper")) else { return };
    session.wait_for_text("Type the 4 lines of the key");
    session.press("ooog 4or4 om3o eped\n104g-m2rc-im70-ytin\n208H44RM2MB1E1BQ\n30CH M6RW 3MF1 ZZSZ\n");
    session.wait_for_text("Key 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    session.finish().succeeds();
}
