//! Chaos: users work on four real servers while everything fails that may, one server at a time, or two with parity, and
//! nothing that was acknowledged is lost.
//!
//! `make chaos` runs a long story; `CHAOS_SEED` and `CHAOS_OPERATIONS` choose another one. The story of a
//! seed is always the same; how the processes interleave is not, so a failure may need several runs to return.

mod judge;
mod model;
mod network;
mod random;
mod run;
mod story;
mod world;

use shareit::placement::Scheme;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;

/// Operations of a story that runs with all other tests.
const A_SHORT_STORY: usize = 200;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().unwrap())
}

/// Not by `println!`: the seed should be seen even while the test is still running, and if it passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "chaos: {text}");
}

fn live_through(seed: u64, scheme: Scheme, operations: usize) {
    say(&format!("CHAOS_SEED={seed} CHAOS_OPERATIONS={operations}, {scheme:?}"));
    match run::run(seed, scheme, operations) {
        Ok(summary) => say(&format!("seed {seed}: {summary}")),
        Err(why) => panic!("{why}"),
    }
}

#[test]
fn nothing_acknowledged_is_lost_in_a_story_that_is_always_the_same() {
    live_through(1, Scheme::Copies, A_SHORT_STORY);
}

#[test]
fn nothing_acknowledged_is_lost_in_a_story_with_parity_in_which_two_servers_fail_at_a_time() {
    live_through(1, Scheme::Parity, A_SHORT_STORY);
}

fn live_through_another(scheme: Scheme) {
    let seed = from_environment("CHAOS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    let operations = from_environment("CHAOS_OPERATIONS").map_or(A_SHORT_STORY, |count| count as usize);
    live_through(seed, scheme, operations);
}

#[test]
fn nothing_acknowledged_is_lost_in_a_story_that_nobody_has_seen() {
    live_through_another(Scheme::Copies);
}

#[test]
fn nothing_acknowledged_is_lost_in_a_story_with_parity_that_nobody_has_seen() {
    live_through_another(Scheme::Parity);
}
