//! Prints as JSON what a container sees: device nodes and what opening them gives, environment, mount points, the
//! driver's parameters, and which libraries can be loaded.
//!
//! Words on the command line are sonames to load. A static build, for containers without a C library, cannot load any
//! and reports `null` for each.

use serde_json::{Map, Value, json};
use std::{
    env, fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

fn main() {
    let seen = json!({
        "devices": devices(Path::new("/dev")),
        "env": environment(),
        "mounts": mounts(),
        "params": line_of("/proc/driver/nvidia/params", "ModifyDeviceFiles"),
        "gpus": names("/proc/driver/nvidia/gpus"),
        "application_profile": text("/etc/nvidia/nvidia-application-profiles-rc.d/10-container.conf"),
        "cache": fs::metadata("/etc/ld.so.cache").is_ok(),
        "uid": rustix::process::getuid().as_raw(),
        "groups": groups(),
        "libraries": env::args().skip(1).map(|name| (name.clone(), load(&name))).collect::<Map<_, _>>(),
    });
    println!("{seen:#}");
}

/// Nodes and links below `/dev`, except the terminals and memory devices that every container has.
fn devices(folder: &Path) -> Map<String, Value> {
    let mut found = Map::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        let Ok(entry) = fs::symlink_metadata(&path) else { continue };
        let kind = entry.file_type();
        if kind.is_dir() {
            found.extend(devices(&path));
        } else if kind.is_symlink() {
            let text = fs::read_link(&path).map(|text| text.display().to_string()).unwrap_or_default();
            found.insert(path.display().to_string(), json!({ "link": text }));
        } else if kind.is_char_device() || kind.is_block_device() {
            found.insert(path.display().to_string(), node(&path, &entry));
        }
    }
    found
}

fn node(path: &Path, entry: &fs::Metadata) -> Value {
    json!({
        "type": if entry.file_type().is_char_device() { "c" } else { "b" },
        "major": rustix::fs::major(entry.rdev()),
        "minor": rustix::fs::minor(entry.rdev()),
        "mode": format!("{:o}", entry.mode() & 0o7777),
        "uid": entry.uid(),
        "gid": entry.gid(),
        "open": opening(path),
    })
}

/// What opening gives: `ok`, or the error's name or number. Capability nodes are for reading only, so that is tried
/// where writing is not allowed.
fn opening(path: &Path) -> String {
    match open(path, true) {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => name_of(open(path, false)),
        result => name_of(result),
    }
}

fn open(path: &Path, write: bool) -> io::Result<fs::File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    fs::OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)
}

fn name_of(result: io::Result<fs::File>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENXIO) => "ENXIO".into(),
            Some(libc::EPERM) => "EPERM".into(),
            Some(libc::EACCES) => "EACCES".into(),
            Some(libc::ENODEV) => "ENODEV".into(),
            Some(number) => number.to_string(),
            None => error.to_string(),
        },
    }
}

fn environment() -> Map<String, Value> {
    let variables = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), Value::from(value.to_string_lossy().into_owned())));
    variables.collect()
}

/// Mount points with the options of each mount, in the order of mounting.
fn mounts() -> Vec<Value> {
    let list = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    list.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            Some(json!({ "at": fields.get(4)?, "options": fields.get(5)? }))
        })
        .collect()
}

fn line_of(path: &str, start: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find(|line| line.starts_with(start)).map(str::to_owned)
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn names(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

fn groups() -> Vec<u32> {
    let groups = rustix::process::getgroups().unwrap_or_default();
    groups.into_iter().map(|group| group.as_raw()).collect()
}

/// `null` where nothing can be loaded, `ok`, or the loader's words.
#[cfg(not(target_feature = "crt-static"))]
fn load(name: &str) -> Value {
    let Ok(name) = std::ffi::CString::new(name) else { return Value::Null };
    // SAFETY: plain libc calls on a string that lives long enough; what is loaded are the simulated driver's stubs.
    unsafe {
        if !libc::dlopen(name.as_ptr(), libc::RTLD_NOW).is_null() {
            return "ok".into();
        }
        std::ffi::CStr::from_ptr(libc::dlerror()).to_string_lossy().into_owned().into()
    }
}

/// A static program must not load libraries: it would get a second, uninitialised C library.
#[cfg(target_feature = "crt-static")]
fn load(_name: &str) -> Value {
    Value::Null
}
