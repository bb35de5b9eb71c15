//! The driver's files: libraries with the sonames, version suffixes and links of a real installation, programs, firmware,
//! configuration and sockets.
//!
//! What there is stands in [`libraries`] and [`files`]; this module knows where each distribution puts it.

pub mod files;
pub mod libraries;
pub mod root;

use crate::{
    Result,
    companions::Companions,
    elf::{Processor, SharedObject, program},
    tree::Tree,
};
use files::Content;
use libraries::{Library, Suffix};
use machine::{Driver, Layout, Machine, Size};

/// Debian's name for the native processor's library folders.
pub const MULTIARCH: &str = if cfg!(target_arch = "aarch64") { "aarch64-linux-gnu" } else { "x86_64-linux-gnu" };

/// Writes the driver of `machine` below `tree`; a machine without one leaves it as it is.
///
/// # Errors
/// When a file cannot be written, or the mock NVML is not where `companions` says.
pub fn install(machine: &Machine, companions: &Companions, tree: &Tree) -> Result<()> {
    let Some(driver) = &machine.driver else { return Ok(()) };
    let installer = Installer { machine, driver, companions, tree };
    installer.libraries()?;
    installer.search_path()?;
    installer.files()?;
    installer.sockets()
}

/// Folders of the driver's libraries as absolute paths below the driver root: native ones, then 32-bit ones.
pub fn library_folders(driver: &Driver) -> [String; 2] {
    match driver.layout {
        Layout::Multiarch | Layout::DebianAlternatives => {
            [format!("/usr/lib/{MULTIARCH}"), "/usr/lib/i386-linux-gnu".into()]
        }
        Layout::Lib64 => ["/usr/lib64".into(), "/usr/lib".into()],
        Layout::Plain => ["/lib64".into(), "/lib".into()],
    }
}

struct Installer<'a> {
    machine: &'a Machine,
    driver: &'a Driver,
    companions: &'a Companions,
    tree: &'a Tree,
}

