//! The application profile that tells NVIDIA's EGL which GPUs the container has. The hook writes one for all of them
//! (reference: runtime-and-hook.md, 8.7), the library adds one after the other (libnvidia-container.md, 15.2).

use crate::{ContainerRoot, Defence, Done, RootError, Step, mount, resolve::Last};
use oci::ContainerPath;
use rustix::{
    fd::AsFd,
    fs::{AtFlags, FileType, major, minor, statat},
    io::Errno,
};
use std::io::Read;

/// Where profiles lie.
pub const PROFILES: &str = "/etc/nvidia/nvidia-application-profiles-rc.d";
const NAME: &str = "10-container.conf";
/// Ours is about 130 bytes; a longer one is another's.
const MAX_FILE: usize = 4096;

/// The driver's registered number (the kernel's `devices.txt`). A name says nothing about a node.
const NVIDIA_MAJOR: u32 = 195;
/// Names looked at in /dev.
const MAX_NAMES: usize = 20_000;

impl ContainerRoot {
    /// The GPUs whose nodes are in the root's `/dev`, as bits by minor number, and the minor numbers that no bit stands
    /// for. Call it when the container's `/dev` is mounted.
    ///
    /// # Errors
    /// [`RootError::Failed`] if the folder cannot be read.
    pub fn gpu_nodes(&self) -> Result<(u64, Vec<u32>), RootError> {
        let folder = ContainerPath::root().join("dev");
        let listed =
            self.find(&folder, Last::Follow).and_then(|found| Ok((self.list(found.as_fd(), MAX_NAMES)?, found)));
        let (names, found) = match listed {
            Err(Errno::NOENT) => return Ok((0, Vec::new())),
            result => result.map_err(RootError::failed("list", &folder))?,
        };
        let (mut bits, mut beyond) = (0, Vec::new());
        for (name, _) in names.iter().filter(|(name, _)| is_gpu(name)) {
            let status = statat(&found, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(RootError::failed("look at", &folder.join(name)))?;
            let is_device = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice;
            let is_gpu = is_device && major(status.st_rdev) == NVIDIA_MAJOR;
            if !is_gpu && Defence::RealNodes.stands() {
                continue;
            }
            match minor(status.st_rdev) {
                number @ 0..64 => bits |= 1 << number,
                number => beyond.push(number),
            }
        }
        Ok((bits, beyond))
    }

    /// Writes the profile for these GPUs, if the root does not have it. Where it cannot be written, [`Done::needed`] has
    /// it.
    ///
    /// # Errors
    /// [`RootError`]; nothing was changed then.
    pub fn write_profile(&self, minors: u64) -> Result<Done, RootError> {
        let steps: Vec<Step> = missing(self, minors)?.into_iter().collect();
        if self.is_read_only(&file()) {
            return Ok(Done { needed: steps, ..Done::default() });
        }
        self.make(&steps, || Ok::<_, RootError>(()))?;
        Ok(Done { changed: steps.iter().map(|step| step.path().clone()).collect(), ..Done::default() })
    }

    /// Adds these GPUs to those that the profile names, as the library does; and then does `last`: when that fails, the
    /// profile is as it was. Where it cannot be written it stays so, too. Only a file system in memory that is mounted there
    /// has a profile to add to; what else lies there is the image's, or an earlier start's.
    ///
    /// # Errors
    /// [`RootError`], or what `last` returned.
    pub fn add_to_profile_then<E: From<RootError>>(
        &self,
        minors: u64,
        last: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        if minors == 0 || self.is_read_only(&file()) {
            return last();
        }
        let path = self.profile_without_links()?;
        let existing = self.mounted_profile(&path)?;
        let content = librarys_text(minors | named(&existing)).into_bytes();
        if content == existing {
            return last();
        }
        self.make(&[Step::File { path, content, mode: 0o555, folder_mode: 0o555 }], last)
    }

    /// Where the profile lies, by names alone: an image may have a link for `/etc/nvidia`, and what is mounted behind a link
    /// is not entered by it ([`ContainerRoot::enter`]).
    fn profile_without_links(&self) -> Result<ContainerPath, RootError> {
        let (folder, path) = (ContainerPath::root().join(PROFILES), file());
        let parent = folder.parent();
        match self.enter(&parent).and_then(|_| self.without_links(&parent)) {
            Ok(parent) => Ok(parent.join(folder.file_name()).join(NAME)),
            Err(Errno::NOENT) => Ok(path),
            Err(error) => Err(self.failed("follow", &parent)(error)),
        }
    }

    /// The beginning of the profile in a file system in memory that is mounted there; nothing of any other.
    fn mounted_profile(&self, path: &ContainerPath) -> Result<Vec<u8>, RootError> {
        let found = match self.look(path, Last::Keep) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
            found => found.map_err(RootError::failed("open", path))?,
        };
        let is_mounted = found.mount() != self.mount();
        if found.kind != FileType::RegularFile || !is_mounted || !mount::is_tmpfs(found.fd()) {
            return Ok(Vec::new());
        }
        let mut content = Vec::new();
        let read = found.open(path)?.take(MAX_FILE as u64).read_to_end(&mut content);
        let errno = |error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        read.map_err(|error| RootError::failed("read", path)(errno(error)))?;
        Ok(content)
    }
}

