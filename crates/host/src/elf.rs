//! Reads from a shared library what a loader goes by: word size, instruction set, `DT_SONAME`, `DT_NEEDED` and the GNU
//! ABI note.
//!
//! This runs for each of about 60 libraries in every container start, so the file is read in at most three pieces: the
//! head (program headers and usually the notes), the dynamic section, and the part of the string table that the
//! dynamic section points at. The `elf` crate's streaming reader seeks and reads once per header, section and string,
//! and its slice reader wants the whole file, 60 to 100 MB for some of these libraries; so this is a reader of our own.
//! The crate remains as the tests' second opinion.
//!
//! Total on hostile input: every offset is checked, every piece is bounded.

mod machine;
mod notes;

pub use machine::Machine;
pub use notes::{Note, note, note_in};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::pread,
};
use std::{fs::File, path::Path};

/// Bytes of the head that are read at once.
const HEAD: usize = 4096;
/// Largest dynamic section that is read; real ones are below 1 KiB.
const MAX_DYNAMIC: u64 = 64 * 1024;
/// Largest distance between names that are fetched by one read; those further on have one each.
const MAX_NAMES: u64 = 256 * 1024;
/// Longest name, with the zero that ends it; file systems allow 255 bytes.
const MAX_NAME: u64 = 1024;
/// Most libraries that one needs; real ones need some fifty.
const MAX_NEEDED: usize = 1024;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;

/// What a loader goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// Word size and instruction set.
    pub machine: Machine,
    /// `DT_SONAME`.
    pub soname: Option<String>,
    /// `DT_NEEDED`, in the file's order: the first 1024.
    pub needed: Vec<String>,
    /// GNU ABI note: operating system (0 is Linux) and the lowest kernel version.
    pub abi: Option<[u32; 4]>,
}

/// Why a file is not taken as a library.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The file cannot be opened or read.
    #[error("cannot read it: {0}")]
    Read(#[from] rustix::io::Errno),
    /// It does not begin as an ELF file does.
    #[error("it is not an ELF file")]
    NotElf,
    /// Its tables point outside the file.
    #[error("its {0} is cut off or malformed")]
    Malformed(&'static str),
}

/// Something that can be read at an offset, so that parsing does not depend on a file.
trait ReadAt {
    /// Fills `buffer` from `offset` as far as there are bytes, and says how many there were.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ElfError>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ElfError> {
        Ok(pread(self, buffer, offset)?)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ElfError> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = from.len().min(buffer.len());
        buffer[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }
}

/// A file of which the head was read.
struct Begun<'a, F: ?Sized> {
    file: &'a F,
    head: &'a [u8],
}

impl<F: ReadAt + ?Sized> ReadAt for Begun<'_, F> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ElfError> {
        let end = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(buffer.len()));
        let is_whole = self.head.len() < HEAD;
        match end {
            Some(end) if is_whole || end <= self.head.len() => self.head.read_at(buffer, offset),
            _ => self.file.read_at(buffer, offset),
        }
    }
}

/// Reads the library at `path`, which must not be a link. Opening a FIFO or a device does not block.
///
/// # Errors
/// [`ElfError`] says why the file is not a library that a loader could take.
pub fn read(path: &Path) -> Result<Elf, ElfError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = openat(CWD, path, flags, Mode::empty())?;
    read_from(&File::from(file))
}

/// Reads a library that is open already.
///
/// # Errors
/// As [`read`].
pub fn read_file(file: &File) -> Result<Elf, ElfError> {
    read_from(file)
}

/// Reads a library that lies in memory.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8]) -> Result<Elf, ElfError> {
    read_from(bytes)
}

fn read_from(file: &(impl ReadAt + ?Sized)) -> Result<Elf, ElfError> {
    let mut head = [0; HEAD];
    let filled = file.read_at(&mut head, 0)?;
    let file = &Begun { file, head: &head[..filled] };
    let head = Head::new(file.head)?;
    let segments = head.segments(file)?;
    let dynamic = Dynamic::read(file, &head, &segments)?;
    let (soname, needed) = dynamic.names(file, &segments)?;
    Ok(Elf { machine: head.machine, soname, needed, abi: head.abi(&segments) })
}

/// The beginning of the file, and how its numbers are written.
struct Head<'a> {
    bytes: &'a [u8],
    format: Format,
    machine: Machine,
}

