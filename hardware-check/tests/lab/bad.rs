//! Machines on which something is wrong: the line of that thing says so, and the others still say what they can.

use crate::stage::{CHECKS, report, report_after};

#[test]
fn without_a_driver_it_says_where_it_looked() {
    let report = report("no-gpu", &[]);
    report.has("driver", "fail", "no driver is loaded, and no libcuda.so or libnvidia-ml.so below /");
    report.has("runc", "pass", "");
    for check in CHECKS.iter().filter(|check| !["driver", "runc", "device nodes"].contains(check)) {
        report.has(check, "skip", "");
    }
    assert_eq!(report.status, Some(1));
}

#[test]
fn nvmls_refusal_is_told_and_cuda_is_tried_all_the_same() {
    let report = report("broken-nvml", &[]);
    report.has("nvml", "fail", "nvmlInit_v2 failed: Driver/library version mismatch (NVML code 18)");
    report.has("gpus", "skip", "NVML gives no answer");
    report.has("device nodes", "pass", "");
    report.has("cuda, container", "pass", "CUDA 12.4, 1 devices");
    assert_eq!(report.status, Some(1));
}

#[test]
fn nothing_waits_for_an_nvml_that_hangs() {
    let report = report_after("two-gpus", &["nvml.hang=true"], "", "--limit 3");
    report.has("nvml", "fail", "NVML did not answer within 3 s in nvmlInit_v2 and was stopped");
    report.has("list, container", "skip", "");
    assert_eq!(report.status, Some(1));
}

#[test]
fn a_crash_of_nvml_is_a_line() {
    report("two-gpus", &["nvml.crash=true"]).has("nvml", "fail", "NVML crashed in nvmlInit_v2 (signal 11)");
}

#[test]
fn cuda_can_fail_while_all_else_holds() {
    for (setting, want) in [
        ("cuda.init-error=802", "cuInit: 802 CUDA_ERROR_SYSTEM_NOT_READY from CUDA"),
        ("cuda.garbles=true", "comparison: 0 DATA_DIFFERS from CUDA, after CUDA 12.4, 1 devices"),
    ] {
        let report = report("two-gpus", &[setting]);
        for check in ["cuda, in place", "cuda, container"] {
            report.has(check, "fail", want);
        }
        report.has("list, container", "pass", "");
        assert_eq!(report.status, Some(1), "{setting}");
    }
    let report = report("two-gpus", &["cuda.absent=true"]);
    report.has("cuda, in place", "skip", "this driver has no libcuda.so.1");
    report.has("cuda, container", "skip", "this driver has no libcuda.so.1");
    report.has("list, container", "pass", "");
    // A specification without it would be of no use, so there is none.
    report.has("cdi spec", "fail", "libcuda");
    assert_eq!(report.status, Some(1));
}

/// The mock NVML reads the machine's description, so changing that makes the two differ.
#[test]
fn what_nvml_says_otherwise_is_found_out() {
    let change = |what: &str| format!("sed -i '{what}' /proc/driver/corten-lab.json");
    let report = report_after("two-gpus", &[], &change("s/GPU-4404041a/GPU-ffff041a/"), "");
    report.has(
        "gpus",
        "fail",
        "GPU 1: the kernel says GPU-4404041a… at 0000:08:00.0, minor 1, NVML says GPU-ffff041a…",
    );
    report.has("cdi spec", "fail", "from the kernel's files, ");
    let report = report_after("two-gpus", &[], &change("s/0000:08:00.0/0000:09:00.0/"), "");
    report.has("gpus", "fail", "minor 1, NVML says GPU-4404041a… at 0000:09:00.0");
    report.has("cdi spec", "fail", "from the kernel's files, ");
    let report = report_after("two-gpus", &[], &change("s/550.54.14/550.54.15/"), "");
    report.has("driver version", "fail", "the files say 550.54.14, NVML says 550.54.15");
    let report = report_after("mig", &[], &change("s/\"gpu-instance\": 7/\"gpu-instance\": 8/"), "");
    report.has("mig devices", "fail", "the kernel lists GPU instance 7, compute instance 0 of GPU-4cf8db2d…");
}

#[test]
fn a_wrong_node_on_disk_is_named() {
    let report = report_after("two-gpus", &[], "rm /dev/nvidia-uvm; mknod /dev/nvidia-uvm c 510 0", "");
    report.has("device nodes", "fail", "/dev/nvidia-uvm is 510:0, the kernel says 511:0");
    assert_eq!(report.status, Some(1));
}
