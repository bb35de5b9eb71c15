//! What is run against an image: one row for each thing that meets one.

/// One of them.
#[derive(Debug)]
pub struct Operation {
    /// Its name.
    pub name: &'static str,
    /// The program that is started; a name in the folder of programs.
    pub program: &'static str,
    /// Its arguments. `$D` is the folder of the trial, `$B` the bundle, `$R` the image's root, `$P` the container's process.
    pub args: &'static [&'static str],
    /// What is mounted in the container already.
    pub stage: Stage,
    /// Programs that it may become or start, by the last component of their paths. A hook starts none.
    pub executes: &'static [&'static str],
    /// How it says that it failed.
    pub says: Failure,
}

/// The line on stderr by which an operation ends that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// One with a code.
    Coded,
    /// One of `nvidia-container-cli`, which others match on, so that it has no code; or, of what becomes that program, one
    /// with a code.
    OfCli,
}

/// When an operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before there is a container: only the bundle is there.
    Before,
    /// In the container's mount namespace, with its `/proc`; the state is on standard input.
    Hook,
    /// In the host's mount namespace, beside a process of the container in another one, with the container's `/proc`; the
    /// state, which names that process, is on standard input.
    Beside,
}

const HOOK: Operation = Operation {
    name: "",
    program: "nvidia-cdi-hook",
    args: &[],
    stage: Stage::Hook,
    executes: &["nvidia-cdi-hook"],
    says: Failure::Coded,
};

/// What `nvidia-container-cli configure` can be asked for, but for the container's process and `--cuda-compat-mode`.
macro_rules! configure {
    ($($word:literal),+) => {
        &[
            "configure",
            "--no-cgroups",
            "--device=all",
            "--compute",
            "--utility",
            "--graphics",
            "--video",
            "--display",
            "--compat32",
            "--ldconfig=$R/sbin/ldconfig",
            $($word,)+
            "$R",
        ]
    };
}

const CLI: Operation = Operation {
    name: "",
    program: "nvidia-container-cli",
    args: &[],
    stage: Stage::Beside,
    executes: &["nvidia-container-cli", "corten-nvml"],
    says: Failure::OfCli,
};

/// Where the image's libraries are.
#[cfg(not(target_arch = "aarch64"))]
macro_rules! libraries {
    () => {
        "/usr/lib/x86_64-linux-gnu"
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! libraries {
    () => {
        "/usr/lib/aarch64-linux-gnu"
    };
}

/// All of them.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        name: "create",
        program: "nvidia-container-runtime",
        args: &["--log", "$D/log", "create", "--bundle", "$B", "hostile"],
        stage: Stage::Before,
        executes: &["nvidia-container-runtime", "true", "corten-nvml"],
        says: Failure::Coded,
    },
    Operation {
        name: "create-symlinks",
        args: &[
            "create-symlinks",
            "--link",
            concat!("libcuda.so.1::", libraries!(), "/libcuda.so"),
            "--link",
            "libvictim.so.1::/usr/lib64/libcuda.so",
            "--link",
            "../card1::/dev/dri/by-path/pci-0000:07:00.0-card",
            "--link",
            "/run/x::/etc/nvidia/x",
        ],
        ..HOOK
    },
    Operation {
        name: "update-ldcache",
        args: &[
            "update-ldcache",
            "--ldconfig-path",
            "$R/sbin/ldconfig",
            "--folder",
            libraries!(),
            "--folder",
            "/usr/lib64",
        ],
        ..HOOK
    },
    Operation { name: "enable-cuda-compat", args: &["enable-cuda-compat", "--host-driver-version=550.54.14"], ..HOOK },
    Operation { name: "disable-device-node-modification", args: &["disable-device-node-modification"], ..HOOK },
    Operation { name: "update-application-profile", args: &["update-application-profile"], ..HOOK },
    Operation {
        name: "chmod",
        args: &["chmod", "--mode=755", "--path=/dev/dri", "--path=/dev/console", "--path=/etc/nvidia"],
        ..HOOK
    },
    // The image's own libraries were mounted in this mode (CVE-2024-0132, CVE-2025-23359).
    Operation { name: "configure", args: configure!["--cuda-compat-mode=mount", "--pid=$P"], ..CLI },
    // As LXC's hook does: the caller is in the container's namespaces.
    Operation {
        name: "configure-standalone",
        args: configure!["--cuda-compat-mode=disabled"],
        stage: Stage::Hook,
        ..CLI
    },
    // Becomes the former, as the configuration says (mode ldconfig).
    Operation {
        name: "prestart",
        program: "nvidia-container-runtime-hook",
        args: &["prestart"],
        executes: &["nvidia-container-runtime-hook", "nvidia-container-cli", "corten-nvml"],
        ..CLI
    },
];

impl Operation {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Operation> {
        OPERATIONS.iter().find(|operation| operation.name == name)
    }

    /// It is a hook that a CDI spec names.
    pub fn is_hook(&self) -> bool {
        self.program == HOOK.program
    }

    /// On stderr is one line of the right kind, and it is the last.
    pub fn failed_in_one_line(&self, said: &str) -> bool {
        let is_error = |line: &str| match self.says {
            Failure::Coded => line.contains("[CORTEN-E"),
            Failure::OfCli => {
                let said = line.strip_prefix("nvidia-container-cli: ");
                said.is_some_and(|said| said.contains(" error: ")) || line.contains("[CORTEN-E")
            }
        };
        let errors: Vec<_> = said.lines().filter(|line| is_error(line)).collect();
        said.lines().last().is_some_and(|last| errors == [last])
    }
}
