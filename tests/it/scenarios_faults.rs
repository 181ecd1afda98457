//! Servers that are down, silent, old, empty or die in the middle. The result is the right bytes, or a clear message
//! and no file.

use crate::common::{Cluster, Fault, Outcome, Proxy, Session, Way, disk, noise, subsets};
use std::time::{Duration, Instant};

/// Four files that, with the usual four servers, are in different rows of the placement table.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Large enough that no buffer between a client and a server takes a piece of it whole.
const LARGE: usize = 48 << 20;
/// More than the buffers hold, and little enough to be recorded.
const MEDIUM: usize = 12 << 20;

#[test]
fn with_any_subset_of_servers_a_file_is_right_or_reported_as_incomplete() {
    let mut cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi");
    for (seed, name) in (1..).zip(NAMES) {
        aditi.put(name, &noise(seed, 90_000));
    }
    aditi.pipe("Upload a\nUpload b\nUpload c\nUpload d\n").succeeds();

    for up in subsets(4) {
        cluster.run_only(&up);
        aditi.forget_downloads();
        let outcome = aditi.pipe("ShowFiles\nDownload a\nDownload b\nDownload c\nDownload d\n");
        if up.is_empty() {
            outcome.fails_with(4);
            aditi.has_no_downloads();
            continue;
        }
        let copies = NAMES.map(|name| cluster.copies_on(&up, name));
        let listing: Vec<String> =
            NAMES.iter().zip(copies).map(|(name, copies)| format!("{name}{}", mark(copies))).collect();
        let all_whole = !copies.contains(&0);
        let outcome = outcome.exits(if all_whole { 0 } else { 1 });
        assert_eq!(outcome.lines(), listing, "with {up:?}: {outcome}");
        for ((seed, name), copies) in (1..).zip(NAMES).zip(copies) {
            let expected = (copies > 0).then(|| noise(seed, 90_000));
            assert!(aditi.downloaded(name) == expected, "{name} with {up:?}");
        }
        if !all_whole {
            outcome.complains_of("incomplete");
        }
    }
}

/// What ShowFiles puts next to a name if two copies are wanted.
fn mark(copies: usize) -> &'static str {
    match copies {
        0 => " [incomplete]",
        1 => " [degraded]",
        _ => "",
    }
}

#[test]
fn with_one_server_down_at_upload_any_other_may_be_lost_afterwards() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for down in 1..=4 {
        let bytes = noise(down as u64, 120_000);
        let name = format!("without{down}");
        cluster.run_all();
        cluster.stop(down);
        aditi.upload(&name, &bytes);
        for lost in (1..=4).filter(|n| *n != down) {
            cluster.stop(lost);
            aditi.download(&name, &bytes);
            cluster.start(lost);
        }
    }
}

#[test]
fn with_two_servers_down_at_upload_either_of_the_rest_may_be_lost_afterwards() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 120_000);
    cluster.run_only(&[2, 3]);
    aditi.upload("a", &bytes);
    for left in [2, 3] {
        cluster.run_only(&[left]);
        aditi.download("a", &bytes);
    }
}

#[test]
fn with_one_server_up_an_upload_is_done_with_a_warning() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    cluster.run_only(&[3]);
    aditi.upload("a", b"one copy").complains_of("warning");
    aditi.download("a", b"one copy");
}

#[test]
fn with_no_server_up_the_client_ends_with_exit_status_four() {
    let mut cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi");
    cluster.run_only(&[]);
    aditi.pipe("ShowFiles\n").fails_with(4).prints(&[]);
}

