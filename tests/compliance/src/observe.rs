//! From what was seen to facts: what has no meaning (random names, order of sets, versions of engines) is taken out here.

use crate::{
    case::{Case, Prepare},
    error_class,
    facts::Facts,
    upper::{Kind, Written},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything one case showed, as it came.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Observation {
    /// Each program call in order: `create`, and its exit status.
    pub calls: Vec<(String, i32)>,
    /// Standard error of the call that failed, empty if none did.
    pub stderr: String,
    /// What the probe said; `None` when no container ran.
    pub seen: Option<Seen>,
    /// What came to lie in the container's root.
    pub written: Vec<Written>,
    /// config.json afterwards; `None` when its bytes are what they were.
    pub spec: Option<Value>,
    /// Arguments that `nvidia-container-cli` was called with, if it was.
    #[serde(default)]
    pub cli: Option<Vec<String>>,
    /// Files of ours or theirs left outside the container's root.
    pub left: Vec<String>,
}

/// What the probe, a process of the container, saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Nodes below /dev.
    pub devices: Vec<Device>,
    /// Links below /dev that are not every container's: path and text.
    #[serde(default)]
    pub device_links: BTreeMap<String, String>,
    /// What opening a node made by the probe itself says, by `major:minor`.
    pub numbers: BTreeMap<String, String>,
    /// Mount points and their options.
    pub mounts: BTreeMap<String, String>,
    /// Sonames asked for, and whether the loader found them.
    pub sonames: BTreeMap<String, bool>,
    /// Lines of the container's own `ldconfig -p`; `None` when it has no ldconfig.
    pub ldconfig: Option<Vec<String>>,
    /// Environment.
    pub env: Vec<String>,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// `ModifyDeviceFiles` line of /proc/driver/nvidia/params.
    pub params: Option<String>,
    /// Application profiles: file name and text.
    pub profiles: BTreeMap<String, String>,
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path in the container.
    pub path: String,
    /// `c 195:0`.
    pub number: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// `ok`, or the name of the error of open(2).
    pub open: String,
}

/// Mount points of every container, and the suite's own.
const OWN_MOUNTS: [&str; 5] = ["/", "/proc", "/dev", "/corten-probe", "/sys"];

/// How the names of the original's scratch folders begin.
const SCRATCH: &str = "/run/nvidia-ctk-hook";

/// Nodes that every engine makes.
const OWN_NODES: [&str; 9] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/console",
    "/dev/pts/ptmx",
];

/// The facts of that case.
pub fn facts(case: &Case, seen: &Observation) -> Facts {
    let mut facts = Facts::new();
    let mut more = Vec::new();
    let mut put = |facet: &str, mut lines: Vec<String>, ordered: bool| {
        more.extend(lines.extract_if(.., |line| MORE_FILES.iter().any(|name| line.contains(name))));
        if !ordered {
            lines.sort();
            lines.dedup();
        }
        facts.insert(facet.to_owned(), lines);
    };
    put("exit", seen.calls.iter().map(|(call, code)| format!("{call} {code}")).collect(), true);
    put("error", error_class::of(&seen.stderr).into_iter().map(str::to_owned).collect(), true);
    if seen.calls.iter().any(|(_, code)| *code != 0) {
        let state = if seen.spec.is_some() { "rewritten" } else { "untouched" };
        put("spec", vec![state.to_owned()], true);
    }
    if seen.cli.is_some() || case.is_for_hook() {
        put("cli", seen.cli.clone().unwrap_or_default(), true);
    }
    let Some(container) = &seen.seen else { return facts };
    put("devices", devices(container), false);
    put("by-path", by_path(container), false);
    put("by-path-kind", by_path_kind(container), false);
    put(
        "numbers",
        container.numbers.iter().map(|(number, open)| format!("{number} {}", access(open))).collect(),
        false,
    );
    put("files", files(case, container), false);
    put("folders", folders(case, container), false);
    put("sonames", found(&container.sonames), false);
    put(
        "ldconfig",
        container.ldconfig.as_deref().map(|lines| listed(lines, &container.sonames)).unwrap_or_default(),
        false,
    );
    put("env", container.env.clone(), false);
    put("groups", container.groups.iter().map(u32::to_string).collect(), false);
    put("params", container.params.iter().cloned().collect(), true);
    put("profile", container.profiles.values().map(|text| text.split_whitespace().collect()).collect(), false);
    put("links", links(seen, container), false);
    put("litter", litter(seen, container), false);
    put("rules", seen.spec.as_ref().map(rules).unwrap_or_default(), false);
    if case.prepare.iter().any(|step| matches!(step, Prepare::Copy { .. })) {
        let listed = container.ldconfig.as_deref().map(compat).unwrap_or_default();
        facts.insert("compat".to_owned(), listed);
    }
    more.sort();
    more.dedup();
    facts.insert("more-files".to_owned(), more);
    facts
}

