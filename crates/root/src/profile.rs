//! The application profile that tells NVIDIA's EGL which GPUs the container has (reference: runtime-and-hook.md, 8.7).

use crate::{ContainerRoot, Defence, Done, RootError, Step, resolve::Last};
use oci::ContainerPath;
use rustix::{
    fd::AsFd,
    fs::{FileType, fstat, major, minor},
    io::Errno,
};

const FOLDER: &str = "/etc/nvidia/nvidia-application-profiles-rc.d";
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
        let names = match self.find(&folder, Last::Follow).and_then(|found| self.list(found.as_fd(), MAX_NAMES)) {
            Err(Errno::NOENT) => return Ok((0, Vec::new())),
            result => result.map_err(RootError::failed("list", &folder))?,
        };
        let (mut bits, mut beyond) = (0, Vec::new());
        for (name, _) in names.iter().filter(|(name, _)| is_gpu(name)) {
            let path = folder.join(name);
            let status = self.find(&path, Last::Keep).and_then(fstat).map_err(RootError::failed("look at", &path))?;
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
    ContainerPath::root().join(FOLDER).join(NAME)
}

/// The driver reads this as JSON; the order and the hexadecimal number are the original's, byte for byte.
fn text(minors: u64) -> String {
    format!(
        r#"{{"profiles":[{{"name":"_container_","settings":["EGLVisibleDGPUDevices",{minors:#x}]}}],"rules":[{{"pattern":[],"profile":"_container_"}}]}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_originals_text() {
        expect_test::expect![[r#"{"profiles":[{"name":"_container_","settings":["EGLVisibleDGPUDevices",0x21]}],"rules":[{"pattern":[],"profile":"_container_"}]}"#]]
            .assert_eq(&text(0x21));
    }
}
