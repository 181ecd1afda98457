//! Log-in messages, verifiers and Users.conf: see `targets::scram`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::scram(input));
