//! What must hold for any input: one function for each fuzz target.
//!
//! A function takes bytes and panics if something does not hold. `fuzz/` hands them to libFuzzer (`cargo xtask fuzz`, or
//! cargo-fuzz with a nightly toolchain); the test of this crate runs them over the committed corpus and over mutations of it.
#![forbid(unsafe_code)]

mod config;
mod csv;
mod edits;
mod elf;
mod hook_values;
mod ldcache;
mod ldconf;
mod legacy;
mod machine;
mod names;
mod nvml;
mod origin;
mod procfs;
mod request;
mod requirements;
mod settings;
mod specs;
mod state;
mod transform;

pub use config::config;
pub use csv::csv;
pub use edits::edits;
pub use elf::elf;
pub use hook_values::hook_values;
pub use ldcache::ldcache;
pub use ldconf::ldconf;
pub use legacy::legacy;
pub use machine::machine;
pub use names::names;
pub use nvml::{kept, nvml_answer};
pub use origin::origin;
pub use procfs::procfs;
pub use request::request;
pub use requirements::requirements;
pub use settings::settings;
pub use specs::{read_json, read_yaml};
pub use state::state;
pub use transform::transform;

/// A fuzz target: its name, which is that of its folder of inputs, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them; each is a file in `fuzz/fuzz_targets`, too.
pub const TARGETS: [Target; 21] = [
    ("read_json", read_json),
    ("read_yaml", read_yaml),
    ("edits", edits),
    ("names", names),
    ("transform", transform),
    ("origin", origin),
    ("request", request),
    ("requirements", requirements),
    ("config", config),
    ("ldcache", ldcache),
    ("ldconf", ldconf),
    ("elf", elf),
    ("procfs", procfs),
    ("csv", csv),
    ("machine", machine),
    ("nvml_answer", nvml_answer),
    ("kept", kept),
    ("state", state),
    ("hook_values", hook_values),
    ("legacy", legacy),
    ("settings", settings),
];

/// What separates the parts of an input that has several.
const SEPARATOR: &[u8] = b"\n====\n";

/// The part before the first separator, and what follows it; nothing follows where there is none.
fn parts(input: &[u8]) -> (&[u8], &[u8]) {
    let at = input.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    at.map_or((input, b"".as_slice()), |at| (&input[..at], &input[at + SEPARATOR.len()..]))
}