#[test]
fn a_folder_of_many_long_names_comes_back_with_any_server_down() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    // More READs than are sent ahead of their replies.
    let name = |number| format!("all/{}{number}", "long".repeat(50));
    (1..=110).for_each(|number| aditi.put(&name(number), &noise(number, 100)));
    aditi.run(&["Upload", "all"]).succeeds();
    for down in 1..=4 {
        let up: Vec<usize> = (1..=4).filter(|&server| server != down).collect();
        cluster.run_only(&up);
        aditi.forget_downloads();
        let outcome = aditi.run(&["Download", "all", "--trace"]).succeeds();
        // One finds out what the name is, one begins: the list leaves nothing in doubt, and none begins again.
        assert_eq!(outcome.stderr.matches("survey took").count(), 2, "{outcome}");
        for number in 1..=110 {
            assert!(aditi.downloaded(&name(number)) == Some(noise(number, 100)), "{number} without {down}");
        }
    }
}

#[test]
fn a_failed_download_leaves_the_older_download_alone() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"before");
    aditi.download("a", b"before");
    aditi.upload("a", b"after");
    cluster.run_only(&[2, 3]);
    aditi.run(&["Download", "a"]).fails_with(1).complains_of("incomplete");
    aditi.has_downloaded("a", b"before");
    assert_eq!(disk::files_below(&aditi.downloads()), ["a"]);
}

#[test]
fn a_server_that_is_silent_at_login_is_passed_over() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 100_000);
    aditi.put("a", &bytes);
    cluster.pause(3);
    aditi.pipe("Upload a\nDownload a\n").succeeds().complains_of("Server3");
    aditi.has_downloaded("a", &bytes);

    // What was acknowledged without Server3 survives the loss of one more.
    cluster.stop(4);
    aditi.download("a", &bytes);
}

/// The others have only so much time for a login, and the client waits for longer than that.
#[test]
fn a_server_that_is_silent_at_login_for_long_does_not_keep_the_client_from_the_others() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi").with("Timeout 4");
    let bytes = noise(3, 20_000);
    aditi.upload("file", &bytes);
    cluster.pause(1);

    aditi.download("file", &bytes).complains_of("Server1").does_not_complain_of("Server2");

    cluster.wait_for_log(2, "login took too long");
}

#[test]
fn a_server_that_falls_silent_in_a_session_is_passed_over() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let (a, b) = (noise(1, 100_000), noise(2, 100_000));
    aditi.put("a", &a);
    aditi.put("b", &b);
    let mut session = aditi.session();
    session.send("Upload a\nShowFiles");
    session.wait_for("a");
    cluster.pause(2);
    session.send("Download a\nUpload b\nDownload b");
    session.finish().succeeds().complains_of("Server2");
    aditi.has_downloaded("a", &a);
    aditi.has_downloaded("b", &b);

    // Awake again, it reads what was sent to it long ago. That must not undo anything.
    cluster.resume(2);
    aditi.download("a", &a);
    aditi.download("b", &b);
}

/// How long something takes.
fn time(something: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    something();
    begin.elapsed()
}

/// With this `Timeout` a client waits 6 s for a server that does not answer its login.
const LONG_LOGIN: &str = "Timeout 2";

#[test]
fn several_servers_that_are_silent_at_login_cost_no_more_time_than_one() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi").with(LONG_LOGIN);
    aditi.upload("a", b"bytes");
    let mut show = |n| {
        cluster.pause(n);
        time(|| drop(aditi.run(&["ShowFiles"]).succeeds().complains_of(&format!("Server{n}"))))
    };
    let (one, _, three) = (show(1), show(2), show(3));
    assert!(three < 2 * one, "{three:?}, and for one server {one:?}");
}

