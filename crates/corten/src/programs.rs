//! The table of programs. Links to install, completions and `corten programs` follow from it.

use crate::{cdi_hook, command, container_cli, ctk, hook, later, nvidia_docker, runtime, runtime::Variant};
use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
};

/// One program of the executable.
pub struct Program {
    /// The name it is installed as.
    pub name: &'static str,
    /// What it is for, one line.
    pub about: &'static str,
    /// Its entry.
    main: fn(Call) -> ExitCode,
}

/// How a program was called.
pub struct Call {
    /// Its name in [`PROGRAMS`].
    pub name: &'static str,
    /// The word that it was called by.
    pub called: OsString,
    /// What follows the name.
    pub args: Vec<OsString>,
}

/// Every program there is. `corten` is first: it is the file, the others are links to it.
pub const PROGRAMS: &[Program] = &[
    Program { name: "corten", about: "explain, plan and list; holds all the programs below", main: command::main },
    Program {
        name: "nvidia-container-runtime",
        about: "OCI runtime that adds GPUs, then becomes runc or crun",
        main: |call| runtime::main(call, Variant::Configured),
    },
    Program {
        name: "nvidia-container-runtime.cdi",
        about: "the same in cdi mode, whatever the configuration says",
        main: |call| runtime::main(call, Variant::Cdi),
    },
    Program {
        name: "nvidia-container-runtime.legacy",
        about: "the same in legacy mode, whatever the configuration says",
        main: |call| runtime::main(call, Variant::Legacy),
    },
    Program {
        name: "nvidia-container-runtime.experimental",
        about: "older name of nvidia-container-runtime",
        main: |call| runtime::main(call, Variant::Experimental),
    },
    Program { name: "nvidia-container-runtime-hook", about: "prestart hook of legacy mode", main: hook::main },
    Program {
        name: "nvidia-container-toolkit",
        about: "older name of nvidia-container-runtime-hook",
        main: hook::main,
    },
    Program { name: "nvidia-cdi-hook", about: "the hooks that specs name", main: cdi_hook::main },
    Program { name: "nvidia-ctk", about: "toolkit: CDI specs, engine configuration, hooks", main: ctk::main },
    Program {
        name: "nvidia-container-cli",
        about: "lists and configures, as the legacy stack does",
        main: container_cli::main,
    },
    Program { name: "nvidia-docker", about: "docker with GPUs, by its older name", main: nvidia_docker::main },
    Program {
        name: "nvidia-ctk-installer",
        about: "installs the toolkit from a container image (not yet)",
        main: later::main,
    },
];

/// Becomes the program that `argv` names: by its first entry, or, called as `corten`, by its second.
pub fn run(argv: Vec<OsString>) -> ExitCode {
    let mut argv = argv.into_iter();
    let mut called = argv.next().unwrap_or_default();
    let mut args: Vec<OsString> = argv.collect();
    let program = match by_path(&called) {
        Some(program) if program.name != PROGRAMS[0].name => program,
        _ => match args.first().and_then(|word| by_name(word)) {
            Some(program) => {
                called = args.remove(0);
                program
            }
            None => &PROGRAMS[0],
        },
    };
    (program.main)(Call { name: program.name, called, args })
}

/// The program that a path's last component names. The toolkit container installs programs as `NAME.real` behind a
/// wrapper, so that suffix does not count.
fn by_path(path: &OsStr) -> Option<&'static Program> {
    let name = Path::new(path).file_name()?;
    by_name(name).or_else(|| by_name(OsStr::new(name.to_str()?.strip_suffix(".real")?)))
}

fn by_name(name: &OsStr) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| name == program.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_program() {
        for (path, want) in [
            ("nvidia-ctk", Some("nvidia-ctk")),
            ("/usr/bin/nvidia-container-runtime.cdi", Some("nvidia-container-runtime.cdi")),
            ("/usr/local/nvidia/toolkit/nvidia-container-runtime.real", Some("nvidia-container-runtime")),
            ("/usr/bin/something-else", None),
            ("..", None),
            ("", None),
        ] {
            assert_eq!(by_path(OsStr::new(path)).map(|program| program.name), want, "{path}");
        }
    }

    #[test]
    fn names_are_unique() {
        for (i, program) in PROGRAMS.iter().enumerate() {
            assert!(PROGRAMS[..i].iter().all(|other| other.name != program.name), "{}", program.name);
        }
    }
}
