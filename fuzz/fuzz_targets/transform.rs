//! libFuzzer for `fuzz_targets::transform`, where it says what must hold.
#![no_main]

corten_fuzz::target!(transform);
