//! The machine: its driver, what the kernel says of its GPUs, and what NVML says.

use crate::stage::Stage;
use host::{Driver, DriverFile, FileKind, Gpu, Inventory, MigDevice, Node, NvmlFacts, Roots, Wanted};
use nvml::{Ask, CachePlace, Expected};
use oci::HostPath;
use rustix::io::Errno;
use std::{fs, path::Path};

/// Driver roots in use, in the order in which they are tried: the usual one; where Google's systems mount the driver
/// into containers, and have it themselves; the GPU operator's driver container.
const ROOTS: [&str; 4] = ["/", "/usr/local/nvidia", "/home/kubernetes/bin/nvidia", "/run/nvidia/driver"];

/// See the module.
pub struct Machine {
    /// Where it was looked at.
    pub roots: Roots,
    /// What our own discovery says, from the kernel's files and the driver's folders only.
    pub inventory: Inventory,
    /// Why there is no driver, where there is none.
    pub missing: String,
    /// What NVML says, asked now.
    pub nvml: Result<NvmlFacts, String>,
    /// How many GPUs the kernel lists, also where this process may not use them all.
    pub listed: usize,
    /// For each GPU of the inventory, whether this process may use it.
    usable: Vec<bool>,
    /// It is the lab's.
    pub simulated: bool,
    /// `uname -r`.
    pub kernel: String,
}

impl Machine {
    /// Looks at it. A driver root that is given is the only one.
    pub fn look(stage: &Stage, given: Option<&str>) -> Machine {
        let mut tried = Vec::new();
        let mut found = Vec::new();
        for root in given.map_or_else(known_roots, |root| vec![root.to_owned()]) {
            match at(&root) {
                Ok((roots, inventory)) if inventory.driver.is_some() => found.push((roots, inventory)),
                Ok(_) => tried.push(format!("no libcuda.so or libnvidia-ml.so below {root}")),
                Err(why) => tried.push(format!("{root}: {why}")),
            }
        }
        let loaded = fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
        // Several can be there, as in a container on a machine that has one itself: the loaded module's is the right one,
        // and of several views of it that which holds its programs too.
        let fits = |(_, inventory): &(Roots, Inventory)| {
            let version = inventory.driver.as_ref().is_some_and(|driver| loaded.contains(&driver.version));
            (version, binary(inventory, "nvidia-smi").is_some())
        };
        let best = (0..found.len()).rev().max_by_key(|at| fits(&found[*at])).unwrap_or(0);
        let (roots, inventory) = match found.into_iter().nth(best) {
            Some(found) => found,
            None => at("/").unwrap_or_else(|_| (Roots::default(), Inventory::default())),
        };
        let mut machine = Machine {
            roots,
            inventory,
            missing: tried.join(", "),
            nvml: Err("it was not asked".to_owned()),
            listed: fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, Iterator::count),
            usable: Vec::new(),
            simulated: Path::new(machine::STATE_FILE).exists(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        };
        machine.nvml = machine.ask(stage);
        machine.usable = machine.usable();
        machine
    }

    /// NVML's own answer, without any cache.
    fn ask(&self, stage: &Stage) -> Result<NvmlFacts, String> {
        let library = host::locate_nvml(&self.roots).ok_or("the driver has no libnvidia-ml.so.1")?;
        let ask = Ask {
            wanted: "what NVML knows about this machine".to_owned(),
            helper: stage.path("bin/corten-nvml"),
            library: Some(library),
            fingerprint: (),
            user: None,
            expected: Expected::on(&self.inventory),
            anew: false,
            timeout: stage.limit,
            cache: CachePlace::NONE,
        };
        nvml::facts(&ask).map_err(|error| error.to_string())
    }

    /// The driver that was found.
    pub fn driver(&self) -> Option<&Driver> {
        self.inventory.driver.as_ref()
    }

    /// Its version.
    pub fn version(&self) -> Option<String> {
        self.driver().map(|driver| driver.version.clone())
    }

    /// A program of the driver.
    pub fn program(&self, name: &str) -> Option<&DriverFile> {
        binary(&self.inventory, name)
    }

    /// Those without a node may be in the inventory, as somebody could make it. Only where NVML lists fewer are nodes opened,
    /// since that may wake a GPU, which takes its time.
    fn usable(&self) -> Vec<bool> {
        let gpus = &self.inventory.gpus;
        let all = self.nvml.as_ref().map_or(true, |facts| facts.gpus.len() >= gpus.len());
        gpus.iter().map(|gpu| all || opens(&gpu.node, true)).collect()
    }

    /// The GPUs that this process may use.
    pub fn seen(&self) -> impl Iterator<Item = &Gpu> {
        let both = self.inventory.gpus.iter().zip(&self.usable);
        both.filter(|(_, usable)| **usable).map(|(gpu, _)| gpu)
    }

    /// Its MIG devices that this process may use.
    pub fn seen_mig<'a>(&'a self, gpu: &'a Gpu) -> impl Iterator<Item = &'a MigDevice> {
        let both = |mig: &&MigDevice| opens(&mig.gpu_instance_node, false) && opens(&mig.compute_instance_node, false);
        gpu.mig.iter().filter(both)
    }

    /// Not everything that the kernel lists may be used: this is a container that was given a part.
    pub fn is_part(&self) -> bool {
        self.seen().count() < self.listed || self.seen().any(|gpu| self.seen_mig(gpu).count() < gpu.mig.len())
    }
}

fn binary<'a>(inventory: &'a Inventory, name: &str) -> Option<&'a DriverFile> {
    let fits = |file: &&DriverFile| matches!(file.kind, FileKind::Binary) && file.host.file_name() == name;
    inventory.driver.as_ref()?.files.iter().find(fits)
}

/// Without repetition: the roots in use, and those that the loader's variable points into.
fn known_roots() -> Vec<String> {
    let variable = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let named = variable.split(':').filter(|folder| folder.starts_with('/')).filter_map(|folder| {
        let root = folder.strip_suffix("/lib64").or_else(|| folder.strip_suffix("/lib"))?;
        Some(if root.is_empty() { "/" } else { root }.to_owned())
    });
    let mut roots: Vec<String> = Vec::new();
    for root in ROOTS.map(str::to_owned).into_iter().chain(named) {
        if !roots.contains(&root) && Path::new(&root).is_dir() {
            roots.push(root);
        }
    }
    roots
}

/// The machine with its driver below `root`. Device nodes are where programs look for them, unless they are only there.
fn at(root: &str) -> Result<(Roots, Inventory), String> {
    let root = HostPath::new(root).map_err(|error| error.to_string())?;
    let own = root.join("dev/nvidiactl").as_path().exists() && !Path::new("/dev/nvidiactl").exists();
    let dev = if own { root.clone() } else { HostPath::root() };
    let roots = Roots { dev, ..Roots::new(root) };
    let inventory = host::discover(&roots, Wanted::ALL).map_err(|error| error.to_string())?;
    Ok((roots, inventory))
}

/// The node is there and lets itself be opened. One that has nothing behind it, as on a simulated machine, says `ENXIO`;
/// one that a device cgroup forbids says `EPERM`.
fn opens(node: &Node, write: bool) -> bool {
    let opened = fs::OpenOptions::new().read(true).write(write).open(node.host.as_path());
    match opened.map_err(|error| Errno::from_io_error(&error)) {
        Ok(_) | Err(Some(Errno::NXIO)) => true,
        // In use by one process alone, or broken: it is there, and NVML has to say what it thinks of it.
        Err(Some(Errno::BUSY | Errno::IO)) => true,
        Err(_) => false,
    }
}
