//! CDI specifications of both sides, made comparable: what `docs/differences.md` lists is taken out, and nothing else.

/// D-26: driver files that the original mounts in other modes, or not at all.
const MORE_FILES: [&str; 6] = [
    "/nv-fabricmanager",
    "/nvidia-xconfig",
    "/libnvidia-egl-xcb.so.1.0.0",
    "/libnvidia-egl-xlib.so.1.0.0",
    "/20_nvidia_xcb.json",
    "/20_nvidia_xlib.json",
];

/// D-25: the original's links lie below the driver root, in the container too. D-16: we resolve links in a driver root,
/// where the lab's `lib` leads to `usr/lib`.
pub fn as_in_the_root(spec: &str) -> String {
    let links = spec.replace("::/run/nvidia/driver/dev/", "::/dev/");
    links.replace("hostPath: /run/nvidia/driver/lib/", "hostPath: /run/nvidia/driver/usr/lib/")
}

/// D-90: leaves out the comment that says where a specification comes from.
pub fn without_origin(spec: &str) -> String {
    let is_origin = |line: &&str| line.starts_with("# Made by ") || line.starts_with("# corten: ");
    spec.split_inclusive('\n').filter(|line| !is_origin(line)).collect()
}

/// Leaves out the mounts of [`MORE_FILES`].
pub fn without_more_files(spec: &str) -> String {
    let mut kept = String::new();
    let mut leaving = false;
    for line in spec.lines() {
        if line.starts_with("        - hostPath: ") {
            leaving = MORE_FILES.iter().any(|file| line.ends_with(file));
        } else if !line.starts_with("          ") {
            leaving = false;
        }
        if !leaving {
            kept += line;
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_mounts_are_left_out() {
        let spec = "c:\n    mounts:\n        - hostPath: /usr/bin/nvidia-xconfig\n          containerPath: /x\n          options:\n            \
                    - ro\n        - hostPath: /usr/bin/nvidia-smi\n          options:\n            - ro\nd:\n";
        let want =
            "c:\n    mounts:\n        - hostPath: /usr/bin/nvidia-smi\n          options:\n            - ro\nd:\n";
        assert_eq!(without_more_files(spec), want);
    }
}
