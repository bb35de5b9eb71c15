//! Material for tests: tiny shared libraries, and trees of files that look like a machine.

use crate::Roots;
use oci::HostPath;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

/// A minimal shared library: headers, a GNU ABI note, a dynamic section, its strings.
pub struct Library {
    soname: Option<String>,
    needed: Vec<String>,
    wide: bool,
    /// Bytes of other names before each of `needed`.
    gap: usize,
    /// Section, name and description of a note.
    note: Option<[String; 3]>,
}

impl Library {
    pub fn named(soname: &str) -> Self {
        Library { soname: Some(soname.into()), ..Library::nameless() }
    }

    pub fn nameless() -> Self {
        Library { soname: None, needed: Vec::new(), wide: true, gap: 0, note: None }
    }

    pub fn needing(mut self, name: &str) -> Self {
        self.needed.push(name.into());
        self
    }

    /// With a section that holds a note.
    pub fn with_note(mut self, section: &str, name: &str, description: &str) -> Self {
        self.note = Some([section, name, description].map(str::to_owned));
        self
    }

    /// With so many bytes of other names before each that it needs.
    pub fn apart(mut self, gap: usize) -> Self {
        self.gap = gap;
        self
    }

    /// For i386 instead of x86-64.
    pub fn narrow(mut self) -> Self {
        self.wide = false;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let (header, entry) = if self.wide { (64, 56) } else { (52, 32) };
        let note_at = header + 3 * entry;
        let mut strings = vec![0];
        let mut dynamic = Vec::new();
        let mut add = |tag: u64, gap: usize, text: &str| {
            strings.resize(strings.len() + gap, 0);
            dynamic.push((tag, strings.len() as u64));
            strings.extend(text.bytes().chain([0]));
        };
        self.soname.iter().for_each(|name| add(14, 0, name));
        self.needed.iter().for_each(|name| add(1, self.gap, name));
        let dynamic_at = note_at + 32;
        let word = if self.wide { 8 } else { 4 };
        let strings_at = dynamic_at + (dynamic.len() + 2) * 2 * word;
        let address = |offset: usize| 0x1000 + offset as u64;
        dynamic.extend([(5, address(strings_at)), (0, 0)]);

        let mut out = Writer { bytes: Vec::new(), wide: self.wide };
        out.header();
        out.segment(1, 0, address(0), strings_at + strings.len());
        out.segment(4, note_at, address(note_at), 32);
        out.segment(2, dynamic_at, address(dynamic_at), dynamic.len() * 2 * word);
        for value in [4, 16, 1, u32::from_le_bytes(*b"GNU\0"), 0, 2, 3, 99] {
            out.bytes.extend(value.to_le_bytes());
        }
        for (tag, value) in dynamic {
            out.word(tag);
            out.word(value);
        }
        out.bytes.extend(strings);
        if let Some([section, name, description]) = &self.note {
            out.note(section, name, description);
        }
        out.bytes
    }
}

struct Writer {
    bytes: Vec<u8>,
    wide: bool,
}

impl Writer {
    fn word(&mut self, value: u64) {
        let bytes = value.to_le_bytes();
        self.bytes.extend(&bytes[..if self.wide { 8 } else { 4 }]);
    }

