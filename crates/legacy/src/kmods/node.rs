//! Device nodes as nvidia-modprobe makes them (section 12).

use oci::HostPath;
use rustix::{
    fs::AtFlags,
    fs::{
        CWD, FileType, Gid, Mode, Uid, chmodat, chownat, lstat, major, makedev, minor, mkdirat, mknodat, symlinkat,
        unlinkat,
    },
    io::Errno,
};

/// Whose a node is, who may open it, and whether the administrator lets tools make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    mode: u32,
    uid: u32,
    gid: u32,
    enabled: bool,
}

impl Access {
    /// Open to all.
    pub(super) const OPEN: Access = Access { mode: 0o666, uid: 0, gid: 0, enabled: true };
    /// Of a MIG instance.
    pub(super) const CAPABILITY: Access = Access { mode: 0o444, ..Access::OPEN };

    /// By the parameters of the driver's module.
    pub(super) fn of_driver(params: &str) -> Access {
        Access::read(params, Access::OPEN, "ModifyDeviceFiles")
    }

    /// By a capability's file.
    pub(super) fn of_capability(file: &str) -> Access {
        Access::read(file, Access::CAPABILITY, "DeviceFileModify")
    }

    fn read(text: &str, default: Access, modify: &str) -> Access {
        let number = |key: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(':'));
            let found = lines.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim()).next();
            found.and_then(|value| value.parse().ok())
        };
        Access {
            mode: number("DeviceFileMode").unwrap_or(default.mode) & 0o777,
            uid: number("DeviceFileUID").unwrap_or(default.uid),
            gid: number("DeviceFileGID").unwrap_or(default.gid),
            enabled: number(modify) != Some(0),
        }
    }
}

/// Makes nodes below one root.
pub(super) struct Maker<'a> {
    pub(super) root: &'a HostPath,
}

impl Maker<'_> {
    /// Makes the folder, if it is not there. Says whether it is.
    pub(super) fn folder(&self, path: &str) -> bool {
        let made = mkdirat(CWD, self.root.join(path).as_path(), Mode::from_raw_mode(0o755));
        let there = matches!(made, Ok(()) | Err(Errno::EXIST));
        if !there {
            log::error!("could not create {path}");
        }
        there
    }

    /// Makes the node, unless it is right already or must not be made, and its link by number.
    pub(super) fn make(&self, path: &str, numbers: (u32, u32), access: Access) {
        let place = self.root.join(path);
        let made = match access.enabled && !is_right(&place, numbers, access) {
            true => make(&place, numbers, access),
            false => Ok(()),
        };
        if let Err(error) = made.and_then(|()| self.link(path, numbers)) {
            log::error!("could not create {path}: {error}");
        }
    }

    /// `/dev/char/MAJOR:MINOR`.
    fn link(&self, path: &str, (major, minor): (u32, u32)) -> Result<(), Errno> {
        let Some(name) = path.strip_prefix("/dev/") else { return Ok(()) };
        let at = self.root.join(&format!("dev/char/{major}:{minor}"));
        let _ = mkdirat(CWD, at.parent().as_path(), Mode::from_raw_mode(0o755));
        let target = format!("../{name}");
        match symlinkat(&*target, CWD, at.as_path()) {
            Err(Errno::EXIST) => {
                let there = std::fs::read_link(at.as_path());
                if there.is_ok_and(|there| there.as_os_str() == target.as_str()) {
                    return Ok(());
                }
                unlinkat(CWD, at.as_path(), AtFlags::empty())?;
                symlinkat(&*target, CWD, at.as_path())
            }
            result => result,
        }
    }
}

fn is_right(place: &HostPath, numbers: (u32, u32), access: Access) -> bool {
    lstat(place.as_path()).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && (major(stat.st_rdev), minor(stat.st_rdev)) == numbers
            && (stat.st_mode & 0o777, stat.st_uid, stat.st_gid) == (access.mode, access.uid, access.gid)
    })
}

/// A node of another kind or number is removed; one whose access cannot be set does not stay.
fn make(place: &HostPath, (major, minor): (u32, u32), access: Access) -> Result<(), Errno> {
    let path = place.as_path();
    let is_same = lstat(path).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(major, minor)
    });
    if !is_same {
        match unlinkat(CWD, path, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), makedev(major, minor))?;
    }
    let (uid, gid) = (Uid::from_raw(access.uid), Gid::from_raw(access.gid));
    let given = chmodat(CWD, path, Mode::from_raw_mode(access.mode), AtFlags::empty())
        .and_then(|()| chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW));
    if given.is_err() {
        let _ = unlinkat(CWD, path, AtFlags::empty());
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_decide_who_may_open_a_node() {
        let params = "ModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 44\nDeviceFileMode: 432\n";
        assert_eq!(Access::of_driver(params), Access { mode: 0o660, uid: 0, gid: 44, enabled: true });
        assert!(!Access::of_driver("ModifyDeviceFiles: 0\n").enabled);
        assert_eq!(Access::of_driver(""), Access::OPEN);
        let file = "DeviceFileMinor: 1\nDeviceFileMode: 256\nDeviceFileModify: 1\n";
        assert_eq!(Access::of_capability(file), Access { mode: 0o400, ..Access::OPEN });
    }

    #[test]
    fn nodes_are_made_repaired_and_named_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let root = HostPath::new(folder.path().to_str().unwrap()).unwrap();
        let maker = Maker { root: &root };
        assert!(maker.folder("/dev") && maker.folder("/dev"));
        let node = root.join("dev/nvidia0");
        std::fs::write(node.as_path(), "in the way").unwrap();
        let access = Access { mode: 0o660, uid: 7, gid: 8, enabled: true };
        for _ in 0..2 {
            maker.make("/dev/nvidia0", (195, 0), access);
            assert!(is_right(&node, (195, 0), access), "run these tests as root");
            let link = std::fs::read_link(root.join("dev/char/195:0").as_path()).unwrap();
            assert_eq!(link.to_str(), Some("../nvidia0"));
        }
        maker.make("/dev/nvidia1", (195, 1), Access { enabled: false, ..access });
        assert!(lstat(root.join("dev/nvidia1").as_path()).is_err());
        assert!(lstat(root.join("dev/char/195:1").as_path()).is_ok(), "the link is made all the same");
    }
}
