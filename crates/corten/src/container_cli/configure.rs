//! `nvidia-container-cli configure`: gives a container what it asks for, in the order of the original (reference:
//! libnvidia-container.md 14), but so that a failure leaves nothing: everything is found and prepared first.

use super::{Given, Globals, command_line, failure::Failure, imex_failure, tables::Command};
use legacy::{
    Container, ContainerConfig, Detail, DeviceInfo, DriverInfo, Failed, Machine, Places, Work, caps, imex,
    options::{ContainerOptions, DriverOptions},
    requirement::{self, Refused},
    select::{self, Selection},
};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// Options that are words of the library's too.
const WORDS: [&str; 9] =
    ["compute", "utility", "video", "graphics", "display", "ngx", "compat32", "no-cgroups", "no-devbind"];

/// What this needs at most (reference: libnvidia-container.md 21); the original refuses to begin without all of it.
const NEEDED: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::SYS_PTRACE);

/// Not needed, and kept where it is held: the kernel shows hardened BPF programs of device cgroups to those alone who may see
/// its addresses (`bpf_dump_raw_ok`; `kptr_restrict` in the kernel's `sysctl/kernel.rst`). `CAP_BPF` is part of
/// [`CapabilitySet::SYS_ADMIN`].
const HELPFUL: CapabilitySet = CapabilitySet::SYSLOG;

/// Configures a container.
pub fn run(globals: &Globals, words: Vec<String>, command: &Command) -> Result<(), Failure> {
    let given = command_line(globals, words, command, 1)?;
    let config = container_config(&given)?;
    let requirements: Vec<&str> = given.all("require").collect();
    if requirements.len() > requirement::MOST {
        return Err(Failure::input("too many requirements"));
    }
    drop_privileges()?;
    let channels = imex::parse(&given.joined("imex-channel").unwrap_or_default()).map_err(imex_failure)?;
    let machine = globals.machine(&channels)?;
    let words = library_options(&given);
    log::info!("configuring container with '{words}'");
    let options = ContainerOptions::parse(Some(&words)).map_err(Failure::of("container"))?;
    let container = Container::new(&config, options).map_err(Failure::of("container"))?;
    let driver_options = DriverOptions {
        no_persistenced: given.has("no-persistenced"),
        no_fabricmanager: given.has("no-fabricmanager"),
        no_gsp_firmware: given.has("no-gsp-firmware"),
        only: Some(options.capabilities),
        ..DriverOptions::default()
    };
    let driver = machine.driver(&driver_options).map_err(Failure::detection)?;
    let devices = machine.devices(Detail::Names).map_err(Failure::detection)?;
    let list = given.joined("device").unwrap_or_default();
    let selection = select::devices(&list, &devices).map_err(Failure::of("device"))?;
    let partition = |what: &str| {
        select::to_partition(what, given.joined(what).as_deref(), &selection, &devices).map_err(Failure::of(what))
    };
    let (config, monitor) = (partition("mig-config")?, partition("mig-monitor")?);
    machine.require(&requirements, &selection, &devices).map_err(|refused| match refused {
        Refused::Nvml(error) => Failure::of("initialization")(error),
        Refused::Requirement(error) => Failure::of("requirement")(error),
    })?;
    let wish = Wish { selection, config, monitor };
    let work = wish.work(&machine, container.places(), &driver, &devices).map_err(Failure::of("mount"))?;
    container.carry_out(&machine, &work).map_err(|failed| match failed {
        Failed::Mount(error) => Failure::of("mount")(error),
        Failed::Loader(error) => Failure::of("ldcache")(error),
    })?;
    #[cfg(feature = "undefended")]
    if !root::Defence::NoLdconfig.stands() {
        let ran = crate::undefended::run_ldconfig(given.last("ldconfig"));
        ran.map_err(|_| Failure::Said("ldcache error: ldconfig failed".to_owned()))?;
    }
    Ok(())
}

/// Which devices the container is to have, as positions in the machine's list.
struct Wish {
    selection: Selection,
    /// To be partitioned, where that was asked for; then single MIG devices are not mounted.
    config: Option<Vec<usize>>,
    /// To be watched, likewise.
    monitor: Option<Vec<usize>>,
}

impl Wish {
    /// All that is to be done.
    fn work(
        &self,
        machine: &Machine,
        places: &Places,
        driver: &DriverInfo,
        devices: &DeviceInfo,
    ) -> Result<Work, legacy::Error> {
        let mut work = machine.driver_work(places, driver)?;
        for gpu in self.selection.gpus(devices) {
            work = work.and(machine.device_work(places, gpu)?);
        }
        if self.config.is_none() && self.monitor.is_none() {
            for (_, mig) in self.selection.mig(devices) {
                work = work.and(machine.mig_work(places, mig)?);
            }
        }
        for (capability, gpus) in [(caps::config(), &self.config), (caps::monitor(), &self.monitor)] {
            let gpus = gpus.as_deref().unwrap_or_default();
            if gpus.is_empty() {
                continue;
            }
            work = work.and(machine.mig_global_work(&capability)?);
            for gpu in gpus {
                work = work.and(machine.mig_gpu_work(&devices.gpus[*gpu]));
            }
        }
        for channel in machine.imex_channels() {
            work = work.and(machine.imex_work(places, *channel)?);
        }
        Ok(work.and(Work::loader()))
    }
}