    fn header(&mut self) {
        let (class, machine, size, entry) = if self.wide { (2, 62u16, 64u16, 56u16) } else { (1, 3, 52, 32) };
        self.bytes.extend([0x7f, b'E', b'L', b'F', class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        self.bytes.extend(3u16.to_le_bytes().into_iter().chain(machine.to_le_bytes()).chain(1u32.to_le_bytes()));
        self.word(0);
        self.word(u64::from(size));
        self.word(0);
        self.bytes.extend(0u32.to_le_bytes());
        for half in [size, entry, 3, 0, 0, 0] {
            self.bytes.extend(half.to_le_bytes());
        }
    }

    /// The note, the names of sections, and the section headers, which the header then names.
    fn note(&mut self, section: &str, name: &str, description: &str) {
        let align = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(8), 0);
        align(&mut self.bytes);
        let note_at = self.bytes.len();
        for value in [name.len() + 1, description.len() + 1, 1] {
            self.bytes.extend((value as u32).to_le_bytes());
        }
        for text in [name, description] {
            self.bytes.extend(text.bytes());
            self.bytes.resize((self.bytes.len() + 1).next_multiple_of(4), 0);
        }
        let names_at = self.bytes.len();
        self.bytes.extend([&b"\0"[..], section.as_bytes(), b"\0.shstrtab\0"].concat());
        let end = self.bytes.len();
        align(&mut self.bytes);
        let table_at = self.bytes.len();
        let names = [0, 1, section.len() + 2];
        for (kind, name, from, to) in
            [(0u32, names[0], 0, 0), (7, names[1], note_at, names_at), (3, names[2], names_at, end)]
        {
            self.bytes.extend((name as u32).to_le_bytes().into_iter().chain(kind.to_le_bytes()));
            [0, 0, from as u64, (to - from) as u64].into_iter().for_each(|value| self.word(value));
            self.bytes.extend([0; 8]);
            [4, 0].into_iter().for_each(|value| self.word(value));
        }
        let (offset, size) = if self.wide { (40, 64u16) } else { (32, 40) };
        let table = (table_at as u64).to_le_bytes();
        let length = if self.wide { 8 } else { 4 };
        self.bytes[offset..offset + length].copy_from_slice(&table[..length]);
        let counts = if self.wide { 58 } else { 46 };
        for (index, value) in [size, 3, 2].into_iter().enumerate() {
            self.bytes[counts + 2 * index..][..2].copy_from_slice(&value.to_le_bytes());
        }
    }

    fn segment(&mut self, kind: u32, offset: usize, address: u64, size: usize) {
        self.bytes.extend(kind.to_le_bytes());
        if self.wide {
            self.bytes.extend(4u32.to_le_bytes());
        }
        for value in [offset as u64, address, address, size as u64, size as u64] {
            self.word(value);
        }
        if !self.wide {
            self.bytes.extend(4u32.to_le_bytes());
        }
        self.word(8);
    }
}

/// A machine in a temporary folder.
pub struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    pub fn new() -> Self {
        Tree { folder: tempfile::tempdir().unwrap() }
    }

    /// The folder as a host path, without links on the way.
    pub fn root(&self) -> HostPath {
        HostPath::new(self.folder.path().canonicalize().unwrap().to_str().unwrap()).unwrap()
    }

    pub fn roots(&self) -> Roots {
        Roots { machine: crate::elf::Machine::X86_64, ..Roots::below(&self.root()) }
    }

    /// Writes a file, with its folders.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub fn program(&self, path: &str) -> &Self {
        self.file(path, "#!");
        fs::set_permissions(self.root().join(path), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    pub fn folder(&self, path: &str) -> &Self {
        fs::create_dir_all(self.root().join(path)).unwrap();
        self
    }

    /// A socket at `path`.
    pub fn socket(&self, path: &str) -> &Self {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent()).unwrap();
        std::os::unix::net::UnixListener::bind(path).unwrap();
        self
    }

    /// A library `STEM.so.VERSION` in `folder`, with the link of its soname `STEM.so.1`.
    pub fn library(&self, folder: &str, stem: &str, version: &str) -> &Self {
        let soname = format!("{stem}.so.1");
        self.file(&format!("{folder}/{stem}.so.{version}"), Library::named(&soname).bytes());
        self.link(&format!("{folder}/{soname}"), &format!("{stem}.so.{version}"))
    }

    /// The kernel's account of a driver of that version with the given GPUs: bus id, minor.
    pub fn kernel(&self, version: &str, gpus: &[(&str, u32)]) -> &Self {
        let line = format!("NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Thu Feb 22 01:44:30 UTC 2024\n");
        self.file("proc/driver/nvidia/version", line);
        self.file("proc/devices", "Character devices:\n195 nvidia\n236 nvidia-caps\n237 nvidia-caps-imex-channels\n511 nvidia-uvm\n\nBlock devices:\n  7 loop\n");
        self.file(
            "proc/driver/nvidia/params",
            "ModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 44\nDeviceFileMode: 432\n",
        );
        for (bus, minor) in gpus {
            self.file(&format!("proc/driver/nvidia/gpus/{bus}/information"), format!(
                "Model: \t\t NVIDIA A100-SXM4-40GB\nIRQ:   \t\t 17\nGPU UUID: \t GPU-0000000{minor}-06c0-7d70-1a51-e59b25b2c16c\n\
                 Bus Location: \t {bus}\nDevice Minor: \t {minor}\nGPU Excluded:\t No\n",
            ));
        }
        self
    }
}