/// Whatever it asks, and however often: the limits on answers are 20 and 40 s here.
#[test]
fn servers_that_fall_silent_at_a_prompt_cost_a_command_no_more_than_a_login() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi").with(LONG_LOGIN);
    ["a", "b", "c"].iter().for_each(|name| drop(aditi.upload(name, b"bytes")));
    aditi.put("d", b"bytes");
    let commands =
        ["ShowFiles", "Upload d", "Download a", "Delete b", "Move c e", "Status", "Verify", "Repair"];
    let sessions = commands.map(|command| {
        let mut session = aditi.session();
        session.send("ShowFiles");
        session.wait_for("a");
        (session, command)
    });
    [1, 3].iter().for_each(|&n| cluster.pause(n));
    let login = time(|| drop(aditi.run(&["ShowFiles"]).succeeds()));
    let all = time(|| {
        let sent = sessions.map(|(mut session, command)| {
            session.send(command);
            session
        });
        for outcome in sent.map(Session::finish) {
            assert!(outcome.to_string().contains("did not answer in time"), "{outcome}");
        }
    });
    assert!(all < 2 * login, "{all:?}, and for a login {login:?}");
}

#[test]
fn a_server_is_asked_for_a_sign_of_life_before_a_command_but_not_right_after_its_login_nor_in_the_middle() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    // More than one batch of every command.
    (0..150).for_each(|n| aditi.put(&format!("d/{n}"), b"bytes"));
    let pings = |outcome: Outcome| outcome.succeeds().stderr.matches("-> Server1 PING").count();
    for command in ["Upload d", "ShowFiles", "Download .", "Verify -r", "Repair", "Delete -r d"] {
        let args: Vec<&str> = command.split(' ').chain(["--trace"]).collect();
        assert_eq!(pings(aditi.run(&args)), 0, "{command}");
        aditi.run(&["Upload", "d"]).succeeds();
        let second = format!("ShowFiles\n{command} --trace\n");
        assert_eq!(pings(aditi.pipe(&second)), 1, "{command}");
    }
}

#[test]
fn a_session_outlives_the_death_of_a_server() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let (old, new) = (noise(1, 100_000), noise(2, 100_000));
    aditi.put("a", &old);
    let mut session = aditi.session();
    session.send("Upload a\nShowFiles");
    session.wait_for("a");
    cluster.stop(1);
    aditi.put("a", &new);
    session.send("Download a\nUpload a");
    session.finish().succeeds();
    aditi.has_downloaded("a", &old);
    aditi.download("a", &new);
}

#[test]
fn a_session_outlives_the_restart_of_every_server() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 100_000);
    aditi.put("a", &bytes);
    aditi.put("b", &bytes);
    let mut session = aditi.session();
    session.send("Upload a\nShowFiles");
    session.wait_for("a");
    (1..=4).for_each(|n| cluster.restart(n));
    session.send("Download a\nUpload b\nDownload b");
    session.finish().succeeds();
    aditi.has_downloaded("a", &bytes);
    aditi.has_downloaded("b", &bytes);
    for piece in 1..=4 {
        assert_eq!(cluster.holders("b", piece).len(), 2, "piece {piece}");
    }
}

#[test]
fn a_server_that_missed_a_newer_version_does_not_bring_the_old_one_back() {
    for absent in 1..=4 {
        let mut cluster = Cluster::quick(4);
        let aditi = cluster.client("Aditi");
        let (old, new) = (noise(1, 50_000), noise(2, 50_000));
        aditi.upload("a", &old);
        cluster.stop(absent);
        aditi.upload("a", &new);

        // Any one more may be lost now, and with two lost it is the newest or nothing.
        let present: Vec<usize> = (1..=4).filter(|n| *n != absent).collect();
        cluster.run_all();
        aditi.download("a", &new);
        for lost in subsets(4).filter(|s| [1, 2].contains(&s.len()) && !s.contains(&absent)) {
            let knowing: Vec<usize> = present.iter().copied().filter(|n| !lost.contains(n)).collect();
            cluster.run_all();
            lost.iter().for_each(|n| cluster.stop(*n));
            if cluster.copies_on(&knowing, "a") > 0 {
                aditi.download("a", &new);
            } else {
                assert_eq!(lost.len(), 2, "one more server may be lost");
                aditi.download_is_incomplete("a");
            }
        }
    }
}

