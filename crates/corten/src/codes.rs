//! The stable error codes: what `[CORTEN-E…]` at the end of a message means. A code is never reused or renumbered.

/// One row of the table.
pub struct Entry {
    /// The code.
    #[cfg_attr(not(test), expect(dead_code, reason = "rows are found by position; a test compares"))]
    pub code: Code,
    /// Its number as messages have it: `E011`.
    pub number: &'static str,
    /// What went wrong, without the particulars.
    pub meaning: &'static str,
    /// What to do, where the place of failure knows nothing better. A sentence.
    pub next: &'static str,
    /// How this comes about; for `corten errors CODE`.
    pub explanation: &'static str,
}

impl Code {
    /// Its row.
    pub fn entry(self) -> &'static Entry {
        // The macro gives every code one row, in order.
        &CODES[self as usize]
    }
}

/// The row for what a user typed: `E011`, `e011`, `CORTEN-E011` or `11`.
pub fn lookup(text: &str) -> Option<&'static Entry> {
    let text = text.trim().to_ascii_uppercase();
    let text = text.strip_prefix("CORTEN-").unwrap_or(&text);
    let number: u16 = text.strip_prefix('E').unwrap_or(text).parse().ok()?;
    let wanted = format!("E{number:03}");
    CODES.iter().find(|entry| entry.number == wanted)
}

macro_rules! codes {
    ($($number:ident $code:ident: $meaning:literal; $next:literal; $explanation:literal;)*) => {
        /// A kind of failure.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $meaning] $code,)*
        }

        /// Every code there is, in the order of their numbers.
        pub const CODES: &[Entry] = &[
            $(Entry {
                code: Code::$code,
                number: stringify!($number),
                meaning: $meaning,
                next: $next,
                explanation: $explanation,
            },)*
        ];
    };
}

