//! libFuzzer for `fuzz_targets::ldconf`, where it says what must hold.
#![no_main]

corten_fuzz::target!(ldconf);
