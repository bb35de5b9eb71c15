//! Reads a cache that anybody may have written: every offset is checked and every amount is bounded.

use super::{Cache, Entry, HWCAPS_EXTENSION};

/// Largest file that is read: some hundred times what a full desktop has.
pub const MAX_FILE: usize = 16 << 20;
/// Most entries that are read.
pub const MAX_ENTRIES: usize = 200_000;
/// Longest name or path, the kernel's `PATH_MAX`.
const MAX_TEXT: usize = 4096;
/// Most bytes in all names and paths together. Entries may share a text in the file, but not in memory.
const MAX_TEXTS: usize = 64 << 20;
/// Most glibc-hwcaps names and extension sections; glibc knows fewer than ten of either.
const MAX_SECTIONS: usize = 1024;

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;
pub(super) const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
pub(super) const HEADER: usize = 48;
pub(super) const ENTRY: usize = 24;
pub(super) const LITTLE_ENDIAN: u8 = 2;
pub(super) const BIG_ENDIAN: u8 = 3;
pub(super) const EXTENSIONS_MAGIC: u32 = 0xeaa4_2174;
pub(super) const GENERATOR: u32 = 0;
pub(super) const HWCAPS: u32 = 1;

/// Why a file is not a loader cache that we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither format's magic, or only the format that glibc gave up in 2.2.
    #[error("it is not a glibc loader cache of format 1.1")]
    Format,
    /// Written on a machine of the other byte order.
    #[error("it is for the other byte order")]
    ByteOrder,
    /// Beyond [`MAX_FILE`], [`MAX_ENTRIES`] or what they stand for.
    #[error("it is too large: more than {0}")]
    TooLarge(&'static str),
    /// It ends before the thing that it announces.
    #[error("it ends in the middle of {0}")]
    Truncated(&'static str),
    /// A name or path that does not end, is longer than 4096 bytes or is not UTF-8.
    #[error("the text at byte {0} is not a name or a path")]
    Text(usize),
}

/// Reads a cache.
///
/// The extension sections that we know are kept; others would be lost by writing, and glibc has none so far.
///
/// # Errors
/// [`Malformed`]; a cache is read whole or not at all.
pub fn parse(file: &[u8]) -> Result<Cache, Malformed> {
    if file.len() > MAX_FILE {
        return Err(Malformed::TooLarge("16 MiB"));
    }
    let start = start_of_new_format(file)?;
    let mut reader = Reader { file, start, texts: 0 };
    let count = reader.number(start + 20, "the header")? as usize;
    let extensions = reader.number(start + 32, "the header")? as usize;
    reader.check_byte_order()?;
    if count > MAX_ENTRIES {
        return Err(Malformed::TooLarge("200000 entries"));
    }

    let mut cache = Cache { entries: Vec::with_capacity(count), ..Cache::default() };
    for index in 0..count {
        cache.entries.push(reader.entry(start + HEADER + index * ENTRY)?);
    }
    if extensions != 0 {
        reader.extensions(extensions, &mut cache)?;
    }
    Ok(cache)
}

/// Where the new format begins: at once, or behind a block of the old one.
fn start_of_new_format(file: &[u8]) -> Result<usize, Malformed> {
    let mut start = 0;
    if file.starts_with(OLD_MAGIC) {
        let count = Reader { file, start, texts: 0 }.number(OLD_MAGIC.len() + 1, "the old header")? as usize;
        start = OLD_HEADER
            .saturating_add(count.saturating_mul(OLD_ENTRY))
            .checked_next_multiple_of(8)
            .unwrap_or(usize::MAX);
    }
    match file.get(start..) {
        Some(rest) if rest.starts_with(MAGIC) => Ok(start),
        _ => Err(Malformed::Format),
    }
}

struct Reader<'a> {
    file: &'a [u8],
    /// Offsets of names and paths count from here; those of extensions from the start of the file.
    start: usize,
    /// Bytes of text handed out so far.
    texts: usize,
}