impl Installer<'_> {
    fn libraries(&self) -> Result<()> {
        let [native, compat] = library_folders(self.driver);
        for library in libraries::TABLE.iter().filter(|library| self.wanted(library)) {
            self.library(library, &native, Processor::NATIVE)?;
            if self.driver.compat32 && library.compat32 {
                self.library(library, &compat, Processor::I386)?;
            }
        }
        Ok(())
    }

    fn wanted(&self, library: &Library) -> bool {
        let absent = match library.name {
            libraries::NVML => self.machine.nvml.absent,
            libraries::CUDA => self.machine.cuda.absent,
            _ => false,
        };
        (library.small || self.driver.size == Size::Full) && !absent
    }

    /// One library's file, the link that its soname names, and the one that compilers use.
    fn library(&self, library: &Library, base: &str, processor: Processor) -> Result<()> {
        let file = library.file_name(&self.driver.version);
        let soname = library.soname(&self.driver.version);
        let folder = format!("{base}{}", library.folder);
        let home = self.home(library, &folder);
        let path = format!("{home}/{file}");
        match library.name {
            libraries::NVML if processor == Processor::NATIVE => {
                self.tree.copy(&self.companions.nvml()?, &path, 0o755)?
            }
            libraries::CUDA if processor == Processor::NATIVE => {
                self.tree.copy(&self.companions.cuda()?, &path, 0o755)?
            }
            _ => self.tree.file(&path, stub(library, &soname, processor), 0o644)?,
        }
        if soname != file {
            self.tree.link(&format!("{home}/{soname}"), &file)?;
            self.alternative(&home, &folder, &soname)?;
        }
        if library.development {
            let (name, text) = (library.development_name(), if soname == file { &file } else { &soname });
            self.tree.link(&format!("{home}/{name}"), text)?;
            self.alternative(&home, &folder, &name)?;
        }
        library.links.iter().try_for_each(|(path, text)| {
            self.tree.link(&format!("{base}/{path}"), text.replace("VERSION", &self.driver.version))
        })
    }

    /// Debian's packages keep files that other vendors have too in a folder of their own.
    fn home(&self, library: &Library, folder: &str) -> String {
        let apart = self.driver.layout == Layout::DebianAlternatives && library.alternative();
        if apart { format!("{folder}/nvidia/current") } else { folder.to_owned() }
    }

    /// The two links by which Debian makes `home/name` visible as `folder/name`.
    fn alternative(&self, home: &str, folder: &str, name: &str) -> Result<()> {
        if home == folder {
            return Ok(());
        }
        let base = folder.rsplit('/').next().unwrap_or_default();
        let middle = format!("/etc/alternatives/nvidia--{name}-{base}");
        self.tree.link(&format!("{folder}/{name}"), &middle)?;
        self.tree.link(&middle, format!("{home}/{name}"))
    }

    /// Makes the loader look where the libraries are, also on a distribution that keeps its own elsewhere.
    fn search_path(&self) -> Result<()> {
        if self.driver.layout == Layout::Plain {
            return Ok(());
        }
        let [native, compat] = library_folders(self.driver);
        let folders = if self.driver.compat32 { format!("{native}\n{compat}\n") } else { format!("{native}\n") };
        self.tree.file("/etc/ld.so.conf.d/nvidia-driver.conf", folders, 0o644)
    }

    fn files(&self) -> Result<()> {
        let small = self.driver.size == Size::Small;
        for file in files::TABLE.iter().filter(|file| file.small || !small) {
            let path = self.file_path(file.path);
            match file.content {
                Content::Text(text) => self.tree.file(&path, self.expand(text), 0o644)?,
                Content::Bytes(count) => self.tree.file(&path, vec![0_u8; count], 0o644)?,
                Content::Program => self.program(&path)?,
                Content::Library => self.tree.file(&path, anonymous(), 0o644)?,
            }
        }
        if self.machine.gds > 0 {
            self.tree.file("/etc/cufile.json", files::CUFILE, 0o644)?;
        }
        Ok(())
    }

    fn program(&self, path: &str) -> Result<()> {
        match path.rsplit('/').next() {
            Some("nvidia-smi") => self.tree.copy(&self.companions.nvidia_smi()?, path, 0o755),
            _ => self.tree.file(path, program(Processor::NATIVE), 0o755),
        }
    }

    fn file_path(&self, template: &str) -> String {
        let xorg = match self.driver.layout {
            Layout::Lib64 => "/usr/lib64/xorg",
            Layout::Plain => "/lib64/xorg",
            _ => "/usr/lib/xorg",
        };
        let path = self.expand(template).replace("XORG", xorg);
        match path.strip_prefix("/usr/bin") {
            Some(below) if self.driver.layout == Layout::Plain => format!("/bin{below}"),
            _ => path,
        }
    }

    fn expand(&self, text: &str) -> String {
        let [native, _] = library_folders(self.driver);
        text.replace("VERSION", &self.driver.version).replace("LIBRARIES", &native)
    }

    fn sockets(&self) -> Result<()> {
        if !self.driver.sockets || self.driver.layout == Layout::Plain {
            return Ok(());
        }
        let fabric = (self.machine.nvswitches > 0 || self.driver.size == Size::Full).then_some("nvidia-fabricmanager");
        let daemons = std::iter::once("nvidia-persistenced").chain(fabric);
        daemons.into_iter().try_for_each(|daemon| self.tree.socket(&format!("/run/{daemon}/socket")))
    }
}

fn stub(library: &Library, soname: &str, processor: Processor) -> Vec<u8> {
    SharedObject {
        processor,
        soname: Some(soname),
        needed: &["libc.so.6"],
        abi: library.thread_local_note.then_some([2, 3, 99]),
        functions: library.functions,
    }
    .bytes()
}

/// A module that is loaded by path and has no soname, as X.org's have not.
fn anonymous() -> Vec<u8> {
    let needed = &["libc.so.6"];
    SharedObject { processor: Processor::NATIVE, soname: None, needed, abi: None, functions: &[] }.bytes()
}

impl Library {
    fn file_name(&self, version: &str) -> String {
        match self.suffix {
            Suffix::Driver => format!("{}.so.{version}", self.name),
            Suffix::Own(own) => format!("{}.so.{own}", self.name),
        }
    }

    fn soname(&self, version: &str) -> String {
        match self.major {
            Some(major) => format!("{}.so.{major}", self.name),
            None => self.file_name(version),
        }
    }

    fn development_name(&self) -> String {
        format!("{}.so", self.name)
    }

    /// Debian shares out by alternatives what has an interface; internal parts are loaded by their full name.
    fn alternative(&self) -> bool {
        self.major.is_some() && self.suffix == Suffix::Driver
    }
}

#[cfg(test)]
mod tests;
