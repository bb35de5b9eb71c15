//! libFuzzer for `fuzz_targets::kept`, where it says what must hold.
#![no_main]

corten_fuzz::target!(kept);
