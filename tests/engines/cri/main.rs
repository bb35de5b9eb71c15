//! containerd of Debian trixie (1.7) as Kubernetes uses it, with our CDI specs.

mod grpc;
mod pods;
mod protobuf;

use engines::{
    Suite,
    cdi::{self, Hooks},
    place::{Place, System},
};
use pods::Pods;
use std::process::ExitCode;

fn main() -> ExitCode {
    engines::run(&[
        Suite {
            name: "containerd_with_cdi",
            place: Place { machine: "two-gpus", system: System::Trixie },
            start: |programs| Pods::start(programs, Hooks::Ours),
            checks: cdi::checks(),
        },
        Suite {
            name: "containerd_with_cdi_and_no_hooks",
            place: Place { machine: "two-gpus", system: System::Trixie },
            start: |programs| Pods::start(programs, Hooks::None),
            checks: cdi::checks(),
        },
        Suite {
            name: "containerd_with_cdi_and_mig",
            place: Place { machine: "mig", system: System::Trixie },
            start: |programs| Pods::start(programs, Hooks::Ours),
            checks: cdi::mig_checks(),
        },
    ])
}
