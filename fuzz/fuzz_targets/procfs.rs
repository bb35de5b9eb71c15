//! libFuzzer for `fuzz_targets::procfs`, where it says what must hold.
#![no_main]

corten_fuzz::target!(procfs);
