//! A mount below the root is entered by its name, never by a link; and of what lies there, only what everybody may read is
//! read.
//!
//! What is mounted into a container may be a folder of this machine's in which the container's own user can do nothing.
//! We could: we are root, and a hook runs when volumes, `/proc` and `/sys` are there and nothing hides any of them yet. So
//! it must not be the image that decides where among them we read and write, as it would with a link `/etc -> /volume`. Who
//! mounts a volume at a path that we use, as over `/etc` or `/usr/lib`, decides it himself.
//!
//! That something lies on another mount the number of the mount says, which the kernel tells with everything else about
//! a file. Only then is the path resolved once more.

use crate::{
    ContainerRoot, Defence, RootError,
    container::Found,
    resolve::{self, Last},
};
use oci::ContainerPath;
use rustix::{
    fs::{FileType, FsWord, PROC_SUPER_MAGIC, fstatfs},
    io::Errno,
};

/// Two names of one folder in distributions where the first is a link to the second. A volume that is mounted over the one
/// lies over the other.
const ALIASES: [(&str, &str); 12] = [
    ("/bin", "/usr/bin"),
    ("/sbin", "/usr/sbin"),
    ("/sbin", "/usr/bin"),
    ("/usr/sbin", "/usr/bin"),
    ("/lib", "/usr/lib"),
    ("/lib32", "/usr/lib32"),
    ("/lib64", "/usr/lib64"),
    ("/lib64", "/usr/lib"),
    ("/usr/lib64", "/usr/lib"),
    ("/var/run", "/run"),
    ("/run", "/var/run"),
    ("/var/lock", "/run/lock"),
];

/// File systems by which the kernel speaks (`statfs(2)`): procfs, sysfs, cgroups of both versions, debugfs, tracefs, securityfs,
/// configfs, bpf, selinuxfs, pstore, efivarfs, binfmt_misc. What is read there depends on who reads, and reading may have
/// effects.
const KERNELS: [FsWord; 13] = [
    PROC_SUPER_MAGIC,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x6265_6570,
    0xcafe_4a11,
    0xf97c_ff8c,
    0x6165_676c,
    0xde5e_81e4,
    0x4249_4e4d,
];

impl ContainerRoot {
    /// What lies at `path`, to be changed, or read for what it says. Links are followed inside the root, but not to another
    /// mount: then it is `EXDEV`, which [`ContainerRoot::failed`] explains.
    pub(crate) fn enter(&self, path: &ContainerPath) -> Result<Found, Errno> {
        let found = self.look(path, Last::Follow)?;
        if !self.is_elsewhere(&found) || !Defence::ByName.stands() {
            return Ok(found);
        }
        if let Ok(named) = self.look_by_name(path) {
            return Ok(named);
        }
        let is_there = |named: &Found| named.identity == found.identity && named.mount() == found.mount();
        let mut others = aliases(path).filter_map(|alias| self.look_by_name(&alias).ok());
        others.find(is_there).or_else(|| self.mounted_file(path)).ok_or(Errno::XDEV)
    }

    /// A file that is mounted under just this name in a folder of the image's, whatever links lead to that folder: as our own
    /// lie over the loader's files.
    fn mounted_file(&self, path: &ContainerPath) -> Option<Found> {
        let folder = self.look(&path.parent(), Last::Follow).ok().filter(|folder| !self.is_elsewhere(folder))?;
        let found = folder.below(path.file_name()).ok()?;
        (found.kind == FileType::RegularFile).then_some(found)
    }

    /// It lies on another mount than the root.
    pub(crate) fn is_elsewhere(&self, found: &Found) -> bool {
        found.mount() != self.mount()
    }

    /// It is the container's own, or everybody may read it.
    pub(crate) fn may_be_read(&self, found: &Found) -> bool {
        found.mode & 0o004 != 0 || !self.is_elsewhere(found) || !Defence::ByName.stands()
    }

    /// The same, and the kernel does not make it.
    pub(crate) fn shows(&self, found: &Found) -> bool {
        let is_kernels = || fstatfs(found.fd()).is_ok_and(|system| KERNELS.contains(&system.f_type));
        self.may_be_read(found) && !(self.is_elsewhere(found) && Defence::ByName.stands() && is_kernels())
    }

    /// For `map_err`: as [`RootError::failed`], for what [`ContainerRoot::enter`] says.
    pub(crate) fn failed<'a>(
        &'a self,
        action: &'static str,
        path: &'a ContainerPath,
    ) -> impl FnOnce(Errno) -> RootError + use<'a> {
        move |source| match source {
            Errno::XDEV => {
                let link = resolve::first_link(self.descriptor(), path.as_str());
                let text = |path: String| ContainerPath::root().join(&path);
                RootError::Strayed {
                    path: path.clone(),
                    link: link.map_or_else(|| path.clone(), text),
                    place: self.without_links(path).unwrap_or_else(|_| path.clone()),
                }
            }
            source => RootError::Failed { action, path: path.clone(), source },
        }
    }
}

/// The other names that `path` has where distributions make links.
fn aliases(path: &ContainerPath) -> impl Iterator<Item = ContainerPath> {
    ALIASES.iter().filter_map(move |(link, folder)| {
        let rest = path.as_str().strip_prefix(link).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        ContainerPath::new(format!("{folder}{rest}")).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_of_whole_names() {
        let of = |path: &str| -> Vec<String> {
            aliases(&ContainerPath::new(path).unwrap()).map(|alias| alias.to_string()).collect()
        };
        assert_eq!(of("/lib64/x"), ["/usr/lib64/x", "/usr/lib/x"]);
        assert_eq!(of("/var/run"), ["/run"]);
        assert_eq!(of("/run/x"), ["/var/run/x"]);
        assert_eq!(of("/library"), [""; 0]);
        assert_eq!(of("/etc/lib"), [""; 0]);
    }
}
