//! .conf files: see `targets::conf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::conf(input));
