//! libFuzzer for `fuzz_targets::requirements`, where it says what must hold.
#![no_main]

corten_fuzz::target!(requirements);
