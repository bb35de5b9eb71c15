//! libFuzzer for `fuzz_targets::legacy`, where it says what must hold.
#![no_main]

corten_fuzz::target!(legacy);
