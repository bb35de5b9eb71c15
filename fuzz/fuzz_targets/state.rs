//! libFuzzer for `fuzz_targets::state`, where it says what must hold.
#![no_main]

corten_fuzz::target!(state);
