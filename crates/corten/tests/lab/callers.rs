//! Programs that call `nvidia-container-cli` by themselves, without any runtime of ours: the very words that they use, in the
//! namespaces that they use them in. (LXC itself is started by `tests/engines`.)
//!
//! None of them shares `/proc` with the lab, whose simulated part a new procfs would not show; so a container's `/proc` is
//! the lab's own, and its processes are not in a PID namespace of their own.

use crate::stage::{Stage, assert_prints, folder, stderr, stdout};
use std::process::Output;

/// What every script begins with: `$R` is the container's root. `enter COMMAND…` runs it there, when it is set up.
const START: &str = r#"
set -eu
R=$B/rootfs
# A mount point of its own, as every caller has it.
own_root() { mount --bind "$R" "$R"; mount --rbind /proc "$R/proc"; mount -t tmpfs tmpfs "$R/dev"; }
enter() { chroot "$R" "$@"; }
look() {
    enter /usr/bin/nvidia-smi -L
    enter /bin/sh -c 'cd /dev; echo nvidia*; cd /usr/lib/x86_64-linux-gnu; test -e libnvidia-ml.so.1; for name in libcuda.so.1; do test -e $name && echo $name; done; true'
    grep Modify "$R/proc/driver/nvidia/params"
}
"#;

/// The same for a script that runs again in a namespace: functions do not reach there.
fn script(body: &str) -> String {
    format!("{START}{body}")
}

fn run(owner: u32, body: &str) -> Output {
    let stage = Stage::new(&["debian"]);
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder("CORTEN_BIN").display());
    // Whoever calls owns the root; a user of the machine must get to it.
    let whole = format!("chown -R {owner}:{owner} \"$B/rootfs\"; chmod 755 \"$B\"\n{body}");
    stage.command_on("two-gpus", &[], &whole).env("PATH", path).env("START", START).output().unwrap()
}

const FIRST: &str = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c)\n";
const SECOND: &str = "GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c)\n";
const HIDDEN: &str = "ModifyDeviceFiles: 0\n";

/// gVisor's runsc: as root, for a process with a mount namespace of its own. It makes the folder in `/proc` itself, and looks
/// at the files only.
#[test]
fn gvisor() {
    let body = script(
        r#"
mkdir -p "$R/proc/driver/nvidia"
unshare --mount --propagation slave sleep 60 >/dev/null 2>&1 &
P=$!
trap 'kill $P' EXIT
while [ "$(readlink /proc/$P/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ]; do :; done
nvidia-container-cli --load-kmods configure --ldconfig=@/sbin/ldconfig --no-cgroups --utility --compute --pid=$P --device=0 "$R"
nsenter --target $P --mount chroot "$R" /bin/sh -c 'ls /dev/nvidia* /usr/lib/x86_64-linux-gnu/libcuda.so.1 /usr/bin/nvidia-smi'
nsenter --target $P --mount cat "$R/proc/driver/nvidia/params" | grep Modify
ls "$R/usr/bin/nvidia-smi" 2>&1 | grep -c nvidia-smi
"#,
    );
    let want = "/dev/nvidia-uvm\n/dev/nvidia-uvm-tools\n/dev/nvidia0\n/dev/nvidiactl\n/usr/bin/nvidia-smi\n\
                /usr/lib/x86_64-linux-gnu/libcuda.so.1\nModifyDeviceFiles: 0\n1\n";
    assert_prints("gVisor", &run(0, &body), want);
}

/// Apptainer with `--nvccli`, started by root: no user namespace, and only a default `PATH`.
#[test]
fn apptainer_as_root() {
    let body = script(
        r#"
export START R
unshare --mount --propagation private sh -c "$START"'
own_root
env -i PATH="$PATH" nvidia-container-cli configure --no-cgroups --device=all --compute --utility --ldconfig=@/usr/sbin/ldconfig "$R"
look'
"#,
    );
    let nodes = "nvidia-uvm nvidia-uvm-tools nvidia0 nvidia1 nvidiactl\nlibcuda.so.1\n";
    assert_prints("Apptainer", &run(0, &body), &format!("{FIRST}{SECOND}{nodes}{HIDDEN}"));
}

/// A user's own user namespace with one id, as Apptainer and enroot make it.
fn as_user(call: &str) -> String {
    script(&format!(
        r#"
export START R
setpriv --reuid 1000 --regid 1000 --clear-groups unshare --user --map-root-user --mount sh -c "$START"'
own_root
{call}
look'
"#
    ))
}

#[test]
fn apptainer_as_a_user() {
    let call = "nvidia-container-cli --user configure --no-cgroups --device=1 --compute --utility \
                --require=\"cuda>=11.0 brand=tesla\" --ldconfig=@/usr/sbin/ldconfig \"$R\"";
    let want = SECOND.replace("GPU 1:", "GPU 0:");
    let nodes = "nvidia-uvm nvidia-uvm-tools nvidia1 nvidiactl\nlibcuda.so.1\n";
    assert_prints("Apptainer", &run(1000, &as_user(call)), &format!("{want}{nodes}{HIDDEN}"));
}

/// enroot's hook 98-nvidia, which pyxis and Slurm use, too; without capabilities said it asks for utility.
#[test]
fn enroot_as_a_user() {
    let call = "nvidia-container-cli --user --debug=/dev/stderr configure --no-cgroups --ldconfig=@/usr/sbin/ldconfig \
                --device=0 --utility \"$R\" 2>\"$R/log\"\ngrep -c WARNING \"$R/log\"";
    assert_prints("enroot", &run(1000, &as_user(call)), &format!("1\n{FIRST}nvidia0 nvidiactl\n{HIDDEN}"));
}

/// The same in a container that is in a user namespace itself, as on a cluster.
#[test]
fn enroot_in_a_nested_namespace() {
    let call = "nvidia-container-cli --user configure --no-cgroups --ldconfig=@/usr/sbin/ldconfig --device=0,1 --compute \
                --utility \"$R\"";
    let nested = as_user(call).replace("--mount sh -c", "--mount unshare --user --map-root-user --mount sh -c");
    let nodes = "nvidia-uvm nvidia-uvm-tools nvidia0 nvidia1 nvidiactl\nlibcuda.so.1\n";
    assert_prints("enroot", &run(1000, &nested), &format!("{FIRST}{SECOND}{nodes}{HIDDEN}"));
}

/// A device group that opens the second GPU alone, as Slurm makes it for a job (`ConstrainDevices`); `None` on machines without
/// groups of version 1, where a shell cannot make one.
pub fn group_of_the_second_gpu() -> Option<&'static str> {
    let has_groups = std::path::Path::new("/sys/fs/cgroup/devices/devices.list").exists();
    if !has_groups {
        eprintln!("skipped: this machine has no `devices` hierarchy of cgroups version 1");
    }
    has_groups.then_some(
        r#"
G=/sys/fs/cgroup/devices/corten-callers-$$
mkdir $G
trap 'echo $$ >/sys/fs/cgroup/devices/cgroup.procs; rmdir $G' EXIT
echo a >$G/devices.deny
for rule in "c *:* m" "c 1:* rwm" "c 5:* rwm" "c 136:* rwm" "c 195:1 rwm" "c 195:255 rwm"; do echo "$rule" >$G/devices.allow; done
echo $$ >$G/cgroup.procs
"#,
    )
}

