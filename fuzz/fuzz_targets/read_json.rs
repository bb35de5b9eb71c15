//! libFuzzer for `fuzz_targets::read_json`, where it says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz_targets::read_json(input));