/// Word size and byte order.
#[derive(Clone, Copy)]
struct Format {
    wide: bool,
    little: bool,
}

impl Format {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let raw = bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u16::from_le_bytes(*raw) } else { u16::from_be_bytes(*raw) })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let raw = bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u32::from_le_bytes(*raw) } else { u32::from_be_bytes(*raw) })
    }

    /// A number of the file's word size.
    fn word(self, bytes: &[u8], at: usize) -> Option<u64> {
        if !self.wide {
            return self.u32(bytes, at).map(u64::from);
        }
        let raw = bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u64::from_le_bytes(*raw) } else { u64::from_be_bytes(*raw) })
    }

    /// Whichever of two offsets fits the word size: that of 64-bit files, that of 32-bit files.
    fn pick(self, wide: usize, narrow: usize) -> usize {
        if self.wide { wide } else { narrow }
    }
}

/// The fields of a program header that matter here.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

impl<'a> Head<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let (wide, little) = match bytes {
            [0x7f, b'E', b'L', b'F', class @ (1 | 2), order @ (1 | 2), ..] => (*class == 2, *order == 1),
            _ => return Err(ElfError::NotElf),
        };
        let format = Format { wide, little };
        let number = format.u16(bytes, 18).ok_or(ElfError::Malformed("header"))?;
        Ok(Head { bytes, format, machine: Machine::from_header(wide, number) })
    }

    /// The program headers, which lie in the head of every file that a linker wrote; elsewhere they cost a read.
    fn segments(&self, file: &(impl ReadAt + ?Sized)) -> Result<Vec<Segment>, ElfError> {
        let (start, size, count) = self.segment_table().ok_or(ElfError::Malformed("header"))?;
        let length = size * count;
        let inside = usize::try_from(start).ok().and_then(|start| self.bytes.get(start..start.checked_add(length)?));
        let elsewhere;
        let table = match inside {
            Some(table) => table,
            None => {
                elsewhere = read_exactly(file, start, length).map_err(|_| ElfError::Malformed("program headers"))?;
                &elsewhere
            }
        };
        table
            .chunks_exact(size)
            .map(|entry| self.segment(entry).ok_or(ElfError::Malformed("program headers")))
            .collect()
    }

    /// Offset of the table, size of an entry (at least that of the format), number of entries.
    fn segment_table(&self) -> Option<(u64, usize, usize)> {
        let Head { bytes, format, .. } = self;
        let start = format.word(bytes, format.pick(32, 28))?;
        let size = usize::from(format.u16(bytes, format.pick(54, 42))?);
        let count = usize::from(format.u16(bytes, format.pick(56, 44))?);
        // 512 entries of 56 bytes: far more than any library has, and a bound on what an odd file makes us read.
        (format.pick(56, 32)..=256).contains(&size).then_some((start, size, count.min(512)))
    }

    fn segment(&self, entry: &[u8]) -> Option<Segment> {
        let format = self.format;
        Some(Segment {
            kind: format.u32(entry, 0)?,
            offset: format.word(entry, format.pick(8, 4))?,
            address: format.word(entry, format.pick(16, 8))?,
            size: format.word(entry, format.pick(32, 16))?,
        })
    }

    /// The GNU ABI note, where a note segment within the head holds one.
    fn abi(&self, segments: &[Segment]) -> Option<[u32; 4]> {
        segments.iter().filter(|segment| segment.kind == PT_NOTE).find_map(|segment| {
            let start = usize::try_from(segment.offset).ok()?;
            let size = usize::try_from(segment.size).ok()?;
            self.abi_in(self.bytes.get(start..start.checked_add(size)?)?)
        })
    }

    fn abi_in(&self, mut notes: &[u8]) -> Option<[u32; 4]> {
        const NT_GNU_ABI_TAG: u32 = 1;
        let word = |bytes: &[u8], at| self.format.u32(bytes, at);
        loop {
            let (name_size, size, kind) = (word(notes, 0)? as usize, word(notes, 4)? as usize, word(notes, 8)?);
            let content = 12usize.checked_add(name_size.checked_next_multiple_of(4)?)?;
            if kind == NT_GNU_ABI_TAG && notes.get(12..)?.starts_with(b"GNU\0") && size >= 16 {
                let field = |index: usize| word(notes, content.checked_add(4 * index)?);
                return Some([field(0)?, field(1)?, field(2)?, field(3)?]);
            }
            notes = notes.get(content.checked_add(size.checked_next_multiple_of(4)?)?..)?;
        }
    }
}

