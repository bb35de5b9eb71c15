//! Which mounts are read-only, from `/proc/PID/mountinfo`.

/// The mount is read-only, and neither its file system is nor the mount on which it lies, which is where a low-level
/// runtime found the root. `table` is a mountinfo (`proc_pid_mountinfo(5)`).
pub fn was_made_read_only(table: &str, mount: u64) -> bool {
    let find = |id: u64| table.lines().filter_map(Line::read).find(|line| line.id == id);
    find(mount).is_some_and(|line| {
        line.read_only && !line.system_read_only && find(line.parent).is_some_and(|parent| !parent.read_only)
    })
}

/// What counts of a line.
struct Line {
    id: u64,
    parent: u64,
    read_only: bool,
    system_read_only: bool,
}

impl Line {
    fn read(line: &str) -> Option<Line> {
        let is_read_only = |options: &str| options.split(',').any(|option| option == "ro");
        let mut fields = line.split(' ');
        let (id, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let read_only = is_read_only(fields.nth(3)?);
        // Optional fields end with a dash; type and source come next.
        let system_read_only = is_read_only(fields.skip_while(|field| *field != "-").nth(3)?);
        Some(Line { id, parent, read_only, system_read_only })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_runtime_made_read_only_is_written() {
        let table = "\
20 1 0:5 / / rw,relatime shared:1 - ext4 /dev/vda rw
21 20 0:5 /b/rootfs /b/rootfs ro,relatime - ext4 /dev/vda rw,discard
22 20 0:6 / /squash ro,relatime master:2 - squashfs /dev/loop0 ro
23 22 0:6 / /squash ro,relatime - squashfs /dev/loop0 ro
24 20 0:5 /c /c ro,relatime - ext4 /dev/vda rw
25 24 0:5 /c /c ro,relatime - ext4 /dev/vda rw
26 99 0:5 /d /d ro - ext4 /dev/vda rw
27 short
";
        for (mount, want) in [(20, false), (21, true), (23, false), (25, false), (26, false), (27, false), (28, false)]
        {
            assert_eq!(was_made_read_only(table, mount), want, "{mount}");
        }
    }
}
