//! What lives between `nvmlInit` and the last `nvmlShutdown`: the machine as this process sees it.

use crate::abi::{Code, Handle, Thing};
use machine::{Gpu, Machine, Mig, here};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// An initialised NVML.
pub struct Session {
    /// The whole machine: driver and behaviour.
    pub machine: Machine,
    /// What this process sees of it; positions in this list are NVML's indices.
    pub gpus: Vec<Gpu>,
    /// `nvmlInit` counts, `nvmlShutdown` counts back.
    users: u32,
}

static SESSION: Mutex<Option<Session>> = Mutex::new(None);

/// `nvmlInit` in all its forms.
pub fn start() -> Result<(), Code> {
    let mut session = lock();
    if let Some(running) = session.as_mut() {
        running.users += 1;
        return Ok(());
    }
    let machine = here::machine()?;
    misbehave(&machine);
    if let Some(code) = machine.nvml.init_error {
        return Err(Code(code));
    }
    here::control(&machine)?;
    let gpus = here::gpus(&machine);
    *session = Some(Session { machine, gpus, users: 1 });
    Ok(())
}

/// `nvmlShutdown`.
pub fn stop() -> Result<(), Code> {
    let mut session = lock();
    let running = session.as_mut().ok_or(Code::UNINITIALIZED)?;
    running.users -= 1;
    if running.users == 0 {
        *session = None;
    }
    Ok(())
}

/// Every other function: finds the session, waits as long as the machine says, and asks.
pub fn ask(question: impl FnOnce(&Session) -> Result<(), Code>) -> Code {
    let session = lock();
    let answer = session.as_ref().ok_or(Code::UNINITIALIZED).and_then(|session| {
        wait(&session.machine);
        question(session)
    });
    answer.into()
}

impl Session {
    /// The GPU that a handle means; a MIG device's handle is not one.
    pub fn gpu(&self, device: Handle) -> Result<&Gpu, Code> {
        match device.thing()? {
            Thing::Gpu { gpu } => self.gpus.get(gpu).ok_or(Code::INVALID_ARGUMENT),
            _ => Err(Code::INVALID_ARGUMENT),
        }
    }

    /// The GPU of a handle to it or to one of its MIG devices.
    pub fn gpu_or_parent(&self, device: Handle) -> Result<(&Gpu, Option<&Mig>), Code> {
        match device.thing()? {
            Thing::Mig { gpu, mig } => self.part(gpu, mig).map(|(gpu, mig)| (gpu, Some(mig))),
            _ => self.gpu(device).map(|gpu| (gpu, None)),
        }
    }

    /// GPU and MIG device at these positions.
    pub fn part(&self, gpu: usize, mig: usize) -> Result<(&Gpu, &Mig), Code> {
        let gpu = self.gpus.get(gpu).ok_or(Code::INVALID_ARGUMENT)?;
        gpu.mig.get(mig).map(|mig| (gpu, mig)).ok_or(Code::INVALID_ARGUMENT)
    }
}

fn misbehave(machine: &Machine) {
    wait(machine);
    if machine.nvml.crash {
        // SAFETY: neither call has a precondition. The default action first: a Rust program's own handler would let a
        // signal that no faulting address comes with pass.
        unsafe {
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
            libc::raise(libc::SIGSEGV);
        }
    }
    if machine.nvml.hang {
        loop {
            thread::park();
        }
    }
}

fn wait(machine: &Machine) {
    thread::sleep(Duration::from_millis(machine.nvml.delay_ms));
}

/// A panic in another thread leaves nothing half-written here.
fn lock() -> MutexGuard<'static, Option<Session>> {
    SESSION.lock().unwrap_or_else(PoisonError::into_inner)
}
