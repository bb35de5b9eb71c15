//! libFuzzer for `fuzz_targets::read_yaml`, where it says what must hold.
#![no_main]

corten_fuzz::target!(read_yaml);