/// What the dynamic section says about names: where they are, relative to the string table.
#[derive(Default)]
struct Dynamic {
    strings: Option<u64>,
    soname: Option<u64>,
    needed: Vec<u64>,
}

impl Dynamic {
    /// Reads the section; a file without one has no names.
    fn read(file: &(impl ReadAt + ?Sized), head: &Head, segments: &[Segment]) -> Result<Self, ElfError> {
        let Some(segment) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
            return Ok(Dynamic::default());
        };
        let length = usize::try_from(segment.size.min(MAX_DYNAMIC)).unwrap_or(0);
        let bytes = read_exactly(file, segment.offset, length).map_err(|_| ElfError::Malformed("dynamic section"))?;
        Ok(Dynamic::parse(&bytes, head.format))
    }

    fn parse(bytes: &[u8], format: Format) -> Self {
        let mut dynamic = Dynamic::default();
        let word = format.pick(8, 4);
        for entry in bytes.chunks_exact(2 * word) {
            let (Some(tag), Some(value)) = (format.word(entry, 0), format.word(entry, word)) else { break };
            match tag {
                0 => break,
                DT_STRTAB => dynamic.strings = Some(value),
                DT_SONAME => dynamic.soname = dynamic.soname.or(Some(value)),
                DT_NEEDED if dynamic.needed.len() < MAX_NEEDED => dynamic.needed.push(value),
                _ => {}
            }
        }
        dynamic
    }

    /// Fetches the names, with one read where they lie near each other, as linkers mostly place them.
    fn names(
        &self,
        file: &(impl ReadAt + ?Sized),
        segments: &[Segment],
    ) -> Result<(Option<String>, Vec<String>), ElfError> {
        let offsets = || self.soname.iter().chain(&self.needed).copied();
        let (Some(address), Some(first), Some(last)) = (self.strings, offsets().min(), offsets().max()) else {
            return Ok((None, Vec::new()));
        };
        let table = file_offset(segments, address).ok_or(ElfError::Malformed("string table"))?;
        let start = table.checked_add(first).ok_or(ElfError::Malformed("string table"))?;
        let span = (last - first).min(MAX_NAMES).saturating_add(MAX_NAME);
        let strings = read_up_to(file, start, usize::try_from(span).unwrap_or(0))?;
        let name = |offset: u64| {
            let found = match offset - first {
                near @ ..=MAX_NAMES => text_at(&strings, usize::try_from(near).unwrap_or(usize::MAX)),
                // Linkers place them among the names of symbols, of which LLVM has megabytes.
                _ => {
                    let start = table.checked_add(offset).ok_or(ElfError::Malformed("string table"))?;
                    text_at(&read_up_to(file, start, MAX_NAME as usize)?, 0)
                }
            };
            found.ok_or(ElfError::Malformed("string table"))
        };
        let needed = self.needed.iter().map(|&offset| name(offset)).collect::<Result<_, _>>()?;
        Ok((self.soname.map(name).transpose()?, needed))
    }
}

/// Where the byte that is loaded at `address` lies in the file.
fn file_offset(segments: &[Segment], address: u64) -> Option<u64> {
    let loaded = segments.iter().filter(|segment| segment.kind == PT_LOAD);
    loaded
        .filter_map(|segment| Some((segment, address.checked_sub(segment.address)?)))
        .find_map(|(segment, within)| (within < segment.size).then(|| segment.offset.checked_add(within)).flatten())
}

