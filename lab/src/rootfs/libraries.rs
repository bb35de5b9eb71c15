//! Copies the libraries that programs need, found as the dynamic loader finds them: by `DT_NEEDED`, in this machine's
//! standard folders.

use crate::{Error, Result, driver::MULTIARCH, tree::Tree};
use elf::{ElfBytes, abi, endian::AnyEndian};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Copies every library that `programs` need, directly or not, to `folder` of `tree`, and the loader to where the
/// programs name it.
///
/// # Errors
/// When a program cannot be read or a library is not on this machine.
pub fn copy_needed(programs: &[PathBuf], tree: &Tree, folder: &str) -> Result<()> {
    let mut waiting: Vec<PathBuf> = programs.to_vec();
    let mut done = BTreeSet::new();
    let mut loaders = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let needs = needs(&path)?;
        loaders.extend(needs.loader);
        for name in needs.libraries.into_iter().filter(|name| done.insert(name.clone())) {
            let from = find(&name).ok_or(Error::Missing { name: name.clone(), package: "libc6" })?;
            tree.copy(&from, &format!("{folder}/{name}"), 0o755)?;
            waiting.push(from);
        }
    }
    loaders.iter().try_for_each(|loader| tree.copy(Path::new(loader), loader, 0o755))
}

/// Whether a program names no loader.
pub fn is_static(program: &Path) -> bool {
    needs(program).is_ok_and(|needs| needs.loader.is_none())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    libraries: Vec<String>,
    loader: Option<String>,
}

fn needs(path: &Path) -> Result<Needs> {
    let bytes = fs::read(path).map_err(Error::file("read", path))?;
    parse(&bytes).ok_or_else(|| Error::Missing { name: format!("ELF file {}", path.display()), package: "binutils" })
}

/// What a file's dynamic section and interpreter segment say; `None` if it is no ELF file.
fn parse(bytes: &[u8]) -> Option<Needs> {
    let file = ElfBytes::<AnyEndian>::minimal_parse(bytes).ok()?;
    let mut needs = Needs::default();
    let segments = file.segments()?;
    if let Some(segment) = segments.iter().find(|segment| segment.p_type == abi::PT_INTERP) {
        let text = file.segment_data(&segment).ok()?;
        needs.loader = Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
    }
    let common = file.find_common_data().ok()?;
    if let (Some(entries), Some(strings)) = (common.dynamic, common.dynsyms_strs) {
        let wanted = entries.iter().filter(|entry| entry.d_tag == abi::DT_NEEDED);
        let names = wanted.filter_map(|entry| strings.get(entry.d_val() as usize).ok());
        needs.libraries = names.filter(|name| !name.starts_with("ld-")).map(str::to_owned).collect();
    }
    Some(needs)
}

fn find(name: &str) -> Option<PathBuf> {
    let folders = [
        format!("/usr/lib/{MULTIARCH}"),
        format!("/lib/{MULTIARCH}"),
        "/usr/lib64".into(),
        "/lib64".into(),
        "/usr/lib".into(),
        "/lib".into(),
    ];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_needs_libc_and_a_loader() {
        let needs = needs(&std::env::current_exe().unwrap()).unwrap();
        assert!(needs.libraries.iter().any(|name| name == "libc.so.6"), "{needs:?}");
        assert!(needs.loader.unwrap().contains("ld-linux"));
    }

    #[test]
    fn what_is_no_program_needs_nothing() {
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &[0x7f; 64]] {
            assert_eq!(parse(bytes), None);
        }
    }
}
