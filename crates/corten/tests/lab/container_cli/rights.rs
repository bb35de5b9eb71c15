//! What `nvidia-container-cli` keeps of the rights that it has.

use super::called_as_a_hook;
use std::{
    fs,
    io::Read,
    os::unix::process::CommandExt,
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
