//! Gives the library the soname and the symbol version that programs were linked with (reference:
//! libnvidia-container.md 23).

use std::{env, path::PathBuf};

fn main() {
    let script = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("nvc.map");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=nvc.map");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnvidia-container.so.1");
    println!("cargo::rustc-cdylib-link-arg=-Wl,--version-script={}", script.display());
}
