//! Connections that the servers have ended while the client was stopped, or its machine asleep: it logs in again and
//! goes on.

use crate::common::{Client, Cluster, Fault, Proxy, Trap, Way, disk, noise};

/// More than the buffers between client and server hold.
const LARGE: usize = 8 << 20;

/// Runs a command whose connections are ended by these proxies when it sends a line with this word. It must not matter.
#[track_caller]
fn goes_on(aditi: &Client, hanging_up: &[&Proxy], word: &'static str, command: &[&str]) {
    hanging_up.iter().for_each(|proxy| proxy.trap(word, Trap::Cut));
    let outcome = aditi.run(command).succeeds();
    assert_eq!(outcome.stderr, "", "hung up at {word}: {outcome}");
    assert!(hanging_up.iter().any(|proxy| proxy.has_sprung()), "no {word} in {command:?}");
    hanging_up.iter().for_each(|proxy| proxy.release());
}

/// With all servers hanging up, and with two of four.
fn some_and_all(proxies: &[Proxy]) -> [Vec<&Proxy>; 2] {
    [proxies[1..3].iter().collect(), proxies.iter().collect()]
}

#[test]
fn a_login_that_is_ended_is_made_again() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    for word in ["LOGIN", "PROVE"] {
        for hanging_up in some_and_all(&proxies) {
            goes_on(&aditi, &hanging_up, word, &["ShowFiles"]);
        }
    }
}

#[test]
fn an_upload_that_is_hung_up_on_at_any_step_is_stored_as_any_other() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.put("d/b", &noise(9, 1000));
    for (number, word) in ["LOOK", "STAGE", "COMMIT"].into_iter().enumerate() {
        for hanging_up in some_and_all(&proxies) {
            let bytes = noise(number as u64, 100_000 + hanging_up.len());
            aditi.put("d/a", &bytes);
            goes_on(&aditi, &hanging_up, word, &["Upload", "d"]);
            cluster.has_equal_copies("d/a", 2);
            cluster.has_equal_copies("d/b", 2);
            cluster.wait_until_all_left();
            assert_eq!(cluster.unsettled(), [""; 0]);
            cluster.client("Aditi").download("d/a", &bytes);
        }
    }
}

#[test]
fn a_download_that_is_hung_up_on_goes_on_where_it_was() {
    let cluster = Cluster::quick(4);
    let bytes = noise(1, LARGE);
    cluster.client("Aditi").upload("a", &bytes);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    for word in ["LOOK", "READ"] {
        for hanging_up in some_and_all(&proxies) {
            goes_on(&aditi, &hanging_up, word, &["Download", "a"]);
            aditi.has_downloaded("a", &bytes);
        }
    }
    for proxy in &proxies {
        proxy.forget();
        proxy.fail_after(Way::Down, LARGE / 8, Fault::HangUp);
    }
    aditi.forget_downloads();
    aditi.run(&["Download", "a"]).succeeds().does_not_complain_of("down");
    aditi.has_downloaded("a", &bytes);
    let received: usize = proxies.iter().map(|proxy| proxy.recorded(Way::Down).len()).sum();
    // What was under way on each connection is lost with it; all of it again would be twice as much.
    assert!(received < LARGE * 7 / 4, "{received} bytes for {LARGE}");
}

#[test]
fn other_commands_that_are_hung_up_on_go_on_too() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    let bytes = noise(1, 100_000);
    for hanging_up in some_and_all(&proxies) {
        for word in ["LOOK", "RESTORE", "COMMIT"] {
            cluster.client("Aditi").upload("doomed", &bytes);
            goes_on(&aditi, &hanging_up, word, &["Delete", "doomed"]);
            assert!(cluster.files().iter().all(|file| !file.contains("doomed")), "{:?}", cluster.files());
        }
        for word in ["LOOK", "COPY", "COMMIT", "CHECK"] {
            cluster.client("Aditi").upload("old", &bytes);
            goes_on(&aditi, &hanging_up, word, &["Move", "old", "new"]);
            cluster.has_equal_copies("new", 2);
            cluster.client("Aditi").download("new", &bytes);
            aditi.run(&["Delete", "new"]).succeeds();
        }
        cluster.client("Aditi").upload("a", &bytes);
        goes_on(&aditi, &hanging_up, "LIST", &["ShowFiles"]);
        for word in ["LIST", "LOOK", "CHECK"] {
            goes_on(&aditi, &hanging_up, word, &["Verify"]);
        }
        goes_on(&aditi, &hanging_up, "READ", &["Verify", "--read"]);
        for word in ["LIST", "LOOK", "CHECK", "READ", "RESTORE", "COMMIT"] {
            for piece in 1..=4 {
                let lost = cluster.holders("a", piece)[piece % 2];
                std::fs::remove_file(cluster.piece_file(lost, "a", piece)).unwrap();
            }
            goes_on(&aditi, &hanging_up, word, &["Repair"]);
            cluster.has_equal_copies("a", 2);
        }
    }
}

