//! glibc's `/etc/ld.so.cache`: read without trusting it, written so that every glibc since 2.2 and `ldconfig -p` accept
//! it (reference: libnvidia-container.md, section 10; the layout is that of glibc's `dl-cache.h`).
//!
//! ```text
//! [ld.so-1.7.0 block, optional, skipped]
//! header   48 bytes  magic, entry count, text size, byte order, offset of the extensions
//! entries  24 bytes each: flags, name, path (offsets into the file), OS version, hwcap
//! texts    ended by NUL; a name is usually the tail of its path
//! extensions         who made the file; names of the glibc-hwcaps folders
//! ```
//!
//! Two things matter beyond the layout. The loader finds a name by *binary search*, so the entries must be in
//! descending order of [`compare_names`]; and among entries of one name and kind it takes the *first*, so their order
//! is their precedence. [`Cache::put_first`] keeps both.

mod order;
mod read;
mod write;

pub use order::compare_names;
pub use read::{MAX_ENTRIES, MAX_FILE, Malformed, parse};
pub use write::write;

use crate::LibraryClass;
use std::cmp::Ordering;

/// Where the cache lies in every root.
pub const PATH: &str = "/etc/ld.so.cache";

/// The entry is for glibc 2 ELF files; without it no loader looks at an entry.
pub const ELF_LIBC6: u32 = 0x0003;
/// Architecture bits of [`Entry::flags`]. i386 has none of them set.
pub const ARCHITECTURE: u32 = 0xff00;
/// x86-64.
pub const X86_64: u32 = 0x0300;
/// 64-bit powerpc.
pub const POWERPC64: u32 = 0x0500;
/// 32-bit arm, hard-float.
pub const ARM_HARD_FLOAT: u32 = 0x0900;
/// aarch64.
pub const AARCH64: u32 = 0x0a00;
/// Set in [`Entry::hwcap`] when its low 32 bits are an index into [`Cache::hwcaps`].
pub const HWCAPS_EXTENSION: u64 = 1 << 62;

/// A loader cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// In the file's order, which is the loader's.
    pub entries: Vec<Entry>,
    /// Names of `glibc-hwcaps` folders (`x86-64-v3`) that entries refer to by index.
    pub hwcaps: Vec<String>,
    /// The program that made the file, as `ldconfig -p` shows it.
    pub generator: Option<String>,
}

/// One library that a loader can find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// [`ELF_LIBC6`] and the architecture; the loader wants its own value exactly.
    pub flags: u32,
    /// What programs ask for: a soname.
    pub name: String,
    /// What the loader opens.
    pub path: String,
    /// Smallest kernel the library runs on, as old versions of glibc recorded it; 0 for any.
    pub osversion: u32,
    /// Processor features that it needs; see [`HWCAPS_EXTENSION`]. 0 for none.
    pub hwcap: u64,
}

/// The flags of libraries of `class` on the architecture that this program was built for; `None` where we know none.
pub const fn flags(class: LibraryClass) -> Option<u32> {
    let (native, compat32) = if cfg!(target_arch = "x86_64") {
        (X86_64, Some(0))
    } else if cfg!(target_arch = "aarch64") {
        (AARCH64, Some(ARM_HARD_FLOAT))
    } else if cfg!(target_arch = "powerpc64") {
        (POWERPC64, None)
    } else {
        return None;
    };
    match (class, compat32) {
        (LibraryClass::Native, _) => Some(ELF_LIBC6 | native),
        (LibraryClass::Compat32, Some(architecture)) => Some(ELF_LIBC6 | architecture),
        (LibraryClass::Compat32, None) => None,
    }
}

impl Entry {
    /// An entry for a library that any processor and kernel can run.
    pub fn new(flags: u32, name: impl Into<String>, path: impl Into<String>) -> Entry {
        Entry { flags, name: name.into(), path: path.into(), osversion: 0, hwcap: 0 }
    }

    /// Found in a `glibc-hwcaps` folder.
    fn is_extension(&self) -> bool {
        self.hwcap & HWCAPS_EXTENSION != 0
    }

    /// The folder part of the path.
    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Same name, same kind of library, same folder: the same library in another version.
    fn supersedes(&self, old: &Entry) -> bool {
        self.hwcap == old.hwcap && self.flags == old.flags && self.name == old.name && self.folder() == old.folder()
    }

    /// ldconfig's order: names descending, then flags descending, then glibc-hwcaps before the plain library.
    fn compare(&self, other: &Entry) -> Ordering {
        compare_names(&other.name, &self.name)
            .then_with(|| other.flags.cmp(&self.flags))
            .then_with(|| other.is_extension().cmp(&self.is_extension()))
            .then_with(|| match self.is_extension() {
                true => (self.hwcap as u32).cmp(&(other.hwcap as u32)),
                false => other.hwcap.cmp(&self.hwcap),
            })
    }
}

