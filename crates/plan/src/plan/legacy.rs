//! What the runtime adds in legacy mode beside the prestart hook, which does most of the work when the container has been
//! made (reference: runtime-and-hook.md 3.3 to 3.5, 3.7).
//!
//! As in the original: graphics files that `nvidia-container-cli` does not know, DRM nodes, groups of special devices, and
//! on request the hook for forward compatibility. And one thing that is ours: device rules for what the hook will grant.
//! It adds them to the container's cgroup behind the low-level runtime's back, so the next `systemctl daemon-reload`, or
//! whoever else sets what config.json says, would take them away. With the rules in config.json they stay.

use super::{Plan, PlanError, driver, hooks, select};
use crate::config::Config;
use crate::edits::{Because, Edits, Reason};
use crate::layout::Layout;
use crate::request::Request;
use crate::spec::HookName;
use cdi::DeviceNode;
use host::{Capabilities, Capability, Driver, DriverFile, FileKind, Inventory, LibraryClass};
use oci::{DeviceRule, HostPath};

/// What brings the files and nodes that only the runtime can add.
const GRAPHICS: Capabilities = Capabilities::of(&[Capability::Graphics, Capability::Display]);

/// Whether the container's root matters, so that its layout must be known.
pub fn legacy_needs_root(request: &Request, config: &Config) -> bool {
    wants_graphics(request) || wants_compat_hook(config)
}

/// The edits. What the prestart hook will refuse is no error here: it says so in the words that users know.
///
/// # Errors
/// [`PlanError`] where files are to be added and there is no driver.
pub fn legacy(
    request: &Request,
    inventory: &Inventory,
    config: &Config,
    layout: &Layout,
    hook_path: &HostPath,
) -> Result<Edits, PlanError> {
    let nothing = Driver { version: String::new(), root: HostPath::root(), files: Vec::new() };
    let driver = match legacy_needs_root(request, config) {
        true => driver(request, inventory, config)?,
        false => inventory.driver.as_ref().unwrap_or(&nothing),
    };
    let mut edits = Edits::default();
    let grants = select::grants(request, inventory).unwrap_or_else(|error| {
        edits.remarks.push(format!("no device rules in config.json: {error}"));
        Vec::new()
    });
    let wanted = request.capabilities;
    let deeds = super::partition::deeds(request).unwrap_or_default();
    let by_capabilities = super::by_capabilities(wanted, config);
    let plan = Plan { request, inventory, driver, config, layout, wanted, by_capabilities, grants, deeds };
    plan.gated(&mut edits);
    if wants_compat_hook(config) {
        plan.compat_hooks(&mut edits, hook_path);
    }
    let nodes = plan.nodes_of_hook();
    if wants_graphics(request) {
        plan.drm_nodes(&mut edits, &nodes);
        plan.graphics(&mut edits);
    }
    if !config.cli.no_cgroups {
        plan.rules(&mut edits, &nodes);
    }
    Ok(edits)
}

fn wants_graphics(request: &Request) -> bool {
    GRAPHICS.meets(request.capabilities)
}

fn wants_compat_hook(config: &Config) -> bool {
    config.runtime.legacy_cuda_compat_mode == "hook" && !config.features.disable_cuda_compat_lib_hook
}

fn is_drm(node: &DeviceNode) -> bool {
    node.path.starts_with("/dev/dri/")
}

/// Graphics files that `nvidia-container-cli` does not mount: platform libraries, modules of X servers, configuration, and
/// one library of the driver's version.
fn is_beyond_hook(file: &DriverFile) -> bool {
    let native = !matches!(&file.kind, FileKind::Library(library) if library.class == LibraryClass::Compat32);
    let producer = file.path.file_name().starts_with("libnvidia-vulkan-producer.so");
    native && (crate::spec::is_graphics(file) || producer)
}

impl Plan<'_> {
    /// All nodes that this container would get from us in jit-cdi mode, but for gated groups.
    fn nodes_of_hook(&self) -> Edits {
        let mut nodes = Edits::default();
        self.granted(&mut nodes);
        if !self.grants.is_empty() || self.request.devices == crate::request::DeviceRequest::None {
            self.control(&mut nodes);
        }
        self.partitioning(&mut nodes);
        // A channel that there is not is the hook's to refuse.
        let _ = self.imex(&mut nodes);
        nodes
    }

    fn drm_nodes(&self, edits: &mut Edits, nodes: &Edits) {
        let drm = nodes.spec.devices.iter().filter(|node| is_drm(&node.what));
        edits.spec.devices.extend(drm.clone().cloned());
        let joined = |gid: &&Because<u32>| drm.clone().any(|node| node.what.gid == Some(gid.what));
        edits.spec.gids.extend(nodes.spec.gids.iter().filter(joined).cloned());
    }

    /// The access that the hook gives: to use a node, not to make one. It brings the modeset node for displays only.
    fn rules(&self, edits: &mut Edits, nodes: &Edits) {
        let modeset = self.inventory.nodes.modeset.as_ref().filter(|_| !self.wanted.contains(Capability::Display));
        let unused = |node: &DeviceNode| modeset.is_some_and(|modeset| modeset.path.as_str() == node.path);
        for node in nodes.spec.devices.iter().filter(|node| !is_drm(&node.what) && !unused(&node.what)) {
            let DeviceNode { major, minor, .. } = node.what;
            let rule =
                DeviceRule { allow: true, kind: Some("c".to_owned()), major, minor, access: Some("rw".to_owned()) };
            let reason = Reason { rule: format!("{}: {}", node.what.path, node.reason.rule), ..node.reason.clone() };
            edits.spec.rules.push(Because::new(rule, reason));
        }
    }

    fn graphics(&self, edits: &mut Edits) {
        for file in self.driver.files.iter().filter(|file| is_beyond_hook(file)) {
            self.file(edits, file);
        }
        self.allocator_link(edits);
        self.sort_files(edits);
    }

    /// The hook mounts libnvidia-allocator, but does not make the link by which GBM loads it.
    fn allocator_link(&self, edits: &mut Edits) {
        for file in &self.driver.files {
            let FileKind::Library(library) = &file.kind else { continue };
            if library.class == LibraryClass::Native && file.path.file_name().starts_with("libnvidia-allocator.so.") {
                let only = library.links.iter().filter(|link| link.name.starts_with("gbm/")).cloned().collect();
                self.links(edits, &self.layout.native, file, &host::Library { links: only, ..library.clone() });
            }
        }
    }

    /// Unlike the original, whose second hook is never made (Q4): what the first decides takes effect in the second.
    fn compat_hooks(&self, edits: &mut Edits, program: &HostPath) {
        let asked = "nvidia-container-runtime.modes.legacy.cuda-compat-mode = \"hook\"";
        let mut add = |hook: HookName, args: Vec<String>, rule: &str| {
            let reason = Reason { request: asked.to_owned(), rule: rule.to_owned() };
            edits.spec.hooks.push(Because::new(hooks::hook(program, hook, args), reason));
        };
        let version = format!("--host-driver-version={}", self.driver.version);
        add(HookName::EnableCudaCompat, vec![version], "lets an image bring a newer libcuda");
        let folder = vec!["--folder".to_owned(), self.layout.native.to_string()];
        add(HookName::UpdateLdcache, folder, "lets the container's loader find it");
    }
}
