//! A small machine, requests as text, and what they are granted.

use super::*;
use crate::edits::Because;
use crate::layout::Loader;
use crate::request::ContainerView;
use host::{
    DriverFile, DrmLink, FileKind, Gpu, GpuFacts, ImexChannel, Library, LibraryClass, LibraryLink, MigDevice, MigFacts,
    Node, NvmlFacts, SharedNodes,
};
use oci::ContainerPath;
use proptest::prelude::*;

mod legacy;
mod partition;

fn host_path(path: &str) -> HostPath {
    HostPath::new(path).expect(path)
}

fn inside(path: &str) -> ContainerPath {
    ContainerPath::new(path).expect(path)
}

fn node(path: &str, major: u32, minor: u32) -> Node {
    Node { host: host_path(path), path: inside(path), major, minor, mode: 0o666, uid: 0, gid: 0, exists: true }
}

fn file(path: &str, kind: FileKind, capabilities: Capabilities) -> DriverFile {
    DriverFile { host: host_path(&format!("/drv{path}")), path: inside(path), kind, capabilities }
}

fn library(name: &str, subfolder: &str, class: LibraryClass, capabilities: &[Capability]) -> DriverFile {
    let soname = format!("{name}.so.1");
    let target = format!("{name}.so.550.54.14");
    let links = vec![LibraryLink { name: soname.clone(), target: target.clone() }];
    let kind = FileKind::Library(Library { soname, class, subfolder: subfolder.to_owned(), links });
    let folder = if class == LibraryClass::Native { "lib64" } else { "lib" };
    file(&format!("/usr/{folder}/{target}"), kind, Capabilities::of(capabilities))
}

const UUIDS: [&str; 3] = [
    "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c",
    "GPU-4cf8db2d-1111-7d70-1a51-e59b25b2c16c",
    "GPU-aaaaaaaa-06c0-7d70-1a51-e59b25b2c16c",
];

/// GPU 0 and 1 are ordinary, their minors reversed; GPU 2 is partitioned in two.
fn gpu(index: u32) -> Gpu {
    let minor = [1, 0, 2][index as usize];
    let cap = |minor| node(&format!("/dev/nvidia-caps/nvidia-cap{minor}"), 236, minor);
    let mig = |gpu_instance, at| MigDevice {
        gpu_instance,
        compute_instance: 0,
        gpu_instance_node: cap(at),
        compute_instance_node: cap(at + 1),
    };
    let drm = format!("/dev/dri/card{index}");
    Gpu {
        index,
        minor,
        uuid: UUIDS[index as usize].to_owned(),
        bus_id: format!("0000:0{}:00.0", index + 7),
        model: "NVIDIA A100".to_owned(),
        node: node(&format!("/dev/nvidia{minor}"), 195, minor),
        drm: vec![Node { mode: 0o660, gid: 44, ..node(&drm, 226, index) }],
        drm_links: vec![DrmLink {
            path: inside(&format!("/dev/dri/by-path/pci-0000:0{}:00.0-card", index + 7)),
            target: format!("../card{index}"),
        }],
        mig_capable: index == 2,
        mig: if index == 2 { vec![mig(1, 273), mig(2, 282)] } else { vec![] },
    }
}

fn facts() -> NvmlFacts {
    let mig = |index, gpu_instance, graphics| MigFacts {
        index,
        uuid: format!("MIG-{index}{index}{index}{index}{index}{index}{index}{index}-06c0-7d70-1a51-e59b25b2c16c"),
        gpu_instance,
        compute_instance: 0,
        name: "MIG 1g.5gb".to_owned(),
        graphics,
    };
    let gpus = (0..3).map(|index| GpuFacts {
        uuid: UUIDS[index].to_owned(),
        brand: "Tesla".to_owned(),
        compute_capability: Some((8, 0)),
        mig_enabled: index == 2,
        mig: if index == 2 { vec![mig(0, 1, true), mig(3, 2, false)] } else { vec![] },
        ..GpuFacts::default()
    });
    NvmlFacts { driver_version: "550.54.14".to_owned(), cuda_version: Some((12, 4)), gpus: gpus.collect() }
}