#[test]
fn a_second_listing_sees_what_became_of_a_piece_since_the_first() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 100_000));
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    let server = (1..=4).find(|&n| cluster.piece_file(n, "a", 1).exists()).unwrap();
    // In the header, with which the length stays the same.
    cluster.edit_piece(server, "a", 1, |bytes| bytes[20] ^= 1);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a [degraded]"]);
    cluster.edit_piece(server, "a", 1, |bytes| bytes[20] ^= 1);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
}

#[test]
fn an_empty_new_disk_costs_a_copy_but_no_file() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 100_000);
    aditi.upload("a", &bytes);
    cluster.wipe(1);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a [degraded]"]);
    aditi.download("a", &bytes);

    // The next upload is whole again.
    aditi.upload("a", &bytes);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
}

#[test]
fn a_server_that_dies_in_the_middle_of_an_upload_is_replaced() {
    let mut cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    let bytes = noise(1, LARGE);
    aditi.put("a", &bytes);
    proxies[1].fail_after(Way::Up, 1 << 20, Fault::Silence);
    let upload = aditi.start(&["Upload", "a"]);
    proxies[1].wait_for_the_fault();
    cluster.stop(2);
    proxies[1].heal();
    upload.finish().succeeds().complains_of("Server2");

    // It means two copies on those who live, so one more may go.
    for lost in [1, 3, 4] {
        assert!(cluster.copies_on(&[1, 3, 4], "a") >= 2);
        cluster.stop(lost);
        cluster.client("Aditi").download("a", &bytes);
        cluster.start(lost);
    }
}

/// What went up through all proxies, in bytes.
fn sent(proxies: &[Proxy]) -> usize {
    proxies.iter().map(|proxy| proxy.recorded(Way::Up).len()).sum()
}

#[test]
fn a_server_that_dies_in_the_middle_of_an_upload_costs_what_it_held_and_no_more() {
    let mut cluster = Cluster::quick(4);
    for (fault, many) in [(Fault::Cut, false), (Fault::HangUp, false), (Fault::Cut, true)] {
        let proxies = cluster.proxies();
        let aditi = cluster.client_through("Aditi", &proxies);
        let names: Vec<String> = match many {
            true => (0..60).map(|number| format!("many/{number}")).collect(),
            false => vec!["one/a".to_owned()],
        };
        let size = MEDIUM / names.len();
        names.iter().for_each(|name| aditi.put(name, &noise(7, size)));
        proxies[2].fail_after(Way::Up, MEDIUM / 4, fault);
        let outcome = aditi.run(&["Upload", if many { "many" } else { "one" }]).succeeds();
        if fault == Fault::Cut {
            outcome.complains_of("Server3");
        }
        // Two copies, and what the lost server had got.
        let most = 2 * MEDIUM + MEDIUM / 4 + (1 << 20);
        assert!(sent(&proxies) < most, "{} bytes for {MEDIUM}", sent(&proxies));
        for name in &names {
            match fault {
                Fault::Cut => assert!(cluster.copies_on(&[1, 2, 4], name) >= 2, "{name}"),
                _ => cluster.has_equal_copies(name, 2),
            }
            cluster.client("Aditi").download(name, &noise(7, size));
        }
        // What Server3 is left with is settled by the next command on the file.
        cluster.client("Aditi").run(&["Repair"]).succeeds();
        assert_eq!(cluster.unsettled(), [""; 0]);
        cluster.client("Aditi").run(&["Delete", "-r", "."]).succeeds();
    }
    cluster.run_all();
}

#[test]
fn a_server_that_falls_silent_in_the_middle_of_an_upload_is_replaced() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    let bytes = noise(1, LARGE);
    aditi.put("a", &bytes);
    proxies[3].fail_after(Way::Up, 1 << 20, Fault::Silence);
    aditi.run(&["Upload", "a"]).succeeds().complains_of("Server4");
    assert!(cluster.copies_on(&[1, 2, 3], "a") >= 2);
}

