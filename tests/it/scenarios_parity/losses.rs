//! Every set of servers that may be away, whatever happened before, and servers that are lost in the middle of an upload.

use super::{SIZES, all_come_back, client, name, upload_all};
use crate::common::{Client, Cluster, Fault, Outcome, Proxy, Session, Trap, Way, noise, subsets};

/// Tries to download all files: each is there to the last byte, or it is not there and the client says which of its pieces
/// are missing. Gives the number of those that are there.
fn each_is_whole_or_named(aditi: &Client, when: &str) -> usize {
    aditi.forget_downloads();
    let commands: String = SIZES.iter().map(|size| format!("Download {}\n", name(*size))).collect();
    let outcome = aditi.pipe(&commands);
    let whole = SIZES.iter().filter(|size| is_whole_or_named(aditi, &outcome, **size, when)).count();
    assert_eq!(outcome.status, i32::from(whole < SIZES.len()), "{when}: {outcome}");
    whole
}

fn is_whole_or_named(aditi: &Client, outcome: &Outcome, size: usize, when: &str) -> bool {
    let Some(found) = aditi.downloaded(&name(size)) else {
        let says = format!("error: cannot rebuild {} [incomplete]: piece ", name(size));
        assert!(outcome.stderr.contains(&says), "no word of {size} bytes, {when}: {outcome}");
        return false;
    };
    assert!(found == noise(size as u64, size), "wrong bytes of {size}, {when}");
    true
}

/// Two servers or more give everything, one gives nothing, unless it has more than its place in the row, and with none the
/// client cannot even begin.
fn any_two_suffice(cluster: &mut Cluster, aditi: &Client, has_more: bool, when: &str) {
    for up in subsets(4) {
        cluster.run_only(&up);
        let when = format!("{when}, with {up:?}");
        match up.len() {
            0 => {
                aditi.run(&["Download", &name(17)]).fails_with(4);
            }
            1 => {
                let whole = each_is_whole_or_named(aditi, &when);
                assert!(whole == 0 || has_more, "{when}: {whole}");
            }
            _ => all_come_back(aditi, &when),
        }
    }
    cluster.run_all();
}

#[test]
fn of_the_sixteen_sets_of_four_servers_those_with_two_or_more_give_every_file() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    upload_all(&aditi);
    assert!(cluster.unsettled().is_empty(), "{:?}", cluster.unsettled());
    for n in 1..=4 {
        let pieces = cluster.pieces_on(n);
        assert_eq!(pieces.len(), 2 * SIZES.len(), "Server{n}: {pieces:?}");
    }
    any_two_suffice(&mut cluster, &aditi, false, "uploaded with all up");
}

#[test]
fn a_wiped_server_is_made_again_to_the_last_bit_and_any_two_may_be_lost() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    upload_all(&aditi);
    for wiped in 1..=4 {
        let before = pieces_of_all(&cluster, wiped);
        cluster.wipe(wiped);
        aditi.run(&["Repair"]).succeeds();
        assert!(pieces_of_all(&cluster, wiped) == before, "Server{wiped}");
    }
    aditi.run(&["Verify"]).succeeds();
    aditi.run(&["Repair"]).succeeds().prints(&[]);
    any_two_suffice(&mut cluster, &aditi, false, "all wiped and repaired, one after another");
}

fn pieces_of_all(cluster: &Cluster, n: usize) -> Vec<Vec<u8>> {
    let folder = cluster.user_folder(n, "Aditi");
    cluster.pieces_on(n).iter().map(|piece| std::fs::read(folder.join(piece)).unwrap()).collect()
}

