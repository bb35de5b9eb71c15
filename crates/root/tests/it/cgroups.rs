//! Device grants to containers that runc has started and restricted: with cgroups of version 1 where the machine has
//! them, and of version 2 in a mount namespace that shows nothing else.

use crate::hook::inside_namespace;
use oci::HostPath;
use root::cgroup::{Group, Rule, Version, allow, of_process};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const MAJOR: u32 = 195;
/// Minor numbers that no driver of this major has: opening one says so where it is allowed.
const GRANTED: u32 = 240;
const OTHER: u32 = 241;

/// A container that sleeps, with nodes of two devices; gone afterwards.
struct Container {
    bundle: tempfile::TempDir,
    name: String,
    pid: u32,
}

impl Container {
    fn start(name: &str) -> Container {
        let bundle = tempfile::tempdir().unwrap();
        let root = bundle.path().join("rootfs");
        for folder in ["usr", "proc", "sys", "dev", "tmp"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for link in ["bin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).unwrap();
        }
        for minor in [GRANTED, OTHER] {
            let node = root.join(format!("node-{minor}"));
            run(Command::new("mknod").arg(node).args(["c", &MAJOR.to_string(), &minor.to_string()]));
        }
        run(Command::new("runc").arg("spec").current_dir(bundle.path()));
        configure(&bundle.path().join("config.json"));
        let name = format!("corten-{name}-{}", std::process::id());
        let pid_file = bundle.path().join("pid");
        let mut command = Command::new("runc");
        command.args(["run", "--detach", "--pid-file"]).arg(&pid_file).arg("--bundle").arg(bundle.path()).arg(&name);
        // What stays open would keep a reader of the pipes waiting.
        let status = command.stdin(null()).stdout(null()).stderr(null()).status().expect("these tests need runc");
        assert!(status.success(), "runc: {status}");
        let pid = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
        Container { bundle, name, pid }
    }

    /// Whether a process of the container may open the device for reading and writing.
    fn opens(&self, minor: u32) -> bool {
        let script = format!("LC_ALL=C; : <> /node-{minor}");
        let output = Command::new("runc").args(["exec", &self.name, "sh", "-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let refused = said.contains("Operation not permitted");
        assert!(refused || said.contains("No such device"), "{said}");
        !refused
    }

    /// What must hold for any container.
    fn grants_and_takes_back(&self, version: Version) {
        assert!(!self.opens(GRANTED) && !self.opens(OTHER), "runc refuses both");
        let groups = of_process(self.pid).unwrap();
        assert!(groups.iter().any(|group| group.version == version), "{groups:?}");
        let rules = [Rule::character(MAJOR, GRANTED)];
        let granted = allow(&groups, &rules).unwrap();
        assert!(granted.changed());
        assert!(self.opens(GRANTED) && !self.opens(OTHER));
        assert!(!allow(&groups, &rules).unwrap().changed(), "a second time");
        self.looks_as_after_the_original(&groups);
        granted.undo().unwrap();
        assert!(!self.opens(GRANTED) && !self.opens(OTHER));
    }

    /// Of version 1, where one can look: the line that the original would have written, and only one.
    fn looks_as_after_the_original(&self, groups: &[Group]) {
        for group in groups.iter().filter(|group| group.version == Version::V1) {
            let list = fs::read_to_string(group.path.join("devices.list").as_path()).unwrap();
            let line = format!("c {MAJOR}:{GRANTED} rw");
            assert_eq!(list.lines().filter(|found| *found == line).count(), 1, "{list}");
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("runc").args(["delete", "--force", &self.name]).stderr(null()).status();
        // Written out, so that it is clear that the folder has to live as long as the container.
        let _ = self.bundle.path();
    }
}

fn null() -> std::process::Stdio {
    std::process::Stdio::null()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A process that sleeps, and the programs of this machine.
fn configure(path: &Path) {
    let mut config: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["sleep", "1000"]);
    let mount = serde_json::json!({
        "destination": "/usr", "source": "/usr", "type": "bind", "options": ["rbind", "ro"],
    });
    config["mounts"].as_array_mut().unwrap().push(mount);
    fs::write(path, config.to_string()).unwrap();
}

/// The `devices` hierarchy of version 1; without it, says so.
fn devices_hierarchy() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let point = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        (kind.starts_with("cgroup ") && kind.ends_with("devices")).then(|| mount.split(' ').nth(4))?
    });
    if point.is_none() {
        left_out::say("device cgroups of version 1", "this machine has no `devices` hierarchy of cgroups version 1");
    }
    point.map(PathBuf::from)
}

#[test]
fn a_container_of_version_1() {
    if devices_hierarchy().is_some() {
        Container::start("v1").grants_and_takes_back(Version::V1);
    }
}

#[test]
fn a_group_cannot_have_more_than_the_one_above_it() {
    let Some(hierarchy) = devices_hierarchy() else { return };
    let above = hierarchy.join(format!("corten-above-{}", std::process::id()));
    let group = above.join("group");
    let allowed = format!("c {MAJOR}:{OTHER} rwm");
    let devices = [Rule::character(MAJOR, OTHER), Rule::character(MAJOR, GRANTED)];
    fs::create_dir(&above).unwrap();
    fs::write(above.join("devices.deny"), "a").unwrap();
    fs::write(above.join("devices.allow"), &allowed).unwrap();
    // It begins with what the one above has.
    fs::create_dir(&group).unwrap();
    fs::write(group.join("devices.deny"), &allowed).unwrap();
    let groups = [Group { version: Version::V1, path: HostPath::new(group.to_str().unwrap()).unwrap() }];
    let error = allow(&groups, &devices).unwrap_err().to_string();
    let list = fs::read_to_string(group.join("devices.list")).unwrap();
    fs::remove_dir(&group).unwrap();
    fs::remove_dir(&above).unwrap();
    let rule = format!("may not be given `c {MAJOR}:{GRANTED} rw`, since the group above it does not have that");
    assert!(error.ends_with(&rule), "{error}");
    assert_eq!(list, "", "the device that was granted before is taken back");
}

#[test]
fn a_container_of_version_2() {
    if !inside_namespace("cgroups::a_container_of_version_2") {
        return;
    }
    run(Command::new("umount").args(["--lazy", "/sys/fs/cgroup"]));
    run(Command::new("mount").args(["--types", "cgroup2", "none", "/sys/fs/cgroup"]));
    let container = Container::start("v2");
    let groups = of_process(container.pid).unwrap();
    let path = PathBuf::from("/sys/fs/cgroup").join(&container.name);
    assert_eq!(groups.iter().map(|group| group.path.as_path()).collect::<Vec<_>>(), [path]);
    container.grants_and_takes_back(Version::V2);
}

#[test]
fn a_process_that_has_ended_has_no_group() {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let error = of_process(child.id()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read /proc/{}/cgroup: ", child.id())), "{error}");
}
