//! An NVML that is older than what is asked of it: functions are missing. Each counts as one that says so (reference:
//! libnvidia-container.md 8).

use crate::stage::{Stage, assert_prints};
use std::process::Command;

/// As NVML was before MIG, in 2018: the older form of some functions, and none at all for what came later. `-DOLDER` leaves
/// out the CUDA version, too, which came in that year.
const SOURCE: &str = r#"
#include <stdio.h>
#include <string.h>
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_t;
static const char *uuids[] = {"GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c", "GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c"};
static int index_of(void *device) { return (int)((char *)device - (char *)uuids) - 1; }
static int text(const char *from, char *to, unsigned length) { snprintf(to, length, "%s", from); return 0; }
int nvmlInit(void) { return 0; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 13 ? "Function Not Found" : "Unknown Error"; }
int nvmlSystemGetDriverVersion(char *to, unsigned length) { return text("550.54.14", to, length); }
#ifndef OLDER
int nvmlSystemGetCudaDriverVersion(int *to) { *to = 12040; return 0; }
#endif
int nvmlDeviceGetCount(unsigned *to) { *to = 2; return 0; }
int nvmlDeviceGetCount_v2(unsigned *to) { *to = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **to) { *to = (char *)uuids + 1 + index; return index > 1 ? 2 : 0; }
int nvmlDeviceGetName(void *device, char *to, unsigned length) { return text("NVIDIA A100-SXM4-40GB", to, length); }
int nvmlDeviceGetUUID(void *device, char *to, unsigned length) { return text(uuids[index_of(device)], to, length); }
int nvmlDeviceGetMinorNumber(void *device, unsigned *to) { *to = index_of(device); return 0; }
int nvmlDeviceGetBrand(void *device, int *to) { *to = 2; return 0; }
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) { *major = 8; *minor = 0; return 0; }
int nvmlDeviceGetPciInfo(void *device, pci_t *to) {
    memset(to, 0, sizeof *to);
    to->bus = 7 + index_of(device);
    return 0;
}
"#;

/// Makes that library, and lays it over the machine's.
fn stage(flags: &[&str]) -> (Stage, String) {
    let stage = Stage::new(&["debian"]);
    stage.write("nvml.c", SOURCE);
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", "-o"]).arg(stage.path("nvml.so")).args(flags);
    assert!(cc.arg(stage.path("nvml.c")).status().unwrap().success(), "cc");
    let prepare = r#"CLI="${SHIM%/*}/nvidia-container-cli"; chmod 755 "$D/nvml.so"
        mount --bind "$D/nvml.so" "$(readlink -f /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1)" || exit 9
        "#;
    (stage, prepare.to_owned())
}

#[test]
fn what_came_later_is_not_missed() {
    let (stage, prepare) = stage(&[]);
    let done = stage.on(&[], &format!(r#"{prepare} "$CLI" info --csv; echo $?; "$CLI" list -d all"#));
    let want = "\
NVRM version,CUDA version
550.54.14,12.4

Device Index,Device Minor,Model,Brand,GPU UUID,Bus Location,Architecture
0,0,NVIDIA A100-SXM4-40GB,Tesla,GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c,00000000:07:00.0,8.0
1,1,NVIDIA A100-SXM4-40GB,Tesla,GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c,00000000:08:00.0,8.0
0
/dev/nvidiactl
/dev/nvidia-uvm
/dev/nvidia-uvm-tools
/dev/nvidia-modeset
/dev/nvidia0
/dev/nvidia1
";
    assert_prints("an NVML of 2018", &done, want);
}

#[test]
fn what_must_be_known_is_an_error_that_says_so() {
    let (stage, prepare) = stage(&["-DOLDER"]);
    let done = stage.on(&[], &format!(r#"{prepare} "$CLI" info 2>&1; echo $?"#));
    let want = "nvidia-container-cli: detection error: nvml error: function not found\n1\n";
    assert_prints("an NVML before 2018", &done, want);
}
