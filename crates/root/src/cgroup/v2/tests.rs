//! Programs in real groups of cgroups version 2, attached in every way there is, and nodes that are opened in them. Needs
//! root and a mount of version 2, which machines with version 1 have too (`/sys/fs/cgroup/unified`).

use super::*;
use crate::cgroup::{
    Access, Group, Kind, Version, allow, allow_by,
    bpf::tests::{create_link, set_hardening},
    program::tests::{calling, runtimes},
};
use rustix::{
    fs::{CWD, FileType, makedev, mknodat},
    thread::{CapabilitySet, capabilities, set_capabilities},
};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A minor number that no driver of this major has; opening it says so where it is allowed.
const GRANTED: u32 = 240;
const OTHER: u32 = 241;
const MAJOR: u32 = 195;

/// A group of its own with nodes to open; gone afterwards.
struct Fixture {
    group: Group,
    nodes: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        assert!(rustix::process::geteuid().is_root(), "these tests make cgroups and device nodes: run them as root");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let name = format!("/corten-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let found = host::procfs::cgroups::device_groups(&format!("0::{name}\n"), &mounts);
        let group = found.expect("these tests need a mount of cgroup2").remove(0);
        fs::create_dir(group.path.as_path()).unwrap();
        let nodes = tempfile::tempdir().unwrap();
        for minor in [GRANTED, OTHER] {
            let path = nodes.path().join(minor.to_string());
            let mode = Mode::from_raw_mode(0o600);
            mknodat(CWD, &path, FileType::CharacterDevice, mode, makedev(MAJOR, minor)).unwrap();
        }
        Fixture { group, nodes }
    }

    fn fd(&self) -> OwnedFd {
        open_group(&self.group.path).unwrap()
    }

    fn attached(&self) -> Vec<u32> {
        bpf::query(self.fd().as_fd(), false).unwrap().ids
    }

    fn allow(&self, rules: &[Rule]) -> Result<Granted, CgroupError> {
        allow(std::slice::from_ref(&self.group), rules)
    }

    /// Whether a process of the group may open the node so (`<`, `>` or `<>`).
    fn opens(&self, minor: u32, how: &str) -> bool {
        self.shell().opens(&format!("{how} {}", self.node(minor).display()))
    }

    fn node(&self, minor: u32) -> PathBuf {
        self.nodes.path().join(minor.to_string())
    }

