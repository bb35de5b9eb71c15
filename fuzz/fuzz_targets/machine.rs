//! libFuzzer for `fuzz_targets::machine`, where it says what must hold.
#![no_main]

corten_fuzz::target!(machine);
