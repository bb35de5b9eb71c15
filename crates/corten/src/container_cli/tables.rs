//! Every option of `nvidia-container-cli` (reference: libnvidia-container.md 2.1 to 2.4). Parser, help and the page of
//! compatibility follow from these tables.

use super::{Globals, failure::Failure};
use super::{
    argp::{Opt, Takes::*},
    configure, info, list,
};

/// A command.
pub struct Command {
    pub name: &'static str,
    pub about: &'static str,
    /// What its help calls its operand.
    pub operand: Option<&'static str>,
    pub options: &'static [Opt],
    /// Takes the words that follow its name.
    pub run: fn(&Globals, Vec<String>, &Command) -> Result<(), Failure>,
}

/// Options before the command.
pub const GLOBAL: &[Opt] = &[
    Opt::new("debug", Value("FILE"), "Write a log to FILE").short('d'),
    Opt::new("load-kmods", Nothing, "Load the kernel modules and make their device nodes").short('k'),
    Opt::new("no-pivot", Nothing, "Accepted; nothing pivots here").short('n'),
    Opt::new("user", Optional("UID[:GID]"), "Ask NVML as this user and group").short('u'),
    Opt::new("root", Value("PATH"), "Look for the driver below PATH").short('r'),
    Opt::new("ldcache", Value("FILE"), "Find libraries through this loader cache").short('l'),
    Opt::new("no-create-imex-channels", Nothing, "Make no nodes of IMEX channels"),
];

/// The commands, in the order of help.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "configure",
        about: "Give a container access to GPUs",
        operand: Some("ROOTFS"),
        options: CONFIGURE,
        run: configure::run,
    },
    Command {
        name: "info",
        about: "Say which driver and devices there are",
        operand: None,
        options: INFO,
        run: info::run,
    },
    Command {
        name: "list",
        about: "List the files that a container needs",
        operand: None,
        options: LIST,
        run: list::run,
    },
];

const INFO: &[Opt] = &[
    Opt::new("csv", Nothing, "Print comma-separated values"),
    Opt::new("json", Nothing, "Print JSON (not in the original)"),
];

const MIG_CONFIG: Opt = Opt::new("mig-config", Value("ID"), "Let the container partition these devices (all)");
const MIG_MONITOR: Opt = Opt::new("mig-monitor", Value("ID"), "Let the container watch these devices (all)");
const IMEX: Opt = Opt::new("imex-channel", Value("CHANNEL"), "An IMEX channel");
const NO_PERSISTENCED: Opt = Opt::new("no-persistenced", Nothing, "Leave out the persistence daemon's socket");
const NO_FABRICMANAGER: Opt = Opt::new("no-fabricmanager", Nothing, "Leave out the fabric manager's socket");

const NO_FIRMWARE: Opt = Opt::new("no-gsp-firmware", Nothing, "Leave out the firmware");

const LIST: &[Opt] = &[
    Opt::new("device", Value("ID"), "A device: UUID, bus id, index or GPU:MIG; or all").short('d'),
    Opt::new("libraries", Nothing, "Libraries").short('l'),
    Opt::new("binaries", Nothing, "Executables").short('b'),
    Opt::new("ipcs", Nothing, "Sockets").short('i'),
    Opt::new("firmwares", Nothing, "Firmware").short('f'),
    Opt::new("compat32", Nothing, "With the libraries, also 32-bit ones"),
    MIG_CONFIG,
    MIG_MONITOR,
    IMEX,
    NO_PERSISTENCED,
    NO_FABRICMANAGER,
    NO_FIRMWARE,
    Opt::new("json", Nothing, "Print JSON (not in the original)"),
];

const CONFIGURE: &[Opt] = &[
    Opt::new("pid", Value("PID"), "A process of the container").short('p'),
    Opt::new("device", Value("ID"), "A device: UUID, bus id, index or GPU:MIG; or all").short('d'),
    Opt::new("require", Value("EXPR"), "What the machine must be").short('r'),
    Opt::new("ldconfig", Value("PATH"), "Accepted; no ldconfig is run").short('l'),
    Opt::new("compute", Nothing, "CUDA and OpenCL").short('c'),
    Opt::new("utility", Nothing, "nvidia-smi and NVML").short('u'),
    Opt::new("video", Nothing, "Encoding and decoding of video").short('v'),
    Opt::new("graphics", Nothing, "OpenGL and Vulkan").short('g'),
    Opt::new("display", Nothing, "X11 displays").short('D'),
    Opt::new("ngx", Nothing, "NGX").short('n'),
    Opt::new("compat32", Nothing, "Also 32-bit libraries"),
    MIG_CONFIG,
    MIG_MONITOR,
    IMEX,
    Opt::new("no-cgroups", Nothing, "Leave device cgroups alone"),
    Opt::new("no-devbind", Nothing, "Mount no device nodes"),
    NO_PERSISTENCED,
    NO_FABRICMANAGER,
    NO_FIRMWARE,
    Opt::new("no-cntlibs", Nothing, "The same as --cuda-compat-mode=disabled"),
    Opt::new("cuda-compat-mode", Value("MODE"), "What becomes of the image's own libcuda: mount, ldconfig or disabled"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container_cli::argp::BUILT_IN;

    const PAGE: &str = include_str!("../../../../docs/compatibility.md");

    /// The options that the page's rows of one section name, in any order.
    fn documented(section: &str) -> Vec<String> {
        let table = PAGE.split("## The command line of `nvidia-container-cli`").nth(1).unwrap();
        let rows = table.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| "));
        let mut current = "";
        let mut names = Vec::new();
        for row in rows {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            current = if cells[1].is_empty() { current } else { cells[1].trim_matches('`') };
            if current == section {
                names.extend(
                    cells[2].split(['`', ',', ';', ' ']).filter(|word| word.starts_with('-')).map(str::to_owned),
                );
            }
        }
        names.sort();
        names
    }

    fn named(options: &[Opt]) -> Vec<String> {
        let short = options.iter().filter_map(|option| option.short).map(|letter| format!("-{letter}"));
        let mut names: Vec<_> = options.iter().map(|option| format!("--{}", option.long)).chain(short).collect();
        names.sort();
        names
    }

    #[test]
    fn the_page_of_compatibility_names_every_option() {
        assert_eq!(documented("before the command"), named(GLOBAL));
        assert_eq!(documented("everywhere"), named(&BUILT_IN));
        for command in COMMANDS {
            assert_eq!(documented(command.name), named(command.options), "{}", command.name);
        }
    }
}
