//! What must hold for any input: one function for each fuzz target.
//!
//! A function takes bytes and panics if something does not hold. `fuzz/` hands them to libFuzzer, which needs a nightly
//! toolchain; the test of this crate runs them over the committed corpus and over mutations of it, with any toolchain.
#![forbid(unsafe_code)]

mod edits;
mod names;
mod specs;
mod transform;

pub use edits::edits;
pub use names::names;
pub use specs::{read_json, read_yaml};
pub use transform::transform;

/// A fuzz target: its name, which is that of its folder of inputs, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 5] =
    [("read_json", read_json), ("read_yaml", read_yaml), ("edits", edits), ("names", names), ("transform", transform)];

/// What separates the parts of an input that has several.
const SEPARATOR: &[u8] = b"\n====\n";

/// The part before the first separator, and what follows it; nothing follows where there is none.
fn parts(input: &[u8]) -> (&[u8], &[u8]) {
    let at = input.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    at.map_or((input, b"".as_slice()), |at| (&input[..at], &input[at + SEPARATOR.len()..]))
}
