//! The driver's modules: waited for while the kernel loads them, and loaded where the nodes of GPUs need them.

use crate::modules;
use host::{Capabilities, Roots, Wanted};
use plan::Config;
use std::{
    thread,
    time::{Duration, Instant},
};

/// The longest that a module may take to be loaded: on a machine with many GPUs, each of which is found meanwhile.
const MODULES_LIMIT: Duration = Duration::from_secs(30);
/// How often modules are looked at.
const MODULES_STEP: Duration = Duration::from_millis(20);

/// The kernel announces a module before the module has found its GPUs. So whoever is started by that announcement waits
/// until it has.
pub fn wait(roots: &Roots) {
    let deadline = Instant::now() + MODULES_LIMIT;
    let mut told = false;
    while let Some(module) = host::module_in_motion(roots) {
        if !std::mem::replace(&mut told, true) {
            log::debug!("the kernel module {module} is not ready; waiting for it");
        }
        if Instant::now() > deadline {
            log::warn!("the kernel module {module} has been loading for {} s; going on", MODULES_LIMIT.as_secs());
            return;
        }
        thread::sleep(MODULES_STEP);
    }
}

/// A container cannot load what its nodes need, so it is loaded before they are described.
pub fn load(config: &Config) {
    let wanted = Wanted { capabilities: Capabilities::NONE, driver: false, drm: false, extras: false, ..Wanted::ALL };
    let Ok(inventory) = host::discover(&Roots::default(), wanted) else { return };
    if inventory.gpus.is_empty() {
        return;
    }
    let nodes = [("nvidia-uvm", &inventory.nodes.uvm), ("nvidia-modeset", &inventory.nodes.modeset)];
    let missing: Vec<_> = nodes.into_iter().filter(|(_, node)| node.is_none()).map(|(module, _)| module).collect();
    modules::load(&missing, config);
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::HostPath;
    use std::{
        fs,
        sync::atomic::{AtomicBool, Ordering},
    };

    /// It comes back when the module is ready, and not before.
    #[test]
    fn modules_that_are_being_loaded_are_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path().canonicalize().unwrap();
        let file = proc.join("modules");
        let roots = Roots { proc: HostPath::new(proc.to_str().unwrap()).unwrap(), ..Roots::default() };
        wait(&roots);
        let line = |state: &str| format!("loop 1 0 - Live 0x0\nnvidia 61440000 0 - {state} 0x0 (POE)\n");
        fs::write(&file, line("Loading")).unwrap();
        let ready = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                wait(&roots);
                assert!(ready.load(Ordering::SeqCst));
            });
            // Long enough for several looks, though the test holds however long or short it is.
            thread::sleep(MODULES_STEP * 5);
            ready.store(true, Ordering::SeqCst);
            fs::write(proc.join("new"), line("Live")).unwrap();
            fs::rename(proc.join("new"), &file).unwrap();
        });
    }
}
