//! MIG's capabilities: files of procfs, and the nodes that open them (section 11).

use crate::{DeviceNode, Error, Gpu, Machine, device::CAPABILITIES};
use host::legacy;
use oci::HostPath;

/// How a process shows that it holds a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// By opening a file of procfs.
    Proc,
    /// By opening a device node.
    Device,
}

/// The folder of the nodes.
pub const FOLDER: &str = "/dev/nvidia-caps";

/// The global capability to make and remove MIG devices.
pub fn config() -> String {
    format!("{CAPABILITIES}/mig/config")
}

/// The global capability to watch all MIG devices.
pub fn monitor() -> String {
    format!("{CAPABILITIES}/mig/monitor")
}

/// The file of a capability's folder that stands for the use of an instance.
pub fn access(folder: &str) -> String {
    format!("{folder}/access")
}

impl Machine {
    /// Which style this machine has.
    pub fn caps_style(&self) -> Style {
        match legacy::major(&self.roots, "nvidia-caps") {
            Some(_) => Style::Device,
            None => Style::Proc,
        }
    }

    /// The node that opens the capability at `path`, a file below `/proc`.
    ///
    /// # Errors
    /// There is no such file, or it names no node.
    pub fn cap_node(&self, path: &str) -> Result<DeviceNode, Error> {
        let major = legacy::major(&self.roots, "nvidia-caps");
        let major = major.ok_or_else(|| Error::new("no major number for nvidia-caps in /proc/devices"))?;
        let minor = legacy::capability_minor(&self.proc_file(path));
        let minor = minor.ok_or_else(|| Error::os(format!("open failed: {path}"), rustix::io::Errno::NOENT))?;
        Ok(node(major, minor))
    }

    /// The nodes of all capabilities that the GPU has or could have.
    pub fn all_cap_nodes(&self, gpu: &Gpu) -> Vec<DeviceNode> {
        let Some(major) = legacy::major(&self.roots, "nvidia-caps") else { return Vec::new() };
        legacy::mig_minors(&self.roots, gpu.node.minor).into_iter().map(|minor| node(major, minor)).collect()
    }

    /// Where a file of procfs lies on this machine.
    pub(crate) fn proc_file(&self, path: &str) -> HostPath {
        match path.strip_prefix("/proc/") {
            Some(below) => self.roots.proc.join(below),
            None => self.roots.proc.join(path),
        }
    }
}

fn node(major: u32, minor: u32) -> DeviceNode {
    DeviceNode { path: format!("{FOLDER}/nvidia-cap{minor}"), major, minor }
}