codes! {
E001 ConfigUnreadable: "config.toml cannot be read";
    "Make the file readable for the caller, or remove it to run with the defaults";
    "The configuration is $NVIDIA_CTK_CONFIG_FILE_PATH, else $XDG_CONFIG_HOME/nvidia-container-runtime/config.toml, \
     else /etc/nvidia-container-runtime/config.toml. A file that is not there means the defaults; one that is there \
     and cannot be read (a directory, no permission, larger than 1 MiB) is an error, for every command.";
E002 ConfigInvalid: "config.toml is not valid";
    "Correct the line that the message names, or remove the key to use its default";
    "The file is not TOML, gives a key twice, or gives a key a value of the wrong type. Unknown keys are no error.";
E010 BundleArgument: "--bundle was given without a folder";
    "Give a folder after --bundle";
    "The option was the last word of the command line.";
E011 SpecUnreadable: "config.json cannot be read";
    "Check the bundle folder that the engine passes with --bundle";
    "The low-level runtime would not find it either. Without --bundle the current folder is the bundle.";
E012 SpecInvalid: "config.json is not a valid OCI configuration";
    "Correct the engine or tool that writes config.json; `runc spec` writes a valid example";
    "Only the parts that decide about GPUs are looked at (process, root, mounts, hooks, annotations, linux); what is \
     not looked at may be anything.";
E013 SpecNotWritten: "config.json cannot be replaced";
    "Make the bundle folder writable for the caller and check that its file system is not full";
    "The new file is written beside the old one and takes its place in one step. When that fails, the old one is \
     untouched, and so is the container's root.";
E020 ModeUnknown: "the configured mode does not exist";
    "Set nvidia-container-runtime.mode in config.toml to auto, jit-cdi, cdi or legacy";
    "The mode says how GPUs get into containers; auto fits every machine with NVIDIA's ordinary driver. Mode csv, for \
     Jetson systems, exists and is not in this version yet.";
E021 NotYet: "not in this version yet";
    "See docs/compatibility.md for what there is, and the changelog for the version that brings it";
    "The name or mode is known, and its place is kept, but what it does has not been built yet. Until then, containers \
     on Jetson systems and on WSL get their GPUs from a CDI spec that is written by hand, with \
     nvidia-container-runtime.mode = \"cdi\" in config.toml.";
E022 HookNotWanted: "the prestart hook was started where it has no work";
    "Please use the NVIDIA Container Runtime (e.g. specify the --runtime=nvidia flag) instead";
    "nvidia-container-runtime-hook is for mode legacy, and for auto where that is the usual mode. Docker starts it for --gpus \
     whatever the mode is. In the other modes the nvidia runtime does the work itself and takes the hook out; so start the \
     container with --runtime=nvidia, or set nvidia-container-runtime-hook.skip-mode-detection = true in config.toml.";
E030 DeviceUnknown: "no such device on this machine";
    "`corten inventory` lists the devices of this machine and their names";
    "A device is named by index, UUID or an unambiguous beginning of one, PCI bus id, GPU:MIG, or MIG UUID.";
E031 DeviceAmbiguous: "a name fits several devices";
    "Write more of the UUID, or use the index";
    "UUIDs may be abbreviated as long as one device remains.";
E032 CapabilityUnknown: "no such driver capability";
    "Use compute, compat32, graphics, utility, video, display, ngx or all";
    "NVIDIA_DRIVER_CAPABILITIES holds a word that is no capability, or one that supported-driver-capabilities in \
     config.toml does not allow.";
E033 RequirementInvalid: "a requirement cannot be understood";
    "Correct the NVIDIA_REQUIRE_ variable, or set NVIDIA_DISABLE_REQUIRE=true to skip the check";
    "A requirement is NAME OPERATOR VALUE, as in cuda>=12.4; commas mean and, spaces mean or.";
E034 RequirementUnmet: "this machine does not meet a requirement of the image";
    "Use an image for this driver, update the driver, or set NVIDIA_DISABLE_REQUIRE=true to try regardless";
    "The image says through NVIDIA_REQUIRE_ variables (or CUDA_VERSION, in old images) what it needs.";
E035 PrivilegeNeeded: "the request needs a privileged container";
    "Run the container with CAP_SYS_ADMIN (--privileged), or drop the request";
    "Configuring or monitoring MIG reaches beyond the container's own GPUs.";
E036 RequestInvalid: "a request of the container cannot be understood";
    "Correct the variable, mount or annotation that the message names";
    "The container's request is malformed, or mixes ways of asking that exclude each other.";
E037 CdiUnresolved: "no CDI spec describes a device";
    "`nvidia-ctk cdi list` shows the names that there are; `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml` writes a \
     spec for this machine's GPUs";
    "In mode cdi, and wherever all names are qualified (vendor.com/class=name), devices come from the CDI specs in the \
     folders of nvidia-container-runtime.modes.cdi.spec-dirs. A name counts if exactly one file of the last such folder that \
     has it describes it; a file that is not a valid spec is left out as a whole.";
E038 CdiSpecStale: "a CDI spec does not fit this machine";
    "Have it made anew by the tool that wrote it; for NVIDIA GPUs, `nvidia-ctk cdi generate --output=FILE`";
    "The spec names a file that is not there, or gives a device node numbers that it does not have any more, as after a \
     driver update or a reboot. A spec that `nvidia-ctk cdi generate` of this project wrote, and that nobody has edited, is \
     made anew in memory instead.";
E040 DriverMissing: "no NVIDIA driver was found";
    "Install the driver and load it (nvidia-smi on the host must work), or set nvidia-container-cli.root to its place";
    "Neither libcuda nor libnvidia-ml was found under the driver root, or the kernel module is not loaded.";
E041 HostUnreadable: "this machine could not be examined";
    "Check the file that the message names";
    "A file of /proc, /sys, /dev or of the driver exists and cannot be read or understood.";
E042 NvmlAbsent: "NVML is needed and not installed";
    "Install the driver's libnvidia-ml.so.1, and corten-nvml beside this program";
    "Only MIG names and requirements need NVML; whole GPUs work without it.";
E043 NvmlHangs: "NVML did not answer in time";
    "Look for a stuck GPU: `nvidia-smi` and `dmesg | grep -i nvrm`";
    "The library was asked in a process of its own, which was ended when its time was over.";
E044 NvmlCrashed: "NVML crashed";
    "Reinstall the driver so that its libraries and kernel module fit, and look at `dmesg | grep -i nvrm`";
    "The library was asked in a process of its own, so that the crash ended only that.";
E045 NvmlFailed: "NVML answered with an error";
    "Look at `nvidia-smi` and `dmesg | grep -i nvrm`; after a driver update, load the new module or reboot";
    "The driver library runs but cannot say what it was asked.";
E046 InventoryInvalid: "an inventory file is not valid";
    "Make it anew with `corten inventory --json`; a damaged cache under /run/corten can be deleted at any time";
    "The file is not JSON, or not an inventory of this version. A damaged cache is never used and never fatal.";
E047 FactUnknown: "something about this machine is not known";
    "Check that nvidia-smi works on this machine";
    "The kernel does not say it, and NVML was not asked, did not answer, or does not report it.";
E048 CdiNodeMissing: "a CDI spec names a device node that this machine lacks";
    "Make the node (nvidia-smi, run on the host, makes those of NVIDIA GPUs), or write the spec anew";
    "A spec that was written for another machine, driver or moment names nodes that are not there now. A node whose spec \
     gives type and numbers needs no node on the host.";
E049 CdiSpecUnusable: "what a CDI spec says cannot be put into a container";
    "Correct the spec, or write it anew with `nvidia-ctk cdi generate`";
    "The spec is well-formed, but contradicts this machine or names what the OCI configuration does not have.";
E050 RootUnusable: "the container's root cannot be opened";
    "Check root.path in config.json; a relative one is below the bundle";
    "The folder is missing, is not a folder, or the caller has no access to it.";
E051 RootEscapes: "a path leaves the container's root";
    "Do not run this image, or report it as a fault of ours";
    "Something in the image leads out of its root: a link, a mount or a name. Nothing was followed.";
E052 RootNotPrepared: "the container's root could not be prepared";
    "Check that its file system is writable for the caller and not full";
    "Links and the loader's cache are written before the container starts. What had been written was taken back.";
E060 RuntimeMissing: "no low-level runtime can be used";
    "Install runc or crun, or correct nvidia-container-runtime.runtimes in config.toml";
    "Candidates are tried in order: a path as it is, a name in $PATH and then in the usual system folders. This \
     program never takes itself for one.";
E061 RuntimeNotExecuted: "the low-level runtime cannot be executed";
    "Check that the file is a program for this machine's architecture, and its interpreter exists";
    "The file was found and is executable by its mode, but the kernel refused it.";
E062 RuntimeLoop: "the low-level runtime starts this program again";
    "Name the real runc or crun in nvidia-container-runtime.runtimes";
    "The configured runtime is a wrapper that ends in nvidia-container-runtime, which would start it again without end.";
E065 CliUnusable: "nvidia-container-cli cannot be started";
    "Install it beside this program, or correct nvidia-container-cli.path in config.toml";
    "The prestart hook becomes this program: the one that nvidia-container-cli.path names, else the first in the folders of \
     $PATH and the usual ones, below nvidia-container-cli.root and then on the host.";
E066 DockerMissing: "Docker's client cannot be started";
    "Install Docker, or name its client in NV_DOCKER";
    "nvidia-docker becomes the program `docker`, or the one that NV_DOCKER names. It never takes itself for one.";
E070 HookInput: "the hook cannot read the container's state";
    "Hooks are started by the low-level runtime; to try one by hand, pass the state as JSON on standard input";
    "The state names the bundle, and the bundle's config.json names the root.";
E071 OutputNotWritten: "a file cannot be written";
    "Check that its folder is writable for the caller and its file system is not full";
    "Files are replaced in one step: the old one, if there was one, is as it was.";
E072 CdiSpecInvalid: "a CDI spec is not valid";
    "Correct the spec, or write it anew with `nvidia-ctk cdi generate`";
    "The text is not JSON or YAML, has a field that CDI does not have, or breaks one of its rules. Nothing was written.";
E073 InputUnreadable: "a file cannot be read";
    "Check that it exists and is readable for the caller";
    "The command line names the file.";
E074 WatchFailed: "this machine cannot be watched";
    "Start it again; `nvidia-ctk cdi refresh`, called by whoever changes the machine, does the same without watching";
    "The system has no descriptor left for the watch, or refuses to wait for one.";
E075 EngineConfigInvalid: "an engine's configuration is not valid";
    "Correct the file; the engine would not start with it either";
    "`nvidia-ctk runtime configure` changes what it must and keeps the rest, so it must understand the file. Nothing was \
     written.";
E080 Usage: "the command line is wrong";
    "See --help";
    "An option or word is unknown, or its value is missing.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete_and_in_order() {
        for (i, entry) in CODES.iter().enumerate() {
            assert_eq!(entry.code as usize, i);
            assert!(i == 0 || CODES[i - 1].number < entry.number, "{}", entry.number);
            for text in [entry.meaning, entry.next, entry.explanation] {
                assert!(!text.is_empty() && !text.contains('\n'), "{}", entry.number);
            }
            assert!(!entry.next.ends_with('.'), "{}: messages add the full stop", entry.number);
        }
    }

    #[test]
    fn lookup_takes_every_spelling() {
        for text in ["E011", "e011", "CORTEN-E011", "corten-e11", "11", " 011 "] {
            assert_eq!(lookup(text).map(|entry| entry.code), Some(Code::SpecUnreadable), "{text}");
        }
        for text in ["", "E", "E999", "-1", "E0x1", "99999999999"] {
            assert!(lookup(text).is_none(), "{text}");
        }
    }
}