#[test]
fn with_one_server_down_at_the_upload_any_other_may_be_lost_and_after_repair_any_two() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    for down in 1..=4 {
        cluster.stop(down);
        upload_all(&aditi);
        for up in subsets(4).filter(|up| up.len() >= 2) {
            cluster.run_only(&up);
            let when = format!("uploaded without {down}, with {up:?}");
            let lost = (1..=4).filter(|n| *n != down && !up.contains(n)).count();
            match lost {
                0 | 1 => all_come_back(&aditi, &when),
                // Both of a place's pieces may be where others' are.
                _ => drop(each_is_whole_or_named(&aditi, &when)),
            }
        }
        cluster.run_all();
    }
    aditi.run(&["Repair"]).succeeds();
    any_two_suffice(&mut cluster, &aditi, true, "uploaded with one away, and repaired");
}

#[test]
fn of_five_or_six_servers_any_two_may_be_lost() {
    for servers in [5, 6] {
        let mut cluster = Cluster::quick(servers);
        let aditi = client(&cluster);
        let pairs = [[1, 2], [2, 4], [3, 5], [1, servers]];
        let without = |cluster: &mut Cluster, away: &[usize], when: &str| {
            let up: Vec<usize> = (1..=servers).filter(|n| !away.contains(n)).collect();
            cluster.run_only(&up);
            all_come_back(&aditi, &format!("{when}, without {away:?} of {servers}"));
        };
        upload_all(&aditi);
        pairs.iter().for_each(|pair| without(&mut cluster, pair, "uploaded with all up"));
        cluster.run_all();
        cluster.wipe(2);
        aditi.run(&["Repair"]).succeeds();
        pairs.iter().for_each(|pair| without(&mut cluster, pair, "repaired"));
        // The others are four or more, so that nothing is less safe.
        cluster.run_all();
        cluster.stop(3);
        upload_all(&aditi);
        pairs.iter().for_each(|pair| without(&mut cluster, pair, "uploaded without 3"));
    }
}

// Servers that are lost in the middle.

/// Starts an upload that has come to so many bytes at a server, which is then silent.
fn stopped_after(aditi: &Client, proxy: &Proxy, sent: usize) -> Session {
    proxy.fail_after(Way::Up, sent, Fault::Silence);
    let upload = aditi.start(&["Upload", "a"]);
    proxy.wait_for_the_fault();
    upload
}

#[test]
fn two_servers_that_are_lost_at_different_moments_of_an_upload_are_replaced() {
    // A piece has 3 MiB, and an XOR follows it.
    let bytes = noise(1, 12 << 20);
    for (first, second) in [(1 << 20, 2 << 20), (1 << 20, 5 << 20), (4 << 20, 5 << 20)] {
        let mut cluster = Cluster::quick(4);
        let proxies = cluster.proxies();
        let aditi = cluster.client_through("Aditi", &proxies).with("Redundancy parity");
        aditi.put("a", &bytes);
        proxies[3].fail_after(Way::Up, second, Fault::Silence);
        let upload = stopped_after(&aditi, &proxies[1], first);
        cluster.stop(2);
        proxies[1].heal();
        proxies[3].wait_for_the_fault();
        cluster.stop(4);
        proxies[3].heal();
        upload.finish().succeeds().complains_of("Server2").complains_of("Server4");
        for lost in [1, 3] {
            cluster.stop(lost);
            client(&cluster).download("a", &bytes);
            cluster.start(lost);
        }
        // What the lost ones had got does no harm when they are back.
        cluster.run_all();
        client(&cluster).download("a", &bytes);
        client(&cluster).run(&["Repair"]).succeeds();
        assert_eq!(cluster.unsettled(), [""; 0]);
        client(&cluster).run(&["Verify", "--read"]).succeeds();
        any_two_give(&mut cluster, &bytes);
    }
}

fn any_two_give(cluster: &mut Cluster, bytes: &[u8]) {
    for up in subsets(4).filter(|up| up.len() == 2) {
        cluster.run_only(&up);
        client(cluster).download("a", bytes);
    }
    cluster.run_all();
}