/// `nvidia` and a number.
fn is_gpu(name: &str) -> bool {
    name.strip_prefix("nvidia").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The profile for the GPUs in `minors` (bit N: `/dev/nvidiaN`), if the root does not have it already. A container
/// without GPUs gets none.
pub(crate) fn missing(root: &ContainerRoot, minors: u64) -> Result<Option<Step>, RootError> {
    if minors == 0 {
        return Ok(None);
    }
    let path = file();
    let content = text(minors).into_bytes();
    match root.read_if_any(&path, MAX_FILE) {
        Ok(Some(existing)) if existing == content => Ok(None),
        Err(error) if !error.is_unusable() => Err(error),
        _ => Ok(Some(Step::File { path, content, mode: 0o444, folder_mode: 0o555 })),
    }
}

/// Where the profile lies.
pub(crate) fn file() -> ContainerPath {
    ContainerPath::root().join(PROFILES).join(NAME)
}

/// The driver reads this as JSON; the order and the hexadecimal number are the hook's of the original, byte for byte.
fn text(minors: u64) -> String {
    format!(
        r#"{{"profiles":[{{"name":"_container_","settings":["EGLVisibleDGPUDevices",{minors:#x}]}}],"rules":[{{"pattern":[],"profile":"_container_"}}]}}"#
    )
}

/// The same as the library has it.
fn librarys_text(minors: u64) -> String {
    format!(
        r#"{{ "profiles": [{{"name": "_container_", "settings": ["EGLVisibleDGPUDevices", {minors:#x}]}}], "rules": [{{"pattern": [], "profile": "_container_"}}]}}"#
    )
}

/// The GPUs that a profile names, by the first `0x` in it. What has none, or too long a number, names none.
fn named(profile: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(profile);
    let number = text.split_once("0x").map_or("", |(_, rest)| rest);
    let end = number.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(number.len());
    u64::from_str_radix(&number[..end], 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_librarys_text_and_read_back() {
        expect_test::expect![[r#"{ "profiles": [{"name": "_container_", "settings": ["EGLVisibleDGPUDevices", 0x3]}], "rules": [{"pattern": [], "profile": "_container_"}]}"#]]
            .assert_eq(&librarys_text(3));
        for minors in [1, 0xf0, u64::MAX] {
            assert_eq!(named(librarys_text(minors).as_bytes()), minors);
            assert_eq!(named(text(minors).as_bytes()), minors);
        }
        for odd in ["", "0x", "x0", "0xg", "0x1ffffffffffffffff", "\u{fffd}0x-1"] {
            assert_eq!(named(odd.as_bytes()), 0, "{odd}");
        }
        assert_eq!(named(b"\xff 0x2A 0x1"), 42);
    }

    #[test]
    fn is_the_originals_text() {
        expect_test::expect![[r#"{"profiles":[{"name":"_container_","settings":["EGLVisibleDGPUDevices",0x21]}],"rules":[{"pattern":[],"profile":"_container_"}]}"#]]
            .assert_eq(&text(0x21));
    }
}