fn machine() -> Inventory {
    use Capability::{Compat32, Compute, Graphics, Utility, Video};
    let of = Capabilities::of;
    Inventory {
        platform: Platform::Discrete,
        driver: Some(Driver {
            version: "550.54.14".to_owned(),
            root: host_path("/drv"),
            files: vec![
                library("libnvidia-ml", "", LibraryClass::Native, &[Utility]),
                library("libcuda", "", LibraryClass::Native, &[Compute, Video]),
                library("libcuda", "", LibraryClass::Compat32, &[Compute, Video, Compat32]),
                library("libvdpau_nvidia", "vdpau", LibraryClass::Native, &[Video]),
                library("libGLX_nvidia", "", LibraryClass::Native, &[Graphics]),
                file("/usr/bin/nvidia-smi", FileKind::Binary, of(&[Utility])),
                file("/lib/firmware/nvidia/550.54.14/gsp.bin", FileKind::Firmware, Capabilities::ALWAYS),
                file("/run/nvidia-persistenced/socket", FileKind::Socket, of(&[Utility])),
            ],
        }),
        gpus: (0..3).map(gpu).collect(),
        nodes: SharedNodes {
            ctl: Some(node("/dev/nvidiactl", 195, 255)),
            modeset: Some(node("/dev/nvidia-modeset", 195, 254)),
            uvm: Some(node("/dev/nvidia-uvm", 511, 0)),
            uvm_tools: Some(node("/dev/nvidia-uvm-tools", 511, 1)),
            gds: vec![node("/dev/nvidia-fs0", 239, 0)],
            imex: vec![ImexChannel { number: 0, node: node("/dev/nvidia-caps-imex-channels/channel0", 237, 0) }],
            imex_major: Some(237),
            gds_paths: vec![host_path("/run/udev"), host_path("/drv/etc/cufile.json")],
            mig_config: Some(Node { mode: 0o400, ..node("/dev/nvidia-caps/nvidia-cap1", 236, 1) }),
            mig_monitor: Some(Node { mode: 0o444, ..node("/dev/nvidia-caps/nvidia-cap2", 236, 2) }),
            // GPU 2 has one more place; GPU 0 cannot be partitioned, whatever the list says.
            mig_minors: [(1, vec![138]), (2, vec![273, 274, 282, 283, 291])].into(),
            ..SharedNodes::default()
        },
        modify_device_files: true,
        nvml: Some(facts()),
        remarks: vec![],
    }
}

fn layout() -> Layout {
    Layout {
        loader: Loader::Glibc,
        native: inside("/usr/lib/x86_64-linux-gnu"),
        compat32: inside("/usr/lib/i386-linux-gnu"),
        read_only: false,
        covered: false,
    }
}

fn asked(env: &str, config: &Config) -> Request {
    let env: Vec<String> = env.split_whitespace().map(str::to_owned).collect();
    let view = ContainerView { env: &env, privileged: true, ..ContainerView::default() };
    Request::read(&view, config)
        .ok()
        .and_then(|reading| reading.request)
        .unwrap_or_else(|| panic!("no request: {env:?}"))
}

fn planned_with(env: &str, inventory: &Inventory, config: &str, layout: &Layout) -> Result<Edits, String> {
    let config = Config::parse(config).expect(config).0;
    let hook = host_path("/usr/bin/nvidia-cdi-hook");
    plan(&asked(env, &config), inventory, &config, layout, &hook).map_err(|error| error.to_string())
}

fn planned(env: &str) -> Result<Edits, String> {
    planned_with(env, &machine(), "", &layout())
}

fn devices(edits: &Edits) -> Vec<&str> {
    edits.spec.devices.iter().map(|device| device.what.path.as_str()).collect()
}

fn mounts(edits: &Edits) -> Vec<&str> {
    edits.spec.mounts.iter().map(|mount| mount.what.container_path.as_str()).collect()
}

