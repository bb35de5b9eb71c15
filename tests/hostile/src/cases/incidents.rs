//! Incidents of this class of programs and their neighbours that consist of what an image holds (reference:
//! users-and-incidents.md, 1.1 and 1.3). The others are in `paused`, `race` and `preload`.

use crate::{
    attack::{ATTACK, Attack, Bite},
    image::{Image, LIBRARIES},
    trial::{Ended, Trial},
};
use root::Defence::{DriversParams, HostSources, InRoot, NewFile, NoFollow, NoLdconfig, NoLinkAtEnd, RealNodes};
use rustix::fs::{FileType, makedev};

/// Those that the image's folders of libraries take part in.
const COMPAT: &str = "usr/local/cuda-12.8/compat";

/// The switches by which the original lets an image's ldconfig and libraries take part.
const OPEN_DOORS: &str = "[nvidia-container-cli]\nldconfig = \"/sbin/ldconfig\"\n[features]\n\
    allow-ldconfig-from-container = true\nallow-cuda-compat-libs-from-container = true\n";

/// See the module.
pub const ATTACKS: &[Attack] = &[
    // Libraries for forward compatibility that are folders and links became sources of mounts.
    Attack {
        name: "cve-2024-0132",
        image: |image| {
            image.folder(COMPAT).link_out(&format!("{COMPAT}/libcuda.so.999.1"), "etc");
            image.folder(&format!("{COMPAT}/libnvidia-nvvm.so.4")).link_out(&format!("{COMPAT}/libx.so.1"), "");
        },
        configuration: OPEN_DOORS,
        bites: &[
            Bite { off: &[HostSources], operation: "create", sees: "a source in the image" },
            Bite { off: &[HostSources], operation: "configure", sees: "mounted: " },
            Bite { off: &[HostSources], operation: "prestart", sees: "mounted: " },
        ],
        ..ATTACK
    },
    // Without links: such a library was mounted where the driver's belong, and what it is was the image's choice.
    Attack {
        name: "cve-2024-0132-own-files",
        image: |image| {
            for name in ["libcuda.so.999.1", "libnvidia-ptxjitcompiler.so.999.1", "libnvidia-nvvm.so.4"] {
                image.file(&format!("{COMPAT}/{name}"), "the image's");
            }
        },
        configuration: OPEN_DOORS,
        bites: &[Bite { off: &[HostSources], operation: "configure", sees: "mounted what is not the driver's" }],
        ..ATTACK
    },
    // Mount points were made by path, so on the host.
    Attack {
        name: "cve-2024-0133",
        image: |image| {
            image.link_out(LIBRARIES, "lib").link_out("usr/lib64", "lib").link_out("usr/bin", "bin");
        },
        bites: &[
            Bite { off: &[InRoot], operation: "create", sees: "outside changed" },
            Bite { off: &[InRoot], operation: "update-ldcache", sees: "outside changed" },
            Bite { off: &[InRoot], operation: "configure", sees: "outside changed" },
            Bite { off: &[InRoot], operation: "configure-standalone", sees: "outside changed" },
            Bite { off: &[InRoot], operation: "prestart", sees: "outside changed" },
        ],
        ..ATTACK
    },
    // The folders of links that a spec asks for were looked up on the host.
    Attack {
        name: "cve-2024-0134",
        image: |image| {
            image.link_out("dev/dri", "dev").link_out("usr/lib64", "lib").link_out("etc/nvidia", "etc/nvidia");
        },
        bites: &[
            Bite { off: &[InRoot], operation: "create-symlinks", sees: "outside changed" },
            Bite { off: &[InRoot], operation: "update-application-profile", sees: "outside changed" },
        ],
        ..ATTACK
    },
    // The image's ldconfig ran with the hook's privileges, and with the host's devices.
    Attack {
        name: "cve-2024-0136",
        image: |image| programs(image, "cat /dev/nvidia0"),
        configuration: OPEN_DOORS,
        bites: &[
            Bite { off: &[NoLdconfig], operation: "update-ldcache", sees: "outside changed" },
            Bite { off: &[NoLdconfig], operation: "configure", sees: "outside changed" },
        ],
        ..ATTACK
    },
    // The same, in the host's network namespace.
    Attack {
        name: "cve-2024-0137",
        image: |image| programs(image, "readlink /proc/self/ns/net"),
        configuration: OPEN_DOORS,
        bites: &[Bite { off: &[NoLdconfig], operation: "update-ldcache", sees: "outside changed" }],
        ..ATTACK
    },
    // What was checked was not what was mounted then; `race` changes it meanwhile.
    Attack {
        name: "cve-2025-23359",
        image: |image| {
            image.link_out(COMPAT, "compat");
        },
        configuration: OPEN_DOORS,
        bites: &[
            Bite { off: &[InRoot], operation: "enable-cuda-compat", sees: "opened outside" },
            Bite { off: &[HostSources], operation: "create", sees: "opened outside" },
            Bite { off: &[InRoot], operation: "configure", sees: "opened outside" },
            Bite { off: &[HostSources], operation: "configure", sees: "mounted: " },
            Bite { off: &[HostSources], operation: "prestart", sees: "mounted: " },
        ],
        ..ATTACK
    },
    // The loader's files were written through the image's links.
    Attack {
        name: "cve-2025-23267",
        image: |image| {
            image
                .link_out("etc/ld.so.cache", "etc/victim")
                .link_out("etc/ld.so.conf.d/00-nvcr-corten.conf", "etc/victim");
            image
                .link_out("etc/ld.so.conf.d/00-compat-corten.conf", "etc/victim")
                .link_out("etc/ld.so.conf", "etc/ld.so.conf");
        },
        bites: &[
            Bite { off: &[NewFile], operation: "update-ldcache", sees: "outside changed" },
            Bite { off: &[NewFile], operation: "create", sees: "outside changed" },
            Bite { off: &[NewFile], operation: "enable-cuda-compat", sees: "outside changed" },
            Bite { off: &[NewFile], operation: "configure", sees: "outside changed" },
        ],
        ..ATTACK
    },
    // The same with links where we make files before they are moved into their place.
    Attack {
        name: "cve-2025-23267-spare-names",
        image: |image| {
            for name in
                ["etc/.ld.so.cache", "etc/ld.so.conf.d/.00-compat-corten.conf", "etc/ld.so.conf.d/.00-nvcr-corten.conf"]
            {
                image
                    .link_out(&format!("{name}.corten"), "etc/victim")
                    .link_out(&format!("{name}.corten-old"), "etc/victim");
            }
        },
        bites: &[
            Bite { off: &[NoFollow], operation: "update-ldcache", sees: "outside changed" },
            Bite { off: &[NoFollow], operation: "create", sees: "outside changed" },
            Bite { off: &[NoFollow], operation: "configure", sees: "outside changed" },
        ],
        ..ATTACK
    },
    // Links in links, which a check by text follows otherwise than the kernel does; `race` changes them meanwhile.
    Attack {
        name: "cve-2026-24260",
        image: |image| {
            image.link_out("usr/local/a", "").link("usr/local/b", "../local/a/../outside");
            image.link("usr/lib64", "local/b/lib").link("dev/dri", "../usr/local/a/dev");
            image.link("etc/nvidia", "/usr/local/b/etc").link("usr/local/cuda", "a");
        },
        bites: &[Bite { off: &[InRoot], operation: "create-symlinks", sees: "outside changed" }],
        ..ATTACK
    },
    // A mount's place was changed for a link between the check and the mount; `race` does that.
    Attack {
        name: "cve-2021-30465",
        image: |image| {
            fake_proc(image, "1").link_out("fake/driver/nvidia/params", "proc/driver/nvidia/params");
        },
        bites: &[Bite {
            off: &[InRoot, DriversParams],
            operation: "disable-device-node-modification",
            sees: "mounted: ",
        }],
        ..ATTACK
    },
    // Where something is to be mounted lies a link.
    Attack {
        name: "cve-2021-30465-places",
        image: |image| {
            image.link_out("usr/bin/nvidia-smi", "etc/victim").link_out("dev/nvidia0", "dev/nvidia0");
        },
        bites: &[
            Bite { off: &[NoLinkAtEnd], operation: "configure", sees: "mounted: " },
            Bite { off: &[NoLinkAtEnd], operation: "configure-standalone", sees: "mounted: " },
        ],
        ..ATTACK
    },
    // The same, and something is to be written there: that goes by another way, which ends at the root, and so the mount does
    // not stay.
    Attack {
        name: "cve-2021-30465-profiles",
        image: |image| {
            image.folder("etc/nvidia").link_out("etc/nvidia/nvidia-application-profiles-rc.d", "etc/nvidia");
        },
        bites: &[
            Bite { off: &[NoLinkAtEnd], operation: "configure", sees: "opened outside" },
            Bite { off: &[NoLinkAtEnd], operation: "configure-standalone", sees: "opened outside" },
        ],
        ..ATTACK
    },
    // Devices of the container were taken for what their names say.
    Attack {
        name: "cve-2025-31133",
        image: |image| {
            image.file("dev/nvidia1", "").link("dev/nvidia2", "nvidia0").fifo("dev/nvidia3").folder("dev/nvidia4");
            image.node("dev/nvidia5", FileType::BlockDevice, makedev(195, 5)).link_out("dev/null", "etc/victim");
            image.link_out("dev/nvidia6", "dev/nvidia0").link_out("dev/nvidiactl", "dev/nvidia0");
        },
        holds: |trial| match profile(trial) {
            Some(profile) if !profile.contains(",0x1]") => Err(format!("what is no GPU was believed: {profile}")),
            _ => Ok(()),
        },
        bites: &[
            Bite { off: &[RealNodes], operation: "update-application-profile", sees: "what is no GPU was believed" },
            // A node was mounted over what a link at its place leads to.
            Bite { off: &[NoLinkAtEnd], operation: "configure", sees: "mounted: " },
            Bite { off: &[NoLinkAtEnd], operation: "prestart", sees: "mounted: " },
        ],
        ..ATTACK
    },
    // Nodes of the container that are links, changed as the host's.
    Attack {
        name: "cve-2025-52565",
        image: |image| {
            image.link_out("dev/console", "private").link_out("dev/dri", "private").link_out("etc/nvidia", "private");
        },
        bites: &[Bite { off: &[InRoot], operation: "chmod", sees: "outside changed" }],
        ..ATTACK
    },
    // Files of the image in the place of procfs.
    Attack {
        name: "cve-2025-52881",
        image: |image| {
            fake_proc(image, "1");
        },
        holds: |trial| match (trial.operation.name, trial.ended) {
            ("disable-device-node-modification", Some(Ended::Status(0))) => {
                Err("a file of the image was taken for the driver's".to_owned())
            }
            _ => Ok(()),
        },
        bites: &[Bite {
            off: &[DriversParams],
            operation: "disable-device-node-modification",
            sees: "a file of the image was taken for the driver's",
        }],
        ..ATTACK
    },
];

