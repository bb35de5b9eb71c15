//! Keeps the program free of `libgcc_s.so.1`: the real one needs nothing but libc, and so must this one to start in
//! small images.

use std::{path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(folder) = unwinder_folder() {
        println!("cargo::rustc-link-search=native={folder}");
        println!("cargo::rustc-link-lib=static:+whole-archive=gcc_eh");
    }
}

/// Where the C compiler keeps `libgcc_eh.a`; without it the shared one is linked, as usual.
fn unwinder_folder() -> Option<String> {
    let output = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let file = String::from_utf8(output.stdout).ok()?;
    let folder = Path::new(file.trim()).parent()?.to_str()?.to_owned();
    (!folder.is_empty()).then_some(folder)
}
