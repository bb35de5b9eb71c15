//! The probe: a program of the container that writes down, as one line of JSON, what it sees there.
//!
//! It is an ordinary dynamic program, so that the container's own loader is what finds libraries. Whether it finds one
//! is asked by starting the probe again with all of them in `LD_PRELOAD`: the loader then searches exactly as
//! dlopen(3) would, goes on after a failure and names it, and no library code runs in this process.

use crate::observe::{Device, Seen};
use rustix::{
    fs::{CWD, Dev, FileType, Mode, OFlags, major, makedev, minor, mknodat, open},
    io::Errno,
    process::getgroups,
};
use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
    process::Command,
};

/// First argument of the probe's own child.
const IDLE: &str = "--idle";

/// Sonames of the driver's libraries: what programs ask their loader for.
pub const SONAMES: [&str; 40] = [
    "libEGL_nvidia.so.0",
    "libGLESv1_CM_nvidia.so.1",
    "libGLESv2_nvidia.so.2",
    "libGLX_indirect.so.0",
    "libGLX_nvidia.so.0",
    "libcuda.so",
    "libcuda.so.1",
    "libcudadebugger.so.1",
    "libnvcuvid.so.1",
    "libnvidia-allocator.so.1",
    "libnvidia-cfg.so.1",
    "libnvidia-egl-gbm.so.1",
    "libnvidia-egl-wayland.so.1",
    "libnvidia-encode.so.1",
    "libnvidia-fbc.so.1",
    "libnvidia-ml.so.1",
    "libnvidia-ngx.so.1",
    "libnvidia-nvvm.so.4",
    "libnvidia-opencl.so.1",
    "libnvidia-opticalflow.so.1",
    "libnvidia-ptxjitcompiler.so.1",
    "libnvoptix.so.1",
    "libvdpau_nvidia.so",
    "libvdpau_nvidia.so.1",
    "libnvidia-api.so.1",
    "libnvidia-nscq.so.2",
    "libnvidia-sandboxutils.so.1",
    "libnvidia-vksc-core.so.1",
    "libnvidia-present.so.1",
    "libnvidia-gtk3.so",
    "libnvidia-ml.so",
    "libnvidia-opticalflow.so",
    "libnvidia-wayland-client.so",
    "libnvidia-vulkan-producer.so",
    "libnvidia-egl-xcb.so.1",
    "libnvidia-egl-xlib.so.1",
    "libnvidia-gpucomp.so.1",
    "libnvidia-pkcs11.so.1",
    "libnvidia-pkcs11-openssl3.so.1",
    "libglxserver_nvidia.so",
];

/// What the program does: `ARGUMENTS` are sonames.
pub fn main() -> Result<(), serde_json::Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == IDLE) {
        return Ok(());
    }
    println!("{}", serde_json::to_string(&look(&arguments))?);
    Ok(())
}

fn look(sonames: &[String]) -> Seen {
    let (mut devices, mut device_links) = (Vec::new(), BTreeMap::new());
    collect_devices(Path::new("/dev"), &mut devices, &mut device_links);
    Seen {
        devices,
        device_links,
        numbers: numbers(),
        mounts: mounts(),
        sonames: loadable(sonames),
        ldconfig: ldconfig(),
        env: env::vars_os().map(|(name, value)| format!("{}={}", name.display(), value.display())).collect(),
        groups: getgroups().unwrap_or_default().into_iter().map(|group| group.as_raw()).collect(),
        params: params(),
        profiles: profiles(),
    }
}

fn collect_devices(folder: &Path, devices: &mut Vec<Device>, links: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(data) = entry.metadata() else { continue };
        let kind = data.file_type();
        if kind.is_dir() {
            collect_devices(&path, devices, links);
        } else if kind.is_symlink() && folder != Path::new("/dev") {
            let text = fs::read_link(&path).unwrap_or_default();
            links.insert(path.display().to_string(), text.display().to_string());
        } else if kind.is_char_device() || kind.is_block_device() {
            let letter = if kind.is_char_device() { 'c' } else { 'b' };
            let number = format!("{letter} {}:{}", major(data.rdev()), minor(data.rdev()));
            let (uid, gid, mode) = (data.uid(), data.gid(), data.mode() & 0o7777);
            let open = opening(&path);
            devices.push(Device { path: path.display().to_string(), number, mode, uid, gid, open });
        }
    }
}

fn opening(path: &Path) -> String {
    match open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(_) => "ok".to_owned(),
        Err(error) => name(error).to_owned(),
    }
}

fn name(error: Errno) -> &'static str {
    match error {
        Errno::NXIO => "ENXIO",
        Errno::NODEV => "ENODEV",
        Errno::PERM => "EPERM",
        Errno::ACCESS => "EACCES",
        Errno::NOENT => "ENOENT",
        _ => "EOTHER",
    }
}

/// Whether the device cgroup lets nodes be opened that nobody gave the container: it makes them itself.
fn numbers() -> BTreeMap<String, String> {
    let wanted = (0..4).chain([254, 255]).map(|minor| (195, minor));
    let opens = |(major, minor): (u32, u32)| {
        let path = format!("/dev/probe-{major}-{minor}");
        let made = mknodat(CWD, &path, FileType::CharacterDevice, Mode::from(0o666), device(major, minor));
        let open = made.map_or_else(|error| format!("mknod {}", name(error)), |()| opening(Path::new(&path)));
        // The folder is the container's own tmpfs; what cannot be removed goes with it.
        let _ = fs::remove_file(&path);
        (format!("{major}:{minor}"), open)
    };
    wanted.map(opens).collect()
}

fn device(major: u32, minor: u32) -> Dev {
    makedev(major, minor)
}

fn mounts() -> BTreeMap<String, String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(4);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    };
    text.lines().filter_map(mount).collect()
}

fn loadable(sonames: &[String]) -> BTreeMap<String, bool> {
    let child = Command::new("/proc/self/exe").arg(IDLE).env("LD_PRELOAD", sonames.join(":")).output();
    let complaints = child.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    let loads = |soname: &String| {
        let failed = |text: &String| text.contains(&format!("object '{soname}' from LD_PRELOAD cannot"));
        complaints.as_ref().is_ok_and(|text| !failed(text))
    };
    sonames.iter().map(|soname| (soname.clone(), loads(soname))).collect()
}

fn ldconfig() -> Option<Vec<String>> {
    let output = Command::new("/sbin/ldconfig").arg("-p").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().skip(1).map(str::to_owned).collect())
}

fn params() -> Option<String> {
    let text = fs::read_to_string("/proc/driver/nvidia/params").ok()?;
    text.lines().find(|line| line.starts_with("ModifyDeviceFiles")).map(str::to_owned)
}

fn profiles() -> BTreeMap<String, String> {
    let folder = fs::read_dir("/etc/nvidia/nvidia-application-profiles-rc.d");
    let profile = |entry: fs::DirEntry| {
        Some((entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).ok()?))
    };
    folder.into_iter().flatten().flatten().filter_map(profile).collect()
}
