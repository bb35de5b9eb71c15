//! From what a container asks for to what is changed about it: the way through the other crates.

use crate::{
    cdi_mode,
    codes::Code,
    container::Container,
    fault::{Fault, Result},
    machine, modules,
    read_only::Shelf,
    runtime::programs,
    volumes,
};
use host::{Capabilities, Capability, Inventory, Platform, Wanted};
use oci::{ContainerPath, HostPath};
use plan::{
    Config, Edits, Layout, Loader, Mode, PlanError, Request,
    compat::{self, CompatLibrary, HostVersions},
    mode::{self, Resolved},
    request::ImexRequest,
    requirement::RequirementError,
};
use root::{ContainerRoot, RootError};
use std::env;

/// What is to be done, and how it came to that.
pub struct Decision {
    /// The way in which the container gets its GPUs.
    pub mode: Mode,
    /// Why that way.
    pub reason: String,
    /// The changes; in legacy mode only those that its hook does not make.
    pub edits: Edits,
    /// The root that they were decided for.
    root: Option<Target>,
}

/// A container's root and what it is like.
struct Target {
    root: ContainerRoot,
    layout: Layout,
    /// A mount of the container's own lies over `/etc`.
    cache_is_covered: bool,
    /// For a root that cannot be written.
    shelf: Option<Shelf>,
}

/// What the log says where the loader's files are not the root's.
const COVERED: &str = "a mount of the container's own lies over /etc: its loader cache counts, so that libraries are found only \
    where the loader looks without one; use CDI specs with hooks (mode = \"cdi\") if it does not find them";

/// The machine to decide for.
pub enum Machine {
    /// This one, which may be made ready: kernel modules that it lacks are loaded.
    Start,
    /// This one, only looked at.
    Look,
    /// Another.
    Other(Box<Inventory>),
}

/// Decides for a container.
pub fn decide(container: &Container, request: &Request, config: &Config, machine: Machine) -> Result<Decision> {
    let (here, start) = (!matches!(machine, Machine::Other(_)), matches!(machine, Machine::Start));
    let inventory = match machine {
        Machine::Other(inventory) => *inventory,
        _ if needs_machine(request, config)? => machine::examine(config, wanted(request, config))?,
        _ => Inventory::default(),
    };
    let Resolved { mode, reason } = resolve_mode(request, config, inventory.platform)?;
    let (edits, root) = match mode {
        Mode::Csv => return Err(not_yet(mode, &reason)),
        Mode::Cdi => (cdi_mode::decide(request, config, start)?, None),
        Mode::Legacy => legacy(container, request, config, inventory, (here, start))?,
        Mode::JitCdi => jit_cdi(container, request, config, inventory, (here, start))?,
    };
    for remark in &edits.remarks {
        log::warn!("{remark}");
    }
    Ok(Decision { mode, reason, edits, root })
}

/// Mode jit-cdi: all that the container needs, and the root that a part of it goes to.
fn jit_cdi(
    container: &Container,
    request: &Request,
    config: &Config,
    mut inventory: Inventory,
    (here, start): (bool, bool),
) -> Result<(Edits, Option<Target>)> {
    let target = Target::open(container)?;
    if start && modules::load_missing(request, &inventory, config) {
        inventory = machine::examine(config, wanted(request, config))?;
    }
    if let Some(why) = plan::needs_nvml(request, &inventory).filter(|_| here) {
        machine::ask_nvml(&mut inventory, config).map_err(|fault| fault.within(&why))?;
    }
    let mut edits = plan::plan(request, &inventory, config, &target.layout, &hook_path(config)?)
        .map_err(|error| plan_fault(&error))?;
    target.prefer_compat(&mut edits, &inventory, config);
    target.fit(&mut edits, container, start)?;
    if target.cache_is_covered && !edits.root.libraries.is_empty() {
        edits.remarks.push(COVERED.to_owned());
    }
    Ok((edits, Some(target)))
}

