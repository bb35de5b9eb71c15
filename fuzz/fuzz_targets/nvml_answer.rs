//! libFuzzer for `fuzz_targets::nvml_answer`, where it says what must hold.
#![no_main]

corten_fuzz::target!(nvml_answer);
