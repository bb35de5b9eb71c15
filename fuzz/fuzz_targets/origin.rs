//! libFuzzer for `fuzz_targets::origin`, where it says what must hold.
#![no_main]

corten_fuzz::target!(origin);
