//! Every test that is not a unit test, in one crate: what they need is built and linked once.
//!
//! `cargo test --test it security::` runs the tests of one module. They share a process, so no test changes what
//! belongs to all of it: its working directory, its environment or its umask.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

mod assignment;
mod bad_input;
mod chaos;
mod chapters;
mod commit_model;
mod dependencies;
mod documents;
mod explore;
mod generations;
mod grader;
mod handout;
mod layers;
mod packaging;
mod privacy;
mod scenarios_basic;
mod scenarios_care;
mod scenarios_cat;
mod scenarios_completion;
mod scenarios_disk;
#[cfg(feature = "line-editing")]
mod scenarios_editor;
mod scenarios_faults;
mod scenarios_hang_up;
mod scenarios_input;
mod scenarios_json;
mod scenarios_limit;
mod scenarios_local;
mod scenarios_move_folder;
mod scenarios_names;
mod scenarios_output;
mod scenarios_parity;
mod scenarios_passwd;
mod scenarios_prompt;
mod scenarios_races;
mod scenarios_redownload;
mod scenarios_resume;
mod scenarios_secrets;
mod scenarios_trees;
mod scenarios_upload;
mod scenarios_verify;
mod scenarios_words;
mod scripts;
mod security;
mod slides;
mod store_faults;