/// The nodes of GPUs and MIG devices that a list grants.
fn granted(devices_asked: &str) -> String {
    let edits = planned(&format!("NVIDIA_VISIBLE_DEVICES={devices_asked}")).unwrap_or_else(|error| panic!("{error}"));
    let short = |path: &str| path.rsplit('/').next().unwrap_or_default().replace("nvidia", "");
    let own = |path: &&str| !path.contains("uvm") && !path.ends_with("ctl");
    devices(&edits).into_iter().filter(own).map(short).collect::<Vec<_>>().join(" ")
}

#[test]
fn names_grant_what_they_name() {
    for (asked, want) in [
        ("0", "1"),
        ("1", "0"),
        ("1,0,0,1", "1 0"),
        ("0000:07:00.0,0", "1"),
        ("00000000:08:00.0", "0"),
        ("GPU-AAAAAAAA", "2"),
        ("GPU-4cf8db2d-1", "0"),
        (UUIDS[0], "1"),
        ("2", "2"),
        ("2:0", "2 -cap273 -cap274"),
        ("2:3", "2 -cap282 -cap283"),
        ("MIG-33333333", "2 -cap282 -cap283"),
        ("MIG-GPU-aaaaaaaa-06c0-7d70-1a51-e59b25b2c16c/1/0", "2 -cap273 -cap274"),
        ("all", "1 0 2 -cap273 -cap274 -cap282 -cap283"),
        ("none", ""),
        ("runtime.nvidia.com/gpu=1", "0"),
    ] {
        assert_eq!(granted(asked), want, "{asked}");
    }
}

#[test]
fn names_of_nothing_are_errors() {
    for (asked, want) in [
        ("3", "asks for \"3\", which is an unknown device; name one that this machine has: GPU 0 (GPU-4cf8db2d-06c0"),
        ("2:1", "MIG device 2:3 (MIG-33333333"),
        ("GPU-4cf8db2d", "fits several devices: GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c, GPU-4cf8db2d-1111"),
        ("GPU-bbbbbbbb", "an unknown device"),
        ("GPU-4cf8", "not a valid UUID"),
        ("ALL", "the word all is written in lower case"),
        ("0000:01:00.0", "an unknown device"),
        ("MIG-GPU-aaaaaaaa-06c0-7d70-1a51-e59b25b2c16c/9/0", "an unknown device"),
        ("nvidia.com/gpu=0,1", "requesting a CDI device with vendor 'runtime.nvidia.com' is not supported"),
    ] {
        let error = planned(&format!("NVIDIA_VISIBLE_DEVICES={asked}")).expect_err(asked);
        assert!(error.contains(want) && error.contains("NVIDIA_VISIBLE_DEVICES"), "{asked}: {error}");
    }
}

#[test]
fn capabilities_filter_files_and_nodes() {
    let lib = "/usr/lib/x86_64-linux-gnu";
    for (capabilities, files, nodes) in [
        (",", vec![], "nvidia1 nvidiactl"),
        (
            "utility",
            vec!["/run/nvidia-persistenced/socket", "/usr/bin/nvidia-smi", "L/libnvidia-ml.so.550.54.14"],
            "nvidia1 nvidiactl",
        ),
        ("compute", vec!["L/libcuda.so.550.54.14"], "nvidia1 nvidiactl nvidia-uvm nvidia-uvm-tools"),
        (
            "video",
            vec!["L/libcuda.so.550.54.14", "L/vdpau/libvdpau_nvidia.so.550.54.14"],
            "nvidia1 card0 pci-0000:07:00.0-card nvidiactl nvidia-uvm nvidia-uvm-tools",
        ),
        (
            "graphics",
            vec!["L/libGLX_nvidia.so.550.54.14"],
            "nvidia1 card0 pci-0000:07:00.0-card nvidiactl nvidia-modeset",
        ),
        (
            "compute,compat32",
            vec!["/usr/lib/i386-linux-gnu/libcuda.so.550.54.14", "L/libcuda.so.550.54.14"],
            "nvidia1 nvidiactl nvidia-uvm nvidia-uvm-tools",
        ),
    ] {
        let edits = planned(&format!("NVIDIA_VISIBLE_DEVICES=0 NVIDIA_DRIVER_CAPABILITIES={capabilities}"));
        let edits = edits.unwrap_or_else(|error| panic!("{error}"));
        let want: Vec<_> = ["/lib/firmware/nvidia/550.54.14/gsp.bin".to_owned()]
            .into_iter()
            .chain(files.iter().map(|path| path.replacen('L', lib, usize::from(path.starts_with('L')))))
            .collect();
        assert_eq!(mounts(&edits), want, "{capabilities}");
        let names: Vec<_> =
            devices(&edits).into_iter().map(|path| path.rsplit('/').next().unwrap_or_default()).collect();
        assert_eq!(names.join(" "), nodes, "{capabilities}");
    }
}

