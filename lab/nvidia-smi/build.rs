//! Keeps the program free of `libgcc_s.so.1`.

include!("../no_libgcc.rs");

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../no_libgcc.rs");
    link_unwinder_statically();
}