/// Files that the original knows in some modes and not in jit-cdi. They have a facet of their own, or every case would
/// differ in four.
const MORE_FILES: [&str; 6] = [
    "libnvidia-egl-xcb",
    "libnvidia-egl-xlib",
    "nvidia_xcb.json",
    "nvidia_xlib.json",
    "nvidia-xconfig",
    "nv-fabricmanager",
];

fn devices(container: &Seen) -> Vec<String> {
    let theirs = |device: &&Device| !OWN_NODES.contains(&device.path.as_str()) && !device.path.starts_with(BY_PATH);
    let line = |device: &Device| {
        let Device { path, number, mode, uid, gid, open } = device;
        format!("{path} {number} {mode:04o} {uid}:{gid} {}", access(open))
    };
    container.devices.iter().filter(theirs).map(line).collect()
}

/// Where GPUs have names by their place on the bus.
const BY_PATH: &str = "/dev/dri/by-path/";

/// Each name by bus place, and which device it leads to: as a link, or as a node of its own.
fn by_path(container: &Seen) -> Vec<String> {
    let number = |at: &str| container.devices.iter().find(|device| device.path == at).map(|device| &device.number);
    let link = |(at, target): (&String, &String)| {
        let target = format!("/dev/dri/{}", target.trim_start_matches("../"));
        Some(format!("{} {}", at.strip_prefix(BY_PATH)?, number(&target)?))
    };
    let node = |device: &Device| Some(format!("{} {}", device.path.strip_prefix(BY_PATH)?, device.number));
    let links = container.device_links.iter().filter_map(link);
    links.chain(container.devices.iter().filter_map(node)).collect()
}

fn by_path_kind(container: &Seen) -> Vec<String> {
    let links = container.device_links.keys().filter(|at| at.starts_with(BY_PATH)).map(|_| "links");
    let nodes = container.devices.iter().filter(|device| device.path.starts_with(BY_PATH)).map(|_| "nodes");
    links.chain(nodes).map(str::to_owned).collect()
}

/// Opening a node that no driver answers says ENXIO (or ENODEV) where the container may, EPERM or EACCES where not.
fn access(open: &str) -> &'static str {
    match open {
        "ok" | "ENXIO" | "ENODEV" => "opens",
        "EPERM" | "EACCES" => "refused",
        "ENOENT" => "absent",
        _ => "fails",
    }
}

/// Mount points that somebody added: neither the engine, nor the case itself.
fn added<'a>(case: &Case, container: &'a Seen) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own: BTreeSet<String> = case.null_mounts.iter().cloned().collect();
    let added = move |at: &str| {
        let engine =
            OWN_MOUNTS.contains(&at) || at.starts_with(SCRATCH) || at.starts_with("/proc/") || at.starts_with("/sys/");
        let node = at.starts_with("/dev/");
        !engine && !node && !own.contains(at) && !own.contains(&format!("/var{at}"))
    };
    container.mounts.iter().map(|(at, options)| (at.as_str(), options.as_str())).filter(move |(at, _)| added(at))
}