#[test]
fn capabilities_can_be_ignored() {
    let config = "nvidia-container-runtime.modes.jit-cdi.ignore-driver-capabilities = true";
    let env = "NVIDIA_VISIBLE_DEVICES=0 NVIDIA_DRIVER_CAPABILITIES=bogus";
    let edits = planned_with(env, &machine(), config, &layout()).expect("everything");
    assert_eq!(edits.spec.mounts.len(), 7, "all but the 32-bit library");
}

#[test]
fn the_whole_plan_as_data() {
    let edits = planned("NVIDIA_VISIBLE_DEVICES=0 NVIDIA_DRIVER_CAPABILITIES=compute,graphics").expect("planned");
    let bare = edits.spec.into_container_edits();
    assert_eq!(bare.env, ["NVIDIA_CTK_LIBCUDA_DIR=/usr/lib/x86_64-linux-gnu", "NVIDIA_VISIBLE_DEVICES=void"]);
    assert_eq!(bare.additional_gids, [44]);
    assert_eq!(bare.hooks.len(), 1);
    assert_eq!(bare.hooks[0].args, ["nvidia-cdi-hook", "disable-device-node-modification"]);
    assert_eq!(bare.hooks[0].env, ["NVIDIA_CTK_DEBUG=false"]);
    let by_path = &bare.device_nodes[2];
    assert_eq!(by_path.path, "/dev/dri/by-path/pci-0000:07:00.0-card");
    assert_eq!(by_path.host_path.as_deref(), Some("/dev/dri/card0"));
    assert_eq!((by_path.gid, by_path.file_mode, by_path.major), (Some(44), Some(0o660), Some(226)));
    assert_eq!(bare.device_nodes[0].host_path, None);
    assert_eq!(bare.mounts[1].host_path, "/drv/usr/lib64/libGLX_nvidia.so.550.54.14");
    assert_eq!(edits.root.application_profile.map(|mask| mask.what), Some(0b10));
    let links: Vec<_> =
        edits.root.links.iter().map(|link| (link.what.at.as_str(), link.what.target.as_str())).collect();
    assert_eq!(
        links,
        [
            ("/usr/lib/x86_64-linux-gnu/libGLX_nvidia.so.1", "libGLX_nvidia.so.550.54.14"),
            ("/usr/lib/x86_64-linux-gnu/libcuda.so.1", "libcuda.so.550.54.14"),
        ]
    );
    let entries: Vec<_> = edits.root.libraries.iter().map(|entry| entry.what.path.file_name()).collect();
    assert_eq!(entries, ["libGLX_nvidia.so.1", "libcuda.so.1"]);
}

