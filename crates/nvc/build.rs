//! Gives the library the soname and the symbol version that programs were linked with (reference:
//! libnvidia-container.md 23).

//!
//! Rust hands the linker a script of its own, without versions. LLVM's linker, which is Rust's default on x86-64, takes both; GNU's
//! does not, so it is told where it would be another.

use std::{env, path::PathBuf};

fn main() {
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|architecture| architecture != "x86_64") {
        println!("cargo::rustc-cdylib-link-arg=-fuse-ld=lld");
    }
    let script = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("nvc.map");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=nvc.map");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnvidia-container.so.1");
    println!("cargo::rustc-cdylib-link-arg=-Wl,--version-script={}", script.display());
}
