//! The real helper with the lab's mock NVML, on a machine made of a tmpfs over `/proc/driver` and one over `/dev`, in
//! a mount namespace of the testing thread's own. Needs root.

use crate::stage::{self, Stage, host_path, runnable_by_all};
use nvml::{Expected, NvmlError, facts};
use rustix::{
    fs::{CWD, FileType, Mode, makedev, mknodat},
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    thread::{UnshareFlags, unshare_unsafe},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    thread,
    time::Duration,
};

const MACHINE: &str = r#"{
    "description": "one whole GPU and one with two MIG devices, slots with a gap",
    "driver": {"version": "550.54.14", "cuda": "12.4"},
    "nvml": NVML,
    "gpu": [
        {"model": "NVIDIA A100-SXM4-40GB", "uuid": "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c",
         "bus-id": "0000:07:00.0", "minor": 1, "mig-capable": true},
        {"model": "NVIDIA RTX PRO 6000", "uuid": "GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c",
         "bus-id": "0001:0a:00.0", "minor": 0, "brand": "NvidiaRTX", "compute-capability": "12.0",
         "mig-capable": true, "mig-enabled": true, "mig": [
            {"index": 0, "uuid": "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "gpu-instance": 2,
             "compute-instance": 0, "profile": "2g.20gb", "graphics": true},
            {"index": 2, "uuid": "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb", "gpu-instance": 9,
             "compute-instance": 1, "profile": "1g.5gb"}]}]
}"#;

/// What the kernel of that machine lists.
fn whole_machine() -> Expected {
    let parts = BTreeSet::from([(2, 0), (9, 1)]);
    Expected(BTreeMap::from([("0000:07:00.0".into(), BTreeSet::new()), ("0001:0a:00.0".into(), parts)]))
}

/// Runs `test` where this machine is, with NVML behaving like this.
fn on_machine(nvml: &str, test: impl FnOnce(&mut nvml::Ask<String>) + Send) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOTICE: not root, so nothing is tested on a simulated machine");
        return;
    }
    let state = MACHINE.replace("NVML", nvml);
    let stage = Stage::new();
    let mut ask = stage.ask("unused");
    ask.helper = helper().to_owned();
    ask.library = Some(host_path(mock()));
    thread::scope(|scope| {
        scope.spawn(|| {
            make_machine(&state);
            test(&mut ask);
        });
    });
}

fn make_machine(state: &str) {
    // SAFETY: only this thread leaves the mount namespace, and no other thread relies on its working directory.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    mount("none", "/proc/driver", "tmpfs", MountFlags::empty(), None).unwrap();
    fs::write(machine::STATE_FILE, state).unwrap();
    mount("none", "/dev", "tmpfs", MountFlags::empty(), Some(c"mode=0755")).unwrap();
    fs::create_dir("/dev/nvidia-caps").unwrap();
    node("/dev/null", 1, 3);
    for (name, minor) in [("nvidiactl", 255), ("nvidia0", 0), ("nvidia1", 1)] {
        node(&format!("/dev/{name}"), 195, minor);
    }
    for minor in [21, 22, 84, 86] {
        node(&format!("/dev/nvidia-caps/nvidia-cap{minor}"), 236, minor);
    }
}

fn node(path: &str, major: u32, minor: u32) {
    mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), makedev(major, minor)).unwrap();
    rustix::fs::chmod(path, Mode::from_raw_mode(0o666)).unwrap();
}

fn close_to_nobody(path: &str) {
    rustix::fs::chmod(path, Mode::from_raw_mode(0o660)).unwrap();
}

fn helper() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| runnable_by_all(env!("CARGO_BIN_EXE_corten-nvml")))
}

/// The mock, built beside this test: Cargo has no way to say that a test needs another package's library.
fn mock() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let profile = Path::new(env!("CARGO_BIN_EXE_corten-nvml")).parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "corten-nvml-mock", "--target-dir"]);
        build.arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the mock does not build");
        runnable_by_all(profile.join("libnvidia_ml_mock.so").to_str().unwrap())
    })
}

