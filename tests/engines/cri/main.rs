//! containerd of Debian trixie (1.7) as Kubernetes uses it, with our CDI specs.

mod grpc;
mod pods;
mod protobuf;

use engines::{
    Programs, Suite,
    cdi::{self, Hooks},
    place::{Place, System},
};
use pods::Pods;
use std::process::ExitCode;

fn main() -> ExitCode {
    let suite = |name, machine, start: fn(&Programs) -> Result<Pods, String>, checks| Suite {
        name,
        place: Place { machine, system: System::Trixie },
        start,
        checks,
    };
    engines::run(&[
        suite("containerd_with_cdi", "two-gpus", |programs| Pods::start(programs, Hooks::Ours), cdi::checks()),
        suite(
            "containerd_with_cdi_and_one_hook",
            "two-gpus",
            |programs| Pods::start(programs, Hooks::One),
            cdi::checks(),
        ),
        suite(
            "containerd_with_cdi_and_no_hooks",
            "two-gpus",
            |programs| Pods::start(programs, Hooks::None),
            cdi::checks(),
        ),
        suite("containerd_with_cdi_and_mig", "mig", |programs| Pods::start(programs, Hooks::Ours), cdi::mig_checks()),
    ])
}