/// Legacy mode. The hook looks at this machine again and refuses what it must, in words that users know; so what is not
/// known here only makes the edits fewer.
fn legacy(
    container: &Container,
    request: &Request,
    config: &Config,
    mut inventory: Inventory,
    (here, start): (bool, bool),
) -> Result<(Edits, Option<Target>)> {
    let target = plan::legacy_needs_root(request, config).then(|| Target::open(container)).transpose()?;
    if start && modules::load_missing(request, &inventory, config) {
        inventory = machine::examine(config, wanted(request, config))?;
    }
    // Requirements are the hook's to judge.
    let unconditional = Request { requirements: Vec::new(), ..request.clone() };
    if let Some(why) = plan::needs_nvml(&unconditional, &inventory).filter(|_| here)
        && let Err(fault) = machine::ask_nvml(&mut inventory, config)
    {
        log::warn!("{}", fault.within(&why));
    }
    let layout = target.as_ref().map_or_else(anywhere, |target| target.layout.clone());
    let mut edits =
        plan::legacy(request, &inventory, config, &layout, &hook_path(config)?).map_err(|error| plan_fault(&error))?;
    if let Some(target) = &target {
        target.fit(&mut edits, container, start)?;
    }
    Ok((edits, target))
}

/// The layout of a root that nothing is put into.
fn anywhere() -> Layout {
    let folder = || ContainerPath::root().join("usr/lib64");
    Layout { loader: Loader::Unknown, native: folder(), compat32: folder(), read_only: false, covered: false }
}

impl Decision {
    /// The log's line about the mode, which tools look for.
    pub fn mode_line(&self, config: &Config) -> String {
        match config.runtime.mode.as_str() {
            "auto" => format!("Auto-detected mode as '{}'", self.mode),
            asked => format!("Using requested mode '{asked}'"),
        }
    }

    /// Makes the changes: in the document, in the root, and last on disk. If anything fails, file and root are as they
    /// were.
    pub fn carry_out(mut self, container: &mut Container) -> Result<()> {
        let rules: Vec<_> = self.edits.spec.rules.drain(..).map(|rule| rule.what).collect();
        let edits = self.edits.spec.into_container_edits();
        #[cfg(feature = "undefended")]
        let edits = crate::undefended::with_mounts_from_image(edits, &container.root_path()?);
        match self.mode {
            Mode::Cdi => cdi_mode::apply(edits, &mut container.document)?,
            _ => cdi::apply(edits, &mut container.document).map_err(|error| apply_fault(&error))?,
        }
        container
            .document
            .allow_devices(&rules)
            .map_err(|error| Fault::from_error(Code::SpecInvalid, &error).within("error modifying OCI spec"))?;
        let to_write = self.root.as_ref().filter(|target| target.shelf.is_none() && !self.edits.root.is_empty());
        let Some(target) = to_write else { return container.save() };
        let done = target.root.apply_then(&self.edits.root, &target.layout, |_| container.save())?;
        for remark in &done.remarks {
            log::info!("{remark}");
        }
        for path in &done.changed {
            log::debug!("Made {path} in the container's root");
        }
        Ok(())
    }
}

impl Target {
    fn open(container: &Container) -> Result<Target> {
        let root = ContainerRoot::open(&container.root_path()?, container.owner()?)?;
        let (layout, mounts) = (root.survey(), container.mounts()?);
        if !layout.read_only {
            let [covered, cache_is_covered] =
                volumes::are_covered(&mounts, [&layout.native, &ContainerPath::root().join("etc")]);
            return Ok(Target { root, layout: Layout { covered, ..layout }, cache_is_covered, shelf: None });
        }
        let shelf = Shelf::find(&mounts)?;
        Ok(Target { root, layout: shelf.layout(layout), cache_is_covered: false, shelf: Some(shelf) })
    }

    /// In a root that cannot be written everything becomes mounts.
    fn fit(&self, edits: &mut Edits, container: &Container, start: bool) -> Result<()> {
        let Some(shelf) = &self.shelf else { return Ok(()) };
        shelf.fit(edits, &self.root, &container.mounts()?);
        // In a root that cannot be written this only says what is missing.
        let done = self.root.apply(&edits.root, &self.layout)?;
        shelf.signposts(edits, done, &self.root, &container.env()?, start)
    }

    /// Puts the image's own libcuda before the driver's, where it is made for a driver like this machine's: what the
    /// original does by a hook (reference: runtime-and-hook.md, 8.4).
    fn prefer_compat(&self, edits: &mut Edits, inventory: &Inventory, config: &Config) {
        if self.layout.loader == Loader::Musl || !compat::is_wanted(edits, config) {
            return;
        }
        let folder = ContainerPath::root().join(compat::FOLDER);
        match self.root.find_compat(&folder, &mut edits.remarks) {
            Ok(Some(found)) => {
                let library = CompatLibrary { version: &found.version, note: found.note.as_deref() };
                let driver = inventory.driver.as_ref().map(|driver| driver.version.as_str());
                compat::settle(edits, &found.folder, &library, &HostVersions { driver, cuda: None });
            }
            Ok(None) => {}
            // The driver's own works with this machine in any case.
            Err(error) => edits.remarks.push(format!("forward compatibility is left out: {error}")),
        }
    }
}

