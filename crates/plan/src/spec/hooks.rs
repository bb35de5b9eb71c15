//! The hooks of a specification: the original's names and arguments, which every consumer of specifications knows.

use super::{SpecMode, SpecOptions};
use crate::edits::{Because, Reason, SpecEdits};
use crate::plan;
use host::Inventory;
use serde::{Deserialize, Serialize};

/// The word before several hooks that one process of `nvidia-cdi-hook` does.
pub const JOBS: &str = "jobs";

/// A hook that specifications can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum HookName {
    CreateSymlinks,
    EnableCudaCompat,
    UpdateLdcache,
    DisableDeviceNodeModification,
    UpdateApplicationProfile,
    Chmod,
}

impl HookName {
    /// All of them.
    pub const ALL: [HookName; 6] = [
        HookName::CreateSymlinks,
        HookName::EnableCudaCompat,
        HookName::UpdateLdcache,
        HookName::DisableDeviceNodeModification,
        HookName::UpdateApplicationProfile,
        HookName::Chmod,
    ];

    /// The word on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            HookName::CreateSymlinks => "create-symlinks",
            HookName::EnableCudaCompat => "enable-cuda-compat",
            HookName::UpdateLdcache => "update-ldcache",
            HookName::DisableDeviceNodeModification => "disable-device-node-modification",
            HookName::UpdateApplicationProfile => "update-application-profile",
            HookName::Chmod => "chmod",
        }
    }

    /// The hook says nothing without arguments.
    const fn needs_arguments(self) -> bool {
        matches!(self, HookName::CreateSymlinks | HookName::UpdateLdcache | HookName::Chmod)
    }
}

/// Which hooks are wanted. Enabled ones are, whatever is disabled; of the others all are but `chmod`, if not disabled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSwitches {
    /// By name.
    pub enabled: Vec<HookName>,
    /// By name.
    pub disabled: Vec<HookName>,
    /// `all` is among the disabled.
    pub all_disabled: bool,
}

impl HookSwitches {
    fn want(&self, hook: HookName) -> bool {
        let off = self.all_disabled || self.disabled.contains(&hook) || hook == HookName::Chmod;
        self.enabled.contains(&hook) || !off
    }
}

/// Makes hooks.
pub(super) struct Hooks<'a> {
    pub(super) options: &'a SpecOptions,
}

impl Hooks<'_> {
    /// Adds the hook, if it is wanted and has something to do. `before` are arguments that alone give it nothing to do.
    pub(super) fn add(
        &self,
        edits: &mut SpecEdits,
        hook: HookName,
        before: Vec<String>,
        args: Vec<String>,
        reason: Reason,
    ) {
        let idle = hook.needs_arguments() && args.is_empty();
        if self.options.hookless.is_none() && self.options.hooks.want(hook) && !idle {
            let hook = plan::hooks::hook(&self.options.hook_program, hook, before.into_iter().chain(args));
            edits.hooks.push(Because::new(hook, reason));
        }
    }

    /// Puts the hooks that all devices have in common into one, where that is wanted: a low-level runtime starts and awaits
    /// each as a process of its own.
    pub(super) fn join(&self, edits: &mut SpecEdits) {
        if !self.options.single_hook || edits.hooks.len() < 2 {
            return;
        }
        let program = &self.options.hook_program;
        let prefix = plan::hooks::program_words(program);
        let hooks = std::mem::take(&mut edits.hooks);
        let words = hooks.iter().flat_map(|hook| hook.what.args.iter().skip(prefix.len()).cloned());
        let words = prefix.iter().cloned().chain([JOBS.to_owned()]).chain(words).collect();
        let rules: Vec<&str> = hooks.iter().map(|hook| hook.reason.rule.as_str()).collect();
        let reason = Reason { request: "--hooks=one".to_owned(), rule: rules.join("; ") };
        edits.hooks.push(Because::new(plan::hooks::with_words(program, words), reason));
    }

    /// What only a hook can do on this machine, where none is wanted.
    pub(super) fn missed(&self, inventory: &Inventory) -> Option<String> {
        let open = inventory.modify_device_files && self.options.mode == SpecMode::Nvml;
        (open && self.options.hookless.is_some()).then(|| {
            "without hooks nothing keeps programs in a container from making nodes of GPUs that it was not granted (which \
             they cannot open): load the kernel module nvidia with NVreg_ModifyDeviceFiles=0 if that matters"
                .to_owned()
        })
    }
}

/// `FLAG VALUE` for each value.
pub(super) fn each(flag: &str, values: impl IntoIterator<Item = String>) -> Vec<String> {
    values.into_iter().flat_map(|value| [flag.to_owned(), value]).collect()
}
