//! Headers, claims and listings of pieces: see `targets::piece`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::piece(input));
