//! libFuzzer for `fuzz_targets::settings`, where it says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz_targets::settings(input));
