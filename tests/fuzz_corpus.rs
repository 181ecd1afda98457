//! The kept inputs of the fuzz targets, as they are and with small changes.
//!
//! `make fuzz` has a fuzzer look for new ones that reach other code. Without a C++ compiler to build it, this test
//! takes its place: it makes changes for `FUZZ_SECONDS` seconds, blindly but always the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "there it is a library of its own")]
mod targets;

use shareit::sealed::Header;
use shareit::wire::{Login, Reply, Request, StageEnd, read_line};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// Changes to each kept input in a run of all tests.
const CHANGES: usize = 400;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Not in the order of the file system, which is never the same.
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Reports the input before the panic of a target ends the test.
fn try_input(name: &str, target: Target, input: &[u8]) {
    let outcome = std::panic::catch_unwind(|| target(input));
    assert!(outcome.is_ok(), "{name} fails on \"{}\"", input.escape_ascii());
}

/// Marsaglia's xorshift64.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

/// One to four changes: a bit, a byte that means something, a part taken out, doubled, or from another input.
fn changed(input: &[u8], other: &[u8], state: &mut u64) -> Vec<u8> {
    const TELLING: &[u8] = b" \n\r\0,=:%/.-0919aZ+\xff\x7f";
    let mut bytes = input.to_vec();
    for _ in 0..1 + next(state) % 4 {
        let at = next(state) % (bytes.len() + 1);
        let length = next(state) % (1 + (bytes.len() - at).min(40));
        let telling = TELLING[next(state) % TELLING.len()];
        match next(state) % 7 {
            0 if at < bytes.len() => bytes[at] ^= 1 << (next(state) % 8),
            1 if at < bytes.len() => bytes[at] = telling,
            2 => bytes.insert(at, telling),
            3 => drop(bytes.drain(at..at + length)),
            4 => {
                let part = bytes[at..at + length].to_vec();
                drop(bytes.splice(at..at, part));
            }
            5 => bytes.truncate(at),
            _ => {
                let from = next(state) % (other.len() + 1);
                let to = other.len().min(from + length);
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
        }
    }
    bytes
}

#[test]
fn every_kept_input_is_handled() {
    for (name, target) in TARGETS {
        let inputs = corpus(name);
        assert!(inputs.len() >= 5, "{name} has hardly any inputs");
        inputs.iter().for_each(|input| try_input(name, target, input));
    }
}

/// An input of an older format would be refused at once, and show nothing.
#[test]
fn the_kept_headers_and_requests_are_of_the_present_format() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for name in [
        "header",
        "header-empty-file",
        "header-largest-file",
        "header-tombstone",
        "header-link",
        "header-folder",
    ] {
        assert!(Header::decode(&fs::read(folder.join("piece").join(name)).unwrap()).is_ok(), "piece/{name}");
    }
    for name in ["delete", "download", "move", "repair", "upload"] {
        let lines = fs::read(folder.join("line").join(name)).unwrap();
        let mut lines = &lines[..];
        while let Ok(line) = read_line(&mut lines) {
            let is_known = Request::parse(&line).is_ok() || StageEnd::parse(&line).is_ok();
            assert!(
                is_known || Login::parse(&line).is_ok() || Reply::parse(&line).is_ok(),
                "line/{name}: {line}"
            );
        }
    }
}

#[test]
fn every_kept_input_is_handled_after_small_changes() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().map(|text| text.parse().unwrap());
    for (name, target) in TARGETS {
        let (begin, inputs, mut state) = (Instant::now(), corpus(name), 0x5EED_5EED);
        let is_over = |round: usize| match seconds {
            Some(seconds) => begin.elapsed() >= Duration::from_secs(seconds),
            None => round == CHANGES,
        };
        let mut round = 0;
        while !is_over(round) {
            for input in &inputs {
                let other = &inputs[next(&mut state) % inputs.len()];
                try_input(name, target, &changed(input, other, &mut state));
            }
            round += 1;
        }
        println!("{name}: {} inputs", round * inputs.len());
    }
}

/// Its Cargo.lock is not looked at by any other test, and `make fuzz` refuses one that does not match.
#[test]
fn the_fuzz_targets_are_built_with_the_dependencies_that_the_library_has() {
    let read = |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let (manifest, lock) = (read("Cargo.toml"), read("fuzz/Cargo.lock"));
    let section = manifest.split_once("\n[dependencies]\n").unwrap().1.split("\n[").next().unwrap();
    let always = section.lines().filter(|line| !line.contains("optional = true"));
    let wanted: Vec<&str> = always.filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    let package =
        lock.split("\n[[package]]\n").find(|package| package.starts_with("name = \"shareit\"")).unwrap();
    let locked: Vec<&str> =
        package.lines().filter_map(|line| line.strip_prefix(" \"")?.strip_suffix("\",")).collect();
    assert!(wanted.len() > 5, "{wanted:?}");
    assert_eq!(locked, wanted, "run `cargo fetch --manifest-path fuzz/Cargo.toml`");
}
