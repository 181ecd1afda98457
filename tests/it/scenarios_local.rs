//! What goes wrong on the client's own machine: a disk that is full, limits of the system.

use crate::common::{Client, Cluster, Trap, noise};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// What may still be written of each file.
const ROOM: usize = 128 * 1024;

/// Uploads a folder `d` of files that fit into [`ROOM`] and, as `large` and `larger`, files that do not.
fn upload_small_and_large(aditi: &Client) {
    for name in SMALL {
        aditi.put(&format!("d/{name}"), &noise(1, ROOM / 2));
    }
    aditi.put("d/large", &noise(2, 4 * ROOM));
    // So much that the rest is not worth waiting for.
    aditi.put("d/larger", &noise(3, 24 << 20));
    aditi.run(&["Upload", "d"]).succeeds();
}

const SMALL: [&str; 4] = ["a", "b", "m", "z"];

#[track_caller]
fn only_small_ones_have_come(aditi: &Client) {
    SMALL.iter().for_each(|name| aditi.has_downloaded(&format!("d/{name}"), &noise(1, ROOM / 2)));
    assert_eq!(crate::common::disk::files_below(&aditi.downloads()).len(), SMALL.len());
}

#[test]
fn files_that_cannot_be_written_to_the_end_cost_no_other_file_and_no_server() {
    let cluster = Cluster::quick(4);
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    upload_small_and_large(&aditi);
    proxies.iter().for_each(|proxy| proxy.trap("READ", Trap::Hold));
    let download = aditi.shell("trap '' XFSZ; exec $client Download d");
    proxies.iter().for_each(|proxy| proxy.wait_for_the_trap());
    // The files have their sizes by now; from here on no write goes beyond this.
    let limit = Rlimit { current: Some(ROOM as u64), maximum: Some(ROOM as u64) };
    prlimit(Pid::from_raw(download.id().cast_signed()), Resource::Fsize, limit).unwrap();
    proxies.iter().for_each(|proxy| proxy.release());
    let outcome = download.finish().fails_with(1).does_not_complain_of("server");
    outcome.complains_of("d/large' (file too large").complains_of("d/larger' (file too large");
    only_small_ones_have_come(&aditi);
}

#[test]
fn a_limit_on_the_size_of_files_costs_those_that_are_larger_and_ends_nothing() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    upload_small_and_large(&aditi);
    // In blocks of 512 bytes.
    let download = aditi.shell(&format!("ulimit -f {}; exec $client Download d", ROOM / 512));
    let outcome = download.finish().fails_with(1).does_not_complain_of("server");
    outcome.complains_of("d/large' (file too large").complains_of("d/larger' (file too large");
    only_small_ones_have_come(&aditi);
}

#[test]
fn with_few_descriptors_many_files_go_up_and_come_back() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let names: Vec<String> = (0..300).map(|number| format!("d/{number}")).collect();
    names.iter().for_each(|name| aditi.put(name, name.as_bytes()));
    for command in ["Upload d", "Download d"] {
        aditi.shell(&format!("ulimit -n 64; exec $client {command}")).finish().succeeds();
    }
    names.iter().for_each(|name| aditi.has_downloaded(name, name.as_bytes()));
    // The limit that a shell sets with -S can be raised again.
    aditi.shell("ulimit -S -n 8; exec $client Download d").finish().succeeds();
}

#[test]
fn a_full_disk_costs_the_files_that_do_not_fit_and_is_reported_once() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    upload_small_and_large(&aditi);
    // A disk of our own, with room for the small files alone.
    let own = |commands: &str| {
        let disk = format!("mount -t tmpfs -o size={} none Downloads", SMALL.len() * ROOM / 2 + 96 * 1024);
        let commands = format!("{disk} && {{ {commands}; }}");
        aditi.shell(&format!("mkdir -p Downloads; export client; exec unshare -rm sh -c '{commands}'"))
    };
    if own("echo there").finish().stdout != "there\n" {
        eprintln!("not tested: this user may not mount a disk of its own");
        return;
    }
    let outcome = own("$client Download d; echo $?; ls Downloads/Aditi/d").finish().succeeds();
    let outcome = outcome.prints(&[&["1"], &SMALL[..]].concat()).does_not_complain_of("server");
    let reported = [
        "Client: error: cannot write to 'Downloads/Aditi' (No space left on device (os error 28))",
        "Client: error: the same for 1 more file",
        "Client: warning: 4 files downloaded, 2 failed (256 KiB)",
    ];
    assert_eq!(outcome.stderr.lines().collect::<Vec<_>>(), reported);
    let read_only = "mount -o remount,ro Downloads; $client Download d; echo $?";
    let outcome = own(read_only).finish().succeeds().prints(&["1"]).does_not_complain_of("server");
    let reported = [
        "Client: error: cannot write to 'Downloads/Aditi' (Read-only file system (os error 30))",
        "Client: error: the same for 6 more files",
        "Client: warning: 0 files downloaded, 7 failed",
    ];
    assert_eq!(outcome.stderr.lines().collect::<Vec<_>>(), reported);
}
