//! Too much of something: sizes, numbers, depths.

use crate::{
    attack::{ATTACK, Attack, Bite},
    image::LIBRARIES,
};
use root::Defence::{BoundedElf, BoundedIncludes, BoundedReads};
use std::fmt::Write;

/// Ten gigabytes that take no room.
const HUGE: u64 = 10 << 30;

/// Operations that read what the loader reads.
const LOADER: &[&str] = &["create", "update-ldcache", "enable-cuda-compat"];

/// See the module.
pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "ten-gigabytes",
        image: |image| {
            for name in super::odd_files::READ {
                image.sparse(name, b"", HUGE);
            }
        },
        bites: &[
            Bite { off: &[BoundedReads], operation: "update-ldcache", sees: "it ended with" },
            Bite { off: &[BoundedReads], operation: "create", sees: "it ended with" },
        ],
        ..ATTACK
    },
    Attack {
        name: "libraries-of-ten-gigabytes",
        image: |image| {
            let library = std::fs::read(image.path(&format!("{LIBRARIES}/libimage.so.1.2"))).unwrap_or_default();
            for folder in [LIBRARIES, "usr/lib64", "usr/local/lib", "usr/local/cuda-12.8/compat"] {
                image.sparse(&format!("{folder}/libhuge.so.1"), &library, HUGE);
            }
        },
        bites: &[Bite { off: &[BoundedElf], operation: "update-ldcache", sees: "it ended with" }],
        ..ATTACK
    },
    Attack {
        name: "a-hundred-thousand-includes",
        image: |image| {
            image.file("etc/ld.so.conf", "include /etc/many/*\n").folder("etc/many");
            image.file("etc/many/long", "include /etc/x\n".repeat(100_000));
            for file in 0..20 {
                // Just below what is read of a file.
                image.file(&format!("etc/many/{file}"), "include /etc/many/*\n/a\n".repeat(2_800));
            }
        },
        operations: LOADER,
        bites: &[Bite { off: &[BoundedIncludes], operation: "update-ldcache", sees: "it " }],
        ..ATTACK
    },
    Attack {
        name: "includes-of-themselves",
        image: |image| {
            image
                .file("etc/ld.so.conf", "include /etc/ld.so.conf\ninclude ld.so.conf.d/*\ninclude ../etc/ld.so.conf\n");
            image.file("etc/ld.so.conf.d/a.conf", "include *.conf\n").link("etc/ld.so.conf.d/b", "../ld.so.conf.d");
        },
        operations: LOADER,
        bites: &[Bite { off: &[BoundedIncludes], operation: "update-ldcache", sees: "it " }],
        ..ATTACK
    },
    // Little to read and much to look at: each line lists 256 folders of 4,096 names, and finds nothing.
    Attack {
        name: "patterns-that-multiply",
        image: |image| {
            image.folder("g").folder("g/names");
            for name in 0..4_096 {
                image.file(&format!("g/names/{name}"), "");
            }
            for name in 0..300 {
                image.link(&format!("g/{name}"), "names");
            }
            image.file("etc/ld.so.conf", "include /g/*/*none\n".repeat(3_000));
        },
        operations: LOADER,
        bites: &[Bite { off: &[BoundedIncludes], operation: "update-ldcache", sees: "it did not end" }],
        ..ATTACK
    },
    // Thousands of different complaints from each of two hundred files that are included at the last depth.
    Attack {
        name: "remarks-without-end",
        image: |image| {
            image.file("etc/ld.so.conf", "include /etc/c/1\n").folder("etc/c").folder("etc/deep");
            for depth in 1..9 {
                image.file(&format!("etc/c/{depth}"), format!("include /etc/c/{}\n", depth + 1));
            }
            image.file("etc/c/9", "include /etc/deep/*\n");
            for file in 0..200 {
                let lines: String = (0..3_000).map(|line| format!("include /{file}/{line}\n")).collect();
                image.file(&format!("etc/deep/{file}"), lines);
            }
        },
        operations: LOADER,
        ..ATTACK
    },
    // A cache that is well formed, and whose every entry is worth a look into another folder.
    Attack {
        name: "a-cache-of-everything",
        image: |image| {
            image.file("etc/ld.so.cache", cache_of_everything());
            image.folder("l").link("l/l", &"./".repeat(1_000));
        },
        operations: LOADER,
        ..ATTACK
    },
    Attack {
        name: "ten-thousand-libraries",
        image: |image| {
            for number in 0..10_000 {
                image.link(&format!("usr/lib64/lib{number}.so.1"), "libnone.so");
            }
        },
        operations: LOADER,
        ..ATTACK
    },
    Attack {
        name: "folders-without-end",
        image: |image| {
            let deep = "d/".repeat(1_500);
            let mut text = format!("/{deep}\n");
            for number in 0..3_000 {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "/usr/lib64/{}", "../lib64/".repeat(number % 4));
            }
            image.file("etc/ld.so.conf", text).link("d", ".");
        },
        operations: LOADER,
        ..ATTACK
    },
];

/// The loader's format, with as many entries as are read, each in a folder of its own: suffixes of one long path.
fn cache_of_everything() -> Vec<u8> {
    const ENTRIES: usize = 150_000;
    const HEADER: usize = 48;
    const ENTRY: usize = 24;
    let text = "/l/l/l/l/l/l/l/l/l/l/l/l/l/l/l/l/l/l/l/l/x\0/usr/lib64/x/libx.so.1\0";
    let texts: String = (0..ENTRIES).map(|number| format!("/l/l/l/l/l/l/{number}/libx.so.1\0")).collect();
    let texts = format!("{text}{texts}");
    let start = HEADER + ENTRY * ENTRIES;
    let mut cache = b"glibc-ld.so.cache1.1".to_vec();
    cache.extend((ENTRIES as u32).to_le_bytes());
    cache.extend((texts.len() as u32).to_le_bytes());
    cache.extend([2, 0, 0, 0]);
    cache.resize(HEADER, 0);
    let mut at = text.len();
    for number in 0..ENTRIES {
        let path = format!("/l/l/l/l/l/l/{number}/libx.so.1\0");
        cache.extend(0x0303_u32.to_le_bytes());
        cache.extend(((start + at + path.len() - "libx.so.1\0".len()) as u32).to_le_bytes());
        cache.extend(((start + at) as u32).to_le_bytes());
        cache.extend([0; 12]);
        at += path.len();
    }
    cache.extend(texts.bytes());
    cache
}