impl From<RootError> for Fault {
    fn from(error: RootError) -> Fault {
        let code = match error {
            RootError::Open { .. } => Code::RootUnusable,
            RootError::HostRoot(_) | RootError::Foreign(_) | RootError::Strayed { .. } => Code::RootEscapes,
            RootError::Source { .. } | RootError::Unexpected { .. } => Code::HostUnreadable,
            _ => Code::RootNotPrepared,
        };
        Fault::from_error(code, &error)
    }
}

fn resolve_mode(request: &Request, config: &Config, platform: Platform) -> Result<Resolved> {
    mode::resolve(&config.runtime.mode, request, platform, Mode::JitCdi)
        .map_err(|error| Fault::from_error(Code::ModeUnknown, &error))
}

/// Where configuration and request alone decide for another mode, a look at the machine would be wasted.
fn needs_machine(request: &Request, config: &Config) -> Result<bool> {
    Ok(matches!(resolve_mode(request, config, Platform::None)?.mode, Mode::JitCdi | Mode::Legacy))
}

/// The parts of the machine that a decision about this request can depend on.
fn wanted(request: &Request, config: &Config) -> Wanted {
    let capabilities = match config.runtime.jit_ignore_driver_capabilities {
        true => Capabilities::ALL,
        // NVML comes with `utility`; where its facts are needed, its file must be known, whoever asks for what.
        false => request.capabilities.union(Capabilities::of(&[Capability::Utility])),
    };
    let graphical = Capabilities::of(&[Capability::Graphics, Capability::Display, Capability::Video]);
    let no_channels = matches!(&request.imex, ImexRequest::Channels(names) if names.is_empty());
    let extras = !request.gated.is_empty() || !no_channels || request.partitions();
    Wanted { capabilities, driver: true, gpus: true, drm: capabilities.meets(graphical), extras, ..Wanted::ALL }
}

/// The program that our one hook names.
fn hook_path(config: &Config) -> Result<HostPath> {
    let path = env::var_os("PATH").unwrap_or_default();
    let path = programs::cdi_hook(programs::own_folder().as_deref(), &config.ctk.path, &path);
    HostPath::new(path).map_err(|error| Fault::from_error(Code::ConfigInvalid, &error).within("nvidia-ctk.path"))
}

fn apply_fault(error: &cdi::ApplyError) -> Fault {
    let code = match error {
        cdi::ApplyError::Document(_) => Code::SpecInvalid,
        _ => Code::HostUnreadable,
    };
    Fault::from_error(code, error)
}

/// Mode csv, with what a Jetson's user can do today.
fn not_yet(mode: Mode, reason: &str) -> Fault {
    let next = "Write CDI specs by hand and set nvidia-container-runtime.mode = \"cdi\"; `corten inventory` shows what the \
                machine's CSV files list";
    Fault::new(Code::NotYet, format!("mode {mode} is not in this version yet ({reason})")).next(next)
}

fn plan_fault(error: &PlanError) -> Fault {
    let code = match error {
        PlanError::NoDriver { .. } => Code::DriverMissing,
        PlanError::OtherPlatform { .. } => Code::NotYet,
        PlanError::NoGpus { .. }
        | PlanError::NothingToGrant { .. }
        | PlanError::UnknownDevice { .. }
        | PlanError::UnknownChannel { .. } => Code::DeviceUnknown,
        PlanError::Ambiguous { .. } => Code::DeviceAmbiguous,
        PlanError::MixedNames { .. }
        | PlanError::InvalidChannel { .. }
        | PlanError::MigDevices { .. }
        | PlanError::MigDeviceNamed { .. } => Code::RequestInvalid,
        PlanError::UnknownFact { .. } | PlanError::Requirement(RequirementError::Unknown { .. }) => Code::FactUnknown,
        PlanError::Requirement(RequirementError::Syntax { .. }) => Code::RequirementInvalid,
        // Its text ends with who demands it, not with what to do.
        PlanError::Requirement(RequirementError::Unsatisfied { .. }) => {
            return Fault::new(Code::RequirementUnmet, error.to_string());
        }
    };
    Fault::from_error(code, error)
}
