//! Lines, requests and replies: see `targets::line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::line(input));
