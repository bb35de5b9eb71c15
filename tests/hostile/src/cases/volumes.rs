//! Images that make use of what is mounted into their containers: folders of the host's, in which a container's user may do
//! less than who prepares the container.

use crate::{
    attack::{ATTACK, Attack, Bite, How, Volume},
    image::{Image, LIBRARIES},
};
use root::Defence::{ByName, NoLinkAtEnd, Unshared};

/// A folder of the host's, to be written.
const VOLUME: &[Volume] = &[Volume { from: "outside", at: "vol", how: How::Writable }];

/// See the module.
pub const ATTACKS: &[Attack] = &[
    // What is written goes into a volume where the container's user may not write.
    Attack {
        name: "folders-are-links-to-volumes",
        image: |image| {
            image
                .folder("vol")
                .link("usr/lib64", "/vol/lib")
                .link("usr/bin", "/vol/bin")
                .link(LIBRARIES, "../../vol/lib");
            image.link("dev/dri", "/vol/private").link("etc", "vol/etc");
        },
        volumes: VOLUME,
        bites: &[
            Bite { off: &[ByName], operation: "update-ldcache", sees: "outside changed" },
            Bite { off: &[ByName], operation: "create-symlinks", sees: "outside changed" },
            Bite { off: &[ByName], operation: "update-application-profile", sees: "outside changed" },
            Bite { off: &[ByName], operation: "chmod", sees: "outside changed" },
            Bite { off: &[ByName], operation: "configure", sees: "outside changed" },
            Bite { off: &[ByName], operation: "configure-standalone", sees: "outside changed" },
            Bite { off: &[ByName], operation: "prestart", sees: "outside changed" },
        ],
        ..ATTACK
    },
    // What only root may read on the host becomes a file that everybody may read.
    Attack {
        name: "lists-are-links-to-volumes",
        image: |image| {
            musl(image).link(&format!("etc/{LOADER}.path"), "/vol/etc/ld.so.conf");
        },
        volumes: VOLUME,
        bites: &[
            Bite { off: &[ByName], operation: "update-ldcache", sees: "leaked" },
            Bite { off: &[ByName], operation: "configure", sees: "leaked" },
        ],
        ..ATTACK
    },
    // Neither is a text of the image's a reason to write there: this file is one that we make.
    Attack {
        name: "lists-name-volumes",
        image: |image| {
            image.folder("vol").file("etc/ld.so.conf.d/00-compat-corten.conf", "/vol/lib\n");
            image.link("usr/local/cuda", "/vol");
        },
        volumes: VOLUME,
        bites: &[Bite { off: &[ByName], operation: "update-ldcache", sees: "outside changed" }],
        ..ATTACK
    },
    // A mount of ours is seen on the host, and outlives the container: a link leads to where that is so ...
    Attack {
        name: "a-cache-on-a-shared-volume",
        image: |image| {
            image.folder("vol").link("etc/ld.so.cache", "../vol/etc/victim");
        },
        volumes: &[
            Volume { from: "outside", at: "vol", how: How::Shared },
            Volume { from: "bundle/rootfs/etc", at: "etc", how: How::ReadOnly },
        ],
        bites: &[Bite { off: &[NoLinkAtEnd, Unshared], operation: "update-ldcache", sees: "mounted" }],
        ..ATTACK
    },
    // ... or the place itself is shared.
    Attack {
        name: "a-shared-volume-at-a-place",
        image: |image| {
            image.file("usr/bin/nvidia-smi", "");
        },
        volumes: &[Volume { from: "outside/etc/linked", at: "usr/bin/nvidia-smi", how: How::Shared }],
        bites: &[
            Bite { off: &[Unshared], operation: "configure", sees: "mounted on the host" },
            Bite { off: &[Unshared], operation: "configure-standalone", sees: "mounted" },
            Bite { off: &[Unshared], operation: "prestart", sees: "mounted on the host" },
        ],
        ..ATTACK
    },
];

#[cfg(not(target_arch = "aarch64"))]
const LOADER: &str = "ld-musl-x86_64";
#[cfg(target_arch = "aarch64")]
const LOADER: &str = "ld-musl-aarch64";

/// Alpine's signs instead of Debian's.
fn musl(image: &Image) -> &Image {
    image.clear("etc/debian_version").clear(&format!("{LIBRARIES}/libc.so.6")).file("etc/alpine-release", "3.20\n");
    image.file(&format!("usr/lib/{LOADER}.so.1"), "").folder("vol")
}