/// NVML shows a job that was given the second GPU just that one, under index 0. By whatever means the first is kept back: it
/// is not listed, and its index is not its own.
#[test]
fn a_job_sees_the_gpus_that_it_can_open() {
    let call = "nvidia-container-cli list -d all | grep \"nvidia[0-9]\"\n\
                nvidia-container-cli list -d 0 | grep \"nvidia[0-9]\"\n\
                nvidia-container-cli --user info --csv | tail -n 1\n\
                nvidia-container-cli --user configure --no-cgroups --ldconfig=@/usr/sbin/ldconfig --device=0 --utility \"$R\"";
    let info = "0,1,NVIDIA A100-SXM4-40GB,Tesla,GPU-4404041a-04cf-1ccf-9e70-f139a9b1e23c,00000000:08:00.0,8.0\n";
    let only = SECOND.replace("GPU 1:", "GPU 0:");
    let want = format!("/dev/nvidia1\n/dev/nvidia1\n{info}{only}nvidia1 nvidiactl\n{HIDDEN}");
    for prepare in group_of_the_second_gpu().into_iter().chain(["chmod 600 /dev/nvidia0", "rm /dev/nvidia0"]) {
        let done = run(1000, &format!("{prepare}\n{}", as_user(call)));
        assert_prints(prepare, &done, &want);
    }
}

/// LXC's hook, by root for a container with 65536 ids of its own. Incus and LXD use it with `none`, since they add the nodes
/// themselves.
#[test]
fn lxc_and_incus() {
    let nodes = "nvidia-uvm nvidia-uvm-tools nvidia0 nvidiactl\nlibcuda.so.1\n";
    let bind = r#"touch \"\$R/dev/nvidia0\"; mount --bind /dev/nvidia0 \"\$R/dev/nvidia0\""#;
    for (device, after, want) in
        [("--device=0", "", format!("{FIRST}{nodes}{HIDDEN}")), ("", bind, format!("{FIRST}{nodes}{HIDDEN}"))]
    {
        let body = script(&format!(
            r#"
export START R
unshare --user --mount sleep 60 >/dev/null 2>&1 &
P=$!
trap 'kill $P' EXIT
while [ "$(readlink /proc/$P/ns/mnt)" = "$(readlink /proc/self/ns/mnt)" ]; do :; done
echo 0 100000 65536 >/proc/$P/uid_map
echo 0 100000 65536 >/proc/$P/gid_map
nsenter --target $P --user --mount --setuid 0 --setgid 0 sh -c "$START
own_root
nvidia-container-cli --user configure --no-cgroups --ldconfig=@/usr/sbin/ldconfig {device} --compute --utility \"\$R\"
{after}
look"
"#
        ));
        let output = run(100_000, &body);
        assert_prints(device, &output, &want);
    }
}

/// Incus reads the machine with `info --csv`: the second line, and from the fourth on one for each GPU, by bus id.
#[test]
fn incus_reads_the_machine() {
    let output = run(0, "nvidia-container-cli info --csv");
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[1].split(',').collect::<Vec<_>>(), ["550.54.14", "12.4"], "{text}{}", stderr(&output));
    let gpu: Vec<_> = lines[4].split(',').collect();
    assert_eq!(gpu[..3], ["0", "0", "NVIDIA A100-SXM4-40GB"], "{text}");
    assert_eq!((gpu[5], gpu.len()), ("00000000:07:00.0", 7), "{text}");
}
