//! Real shared objects and programs, written byte by byte: small, but loadable by the dynamic loader, and read without
//! complaint by `readelf`, `ldconfig` and ELF libraries, which look at section headers where the loader looks at segments.
//!
//! The format is that of the System V ABI (generic part, and the x86-64, i386 and AArch64 supplements).

mod image;

use image::Image;

/// For which processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    I386,
    /// 64-bit Arm.
    Aarch64,
}

impl Processor {
    /// The one that this program was built for.
    pub const NATIVE: Processor = if cfg!(target_arch = "aarch64") { Processor::Aarch64 } else { Processor::X86_64 };

    fn wide(self) -> bool {
        self != Processor::I386
    }

    /// `e_machine`.
    fn number(self) -> u16 {
        match self {
            Processor::X86_64 => 62,
            Processor::I386 => 3,
            Processor::Aarch64 => 183,
        }
    }

    /// Segments with different rights must not share a page of the largest size that kernels use.
    fn page(self) -> u64 {
        if self == Processor::Aarch64 { 0x10000 } else { 0x1000 }
    }

    /// Machine code of `int f(void) { return VALUE; }`.
    fn constant_function(self, value: u16) -> Vec<u8> {
        if self == Processor::Aarch64 {
            let load = 0x5280_0000 | u32::from(value) << 5;
            return [load.to_le_bytes(), 0xd65f_03c0_u32.to_le_bytes()].concat();
        }
        let mut code = vec![0xb8];
        code.extend(u32::from(value).to_le_bytes());
        code.push(0xc3);
        code
    }

    /// Machine code of `_exit(0)`.
    fn exit_code(self) -> Vec<u8> {
        match self {
            Processor::X86_64 => vec![0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05],
            Processor::I386 => vec![0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80],
            Processor::Aarch64 => {
                [0xd280_0ba8_u32, 0xd280_0000, 0xd400_0001].iter().flat_map(|word| word.to_le_bytes()).collect()
            }
        }
    }
}

/// A library to be written.
#[derive(Clone, Copy, Debug)]
pub struct SharedObject<'a> {
    /// For which processor.
    pub processor: Processor,
    /// `DT_SONAME`.
    pub soname: Option<&'a str>,
    /// `DT_NEEDED`, in order.
    pub needed: &'a [&'a str],
    /// Content of a GNU ABI-tag note for Linux: the oldest kernel it runs on.
    pub abi: Option<[u32; 3]>,
    /// Exported functions and the constant that each returns.
    pub functions: &'a [(&'a str, u16)],
}

impl SharedObject<'_> {
    /// The file's content.
    pub fn bytes(&self) -> Vec<u8> {
        let mut image = Image::new(self.processor);
        let note = self.abi.map(|version| image.section(".note.ABI-tag", image::NOTE, abi_note(version)));
        let mut strings = Strings::default();
        let names: Vec<u32> = self.functions.iter().map(|(name, _)| strings.add(name)).collect();
        let mut entries: Vec<(u64, u64)> = self.needed.iter().map(|name| (1, u64::from(strings.add(name)))).collect();
        entries.extend(self.soname.map(|name| (14, u64::from(strings.add(name)))));

        let code: Vec<Vec<u8>> =
            self.functions.iter().map(|(_, value)| self.processor.constant_function(*value)).collect();
        let hash = image.section(".hash", image::HASH, hash_table(self.functions.len() as u32));
        let text = image.section(".text", image::TEXT, code.concat());
        let mut at = image.address(text);
        let mut symbols = image.symbol(0, 0, 0, 0);
        for (name, code) in names.iter().zip(&code) {
            symbols.extend(image.symbol(*name, at, code.len() as u64, text as u16));
            at += code.len() as u64;
        }
        let symbols = image.section(".dynsym", image::DYNSYM, symbols);
        let size = strings.bytes.len() as u64;
        let strings = image.section(".dynstr", image::STRTAB, strings.bytes);
        entries.extend([
            (4, image.address(hash)),
            (5, image.address(strings)),
            (6, image.address(symbols)),
            (10, size),
            (11, image.symbol_size()),
            (0, 0),
        ]);
        image.finish_shared(&entries, note, hash, symbols, strings)
    }
}

/// A static program that ends at once with status 0, as daemons and tools do that nobody runs here.
pub fn program(processor: Processor) -> Vec<u8> {
    let mut image = Image::new(processor);
    let text = image.section(".text", image::TEXT, processor.exit_code());
    image.finish_program(text)
}