#[test]
fn everything_about_gpus_and_mig_devices() {
    on_machine("{}", |ask| {
        let facts = facts(ask).unwrap();
        assert_eq!((facts.driver_version.as_str(), facts.cuda_version), ("550.54.14", Some((12, 4))));
        let [whole, split] = facts.gpus.as_slice() else { panic!("{facts:?}") };
        assert_eq!((whole.minor, whole.brand.as_str(), whole.mig_enabled), (1, "Tesla", false));
        assert_eq!((split.bus_id.as_str(), split.brand.as_str()), ("0001:0a:00.0", "NvidiaRTX"));
        assert_eq!(split.compute_capability, Some((12, 0)));
        let [first, second] = split.mig.as_slice() else { panic!("{split:?}") };
        assert_eq!((first.index, first.name.as_str(), first.graphics), (0, "MIG 2g.20gb", true));
        assert_eq!((second.index, second.gpu_instance, second.compute_instance), (2, 9, 1));
        assert_eq!((second.name.as_str(), second.graphics), ("MIG 1g.5gb", false));
        assert_eq!(second.uuid, "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb");
    });
}

#[test]
fn one_closed_gpu_does_not_spoil_the_rest() {
    on_machine("{}", |ask| {
        fs::remove_file("/dev/nvidia1").unwrap();
        let facts = facts(ask).unwrap();
        assert_eq!(facts.gpus.iter().map(|gpu| gpu.minor).collect::<Vec<_>>(), [0]);
    });
}

#[test]
fn an_older_driver_costs_only_the_facts_that_it_lacks() {
    on_machine("{}", |ask| {
        let older = stage::open_folder();
        let file = older.path().join("libnvidia-ml.so.1");
        let newer_functions = ["nvmlInit_v2", "nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetBrand", "nvmlDeviceGetMigMode"];
        fs::write(&file, without(&fs::read(mock()).unwrap(), &newer_functions)).unwrap();
        ask.library = Some(host_path(&file));
        let facts = facts(ask).unwrap();
        let [first, second] = facts.gpus.as_slice() else { panic!("{facts:?}") };
        assert_eq!((first.bus_id.as_str(), second.bus_id.as_str()), ("0000:07:00.0", "0001:0a:00.0"));
        assert_eq!((first.brand.as_str(), first.compute_capability), ("Unknown", Some((8, 0))));
        assert_eq!((second.mig_enabled, second.mig.len()), (false, 0));
    });
}

/// The library with these functions renamed, which hides them from the loader. They must not call each other.
fn without(library: &[u8], functions: &[&str]) -> Vec<u8> {
    let mut library = library.to_owned();
    for function in functions {
        let name = [b"\0", function.as_bytes(), b"\0"].concat();
        let found: Vec<usize> =
            library.windows(name.len()).enumerate().filter(|(_, window)| *window == name).map(|(at, _)| at).collect();
        assert!(!found.is_empty(), "{function}");
        for at in found {
            library[at + 1] = b'-';
        }
    }
    library
}

#[test]
fn nodes_that_are_closed_to_nobody_are_opened_by_root() {
    for path in ["/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap84"] {
        on_machine("{}", |ask| {
            close_to_nobody(path);
            ask.expected = whole_machine();
            let facts = facts(ask).unwrap();
            assert_eq!(facts.gpus.iter().map(|gpu| gpu.mig.len()).collect::<Vec<_>>(), [0, 2], "{path}");
        });
    }
}

#[test]
fn an_nvml_that_misbehaves_is_named() {
    for (nvml, part) in [
        (r#"{"hang": true}"#, "did not answer within 0.5 s in nvmlInit_v2"),
        (r#"{"crash": true}"#, "NVML crashed in nvmlInit_v2 (signal 11)"),
        (r#"{"init-error": 18}"#, "nvmlInit_v2 failed: Driver/library version mismatch (NVML code 18)"),
        (r#"{"init-error": 9}"#, "nvmlInit_v2 failed: Driver Not Loaded (NVML code 9); load the kernel module"),
    ] {
        on_machine(nvml, |ask| {
            ask.timeout = Duration::from_millis(500);
            let text = facts(ask).unwrap_err().to_string();
            assert!(text.contains(part), "{part:?} in {text:?}");
        });
    }
}

#[test]
fn an_absent_nvml_is_named() {
    on_machine("{}", |ask| {
        ask.library = Some(host_path(Path::new("/nonexistent/libnvidia-ml.so.1")));
        let NvmlError { problem, .. } = facts(ask).unwrap_err();
        let text = problem.to_string();
        assert!(text.contains("/nonexistent/libnvidia-ml.so.1: cannot open shared object file"), "{text}");
    });
}
