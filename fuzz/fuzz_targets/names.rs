//! libFuzzer for `fuzz_targets::names`, where it says what must hold.
#![no_main]

corten_fuzz::target!(names);
