//! Files that are stored with parity: any two of four servers may be lost.

use crate::common::{Client, Cluster, noise, subsets};

/// Sizes around those at which pieces, chunks and their number change.
const SIZES: [usize; 31] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 65_535, 65_536, 65_537, 262_143, 262_144,
    262_145, 262_146, 262_147, 262_148, 524_289, 1_048_579, 3_000_001, 9_437_191,
];

fn name(size: usize) -> String {
    format!("f{size}")
}

fn client(cluster: &Cluster) -> Client {
    cluster.client("Aditi").with("Redundancy parity")
}

fn upload_all(aditi: &Client) {
    let mut commands = String::new();
    for size in SIZES {
        aditi.put(&name(size), &noise(size as u64, size));
        commands += &format!("Upload {}\n", name(size));
    }
    aditi.pipe(&commands).succeeds();
}

/// Downloads all files and compares each byte.
fn all_come_back(aditi: &Client, when: &str) {
    aditi.forget_downloads();
    let commands: String = SIZES.iter().map(|size| format!("Download {}\n", name(*size))).collect();
    aditi.pipe(&commands).succeeds();
    for size in SIZES {
        assert!(aditi.downloaded(&name(size)) == Some(noise(size as u64, size)), "{size} bytes, {when}");
    }
}

#[test]
fn any_two_of_four_servers_may_be_lost() {
    let mut cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    upload_all(&aditi);
    assert!(cluster.unsettled().is_empty(), "{:?}", cluster.unsettled());
    for n in 1..=4 {
        let pieces = cluster.pieces_on(n);
        assert_eq!(pieces.len(), 2 * SIZES.len(), "Server{n}: {pieces:?}");
    }
    for up in subsets(4).filter(|up| up.len() >= 2) {
        cluster.run_only(&up);
        all_come_back(&aditi, &format!("with {up:?}"));
    }
    for up in subsets(4).filter(|up| up.len() == 1) {
        cluster.run_only(&up);
        aditi.download_is_incomplete(&name(17));
    }
}

#[test]
fn with_one_server_down_at_the_upload_any_other_may_be_lost_afterwards() {
    for down in 1..=4 {
        let mut cluster = Cluster::quick(4);
        let aditi = client(&cluster);
        cluster.stop(down);
        upload_all(&aditi);
        for lost in (1..=4).filter(|n| *n != down) {
            let up: Vec<usize> = (1..=4).filter(|n| ![down, lost].contains(n)).collect();
            cluster.run_only(&up);
            all_come_back(&aditi, &format!("without {down} and {lost}"));
        }
    }
}