#[test]
fn a_client_that_is_stopped_while_its_servers_are_restarted_goes_on() {
    for restarted in [vec![2, 3], vec![1, 2, 3, 4]] {
        let mut cluster = Cluster::quick(4);
        let proxies = cluster.proxies();
        let aditi = cluster.client_through("Aditi", &proxies);
        let bytes = noise(1, LARGE);
        aditi.put("a", &bytes);
        proxies[2].fail_after(Way::Up, 1 << 20, Fault::Silence);
        let upload = aditi.start(&["Upload", "a"]);
        proxies[2].wait_for_the_fault();
        upload.suspend_while(|| {
            restarted.iter().for_each(|server| cluster.restart(*server));
            proxies[2].heal();
        });
        upload.finish().succeeds().does_not_complain_of("down");
        cluster.has_equal_copies("a", 2);
        cluster.client("Aditi").download("a", &bytes);
    }
}

#[test]
fn a_server_that_always_hangs_up_is_left_out_in_the_end() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    let bytes = noise(1, 100_000);
    proxies[1].trap("STAGE", Trap::CutEach);
    aditi.put("a", &bytes);
    aditi.run(&["Upload", "a"]).succeeds().complains_of("Server2 is down (closed the connection)");
    assert!((2..=4).contains(&cluster.log(2).matches("logged in").count()), "{}", cluster.log(2));
    cluster.client("Aditi").download("a", &bytes);
    proxies.iter().for_each(|proxy| proxy.trap("READ", Trap::CutEach));
    aditi.forget_downloads();
    aditi.run(&["Download", "a"]).exits(4).complains_of("closed the connection");
    assert!(disk::files_below(&aditi.downloads()).is_empty());
}

#[test]
fn a_connection_of_which_nobody_knows_anymore_is_given_up_and_made_again() {
    let cluster = Cluster::quick(1);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    proxies[0].trap("LIST", Trap::Hold);
    aditi.run(&["ShowFiles"]).succeeds().does_not_complain_of("down");
}

#[test]
fn so_is_one_that_was_forgotten_between_two_commands() {
    let sessions = ["ShowFiles", "Status", "Verify", "Repair", "Passwd\nnew-pass-word"].map(|command| {
        let cluster = Cluster::quick(1);
        let proxies = cluster.proxies();
        let aditi = cluster.client_through("Aditi", &proxies).with("Timeout 2");
        let mut session = aditi.session();
        proxies[0].trap("PING", Trap::Hold);
        session.send(&format!("ShowFiles\n{command}"));
        (session, proxies, cluster)
    });
    for (session, proxies, _cluster) in sessions {
        session.finish().succeeds().does_not_complain_of("down");
        assert!(proxies[0].has_sprung());
    }
}

#[test]
fn connections_that_are_ended_at_any_message_of_a_version_cost_no_copy() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    let bytes = noise(1, 100_000);
    for number in 1..=7 {
        let through = |word: &'static str, command: &[&str]| {
            proxies[1..3].iter().for_each(|proxy| proxy.fail_at_message(word, number, Fault::HangUp));
            let outcome = aditi.run(command).succeeds();
            assert_eq!(outcome.stderr, "", "hung up at message {number}: {outcome}");
            proxies.iter().for_each(Proxy::heal);
            cluster.wait_until_all_left();
            assert_eq!(cluster.unsettled(), [""; 0], "hung up at message {number} from {word}");
        };
        aditi.put("old", &bytes);
        through("STAGE", &["Upload", "old"]);
        cluster.has_equal_copies("old", 2);
        through("COPY", &["Move", "old", "new"]);
        cluster.has_equal_copies("new", 2);
        cluster.client("Aditi").download("new", &bytes);
        through("RESTORE", &["Delete", "new"]);
        assert!(cluster.pieces_on(1).is_empty() && cluster.pieces_on(2).is_empty());
    }
}
