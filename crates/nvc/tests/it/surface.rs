//! What one sees of the library without calling it: symbols, names, header, pkg-config.

use crate::programs::{Library, compiled, dist};
use std::{collections::BTreeSet, fs, process::Command};

/// The functions of `NVC_1.0` (reference: libnvidia-container.md 23).
const FUNCTIONS: [&str; 26] = [
    "nvc_config_free",
    "nvc_config_new",
    "nvc_container_config_free",
    "nvc_container_config_new",
    "nvc_container_free",
    "nvc_container_new",
    "nvc_context_free",
    "nvc_context_new",
    "nvc_device_info_free",
    "nvc_device_info_new",
    "nvc_device_mig_caps_mount",
    "nvc_device_mount",
    "nvc_driver_info_free",
    "nvc_driver_info_new",
    "nvc_driver_mount",
    "nvc_error",
    "nvc_imex_channel_mount",
    "nvc_init",
    "nvc_ldcache_update",
    "nvc_mig_config_global_caps_mount",
    "nvc_mig_device_access_caps_mount",
    "nvc_mig_monitor_global_caps_mount",
    "nvc_nvcaps_device_from_proc_path",
    "nvc_nvcaps_style",
    "nvc_shutdown",
    "nvc_version",
];

fn readelf(library: &Library, what: &str) -> String {
    let output = Command::new("readelf").args(["--wide", what]).arg(library.file()).output();
    let output = output.expect("these tests need readelf");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Names of what can be linked with, with their versions. The name of the version itself, which GNU's linker lists
/// too, is no function.
fn exported(library: &Library) -> BTreeSet<String> {
    let table = readelf(library, "--dyn-syms");
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() == 8 && matches!(row[4], "GLOBAL" | "WEAK") && row[6] != "UND" && row[6] != "ABS")
        .map(|row| format!("{} {}", row[3], row[7]))
        .collect()
}

#[test]
fn the_functions_and_nothing_else_are_exported() {
    let want: BTreeSet<_> = FUNCTIONS.iter().map(|name| format!("FUNC {name}@@NVC_1.0")).collect();
    assert_eq!(exported(&Library::ours()), want);
    if let Some(theirs) = Library::theirs() {
        assert_eq!(exported(&theirs), want);
    }
}

#[test]
fn names_are_those_that_programs_look_for() {
    let table = readelf(&Library::ours(), "--dynamic");
    assert!(table.contains("Library soname: [libnvidia-container.so.1]"), "{table}");
    let needed: Vec<_> = table.lines().filter_map(|line| line.split("Shared library: [").nth(1)).collect();
    let of_the_system = |name: &&str| ["libc.so.6]", "libgcc_s.so.1]"].contains(name) || name.starts_with("ld-linux");
    assert!(needed.iter().all(of_the_system), "needs more than the C library: {needed:?}");

    let lib = dist().join("lib");
    assert_eq!(fs::read_link(lib.join("libnvidia-container.so")).unwrap().to_str(), Some("libnvidia-container.so.1"));
    let file = fs::read_link(lib.join("libnvidia-container.so.1")).unwrap();
    assert_eq!(
        file.to_str(),
        Some(format!("libnvidia-container.so.{}", header("NVC_VERSION").trim_matches('"')).as_str())
    );
}

/// What the header defines a macro as.
fn header(name: &str) -> String {
    let text = include_str!("../../include/nvc.h");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("#define {name} ")));
    line.unwrap_or_else(|| panic!("no {name}")).trim().to_owned()
}

#[test]
fn versions_agree() {
    let numbers = ["NVC_MAJOR", "NVC_MINOR", "NVC_PATCH"].map(header).join(".");
    assert_eq!(header("NVC_VERSION"), format!("\"{numbers}\""));
    let pc = fs::read_to_string(dist().join("lib/pkgconfig/libnvidia-container.pc")).unwrap();
    assert!(pc.contains(&format!("\nVersion: {numbers}\n")) && pc.contains("\nLibs: -L${libdir} -lnvidia-container\n"));
}

/// The table of `layout.rs`, as the C compiler should see it.
fn table() -> String {
    let source = include_str!("../../src/layout.rs");
    let names = [
        ("Version", "nvc_version"),
        ("ImexChannel", "nvc_imex_channel"),
        ("ImexInfo", "nvc_imex_info"),
        ("Config", "nvc_config"),
        ("DeviceNode", "nvc_device_node"),
        ("DriverInfo", "nvc_driver_info"),
        ("MigDevice", "nvc_mig_device"),
        ("MigDeviceInfo", "nvc_mig_device_info"),
        ("Device", "nvc_device"),
        ("DeviceInfo", "nvc_device_info"),
        ("ContainerConfig", "nvc_container_config"),
    ];
    let mut lines = Vec::new();
    let mut name = None;
    for line in source.split("layout! {\n").nth(1).unwrap().lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            [structure, size, "{"] if !line.starts_with(' ') => {
                name = names.iter().find(|(ours, _)| *ours == structure).map(|(_, c)| *c);
                lines.extend(name.map(|name| format!("{name} {size}")));
            }
            [field, offset, ..] if offset.ends_with(':') => {
                lines.extend(name.map(|_| format!("  {field} {}", offset.trim_end_matches(':'))));
            }
            _ => {}
        }
    }
    lines.push("256 0 1 2".to_owned());
    lines.join("\n") + "\n"
}

#[test]
fn the_header_lays_structures_out_as_the_library_does() {
    for flags in [&[][..], &["-DSTDBOOL_FIRST"], &["-std=c99"], &["-std=gnu17"]] {
        let output = Command::new(compiled("layout", flags)).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), table(), "{flags:?}");
    }
}

#[test]
fn the_header_is_cplusplus_too() {
    if Command::new("c++").arg("--version").output().is_err() {
        return left_out::say("the header in C++", "there is no C++ compiler");
    }
    let flags = ["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-pedantic", "-x", "c++"];
    let output = Command::new("c++").args(flags).arg(dist().join("include/nvc.h")).output().unwrap();
    // A header as the main file is remarked upon, and nothing else.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
