//! Writes the inputs of `fuzz/corpus` that are no text: libraries and loader caches, made byte by byte.
//!
//!     cargo run -p corten-fuzz-targets --example seeds

use host::ldcache::{AARCH64, Cache, ELF_LIBC6, Entry, HWCAPS_EXTENSION, X86_64, write};
use lab::elf::{Processor, SharedObject, program};
use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    for (name, bytes) in libraries().into_iter().chain(caches()) {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name), bytes)?;
    }
    Ok(())
}

fn libraries() -> Vec<(&'static str, Vec<u8>)> {
    let library = |processor, soname, needed| {
        SharedObject { processor, soname, needed, abi: Some([3, 2, 0]), functions: &[("f", 7)] }.bytes()
    };
    let cuda = library(Processor::X86_64, Some("libcuda.so.1"), &["libc.so.6", "libm.so.6"]);
    vec![
        ("elf/x86-64", cuda.clone()),
        ("elf/i386", library(Processor::I386, Some("libcuda.so.1"), &["libc.so.6"])),
        ("elf/aarch64", library(Processor::Aarch64, Some("libnvidia-ml.so.1"), &[])),
        ("elf/nameless", library(Processor::X86_64, None, &[])),
        ("elf/program", program(Processor::X86_64)),
        ("elf/overlapping", overlapping()),
        ("elf/note", with_note(cuda)),
        ("elf/no-sections", without_sections(library(Processor::X86_64, Some("liba.so"), &["libb.so", "libc.so"]))),
    ]
}

/// A thousand names that begin one byte apart in one long text.
fn overlapping() -> Vec<u8> {
    let (at, entries) = (64 + 2 * 56, 1000);
    let strings = at + 16 * (entries + 2);
    let size = strings + entries + 300;
    let word = |value: usize| (value as u64).to_le_bytes();
    let segment = |kind: u32, from: usize, size: usize| {
        [
            &kind.to_le_bytes()[..],
            &[4, 0, 0, 0],
            &word(from),
            &word(from),
            &word(from),
            &word(size),
            &word(size),
            &word(8),
        ]
        .concat()
    };
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    bytes.extend([word(0), word(64), word(0)].concat());
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(segment(1, 0, size));
    bytes.extend(segment(2, at, 16 * (entries + 2)));
    for entry in 0..entries {
        bytes.extend([word(1), word(entry)].concat());
    }
    bytes.extend([word(5), word(strings), word(0), word(0)].concat());
    bytes.resize(size - 1, b'x');
    bytes.push(0);
    bytes
}

/// A section with the note that forward compatibility libraries have.
fn with_note(mut bytes: Vec<u8>) -> Vec<u8> {
    let note = b"\x13\0\0\0\x11\0\0\0\x01\0\0\0NVIDIA Corporation\0\0{\"Driver\": [535]}\0\0\0";
    let names = b"\0.note.cuda.fwd_compatibility\0.shstrtab\0";
    let section = |name: u32, kind: u32, from: usize, size: usize| {
        let word = |value: usize| (value as u64).to_le_bytes();
        [
            &name.to_le_bytes()[..],
            &kind.to_le_bytes(),
            &word(0),
            &word(0),
            &word(from),
            &word(size),
            &[0; 8],
            &word(4),
            &word(0),
        ]
        .concat()
    };
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let (note_at, names_at) = (bytes.len(), bytes.len() + note.len());
    bytes.extend([&note[..], names].concat());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let table = bytes.len() as u64;
    bytes.extend(section(0, 0, 0, 0));
    bytes.extend(section(1, 7, note_at, note.len()));
    bytes.extend(section(30, 3, names_at, names.len()));
    bytes[40..48].copy_from_slice(&table.to_le_bytes());
    bytes[58..64].copy_from_slice(&[64, 0, 3, 0, 2, 0]);
    bytes
}

/// As a loader sees it, which looks at segments only.
fn without_sections(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[40..48].fill(0);
    bytes[58..64].fill(0);
    bytes
}

fn caches() -> Vec<(&'static str, Vec<u8>)> {
    let entry = |name: &str, folder: &str| Entry::new(ELF_LIBC6 | X86_64, name, format!("{folder}/{name}"));
    let mut usual = Cache {
        entries: ["libz.so.1", "libc.so.6", "libcuda.so.1", "libm.so.6"].map(|name| entry(name, "/usr/lib64")).to_vec(),
        generator: Some("ldconfig (GNU libc) release version 2.36".to_owned()),
        ..Cache::default()
    };
    usual.entries.push(entry("libcuda.so.1", "/usr/local/cuda/compat"));
    usual.entries.push(Entry { flags: ELF_LIBC6, ..entry("libcuda.so.1", "/usr/lib") });
    usual.sort();
    let mut hwcaps = usual.clone();
    hwcaps.hwcaps = vec!["x86-64-v2".to_owned(), "x86-64-v3".to_owned()];
    hwcaps.entries.insert(
        0,
        Entry {
            hwcap: HWCAPS_EXTENSION | 1,
            osversion: 0x0302_0000,
            ..entry("libz.so.1", "/usr/lib64/glibc-hwcaps/x86-64-v3")
        },
    );
    // Numbers beyond the range of a C int, whose differences wrap.
    let numbers = ["2147483647", "2147483648", "4294967295", "1", "0", "99999999999999999999", "3000000000"];
    let numbers = numbers
        .iter()
        .flat_map(|number| [entry(&format!("lib{number}.so"), "/l"), entry(&format!("libx.so.{number}"), "/l")]);
    let numbers = Cache { entries: numbers.collect(), ..Cache::default() };
    let other = Cache {
        entries: vec![Entry { flags: ELF_LIBC6 | AARCH64, ..entry("a", "relative") }, Entry::new(7, "", "")],
        ..Cache::default()
    };
    // Behind the old block, and without extensions, whose offsets count from the block.
    let mut old = [&b"ld.so-1.7.0\0\0\0\0\0"[..], &write(&usual)].concat();
    old[16 + 32..16 + 36].fill(0);
    vec![
        ("ldcache/usual", write(&usual)),
        ("ldcache/hwcaps", write(&hwcaps)),
        ("ldcache/numbers", write(&numbers)),
        ("ldcache/other", write(&other)),
        ("ldcache/old-block", old),
        ("ldcache/empty", write(&Cache::default())),
    ]
}