#[test]
fn a_server_that_is_lost_between_stage_and_commit_costs_nothing() {
    let bytes = noise(1, 300_001);
    for lost in 1..=4 {
        let mut cluster = Cluster::quick(4);
        let proxies = cluster.proxies();
        let aditi = cluster.client_through("Aditi", &proxies).with("Redundancy parity");
        aditi.put("a", &bytes);
        proxies[lost - 1].trap("COMMIT", Trap::Hold);
        let upload = aditi.start(&["Upload", "a"]);
        proxies[lost - 1].wait_for_the_trap();
        cluster.stop(lost);
        proxies[lost - 1].release();
        upload.finish().succeeds();
        // All was staged: with another one lost, too, the other two decide and give everything.
        for other in (1..=4).filter(|n| *n != lost) {
            let up: Vec<usize> = (1..=4).filter(|n| ![lost, other].contains(n)).collect();
            cluster.run_only(&up);
            client(&cluster).download("a", &bytes);
        }
        cluster.run_all();
        client(&cluster).run(&["Repair"]).succeeds();
        assert_eq!(cluster.unsettled(), [""; 0]);
        any_two_give(&mut cluster, &bytes);
    }
}

#[test]
fn an_upload_that_is_interrupted_goes_on_with_another_server_away() {
    let bytes = noise(1, 16 << 20);
    // All pieces and XORs are on their way at the same time: of the second, some may be whole.
    for (away, sent) in [(1, 12 << 20), (3, 31 << 20)] {
        let mut cluster = Cluster::quick(4);
        let proxies = cluster.proxies_together();
        let aditi = cluster.client_through("Aditi", &proxies).with("Redundancy parity");
        aditi.put("a", &bytes);
        drop(stopped_after(&aditi, &proxies[0], sent).interrupt());
        proxies[0].cut();
        cluster.wait_until_all_left();
        cluster.stop(away);
        let again = client(&cluster);
        again.put("a", &bytes);
        let outcome = again.run(&["Upload", "a"]).succeeds();
        // Whole pieces may be taken only if every server promises that they are not needed.
        if sent < bytes.len() {
            outcome.complains_of("are on the servers already");
        }
        for lost in (1..=4).filter(|n| *n != away) {
            let up: Vec<usize> = (1..=4).filter(|n| ![lost, away].contains(n)).collect();
            cluster.run_only(&up);
            again.download("a", &bytes);
        }
        cluster.run_all();
        again.run(&["Repair"]).succeeds();
        assert_eq!(cluster.unsettled(), [""; 0]);
        any_two_give(&mut cluster, &bytes);
    }
}

#[test]
fn what_is_older_stays_until_what_is_newer_is_as_safe_as_it_can_be() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    let (old, new) = (noise(1, 1 << 20), noise(2, 1 << 20));
    aditi.upload("a", &old);
    cluster.run_only(&[1, 2]);
    aditi.upload("a", &new);
    cluster.run_all();
    let before = [3, 4].map(|n| pieces_of_all(&cluster, n));
    // The newer version bears one loss, and there is no room to do better.
    [3, 4].iter().for_each(|n| cluster.fill_disk(*n));
    aditi.run(&["Repair"]).fails_with(1);
    assert!([3, 4].map(|n| pieces_of_all(&cluster, n)) == before, "the older version was dropped");
    aditi.download("a", &new);
    [3, 4].iter().for_each(|n| cluster.empty_disk(*n));
    aditi.run(&["Repair"]).succeeds();
    any_two_give(&mut cluster, &new);
}

#[test]
fn a_server_with_a_full_disk_is_replaced_and_named() {
    let bytes = noise(1, 1 << 20);
    for full in 1..=4 {
        let mut cluster = Cluster::quick(4);
        let aditi = client(&cluster);
        cluster.fill_disk(full);
        aditi.upload("a", &bytes).complains_of(&format!("Server{full}"));
        assert!(cluster.pieces_on(full).is_empty(), "a piece without room");
        for lost in (1..=4).filter(|n| *n != full) {
            cluster.stop(lost);
            aditi.download("a", &bytes);
            cluster.start(lost);
        }
        cluster.empty_disk(full);
        aditi.run(&["Repair"]).succeeds();
        any_two_give(&mut cluster, &bytes);
    }
}
