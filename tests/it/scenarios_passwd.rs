//! A new password, and uploads of what has changed.

use crate::common::client::{CONF, PROGRAM};
use crate::common::process::{run, wait_until};
use crate::common::{Client, Cluster, Fault, Proxy, Way, disk, noise};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn a_new_password_opens_all_that_the_old_one_did_and_the_old_one_nothing() {
    let cluster = Cluster::of(4);
    let mut aditi = cluster.client("Aditi");
    let bytes = noise(1, 300_000);
    aditi.upload("a", &bytes);
    aditi.put("d/b", &bytes);
    aditi.put("gone", b"gone");
    aditi.pipe("Upload d\nUpload gone\nDelete gone\nPasswd\nnew pass word\n").succeeds();

    aditi.run(&["ShowFiles"]).fails_with(3).complains_of("Invalid username or password");
    let old = aditi.conf.clone();
    aditi.conf = old.replace("Aditi@123", "new pass word");
    assert_ne!(aditi.conf, old);
    aditi.pipe("ShowFiles\nVerify -r\n").succeeds().prints(&["a", "d/"]);
    aditi.download("a", &bytes);
    aditi.download("d/b", &bytes);
    cluster.has_equal_copies("a", 2);
}

#[test]
fn the_conf_gets_the_new_password_and_keeps_the_rest() {
    let cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi").with("# mine").with("Replicas 2");
    aditi.pipe("Passwd\nanother\n").succeeds();
    let rewritten = std::fs::read_to_string(aditi.folder().join(CONF)).unwrap();
    assert_eq!(rewritten, aditi.conf.replace("Aditi@123", "another"));
}

#[test]
fn a_new_password_needs_every_server() {
    let mut cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    cluster.stop(3);
    aditi.pipe("Passwd\nanother\n").fails_with(4).complains_of("Server3");
    cluster.start(3);
    aditi.download("a", b"a");
}

#[test]
fn the_line_of_a_password_that_cannot_be_changed_is_no_command() {
    let mut cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    cluster.stop(2);
    let outcome = aditi.pipe("Passwd\nanother\nShowFiles\n").fails_with(4);
    outcome.complains_of("every server is needed").does_not_complain_of("another");
}

#[test]
fn whether_a_password_can_be_changed_is_found_out_without_changing_it() {
    let mut cluster = Cluster::quick(4);
    let mut aditi = cluster.client("Aditi");
    let conf = aditi.conf.clone();
    let would = aditi.pipe("Passwd -n\nNew@456\nShowFiles\n").succeeds();
    would.prints(&["would change the password on every server and in user.conf"]);
    aditi.reread_conf();
    assert_eq!(aditi.conf, conf);
    assert!(!journal_of(&aditi).exists());
    cluster.stop(2);
    aditi.pipe("Passwd -n\nNew@456\n").fails_with(4).complains_of("every server is needed");
}

#[test]
fn no_password_is_changed_where_the_conf_cannot_be_rewritten() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    let mut full = Command::new("sh");
    full.current_dir(aditi.folder()).args(["-c", r#"trap '' XFSZ; ulimit -f 0; exec "$0" files "$1""#]);
    let outcome = run(full.args([PROGRAM, CONF]), "Passwd\nanother\n").fails_with(1);
    outcome.complains_of(CONF).complains_of("no password was changed");
    let left: Vec<String> = disk::files_below(aditi.folder());
    assert!(!left.iter().any(|file| file.starts_with(&format!("{CONF}."))), "a draft is left: {left:?}");
    aditi.download("a", b"a");
}

#[test]
fn an_empty_password_is_called_so() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.pipe("Passwd\n\n").fails_with(1).complains_of("the password is empty");
    aditi.pipe("Passwd\n spaces \n").fails_with(1).complains_of("no spaces at its ends");
    aditi.run(&["Status"]).succeeds();
}

#[test]
fn only_what_has_changed_is_uploaded_again() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("d/same", b"same");
    aditi.put("d/other", b"before");
    aditi.run(&["Upload", "d"]).succeeds();
    let stored = |name: &str| cluster.piece_file(cluster.holders(name, 1)[0], name, 1).metadata().unwrap();
    let (same, other) = (stored("d/same").modified().unwrap(), stored("d/other").modified().unwrap());
    aditi.put("d/other", b"afterwards");
    aditi.run(&["Upload", "-u", "d"]).succeeds();
    assert_eq!(stored("d/same").modified().unwrap(), same);
    assert_ne!(stored("d/other").modified().unwrap(), other);
    aditi.download("d/other", b"afterwards");
}

