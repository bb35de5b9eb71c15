//! A small machine with one partitioned GPU and one that is not, and its specifications.

mod beyond;

use super::*;
use cdi::{ContainerEdits, Format};
use expect_test::expect;
use host::{
    Capabilities, DriverFile, DrmLink, FileKind, Gpu, GpuFacts, ImexChannel, Library, LibraryClass, LibraryLink,
    MigDevice, MigFacts, Node, NvmlFacts, SharedNodes,
};
use oci::{ContainerPath, HostPath};

fn node(path: &str, major: u32, minor: u32) -> Node {
    let (host, path) = (HostPath::new(path).unwrap(), ContainerPath::new(path).unwrap());
    Node { host, path, major, minor, mode: 0o666, uid: 0, gid: 0, exists: true }
}

fn file(path: &str, kind: FileKind) -> DriverFile {
    let (host, path) = (HostPath::root().join("real").join(path), ContainerPath::new(path).unwrap());
    DriverFile { host, path, kind, capabilities: Capabilities::ALL }
}

fn library(path: &str, class: LibraryClass, links: &[(&str, &str)]) -> DriverFile {
    let link = |(name, target): &(&str, &str)| LibraryLink { name: (*name).to_owned(), target: (*target).to_owned() };
    let links = links.iter().map(link).collect();
    let versioned = path.rsplit('/').next().unwrap_or_default();
    let soname = format!("{}.1", &versioned[..versioned.find(".so").unwrap() + 3]);
    file(path, FileKind::Library(Library { soname, class, subfolder: String::new(), links }))
}

fn gpu(index: u32, uuid: &str, mig: Vec<MigDevice>) -> Gpu {
    let card = Node { mode: 0o660, gid: 44, ..node(&format!("/dev/dri/card{index}"), 226, index) };
    let by_path = ContainerPath::new(format!("/dev/dri/by-path/pci-0000:0{index}:00.0-card")).unwrap();
    Gpu {
        index,
        minor: index,
        uuid: uuid.to_owned(),
        bus_id: format!("0000:0{index}:00.0"),
        model: "A100".to_owned(),
        node: node(&format!("/dev/nvidia{index}"), 195, index),
        drm: vec![card],
        drm_links: vec![DrmLink { path: by_path, target: format!("../card{index}") }],
        mig_capable: true,
        mig,
    }
}

fn cap(minor: u32) -> Node {
    node(&format!("/dev/nvidia-caps/nvidia-cap{minor}"), 236, minor)
}

const GPU: &str = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c";
const CUT: &str = "GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c";
const MIG: &str = "MIG-5d6b9f0e-7c0e-5b7e-8b1c-1f0f4ad6c333";

fn machine() -> Inventory {
    use LibraryClass::{Compat32, Native};
    let files = vec![
        library("/usr/lib64/libnvidia-ml.so.550.54.14", Native, &[("libnvidia-ml.so.1", "libnvidia-ml.so.550.54.14")]),
        library(
            "/usr/lib64/libcuda.so.550.54.14",
            Native,
            &[("libcuda.so", "libcuda.so.1"), ("libcuda.so.1", "libcuda.so.550.54.14")],
        ),
        library(
            "/usr/lib64/libnvidia-allocator.so.550.54.14",
            Native,
            &[("gbm/nvidia-drm_gbm.so", "../libnvidia-allocator.so.1")],
        ),
        library(
            "/usr/lib64/libnvidia-egl-gbm.so.1.1.1",
            Native,
            &[("libnvidia-egl-gbm.so.1", "libnvidia-egl-gbm.so.1.1.1")],
        ),
        library("/usr/lib/libcuda.so.550.54.14", Compat32, &[]),
        file("/usr/bin/nvidia-smi", FileKind::Binary),
        file("/etc/OpenCL/vendors/nvidia.icd", FileKind::Config),
        file("/run/nvidia-persistenced/socket", FileKind::Socket),
    ];
    let mig = MigDevice {
        gpu_instance: 2,
        compute_instance: 0,
        gpu_instance_node: cap(21),
        compute_instance_node: Node { exists: false, ..cap(22) },
    };
    let facts = |uuid: &str, mig: Vec<MigFacts>| GpuFacts {
        uuid: uuid.to_owned(),
        mig_enabled: !mig.is_empty(),
        mig,
        ..GpuFacts::default()
    };
    let slot = MigFacts { index: 3, uuid: MIG.to_owned(), gpu_instance: 2, ..MigFacts::default() };
    Inventory {
        driver: Some(Driver { version: "550.54.14".to_owned(), root: HostPath::root(), files }),
        gpus: vec![gpu(0, GPU, Vec::new()), gpu(1, CUT, vec![mig])],
        nodes: SharedNodes {
            ctl: Some(node("/dev/nvidiactl", 195, 255)),
            uvm: Some(node("/dev/nvidia-uvm", 511, 0)),
            imex: vec![ImexChannel { number: 7, node: node("/dev/nvidia-caps-imex-channels/channel7", 237, 7) }],
            ..SharedNodes::default()
        },
        nvml: Some(NvmlFacts { gpus: vec![facts(GPU, Vec::new()), facts(CUT, vec![slot])], ..NvmlFacts::default() }),
        ..Inventory::default()
    }
}

