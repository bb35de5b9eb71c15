//! libFuzzer for `fuzz_targets::hook_values`, where it says what must hold.
#![no_main]

corten_fuzz::target!(hook_values);
