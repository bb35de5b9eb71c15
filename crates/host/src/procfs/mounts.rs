//! What counts of the mounts in `/proc/PID/mountinfo`: which are read-only or shared, what lies on what, and what they show.

/// The mount is read-only, and neither its file system is nor the mount on which it lies, which is where a low-level
/// runtime found the root. `table` is a mountinfo (`proc_pid_mountinfo(5)`).
pub fn was_made_read_only(table: &str, mount: u64) -> bool {
    let find = |id: u64| table.lines().filter_map(Line::read).find(|line| line.id == id);
    find(mount).is_some_and(|line| {
        line.read_only && !line.system_read_only && find(line.parent).is_some_and(|parent| !parent.read_only)
    })
}

/// The mounts below the one with this number, each with its number and its path below that one's. `table` is as above.
pub fn below(table: &str, top: u64) -> Vec<(u64, String)> {
    let lines: Vec<Line> = table.lines().filter_map(Line::read).collect();
    let Some(base) = lines.iter().find(|line| line.id == top) else { return Vec::new() };
    let mut known = vec![top];
    // Parents need not stand before their children.
    while let Some(next) = lines.iter().find(|line| known.contains(&line.parent) && !known.contains(&line.id)) {
        known.push(next.id);
    }
    let inside = |line: &Line| Some(line.point.strip_prefix(&base.point)?.trim_start_matches('/').to_owned());
    let mounts = lines.iter().filter(|line| line.id != top && known.contains(&line.id));
    mounts.filter_map(|line| Some((line.id, inside(line)?))).collect()
}

/// What is mounted on this mount is mounted on others too (`mount_namespaces(7)`). `None` if the table does not have it.
/// `table` is as above.
pub fn is_shared(table: &str, mount: u64) -> Option<bool> {
    table.lines().filter_map(Line::read).find(|line| line.id == mount).map(|line| line.shared)
}

/// What counts of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    id: u64,
    parent: u64,
    /// Which folder of its file system it shows.
    pub(super) root: String,
    /// Where, as the reader sees it.
    pub(super) point: String,
    read_only: bool,
    /// It is a member of a peer group.
    shared: bool,
    /// Type of the file system.
    pub(super) kind: &'a str,
    /// Options of the file system.
    pub(super) system_options: &'a str,
    system_read_only: bool,
}

impl Line<'_> {
    pub(super) fn read(line: &str) -> Option<Line<'_>> {
        let is_read_only = |options: &str| options.split(',').any(|option| option == "ro");
        let mut fields = line.split(' ');
        let (id, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (root, point) = (unescaped(fields.nth(1)?), unescaped(fields.next()?));
        let read_only = is_read_only(fields.next()?);
        // Optional fields end with a dash; type, source and options come next.
        let mut shared = false;
        fields.find(|field| {
            shared |= field.starts_with("shared:");
            *field == "-"
        })?;
        let (kind, system_options) = (fields.next()?, fields.nth(1)?);
        let system_read_only = is_read_only(system_options);
        Some(Line { id, parent, root, point, read_only, shared, kind, system_options, system_read_only })
    }
}

/// The kernel writes blanks, tabs, line feeds and backslashes as three octal digits.
fn unescaped(field: &str) -> String {
    let (mut text, mut rest) = (Vec::with_capacity(field.len()), field.as_bytes());
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..3).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match (first, escape) {
            (b'\\', Some(byte)) => {
                text.push(byte);
                rest = &tail[3..];
            }
            _ => {
                text.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&text).into_owned()
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

    #[test]
    fn finds_what_lies_below() {
        let table = "\
20 1 0:5 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:7 / /mnt/a\\040b/c/d rw - tmpfs tmpfs rw
21 20 0:5 /b /mnt/a\\040b ro,relatime - ext4 /dev/vda rw,discard
22 21 0:6 / /mnt/a\\040b/c rw master:2 shared:4 - tmpfs tmpfs ro
24 20 0:5 /b /mnt/a\\040bc rw - ext4 /dev/vda rw
short
";
        assert_eq!(below(table, 21), [(23, "c/d".to_owned()), (22, "c".to_owned())]);
        assert_eq!(below(table, 24), []);
        assert_eq!(below(table, 99), []);
        assert_eq!([20, 21, 22, 99].map(|id| is_shared(table, id)), [Some(true), Some(false), Some(true), None]);
        let line = Line::read(table.lines().nth(3).unwrap()).unwrap();
        assert!(line.system_read_only && !line.read_only, "{line:?}");
    }
}
