//! The bundle that benchmarks start, made anew before every run: its root is an overlay, as an engine's is.

use crate::{
    dist,
    shell::{Outcome, run},
};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A bundle and what it is remade from.
pub struct Bundle {
    folder: PathBuf,
    bundle: String,
    spec: Value,
}

impl Bundle {
    /// Makes it in `folder`, on a file system in memory.
    pub fn make(folder: &Path) -> Result<Bundle, String> {
        make_folder(folder)?;
        mount("corten-bench", folder, "tmpfs", MountFlags::empty(), None).map_err(|why| format!("tmpfs: {why}"))?;
        let bundle = folder.join("bundle");
        make_folder(&bundle.join("rootfs"))?;
        let mut rootfs = Command::new(dist::lab_folder().join("lab"));
        run(rootfs.args(["rootfs", "--kind", "debian", "--to"]).arg(folder.join("image")))?;
        run(Command::new("runc").arg("spec").current_dir(&bundle))?;
        let text = fs::read(bundle.join("config.json")).map_err(|why| format!("config.json: {why}"))?;
        let mut spec: Value = serde_json::from_slice(&text).map_err(|why| format!("config.json: {why}"))?;
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(["/bin/true"]);
        let bundle = bundle.to_str().ok_or("the temporary folder's name is not UTF-8")?.to_owned();
        Ok(Bundle { folder: folder.to_owned(), bundle, spec })
    }

    /// The bundle's folder.
    pub fn text(&self) -> &str {
        &self.bundle
    }

    /// A toolkit configuration that forwards to `runtime`.
    pub fn configuration(&self, name: &str, runtime: &str, theirs: Option<&Path>) -> Result<PathBuf, String> {
        let path = self.folder.join(format!("{name}.toml"));
        let mut text = format!("[nvidia-container-runtime]\nruntimes = [{runtime:?}]\nmode = \"jit-cdi\"\n");
        if let Some(folder) = theirs {
            text += &format!("[nvidia-ctk]\npath = {:?}\n", folder.join("nvidia-ctk"));
        }
        fs::write(&path, text).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(path)
    }

    /// Makes the bundle as new, asking for `gpus`.
    pub fn fresh<'a>(&'a self, gpus: &'a str) -> impl Fn() -> Outcome + 'a {
        move || {
            self.new_root()?;
            let mut spec = self.spec.clone();
            if let Some(list) = spec["process"]["env"].as_array_mut() {
                list.push(json!(format!("NVIDIA_VISIBLE_DEVICES={gpus}")));
                list.push(json!("NVIDIA_DRIVER_CAPABILITIES=all"));
            }
            fs::write(format!("{}/config.json", self.bundle), spec.to_string())
                .map_err(|why| format!("config.json: {why}"))
        }
    }

    /// The same on a machine that has started no container yet.
    pub fn fresh_after_boot<'a>(&'a self, gpus: &'a str) -> impl Fn() -> Outcome + 'a {
        let fresh = self.fresh(gpus);
        move || {
            fresh()?;
            let _ = fs::remove_dir_all("/run/corten");
            Ok(())
        }
    }

    /// A new overlay over the image.
    fn new_root(&self) -> Outcome {
        let root = format!("{}/rootfs", self.bundle);
        let _ = unmount(&root, UnmountFlags::DETACH);
        let (upper, work) = (self.folder.join("upper"), self.folder.join("work"));
        for folder in [&upper, &work] {
            let _ = fs::remove_dir_all(folder);
            make_folder(folder)?;
        }
        let image = self.folder.join("image");
        let options = format!("lowerdir={},upperdir={},workdir={}", image.display(), upper.display(), work.display());
        let options = std::ffi::CString::new(options).map_err(|why| why.to_string())?;
        mount("overlay", &root, "overlay", MountFlags::empty(), Some(options.as_c_str()))
            .map_err(|why| format!("could not mount an overlay on {root}: {why}"))
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = unmount(format!("{}/rootfs", self.bundle), UnmountFlags::DETACH);
        let _ = unmount(&self.folder, UnmountFlags::DETACH);
    }
}

fn make_folder(path: &Path) -> Outcome {
    fs::create_dir_all(path).map_err(|why| format!("could not make {}: {why}", path.display()))
}