fn container_config(given: &Given) -> Result<ContainerConfig, Failure> {
    let bad_pid = || Failure::input("parse pid failed: invalid argument");
    let pid: i32 = given.last("pid").map_or(Ok(0), |text| text.parse().map_err(|_| bad_pid()))?;
    let rootfs =
        given.operands().first().filter(|rootfs| rootfs.starts_with('/') && !rootfs.trim_matches('/').is_empty());
    let rootfs = rootfs.ok_or_else(|| Failure::input("invalid rootfs directory"))?.clone();
    let parent = || rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
    let pid = if pid > 0 { pid } else { parent() };
    let ldconfig = given.last("ldconfig").map(str::to_owned);
    Ok(ContainerConfig { pid, rootfs, ldconfig, ..ContainerConfig::default() })
}

/// The option string of the container: the words of the command line in their order, and who supervises it.
fn library_options(given: &Given) -> String {
    let mut words: Vec<String> = Vec::new();
    for (name, value) in given.options() {
        match (*name, value) {
            ("no-cntlibs", _) => words.push("cuda-compat-mode=disabled".to_owned()),
            ("cuda-compat-mode", Some(mode)) => words.push(format!("cuda-compat-mode={mode}")),
            (name, _) if WORDS.contains(&name) && !words.iter().any(|word| word == name) => words.push(name.to_owned()),
            _ => {}
        }
    }
    let is_supervised = given.last("pid").and_then(|pid| pid.parse().ok()).is_some_and(|pid: i32| pid > 0);
    words.push(if is_supervised { "supervised" } else { "standalone" }.to_owned());
    words.join(" ")
}

/// Gives up every capability but those that are needed, which must be there, and those that help.
fn drop_privileges() -> Result<(), Failure> {
    let refused = |errno| Failure::of("permission")(legacy::Error::os("capability change failed", errno));
    let held = capabilities(None).map_err(refused)?;
    if !held.permitted.contains(NEEDED) {
        return Err(refused(rustix::io::Errno::PERM));
    }
    let kept = NEEDED | (held.permitted & HELPFUL);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use legacy::options::CompatMode;

    fn given(line: &[(&'static str, Option<&str>)], rootfs: &str) -> Given {
        let options = line.iter().map(|(name, value)| (*name, value.map(str::to_owned))).collect();
        Given(options, vec![rootfs.to_owned()])
    }

    #[test]
    fn options_of_the_library_keep_their_order() {
        let line = given(
            &[
                ("utility", None),
                ("no-cntlibs", None),
                ("pid", Some("12")),
                ("compute", None),
                ("utility", None),
                ("cuda-compat-mode", Some("mount")),
            ],
            "/root",
        );
        let words = library_options(&line);
        assert_eq!(words, "utility cuda-compat-mode=disabled compute cuda-compat-mode=mount supervised");
        assert_eq!(ContainerOptions::parse(Some(&words)).map(|options| options.compat), Ok(CompatMode::Disabled));
        assert_eq!(library_options(&given(&[("pid", Some("00"))], "/root")), "standalone");
        assert_eq!(library_options(&given(&[], "/root")), "standalone");
    }

    #[test]
    fn wrong_numbers_and_roots_are_input_errors() {
        for (pid, rootfs, want) in [
            (Some("abc"), "/x", "parse pid failed: invalid argument"),
            (Some("1 "), "/x", "parse pid failed: invalid argument"),
            (Some(""), "/x", "parse pid failed: invalid argument"),
            (Some("99999999999"), "/x", "parse pid failed: invalid argument"),
            (Some("1"), "x", "invalid rootfs directory"),
            (Some("1"), "/", "invalid rootfs directory"),
            (None, "//", "invalid rootfs directory"),
            (None, "", "invalid rootfs directory"),
        ] {
            let options: Vec<_> = pid.map(|pid| ("pid", Some(pid))).into_iter().collect();
            assert_eq!(
                container_config(&given(&options, rootfs)).err(),
                Some(Failure::input(want)),
                "{pid:?} {rootfs}"
            );
        }
        let config = container_config(&given(&[("pid", Some("7"))], "/x")).unwrap();
        assert_eq!((config.pid, config.rootfs.as_str()), (7, "/x"));
    }
}
