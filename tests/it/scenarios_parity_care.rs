//! What keeps a store with parity in order: ShowFiles, Verify, Repair, Move, Passwd and Delete.

use crate::common::{Client, Cluster, Json, noise, subsets};

fn client(cluster: &Cluster) -> Client {
    cluster.client("Aditi").with("Redundancy parity")
}

/// Every choice of so many of the four servers.
fn choices(count: usize) -> impl Iterator<Item = Vec<usize>> {
    subsets(4).filter(move |servers| servers.len() == count)
}

/// A file comes back with any two of the four servers.
fn bears_any_two_losses(cluster: &mut Cluster, aditi: &Client, name: &str, bytes: &[u8]) {
    for up in choices(2) {
        cluster.run_only(&up);
        aditi.download(name, bytes);
    }
    cluster.run_all();
}

#[test]
fn degraded_says_how_many_more_servers_may_be_lost_and_copies_are_listed_as_ever() {
    let mut cluster = Cluster::quick(4);
    let (parity, copies) = (client(&cluster), cluster.client("Aditi"));
    parity.upload("p", &noise(1, 100_001));
    copies.upload("c", &noise(2, 100_001));
    let listed = |lines: &[&str]| drop(copies.run(&["ShowFiles"]).succeeds().prints(lines));
    let losses = || {
        let objects = Json::lines(&parity.run(&["ShowFiles", "--json"]).succeeds().stdout);
        assert_eq!(objects[0].text("redundancy"), "copies");
        assert_eq!(objects[1].text("redundancy"), "parity");
        objects[1].get("losses").clone()
    };
    listed(&["c", "p"]);
    assert_eq!(losses(), Json::Number(2.0));
    cluster.stop(3);
    listed(&["c [degraded]", "p [degraded] 1"]);
    assert_eq!(losses(), Json::Number(1.0));
    parity.run(&["Verify", "p"]).fails_with(1);
    cluster.stop(1);
    listed(&["c [degraded]", "p [degraded] 0"]);
    assert_eq!(losses(), Json::Number(0.0));
    cluster.stop(2);
    listed(&["c [incomplete]", "p [incomplete]"]);
    assert_eq!(losses(), Json::Null);
}

#[test]
fn verify_and_repair_know_what_was_stored_with_a_server_away() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    let bytes = noise(1, 300_001);
    cluster.stop(2);
    aditi.upload("a", &bytes).complains_of("only one server may be lost").complains_of("run Repair");
    cluster.start(2);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a [degraded] 1"]);
    let verified = aditi.run(&["Verify"]).fails_with(1);
    assert_eq!(verified.lines(), ["a: can bear the loss of only 1 more server"]);
    let planned = aditi.run(&["Repair", "-n"]).succeeds();
    assert!(planned.lines().iter().all(|line| line.contains("would make") && line.ends_with("on Server2")));
    let steps = Json::lines(&aditi.run(&["Repair", "--json"]).succeeds().stdout);
    assert_eq!(steps.len(), 2);
    assert!(steps.iter().all(|step| step.text("action") == "made" && step.text("to") == "Server2"));
    aditi.run(&["Verify", "--read"]).succeeds().prints(&[]);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    bears_any_two_losses(&mut cluster, &aditi, "a", &bytes);
}

#[test]
fn a_move_with_one_or_two_servers_away_is_as_safe_as_an_upload_and_repair_does_the_rest() {
    for away in choices(1).chain(choices(2)) {
        let mut cluster = Cluster::quick(4);
        let aditi = client(&cluster);
        let bytes = noise(1, 300_001);
        aditi.upload("x/a", &bytes);
        away.iter().for_each(|&n| cluster.stop(n));
        aditi.run(&["Move", "x/a", "y/b"]).succeeds();
        aditi.run(&["Move", "y", "z"]).succeeds();
        let up: Vec<usize> = (1..=4).filter(|n| !away.contains(n)).collect();
        for lost in &up {
            cluster.stop(*lost);
            aditi.download("z/b", &bytes);
            cluster.start(*lost);
        }
        cluster.run_all();
        assert_ne!(aditi.run(&["ShowFiles", "z"]).succeeds().lines(), ["b"], "without {away:?}");
        aditi.run(&["Repair"]).succeeds();
        assert_eq!(
            aditi.run(&["ShowFiles", "-r", "-q"]).succeeds().lines(),
            ["z/", "z/b"],
            "without {away:?}"
        );
        aditi.run(&["Verify", "-r"]).succeeds().prints(&[]);
        bears_any_two_losses(&mut cluster, &aditi, "z/b", &bytes);
    }
}

#[test]
fn a_move_with_three_servers_away_is_refused_and_the_old_name_stays() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    let bytes = noise(1, 5_001);
    cluster.run_only(&[1]);
    aditi.upload("a", &bytes).complains_of("no server may be lost");
    aditi.run(&["Move", "a", "b"]).fails_with(4).complains_of("2 servers");
    aditi.download("a", &bytes);
    cluster.run_all();
    aditi.run(&["Move", "a", "b"]).succeeds();
    bears_any_two_losses(&mut cluster, &aditi, "b", &bytes);
}

#[test]
fn a_degraded_file_is_deleted_and_does_not_come_back() {
    for away in choices(1).chain(choices(2)) {
        let mut cluster = Cluster::quick(4);
        let aditi = client(&cluster);
        aditi.upload("a", &noise(1, 100_001));
        away.iter().for_each(|&n| cluster.stop(n));
        aditi.run(&["Delete", "a"]).succeeds().complains_of("missed the delete");
        cluster.run_all();
        aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
        aditi.run(&["Repair"]).succeeds();
        assert!((1..=4).all(|n| cluster.pieces_on(n).is_empty()), "without {away:?}");
        assert_eq!(cluster.unsettled(), [""; 0]);
    }
}

#[test]
fn a_change_of_password_makes_what_is_missing_first() {
    let mut cluster = Cluster::with_passwords(4, false);
    let mut aditi = client(&cluster);
    let bytes = noise(1, 300_001);
    cluster.stop(4);
    aditi.upload("a", &bytes);
    aditi.pipe("Passwd\nnew password\n").fails_with(4);
    cluster.start(4);
    aditi.pipe("Passwd\nnew password\n").succeeds();
    aditi.reread_conf();
    aditi.run(&["Verify"]).succeeds().prints(&[]);
    bears_any_two_losses(&mut cluster, &aditi, "a", &bytes);
}