/// The password of a .conf.
fn password_in(conf: &str) -> &str {
    conf.lines().find_map(|line| line.strip_prefix("Password ")).unwrap()
}

fn journal_of(client: &Client) -> PathBuf {
    client.folder().join(format!("{CONF}.passwd"))
}

/// Whether a change has come to its end: nothing is left of it, and no other password works.
#[track_caller]
fn has_ended_with(client: &mut Client, password: &str, others: &[&str]) {
    client.reread_conf();
    assert_eq!(password_in(&client.conf), password);
    let left: Vec<String> = disk::files_below(client.folder());
    assert!(!left.iter().any(|file| file.starts_with(&format!("{CONF}."))), "left: {left:?}");
    let conf = client.conf.clone();
    for other in others {
        client.conf = conf.replace(password, other);
        client.run(&["Status"]).fails_with(3).complains_of("Invalid username or password");
    }
    client.conf = conf;
    client.write_conf();
}

#[test]
fn a_session_that_was_open_before_is_refused_with_a_message_and_stores_nothing() {
    let cluster = Cluster::with_passwords(4, false);
    let mut aditi = cluster.client("Aditi");
    aditi.upload("a", b"before");
    let mut session = aditi.session();
    session.send("ShowFiles");
    session.wait_for("a");
    aditi.pipe("Passwd\nanother\n").succeeds();
    aditi.put("a", b"afterwards");
    aditi.put("b", b"afterwards");
    session.send("Upload a\nUpload b");
    let outcome =
        session.finish().fails_with(3).complains_of("the password was changed after this client logged in");
    outcome.does_not_complain_of("start the servers");
    has_ended_with(&mut aditi, "another", &["Aditi@123"]);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    aditi.download("a", b"before");
    aditi.run(&["Verify", "-r"]).succeeds();
}

#[test]
fn with_a_key_line_too_a_session_that_was_open_before_ends() {
    let cluster = Cluster::quick(2);
    let mut aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    let mut session = aditi.session();
    session.send("ShowFiles");
    session.wait_for("a");
    aditi.pipe("Passwd\nanother\n").succeeds();
    session.send("Upload a");
    session.finish().fails_with(3).complains_of("the password was changed after this client logged in");
    has_ended_with(&mut aditi, "another", &["Aditi@123"]);
    aditi.upload("a", b"afterwards");
}

#[test]
fn a_long_upload_that_the_change_overtakes_is_refused() {
    let cluster = Cluster::with_passwords(4, false);
    let mut aditi = cluster.client("Aditi");
    let (before, large) = (noise(1, 100_000), noise(2, 8_000_000));
    aditi.upload("a", &before);
    let proxies = cluster.proxies();
    let other = cluster.client_through("Aditi", &proxies);
    other.put("a", &large);
    proxies[0].fail_after(Way::Up, 1_000_000, Fault::Silence);
    let upload = other.start(&["Upload", "a"]);
    proxies[0].wait_for_the_fault();
    aditi.pipe("Passwd\nanother\n").succeeds();
    proxies[0].heal();
    let outcome = upload.finish().fails_with(3).complains_of("the password was changed");
    outcome.does_not_complain_of("start the servers");
    has_ended_with(&mut aditi, "another", &["Aditi@123"]);
    aditi.download("a", &before);
    aditi.run(&["Verify", "-r"]).succeeds();
}

#[test]
fn what_is_uploaded_while_the_password_is_changed_is_refused_with_a_message() {
    let cluster = Cluster::with_passwords(4, false);
    let proxies = cluster.proxies_together();
    let mut aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("a", b"before");
    proxies[0].fail_at_line("PASSWD", Fault::Silence);
    let mut passwd = aditi.start(&["Passwd"]);
    passwd.send("another");
    proxies[0].wait_for_the_fault();

    let other = cluster.client("Aditi");
    for name in ["a", "b"] {
        other.put(name, b"meanwhile");
        let outcome = other.run(&["Upload", name]).fails_with(3).complains_of("is being changed");
        outcome.does_not_complain_of("start the servers");
    }
    other.run(&["Delete", "a"]).fails_with(3);
    other.run(&["Move", "a", "c"]).fails_with(1);
    proxies[0].heal();
    passwd.finish().succeeds();
    has_ended_with(&mut aditi, "another", &["Aditi@123"]);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    aditi.download("a", b"before");
}

