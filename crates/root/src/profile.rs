//! The application profile that tells NVIDIA's EGL which GPUs the container has (reference: runtime-and-hook.md, 8.7).

use crate::{ContainerRoot, RootError, Step};
use oci::ContainerPath;

const FOLDER: &str = "/etc/nvidia/nvidia-application-profiles-rc.d";
const NAME: &str = "10-container.conf";
/// Ours is about 130 bytes; a longer one is another's.
const MAX_FILE: usize = 4096;

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
