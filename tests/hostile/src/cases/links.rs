//! Links of every kind.

use crate::{
    attack::{ATTACK, Attack, Bite},
    image::LIBRARIES,
};
use root::Defence::{InRoot, NewFile, NoMagicLinks};

/// See the module.
pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "folders-are-links-out",
        image: |image| {
            image.link_out("etc", "etc").link_out("dev", "dev").link_out("usr/local/cuda", "").link_out("run", "");
        },
        bites: &[
            Bite { off: &[InRoot], operation: "update-ldcache", sees: "outside changed" },
            Bite { off: &[InRoot], operation: "create", sees: "outside changed" },
            Bite { off: &[InRoot], operation: "enable-cuda-compat", sees: "opened outside" },
            Bite { off: &[InRoot], operation: "update-application-profile", sees: "opened outside" },
        ],
        ..ATTACK
    },
    Attack {
        name: "everything-is-one-link-out",
        image: |image| {
            for name in ["etc", "dev", "usr", "lib", "lib64", "bin", "sbin", "proc", "run", "tmp", "sys"] {
                image.link_out(name, "");
            }
        },
        bites: &[Bite { off: &[InRoot], operation: "update-ldcache", sees: "opened outside" }],
        ..ATTACK
    },
    // A link of procfs leads to what is open, past the root that paths are resolved in.
    Attack {
        name: "magic-links",
        image: |image| {
            let outside = image.outside("").display().to_string();
            for (at, target) in [
                ("usr/lib64", format!("/proc/self/root{outside}/lib")),
                ("etc/nvidia", format!("/proc/self/cwd/../../../{}", "outside/etc/nvidia")),
                ("etc/ld.so.conf.d", format!("/proc/thread-self/root{outside}/etc/ld.so.conf.d")),
                ("dev/dri", format!("/proc/1/root{outside}/dev")),
                ("usr/local/cuda", "/proc/self/fd/0".to_owned()),
            ] {
                image.link(at, &target);
            }
        },
        bites: &[
            Bite { off: &[InRoot, NoMagicLinks], operation: "create-symlinks", sees: "opened outside" },
            Bite { off: &[InRoot, NoMagicLinks], operation: "update-ldcache", sees: "outside changed" },
        ],
        ..ATTACK
    },
    Attack {
        name: "links-that-loop",
        image: |image| {
            image.link("usr/lib64", "lib64").link("etc/nvidia", "/etc/nvidia/x").link("dev/dri", "../dev/dri");
            image.link("usr/local/cuda", "/usr/local/cuda").link("etc/ld.so.conf.d", "./ld.so.conf.d/.");
            image.link("etc/ld.so.cache", "ld.so.cache").link(&format!("{LIBRARIES}/libloop.so.1"), "libloop.so.1");
        },
        ..ATTACK
    },
    // Forty links are followed; each of these is followed by twice as many.
    Attack {
        name: "links-that-multiply",
        image: |image| {
            image.folder("m");
            for step in 0..60 {
                image.link(&format!("m/{step}"), &format!("{0}/../{0}", step + 1));
            }
            image.folder("m/60").link("etc/nvidia", "/m/0").link("usr/lib64", "/m/20").link("dev/dri", "/m/0");
        },
        ..ATTACK
    },
    // A shared file system can have names of the host's files in it.
    Attack {
        name: "hard-links",
        image: |image| {
            for name in
                ["etc/ld.so.cache", "etc/ld.so.conf.d/00-nvcr-corten.conf", "etc/ld.so.conf.d/00-compat-corten.conf"]
            {
                image.hard_link_out(name, "etc/linked");
            }
            image.hard_link_out("etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf", "etc/linked");
            image
                .hard_link_out(&format!("{LIBRARIES}/libcuda.so"), "etc/linked")
                .hard_link_out("usr/lib64/libcuda.so", "etc/linked");
            image.hard_link_out("etc/.ld.so.cache.corten", "etc/linked");
        },
        bites: &[
            Bite { off: &[NewFile], operation: "update-ldcache", sees: "outside changed" },
            Bite { off: &[NewFile], operation: "update-application-profile", sees: "outside changed" },
        ],
        ..ATTACK
    },
    Attack {
        name: "folders-where-files-belong",
        image: |image| {
            for name in
                ["etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d/00-nvcr-corten.conf", "etc/.ld.so.cache.corten"]
            {
                image.folder(name).file(&format!("{name}/kept"), "the image's");
            }
            image
                .folder(&format!("{LIBRARIES}/libcuda.so"))
                .folder("usr/lib64/libcuda.so")
                .folder(&format!("{LIBRARIES}/libimage.so.1"));
            image.folder("etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf");
        },
        ..ATTACK
    },
];