impl Reader<'_> {
    fn check_byte_order(&self) -> Result<(), Malformed> {
        let order = self.file.get(self.start + 28).ok_or(Malformed::Truncated("the header"))? & 3;
        let ours = if cfg!(target_endian = "little") { LITTLE_ENDIAN } else { BIG_ENDIAN };
        // 0: written before glibc 2.33, which did not say.
        if order == 0 || order == ours { Ok(()) } else { Err(Malformed::ByteOrder) }
    }

    fn entry(&mut self, at: usize) -> Result<Entry, Malformed> {
        const WHAT: &str = "the entries";
        let low = self.file.get(at..at + ENTRY).ok_or(Malformed::Truncated(WHAT))?;
        let word = |i: usize| u32::from_ne_bytes([low[i], low[i + 1], low[i + 2], low[i + 3]]);
        let halves = [low[16], low[17], low[18], low[19], low[20], low[21], low[22], low[23]];
        Ok(Entry {
            flags: word(0),
            name: self.text(word(4))?,
            path: self.text(word(8))?,
            osversion: word(12),
            hwcap: u64::from_ne_bytes(halves),
        })
    }

    fn extensions(&mut self, at: usize, cache: &mut Cache) -> Result<(), Malformed> {
        const WHAT: &str = "the extensions";
        if self.number(at, WHAT)? != EXTENSIONS_MAGIC {
            return Ok(()); // as the loader does: a cache without extensions
        }
        let count = self.number(at.saturating_add(4), WHAT)? as usize;
        if count > MAX_SECTIONS {
            return Err(Malformed::TooLarge("1024 extension sections"));
        }
        for index in 0..count {
            let section = at + 8 + index * 16;
            let tag = self.number(section, WHAT)?;
            let offset = self.number(section + 8, WHAT)? as usize;
            let size = self.number(section + 12, WHAT)? as usize;
            let end = offset.saturating_add(size);
            let data = self.file.get(offset..end).ok_or(Malformed::Truncated(WHAT))?;
            match tag {
                GENERATOR => cache.generator = Some(generator(data)),
                HWCAPS => cache.hwcaps = self.hwcaps(data)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn hwcaps(&mut self, data: &[u8]) -> Result<Vec<String>, Malformed> {
        if data.len() / 4 > MAX_SECTIONS {
            return Err(Malformed::TooLarge("1024 glibc-hwcaps names"));
        }
        data.as_chunks::<4>().0.iter().map(|offset| self.text(u32::from_ne_bytes(*offset))).collect()
    }

    fn number(&self, at: usize, what: &'static str) -> Result<u32, Malformed> {
        let bytes = self.file.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Malformed::Truncated(what))?;
        Ok(u32::from_ne_bytes(*bytes))
    }

    /// The text that begins `offset` bytes into the new format.
    fn text(&mut self, offset: u32) -> Result<String, Malformed> {
        let at = self.start.saturating_add(offset as usize);
        let rest = self.file.get(at..).ok_or(Malformed::Text(at))?;
        let window = &rest[..rest.len().min(MAX_TEXT)];
        let end = window.iter().position(|byte| *byte == 0).ok_or(Malformed::Text(at))?;
        self.texts += end;
        if self.texts > MAX_TEXTS {
            return Err(Malformed::TooLarge("64 MiB of names and paths"));
        }
        std::str::from_utf8(&window[..end]).map(str::to_owned).map_err(|_| Malformed::Text(at))
    }
}

/// For people only, so anything goes.
fn generator(data: &[u8]) -> String {
    String::from_utf8_lossy(&data[..data.len().min(MAX_TEXT)]).trim_end_matches('\0').to_owned()
}

impl Cache {
    /// Name of the `glibc-hwcaps` folder that `entry` was found in.
    pub fn hwcaps_of(&self, entry: &Entry) -> Option<&str> {
        (entry.hwcap & HWCAPS_EXTENSION != 0)
            .then(|| self.hwcaps.get(entry.hwcap as u32 as usize).map(String::as_str))
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ELF_LIBC6, X86_64, write};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_a_cache() {
        let mut foreign = write(&Cache::default());
        foreign[28] = if cfg!(target_endian = "little") { BIG_ENDIAN } else { LITTLE_ENDIAN };
        let mut endless = write(&Cache::default());
        endless[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
        let mut short = write(&Cache::default());
        short[20..24].copy_from_slice(&9u32.to_ne_bytes());
        let old_only = [OLD_MAGIC, &[0; 5]].concat();
        let old_lies = [OLD_MAGIC, &[0; 1], &[0xff; 4]].concat();
        for (file, want) in [
            (&b""[..], Malformed::Format),
            (b"\x7fELF", Malformed::Format),
            (MAGIC, Malformed::Truncated("the header")),
            (&old_only, Malformed::Format),
            (&old_lies, Malformed::Format),
            (&foreign, Malformed::ByteOrder),
            (&endless, Malformed::TooLarge("200000 entries")),
            (&short, Malformed::Truncated("the entries")),
        ] {
            assert_eq!(parse(file), Err(want));
        }
    }

    #[test]
    fn shared_texts_cannot_fill_memory() {
        // 20000 entries that all point to the same 4095 bytes: 80 MB of text from half a megabyte of file.
        let entry = Entry::new(ELF_LIBC6 | X86_64, "", "x".repeat(MAX_TEXT - 1));
        let mut file = write(&Cache { entries: vec![entry; 20_000], ..Cache::default() });
        let path = HEADER + 20_000 * ENTRY;
        for index in 0..20_000 {
            let at = HEADER + index * ENTRY + 8;
            file[at..at + 4].copy_from_slice(&(path as u32).to_ne_bytes());
        }
        assert_eq!(parse(&file), Err(Malformed::TooLarge("64 MiB of names and paths")));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), magic in 0..3usize) {
            let head = [&b""[..], MAGIC, b"ld.so-1.7.0\0\0\0\0\0glibc-ld.so.cache1.1"][magic];
            let _ = parse(&[head, &bytes].concat());
        }

        #[test]
        fn never_panics_on_damage(at in 0..300usize, byte: u8, cut in 0..300usize) {
            let mut file = write(&Cache {
                entries: vec![Entry::new(0x303, "liba.so.1", "/lib/liba.so.1"); 3],
                hwcaps: vec!["x86-64-v3".into()],
                generator: Some("test".into()),
            });
            let at = at % file.len();
            file[at] = byte;
            let _ = parse(&file);
            let _ = parse(&file[..cut.min(file.len())]);
        }
    }
}
