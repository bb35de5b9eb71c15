//! libFuzzer for `fuzz_targets::settings`, where it says what must hold.
#![no_main]

corten_fuzz::target!(settings);
