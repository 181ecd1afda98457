//! Damage in any bit of a piece or an XOR.

use super::client;
use crate::common::{Client, Cluster, disk, noise};
use std::collections::BTreeMap;

/// With 20 encrypted bytes, their nonce and one hash, the file of a piece of such a name has so many (`docs/FORMAT.md`).
const PIECE_FILE: usize = 305;

fn path(at: usize) -> String {
    format!("d/{at:03}")
}

fn bytes_of(at: usize) -> Vec<u8> {
    noise(at as u64, 80)
}

fn disks(cluster: &Cluster) -> Vec<BTreeMap<String, Vec<u8>>> {
    (1..=4).map(|n| disk::tree(&cluster.user_folder(n, "Aditi"))).collect()
}

/// One small file for each byte of a piece file.
fn stored() -> (Cluster, Client) {
    let cluster = Cluster::quick(4);
    let aditi = client(&cluster);
    (0..PIECE_FILE).for_each(|at| aditi.put(&path(at), &bytes_of(at)));
    aditi.run(&["Upload", "d"]).succeeds();
    (cluster, aditi)
}

/// Turns bits in byte `at` of a piece of each file, one of the `numbers` that is not on the server `without`. Gives the
/// server and the number of each.
fn damage(cluster: &Cluster, numbers: [usize; 4], without: usize, bits: u8) -> Vec<(usize, usize)> {
    let of_file = |at: usize| {
        let found = numbers.iter().map(|piece| (cluster.holders(&path(at), *piece)[0], *piece));
        let elsewhere: Vec<(usize, usize)> = found.filter(|(holder, _)| *holder != without).collect();
        let (holder, piece) = elsewhere[at % elsewhere.len()];
        cluster.edit_piece(holder, &path(at), piece, |bytes| {
            assert_eq!(bytes.len(), PIECE_FILE);
            bytes[at] ^= bits;
        });
        (holder, piece)
    };
    (0..PIECE_FILE).map(of_file).collect()
}

const PIECES: [usize; 4] = [1, 2, 3, 4];
const XORS: [usize; 4] = [5, 6, 7, 8];

#[test]
fn any_bit_of_a_piece_or_an_xor_may_be_wrong_while_a_server_is_away() {
    let (mut cluster, aditi) = stored();
    for bit in 0..8 {
        for numbers in [PIECES, XORS] {
            let away = 1 + (bit + numbers[0] / 4) % 4;
            let damaged = damage(&cluster, numbers, away, 1 << bit);
            cluster.stop(away);
            aditi.forget_downloads();
            let outcome = aditi.run(&["Download", "d"]).succeeds();
            for at in 0..PIECE_FILE {
                let when = format!("bit {bit} of byte {at}, without {away}");
                assert!(aditi.downloaded(&path(at)) == Some(bytes_of(at)), "{when}: {outcome}");
            }
            cluster.start(away);
            for (at, (holder, piece)) in damaged.into_iter().enumerate() {
                cluster.edit_piece(holder, &path(at), piece, |bytes| bytes[at] ^= 1 << bit);
            }
        }
    }
    aditi.run(&["Verify"]).succeeds();
}

#[test]
fn with_two_servers_away_a_wrong_bit_costs_the_file_and_gives_no_wrong_byte() {
    let (mut cluster, aditi) = stored();
    for (numbers, away) in [(PIECES, [1, 2]), (XORS, [2, 4]), (XORS, [3, 4])] {
        cluster.run_all();
        let damaged = damage(&cluster, numbers, away[0], 0x10);
        away.iter().for_each(|n| cluster.stop(*n));
        aditi.forget_downloads();
        let outcome = aditi.run(&["Download", "d"]);
        for (at, (holder, piece)) in damaged.into_iter().enumerate() {
            let found = aditi.downloaded(&path(at));
            let right = found.is_some();
            assert!(found.is_none_or(|found| found == bytes_of(at)), "wrong bytes: byte {at}, {outcome}");
            let says = format!("cannot rebuild {} [incomplete]", path(at));
            assert!(right || outcome.stderr.contains(&says), "no word of byte {at}: {outcome}");
            assert!(right || !away.contains(&holder), "byte {at} on a server that is away: {outcome}");
            cluster.edit_piece(holder, &path(at), piece, |bytes| bytes[at] ^= 0x10);
        }
    }
}

#[test]
fn any_byte_of_an_xor_that_is_wrong_is_found_and_made_again() {
    let (cluster, aditi) = stored();
    let whole = disks(&cluster);
    for bits in [0x01, 0x80] {
        let damaged = damage(&cluster, XORS, 0, bits);
        let outcome = aditi.run(&["Verify", "-r"]).fails_with(1);
        for (at, (holder, _)) in damaged.iter().enumerate() {
            let is_named =
                |line: &&str| line.contains(&path(at)) && line.contains(&format!("Server{holder}"));
            assert!(outcome.lines().iter().any(is_named), "byte {at} was not found: {outcome}");
        }
        aditi.run(&["Repair"]).succeeds();
        aditi.run(&["Verify"]).succeeds();
        assert!(disks(&cluster) == whole, "made again, but not as it was");
    }
}
