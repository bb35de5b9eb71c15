// For build scripts: keeps a program or library free of `libgcc_s.so.1`. What the driver brings needs nothing but libc,
// and so must what stands in for it or looks at it, or it would not load in small images.

fn link_unwinder_statically() {
    if let Some(folder) = unwinder_folder() {
        println!("cargo::rustc-link-search=native={folder}");
        println!("cargo::rustc-link-lib=static:+whole-archive=gcc_eh");
    }
}

/// Where the C compiler keeps `libgcc_eh.a`; without it the shared one is linked, as usual.
fn unwinder_folder() -> Option<String> {
    let output = std::process::Command::new("cc").arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let file = String::from_utf8(output.stdout).ok()?;
    let folder = std::path::Path::new(file.trim()).parent()?.to_str()?.to_owned();
    (!folder.is_empty()).then_some(folder)
}
