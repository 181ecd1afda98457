//! Chaos: users work on four real servers while everything fails that may, one server at a time, and nothing
//! that was acknowledged is lost.
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

fn live_through(seed: u64, operations: usize) {
    say(&format!("CHAOS_SEED={seed} CHAOS_OPERATIONS={operations}"));
    match run::run(seed, operations) {
        Ok(summary) => say(&format!("seed {seed}: {summary}")),
        Err(why) => panic!("{why}"),
    }
}

#[test]
fn nothing_acknowledged_is_lost_in_a_story_that_is_always_the_same() {
    live_through(1, A_SHORT_STORY);
}

#[test]
fn nothing_acknowledged_is_lost_in_a_story_that_nobody_has_seen() {
    let seed = from_environment("CHAOS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    let operations = from_environment("CHAOS_OPERATIONS").map_or(A_SHORT_STORY, |count| count as usize);
    live_through(seed, operations);
}
