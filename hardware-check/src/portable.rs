//! Makes a dynamically linked program run with a loader and libraries of its own, wherever they lie: on machines without
//! a C library, or with another one.
//!
//! `ld.so PROGRAM` is not enough: runc starts itself again as `/proc/self/exe`, which would be the loader. So the file
//! names its own loader, in two changes to a copy of it (System V ABI, chapter 5):
//!
//! * `PT_INTERP` is read by the kernel from the file, not from memory, so its text may stand at the file's end. The old
//!   text stays in memory, unused.
//! * There the search path is written, and `DT_DEBUG`, which only debuggers need, becomes a `DT_RPATH` that points to it.
//!   That one, other than `DT_RUNPATH`, also counts for libraries which `dlopen` brings in, as corten-nvml does.

/// `p_type` of the two program headers that matter.
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;

/// `d_tag` of the entries that matter.
const DT_NULL: u64 = 0;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_DEBUG: u64 = 21;

/// The program with another loader and one folder of libraries.
///
/// # Errors
/// When it is no program that this can be done to.
pub fn with_loader(mut program: Vec<u8>, loader: &str, libraries: &str) -> Result<Vec<u8>, String> {
    let mut file = Elf(&mut program);
    if file.0.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err("it is no 64-bit little-endian ELF file".to_owned());
    }
    let interpreter = file.header(PT_INTERP)?;
    let dynamic = file.header(PT_DYNAMIC)?;
    let (text_at, text_address, room) =
        (file.number(interpreter + 8)?, file.number(interpreter + 16)?, file.number(interpreter + 32)?);
    if libraries.len() as u64 >= room {
        return Err(format!("{libraries} is longer than the {room} bytes there are for it"));
    }
    let entries = file.number(dynamic + 8)?;
    let strings = file.number(file.entry(entries, DT_STRTAB)? + 8)?;
    let debug = file.entry(entries, DT_DEBUG)?;
    file.put(text_at, &[libraries.as_bytes(), b"\0"].concat())?;
    // An offset into the string table; the loader adds it to the table's address, whichever of them is lower.
    file.put_numbers(debug, &[DT_RPATH, text_address.wrapping_sub(strings)])?;
    let end = file.0.len() as u64;
    let size = loader.len() as u64 + 1;
    file.put_numbers(interpreter + 8, &[end])?;
    file.put_numbers(interpreter + 32, &[size, size])?;
    program.extend(loader.bytes().chain([0]));
    Ok(program)
}

/// A file in memory; positions are checked at every step.
struct Elf<'a>(&'a mut Vec<u8>);

impl Elf<'_> {
    /// Where the first program header of a type is.
    fn header(&self, wanted: u64) -> Result<u64, String> {
        let (table, size, count) = (self.number(32)?, self.half(54)?, self.half(56)?);
        let at = (0..count).map(|number| table.saturating_add(number * size));
        let mut found = at.filter(|at| self.word(*at).is_ok_and(|kind| kind == wanted));
        found.next().ok_or_else(|| format!("it has no program header of type {wanted}; is it static?"))
    }

    /// Where the first dynamic entry with a tag is.
    fn entry(&self, table: u64, wanted: u64) -> Result<u64, String> {
        for number in 0.. {
            let at = table.saturating_add(number * 16);
            match self.number(at)? {
                tag if tag == wanted => return Ok(at),
                DT_NULL => break,
                _ => {}
            }
        }
        Err(format!("it has no dynamic entry {wanted}"))
    }

    fn bytes<const N: usize>(&self, at: u64) -> Result<[u8; N], String> {
        let start = usize::try_from(at).map_err(|_| "an offset is too large")?;
        let part = self.0.get(start..).and_then(|rest| rest.first_chunk());
        part.copied().ok_or_else(|| "it is cut off".to_owned())
    }

    fn half(&self, at: u64) -> Result<u64, String> {
        self.bytes(at).map(|bytes| u16::from_le_bytes(bytes).into())
    }

    fn word(&self, at: u64) -> Result<u64, String> {
        self.bytes(at).map(|bytes| u32::from_le_bytes(bytes).into())
    }

    fn number(&self, at: u64) -> Result<u64, String> {
        self.bytes(at).map(u64::from_le_bytes)
    }

    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), String> {
        let start = usize::try_from(at).map_err(|_| "an offset is too large")?;
        let end = start.checked_add(bytes.len()).ok_or("an offset is too large")?;
        self.0.get_mut(start..end).ok_or("it is cut off")?.copy_from_slice(bytes);
        Ok(())
    }

    fn put_numbers(&mut self, at: u64, numbers: &[u64]) -> Result<(), String> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.put(at, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

    /// The loader that the program at `path` names.
    fn loader(path: &Path) -> String {
        let mut bytes = fs::read(path).unwrap();
        let file = Elf(&mut bytes);
        let header = file.header(PT_INTERP).unwrap();
        let (at, size) = (file.number(header + 8).unwrap() as usize, file.number(header + 32).unwrap() as usize);
        String::from_utf8(file.0[at..at + size - 1].to_vec()).unwrap()
    }

    /// Without the libraries in the folder the changed program does not start; with them it does, and says what it did.
    #[test]
    fn a_program_runs_with_a_loader_and_libraries_of_its_own() {
        let folder = tempfile::Builder::new().prefix("p").tempdir_in("/tmp").unwrap();
        let program = fs::canonicalize("/bin/cat").unwrap();
        let own = folder.path().join("ld.so");
        fs::copy(loader(&program), &own).unwrap();
        let bytes = fs::read(&program).unwrap();
        let changed = with_loader(bytes, own.to_str().unwrap(), folder.path().to_str().unwrap()).unwrap();
        let path = folder.path().join("cat");
        fs::write(&path, changed).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(loader(&path), own.to_str().unwrap());
        let maps = || Command::new(&path).arg("/proc/self/maps").output().unwrap();
        assert!(!String::from_utf8(maps().stdout).unwrap().contains(&format!("{}/libc.so.6", folder.path().display())));
        let of_machine = Command::new("/bin/cat").arg("/proc/self/maps").output().unwrap();
        let of_machine = String::from_utf8(of_machine.stdout).unwrap();
        let libc = of_machine.split_whitespace().find(|word| word.ends_with("/libc.so.6")).unwrap();
        fs::copy(libc, folder.path().join("libc.so.6")).unwrap();
        let seen = String::from_utf8(maps().stdout).unwrap();
        assert!(seen.contains(&format!("{}/libc.so.6", folder.path().display())), "{seen}");
        assert!(seen.contains(&format!("{}/ld.so", folder.path().display())), "{seen}");
    }

    #[test]
    fn what_cannot_be_changed_is_refused() {
        let program = fs::read("/bin/cat").unwrap();
        let long = "/".repeat(80);
        assert!(with_loader(program.clone(), "/l", &long).unwrap_err().contains("longer than"));
        for bytes in [vec![], b"#!/bin/sh\n".to_vec(), program[..200].to_vec(), vec![0x7f; 4096]] {
            assert!(with_loader(bytes, "/l", "/p").is_err());
        }
        // Every way of cutting it off, and of breaking its headers, is an error and not a panic.
        for end in (0..1024).step_by(7) {
            let _ = with_loader(program[..end].to_vec(), "/l", "/p");
            let mut broken = program.clone();
            broken[end] = !broken[end];
            let _ = with_loader(broken, "/l", "/p");
        }
    }
}
