//! What `nvidia-container-cli` keeps of the rights that it has, and to whom it listens when it has more of them than its
//! caller.

use super::called_as_a_hook;
use crate::stage::{Stage, folder, stderr, stdout};
use std::{
    fs,
    io::Read,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Child, Command, Stdio},
};

const HARDEN: &str = "/proc/sys/net/core/bpf_jit_harden";

/// The kernel hardens BPF programs while this is there. The switch is the whole machine's. Only one test at a time may turn
/// it, and it is turned back by a process that ends when this one does, however that ends.
struct Hardening(Child);

impl Hardening {
    fn on() -> Hardening {
        let switch = fs::File::open(HARDEN).unwrap();
        switch.lock().unwrap();
        let script =
            format!("before=$(cat {HARDEN}); echo 2 >{HARDEN} && echo on; cat >/dev/null; echo \"$before\" >{HARDEN}");
        let mut shell = Command::new("sh");
        // The lock goes with it: the last who holds the file gives it back.
        shell.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::from(switch));
        // What is sent to this one's group, as by a terminal, it does not get.
        shell.process_group(0);
        let mut child = shell.spawn().unwrap();
        let mut said = [0; 3];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(&said, b"on\n");
        Hardening(child)
    }
}

impl Drop for Hardening {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The kernel shows such programs to those who may see its addresses (`CAP_SYSLOG`), unless nobody may.
#[test]
fn hardened_programs_of_cgroups_version_2_are_extended() {
    if fs::read_to_string("/proc/sys/kernel/kptr_restrict").unwrap().trim() == "2" {
        eprintln!("skipped: kernel.kptr_restrict is 2 on this machine, and so hardened programs are shown to nobody");
        return;
    }
    let before = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup || exit 1; ";
    let _hardening = Hardening::on();
    called_as_a_hook("runc", before, "] detected cgroupv2\n");
}

/// `cap_dac_override+ep` as `vfs_cap_data` of `linux/capability.h`.
const CAPABILITY: [u8; 20] = {
    let (revision_2_effective, dac_override) = ([1, 0, 0, 2], [2, 0, 0, 0]);
    let [a, b, c, d] = revision_2_effective;
    let [e, f, g, h] = dac_override;
    [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
};

/// Neither the environment nor `--debug` may lead a program to files that its caller cannot write (sections 2.1, 2.6).
#[test]
fn a_program_with_more_rights_than_its_caller_does_not_listen_to_him() {
    let stage = Stage::new(&["debian"]);
    let make = |name: &str| {
        let path = stage.path(name).join("nvidia-container-cli");
        fs::create_dir(stage.path(name)).unwrap();
        fs::copy(folder("CORTEN_BIN").join("nvidia-container-cli"), &path).unwrap();
        path
    };
    make("plain");
    fs::set_permissions(make("set-user-id"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(make("set-group-id"), fs::Permissions::from_mode(0o2755)).unwrap();
    let with_capability = make("capability");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&with_capability, "security.capability", &CAPABILITY, flags).unwrap();
    stage.write("secret", "");
    fs::set_permissions(stage.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(stage.path("open")).unwrap();
    fs::set_permissions(stage.path("open"), fs::Permissions::from_mode(0o777)).unwrap();
    let script = r#"as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
        for kind in plain set-user-id set-group-id capability; do
            cli=$D/$kind/nvidia-container-cli
            for log in "$D/secret" "$D/open/$kind"; do
                NVC_DEBUG_FILE=$log as_user "$cli" list -b; as_user "$cli" -d "$log" list -b
            done
        done >"$D/listed"; ls "$D/open""#;
    let done = stage.on(&[], script);
    assert_eq!(stdout(&done), "plain\n", "whose log is there: {}", stderr(&done));
    assert_eq!(stage.read("secret"), "");
    assert_eq!(stage.read("listed").matches("/usr/bin/nvidia-smi\n").count(), 4);
    // `PATH` is the caller's, too.
    let refused = "nvidia-container-cli: detection error: environment variable PATH not found\n";
    assert_eq!(stderr(&done), refused.repeat(12));
}
