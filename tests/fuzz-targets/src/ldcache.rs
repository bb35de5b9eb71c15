//! The loader cache: what is written reads as what was read, and putting libraries first twice is doing it once.

use host::ldcache::{Cache, Entry, MAX_FILE, compare_names, parse, write};
use std::cmp::Ordering;

/// The bytes of an `ld.so.cache`.
pub fn ldcache(input: &[u8]) {
    let Ok(mut cache) = parse(input) else { return };
    reread(&cache);
    for entry in &cache.entries {
        assert!(!entry.name.contains('\0') && !entry.path.contains('\0'));
        let _ = cache.hwcaps_of(entry);
    }
    let ours: Vec<Entry> = cache.entries.iter().take(3).map(elsewhere).collect();
    let before = cache.entries.len();
    cache.put_first(ours.clone());
    assert!(cache.entries.len() <= before + ours.len());
    let once = cache.clone();
    cache.put_first(ours.clone());
    assert_eq!(cache, once, "putting first twice is not putting first once");
    cache.sort();
    assert!(cache.entries.is_sorted_by(|a, b| compare_names(&a.name, &b.name) != Ordering::Less));
    reread(&cache);
    cache.put_first(ours);
    assert!(cache.entries.is_sorted_by(|a, b| compare_names(&a.name, &b.name) != Ordering::Less));
}

/// The same library in the driver's folder.
fn elsewhere(entry: &Entry) -> Entry {
    Entry::new(entry.flags, entry.name.clone(), format!("/usr/lib64/{}", entry.name))
}

fn reread(cache: &Cache) {
    let written = write(cache);
    // Entries may share the tails of texts; a file of such entries can be larger than one that is read.
    if written.len() <= MAX_FILE {
        assert_eq!(parse(&written).as_ref(), Ok(cache), "what is written reads as something else");
    }
}
