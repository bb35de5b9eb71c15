//! The one hook: what can only be done inside the container's mount namespace. And the form that all hooks have.

use super::Plan;
use crate::edits::{Because, Edits, Reason};
use crate::spec::HookName;
use cdi::Hook;
use oci::HostPath;

impl Plan<'_> {
    /// `disable-device-node-modification` hides from the container's `nvidia-smi` that it may create device nodes. Its
    /// environment is set, so that nothing of the image's reaches it.
    pub(super) fn hooks(&self, edits: &mut Edits, program: &HostPath) {
        let name = HookName::DisableDeviceNodeModification;
        if !self.inventory.modify_device_files || self.config.hook_disabled(name.name()) {
            return;
        }
        let hook = hook(program, name, Vec::new());
        let rule = "the host's params say ModifyDeviceFiles: 1, so the container gets a copy that says 0".to_owned();
        edits.spec.hooks.push(Because::new(hook, Reason { request: self.request.asked.clone(), rule }));
    }
}

/// One hook.
pub(crate) fn hook(program: &HostPath, name: HookName, arguments: impl IntoIterator<Item = String>) -> Hook {
    let words = program_words(program).into_iter().chain([name.name().to_owned()]).chain(arguments);
    with_words(program, words.collect())
}

/// What a hook's command line begins with: the program, under whose name hooks are words of their own or of `hook`.
pub(crate) fn program_words(program: &HostPath) -> Vec<String> {
    let mut words = vec![program.file_name().to_owned()];
    if program.file_name() == "nvidia-ctk" {
        words.push("hook".to_owned());
    }
    words
}

/// A hook with an environment of its own, so that nothing of the image's reaches it.
pub(crate) fn with_words(program: &HostPath, args: Vec<String>) -> Hook {
    Hook {
        hook_name: "createContainer".to_owned(),
        path: program.to_string(),
        args,
        env: vec!["NVIDIA_CTK_DEBUG=false".to_owned()],
        timeout: None,
    }
}