impl Cache {
    /// Puts `ours` where the loader finds them before any other entry of the same name and kind; among themselves the
    /// first given comes first. An entry of ours takes the place of one with its name and kind in its folder, so that
    /// doing this twice is doing it once. All other entries stay, in their order: one of the same name elsewhere
    /// (a compatibility folder, say) remains as second choice.
    ///
    /// What the loader itself prefers, a library from a `glibc-hwcaps` folder of the image, stays preferred.
    pub fn put_first(&mut self, mut ours: Vec<Entry>) {
        let mut kept = std::mem::take(&mut self.entries);
        ours.sort_by(Entry::compare);
        ours.dedup();
        kept.retain(|old| !superseded(&ours, old));

        self.entries.reserve(kept.len() + ours.len());
        let mut ours = ours.into_iter().peekable();
        for old in kept {
            while let Some(entry) = ours.next_if(|entry| entry.compare(&old) != Ordering::Greater) {
                self.entries.push(entry);
            }
            self.entries.push(old);
        }
        self.entries.extend(ours);
    }

    /// Brings entries that were collected folder by folder into ldconfig's order; equal ones keep theirs.
    pub fn sort(&mut self) {
        self.entries.sort_by(Entry::compare);
    }
}

/// One of `ours`, sorted by [`Entry::compare`], is `old` in another version.
fn superseded(ours: &[Entry], old: &Entry) -> bool {
    let from = ours.partition_point(|entry| entry.compare(old) == Ordering::Less);
    ours[from..].iter().take_while(|entry| entry.compare(old) == Ordering::Equal).any(|entry| entry.supersedes(old))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, folder: &str) -> Entry {
        Entry::new(ELF_LIBC6 | X86_64, name, format!("{folder}/{name}"))
    }

    fn paths(cache: &Cache) -> Vec<&str> {
        cache.entries.iter().map(|entry| entry.path.as_str()).collect()
    }

    #[test]
    fn ours_come_first_among_equals_and_others_keep_their_order() {
        let mut cache = Cache {
            entries: vec![
                entry("libz.so.1", "/lib"),
                entry("libcuda.so.1", "/usr/local/cuda/compat"),
                entry("libcuda.so.1", "/lib"),
                entry("libc.so.6", "/lib"),
            ],
            ..Cache::default()
        };
        let ours = vec![entry("libnvidia-ml.so.1", "/lib"), entry("libcuda.so.1", "/lib"), entry("liba.so.1", "/lib")];
        cache.put_first(ours.clone());
        let want = [
            "/lib/libz.so.1",
            "/lib/libnvidia-ml.so.1",
            "/lib/libcuda.so.1",
            "/usr/local/cuda/compat/libcuda.so.1",
            "/lib/libc.so.6",
            "/lib/liba.so.1",
        ];
        assert_eq!(paths(&cache), want);

        let once = cache.clone();
        cache.put_first(ours);
        assert_eq!(cache, once, "a second time changes nothing");
    }

    #[test]
    fn two_of_ours_with_one_name_keep_the_order_given() {
        let mut cache = Cache { entries: vec![entry("libcuda.so.1", "/opt")], ..Cache::default() };
        let ours = vec![entry("libcuda.so.1", "/usr/local/cuda/compat"), entry("libcuda.so.1", "/lib")];
        for _ in 0..2 {
            cache.put_first(ours.clone());
            let want = ["/usr/local/cuda/compat/libcuda.so.1", "/lib/libcuda.so.1", "/opt/libcuda.so.1"];
            assert_eq!(paths(&cache), want);
        }
    }

    #[test]
    fn other_kinds_and_hwcaps_are_left_alone() {
        let mut hwcaps = entry("libcuda.so.1", "/lib");
        hwcaps.hwcap = HWCAPS_EXTENSION;
        let mut other_kind = entry("libcuda.so.1", "/lib");
        other_kind.flags = ELF_LIBC6;
        let mut cache = Cache { entries: vec![hwcaps.clone(), other_kind.clone()], ..Cache::default() };
        let ours = entry("libcuda.so.1", "/lib");
        cache.put_first(vec![ours.clone()]);
        assert_eq!(cache.entries, [hwcaps, ours, other_kind]);
    }

    proptest::proptest! {
        #[test]
        fn putting_twice_is_putting_once(old in entries(), ours in entries()) {
            let mut cache = Cache { entries: old, ..Cache::default() };
            cache.put_first(ours.clone());
            let once = cache.clone();
            cache.put_first(ours);
            proptest::prop_assert_eq!(cache, once);
        }

        #[test]
        fn a_sorted_cache_stays_sorted(old in entries(), ours in entries()) {
            let mut cache = Cache { entries: old, ..Cache::default() };
            cache.sort();
            cache.put_first(ours);
            let in_order = cache.entries.is_sorted_by(|a, b| a.compare(b) != Ordering::Greater);
            proptest::prop_assert!(in_order);
        }
    }

    fn entries() -> impl proptest::strategy::Strategy<Value = Vec<Entry>> {
        use proptest::prelude::*;
        let one = ("lib[ab]{1,2}[.]so[.][0-9]{1,2}", "/[xy]", 0..2u32)
            .prop_map(|(name, folder, kind)| Entry::new(3 | kind << 8, name.clone(), format!("{folder}/{name}")));
        proptest::collection::vec(one, 0..12)
    }
}