/// The name that begins at `at` and ends at a zero byte; `None` outside `strings`, for text that is not UTF-8 and for what is
/// too long to be a name: many names may overlap in the file, and each is copied.
fn text_at(strings: &[u8], at: usize) -> Option<String> {
    let bytes = strings.get(at..)?;
    let bytes = &bytes[..bytes.len().min(MAX_NAME as usize)];
    let end = bytes.iter().position(|&byte| byte == 0)?;
    std::str::from_utf8(&bytes[..end]).ok().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn read_up_to(file: &(impl ReadAt + ?Sized), offset: u64, length: usize) -> Result<Vec<u8>, ElfError> {
    let mut bytes = vec![0; length];
    let filled = file.read_at(&mut bytes, offset)?;
    bytes.truncate(filled);
    Ok(bytes)
}

fn read_exactly(file: &(impl ReadAt + ?Sized), offset: u64, length: usize) -> Result<Vec<u8>, ElfError> {
    let bytes = read_up_to(file, offset, length)?;
    if bytes.len() == length { Ok(bytes) } else { Err(ElfError::Malformed("file")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Library;
    use proptest::prelude::*;

    #[test]
    fn reads_both_word_sizes() {
        for (library, machine) in [
            (Library::named("libcuda.so.1").needing("libc.so.6").needing("libm.so.6"), Machine::X86_64),
            (Library::named("libcuda.so.1").needing("libc.so.6").needing("libm.so.6").narrow(), Machine::I386),
        ] {
            let elf = parse(&library.bytes()).unwrap();
            assert_eq!(elf.machine, machine);
            assert_eq!(elf.soname.as_deref(), Some("libcuda.so.1"));
            assert_eq!(elf.needed, ["libc.so.6", "libm.so.6"]);
            assert_eq!(elf.abi, Some([0, 2, 3, 99]));
        }
    }

    #[test]
    fn a_library_may_have_no_soname() {
        let elf = parse(&Library::nameless().bytes()).unwrap();
        assert_eq!((elf.soname, elf.needed), (None, vec![]));
    }

    #[test]
    fn refuses_what_is_not_a_library() {
        assert!(matches!(parse(b""), Err(ElfError::NotElf)));
        assert!(matches!(parse(b"INPUT(libcuda.so.1)\n"), Err(ElfError::NotElf)));
        let whole = Library::named("libcuda.so.1").bytes();
        for length in 6..whole.len() - 16 {
            assert!(parse(&whole[..length]).is_err(), "{length} of {} bytes were enough", whole.len());
        }
    }

    #[test]
    fn names_may_lie_far_apart() {
        for gap in [MAX_NAMES as usize - 20, MAX_NAMES as usize, 5_000_000] {
            let library = Library::named("libLLVM-14.so.1").needing("libffi.so.8").needing("libc.so.6").apart(gap);
            let elf = parse(&library.bytes()).unwrap();
            assert_eq!((elf.soname.as_deref(), elf.needed.len()), (Some("libLLVM-14.so.1"), 2), "{gap}");
            assert_eq!(elf.needed, ["libffi.so.8", "libc.so.6"]);
        }
    }

    #[test]
    fn overlapping_names_cannot_fill_memory() {
        // 4000 names that begin one byte apart in 256 KiB of text would be a gigabyte.
        let format = Format { wide: true, little: true };
        let word = |value: u64| value.to_le_bytes();
        let entries: Vec<u8> = (0..4000).flat_map(|at| [word(DT_NEEDED), word(at)].concat()).collect();
        assert_eq!(Dynamic::parse(&entries, format).needed.len(), MAX_NEEDED);
        let text = [&[b'x'; 4000][..], b"\0"].concat();
        assert_eq!(text_at(&text, 0), None, "longer than a name");
        assert_eq!(text_at(&text, 2977).map(|name| name.len()), Some(1023));
    }

    #[test]
    fn agrees_with_the_elf_crate() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let theirs = elf::ElfBytes::<elf::endian::AnyEndian>::minimal_parse(&bytes).unwrap();
        let common = theirs.find_common_data().unwrap();
        let (dynamic, strings) = (common.dynamic.unwrap(), common.dynsyms_strs.unwrap());
        let needed = dynamic.iter().filter(|entry| entry.d_tag == elf::abi::DT_NEEDED);
        let needed: Vec<_> = needed.map(|entry| strings.get(entry.d_val() as usize).unwrap()).collect();
        assert!(!needed.is_empty());
        assert_eq!(parse(&bytes).unwrap().needed, needed);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn never_panics_on_a_damaged_library(at in 0usize..700, value: u8, more in 0usize..700, other: u8) {
            let mut bytes = Library::named("libcuda.so.1").needing("libc.so.6").bytes();
            let length = bytes.len();
            bytes[at % length] = value;
            bytes[more % length] = other;
            let _ = parse(&bytes);
        }
    }
}