/// Each mounted file by the end of its path that does not depend on the distribution, with `rw` or `ro`.
fn files(case: &Case, container: &Seen) -> Vec<String> {
    let line = |(at, options): (&str, &str)| {
        let access = options.split(',').find(|option| matches!(*option, "ro" | "rw")).unwrap_or("?");
        format!("{} {access}", below_library_folder(at))
    };
    added(case, container).map(line).collect()
}

/// The folders that libraries were mounted in.
fn folders(case: &Case, container: &Seen) -> Vec<String> {
    let library = |at: &&str| at.contains(".so");
    let folder = |at: &str| at.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    added(case, container).map(|(at, _)| at).filter(library).filter_map(folder).collect()
}

/// Folders where one distribution or another keeps libraries, longest first.
const LIBRARY_FOLDERS: [&str; 10] = [
    "/usr/lib/x86_64-linux-gnu/nvidia/current/",
    "/usr/lib/i386-linux-gnu/nvidia/current/",
    "/usr/lib/x86_64-linux-gnu/",
    "/usr/lib/i386-linux-gnu/",
    "/lib/x86_64-linux-gnu/",
    "/lib/i386-linux-gnu/",
    "/usr/lib32/",
    "/usr/lib64/",
    "/usr/lib/",
    "/lib64/",
];

/// The path without the distribution's library folder (`libcuda.so.1`, `vdpau/…`); 32-bit ones say so.
fn below_library_folder(path: &str) -> String {
    let library = |folder: &&&str| path.starts_with(**folder) && path.contains(".so");
    match LIBRARY_FOLDERS.iter().find(library) {
        Some(folder) if folder.contains("i386") || folder.contains("lib32") => format!("32:{}", &path[folder.len()..]),
        Some(folder) => path[folder.len()..].to_owned(),
        None => path.to_owned(),
    }
}

fn found(sonames: &BTreeMap<String, bool>) -> Vec<String> {
    sonames.iter().filter(|(_, found)| **found).map(|(soname, _)| soname.clone()).collect()
}

/// `libcuda.so.1 (libc6,x86-64) => /…` as `libcuda.so.1 libc6,x86-64`, for the driver's sonames only.
fn listed(lines: &[String], sonames: &BTreeMap<String, bool>) -> Vec<String> {
    let entry = |line: &String| {
        let (name, rest) = line.trim().split_once(" (")?;
        let class = rest.split_once(')')?.0.split(", ").next()?;
        sonames.contains_key(name).then(|| format!("{name} {class}"))
    };
    lines.iter().filter_map(entry).collect()
}

/// Whose libcuda the container's loader knows, in its order, where the image has one of its own.
fn compat(lines: &[String]) -> Vec<String> {
    let libcuda = lines.iter().filter(|line| line.trim().starts_with("libcuda.so.1 "));
    let paths = libcuda.filter_map(|line| line.split(" => ").nth(1));
    let whose = |path: &str| if path.contains("/compat/") { path.to_owned() } else { "the driver's".to_owned() };
    paths.map(whose).collect()
}

fn links(seen: &Observation, container: &Seen) -> Vec<String> {
    let link = |written: &Written| match &written.kind {
        Kind::Link(target) => Some(format!("{} -> {target}", below_library_folder(&written.path))),
        _ => None,
    };
    let nodes = container.device_links.iter().filter(|(at, _)| !at.starts_with(BY_PATH));
    let nodes = nodes.map(|(at, target)| format!("{at} -> {target}"));
    seen.written.iter().filter_map(link).chain(nodes).collect()
}

/// What came to lie in the root, besides links, mount points (empty) and what every start leaves.
fn litter(seen: &Observation, container: &Seen) -> Vec<String> {
    let lasting = |entry: &&Written| matches!(entry.kind, Kind::File(size) if size > 0) || entry.kind == Kind::Other;
    let inside = seen.written.iter().filter(lasting).map(|written| steady(&written.path));
    let outside = seen.left.iter().map(|path| format!("host: {}", steady(path)));
    let scratch = container.mounts.keys().filter(|at| at.starts_with(SCRATCH));
    inside.chain(outside).chain(scratch.map(|at| format!("mount:{}", steady(at)))).collect()
}

