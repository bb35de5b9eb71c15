//! Specifications that promise what this machine does not have any more.
//!
//! Only a file that is of the kind which would be written is taken away, and only if this machine has nothing for the
//! way in which *it* was made: another mode, another driver root or other devices on the command line say nothing about it.

use crate::{
    codes::Code,
    ctk::generate::{nothing, parts},
    fault::{Fault, Result},
    recipe::Recipe,
};
use cdi::Spec;
use plan::{Config, spec::PARTS};
use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

/// What is known besides the files.
pub struct Case<'a> {
    /// The kind that would be written.
    pub kind: String,
    /// The machine has no GPU: a file that does not say how it was made is then out of date, too.
    pub no_gpu: bool,
    pub config: &'a Config,
}

impl Case<'_> {
    /// Removes `file`, and those of the parts beside it, as far as they are out of date. Says whether `file` was.
    pub fn remove(&self, file: &Path) -> Result<bool> {
        for (part, _) in PARTS {
            self.remove_one(&parts::beside(file, part), &parts::kind(&self.kind, part))?;
        }
        self.remove_one(file, &self.kind)
    }

    fn remove_one(&self, file: &Path, kind: &str) -> Result<bool> {
        if !self.is_out_of_date(file, kind) {
            return Ok(false);
        }
        match fs::remove_file(file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(not_removed(file, &error)),
        }
    }

    fn is_out_of_date(&self, file: &Path, kind: &str) -> bool {
        let Ok((spec, origin)) = Spec::read_file_with_origin(file) else { return false };
        let stays = |why: &str| {
            log::debug!("{} {why}, and stays", file.display());
            false
        };
        if spec.kind != kind {
            return stays(&format!("describes {}, not {kind}", spec.kind));
        }
        match origin.as_ref().and_then(Recipe::of) {
            Some(recipe) => nothing::is_left_for(&recipe, self.config) || stays("was made in another way"),
            None => self.no_gpu || stays("does not say how it was made"),
        }
    }
}

fn not_removed(file: &Path, error: &io::Error) -> Fault {
    let what = format!("cannot remove {}, which describes devices that are gone: {error}", file.display());
    Fault::new(Code::OutputNotWritten, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctk::generate::options_of;
    use cdi::{ContainerEdits, Device, Origin};
    use host::Roots;
    use oci::HostPath;

    fn spec(kind: &str) -> Spec {
        let edits = ContainerEdits { env: vec!["A=b".into()], ..ContainerEdits::default() };
        let device = Device { name: "0".into(), container_edits: edits, ..Device::default() };
        Spec { cdi_version: "0.5.0".into(), kind: kind.into(), devices: vec![device], ..Spec::default() }
    }

    /// Of a machine that has no GPUs and no nodes, with the driver below `root`.
    fn origin(spec: &Spec, mode: &str, root: &Path, machine: &Path) -> Origin {
        let path = |path: &Path| HostPath::new(path.to_str().unwrap()).unwrap();
        let options = options_of(&format!("--mode={mode}"));
        let roots = Roots { driver: path(root), dev: path(machine), proc: path(machine), ..Roots::default() };
        let recipe = Recipe { options, roots, part: None };
        let how = serde_json::to_value(recipe).unwrap();
        Origin { maker: "test".into(), machine: String::new(), content: spec.digest(), how }
    }

    #[test]
    fn only_what_is_out_of_date_and_of_the_kind_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, root, config) = (folder.path().join("nvidia.yaml"), folder.path().join("root"), Config::default());
        fs::create_dir(&root).unwrap();
        let case = |no_gpu| Case { kind: "nvidia.com/gpu".into(), no_gpu, config: &config };
        let (ours, others) = (spec("nvidia.com/gpu"), spec("vendor.com/gpu"));
        let of = |mode, root: &Path| origin(&ours, mode, root, folder.path());
        for (what, spec, origin, no_gpu, goes) in [
            ("nothing is known of it", &ours, None, true, true),
            ("nothing is known of it, and there may be GPUs", &ours, None, false, false),
            ("another kind", &others, None, true, false),
            ("its GPUs are gone", &ours, Some(of("nvml", &root)), false, true),
            ("its driver root is gone", &ours, Some(of("nvml", &root.join("none"))), false, true),
            ("its nodes are gone", &ours, Some(of("gds", &root)), true, true),
        ] {
            spec.write_file(&file, origin.as_ref()).unwrap();
            assert_eq!(case(no_gpu).remove(&file).unwrap(), goes, "{what}");
            assert_eq!(file.exists(), !goes, "{what}");
        }
        fs::write(&file, "a note of the administrator's\n").unwrap();
        assert!(!case(true).remove(&file).unwrap() && file.exists());
        fs::remove_file(&file).unwrap();
        assert!(!case(true).remove(&file).unwrap(), "nothing is there");
    }
}