fn options(mode: SpecMode) -> SpecOptions {
    SpecOptions {
        mode,
        vendor: "nvidia.com".to_owned(),
        class: "gpu".to_owned(),
        strategies: vec![NameStrategy::Index],
        devices: vec!["all".to_owned()],
        all_device: false,
        driver_root: HostPath::root(),
        hook_program: HostPath::new("/usr/bin/nvidia-ctk").unwrap(),
        ldconfig: None,
        hooks: HookSwitches::default(),
        hookless: None,
        single_hook: false,
        join_groups: true,
        sockets: true,
        explicit_libraries: false,
        coherent: false,
    }
}

/// Hooks as lines, with the words that all begin with left out.
fn hooks(edits: &ContainerEdits) -> Vec<String> {
    edits.hooks.iter().map(|hook| hook.args[2..].join(" ")).collect()
}

fn mounted(edits: &ContainerEdits) -> Vec<&str> {
    edits.mounts.iter().map(|mount| mount.host_path.as_str()).collect()
}

#[test]
fn devices_are_whole_gpus_and_parts_of_cut_ones() {
    let mut spec = spec(&machine(), &options(SpecMode::Nvml)).unwrap();
    spec.validate().unwrap();
    spec.container_edits = ContainerEdits::default();
    expect![[r#"
        ---
        cdiVersion: 0.7.0
        kind: nvidia.com/gpu
        devices:
            - name: "0"
              containerEdits:
                deviceNodes:
                    - path: /dev/nvidia0
                      major: 195
                      fileMode: 438
                      permissions: rwm
                    - path: /dev/dri/card0
                      major: 226
                      fileMode: 432
                      permissions: rwm
                      gid: 44
                hooks:
                    - hookName: createContainer
                      path: /usr/bin/nvidia-ctk
                      args:
                        - nvidia-ctk
                        - hook
                        - create-symlinks
                        - --link
                        - ../card0::/dev/dri/by-path/pci-0000:00:00.0-card
                      env:
                        - NVIDIA_CTK_DEBUG=false
                additionalGids:
                    - 44
            - name: "1:3"
              containerEdits:
                deviceNodes:
                    - path: /dev/nvidia1
                      major: 195
                      minor: 1
                      fileMode: 438
                      permissions: rwm
                    - path: /dev/nvidia-caps/nvidia-cap21
                      major: 236
                      minor: 21
                      fileMode: 438
                      permissions: rwm
                    - path: /dev/nvidia-caps/nvidia-cap22
                      type: c
                      major: 236
                      minor: 22
                      fileMode: 438
                      permissions: rwm
    "#]]
    .assert_eq(&spec.to_text(Format::Yaml));
}

#[test]
fn the_driver_is_common_to_all_devices() {
    let common = spec(&machine(), &options(SpecMode::Nvml)).unwrap().container_edits;
    assert_eq!(common.env, ["NVIDIA_CTK_LIBCUDA_DIR=/usr/lib64", "NVIDIA_VISIBLE_DEVICES=void"]);
    expect![[r#"
        create-symlinks --link ../libnvidia-allocator.so.1::/usr/lib64/gbm/nvidia-drm_gbm.so
        create-symlinks --link libcuda.so.1::/usr/lib64/libcuda.so --link libcuda.so.550.54.14::/usr/lib64/libcuda.so.1 --link libnvidia-ml.so.550.54.14::/usr/lib64/libnvidia-ml.so.1
        enable-cuda-compat --host-driver-version=550.54.14
        update-ldcache --folder /usr/lib64
        disable-device-node-modification
        update-application-profile"#]]
    .assert_eq(&hooks(&common).join("\n"));
    assert_eq!(
        mounted(&common),
        [
            "/run/nvidia-persistenced/socket",
            "/usr/bin/nvidia-smi",
            "/real/usr/lib64/libcuda.so.550.54.14",
            "/real/usr/lib64/libnvidia-allocator.so.550.54.14",
            "/real/usr/lib64/libnvidia-egl-gbm.so.1.1.1",
            "/real/usr/lib64/libnvidia-ml.so.550.54.14",
            "/real/etc/OpenCL/vendors/nvidia.icd",
        ]
    );
}

#[test]
fn managers_get_every_node_and_no_graphics() {
    let spec = spec(&machine(), &options(SpecMode::Management)).unwrap();
    let nodes: Vec<_> = spec.devices[0].container_edits.device_nodes.iter().map(|node| node.path.as_str()).collect();
    assert_eq!((spec.devices.len(), spec.devices[0].name.as_str()), (1, "all"));
    assert_eq!(
        nodes,
        [
            "/dev/nvidia-uvm",
            "/dev/nvidia0",
            "/dev/nvidia1",
            "/dev/nvidiactl",
            "/dev/nvidia-caps-imex-channels/channel7",
            "/dev/nvidia-caps/nvidia-cap21",
            "/dev/nvidia-caps/nvidia-cap22",
        ]
    );
    let common = &spec.container_edits;
    assert!(!mounted(common).iter().any(|path| path.contains("egl") || path.contains("OpenCL")), "{common:?}");
    assert_eq!(hooks(common).len(), 3, "{common:?}");
}

#[test]
fn names_follow_the_strategies_and_ids_choose() {
    use NameStrategy::{Index, TypeIndex, Uuid};
    for (strategies, ids, all_device, want) in [
        (&[Index][..], &["all"][..], true, &["0", "1:3", "all"][..]),
        (&[TypeIndex, Uuid], &["all"], false, &[GPU, MIG, "gpu0", "mig1:3"]),
        (&[Index], &["1"], false, &["1"]),
        (&[Index], &["1:3", "GPU-4cf8db2d"], false, &["0", "1:3"]),
        (&[Uuid], &[MIG], true, &[MIG, "all"]),
        (&[Index], &["0", "none"], true, &["none"]),
        (&[Index], &["none", "all"], true, &["none"]),
        (&[Index], &["0", "all", "none"], false, &["0", "1:3"]),
    ] {
        let devices = ids.iter().map(|&id| id.to_owned()).collect();
        let options = SpecOptions { strategies: strategies.to_vec(), devices, all_device, ..options(SpecMode::Nvml) };
        let spec = spec(&machine(), &options).unwrap();
        let names: Vec<_> = spec.devices.iter().map(|device| device.name.as_str()).collect();
        assert_eq!(names, want, "{ids:?}");
        spec.validate().unwrap();
    }
}

/// Drivers before 470: the MIG device has no valid name by UUID, and the specification is valid all the same.
#[test]
fn uuids_of_the_old_form_are_no_names() {
    use NameStrategy::{Index, Uuid};
    let mut machine = machine();
    let old = format!("MIG-{CUT}/7/0");
    machine.nvml.as_mut().unwrap().gpus[1].mig[0].uuid = old.clone();
    let spec_with = |strategies: &[NameStrategy]| {
        let options = SpecOptions { strategies: strategies.to_vec(), ..options(SpecMode::Nvml) };
        spec(&machine, &options).unwrap()
    };
    let names = |spec: &Spec| spec.devices.iter().map(|device| device.name.clone()).collect::<Vec<_>>();
    let both = spec_with(&[Index, Uuid]);
    assert_eq!(names(&both), ["0", "1:3", GPU]);
    assert!(both.validate().is_ok());
    assert_eq!(names(&spec_with(&[Uuid])), [GPU, &old]);
    assert!(spec_with(&[Uuid]).validate().is_err());
}

#[test]
fn hooks_are_switched_one_by_one() {
    use HookName::{Chmod, CreateSymlinks, UpdateLdcache};
    for (enabled, disabled, all_disabled, want) in [
        (&[][..], &[UpdateLdcache][..], false, 5),
        (&[], &[], true, 0),
        (&[CreateSymlinks], &[CreateSymlinks], true, 2),
        (&[Chmod], &[], false, 6),
    ] {
        let switches = HookSwitches { enabled: enabled.to_vec(), disabled: disabled.to_vec(), all_disabled };
        let spec = spec(&machine(), &SpecOptions { hooks: switches, ..options(SpecMode::Nvml) }).unwrap();
        assert_eq!(hooks(&spec.container_edits).len(), want, "{enabled:?} {disabled:?}");
        let opened = hooks(&spec.devices[0].container_edits)
            .iter()
            .any(|hook| hook.ends_with("chmod --mode 755 --path /dev/dri"));
        assert_eq!(opened, enabled.contains(&Chmod));
    }
}

#[test]
fn channels_are_named_by_number_and_left_to_the_host() {
    let channels = |ids: &[&str]| {
        let devices = ids.iter().map(|&id| id.to_owned()).collect();
        spec(&machine(), &SpecOptions { devices, ..options(SpecMode::Imex) })
    };
    for ids in [&["all"][..], &["7"], &["channel7", "7"]] {
        let spec = channels(ids).unwrap();
        assert_eq!((spec.devices.len(), spec.devices[0].name.as_str()), (1, "7"));
        let node = &spec.devices[0].container_edits.device_nodes[0];
        assert_eq!((node.host_path.as_deref(), node.major), (Some(node.path.as_str()), None));
    }
    for (id, want) in [
        ("8", SpecError::UnknownChannel(8)),
        ("+7", SpecError::InvalidChannel("+7".to_owned())),
        ("1048576", SpecError::InvalidChannel("1048576".to_owned())),
        ("none", SpecError::InvalidChannel("none".to_owned())),
    ] {
        assert_eq!(channels(&[id]), Err(want));
    }
}

#[test]
fn what_is_missing_is_said() {
    for (mode, machine, want) in [
        (SpecMode::Gds, machine(), "this machine has no GPUDirect Storage nodes"),
        (SpecMode::Nvml, Inventory::default(), "no NVIDIA driver was found under /"),
        (SpecMode::Nvml, Inventory { gpus: Vec::new(), ..machine() }, "--device-id=all asks for GPUs, but"),
        (SpecMode::Nvml, Inventory { nvml: None, ..machine() }, "whether GPU 0 is in MIG mode is unknown"),
    ] {
        let error = spec(&machine, &options(mode)).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    }
}

#[test]
fn nvml_is_asked_only_about_partitions() {
    let without = Inventory { nvml: None, ..machine() };
    let asked = |mode, ids: &[&str]| {
        let devices = ids.iter().map(|&id| id.to_owned()).collect();
        needs_nvml(&without, &SpecOptions { devices, ..options(mode) })
    };
    assert!(asked(SpecMode::Nvml, &["all"]) && asked(SpecMode::Nvml, &["0", "1:3"]));
    let bare = Inventory { driver: None, ..without.clone() };
    assert!(!needs_nvml(&bare, &options(SpecMode::Nvml)), "that there is no driver is the better error");
    assert!(!asked(SpecMode::Nvml, &["0", "1"]) && !asked(SpecMode::Management, &["all"]));
}
