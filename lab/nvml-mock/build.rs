//! Gives the mock the soname by which every program asks for NVML, and keeps it free of `libgcc_s.so.1`.

include!("../no_libgcc.rs");

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../no_libgcc.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnvidia-ml.so.1");
    link_unwinder_statically();
}
