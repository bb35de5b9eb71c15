//! libFuzzer for `fuzz_targets::elf`, where it says what must hold.
#![no_main]

corten_fuzz::target!(elf);