/// A note with owner `GNU` and type 1: operating system 0 (Linux) and a kernel version.
fn abi_note([major, minor, patch]: [u32; 3]) -> Vec<u8> {
    let words = [4, 16, 1, u32::from_le_bytes(*b"GNU\0"), 0, major, minor, patch];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A `DT_HASH` table with one bucket: a chain through all symbols, so that no hash function is needed.
fn hash_table(functions: u32) -> Vec<u8> {
    let first = u32::from(functions > 0);
    let chain = (0..=functions).map(|symbol| if symbol == 0 || symbol == functions { 0 } else { symbol + 1 });
    [1, functions + 1, first].into_iter().chain(chain).flat_map(u32::to_le_bytes).collect()
}

/// A string table; offset 0 is the empty string.
struct Strings {
    bytes: Vec<u8>,
}

impl Default for Strings {
    fn default() -> Self {
        Strings { bytes: vec![0] }
    }
}

impl Strings {
    fn add(&mut self, text: &str) -> u32 {
        let at = self.bytes.len() as u32;
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::elf::{ElfBytes, abi, endian::LittleEndian};
    use std::{fs, path::Path, process::Command};

    fn stub(processor: Processor) -> SharedObject<'static> {
        SharedObject {
            processor,
            soname: Some("libstub.so.1"),
            needed: &["libc.so.6"],
            abi: Some([2, 3, 99]),
            functions: &[("seven", 7), ("nine", 9)],
        }
    }

    #[test]
    fn sections_say_what_was_asked_for() {
        for processor in [Processor::X86_64, Processor::I386, Processor::Aarch64] {
            let bytes = stub(processor).bytes();
            let file = ElfBytes::<LittleEndian>::minimal_parse(&bytes).unwrap();
            let common = file.find_common_data().unwrap();
            let strings = common.dynsyms_strs.unwrap();
            let names: Vec<_> =
                common.dynsyms.unwrap().iter().map(|symbol| strings.get(symbol.st_name as usize).unwrap()).collect();
            assert_eq!(names, ["", "seven", "nine"], "{processor:?}");
            let tags: Vec<_> = common
                .dynamic
                .unwrap()
                .iter()
                .filter(|entry| [abi::DT_NEEDED, abi::DT_SONAME].contains(&entry.d_tag))
                .map(|entry| strings.get(entry.d_val() as usize).unwrap())
                .collect();
            assert_eq!(tags, ["libc.so.6", "libstub.so.1"], "{processor:?}");
            assert!(common.sysv_hash.is_some());
        }
    }

    #[test]
    fn the_note_is_the_one_that_marks_thread_local_storage_libraries() {
        let bytes = stub(Processor::X86_64).bytes();
        let file = ElfBytes::<LittleEndian>::minimal_parse(&bytes).unwrap();
        let header = file.section_header_by_name(".note.ABI-tag").unwrap().unwrap();
        let (data, _) = file.section_data(&header).unwrap();
        assert_eq!(data, abi_note([2, 3, 99]));
    }

    #[test]
    fn the_real_loader_loads_it_and_finds_both_symbols() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libstub.so.1");
        fs::write(&path, stub(Processor::NATIVE).bytes()).unwrap();
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: plain libc calls on strings that live long enough; the functions take nothing and return an int.
        let values = unsafe {
            let handle = libc::dlopen(name.as_ptr(), libc::RTLD_NOW);
            assert!(!handle.is_null(), "{:?}", std::ffi::CStr::from_ptr(libc::dlerror()));
            [c"seven", c"nine"].map(|symbol| {
                let function = libc::dlsym(handle, symbol.as_ptr());
                assert!(!function.is_null());
                std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> i32>(function)()
            })
        };
        assert_eq!(values, [7, 9]);
    }

    #[test]
    fn tools_of_the_system_read_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("etc")).unwrap();
        fs::create_dir_all(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("etc/ld.so.conf"), "/lib\n").unwrap();
        fs::write(folder.path().join("lib/libstub.so.1.2"), stub(Processor::X86_64).bytes()).unwrap();
        let ldconfig = if Path::new("/sbin/ldconfig").exists() { "/sbin/ldconfig" } else { "ldconfig" };
        let output = Command::new(ldconfig).arg("-v").arg("-r").arg(folder.path()).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("libstub.so.1 -> libstub.so.1.2"), "{output:?}");
    }

    #[test]
    fn the_program_runs_and_ends_with_success() {
        let folder = tempfile::tempdir().unwrap();
        crate::tree::Tree::new(folder.path()).file("p", program(Processor::NATIVE), 0o755).unwrap();
        assert!(Command::new(folder.path().join("p")).status().unwrap().success());
    }
}
