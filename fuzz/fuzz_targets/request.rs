//! libFuzzer for `fuzz_targets::request`, where it says what must hold.
#![no_main]

corten_fuzz::target!(request);
