//! libFuzzer for `fuzz_targets::ldcache`, where it says what must hold.
#![no_main]

corten_fuzz::target!(ldcache);