    fn shell(&self) -> Shell {
        let mut command = Command::new("sh");
        command.env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        fs::write(self.group.path.join("cgroup.procs").as_path(), child.id().to_string()).unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Shell { child, input, output }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // A process that has just ended may be in the group for another moment.
        for _ in 0..200 {
            match fs::remove_dir(self.group.path.as_path()) {
                Ok(()) => return,
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
    }
}

/// A process in the group that opens what it is told to.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Shell {
    fn opens(&mut self, what: &str) -> bool {
        // In a process of its own, since a redirection that fails may end the shell.
        writeln!(self.input, "(: {what}) 2>&1; echo end").unwrap();
        let mut said = String::new();
        while !said.ends_with("end\n") {
            assert_ne!(self.output.read_line(&mut said).unwrap(), 0, "the shell has ended");
        }
        let refused = said.contains("Operation not permitted");
        assert!(refused || said.contains("No such device") || said == "end\n", "{said}");
        !refused
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Loads and attaches a program as low-level runtimes do.
fn restrict(fixture: &Fixture, flags: u32) -> u32 {
    let program = bpf::load(&runtimes()).unwrap();
    bpf::attach(fixture.fd().as_fd(), program.as_fd(), flags, None).unwrap();
    bpf::info(program.as_fd()).unwrap().id
}

const RULE: Rule = Rule { kind: Kind::Char, major: MAJOR, minor: GRANTED, access: Access::READ_WRITE };

/// What must hold wherever programs are attached, however they are.
fn grants_and_takes_back(fixture: &Fixture, how: Replacing) {
    let groups = std::slice::from_ref(&fixture.group);
    assert!(!fixture.opens(GRANTED, "<>") && !fixture.opens(OTHER, "<>"), "the test's programs refuse both");
    let before = fixture.attached();

    let granted = allow_by(groups, &[RULE], how).unwrap();
    assert!(granted.changed());
    let after = fixture.attached();
    assert_eq!(after.len(), before.len());
    assert!(after.iter().all(|id| !before.contains(id)), "every program is another");
    for (minor, how, want) in [(GRANTED, "<>", true), (GRANTED, "<", true), (GRANTED, ">", true), (OTHER, "<>", false)]
    {
        assert_eq!(fixture.opens(minor, how), want, "{how} {minor}");
    }
    assert!(fixture.shell().opens("< /dev/null"), "what was allowed before still is");

    let again = allow_by(groups, &[RULE], how).unwrap();
    assert!(!again.changed());
    assert_eq!(fixture.attached(), after);

    granted.undo().unwrap();
    assert!(!fixture.opens(GRANTED, "<>"));
    let mut restored = fixture.attached();
    // Attaching and detaching changes the order, which means nothing.
    restored.sort_unstable();
    assert_eq!(restored, before);
}

#[test]
fn one_of_several_programs() {
    let fixture = Fixture::new();
    restrict(&fixture, bpf::MULTI);
    grants_and_takes_back(&fixture, Replacing::AsTheKernelCan);
    grants_and_takes_back(&fixture, Replacing::AttachThenDetach);
}

#[test]
fn every_one_of_several_programs() {
    let fixture = Fixture::new();
    restrict(&fixture, bpf::MULTI);
    restrict(&fixture, bpf::MULTI);
    grants_and_takes_back(&fixture, Replacing::AsTheKernelCan);
    grants_and_takes_back(&fixture, Replacing::AttachThenDetach);
}

#[test]
fn the_only_program() {
    const OVERRIDE: u32 = 1;
    for flags in [0, OVERRIDE] {
        let fixture = Fixture::new();
        restrict(&fixture, flags);
        grants_and_takes_back(&fixture, Replacing::AsTheKernelCan);
        assert_eq!(bpf::query(fixture.fd().as_fd(), false).unwrap().flags, flags, "attached as before");
    }
}

#[test]
fn a_program_that_a_link_holds() {
    let fixture = Fixture::new();
    let program = bpf::load(&runtimes()).unwrap();
    let link = create_link(fixture.fd().as_fd(), program.as_fd()).unwrap();
    restrict(&fixture, bpf::MULTI);
    grants_and_takes_back(&fixture, Replacing::AsTheKernelCan);
    let granted = fixture.allow(&[RULE]).unwrap();
    // Whoever holds the link still holds what rules.
    drop(link);
    assert_eq!(fixture.attached().len(), 2, "our handle keeps it");
    drop(granted);
    assert_eq!(fixture.attached().len(), 1);
}

#[test]
fn an_unrestricted_group_stays_so() {
    let fixture = Fixture::new();
    let granted = fixture.allow(&[RULE]).unwrap();
    assert!(!granted.changed());
    assert!(fixture.attached().is_empty());
    assert!(fixture.opens(GRANTED, "<>") && fixture.opens(OTHER, "<>"));
}

#[test]
fn programs_further_up_are_told_and_not_touched() {
    let fixture = Fixture::new();
    let above = restrict(&fixture, bpf::MULTI);
    let path = fixture.group.path.join("below");
    fs::create_dir(path.as_path()).unwrap();
    let granted = allow(&[Group { version: Version::V2, path: path.clone() }], &[RULE]).unwrap();
    assert!(!granted.changed());
    assert_eq!(granted.inherited(), [above]);
    assert_eq!(fixture.attached(), [above]);
    fs::remove_dir(path.as_path()).unwrap();
}

#[test]
fn no_moment_is_without_restriction() {
    let fixture = Fixture::new();
    restrict(&fixture, bpf::MULTI);
    let node = fixture.node(OTHER);
    // A node that can be opened where it is allowed: the kernel's /dev/zero, which the test's program refuses.
    fs::remove_file(&node).unwrap();
    mknodat(CWD, &node, FileType::CharacterDevice, Mode::from_raw_mode(0o600), makedev(1, 5)).unwrap();
    // Opens without an end and says how often it could.
    let script = "trap 'echo $n $ok; exit' TERM; n=0 ok=0; read go; echo ready
                  while :; do n=$((n+1)); command : 2>/dev/null <>$NODE && ok=$((ok+1)); done";
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("NODE", &node).stdout(Stdio::piped()).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    fs::write(fixture.group.path.join("cgroup.procs").as_path(), child.id().to_string()).unwrap();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    output.read_line(&mut said).unwrap();
    for round in 0..400 {
        let how = [Replacing::AsTheKernelCan, Replacing::AttachThenDetach][round % 2];
        allow_by(std::slice::from_ref(&fixture.group), &[RULE], how).unwrap().undo().unwrap();
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    said.clear();
    output.read_line(&mut said).unwrap();
    child.wait().unwrap();
    let counts: Vec<u32> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(counts[0] > 400, "{counts:?}");
    assert_eq!(counts[1], 0, "opened what was never allowed: {counts:?}");
}

#[test]
fn what_somebody_else_attached_meanwhile_stays() {
    let fixture = Fixture::new();
    restrict(&fixture, bpf::MULTI);
    let granted = fixture.allow(&[RULE]).unwrap();
    let ours = bpf::program(fixture.attached()[0]).unwrap();
    // As `runc update` does.
    let theirs = bpf::load(&runtimes()).unwrap();
    bpf::attach(fixture.fd().as_fd(), theirs.as_fd(), bpf::MULTI, Some(ours.as_fd())).unwrap();
    let after = fixture.attached();
    granted.undo().unwrap();
    assert_eq!(fixture.attached(), after);
}

#[test]
fn a_group_that_is_gone_needs_no_undoing() {
    let fixture = Fixture::new();
    restrict(&fixture, bpf::MULTI);
    let granted = fixture.allow(&[RULE]).unwrap();
    fs::remove_dir(fixture.group.path.as_path()).unwrap();
    granted.undo().unwrap();
    let error = fixture.allow(&[RULE]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot open {}: No such file or directory (os error 2)", fixture.group.path)
    );
}

#[test]
fn a_folder_that_is_no_group_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = HostPath::new(folder.path().to_str().unwrap()).unwrap();
    for version in [Version::V1, Version::V2] {
        let error = allow(&[Group { version, path: path.clone() }], &[RULE]).unwrap_err();
        assert!(matches!(error, CgroupError::NotCgroup(_)), "{error}");
    }
}

#[test]
fn a_failure_leaves_nothing_changed() {
    let fixture = Fixture::new();
    restrict(&fixture, bpf::MULTI);
    let before = fixture.attached();
    let absent = Group { version: Version::V2, path: HostPath::new("/sys/fs/cgroup/corten-absent").unwrap() };
    assert!(allow(&[fixture.group.clone(), absent], &[RULE]).is_err());
    assert_eq!(fixture.attached(), before);
    assert!(!fixture.opens(GRANTED, "<>"));
}

/// Gives up capabilities of this thread alone.
fn without(lost: CapabilitySet) {
    let mut held = capabilities(None).unwrap();
    (held.effective, held.permitted) = (held.effective - lost, held.permitted - lost);
    set_capabilities(None, held).unwrap();
}

#[test]
fn hardened_programs_are_extended_where_the_kernel_shows_them_and_named_elsewhere() {
    let fixture = Fixture::new();
    {
        let _hardened = set_hardening();
        restrict(&fixture, bpf::MULTI);
    }
    grants_and_takes_back(&fixture, Replacing::AsTheKernelCan);
    // A thread of its own: capabilities do not come back.
    let error = std::thread::scope(|scope| {
        let restricted = scope.spawn(|| {
            without(CapabilitySet::SYSLOG);
            fixture.allow(&[RULE]).unwrap_err()
        });
        restricted.join().unwrap()
    });
    let said = error.to_string();
    assert!(matches!(error, CgroupError::Foreign { why: super::super::Unreadable::Hardened, .. }), "{said}");
    assert!(said.contains(&format!("BPF program {} (corten_devices)", fixture.attached()[0])), "{said}");
    assert!(said.contains("net.core.bpf_jit_harden"), "{said}");
}

#[test]
fn a_program_that_calls_the_kernel_is_named_and_left_alone() {
    let fixture = Fixture::new();
    let program = bpf::load(&calling()).unwrap();
    bpf::attach(fixture.fd().as_fd(), program.as_fd(), bpf::MULTI, None).unwrap();
    restrict(&fixture, bpf::MULTI);
    let before = fixture.attached();
    let error = fixture.allow(&[RULE]).unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, CgroupError::Foreign { why: super::super::Unreadable::Linked, .. }), "{said}");
    let id = bpf::info(program.as_fd()).unwrap().id;
    assert!(said.contains(&format!("BPF program {id} (corten_devices), which cannot be extended: it calls")), "{said}");
    assert_eq!(fixture.attached(), before, "not the other program either");
}

#[test]
fn a_caller_without_privileges_is_told_which_it_lacks() {
    let fixture = Fixture::new();
    restrict(&fixture, bpf::MULTI);
    let before = fixture.attached();
    let error = std::thread::scope(|scope| {
        let restricted = scope.spawn(|| {
            without(CapabilitySet::all());
            fixture.allow(&[RULE]).unwrap_err()
        });
        restricted.join().unwrap()
    });
    assert!(error.to_string().contains("CAP_BPF"), "{error}");
    assert_eq!(fixture.attached(), before);
}