#[test]
fn none_gets_the_driver_and_no_gpu() {
    let edits = planned("NVIDIA_VISIBLE_DEVICES=none").expect("none");
    assert_eq!(devices(&edits), ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"]);
    assert_eq!(edits.spec.env[0].what, "NVCT_EMPTY_DEVICE=");
    let bare = Inventory { gpus: vec![], ..machine() };
    assert!(planned_with("NVIDIA_VISIBLE_DEVICES=none", &bare, "", &layout()).is_ok());
}

#[test]
fn switches_of_the_configuration() {
    let env = "NVIDIA_VISIBLE_DEVICES=0 NVIDIA_DRIVER_CAPABILITIES=all";
    let with = |config: &str| planned_with(env, &machine(), config, &layout()).expect(config);
    assert!(with("features.no-additional-gids-for-device-nodes = true").spec.gids.is_empty());
    let jit = |text: &str| with(&format!("[nvidia-container-runtime.modes.jit-cdi]\n{text}"));
    assert!(jit("nvcdi-feature-flags = ['no-additional-gids-for-device-nodes']").spec.gids.is_empty());
    assert!(
        !mounts(&jit("nvcdi-feature-flags = ['disable-ipc-discoverer']")).iter().any(|path| path.contains("socket"))
    );
    let none = jit("nvcdi-disable-hooks = ['all']");
    assert!(none.spec.hooks.is_empty() && none.root.is_empty());
    let only = jit("nvcdi-disable-hooks = ['create-symlinks']");
    assert!(only.root.links.is_empty() && !only.root.libraries.is_empty() && only.spec.hooks.len() == 1);
}

#[test]
fn a_root_that_cannot_be_written() {
    let layout = Layout { read_only: true, ..layout() };
    let env = "NVIDIA_VISIBLE_DEVICES=0 NVIDIA_DRIVER_CAPABILITIES=compute,graphics";
    let edits = planned_with(env, &machine(), "", &layout).expect("read-only");
    assert!(edits.root.links.is_empty() && edits.root.application_profile.is_none());
    assert!(!edits.root.libraries.is_empty(), "for the loader cache that is mounted over the image's");
    let linked = edits.spec.mounts.iter().find(|mount| mount.what.container_path.ends_with("/libcuda.so.1"));
    assert_eq!(linked.map(|mount| mount.what.host_path.as_str()), Some("/drv/usr/lib64/libcuda.so.550.54.14"));
}

#[test]
fn a_folder_that_a_volume_covers_has_mounts_for_links() {
    let layout = Layout { covered: true, ..layout() };
    let env = "NVIDIA_VISIBLE_DEVICES=0 NVIDIA_DRIVER_CAPABILITIES=compute,graphics";
    let edits = planned_with(env, &machine(), "", &layout).expect("covered");
    assert!(
        edits.root.links.is_empty() && !edits.root.libraries.is_empty() && edits.root.application_profile.is_some()
    );
    assert!(edits.spec.mounts.iter().any(|mount| mount.what.container_path.ends_with("/libcuda.so.1")));
}

#[test]
fn imex_channels() {
    let channels = |env: &str, config: &str| {
        let env = format!("NVIDIA_VISIBLE_DEVICES=0 NVIDIA_IMEX_CHANNELS={env}");
        let edits = planned_with(&env, &machine(), config, &layout())?;
        let imex = edits.spec.devices.iter().filter(|device| device.what.path.contains("imex"));
        Ok::<_, String>(
            imex.map(|device| format!("{:?}", device.what.minor.unwrap_or(-1))).collect::<Vec<_>>().join(","),
        )
    };
    for (env, want) in [("0", "0"), ("none", ""), ("all", ""), ("0,channel0,5", "0,5")] {
        assert_eq!(channels(env, ""), Ok(want.to_owned()), "{env}");
    }
    let strict = "features.disable-imex-channel-creation = true";
    assert!(
        channels("5", strict).expect_err("5").starts_with("IMEX channel 5 not found, which NVIDIA_IMEX_CHANNELS asks")
    );
    assert!(
        channels("abc", "").expect_err("abc").starts_with("invalid channel ID abc: must be in the range [0, 1048575]")
    );
}

#[test]
fn gated_groups() {
    let edits = planned("NVIDIA_VISIBLE_DEVICES=0 NVIDIA_GDS=enabled NVIDIA_MOFED=enabled").expect("gated");
    assert!(devices(&edits).contains(&"/dev/nvidia-fs0"));
    assert!(mounts(&edits).contains(&"/etc/cufile.json") && mounts(&edits).contains(&"/run/udev"));
    assert_eq!(edits.remarks, ["NVIDIA_MOFED=enabled grants nothing: this machine has no such device"]);
}

#[test]
fn what_is_missing_is_named() {
    let with = |inventory: &Inventory, env: &str| planned_with(env, inventory, "", &layout());
    let remarks = vec!["looked in /usr/lib64".to_owned()];
    let error =
        with(&Inventory { driver: None, remarks, ..machine() }, "NVIDIA_VISIBLE_DEVICES=0").expect_err("driver");
    assert!(error.starts_with(
        "no NVIDIA driver was found under / (looked in /usr/lib64), which NVIDIA_VISIBLE_DEVICES=0 needs"
    ));
    let error = with(&Inventory { gpus: vec![], ..machine() }, "NVIDIA_VISIBLE_DEVICES=all").expect_err("GPUs");
    assert!(error.starts_with("NVIDIA_VISIBLE_DEVICES=all asks for GPUs, but this machine has none"));
    let mut idle = machine();
    idle.gpus.truncate(1);
    idle.gpus[0].mig_capable = true;
    assert_eq!(with(&idle, "NVIDIA_VISIBLE_DEVICES=all").map(|edits| edits.spec.devices.len()), Ok(4));
    idle.nvml.as_mut().expect("facts").gpus[0].mig_enabled = true;
    assert!(with(&idle, "NVIDIA_VISIBLE_DEVICES=all").expect_err("empty").contains("every GPU is in MIG mode"));
    let mut no_uvm = machine();
    no_uvm.nodes.uvm = None;
    let edits = with(&no_uvm, "NVIDIA_VISIBLE_DEVICES=0").expect("planned");
    assert_eq!(edits.remarks, ["/dev/nvidia-uvm is not granted: load the kernel module with `modprobe nvidia-uvm`"]);
    for (platform, name) in [(Platform::Tegra, "Tegra"), (Platform::Wsl, "WSL")] {
        let other = Inventory { platform, ..machine() };
        assert_eq!(
            with(&other, "NVIDIA_VISIBLE_DEVICES=0").expect_err(name),
            format!(
                "NVIDIA_VISIBLE_DEVICES=0 cannot be planned on {name} in this version; write a CDI spec by hand, and set \
                 nvidia-container-runtime.mode = \"cdi\" in config.toml"
            )
        );
    }
}

#[test]
fn requirements_are_checked() {
    assert!(planned("NVIDIA_VISIBLE_DEVICES=0 NVIDIA_REQUIRE_CUDA=cuda>=12.4,arch>=8").is_ok());
    let error = planned("NVIDIA_VISIBLE_DEVICES=0 NVIDIA_REQUIRE_CUDA=cuda>=13.0").expect_err("13");
    assert!(
        error.starts_with(
            "requirements not met: unsatisfied condition: cuda>=13.0 (cuda=12.4), please update your driver"
        )
    );
    assert!(planned("NVIDIA_VISIBLE_DEVICES=0 NVIDIA_REQUIRE_CUDA=cuda>=13.0 NVIDIA_DISABLE_REQUIRE=1").is_ok());
    assert!(planned("NVIDIA_VISIBLE_DEVICES=none NVIDIA_REQUIRE_CUDA=arch>=99").is_ok());
}

/// NVML is asked exactly where a plan without it fails, or would leave something out.
#[test]
fn nvml_is_asked_only_when_needed() {
    let mut blind = machine();
    blind.nvml = None;
    let mut idle = blind.clone();
    idle.gpus[0].mig_capable = true;
    let mut unused = blind.clone();
    unused.gpus[2].uuid.clear();
    for (env, inventory, needs, works) in [
        ("0", &blind, false, true),
        ("all", &blind, false, true),
        ("GPU-aaaaaaaa", &blind, false, true),
        ("MIG-GPU-aaaaaaaa-06c0-7d70-1a51-e59b25b2c16c/1/0", &blind, false, true),
        ("2:0", &blind, true, false),
        ("MIG-33333333", &blind, true, false),
        ("all", &idle, true, false),
        ("0", &idle, false, true),
        ("all", &unused, true, true),
        ("GPU-aaaaaaaa", &unused, true, false),
        ("0", &unused, false, true),
        ("none NVIDIA_REQUIRE_X=arch>=1", &blind, false, true),
        ("0 NVIDIA_REQUIRE_X=arch>=1", &blind, true, false),
        ("0 NVIDIA_REQUIRE_X=driver>=1", &blind, false, true),
        ("0 NVIDIA_REQUIRE_X=cuda>=1", &blind, true, false),
        ("all NVIDIA_DRIVER_CAPABILITIES=graphics", &blind, true, true),
    ] {
        let env = format!("NVIDIA_VISIBLE_DEVICES={env}");
        let request = asked(&env, &Config::default());
        assert_eq!(needs_nvml(&request, inventory).is_some(), needs, "{env}");
        let result = planned_with(&env, inventory, "", &layout());
        assert_eq!(result.is_ok(), works, "{env}: {result:?}");
        assert_eq!(needs_nvml(&request, &machine()), None);
    }
}

#[test]
fn the_first_of_two_libraries_at_one_place_is_taken() {
    let mut machine = machine();
    let driver = machine.driver.as_mut().expect("driver");
    let other = DriverFile { host: host_path("/other/libcuda.so.550.54.14"), ..driver.files[1].clone() };
    driver.files.push(other);
    let edits = planned_with("NVIDIA_VISIBLE_DEVICES=0", &machine, "", &layout()).expect("planned");
    assert_eq!(edits.remarks.len(), 1);
    assert!(edits.remarks[0].starts_with("/other/libcuda.so.550.54.14 is left out"), "{:?}", edits.remarks);
}

fn reasons(edits: &Edits) -> Vec<&Reason> {
    fn of<T>(list: &[Because<T>]) -> impl Iterator<Item = &Reason> {
        list.iter().map(|entry| &entry.reason)
    }
    let spec = &edits.spec;
    let root = &edits.root;
    of(&spec.env)
        .chain(of(&spec.devices))
        .chain(of(&spec.mounts))
        .chain(of(&spec.gids))
        .chain(of(&spec.hooks))
        .chain(of(&root.links))
        .chain(of(&root.libraries))
        .chain(root.application_profile.iter().map(|profile| &profile.reason))
        .collect()
}

proptest! {
    /// Granted ⊆ requested: a GPU's node only where the list names it or says `all`. And: the same twice, each entry with
    /// its reason, each path once.
    #[test]
    fn grants_stay_within_the_request(
        words in prop::collection::vec(prop::sample::select(vec!["0", "1", "2", "2:0", "GPU-aaaaaaaa", "all", "none", "", "7", "void", "x"]), 1..5),
        capabilities in prop::collection::vec(prop::sample::select(vec!["compute", "video", "graphics", "utility", "display", "ngx", "compat32"]), 0..3),
        mig in prop::collection::vec(prop::sample::select(vec!["", "all", "0", "ALL"]), 2),
        privileged: bool,
    ) {
        let env = [
            format!("NVIDIA_VISIBLE_DEVICES={}", words.join(",")),
            format!("NVIDIA_DRIVER_CAPABILITIES={}", capabilities.join(",")),
            format!("NVIDIA_MIG_CONFIG_DEVICES={}", mig[0]),
            format!("NVIDIA_MIG_MONITOR_DEVICES={}", mig[1]),
        ];
        let view = ContainerView { env: &env, privileged, ..ContainerView::default() };
        let config = Config::default();
        let Ok(Some(request)) = Request::read(&view, &config).map(|reading| reading.request) else { return Ok(()) };
        let hook = host_path("/usr/bin/nvidia-cdi-hook");
        let Ok(edits) = plan(&request, &machine(), &config, &layout(), &hook) else { return Ok(()) };
        prop_assert_eq!(&edits, &plan(&request, &machine(), &config, &layout(), &hook).expect("as before"));
        let all = |word: &&str| privileged && word.eq_ignore_ascii_case("all");
        let partitions = mig.iter().any(all);
        let whole = ["2", "GPU-aaaaaaaa"];
        let instances = |named: &[&'static str]| if partitions { [named, &whole].concat() } else { named.to_vec() };
        for (path, names) in [("/dev/nvidia1", vec!["0"]), ("/dev/nvidia0", vec!["1"]), ("/dev/nvidia2", vec!["2", "2:0", "GPU-aaaaaaaa"]),
            ("/dev/nvidia-caps/nvidia-cap273", instances(&["2:0"])), ("/dev/nvidia-caps/nvidia-cap282", instances(&[]))]
        {
            let named = words.iter().any(|word| *word == "all" || names.contains(word));
            prop_assert!(named || !devices(&edits).contains(&path), "{} for {:?}", path, words);
        }
        for (path, word) in [("/dev/nvidia-caps/nvidia-cap1", &mig[0]), ("/dev/nvidia-caps/nvidia-cap2", &mig[1])] {
            prop_assert!(all(word) || !devices(&edits).contains(&path), "{} for {:?}", path, env);
        }
        let new = ["/dev/nvidia-caps/nvidia-cap291", "/dev/nvidia-caps/nvidia-cap138"].map(|path| devices(&edits).contains(&path));
        prop_assert!((partitions || !new[0]) && !new[1], "{:?}", env);
        let mut paths = [devices(&edits), mounts(&edits)].concat();
        paths.sort_unstable();
        prop_assert!(paths.windows(2).all(|pair| pair[0] != pair[1]));
        prop_assert!(reasons(&edits).iter().all(|reason| !reason.request.is_empty() && !reason.rule.is_empty()));
        for mount in &edits.spec.mounts {
            let file = machine().driver.and_then(|driver| driver.files.into_iter().find(|file| file.host.as_str() == mount.what.host_path));
            prop_assert!(file.is_some_and(|file| file.capabilities.meets(request.capabilities)));
        }
    }
}

#[test]
fn loaders_and_x_servers_find_what_lies_in_subfolders() {
    let links = |names: &[(&str, &str)]| {
        names.iter().map(|(name, target)| LibraryLink { name: (*name).into(), target: (*target).into() }).collect()
    };
    let with = |soname: &str, subfolder: &str, names: &[(&str, &str)]| {
        let kind = FileKind::Library(Library {
            soname: soname.into(),
            class: LibraryClass::Native,
            subfolder: subfolder.into(),
            links: links(names),
        });
        file(&format!("/usr/lib64/{soname}.550.54.14"), kind, Capabilities::of(&[Capability::Compute]))
    };
    let vdpau = [("vdpau/libv.so.1", "libv.so.1.550.54.14"), ("vdpau/libv.so", "libv.so.1")];
    let x_server = [("xorg/modules/extensions/libx.so", "libx.so.1.550.54.14")];
    let mut machine = machine();
    let driver = machine.driver.as_mut().expect("the machine has a driver");
    driver.files = vec![
        with("libv.so.1", "vdpau", &vdpau),
        with("libx.so.1", "xorg/modules/extensions", &x_server),
        with("libcuda.so.1", "", &[("libcuda.so.1", "libcuda.so.1.550.54.14"), ("libcuda.so", "libcuda.so.1")]),
    ];
    let edits = planned_with("NVIDIA_VISIBLE_DEVICES=0", &machine, "", &layout()).expect("a plan");
    let listed: Vec<(&str, &str)> =
        edits.root.libraries.iter().map(|entry| (entry.what.soname.as_str(), entry.what.path.as_str())).collect();
    assert_eq!(
        listed,
        [
            ("libcuda.so", "/usr/lib/x86_64-linux-gnu/libcuda.so"),
            ("libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1"),
            ("libv.so", "/usr/lib/x86_64-linux-gnu/vdpau/libv.so"),
            ("libv.so.1", "/usr/lib/x86_64-linux-gnu/vdpau/libv.so.1"),
        ]
    );
    let module = "/usr/lib/xorg/modules/extensions/libx.so";
    assert!(edits.root.links.iter().any(|link| link.what.at.as_str() == module), "{module}");
}
