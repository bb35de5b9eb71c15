//! The frame of an ELF file: headers, segments and sections around the parts that [`super`] fills in.
//!
//! Everything but `.dynamic` lies in one read-execute segment that begins with the file header. `.dynamic` is in a
//! writable one, because older loaders write addresses into it; both map the same file page, one virtual page apart.

use super::{Processor, Strings};

/// What a section is: `sh_type`, `sh_flags` (2 allocated, 4 executable, 1 writable), alignment.
pub(super) type Kind = (u32, u64, u64);

pub(super) const NOTE: Kind = (7, 2, 4);
pub(super) const HASH: Kind = (5, 2, 8);
pub(super) const TEXT: Kind = (1, 6, 16);
pub(super) const DYNSYM: Kind = (11, 2, 8);
pub(super) const STRTAB: Kind = (3, 2, 1);
const DYNAMIC: Kind = (6, 3, 8);
const NAMES: Kind = (3, 0, 1);

/// Room for this many program headers is kept in front.
const SEGMENTS: u64 = 5;

/// A file under construction. Sections are numbered from 1, as the format does.
pub(super) struct Image {
    processor: Processor,
    base: u64,
    out: Vec<u8>,
    sections: Vec<Section>,
}

struct Section {
    name: &'static str,
    kind: Kind,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    entry: u64,
}

/// `p_type`, `p_flags`, file offset, address, size, alignment.
type Segment = (u32, u32, u64, u64, u64, u64);

impl Image {
    pub(super) fn new(processor: Processor) -> Image {
        let head = if processor.wide() { 64 + SEGMENTS * 56 } else { 52 + SEGMENTS * 32 };
        Image { processor, base: 0, out: vec![0; head as usize], sections: Vec::new() }
    }

    /// Appends a section's content and returns its number.
    pub(super) fn section(&mut self, name: &'static str, kind: Kind, content: Vec<u8>) -> usize {
        self.align(kind.2);
        let offset = self.out.len() as u64;
        let size = content.len() as u64;
        self.out.extend(content);
        self.sections.push(Section { name, kind, address: offset, offset, size, link: 0, info: 0, entry: 0 });
        self.sections.len()
    }

    /// Where a section will lie in memory, relative to the file's load address.
    pub(super) fn address(&self, section: usize) -> u64 {
        self.sections[section - 1].address
    }

    /// Bytes of one symbol.
    pub(super) fn symbol_size(&self) -> u64 {
        if self.processor.wide() { 24 } else { 16 }
    }

    /// One symbol: a global function, or the null symbol for section 0.
    pub(super) fn symbol(&self, name: u32, address: u64, size: u64, section: u16) -> Vec<u8> {
        let kind = if section == 0 { 0 } else { 0x12 };
        let mut out = Words { wide: self.processor.wide(), out: Vec::new() };
        out.word(name);
        if !out.wide {
            out.size(address);
            out.size(size);
        }
        out.out.extend([kind, 0]);
        out.half(section);
        if out.wide {
            out.size(address);
            out.size(size);
        }
        out.out
    }

    /// Adds `.dynamic` and all headers of a shared object.
    pub(super) fn finish_shared(
        mut self,
        entries: &[(u64, u64)],
        note: Option<usize>,
        hash: usize,
        symbols: usize,
        strings: usize,
    ) -> Vec<u8> {
        let wide = self.processor.wide();
        let code_end = self.out.len() as u64;
        let mut content = Words { wide, out: Vec::new() };
        for (tag, value) in entries {
            content.size(*tag);
            content.size(*value);
        }
        let dynamic = self.section(".dynamic", DYNAMIC, content.out);
        self.sections[dynamic - 1].address += self.processor.page();
        self.describe(dynamic, strings, 0, if wide { 16 } else { 8 });
        self.describe(hash, symbols, 0, 4);
        self.describe(symbols, strings, 1, self.symbol_size());

        let page = self.processor.page();
        let at = &self.sections[dynamic - 1];
        let mut segments = vec![
            (1, 5, 0, 0, code_end, page),
            (1, 6, at.offset, at.address, at.size, page),
            (2, 6, at.offset, at.address, at.size, 8),
            (0x6474_e551, 6, 0, 0, 0, 16),
        ];
        segments.extend(note.map(|note| {
            let at = &self.sections[note - 1];
            (4, 4, at.offset, at.address, at.size, 4)
        }));
        self.finish(3, 0, &segments)
    }

