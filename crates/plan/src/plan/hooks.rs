//! The one hook: what can only be done inside the container's mount namespace.

use super::Plan;
use crate::edits::{Because, Edits, Reason};
use cdi::Hook;
use oci::HostPath;

impl Plan<'_> {
    /// `disable-device-node-modification` hides from the container's `nvidia-smi` that it may create device nodes. Its
    /// environment is set, so that nothing of the image's reaches it.
    pub(super) fn hooks(&self, edits: &mut Edits, program: &HostPath) {
        const NAME: &str = "disable-device-node-modification";
        if !self.inventory.modify_device_files || self.config.hook_disabled(NAME) {
            return;
        }
        let mut args = vec![program.file_name().to_owned()];
        if program.file_name() == "nvidia-ctk" {
            args.push("hook".to_owned());
        }
        args.push(NAME.to_owned());
        let hook = Hook {
            hook_name: "createContainer".to_owned(),
            path: program.to_string(),
            args,
            env: vec!["NVIDIA_CTK_DEBUG=false".to_owned()],
            timeout: None,
        };
        let rule = "the host's params say ModifyDeviceFiles: 1, so the container gets a copy that says 0".to_owned();
        edits.spec.hooks.push(Because::new(hook, Reason { request: self.request.asked.clone(), rule }));
    }
}
