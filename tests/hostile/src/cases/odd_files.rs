//! What is no regular file, and what is one and lies about itself.

use crate::{
    attack::{ATTACK, Attack, Bite},
    image::{Image, LIBRARIES},
    trial::Ended,
};
use root::Defence::{BoundedReads, RegularOnly};
use rustix::fs::{FileType, makedev};
use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

/// Every file that an operation reads, opens or replaces.
pub const READ: [&str; 9] = [
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/ld.so.conf.d/00-odd.conf",
    "etc/ld.so.conf.d/00-nvcr-corten.conf",
    "etc/ld.so.conf.d/00-compat-corten.conf",
    "etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf",
    "usr/lib64/libodd.so.1",
    "usr/local/cuda-12.8/compat/libcuda.so.570.86.10",
    "etc/debian_version",
];

/// See the module.
pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "fifos",
        image: |image| each(image, Image::fifo),
        bites: &[
            Bite { off: &[RegularOnly], operation: "update-ldcache", sees: "it did not end" },
            Bite { off: &[RegularOnly], operation: "create", sees: "it did not end" },
        ],
        ..ATTACK
    },
    // One is endless, one may block, one asks for a password, one is a GPU's, one nobody has a driver for.
    Attack {
        name: "devices",
        image: |image| {
            let devices =
                [makedev(1, 5), makedev(1, 8), makedev(5, 0), makedev(195, 255), makedev(4095, 1), makedev(1, 1)];
            for (name, device) in READ.iter().zip(devices.iter().cycle()) {
                image.node(name, FileType::CharacterDevice, *device);
            }
            image.node(&format!("{LIBRARIES}/libdisk.so.1"), FileType::BlockDevice, makedev(8, 0));
        },
        holds: |trial| match (trial.operation.name, trial.ended) {
            ("update-ldcache", Some(Ended::Status(0))) => Ok(()),
            ("update-ldcache", ended) => Err(format!("a device was read: {ended:?}: {}", trial.text("stderr"))),
            _ => Ok(()),
        },
        bites: &[Bite { off: &[RegularOnly, BoundedReads], operation: "update-ldcache", sees: "a device was read" }],
        ..ATTACK
    },
    Attack { name: "sockets", image: |image| each(image, Image::socket), ..ATTACK },
    Attack { name: "folders", image: |image| each(image, Image::folder), ..ATTACK },
    Attack { name: "empty-files", image: |image| each(image, |image, name| image.file(name, "")), ..ATTACK },
    // Each byte of the tables of an ELF file at its largest and smallest.
    Attack { name: "hostile-elf", image: hostile_elf, ..ATTACK },
    Attack {
        name: "odd-names",
        image: |image| {
            let folder = image.path("usr/lib64");
            for name in [
                &b"lib\xff\xfe.so.1"[..],
                b"lib\n[CORTEN-E000].so",
                b"lib\x1b[2J.so.1",
                b"libx.so.1\\",
                b"lib*.so",
                b"-lib.so",
            ] {
                let made = fs::write(folder.join(OsStr::from_bytes(name)), b"\x7fELF");
                made.unwrap_or_else(|why| panic!("{}: {why}", String::from_utf8_lossy(name)));
            }
            image.file(&format!("usr/lib64/lib{}.so", "x".repeat(249)), "");
            image.file("etc/ld.so.conf", "include\ninclude \x1b[2J\n/\n//\n/..\n/../../..\n\\\n[\n*\n/*/*/*\0/x\n");
            image.file("etc/ld.so.conf.d/\n.conf", "/usr/lib64\r\n");
            image.file(&format!("etc/ld.so.conf.d/{}.conf", "y".repeat(250)), [0xff; 100]);
        },
        ..ATTACK
    },
];

fn each(image: &Image, make: impl for<'a> Fn(&'a Image, &str) -> &'a Image) {
    for name in READ {
        make(image, name);
    }
    make(image, &format!("{LIBRARIES}/libodd.so.1"));
    make(image, &format!("{LIBRARIES}/libcuda.so"));
}

fn hostile_elf(image: &Image) {
    let path = image.path(&format!("{LIBRARIES}/libimage.so.1.2"));
    let library = fs::read(path).unwrap_or_else(|why| panic!("the image has no library: {why}"));
    // The header, five segments' headers, and a part of what follows.
    for at in (4..400.min(library.len())).step_by(3) {
        for value in [0x00, 0xff] {
            let mut odd = library.clone();
            let end = (at + 4).min(odd.len());
            odd[at..end].fill(value);
            image.file(&format!("usr/lib64/libodd{at}-{value}.so.1"), odd);
        }
    }
    // The tables of sections, which lead to notes, lie at the end.
    let mut odd = library.clone();
    let from = odd.len() - odd.len().min(400);
    odd[from..].fill(0xff);
    image.file("usr/local/cuda-12.8/compat/libcuda.so.570.86.10", &odd);
    for length in [0, 1, 4, 16, 52, 63, 64, 100] {
        image.file(&format!("{LIBRARIES}/libshort{length}.so.1"), &library[..length.min(library.len())]);
    }
}