    /// Adds all headers of a static program that starts at the beginning of section `text`.
    pub(super) fn finish_program(mut self, text: usize) -> Vec<u8> {
        self.base = 0x40_0000;
        let entry = self.base + self.address(text);
        for section in &mut self.sections {
            section.address += self.base;
        }
        let end = self.out.len() as u64;
        let segments = [(1, 5, 0, self.base, end, self.processor.page()), (0x6474_e551, 6, 0, 0, 0, 16)];
        self.finish(2, entry, &segments)
    }

    fn describe(&mut self, section: usize, link: usize, info: u32, entry: u64) {
        let section = &mut self.sections[section - 1];
        (section.link, section.info, section.entry) = (link as u32, info, entry);
    }

    fn finish(mut self, kind: u16, entry: u64, segments: &[Segment]) -> Vec<u8> {
        let mut names = Strings::default();
        let mut offsets: Vec<u32> = self.sections.iter().map(|section| names.add(section.name)).collect();
        offsets.push(names.add(".shstrtab"));
        let last = self.section(".shstrtab", NAMES, names.bytes);
        self.sections[last - 1].address = 0;
        self.align(8);
        let table = self.out.len() as u64;
        let headers = self.section_headers(&offsets);
        self.out.extend(headers);
        let head = self.file_header(kind, entry, segments, table, last as u16);
        self.out[..head.len()].copy_from_slice(&head);
        self.out
    }

    fn section_headers(&self, names: &[u32]) -> Vec<u8> {
        let wide = self.processor.wide();
        let mut out = Words { wide, out: vec![0; if wide { 64 } else { 40 }] };
        for (section, name) in self.sections.iter().zip(names) {
            out.word(*name);
            out.word(section.kind.0);
            out.size(section.kind.1);
            out.size(section.address);
            out.size(section.offset);
            out.size(section.size);
            out.word(section.link);
            out.word(section.info);
            out.size(section.kind.2);
            out.size(section.entry);
        }
        out.out
    }

    fn file_header(&self, kind: u16, entry: u64, segments: &[Segment], table: u64, names: u16) -> Vec<u8> {
        let wide = self.processor.wide();
        let (header, segment, section) = if wide { (64, 56, 64) } else { (52, 32, 40) };
        let mut out = Words { wide, out: vec![0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 1, 1] };
        out.out.resize(16, 0);
        out.half(kind);
        out.half(self.processor.number());
        out.word(1);
        out.size(entry);
        out.size(header);
        out.size(table);
        out.word(0);
        for half in [header as u16, segment, segments.len() as u16, section, names + 1, names] {
            out.half(half);
        }
        for segment in segments {
            out.segment(*segment);
        }
        out.out
    }

    fn align(&mut self, to: u64) {
        self.out.resize(self.out.len().next_multiple_of(to as usize), 0);
    }
}

/// Little-endian numbers, of which those called sizes are 4 or 8 bytes wide.
struct Words {
    wide: bool,
    out: Vec<u8>,
}

impl Words {
    fn half(&mut self, value: u16) {
        self.out.extend(value.to_le_bytes());
    }

    fn word(&mut self, value: u32) {
        self.out.extend(value.to_le_bytes());
    }

    fn size(&mut self, value: u64) {
        if self.wide { self.out.extend(value.to_le_bytes()) } else { self.word(value as u32) }
    }

    /// A program header; the place of the flags differs between the classes.
    fn segment(&mut self, (kind, flags, offset, address, size, align): Segment) {
        self.word(kind);
        if self.wide {
            self.word(flags);
        }
        for value in [offset, address, address, size, size] {
            self.size(value);
        }
        if !self.wide {
            self.word(flags);
        }
        self.size(align);
    }
}
