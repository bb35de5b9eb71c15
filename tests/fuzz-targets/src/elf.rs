//! ELF files: total and bounded, what follows a file does not matter, and another reader finds as many names.

use elf::{ElfBytes, abi, endian::AnyEndian};
use host::elf::{Elf, Machine, note_in, parse};

/// The note that forward compatibility libraries have.
const SECTION: &str = ".note.cuda.fwd_compatibility";
/// Longest name that is taken.
const LONGEST: usize = 1024;

/// The bytes of a library.
pub fn elf(input: &[u8]) {
    let note = note_in(input, SECTION);
    let Ok(found) = parse(input) else { return };
    let mut longer = input.to_vec();
    longer.extend([b'x'; 64]);
    let again = parse(&longer).map(|elf| (elf.machine, elf.soname, elf.needed)).ok();
    assert_eq!(again, Some((found.machine, found.soname.clone(), found.needed.clone())));
    assert!(found.needed.len() <= LONGEST);
    for name in found.soname.iter().chain(&found.needed) {
        assert!(!name.is_empty() && name.len() < LONGEST && !name.contains('\0'));
    }
    if let Ok(Some(note)) = note {
        assert!(note.name.len() + note.description.len() <= input.len());
    }
    agrees(input, &found);
}

/// Where the other reader goes by the segments, too. It knows neither our bounds nor our leniency.
fn agrees(input: &[u8], found: &Elf) {
    let Ok(theirs) = ElfBytes::<AnyEndian>::minimal_parse(input) else { return };
    let wide = theirs.ehdr.class == elf::file::Class::ELF64;
    match found.machine {
        Machine::X86_64 | Machine::Aarch64 | Machine::Ppc64 => assert!(wide),
        Machine::I386 | Machine::Arm => assert!(!wide),
        Machine::Other => {}
    }
    if theirs.ehdr.e_shnum != 0 || theirs.ehdr.e_shoff != 0 {
        return;
    }
    let Ok(Some(dynamic)) = theirs.dynamic() else { return };
    let needed = dynamic.iter().take_while(|entry| entry.d_tag != abi::DT_NULL);
    let needed = needed.filter(|entry| entry.d_tag == abi::DT_NEEDED).count();
    if !found.needed.is_empty() {
        assert_eq!(found.needed.len(), needed.min(LONGEST));
    }
}
