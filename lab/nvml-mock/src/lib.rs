//! The `libnvidia-ml.so.1` of a simulated GPU machine.
//!
//! It has the functions of NVML that container tools call, with the layouts of NVIDIA's public `nvml.h`, and answers
//! them from the machine's description ([`machine::STATE_FILE`]) where the real library would ask the kernel driver.
//! What a process may see is decided as on a real machine: by which device nodes it can open. That makes it a test of
//! device rules and mounts, from inside a container too.
//!
//! Which file holds what: [`session`] the state between `nvmlInit` and `nvmlShutdown` ([`machine::here`] says what this
//! process may see), [`abi`] codes, handles and out parameters, [`layout`] the C structs, [`system`], [`device`] and [`mig`] the
//! exported functions, [`profile`] the numbers of MIG profiles.

mod abi;
mod device;
mod layout;
mod mig;
mod profile;
mod session;
mod system;