/// The path with the random part of temporary names as `*`.
fn steady(path: &str) -> String {
    if let Some(at) = path.find(SCRATCH) {
        return format!("{}*", &path[..at + SCRATCH.len()]);
    }
    let random = |name: &str| {
        let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
        (digits >= 5).then(|| format!("{}*", &name[..name.len() - digits]))
    };
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name.starts_with("00-compat-") {
        return format!("{folder}/00-compat-*.conf");
    }
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    match (random(stem), random(name), extension) {
        (Some(stem), _, extension) if !extension.is_empty() => format!("{folder}/{stem}.{extension}"),
        (_, Some(name), _) => format!("{folder}/{name}"),
        _ => path.to_owned(),
    }
}

/// `linux.resources.devices`, without the rule that the bundle began with.
fn rules(spec: &Value) -> Vec<String> {
    let number = |rule: &Value, key: &str| rule[key].as_i64().map_or("*".to_owned(), |number| number.to_string());
    let line = |rule: &Value| {
        let verb = if rule["allow"].as_bool().unwrap_or(false) { "allow" } else { "deny" };
        let (kind, access) = (rule["type"].as_str().unwrap_or("a"), rule["access"].as_str().unwrap_or(""));
        format!("{verb} {kind} {}:{} {access}", number(rule, "major"), number(rule, "minor"))
    };
    spec["linux"]["resources"]["devices"].as_array().into_iter().flatten().skip(1).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn temporary_names_lose_their_random_part() {
        for (given, want) in [
            ("/etc/ld.so.conf.d/00-nvcr-1234567890.conf", "/etc/ld.so.conf.d/00-nvcr-*.conf"),
            ("/run/nvidia-ctk-hook496ad1e9-2dfa/params", "/run/nvidia-ctk-hook*"),
            ("/etc/ld.so.conf.d/00-compat-325c3688-a1b8-47c3.conf", "/etc/ld.so.conf.d/00-compat-*.conf"),
            ("/etc/ld.so.cache", "/etc/ld.so.cache"),
            ("/usr/lib/libcuda.so.550.54.14", "/usr/lib/libcuda.so.550.54.14"),
        ] {
            assert_eq!(steady(given), want);
        }
    }

    #[test]
    fn library_paths_do_not_depend_on_the_distribution() {
        for (given, want) in [
            ("/usr/lib/x86_64-linux-gnu/libcuda.so.1", "libcuda.so.1"),
            ("/usr/lib64/vdpau/libvdpau_nvidia.so.1", "vdpau/libvdpau_nvidia.so.1"),
            ("/usr/lib/i386-linux-gnu/libcuda.so.1", "32:libcuda.so.1"),
            ("/usr/bin/nvidia-smi", "/usr/bin/nvidia-smi"),
            ("/usr/lib/firmware/nvidia/550/gsp.bin", "/usr/lib/firmware/nvidia/550/gsp.bin"),
        ] {
            assert_eq!(below_library_folder(given), want);
        }
    }

    #[test]
    fn a_refused_start_has_no_facts_of_a_container() {
        let case: Case = serde_json::from_value(json!({"name": "x"})).unwrap();
        let seen = Observation { calls: vec![("create".into(), 1)], ..Observation::default() };
        let facts = facts(&case, &seen);
        assert_eq!(facts["exit"], ["create 1"]);
        assert_eq!(facts["spec"], ["untouched"]);
        assert!(!crate::facts::started(&facts));
    }

    #[test]
    fn opening_tells_what_the_device_cgroup_allows() {
        let device = |open: &str| Device {
            path: "/dev/nvidia0".into(),
            number: "c 195:0".into(),
            mode: 0o666,
            uid: 0,
            gid: 0,
            open: open.into(),
        };
        let line = |open: &str| devices(&Seen { devices: vec![device(open)], ..Seen::default() }).remove(0);
        assert_eq!(line("ENXIO"), "/dev/nvidia0 c 195:0 0666 0:0 opens");
        assert_eq!(line("EPERM"), "/dev/nvidia0 c 195:0 0666 0:0 refused");
    }
}
