//! What is run against an image: one row for each thing that meets one.

/// One of them.
#[derive(Debug)]
pub struct Operation {
    /// Its name.
    pub name: &'static str,
    /// The program that is started; a name in the folder of programs.
    pub program: &'static str,
    /// Its arguments. `$D` is the folder of the trial, `$B` the bundle, `$R` the image's root.
    pub args: &'static [&'static str],
    /// What is mounted in the container already.
    pub stage: Stage,
    /// Programs that it may become or start, by the last component of their paths. A hook starts none.
    pub executes: &'static [&'static str],
}

/// When an operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before there is a container: only the bundle is there.
    Before,
    /// In the container's mount namespace, with its `/proc`; the state is on standard input.
    Hook,
}

const HOOK: Operation =
    Operation { name: "", program: "nvidia-cdi-hook", args: &[], stage: Stage::Hook, executes: &["nvidia-cdi-hook"] };

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
];

impl Operation {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Operation> {
        OPERATIONS.iter().find(|operation| operation.name == name)
    }
}
