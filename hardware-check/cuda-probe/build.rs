//! Keeps the program free of `libgcc_s.so.1`.

include!("../../lab/no_libgcc.rs");

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../lab/no_libgcc.rs");
    link_unwinder_statically();
}
