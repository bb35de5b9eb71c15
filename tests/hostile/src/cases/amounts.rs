//! Too much of something: sizes, numbers, depths.

use crate::{
    attack::{ATTACK, Attack, Bite},
    image::LIBRARIES,
};
use root::Defence::{BoundedElf, BoundedIncludes, BoundedReads, BoundedTime};
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
        bites: &[Bite { off: &[BoundedIncludes, BoundedTime], operation: "update-ldcache", sees: "it " }],
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
        bites: &[Bite { off: &[BoundedIncludes, BoundedTime], operation: "update-ldcache", sees: "it " }],
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
        bites: &[NEVER_ENDS_WITHOUT_INCLUDES],
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
        bites: &[NEVER_ENDS_WITHOUT_INCLUDES],
        ..ATTACK
    },
    // Five thousand lines, each of which lists a folder that is a long way off.
    Attack {
        name: "includes-a-long-way-off",
        image: |image| {
            image.long_way("w", "nowhere").file("etc/ld.so.conf", "include /w/*\n".repeat(5_000));
        },
        operations: LOADER,
        bites: &[NEVER_ENDS, Bite { operation: "create", ..NEVER_ENDS }],
        ..ATTACK
    },
    // A cache that is well formed, and whose every entry is worth a look into another folder.
    Attack {
        name: "a-cache-of-everything",
        image: |image| {
            image
                .long_way("w", "../l")
                .folder("l")
                .file("etc/ld.so.cache", cache(|number| format!("/w/{number}/libx.so.1")));
        },
        operations: LOADER,
        bites: &[NEVER_ENDS],
        ..ATTACK
    },
    // The same in one folder, which is one of those that are asked for: an entry that leads nowhere goes.
    Attack {
        name: "a-cache-of-nothing",
        image: |image| {
            let entry = |number| format!("/w/lib{number}.so.1");
            image.long_way("w", "../usr/lib64").file("etc/ld.so.cache", cache(entry));
        },
        operations: LOADER,
        bites: &[NEVER_ENDS],
        ..ATTACK
    },
    Attack {
        name: "ten-thousand-libraries",
        image: |image| {
            image.long_way("w", "../usr/lib64/libown.so").file("etc/ld.so.conf.d/more.conf", "/usr/lib64\n");
            for number in 0..10_000 {
                image.link(&format!("usr/lib64/lib{number}.so.1"), "/w");
            }
        },
        operations: LOADER,
        bites: &[NEVER_ENDS, Bite { operation: "create", ..NEVER_ENDS }],
        ..ATTACK
    },
    Attack {
        name: "folders-without-end",
        image: |image| {
            let deep = "d/".repeat(1_500);
            let mut text = format!("/{deep}\n");
            for number in 0..3_000 {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "/w/{}{number}", "../l/".repeat(number % 4));
            }
            image.file("etc/ld.so.conf", text).link("d", ".").long_way("w", "../l").folder("l");
        },
        operations: LOADER,
        bites: &[NEVER_ENDS],
        ..ATTACK
    },
    // Each folder has the same sixty-four for other processors, and none of them is there.
    Attack {
        name: "processors-without-end",
        image: |image| {
            image.long_way("w", "nowhere").folder("names").folder("h");
            for name in 0..64 {
                image.link(&format!("names/{name}"), "/w");
            }
            let mut text = String::new();
            for number in 0..200 {
                image.folder(&format!("h/{number}")).link(&format!("h/{number}/glibc-hwcaps"), "/names");
                let _ = writeln!(text, "/h/{number}");
            }
            image.file("etc/ld.so.conf", text);
        },
        operations: LOADER,
        bites: &[NEVER_ENDS, Bite { operation: "create", ..NEVER_ENDS }],
        ..ATTACK
    },
];

const NEVER_ENDS: Bite = Bite { off: &[BoundedTime], operation: "update-ldcache", sees: "it did not end" };
const NEVER_ENDS_WITHOUT_INCLUDES: Bite = Bite { off: &[BoundedIncludes, BoundedTime], ..NEVER_ENDS };

/// The loader's format, with almost as many entries as are read.
fn cache(path: impl Fn(usize) -> String) -> Vec<u8> {
    const ENTRIES: usize = 150_000;
    const HEADER: usize = 48;
    const ENTRY: usize = 24;
    let start = HEADER + ENTRY * ENTRIES;
    let (mut entries, mut texts) = (Vec::with_capacity(ENTRY * ENTRIES), String::new());
    for path in (0..ENTRIES).map(path) {
        let name = path.rfind('/').map_or(0, |slash| slash + 1);
        entries.extend(0x0303_u32.to_le_bytes());
        entries.extend(((start + texts.len() + name) as u32).to_le_bytes());
        entries.extend(((start + texts.len()) as u32).to_le_bytes());
        entries.extend([0; 12]);
        texts.push_str(&path);
        texts.push('\0');
    }
    let mut cache = b"glibc-ld.so.cache1.1".to_vec();
    cache.extend((ENTRIES as u32).to_le_bytes());
    cache.extend((texts.len() as u32).to_le_bytes());
    cache.extend([2, 0, 0, 0]);
    cache.resize(HEADER, 0);
    [cache, entries, texts.into_bytes()].concat()
}