#[test]
fn nothing_is_staged_on_servers_that_have_fallen_silent_with_one_in_the_middle_of_an_upload() {
    let mut cluster = Cluster::quick(7);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.upload("a", b"bytes");
    let (holders, others): (Vec<usize>, Vec<usize>) =
        (1..=7).partition(|&n| !cluster.pieces_on(n).is_empty());
    // The holder of the last piece: those on the ring after it come next.
    let victim = cluster.holders("a", 4)[0];
    assert_eq!((holders.len(), others.len()), (5, 2));
    let bytes = noise(1, LARGE);
    aditi.put("a", &bytes);
    proxies[victim - 1].fail_after(Way::Up, 1 << 20, Fault::Silence);
    let upload = aditi.start(&["Upload", "a", "--trace"]);
    proxies[victim - 1].wait_for_the_fault();
    others.iter().for_each(|&n| cluster.pause(n));
    let mut outcome = upload.finish().succeeds();
    for n in others {
        outcome = outcome.complains_of(&format!("Server{n} is down (did not answer in time)"));
        assert!(!outcome.stderr.contains(&format!("-> Server{n} STAGE")), "{outcome}");
    }
    assert!(
        holders.iter().filter(|&&n| n != victim).map(|&n| cluster.pieces_on(n).len()).sum::<usize>() == 8
    );
    cluster.client("Aditi").download("a", &bytes);
}

#[test]
fn what_a_server_did_not_finish_sending_comes_from_the_other_holder() {
    for fault in [Fault::Cut, Fault::Silence] {
        let cluster = Cluster::quick(4);
        let bytes = noise(1, 4 << 20);
        cluster.client("Aditi").upload("a", &bytes);

        for n in [1, 3] {
            let proxies = cluster.proxies();
            let aditi = cluster.client_through("Aditi", &proxies);
            // Whichever order the client reads in, one of these must send more than this.
            proxies[n - 1].fail_after(Way::Down, 300_000, fault);
            aditi.download("a", &bytes);
        }
    }
}

#[test]
fn a_file_whose_holders_both_fall_away_in_the_middle_is_incomplete_and_not_begun() {
    let cluster = Cluster::quick(4);
    let bytes = noise(1, 4 << 20);
    cluster.client("Aditi").upload("a", &bytes);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    for holder in cluster.holders("a", 2) {
        proxies[holder - 1].fail_after(Way::Down, 100_000, Fault::Cut);
    }
    aditi.download_is_incomplete("a");
}

#[test]
fn an_upload_that_is_killed_half_way_leaves_the_older_file_and_the_next_one_tidies_up() {
    let cluster = Cluster::quick(4);
    let (old, new) = (noise(1, 100_000), noise(2, 100_000));
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &old);

    let proxies = cluster.proxies();
    let killed = cluster.client_through("Aditi", &proxies);
    killed.put("a", &noise(3, LARGE));
    proxies[2].fail_after(Way::Up, 1 << 20, Fault::Silence);
    let upload = killed.start(&["Upload", "a"]);
    proxies[2].wait_for_the_fault();
    upload.kill();
    drop(proxies);

    aditi.download("a", &old);
    aditi.upload("a", &new);
    aditi.download("a", &new);
    for n in 1..=4 {
        assert_eq!(cluster.pieces_on(n).len(), 2, "on Server{n}");
    }
}

#[test]
fn a_first_upload_that_is_killed_half_way_never_happened() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let killed = cluster.client_through("Aditi", &proxies);
    killed.put("a", &noise(3, LARGE));
    proxies[0].fail_after(Way::Up, 1 << 20, Fault::Silence);
    let upload = killed.start(&["Upload", "a"]);
    proxies[0].wait_for_the_fault();
    upload.kill();
    drop(proxies);

    let aditi = cluster.client("Aditi");
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
    aditi.run(&["Download", "a"]).fails_with(1);
    aditi.has_no_downloads();
}