/// Every program that this class of tools has ever run, as the image's own: each leaves a mark outside.
fn programs(image: &Image, work: &str) {
    let mark = image.outside("etc/executed");
    let script = format!("#!/bin/sh\n{{ echo \"$0\"; {work}; }} >>{}\n", mark.display());
    for name in ["ldconfig", "ldconfig.real", "nvidia-modprobe", "modprobe", "insmod"] {
        image.program(&format!("usr/sbin/{name}"), &script);
    }
    for name in
        ["nvidia-smi", "nvidia-modprobe", "nvidia-cdi-hook", "nvidia-ctk", "nvidia-container-cli", "sh", "corten-nvml"]
    {
        image.program(&format!("usr/bin/{name}"), &script);
    }
}

/// What the image wants to be taken for procfs.
fn fake_proc<'a>(image: &'a Image, switch: &str) -> &'a Image {
    image
        .link("proc", "fake")
        .folder("fake")
        .file("fake/driver/nvidia/params", format!("ModifyDeviceFiles: {switch}\n"));
    image.file("fake/self/uid_map", "0 12345 1\n").file("fake/self/mountinfo", "").link_out("fake/self/fd", "etc")
}

fn profile(trial: &Trial) -> Option<String> {
    let path = "bundle/rootfs/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf";
    Some(trial.text(path)).filter(|text| !text.is_empty() && trial.operation.name == "update-application-profile")
}
