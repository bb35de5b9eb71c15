//! A note that is found by the name of its section, as NVIDIA's forward compatibility libraries carry one. Loaders do not
//! look at sections, so nothing else here does; and the libraries are an image's, so every size is bounded.

use super::{ElfError, HEAD, Head, ReadAt, read_exactly, read_up_to, text_at};
use std::fs::File;

const SHT_NOTE: u32 = 7;
/// Sections looked at; libcuda has some forty.
const MAX_SECTIONS: u16 = 1024;
/// Longest table of section names, and longest note.
const MAX_BYTES: u64 = 64 * 1024;

/// A note, without the padding of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Who defined its meaning.
    pub name: Vec<u8>,
    /// Its content.
    pub description: Vec<u8>,
}

/// The first note of the note section with that name; `None` if there is no such section, or nothing in it.
///
/// # Errors
/// [`ElfError`] if the file is not an ELF file, or a table that leads to the note is cut off.
pub fn note(file: &File, section: &str) -> Result<Option<Note>, ElfError> {
    read(file, section)
}

/// The same of a file that lies in memory.
///
/// # Errors
/// As [`note`].
pub fn note_in(bytes: &[u8], section: &str) -> Result<Option<Note>, ElfError> {
    read(bytes, section)
}

fn read(file: &(impl ReadAt + ?Sized), section: &str) -> Result<Option<Note>, ElfError> {
    let mut head = [0; HEAD];
    let filled = file.read_at(&mut head, 0)?;
    let head = Head::new(&head[..filled])?;
    let (sections, names) = sections(file, &head)?;
    let wanted = |entry: &&Section| entry.kind == SHT_NOTE && text_at(&names, entry.name).as_deref() == Some(section);
    let Some(entry) = sections.iter().find(wanted) else { return Ok(None) };
    let size = usize::try_from(entry.size.min(MAX_BYTES)).unwrap_or(0);
    let content = read_exactly(file, entry.offset, size).map_err(|_| ElfError::Malformed("note"))?;
    parts(&head, &content, entry.alignment).ok_or(ElfError::Malformed("note"))
}

/// The fields of a section header that matter here.
struct Section {
    name: usize,
    kind: u32,
    offset: u64,
    size: u64,
    alignment: u64,
}

/// All sections, and the table of their names.
fn sections(file: &(impl ReadAt + ?Sized), head: &Head) -> Result<(Vec<Section>, Vec<u8>), ElfError> {
    let malformed = || ElfError::Malformed("section headers");
    let Head { bytes, format, .. } = head;
    let field = |wide, narrow| format.u16(bytes, format.pick(wide, narrow)).ok_or_else(malformed);
    let start = format.word(bytes, format.pick(40, 32)).ok_or_else(malformed)?;
    let (size, count, names) = (usize::from(field(58, 46)?), field(60, 48)?.min(MAX_SECTIONS), field(62, 50)?);
    if count == 0 {
        return Ok((Vec::new(), Vec::new()));
    }
    if !(format.pick(64, 40)..=256).contains(&size) {
        return Err(malformed());
    }
    let table = read_exactly(file, start, size * usize::from(count)).map_err(|_| malformed())?;
    let entry = |entry: &[u8]| {
        Some(Section {
            name: usize::try_from(format.u32(entry, 0)?).ok()?,
            kind: format.u32(entry, 4)?,
            offset: format.word(entry, format.pick(24, 16))?,
            size: format.word(entry, format.pick(32, 20))?,
            alignment: format.word(entry, format.pick(48, 32))?,
        })
    };
    let sections: Vec<_> = table.chunks_exact(size).map(entry).collect::<Option<_>>().ok_or_else(malformed)?;
    let names = sections.get(usize::from(names)).ok_or_else(malformed)?;
    let names = read_up_to(file, names.offset, usize::try_from(names.size.min(MAX_BYTES)).unwrap_or(0))?;
    Ok((sections, names))
}

/// Name and description of the note; both may be padded with zeros. `None` where it is cut off.
fn parts(head: &Head, content: &[u8], alignment: u64) -> Option<Option<Note>> {
    let size = |at| Some(head.format.u32(content, at)? as usize);
    let (name, description) = (size(0)?, size(4)?);
    if name == 0 || description == 0 {
        return Some(None);
    }
    let alignment = usize::try_from(alignment.clamp(4, 64)).unwrap_or(4);
    let from = 12usize.checked_add(name.checked_next_multiple_of(alignment)?)?;
    Some(Some(Note {
        name: unpadded(content.get(12..12usize.checked_add(name)?)?),
        description: unpadded(content.get(from..from.checked_add(description)?)?),
    }))
}

fn unpadded(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes[..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Library;
    use proptest::prelude::*;

    const SECTION: &str = ".note.cuda.fwd_compatibility";

    fn sample() -> Library {
        Library::named("libcuda.so.1").with_note(SECTION, "NVIDIA Corporation", "{\"Driver\": [535]}")
    }

    #[test]
    fn finds_a_note_by_its_section() {
        for library in [sample(), sample().narrow()] {
            let bytes = library.bytes();
            let note = read(&bytes[..], SECTION).unwrap().unwrap();
            assert_eq!(note.name, b"NVIDIA Corporation");
            assert_eq!(note.description, b"{\"Driver\": [535]}");
            assert_eq!(read(&bytes[..], ".note.other").unwrap(), None);
            assert_eq!(super::super::parse(&bytes).unwrap().soname.as_deref(), Some("libcuda.so.1"));
        }
        assert_eq!(read(&Library::named("libcuda.so.1").bytes()[..], SECTION).unwrap(), None);
        assert!(matches!(read(&b"INPUT(libcuda.so.1)"[..], SECTION), Err(ElfError::NotElf)));
    }

    #[test]
    fn agrees_with_the_elf_crate() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let mut theirs = elf::ElfStream::<elf::endian::AnyEndian, _>::open_stream(&file).unwrap();
        let header = *theirs.section_header_by_name(".note.gnu.build-id").unwrap().expect("linkers make one");
        let want = theirs.section_data_as_notes(&header).unwrap().next().unwrap();
        let elf::note::Note::GnuBuildId(id) = want else { panic!("{want:?}") };
        assert_eq!(note(&file, ".note.gnu.build-id").unwrap().unwrap().description, unpadded(id.0));
    }

    #[test]
    fn a_cut_off_file_has_no_note() {
        let whole = sample().bytes();
        for length in 0..whole.len() {
            assert!(!matches!(read(&whole[..length], SECTION), Ok(Some(_))), "{length} of {} bytes", whole.len());
        }
    }

    proptest! {
        #[test]
        fn never_panics_on_damage(at in 0usize..1000, value: u8, more in 0usize..1000, other: u8) {
            let mut bytes = sample().bytes();
            let length = bytes.len();
            bytes[at % length] = value;
            bytes[more % length] = other;
            let _ = read(&bytes[..], SECTION);
        }
    }
}
