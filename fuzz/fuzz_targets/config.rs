//! libFuzzer for `fuzz_targets::config`, where it says what must hold.
#![no_main]

corten_fuzz::target!(config);