#[test]
fn of_many_small_files_each_that_was_acknowledged_opens_afterwards() {
    const FILES: usize = 150;
    let cluster = Cluster::with_passwords(4, false);
    let proxies = cluster.proxies();
    let mut aditi = cluster.client("Aditi");
    let other = cluster.client_through("Aditi", &proxies);
    let mut commands = String::new();
    for file in 0..FILES {
        other.put(&format!("f{file}"), &noise(file as u64, 100));
        commands.push_str(&format!("Upload f{file}\n"));
    }
    let mut upload = other.session();
    upload.send(&commands);
    let commits = || {
        let sent = proxies[0].recorded(Way::Up);
        sent.windows(8).filter(|bytes| *bytes == b"\nCOMMIT ").count()
    };
    wait_until("some files are stored", || commits() >= 20);
    aditi.pipe("Passwd\nanother\n").succeeds();
    let outcome = upload.finish();
    let refused = outcome.stderr.matches("Client: error: ").count();
    assert_eq!(outcome.status != 0, refused > 0, "{outcome}");

    has_ended_with(&mut aditi, "another", &["Aditi@123"]);
    aditi.forget_downloads();
    let stored = aditi.run(&["ShowFiles"]).succeeds().lines().len();
    assert!(stored >= FILES - refused, "{stored} of {FILES} are stored, {refused} were refused");
    aditi.run(&["Download", "."]).succeeds();
    for file in 0..FILES - refused {
        aditi.has_downloaded(&format!("f{file}"), &noise(file as u64, 100));
    }
    aditi.run(&["Verify", "-r"]).succeeds();
    // And the next change finds all in order.
    aditi.pipe("Passwd\na third\n").succeeds();
}

