//! Writes a cache in the new format alone, which glibc has read since 2.2.

use super::Cache;
use super::read::{BIG_ENDIAN, ENTRY, EXTENSIONS_MAGIC, GENERATOR, HEADER, HWCAPS, LITTLE_ENDIAN, MAGIC};
use std::collections::HashMap;

/// The file of this cache. Entries are written as they stand; keeping them in the loader's order is the business of
/// who changed them ([`Cache::put_first`], [`Cache::sort`]).
pub fn write(cache: &Cache) -> Vec<u8> {
    let mut texts = Texts::new(HEADER + cache.entries.len() * ENTRY);
    let entries = entries(cache, &mut texts);
    let hwcaps: Vec<u32> = cache.hwcaps.iter().map(|name| texts.add(name)).collect();
    texts.bytes.resize(texts.bytes.len().next_multiple_of(4), 0);
    let extensions = texts.start + texts.bytes.len();

    let mut file = header(cache.entries.len(), texts.bytes.len(), extensions);
    file.extend(entries);
    file.extend(texts.bytes);
    append_extensions(&mut file, &hwcaps, cache.generator.as_deref());
    file
}

fn header(entries: usize, texts: usize, extensions: usize) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend((entries as u32).to_ne_bytes());
    header.extend((texts as u32).to_ne_bytes());
    header.push(if cfg!(target_endian = "little") { LITTLE_ENDIAN } else { BIG_ENDIAN });
    header.resize(32, 0);
    header.extend((extensions as u32).to_ne_bytes());
    header.resize(HEADER, 0);
    header
}

fn entries<'a>(cache: &'a Cache, texts: &mut Texts<'a>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(cache.entries.len() * ENTRY);
    for entry in &cache.entries {
        let path = texts.add(&entry.path);
        let name = match entry.path.strip_suffix(&entry.name) {
            Some(folder) => path + folder.len() as u32,
            None => texts.add(&entry.name),
        };
        for word in [entry.flags, name, path, entry.osversion] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(entry.hwcap.to_ne_bytes());
    }
    bytes
}

/// Sections in the order in which ldconfig writes them; the section of folder names only where there are any.
fn append_extensions(file: &mut Vec<u8>, hwcaps: &[u32], generator: Option<&str>) {
    let hwcaps: Vec<u8> = hwcaps.iter().flat_map(|offset| offset.to_ne_bytes()).collect();
    let mut sections = Vec::new();
    if let Some(generator) = generator {
        sections.push((GENERATOR, generator.as_bytes()));
    }
    if !hwcaps.is_empty() {
        sections.push((HWCAPS, &hwcaps[..]));
    }
    // The offsets in the list of folders must be aligned, so the list comes first.
    let mut at = file.len() + 8 + 16 * sections.len();
    let mut offsets = vec![0; sections.len()];
    for index in (0..sections.len()).rev() {
        offsets[index] = at;
        at += sections[index].1.len();
    }

    file.extend(EXTENSIONS_MAGIC.to_ne_bytes());
    file.extend((sections.len() as u32).to_ne_bytes());
    for ((tag, data), offset) in sections.iter().zip(offsets) {
        for word in [*tag, 0, offset as u32, data.len() as u32] {
            file.extend(word.to_ne_bytes());
        }
    }
    for (_, data) in sections.iter().rev() {
        file.extend(*data);
    }
}

/// The texts of a file, each once.
struct Texts<'a> {
    /// Where they begin in the file.
    start: usize,
    bytes: Vec<u8>,
    known: HashMap<&'a str, u32>,
}

impl<'a> Texts<'a> {
    fn new(start: usize) -> Self {
        Texts { start, bytes: Vec::new(), known: HashMap::new() }
    }

    /// The offset of `text`. A NUL would end it early for every reader; no name or path has one.
    fn add(&mut self, text: &'a str) -> u32 {
        *self.known.entry(text).or_insert_with(|| {
            let at = self.start + self.bytes.len();
            self.bytes.extend(text.bytes().filter(|byte| *byte != 0));
            self.bytes.push(0);
            at as u32
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, parse};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_real_cache_survives() {
        let file = std::fs::read(super::super::PATH).expect("tests run where glibc's ldconfig has run");
        let cache = parse(&file).unwrap();
        assert!(cache.entries.iter().any(|entry| entry.name.starts_with("libc.so.")), "no C library in {cache:?}");
        assert_eq!(parse(&write(&cache)).unwrap(), cache);
    }

    #[test]
    fn a_name_is_stored_as_the_tail_of_its_path() {
        let entry = Entry::new(0x303, "libcuda.so.1", "/lib/libcuda.so.1");
        let file = write(&Cache { entries: vec![entry], ..Cache::default() });
        assert_eq!(file.len(), HEADER + ENTRY + "/lib/libcuda.so.1\0".len().next_multiple_of(4) + 8);
    }

    proptest! {
        #[test]
        fn parse_undoes_write(
            entries in prop::collection::vec((any::<u32>(), "[a-z.0-9]{0,9}", "/?[a-z.0-9/é]{0,9}", any::<u32>(), any::<u64>()), 0..20),
            hwcaps in prop::collection::vec("[a-z0-9-]{1,9}", 0..4),
            generator in prop::option::of("[a-z ]{0,20}"),
        ) {
            let entries = entries
                .into_iter()
                .map(|(flags, name, path, osversion, hwcap)| Entry { flags, name, path, osversion, hwcap })
                .collect();
            let cache = Cache { entries, hwcaps, generator };
            prop_assert_eq!(parse(&write(&cache)), Ok(cache));
        }
    }
}
