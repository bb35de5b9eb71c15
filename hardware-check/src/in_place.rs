//! What the machine itself does with its driver, without a container: the measure for containers, and all that can be
//! shown where none can be started.
//!
//! The driver's programs run with our loader and C library, and find the driver's libraries in a folder of links to those
//! that our discovery would give a container; so they run on machines with another C library too, and a library that
//! discovery misses shows.

use crate::{
    child::Done,
    cuda, discovery,
    machine::Machine,
    report::{Bad, Verdict, fail, skip},
    stage::Stage,
};
use host::{FileKind, LibraryClass};
use std::{fs, os::unix::fs::symlink, process::Command};

/// See the module.
pub struct Place<'a> {
    stage: &'a Stage,
}

impl Place<'_> {
    /// Makes the folder of links.
    pub fn make<'a>(stage: &'a Stage, machine: &Machine) -> Result<Place<'a>, String> {
        let folder = stage.path("driver");
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir(&folder).map_err(failed)?;
        for file in machine.driver().iter().flat_map(|driver| &driver.files) {
            let FileKind::Library(library) = &file.kind else { continue };
            if library.class != LibraryClass::Native || !library.subfolder.is_empty() {
                continue;
            }
            for name in [library.soname.as_str(), file.host.file_name()] {
                let link = folder.join(name);
                if !link.is_symlink() {
                    symlink(file.host.as_path(), link).map_err(failed)?;
                }
            }
        }
        Ok(Place { stage })
    }

    /// What `nvidia-smi -L` lists.
    pub fn list(&self, machine: &Machine) -> Verdict {
        discovery::facts(machine)?;
        let Some(program) = machine.program("nvidia-smi") else { return skip("this driver has no nvidia-smi") };
        let done = self.run(&program.host.to_string(), &["-L"])?;
        listed(&done, self.stage)
    }

    /// The CUDA driver API.
    pub fn cuda(&self, machine: &Machine) -> Verdict {
        if machine.driver().is_none() {
            return discovery::no_driver();
        }
        if !self.stage.path("driver/libcuda.so.1").exists() {
            return skip("this driver has no libcuda.so.1");
        }
        let done = self.run(&self.stage.text("bin/cuda-probe"), &[])?;
        cuda::judge(&done, self.stage.limit, machine.nvml.as_ref().ok())
    }

    fn run(&self, program: &str, words: &[&str]) -> Verdict<Done> {
        let mut command = Command::new(self.stage.path("lib/ld.so"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(["--library-path", &format!("{}:{}", self.stage.text("driver"), self.stage.text("lib"))]);
        self.stage.run(command.arg(program).args(words)).map_err(Bad::Fail)
    }
}

/// The list that a program printed.
pub fn listed(done: &Done, stage: &Stage) -> Verdict {
    let list = done.stdout.trim_end();
    match done.success && list.starts_with("GPU ") {
        true => Ok(list.to_owned()),
        false => fail(done.complaint(stage.limit)),
    }
}

/// How many there are, for the report.
pub fn describe(list: &str) -> String {
    let count = |prefix: &str| list.lines().filter(|line| line.trim_start().starts_with(prefix)).count();
    match count("MIG ") {
        0 => format!("nvidia-smi -L lists {} GPUs", count("GPU ")),
        mig => format!("nvidia-smi -L lists {} GPUs and {mig} MIG devices", count("GPU ")),
    }
}