#[test]
fn a_server_that_refuses_the_last_step_leaves_the_new_password_on_disk() {
    for next in ["ShowFiles", "Passwd"] {
        let cluster = Cluster::with_passwords(4, true);
        let proxies = cluster.proxies_together();
        let mut aditi = cluster.client_through("Aditi", &proxies);
        let bytes = noise(1, 300_000);
        aditi.upload("a", &bytes);
        proxies[0].fail_at_line("PASSWD", Fault::Silence);
        let mut passwd = aditi.start(&["Passwd"]);
        passwd.send("another");
        proxies[0].wait_for_the_fault();
        let users = cluster.root_of(3).join("Users.conf");
        let good = std::fs::read_to_string(&users).unwrap();
        std::fs::write(&users, format!("{good}nobody\n")).unwrap();
        proxies[0].heal();
        let outcome = passwd.finish().fails_with(1).complains_of("Server3").complains_of("line 3");
        outcome.complains_of(&format!("{CONF}.passwd"));
        let journal = std::fs::read_to_string(journal_of(&aditi)).unwrap();
        assert_eq!(journal, aditi.conf.replace("Aditi@123", "another"));
        let mode = std::fs::metadata(journal_of(&aditi)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // Not all can be done, but what can be is.
        aditi.forget_downloads();
        let outcome = aditi.run(&["Download", "a"]).succeeds();
        outcome.complains_of("an interrupted password change").complains_of(&format!("{CONF}.passwd"));
        aditi.has_downloaded("a", &bytes);

        std::fs::write(&users, good).unwrap();
        match next {
            "Passwd" => aditi.pipe("Passwd\nanother\n").succeeds(),
            plain => aditi.run(&[plain]).succeeds().prints(&["a"]),
        };
        has_ended_with(&mut aditi, "another", &["Aditi@123"]);
        aditi.download("a", &bytes);
        aditi.run(&["Verify", "-r"]).succeeds();
    }
}

#[test]
fn a_server_that_could_not_take_the_last_step_is_found_before_anything_is_changed() {
    let cluster = Cluster::with_passwords(4, true);
    let mut aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    let users = cluster.root_of(3).join("Users.conf");
    let good = std::fs::read_to_string(&users).unwrap();
    std::fs::write(&users, format!("{good}nobody\n")).unwrap();
    let outcome = aditi.pipe("Passwd\nanother\n").fails_with(1).complains_of("Server3");
    outcome.complains_of("no password was changed").complains_of("line 3").does_not_complain_of(".passwd");
    has_ended_with(&mut aditi, "Aditi@123", &["another"]);
    aditi.upload("b", b"b");
    aditi.download("a", b"a");
    std::fs::write(&users, good).unwrap();
    aditi.pipe("Passwd\na third\n").succeeds();
}

#[test]
fn a_file_that_is_lost_keeps_the_password_from_being_changed_and_nothing_else() {
    let cluster = Cluster::with_passwords(2, false);
    let mut aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    aditi.upload("lost", b"lost");
    (1..=2).for_each(|n| std::fs::remove_file(cluster.piece_file(n, "lost", 1)).unwrap());
    let outcome =
        aditi.pipe("Passwd\nanother\n").fails_with(1).complains_of("lost could not be repaired first");
    outcome.complains_of("no password was changed");
    has_ended_with(&mut aditi, "Aditi@123", &["another"]);
    aditi.run(&["Delete", "lost"]).succeeds();
    aditi.pipe("Passwd\nanother\n").succeeds();
    has_ended_with(&mut aditi, "another", &["Aditi@123"]);
    aditi.download("a", b"a");
}

#[test]
fn a_file_that_is_lost_while_a_change_is_cut_off_can_be_deleted() {
    let cluster = Cluster::with_passwords(2, false);
    let proxies = cluster.proxies();
    let mut aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("a", b"a");
    aditi.upload("lost", b"lost");
    // The first file has its new header then.
    proxies[0].fail_at_line("COMMIT", Fault::Cut);
    assert_ne!(aditi.pipe("Passwd\nanother\n").status, 0);
    proxies[0].heal();
    (1..=2).for_each(|n| std::fs::remove_file(cluster.piece_file(n, "lost", 1)).unwrap());
    aditi.pipe("Passwd\nanother\n").fails_with(1).complains_of("lost could not be repaired first");
    let outcome = aditi.run(&["Delete", "lost"]).succeeds();
    outcome.complains_of("cannot be finished now").complains_of(&format!("{CONF}.passwd"));
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    has_ended_with(&mut aditi, "another", &["Aditi@123"]);
    aditi.download("a", b"a");
}

#[test]
fn a_change_that_was_begun_elsewhere_is_ended_there_or_taken_back() {
    for taken_back in [false, true] {
        let cluster = Cluster::with_passwords(3, false);
        let proxies = cluster.proxies_together();
        let mut aditi = cluster.client_through("Aditi", &proxies);
        aditi.upload("a", b"a");
        proxies[0].fail_at_line("COPY", Fault::Cut);
        let outcome = aditi.pipe("Passwd\nlost\n");
        assert_ne!(outcome.status, 0, "{outcome}");
        outcome.complains_of(&format!("{CONF}.passwd"));
        proxies[0].heal();

        let mut other = cluster.client("Aditi");
        let refused = other.pipe("Passwd\nanother\n").fails_with(1);
        refused
            .complains_of("reports an unfinished change to a different password")
            .does_not_complain_of(".passwd");
        other.put("b", b"b");
        other.run(&["Upload", "b"]).fails_with(3).complains_of("is being changed");
        if taken_back {
            other.pipe("Passwd\nAditi@123\n").succeeds();
            other.upload("b", b"b");
            other.pipe("Passwd\nanother\n").succeeds();
            has_ended_with(&mut other, "another", &["Aditi@123", "lost"]);
            other.download("a", b"a");
            other.download("b", b"b");
            // At the client that began it, neither password works any more, and the message says where they are.
            aditi.run(&["ShowFiles"]).fails_with(3).complains_of(&format!("{CONF}.passwd"));
        } else {
            aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
            has_ended_with(&mut aditi, "lost", &["Aditi@123"]);
            aditi.download("a", b"a");
        }
    }
}

/// Somebody's Passwd is killed when one file of two is under the new password.
fn half_changed(cluster: &Cluster, proxies: &[Proxy]) -> Client {
    let aditi = cluster.client_through("Aditi", proxies);
    aditi.upload("a", b"a");
    aditi.upload("lost", b"lost");
    proxies[0].fail_at_line("COPY lost", Fault::Silence);
    let mut passwd = aditi.start(&["Passwd"]);
    passwd.send("new");
    proxies[0].wait_for_the_fault();
    passwd.kill();
    proxies[0].cut();
    cluster.wait_until_all_left();
    proxies[0].heal();
    aditi
}

#[test]
fn a_change_that_fails_is_not_taken_back_where_another_client_has_begun_the_same() {
    let cluster = Cluster::with_passwords(2, false);
    half_changed(&cluster, &cluster.proxies_together());
    (1..=2).for_each(|n| std::fs::remove_file(cluster.piece_file(n, "lost", 1)).unwrap());
    let mut other = cluster.client("Aditi");
    let outcome = other.pipe("Passwd\nnew\n").fails_with(1).complains_of("lost could not be repaired first");
    outcome.does_not_complain_of("no password was changed").complains_of(&format!("{CONF}.passwd"));
    assert!(journal_of(&other).exists());
    // A client that knows nothing of the change cannot make another.
    let third = cluster.client("Aditi");
    third.pipe("Passwd\nthird\n").fails_with(1).complains_of("unfinished change");
    other.run(&["Delete", "lost"]).succeeds();
    other.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    has_ended_with(&mut other, "new", &["Aditi@123"]);
    other.download("a", b"a");
}

#[test]
fn a_change_is_not_taken_back_once_a_file_is_under_the_new_password() {
    let cluster = Cluster::with_passwords(2, false);
    let proxies = cluster.proxies_together();
    let mut aditi = half_changed(&cluster, &proxies);
    let other = cluster.client("Aditi");
    let outcome = other.pipe("Passwd\nAditi@123\n").fails_with(1);
    outcome.complains_of("1 file is already under").complains_of("no password was changed");
    assert!(!journal_of(&other).exists());
    other.pipe("Passwd\nthird\n").fails_with(1).complains_of("unfinished change");
    // The client that began it can still finish it.
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a", "lost"]);
    has_ended_with(&mut aditi, "new", &["Aditi@123"]);
    aditi.download("a", b"a");
    aditi.download("lost", b"lost");
}

#[test]
fn a_journal_that_cannot_be_removed_is_reported() {
    let cluster = Cluster::with_passwords(2, false);
    let proxies = cluster.proxies_together();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("lost", b"lost");
    (1..=2).for_each(|n| std::fs::remove_file(cluster.piece_file(n, "lost", 1)).unwrap());
    proxies[0].fail_at_line("REKEY", Fault::Silence);
    let mut passwd = aditi.start(&["Passwd"]);
    passwd.send("another");
    proxies[0].wait_for_the_fault();
    // A folder is not removed as a file is.
    std::fs::remove_file(journal_of(&aditi)).unwrap();
    std::fs::create_dir(journal_of(&aditi)).unwrap();
    proxies[0].heal();
    let outcome = passwd.finish().fails_with(1).complains_of("cannot remove");
    outcome.does_not_complain_of("no password was changed");
}

#[test]
fn a_second_change_waits_for_the_first_whether_that_runs_or_was_cut_off() {
    let cluster = Cluster::with_passwords(2, false);
    let proxies = cluster.proxies_together();
    let mut aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("a", b"a");
    proxies[0].fail_at_line("COPY", Fault::Silence);
    let mut first = aditi.start(&["Passwd"]);
    first.send("first");
    proxies[0].wait_for_the_fault();
    let direct = cluster.client("Aditi").conf;
    let through = std::mem::replace(&mut aditi.conf, direct);
    aditi.pipe("Passwd\nsecond\n").fails_with(1).complains_of("another Client");
    aditi.conf = through;
    aditi.write_conf();
    first.kill();
    proxies[0].cut();
    cluster.wait_until_all_left();
    proxies[0].heal();
    aditi.pipe("Passwd\nsecond\n").succeeds().complains_of("finishing an interrupted password change");
    has_ended_with(&mut aditi, "second", &["Aditi@123", "first"]);
    aditi.download("a", b"a");
}

#[test]
fn a_change_that_cannot_be_ended_yet_does_not_keep_from_reading() {
    let mut cluster = Cluster::with_passwords(3, false);
    let proxies = cluster.proxies_together();
    let mut aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("a", b"a");
    proxies[0].fail_at_line("COPY", Fault::Cut);
    let outcome = aditi.pipe("Passwd\nanother\n");
    assert_ne!(outcome.status, 0, "{outcome}");
    proxies[0].heal();
    cluster.stop(3);
    aditi.download("a", b"a").complains_of("cannot be finished now").complains_of(&format!("{CONF}.passwd"));
    aditi.put("b", b"b");
    aditi.run(&["Upload", "b"]).fails_with(3).complains_of("is being changed");
    aditi
        .pipe("Passwd\nanother\n")
        .fails_with(4)
        .complains_of("Server3")
        .complains_of(&format!("{CONF}.passwd"));
    cluster.start(3);
    aditi.run(&["Upload", "b"]).succeeds();
    has_ended_with(&mut aditi, "another", &["Aditi@123"]);
    aditi.download("a", b"a");
    aditi.download("b", b"b");
}

#[test]
fn a_change_that_is_cut_at_a_commit_says_nothing_of_another_name() {
    let cluster = Cluster::with_passwords(3, false);
    let proxies = cluster.proxies();
    let mut aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("a", b"a");
    proxies[1].fail_at_line("COMMIT", Fault::Cut);
    let outcome = aditi.pipe("Passwd\nanother\n").fails_with(1).complains_of("Server2");
    let outcome = outcome.complains_of("continues the change").does_not_complain_of("run Passwd again");
    outcome.does_not_complain_of("fewer copies").does_not_complain_of("Delete");
    proxies[1].heal();
    aditi.pipe("Passwd\nanother\n").succeeds();
    has_ended_with(&mut aditi, "another", &["Aditi@123"]);
    aditi.download("a", b"a");
    cluster.has_equal_copies("a", 2);
}

/// The client is killed, or its connections are cut, at every tenth of its messages to a server and of their answers,
/// from this one on; the first is that with which a server can know of the change. Then the same command, or a plain one,
/// goes on.
#[track_caller]
fn survives_cuts(apart: bool, first: usize) {
    let cluster = Cluster::with_passwords(2, apart);
    let proxies = cluster.proxies_together();
    let mut aditi = cluster.client_through("Aditi", &proxies);
    let bytes = noise(1, 1000);
    aditi.put("d/a", &bytes);
    aditi.run(&["Upload", "d"]).succeeds();
    aditi.upload("b", b"b");
    let mut passwords = vec!["Aditi@123".to_owned()];
    for at in (first..).step_by(10) {
        let new = format!("password{at}");
        let mut passwd = aditi.start(&["Passwd"]);
        let fault = if at / 2 % 2 == 0 { Fault::Kill(passwd.id()) } else { Fault::Cut };
        proxies[0].fail_at_message("REKEY", at, fault);
        passwd.send(&new);
        let outcome = passwd.finish();
        let was_cut = proxies[0].has_failed();
        assert_eq!(outcome.status != 0, was_cut, "cut at {at}: {outcome}");
        cluster.wait_until_all_left();
        proxies[0].heal();
        aditi.reread_conf();
        if at / 4 % 2 == 0 {
            let outcome = aditi.pipe(&format!("Passwd\n{new}\n"));
            assert_eq!(outcome.status, 0, "cut at {at}: {outcome}");
            aditi.reread_conf();
        }
        aditi.forget_downloads();
        let outcome = aditi.run(&["Download", "."]);
        assert_eq!(outcome.status, 0, "cut at {at}: {outcome}");
        aditi.has_downloaded("d/a", &bytes);
        aditi.has_downloaded("b", b"b");
        has_ended_with(&mut aditi, &new, &[]);
        passwords.push(new);
        if !was_cut {
            assert!(at > 20, "{at} messages only");
            break;
        }
    }
    let [old @ .., new] = &passwords[..] else { return };
    let old: Vec<&str> = old.iter().rev().take(2).map(String::as_str).collect();
    has_ended_with(&mut aditi, new, &old);
    aditi.run(&["Verify", "-r"]).succeeds();
}

#[test]
fn a_change_that_is_cut_anywhere_is_resumed_on_servers_with_one_root() {
    survives_cuts(false, 1);
}

#[test]
fn a_change_that_is_cut_anywhere_is_resumed_on_servers_apart() {
    survives_cuts(true, 7);
}
