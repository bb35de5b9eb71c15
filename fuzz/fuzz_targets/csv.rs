//! libFuzzer for `fuzz_targets::csv`, where it says what must hold.
#![no_main]

corten_fuzz::target!(csv);
