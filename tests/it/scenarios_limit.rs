//! `--limit`: how many bytes a client moves in a second. A test can only say what takes too little time.

use crate::common::{Client, Cluster, Outcome, USER, noise};
use std::time::{Duration, Instant};

/// What a test moves, at this many bytes a second.
const SIZE: usize = 256 * 1024;
const RATE: usize = 256 * 1024;

/// How long it must take to move this many bytes: all of them but the first part and what a late sleep may make up for.
fn least(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / RATE as f64 - 0.1 - 1.0 / 8.0)
}

#[track_caller]
fn takes(client: &Client, args: &[&str], least: Duration) -> Outcome {
    let begin = Instant::now();
    let outcome = client.run(args).succeeds();
    assert!(begin.elapsed() >= least, "{:?} is less than {least:?}: {outcome}", begin.elapsed());
    outcome
}

#[test]
fn a_limit_counts_all_copies_and_both_ways() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    let bytes = noise(1, SIZE);
    aditi.put("a", &bytes);
    takes(&aditi, &["Upload", "--limit", "256K", "a"], least(2 * SIZE));
    takes(&aditi, &["Download", "a", "--limit=256K"], least(SIZE));
    aditi.has_downloaded("a", &bytes);
    takes(&aditi, &["Verify", "--limit", "0.25m", "--read"], least(2 * SIZE));
}

#[test]
fn a_limit_holds_for_one_command_alone() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    let bytes = noise(1, 64 << 20);
    aditi.put("a", &bytes[..SIZE]);
    aditi.put("large", &bytes);
    // With the limit, what comes after it would take longer than a test waits.
    let begin = Instant::now();
    aditi.pipe("Upload --limit 256K a\nUpload large\nDownload large\n").succeeds();
    assert!(begin.elapsed() >= least(2 * SIZE));
    aditi.has_downloaded("large", &bytes);
}

#[test]
fn a_limit_that_is_none_or_under_which_servers_would_end_connections_is_refused() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client(USER);
    aditi.put("a", b"a");
    for rate in ["0", "5MB", "-1", "fast", ""] {
        let limit = format!("--limit={rate}");
        aditi
            .run(&["Upload", "a", &limit])
            .fails_with(2)
            .complains_of("expected bytes a second, such as 500K");
    }
    aditi.run(&["Upload", "a", "--limit"]).fails_with(2).complains_of("--limit has no value");
    aditi
        .run(&["Upload", "a", "--limit", "10K"])
        .fails_with(2)
        .complains_of(
            "--limit of 10.0 KiB a second is too low (a server ends a connection that stands still)",
        )
        .complains_of("hint: with 4 servers it must be at least 128 KiB, --limit 128K");
    aditi.run(&["Upload", "a", "--limit", "128K"]).succeeds();
    aditi
        .run(&["ShowFiles", "--limit", "5M"])
        .fails_with(2)
        .complains_of("ShowFiles has no option '--limit'");
}
