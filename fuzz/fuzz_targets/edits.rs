//! libFuzzer for `fuzz_targets::edits`, where it says what must hold.
#![no_main]

corten_fuzz::target!(edits);
